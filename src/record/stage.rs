//! What a stage says of itself: its end with its counts, and the course of a training.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The last thing a stage writes: its existence means that the stage is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The stage: `corpus`, `augment`, `M1/curate`, ...
    pub id: String,
    /// Hash of everything that the stage read.
    pub inputs: String,
    pub counts: Counts,
    /// Wall time of the session that finished the stage, in seconds.
    pub seconds: f64,
    /// Whether an earlier session had begun the stage: then `seconds` is not the whole of its cost.
    pub resumed: bool,
}

/// `rows_in` = `kept` + all of `dropped` + `failed`. Always.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub rows_in: usize,
    pub kept: usize,
    /// Rows set aside on purpose, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Rows for which the model gave nothing usable.
    pub failed: usize,
    /// Dollars for the replies of servers that came in the session that finished the stage; absent where
    /// nothing has a price. What a store held, or an earlier session paid for, is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl Counts {
    /// Counts for a stage that keeps all it is given.
    pub fn all(rows: usize) -> Self {
        Self { rows_in: rows, kept: rows, ..Self::default() }
    }

    pub fn balanced(&self) -> bool {
        self.rows_in == self.kept + self.dropped.values().sum::<usize>() + self.failed
    }
}

/// What a finetuning is about to learn from, checked before it begins (`audit.json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub examples: usize,
    pub tokens: usize,
    /// Tokens with a label: those of the outputs and of the end of each turn.
    pub trained_tokens: usize,
    /// Examples cut to `finetune.max_tokens`; their end of turn is not learned.
    pub truncated: usize,
    /// Examples whose last label is the end-of-turn token.
    pub end_of_turn_learned: usize,
    /// Pairs that are not among the examples, because the loss on them is measured.
    #[serde(default)]
    pub held_out: usize,
}

/// One optimiser step of a finetuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingStep {
    /// The step's number, from 1.
    pub id: String,
    /// Mean negative log-likelihood of a trained token, in nats, before the step.
    pub loss: f64,
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens that had a label in this step.
    pub trained_tokens: usize,
    /// All tokens that went through the model in this step.
    pub tokens: usize,
    /// Wall time of the step.
    pub seconds: f64,
    /// The same loss on the pairs held out, before the first step.
    #[serde(default)]
    pub held_out_before: Option<f64>,
    /// The same after this step, where it ends an epoch or the training.
    #[serde(default)]
    pub held_out_after: Option<f64>,
}
