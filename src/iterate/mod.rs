//! The loop of the paper, and nothing else: the only module that names two stages.
mod judging;
mod lab;
mod plan;
mod rivals;

use std::path::{Path, PathBuf};

pub use plan::{Planned, plan};

use crate::{finetune::Direction, recipe::Recipe, watch::Watch};

/// Runs a recipe in the directory `out`, or goes on with it, or finds it done; returns the report.
///
/// M0 learns from the seed alone. Each further model starts from the base model again and learns
/// from the seed and from the pairs that the model before it rated best; the pairs themselves are
/// made once. After each finetuning the new model is compared with every baseline of the recipe.
///
/// # Errors
/// When a stage cannot finish. What it wrote stays, and the next run goes on from there.
pub fn run(recipe: &Recipe, out: &Path, cache: &Path, watch: Watch) -> anyhow::Result<PathBuf> {
    let lab = lab::Lab::open(recipe, out, cache, watch)?;

    let seed = lab.seed()?;
    let segments = lab.corpus()?;
    lab.finetune("backward", Direction::Backward, &seed)?;
    let pool = lab.augment("backward", &segments)?;

    lab.answer("base")?;
    lab.rivals()?;
    lab.finetune("M0", Direction::Forward, &seed)?;
    lab.evaluate("M0", None)?;
    for iteration in 1..=recipe.iterations {
        let (previous, model) = (format!("M{}", iteration - 1), format!("M{iteration}"));
        let kept = lab.curate(&previous, &pool, &model)?;
        lab.finetune(&model, Direction::Forward, &[&seed[..], &kept].concat())?;
        lab.evaluate(&model, Some(&previous))?;
    }
    lab.report()
}
