//! Intervals of a win rate and of a share.
use rand::RngExt;
use spyhop::stats::{bca, clopper_pearson, clustered_mean, mean, student_t, wilson};

use crate::{
    draw::{Shape, coin, win},
    table::{Experiment, Section, at_least, exactly, holds},
};

/// The least that the documentation of `bca` asks for.
const FOLDS: usize = 2_000;

pub(crate) fn section() -> Section {
    let mut experiments: Vec<Experiment> = [0.05, 0.5, 0.9].map(|p| shares(p, 48, 0.95)).into();
    experiments.extend([0.95, 0.9].map(|level| shares(0.05, 200, level)));
    for n in [200, 805] {
        experiments.extend([0.05, 0.5, 0.9].map(|p| scores("wins and losses", Shape::wins, p, n)));
    }
    for n in [48, 200, 805] {
        experiments.extend([0.05, 0.5, 0.9].map(|p| scores("with ties", Shape::ties, p, n)));
    }
    for (p, n) in [(0.05, 48), (0.5, 48), (0.05, 200), (0.5, 200), (0.05, 805)] {
        experiments.push(by_bootstrap(p, n, 0.95));
    }
    experiments.push(by_bootstrap(0.05, 48, 0.9));
    for (p, clusters) in [(0.5, 30), (0.9, 30), (0.9, 200)] {
        experiments.push(clustered(p, clusters));
    }
    Section { title: "Win rates and shares", first_seed: 1_000, experiments }
}

/// Without ties, `mean` is `wilson`: a repetition in which they part has no number.
fn shares(p: f64, n: usize, level: f64) -> Experiment {
    let promises = [
        exactly("`wilson`, at 95% also `mean`", level),
        exactly("`student_t`", level),
        at_least("`clopper_pearson`", level),
    ];
    let setting = format!("wins and losses, p = {p}, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let scores = Shape::wins(p).sample(n, random);
        let wins = scores.iter().filter(|&&score| score == 1.0).count();
        let by_wilson = holds(wilson(wins, n, level), p);
        [
            by_wilson.filter(|_| level != 0.95 || by_wilson == holds(mean(&scores), p)),
            holds(student_t(&scores, level), p),
            holds(clopper_pearson(wins, n, level), p),
        ]
    })
}

fn scores(name: &str, shape: fn(f64) -> Shape, p: f64, n: usize) -> Experiment {
    let setting = format!("{name}, p = {p}, n = {n}");
    Experiment::new(setting, 10_000, [exactly("`mean`", 0.95)], move |random| {
        [holds(mean(&shape(p).sample(n, random)), p)]
    })
}

fn by_bootstrap(p: f64, n: usize, level: f64) -> Experiment {
    let setting = format!("with ties, p = {p}, n = {n}");
    Experiment::new(setting, 2_000, [exactly("`bca`", level)], move |random| {
        let scores = Shape::ties(p).sample(n, random);
        [holds(bca(&scores, FOLDS, level, random.random()), p)]
    })
}

/// Two scores a cluster: the same one in half of the clusters, which correlates them by a half.
fn clustered(p: f64, clusters: usize) -> Experiment {
    let promises =
        [exactly("`clustered_mean`", 0.95), exactly("**not meant for it:** `mean`", 0.95)];
    let setting = format!("{clusters} clusters of 2, correlation 0.5, p = {p}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let pairs = (0..clusters).flat_map(|_| {
            let first = win(p, random);
            [first, if coin(0.5, random) { first } else { win(p, random) }]
        });
        let scores: Vec<f64> = pairs.collect();
        let names: Vec<usize> = (0..scores.len()).map(|score| score / 2).collect();
        let found = clustered_mean(&scores, &vec![1.0; scores.len()], &names);
        let estimate = found.and_then(|found| found.estimate);
        [holds(estimate, p), holds(mean(&scores), p)]
    })
}
