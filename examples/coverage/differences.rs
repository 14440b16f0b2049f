//! Intervals of paired differences, of several at once, of positions, and with gaps.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use spyhop::stats::{
    Estimate, both_orders, difference, max_t, missing_bounds, one_order, paired, paired_t,
};

use crate::{
    draw::{Shape, against_a_reference, coin, count},
    table::{Experiment, Section, at_least, exactly, happened, holds},
};

pub(crate) fn section() -> Section {
    let sparse = Shape::new(&[-0.5, 0.0, 0.5], &[0.04, 0.9, 0.06]);
    let common = Shape::new(&[-1.0, -0.5, 0.0, 0.5, 1.0], &[0.15, 0.15, 0.3, 0.2, 0.2]);
    let mut experiments: Vec<Experiment> =
        [16, 48, 200].map(|n| differences("one prompt in ten differs", &sparse, n)).into();
    experiments.extend([48, 805].map(|n| differences("seven in ten differ", &common, n)));
    experiments.push(two_series(200));
    experiments.extend([48, 200].map(several));
    experiments.push(several_sparse(48));
    experiments.push(one_sparse(48));
    experiments.push(seen_in_both_orders(48));
    experiments.push(seen_in_one_order(0.6, 0.4, 200));
    experiments.push(seen_in_one_order(0.06, 0.15, 805));
    experiments.extend([(0.6, 0.3), (0.1, 0.85)].map(|(won, lost)| gaps(won, lost)));
    let title = "Differences, several at once, positions and gaps";
    Section { title, first_seed: 2_000, experiments }
}

fn differences(name: &str, shape: &Shape, n: usize) -> Experiment {
    let promises = [exactly("`difference`", 0.95), exactly("`paired_t`", 0.95)];
    let (shape, truth) = (shape.clone(), shape.mean());
    Experiment::new(format!("{name}, n = {n}"), 10_000, promises, move |random| {
        let drawn = shape.sample(n, random);
        [holds(difference(&drawn), truth), holds(paired_t(&drawn).map(|test| test.mean), truth)]
    })
}

/// Two series of scores in quarters, of which the verdicts agree more often than chance.
fn two_series(n: usize) -> Experiment {
    let setting = format!("win rates of 0.5 and 0.6, verdicts shared in 0.6 of all, n = {n}");
    Experiment::new(setting, 10_000, [exactly("`paired`", 0.95)], move |random| {
        let verdicts = |random: &mut ChaCha8Rng| {
            let draw: f64 = random.random();
            let other = if coin(0.6, random) { draw } else { random.random() };
            [draw < 0.5, other < 0.6].map(|won| f64::from(u8::from(won)) / 4.0)
        };
        let scores = |random: &mut ChaCha8Rng| {
            (0..4).fold((0.0, 0.0), |(a, b), _| {
                let [more_a, more_b] = verdicts(random);
                (a + more_a, b + more_b)
            })
        };
        let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|_| scores(random)).unzip();
        [holds(paired(&a, &b).map(|paired| paired.difference), -0.1)]
    })
}

/// Whether all intervals hold, and that of the column with the largest mean, with and without care.
fn all_at_once(
    setting: String,
    means: [f64; 5],
    columns: impl Fn(&mut ChaCha8Rng) -> Vec<Vec<f64>> + Sync + 'static,
) -> Experiment {
    let promises = [
        exactly("`max_t`, all five", 0.95),
        exactly("**not meant for it:** `difference`, all five", 0.95),
        at_least("`max_t`, the largest mean", 0.95),
        exactly("**not meant for it:** `difference`, largest", 0.95),
    ];
    Experiment::new(setting, 2_000, promises, move |random| {
        let columns = columns(random);
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let Some(found) = max_t(&slices, 999, random.random(), 0.95) else { return [None; 4] };
        let together: Vec<Estimate> = found.columns.iter().map(|column| column.estimate).collect();
        let alone: Vec<Estimate> = slices.iter().filter_map(|column| difference(column)).collect();
        let all = |estimates: &[Estimate]| {
            happened(estimates.iter().zip(means).all(|(estimate, mean)| estimate.includes(mean)))
        };
        let largest = |estimates: &[Estimate]| {
            let pairs = estimates.iter().zip(means);
            let best = pairs.max_by(|(a, _), (b, _)| a.point.total_cmp(&b.point));
            best.and_then(|(estimate, mean)| holds(Some(*estimate), mean))
        };
        [all(&together), all(&alone), largest(&together), largest(&alone)]
    })
}

