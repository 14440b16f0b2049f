//! Two or more models against the same baseline, prompt by prompt.
use std::collections::{BTreeMap, BTreeSet};

use super::{PromptScore, Rule, prompt_scores};
use crate::{
    exchange::{Contest, Ledger, PromptKey},
    stats::{self, Adjusted, Estimate, Gate, Paired, PairedT},
};

/// One of the things compared: a model's scores against a baseline.
#[derive(Clone, Debug)]
pub struct Against {
    /// How the reader tells it from the others.
    pub name: String,
    pub contest: Contest,
    scores: BTreeMap<PromptKey, (PromptScore, String)>,
}

impl Against {
    /// A contest of a ledger.
    pub fn new(name: String, ledger: &Ledger, contest: u32, rule: &Rule) -> Self {
        let dataset = |score: &PromptScore| ledger.datasets[score.dataset as usize].clone();
        let scores = prompt_scores(ledger, contest, rule);
        let scores =
            scores.into_iter().map(|score| (score.prompt, (score, dataset(&score)))).collect();
        Self { name, contest: ledger.contests[contest as usize].clone(), scores }
    }

    /// Prompts, with or without a score.
    pub fn prompts(&self) -> usize {
        self.scores.len()
    }

    /// Prompts with a score.
    pub fn scored(&self) -> usize {
        self.scores.values().filter(|(score, _)| score.score.is_some()).count()
    }
}

/// How a candidate differs from the reference, over all shared prompts or over those of one dataset.
/// Differences are candidate minus reference, in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `None` for all prompts.
    pub dataset: Option<String>,
    /// Its `p` is the sign-flip test's.
    pub paired: Paired,
    pub t: Option<PairedT>,
    /// Prompts that only the candidate, and only the reference, won, and McNemar's exact p-value.
    pub candidate_only: usize,
    pub reference_only: usize,
    pub mcnemar: f64,
    /// The sign-flip p-value after Holm's correction: among the candidates for all prompts, among the
    /// datasets for one of them.
    pub p_holm: f64,
    /// Valid however often one looks: a confidence sequence over the prompts in an order of chance.
    pub anytime: Option<Estimate>,
}

/// A candidate's difference from the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub name: String,
    /// Prompts with a score on both sides.
    pub shared: usize,
    /// Prompts that only one side has a score for: they count nowhere.
    pub only_candidate: usize,
    pub only_reference: usize,
    /// `None` without a shared prompt.
    pub overall: Option<Part>,
    /// By dataset, sorted, if there are at least two.
    pub slices: Vec<Part>,
    /// Corrected for having looked at several candidates, by the bootstrap of the largest |t|; only
    /// with two or more.
    pub best_of: Option<Adjusted>,
    /// With a margin: the verdict of the interval, and the p-values of "not worse by the margin" and
    /// of "the same within the margin".
    pub gate: Option<(Gate, Option<f64>, Option<f64>)>,
}

/// Folds of the bootstrap for the best of several candidates.
const FOLDS: usize = 9_999;

/// Compares candidates with a reference on the prompts that they share.
///
/// Turns of a conversation are averaged first, so that every difference is independent of the others.
/// `margin` is in [0, 1].
///
/// # Errors
/// When the sides were judged by different judges or against different baselines.
pub fn compare(
    reference: &Against,
    candidates: &[Against],
    margin: Option<f64>,
    seed: u64,
) -> anyhow::Result<Vec<Difference>> {
    for candidate in candidates {
        comparable(reference, candidate)?;
    }
    let mut found: Vec<Difference> =
        candidates.iter().map(|candidate| difference(reference, candidate, margin)).collect();
    let p_values: Vec<f64> =
        found.iter().map(|one| one.overall.as_ref().map_or(1.0, |part| part.paired.p)).collect();
    for (difference, p) in found.iter_mut().zip(stats::holm(&p_values)) {
        if let Some(part) = &mut difference.overall {
            part.p_holm = p;
        }
    }
    if candidates.len() > 1 {
        let columns = shared_by_all(reference, candidates);
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        if let Some(adjusted) = stats::max_t(&columns, FOLDS, seed, 0.95) {
            for (difference, adjusted) in found.iter_mut().zip(adjusted.columns) {
                difference.best_of = Some(adjusted);
            }
        }
    }
    Ok(found)
}

fn comparable(reference: &Against, candidate: &Against) -> anyhow::Result<()> {
    let (one, other) = (&reference.contest, &candidate.contest);
    anyhow::ensure!(
        one.baseline == other.baseline,
        "{} was judged against {:?} and {} against {:?}: only scores against the same baseline compare",
        reference.name,
        one.baseline,
        candidate.name,
        other.baseline
    );
    anyhow::ensure!(
        one.judge == other.judge,
        "{} was judged by {:?} and {} by {:?}: scores of different judges do not compare",
        reference.name,
        one.judge,
        candidate.name,
        other.judge
    );
    Ok(())
}

