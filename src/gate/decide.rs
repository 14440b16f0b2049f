//! Evidence to a verdict. No files, no models.
use super::{Ceilings, Check, FaultLine, Faults, Outcome, Part, Verdict, What, faults::FAULTS};
use crate::stats::{self, Estimate, Gate};

/// A prompt's scores: the candidate's against whom, in [0, 1]; `None` without a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub prompt: String,
    pub dataset: String,
    pub score: Option<f64>,
}

/// Both sides against a shared baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Against {
    pub baseline: String,
    /// Scores of the candidate and of the reference, by prompt.
    pub pairs: Vec<(Option<f64>, Option<f64>)>,
}

/// What is known when it is time to decide.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub candidate: String,
    pub reference: String,
    pub judge: String,
    /// Prompts of the eval set.
    pub prompts: usize,
    /// Of the candidate against the reference, the prompts that were put to the judge, in the order in
    /// which that was.
    pub direct: Vec<Scored>,
    /// Of those prompts, how many have a verdict in both orders, and on how many of them it is the same.
    pub both_orders: usize,
    pub same_in_both: usize,
    pub through: Vec<Against>,
    pub candidate_faults: Faults,
    pub reference_faults: Faults,
    pub candidate_characters: f64,
    pub reference_characters: f64,
    /// Why judging ended before it was done, if it did.
    pub ended_early: Option<String>,
    /// How the judge has changed since the lock, if it has.
    pub drift: Option<String>,
}

/// The level of red by a part other than the one that decides.
const LEVEL: f64 = 0.025;

/// Decides a check.
///
/// The candidate against the reference decides by its 95% interval, or by a confidence sequence. What
/// else can turn the check red (baselines, slices) is corrected for by Holm's method among itself.
///
/// # Errors
/// When there is nothing to decide by: no prompt, or none with a verdict although the budget lasted.
pub fn decide(check: &Check, evidence: &Evidence) -> anyhow::Result<Outcome> {
    anyhow::ensure!(evidence.prompts > 0, "{}: the eval set is empty", check.name);
    let scores: Vec<f64> = evidence.direct.iter().filter_map(|one| one.score).collect();
    anyhow::ensure!(
        !scores.is_empty() || evidence.ended_early.is_some(),
        "{}: none of {} judged prompts has a verdict in every order: there is nothing to decide by",
        check.name,
        evidence.direct.len()
    );
    let margin = check.margin / 100.0;
    let direct = match check.until_decided {
        true => stats::betting(&scores, 0.95),
        false => stats::mean(&scores),
    };
    let mut parts = vec![part(What::Direct, direct.map(from_even), margin)];
    if !check.until_decided {
        let mut others = through(evidence, margin);
        if check.slices {
            others.extend(slices(evidence, margin));
        }
        correct(&mut others);
        parts.extend(others);
    }
    let mut outcome = Outcome {
        check: check.name.clone(),
        candidate: evidence.candidate.clone(),
        reference: evidence.reference.clone(),
        judge: evidence.judge.clone(),
        verdict: Verdict::Inconclusive,
        reasons: Vec::new(),
        margin: check.margin,
        prompts: evidence.prompts,
        judged: evidence.direct.len(),
        scored: scores.len(),
        order_consistency: (evidence.both_orders > 0)
            .then(|| evidence.same_in_both as f64 / evidence.both_orders as f64),
        parts,
        faults: fault_lines(&check.ceilings, evidence),
        candidate_characters: evidence.candidate_characters,
        reference_characters: evidence.reference_characters,
        saved: check.until_decided.then(|| evidence.prompts - evidence.direct.len()),
    };
    (outcome.verdict, outcome.reasons) = verdict(check, evidence, &outcome);
    Ok(outcome)
}

/// Red first, then what leaves it open, then the interval.
fn verdict(check: &Check, evidence: &Evidence, outcome: &Outcome) -> (Verdict, Vec<String>) {
    let red = red(check, outcome);
    if !red.is_empty() {
        return (Verdict::Regressed, red);
    }
    let open = open(check, evidence, outcome);
    if !open.is_empty() {
        return (Verdict::Inconclusive, open);
    }
    let direct = &outcome.parts[0];
    let range = words(direct);
    match direct.gate {
        Gate::Better => (Verdict::Better, vec![format!("{range}: above zero")]),
        _ => {
            let reason = format!("{range}: a loss of {} points is excluded", check.margin);
            (Verdict::NoWorse, vec![reason])
        }
    }
}

fn red(check: &Check, outcome: &Outcome) -> Vec<String> {
    let mut reasons = Vec::new();
    for part in outcome.parts.iter().filter(|part| part.gate == Gate::Regressed) {
        let p = part.p_regressed.map_or(String::new(), |p| format!(" (p = {p:.3} after Holm)"));
        reasons.push(format!(
            "{}: {} lies below a loss of {} points{p}",
            part.what.words(),
            words(part),
            check.margin
        ));
    }
    for line in outcome.faults.iter().filter(|line| line.candidate > line.limit) {
        reasons.push(format!(
            "{:.1}% of the answers are {}, and {:.1}% may be (reference: {:.1}%)",
            100.0 * line.candidate,
            line.fault.words(),
            100.0 * line.limit,
            100.0 * line.reference
        ));
    }
    let growth = outcome.candidate_characters / outcome.reference_characters.max(1.0);
    if let Some(limit) = check.ceilings.length_growth.filter(|&limit| growth > limit) {
        reasons.push(format!(
            "answers are {growth:.2} times as long as the reference's, and {limit} times is allowed"
        ));
    }
    reasons
}

