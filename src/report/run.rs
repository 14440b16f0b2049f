//! What a run directory holds so far. Reads files, calculates nothing.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    recipe::{BASE, PREVIOUS, Recipe, baseline_name},
    record::{
        Audit, Augmented, Completion, Done, Judgment, Origin, Pair, Prompt, Rated, Selection,
        TrainingStep,
    },
    store::{Provenance, read_so_far},
};

/// A run directory, possibly of an unfinished run.
#[derive(Debug)]
pub(super) struct Run {
    root: PathBuf,
    pub(super) recipe: Recipe,
    pub(super) provenance: Option<Provenance>,
    /// Finished stages, in the order in which they finished.
    pub(super) done: Vec<Done>,
    /// The eval set.
    pub(super) prompts: Vec<Prompt>,
    /// Answers by model, then by prompt id; only of models that have answered everything.
    pub(super) answers: BTreeMap<String, BTreeMap<String, Completion>>,
}

impl Run {
    /// # Errors
    /// When the directory has no readable recipe, or a file holds something that is not a row.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let recipe = Recipe::load(&root.join("recipe.toml")).with_context(|| {
            format!("{} is not a run directory: it needs a recipe.toml", root.display())
        })?;
        let mut run = Self {
            root: root.to_owned(),
            recipe,
            provenance: json(&root.join("provenance.json"))?,
            done: read_so_far(&root.join("stages.jsonl"))?,
            prompts: read_so_far(&root.join("prompts.jsonl"))?,
            answers: BTreeMap::new(),
        };
        for model in run.contestants() {
            if run.is_done(&format!("{model}/generate")) {
                let rows: Vec<Completion> =
                    read_so_far(&root.join(&model).join("completions.jsonl"))?;
                let by_prompt = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
                run.answers.insert(model, by_prompt);
            }
        }
        Ok(run)
    }

    /// The forward models of the whole run: M0, M1, ...
    pub(super) fn models(&self) -> Vec<String> {
        (0..=self.recipe.iterations).map(|iteration| format!("M{iteration}")).collect()
    }

    pub(super) fn is_done(&self, stage: &str) -> bool {
        self.done.iter().any(|done| done.id == stage)
    }

    /// Dollars that some stages took for replies of servers; `None` where none had a price.
    pub(super) fn spent(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let costs =
            self.done.iter().filter(|done| of(&done.id)).filter_map(|done| done.counts.cost);
        costs.reduce(|sum, cost| sum + cost)
    }

    /// Wall time of a finished stage; 0 if it is not.
    pub(super) fn seconds(&self, stage: &str) -> f64 {
        self.done.iter().filter(|done| done.id == stage).map(|done| done.seconds).sum()
    }

    /// Everyone who answers the eval set: the base model, the baselines from outside, M0, M1, ...
    pub(super) fn contestants(&self) -> Vec<String> {
        let rivals = self.recipe.evaluate.rivals().map(|rival| baseline_name(rival).to_owned());
        [BASE.to_owned()].into_iter().chain(rivals).chain(self.models()).collect()
    }

    /// The baselines of an iteration, as its files of judgments are called, and as they are shown.
    pub(super) fn baselines(&self, iteration: usize) -> Vec<(String, String)> {
        let of = self.recipe.evaluate.baselines.iter().map(|baseline| baseline_name(baseline));
        of.filter(|&name| iteration > 0 || name != PREVIOUS)
            .map(|name| match name {
                PREVIOUS => (name.to_owned(), format!("M{}", iteration - 1)),
                name => (name.to_owned(), name.to_owned()),
            })
            .collect()
    }

    /// Every stage that the recipe asks for, in order, but the finetuning of a baseline.
    pub(super) fn stages(&self) -> Vec<String> {
        let mut stages =
            ["seed", "corpus", "backward/finetune", "augment"].map(str::to_owned).to_vec();
        let own = self.recipe.iterations + 1;
        let contestants = self.contestants();
        let others = &contestants[..contestants.len() - own];
        stages.extend(others.iter().map(|name| format!("{name}/generate")));
        for iteration in 0..own {
            if iteration > 0 {
                stages.push(format!("M{}/curate", iteration - 1));
            }
            stages.push(format!("M{iteration}/finetune"));
            stages.push(format!("M{iteration}/generate"));
            let baselines = self.baselines(iteration).into_iter();
            stages.extend(baselines.map(|(of, _)| format!("M{iteration}/judge-{of}")));
        }
        stages
    }

    /// The verdicts of a finished judging; `None` while it runs, because half of the prompts in
    /// half of the orders is not a result.
    pub(super) fn judgments(&self, model: &str, of: &str) -> anyhow::Result<Option<Vec<Judgment>>> {
        if !self.is_done(&format!("{model}/judge-{of}")) {
            return Ok(None);
        }
        read_so_far(&self.root.join(model).join(format!("judgments-{of}.jsonl"))).map(Some)
    }

    pub(super) fn seed_pairs(&self) -> anyhow::Result<Vec<Pair>> {
        read_so_far(&self.root.join("seed.jsonl"))
    }

    pub(super) fn augmented(&self) -> anyhow::Result<Vec<Augmented>> {
        read_so_far(&self.root.join("augmented.jsonl"))
    }

    /// The curated pairs that a model was trained on, without the seed.
    pub(super) fn curated_pairs(&self, model: &str) -> anyhow::Result<Vec<Pair>> {
        let mut pairs: Vec<Pair> = read_so_far(&self.root.join(model).join("training.jsonl"))?;
        pairs.retain(|pair| pair.origin == Origin::Augmented);
        Ok(pairs)
    }

    /// What a model said of the augmented pairs; nothing while it still rates them.
    pub(super) fn ratings(&self, model: &str) -> anyhow::Result<Vec<Rated>> {
        if !self.is_done(&format!("{model}/curate")) {
            return Ok(Vec::new());
        }
        read_so_far(&self.root.join(model).join("ratings.jsonl"))
    }

    pub(super) fn selection(&self, model: &str) -> anyhow::Result<Option<Selection>> {
        json(&self.root.join(model).join("selection.json"))
    }

    pub(super) fn audit(&self, model: &str) -> anyhow::Result<Option<Audit>> {
        json(&self.root.join(model).join("audit.json"))
    }

    pub(super) fn training_steps(&self, model: &str) -> anyhow::Result<Vec<TrainingStep>> {
        read_so_far(&self.root.join(model).join("metrics.jsonl"))
    }
}

/// A file that may not exist yet.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{} is not what this version writes there", path.display()))
}
