//! The anchor runs of all judges, in one append-only file.
use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{super::configured::Judge, Outcome, anchors, set_hash};
use crate::{
    record::{Row, content_id},
    store::{Log, read_so_far},
};

/// One run of a judge on the anchors: a line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorRun {
    /// Hash of time, judge, server and set.
    pub id: String,
    /// Seconds since 1970.
    pub time: u64,
    pub judge: String,
    pub model: String,
    /// Of model, sampling, prompt and parser: with another one, it is another judge.
    pub judge_hash: String,
    pub server: String,
    /// [`set_hash`] of the anchors.
    pub anchors: String,
    /// Of each anchor, by its id.
    pub scores: BTreeMap<String, Outcome>,
}

impl Row for AnchorRun {
    fn id(&self) -> &str {
        &self.id
    }
}

impl AnchorRun {
    /// The run of `judge` at `time`, with the outcomes in the order of the anchors.
    pub fn new(time: u64, judge: &Judge, server: &str, outcomes: &[Outcome]) -> Self {
        let (judge_hash, set) = (judge.hash(), set_hash());
        Self {
            id: content_id(&[&time.to_string(), &judge_hash, server, &set]),
            time,
            judge: judge.name.clone(),
            model: judge.model.clone(),
            judge_hash,
            server: server.to_owned(),
            anchors: set,
            scores: anchors()
                .into_iter()
                .map(|anchor| anchor.id)
                .zip(outcomes.iter().copied())
                .collect(),
        }
    }

    /// Whether so many anchors are missing, more than one in ten, that the run compares with no other.
    pub fn too_few(&self) -> bool {
        let scores = || self.scores.values();
        10 * scores().filter(|&&outcome| outcome == Outcome::Missing).count() > scores().count()
    }
}

/// The runs of one judge on these anchors, the first one first. Runs of others are passed over, and so
/// is a last line that a kill cut short.
pub(super) fn earlier(history: &Path, judge_hash: &str) -> anyhow::Result<Vec<AnchorRun>> {
    let set = set_hash();
    let mut runs: Vec<AnchorRun> = read_so_far(history)?;
    runs.retain(|run| run.judge_hash == judge_hash && run.anchors == set);
    runs.sort_by_key(|run| run.time);
    Ok(runs)
}

/// Adds a run at the end.
pub(super) fn append(history: &Path, run: &AnchorRun) -> anyhow::Result<()> {
    let mut log = Log::open(history)?;
    anyhow::ensure!(
        !log.contains(&run.id),
        "{} has a run of this judge in this very second; run again",
        history.display()
    );
    log.append(run)?;
    log.sync()
}
