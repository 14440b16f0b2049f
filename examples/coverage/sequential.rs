//! Intervals that are looked at after every prompt, and what that costs.
use rand_chacha::ChaCha8Rng;
use spyhop::stats::{
    ConfidenceSequence, Estimate, betting, betting_difference, difference, empirical_bernstein,
    first_exclusion, mean, student_t,
};

use crate::{
    draw::Shape,
    table::{Experiment, Section, at_most, exactly, happened, repeat},
};

const PROMPTS: usize = 805;
/// Before so many prompts nobody believes an interval that was made for a fixed number of them.
const FIRST_LOOK: usize = 10;

pub(crate) fn section() -> Section {
    let mut experiments = Vec::new();
    for (name, shape) in shapes() {
        experiments.push(win_rate(name, shape));
    }
    let sparse = Shape::new(&[-0.5, 0.0, 0.5], &[0.04, 0.9, 0.06]);
    let common = Shape::new(&[-1.0, -0.5, 0.0, 0.5, 1.0], &[0.15, 0.15, 0.3, 0.2, 0.2]);
    experiments.push(differences("one prompt in ten differs", sparse));
    experiments.push(differences("seven in ten differ", common));
    Section {
        title: "Looking after every prompt: ever wrong within 805",
        first_seed: 5_000,
        experiments,
    }
}

fn shapes() -> [(&'static str, Shape); 6] {
    [
        ("wins and losses, p = 0.05", Shape::wins(0.05)),
        ("wins and losses, p = 0.5", Shape::wins(0.5)),
        ("wins and losses, p = 0.9", Shape::wins(0.9)),
        ("with ties, p = 0.05", Shape::ties(0.05)),
        ("with ties, p = 0.5", Shape::ties(0.5)),
        ("with ties, p = 0.9", Shape::ties(0.9)),
    ]
}

fn win_rate(name: &'static str, shape: Shape) -> Experiment {
    let promises = [
        at_most("`betting`, `first_exclusion`", 0.05),
        at_most("`empirical_bernstein`", 0.05),
        exactly("**not meant for it:** `mean`", 0.05),
    ];
    Experiment::new(name, 2_000, promises, move |random| {
        let (scores, truth) = (shape.sample(PROMPTS, random), shape.mean());
        let mut sequence = ConfidenceSequence::betting(0.95);
        let ever = scores.iter().any(|&score| {
            sequence.push(score);
            sequence.estimate().is_some_and(|estimate| !estimate.includes(truth))
        });
        // It never widens: if it ever left the truth out, it does so at the end.
        let at_the_end = empirical_bernstein(&scores, 0.95);
        [
            happened(ever || first_exclusion(&scores, truth, 0.95).is_some()),
            happened(at_the_end.is_some_and(|estimate| !estimate.includes(truth))),
            happened(peeking(&scores, truth, mean)),
        ]
    })
}

fn differences(name: &'static str, shape: Shape) -> Experiment {
    let promises = [
        at_most("`betting_difference`", 0.05),
        exactly("**not meant for it:** `difference`", 0.05),
    ];
    Experiment::new(name, 2_000, promises, move |random| {
        let (drawn, truth) = (shape.sample(PROMPTS, random), shape.mean());
        let at_the_end = betting_difference(&drawn, 0.95);
        [
            happened(at_the_end.is_some_and(|estimate| !estimate.includes(truth))),
            happened(peeking(&drawn, truth, difference)),
        ]
    })
}

/// Whether the interval for a fixed number of prompts leaves the truth out at any of them.
fn peeking(values: &[f64], truth: f64, interval: fn(&[f64]) -> Option<Estimate>) -> bool {
    (FIRST_LOOK..=values.len())
        .any(|n| interval(&values[..n]).is_some_and(|estimate| !estimate.includes(truth)))
}

/// How wide the intervals are, and how many prompts it takes to leave out 50%.
pub(crate) fn price() -> String {
    let mut text = String::from("\n## The price of looking\n\n");
    text += "Mean width in percentage points over 1,000 repetitions; seeds from 5,100.\n\n";
    text += "| setting | at 100: `student_t` | `mean` | `betting` | `empirical_bernstein` ";
    text += "| at 805: `student_t` | `mean` | `betting` | `empirical_bernstein` |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for ((name, shape), seed) in shapes().into_iter().zip(5_100..) {
        let widths = repeat(1_000, seed, |random| widths(&shape, random));
        text += &format!("| {name} |");
        for column in 0..8 {
            let sum: f64 = widths.iter().map(|widths| widths[column]).sum();
            text += &format!(" {:.1} |", 100.0 * sum / widths.len() as f64);
        }
        text += "\n";
    }
    text += "\nPrompts until `betting` leaves out 50%, of 805 at most, in 2,000 repetitions; ";
    text += "seeds from 5,200.\n\n";
    text += "| setting | median | nine in ten by | decided by 805 |\n|---|---:|---:|---:|\n";
    let settings = [(0.55, false), (0.6, false), (0.65, false), (0.7, false), (0.8, false)];
    let tied = [(0.55, true), (0.6, true), (0.65, true)];
    for ((p, ties), seed) in settings.into_iter().chain(tied).zip(5_200..) {
        text += &decision(p, ties, seed);
    }
    text
}

fn widths(shape: &Shape, random: &mut ChaCha8Rng) -> [f64; 8] {
    let scores = shape.sample(PROMPTS, random);
    let width = |estimate: Option<Estimate>| {
        estimate.map_or(0.0, |estimate| estimate.upper - estimate.lower)
    };
    let at = |scores: &[f64]| {
        [
            width(student_t(scores, 0.95)),
            width(mean(scores)),
            width(betting(scores, 0.95)),
            width(empirical_bernstein(scores, 0.95)),
        ]
    };
    let [early, late] = [at(&scores[..100]), at(&scores)];
    std::array::from_fn(|column| if column < 4 { early[column] } else { late[column - 4] })
}

fn decision(p: f64, ties: bool, seed: u64) -> String {
    let (name, shape) = match ties {
        true => ("with ties", Shape::ties(p)),
        false => ("wins and losses", Shape::wins(p)),
    };
    let mut prompts = repeat(2_000, seed, |random| {
        let scores = shape.sample(PROMPTS, random);
        first_exclusion(&scores, 0.5, 0.95).unwrap_or(usize::MAX)
    });
    prompts.sort_unstable();
    let decided = prompts.partition_point(|&needed| needed <= PROMPTS);
    let by = |share: f64| {
        let needed = prompts[(share * prompts.len() as f64) as usize - 1];
        if needed <= PROMPTS { needed.to_string() } else { String::new() }
    };
    let decided = 100.0 * decided as f64 / prompts.len() as f64;
    format!("| {name}, p = {p} | {} | {} | {decided:.1}% |\n", by(0.5), by(0.9))
}
