//! Verdicts to numbers: one score a prompt, then estimates over prompts. Knows no page.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    judge_card,
    leanings::{Leanings, leanings},
    run::Run,
};
use crate::{
    judge,
    recipe::Score,
    record::{Completion, Finish, Judgment, Order},
    stats::{self, Estimate, Paired},
};

/// Every finished comparison of a run.
#[derive(Clone, Debug, Serialize)]
pub struct WinRates {
    /// The recipe's name.
    pub name: String,
    pub stages_done: usize,
    /// Stages that the recipe asks for.
    pub stages: usize,
    /// Who judged, and how well it agrees with people: belongs beside every number below.
    pub judge: String,
    /// In the order in which the run makes them.
    pub comparisons: Vec<Comparison>,
    /// Comparisons that the recipe asks for: p-values are corrected for so many.
    pub planned_comparisons: usize,
    /// Win rate against `base` from one iteration to the next.
    pub differences: Vec<Difference>,
    pub planned_differences: usize,
}

/// A candidate's answers against a baseline's, over the eval set.
///
/// A prompt's score is the mean of its verdicts' (a win is 1, a tie 1/2, a loss 0), so both orders
/// together count once. A prompt is scored only if all its verdicts could be read: one order alone
/// would carry the judge's preference for a position into the score.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub candidate: String,
    pub baseline: String,
    /// Prompts of the eval set.
    pub prompts: usize,
    /// Prompts without a score: not answered, not judged, or with an unreadable verdict.
    pub missing: usize,
    /// Mean score: (wins + ties / 2) / judged, over verdicts. `n` counts prompts.
    pub win_rate: Option<Estimate>,
    /// The win rate as it would be if both answers were equally long, by our own fit of length alone.
    pub at_equal_length: Option<Estimate>,
    /// The mean score if every missing verdict were a loss, and if it were a win.
    pub bounds: (f64, f64),
    /// Prompts with a score above, at and below 1/2.
    pub wins: usize,
    pub ties: usize,
    pub losses: usize,
    /// p-value of "no difference" (sign flips of score - 1/2), and after Holm's correction for all
    /// comparisons that the recipe asks for.
    pub p: f64,
    pub p_holm: f64,
    /// Share of the prompts judged in both orders on which both verdicts agree.
    pub order_consistency: Option<Estimate>,
    /// How often the answer shown first wins, ties counting half: 1/2 for a judge without bias.
    pub first_position: Option<Estimate>,
    /// How often the longer answer wins, and the one of two that has a list; prompts with an outcome only.
    pub longer_wins: Option<Estimate>,
    pub list_wins: Option<Estimate>,
    /// Wall time of the judging.
    #[serde(skip)]
    pub judging_seconds: f64,
    /// Mean length of the answers, in characters (Unicode scalar values).
    pub candidate_characters: Option<f64>,
    pub baseline_characters: Option<f64>,
    /// Answers cut by the token limit.
    pub candidate_truncated: usize,
    pub baseline_truncated: usize,
    /// Prompts on which both answers are the same: ties without a look.
    pub identical: usize,
    /// By dataset of the eval set, sorted.
    pub slices: Vec<Slice>,
    /// By prompt id.
    #[serde(skip)]
    pub scores: BTreeMap<String, f64>,
}

/// The win rate on one part of the eval set.
#[derive(Clone, Debug, Serialize)]
pub struct Slice {
    pub dataset: String,
    pub win_rate: Option<Estimate>,
    pub missing: usize,
}

/// How much better one iteration does against the base model than the one before, prompt by prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub candidate: String,
    pub before: String,
    pub paired: Paired,
    /// After Holm's correction for all differences that the recipe asks for.
    pub p_holm: f64,
}

