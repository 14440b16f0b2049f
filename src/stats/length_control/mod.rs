//! The win rate as it would be if both answers were equally long, by AlpacaEval's regression.
//!
//! Dubois, Galambosi, Liang and Hashimoto, "Length-Controlled AlpacaEval" (arXiv 2404.04475): the
//! chance of a win is a logistic regression on the difference in length, the difficulty of the
//! prompt and a constant, and the controlled win rate is its mean with the length term at zero.
mod bootstrap;
mod difficulty;
mod glm;
#[cfg(test)]
mod published;

pub use bootstrap::{LengthControlled, length_controlled};
pub use difficulty::joint_difficulty;

use self::glm::{Problem, minimise};
use super::mean_and_deviation;

/// The weight of the loss against the penalty in fits of our own: so large that the penalty moves no
/// digit that is reported, and yet it keeps the weights finite when one side wins everything. The
/// largest value of AlpacaEval's own grid.
pub const COST: f64 = 1e4;

/// One prompt on which a model was compared with the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The preference for the model, in [0, 1]. A prompt without one is not fitted, but counts in
    /// the spread of the lengths and in the mean, as in AlpacaEval.
    pub score: Option<f64>,
    /// Length of the baseline's answer minus that of the model's, in characters.
    pub length_difference: f64,
    /// How hard the prompt is, in any unit, such as [`joint_difficulty`] gives; zero on every prompt
    /// leaves difficulty out.
    pub difficulty: f64,
}

/// The weights of the regression: logit P(win) = length * t + difficulty * d + bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Negative for a judge that likes long answers: t is positive where the *baseline's* is longer.
    pub length: f64,
    pub difficulty: f64,
    pub bias: f64,
}

/// Answers of the baseline model itself, told to be verbose or concise, judged against the plain
/// ones. AlpacaEval adds them to every fit, without the bias, so that a model does not gain by its
/// length what the baseline could not.
#[derive(Clone, Debug, PartialEq)]
pub struct GamedBaseline {
    /// The length feature t and the difficulty d of each row.
    pub rows: Vec<[f64; 2]>,
    /// The sums of y t and of y d over the rows, y being the preference for the gamed answer.
    pub label_sums: [f64; 2],
    /// The weight of a row, that of a prompt of the model being 1. AlpacaEval's is 0.1.
    pub weight: f64,
}

impl GamedBaseline {
    /// From rows with known labels: t, d and y.
    pub fn labelled(rows: &[[f64; 3]], weight: f64) -> Self {
        let sum = |feature: usize| rows.iter().map(|row| row[2] * row[feature]).sum();
        let features = rows.iter().map(|row| [row[0], row[1]]).collect();
        Self { rows: features, label_sums: [sum(0), sum(1)], weight }
    }
}

/// The length feature of every prompt: t = tanh(difference / s), with s the standard deviation
/// (n - 1 in the denominator) of the differences of all prompts. Not centred: t = 0 means equal length.
///
/// Without any spread it is the limit, the sign of the difference.
pub fn length_feature(prompts: &[Compared]) -> Vec<f64> {
    let differences: Vec<f64> = prompts.iter().map(|prompt| prompt.length_difference).collect();
    let deviation = mean_and_deviation(&differences).map_or(0.0, |(_, deviation)| deviation);
    let scaled = |difference: f64| match difference {
        0.0 => 0.0,
        _ => (difference / deviation).tanh(),
    };
    differences.into_iter().map(scaled).collect()
}

/// The weights that minimise |length| + |difficulty| + |bias| + `cost` * sum_i s_i (log(1 + exp(z_i))
/// - y_i z_i), the prompts with s = 1 and the rows of the gamed baseline with theirs.
///
/// AlpacaEval's fit is this with its own difficulties and gamed rows, and a cost that it finds by
/// cross-validation: 2.78 or 21.5 for most models, between which the win rate moves by less than 0.2
/// points. It is not searched for here, as the folds hang on the order in which numpy sorts equal keys
/// and the choice on the folds. The cost behind published weights is 1 / |sum_i (p_i - y_i)| over the
/// model's prompts, p being the fitted chances.
///
/// `None` if no prompt has a score, or if nothing tells length from bias: no gamed baseline, and the
/// same t, other than zero, on every scored prompt.
///
/// # Panics
/// When `cost` is not positive.
pub fn fit(prompts: &[Compared], gamed: Option<&GamedBaseline>, cost: f64) -> Option<Weights> {
    fit_from(prompts, gamed, cost, Weights { length: 0.0, difficulty: 0.0, bias: 0.0 })
}

