//! The shape of a Llama-family model, and where each weight lies in memory.
use std::ops::Range;

use anyhow::Context;
use serde_json::{Value, json};

use super::{family::Family, memory, ops::Rotation, rotary::frequencies};

/// The shape of a model: what Hugging Face's `config.json` says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    /// Heads of keys and values; `heads / kv_heads` query heads share one.
    pub kv_heads: usize,
    pub head_size: usize,
    pub vocabulary: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    pub rope_theta: f32,
    pub rms_epsilon: f32,
    /// Whether the output layer is the embedding.
    pub tied: bool,
    /// What it has beyond a plain Llama.
    pub family: Family,
}

impl Config {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// When a key is missing, or the model has something that is not supported: the message names it.
    pub fn from_json(config: &Value) -> anyhow::Result<Self> {
        let number = |key: &str| {
            let value = config[key].as_u64().with_context(|| format!("no number `{key}`"))?;
            anyhow::Ok(value as usize)
        };
        let (hidden_size, heads) = (number("hidden_size")?, number("num_attention_heads")?);
        let layers = number("num_hidden_layers")?;
        let family = Family::from_json(config, layers)?;
        // Newer files keep the base among the parameters of the rotary positions.
        let theta = config["rope_theta"].as_f64();
        let theta = theta.or(config["rope_parameters"]["rope_theta"].as_f64());
        let theta = theta.unwrap_or(family.architecture.default_theta());
        let tied = family.architecture.is_tied_by_default();
        Self {
            hidden_size,
            intermediate_size: number("intermediate_size")?,
            layers,
            heads,
            kv_heads: number("num_key_value_heads").unwrap_or(heads),
            head_size: number("head_dim").unwrap_or(hidden_size / heads.max(1)),
            vocabulary: number("vocab_size")?,
            context: number("max_position_embeddings")?,
            rope_theta: theta as f32,
            rms_epsilon: config["rms_norm_eps"].as_f64().context("no number `rms_norm_eps`")?
                as f32,
            tied: config["tie_word_embeddings"].as_bool().unwrap_or(tied),
            family,
        }
        .checked()
    }

    /// The `config.json` of this shape, as `transformers` reads it.
    pub fn to_json(&self, begin: Option<u32>, end: u32) -> Value {
        let mut written = json!({
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": decimal(self.rms_epsilon),
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "bos_token_id": begin,
            "eos_token_id": end,
            // Left out, transformers takes one for granted in some families.
            "pad_token_id": null,
            "torch_dtype": "float32",
        });
        self.family.write_json(&mut written, self.layers);
        written
    }

    /// Cosines and sines for so many positions.
    pub(super) fn rotation(&self, positions: usize) -> Rotation {
        let scaling = self.family.scaling.as_ref();
        Rotation::new(positions, &frequencies(self.rope_theta, self.head_size, scaling))
    }

    /// Refuses shapes that the code would index out of bounds with.
    pub(super) fn checked(self) -> anyhow::Result<Self> {
        let sizes = [self.hidden_size, self.intermediate_size, self.layers, self.vocabulary];
        let more = [self.heads, self.kv_heads, self.head_size, self.context];
        anyhow::ensure!(
            sizes.into_iter().chain(more).all(|size| size > 0)
                && self.heads.is_multiple_of(self.kv_heads)
                && self.head_size.is_multiple_of(2),
            "this is no Llama shape: {self:?}"
        );
        Ok(self)
    }
}

/// A `f32` as the shortest decimal that means it: `1e-5`, not `0.000009999999747378752`.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

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

    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

/// The shape of SmolLM2-135M.
#[cfg(test)]
pub(super) fn smollm2() -> Config {
    Config {
        hidden_size: 576,
        intermediate_size: 1536,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_size: 64,
        vocabulary: 49152,
        context: 8192,
        rope_theta: 1e5,
        rms_epsilon: 1e-5,
        tied: true,
        family: Family::LLAMA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smollm2_has_as_many_weights_as_its_card_says() {
        // The GGUF of SmolLM2-135M-Instruct lists 134,515,008 parameters.
        let config = smollm2();
        assert_eq!(Layout::new(&config).len(), 134_515_008);
        let again = Config::from_json(&config.to_json(Some(1), 2)).unwrap();
        assert_eq!(again, config);
    }
}
