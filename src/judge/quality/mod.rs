//! How far a judge can be trusted, measured against people who compared the same answers.
//!
//! Knows files of human votes and of recorded verdicts, and asks a judge through a [`Court`]; what a
//! judge is and how it is asked is not known here, nor who reads the numbers.
mod measures;
mod readers;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use super::Court;
use crate::{
    lm::api::{Outlook, Spent},
    record::{Completion, Finish, Judgment, Order},
    store::read,
    watch::Watch,
};

pub use measures::{Leanings, Quality, WEAK_BELOW, quality};
pub use readers::{HumanPair, Recorded, Side, human_pairs, recorded};

pub(super) use measures::towards;
pub(super) use readers::longer;

/// What a judge said of one pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opinion {
    /// Scores of the first answer, one a look: 1 where it was preferred, 0.5 for a tie, a number
    /// between for a judge that says how sure it is, and `None` for a look without a verdict.
    pub scores: Vec<Option<f64>>,
    /// Whether the two looks are one in each order, of which the first showed the first answer first.
    pub both_orders: bool,
}

impl Opinion {
    /// The mean of all looks; `None` unless there is one and every one has a verdict.
    pub fn score(&self) -> Option<f64> {
        let scores: Vec<f64> = self.scores.iter().copied().collect::<Option<_>>()?;
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// Asks a judge about every pair, into `out`, and returns what it said, in the pairs' order. By its
/// verdicts, as everywhere: a look is a win, a tie or a loss.
///
/// # Errors
/// When the judge cannot go on, or `out` holds rows of other pairs. A question without a reply is
/// none: its pair has no verdict.
pub fn ask(
    court: &Court,
    pairs: &[HumanPair],
    out: &Path,
    watch: Watch,
) -> anyhow::Result<(Vec<Opinion>, Spent)> {
    let [first, second] = sides(pairs);
    let spent = court.run(&first, &second, None, out, watch)?.spent;
    let judgments: Vec<Judgment> = read(out)?;
    let mut by_pair: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for judgment in &judgments {
        by_pair.entry(&judgment.prompt_id).or_default().push(judgment);
    }
    let opinion = |pair: &HumanPair| {
        let looks = by_pair.get(pair.id.as_str()).map_or(&[][..], Vec::as_slice);
        let look = |order: Order| {
            let judgment = looks.iter().find(|judgment| judgment.order == order);
            judgment.and_then(|judgment| judgment.verdict).map(|verdict| verdict.score())
        };
        match looks {
            // Identical answers, which no order parts.
            [judgment] if judgment.order == Order::OrderFree => {
                Opinion { scores: vec![look(Order::OrderFree)], both_orders: false }
            }
            _ => Opinion {
                scores: vec![look(Order::CandidateFirst), look(Order::BaselineFirst)],
                both_orders: true,
            },
        }
    };
    Ok((pairs.iter().map(opinion).collect(), spent))
}

/// How much [`ask`] would ask, and what it would cost.
///
/// # Errors
/// When the store of replies or the rows in `out` cannot be read.
pub fn outlook(court: &Court, pairs: &[HumanPair], out: &Path) -> anyhow::Result<Outlook> {
    let [first, second] = sides(pairs);
    court.outlook(&first, &second, out)
}

/// The first answers and the second ones, as those of two models.
pub(super) fn sides(pairs: &[HumanPair]) -> [Vec<Completion>; 2] {
    [("first", Side::First), ("second", Side::Second)].map(|(generator, side)| {
        let completion = |pair: &HumanPair| Completion {
            id: pair.id.clone(),
            instruction: pair.instruction.clone(),
            output: match side {
                Side::First => pair.first.clone(),
                Side::Second => pair.second.clone(),
            },
            generator: generator.to_owned(),
            dataset: String::new(),
            finish: Finish::Stop,
        };
        pairs.iter().map(completion).collect()
    })
}
