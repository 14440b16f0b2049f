//! Values of keys that a recipe leaves out: the paper's, where it gives one.
use super::{
    Augment, BASE, Curate, JudgeMethod, PREVIOUS, Projection, RatingMethod, Score, Tag, Tags,
};

impl Default for Tags {
    fn default() -> Self {
        Self {
            seed: "You are an AI assistant: answer in an assistant's voice.".into(),
            augmented: "Answer with what a search of the web would turn up.".into(),
            inference: vec![Tag::Seed, Tag::Augmented],
        }
    }
}

impl Default for Augment {
    fn default() -> Self {
        Self { temperature: 0.7, top_p: 0.9, top_k: None, stop: Vec::new(), max_tokens: 128 }
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
            top_k: None,
            stop: Vec::new(),
            max_tokens: 256,
        }
    }
}

pub(super) fn two() -> usize {
    2
}
pub(super) fn three() -> usize {
    3
}
pub(super) fn seed_limit() -> usize {
    3_200
}
pub(super) fn english() -> String {
    "en".into()
}
pub(super) fn min_characters() -> usize {
    600
}
pub(super) fn max_characters() -> usize {
    3_000
}
pub(super) fn repetition_threshold() -> f64 {
    0.8
}
pub(super) fn batch_size() -> usize {
    32
}
pub(super) fn learning_rate() -> f64 {
    1e-5
}
pub(super) fn final_learning_rate() -> f64 {
    9e-6
}
pub(super) fn weight_decay() -> f64 {
    0.1
}
pub(super) fn gradient_clip() -> f64 {
    1.0
}
pub(super) fn max_example_tokens() -> usize {
    2_048
}
pub(super) fn all_projections() -> Vec<Projection> {
    Projection::ALL.to_vec()
}
pub(super) fn all_baselines() -> Vec<String> {
    vec![BASE.into(), PREVIOUS.into()]
}
pub(super) fn paper_temperature() -> f64 {
    0.7
}
pub(super) fn paper_top_p() -> f64 {
    0.9
}
pub(super) fn max_answer_tokens() -> usize {
    1_024
}

pub(super) fn by_choice() -> JudgeMethod {
    JudgeMethod::Choice
}

pub(super) fn by_verdicts() -> Score {
    Score::Verdicts
}
