//! Where each weight of a model lies in memory.
use std::ops::Range;

use rayon::prelude::*;

use super::{config::Config, memory};

/// One weight matrix (or vector, with one row) in the arena.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name in Hugging Face's layout.
    pub name: String,
    pub rows: usize,
    pub columns: usize,
    pub at: Range<usize>,
    /// Norms and biases are vectors: stored with one dimension, and not decayed by AdamW.
    pub is_norm: bool,
}

impl Tensor {
    /// # Errors
    /// When a file has a tensor of another shape under this name.
    pub(super) fn check_shape(&self, name: &str, shape: &[usize]) -> anyhow::Result<()> {
        let expected = [self.rows, self.columns];
        let expected = if self.is_norm { &expected[1..] } else { &expected[..] };
        anyhow::ensure!(
            shape == expected,
            "tensor {name} has the shape {shape:?}, and the model's configuration asks for {expected:?}"
        );
        Ok(())
    }

    /// # Errors
    /// When a weight is no number, which would make every answer nonsense.
    pub(super) fn check_values(&self, name: &str, values: &[f32]) -> anyhow::Result<()> {
        let sick = values.iter().filter(|value| !value.is_finite()).count();
        anyhow::ensure!(
            sick == 0,
            "tensor {name} has {sick} weights of {} that are not finite numbers: the file is damaged, or its training failed",
            values.len()
        );
        Ok(())
    }
}

/// Where every weight lies in one arena of `f32`.
#[derive(Clone, Debug)]
pub struct Layout {
    pub embedding: Range<usize>,
    pub output: Range<usize>,
    pub final_norm: Range<usize>,
    pub layers: Vec<LayerLayout>,
    /// Every distinct tensor, in arena order.
    pub tensors: Vec<Tensor>,
}

#[derive(Clone, Debug)]
pub struct LayerLayout {
    pub attention_norm: Range<usize>,
    pub query: Range<usize>,
    pub key: Range<usize>,
    pub value: Range<usize>,
    /// Those of queries, keys and values, in some families.
    pub biases: Option<[Range<usize>; 3]>,
    /// The norms of a head of queries and of one of keys, in some families.
    pub head_norms: Option<[Range<usize>; 2]>,
    pub attention_output: Range<usize>,
    pub feed_forward_norm: Range<usize>,
    pub gate: Range<usize>,
    pub up: Range<usize>,
    pub down: Range<usize>,
}

impl Layout {
    pub fn new(config: &Config) -> Self {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut place = |name: String, rows: usize, columns: usize| {
            let start = tensors.last().map_or(0, |last: &Tensor| last.at.end);
            let at = start..start + rows * columns;
            let is_norm = name.ends_with("norm.weight") || name.ends_with(".bias");
            tensors.push(Tensor { name, rows, columns, at: at.clone(), is_norm });
            at
        };
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let (query, key) = (config.heads * config.head_size, config.kv_heads * config.head_size);
        let (architecture, head) = (config.family.architecture, config.head_size);
        let embedding = place("model.embed_tokens.weight".into(), config.vocabulary, hidden);
        let layers = (0..config.layers)
            .map(|layer| {
                let mut bias = |name: &str, columns| {
                    place(format!("model.layers.{layer}.self_attn.{name}.bias"), 1, columns)
                };
                let biases = architecture
                    .has_biases()
                    .then(|| [bias("q_proj", query), bias("k_proj", key), bias("v_proj", key)]);
                let mut place = |name: &str, rows, columns| {
                    place(format!("model.layers.{layer}.{name}.weight"), rows, columns)
                };
                let head_norms = architecture.has_head_norms().then(|| {
                    ["self_attn.q_norm", "self_attn.k_norm"].map(|name| place(name, 1, head))
                });
                LayerLayout {
                    biases,
                    head_norms,
                    attention_norm: place("input_layernorm", 1, hidden),
                    query: place("self_attn.q_proj", query, hidden),
                    key: place("self_attn.k_proj", key, hidden),
                    value: place("self_attn.v_proj", key, hidden),
                    attention_output: place("self_attn.o_proj", hidden, query),
                    feed_forward_norm: place("post_attention_layernorm", 1, hidden),
                    gate: place("mlp.gate_proj", wide, hidden),
                    up: place("mlp.up_proj", wide, hidden),
                    down: place("mlp.down_proj", hidden, wide),
                }
            })
            .collect();
        let final_norm = place("model.norm.weight".into(), 1, hidden);
        let output = match config.tied {
            true => embedding.clone(),
            false => place("lm_head.weight".into(), config.vocabulary, hidden),
        };
        Self { embedding, output, final_norm, layers, tensors }
    }

    /// Where the weights of so many layers lie, counted from the last.
    pub(super) fn last_layers(&self, count: usize) -> Range<usize> {
        let before = self.layers.iter().rev().nth(count);
        let start = before.map_or(self.embedding.end, |before| before.down.end);
        start..self.layers.last().map_or(start, |last| last.down.end)
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.at.end)
    }

    /// # Errors
    /// When memory does not suffice for the weights.
    pub(super) fn ensure_fits(&self) -> anyhow::Result<()> {
        let advice = "choose a smaller model or a machine with more";
        memory::ensure_free(4 * self.len(), "the model, in 32-bit numbers,", advice)
    }

    /// An arena of weights, each tensor's made by `fill`, several at a time.
    ///
    /// # Errors
    /// That of the first tensor that cannot be filled.
    pub(super) fn filled(
        &self,
        fill: impl Fn(&Tensor, &mut [f32]) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<Vec<f32>> {
        let mut data = vec![0.0; self.len()];
        let mut rest = &mut data[..];
        let mut targets = Vec::new();
        for tensor in &self.tensors {
            let (target, tail) = rest.split_at_mut(tensor.at.len());
            targets.push((tensor, target));
            rest = tail;
        }
        let found = targets.into_par_iter().map(|(tensor, target)| fill(tensor, target));
        found.collect::<Vec<_>>().into_iter().collect::<anyhow::Result<()>>()?;
        Ok(data)
    }

    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}
