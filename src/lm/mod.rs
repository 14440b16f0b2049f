//! Text in, text out: one way to ask any model anything.
//!
//! Knows no task: what a question is for, and what its reply means, is the caller's business.
pub mod api;
mod local;
mod scripted;

use std::path::{Path, PathBuf};

use crate::{
    model::{Message, Sampling},
    recipe::Products,
    record::Finish,
};

pub use local::rounding;
pub use scripted::{ScriptedCheckpoint, write_checkpoint};

/// A model that can be asked.
#[derive(Debug)]
pub enum Lm {
    Local(Box<local::Local>),
    Scripted(scripted::Scripted),
}

/// What to load a model from.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// A GGUF file, or a directory in Hugging Face layout.
    Files(PathBuf),
    /// A script of replies, and the name under which it is to reply.
    Script { script: PathBuf, model: String },
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub messages: Vec<Message>,
    pub ask: Ask,
}

/// What is wanted of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A reply, as text, which ends before any of `stop`.
    Text { sampling: Sampling, max_tokens: usize, seed: u64, stop: Vec<String> },
    /// The log-probability of each option right after `opening`, the beginning of a reply. Each
    /// option must be a single token there.
    Choice { opening: String, options: Vec<String> },
    /// The log-probability of each token of `reply`.
    Likelihood { reply: String },
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The text asked for; empty for the other questions.
    pub text: String,
    pub finish: Finish,
    /// Natural logarithms: one an option, or one a token; empty where text was asked for, or where
    /// the question was overlong.
    pub log_probabilities: Vec<f64>,
}

impl Lm {
    /// Loads a model that multiplies as is fastest here.
    ///
    /// # Errors
    /// When the files are missing, damaged or of a model that is not supported.
    pub fn load(weights: &Weights) -> anyhow::Result<Self> {
        Self::load_with(weights, Products::Auto)
    }

    /// Loads a model.
    ///
    /// # Errors
    /// Those of [`Lm::load`].
    pub fn load_with(weights: &Weights, products: Products) -> anyhow::Result<Self> {
        Ok(match weights {
            Weights::Files(path) => Self::Local(Box::new(local::Local::load(path, products)?)),
            Weights::Script { script, model } => {
                Self::Scripted(scripted::Scripted::load(script, model)?)
            }
        })
    }

    /// Answers every request, handing over each reply, with its request's index, as it comes.
    ///
    /// `tokens` is told of tokens as they are made. Replies may come in any order; each depends on
    /// its request alone.
    ///
    /// # Errors
    /// Those of `seen`, and of a model that cannot go on. A reply that is of no use is no error.
    pub fn complete(
        &self,
        requests: &[Request],
        tokens: &mut dyn FnMut(usize),
        seen: &mut dyn FnMut(usize, Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => local.complete(requests, tokens, seen),
            Self::Scripted(scripted) => scripted.complete(requests, tokens, seen),
        }
    }
}

impl Weights {
    /// The weights of a checkpoint directory that a finetuning of `base` wrote.
    pub fn of_checkpoint(base: &Self, directory: &Path, model: &str) -> Self {
        match base {
            Self::Files(_) => Self::Files(directory.to_owned()),
            Self::Script { script, .. } => {
                Self::Script { script: script.clone(), model: model.to_owned() }
            }
        }
    }
}
