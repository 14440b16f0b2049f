//! How often tests see what is not there.
use rand::RngExt;
use spyhop::stats::{
    benjamini_hochberg, discordant, equivalence_p, holm, max_t, mcnemar, non_inferiority_p,
    paired_t, sign_flip,
};

use crate::{
    draw::{Shape, against_a_reference},
    table::{Experiment, Section, at_most, exactly, happened},
};

pub(crate) fn section() -> Section {
    let quarters = Shape::new(&[-1.0, -0.25, 0.0, 0.25, 1.0], &[0.15, 0.2, 0.3, 0.2, 0.15]);
    let sparse = Shape::new(&[-0.5, 0.0, 0.5], &[0.05, 0.9, 0.05]);
    let skewed = Shape::new(&[-0.25, 0.75], &[0.75, 0.25]);
    let mut experiments = vec![
        no_difference("discrete differences", quarters.clone(), 48),
        no_difference("discrete differences", quarters, 200),
        no_difference("one prompt in ten differs", sparse.clone(), 48),
        no_difference("one prompt in ten differs", sparse, 200),
        no_difference("mean 0 but skewed", skewed, 48),
        continuous(48),
    ];
    experiments.extend([48, 200].map(wins_of_one_only));
    experiments.push(family("five true nulls, one reference, n = 48", [0.0; 5], 48));
    experiments.push(family("five true nulls, one reference, n = 200", [0.0; 5], 200));
    experiments.push(family("three true nulls of five, n = 200", [0.0, 0.0, 0.0, 0.2, 0.25], 200));
    experiments.push(sparse_family(48));
    experiments.push(discoveries(100));
    for n in [48, 200] {
        experiments.push(at_the_margin("four prompts in ten differ", 0.4, 0.1, n));
        experiments.push(at_the_margin("one prompt in ten differs", 0.1, 0.05, n));
    }
    Section { title: "Tests at 5%: false alarms", first_seed: 6_000, experiments }
}

fn no_difference(name: &str, shape: Shape, n: usize) -> Experiment {
    let promises = [at_most("`sign_flip`", 0.05), exactly("`paired_t`", 0.05)];
    Experiment::new(format!("{name}, n = {n}"), 10_000, promises, move |random| {
        let drawn = shape.sample(n, random);
        let by_t = paired_t(&drawn).is_some_and(|test| test.p <= 0.05);
        [happened(sign_flip(&drawn) <= 0.05), happened(by_t)]
    })
}

fn continuous(n: usize) -> Experiment {
    let promises = [exactly("`sign_flip`", 0.05), exactly("`paired_t`", 0.05)];
    Experiment::new(format!("continuous differences, n = {n}"), 4_000, promises, move |random| {
        let drawn: Vec<f64> =
            (0..n).map(|_| random.random::<f64>() - random.random::<f64>()).collect();
        let by_t = paired_t(&drawn).is_some_and(|test| test.p <= 0.05);
        [happened(sign_flip(&drawn) <= 0.05), happened(by_t)]
    })
}

/// Each of the two wins alone on 0.15 of the prompts, and a tenth are ties.
fn wins_of_one_only(n: usize) -> Experiment {
    let outcome = Shape::new(&[0.0, 1.0, 2.0, 3.0], &[0.15, 0.15, 0.1, 0.6]);
    let setting = format!("won by one only: 0.15 each, n = {n}");
    Experiment::new(setting, 10_000, [at_most("`mcnemar`", 0.05)], move |random| {
        let score = |outcome: f64| match outcome as usize {
            0 => (1.0, 0.0),
            1 => (0.0, 1.0),
            2 => (0.5, 1.0),
            _ => (1.0, 1.0),
        };
        let (a, b): (Vec<f64>, Vec<f64>) = outcome.sample(n, random).into_iter().map(score).unzip();
        let (a_only, b_only) = discordant(&a, &b);
        [happened(mcnemar(a_only, b_only) <= 0.05)]
    })
}

/// False alarms among those of the five whose true mean is 0.
fn family(setting: &'static str, means: [f64; 5], n: usize) -> Experiment {
    let promises = [
        at_most("`holm`, any", 0.05),
        exactly("`max_t`, step-down, any", 0.05),
        exactly("**not meant for it:** `sign_flip`, any", 0.05),
    ];
    Experiment::new(setting, 2_000, promises, move |random| {
        let columns = against_a_reference(&means, n, random);
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let p_values: Vec<f64> = slices.iter().map(|column| sign_flip(column)).collect();
        let Some(together) = max_t(&slices, 999, random.random(), 0.95) else { return [None; 3] };
        let any = |alarm: &dyn Fn(usize) -> bool| {
            happened((0..5).any(|column| means[column] == 0.0 && alarm(column)))
        };
        let corrected = holm(&p_values);
        [
            any(&|column| corrected[column] <= 0.05),
            any(&|column| together.columns[column].p <= 0.05),
            any(&|column| p_values[column] <= 0.05),
        ]
    })
}

fn sparse_family(n: usize) -> Experiment {
    let shape = Shape::new(&[-0.5, 0.0, 0.5], &[0.05, 0.9, 0.05]);
    let promises = [at_most("`holm`, any", 0.05), at_most("`max_t`, step-down, any", 0.05)];
    let setting = format!("five true nulls, one prompt in ten differs, n = {n}");
    Experiment::new(setting, 2_000, promises, move |random| {
        let columns: Vec<Vec<f64>> = (0..5).map(|_| shape.sample(n, random)).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let p_values: Vec<f64> = slices.iter().map(|column| sign_flip(column)).collect();
        let Some(together) = max_t(&slices, 999, random.random(), 0.95) else { return [None; 2] };
        [
            happened(holm(&p_values).iter().any(|&p| p <= 0.05)),
            happened(together.columns.iter().any(|column| column.p <= 0.05)),
        ]
    })
}

/// Of ten slices that share no prompts, five differ.
fn discoveries(n: usize) -> Experiment {
    let promises = [
        at_most("`benjamini_hochberg`, false share of those found", 0.05),
        at_most("`holm`, any false", 0.05),
    ];
    let setting = format!("ten slices, five differ by 0.15, n = {n} each");
    let [null, real] = [0.0, 0.15].map(|mean| Shape::discordant(0.4, mean));
    Experiment::new(setting, 10_000, promises, move |random| {
        let slices = (0..10).map(|slice| if slice < 5 { &null } else { &real });
        let p_values: Vec<f64> = slices.map(|shape| sign_flip(&shape.sample(n, random))).collect();
        let corrected = benjamini_hochberg(&p_values);
        let found = |p_values: &[f64]| p_values.iter().filter(|&&p| p <= 0.05).count();
        let false_share = found(&corrected[..5]) as f64 / found(&corrected).max(1) as f64;
        [Some(false_share), happened(holm(&p_values)[..5].iter().any(|&p| p <= 0.05))]
    })
}

fn at_the_margin(name: &str, discordant: f64, margin: f64, n: usize) -> Experiment {
    let promises = [exactly("`non_inferiority_p`", 0.05), at_most("`equivalence_p`", 0.05)];
    let shape = Shape::discordant(discordant, -margin);
    let setting = format!("{name}, worse by the margin of {margin}, n = {n}");
    Experiment::new(setting, 10_000, promises, move |random| {
        let drawn = shape.sample(n, random);
        let seen = |p: Option<f64>| happened(p.is_some_and(|p| p <= 0.05));
        [seen(non_inferiority_p(&drawn, margin)), seen(equivalence_p(&drawn, margin))]
    })
}
