//! A recipe: everything that decides what a run does, as TOML. This file is the whole schema.
//!
//! Unknown keys are refused. A key with a default may be left out; the resolved recipe, with every
//! value, is written into the run directory. `docs/recipes.md` explains each key to people.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

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
    #[serde(default = "two")]
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
}

/// The pairs that people wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub source: Source,
    pub format: SeedFormat,
    /// At most this many pairs, drawn with the run's random seed. The paper has 3,200.
    #[serde(default = "seed_limit")]
    pub limit: usize,
    /// Open Assistant only: the language of the pair.
    #[serde(default = "english")]
    pub language: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedFormat {
    /// One `{"instruction": ..., "output": ...}` a line, gzipped or not.
    Jsonl,
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
    #[serde(default = "min_characters")]
    pub min_characters: usize,
    /// Longest segment, in characters. The paper: 3,000.
    #[serde(default = "max_characters")]
    pub max_characters: usize,
    /// Words in an n-gram, for the filter of repetitive segments. The paper does not say.
    #[serde(default = "three")]
    pub repetition_ngram: usize,
    /// Jaccard similarity of two sentences from which a segment counts as repetitive. The paper does not say.
    #[serde(default = "repetition_threshold")]
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

/// How every model of the run is trained: the backward model, M0, M1, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// Passes over the training pairs.
    pub epochs: f64,
    /// Pairs in one optimiser step. The paper: 32, or 8 below 3,000 pairs.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Learning rate at the first step. The paper: 1e-5.
    #[serde(default = "learning_rate")]
    pub learning_rate: f64,
    /// Learning rate at the last step, reached linearly. The paper: 9e-6.
    #[serde(default = "final_learning_rate")]
    pub final_learning_rate: f64,
    /// AdamW's decoupled weight decay. The paper: 0.1.
    #[serde(default = "weight_decay")]
    pub weight_decay: f64,
    /// Gradients of a larger norm are scaled down to this. The paper does not say.
    #[serde(default = "gradient_clip")]
    pub gradient_clip: f64,
    /// Longest training example, in tokens; longer ones are cut and counted.
    #[serde(default = "max_example_tokens")]
    pub max_tokens: usize,
}

/// How the backward model predicts instructions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    pub temperature: f64,
    pub top_p: f64,
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
    /// JSONL of `{"instruction": ..., "dataset": ...}`.
    pub prompts: Source,
    #[serde(default = "all_baselines")]
    pub baselines: Vec<Baseline>,
    #[serde(default = "paper_temperature")]
    pub temperature: f64,
    #[serde(default = "paper_top_p")]
    pub top_p: f64,
    /// Longest answer, in tokens; a longer one is cut, judged as it is, and counted.
    #[serde(default = "max_answer_tokens")]
    pub max_tokens: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The base model as it came, untrained by this run.
    Base,
    /// The iteration before.
    Previous,
}

/// Who compares two answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    pub method: JudgeMethod,
    /// The judge's weights; left out, the base model judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Source>,
    /// How well this judge agreed with people where that was measured; printed in every report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeMethod {
    /// Shown both answers, in both orders: which of `A` and `B` is the likelier next token?
    Choice,
    /// Shown no pair: which answer has the higher mean log-probability, given the instruction?
    Likelihood,
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

