//! Baselines from outside the run: their answers are read, asked for, or made by finetuning.
use std::fs;

use anyhow::Context;

use super::lab::{Lab, one_file};
use crate::{
    finetune::Direction,
    generate::{self, Contestant, Endpoint, Pairs, Served, Settings},
    lm::{Lm, Weights, api::Provider},
    recipe::{self, baseline_name},
    record::{Counts, Prompt, content_id},
    seed, source, store,
    watch::{Event, Watch},
};

/// A baseline from outside.
pub(super) struct Rival {
    /// Its directory, and what rows call it.
    pub(super) name: String,
    contestant: Contestant,
    way: Way,
    /// Identifies the answers: a hash of them, or of what they are made from.
    key: String,
}

enum Way {
    Recorded(Vec<crate::record::Completion>),
    Local(Weights),
    Served(Box<Endpoint>),
    Finetuned(Pairs),
}

impl Rival {
    /// Loads a baseline, and brings what it needs from outside.
    pub(super) fn load(
        baseline: &str,
        recipe: &recipe::Recipe,
        prompts: &[Prompt],
        cache: &std::path::Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        let beside = recipe.directory.join(baseline);
        let place = beside.to_str().filter(|_| beside.exists()).unwrap_or(baseline);
        let contestant = Contestant::load(place)?;
        let name = baseline_name(baseline).to_owned();
        let answers = contestant.recorded(cache, watch)?;
        let (way, made_of) = if let Some(answers) = answers {
            let mut answers = generate::select(answers, prompts)?;
            answers.iter_mut().for_each(|answer| answer.generator.clone_from(&name));
            let made_of = serde_json::to_string(&answers)?;
            (Way::Recorded(answers), made_of)
        } else if let Some((path, sha256)) = contestant.model(cache, watch)? {
            let settings = serde_json::to_string(&contestant.settings)?;
            (Way::Local(Weights::Files(path)), sha256 + &settings)
        } else if let Some(endpoint) = &contestant.endpoint {
            let made_of = serde_json::to_string(&(endpoint, &contestant.settings))?;
            (Way::Served(Box::new(endpoint.clone())), made_of)
        } else if let Some(pairs) = &contestant.finetuned {
            let fetched = source::fetch(&pairs.source, &contestant.directory, cache, watch)
                .with_context(|| format!("the pairs of {name}"))?;
            let file = format!("file:{}", one_file(&fetched)?.display());
            let source = recipe::Source { from: vec![file], sha256: None };
            (Way::Finetuned(Pairs { source, format: pairs.format }), fetched.sha256)
        } else {
            anyhow::bail!(
                "the baseline {name} has published figures only: {}",
                contestant.description
            );
        };
        Ok(Self { name, contestant, way, key: content_id(&[&made_of]) })
    }
}

impl Lab<'_> {
    /// Has every baseline from outside answer the eval set.
    pub(super) fn rivals(&self) -> anyhow::Result<()> {
        for rival in &self.rivals {
            self.rival(rival).with_context(|| format!("the baseline {}", rival.name))?;
        }
        Ok(())
    }

    fn rival(&self, rival: &Rival) -> anyhow::Result<()> {
        if let Way::Finetuned(pairs) = &rival.way {
            let settings = recipe::Seed {
                source: pairs.source.clone(),
                format: pairs.format,
                limit: usize::MAX,
                language: self.recipe.seed.language.clone(),
            };
            let file = settings.source.from[0].trim_start_matches("file:").to_owned();
            let rows = seed::read(file.as_ref(), &settings)?;
            (self.watch)(Event::Say(format!(
                "{}: no answers of the original are public, so this run's base model is finetuned on its {} pairs",
                rival.name,
                rows.pairs.len()
            )));
            self.finetune(&rival.name, Direction::Forward, &rows.pairs)?;
            return self.answer(&rival.name);
        }
        let stage = format!("{}/generate", rival.name);
        self.run.stage(&stage, &[&rival.key, &self.hashes.prompts], |stage| {
            let directory = stage.path(&rival.name);
            fs::create_dir_all(&directory)?;
            let out = directory.join("completions.jsonl");
            let settings = &rival.contestant.settings;
            match &rival.way {
                Way::Recorded(answers) => store::write(&out, answers)?,
                Way::Local(weights) => {
                    let load = || Lm::load(weights);
                    return generate::run(
                        &rival.name,
                        load,
                        &self.prompts,
                        settings,
                        self.work(&out),
                    );
                }
                Way::Served(endpoint) => self.serve(&rival.name, endpoint, settings, &out)?,
                Way::Finetuned(_) => {}
            }
            Ok(Counts::all(self.prompts.len()))
        })?;
        Ok(())
    }

    fn serve(
        &self,
        name: &str,
        endpoint: &Endpoint,
        settings: &Settings,
        out: &std::path::Path,
    ) -> anyhow::Result<()> {
        let provider = Provider::open(&endpoint.server, &self.replies, false)?;
        let random_seed = self.recipe.random_seed;
        let served = Served { name, endpoint, provider: &provider, settings, random_seed };
        let spent = served.run(&self.prompts, out, self.watch)?;
        anyhow::ensure!(
            spent.failed == 0,
            "{} prompts got no reply ({}); run again to ask them",
            spent.failed,
            spent.last_failure.unwrap_or_default()
        );
        Ok(())
    }
}
