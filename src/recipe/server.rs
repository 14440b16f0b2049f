//! Servers that speak OpenAI's protocols, as TOML: hosted ones, vLLM, SGLang, llama.cpp.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Servers that all offer the same models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Addresses up to the part that OpenAI calls `v1`. The first names the replies in the store.
    #[serde(default = "openai")]
    pub endpoints: Vec<String>,
    /// The environment variable that holds the servers' key: `OPENAI_API_KEY` where it is set. A recipe
    /// never holds the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// A file that holds the key, in place of a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Calls at a time, over all servers; fewer while they say that it is too much.
    #[serde(default = "sixteen")]
    pub concurrency: usize,
    /// Seconds that one attempt may take.
    #[serde(default = "ten_minutes")]
    pub timeout_seconds: u64,
}

/// What tokens cost, in dollars per million.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of a token that is sent.
    pub prompt: f64,
    /// Of a token that the model writes.
    pub completion: f64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            endpoints: openai(),
            key_env: None,
            key_file: None,
            concurrency: sixteen(),
            timeout_seconds: ten_minutes(),
        }
    }
}

impl Price {
    /// So many tokens in dollars.
    pub fn of(&self, prompt_tokens: f64, completion_tokens: f64) -> f64 {
        (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
    }

    /// # Errors
    /// When a price is below nothing.
    pub fn check(&self) -> anyhow::Result<()> {
        for (key, value) in [("prompt", self.prompt), ("completion", self.completion)] {
            anyhow::ensure!(
                value >= 0.0 && value.is_finite(),
                "price.{key} = {value}: must be dollars per million tokens, 0 or more"
            );
        }
        Ok(())
    }
}

fn openai() -> Vec<String> {
    vec!["https://api.openai.com/v1".into()]
}

fn sixteen() -> usize {
    16
}

fn ten_minutes() -> u64 {
    600
}
