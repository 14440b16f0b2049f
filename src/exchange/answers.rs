//! Answers and questions that judgments only name: texts by model and prompt.
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

use super::{Comparison, Json, Prompt, PromptKey, fields::Fields, fields::Text, json, rows::Rows};
use crate::record::{Completion, Finish, content_id};

/// The answers of models and the questions of eval sets, from any of the files that hold them:
/// AlpacaEval's `model_outputs.json`, `completions.jsonl` and `prompts.jsonl` of a run, FastChat's and
/// Arena-Hard's `model_answer/*.jsonl` and `question.jsonl`.
#[derive(Debug, Default)]
pub struct Answers {
    /// The answers of a model, one for each turn of the conversation.
    outputs: HashMap<(String, PromptKey), Vec<Json>>,
    /// The prompts that each model answered, each by one of its keys.
    answered: HashMap<String, HashSet<PromptKey>>,
    /// Instructions, one for each turn, and the dataset.
    questions: HashMap<PromptKey, (Vec<Json>, String)>,
}

#[derive(Deserialize)]
struct Choice {
    turns: Vec<Json>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Json,
}

#[derive(Deserialize)]
struct Content {
    answer: Json,
}

impl Answers {
    /// Reads one more file.
    ///
    /// # Errors
    /// When the file cannot be read, or a row has neither a question nor an answer: file and row.
    pub fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut rows = Rows::open(path)?;
        while let Some(fields) = rows.next()? {
            self.add_row(fields)
                .map_err(|error| anyhow::anyhow!(rows.place(&format!("{error:#}"))))?;
        }
        Ok(())
    }

    fn add_row(&mut self, mut fields: Fields) -> anyhow::Result<()> {
        let id = ["question_id", "uid", "id"].iter().find_map(|name| fields.take(name));
        let dataset = match fields.read::<String>("dataset", "a text")? {
            Some(dataset) => dataset,
            None => fields.read("category", "a text")?.unwrap_or_default(),
        };
        let instruction = fields.take("instruction").or_else(|| fields.take("prompt"));
        let instructions: Vec<Json> = match instruction {
            Some(instruction) => vec![instruction],
            None => fields.read("turns", "a list of texts")?.unwrap_or_default(),
        };
        let outputs = outputs(&mut fields)?;
        anyhow::ensure!(
            !instructions.is_empty() || !outputs.is_empty(),
            "neither an answer (output, choices, messages) nor a question (instruction, turns, prompt)"
        );
        // A judgment may know the prompt by its id or by its instruction.
        let mut keys = Vec::new();
        for (id, instruction) in [(id, None), (None, instructions.first().cloned())] {
            if id.is_some() || instruction.is_some() {
                keys.push(Prompt { id, instruction, ..Prompt::default() }.keys()?.1);
            }
        }
        if !outputs.is_empty() {
            let model = ["generator", "model_id", "model"].iter().find_map(|name| {
                let name: Option<String> = fields.read(name, "a text").ok()?;
                name
            });
            let model = model.context("no generator, model_id or model says whose answer it is")?;
            self.answered.entry(model.clone()).or_default().extend(keys.first());
            for key in &keys {
                self.outputs.insert((model.clone(), *key), outputs.clone());
            }
        }
        if !instructions.is_empty() {
            for key in keys {
                self.questions.insert(key, (instructions.clone(), dataset.clone()));
            }
        }
        Ok(())
    }

    /// Fills in what a comparison lacks and these files know.
    ///
    /// # Errors
    /// When the comparison does not name its prompt.
    pub(super) fn complete(&self, comparison: &mut Comparison) -> anyhow::Result<()> {
        if self.outputs.is_empty() && self.questions.is_empty() {
            return Ok(());
        }
        let key = comparison.prompt.keys()?.1;
        let turn = comparison.prompt.turn.unwrap_or(1).max(1) as usize - 1;
        let output = |model: &str| self.outputs.get(&(model.to_owned(), key))?.get(turn).cloned();
        if comparison.model_output.is_none() {
            comparison.model_output = output(&comparison.model);
        }
        if comparison.baseline_output.is_none() {
            comparison.baseline_output = output(&comparison.baseline);
        }
        if let Some((instructions, dataset)) = self.questions.get(&key) {
            if comparison.prompt.instruction.is_none() {
                comparison.prompt.instruction = instructions.get(turn).cloned();
            }
            if comparison.prompt.dataset.is_empty() {
                comparison.prompt.dataset.clone_from(dataset);
            }
        }
        Ok(())
    }

    /// How many prompts a model answered.
    pub fn count(&self, model: &str) -> usize {
        self.answered.get(model).map_or(0, HashSet::len)
    }
}

