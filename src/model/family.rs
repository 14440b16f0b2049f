//! What the families of models add to a plain Llama, and how `config.json` says so.
use anyhow::Context;
use serde_json::{Value, json};

use super::rotary::Scaling;

/// A model class of `transformers`. All are Llamas with something more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 1 to 3, TinyLlama, SmolLM 1 and 2.
    #[default]
    Llama,
    /// Attention may be confined to a window.
    Mistral,
    /// Qwen 2 and 2.5: queries, keys and values have a bias.
    Qwen2,
    /// Heads of queries and keys are normed.
    Qwen3,
    /// Some layers have no rotary positions.
    SmolLm3,
}

/// The names of an architecture in `config.json`: of its class and of its model type.
const NAMES: [(Architecture, &str, &str); 5] = [
    (Architecture::Llama, "LlamaForCausalLM", "llama"),
    (Architecture::Mistral, "MistralForCausalLM", "mistral"),
    (Architecture::Qwen2, "Qwen2ForCausalLM", "qwen2"),
    (Architecture::Qwen3, "Qwen3ForCausalLM", "qwen3"),
    (Architecture::SmolLm3, "SmolLM3ForCausalLM", "smollm3"),
];

/// What a model has beyond the shape of a plain Llama.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    pub architecture: Architecture,
    /// A token sees so many tokens, itself included; all, if none.
    pub window: Option<usize>,
    /// Layers without rotary positions.
    pub unrotated: Vec<usize>,
    /// How rotary positions are stretched.
    pub scaling: Option<Scaling>,
}

impl Architecture {
    /// By the class in `config.json`.
    ///
    /// # Errors
    /// When it is none of ours: the message names it and those that are.
    pub(super) fn of_class(class: &str) -> anyhow::Result<Self> {
        let known = NAMES.iter().find(|names| names.1 == class);
        let all = || NAMES.map(|names| names.1).join(", ");
        known.map(|names| names.0).with_context(|| {
            format!("the architecture {class} is not supported: expected one of {}", all())
        })
    }

    /// By `general.architecture` of a GGUF file, where Mistral is a Llama.
    ///
    /// # Errors
    /// When it is none of ours.
    pub(super) fn of_gguf(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "llama" => Self::Llama,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "smollm3" => Self::SmolLm3,
            _ => anyhow::bail!(
                "the architecture {name} is not supported: expected llama, qwen2, qwen3 or smollm3"
            ),
        })
    }

    fn names(self) -> (&'static str, &'static str) {
        let names = NAMES.iter().find(|names| names.0 == self);
        names.map_or(("", ""), |names| (names.1, names.2))
    }

    /// Whether queries, keys and values have a bias.
    pub fn has_biases(self) -> bool {
        self == Self::Qwen2
    }

    /// Whether heads of queries and keys are normed before they are rotated.
    pub fn has_head_norms(self) -> bool {
        self == Self::Qwen3
    }

    /// Whether the output layer is the embedding where `config.json` does not say.
    pub(super) fn is_tied_by_default(self) -> bool {
        self == Self::SmolLm3
    }

    /// The base of rotary positions where `config.json` does not say.
    pub(super) fn default_theta(self) -> f64 {
        if self == Self::SmolLm3 { 2e6 } else { 1e4 }
    }
}

impl Family {
    /// A plain Llama.
    pub const LLAMA: Self = Self {
        architecture: Architecture::Llama,
        window: None,
        unrotated: Vec::new(),
        scaling: None,
    };

    /// Whether a layer has rotary positions.
    pub fn rotates(&self, layer: usize) -> bool {
        !self.unrotated.contains(&layer)
    }

