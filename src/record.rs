//! Every row type that crosses a stage boundary. Plain data: no I/O, and no knowledge of who writes it.
//!
//! Field names follow AlpacaEval and the Hugging Face hub (`instruction`, `output`, `generator`,
//! `dataset`), so those tools read our files as they are. `docs/formats.md` lists every file.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A row of a JSONL file, with the key on which a stage resumes.
pub trait Row: Serialize + DeserializeOwned {
    /// Unique within its file; derived from content, so that a rerun finds it again.
    fn id(&self) -> &str;
}

/// The first 16 hexadecimal digits of BLAKE3 over `parts`, each preceded by its length.
///
/// 64 bits: among a million rows the chance of any collision is below 3e-8.
pub fn content_id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

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

/// An item of an eval set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    pub id: String,
    pub instruction: String,
    /// The slice it belongs to, as in AlpacaEval.
    pub dataset: String,
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

/// One optimiser step of a finetuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingStep {
    /// The step's number, from 1.
    pub id: String,
    /// Mean negative log-likelihood of a trained token, in nats, before the step.
    pub loss: f64,
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens that had a label in this step.
    pub trained_tokens: usize,
    /// All tokens that went through the model in this step.
    pub tokens: usize,
    /// Wall time of the step.
    pub seconds: f64,
}

/// What a finetuning is about to learn from, checked before it begins (`audit.json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub examples: usize,
    pub tokens: usize,
    /// Tokens with a label: those of the outputs and of the end of each turn.
    pub trained_tokens: usize,
    /// Examples cut to `finetune.max_tokens`; their end of turn is not learned.
    pub truncated: usize,
    /// Examples whose last label is the end-of-turn token.
    pub end_of_turn_learned: usize,
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

/// The last thing a stage writes: its existence means that the stage is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The stage: `corpus`, `augment`, `M1/curate`, ...
    pub id: String,
    /// Hash of everything that the stage read.
    pub inputs: String,
    pub counts: Counts,
    /// Wall time of the session that finished the stage, in seconds.
    pub seconds: f64,
    /// Whether an earlier session had begun the stage: then `seconds` is not the whole of its cost.
    pub resumed: bool,
}

/// `rows_in` = `kept` + all of `dropped` + `failed`. Always.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub rows_in: usize,
    pub kept: usize,
    /// Rows set aside on purpose, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Rows for which the model gave nothing usable.
    pub failed: usize,
}

impl Counts {
    /// Counts for a stage that keeps all it is given.
    pub fn all(rows: usize) -> Self {
        Self { rows_in: rows, kept: rows, ..Self::default() }
    }

    pub fn balanced(&self) -> bool {
        self.rows_in == self.kept + self.dropped.values().sum::<usize>() + self.failed
    }
}

macro_rules! row {
    ($($row:ty),*) => { $(impl Row for $row { fn id(&self) -> &str { &self.id } })* };
}
row!(
    Segment,
    Rejected,
    Pair,
    Augmented,
    Rated,
    Prompt,
    Completion,
    Judgment,
    Choice,
    TrainingStep,
    Done
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ids_do_not_confuse_boundaries() {
        assert_ne!(content_id(&["ab", "c"]), content_id(&["a", "bc"]));
        assert_eq!(content_id(&["ab", "c"]), content_id(&["ab", "c"]));
        assert_eq!(content_id(&[]).len(), 16);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let line = r#"{"id":"1","instruction":"a","dataset":"b","ouput":"typo"}"#;
        assert!(serde_json::from_str::<Prompt>(line).is_err());
    }
}