/// The answers of one model to an eval set, from AlpacaEval's `model_outputs.json`, a run's
/// `completions.jsonl`, or CSV with a header of the same names. Prompts without an id get the one that `generate` would give them.
///
/// # Errors
/// When the file cannot be read, a row lacks its instruction or output, two rows answer one prompt, or
/// the answers are of several models: the message has file and row.
pub fn completions(path: &Path) -> anyhow::Result<Vec<Completion>> {
    if path.extension().is_some_and(|extension| extension == "csv") {
        return of_csv(path);
    }
    let mut rows = Rows::open(path)?;
    let mut found = Found::default();
    while let Some(fields) = rows.next()? {
        let add = |found: &mut Found| found.add(rows.number, completion(fields, path)?);
        add(&mut found).map_err(|error| anyhow::anyhow!(rows.place(&format!("{error:#}"))))?;
    }
    found.all(path)
}

/// A row of CSV; columns that it does not have are empty.
#[derive(Deserialize)]
struct Line {
    instruction: String,
    output: String,
    #[serde(default)]
    generator: String,
    #[serde(default)]
    dataset: String,
    #[serde(default)]
    id: String,
    finish: Option<Finish>,
}

fn of_csv(path: &Path) -> anyhow::Result<Vec<Completion>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Found::default();
    for (row, line) in (1..).zip(reader.deserialize::<Line>()) {
        let place = || format!("{}: row {row}", path.display());
        let line = line
            .with_context(|| format!("{}: expected the columns instruction and output", place()))?;
        let id = match line.id.is_empty() {
            true => content_id(&[&line.instruction]),
            false => line.id,
        };
        let generator = match line.generator.is_empty() {
            true => file_name(path),
            false => line.generator,
        };
        let finish = line.finish.unwrap_or(Finish::Stop);
        let Line { instruction, output, dataset, .. } = line;
        let completion = Completion { id, instruction, output, generator, dataset, finish };
        found.add(row, completion).with_context(place)?;
    }
    found.all(path)
}

/// Answers of one model so far.
#[derive(Default)]
struct Found {
    answers: Vec<Completion>,
    /// The row of each prompt.
    rows: HashMap<String, usize>,
}

impl Found {
    fn add(&mut self, row: usize, completion: Completion) -> anyhow::Result<()> {
        if let Some(first) = self.answers.first() {
            anyhow::ensure!(
                first.generator == completion.generator,
                "the answer is by {:?}, and that of row 1 by {:?}: expected those of one model",
                completion.generator,
                first.generator
            );
        }
        if let Some(first) = self.rows.insert(completion.id.clone(), row) {
            anyhow::bail!("the prompt of row {first} is answered again");
        }
        self.answers.push(completion);
        Ok(())
    }

    fn all(self, path: &Path) -> anyhow::Result<Vec<Completion>> {
        anyhow::ensure!(!self.answers.is_empty(), "{} holds no answers", path.display());
        Ok(self.answers)
    }
}

fn file_name(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn completion(mut fields: Fields, path: &Path) -> anyhow::Result<Completion> {
    let instruction = fields.name("instruction")?;
    let id = match fields.read::<String>("id", "a text")? {
        Some(id) => id,
        None => content_id(&[&instruction]),
    };
    Ok(Completion {
        id,
        instruction,
        output: fields.name("output")?,
        generator: fields.read("generator", "a text")?.unwrap_or_else(|| file_name(path)),
        dataset: fields.read("dataset", "a text")?.unwrap_or_default(),
        finish: fields.read("finish", "stop, length or overlong")?.unwrap_or(Finish::Stop),
    })
}

fn outputs(fields: &mut Fields) -> anyhow::Result<Vec<Json>> {
    if let Some(output) = fields.take("output") {
        return Ok(vec![output]);
    }
    if let Some(choices) = fields.read::<Vec<Choice>>("choices", "a list of answers with turns")? {
        return Ok(choices.into_iter().next().map_or(Vec::new(), |choice| choice.turns));
    }
    let messages: Vec<Message> = fields.read("messages", "a list of messages")?.unwrap_or_default();
    let answers = messages.into_iter().filter(|message| message.role == "assistant");
    Ok(answers
        .map(|message| match serde_json::from_str::<Content>(message.content.get()) {
            Ok(content) => content.answer,
            Err(_) => message.content,
        })
        .collect())
}

/// Length of a text in code points, as AlpacaEval counts; that of an answer that is no text is that of
/// its JSON, as pandas would print it.
pub(super) fn characters(output: &Json) -> u32 {
    Text::of(output).or_else(|_| Text::of(&json(&output.get()))).map_or(0, |text| text.characters())
}
