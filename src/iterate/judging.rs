//! The judge of a run: weights on this machine, a script, or a model behind servers.

use super::lab::Lab;
use crate::{
    judge::{self, Court, Orders, configured},
    lm::{Lm, Weights, api::Provider},
    recipe,
    record::{Completion, Counts, Judgment},
    store::read,
    watch::{Event, Watch},
};

pub(super) enum Judge {
    Local(Weights),
    Remote(Box<(configured::Judge, Provider)>),
}

impl Judge {
    /// A judge behind servers.
    pub(super) fn remote(
        remote: &recipe::RemoteJudge,
        directory: &std::path::Path,
        cache: &std::path::Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        let beside = directory.join(&remote.judge);
        let place = beside.to_str().filter(|_| beside.exists()).unwrap_or(&remote.judge);
        let mut judge = configured::Judge::load(place, cache, watch)?;
        if let Some(model) = remote.model.as_ref().filter(|model| **model != judge.model) {
            judge.model.clone_from(model);
            // The file's is that of the file's model.
            judge.price = None;
        }
        judge.price = remote.price.or(judge.price);
        let provider = Provider::open(&remote.server, &cache.join("replies.sqlite"), false)?;
        Ok(Self::Remote(Box::new((judge, provider))))
    }

    /// Identifies the judge among the inputs of a stage, where no weights do.
    pub(super) fn hash(&self) -> Option<String> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Some(remote.0.hash() + &remote.1.server),
        }
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
            let (judge, provider) = match &self.judge {
                Judge::Local(weights) => {
                    let load = || Lm::load(weights);
                    let method = self.recipe.judge.method;
                    return judge::run(load, &candidates, &baselines, method, &out, self.watch);
                }
                Judge::Remote(remote) => (&remote.0, &remote.1),
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
