//! How models are trained, as TOML.
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Products, defaults};

/// How every model of the run is trained: the backward model, M0, M1, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// Passes over the training pairs.
    pub epochs: f64,
    /// Pairs in one optimiser step. The paper: 32, or 8 below 3,000 pairs.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: usize,
    /// Learning rate at the first step. The paper: 1e-5.
    #[serde(default = "defaults::learning_rate")]
    pub learning_rate: f64,
    /// Learning rate at the last step, reached linearly. The paper: 9e-6.
    #[serde(default = "defaults::final_learning_rate")]
    pub final_learning_rate: f64,
    /// AdamW's decoupled weight decay. The paper: 0.1.
    #[serde(default = "defaults::weight_decay")]
    pub weight_decay: f64,
    /// Gradients of a larger norm are scaled down to this. The paper does not say.
    #[serde(default = "defaults::gradient_clip")]
    pub gradient_clip: f64,
    /// How a training multiplies; its weights stay `f32`.
    #[serde(default)]
    pub products: Products,
    /// Longest training example, in tokens; longer ones are cut and counted.
    #[serde(default = "defaults::max_example_tokens")]
    pub max_tokens: usize,
    /// Share of each layer's output that is dropped while training. The paper: 0.1.
    #[serde(default)]
    pub dropout: f64,
    /// Seed pairs that nothing is learned from; the loss on them is measured.
    #[serde(default)]
    pub held_out: usize,
    /// Trains so many layers, counted from the last, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_layers: Option<usize>,
    /// Trains a low-rank adapter in place of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
}

/// A low-rank adapter (Hu et al. 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rows of `A` and columns of `B`, the two matrices of a projection.
    pub rank: usize,
    /// The product of the two counts `alpha / rank` times.
    pub alpha: f64,
    /// The projections of each layer that have an adapter.
    #[serde(default = "defaults::all_projections")]
    pub targets: Vec<Projection>,
}

/// A matrix of a layer, by its name in Hugging Face's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Projection {
    #[serde(rename = "q_proj")]
    Query,
    #[serde(rename = "k_proj")]
    Key,
    #[serde(rename = "v_proj")]
    Value,
    #[serde(rename = "o_proj")]
    AttentionOutput,
    #[serde(rename = "gate_proj")]
    Gate,
    #[serde(rename = "up_proj")]
    Up,
    #[serde(rename = "down_proj")]
    Down,
}

impl Projection {
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOutput,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// Its name in Hugging Face's layout.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::AttentionOutput => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }
}

impl Finetune {
    /// What serde cannot say of what is trained.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.last_layers != Some(0),
            "finetune.last_layers = 0: must be at least 1; leave it out to train all weights"
        );
        let Some(Lora { rank, alpha, targets }) = &self.lora else { return Ok(()) };
        anyhow::ensure!(*rank > 0, "finetune.lora.rank = 0: must be at least 1");
        anyhow::ensure!(
            *alpha > 0.0 && alpha.is_finite(),
            "finetune.lora.alpha = {alpha}: must be above 0"
        );
        let distinct: HashSet<&Projection> = targets.iter().collect();
        anyhow::ensure!(
            !targets.is_empty() && distinct.len() == targets.len(),
            "finetune.lora.targets: name at least one projection, and none twice"
        );
        Ok(())
    }
}
