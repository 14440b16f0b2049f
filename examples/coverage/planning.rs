//! How often gates err, and whether what was planned to be seen is seen.
use rand_chacha::ChaCha8Rng;
use spyhop::stats::{
    Gate, Resampled, difference, gate, mcnemar, mcnemar_prompts_needed, mean,
    minimum_detectable_effect, paired_t, power as power_of, prompts_needed, resampled_deviation,
    sign_flip,
};

use crate::{
    draw::{Shape, normal},
    table::{Experiment, Section, at_most, exactly, happened},
};

pub(crate) fn gates() -> Section {
    let mut experiments = Vec::new();
    for (name, discordant, margin) in
        [("four prompts in ten differ", 0.4, 0.1), ("one prompt in ten differs", 0.1, 0.05)]
    {
        for n in [48, 200] {
            experiments.push(on_the_margin(name, discordant, margin, n));
        }
    }
    experiments.push(no_difference(200));
    Section { title: "The gate", first_seed: 7_000, experiments }
}

fn on_the_margin(name: &str, discordant: f64, margin: f64, n: usize) -> Experiment {
    let promises = [exactly("better or no worse", 0.025), exactly("regressed", 0.025)];
    let shape = Shape::discordant(discordant, -margin);
    let setting = format!("{name}, worse by the margin of {margin}, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let found = verdict(&shape, n, margin, random);
        let passed = [Some(Gate::Better), Some(Gate::NoWorse)].contains(&found);
        [happened(passed), happened(found == Some(Gate::Regressed))]
    })
}

fn no_difference(n: usize) -> Experiment {
    let promises = [exactly("better", 0.025), at_most("regressed", 0.025)];
    let shape = Shape::discordant(0.4, 0.0);
    let setting = format!("four prompts in ten differ, no difference, margin 0.1, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let found = verdict(&shape, n, 0.1, random);
        [Gate::Better, Gate::Regressed].map(|gate| happened(found == Some(gate)))
    })
}

fn verdict(shape: &Shape, n: usize, margin: f64, random: &mut ChaCha8Rng) -> Option<Gate> {
    difference(&shape.sample(n, random)).map(|estimate| gate(&estimate, margin))
}

pub(crate) fn power() -> Section {
    let mut experiments: Vec<Experiment> = [48, 100, 200, 400, 805].map(detectable).into();
    experiments.extend([48, 200, 805].map(pilot));
    experiments.push(planned());
    experiments.push(planned_for_mcnemar());
    experiments.push(with_more_answers());
    experiments.push(for_any_number(0.1, 200));
    Section {
        title: "Planning: seen, when there is something to see",
        first_seed: 8_000,
        experiments,
    }
}

/// What the page on statistics says that a win rate without ties has to be.
fn detectable(n: usize) -> Experiment {
    let half = mean(&[0.0, 1.0].repeat(n / 2 + 1)[..n]);
    let effect = half.map_or(0.0, |half| minimum_detectable_effect(&half));
    let setting = format!("win rate of {:.1}% without ties, n = {n}", 50.0 + 100.0 * effect);
    let shape = Shape::wins(0.5 + effect);
    let promises = [exactly("`minimum_detectable_effect`, the report's \"better\"", 0.8)];
    Experiment::new(setting, 10_000, promises, move |random| {
        let scores = shape.sample(n, random);
        let differences: Vec<f64> = scores.iter().map(|score| score - 0.5).collect();
        let above = mean(&scores).is_some_and(|estimate| estimate.lower > 0.5);
        [happened(above && sign_flip(&differences) < 0.05)]
    })
}

/// The effect is what a first sample without a difference promises to see in a second.
fn pilot(n: usize) -> Experiment {
    let promises = [
        exactly("`minimum_detectable_effect`, `sign_flip`", 0.8),
        exactly("`minimum_detectable_effect`, `paired_t`", 0.8),
    ];
    let setting = format!("four prompts in ten differ, effect from a pilot, n = {n}");
    let none = Shape::discordant(0.4, 0.0);
    Experiment::new(setting, 10_000, promises, move |random| {
        let Some(pilot) = difference(&none.sample(n, random)) else { return [None; 2] };
        let effect = minimum_detectable_effect(&pilot).min(0.4);
        let drawn = Shape::discordant(0.4, effect).sample(n, random);
        seen(&drawn)
    })
}

fn seen(differences: &[f64]) -> [Option<f64>; 2] {
    let by_t = paired_t(differences).is_some_and(|test| test.p <= 0.05);
    [happened(sign_flip(differences) <= 0.05), happened(by_t)]
}

fn planned() -> Experiment {
    let shape = Shape::new(&[-1.0, 0.0, 1.0], &[0.1, 0.65, 0.25]);
    let n = prompts_needed(shape.mean(), shape.deviation(), 0.05, 0.8);
    let promises = [
        exactly("`prompts_needed`, `sign_flip`", 0.8),
        exactly("`prompts_needed`, `paired_t`", 0.8),
    ];
    let setting = format!("won 0.25, lost 0.1, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| seen(&shape.sample(n, random)))
}

fn planned_for_mcnemar() -> Experiment {
    let shape = Shape::new(&[-1.0, 0.0, 1.0], &[0.1, 0.65, 0.25]);
    let n = mcnemar_prompts_needed(0.35, 0.15, 0.05, 0.8);
    let promises = [exactly("`mcnemar_prompts_needed`, `mcnemar`", 0.8)];
    let setting = format!("won 0.25, lost 0.1, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let drawn = shape.sample(n, random);
        let count = |value: f64| drawn.iter().filter(|&&drawn| drawn == value).count();
        [happened(mcnemar(count(1.0), count(-1.0)) <= 0.05)]
    })
}

/// Normal scores: an effect of 0.03, four answers of one side and two of the other.
fn with_more_answers() -> Experiment {
    let (between, a, b) = (0.2, 0.3, 0.25);
    let [of_a, of_b] = [(a, 4), (b, 2)].map(|(deviation, times)| Resampled { deviation, times });
    let n = prompts_needed(0.03, resampled_deviation(between, of_a, of_b), 0.05, 0.8);
    let promises = [exactly("`resampled_deviation`, `paired_t`", 0.8)];
    let setting = format!("4 and 2 answers a prompt, effect 0.03, n = {n}");
    Experiment::new(setting, 4_000, promises, move |random| {
        let answers = |deviation: f64, times: usize, random: &mut ChaCha8Rng| {
            (0..times).map(|_| deviation * normal(random)).sum::<f64>() / times as f64
        };
        let prompt = |random: &mut ChaCha8Rng| {
            0.03 + between * normal(random) + answers(a, 4, random) - answers(b, 2, random)
        };
        let drawn: Vec<f64> = (0..n).map(|_| prompt(random)).collect();
        [happened(paired_t(&drawn).is_some_and(|test| test.p <= 0.05))]
    })
}

fn for_any_number(effect: f64, n: usize) -> Experiment {
    let shape = Shape::discordant(0.4, effect);
    let claimed = power_of(effect, shape.deviation(), n, 0.05);
    let promises =
        [exactly("`power`, `sign_flip`", claimed), exactly("`power`, `paired_t`", claimed)];
    let setting = format!("four prompts in ten differ, effect {effect}, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| seen(&shape.sample(n, random)))
}
