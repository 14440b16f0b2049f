//! A model on this machine, by the name that a person gives it.
use std::path::{Path, PathBuf};

use anyhow::Context;
use spyhop::{
    generate::{Contestant, Settings},
    source::cache_directory,
    watch::Watch,
};

/// Where its weights lie, and how it is asked: a model of a run by the run's own recipe.
///
/// # Errors
/// When there is no such model, or it has no weights.
pub(super) fn find(name: &str, watch: Watch) -> anyhow::Result<(PathBuf, Settings)> {
    let contestant = Contestant::load(name)?;
    let (path, _) = contestant.model(&cache_directory()?, watch)?.with_context(|| {
        format!("{name} has no weights: expected a GGUF file, a directory in Hugging Face layout, or a model of a run such as runs/quickstart/M2")
    })?;
    anyhow::ensure!(
        !is_scripted(&path),
        "{name} is of a scripted run: its replies come from a script, and there are no weights"
    );
    Ok((path, contestant.settings))
}

fn is_scripted(path: &Path) -> bool {
    path.join("scripted.json").exists()
}
