//! Win rates corrected for the judge's errors, from prompts that people judged as well.
use std::{cmp::Ordering, collections::HashMap};

use super::{PromptScore, Rule, prompt_scores};
use crate::{
    exchange::{Ledger, PromptKey},
    stats::{self, Corrected, Count, ErrorFree, Estimate, Refusal},
};

/// What people said, by model, baseline and prompt; several of them are averaged.
#[derive(Clone, Debug, Default)]
pub struct HumanLabels(HashMap<(String, String), HashMap<PromptKey, f64>>);

impl HumanLabels {
    /// From judgments in any format, whoever gave them: a ledger that was read with repeats.
    pub fn new(ledger: &Ledger, rule: &Rule) -> Self {
        let mut sums: HashMap<(String, String), HashMap<PromptKey, (f64, f64)>> = HashMap::new();
        for (contest, names) in ledger.contests.iter().enumerate() {
            for score in prompt_scores(ledger, contest as u32, rule) {
                let Some(value) = score.score else { continue };
                let names = (names.model.clone(), names.baseline.clone());
                let sum = sums.entry(names).or_default().entry(score.prompt).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
        let mean = |prompts: HashMap<PromptKey, (f64, f64)>| {
            prompts.into_iter().map(|(prompt, (sum, n))| (prompt, sum / n)).collect()
        };
        Self(sums.into_iter().map(|(names, prompts)| (names, mean(prompts))).collect())
    }
}

/// A judge's win rate, corrected.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrectedRate {
    /// Prompts with a score of the judge and of people.
    pub labelled: usize,
    /// Share of those on which the judge says win, tie or loss as people do, and Cohen's kappa.
    pub agreement: Option<Estimate>,
    pub kappa: Option<Estimate>,
    /// By prediction-powered inference; `None` with fewer than two labels, or no prompt without.
    pub prediction_powered: Option<Corrected>,
    /// By the judge's two error rates, over decided prompts.
    pub rogan_gladen: Result<ErrorFree, Refusal>,
}

/// Corrects a model's win rate by the prompts on which people judged the same two models.
pub fn corrected(
    model: &str,
    baseline: &str,
    scores: &[PromptScore],
    labels: &HumanLabels,
) -> CorrectedRate {
    let labels = labels.0.get(&(model.to_owned(), baseline.to_owned()));
    let (mut labelled, mut unlabelled) = (Vec::new(), Vec::new());
    for score in scores {
        let Some(judge) = score.score else { continue };
        match labels.and_then(|labels| labels.get(&score.prompt)) {
            Some(&human) => labelled.push((human, judge)),
            None => unlabelled.push(judge),
        }
    }
    let verdict = |score: f64| match score.total_cmp(&0.5) {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    };
    let (people, judge): (Vec<usize>, Vec<usize>) =
        labelled.iter().map(|&(human, judge)| (verdict(human), verdict(judge))).unzip();
    let prediction_powered = stats::ppi_plus_plus(&labelled, &unlabelled, 0.95);
    let count = |n: Vec<bool>| Count { hits: n.iter().filter(|&&hit| hit).count(), n: n.len() };
    // Error rates are of wins and losses: a tie, of the judge or of people, has no place in them.
    let decided = |score: &f64| *score != 0.5;
    let pairs = || labelled.iter().filter(|(human, judge)| decided(human) && decided(judge));
    let wins: Vec<bool> =
        unlabelled.iter().filter(|judge| decided(judge)).map(|judge| *judge > 0.5).collect();
    let right = |side: fn(f64) -> bool| -> Vec<bool> {
        pairs().filter(|(human, _)| side(*human)).map(|(_, judge)| side(*judge)).collect()
    };
    let rogan_gladen = stats::rogan_gladen(
        count(wins),
        count(right(|score| score < 0.5)),
        count(right(|score| score > 0.5)),
        0.95,
    );
    CorrectedRate {
        labelled: labelled.len(),
        agreement: stats::raw_agreement(&people, &judge),
        kappa: stats::cohens_kappa(&people, &judge),
        prediction_powered,
        rogan_gladen,
    }
}
