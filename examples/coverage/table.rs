//! An experiment, repeated; and the rows of a table that it makes.
use std::fmt::Write;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use spyhop::stats::{Estimate, mean_and_deviation};

/// A table under a heading. Its experiments are seeded `first_seed`, `first_seed + 1`, and so on.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) first_seed: u64,
    pub(crate) experiments: Vec<Experiment>,
}

/// What is measured on the same draws.
pub(crate) struct Experiment {
    setting: String,
    /// Whole thousands, which is how they are shown.
    repetitions: u64,
    promises: Vec<Promise>,
    trial: Trial,
}

/// One repetition: for every promise 1 if what it speaks of happened and 0 if not, or a share;
/// `None` where there was no number to hold against it.
type Trial = Box<dyn Fn(&mut ChaCha8Rng) -> Vec<Option<f64>> + Sync>;

/// How often something should happen.
pub(crate) struct Promise {
    what: &'static str,
    nominal: Nominal,
}

#[derive(Clone, Copy)]
enum Nominal {
    Exactly(f64),
    AtLeast(f64),
    AtMost(f64),
}

pub(crate) fn exactly(what: &'static str, share: f64) -> Promise {
    Promise { what, nominal: Nominal::Exactly(share) }
}

pub(crate) fn at_least(what: &'static str, share: f64) -> Promise {
    Promise { what, nominal: Nominal::AtLeast(share) }
}

pub(crate) fn at_most(what: &'static str, share: f64) -> Promise {
    Promise { what, nominal: Nominal::AtMost(share) }
}

/// Whether the interval, if there is one, holds the truth.
pub(crate) fn holds(estimate: Option<Estimate>, truth: f64) -> Option<f64> {
    estimate.and_then(|estimate| happened(estimate.includes(truth)))
}

pub(crate) fn happened(it: bool) -> Option<f64> {
    Some(f64::from(u8::from(it)))
}

impl Experiment {
    pub(crate) fn new<const K: usize>(
        setting: impl Into<String>,
        repetitions: u64,
        promises: [Promise; K],
        trial: impl Fn(&mut ChaCha8Rng) -> [Option<f64>; K] + Sync + 'static,
    ) -> Experiment {
        Experiment {
            setting: setting.into(),
            repetitions,
            promises: promises.into(),
            trial: Box::new(move |random| trial(random).into()),
        }
    }

    /// A row for each promise.
    fn rows(&self, seed: u64) -> String {
        let outcomes = repeat(self.repetitions, seed, &self.trial);
        let mut rows = String::new();
        for (index, promise) in self.promises.iter().enumerate() {
            let numbers: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome[index]).collect();
            // Without any number there is no row, which a reader would miss less than a wrong one.
            let Some((measured, deviation)) = mean_and_deviation(&numbers) else { continue };
            let error = 2.0 * deviation / (numbers.len() as f64).sqrt();
            let missing = 1.0 - numbers.len() as f64 / self.repetitions as f64;
            let missing = match missing > 0.0 {
                true => format!(" (none in {:.2}%)", 100.0 * missing),
                false => String::new(),
            };
            let _ = writeln!(
                rows,
                "| {} | {}{missing} | {} | {:.1}% | {},000 | {:.1} | {seed} | {} |",
                promise.what,
                self.setting,
                promise.nominal.shown(),
                100.0 * measured,
                self.repetitions / 1_000,
                100.0 * error,
                promise.nominal.missed_by(measured, error),
            );
        }
        rows
    }
}

/// The outcomes of all repetitions, in order. Each has a stream of random numbers of its own, so it
/// does not matter which core takes it.
pub(crate) fn repeat<T: Send>(
    repetitions: u64,
    seed: u64,
    trial: impl Fn(&mut ChaCha8Rng) -> T + Sync,
) -> Vec<T> {
    let one = |repetition| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(repetition);
        trial(&mut random)
    };
    (0..repetitions).into_par_iter().map(one).collect()
}

impl Nominal {
    fn shown(self) -> String {
        match self {
            Nominal::Exactly(share) => percent(share),
            Nominal::AtLeast(share) => format!("≥ {}", percent(share)),
            Nominal::AtMost(share) => format!("≤ {}", percent(share)),
        }
    }

    /// On which side of what was promised the measured share lies, if by more than its error.
    fn missed_by(self, measured: f64, error: f64) -> &'static str {
        match self {
            Nominal::Exactly(share) | Nominal::AtLeast(share) if measured < share - error => {
                "below"
            }
            Nominal::Exactly(share) | Nominal::AtMost(share) if measured > share + error => "above",
            _ => "",
        }
    }
}

impl Section {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("\n## {}\n\n", self.title);
        text += "| what | setting | nominal | measured | repetitions | ± 2 SE | seed | off |\n";
        text += "|---|---|---:|---:|---:|---:|---:|---|\n";
        for (experiment, seed) in self.experiments.iter().zip(self.first_seed..) {
            text += &experiment.rows(seed);
        }
        text
    }
}

/// A share in per cent, with one digit where it is not zero.
fn percent(share: f64) -> String {
    let tenths = (1000.0 * share).round();
    match tenths % 10.0 == 0.0 {
        true => format!("{:.0}%", tenths / 10.0),
        false => format!("{:.1}%", tenths / 10.0),
    }
}
