//! What the loop works with: the run's directory, the models by name, and each stage with its inputs
//! and outputs filled in.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    augment, corpus, curate,
    eval_set::EvalSet,
    finetune::{self, Direction},
    generate::{self, Entrant, Settings},
    judge::Seated,
    lm::{self, Lm, Weights},
    model::Rounding,
    prompt,
    recipe::{BASE, PREVIOUS, Recipe, Source, baseline_name},
    record::{Augmented, Pair, Prompt, Rated, Row, Segment, content_id},
    report, seed,
    source::{self, Fetched},
    stage::Work,
    store::{self, Provenance, RunDir, SourceUsed, read, write_atomic},
    watch::{Event, Watch},
};

use super::{judging, rivals};

pub(super) struct Lab<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) run: RunDir,
    base: Weights,
    pub(super) judge: Seated,
    pub(super) rivals: Vec<Entrant>,
    /// Where fetched files and replies of servers are kept.
    pub(super) cache: PathBuf,
    seed: Fetched,
    corpus: Fetched,
    pub(super) prompts: Vec<Prompt>,
    /// Identifies base weights and the eval set, among the inputs of stages.
    pub(super) hashes: Hashes,
    pub(super) watch: Watch<'a>,
}

pub(super) struct Hashes {
    base: String,
    pub(super) prompts: String,
}

impl<'a> Lab<'a> {
    /// Opens the run's directory, and brings all that comes from outside.
    pub(super) fn open(
        recipe: &'a Recipe,
        out: &Path,
        cache: &Path,
        watch: Watch<'a>,
    ) -> anyhow::Result<Self> {
        let run = RunDir::open(out, &recipe.resolved()?)?;
        let mut sources = Vec::new();
        let mut fetch = |role: &str, source: &Source| {
            let fetched = source::fetch(source, &recipe.directory, cache, watch)
                .with_context(|| format!("cannot get the {role}"))?;
            sources.push(SourceUsed {
                role: role.to_owned(),
                from: fetched.from.clone(),
                sha256: fetched.sha256.clone(),
                bytes: fetched.bytes,
            });
            anyhow::Ok(fetched)
        };
        let model = match (&recipe.model.weights, &recipe.model.script) {
            (Some(weights), _) => fetch("model", weights)?,
            (None, Some(script)) => fetch("script", script)?,
            (None, None) => anyhow::bail!("[model] needs one of `weights` and `script`"),
        };
        let base = match recipe.model.script {
            Some(_) => Weights::Script { script: model.file()?.to_owned(), model: "base".into() },
            None => Weights::Files(model.model().to_owned()),
        };
        let own =
            recipe.judge.weights.as_ref().map(|weights| fetch("judge", weights)).transpose()?;
        let judge = judging::seat(recipe, (&base, &model), own.as_ref(), cache, watch)?;
        let seed = fetch("seed", &recipe.seed.source)?;
        let corpus = fetch("corpus", &recipe.corpus.source)?;
        let EvalSet { prompts, sha256, .. } = eval_set(recipe, cache, watch)?;
        sources.push(SourceUsed {
            role: "eval set".to_owned(),
            from: recipe.evaluate.eval_set.clone(),
            bytes: prompts.iter().map(|prompt| prompt.instruction.len() as u64).sum(),
            sha256: sha256.clone(),
        });
        let rivals = recipe
            .evaluate
            .rivals()
            .map(|rival| {
                rivals::enter(rival, recipe, &prompts, cache, watch)
                    .with_context(|| format!("the baseline {rival}"))
            })
            .collect::<anyhow::Result<_>>()?;
        run.keep_provenance(&Provenance {
            spyhop_version: env!("CARGO_PKG_VERSION").to_owned(),
            spyhop_commit: env!("SPYHOP_COMMIT").to_owned(),
            device: device(),
            sources,
            prompts: prompt::hashes(),
            products: match base {
                Weights::Script { .. } => BTreeMap::new(),
                Weights::Files(_) => products(recipe),
            },
        })?;
        keep_prompts(&run.path("prompts.jsonl"), &prompts)?;
        let hashes = Hashes { base: model.sha256, prompts: sha256 };
        let cache = cache.to_owned();
        Ok(Self { recipe, run, base, judge, rivals, cache, seed, corpus, prompts, hashes, watch })
    }

    pub(super) fn seed(&self) -> anyhow::Result<Vec<Pair>> {
        let path = self.seed.file()?;
        let settings = &self.recipe.seed;
        self.run.stage("seed", &[&self.seed.sha256], |stage| {
            seed::run(path, settings, self.recipe.random_seed, stage, self.watch)
        })?;
        read(&self.run.path("seed.jsonl"))
    }

    pub(super) fn corpus(&self) -> anyhow::Result<Vec<Segment>> {
        let Fetched { files, root, sha256, .. } = &self.corpus;
        let settings = &self.recipe.corpus;
        self.run.stage("corpus", &[sha256], |stage| {
            corpus::run(files, root, settings, self.recipe.random_seed, stage, self.watch)
        })?;
        read(&self.run.path("segments.jsonl"))
    }

    /// Trains `model` from the base model.
    pub(super) fn finetune(
        &self,
        model: &str,
        direction: Direction,
        pairs: &[Pair],
    ) -> anyhow::Result<()> {
        let taught = content_id(&pairs.iter().map(Row::id).collect::<Vec<_>>());
        let way = format!("{direction:?}");
        let inputs = [&self.hashes.base, &taught, &way].map(String::as_str);
        self.run.stage(&format!("{model}/finetune"), &inputs, |stage| {
            finetune::run(
                model,
                &self.base,
                pairs,
                direction,
                self.recipe,
                self.work(&stage.path(model)),
            )
        })?;
        Ok(())
    }

