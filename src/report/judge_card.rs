//! Who judged, and how far its word can be trusted: printed beside every number it produced.
use super::{
    document::{Block, Table},
    figures,
    run::Run,
    win_rates::WinRates,
    words,
};
use crate::{
    judge::quality::WEAK_BELOW,
    recipe::{Agreement, BASE, JudgeMethod, Score},
};

fn is_weak(agreement: Option<&Agreement>) -> bool {
    agreement.is_none_or(|agreement| agreement.lower < WEAK_BELOW)
}

/// One sentence on the judge's measured quality.
fn quality(run: &Run) -> String {
    match &run.recipe.judge.agreement {
        None => "How often this judge agrees with people is not known.".into(),
        Some(agreement) => format!(
            "This judge sides with the majority of people on {} [{:.1}, {:.1}] of pairs, n = {} ({}).",
            words::percent(agreement.estimate),
            100.0 * agreement.lower,
            100.0 * agreement.upper,
            words::count(agreement.n),
            words::visible(&agreement.measured_on)
        ),
    }
}

/// Who judges, and how well, in two sentences.
pub(super) fn summary(run: &Run) -> String {
    let weak = if is_weak(run.recipe.judge.agreement.as_ref()) { ", a weak judge" } else { "" };
    format!("Judged by {}{weak}. {}", model(run), quality(run))
}

/// What to add to a headline that rests on this judge.
pub(super) fn attribution(run: &Run) -> Option<&'static str> {
    if run.recipe.model.script.is_some() {
        return Some("says a script");
    }
    is_weak(run.recipe.judge.agreement.as_ref()).then_some("says a weak judge")
}

/// Whether to believe the judge: in a word, the tone of it, and why.
pub(super) fn belief(run: &Run) -> (&'static str, &'static str, String) {
    if run.recipe.model.script.is_some() {
        return ("No judge", "caution", "A script of replies stands in for it.".into());
    }
    let agreement = run.recipe.judge.agreement.as_ref();
    let (answer, tone) = match agreement {
        None => ("Not known", "caution"),
        Some(_) if is_weak(agreement) => ("Hardly", "caution"),
        Some(_) => ("As people are", "win"),
    };
    let agrees = match agreement {
        None => "How often it agrees with people is not known.".into(),
        Some(agreement) => format!(
            "It sides with most people on {} [{:.1}, {:.1}] of {} pairs.",
            words::percent(agreement.estimate),
            100.0 * agreement.lower,
            100.0 * agreement.upper,
            words::count(agreement.n)
        ),
    };
    let contestant =
        if judges_itself(run) { " It is also a contestant: the base model." } else { "" };
    (answer, tone, agrees + contestant)
}

/// The caution that stands before the verdicts, when one is due.
pub(super) fn caution(run: &Run) -> Option<String> {
    if run.recipe.model.script.is_some() {
        return Some(
            "A script of replies stands in for the model and the judge. The numbers show that the pipeline works, and nothing else.".into(),
        );
    }
    let contestant = if judges_itself(run) { CONTESTANT } else { "" };
    is_weak(run.recipe.judge.agreement.as_ref()).then(|| {
        format!(
            "The judge is weak. {} Its verdicts prove the pipeline, not the model.{contestant}",
            quality(run)
        )
    })
}

const CONTESTANT: &str = " The judge is also a contestant: it is the base model, and a model tends to prefer what it would have said itself, so the comparisons with the base model lean against every other.";

/// Whether the judge compares its own answers with those of others.
fn judges_itself(run: &Run) -> bool {
    let judge = &run.recipe.judge;
    let base = run.recipe.evaluate.baselines.iter().any(|baseline| baseline == BASE);
    judge.weights.is_none() && judge.remote.is_none() && base
}