fn several(n: usize) -> Experiment {
    let means = [0.05; 5];
    let setting = format!("five alike, better than their reference, n = {n}");
    all_at_once(setting, means, move |random| against_a_reference(&means, n, random))
}

fn rare_and_one_sided() -> Shape {
    Shape::new(&[-0.5, 0.0, 0.5], &[0.025, 0.9, 0.075])
}

fn several_sparse(n: usize) -> Experiment {
    let shape = rare_and_one_sided();
    let setting = format!("five: one prompt in ten differs, mostly upwards, n = {n}");
    all_at_once(setting, [shape.mean(); 5], move |random| {
        (0..5).map(|_| shape.sample(n, random)).collect()
    })
}

fn one_sparse(n: usize) -> Experiment {
    let promises = [exactly("`max_t` of one", 0.95), exactly("`difference`", 0.95)];
    let (shape, truth) = (rare_and_one_sided(), rare_and_one_sided().mean());
    let setting = format!("one prompt in ten differs, mostly upwards, n = {n}");
    Experiment::new(setting, 2_000, promises, move |random| {
        let drawn = shape.sample(n, random);
        let found = max_t(&[&drawn], 999, random.random(), 0.95);
        [
            holds(found.map(|found| found.columns[0].estimate), truth),
            holds(difference(&drawn), truth),
        ]
    })
}

/// The candidate wins 0.6 where it is shown first and 0.4 where second, by the same draw on half of
/// the prompts.
fn seen_in_both_orders(n: usize) -> Experiment {
    let promises = [
        exactly("`both_orders`, bias", 0.95),
        exactly("`both_orders`, first slot", 0.95),
        exactly("`both_orders`, debiased", 0.95),
        exactly("`both_orders`, consistency", 0.95),
        exactly("`both_orders`, primacy", 0.95),
    ];
    let setting = format!("wins 0.6 shown first, 0.4 shown second, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let prompt = |random: &mut ChaCha8Rng| {
            let draw: f64 = random.random();
            let other = if coin(0.5, random) { draw } else { random.random() };
            (f64::from(u8::from(draw < 0.6)), f64::from(u8::from(other < 0.4)))
        };
        let (first, second): (Vec<f64>, Vec<f64>) = (0..n).map(|_| prompt(random)).unzip();
        let Some(found) = both_orders(&first, &second) else { return [None; 5] };
        // A verdict changes for the first place in 0.5 (0.6 - 0.4) + 0.5 * 0.6 * 0.6 of the prompts,
        // and for the second in 0.5 * 0.4 * 0.4.
        [
            holds(Some(found.bias), 0.2),
            holds(Some(found.first_slot), 0.6),
            holds(Some(found.debiased), 0.5),
            holds(Some(found.consistency), 1.0 - 0.28 - 0.08),
            holds(found.primacy, 0.28 / 0.36),
        ]
    })
}

fn seen_in_one_order(first: f64, second: f64, n: usize) -> Experiment {
    let promises = [exactly("`one_order`, bias", 0.95), exactly("`one_order`, debiased", 0.95)];
    let setting = format!("wins {first} shown first, {second} shown second, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let of_first = count(n, 0.5, random);
        let shown_first = Shape::wins(first).sample(of_first, random);
        let shown_second = Shape::wins(second).sample(n - of_first, random);
        let found = one_order(&shown_first, &shown_second);
        [
            holds(found.map(|found| found.bias), first - second),
            holds(found.map(|found| found.debiased), f64::midpoint(first, second)),
        ]
    })
}

/// Of what is missing, half would have been won.
fn gaps(won: f64, lost: f64) -> Experiment {
    let promises = [
        at_least("`missing_bounds`, both bounds", 0.95),
        at_least("`missing_bounds`, the win rate", 0.95),
    ];
    let setting = format!("won {won}, lost {lost}, the rest missing, n = 200");
    let outcome = Shape::new(&[1.0, 0.0, 0.5], &[won, lost, 1.0 - won - lost]);
    Experiment::new(setting, 10_000, promises, move |random| {
        let outcomes = outcome.sample(200, random);
        let (lowest, highest): (Vec<f64>, Vec<f64>) =
            outcomes.iter().map(|outcome: &f64| (outcome.floor(), outcome.ceil())).unzip();
        let Some(bounds) = missing_bounds(&lowest, &highest) else { return [None; 2] };
        [
            happened(bounds.includes(won) && bounds.includes(1.0 - lost)),
            happened(bounds.includes(f64::midpoint(won, 1.0 - lost))),
        ]
    })
}