/// [`fit`], begun at weights that are thought to be near.
fn fit_from(
    prompts: &[Compared],
    gamed: Option<&GamedBaseline>,
    cost: f64,
    start: Weights,
) -> Option<Weights> {
    assert!(cost > 0.0, "cost {cost} is not positive");
    let lengths = length_feature(prompts);
    let scored: Vec<(&Compared, f64, f64)> = prompts
        .iter()
        .zip(&lengths)
        .filter_map(|(prompt, &length)| Some((prompt, length, prompt.score?)))
        .collect();
    let (_, first, _) = *scored.first()?;
    if gamed.is_none() && first != 0.0 && scored.iter().all(|(_, length, _)| *length == first) {
        return None;
    }
    let mut problem = Problem::default();
    for (prompt, length, score) in scored {
        problem.push([length, prompt.difficulty, 1.0], score, 1.0);
    }
    if let Some(gamed) = gamed {
        for row in &gamed.rows {
            problem.push([row[0], row[1], 0.0], 0.0, gamed.weight);
        }
        let [length, difficulty] = gamed.label_sums.map(|sum| gamed.weight * sum);
        problem.label_sums = [length, difficulty, 0.0];
    }
    let start = [start.length, start.difficulty, start.bias];
    let [length, difficulty, bias] = minimise(&problem, cost, start);
    Some(Weights { length, difficulty, bias })
}

/// The controlled win rate that weights amount to, in [0, 1], with AlpacaEval's standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// The mean of sigmoid(difficulty * d + bias) over the prompts.
    pub win_rate: f64,
    /// Standard deviation (n - 1) of those probabilities over sqrt(n), as AlpacaEval publishes it:
    /// it knows of no doubt about the weights, and is about half of what the bootstrap of
    /// [`length_controlled`] finds. `None` for fewer than two prompts.
    pub standard_error: Option<f64>,
}

/// The controlled win rate by given weights, published ones for instance, over prompts of these
/// difficulties. `None` without prompts.
pub fn from_weights(weights: Weights, difficulties: &[f64]) -> Option<Predicted> {
    let probability = |difficulty: &f64| sigmoid(weights.difficulty * difficulty + weights.bias);
    let probabilities: Vec<f64> = difficulties.iter().map(probability).collect();
    let n = probabilities.len();
    let (win_rate, deviation) = mean_and_deviation(&probabilities)?;
    let standard_error = (n > 1).then(|| deviation / (n as f64).sqrt());
    Some(Predicted { win_rate, standard_error })
}

