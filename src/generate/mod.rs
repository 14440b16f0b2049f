//! Eval set to completions: a model answers every prompt.
mod contestant;
mod entrant;
mod served;

use serde::{Deserialize, Serialize};

pub use contestant::{Contestant, Endpoint, Pairs, Published, built_in, select};
pub use entrant::{Entrant, Servers};
pub use served::Served;

use crate::{
    lm::{Ask, Lm, Request},
    model::{Message, Role, Sampling},
    recipe,
    record::{Completion, Counts, Finish, Prompt, Row},
    stage::{self, Work},
};

/// How a model is asked. The paper: temperature 0.7, top-p 0.9.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub system: Option<String>,
    pub temperature: f64,
    pub top_p: f64,
    /// Draws from so many of the likeliest tokens; from all, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Texts that end an answer, and are no part of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Longest answer, in tokens; a longer one is cut, judged as it is, and counted.
    pub max_tokens: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            system: None,
            temperature: 0.7,
            top_p: 0.9,
            top_k: None,
            stop: Vec::new(),
            max_tokens: 2048,
        }
    }
}

impl Settings {
    /// A recipe's way of asking, under a system prompt or none.
    pub fn of(evaluate: &recipe::Evaluate, system: Option<String>) -> Self {
        let &recipe::Evaluate { temperature, top_p, top_k, max_tokens, .. } = evaluate;
        Self { system, temperature, top_p, top_k, stop: evaluate.stop.clone(), max_tokens }
    }

    /// # Errors
    /// When a number is out of its range.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (0.0..=10.0).contains(&self.temperature)
                && self.top_p > 0.0
                && self.top_p <= 1.0
                && self.top_k != Some(0)
                && self.stop.iter().all(|stop| !stop.is_empty())
                && self.max_tokens > 0,
            "settings: expected a temperature of 0 to 10, top_p above 0 and up to 1, top_k and max_tokens of 1 or more, and no empty text among stop"
        );
        Ok(())
    }
}

/// Has the model called `generator` answer every prompt.
///
/// An answer that could not be given, because the prompt is too long, counts as failed.
pub fn run(
    generator: &str,
    load: impl FnOnce() -> anyhow::Result<Lm>,
    prompts: &[Prompt],
    settings: &Settings,
    work: Work,
) -> anyhow::Result<Counts> {
    let question = |prompt: &Prompt| {
        let system = settings.system.as_deref().map(|text| Message::new(Role::System, text));
        let user = Message::new(Role::User, prompt.instruction.as_str());
        vec![Request {
            messages: system.into_iter().chain([user]).collect(),
            ask: Ask::Text {
                sampling: Sampling::new(settings.temperature, settings.top_p, settings.top_k),
                max_tokens: settings.max_tokens,
                seed: stage::seed(work.random_seed, prompt.id(), 0),
                stop: settings.stop.clone(),
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
    let failed = rows.iter().filter(|row| !row.finish.answered()).count();
    Ok(Counts { rows_in: rows.len(), kept: rows.len() - failed, failed, ..Counts::default() })
}
