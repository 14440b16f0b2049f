//! The reference lock: what checks compare with, kept in the repository, so that a verdict today means
//! what it meant last week.
use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{
    judge::anchors::AnchorRun,
    record::{Completion, Prompt, content_id},
    store::write_atomic,
};

/// Files of another version are refused.
const VERSION: u32 = 2;

/// A lock file (`spyhop.lock`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By the check's name.
    checks: BTreeMap<String, Locked>,
    /// Of all checks: it tells a file that was edited by hand.
    hash: String,
}

/// What one check compares with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    pub reference: String,
    /// Hash of the prompts: of their ids, texts and slices.
    pub eval_set: String,
    pub judge: String,
    pub judge_model: String,
    /// Of the judge's prompt, sampling and parser.
    pub judge_hash: String,
    /// Hashes of the reference's answers, by prompt.
    pub answers: BTreeMap<String, String>,
    pub baselines: BTreeMap<String, LockedBaseline>,
    /// What the judge made of the anchors, if it was asked about them.
    pub anchors: Option<AnchorRun>,
}

/// A shared baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBaseline {
    /// Hash of its answers.
    pub answers: String,
    /// The reference's scores against it, by prompt; null without a verdict.
    pub scores: BTreeMap<String, Option<f64>>,
}

impl Default for Lock {
    fn default() -> Self {
        let checks = BTreeMap::new();
        Self { version: VERSION, hash: hash(&checks), checks }
    }
}

impl Lock {
    /// # Errors
    /// When the file is missing, is no lock, is of another version, or was edited.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let text = fs::read_to_string(path).with_context(|| {
            format!("cannot read the lock {place}; `spyhop check --update` writes it")
        })?;
        let json: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{place} is no lock"))?;
        let version = json["version"].as_u64();
        anyhow::ensure!(
            version == Some(u64::from(VERSION)),
            "{place} is a lock of version {}, and this spyhop writes version {VERSION}: make it anew with `spyhop check --update`",
            version.map_or("none".to_owned(), |version| version.to_string())
        );
        let lock: Self =
            serde_json::from_value(json).with_context(|| format!("{place} is no lock"))?;
        anyhow::ensure!(
            lock.hash == hash(&lock.checks),
            "{place} was edited: its hash is not that of its content; make it anew with `spyhop check --update`"
        );
        Ok(lock)
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        write_atomic(&std::path::absolute(path)?, text.as_bytes())
    }

    /// What a check compares with.
    ///
    /// # Errors
    /// When the lock does not have it.
    pub fn of(&self, check: &str) -> anyhow::Result<&Locked> {
        self.checks.get(check).with_context(|| {
            format!("the lock has no check {check:?}: add it with `spyhop check --update`")
        })
    }

    pub fn put(&mut self, check: &str, locked: Locked) {
        self.checks.insert(check.to_owned(), locked);
        self.hash = hash(&self.checks);
    }
}

impl Locked {
    /// # Errors
    /// When today's reference is not the locked one: everything that differs.
    pub fn compare(&self, now: &Self) -> anyhow::Result<()> {
        let mut differs = Vec::new();
        let named = [
            ("reference", &self.reference, &now.reference),
            ("judge", &self.judge, &now.judge),
            ("judge's model", &self.judge_model, &now.judge_model),
        ];
        for (what, before, now) in named {
            if before != now {
                differs.push(format!("the {what} was {before:?} and is {now:?}"));
            }
        }
        if self.eval_set != now.eval_set {
            differs.push("the eval set has other prompts".to_owned());
        }
        if self.judge == now.judge
            && self.judge_model == now.judge_model
            && self.judge_hash != now.judge_hash
        {
            differs.push("the judge's prompt, sampling or parser was changed".to_owned());
        }
        if self.eval_set == now.eval_set && self.reference == now.reference {
            let changed = self
                .answers
                .iter()
                .filter(|(prompt, hash)| now.answers.get(*prompt) != Some(hash))
                .count();
            if changed > 0 {
                differs.push(format!(
                    "{changed} of {} answers of the reference are others",
                    self.answers.len()
                ));
            }
        }
        for (name, baseline) in &self.baselines {
            match now.baselines.get(name) {
                None => differs.push(format!("the baseline {name:?} is gone")),
                Some(now) if now.answers != baseline.answers => {
                    differs.push(format!("the answers of the baseline {name:?} are others"));
                }
                Some(_) => {}
            }
        }
        for name in now.baselines.keys().filter(|name| !self.baselines.contains_key(*name)) {
            differs.push(format!("the baseline {name:?} is new"));
        }
        anyhow::ensure!(
            differs.is_empty(),
            "the lock is of something else: {}; if that is meant, `spyhop check --update`",
            differs.join("; ")
        );
        Ok(())
    }
}

/// Identifies prompts.
pub fn prompts_hash(prompts: &[Prompt]) -> String {
    let parts: Vec<&str> =
        prompts.iter().flat_map(|one| [&*one.id, &*one.instruction, &*one.dataset]).collect();
    content_id(&parts)
}

/// Identifies each answer, by prompt.
pub fn answer_hashes(answers: &[Completion]) -> BTreeMap<String, String> {
    let one = |answer: &Completion| {
        (answer.id.clone(), content_id(&[&answer.output, &format!("{:?}", answer.finish)]))
    };
    answers.iter().map(one).collect()
}

fn hash(checks: &BTreeMap<String, Locked>) -> String {
    let text = serde_json::to_string(checks).unwrap_or_default();
    content_id(&[&text])
}
