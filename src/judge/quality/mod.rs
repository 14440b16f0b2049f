//! How far a judge can be trusted, measured against people who compared the same answers.
//!
//! Knows files of human votes and of recorded verdicts; what a judge is and how it is asked is not known
//! here, nor who reads the numbers.
mod measures;
mod readers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::{
    recipe::Score,
    record::{Completion, Finish, Judgment, Order},
};

pub use measures::{Leanings, Quality, WEAK_BELOW, quality};
pub use readers::{HumanPair, Recorded, Side, human_pairs, recorded};

/// What a judge said of one pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opinion {
    /// Scores of the first answer, one a look: 1 where it was preferred, 0.5 for a tie, a number
    /// between for a judge that says how sure it is, and `None` for a look without a verdict.
    pub scores: Vec<Option<f64>>,
    /// Whether the two looks are one in each order, of which the first showed the first answer first.
    pub both_orders: bool,
    /// What the looks together say, where that is not their mean.
    pub together: Option<f64>,
}

impl Opinion {
    /// What all looks say together, else their mean; `None` unless there is one and every one has a
    /// verdict.
    pub fn score(&self) -> Option<f64> {
        if self.together.is_some() {
            return self.together;
        }
        let scores: Vec<f64> = self.scores.iter().copied().collect::<Option<_>>()?;
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// What judgments of the two [`sides`], the first as the candidate, say of each pair, in the pairs'
/// order. By the rule: a judge's verdicts, or its preferences averaged over the two orders.
pub fn opinions(pairs: &[HumanPair], judgments: &[Judgment], rule: Score) -> Vec<Opinion> {
    let mut by_pair: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for judgment in judgments {
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
                Opinion { scores: vec![look(Order::OrderFree)], ..Opinion::default() }
            }
            _ => Opinion {
                scores: vec![look(Order::CandidateFirst), look(Order::BaselineFirst)],
                both_orders: true,
                together: match rule {
                    Score::Verdicts => None,
                    Score::Preferences => super::score(looks, rule),
                },
            },
        }
    };
    pairs.iter().map(opinion).collect()
}

/// The first answers and the second ones, as those of two models.
pub fn sides(pairs: &[HumanPair]) -> [Vec<Completion>; 2] {
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
