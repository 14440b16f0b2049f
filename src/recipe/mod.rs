//! A recipe: everything that decides what a run does, as TOML. This file is the whole schema;
//! defaults and checks lie beside it.
//!
//! Unknown keys are refused. A key with a default may be left out; the resolved recipe, with every
//! value, is written into the run directory. `docs/recipes.md` explains each key to people.
mod check;
mod defaults;
mod finetune;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use finetune::{Finetune, Lora, Projection};
pub use server::{Price, Server};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names the run: letters, digits, `-` and `_`.
    pub name: String,
    /// Every random choice of the run follows from it.
    #[serde(default)]
    pub random_seed: u64,
    /// Rounds of curation and finetuning after M0. The paper runs 2: M1 and M2.
    #[serde(default = "defaults::two")]
    pub iterations: usize,
    pub model: Model,
    pub seed: Seed,
    pub corpus: Corpus,
    #[serde(default)]
    pub tags: Tags,
    pub finetune: Finetune,
    #[serde(default)]
    pub augment: Augment,
    #[serde(default)]
    pub curate: Curate,
    pub evaluate: Evaluate,
    pub judge: Judge,
    /// The directory that relative paths start from: the recipe's own.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Places that offer the same content, tried in order: `file:`, `https:`, `hf:`, `pypi:`, `apt:`.
    pub from: Vec<String>,
    /// SHA-256 of the one file that is meant, in hexadecimal; checked when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The base model that every finetuning starts from: weights or a script, exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A GGUF file, or a directory in Hugging Face layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Source>,
    /// A script of replies, to run the loop with no weights at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Source>,
    /// How models that answer, rate and judge multiply.
    #[serde(default)]
    pub products: Products,
}

/// How matrices are rounded for a product; sums stay `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Products {
    /// `bf16` where this processor multiplies it faster than `f32`, else `f32`.
    #[default]
    Auto,
    /// What this processor multiplies fastest, however coarse; not for training.
    Fastest,
    /// Not at all.
    F32,
    /// To 8 significant bits.
    Bf16,
    /// To 8-bit integers with a scale for every 64: coarser, and not for training.
    Int8,
    /// To 7-bit integers in the same way, and to 8-bit ones where a model bears less.
    Int7,
}

/// The pairs that people wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub source: Source,
    pub format: SeedFormat,
    /// At most this many pairs, drawn with the run's random seed. The paper has 3,200.
    #[serde(default = "defaults::seed_limit")]
    pub limit: usize,
    /// Open Assistant only: the language of the pair.
    #[serde(default = "defaults::english")]
    pub language: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedFormat {
    /// One `{"instruction": ..., "output": ...}` a line, gzipped or not.
    Jsonl,
    /// LIMA's lines of `{"conversations": [prompt, answer, ...]}`: the first turn of each.
    Lima,
    /// An Open Assistant export of message trees, one a line, gzipped or not: first turn, rank 0.
    OpenAssistant,
}

/// The text that instructions are written for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// HTML pages: a pattern such as `#usr/share/doc/**/*.html` may end the source.
    pub source: Source,
    /// Segments to use, drawn with the run's random seed from those that pass the filters.
    pub limit: usize,
    /// Shortest segment, in characters. The paper: 600.
    #[serde(default = "defaults::min_characters")]
    pub min_characters: usize,
    /// Longest segment, in characters. The paper: 3,000.
    #[serde(default = "defaults::max_characters")]
    pub max_characters: usize,
    /// Words in an n-gram, for the filter of repetitive segments. The paper does not say.
    #[serde(default = "defaults::three")]
    pub repetition_ngram: usize,
    /// Jaccard similarity of two sentences from which a segment counts as repetitive. The paper does not say.
    #[serde(default = "defaults::repetition_threshold")]
    pub repetition_threshold: f64,
}

/// System prompts that tell seed answers from web text. The paper's S_a and S_w, in our own words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tags {
    pub seed: String,
    pub augmented: String,
    /// What the model is told when it answers: the paper found both tags together best.
    pub inference: Vec<Tag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tag {
    Seed,
    Augmented,
}

/// How the backward model predicts instructions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    pub temperature: f64,
    pub top_p: f64,
    /// Draws from so many of the likeliest tokens; from all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Texts that end an instruction, and are no part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Longest instruction, in tokens; a longer one is dropped, not cut.
    pub max_tokens: usize,
}

