//! Frequencies of rotary positions, and how Llama 3 stretches them.
use std::f32::consts::TAU;

use anyhow::Context;
use serde_json::{Value, json};

/// Llama 3's way to stretch positions: high frequencies stay, low ones are divided by `factor`, and
/// those between go over from one to the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    pub factor: f32,
    pub low_frequency_factor: f32,
    pub high_frequency_factor: f32,
    /// The context before it was stretched, in tokens.
    pub original_context: usize,
}

impl Scaling {
    /// What `config.json` says: under `rope_scaling`, or in newer files `rope_parameters`.
    ///
    /// # Errors
    /// When it is of another kind, or a number is missing.
    pub(super) fn from_json(config: &Value) -> anyhow::Result<Option<Self>> {
        for key in ["rope_scaling", "rope_parameters"] {
            let scaling = &config[key];
            let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str());
            match kind {
                None | Some("default") => {}
                Some("llama3") => {
                    let number = |name: &str| {
                        let number = scaling[name].as_f64();
                        number.with_context(|| format!("no number `{key}.{name}`"))
                    };
                    return Ok(Some(Self {
                        factor: number("factor")? as f32,
                        low_frequency_factor: number("low_freq_factor")? as f32,
                        high_frequency_factor: number("high_freq_factor")? as f32,
                        original_context: number("original_max_position_embeddings")? as usize,
                    }));
                }
                Some(other) => anyhow::bail!(
                    "rotary positions scaled in another way than Llama 3's ({other}) are not supported"
                ),
            }
        }
        Ok(None)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "rope_type": "llama3",
            "factor": self.factor,
            "low_freq_factor": self.low_frequency_factor,
            "high_freq_factor": self.high_frequency_factor,
            "original_max_position_embeddings": self.original_context,
        })
    }

    /// What GGUF files keep of it is the divisor of each frequency: the numbers of Llama 3.1 and later
    /// with the largest divisor, if they give the same.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn from_divisors(divisors: &[f32], plain: &[f32]) -> anyhow::Result<Self> {
        let scaling = Self {
            factor: divisors.iter().copied().fold(1.0, f32::max),
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192,
        };
        let same = divisors.len() == plain.len()
            && plain.iter().zip(divisors).all(|(plain, divisor)| {
                (plain / scaling.frequency(*plain) / divisor - 1.0).abs() < 1e-3
            });
        anyhow::ensure!(
            same,
            "rotary positions scaled in another way than Llama 3's (rope_freqs) are not supported"
        );
        Ok(scaling)
    }

    /// A stretched frequency, in the order of operations of transformers' `_compute_llama3_parameters`.
    fn frequency(&self, frequency: f32) -> f32 {
        let Self { factor, low_frequency_factor: low, high_frequency_factor: high, .. } = *self;
        let (context, length) = (self.original_context as f32, TAU / frequency);
        if length < context / high {
            return frequency;
        }
        if length > context / low {
            return frequency / factor;
        }
        let smooth = (context / length - low) / (high - low);
        (1.0 - smooth) * (frequency / factor) + smooth * frequency
    }
}

/// The angle between neighbours, in radians, for each pair of a head's values.
pub(super) fn frequencies(theta: f32, head_size: usize, scaling: Option<&Scaling>) -> Vec<f32> {
    // In f32 and in this order, as transformers computes it.
    let plain = (0..head_size / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / head_size as f32));
    match scaling {
        Some(scaling) => plain.map(|frequency| scaling.frequency(frequency)).collect(),
        None => plain.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_stretches_as_transformers_does() {
        // from transformers import LlamaConfig
        // from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
        // c = LlamaConfig(hidden_size=512, num_attention_heads=8, max_position_embeddings=131072,
        //   rope_parameters=dict(rope_theta=5e5, rope_type="llama3", factor=8.0, low_freq_factor=1.0,
        //   high_freq_factor=4.0, original_max_position_embeddings=8192))
        // print(ROPE_INIT_FUNCTIONS["llama3"](c, "cpu")[0][[0, 10, 14, 15, 16, 17, 20, 31]].tolist())
        let scaling = Scaling {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192,
        };
        let found = frequencies(5e5, 64, Some(&scaling));
        let expected = [
            (0, 1.0),
            (10, 0.016_560_44),
            (14, 0.003_211_446),
            (15, 0.001_371_893_7),
            (16, 0.000_524_846),
            (17, 0.000_178_507_79),
            (20, 3.428_102e-5),
            (31, 3.767_322_6e-7),
        ];
        for (at, expected) in expected {
            assert!((found[at] / expected - 1.0).abs() < 1e-5, "{at}: {} {expected}", found[at]);
        }
        let plain = frequencies(5e5, 64, None);
        let divisors: Vec<f32> = plain.iter().zip(&found).map(|(a, b)| a / b).collect();
        assert_eq!(Scaling::from_divisors(&divisors, &plain).unwrap(), scaling);
        assert!(Scaling::from_divisors(&[2.0; 32], &plain).is_err());
        assert!(Scaling::from_divisors(&[2.0; 3], &plain).is_err());
    }
}
