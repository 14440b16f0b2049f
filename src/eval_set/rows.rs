//! Rows of a JSONL file or of one JSON array, and prompts of them. Knows no set.
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::file::Columns;
use crate::record::{Prompt, content_id};

/// A row of an eval set, as AlpacaEval and others write it.
#[derive(Deserialize)]
struct Row {
    id: Option<String>,
    instruction: String,
    #[serde(default)]
    dataset: String,
}

/// Reads a plain file of prompts: JSONL, or one JSON array, of `instruction` and, if there are any,
/// `dataset` and `id`. Other keys are passed over, so AlpacaEval's `model_outputs.json` is one, too.
///
/// # Errors
/// When a row is not of this form, or a prompt occurs twice: the message has file and line, or row.
pub fn prompts(path: &Path) -> anyhow::Result<Vec<Prompt>> {
    prompts_of(&read(path)?, &path.display().to_string())
}

/// The same of a text that was read already; messages call it `name`.
pub(super) fn prompts_of(text: &str, name: &str) -> anyhow::Result<Vec<Prompt>> {
    collect(text, name, |value| {
        let row: Row = serde_json::from_value(value)
            .context("expected {\"instruction\": ..., \"dataset\": ...}")?;
        let id = row.id.unwrap_or_else(|| content_id(&[&row.instruction]));
        Ok(Some(Prompt { id, instruction: row.instruction, dataset: row.dataset }))
    })
}

/// Reads prompts from a file of any columns; those of one slice where `columns` names none.
///
/// Their ids are made of the instruction, so that answers and judgments of others, which have no ids,
/// belong to the same prompts.
pub(super) fn by_columns(
    path: &Path,
    columns: &Columns,
    only: &BTreeMap<String, Value>,
    slice: &str,
) -> anyhow::Result<Vec<Prompt>> {
    collect(&read(path)?, &path.display().to_string(), |row| {
        for (pointer, value) in only {
            if at(&row, pointer)? != value {
                return Ok(None);
            }
        }
        let mut parts = Vec::new();
        for pointer in &columns.instruction {
            let part = text_at(&row, pointer)?;
            if !part.trim().is_empty() {
                parts.push(part);
            }
        }
        let instruction = parts.join("\n\n");
        let dataset = columns.dataset.as_ref().map_or(Ok(slice), |at| text_at(&row, at))?;
        let id = content_id(&[&instruction]);
        Ok(Some(Prompt { id, dataset: dataset.to_owned(), instruction }))
    })
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read the eval set {}", path.display()))
}

fn at<'a>(row: &'a Value, pointer: &str) -> anyhow::Result<&'a Value> {
    row.pointer(pointer).with_context(|| format!("there is nothing at {pointer}"))
}

fn text_at<'a>(row: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    at(row, pointer)?.as_str().with_context(|| format!("what is at {pointer} is no text"))
}

/// Makes a prompt of each row, or passes over it, and sees that no prompt is empty or occurs twice.
fn collect(
    text: &str,
    name: &str,
    prompt: impl Fn(Value) -> anyhow::Result<Option<Prompt>>,
) -> anyhow::Result<Vec<Prompt>> {
    let (mut prompts, mut seen) = (Vec::new(), HashSet::new());
    for (place, value) in rows(text, name)? {
        let Some(prompt) = prompt(value).with_context(|| place.clone())? else { continue };
        anyhow::ensure!(!prompt.instruction.trim().is_empty(), "{place}: the instruction is empty");
        anyhow::ensure!(
            seen.insert(prompt.id.clone()),
            "{place}: the prompt {:?} occurs twice",
            prompt.id
        );
        prompts.push(prompt);
    }
    anyhow::ensure!(!prompts.is_empty(), "{name}: the eval set is empty");
    Ok(prompts)
}

/// Every row with its place: of an array, `NAME: row N`; of JSONL, `NAME:LINE`.
fn rows(text: &str, name: &str) -> anyhow::Result<Vec<(String, Value)>> {
    if text.trim_start().starts_with('[') {
        let values: Vec<Value> = serde_json::from_str(text)
            .with_context(|| format!("{name}: expected a JSON array of rows"))?;
        let place = |number| format!("{name}: row {number}");
        return Ok((1..).zip(values).map(|(number, value)| (place(number), value)).collect());
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = format!("{name}:{number}");
            let value = serde_json::from_str(line)
                .with_context(|| format!("{place}: expected one JSON object a line"))?;
            Ok((place, value))
        })
        .collect()
}
