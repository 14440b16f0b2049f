//! Contestants and an eval set to answers: read where they are recorded, else asked for.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use spyhop::{
    eval_set::EvalSet,
    generate::{Contestant, Entrant, Servers},
    record::{Completion, Prompt},
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

/// The prompts, and who has answers to them or is to be asked. Asks nobody.
///
/// # Errors
/// When nobody says which prompts it is about, or a contestant lacks answers and cannot be asked.
pub(super) fn enter(
    contestants: &[Contestant],
    eval_set: Option<&str>,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<(Vec<Prompt>, Vec<Entrant>)> {
    let mut recorded = Vec::new();
    for contestant in contestants {
        // Said before anybody else is asked or paid.
        anyhow::ensure!(
            contestant.finetuned.is_none(),
            "{0} is finetuned by a run: put {0:?} into evaluate.baselines of a recipe, run it, and name the model's directory here",
            contestant.name
        );
        recorded.push(contestant.recorded(cache, watch)?);
    }
    let prompts: Vec<Prompt> = match (eval_set, recorded.iter().flatten().next()) {
        (Some(name), _) => EvalSet::load(name, cache, watch)?.prompts,
        (None, Some(answers)) => answers.iter().map(prompt).collect(),
        (None, None) => anyhow::bail!(
            "no contestant has recorded answers, so name the prompts with --eval-set; `spyhop fetch` lists eval sets"
        ),
    };
    let entrants = contestants
        .iter()
        .zip(recorded)
        .map(|(contestant, answers)| Entrant::new(contestant, answers, &prompts, cache, watch))
        .collect::<anyhow::Result<_>>()?;
    Ok((prompts, entrants))
}

/// Every entrant's answers, in their order; a model is asked, and its answers are kept in its directory.
///
/// # Errors
/// When a model cannot be loaded, or a server gave some prompts no reply.
pub(super) fn answer(
    entrants: &[Entrant],
    prompts: &[Prompt],
    asking: &Asking,
    budget: &mut Budget,
    watch: Watch,
) -> anyhow::Result<Vec<Vec<Completion>>> {
    let servers = Servers { replies: &asking.store, offline: asking.offline };
    let mut all = Vec::new();
    for entrant in entrants {
        let name = entrant.name();
        let out = directory(&asking.out, name)?.join("completions.jsonl");
        let work = Work { out: &out, random_seed: asking.random_seed, watch };
        let mut allow = |outlook| budget.foresee(name, outlook);
        if let Some(spent) = entrant.answer(prompts, servers, &mut allow, work)? {
            server::account(name, &spent);
            anyhow::ensure!(
                spent.failed == 0,
                "{name} did not answer {} of {} prompts; run the same command again to ask them",
                spent.failed,
                prompts.len()
            );
        }
        all.push(read(&out)?);
    }
    Ok(all)
}

/// A model's directory: a name may hold what a file name may not.
pub(super) fn directory(out: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let directory = out.join(name.chars().map(plain).collect::<String>());
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

fn prompt(answer: &Completion) -> Prompt {
    Prompt {
        id: answer.id.clone(),
        instruction: answer.instruction.clone(),
        dataset: answer.dataset.clone(),
    }
}