/// Whether the controlled win rate lies so far from the raw one that AlpacaEval calls it suspect: by
/// more than 10 points, and more than a quarter of what was left to the end of the scale on that side.
pub fn is_far_from_raw(raw: f64, controlled: f64) -> bool {
    let room = if controlled > raw { 1.0 - raw } else { raw };
    (controlled - raw).abs() > f64::max(0.1, room / 4.0)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 12] = [1.0, 0.0, 0.25, 0.5, 0.9, 0.0, 1.0, 0.75, 0.1, 0.0, 1.0, 0.4];
    const DIFFERENCES: [f64; 12] =
        [-120.0, 300.0, 80.0, -40.0, -500.0, 210.0, 60.0, -90.0, 400.0, -20.0, -310.0, 150.0];
    const DIFFICULTIES: [f64; 12] =
        [0.5, -1.2, 0.3, 0.0, 1.1, -0.4, 0.8, -0.2, -2.0, 0.6, 1.4, -0.9];

    fn prompts() -> Vec<Compared> {
        let prompt = |i: usize| Compared {
            score: Some(SCORES[i]),
            length_difference: DIFFERENCES[i],
            difficulty: DIFFICULTIES[i],
        };
        (0..12).map(prompt).collect()
    }

    // import numpy as np
    // x = np.array(DIFFERENCES); np.tanh(x / x.std(ddof=1))[:3]
    #[test]
    fn lengths_agree_with_numpy_whether_scored_or_not() {
        let mut prompts = prompts();
        let check = |prompts: &[Compared]| {
            let expected = [-0.44388595, 0.8313989, 0.30773358];
            for (found, expected) in length_feature(prompts).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-8, "{found} is not {expected}");
            }
        };
        check(&prompts);
        prompts[7].score = None;
        check(&prompts);
    }

    #[test]
    fn without_spread_only_the_sign_of_a_length_is_left() {
        let of = |difference: f64| {
            let prompt =
                Compared { score: Some(1.0), length_difference: difference, difficulty: 0.0 };
            length_feature(&[prompt; 3])
        };
        assert_eq!((of(0.0), of(20.0), of(-20.0)), (vec![0.0; 3], vec![1.0; 3], vec![-1.0; 3]));
        assert!(length_feature(&[]).is_empty());
    }

    // import numpy as np, pandas as pd
    // p = 1 / (1 + np.exp(-(.5278667915118822 * np.array(DIFFICULTIES) + .05535021488892556)))
    // p.mean(), pd.Series(p).sem()  # 0.5142810251157316 0.03629610143512009
    #[test]
    fn the_prediction_agrees_with_pandas() {
        let weights = Weights {
            length: -3.0,
            difficulty: 0.527_866_791_511_882_2,
            bias: 0.055_350_214_888_925_56,
        };
        let predicted = from_weights(weights, &DIFFICULTIES).unwrap();
        assert!((predicted.win_rate - 0.514_281_025_115_731_6).abs() < 1e-12);
        assert!((predicted.standard_error.unwrap() - 0.036_296_101_435_120_09).abs() < 1e-12);
        assert_eq!(from_weights(weights, &[]), None);
        assert_eq!(from_weights(weights, &[1.0]).unwrap().standard_error, None);
    }

    #[test]
    fn the_order_of_prompts_does_not_matter() {
        let mut prompts = prompts();
        let expected = fit(&prompts, None, COST).unwrap();
        assert!((expected.length - -2.255_528_669).abs() < 1e-6, "{expected:?}");
        prompts.reverse();
        let reversed = fit(&prompts, None, COST).unwrap();
        assert!((reversed.bias - expected.bias).abs() < 1e-9, "{reversed:?}");
    }

    #[test]
    fn sums_of_labels_say_as_much_as_labels() {
        let rows = [[-0.8, 0.2, 0.6], [-0.3, -1.0, 0.3], [0.5, 0.7, 0.2], [0.9, -0.4, 0.1]];
        let gamed = GamedBaseline::labelled(&rows, 0.1);
        assert!((gamed.label_sums[0] - -0.38).abs() < 1e-12, "{gamed:?}");
        // The reference is in the tests of `glm`.
        let weights = fit(&prompts(), Some(&gamed), 1e4).unwrap();
        assert!((weights.length - -2.151_452_387).abs() < 1e-6, "{weights:?}");
        assert!((weights.bias - 0.055_350_215).abs() < 1e-6, "{weights:?}");
    }

    #[test]
    fn equal_lengths_leave_the_plain_win_rate() {
        let mut prompts = prompts();
        for prompt in &mut prompts {
            (prompt.length_difference, prompt.difficulty) = (0.0, 0.0);
        }
        let weights = fit(&prompts, None, COST).unwrap();
        assert_eq!((weights.length, weights.difficulty), (0.0, 0.0));
        let predicted = from_weights(weights, &[0.0; 12]).unwrap();
        assert!((predicted.win_rate - SCORES.iter().sum::<f64>() / 12.0).abs() < 1e-5);
    }

    #[test]
    fn a_length_that_never_varies_cannot_be_told_from_the_bias() {
        let mut prompts = prompts();
        prompts.iter_mut().for_each(|prompt| prompt.length_difference = -100.0);
        assert_eq!(fit(&prompts, None, COST), None);
        assert!(
            fit(&prompts, Some(&GamedBaseline::labelled(&[[0.5, 0.0, 0.3]], 0.1)), COST).is_some()
        );
        prompts.iter_mut().for_each(|prompt| prompt.score = None);
        assert_eq!(fit(&prompts, None, COST), None);
        assert_eq!(fit(&[], None, COST), None);
    }

    // from alpaca_eval.metrics.glm_winrate import get_is_extreme_changes as f
    // f(20, 9), f(20, 11), f(20, 41), f(20, 39), f(60, 44), f(60, 46), f(60, 71), f(60, 69)
    #[test]
    fn far_from_raw_is_what_alpaca_eval_calls_extreme() {
        let check = |raw: f64, controlled: f64, expected: bool| {
            assert_eq!(is_far_from_raw(raw, controlled), expected, "{raw} {controlled}");
        };
        check(0.2, 0.09, true);
        check(0.2, 0.11, false);
        check(0.2, 0.41, true);
        check(0.2, 0.39, false);
        check(0.6, 0.44, true);
        check(0.6, 0.46, false);
        check(0.6, 0.71, true);
        check(0.6, 0.69, false);
    }
}