/// A shared prompt: both scores.
struct Shared<'a> {
    conversation: PromptKey,
    dataset: &'a str,
    candidate: f64,
    reference: f64,
}

fn shared<'a>(reference: &'a Against, candidate: &Against) -> Vec<Shared<'a>> {
    let pair = |(prompt, (score, dataset)): (&PromptKey, &'a (PromptScore, String))| {
        Some(Shared {
            conversation: score.conversation,
            dataset,
            candidate: candidate.scores.get(prompt)?.0.score?,
            reference: score.score?,
        })
    };
    reference.scores.iter().filter_map(pair).collect()
}

fn difference(reference: &Against, candidate: &Against, margin: Option<f64>) -> Difference {
    let shared = shared(reference, candidate);
    let all: Vec<&Shared> = shared.iter().collect();
    let overall = part(None, &all);
    let datasets: BTreeSet<&str> = shared.iter().map(|prompt| prompt.dataset).collect();
    let mut slices: Vec<Part> = match datasets.len() {
        0 | 1 => Vec::new(),
        _ => datasets
            .into_iter()
            .filter_map(|dataset| {
                let own: Vec<&Shared> =
                    shared.iter().filter(|prompt| prompt.dataset == dataset).collect();
                part(Some(dataset.to_owned()), &own)
            })
            .collect(),
    };
    let p_values: Vec<f64> = slices.iter().map(|part| part.paired.p).collect();
    for (part, p) in slices.iter_mut().zip(stats::holm(&p_values)) {
        part.p_holm = p;
    }
    let gate = margin.zip(overall.as_ref()).map(|(margin, part)| {
        let differences = differences(&by_conversation(&all));
        (
            stats::gate(&part.paired.difference, margin),
            stats::non_inferiority_p(&differences, margin),
            stats::equivalence_p(&differences, margin),
        )
    });
    Difference {
        name: candidate.name.clone(),
        shared: shared.len(),
        only_candidate: candidate.scored() - shared.len(),
        only_reference: reference.scored() - shared.len(),
        overall,
        slices,
        best_of: None,
        gate,
    }
}

/// The candidate's and the reference's mean score in each conversation.
fn by_conversation(prompts: &[&Shared]) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<PromptKey, (f64, f64, f64)> = BTreeMap::new();
    for prompt in prompts {
        let sum = sums.entry(prompt.conversation).or_default();
        *sum = (sum.0 + prompt.candidate, sum.1 + prompt.reference, sum.2 + 1.0);
    }
    sums.into_values().map(|(candidate, reference, n)| (candidate / n, reference / n)).collect()
}

fn differences(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs.iter().map(|(candidate, reference)| candidate - reference).collect()
}

fn part(dataset: Option<String>, prompts: &[&Shared]) -> Option<Part> {
    let pairs = by_conversation(prompts);
    let (candidate, reference): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let paired = stats::paired(&candidate, &reference)?;
    let differences = differences(&pairs);
    let (candidate_only, reference_only) = stats::discordant(&candidate, &reference);
    Some(Part {
        dataset,
        paired,
        t: stats::paired_t(&differences),
        candidate_only,
        reference_only,
        mcnemar: stats::mcnemar(candidate_only, reference_only),
        p_holm: paired.p,
        // By their hashes, prompts stand in an order that has nothing to do with their scores.
        anytime: stats::betting_difference(&differences, 0.95),
    })
}

/// The differences of every candidate, over the conversations that all sides have whole.
fn shared_by_all(reference: &Against, candidates: &[Against]) -> Vec<Vec<f64>> {
    let score = |side: &Against, prompt: &PromptKey| side.scores.get(prompt)?.0.score;
    let mut sums: BTreeMap<PromptKey, (Vec<f64>, f64)> = BTreeMap::new();
    for (prompt, (own, _)) in &reference.scores {
        let scores: Option<Vec<f64>> =
            candidates.iter().map(|candidate| score(candidate, prompt)).collect();
        let Some((scores, reference)) = scores.zip(own.score) else { continue };
        let (sum, n) = sums.entry(own.conversation).or_insert((vec![0.0; candidates.len()], 0.0));
        *n += 1.0;
        sum.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score - reference);
    }
    let column = |place: usize| sums.values().map(|(sum, n)| sum[place] / n).collect();
    (0..candidates.len()).map(column).collect()
}
