//! Intervals that correct a judge's errors, and those of agreement.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use spyhop::stats::{
    Count, Scale, VotedPair, cohens_kappa, judge_measures, krippendorff_alpha, ppi_plus_plus,
    raw_agreement, rogan_gladen,
};

use crate::{
    draw::{Shape, coin, count, win},
    table::{Experiment, Section, exactly, happened, holds},
};

pub(crate) fn section() -> Section {
    let mut experiments = Vec::new();
    for labels in [30, 100] {
        for (truth, accuracy) in [(0.5, 0.7), (0.2, 0.8), (0.05, 0.9), (0.9, 0.8)] {
            experiments.push(prediction_powered(truth, accuracy, labels, 0.95));
        }
    }
    experiments.push(prediction_powered(0.5, 0.7, 30, 0.9));
    for (truth, accuracy) in [(0.5, 0.8), (0.2, 0.75), (0.05, 0.9), (0.9, 0.8)] {
        experiments.push(error_rates(truth, accuracy, 30));
    }
    experiments.extend([(0.5, 0.8), (0.2, 0.75)].map(|(p, right)| error_rates(p, right, 100)));
    for n in [50, 200] {
        experiments.push(two_raters([0.4, 0.4, 0.2], n));
        experiments.push(two_raters([0.85, 0.1, 0.05], n));
    }
    for units in [30, 100] {
        experiments.push(three_raters("names", Scale::Nominal, units));
        experiments.push(three_raters("numbers", Scale::Interval, units));
    }
    experiments.push(votes(200));
    experiments.push(error_rates(0.5, 0.7, 30));
    Section { title: "Judges: errors and agreement", first_seed: 3_000, experiments }
}

fn human_and_judge(truth: f64, accuracy: f64, random: &mut ChaCha8Rng) -> (f64, f64) {
    let human = win(truth, random);
    (human, if coin(accuracy, random) { human } else { 1.0 - human })
}

fn prediction_powered(truth: f64, accuracy: f64, labels: usize, level: f64) -> Experiment {
    let promises =
        [exactly("`ppi_plus_plus`", level), exactly("**not meant for it:** ± 1.96 SE", 0.95)];
    let setting = format!("{labels} labels of 805, p = {truth}, judge right on {accuracy}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let labelled: Vec<(f64, f64)> =
            (0..labels).map(|_| human_and_judge(truth, accuracy, random)).collect();
        let others: Vec<f64> =
            (labels..805).map(|_| human_and_judge(truth, accuracy, random).1).collect();
        let Some(found) = ppi_plus_plus(&labelled, &others, level) else { return [None; 2] };
        let far = (found.estimate.point - truth).abs() > 1.96 * found.standard_error;
        [
            holds(Some(found.estimate), truth),
            happened(!far).filter(|_| labels == 30 && level == 0.95),
        ]
    })
}

/// `labels` human losses and as many human wins, apart from the 805 prompts that the judge saw.
fn error_rates(truth: f64, accuracy: f64, labels: usize) -> Experiment {
    let setting = format!("{labels} + {labels} labels, p = {truth}, judge right on {accuracy}");
    Experiment::new(setting, 10_000, [exactly("`rogan_gladen`", 0.95)], move |random| {
        let judged: f64 = (0..805).map(|_| human_and_judge(truth, accuracy, random).1).sum();
        let mut right = || Count { hits: count(labels, accuracy, random), n: labels };
        let (on_losses, on_wins) = (right(), right());
        let found = rogan_gladen(Count { hits: judged as usize, n: 805 }, on_losses, on_wins, 0.95);
        [holds(found.ok().map(|found| found.estimate), truth)]
    })
}

/// The second rater repeats the first on 0.6 of the items, and else draws a label by itself: kappa
/// is 0.6.
fn two_raters(shares: [f64; 3], n: usize) -> Experiment {
    let promises = [exactly("`cohens_kappa`", 0.95), exactly("`raw_agreement`", 0.95)];
    let by_chance: f64 = shares.iter().map(|share| share * share).sum();
    let labels = Shape::new(&[0.0, 1.0, 2.0], &shares);
    let setting = format!("kappa = 0.6, labels {shares:?}, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let label = |random: &mut ChaCha8Rng| labels.draw(random) as usize;
        let item = |random: &mut ChaCha8Rng| {
            let first = label(random);
            (first, if coin(0.6, random) { first } else { label(random) })
        };
        let (a, b): (Vec<usize>, Vec<usize>) = (0..n).map(|_| item(random)).unzip();
        [holds(cohens_kappa(&a, &b), 0.6), holds(raw_agreement(&a, &b), 0.6 + 0.4 * by_chance)]
    })
}

/// Each rater sees the true value with the chance √0.6 and else draws one: alpha is 0.6. A fifth of
/// the ratings are missing.
fn three_raters(name: &str, scale: Scale, units: usize) -> Experiment {
    let values = Shape::new(&[1.0, 2.0, 3.0, 4.0], &[0.4, 0.3, 0.2, 0.1]);
    let setting = format!("alpha = 0.6, {name}, three raters with gaps, {units} units");
    Experiment::new(setting, 2_000, [exactly("`krippendorff_alpha`", 0.95)], move |random| {
        let rating = |truth: f64, random: &mut ChaCha8Rng| {
            let seen = if coin(0.6_f64.sqrt(), random) { truth } else { values.draw(random) };
            (!coin(0.2, random)).then_some(seen)
        };
        let unit = |random: &mut ChaCha8Rng| {
            let truth = values.draw(random);
            (0..3).map(|_| rating(truth, random)).collect::<Vec<_>>()
        };
        let ratings: Vec<Vec<Option<f64>>> = (0..units).map(|_| unit(random)).collect();
        [holds(krippendorff_alpha(&ratings, scale, random.random()), 0.6)]
    })
}

/// Three votes of the judge, each for the better answer with the chance 0.7, and four of people, each
/// with the chance 0.8.
fn votes(n: usize) -> Experiment {
    let promises = [
        exactly("`judge_measures`, human agreement", 0.95),
        exactly("`judge_measures`, bias", 0.95),
        exactly("`judge_measures`, variance", 0.95),
        exactly("`judge_measures`, prefers first", 0.95),
    ];
    let (judge, person) = (0.7_f64, 0.8_f64);
    // Of three votes, and of four with half of the draws.
    let majority = |right: f64| right * right * (3.0 - 2.0 * right);
    let people = majority(person);
    let both = |one: f64, other: f64| one * other + (1.0 - one) * (1.0 - other);
    let truths =
        [both(judge, people), 1.0 - both(majority(judge), people), 1.0 - both(judge, judge), 0.5];
    let setting = format!("three votes of a judge, four of people, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let pair = |random: &mut ChaCha8Rng| {
            let better = 1.0 + win(0.5, random);
            let mut vote = |right: f64| if coin(right, random) { better } else { 3.0 - better };
            VotedPair {
                judge: (0..3).map(|_| vote(judge)).collect(),
                gold: (0..4).map(|_| vote(person)).collect(),
                ..VotedPair::default()
            }
        };
        let pairs: Vec<VotedPair> = (0..n).map(|_| pair(random)).collect();
        let found = judge_measures(&pairs);
        [
            holds(found.human_agreement, truths[0]),
            holds(found.bias, truths[1]),
            holds(found.variance, truths[2]),
            holds(found.prefers_first, truths[3]),
        ]
    })
}
