//! Low-rank adapters (LoRA, Hu et al. 2021): a small pair of matrices is trained for each chosen
//! projection, and the weights themselves stay as they are.
//!
//! Knows where its matrices lie and how they are written for PEFT, not how they are trained: `network`
//! runs them, `train` moves them.
use std::{collections::BTreeSet, ops::Range, path::Path};

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use super::{
    checkpoint,
    layout::{Layout, Tensor},
    network::Weights,
    ops::{Cores, Matrix, Write, multiply},
};

/// What is trained in place of all weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Columns of `A`'s transpose and of `B`.
    pub rank: usize,
    /// The adapter counts `alpha / rank` times.
    pub alpha: f64,
    /// Projections by their names in Hugging Face's layout, such as `q_proj`.
    pub targets: Vec<String>,
}

/// The matrices of an adapter in one arena: `y = x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ`.
#[derive(Debug)]
pub struct Adapter {
    lora: Lora,
    /// In the order of the weights that they belong to.
    pairs: Vec<Pair>,
    pub(super) data: Vec<f32>,
}

/// `A` (rank, inputs) and `B` (outputs, rank) of one projection.
#[derive(Debug)]
struct Pair {
    projection: Tensor,
    a: Range<usize>,
    b: Range<usize>,
}

impl Adapter {
    /// An adapter that changes nothing yet, of the projections that lie `within`: `B` is zero, and `A`
    /// uniform in ±1/√inputs, which is what PEFT's `kaiming_uniform_(a=√5)` comes to.
    pub(super) fn new(
        lora: &Lora,
        layout: &Layout,
        within: &Range<usize>,
        random_seed: u64,
    ) -> Self {
        let (mut pairs, mut data) = (Vec::new(), Vec::new());
        let mut random = ChaCha8Rng::seed_from_u64(random_seed);
        // The first streams shuffle epochs.
        random.set_stream(u64::MAX);
        let mut targets = layout.tensors.clone();
        targets.retain(|tensor| within.contains(&tensor.at.start) && is_target(lora, &tensor.name));
        for projection in targets {
            let start = data.len();
            let bound = 1.0 / (projection.columns as f32).sqrt();
            let values = (0..lora.rank * projection.columns)
                .map(|_| bound * (2.0 * random.random::<f32>() - 1.0));
            data.extend(values);
            let a = start..data.len();
            data.resize(a.end + projection.rows * lora.rank, 0.0);
            let b = a.end..data.len();
            pairs.push(Pair { projection, a, b });
        }
        Self { lora: lora.clone(), pairs, data }
    }

    pub(super) fn rank(&self) -> usize {
        self.lora.rank
    }

    /// How often the product of the two matrices counts.
    pub(super) fn scale(&self) -> f32 {
        (self.lora.alpha / self.lora.rank as f64) as f32
    }

    /// Where `A` and `B` of the projection lie whose weights lie at `at`, if it has an adapter.
    pub(super) fn pair(&self, at: &Range<usize>) -> Option<[Range<usize>; 2]> {
        let found = self.pairs.binary_search_by_key(&at.start, |pair| pair.projection.at.start);
        let pair = &self.pairs[found.ok()?];
        Some([pair.a.clone(), pair.b.clone()])
    }

    /// Adds the adapter to the weights: `W += (alpha / rank) B A`.
    pub(super) fn merge(&self, weights: &mut Weights) {
        let rank = self.lora.rank;
        for Pair { projection, a, b } in &self.pairs {
            let (rows, columns) = (projection.rows, projection.columns);
            let a = Matrix::dense(&self.data[a.clone()], rank, columns);
            let b = Matrix::dense(&self.data[b.clone()], rows, rank);
            let target = &mut weights.data[projection.at.clone()];
            multiply(target, columns, Write::Add, b, a, self.scale(), Cores::All);
        }
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT does, whole or not at all.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, directory: &Path) -> anyhow::Result<()> {
        checkpoint::write_whole(directory, |partial| {
            checkpoint::write_json(
                &partial.join("adapter_config.json"),
                &json!({
                    "peft_type": "LORA",
                    "task_type": "CAUSAL_LM",
                    "base_model_name_or_path": null,
                    "r": self.lora.rank,
                    "lora_alpha": self.lora.alpha,
                    "lora_dropout": 0.0,
                    "target_modules": self.lora.targets,
                    "layers_to_transform": self.layers(),
                    "bias": "none",
                    "fan_in_fan_out": false,
                    "inference_mode": true,
                    "init_lora_weights": true,
                    "modules_to_save": null,
                    "use_dora": false,
                    "use_rslora": false,
                }),
            )?;
            let view = |(name, at, shape): (String, Range<usize>, [usize; 2])| {
                let bytes = bytemuck::cast_slice(&self.data[at]);
                anyhow::Ok((name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
            };
            let views = self.matrices().into_iter().map(view).collect::<anyhow::Result<_>>()?;
            checkpoint::write_tensors(&partial.join("adapter_model.safetensors"), views)
        })
    }

    /// The layers that have an adapter, by their numbers from 0.
    fn layers(&self) -> BTreeSet<usize> {
        let number = |pair: &Pair| {
            let (_, after) = pair.projection.name.split_once("layers.")?;
            after.split_once('.')?.0.parse().ok()
        };
        self.pairs.iter().filter_map(number).collect()
    }

    /// Every matrix: its name in PEFT's layout, where it lies, rows and columns.
    pub(super) fn matrices(&self) -> Vec<(String, Range<usize>, [usize; 2])> {
        let rank = self.lora.rank;
        let matrices = |Pair { projection, a, b }: &Pair| {
            let name = projection.name.trim_end_matches(".weight");
            let name = |matrix| format!("base_model.model.{name}.{matrix}.weight");
            [
                (name("lora_A"), a.clone(), [rank, projection.columns]),
                (name("lora_B"), b.clone(), [projection.rows, rank]),
            ]
        };
        self.pairs.iter().flat_map(matrices).collect()
    }
}

fn is_target(lora: &Lora, name: &str) -> bool {
    let mut parts = name.rsplit('.').skip(1);
    parts.next().is_some_and(|projection| lora.targets.iter().any(|target| target == projection))
}
