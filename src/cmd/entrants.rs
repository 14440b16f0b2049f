//! Contestants and an eval set to answers: read where they are recorded, else asked for.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use spyhop::{
    eval_set::EvalSet,
    generate::{self, Contestant, Served},
    lm::{Lm, Weights, api::Provider},
    record::{Completion, Prompt, content_id},
    stage::Work,
    store::read,
    watch::Watch,
};

use super::{budget::Budget, server};

/// How models are asked, and where their answers go.
#[derive(Debug)]
pub(super) struct Asking {
    /// A directory for each model is made here.
    pub(super) out: PathBuf,
    /// The store of servers' replies.
    pub(super) store: PathBuf,
    pub(super) offline: bool,
    pub(super) random_seed: u64,
}

/// A contestant at the start.
#[derive(Debug)]
pub(super) struct Entrant<'a> {
    contestant: &'a Contestant,
    ready: Ready,
    /// Identifies the answers: a hash of them, or of all that they will be made from.
    identity: String,
}

#[derive(Debug)]
enum Ready {
    Answered(Vec<Completion>),
    /// A model on this machine, and a hash of its weights.
    Local(PathBuf, String),
    /// A model behind a server.
    Served,
}

impl Entrant<'_> {
    pub(super) fn name(&self) -> &str {
        match &self.ready {
            Ready::Answered(answers) => &answers[0].generator,
            Ready::Local(..) | Ready::Served => &self.contestant.name,
        }
    }

    /// What tells its family.
    pub(super) fn model(&self) -> &str {
        self.contestant.endpoint.as_ref().map_or(self.name(), |endpoint| &endpoint.model)
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }
}

/// The prompts, and who has answers to them and who is to be asked. Asks nobody.
///
/// # Errors
/// When nobody says which prompts it is about, or a contestant lacks answers and cannot be asked.
pub(super) fn enter<'a>(
    contestants: &'a [Contestant],
    eval_set: Option<&str>,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<(Vec<Prompt>, Vec<Entrant<'a>>)> {
    let mut recorded = Vec::new();
    for contestant in contestants {
        recorded.push(contestant.recorded(cache, watch)?);
    }
    let prompts: Vec<Prompt> = match (eval_set, recorded.iter().flatten().next()) {
        (Some(name), _) => EvalSet::load(name, cache, watch)?.prompts,
        (None, Some(answers)) => answers.iter().map(prompt).collect(),
        (None, None) => anyhow::bail!(
            "no contestant has recorded answers, so name the prompts with --eval-set; `spyhop fetch` lists eval sets"
        ),
    };
    let mut entrants = Vec::new();
    for (contestant, answers) in contestants.iter().zip(recorded) {
        let ready = ready(contestant, answers, &prompts, cache, watch)?;
        let identity = identity(contestant, &ready, &prompts)?;
        entrants.push(Entrant { contestant, ready, identity });
    }
    Ok((prompts, entrants))
}

/// Every entrant's answers, in their order; a model is asked, and its answers are kept in its directory.
///
/// # Errors
/// When a model cannot be loaded, or a server gave some prompts no reply.
pub(super) fn answer(
    entrants: Vec<Entrant>,
    prompts: &[Prompt],
    asking: &Asking,
    budget: &mut Budget,
    watch: Watch,
) -> anyhow::Result<Vec<Vec<Completion>>> {
    let mut all = Vec::new();
    for entrant in entrants {
        let out = directory(&asking.out, entrant.name())?.join("completions.jsonl");
        let Entrant { contestant, ready, .. } = entrant;
        match ready {
            Ready::Answered(answers) => spyhop::store::write(&out, &answers)?,
            Ready::Local(weights, _) => {
                let load = || Lm::load(&Weights::Files(weights));
                let work = Work { out: &out, random_seed: asking.random_seed, watch };
                generate::run(&contestant.name, load, prompts, &contestant.settings, work)?;
            }
            Ready::Served => serve(contestant, prompts, &out, asking, budget, watch)?,
        }
        all.push(read(&out)?);
    }
    Ok(all)
}

fn serve(
    contestant: &Contestant,
    prompts: &[Prompt],
    out: &Path,
    asking: &Asking,
    budget: &mut Budget,
    watch: Watch,
) -> anyhow::Result<()> {
    let name = &contestant.name;
    let endpoint = contestant.endpoint.as_ref().context("no endpoint")?;
    let provider = Provider::open(&endpoint.server, &asking.store, asking.offline)?;
    let served = Served {
        name,
        endpoint,
        provider: &provider,
        settings: &contestant.settings,
        random_seed: asking.random_seed,
    };
    budget.foresee(name, served.outlook(prompts, out)?)?;
    let spent = served.run(prompts, out, watch)?;
    server::account(name, &spent);
    anyhow::ensure!(
        spent.failed == 0,
        "{name} did not answer {} of {} prompts; run the same command again to ask them",
        spent.failed,
        prompts.len()
    );
    Ok(())
}

/// A model's directory: a name may hold what a file name may not.
pub(super) fn directory(out: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let directory = out.join(name.chars().map(plain).collect::<String>());
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

fn ready(
    contestant: &Contestant,
    answers: Option<Vec<Completion>>,
    prompts: &[Prompt],
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<Ready> {
    let missing = match answers.map(|answers| generate::select(answers, prompts)) {
        Some(Ok(answers)) => return Ok(Ready::Answered(answers)),
        Some(Err(missing)) => Some(missing),
        None => None,
    };
    if let Some((weights, sha256)) = contestant.model(cache, watch)? {
        return Ok(Ready::Local(weights, sha256));
    }
    match missing {
        Some(missing) => Err(missing),
        None if contestant.endpoint.is_some() => Ok(Ready::Served),
        None if contestant.finetuned.is_some() => anyhow::bail!(
            "{} is finetuned by a run: put {:?} into evaluate.baselines of a recipe, run it, and name the model's directory here",
            contestant.name,
            contestant.name
        ),
        None => anyhow::bail!(
            "{} has published figures only, and no answers: {}",
            contestant.name,
            contestant.description
        ),
    }
}

fn identity(contestant: &Contestant, ready: &Ready, prompts: &[Prompt]) -> anyhow::Result<String> {
    let made_of = match ready {
        Ready::Answered(answers) => serde_json::to_string(answers)?,
        Ready::Local(_, sha256) => serde_json::to_string(&(sha256, &contestant.settings, prompts))?,
        Ready::Served => serde_json::to_string(&(
            contestant.endpoint.as_ref().map(|one| (&one.model, &one.extra, &one.server.endpoints)),
            &contestant.settings,
            prompts,
        ))?,
    };
    Ok(content_id(&[&made_of]))
}

fn prompt(answer: &Completion) -> Prompt {
    Prompt {
        id: answer.id.clone(),
        instruction: answer.instruction.clone(),
        dataset: answer.dataset.clone(),
    }
}
