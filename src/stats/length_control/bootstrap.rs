//! How far a controlled win rate can be trusted: a bootstrap over prompts.
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Compared, GamedBaseline, Weights, fit, fit_from, from_weights, sigmoid};
use crate::stats::{Estimate, bootstrap::quantile, mean, mean_and_deviation, normal_quantile};

/// A controlled win rate with what the prompts leave open about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthControlled {
    /// The weights fitted to all prompts.
    pub weights: Weights,
    /// The win rate at equal length, in [0, 1]; `n` is the number of scored prompts.
    pub win_rate: Estimate,
    /// The standard deviation of the win rate over the folds of the bootstrap.
    pub standard_error: f64,
    /// `weights.length`, the change in the logit of a win as the baseline's answer goes from equally
    /// long to far longer: below zero where the judge likes long answers. `None` where all scores are
    /// equal, which tells nothing of length.
    pub length: Option<Estimate>,
}

/// The win rate at equal length by [`fit`] and [`from_weights`], with 95% intervals from a bootstrap.
///
/// Each of the `folds` (1,000 is plenty) draws as many prompts as there are, with replacement, and
/// repeats everything: the spread of the lengths, the fit and the mean. Difficulties and gamed rows are
/// held fixed, so doubt about those is left out. Draws that [`fit`] refuses are skipped.
///
/// The win rate's interval is sigmoid(logit(w) +- 1.96 SE / (w (1 - w))) with the standard error of the
/// bootstrap: symmetric in the logit, by the delta method. In simulations it covers 92% to 98%, where the
/// bootstrap's percentiles fall to 73% with few prompts and a rate near the end of the scale. The length
/// weight's interval is the basic one, 2 a - q(0.975) to 2 a - q(0.025) with the percentiles q of the
/// draws (Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 5.2): small
/// samples exaggerate a, draws from them do so again, and it mends that where percentiles double it.
///
/// If all scores are equal there is nothing to control and every draw is the same; then the win rate
/// is the plain [`mean`] with its interval, and the standard error is read off its width.
///
/// `None` where [`fit`] has none, for fewer than two scored prompts or two folds, and where length tells
/// wins from losses so well that the rate comes within 1e-9 of an end of the scale: only the penalty
/// keeps such a fit finite.
///
/// # Panics
/// When `cost` is not positive, or a score lies outside [0, 1].
pub fn length_controlled(
    prompts: &[Compared],
    gamed: Option<&GamedBaseline>,
    cost: f64,
    folds: usize,
    seed: u64,
) -> Option<LengthControlled> {
    let scores: Vec<f64> = prompts.iter().filter_map(|prompt| prompt.score).collect();
    let weights = fit(prompts, gamed, cost)?;
    let plain = mean(&scores).filter(|_| scores.len() > 1)?;
    let z = normal_quantile(0.975);
    if scores.iter().all(|score| *score == scores[0]) {
        let standard_error = (plain.upper - plain.lower) / (2.0 * z);
        return Some(LengthControlled { weights, win_rate: plain, standard_error, length: None });
    }
    let point = win_rate(weights, prompts)?;
    let spread = point * (1.0 - point);
    if spread < 1e-9 {
        return None;
    }
    let refit = |fold: usize| {
        // A stream of its own, so that folds may run side by side.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(fold as u64);
        let drawn: Vec<Compared> =
            prompts.iter().map(|_| prompts[random.random_range(0..prompts.len())]).collect();
        let refit = fit_from(&drawn, gamed, cost, weights)?;
        Some((win_rate(refit, &drawn)?, refit.length))
    };
    let (win_rates, mut lengths): (Vec<f64>, Vec<f64>) =
        (0..folds).into_par_iter().filter_map(refit).collect::<Vec<_>>().into_iter().unzip();
    let (_, standard_error) = mean_and_deviation(&win_rates).filter(|_| win_rates.len() > 1)?;
    let n = scores.len();
    // Neither rounding nor luck may push an end past its point.
    let estimate = |point: f64, lower: f64, upper: f64| Estimate {
        point,
        lower: lower.min(point),
        upper: upper.max(point),
        n,
    };
    let logit = (point / (1.0 - point)).ln();
    let half = z * standard_error / spread;
    lengths.sort_by(f64::total_cmp);
    let mirrored = |probability: f64| 2.0 * weights.length - quantile(&lengths, probability);
    Some(LengthControlled {
        weights,
        win_rate: estimate(point, sigmoid(logit - half), sigmoid(logit + half)),
        standard_error,
        length: Some(estimate(weights.length, mirrored(0.975), mirrored(0.025))),
    })
}