pub(super) fn win_rates(run: &Run) -> anyhow::Result<WinRates> {
    let models = run.models();
    let mut comparisons = Vec::new();
    for (iteration, model) in models.iter().enumerate() {
        for (of, baseline) in run.baselines(iteration) {
            if let Some(judgments) = run.judgments(model, &of)? {
                let mut comparison = compare(run, model, &baseline, &judgments);
                comparison.judging_seconds = run.seconds(&format!("{model}/judge-{of}"));
                comparisons.push(comparison);
            }
        }
    }
    let stages = run.stages();
    let planned = stages.iter().filter(|stage| stage.contains("/judge-")).count();
    let p_values: Vec<f64> = comparisons.iter().map(|comparison| comparison.p).collect();
    for (comparison, p) in comparisons.iter_mut().zip(holm(p_values, planned)) {
        comparison.p_holm = p;
    }
    let mut differences = differences(&comparisons);
    let p_values: Vec<f64> = differences.iter().map(|difference| difference.paired.p).collect();
    for (difference, p) in differences.iter_mut().zip(holm(p_values, run.recipe.iterations)) {
        difference.p_holm = p;
    }
    Ok(WinRates {
        name: run.recipe.name.clone(),
        stages_done: stages.iter().filter(|stage| run.is_done(stage)).count(),
        stages: stages.len(),
        judge: judge_card::summary(run),
        comparisons,
        planned_comparisons: planned,
        differences,
        planned_differences: run.recipe.iterations,
    })
}

/// Corrects for all tests that the run will make, not only for those it has made so far: otherwise a
/// result could be seen halfway and be gone at the end.
fn holm(mut p_values: Vec<f64>, planned: usize) -> Vec<f64> {
    let made = p_values.len();
    p_values.resize(made.max(planned), 1.0);
    let mut corrected = stats::holm(&p_values);
    corrected.truncate(made);
    corrected
}

fn compare(run: &Run, candidate: &str, baseline: &str, judgments: &[Judgment]) -> Comparison {
    let mut by_prompt: BTreeMap<&str, Vec<&Judgment>> = BTreeMap::new();
    for judgment in judgments {
        by_prompt.entry(&judgment.prompt_id).or_default().push(judgment);
    }
    let rule = run.recipe.judge.score;
    let mut scores = BTreeMap::new();
    let mut certain = 0.0;
    let mut possible = 0.0;
    for prompt in &run.prompts {
        let looks = by_prompt.get(prompt.id.as_str()).map_or(&[][..], Vec::as_slice);
        let score = judge::score(looks, rule);
        let (least, most) = score.map_or_else(|| reach(looks, rule), |score| (score, score));
        certain += least;
        possible += most;
        if let Some(score) = score {
            scores.insert(prompt.id.clone(), score);
        }
    }
    let prompts = run.prompts.len();
    let values: Vec<f64> = scores.values().copied().collect();
    let from_even: Vec<f64> = values.iter().map(|score| score - 0.5).collect();
    let count = |holds: fn(f64) -> bool| values.iter().filter(|&&score| holds(score)).count();
    let p = stats::sign_flip(&from_even);
    let none = BTreeMap::new();
    let answers = |model: &str| run.answers.get(model).unwrap_or(&none);
    let (ours, theirs) = (answers(candidate), answers(baseline));
    let Leanings { at_equal_length, longer_wins, list_wins } = leanings(&scores, ours, theirs);
    Comparison {
        candidate: candidate.to_owned(),
        baseline: baseline.to_owned(),
        prompts,
        missing: prompts - scores.len(),
        win_rate: stats::mean(&values),
        bounds: (certain / prompts.max(1) as f64, possible / prompts.max(1) as f64),
        wins: count(|score| score > 0.5),
        ties: count(|score| score == 0.5),
        losses: count(|score| score < 0.5),
        p,
        p_holm: p,
        order_consistency: order_consistency(&by_prompt),
        first_position: first_position(&by_prompt),
        at_equal_length,
        longer_wins,
        list_wins,
        judging_seconds: 0.0,
        candidate_characters: mean_characters(ours),
        baseline_characters: mean_characters(theirs),
        candidate_truncated: truncated(ours),
        baseline_truncated: truncated(theirs),
        identical: identical(ours, theirs),
        slices: slices(run, &scores),
        scores,
    }
}

