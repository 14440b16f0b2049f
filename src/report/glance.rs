//! What a reader wants to know in ten seconds: the questions, and their answers in a word or two.
use serde::Serialize;

use super::{
    document::Drawn,
    judge_card, results,
    run::Run,
    verdict::{Shown, named},
    win_rates::{Comparison, WinRates},
    words,
};

/// One question with its answer.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Fact {
    pub(super) question: String,
    pub(super) answer: String,
    /// How the answer is meant: `win`, `loss`, `tie` or `caution`; also the style class.
    pub(super) tone: &'static str,
    /// What the answer rests on.
    pub(super) detail: String,
    pub(super) drawn: Option<Drawn>,
}

/// The facts on the latest model; empty before the first comparison.
pub(super) fn facts(run: &Run, win_rates: &WinRates) -> Vec<Fact> {
    let Some(last) = win_rates.comparisons.last() else { return Vec::new() };
    let mut facts = vec![better(last, win_rates.planned_comparisons)];
    facts.extend(by_how_much(win_rates, &last.candidate));
    facts.push(believed(run, last));
    facts.push(cost(run, &last.candidate));
    facts
}

fn better(comparison: &Comparison, family: usize) -> Fact {
    let (answer, tone) = told(Shown::of_comparison(comparison));
    let win_rate = comparison.win_rate;
    let detail = match &win_rate {
        None => format!("None of {} prompts has a score.", comparison.prompts),
        Some(estimate) => format!(
            "Win rate {}; {} allowing for {}.",
            words::estimate(estimate),
            words::p_equals(comparison.p_holm),
            words::counted(family, "comparison")
        ),
    };
    Fact {
        question: format!(
            "Is {} better than {}?",
            comparison.candidate,
            named(&comparison.baseline)
        ),
        answer: answer.into(),
        tone,
        detail,
        drawn: win_rate.as_ref().map(results::drawn),
    }
}

fn by_how_much(win_rates: &WinRates, candidate: &str) -> Option<Fact> {
    let difference = win_rates.differences.iter().find(|one| one.candidate == candidate)?;
    let paired = &difference.paired;
    let estimate = &paired.difference;
    let (_, tone) = told(Shown::of_difference(difference));
    Some(Fact {
        question: format!("What did {candidate} gain on {}?", difference.before),
        answer: format!("{} points", words::points(estimate.point)),
        tone,
        detail: format!(
            "{} in the win rate against the base model, paired over {}; {}. This many prompts show a true difference of {:.1} points four times in five.",
            words::points_interval(estimate),
            words::counted(estimate.n, "prompt"),
            words::p_equals(difference.p_holm),
            100.0 * paired.minimum_detectable,
        ),
        drawn: Some(results::drawn_difference(estimate)),
    })
}

fn believed(run: &Run, comparison: &Comparison) -> Fact {
    let (answer, tone, mut detail) = judge_card::belief(run);
    if let Some(consistency) = &comparison.order_consistency {
        detail.push_str(&format!(
            " It keeps its verdict when the answers change places on {} {} of {}.",
            words::percent(consistency.point),
            words::interval(consistency),
            words::counted(consistency.n, "prompt")
        ));
    }
    Fact {
        question: "Can the judge be believed?".into(),
        answer: answer.into(),
        tone,
        detail,
        drawn: None,
    }
}

fn cost(run: &Run, candidate: &str) -> Fact {
    let seconds = |of: &dyn Fn(&str) -> bool| -> f64 {
        run.done.iter().filter(|done| of(&done.id)).map(|done| done.seconds).sum()
    };
    let own = format!("{candidate}/");
    let device = run.provenance.as_ref().map_or_else(String::new, |provenance| {
        format!(" on {}", words::visible(&provenance.device))
    });
    let resumed = run.done.iter().any(|done| done.resumed);
    let with = |spent: Option<f64>| {
        spent.map_or_else(String::new, |spent| format!(" and {}", words::dollars(spent)))
    };
    Fact {
        question: "At what cost?".into(),
        answer: words::duration(seconds(&|_| true)) + &with(run.spent(|_| true)),
        tone: "tie",
        detail: format!(
            "Wall time of {}{device}; {}{} of it for {candidate}.{}",
            words::counted(run.done.len(), "stage"),
            words::duration(seconds(&|stage| stage.starts_with(&own))),
            with(run.spent(|stage| stage.starts_with(&own))),
            if resumed { " Without the time before an interruption." } else { "" }
        ),
        drawn: None,
    }
}

fn told(shown: Shown) -> (&'static str, &'static str) {
    match shown {
        Shown::Better => ("Yes", "win"),
        Shown::Worse => ("No, worse", "loss"),
        Shown::Nothing => ("Not shown", "tie"),
    }
}
