//! The win rate at equal length, by what is at hand: AlpacaEval's published figures, or our own fit.
use std::{collections::HashMap, fmt};

use rayon::prelude::*;

use super::{PromptScore, Scored, published::Published};
use crate::{
    exchange::{Contest, PromptKey},
    stats::{
        Estimate,
        length_control::{self, COST, Compared, Predicted, Weights},
    },
};

/// A length-controlled win rate, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Controlled {
    /// In [0, 1].
    pub win_rate: f64,
    /// From a bootstrap over prompts; of published weights AlpacaEval's own, which is about half of it.
    pub standard_error: Option<f64>,
    /// From the same bootstrap: published weights have no interval.
    pub interval: Option<Estimate>,
    /// The weight of the length feature: negative if the judge likes long answers.
    pub length: Option<Estimate>,
    pub method: Method,
}

/// How a win rate was controlled for length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// AlpacaEval's published weights and difficulties: no fit.
    Weights,
    /// AlpacaEval's regression, fitted anew with its difficulties and gamed baseline, at this cost.
    Published { cost: f64 },
    /// Our own fit, with difficulties given.
    GivenDifficulty,
    /// Our own fit, with the difficulty of a prompt estimated from so many other models.
    EstimatedDifficulty { models: usize },
    /// Our own fit of length and constant alone.
    NoDifficulty,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Weights => write!(f, "AlpacaEval's published weights"),
            Self::Published { cost } => {
                write!(f, "AlpacaEval's regression, fitted at C = {cost:.4}")
            }
            Self::GivenDifficulty => write!(f, "spyhop's regression, difficulties given"),
            Self::EstimatedDifficulty { models } => {
                write!(f, "spyhop's regression, difficulties from {models} other models")
            }
            Self::NoDifficulty => write!(f, "spyhop's regression, without difficulties"),
        }
    }
}

/// Folds of the bootstrap, and its seed.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    pub folds: usize,
    pub seed: u64,
}

impl Default for Control {
    /// Folds enough for an error that is certain to 2%.
    fn default() -> Self {
        Self { folds: 1_000, seed: 0 }
    }
}

/// [`control`] of every standing, with those of the same judge and baseline as its others. Without
/// folds only published weights give a number.
///
/// # Errors
/// Of each, the reason, in words, why there is no such number.
pub fn controls(
    scored: &[Scored],
    published: &Published,
    settings: Control,
) -> Vec<Result<Controlled, String>> {
    let one = |this: &Scored| {
        let Contest { judge, model, baseline } = &this.standing.contest;
        if settings.folds == 0 && !published.weights.contains_key(model) {
            return Err("--lc-folds 0 leaves it out".to_owned());
        }
        let rival = |other: &&Scored| {
            let names = &other.standing.contest;
            other.contest != this.contest && names.judge == *judge && names.baseline == *baseline
        };
        let rivals: Vec<&[PromptScore]> =
            scored.iter().filter(rival).map(|other| &other.scores[..]).collect();
        control(model, &this.scores, &rivals, published, settings)
    };
    scored.par_iter().map(one).collect()
}

/// The cost that AlpacaEval's cross-validation chose for most models: 10^(4/9) of its grid. The next
/// value up moves a controlled win rate by 0.06 points in the median.
const PUBLISHED_COST: f64 = 2.782_559_402_207_126;

/// Controls a model's win rate for length. `others` are the scores of other models against the same
/// baseline by the same judge.
///
/// # Errors
/// With the reason, in words, why there is no such number.
pub fn control(
    model: &str,
    scores: &[PromptScore],
    others: &[&[PromptScore]],
    published: &Published,
    control: Control,
) -> Result<Controlled, String> {
    if scores.iter().any(|score| score.prompt != score.conversation) {
        return Err(
            "the prompts are turns of conversations, which the regression does not know".to_owned()
        );
    }
    let given = published.difficulties(scores)?;
    if let Some(weights) = published.weights.get(model) {
        let difficulties = given
            .ok_or("published weights need the difficulties: name them with --lc-difficulty")?;
        return by_weights(*weights, &difficulties);
    }
    let (difficulties, mut method) = match (given, &published.gamed) {
        (None, Some(_)) => {
            return Err("a gamed baseline needs the difficulties: name them with --lc-difficulty"
                .to_owned());
        }
        (Some(given), _) => (given, Method::GivenDifficulty),
        (None, None) => match estimated(scores, others) {
            Some(estimated) => (estimated, Method::EstimatedDifficulty { models: others.len() }),
            None => (vec![0.0; scores.len()], Method::NoDifficulty),
        },
    };
    let unknown = || "the length of an answer is not known: name the answers with --outputs";
    let prompts: Vec<Compared> = scores
        .iter()
        .zip(&difficulties)
        .map(|(score, &difficulty)| compared(score, difficulty))
        .collect::<Option<_>>()
        .ok_or_else(unknown)?;
    let gamed = published.gamed.as_ref();
    let cost = match (gamed, published.cost) {
        (_, Some(cost)) => cost,
        (Some(_), None) => PUBLISHED_COST,
        (None, None) => COST,
    };
    if gamed.is_some() {
        method = Method::Published { cost };
    }
    let fitted =
        length_control::length_controlled(&prompts, gamed, cost, control.folds, control.seed);
    let fitted = fitted
        .ok_or("the regression has no answer: there are too few scores, or nothing tells length from quality")?;
    Ok(Controlled {
        win_rate: fitted.win_rate.point,
        standard_error: Some(fitted.standard_error),
        interval: Some(fitted.win_rate),
        length: fitted.length,
        method,
    })
}

fn by_weights(weights: Weights, difficulties: &[f64]) -> Result<Controlled, String> {
    let Predicted { win_rate, standard_error } =
        length_control::from_weights(weights, difficulties).ok_or("there are no prompts")?;
    Ok(Controlled {
        win_rate,
        standard_error,
        interval: None,
        length: None,
        method: Method::Weights,
    })
}

fn compared(score: &PromptScore, difficulty: f64) -> Option<Compared> {
    let length = |characters: Option<u32>| characters.map(f64::from);
    let length_difference = length(score.baseline_characters)? - length(score.model_characters)?;
    Some(Compared { score: score.score, length_difference, difficulty })
}

/// The spread of the prior on difficulties and on the models' weights: standard normal.
const RIDGE: f64 = 1.0;

/// The difficulty of each prompt as the *other* models met it: a model's own scores would be explained
/// by themselves. `None` with fewer than two others, or where their lengths are not known.
fn estimated(scores: &[PromptScore], others: &[&[PromptScore]]) -> Option<Vec<f64>> {
    let columns: Vec<Vec<Compared>> =
        others.iter().map(|other| aligned(scores, other)).collect::<Option<_>>()?;
    let columns: Vec<&[Compared]> = columns.iter().map(Vec::as_slice).collect();
    length_control::joint_difficulty(&columns, RIDGE)
}

fn aligned(scores: &[PromptScore], other: &[PromptScore]) -> Option<Vec<Compared>> {
    let by_prompt: HashMap<PromptKey, &PromptScore> =
        other.iter().map(|score| (score.prompt, score)).collect();
    let unanswered = Compared { score: None, length_difference: 0.0, difficulty: 0.0 };
    scores
        .iter()
        .map(|score| match by_prompt.get(&score.prompt) {
            Some(found) => compared(found, 0.0),
            None => Some(unanswered),
        })
        .collect()
}
