//! One check, from its contestants to its outcome.
use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use spyhop::{
    gate::{Against, Check, Evidence, Locked, Outcome, Suite, decide, faults, output::Worst},
    judge::{Court, Orders, Seated, Until, anchors},
    lm::api::Spent,
    record::{Completion, Judgment, Prompt, content_id},
    stats::Estimate,
    store::read,
    watch::{Event, Watch},
};

use super::{
    CheckArgs,
    allowance::Allowance,
    ready::Ready,
    scores::{by_prompt, drift, orders, scored, worst},
};
use crate::cmd::server;

/// What a check comes to.
pub(super) type Finished = (Outcome, Vec<Worst>);

/// What the judge is asked.
struct Comparison<'a> {
    /// For people.
    name: &'a str,
    /// Its file of judgments.
    out: &'a str,
    /// Whether to end as soon as a confidence sequence decides.
    until_decided: bool,
}

/// What it said.
struct Compared {
    rows: Vec<Judgment>,
    /// How many prompts were judged, in the order of judging.
    prompts: usize,
    /// Why it was not all of them, if that was the budget.
    ended_early: Option<String>,
}

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
        let allowance = Allowance::new(&self.check.budget);
        if self.check.anchors {
            let now = self.anchors(&ready, &allowance)?;
            evidence.drift = locked.and_then(|locked| drift(locked.anchors.as_ref(), &now));
        }
        let decides = Comparison {
            name: "candidate against the reference",
            out: "judgments-reference.jsonl",
            until_decided: self.check.until_decided,
        };
        let sides = (&*ready.candidate, &*ready.reference);
        let direct = self.judge(&ready, sides, &decides, &allowance)?;
        evidence.ended_early = direct.ended_early;
        let rows = direct.rows;
        evidence.direct = scored(&rows, self.check.score(), &ready.prompts, direct.prompts);
        (evidence.both_orders, evidence.same_in_both) = orders(&rows, &evidence.direct);
        for (place, answers) in ready.baselines.iter().enumerate() {
            let (against, ended_early) =
                self.through(&ready, place, answers, locked, &allowance)?;
            evidence.through.push(against);
            evidence.ended_early = evidence.ended_early.or(ended_early);
        }
        let outcome = decide(self.check, &evidence)?;
        Ok((outcome, worst(&evidence.direct, &rows, &ready)))
    }

    /// What this check compares with, for a lock.
    pub(super) fn lock(&self) -> anyhow::Result<Locked> {
        let ready = self.ready(&self.check.reference)?;
        let mut locked = self.locked(&ready);
        let allowance = Allowance::new(&self.check.budget);
        for answers in &ready.baselines {
            let reference = self.of_reference(&ready, answers, &allowance)?;
            if let Some(why) = reference.ended_early {
                anyhow::bail!("{why}, and a lock needs them all: run again, or raise the budget");
            }
            if let Some(entry) = locked.baselines.get_mut(&answers[0].generator) {
                entry.scores = by_prompt(&reference.rows, self.check.score());
            }
        }
        if self.check.anchors {
            locked.anchors = Some(self.anchors(&ready, &allowance)?);
        }
        Ok(locked)
    }

    fn evidence(&self, ready: &Ready) -> Evidence {
        let characters = |answers: &[Completion]| {
            let total: usize = answers.iter().map(|one| one.output.chars().count()).sum();
            total as f64 / answers.len().max(1) as f64
        };
        let judge = ready.named_judge();
        Evidence {
            candidate: ready.candidate_name.clone(),
            reference: ready.reference_name.clone(),
            judge: format!("{} ({})", judge.name, judge.model),
            prompts: ready.prompts.len(),
            candidate_faults: faults(&ready.candidate),
            reference_faults: faults(&ready.reference),
            candidate_characters: characters(&ready.candidate),
            reference_characters: characters(&ready.reference),
            ..Evidence::default()
        }
    }

    /// Has the judge compare two sides, as far as the allowance goes.
    fn judge(
        &self,
        ready: &Ready,
        (candidate, other): (&[Completion], &[Completion]),
        comparison: &Comparison,
        allowance: &Allowance,
    ) -> anyhow::Result<Compared> {
        let margin = self.check.margin / 100.0;
        let used_up = RefCell::new(None);
        let settled =
            |estimate: &Estimate| estimate.lower > 0.5 - margin || estimate.upper < 0.5 - margin;
        let enough = |estimate: Option<&Estimate>, spent: &Spent| {
            if comparison.until_decided && estimate.is_some_and(settled) {
                return true;
            }
            *used_up.borrow_mut() = allowance.used_up(spent);
            used_up.borrow().is_some()
        };
        let step_by_step = comparison.until_decided || allowance.is_limited();
        let until = step_by_step.then_some(&enough as Until);
        let out = ready.directory.join(comparison.out);
        let judged = ready.judge.compare(candidate, other, until, &out, self.watch)?;
        allowance.add(&judged.spent);
        if self.check.judge.is_some() {
            server::account(&format!("{}: {}", self.check.name, comparison.name), &judged.spent);
        }
        let failed = judged.spent.failed;
        anyhow::ensure!(
            failed == 0,
            "{failed} questions to the judge got no reply ({}); run again to ask them",
            judged.spent.last_failure.unwrap_or_else(|| "--offline".to_owned())
        );
        let prompts = judged.ended_after.unwrap_or(ready.prompts.len());
        let ended_early = used_up.into_inner().map(|used| {
            format!(
                "the budget's {used} were used up after {prompts} of {} prompts of {}",
                ready.prompts.len(),
                comparison.name
            )
        });
        Ok(Compared { rows: read(&out)?, prompts, ended_early })
    }

    /// Both sides against a baseline, and why that ended early, if it did.
    fn through(
        &self,
        ready: &Ready,
        place: usize,
        answers: &[Completion],
        locked: Option<&Locked>,
        allowance: &Allowance,
    ) -> anyhow::Result<(Against, Option<String>)> {
        let baseline = &answers[0].generator;
        let comparison = Comparison {
            name: &format!("candidate against {baseline}"),
            out: &format!("judgments-baseline-{place}.jsonl"),
            until_decided: false,
        };
        let candidate = self.judge(ready, (&ready.candidate, answers), &comparison, allowance)?;
        let mut ended_early = candidate.ended_early;
        let reference = match locked.and_then(|locked| locked.baselines.get(baseline)) {
            Some(locked) => locked.scores.clone(),
            None => {
                let reference = self.of_reference(ready, answers, allowance)?;
                ended_early = ended_early.or(reference.ended_early);
                by_prompt(&reference.rows, self.check.score())
            }
        };
        let candidate = by_prompt(&candidate.rows, self.check.score());
        let pair = |prompt: &Prompt| {
            let of =
                |scores: &BTreeMap<String, Option<f64>>| scores.get(&prompt.id).copied().flatten();
            (of(&candidate), of(&reference))
        };
        let pairs = ready.prompts.iter().map(pair).collect();
        Ok((Against { baseline: baseline.clone(), pairs }, ended_early))
    }

    /// The reference against a baseline.
    fn of_reference(
        &self,
        ready: &Ready,
        answers: &[Completion],
        allowance: &Allowance,
    ) -> anyhow::Result<Compared> {
        let baseline = &answers[0].generator;
        let hash = content_id(&[baseline]);
        let comparison = Comparison {
            name: &format!("reference against {baseline}"),
            out: &format!("judgments-reference-{}.jsonl", &hash[..8]),
            until_decided: false,
        };
        self.judge(ready, (&ready.reference, answers), &comparison, allowance)
    }

    /// What the judge makes of the anchors, asked anew.
    fn anchors(&self, ready: &Ready, allowance: &Allowance) -> anyhow::Result<anchors::AnchorRun> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?;
        let out = ready.directory.join(format!("anchors-{}.jsonl", now.as_millis()));
        let history = ready.directory.join("anchors-history.jsonl");
        let Seated::Remote(remote) = &ready.judge else {
            anyhow::bail!("anchors are for a judge behind a server");
        };
        let (judge, provider) = &**remote;
        let court = Court { judge, provider, orders: Orders::Both, sample: 0 };
        let (checked, spent) = anchors::check(&court, now.as_secs(), &history, &out, self.watch)?;
        allowance.add(&spent);
        server::account(&format!("{}: anchors", self.check.name), &spent);
        for line in checked.words() {
            (self.watch)(Event::Say(line));
        }
        Ok(checked.run)
    }
}