fn open(check: &Check, evidence: &Evidence, outcome: &Outcome) -> Vec<String> {
    let mut reasons: Vec<String> =
        evidence.drift.iter().chain(&evidence.ended_early).cloned().collect();
    let coverage = outcome.scored as f64 / outcome.judged.max(1) as f64;
    if coverage < check.floors.coverage {
        reasons.push(format!(
            "{} of {} judged prompts have a score, {:.1}%, and {:.1}% are wanted",
            outcome.scored,
            outcome.judged,
            100.0 * coverage,
            100.0 * check.floors.coverage
        ));
    }
    if let Some(share) = outcome.order_consistency.filter(|&share| share < check.floors.consistency)
    {
        reasons.push(format!(
            "the judge says the same in both orders on {:.1}% of {} prompts, and {:.1}% are wanted: what it contradicts itself on looks like a tie",
            100.0 * share,
            evidence.both_orders,
            100.0 * check.floors.consistency
        ));
    }
    if let Some(floor) = check.floors.agreement {
        match &check.agreement {
            None => reasons.push(
                "how far the judge agrees with people is not known, and floors.agreement asks for it: measure it with `spyhop judge-quality`".to_owned(),
            ),
            Some(agreement) if agreement.lower < floor => reasons.push(format!(
                "the judge agrees with people on at least {:.1}% of pairs, and {:.1}% are wanted",
                100.0 * agreement.lower,
                100.0 * floor
            )),
            Some(_) => {}
        }
    }
    let direct = &outcome.parts[0];
    if direct.gate == Gate::Inconclusive {
        reasons.push(format!(
            "{} neither excludes a loss of {} points nor shows one",
            words(direct),
            check.margin
        ));
    }
    reasons
}

/// A win rate as a difference from one half.
fn from_even(estimate: Estimate) -> Estimate {
    let Estimate { point, lower, upper, n } = estimate;
    Estimate { point: point - 0.5, lower: lower - 0.5, upper: upper - 0.5, n }
}

fn part(what: What, difference: Option<Estimate>, margin: f64) -> Part {
    let gate = difference.map_or(Gate::Inconclusive, |found| stats::gate(&found, margin));
    let points = difference.map(|shares| shares.scaled(100.0));
    Part { what, difference: points, gate, p_regressed: None }
}

fn through(evidence: &Evidence, margin: f64) -> Vec<Part> {
    let one = |against: &Against| {
        let pairs =
            against.pairs.iter().filter_map(|&(candidate, reference)| candidate.zip(reference));
        let differences: Vec<f64> =
            pairs.map(|(candidate, reference)| candidate - reference).collect();
        let estimate = stats::difference(&differences);
        other(What::Through(against.baseline.clone()), estimate, &differences, margin)
    };
    evidence.through.iter().map(one).collect()
}

fn slices(evidence: &Evidence, margin: f64) -> Vec<Part> {
    let mut datasets: Vec<&str> = evidence.direct.iter().map(|one| one.dataset.as_str()).collect();
    datasets.sort_unstable();
    datasets.dedup();
    if datasets.len() < 2 {
        return Vec::new();
    }
    let one = |dataset: &str| {
        let own = evidence.direct.iter().filter(|one| one.dataset == dataset);
        let scores: Vec<f64> = own.filter_map(|one| one.score).collect();
        let differences: Vec<f64> = scores.iter().map(|score| score - 0.5).collect();
        let estimate = stats::mean(&scores).map(from_even);
        other(What::Slice(dataset.to_owned()), estimate, &differences, margin)
    };
    datasets.into_iter().map(one).collect()
}

/// A part that turns red by its p-value.
fn other(what: What, estimate: Option<Estimate>, differences: &[f64], margin: f64) -> Part {
    let mut part = part(what, estimate, margin);
    part.p_regressed = Some(p_regressed(differences, margin));
    part
}

/// One-sided p-value of "not worse by the margin or more".
fn p_regressed(differences: &[f64], margin: f64) -> f64 {
    match stats::non_inferiority_p(differences, margin) {
        Some(p) => 1.0 - p,
        // All are equal: by the sign test, the chance that all lie below if above were as likely.
        None if differences.first().is_some_and(|&first| first < -margin) => {
            0.5_f64.powi(differences.len() as i32)
        }
        None => 1.0,
    }
}

/// Red asks for the corrected p-value; an interval alone would turn one of many red by chance.
fn correct(parts: &mut [Part]) {
    let p_values: Vec<f64> = parts.iter().map(|part| part.p_regressed.unwrap_or(1.0)).collect();
    for (part, p) in parts.iter_mut().zip(stats::holm(&p_values)) {
        part.p_regressed = Some(p);
        if p <= LEVEL {
            part.gate = Gate::Regressed;
        } else if part.gate == Gate::Regressed {
            part.gate = Gate::Inconclusive;
        }
    }
}

fn fault_lines(ceilings: &Ceilings, evidence: &Evidence) -> Vec<FaultLine> {
    let limits = [
        ceilings.empty,
        ceilings.repetition,
        ceilings.truncated,
        ceilings.refusal,
        ceilings.wrong_language,
    ];
    let line = |place: usize| {
        Some(FaultLine {
            fault: FAULTS[place],
            candidate: evidence.candidate_faults.shares[place],
            reference: evidence.reference_faults.shares[place],
            limit: limits[place]?,
            n: evidence.candidate_faults.n,
        })
    };
    (0..FAULTS.len()).filter_map(line).collect()
}

fn words(part: &Part) -> String {
    match &part.difference {
        Some(Estimate { point, lower, upper, .. }) => {
            format!("{point:+.1} points [{lower:+.1}, {upper:+.1}]")
        }
        None => "no score".to_owned(),
    }
}
