//! What scores that are missing could do to a win rate.
use super::{Estimate, mean};

/// A mean score with every missing one at its worst and at its best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// As if what is missing were lost: its point is the lower bound.
    pub worst: Estimate,
    /// As if what is missing were won: its point is the upper bound.
    pub best: Estimate,
}

impl Bounds {
    /// Whether `value` is among those that data and gaps leave open: from the lower end of the
    /// worst case to the upper end of the best.
    pub fn includes(&self, value: f64) -> bool {
        (self.worst.lower..=self.best.upper).contains(&value)
    }
}

/// Bounds of the mean over all prompts, from the `lowest` and the `highest` score in [0, 1] that
/// each could have, both at the same place.
///
/// A prompt with a score has it in both, one without has 0 and 1, so that with S the sum of the
/// scores the points are S / N and (S + missing) / N: Manski, "Partial Identification of
/// Probability Distributions" (2003). Nothing is assumed on why scores are missing.
///
/// The range from the lower end of the one 95% interval to the upper end of the other holds all of
/// the true bounds in about 95% of repetitions, and any one true mean more often. Imbens
/// and Manski 2004 (Econometrica 72:1845) have a shorter range that does so for the mean alone.
///
/// # Panics
/// When the two differ in length, or a lowest score exceeds its highest, or one lies outside [0, 1].
pub fn missing_bounds(lowest: &[f64], highest: &[f64]) -> Option<Bounds> {
    assert_eq!(lowest.len(), highest.len(), "both are of the same prompts");
    let in_order = |(lowest, highest): (&f64, &f64)| lowest <= highest;
    assert!(lowest.iter().zip(highest).all(in_order), "the lowest score exceeds the highest");
    Some(Bounds { worst: mean(lowest)?, best: mean(highest)? })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::panic_of;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    /// Scores of wins and losses with `missing` more prompts.
    fn with_missing(wins: usize, losses: usize, missing: usize) -> (Vec<f64>, Vec<f64>) {
        let seen = [vec![1.0; wins], vec![0.0; losses]].concat();
        ([seen.clone(), vec![0.0; missing]].concat(), [seen, vec![1.0; missing]].concat())
    }

    // from scipy.stats import binomtest
    // for k in 28, 34: print(k/50, binomtest(k, 50).proportion_ci(method="wilson"))
    #[test]
    fn each_end_is_the_wilson_interval_of_scipy() {
        let (lowest, highest) = with_missing(28, 16, 6);
        let bounds = missing_bounds(&lowest, &highest).unwrap();
        close(bounds.worst.point, 0.56);
        close(bounds.worst.lower, 0.423060280217);
        close(bounds.best.point, 0.68);
        close(bounds.best.upper, 0.792417837393);
        assert!(bounds.includes(0.5) && bounds.includes(0.75) && !bounds.includes(0.85));
    }

    #[test]
    fn without_gaps_it_is_the_interval_of_the_mean() {
        let scores = [0.0, 0.5, 1.0, 1.0, 0.25];
        let bounds = missing_bounds(&scores, &scores).unwrap();
        assert_eq!(bounds.worst, bounds.best);
        assert_eq!(Some(bounds.worst), mean(&scores));
        assert_eq!(missing_bounds(&[], &[]), None);
        let nothing_seen = missing_bounds(&[0.0; 9], &[1.0; 9]).unwrap();
        assert_eq!((nothing_seen.worst.lower, nothing_seen.best.upper), (0.0, 1.0));
    }

    #[test]
    fn swapping_the_sides_mirrors_the_bounds() {
        let (lowest, highest) = with_missing(9, 20, 3);
        let turn =
            |scores: &[f64]| scores.iter().rev().map(|score| 1.0 - score).collect::<Vec<_>>();
        let one = missing_bounds(&lowest, &highest).unwrap();
        let other = missing_bounds(&turn(&highest), &turn(&lowest)).unwrap();
        close(one.worst.lower, 1.0 - other.best.upper);
        close(one.best.point, 1.0 - other.worst.point);
    }

    #[test]
    fn bounds_the_wrong_way_round_are_refused() {
        let message = panic_of(|| _ = missing_bounds(&[1.0], &[0.0]));
        assert!(message.contains("the lowest score exceeds the highest"), "{message}");
    }

    #[test]
    fn both_true_bounds_lie_inside_at_least_as_often_as_promised() {
        let repetitions = 2_000;
        // The chances that a prompt is won, lost and missing.
        for (won, lost) in [(0.6, 0.3), (0.1, 0.85), (0.5, 0.5)] {
            let mut random = ChaCha8Rng::seed_from_u64(2003);
            let covered = (0..repetitions).filter(|_| {
                let drawn: Vec<f64> = (0..48).map(|_| random.random()).collect();
                let wins = drawn.iter().filter(|&&draw| draw < won).count();
                let missing = drawn.iter().filter(|&&draw| draw >= won + lost).count();
                let (lowest, highest) = with_missing(wins, 48 - wins - missing, missing);
                let bounds = missing_bounds(&lowest, &highest).unwrap();
                bounds.worst.lower <= won && 1.0 - lost <= bounds.best.upper
            });
            let share = covered.count() as f64 / f64::from(repetitions);
            assert!((0.93..=0.99).contains(&share), "{share} at {won}, {lost}");
        }
    }
}
