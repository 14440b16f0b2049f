//! Rows on the way to training pairs: segments, what the backward model makes of them, and ratings.
use serde::{Deserialize, Serialize};

use super::{Finish, content_id};

/// A self-contained piece of a document: the text under one header, lower headers included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub id: String,
    /// Path or URL of the page, relative to its source.
    pub document: String,
    /// The headers above and including this segment's own, outermost first.
    pub headers: Vec<String>,
    pub text: String,
}

/// A segment that a filter turned away, kept so that every drop can be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    pub id: String,
    pub document: String,
    pub headers: Vec<String>,
    pub text: String,
    pub reason: Reject,
}

/// Why a segment was not kept, in the order in which the filters run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// Fewer characters than `corpus.min_characters`.
    TooShort,
    /// More characters than `corpus.max_characters`.
    TooLong,
    /// The header holds no letter.
    EmptyHeader,
    /// The header is written in capitals.
    UppercaseHeader,
    /// The header belongs to a page's furniture: "see also", "table of contents", ...
    NavigationHeader,
    /// Two sentences of the segment say nearly the same (n-gram Jaccard similarity).
    Repetitive,
    /// The same text was already seen in this corpus.
    Duplicate,
}

/// Where a training pair comes from; decides its system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written by a person: the seed.
    Seed,
    /// A corpus segment with a predicted instruction.
    Augmented,
}

/// An instruction and the output that answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub id: String,
    pub instruction: String,
    pub output: String,
    pub origin: Origin,
    /// What it was made from: the segment's id, or the seed row's place in its file.
    pub parent: String,
}

impl Pair {
    pub fn new(instruction: String, output: String, origin: Origin, parent: String) -> Self {
        let id = content_id(&[&instruction, &output]);
        Self { id, instruction, output, origin, parent }
    }
}

/// The backward model's guess at the instruction that a segment answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmented {
    /// The segment's id.
    pub id: String,
    /// `None` when the reply is no instruction: `dropped` says why.
    pub instruction: Option<String>,
    /// The segment's text.
    pub output: String,
    pub dropped: Option<NoInstruction>,
    /// What the model said, to the byte.
    pub reply: String,
    pub finish: Finish,
}

/// Why a backward reply was not taken as an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoInstruction {
    Empty,
    /// Cut by the token limit, or never asked because the segment was too long for the model.
    Truncated,
    /// The reply repeats the beginning of the segment or of the question put to it.
    Echo,
}

/// What the curating model said of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rated {
    /// The pair's id.
    pub id: String,
    /// 1 (worst) to 5 (best); `None` when no reply held a rating. Mean of the readable samples.
    pub rating: Option<f64>,
    /// Every sample's reply, to the byte. Read from probabilities, it lists them.
    pub replies: Vec<String>,
    /// Samples that held no rating.
    pub unread: usize,
}

/// How the pairs of one iteration were chosen (`selection.json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Pairs that were put to the curating model.
    pub pairs: usize,
    /// Pairs without a readable rating.
    pub unrated: usize,
    pub threshold: f64,
    /// Pairs rated at least `threshold`.
    pub reached_threshold: usize,
    pub kept: usize,
    /// Whether `curate.at_least` was used because too few pairs reached the threshold.
    pub fallback: bool,
    /// The lowest rating that was kept.
    pub lowest_kept: Option<f64>,
}
