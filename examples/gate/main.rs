//! How often `spyhop check` errs on real scores with a known loss planted in them.
//!
//! `cargo run --release --example gate -- DIRECTORY` reads AlpacaEval's annotations in a directory and
//! writes the table of `docs/gate.md`; with `--print` behind it, the table goes to standard output. Every
//! number depends on the seed in its row alone.
use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;
use spyhop::{
    gate::{Check, Evidence, Scored, Suite, Verdict, decide},
    stats::ConfidenceSequence,
};

const BEGIN: &str = "<!-- BEGIN: simulation -->\n";
const END: &str = "<!-- END: simulation -->\n";

/// Checks of each kind.
const REPETITIONS: u64 = 2_000;
/// Prompts between two looks at a sequence, as the judging has it.
const LOOK_EVERY: usize = 16;

#[derive(Deserialize)]
struct Annotation {
    dataset: String,
    /// 1 for the reference of the file, 2 for its model.
    preference: Option<f64>,
}

/// Prompts with the score that a real model had on them, in [0, 1].
struct Population {
    name: &'static str,
    prompts: Vec<(String, f64)>,
}

/// Kinds of scores: how a judge that sees one order, one that sees both, and one that says how sure it is
/// score real answers.
fn populations(directory: &Path) -> anyhow::Result<Vec<Population>> {
    let read = |name: &str| -> anyhow::Result<Vec<(String, f64)>> {
        let path = directory.join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let rows: Vec<Annotation> =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((row.dataset, row.preference.filter(|one| *one > 0.0)? - 1.0)))
            .collect())
    };
    let (guanaco, oasst) = (
        read("guanaco-65b.alpaca_eval_gpt4.json")?,
        read("oasst-rlhf-llama-33b.alpaca_eval_gpt4.json")?,
    );
    let both = guanaco.iter().zip(&oasst);
    let both = both.map(|((dataset, one), (_, other))| (dataset.clone(), (one + other) / 2.0));
    Ok(vec![
        Population { name: "one verdict a prompt", prompts: guanaco.clone() },
        Population { name: "mean of two verdicts", prompts: both.collect() },
        Population {
            name: "graded preference",
            prompts: read("humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json")?,
        },
    ])
}

/// A kind of check, and the loss that is planted.
struct Setting<'a> {
    population: &'a Population,
    prompts: usize,
    margin: f64,
    /// Points of the win rate that the candidate truly loses.
    loss: f64,
    until_decided: bool,
    slices: bool,
    seed: u64,
}

/// Shares of the checks, and prompts that were judged in the mean.
struct Measured {
    green: f64,
    red: f64,
    open: f64,
    judged: f64,
}

