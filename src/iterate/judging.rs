//! The judge of a run: weights on this machine, a script, or a model behind servers.

use std::path::Path;

use super::lab::Lab;
use crate::{
    judge::{self, Court, Orders, configured, shared_family},
    lm::{Lm, Weights, api::Provider},
    recipe::{Recipe, RemoteJudge},
    record::{Completion, Counts, Judgment},
    source::Fetched,
    store::read,
    watch::{Event, Watch},
};

pub(super) struct Judge {
    way: Way,
    /// Identifies the judge among the inputs of a stage.
    pub(super) hash: String,
}

enum Way {
    Local(Weights),
    Remote(Box<(configured::Judge, Provider)>),
}

impl Judge {
    /// The judge that the recipe names: behind servers, by the weights of `own`, or the base model.
    pub(super) fn open(
        recipe: &Recipe,
        (base, model): (&Weights, &Fetched),
        own: Option<&Fetched>,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        if let Some(remote) = &recipe.judge.remote {
            let judge = Self::remote(remote, &recipe.directory, cache, watch)?;
            if let Way::Remote(judge) = &judge.way
                && let Some(family) = shared_family(&judge.0.model, &model.from)
            {
                watch(Event::Say(format!(
                    "note: the judge, {}, is of the {family} family, and so are the models that it judges and that curate: a judge favours its own",
                    judge.0.model
                )));
            }
            return Ok(judge);
        }
        Ok(match (own, base) {
            (Some(own), _) => {
                let way = Way::Local(Weights::Files(own.model().to_owned()));
                Self { way, hash: own.sha256.clone() }
            }
            (None, Weights::Script { script, .. }) => {
                let weights = Weights::Script { script: script.clone(), model: "judge".into() };
                Self { way: Way::Local(weights), hash: model.sha256.clone() }
            }
            (None, files @ Weights::Files(_)) => {
                Self { way: Way::Local(files.clone()), hash: model.sha256.clone() }
            }
        })
    }

    fn remote(
        remote: &RemoteJudge,
        directory: &Path,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        let judge = configured::Judge::remote(remote, directory, cache, watch)?;
        let provider = Provider::open(&remote.server, &cache.join("replies.sqlite"), false)?;
        let hash = judge.hash() + &provider.server;
        Ok(Self { way: Way::Remote(Box::new((judge, provider))), hash })
    }
}

impl Lab<'_> {
    /// Has the judge compare `model` with the contestant called `other`, which the model's files call
    /// `baseline`.
    pub(super) fn judge(&self, model: &str, baseline: &str, other: &str) -> anyhow::Result<()> {
        let answers = |model: &str| self.key(&format!("{model}/generate"));
        let inputs = [answers(model)?, answers(other)?, self.hashes.judge.clone()];
        let inputs = inputs.each_ref().map(String::as_str);
        self.run.stage(&format!("{model}/judge-{baseline}"), &inputs, |stage| {
            let completions =
                |model: &str| read::<Completion>(&stage.path(model).join("completions.jsonl"));
            let (candidates, baselines) = (completions(model)?, completions(other)?);
            let out = stage.path(model).join(format!("judgments-{baseline}.jsonl"));
            let (judge, provider) = match &self.judge.way {
                Way::Local(weights) => {
                    let load = || Lm::load_with(weights, self.recipe.model.products);
                    let method = self.recipe.judge.method;
                    return judge::run(load, &candidates, &baselines, method, &out, self.watch);
                }
                Way::Remote(remote) => (&remote.0, &remote.1),
            };
            let court = Court { judge, provider, orders: Orders::Both, sample: 0 };
            let spent = court.run(&candidates, &baselines, None, &out, self.watch)?.spent;
            let failure = spent.last_failure.unwrap_or_default();
            anyhow::ensure!(
                spent.failed == 0,
                "{} questions got no reply ({failure}); run again to ask them",
                spent.failed
            );
            if let Some(cost) = spent.cost {
                (self.watch)(Event::Say(format!("{model} against {other}: ${cost:.2}")));
            }
            let rows: Vec<Judgment> = read(&out)?;
            let failed = rows.iter().filter(|row| row.verdict.is_none()).count();
            let kept = rows.len() - failed;
            Ok(Counts { rows_in: rows.len(), kept, failed, ..Counts::default() })
        })?;
        Ok(())
    }
}