/// The lowest and the highest score that a prompt without one could have.
fn reach(looks: &[&Judgment], rule: Score) -> (f64, f64) {
    // An unknown preference can outweigh any known one.
    if looks.is_empty() || rule == Score::Preferences {
        return (0.0, 1.0);
    }
    let n = looks.len() as f64;
    let verdicts = || looks.iter().map(|look| look.verdict);
    let known: f64 = verdicts().flatten().map(|verdict| verdict.score()).sum();
    let open = verdicts().filter(Option::is_none).count() as f64;
    (known / n, (known + open) / n)
}

fn order_consistency(by_prompt: &BTreeMap<&str, Vec<&Judgment>>) -> Option<Estimate> {
    let pairs = by_prompt.values().filter_map(|looks| {
        let seen = |order| looks.iter().find(|look| look.order == order)?.verdict;
        Some((seen(Order::CandidateFirst)?, seen(Order::BaselineFirst)?))
    });
    let agree: Vec<bool> = pairs.map(|(one, other)| one == other).collect();
    stats::proportion(agree.iter().filter(|&&agree| agree).count(), agree.len())
}

fn first_position(by_prompt: &BTreeMap<&str, Vec<&Judgment>>) -> Option<Estimate> {
    let shares: Vec<f64> = by_prompt
        .values()
        .filter_map(|looks| {
            let firsts: Vec<f64> = looks
                .iter()
                .filter_map(|look| {
                    let score = look.verdict?.score();
                    match look.order {
                        Order::CandidateFirst => Some(score),
                        Order::BaselineFirst => Some(1.0 - score),
                        Order::OrderFree => None,
                    }
                })
                .collect();
            (!firsts.is_empty()).then(|| firsts.iter().sum::<f64>() / firsts.len() as f64)
        })
        .collect();
    stats::mean(&shares)
}

fn mean_characters(answers: &BTreeMap<String, Completion>) -> Option<f64> {
    let lengths: Vec<f64> =
        answers.values().map(|answer| answer.output.chars().count() as f64).collect();
    stats::mean_and_deviation(&lengths).map(|(mean, _)| mean)
}

fn truncated(answers: &BTreeMap<String, Completion>) -> usize {
    answers.values().filter(|answer| answer.finish == Finish::Length).count()
}

fn identical(ours: &BTreeMap<String, Completion>, theirs: &BTreeMap<String, Completion>) -> usize {
    ours.iter()
        .filter(|(_, answer)| answer.finish.answered())
        .filter(|(id, answer)| theirs.get(*id).is_some_and(|their| their.output == answer.output))
        .count()
}

fn slices(run: &Run, scores: &BTreeMap<String, f64>) -> Vec<Slice> {
    let mut by_dataset: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
    for prompt in &run.prompts {
        by_dataset.entry(&prompt.dataset).or_default().push(scores.get(&prompt.id).copied());
    }
    by_dataset
        .into_iter()
        .map(|(dataset, scores)| {
            let judged: Vec<f64> = scores.iter().flatten().copied().collect();
            Slice {
                dataset: dataset.to_owned(),
                win_rate: stats::mean(&judged),
                missing: scores.len() - judged.len(),
            }
        })
        .collect()
}

fn differences(comparisons: &[Comparison]) -> Vec<Difference> {
    let against_base: Vec<&Comparison> =
        comparisons.iter().filter(|comparison| comparison.baseline == "base").collect();
    against_base
        .windows(2)
        .filter_map(|pair| {
            let [before, now] = pair else { return None };
            let (ours, theirs): (Vec<f64>, Vec<f64>) = now
                .scores
                .iter()
                .filter_map(|(id, score)| Some((*score, *before.scores.get(id)?)))
                .unzip();
            let paired = stats::paired(&ours, &theirs)?;
            Some(Difference {
                candidate: now.candidate.clone(),
                before: before.candidate.clone(),
                p_holm: paired.p,
                paired,
            })
        })
        .collect()
}
