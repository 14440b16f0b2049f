//! A contestant and an eval set: where its answers come from, and how they are got.
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Contestant, Endpoint, Pairs, Served, Settings, run, select};
use crate::{
    lm::{
        Lm, Weights,
        api::{Outlook, Provider, Spent},
    },
    record::{Completion, Prompt, content_id},
    source,
    stage::Work,
    store,
    watch::Watch,
};

/// A contestant that can answer every prompt of an eval set.
#[derive(Debug)]
pub struct Entrant {
    /// What rows call it.
    name: String,
    settings: Settings,
    base: Option<String>,
    way: Way,
    identity: String,
}

#[derive(Debug)]
enum Way {
    Recorded(Vec<Completion>),
    /// A model on this machine.
    Local(PathBuf),
    Served(Box<Endpoint>),
    /// A base model that is still to be finetuned: the file of pairs.
    Finetuned(Pairs),
}

/// How models behind servers are asked.
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a> {
    /// The store of their replies.
    pub replies: &'a Path,
    /// Whether only the store may answer.
    pub offline: bool,
}

impl Entrant {
    /// Enters a contestant with the answers that it has on record ([`Contestant::recorded`]). Where they
    /// lack prompts, a model that is there too, as in a run's directory, answers instead. Asks nobody.
    ///
    /// # Errors
    /// When it lacks answers and cannot be asked, or what it is made of cannot be fetched.
    pub fn new(
        contestant: &Contestant,
        recorded: Option<Vec<Completion>>,
        prompts: &[Prompt],
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        let Contestant { name, settings, .. } = contestant;
        let selected = recorded.map(|answers| select(answers, prompts)).transpose();
        let entrant = |name: &str, way: Way, made_of: &str| Self {
            name: name.to_owned(),
            settings: settings.clone(),
            base: contestant.base.clone(),
            way,
            identity: content_id(&[made_of]),
        };
        if let Ok(Some(answers)) = selected {
            let made_of = serde_json::to_string(&answers)?;
            let name = answers.first().map_or(name, |answer| &answer.generator).clone();
            return Ok(entrant(&name, Way::Recorded(answers), &made_of));
        }
        if let Some((path, sha256)) = contestant.model(cache, watch)? {
            let made_of = serde_json::to_string(&(sha256, settings, prompts))?;
            return Ok(entrant(name, Way::Local(path), &made_of));
        }
        selected?;
        if let Some(endpoint) = &contestant.endpoint {
            let Endpoint { model, extra, server, prompt, .. } = endpoint;
            let made_of = serde_json::to_string(&(
                model,
                extra,
                prompt,
                &server.endpoints,
                settings,
                prompts,
            ))?;
            return Ok(entrant(name, Way::Served(Box::new(endpoint.clone())), &made_of));
        }
        if let Some(pairs) = &contestant.finetuned {
            let fetched = source::fetch(&pairs.source, &contestant.directory, cache, watch)
                .with_context(|| format!("the pairs of {name}"))?;
            let pairs = Pairs { source: source::at(fetched.file()?), format: pairs.format };
            return Ok(entrant(name, Way::Finetuned(pairs), &fetched.sha256));
        }
        anyhow::bail!(
            "{name} has published figures only, and no answers: {}",
            contestant.description
        )
    }

    /// What rows call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells its family: its model's name, or that of the model that a run finetuned.
    pub fn model(&self) -> &str {
        match &self.way {
            Way::Served(endpoint) => &endpoint.model,
            _ => self.base.as_ref().unwrap_or(&self.name),
        }
    }

    /// Whether a run made it: then it learnt from what models of its own family curated.
    pub fn is_of_a_run(&self) -> bool {
        self.base.is_some()
    }

    /// Identifies its answers: a hash of them, or of all that they will be made from, but for the names
    /// that rows call it.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The pairs, where a base model has to be finetuned on them before there is somebody to ask.
    pub fn finetuned(&self) -> Option<&Pairs> {
        match &self.way {
            Way::Finetuned(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Gives it another name.
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        if let Way::Recorded(answers) = &mut self.way {
            answers.iter_mut().for_each(|answer| name.clone_into(&mut answer.generator));
        }
        self
    }

    /// Writes its answer to every prompt into `work.out`: copies what is on record, and asks for the
    /// rest, after `allow` has seen how much that is where servers are asked. Gives what servers took.
    ///
    /// # Errors
    /// When a model cannot be loaded, `allow` objects, servers gave some prompts no reply, or it has to
    /// be finetuned first.
    pub fn answer(
        &self,
        prompts: &[Prompt],
        servers: Servers,
        allow: &mut dyn FnMut(Outlook) -> anyhow::Result<()>,
        work: Work,
    ) -> anyhow::Result<Option<Spent>> {
        let (name, settings) = (&self.name, &self.settings);
        match &self.way {
            Way::Recorded(answers) => store::write(work.out, answers)?,
            Way::Local(path) => {
                let load = || Lm::load(&Weights::Files(path.clone()));
                run(name, load, prompts, settings, work)?;
            }
            Way::Served(endpoint) => {
                let provider = Provider::open(&endpoint.server, servers.replies, servers.offline)?;
                let random_seed = work.random_seed;
                let served = Served { name, endpoint, provider: &provider, settings, random_seed };
                allow(served.outlook(prompts, work.out)?)?;
                let spent = served.run(prompts, work.out, work.watch)?;
                return Ok(Some(spent));
            }
            Way::Finetuned(_) => anyhow::bail!("{name} has to be finetuned before it is asked"),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_runs_model_answers_what_it_has_no_answer_to() {
        let run = tempfile::tempdir().unwrap();
        let model = run.path().join("M1");
        fs::create_dir(&model).unwrap();
        let row = r#"{"id":"a","instruction":"A?","output":"x","generator":"M1","dataset":"d","finish":"stop"}"#;
        fs::write(model.join("completions.jsonl"), format!("{row}\n")).unwrap();
        let enter = |id: &str, instruction: &str| {
            let (id, dataset) = (id.to_owned(), "d".to_owned());
            let prompts = [Prompt { id, instruction: instruction.to_owned(), dataset }];
            let contestant = Contestant::load(model.to_str().unwrap())?;
            let recorded = contestant.recorded(run.path(), &|_| ())?;
            Entrant::new(&contestant, recorded, &prompts, run.path(), &|_| ())
        };
        assert!(matches!(enter("a", "A?").unwrap().way, Way::Recorded(_)));
        let error = enter("b", "B?").unwrap_err();
        assert!(error.to_string().contains("no answer to 1 of 1 prompts"), "{error}");
        fs::create_dir(model.join("checkpoint")).unwrap();
        fs::write(model.join("checkpoint/config.json"), "{}").unwrap();
        let [recorded, asked] = [enter("a", "A?"), enter("b", "B?")].map(Result::unwrap);
        assert!(matches!((&recorded.way, &asked.way), (Way::Recorded(_), Way::Local(_))));
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart.toml");
        fs::copy(recipe, run.path().join("recipe.toml")).unwrap();
        let of_run = enter("b", "B?").unwrap();
        assert!(of_run.is_of_a_run() && of_run.model().contains("SmolLM2"), "{}", of_run.model());
        fs::remove_file(run.path().join("recipe.toml")).unwrap();
        // Two names, one answer; other prompts, other answers.
        assert_eq!(enter("a", "A?").unwrap().called("new").identity(), recorded.identity());
        assert_ne!(enter("c", "C?").unwrap().identity(), asked.identity());
    }
}
