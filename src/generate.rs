//! Eval set to completions: a model answers every prompt.
use std::{collections::HashSet, path::Path};

use anyhow::Context;
use serde::Deserialize;

use crate::{
    lm::{Ask, Lm, Request},
    model::{Message, Role, Sampling},
    recipe,
    record::{Completion, Counts, Finish, Prompt, Row, content_id},
    stage::{self, Work},
};

/// A line of an eval set, as AlpacaEval and others write it.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    instruction: String,
    #[serde(default)]
    dataset: String,
}

/// Reads an eval set: JSONL of `instruction` and, if there are any, `dataset` and `id`.
///
/// # Errors
/// When a line is no such row, or a prompt occurs twice: the message has file and line.
pub fn prompts(path: &Path) -> anyhow::Result<Vec<Prompt>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the eval set {}", path.display()))?;
    let (mut prompts, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}:{number}", path.display());
        let line: Line = serde_json::from_str(line).with_context(|| {
            format!("{}: expected {{\"instruction\": ..., \"dataset\": ...}}", place())
        })?;
        anyhow::ensure!(
            !line.instruction.trim().is_empty(),
            "{}: the instruction is empty",
            place()
        );
        let id = line.id.unwrap_or_else(|| content_id(&[&line.instruction]));
        anyhow::ensure!(seen.insert(id.clone()), "{}: the prompt {id:?} occurs twice", place());
        prompts.push(Prompt { id, instruction: line.instruction, dataset: line.dataset });
    }
    anyhow::ensure!(!prompts.is_empty(), "{}: the eval set is empty", path.display());
    Ok(prompts)
}

/// Has the model called `generator` answer every prompt, under a system prompt or none.
///
/// An answer that could not be given, because the prompt is too long, counts as failed.
pub fn run(
    generator: &str,
    load: impl FnOnce() -> anyhow::Result<Lm>,
    prompts: &[Prompt],
    system: Option<&str>,
    settings: &recipe::Evaluate,
    work: Work,
) -> anyhow::Result<Counts> {
    let question = |prompt: &Prompt| {
        let system = system.map(|text| Message::new(Role::System, text));
        let user = Message::new(Role::User, prompt.instruction.as_str());
        vec![Request {
            messages: system.into_iter().chain([user]).collect(),
            ask: Ask::Text {
                sampling: Sampling::new(settings.temperature, settings.top_p),
                max_tokens: settings.max_tokens,
                seed: stage::seed(work.random_seed, prompt.id(), 0),
            },
        }]
    };
    let rows = stage::map(
        &format!("{generator} answers"),
        load,
        prompts,
        work.out,
        question,
        |prompt, replies| {
            let (output, finish) = replies
                .into_iter()
                .next()
                .map_or((String::new(), Finish::Overlong), |reply| (reply.text, reply.finish));
            Completion {
                id: prompt.id.clone(),
                instruction: prompt.instruction.clone(),
                output: output.trim().to_owned(),
                generator: generator.to_owned(),
                dataset: prompt.dataset.clone(),
                finish,
            }
        },
        work.watch,
    )?;
    let failed = rows.iter().filter(|row| row.finish == Finish::Overlong).count();
    Ok(Counts { rows_in: rows.len(), kept: rows.len() - failed, failed, ..Counts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eval_set_is_read_and_its_mistakes_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prompts.jsonl");
        let check = |text: &str, expected: Result<usize, &str>| {
            std::fs::write(&path, text).unwrap();
            match (prompts(&path), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.len(), expected),
                (Err(error), Err(expected)) => {
                    let error = format!("{error:#}");
                    assert!(error.contains(expected), "{error}");
                }
                (found, _) => panic!("{text:?} gave {found:?}"),
            }
        };
        check("{\"instruction\":\"a\",\"dataset\":\"x\"}\n\n{\"instruction\":\"b\"}", Ok(2));
        check(
            "{\"instruction\":\"a\"}\n{\"instruction\":\"a\"}",
            Err("prompts.jsonl:2: the prompt"),
        );
        check("{\"instruction\":\"a\"}\n{\"prompt\":\"b\"}", Err("prompts.jsonl:2: expected"));
        check("{\"instruction\":\" \"}", Err("prompts.jsonl:1: the instruction is empty"));
        check("\n", Err("the eval set is empty"));
    }
}
