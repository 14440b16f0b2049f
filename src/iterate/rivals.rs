//! Baselines from outside the run: their answers are read, asked for, or made by finetuning.
use std::{fs, path::Path};

use anyhow::Context;

use super::lab::Lab;
use crate::{
    finetune::Direction,
    generate::{Contestant, Entrant, Pairs, Servers},
    recipe::{Recipe, Seed, baseline_name},
    record::{Counts, Prompt},
    seed, source,
    watch::{Event, Watch},
};

/// Loads a baseline, and brings what it needs from outside.
pub(super) fn enter(
    baseline: &str,
    recipe: &Recipe,
    prompts: &[Prompt],
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<Entrant> {
    let contestant = Contestant::load(&source::beside(&recipe.directory, baseline))?;
    let recorded = contestant.recorded(cache, watch)?;
    let entrant = Entrant::new(&contestant, recorded, prompts, cache, watch)?;
    Ok(entrant.called(baseline_name(baseline)))
}

impl Lab<'_> {
    /// Has every baseline from outside answer the eval set.
    pub(super) fn rivals(&self) -> anyhow::Result<()> {
        for rival in &self.rivals {
            let name = rival.name();
            let answered = match rival.finetuned() {
                Some(pairs) => self.finetuned(name, pairs),
                None => self.rival(rival),
            };
            answered.with_context(|| format!("the baseline {name}"))?;
        }
        Ok(())
    }

    fn finetuned(&self, name: &str, pairs: &Pairs) -> anyhow::Result<()> {
        let settings = Seed {
            source: pairs.source.clone(),
            format: pairs.format,
            limit: usize::MAX,
            language: self.recipe.seed.language.clone(),
        };
        let fetched = source::fetch(&pairs.source, Path::new(""), &self.cache, self.watch)?;
        let rows = seed::read(fetched.file()?, &settings)?;
        (self.watch)(Event::Say(format!(
            "{name}: no answers of the original are public, so this run's base model is finetuned on its {} pairs",
            rows.pairs.len()
        )));
        self.finetune(name, Direction::Forward, &rows.pairs)?;
        self.answer(name)
    }

    fn rival(&self, rival: &Entrant) -> anyhow::Result<()> {
        let name = rival.name();
        let inputs = [rival.identity(), &self.hashes.prompts];
        self.run.stage(&format!("{name}/generate"), &inputs, |stage| {
            let directory = stage.path(name);
            fs::create_dir_all(&directory)?;
            let out = directory.join("completions.jsonl");
            let replies = self.cache.join("replies.sqlite");
            let servers = Servers { replies: &replies, offline: false };
            let spent = rival.answer(&self.prompts, servers, &mut |_| Ok(()), self.work(&out))?;
            let spent = spent.unwrap_or_default();
            anyhow::ensure!(
                spent.failed == 0,
                "{} prompts got no reply ({}); run again to ask them",
                spent.failed,
                spent.last_failure.unwrap_or_default()
            );
            Ok(Counts { cost: spent.cost, ..Counts::all(self.prompts.len()) })
        })?;
        Ok(())
    }
}
