//! The secret that a server asks for: where it comes from, and how it stays one.
use std::{env, fmt, fs, path::Path};

use anyhow::Context;

/// Stands where a key stood.
const HIDDEN: &str = "[key]";

/// A secret. It is printed as nothing, and serialised not at all.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// # Errors
    /// When the variable is not set, or holds no key.
    pub fn from_environment(name: &str) -> anyhow::Result<Self> {
        // The error of `env::var` can hold the value.
        let text = env::var(name).ok().with_context(|| {
            format!("the environment variable {name} is not set: put the key of the server there")
        })?;
        Self::new(&text).with_context(|| format!("the environment variable {name}"))
    }

    /// # Errors
    /// When the file cannot be read, or holds no key.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the key file {}", path.display()))?;
        Self::new(&text).with_context(|| path.display().to_string())
    }

    pub(super) fn new(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        anyhow::ensure!(!text.is_empty(), "holds nothing, where a key was expected");
        anyhow::ensure!(
            text.bytes().all(|byte| byte.is_ascii_graphic()),
            "holds spaces or other characters that no key has; put the key there and nothing else"
        );
        Ok(Self(text.into()))
    }

    /// The value of the header that shows it.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the key.
    pub(super) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, HIDDEN)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}
