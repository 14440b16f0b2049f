//! The shape of a Llama-family model.
use anyhow::Context;
use serde_json::{Value, json};

use super::{family::Family, ops::Rotation, rotary::frequencies};

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
    use super::{super::layout::Layout, *};

    #[test]
    fn smollm2_has_as_many_weights_as_its_card_says() {
        // The GGUF of SmolLM2-135M-Instruct lists 134,515,008 parameters.
        let config = smollm2();
        assert_eq!(Layout::new(&config).len(), 134_515_008);
        let again = Config::from_json(&config.to_json(Some(1), 2)).unwrap();
        assert_eq!(again, config);
    }
}
