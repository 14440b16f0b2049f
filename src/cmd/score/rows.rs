//! What `spyhop score` prints of a model: a line for people, a row for programs, and notes on both.
use serde_json::{Value, json};
use spyhop::{
    judge::shared_family,
    scoring::{CorrectedRate, Position},
    stats::{Estimate, Refusal, length_control},
};

use super::{
    super::judgments::Remarks,
    super::output::{Row, interval, percent, table},
    Scored,
};

pub(super) fn as_table(scored: &[Scored]) -> String {
    let mut groups: Vec<((&str, &str), Vec<&Scored>)> = Vec::new();
    for one in scored {
        let contest = &one.standing.contest;
        let names = (contest.judge.as_str(), contest.baseline.as_str());
        match groups.iter_mut().find(|(known, _)| *known == names) {
            Some((_, group)) => group.push(one),
            None => groups.push((names, vec![one])),
        }
    }
    let group = |((judge, baseline), group): &((&str, &str), Vec<&Scored>)| {
        let judged = if judge.is_empty() { String::new() } else { format!(", judged by {judge}") };
        let header = ["model", "n", "miss", "win %", "95%", "LC %", "95%", "place", "chars"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(group.iter().map(|scored| line(scored)));
        format!("against {baseline}{judged}\n{}", table(&rows))
    };
    groups.iter().map(group).collect::<Vec<_>>().join("\n\n")
}

fn line(scored: &Scored) -> Vec<String> {
    let Scored { standing, controlled, .. } = scored;
    let ends = |estimate: Option<Estimate>| {
        estimate.map_or("-".to_owned(), |estimate| interval(estimate.lower, estimate.upper))
    };
    let controlled = controlled.as_ref().ok();
    vec![
        standing.contest.model.clone(),
        standing.total.to_string(),
        standing.missing.to_string(),
        percent(standing.win_rate.map(|estimate| estimate.point)),
        ends(standing.win_rate),
        percent(controlled.map(|controlled| controlled.win_rate)),
        ends(controlled.and_then(|controlled| controlled.interval)),
        bias(&standing.position)
            .map_or("-".to_owned(), |bias| format!("{:+.1}", 100.0 * bias.point)),
        standing.average_length.map_or("-".to_owned(), |length| length.to_string()),
    ]
}

fn bias(position: &Position) -> Option<Estimate> {
    match position {
        Position::Both(both) => Some(both.bias),
        Position::One(one) => Some(one.bias),
        Position::Unknown => None,
    }
}

/// In percent, as AlpacaEval prints shares.
fn hundred(share: Option<f64>) -> Value {
    share.map_or(Value::Null, |share| json!(100.0 * share))
}

pub(super) fn row(scored: &Scored) -> Row {
    let Scored { standing, controlled, corrected } = scored;
    let win_rate = standing.win_rate;
    let controlled = controlled.as_ref().ok();
    let controlled_ends = controlled.and_then(|controlled| controlled.interval);
    let bounds = standing.bounds;
    let mut row: Row = vec![
        ("model", json!(standing.contest.model)),
        ("win_rate", hundred(win_rate.map(|estimate| estimate.point))),
        ("standard_error", hundred(standing.standard_error)),
        ("ci_low", hundred(win_rate.map(|estimate| estimate.lower))),
        ("ci_high", hundred(win_rate.map(|estimate| estimate.upper))),
        ("n_wins", json!(standing.wins)),
        ("n_wins_base", json!(standing.losses)),
        ("n_draws", json!(standing.ties)),
        ("n_total", json!(standing.total)),
        ("discrete_win_rate", hundred(standing.discrete_win_rate())),
        ("avg_length", json!(standing.average_length)),
        ("length_controlled_win_rate", hundred(controlled.map(|controlled| controlled.win_rate))),
        ("lc_standard_error", hundred(controlled.and_then(|one| one.standard_error))),
        ("lc_ci_low", hundred(controlled_ends.map(|estimate| estimate.lower))),
        ("lc_ci_high", hundred(controlled_ends.map(|estimate| estimate.upper))),
        ("missing", json!(standing.missing)),
        ("worst_case_win_rate", hundred(bounds.map(|bounds| bounds.worst.point))),
        ("best_case_win_rate", hundred(bounds.map(|bounds| bounds.best.point))),
        ("baseline", json!(standing.contest.baseline)),
        ("judge", json!(standing.contest.judge)),
        ("lc_method", controlled.map_or(Value::Null, |one| json!(one.method.to_string()))),
    ];
    row.extend(position_columns(&standing.position));
    row.extend(corrected_columns(corrected.as_ref()));
    row
}

fn position_columns(position: &Position) -> Row {
    let (both, one) = match position {
        Position::Both(both) => (Some(both), None),
        Position::One(one) => (None, Some(one)),
        Position::Unknown => (None, None),
    };
    let bias = bias(position);
    let consistency = both.map(|both| both.consistency);
    let first_slot = both.map(|both| both.first_slot);
    let debiased = both.map(|both| both.debiased).or(one.map(|one| one.debiased));
    let mut row: Row = Vec::new();
    for (names, estimate) in [
        (["position_bias", "position_bias_low", "position_bias_high"], bias),
        (["order_consistency", "order_consistency_low", "order_consistency_high"], consistency),
        (["first_slot_rate", "first_slot_rate_low", "first_slot_rate_high"], first_slot),
        (["debiased_win_rate", "debiased_ci_low", "debiased_ci_high"], debiased),
    ] {
        row.push((names[0], hundred(estimate.map(|estimate| estimate.point))));
        row.push((names[1], hundred(estimate.map(|estimate| estimate.lower))));
        row.push((names[2], hundred(estimate.map(|estimate| estimate.upper))));
    }
    row
}

fn corrected_columns(corrected: Option<&CorrectedRate>) -> Row {
    let powered = corrected.and_then(|one| one.prediction_powered).map(|found| found.estimate);
    let error_free = corrected.and_then(|one| one.rogan_gladen.ok()).map(|found| found.estimate);
    let agreement = corrected.and_then(|one| one.agreement);
    let end = |estimate: Option<Estimate>, end: fn(Estimate) -> f64| hundred(estimate.map(end));
    vec![
        ("human_labels", json!(corrected.map(|one| one.labelled))),
        ("human_agreement", end(agreement, |estimate| estimate.point)),
        ("human_agreement_low", end(agreement, |estimate| estimate.lower)),
        ("human_agreement_high", end(agreement, |estimate| estimate.upper)),
        ("human_kappa", json!(corrected.and_then(|one| one.kappa).map(|kappa| kappa.point))),
        ("corrected_win_rate", end(powered, |estimate| estimate.point)),
        ("corrected_ci_low", end(powered, |estimate| estimate.lower)),
        ("corrected_ci_high", end(powered, |estimate| estimate.upper)),
        ("rogan_gladen_win_rate", end(error_free, |estimate| estimate.point)),
        ("rogan_gladen_ci_low", end(error_free, |estimate| estimate.lower)),
        ("rogan_gladen_ci_high", end(error_free, |estimate| estimate.upper)),
    ]
}

/// Says of a row what its numbers do not.
pub(super) fn explain(scored: &Scored, remarks: &mut Remarks) {
    let Scored { standing, controlled, corrected } = scored;
    let mut note = |text: &str| remarks.add(&standing.contest.model, text.to_owned());
    let contest = &standing.contest;
    for name in [&contest.model, &contest.baseline] {
        if let Some(family) = shared_family(&contest.judge, name) {
            note(&format!(
                "the judge, {}, and {name} are both of the {family} family: a judge favours its own",
                contest.judge
            ));
        }
    }
    if standing.win_rate.is_none() {
        note("no win rate: fewer than two independent prompts have a verdict");
    }
    if let (Some(bounds), 1..) = (standing.bounds, standing.missing) {
        note(&format!(
            "prompts without a score: {}; with all of them lost the win rate is {:.1}%, with all won {:.1}%",
            standing.missing,
            100.0 * bounds.worst.point,
            100.0 * bounds.best.point
        ));
    }
    match controlled {
        Err(reason) => note(&format!("no length-controlled win rate: {reason}")),
        Ok(one) => {
            let far = standing.win_rate.is_some_and(|estimate| {
                length_control::is_far_from_raw(estimate.point, one.win_rate)
            });
            let far = if far { "; it is far from the raw one: doubt the fit" } else { "" };
            note(&format!("length-controlled by {}{far}", one.method));
            if one.interval.is_none() {
                note(
                    "published weights have no interval, and their standard error leaves out the doubt about them; --lc-gamed fits anew",
                );
            }
        }
    }
    if standing.average_length.is_none() {
        note("no average length: name the answers with --outputs");
    }
    match &standing.position {
        Position::Unknown => note("no position bias: the order of the answers is not known"),
        Position::One(_) => note(
            "each prompt was judged in one order: position_bias compares different prompts, and order_consistency needs both orders",
        ),
        Position::Both(_) => {}
    }
    if let Some(corrected) = corrected {
        match corrected.agreement {
            Some(Estimate { point, lower, upper, n }) => note(&format!(
                "people judged {n} of its prompts, and the judge says the same on {:.1}% {} of them",
                100.0 * point,
                interval(lower, upper)
            )),
            None => note("people judged none of its prompts"),
        }
        match corrected.prediction_powered {
            Some(powered) => note(&format!(
                "win rate corrected by what people said: {}",
                with_interval(powered.estimate)
            )),
            None => note(
                "no corrected win rate: it takes two prompts with a human label and one without",
            ),
        }
        match corrected.rogan_gladen {
            Ok(found) => note(&format!(
                "win rate corrected by the judge's error rates: {}",
                with_interval(found.estimate)
            )),
            Err(refusal) => {
                note(&format!("no correction by the judge's error rates: {}", reason(refusal)));
            }
        }
    }
}

fn with_interval(estimate: Estimate) -> String {
    let Estimate { point, lower, upper, .. } = estimate;
    format!("{:.1}% {}", 100.0 * point, interval(lower, upper))
}

fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Empty => "people called no prompt won, or none lost",
        Refusal::NearCoin => "its verdicts are too near to those of a coin",
        Refusal::Contradiction => {
            "no share of wins goes with them: the labelled prompts are not like the others"
        }
    }
}