impl Default for Tags {
    fn default() -> Self {
        Self {
            seed: "You are an AI assistant: answer in an assistant's voice.".into(),
            augmented: "Answer with what a search of the web would turn up.".into(),
            inference: vec![Tag::Seed, Tag::Augmented],
        }
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

impl Default for Augment {
    fn default() -> Self {
        Self { temperature: 0.7, top_p: 0.9, max_tokens: 128 }
    }
}

impl Default for Curate {
    fn default() -> Self {
        Self {
            threshold: 4.5,
            at_least: 0,
            rating: RatingMethod::Text,
            samples: 1,
            temperature: 0.7,
            top_p: 0.9,
            max_tokens: 256,
        }
    }
}

fn two() -> usize {
    2
}
fn three() -> usize {
    3
}
fn seed_limit() -> usize {
    3_200
}
fn english() -> String {
    "en".into()
}
fn min_characters() -> usize {
    600
}
fn max_characters() -> usize {
    3_000
}
fn repetition_threshold() -> f64 {
    0.8
}
fn batch_size() -> usize {
    32
}
fn learning_rate() -> f64 {
    1e-5
}
fn final_learning_rate() -> f64 {
    9e-6
}
fn weight_decay() -> f64 {
    0.1
}
fn gradient_clip() -> f64 {
    1.0
}
fn max_example_tokens() -> usize {
    2_048
}
fn all_baselines() -> Vec<Baseline> {
    vec![Baseline::Base, Baseline::Previous]
}
fn paper_temperature() -> f64 {
    0.7
}
fn paper_top_p() -> f64 {
    0.9
}
fn max_answer_tokens() -> usize {
    1_024
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// When the file is missing, not TOML, has an unknown key or a value out of range; the message
    /// has file and line, and says what is allowed.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the recipe {}", path.display()))?;
        let mut recipe = Self::parse(&text).with_context(|| path.display().to_string())?;
        recipe.directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(recipe)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let recipe: Self = toml::from_str(text)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe with every default filled in, as TOML.
    pub fn resolved(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// What serde cannot say: ranges, and keys that go together.
    fn check(&self) -> anyhow::Result<()> {
        let name_is_plain =
            self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        anyhow::ensure!(
            !self.name.is_empty() && name_is_plain,
            "name = {:?}: use letters, digits, - and _, as it names a directory",
            self.name
        );
        anyhow::ensure!(
            self.model.weights.is_some() != self.model.script.is_some(),
            "[model] needs exactly one of `weights` and `script`"
        );
        anyhow::ensure!(
            !(self.model.script.is_some() && self.judge.weights.is_some()),
            "[judge] weights: a scripted run is judged by its script; leave this key out"
        );
        let positive = [
            ("seed.limit", self.seed.limit),
            ("corpus.limit", self.corpus.limit),
            ("corpus.repetition_ngram", self.corpus.repetition_ngram),
            ("finetune.batch_size", self.finetune.batch_size),
            ("finetune.max_tokens", self.finetune.max_tokens),
            ("augment.max_tokens", self.augment.max_tokens),
            ("curate.samples", self.curate.samples),
            ("curate.max_tokens", self.curate.max_tokens),
            ("evaluate.max_tokens", self.evaluate.max_tokens),
        ];
        for (key, value) in positive {
            anyhow::ensure!(value > 0, "{key} = 0: must be at least 1");
        }
        anyhow::ensure!(
            self.corpus.min_characters <= self.corpus.max_characters,
            "corpus.min_characters = {} is above corpus.max_characters = {}",
            self.corpus.min_characters,
            self.corpus.max_characters
        );
        let ranges = [
            ("corpus.repetition_threshold", self.corpus.repetition_threshold, 0.0, 1.0),
            ("finetune.epochs", self.finetune.epochs, 0.0, 1e6),
            ("finetune.learning_rate", self.finetune.learning_rate, 0.0, 1.0),
            ("finetune.final_learning_rate", self.finetune.final_learning_rate, 0.0, 1.0),
            ("finetune.weight_decay", self.finetune.weight_decay, 0.0, 1.0),
            ("finetune.gradient_clip", self.finetune.gradient_clip, f64::MIN_POSITIVE, 1e9),
            ("augment.temperature", self.augment.temperature, 0.0, 10.0),
            ("augment.top_p", self.augment.top_p, f64::MIN_POSITIVE, 1.0),
            ("curate.threshold", self.curate.threshold, 1.0, 5.0),
            ("curate.temperature", self.curate.temperature, 0.0, 10.0),
            ("curate.top_p", self.curate.top_p, f64::MIN_POSITIVE, 1.0),
            ("evaluate.temperature", self.evaluate.temperature, 0.0, 10.0),
            ("evaluate.top_p", self.evaluate.top_p, f64::MIN_POSITIVE, 1.0),
        ];
        for (key, value, least, most) in ranges {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{key} = {value}: must be between {} and {most}",
                if least == f64::MIN_POSITIVE {
                    "0 (not included)".into()
                } else {
                    least.to_string()
                }
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
name = "smallest"
[model]
script = { from = ["file:replies.jsonl"] }
[seed]
source = { from = ["file:seed.jsonl"] }
format = "jsonl"
[corpus]
source = { from = ["file:pages#**/*.html"] }
limit = 10
[finetune]
epochs = 1
[evaluate]
prompts = { from = ["file:prompts.jsonl"] }
[judge]
method = "choice"
"#;

    #[test]
    fn defaults_are_the_papers_and_survive_a_round_trip() {
        let recipe = Recipe::parse(SMALLEST).unwrap();
        assert_eq!(recipe.iterations, 2);
        assert_eq!(recipe.seed.limit, 3_200);
        assert_eq!((recipe.corpus.min_characters, recipe.corpus.max_characters), (600, 3_000));
        assert_eq!(
            (recipe.finetune.learning_rate, recipe.finetune.final_learning_rate),
            (1e-5, 9e-6)
        );
        assert_eq!((recipe.augment.temperature, recipe.augment.top_p), (0.7, 0.9));
        assert_eq!(recipe.curate.threshold, 4.5);
        assert_eq!(Recipe::parse(&recipe.resolved().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(SMALLEST.contains(from));
            let error = Recipe::parse(&SMALLEST.replace(from, to)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error}");
        };
        check("epochs = 1", "epochs = 1\nepoch = 1", "unknown field `epoch`");
        check("epochs = 1", "epochs = 1\nepoch = 1", "line 13");
        check("\"choice\"", "\"coin\"", "expected `choice` or `likelihood`");
        check("epochs = 1", "epochs = -1", "finetune.epochs = -1: must be between 0 and 1000000");
        check("\"smallest\"", "\"a/b\"", "name = \"a/b\": use letters");
        check(
            "script = { from = [\"file:replies.jsonl\"] }",
            "",
            "exactly one of `weights` and `script`",
        );
        check("limit = 10", "limit = 0", "corpus.limit = 0: must be at least 1");
    }
}
