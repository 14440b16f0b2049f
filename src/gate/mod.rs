//! May a candidate take the place of a reference? A verdict with an error rate, from judged prompts.
//!
//! Green needs evidence: an interval that excludes a loss of the margin or more. Red needs evidence too.
//! Everything else is inconclusive, be it for want of prompts, of verdicts or of a judge that can be
//! believed. Asks no model and reads no file but a suite's and a lock's.
mod decide;
mod faults;
mod lock;
pub mod output;
mod suite;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use decide::{Against, Evidence, Scored, decide};
pub use faults::{Fault, Faults, faults};
pub use lock::{Lock, Locked, LockedBaseline, answer_hashes, prompts_hash};
pub use suite::{Budget, Ceilings, Check, Floors, LocalJudge, Suite};

use crate::stats::{Estimate, Gate};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better than the reference.
    Better,
    /// Worse by less than the margin, if at all.
    NoWorse,
    /// Worse by more than the margin, or faulty by its own thresholds.
    Regressed,
    /// Not known.
    Inconclusive,
}

/// A check's verdict and all that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub check: String,
    pub candidate: String,
    pub reference: String,
    pub judge: String,
    pub verdict: Verdict,
    /// Why, one sentence each: what decided first.
    pub reasons: Vec<String>,
    /// Points.
    pub margin: f64,
    /// Prompts of the eval set, those that were put to the judge, and those with a score.
    pub prompts: usize,
    pub judged: usize,
    pub scored: usize,
    /// Of the prompts judged in both orders, the share on which both verdicts agree.
    pub order_consistency: Option<f64>,
    /// Against the reference itself, then through shared baselines, then by slice.
    pub parts: Vec<Part>,
    pub faults: Vec<FaultLine>,
    /// Mean characters of an answer.
    pub candidate_characters: f64,
    pub reference_characters: f64,
    /// With a sequence: prompts that need not be judged any more.
    pub saved: Option<usize>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    pub what: What,
    /// Candidate minus reference, in points of the win rate, with a 95% interval; of a sequence, one
    /// that holds however often one looks.
    pub difference: Option<Estimate>,
    pub gate: Gate,
    /// One-sided p-value of "not worse by the margin", after Holm's correction among the parts that can
    /// turn a check red by it; none of the part that decides by its interval.
    pub p_regressed: Option<f64>,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The candidate with the reference.
    Direct,
    /// Both with a baseline.
    Through(String),
    /// On one dataset of the eval set.
    Slice(String),
}

/// A fault of answers, and how often it may occur.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultLine {
    pub fault: Fault,
    /// Shares of the candidate's and the reference's answers, in [0, 1].
    pub candidate: f64,
    pub reference: f64,
    pub limit: f64,
    pub n: usize,
}

impl Verdict {
    /// 0 for green, 1 for red, 3 for neither.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Better | Self::NoWorse => 0,
            Self::Regressed => 1,
            Self::Inconclusive => 3,
        }
    }

    /// In two words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::NoWorse => "no worse",
            Self::Regressed => "regressed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl What {
    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::Direct => "against the reference".to_owned(),
            Self::Through(baseline) => format!("through {baseline}"),
            Self::Slice(slice) => format!("slice {slice}"),
        }
    }
}
