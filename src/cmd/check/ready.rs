//! The contestants of a check with their answers, and its judge.
use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use spyhop::{
    gate::{Locked, LockedBaseline, answer_hashes, prompts_hash},
    generate::{Contestant, Entrant},
    judge::configured::Judge,
    lm::api::Provider,
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
    pub(super) judge: Judge,
    pub(super) provider: Provider,
    pub(super) prompts: Vec<Prompt>,
    /// Names for people: rows call the two "candidate" and "reference".
    pub(super) candidate_name: String,
    pub(super) reference_name: String,
    pub(super) candidate: Vec<Completion>,
    pub(super) reference: Vec<Completion>,
    pub(super) baselines: Vec<Vec<Completion>>,
    pub(super) directory: PathBuf,
}

impl Work<'_> {
    /// Loads everyone, and asks whoever has no answers yet.
    pub(super) fn ready(&self, candidate: &str) -> anyhow::Result<Ready> {
        let (suite, check, watch) = (self.suite, self.check, self.watch);
        let cache = cache_directory()?;
        let judge = Judge::remote(&check.judge, &suite.directory, &cache, watch)?;
        let store = match (&suite.store, self.args.server.named_store()) {
            (_, Some(store)) => store.to_owned(),
            (Some(store), None) => suite.directory.join(store),
            (None, None) => self.args.server.store()?,
        };
        let provider = Provider::open(&check.judge.server, &store, self.args.server.offline)?;
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
        let identity = content_id(&[&judge.hash(), &provider.server, &identities.join(" ")]);
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
            provider,
            prompts,
            candidate_name,
            reference_name,
            candidate,
            reference,
            baselines,
            directory,
        })
    }

    pub(super) fn locked(&self, ready: &Ready) -> Locked {
        let baseline = |answers: &Vec<Completion>| {
            let hashes: Vec<String> = answer_hashes(answers).into_values().collect();
            let answers_hash = content_id(&[&hashes.join(" ")]);
            let entry = LockedBaseline { answers: answers_hash, scores: BTreeMap::new() };
            (answers[0].generator.clone(), entry)
        };
        Locked {
            reference: self.check.reference.clone(),
            eval_set: prompts_hash(&ready.prompts),
            judge: ready.judge.name.clone(),
            judge_model: ready.judge.model.clone(),
            judge_hash: ready.judge.hash(),
            answers: answer_hashes(&ready.reference),
            baselines: ready.baselines.iter().map(baseline).collect(),
            anchors: None,
        }
    }
}
