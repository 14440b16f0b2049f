//! Rows of an evaluation: prompts, answers, and what a judge or a person said of two of them.
use serde::{Deserialize, Serialize};

/// An item of an eval set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    pub id: String,
    pub instruction: String,
    /// The slice it belongs to, as in AlpacaEval.
    pub dataset: String,
}

/// How a model's reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended its turn.
    Stop,
    /// The token limit cut it: what it would have said is not known.
    Length,
    /// The question did not fit into the model's context, so it was never asked.
    Overlong,
    /// A server ended it for a reason of its own, such as a filter, and sent no text.
    Refused,
}

impl Finish {
    /// Whether there is an answer that a judge could look at.
    pub fn answered(self) -> bool {
        matches!(self, Self::Stop | Self::Length)
    }
}

/// A model's answer to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The prompt's id.
    pub id: String,
    pub instruction: String,
    pub output: String,
    /// The model that answered: `base`, `M0`, `M1`, ...
    pub generator: String,
    pub dataset: String,
    pub finish: Finish,
}

/// Which answer the judge saw first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    CandidateFirst,
    BaselineFirst,
    /// The judge read each answer by itself, or neither (identical answers), so no order exists.
    OrderFree,
}

/// The outcome from the candidate's side, whatever order the judge saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Win,
    Tie,
    Loss,
}

impl Verdict {
    /// The candidate's score: a win is 1, a tie a half, a loss 0.
    pub fn score(self) -> f64 {
        match self {
            Self::Win => 1.0,
            Self::Tie => 0.5,
            Self::Loss => 0.0,
        }
    }
}

/// One look of the judge at a candidate's and a baseline's answer to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgment {
    pub id: String,
    pub prompt_id: String,
    pub dataset: String,
    pub candidate: String,
    pub baseline: String,
    pub order: Order,
    /// `None` when the reply held no verdict; counted, never scored.
    pub verdict: Option<Verdict>,
    /// The judge's own measure of "the candidate is better", where it has one: a probability in
    /// [0, 1] for a judge that chooses, a difference of mean log-probabilities for one that reads.
    pub preference: Option<f64>,
    pub reply: String,
}

/// What a person said of two answers, whose names they did not see, or that they take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Content id of the rater, the pair, and how often this rater had spoken of the comparison.
    pub id: String,
    pub rater: String,
    /// Content id of both names, the prompt's id and the three texts: other answers are another pair.
    pub pair: String,
    pub prompt_id: String,
    pub dataset: String,
    /// Of a screening pair, the better answer is the candidate and the worse one the baseline.
    pub candidate: String,
    pub baseline: String,
    /// Never `OrderFree`.
    pub order: Order,
    /// `None` takes the rater's choice on this pair back.
    pub verdict: Option<Verdict>,
    /// Whether the right answer was known before: such a choice says something of the rater only.
    pub screening: bool,
    /// The comparison that the rater was at, which a screening pair's own names do not say.
    pub contest: String,
    /// Seconds since 1970.
    pub time: u64,
}
