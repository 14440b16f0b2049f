//! The schema of a judge file, and what serde cannot say of it.
use serde::{Deserialize, Serialize};

use super::parser::Parser;
use crate::recipe::{Price, Source};

/// A judge file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JudgeFile {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) model: String,
    pub(super) prompt: Prompt,
    pub(super) parser: Parser,
    pub(super) sampling: Sampling,
    pub(super) price: Option<Price>,
}

/// What is asked: `user`, with or without `system`; or `source` alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prompt {
    pub(super) system: Option<String>,
    pub(super) user: Option<String>,
    /// One file with messages between `<|im_start|>` and `<|im_end|>`.
    pub(super) source: Option<Source>,
}

/// How the endpoint is to write its reply. A key that is left out is not sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Longest reply, in tokens.
    pub max_tokens: usize,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, up to 1.
    pub top_p: Option<f64>,
    /// How many candidates for each token are sent along with their log-probabilities.
    pub top_logprobs: Option<usize>,
    pub seed: Option<u64>,
}

impl JudgeFile {
    /// # Errors
    /// When the text is not TOML, or a key is unknown, missing or has a value that is not allowed.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let file: Self = toml::from_str(text)?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(plain),
            "name = {:?}: use letters, digits, -, _ and .",
            self.name
        );
        anyhow::ensure!(!self.model.trim().is_empty(), "model is empty: name one");
        self.prompt.check()?;
        self.sampling.check()?;
        self.parser.check()?;
        match (self.parser.reads_candidates(), self.sampling.top_logprobs) {
            (true, Some(2..=20)) | (false, None) => {}
            (true, given) => anyhow::bail!(
                "sampling.top_logprobs = {}: parser.kind = \"token_logprobs\" needs 2 to 20",
                given.map_or("none".to_owned(), |count| count.to_string())
            ),
            (false, Some(_)) => anyhow::bail!(
                "sampling.top_logprobs goes with parser.kind = \"token_logprobs\": leave it out"
            ),
        }
        if let Some(price) = &self.price {
            price.check()?;
        }
        Ok(())
    }
}

impl Prompt {
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.user.is_some() != self.source.is_some(),
            "[prompt] needs exactly one of `user` and `source`"
        );
        let Some(source) = &self.source else { return Ok(()) };
        anyhow::ensure!(self.system.is_none(), "prompt.system goes with prompt.user: leave it out");
        anyhow::ensure!(
            source.sha256.is_some()
                || source.from.iter().all(|place| place.trim().starts_with("file:")),
            "prompt.source.sha256 is missing: a prompt that is fetched must be the one that was meant"
        );
        Ok(())
    }
}

impl Sampling {
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.max_tokens > 0, "sampling.max_tokens = 0: must be at least 1");
        if let Some(temperature) = self.temperature {
            anyhow::ensure!(
                (0.0..=2.0).contains(&temperature),
                "sampling.temperature = {temperature}: must be between 0 and 2"
            );
        }
        if let Some(top_p) = self.top_p {
            anyhow::ensure!(
                top_p > 0.0 && top_p <= 1.0,
                "sampling.top_p = {top_p}: must be above 0, and 1 at most"
            );
        }
        Ok(())
    }
}