    /// Has the backward model write an instruction for every segment.
    pub(super) fn augment(&self, model: &str, segments: &[Segment]) -> anyhow::Result<Vec<Pair>> {
        let inputs = [self.key(&format!("{model}/finetune"))?, self.key("corpus")?];
        self.run.stage("augment", &inputs.each_ref().map(String::as_str), |stage| {
            let out = stage.path("augmented.jsonl");
            let settings = &self.recipe.augment;
            augment::run(|| self.load(model), segments, settings, self.work(&out))
        })?;
        Ok(augment::pairs(&read::<Augmented>(&self.run.path("augmented.jsonl"))?))
    }

    /// Has `model` rate the pool, and chooses what `next` will learn from.
    pub(super) fn curate(
        &self,
        model: &str,
        pool: &[Pair],
        next: &str,
    ) -> anyhow::Result<Vec<Pair>> {
        let settings = &self.recipe.curate;
        let inputs = [self.key(&format!("{model}/finetune"))?, self.key("augment")?];
        let out = self.run.path(model).join("ratings.jsonl");
        self.run.stage(
            &format!("{model}/curate"),
            &inputs.each_ref().map(String::as_str),
            |_| curate::run(|| self.load(model), pool, settings, self.work(&out)),
        )?;
        let (kept, selection) = curate::select(pool, &read::<Rated>(&out)?, settings);
        let json = serde_json::to_string_pretty(&selection)? + "\n";
        write_atomic(&self.run.path(next).join("selection.json"), json.as_bytes())?;
        if kept.is_empty() {
            (self.watch)(Event::Say(format!(
                "{model} rated no pair {} or more, so {next} learns from the seed alone; lower curate.threshold or set curate.at_least",
                settings.threshold
            )));
        }
        Ok(kept)
    }

    /// Has `model` answer the eval set.
    pub(super) fn answer(&self, model: &str) -> anyhow::Result<()> {
        let (key, system) = match model {
            // The base model as it came: its own system prompt, if its template has one.
            BASE => (self.hashes.base.clone(), None),
            _ => (self.key(&format!("{model}/finetune"))?, Some(self.recipe.tags.inference())),
        };
        let settings = Settings::of(&self.recipe.evaluate, system);
        self.run.stage(&format!("{model}/generate"), &[&key, &self.hashes.prompts], |stage| {
            let directory = stage.path(model);
            fs::create_dir_all(&directory)?;
            generate::run(
                model,
                || self.load(model),
                &self.prompts,
                &settings,
                self.work(&directory.join("completions.jsonl")),
            )
        })?;
        Ok(())
    }

    /// Has `model` answer the eval set, and the judge compare it with every baseline.
    pub(super) fn evaluate(&self, model: &str, previous: Option<&str>) -> anyhow::Result<()> {
        self.answer(model)?;
        for baseline in &self.recipe.evaluate.baselines {
            let name = baseline_name(baseline);
            match (name, previous) {
                (PREVIOUS, Some(previous)) => self.judge(model, name, previous)?,
                (PREVIOUS, None) => {}
                _ => self.judge(model, name, name)?,
            }
        }
        Ok(())
    }

    /// Writes the report, and returns its page.
    pub(super) fn report(&self) -> anyhow::Result<PathBuf> {
        report::build(self.run.root())?;
        if !self.run.worked() {
            (self.watch)(Event::Say("every stage is done: nothing left to do".to_owned()));
        }
        Ok(self.run.path("report").join("index.html"))
    }

    /// Identifies what a finished stage made, by what it was made from.
    pub(super) fn key(&self, stage: &str) -> anyhow::Result<String> {
        let done = self.run.done(stage).with_context(|| format!("stage {stage} is not done"))?;
        Ok(done.inputs)
    }

    pub(super) fn work<'b>(&'b self, out: &'b Path) -> Work<'b> {
        Work { out, random_seed: self.recipe.random_seed, watch: self.watch }
    }

    fn load(&self, model: &str) -> anyhow::Result<Lm> {
        let checkpoint = self.run.path(model).join("checkpoint");
        let products = self.recipe.model.products;
        match model {
            BASE => Lm::load_with(&self.base, products),
            _ => {
                let weights = Weights::of_checkpoint(&self.base, &checkpoint, model);
                Lm::load_with(&weights, products)
            }
        }
    }
}

/// The recipe's eval set, or a part of it: a built-in one, or a file beside the recipe.
fn eval_set(recipe: &Recipe, cache: &Path, watch: Watch) -> anyhow::Result<EvalSet> {
    let name = source::beside(&recipe.directory, &recipe.evaluate.eval_set);
    let set = EvalSet::load(&name, cache, watch).context("cannot get the eval set")?;
    set.at_most(recipe.evaluate.limit.unwrap_or(usize::MAX))
}

/// Writes the eval set into the run, or finds that it is the one that the run began with.
fn keep_prompts(path: &Path, prompts: &[Prompt]) -> anyhow::Result<()> {
    if !path.exists() {
        return store::write(path, prompts);
    }
    anyhow::ensure!(
        read::<Prompt>(path)? == prompts,
        "the eval set is not the one in {}; choose another directory with --out",
        path.display()
    );
    Ok(())
}

/// How the run's models multiply on this processor.
fn products(recipe: &Recipe) -> BTreeMap<String, String> {
    let judge = recipe.judge.products.map(|products| ("judge", products));
    let named = [("models", recipe.model.products), ("training", recipe.finetune.products)];
    let name = |products| Rounding::name(lm::rounding(products)).to_owned();
    let named = named.into_iter().chain(judge);
    named.map(|(use_, products)| (use_.to_owned(), name(products))).collect()
}

/// The processor, as Linux names it, and how many threads are used.
fn device() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model}, {} threads", rayon::current_num_threads())
}
