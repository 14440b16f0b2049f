//! One check, from its contestants to its outcome.
use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use spyhop::{
    gate::{Against, Check, Evidence, Locked, Outcome, Suite, decide, faults, output::Worst},
    judge::{Court, Orders, Until, anchors},
    lm::api::Spent,
    record::{Completion, Judgment, Prompt, content_id},
    stats::Estimate,
    store::read,
    watch::{Event, Watch},
};

use super::{
    CheckArgs,
    ready::Ready,
    scores::{by_prompt, drift, orders, scored, worst},
};
use crate::cmd::server;

/// What a check comes to.
pub(super) type Finished = (Outcome, Vec<Worst>);

/// What a check is made with.
pub(super) struct Work<'a> {
    pub(super) args: &'a CheckArgs,
    pub(super) suite: &'a Suite,
    pub(super) check: &'a Check,
    pub(super) watch: Watch<'a>,
}

impl Work<'_> {
    /// Makes the check, against a lock if there is one.
    pub(super) fn make(&self, locked: Option<&Locked>) -> anyhow::Result<Finished> {
        let candidate = self.args.candidate.as_ref().or(self.check.candidate.as_ref());
        let candidate = candidate
            .context("no candidate: name it with --candidate, or put candidate into the check")?;
        let ready = self.ready(candidate)?;
        if let Some(locked) = locked {
            locked.compare(&self.locked(&ready))?;
        }
        let mut evidence = self.evidence(&ready);
        if self.check.anchors {
            let scores = self.anchors(&ready)?;
            evidence.drift = locked.and_then(|locked| drift(&locked.anchors, &scores));
        }
        let ended = self.judge(&ready, &ready.reference, "reference", &mut evidence)?;
        let rows = self.rows(&ready, "reference")?;
        evidence.direct = scored(&rows, &ready.prompts, ended);
        (evidence.both_orders, evidence.same_in_both) = orders(&rows, &evidence.direct);
        for (place, answers) in ready.baselines.iter().enumerate() {
            let baseline = &answers[0].generator;
            evidence.through.push(self.through(&ready, answers, baseline, locked, place)?);
        }
        let outcome = decide(self.check, &evidence)?;
        Ok((outcome, worst(&evidence.direct, &rows, &ready)))
    }

    /// What this check compares with, for a lock.
    pub(super) fn lock(&self) -> anyhow::Result<Locked> {
        let ready = self.ready(&self.check.reference)?;
        let mut locked = self.locked(&ready);
        for answers in &ready.baselines {
            let baseline = &answers[0].generator;
            let scores = self.scores(&ready, &ready.reference, answers, baseline)?;
            if let Some(entry) = locked.baselines.get_mut(baseline) {
                entry.scores = scores;
            }
        }
        if self.check.anchors {
            locked.anchors = self.anchors(&ready)?;
        }
        Ok(locked)
    }

    fn evidence(&self, ready: &Ready) -> Evidence {
        let characters = |answers: &[Completion]| {
            let total: usize = answers.iter().map(|one| one.output.chars().count()).sum();
            total as f64 / answers.len().max(1) as f64
        };
        Evidence {
            candidate: ready.candidate_name.clone(),
            reference: ready.reference_name.clone(),
            judge: format!("{} ({})", ready.judge.name, ready.judge.model),
            prompts: ready.prompts.len(),
            candidate_faults: faults(&ready.candidate),
            reference_faults: faults(&ready.reference),
            candidate_characters: characters(&ready.candidate),
            reference_characters: characters(&ready.reference),
            ..Evidence::default()
        }
    }

    fn court<'a>(&self, ready: &'a Ready) -> Court<'a> {
        let (judge, provider) = (&ready.judge, &ready.provider);
        Court { judge, provider, orders: Orders::Both, sample: 0 }
    }

    /// Has the judge compare the candidate with another, as far as the budget goes; gives how many
    /// prompts that was.
    fn judge(
        &self,
        ready: &Ready,
        other: &[Completion],
        name: &str,
        evidence: &mut Evidence,
    ) -> anyhow::Result<usize> {
        let check = self.check;
        let out = ready.directory.join(format!("judgments-{name}.jsonl"));
        let began = Instant::now();
        let (margin, budget) = (check.margin / 100.0, &check.budget);
        let ended: RefCell<Option<String>> = RefCell::new(None);
        let settled =
            |estimate: &Estimate| estimate.lower > 0.5 - margin || estimate.upper < 0.5 - margin;
        let enough = |estimate: Option<&Estimate>, spent: &Spent| {
            if check.until_decided && estimate.is_some_and(settled) {
                return true;
            }
            let used = match budget {
                budget if budget.calls.is_some_and(|calls| spent.asked >= calls) => "calls",
                budget if budget.dollars.is_some_and(|most| spent.cost.unwrap_or(0.0) >= most) => {
                    "dollars"
                }
                budget
                    if budget.minutes.is_some_and(|minutes| {
                        began.elapsed() >= Duration::from_secs_f64(60.0 * minutes)
                    }) =>
                {
                    "minutes"
                }
                _ => return false,
            };
            *ended.borrow_mut() = Some(used.to_owned());
            true
        };
        let limited = [budget.calls.is_some(), budget.dollars.is_some(), budget.minutes.is_some()];
        let step_by_step = check.until_decided || limited.contains(&true);
        let until = step_by_step.then_some(&enough as Until);
        let judged = self.court(ready).run(&ready.candidate, other, until, &out, self.watch)?;
        server::account(&format!("{}: candidate against {name}", check.name), &judged.spent);
        let prompts = judged.ended_after.unwrap_or(ready.prompts.len());
        if let Some(used) = ended.into_inner() {
            evidence.ended_early = Some(format!(
                "the budget's {used} were used up after {prompts} of {} prompts",
                ready.prompts.len()
            ));
        }
        let failed = judged.spent.failed;
        anyhow::ensure!(
            failed == 0,
            "{failed} questions to the judge got no reply ({}); run again to ask them",
            judged.spent.last_failure.unwrap_or_else(|| "--offline".to_owned())
        );
        Ok(prompts)
    }

    fn rows(&self, ready: &Ready, name: &str) -> anyhow::Result<Vec<Judgment>> {
        read(&ready.directory.join(format!("judgments-{name}.jsonl")))
    }

    fn through(
        &self,
        ready: &Ready,
        answers: &[Completion],
        baseline: &str,
        locked: Option<&Locked>,
        place: usize,
    ) -> anyhow::Result<Against> {
        let name = format!("baseline-{place}");
        let mut own = Evidence::default();
        self.judge(ready, answers, &name, &mut own)?;
        let candidate = by_prompt(&self.rows(ready, &name)?);
        let reference = match locked.and_then(|locked| locked.baselines.get(baseline)) {
            Some(locked) => locked.scores.clone(),
            None => self.scores(ready, &ready.reference, answers, baseline)?,
        };
        let pair = |prompt: &Prompt| {
            let of =
                |scores: &BTreeMap<String, Option<f64>>| scores.get(&prompt.id).copied().flatten();
            (of(&candidate), of(&reference))
        };
        let pairs = ready.prompts.iter().map(pair).collect();
        Ok(Against { baseline: baseline.to_owned(), pairs })
    }

    /// The reference's scores against a baseline, by prompt.
    fn scores(
        &self,
        ready: &Ready,
        reference: &[Completion],
        answers: &[Completion],
        baseline: &str,
    ) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
        let hash = content_id(&[baseline]);
        let out = ready.directory.join(format!("judgments-reference-{}.jsonl", &hash[..8]));
        let judged = self.court(ready).run(reference, answers, None, &out, self.watch)?;
        let who = format!("{}: reference against {baseline}", self.check.name);
        server::account(&who, &judged.spent);
        anyhow::ensure!(
            judged.spent.failed == 0,
            "{} questions to the judge got no reply; run again to ask them",
            judged.spent.failed
        );
        Ok(by_prompt(&read::<Judgment>(&out)?))
    }

    /// The judge's scores of the anchors, asked anew.
    fn anchors(&self, ready: &Ready) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?;
        let out = ready.directory.join(format!("anchors-{}.jsonl", now.as_millis()));
        let history = ready.directory.join("anchors-history.jsonl");
        let court = self.court(ready);
        let (checked, spent) = anchors::check(&court, now.as_secs(), &history, &out, self.watch)?;
        server::account(&format!("{}: anchors", self.check.name), &spent);
        for line in checked.words() {
            (self.watch)(Event::Say(line));
        }
        let outcomes = anchors::outcomes(&read::<Judgment>(&out)?);
        let ids = anchors::anchors().into_iter().map(|anchor| anchor.id);
        Ok(ids.zip(outcomes.into_iter().map(anchors::Outcome::score)).collect())
    }
}