/// How the forward model rates pairs, and which are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Curate {
    /// Keep pairs rated at least this. The paper: A_5 is 4.5 and more, A_4 is 4 and more.
    pub threshold: f64,
    /// If fewer pairs reach the threshold, keep this many of the best rated instead, and say so.
    pub at_least: usize,
    pub rating: RatingMethod,
    /// Replies asked for each pair when `rating = "text"`; the rating is their mean.
    pub samples: usize,
    pub temperature: f64,
    pub top_p: f64,
    /// Draws from so many of the likeliest tokens; from all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Texts that end a reply, and are no part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Longest reply, in tokens, when `rating = "text"`.
    pub max_tokens: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RatingMethod {
    /// The paper's way: the model writes its reasons and a last line `Score: N`.
    Text,
    /// The mean of 1..5 under the model's own probabilities of the next token after `Score: `.
    Probabilities,
}

/// What each iteration is asked, and whom it is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// A built-in eval set, or the path of a `set.toml` or of JSONL of `{"instruction": ..., "dataset": ...}`.
    pub eval_set: String,
    /// So many of its prompts, the same in every run; all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `base`, the base model untrained by this run; `previous`, the iteration before; a built-in
    /// baseline; or the path of answers, of a model or of a contestant's `.toml`.
    #[serde(default = "defaults::all_baselines")]
    pub baselines: Vec<String>,
    #[serde(default = "defaults::paper_temperature")]
    pub temperature: f64,
    #[serde(default = "defaults::paper_top_p")]
    pub top_p: f64,
    /// Draws from so many of the likeliest tokens; from all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Texts that end an answer, and are no part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Longest answer, in tokens; a longer one is cut, judged as it is, and counted.
    #[serde(default = "defaults::max_answer_tokens")]
    pub max_tokens: usize,
}

/// Who compares two answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    #[serde(default = "defaults::by_choice")]
    pub method: JudgeMethod,
    /// How the two orders of a pair become one score.
    #[serde(default = "defaults::by_verdicts")]
    pub score: Score,
    /// The judge's weights; left out, the base model judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Source>,
    /// How it multiplies; left out, as the models that it judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Products>,
    /// A judge behind servers, in place of weights: asked in both orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteJudge>,
    /// How well this judge agreed with people where that was measured; printed in every report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

/// A judge behind servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteJudge {
    /// A built-in judge, or the path of a judge's file.
    pub judge: String,
    /// The model that the servers are asked for, in place of the judge's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    #[serde(default)]
    pub server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeMethod {
    /// Shown both answers, in both orders: which of `A` and `B` is the likelier next token?
    Choice,
    /// Shown no pair: which answer has the higher mean log-probability, given the instruction?
    Likelihood,
}

/// How what a judge said of one prompt, in both orders, becomes the candidate's score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The mean of the verdicts: a judge that contradicts itself when the order changes gives a half.
    Verdicts,
    /// The verdict on the mean of the preferences: a constant preference for one place cancels out.
    Preferences,
}

/// A measured agreement between a judge and people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Share of the items on which the judge sides with the majority of people, in [0, 1].
    pub estimate: f64,
    /// 95% interval.
    pub lower: f64,
    pub upper: f64,
    /// Items with a human majority for one side.
    pub n: usize,
    /// The data set, and the command that measured it.
    pub measured_on: String,
}

/// Baselines of the run itself: the base model as it came, and the iteration before.
pub const BASE: &str = "base";
pub const PREVIOUS: &str = "previous";

/// What a run calls a baseline: a built-in's name, or a file's without its ending.
pub fn baseline_name(baseline: &str) -> &str {
    let path = std::path::Path::new(baseline);
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(baseline)
}

impl Evaluate {
    /// The baselines that are neither the base model nor the iteration before.
    pub fn rivals(&self) -> impl Iterator<Item = &str> {
        self.baselines.iter().map(String::as_str).filter(|name| ![BASE, PREVIOUS].contains(name))
    }
}

impl Tags {
    /// The system prompt for answering.
    pub fn inference(&self) -> String {
        let text = |tag: &Tag| match tag {
            Tag::Seed => self.seed.as_str(),
            Tag::Augmented => self.augmented.as_str(),
        };
        self.inference.iter().map(text).collect::<Vec<_>>().join(" ")
    }
}