    /// Reads what a `config.json` says beyond the shape.
    ///
    /// # Errors
    /// When it asks for something that is not supported: the message names it, since a wrong guess
    /// would give fluent nonsense.
    pub(super) fn from_json(config: &Value, layers: usize) -> anyhow::Result<Self> {
        let architecture =
            Architecture::of_class(config["architectures"][0].as_str().unwrap_or("unknown"))?;
        for key in ["attention_bias", "mlp_bias"] {
            anyhow::ensure!(!config[key].as_bool().unwrap_or(false), "`{key}` is not supported");
        }
        let activation = config["hidden_act"].as_str().unwrap_or("silu");
        anyhow::ensure!(activation == "silu", "the activation {activation} is not supported");
        let uses_window = match architecture {
            Architecture::Mistral => true,
            _ => config["use_sliding_window"].as_bool().unwrap_or(false),
        };
        let window = config["sliding_window"].as_u64().filter(|_| uses_window);
        let kinds: Vec<&str> = config["layer_types"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let kind = if window.is_some() { "sliding_attention" } else { "full_attention" };
        if let Some(other) = kinds.iter().find(|&&other| other != kind) {
            anyhow::bail!(
                "`layer_types` has {other} beside {kind}: layers that differ are not supported"
            );
        }
        // Some Qwen 2 have a window in their upper layers only.
        anyhow::ensure!(
            window.is_none() || architecture == Architecture::Mistral || kinds.len() == layers,
            "`use_sliding_window` is not supported without `layer_types`"
        );
        Ok(Self {
            architecture,
            window: window.map(|window| window as usize),
            unrotated: match architecture {
                Architecture::SmolLm3 => unrotated(config, layers),
                _ => Vec::new(),
            },
            scaling: Scaling::from_json(config)?,
        })
    }

    /// Adds to a `config.json` what this family says there.
    pub(super) fn write_json(&self, config: &mut Value, layers: usize) {
        let (class, model_type) = self.architecture.names();
        config["architectures"] = json!([class]);
        config["model_type"] = json!(model_type);
        match self.architecture {
            Architecture::Llama => {
                config["attention_bias"] = json!(false);
                config["mlp_bias"] = json!(false);
            }
            Architecture::Mistral => config["sliding_window"] = json!(self.window),
            Architecture::Qwen2 | Architecture::Qwen3 | Architecture::SmolLm3 => {
                config["use_sliding_window"] = json!(self.window.is_some());
                config["sliding_window"] = json!(self.window);
                let kind =
                    if self.window.is_some() { "sliding_attention" } else { "full_attention" };
                config["layer_types"] = json!(vec![kind; layers]);
            }
        }
        if self.architecture == Architecture::SmolLm3 {
            let rotated: Vec<u8> = (0..layers).map(|layer| self.rotates(layer).into()).collect();
            config["no_rope_layers"] = json!(rotated);
        }
        if let Some(scaling) = &self.scaling {
            config["rope_scaling"] = scaling.to_json();
        }
    }

    /// Whether the backward pass covers it.
    ///
    /// # Errors
    /// When it does not: what is missing.
    pub(super) fn check_training(&self) -> anyhow::Result<()> {
        let (class, _) = self.architecture.names();
        anyhow::ensure!(
            !self.architecture.has_biases() && !self.architecture.has_head_norms(),
            "{class} can be asked but not finetuned: only Llamas, Mistral and SmolLM3 can"
        );
        Ok(())
    }
}

/// SmolLM3 lists layers with 1 for rotary positions and 0 for none; every fourth has none by default.
fn unrotated(config: &Value, layers: usize) -> Vec<usize> {
    let every = config["no_rope_layer_interval"].as_u64().unwrap_or(4) as usize;
    match config["no_rope_layers"].as_array() {
        Some(rotated) => {
            let none = |layer: &usize| rotated.get(*layer).and_then(Value::as_u64) == Some(0);
            (0..layers).filter(none).collect()
        }
        None => every_nth(layers, every),
    }
}

/// The last of every `every` layers.
pub(super) fn every_nth(layers: usize, every: usize) -> Vec<usize> {
    (0..layers).filter(|layer| (layer + 1).is_multiple_of(every.max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_survives_a_round_trip() {
        let scaling = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
        let configs = [
            json!({ "architectures": ["LlamaForCausalLM"], "rope_scaling": scaling }),
            json!({ "architectures": ["MistralForCausalLM"], "sliding_window": 4096 }),
            json!({ "architectures": ["MistralForCausalLM"], "sliding_window": null }),
            json!({ "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": false, "sliding_window": 99 }),
            json!({ "architectures": ["Qwen3ForCausalLM"], "layer_types": ["full_attention"] }),
            json!({ "architectures": ["SmolLM3ForCausalLM"], "no_rope_layers": [1, 1, 0, 1, 1] }),
        ];
        for config in configs {
            let family = Family::from_json(&config, 5).unwrap();
            let mut written = json!({});
            family.write_json(&mut written, 5);
            assert_eq!(Family::from_json(&written, 5).unwrap(), family, "{config}");
        }
        let smollm3 = json!({ "architectures": ["SmolLM3ForCausalLM"] });
        assert_eq!(Family::from_json(&smollm3, 9).unwrap().unrotated, [3, 7]);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let check = |config: Value, expected: &str| {
            let error = Family::from_json(&config, 2).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            json!({}),
            "the architecture unknown is not supported: expected one of LlamaForCausalLM",
        );
        check(
            json!({ "architectures": ["MambaForCausalLM"] }),
            "MambaForCausalLM is not supported",
        );
        let llama =
            |key: &str, value: Value| json!({ "architectures": ["LlamaForCausalLM"], key: value });
        check(llama("attention_bias", json!(true)), "`attention_bias`");
        check(llama("hidden_act", json!("gelu")), "the activation gelu");
        check(llama("rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 })), "(yarn)");
        check(llama("rope_scaling", json!({ "type": "dynamic" })), "(dynamic)");
        check(llama("rope_parameters", json!({ "rope_type": "linear" })), "(linear)");
        check(
            json!({ "architectures": ["Qwen2ForCausalLM"], "layer_types": ["full_attention", "sliding_attention"] }),
            "layers that differ",
        );
        check(
            json!({ "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": true, "sliding_window": 8 }),
            "`use_sliding_window`",
        );
    }

    #[test]
    fn only_what_the_backward_pass_covers_is_trained() {
        let of = |architecture| Family { architecture, ..Family::LLAMA }.check_training();
        for architecture in [Architecture::Llama, Architecture::Mistral, Architecture::SmolLm3] {
            of(architecture).unwrap();
        }
        for architecture in [Architecture::Qwen2, Architecture::Qwen3] {
            let error = of(architecture).unwrap_err().to_string();
            assert!(error.contains("ForCausalLM can be asked but not finetuned"), "{error}");
        }
    }
}
