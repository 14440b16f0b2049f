//! The confidence sequence by betting, fed one observation at a time.
use super::super::Estimate;
use super::{Past, TRUNCATION, error_rate};

/// Steps of the grid of candidate means: an end is given to 0.1 percentage points, outwards.
const GRID: usize = 1_000;

/// A confidence sequence for the mean of observations in [0, 1], one a prompt, fed one at a time.
///
/// The hedged capital process of Waudby-Smith and Ramdas 2024 (J. R. Stat. Soc. B 86:1, arXiv
/// 2010.09686), Theorem 3 with θ = 1/2 and the larger of both halves. One gambler bets that the mean
/// is above a candidate m, another that it is below. From a capital of 1 they come to
///
/// ```text
/// K⁺(m) = Π (1 + min(λ_t, c/m) (x_t - m))        λ_t = √(2 ln(2/α) / (σ²_{t-1} t ln(1 + t)))
/// K⁻(m) = Π (1 - min(λ_t, c/(1 - m)) (x_t - m))  σ²_t = (1/4 + Σ_{i≤t} (x_i - μ_i)²) / (t + 1)
///                                                μ_t = (1/2 + Σ_{i≤t} x_i) / (t + 1)
/// ```
///
/// with products over all observations. The bet λ_t knows only those before the t-th, so if m is the
/// mean, neither expects a gain, and by Ville's inequality the chance that either ever holds 2/α is at
/// most α = 1 - level: m is rejected once and for all as soon as one does. K⁺ falls with m and K⁻
/// rises with it, because each factor does, so what is left is an interval. It is rounded outwards
/// to the grid.
#[derive(Clone, Debug)]
pub struct ConfidenceSequence {
    alpha: f64,
    past: Past,
    /// K⁺ and K⁻ of the candidates 0, 1 / GRID, ..., 1.
    above: Vec<f64>,
    below: Vec<f64>,
    /// The last candidate that is too low and the first that is too high; 0 and GRID at first.
    lower: usize,
    upper: usize,
}

impl ConfidenceSequence {
    /// A sequence without observations; `level` is the confidence level, such as 0.95.
    ///
    /// # Panics
    /// When the level does not lie between 0 and 1.
    pub fn betting(level: f64) -> ConfidenceSequence {
        ConfidenceSequence {
            alpha: error_rate(level),
            past: Past::default(),
            above: vec![1.0; GRID + 1],
            below: vec![1.0; GRID + 1],
            lower: 0,
            upper: GRID,
        }
    }

    /// Takes the next observation, in steps that do not grow with their number. A difference d in
    /// [-1, 1] is pushed as (d + 1)/2.
    ///
    /// # Panics
    /// When the observation lies outside [0, 1].
    pub fn push(&mut self, observation: f64) {
        let bet = self.past.bet(self.alpha);
        self.past.push(observation);
        for candidate in self.lower + 1..self.upper {
            let mean = candidate as f64 / GRID as f64;
            let gain = observation - mean;
            self.above[candidate] *= 1.0 + bet.min(TRUNCATION / mean) * gain;
            self.below[candidate] *= 1.0 - bet.min(TRUNCATION / (1.0 - mean)) * gain;
        }
        let enough = 2.0 / self.alpha;
        while self.lower + 1 < self.upper && self.above[self.lower + 1] >= enough {
            self.lower += 1;
        }
        while self.lower + 1 < self.upper && self.below[self.upper - 1] >= enough {
            self.upper -= 1;
        }
    }

    /// The mean so far and the interval that is left; `None` before the first observation.
    ///
    /// The interval never widens, so the mean so far can come to lie outside. Where every candidate is
    /// rejected, which takes an order that depends on the values or the bad luck that the level allows
    /// for, one step of the grid remains.
    pub fn estimate(&self) -> Option<Estimate> {
        self.past.estimate(self.lower as f64 / GRID as f64, self.upper as f64 / GRID as f64)
    }
}

/// The mean of `values` in [0, 1] and what [`ConfidenceSequence`] leaves open after all of them, in
/// the order given; `None` without values.
///
/// # Panics
/// When a value lies outside [0, 1], or the level does not lie between 0 and 1.
pub fn betting(values: &[f64], level: f64) -> Option<Estimate> {
    let mut sequence = ConfidenceSequence::betting(level);
    values.iter().for_each(|&value| sequence.push(value));
    sequence.estimate()
}

