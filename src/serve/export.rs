//! What people said, as files of judgments: one row a choice that stands.
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::Context;
use serde::Serialize;

use super::{
    Subject,
    contest::{Contest, Pair},
    contests, human,
    raters::{self, standing},
};
use crate::{
    record::{Choice, Judgment, Order, Verdict},
    store,
};

/// AlpacaEval's names, and what only we know at the end.
#[derive(Serialize)]
struct Row<'a> {
    instruction: &'a str,
    output_1: &'a str,
    generator_1: &'a str,
    dataset: &'a str,
    output_2: &'a str,
    generator_2: &'a str,
    annotator: &'a str,
    annotator_index: usize,
    /// 1 for the baseline, 2 for the candidate, 1.5 for neither.
    preference: f64,
    prompt_id: &'a str,
    order: Order,
}

/// Writes every choice that stands into one file, and returns how many those are: as a run's own
/// judgments if its name ends in `.jsonl`, else as AlpacaEval's annotations.
///
/// # Errors
/// When nobody has said anything yet, a row is broken, or the file cannot be written.
pub fn export(subject: &Subject, file: &Path) -> anyhow::Result<usize> {
    let directory = human(subject);
    let by_rater = raters::all(&directory)?;
    let contests = contests(subject)?;
    let said = said(&contests, &by_rater);
    anyhow::ensure!(
        !said.is_empty(),
        "{} holds no choices on these answers: have somebody compare them first (spyhop serve)",
        directory.display()
    );
    match file.extension().is_some_and(|extension| extension == "jsonl") {
        true => store::write(file, &said.iter().map(judgment).collect::<Vec<_>>())?,
        false => store::write_atomic(file, array(&said)?.as_bytes())?,
    }
    Ok(said.len())
}

/// A JSON array of AlpacaEval's annotations, one row a line.
///
/// # Errors
/// When a row cannot be written as JSON.
pub(super) fn annotations(
    contests: &[Contest],
    by_rater: &BTreeMap<String, Vec<Choice>>,
) -> anyhow::Result<String> {
    array(&said(contests, by_rater))
}

/// A choice that stands, of whom, and on what.
struct Said<'a> {
    contest: &'a Contest,
    pair: &'a Pair,
    /// The rater's place among all raters.
    index: usize,
    choice: &'a Choice,
}

/// By comparison, by rater, and then in the order in which everybody was asked.
fn said<'a>(contests: &'a [Contest], by_rater: &'a BTreeMap<String, Vec<Choice>>) -> Vec<Said<'a>> {
    let mut said = Vec::new();
    for contest in contests {
        for (index, rows) in by_rater.values().enumerate() {
            let choices: HashMap<&str, &Choice> = standing(rows, &contest.id)
                .into_iter()
                .filter(|choice| !choice.screening)
                .map(|choice| (choice.pair.as_str(), choice))
                .collect();
            said.extend(contest.pairs.iter().filter_map(|pair| {
                let choice = choices.get(pair.id.as_str())?;
                Some(Said { contest, pair, index, choice })
            }));
        }
    }
    said
}

fn array(said: &[Said]) -> anyhow::Result<String> {
    let row = |Said { contest, pair, index, choice }: &Said| {
        let row = Row {
            instruction: &pair.instruction,
            output_1: &pair.baseline,
            generator_1: &contest.baseline,
            dataset: &pair.dataset,
            output_2: &pair.candidate,
            generator_2: &contest.candidate,
            annotator: &choice.rater,
            annotator_index: *index,
            preference: 1.0 + choice.verdict.map_or(0.5, Verdict::score),
            prompt_id: &pair.prompt_id,
            order: choice.order,
        };
        serde_json::to_string(&row).context("a row cannot be written")
    };
    let lines: Vec<String> = said.iter().map(row).collect::<anyhow::Result<_>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

fn judgment(Said { choice, .. }: &Said) -> Judgment {
    Judgment {
        id: choice.id.clone(),
        prompt_id: choice.prompt_id.clone(),
        dataset: choice.dataset.clone(),
        candidate: choice.candidate.clone(),
        baseline: choice.baseline.clone(),
        order: choice.order,
        verdict: choice.verdict,
        preference: None,
        reply: choice.rater.clone(),
    }
}
