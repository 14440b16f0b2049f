//! The judge of a run: the one of its recipe, and the stage in which it compares.

use std::path::Path;

use super::lab::Lab;
use crate::{
    judge::{Seated, configured, shared_family},
    lm::{Weights, api::Provider},
    recipe::Recipe,
    record::{Completion, Counts, Judgment},
    source::Fetched,
    store::read,
    watch::{Event, Watch},
};

/// The judge that the recipe names: behind servers, by the weights of `own`, or the base model.
pub(super) fn seat(
    recipe: &Recipe,
    (base, model): (&Weights, &Fetched),
    own: Option<&Fetched>,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<Seated> {
    if let Some(remote) = &recipe.judge.remote {
        let judge = configured::Judge::remote(remote, &recipe.directory, cache, watch)?;
        let provider = Provider::open(&remote.server, &cache.join("replies.sqlite"), false)?;
        if let Some(family) = shared_family(&judge.model, &model.from) {
            watch(Event::Say(format!(
                "note: the judge, {}, is of the {family} family, and so are the models that it judges and that curate: a judge favours its own",
                judge.model
            )));
        }
        return Ok(Seated::Remote(Box::new((judge, provider))));
    }
    let (weights, sha256) = match (own, base) {
        (Some(own), _) => (Weights::Files(own.model().to_owned()), &own.sha256),
        (None, Weights::Script { script, .. }) => {
            (Weights::Script { script: script.clone(), model: "judge".into() }, &model.sha256)
        }
        (None, files @ Weights::Files(_)) => (files.clone(), &model.sha256),
    };
    let (method, products) = (recipe.judge.method, recipe.judge_products());
    Ok(Seated::Local { weights, sha256: sha256.clone(), method, products })
}

impl Lab<'_> {
    /// Has the judge compare `model` with the contestant called `other`, which the model's files call
    /// `baseline`.
    pub(super) fn judge(&self, model: &str, baseline: &str, other: &str) -> anyhow::Result<()> {
        let answers = |model: &str| self.key(&format!("{model}/generate"));
        let inputs = [answers(model)?, answers(other)?, self.judge.identity()];
        let inputs = inputs.each_ref().map(String::as_str);
        self.run.stage(&format!("{model}/judge-{baseline}"), &inputs, |stage| {
            let completions =
                |model: &str| read::<Completion>(&stage.path(model).join("completions.jsonl"));
            let (candidates, baselines) = (completions(model)?, completions(other)?);
            let out = stage.path(model).join(format!("judgments-{baseline}.jsonl"));
            let judged = self.judge.compare(&candidates, &baselines, None, &out, self.watch)?;
            let spent = judged.spent;
            anyhow::ensure!(
                spent.failed == 0,
                "{} questions got no reply ({}); run again to ask them",
                spent.failed,
                spent.last_failure.unwrap_or_default()
            );
            if let Some(cost) = spent.cost {
                (self.watch)(Event::Say(format!("{model} against {other}: ${cost:.2}")));
            }
            let rows: Vec<Judgment> = read(&out)?;
            let failed = rows.iter().filter(|row| row.verdict.is_none()).count();
            let kept = rows.len() - failed;
            Ok(Counts { rows_in: rows.len(), kept, failed, cost: spent.cost, ..Counts::default() })
        })?;
        Ok(())
    }
}