impl Setting<'_> {
    fn measure(&self) -> Measured {
        let check = self.check();
        let outcomes: Vec<(Verdict, usize)> = (0..REPETITIONS)
            .into_par_iter()
            .map(|repetition| {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                random.set_stream(repetition);
                self.one(&check, &mut random)
            })
            .collect();
        let share = |verdicts: &[Verdict]| {
            let found = outcomes.iter().filter(|(verdict, _)| verdicts.contains(verdict)).count();
            found as f64 / outcomes.len() as f64
        };
        Measured {
            green: share(&[Verdict::Better, Verdict::NoWorse]),
            red: share(&[Verdict::Regressed]),
            open: share(&[Verdict::Inconclusive]),
            judged: outcomes.iter().map(|(_, judged)| *judged as f64).sum::<f64>()
                / outcomes.len() as f64,
        }
    }

    /// One check: prompts drawn with replacement, some of whose scores are turned around, so that the
    /// true win rate is 50% less the loss.
    fn one(&self, check: &Check, random: &mut ChaCha8Rng) -> (Verdict, usize) {
        let prompts = &self.population.prompts;
        let turned = self.turned();
        let draw = |place: usize, random: &mut ChaCha8Rng| {
            let (dataset, score) = &prompts[random.random_range(0..prompts.len())];
            let score = if random.random_bool(turned) { 1.0 - score } else { *score };
            Scored { prompt: place.to_string(), dataset: dataset.clone(), score: Some(score) }
        };
        let mut direct: Vec<Scored> = (0..self.prompts).map(|place| draw(place, random)).collect();
        if self.until_decided {
            direct.truncate(self.enough(&direct));
        }
        let judged = direct.len();
        let evidence = Evidence {
            prompts: self.prompts,
            direct,
            candidate_characters: 1.0,
            reference_characters: 1.0,
            ..Evidence::default()
        };
        (decide(check, &evidence).map_or(Verdict::Inconclusive, |outcome| outcome.verdict), judged)
    }

    /// The share of scores to turn around.
    fn turned(&self) -> f64 {
        let prompts = &self.population.prompts;
        let mean = prompts.iter().map(|(_, score)| score).sum::<f64>() / prompts.len() as f64;
        (mean - 0.5 + self.loss / 100.0) / (2.0 * mean - 1.0)
    }

    /// After how many prompts the sequence decides.
    fn enough(&self, direct: &[Scored]) -> usize {
        let bound = 0.5 - self.margin / 100.0;
        let mut sequence = ConfidenceSequence::betting(0.95);
        for (place, scored) in direct.iter().enumerate() {
            if let Some(score) = scored.score {
                sequence.push(score);
            }
            let look = (place + 1) % LOOK_EVERY == 0;
            let settled =
                sequence.estimate().is_some_and(|found| found.lower > bound || found.upper < bound);
            if look && settled {
                return place + 1;
            }
        }
        direct.len()
    }

    fn check(&self) -> Check {
        let text = format!(
            "[[check]]\nname = \"x\"\nreference = \"x\"\nmargin = {}\nslices = {}\nuntil_decided = {}\n[check.judge]\njudge = \"x\"\n",
            self.margin, self.slices, self.until_decided
        );
        let suite: Suite = toml::from_str(&text).expect("the check above is whole");
        suite.checks.into_iter().next().expect("there is one check")
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (directory, print) = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [directory] => (Path::new(*directory).to_owned(), false),
        [directory, "--print"] => (Path::new(*directory).to_owned(), true),
        _ => {
            anyhow::bail!("expected the directory of AlpacaEval's annotations, and perhaps --print")
        }
    };
    let table = table(&populations(&directory)?)?;
    if print {
        return Ok(io::stdout().write_all(table.as_bytes())?);
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gate.md");
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let (before, rest) =
        text.split_once(BEGIN).context("the page has no line for the beginning")?;
    let (_, after) = rest.split_once(END).context("the page has no line for the end")?;
    fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}"))?;
    Ok(())
}

fn table(populations: &[Population]) -> anyhow::Result<String> {
    let mut text = String::from(
        "Written by `cargo run --release --example gate -- DIRECTORY`; edit the example instead.\n\n\
         | scores | check | prompts | margin | true loss | green | red | inconclusive | judged, mean | seed |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut seed = 9_000;
    for population in populations {
        for (prompts, margin) in [(200, 8.0), (805, 5.0)] {
            let kinds = [
                (false, false, "fixed"),
                (false, true, "fixed, slices"),
                (true, false, "until decided"),
            ];
            for (until_decided, slices, name) in kinds {
                for loss in [0.0, margin / 2.0, margin, 2.0 * margin, 3.0 * margin] {
                    let setting =
                        Setting { population, prompts, margin, loss, until_decided, slices, seed };
                    // Turning all scores around plants no larger loss than this population allows.
                    if setting.turned() > 1.0 {
                        continue;
                    }
                    let Measured { green, red, open, judged } = setting.measure();
                    writeln!(
                        text,
                        "| {} | {name} | {prompts} | {margin} | {loss} | {:.2}% | {:.2}% | {:.1}% | {judged:.0} | {seed} |",
                        population.name,
                        100.0 * green,
                        100.0 * red,
                        100.0 * open,
                    )?;
                    seed += 1;
                }
            }
        }
    }
    Ok(text)
}