fn win_rate(weights: Weights, prompts: &[Compared]) -> Option<f64> {
    let difficulties: Vec<f64> = prompts.iter().map(|prompt| prompt.difficulty).collect();
    from_weights(weights, &difficulties).map(|predicted| predicted.win_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::length_control::COST;

    /// Prompts with lengths, difficulties and scores that are spread without being random.
    fn made_up(n: usize, shift: f64) -> Vec<Compared> {
        let prompt = |i: usize| {
            let length_difference = ((i * 37) % 101) as f64 - 50.0;
            let difficulty = ((i * 29) % 31) as f64 / 10.0 - 1.5;
            let luck = ((i * 53) % 97) as f64 / 96.0;
            let z = shift - length_difference / 20.0 + difficulty;
            Compared { score: Some(f64::from(luck < sigmoid(z))), length_difference, difficulty }
        };
        (0..n).map(prompt).collect()
    }

    fn controlled(prompts: &[Compared], seed: u64) -> Option<LengthControlled> {
        length_controlled(prompts, None, COST, 100, seed)
    }

    // With X = [t, 1] and w the weights of 120 made-up prompts, difficulty left out, the sandwich
    // standard error of the bias (HC0, statsmodels) and by the delta method of the win rate:
    // import numpy as np, statsmodels.api as sm
    // i = np.arange(120); d = i * 29 % 31 / 10 - 1.5; delta = i * 37 % 101 - 50.
    // y = (i * 53 % 97 / 96 < 1 / (1 + np.exp(-(-1 - delta / 20 + d)))) * 1.
    // t = np.tanh(delta / delta.std(ddof=1))
    // f = sm.GLM(y, np.c_[t, np.ones(120)], family=sm.families.Binomial()).fit(cov_type="HC0")
    // p = 1 / (1 + np.exp(-f.params[1])); print(f.params, f.bse, p, p * (1 - p) * f.bse[1])
    #[test]
    fn the_standard_error_agrees_with_the_sandwich_of_statsmodels() {
        let prompts: Vec<Compared> = made_up(120, -1.0)
            .into_iter()
            .map(|prompt| Compared { difficulty: 0.0, ..prompt })
            .collect();
        let result = length_controlled(&prompts, None, COST, 1_000, 1).unwrap();
        assert!((result.weights.length - -2.161_371).abs() < 1e-4, "{result:?}");
        assert!((result.win_rate.point - 0.276_387_2).abs() < 1e-5, "{result:?}");
        assert!((result.standard_error / 0.053_631 - 1.0).abs() < 0.08, "{result:?}");
        let length = result.length.unwrap();
        let standard_error = (length.upper - length.lower) / (2.0 * 1.96);
        assert!((standard_error / 0.404_979 - 1.0).abs() < 0.25, "{result:?}");
    }

    #[test]
    fn swapping_the_sides_mirrors_everything() {
        let prompts = made_up(60, 1.0);
        let swap = |prompt: &Compared| Compared {
            score: prompt.score.map(|score| 1.0 - score),
            length_difference: -prompt.length_difference,
            difficulty: -prompt.difficulty,
        };
        let swapped: Vec<Compared> = prompts.iter().map(swap).collect();
        let (one, other) = (controlled(&prompts, 7).unwrap(), controlled(&swapped, 7).unwrap());
        assert!((one.win_rate.point + other.win_rate.point - 1.0).abs() < 1e-7);
        assert!((one.win_rate.lower + other.win_rate.upper - 1.0).abs() < 1e-6);
        assert!((one.standard_error - other.standard_error).abs() < 1e-6);
        assert!((one.length.unwrap().lower - other.length.unwrap().lower).abs() < 1e-4);
    }

    #[test]
    fn the_seed_decides_and_the_intervals_hold_their_points() {
        let prompts = made_up(150, -1.0);
        let result = controlled(&prompts, 7).unwrap();
        assert_eq!(result, controlled(&prompts, 7).unwrap());
        assert_ne!(result, controlled(&prompts, 8).unwrap());
        assert!(result.win_rate.includes(result.win_rate.point));
        let length = result.length.unwrap();
        assert!(length.includes(length.point) && length.upper < 0.0, "{length:?}");
    }

    #[test]
    fn few_prompts_near_the_end_of_the_scale_are_covered() {
        let (repetitions, length, bias) = (120, -1.5, -3.0);
        let mut random = ChaCha8Rng::seed_from_u64(1927);
        let mut prompt = || {
            // The sum of twelve uniform numbers less six is close to a normal one.
            let difference = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.5;
            let score =
                f64::from(random.random::<f64>() < sigmoid(length * difference.tanh() + bias));
            Compared { score: Some(score), length_difference: difference, difficulty: 0.0 }
        };
        let covered = (0..repetitions)
            .filter(|&seed| {
                let prompts: Vec<Compared> = (0..48).map(|_| prompt()).collect();
                let result = length_controlled(&prompts, None, COST, 50, seed);
                result.is_some_and(|result| result.win_rate.includes(sigmoid(bias)))
            })
            .count();
        // The percentiles of the bootstrap cover 73% here.
        assert!(covered >= 108, "{covered} of {repetitions}");
    }

    #[test]
    fn equal_scores_give_the_plain_win_rate() {
        for score in [0.0, 0.5, 1.0] {
            let mut prompts = made_up(48, 0.0);
            prompts.iter_mut().for_each(|prompt| prompt.score = Some(score));
            let result = controlled(&prompts, 1).unwrap();
            assert_eq!(result.win_rate, mean(&[score; 48]).unwrap());
            assert_eq!(result.length, None);
            assert!(result.standard_error > 0.005 && result.weights.length.abs() < 1e-6);
        }
    }

    #[test]
    fn scores_that_length_separates_are_finite_or_refused() {
        let mut prompts = made_up(48, 0.0);
        let mut separated = |threshold: f64| {
            for prompt in &mut prompts {
                prompt.score = Some(f64::from(prompt.length_difference < threshold));
            }
            controlled(&prompts, 1)
        };
        let result = separated(5.0).unwrap();
        let length = result.length.unwrap();
        assert!(length.lower.is_finite() && length.upper.is_finite(), "{result:?}");
        assert!(result.win_rate.upper - result.win_rate.lower > 0.01, "{result:?}");
        assert_eq!(separated(30.0), None);
    }

    #[test]
    fn too_few_prompts_or_folds_have_no_interval() {
        let prompts = made_up(9, 0.0);
        assert_eq!(controlled(&[], 1), None);
        assert_eq!(controlled(&prompts[..1], 1), None);
        assert_eq!(length_controlled(&prompts, None, COST, 1, 1), None);
        let unscored: Vec<Compared> =
            prompts.iter().map(|prompt| Compared { score: None, ..*prompt }).collect();
        assert_eq!(controlled(&unscored, 1), None);
    }
}
