//! A frozen set of pairs of which one answer is clearly better, to notice when a judge behind a server
//! is no longer the judge that it was.
//!
//! Knows the pairs, what a judge's verdicts make of them, and the history of its earlier runs. Asks by
//! way of a [`Court`], and does not know what depends on the judge.
mod accuracy;
mod drift;
mod history;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use accuracy::{Accuracy, accuracy};
pub use drift::{Change, Drift, Finding, change};
pub use history::AnchorRun;

use super::{Court, Orders};
use crate::{
    lm::api::{Outlook, Spent},
    record::{Completion, Finish, Judgment, Order, Verdict, content_id},
    store::read,
    watch::Watch,
};

const PAIRS: &str = include_str!("../../../eval_sets/anchors/pairs.jsonl");

/// Two answers to an instruction, of which every careful person would prefer the same one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub id: String,
    pub kind: Kind,
    pub instruction: String,
    pub better: String,
    pub worse: String,
}

/// What is wrong with the worse answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    WrongFact,
    /// A sum or a conclusion is wrong.
    WrongReasoning,
    /// It is right, but not in the form, length or language that was asked for.
    IgnoresConstraint,
    OffTopic,
    /// It breaks off, or leaves out a part that was asked for.
    Incomplete,
    NeedlessRefusal,
    /// Its sources are made up, or its advice does harm.
    InventedOrHarmful,
    /// It is wrong or empty, and much longer, with lists and flattery.
    LengthTrap,
}

/// What a judge made of an anchor, looking in both orders. In JSON it is the score: 1, 0.5, 0 or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Option<f64>", into = "Option<f64>")]
pub enum Outcome {
    /// The better answer won in both orders.
    Right,
    /// A tie in an order, or the two orders disagree.
    Undecided,
    /// The worse answer won in both orders.
    Wrong,
    /// An order has no verdict.
    Missing,
}

/// How a judge did on the anchors, and whether it does as it did before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// This run, as the history has it.
    #[serde(skip)]
    pub run: AnchorRun,
    pub accuracy: Accuracy,
    pub drift: Drift,
}

/// Puts all anchors to a judge once more, compares what it says with what it said before, and adds
/// the run to the history of all judges.
///
/// `time` is now, in seconds since 1970. It is also the number of the sample, so that no reply of an
/// earlier run answers from the store. The judgments go into `out`, which must not exist: an anchor
/// run is of one moment, and does not go on where another was stopped. Nothing is added to the
/// history where no anchor was judged, as without a server.
///
/// # Errors
/// When the judge cannot go on, `out` exists, or a file cannot be read or written.
pub fn check(
    court: &Court,
    time: u64,
    history: &Path,
    out: &Path,
    watch: Watch,
) -> anyhow::Result<(Checked, Spent)> {
    anyhow::ensure!(!out.exists(), "{} exists: name a new file for the anchors", out.display());
    let earlier = history::earlier(history, &court.judge.hash())?;
    let [better, worse] = sides();
    let spent = at(court, time).run(&better, &worse, None, out, watch)?.spent;
    let outcomes = outcomes(&read::<Judgment>(out)?);
    let run = AnchorRun::new(time, court.judge, &court.provider.server, &outcomes);
    let drift = drift::drift(&run, &earlier);
    if outcomes.iter().any(|&outcome| outcome != Outcome::Missing) {
        history::append(history, &run)?;
    }
    Ok((Checked { accuracy: accuracy(&outcomes), drift, run }, spent))
}

/// How much [`check`] would ask at `time`, and what it would cost.
///
/// # Errors
/// When the store of replies or the rows in `out` cannot be read.
pub fn outlook(court: &Court, time: u64, out: &Path) -> anyhow::Result<Outlook> {
    let [better, worse] = sides();
    at(court, time).outlook(&better, &worse, out)
}

fn at<'a>(court: &Court<'a>, time: u64) -> Court<'a> {
    Court { orders: Orders::Both, sample: time as usize, ..*court }
}

/// All anchors, in order.
///
/// # Panics
/// Never: the set is a part of the program.
pub fn anchors() -> Vec<Anchor> {
    let anchor = |line| serde_json::from_str(line).expect("the built-in set is whole");
    PAIRS.lines().map(anchor).collect()
}

/// A hash of the whole set: runs on different sets do not compare.
pub fn set_hash() -> String {
    content_id(&[PAIRS])
}

/// The better answers as those of one model and the worse ones as those of another, for a [`Court`].
pub fn sides() -> [Vec<Completion>; 2] {
    let anchors = anchors();
    let side = |generator: &str, output: fn(&Anchor) -> &str| {
        let completion = |anchor: &Anchor| Completion {
            id: anchor.id.clone(),
            instruction: anchor.instruction.clone(),
            output: output(anchor).to_owned(),
            generator: generator.to_owned(),
            dataset: "anchors".to_owned(),
            finish: Finish::Stop,
        };
        anchors.iter().map(completion).collect()
    };
    [
        side("anchor-better", |anchor| anchor.better.as_str()),
        side("anchor-worse", |anchor| anchor.worse.as_str()),
    ]
}

/// What the judgments of the two [`sides`], the better one as the candidate, make of each anchor, in
/// order.
pub fn outcomes(judgments: &[Judgment]) -> Vec<Outcome> {
    let outcome = |anchor: Anchor| {
        let look = |order: Order| {
            let of_order = |row: &&Judgment| row.prompt_id == anchor.id && row.order == order;
            judgments.iter().find(of_order).and_then(|row| row.verdict)
        };
        match (look(Order::CandidateFirst), look(Order::BaselineFirst)) {
            (Some(Verdict::Win), Some(Verdict::Win)) => Outcome::Right,
            (Some(Verdict::Loss), Some(Verdict::Loss)) => Outcome::Wrong,
            (Some(_), Some(_)) => Outcome::Undecided,
            _ => Outcome::Missing,
        }
    };
    anchors().into_iter().map(outcome).collect()
}

impl Checked {
    /// The gist for people, one sentence a line.
    pub fn words(&self) -> Vec<String> {
        [self.accuracy.words(), self.drift.words()].concat()
    }
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::WrongFact => "wrong fact",
            Self::WrongReasoning => "wrong reasoning",
            Self::IgnoresConstraint => "ignored constraint",
            Self::OffTopic => "off topic",
            Self::Incomplete => "incomplete",
            Self::NeedlessRefusal => "needless refusal",
            Self::InventedOrHarmful => "invented or harmful",
            Self::LengthTrap => "length trap",
        }
    }
}

impl Outcome {
    /// 1, 0.5 or 0; `None` where it is missing.
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Right => Some(1.0),
            Self::Undecided => Some(0.5),
            Self::Wrong => Some(0.0),
            Self::Missing => None,
        }
    }
}

impl From<Outcome> for Option<f64> {
    fn from(outcome: Outcome) -> Self {
        outcome.score()
    }
}

impl TryFrom<Option<f64>> for Outcome {
    type Error = String;

    fn try_from(score: Option<f64>) -> Result<Self, String> {
        [Self::Right, Self::Undecided, Self::Wrong, Self::Missing]
            .into_iter()
            .find(|outcome| outcome.score() == score)
            .ok_or_else(|| format!("expected a score of 1, 0.5, 0 or null, found {score:?}"))
    }
}