/// The mean of paired differences in [-1, 1]: [`betting`] on that scale, whose grid has steps of 0.2
/// percentage points.
///
/// # Panics
/// When a difference lies outside [-1, 1], or the level does not lie between 0 and 1.
pub fn betting_difference(differences: &[f64], level: f64) -> Option<Estimate> {
    let scores: Vec<f64> = differences.iter().map(|difference| (difference + 1.0) / 2.0).collect();
    let on_scale = |score: f64| 2.0 * score - 1.0;
    betting(&scores, level).map(|estimate| Estimate {
        point: on_scale(estimate.point),
        lower: on_scale(estimate.lower),
        upper: on_scale(estimate.upper),
        n: estimate.n,
    })
}

/// How many of `values`, in the order given, it takes until [`betting`] leaves `threshold` out;
/// `None` if they do not. An end of the interval does not count as left out.
///
/// # Panics
/// As [`betting`].
pub fn first_exclusion(values: &[f64], threshold: f64, level: f64) -> Option<usize> {
    let mut sequence = ConfidenceSequence::betting(level);
    let excluded = |&value: &f64| {
        sequence.push(value);
        sequence.estimate().is_some_and(|estimate| !estimate.includes(threshold))
    };
    values.iter().position(excluded).map(|before| before + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SERIES, close};
    use super::*;
    use crate::stats::panic_of;

    // import numpy as np; i = np.arange(300)
    // series = [(i*37 % 101 < 60)*1., (i*i*7 + 3*i) % 9 // 3 / 2, (i*37 % 101 < 5)*1., (i*61 % 97)/97]
    // from confseq.betting import betting_cs  # 0.0.11
    // for x in series:
    //     for a, n in (.05, 5), (.05, 30), (.05, 300), (.01, 300):
    //         l, u = betting_cs(x[:n], alpha=a, breaks=1000, running_intersection=True); print(l[-1], u[-1])
    #[test]
    fn betting_agrees_with_the_package_of_its_authors() {
        let expected = [
            [(0.194, 1.000), (0.368, 0.859), (0.500, 0.705), (0.482, 0.718)],
            [(0.000, 0.884), (0.128, 0.547), (0.249, 0.413), (0.237, 0.426)],
            [(0.000, 0.804), (0.000, 0.285), (0.026, 0.096), (0.019, 0.105)],
            [(0.047, 0.859), (0.330, 0.634), (0.438, 0.544), (0.430, 0.554)],
        ];
        for (series, expected) in SERIES.iter().zip(expected) {
            let cases = [(0.95, 5), (0.95, 30), (0.95, 300), (0.99, 300)];
            for ((level, n), (lower, upper)) in cases.into_iter().zip(expected) {
                let values: Vec<f64> = (0..n).map(series).collect();
                close(betting(&values, level).unwrap(), lower, upper);
            }
        }
    }

    #[test]
    fn differences_are_scores_on_another_scale() {
        let differences: Vec<f64> = (0..100).map(|i| SERIES[0](i) - SERIES[1](i)).collect();
        let scores: Vec<f64> = differences.iter().map(|d| (d + 1.0) / 2.0).collect();
        let (one, other) =
            (betting_difference(&differences, 0.95).unwrap(), betting(&scores, 0.95).unwrap());
        close(one, 2.0 * other.lower - 1.0, 2.0 * other.upper - 1.0);
        assert!((one.point - differences.iter().sum::<f64>() / 100.0).abs() < 1e-12);
        assert_eq!(betting_difference(&[], 0.95), None);
    }

    // l, u = betting_cs(series[0], breaks=1000, running_intersection=True); np.argmax(l > .4) + 1
    #[test]
    fn an_interval_never_widens_and_first_exclusion_is_when_it_leaves_the_threshold_out() {
        let values: Vec<f64> = (0..300).map(SERIES[0]).collect();
        let mut sequence = ConfidenceSequence::betting(0.95);
        let (mut last, mut first) = (Estimate { point: 0.0, lower: 0.0, upper: 1.0, n: 0 }, None);
        for &value in &values {
            sequence.push(value);
            let estimate = sequence.estimate().unwrap();
            assert!(last.lower <= estimate.lower && estimate.upper <= last.upper);
            last = estimate;
            first = first.or((!estimate.includes(0.4)).then_some(estimate.n));
        }
        assert_eq!(Some(last), betting(&values, 0.95));
        assert_eq!(first_exclusion(&values, 0.4, 0.95), first);
        assert_eq!(first, Some(46));
        assert_eq!(first_exclusion(&values, last.point, 0.95), None);
        assert_eq!(first_exclusion(&[], 0.5, 0.95), None);
    }

    #[test]
    fn a_difference_is_not_a_score() {
        let message = panic_of(|| ConfidenceSequence::betting(0.95).push(-0.5));
        assert!(message.contains("scores lie in [0, 1]"), "{message}");
    }
}
