//! The contestants of a check with their answers, and its judge.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use spyhop::{
    gate::{Locked, LockedBaseline, answer_hashes, prompts_hash},
    generate::{Contestant, Entrant},
    judge::{Seated, configured::Judge},
    lm::{Weights, api::Provider},
    recipe::{Products, Score},
    record::{Completion, Prompt, content_id},
    source::{self, cache_directory},
};

use super::make::Work;
use crate::cmd::{
    budget,
    entrants::{self, Asking},
};

/// The contestants with their answers, and the judge.
pub(super) struct Ready {
    pub(super) judge: Seated,
    pub(super) score: Score,
    pub(super) prompts: Vec<Prompt>,
    /// Names for people: rows call the two "candidate" and "reference".
    pub(super) candidate_name: String,
    pub(super) reference_name: String,
    pub(super) candidate: Vec<Completion>,
    pub(super) reference: Vec<Completion>,
    pub(super) baselines: Vec<Vec<Completion>>,
    pub(super) directory: PathBuf,
}

/// A judge in words and in hashes.
pub(super) struct NamedJudge {
    pub(super) name: String,
    pub(super) model: String,
    /// Of prompt, sampling and parser.
    pub(super) hash: String,
}

impl Ready {
    pub(super) fn named_judge(&self) -> NamedJudge {
        let (name, model, hash) = match &self.judge {
            Seated::Local { sha256, method, .. } => {
                let name = format!("{method:?} by {:?}", self.score).to_lowercase();
                (name, sha256[..12].to_owned(), self.judge.identity())
            }
            Seated::Remote(remote) => {
                (remote.0.name.clone(), remote.0.model.clone(), remote.0.hash())
            }
        };
        NamedJudge { name, model, hash }
    }
}

impl Work<'_> {
    /// Loads everyone, and asks whoever has no answers yet.
    pub(super) fn ready(&self, candidate: &str) -> anyhow::Result<Ready> {
        let (suite, check, watch) = (self.suite, self.check, self.watch);
        let cache = cache_directory()?;
        let store = match (&suite.store, self.args.server.named_store()) {
            (_, Some(store)) => store.to_owned(),
            (Some(store), None) => suite.directory.join(store),
            (None, None) => self.args.server.store()?,
        };
        let judge = self.seat(&store, &cache)?;
        let beside = |name: &str| source::beside(&suite.directory, name);
        // A candidate on the command line is where the user stands, not where the file lies.
        let candidate = match self.args.candidate.is_some() {
            true => candidate.to_owned(),
            false => beside(candidate),
        };
        let contestants: Vec<Contestant> = [candidate.clone(), beside(&check.reference)]
            .into_iter()
            .chain(check.baselines.iter().map(|name| beside(name)))
            .map(|name| Contestant::load(&name))
            .collect::<anyhow::Result<_>>()?;
        let eval_set = check.eval_set.as_deref().map(beside);
        let (prompts, mut entered) =
            entrants::enter(&contestants, eval_set.as_deref(), &cache, watch)?;
        let (mut candidate_name, mut reference_name) =
            (entered[0].name().to_owned(), entered[1].name().to_owned());
        if candidate_name == reference_name {
            candidate_name = format!("{candidate_name} ({candidate})");
            reference_name = format!("{reference_name} ({})", check.reference);
        }
        // Two versions of a model have one name, so the two are called by their roles.
        let baselines = entered.split_off(2);
        let roles = entered.into_iter().zip(["candidate", "reference"]);
        let entered: Vec<Entrant> =
            roles.map(|(entrant, role)| entrant.called(role)).chain(baselines).collect();
        let identities: Vec<&str> = entered.iter().map(Entrant::identity).collect();
        let identity = content_id(&[&judge.identity(), &identities.join(" ")]);
        let directory = self.args.out.join(&check.name).join(&identity[..12]);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let asking = Asking {
            out: directory.clone(),
            store,
            offline: self.args.server.offline,
            random_seed: check.random_seed,
        };
        let mut budget = budget::Budget::new(check.budget.dollars.filter(|_| !asking.offline));
        let mut answers = entrants::answer(&entered, &prompts, &asking, &mut budget, watch)?;
        let baselines = answers.split_off(2);
        let (Some(reference), Some(candidate)) = (answers.pop(), answers.pop()) else {
            anyhow::bail!("two contestants are wanted");
        };
        Ok(Ready {
            judge,
            score: check.score(),
            prompts,
            candidate_name,
            reference_name,
            candidate,
            reference,
            baselines,
            directory,
        })
    }

    fn seat(&self, store: &Path, cache: &Path) -> anyhow::Result<Seated> {
        let (check, directory) = (self.check, &self.suite.directory);
        if let Some(remote) = &check.judge {
            let judge = Judge::remote(remote, directory, cache, self.watch)?;
            let provider = Provider::open(&remote.server, store, self.args.server.offline)?;
            return Ok(Seated::Remote(Box::new((judge, provider))));
        }
        let local = check.local_judge.as_ref().context("the check has no judge")?;
        let fetched = source::fetch(&local.weights, directory, cache, self.watch)
            .context("the weights of local_judge")?;
        Ok(Seated::Local {
            weights: Weights::Files(fetched.model().to_owned()),
            sha256: fetched.sha256,
            method: local.method,
            products: Products::default(),
        })
    }

    pub(super) fn locked(&self, ready: &Ready) -> Locked {
        let baseline = |answers: &Vec<Completion>| {
            let hashes: Vec<String> = answer_hashes(answers).into_values().collect();
            let answers_hash = content_id(&[&hashes.join(" ")]);
            let entry = LockedBaseline { answers: answers_hash, scores: BTreeMap::new() };
            (answers[0].generator.clone(), entry)
        };
        let judge = ready.named_judge();
        Locked {
            reference: self.check.reference.clone(),
            eval_set: prompts_hash(&ready.prompts),
            judge: judge.name,
            judge_model: judge.model,
            judge_hash: judge.hash,
            answers: answer_hashes(&ready.reference),
            baselines: ready.baselines.iter().map(baseline).collect(),
            anchors: None,
        }
    }
}