pub(super) fn blocks(run: &Run, win_rates: &WinRates) -> anyhow::Result<Vec<Block>> {
    let method = match (run.recipe.judge.method, run.recipe.judge.score) {
        _ if run.recipe.judge.remote.is_some() => {
            "It is shown both answers, in both orders, by the prompt of its file, and a prompt's score is the mean of both orders."
        }
        (JudgeMethod::Choice, Score::Preferences) => {
            "Choice: it is shown both answers, in both orders, and asked for A or B. Its probabilities for the candidate are averaged over the two orders, and the side with more than half wins the prompt, so a constant preference for one place cancels out."
        }
        (JudgeMethod::Choice, Score::Verdicts) => {
            "Choice: it is shown both answers, in both orders, and the likelier next token of A and B is its verdict. A prompt's score is the mean of both orders."
        }
        (JudgeMethod::Likelihood, _) => {
            "Likelihood: it reads each answer by itself, and prefers the one with the higher mean log-probability given the instruction. No order exists, so there is no order to be consistent in. Such a judge leans to fluent and expected answers."
        }
    };
    let mut blocks = vec![
        Block::paragraph(format!("Judge: {}. {method}", model(run))),
        Block::paragraph(quality(run)),
    ];
    if run.recipe.model.script.is_none() && is_weak(run.recipe.judge.agreement.as_ref()) {
        let contestant = if judges_itself(run) { CONTESTANT } else { "" };
        blocks.push(Block::warning(format!(
            "This judge is weak: it is not shown to agree with people on at least 65% of pairs, and people agree with each other on about 66%. Its verdicts prove the pipeline, not the model.{contestant} To name a stronger one, put [judge] weights = {{ from = [\"hf:...\"] }} into the recipe; see docs/recipes.md.",
        )));
    }
    if let Some(agreement) = &run.recipe.judge.agreement {
        blocks.push(Block::figure(&figures::agreement(agreement)?)?);
    }
    let mut table = Table::new(&[
        "Comparison",
        "Order consistency#",
        "First answer wins#",
        "Longer answer wins#",
        "Answer with a list wins#",
        "Identical answers#",
        "Missing#",
    ]);
    for comparison in &win_rates.comparisons {
        table.rows.push(vec![
            format!("{} against {}", comparison.candidate, comparison.baseline),
            words::estimate_or_none(comparison.order_consistency.as_ref()),
            words::estimate_or_none(comparison.first_position.as_ref()),
            words::estimate_or_none(comparison.longer_wins.as_ref()),
            words::estimate_or_none(comparison.list_wins.as_ref()),
            comparison.identical.to_string(),
            format!("{} of {}", comparison.missing, comparison.prompts),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
        blocks.push(Block::paragraph(
            "Order consistency: share of the prompts judged in both orders on which both verdicts agree. First answer wins: share won by the answer shown first, ties counting half; 50% for a judge that does not mind the order. Longer answer, answer with a list: of the prompts that one side won, where the answers differ in that; the better answer may well be the longer one.",
        ));
    }
    if let Some(plot) = figures::position(win_rates) {
        blocks.push(Block::figure(&plot)?);
    }
    blocks.push(Block::paragraph(drift(run)));
    Ok(blocks)
}

/// Whether the judge can have changed between two iterations.
fn drift(run: &Run) -> &'static str {
    if run.recipe.judge.remote.is_some() {
        "Drift is not measured in a run: a server can change the model behind a name, and a difference between iterations that were judged on different days may be the judge's. `spyhop eval --anchors`, and `spyhop check` with anchors = true, ask the judge of pairs with known answers, and say what has changed since they asked before."
    } else {
        "Drift: none is possible, because a run refuses to go on with a judge of other weights, or with other prompts."
    }
}

/// The judge's model, in a few words.
pub(super) fn model(run: &Run) -> String {
    if let Some(remote) = &run.recipe.judge.remote {
        let model = remote.model.as_deref().unwrap_or("its own model");
        return words::visible(&format!(
            "{} by {model} at {}",
            remote.judge,
            words::list(&remote.server.endpoints)
        ));
    }
    match &run.recipe.judge.weights {
        Some(source) => words::visible(&words::list(&source.from)),
        None if run.recipe.model.script.is_some() => "the script that answers for the model".into(),
        None => "the base model, untrained by this run".into(),
    }
}
