//! Two series of scores on the same prompts: how far apart, and whether chance would do as well.
//!
//! Three tests of "no difference": [`sign_flip`] is the one to report, since it assumes only that
//! the sides could be exchanged if there were none; [`paired_t`] is what most other tools print;
//! [`mcnemar`] looks at wins and losses only and not at how clear they were.
mod sign_flip;

pub use sign_flip::sign_flip;

use serde::Serialize;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use super::{Estimate, difference, mean_and_deviation, minimum_detectable_effect};

/// A difference taken prompt by prompt, which is far sharper than two intervals side by side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// Mean of a - b, in [-1, 1].
    pub difference: Estimate,
    /// Pearson's correlation of the two series; `None` when one of them never varies.
    pub correlation: Option<f64>,
    /// Two-sided p-value of [`sign_flip`].
    pub p: f64,
    /// See [`minimum_detectable_effect`].
    pub minimum_detectable: f64,
}

/// Compares two series of scores in [0, 1], of which the i-th entries belong to the same prompt.
///
/// # Panics
/// When the series differ in length.
pub fn paired(a: &[f64], b: &[f64]) -> Option<Paired> {
    assert_eq!(a.len(), b.len(), "paired scores belong to the same prompts");
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let estimate = difference(&differences)?;
    Some(Paired {
        difference: estimate,
        correlation: correlation(a, b),
        p: sign_flip(&differences),
        minimum_detectable: minimum_detectable_effect(&estimate),
    })
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, deviation_a) = mean_and_deviation(a)?;
    let (mean_b, deviation_b) = mean_and_deviation(b)?;
    if deviation_a == 0.0 || deviation_b == 0.0 {
        return None;
    }
    let products: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    Some(products / (a.len() as f64 - 1.0) / (deviation_a * deviation_b))
}

/// Keeps rounding from making a p-value 0 or more than 1.
pub(super) fn as_p_value(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0)
}

/// Student's t-test of paired differences, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedT {
    /// The mean difference over its standard error.
    pub t: f64,
    /// n - 1.
    pub degrees_of_freedom: usize,
    /// Two-sided p-value of "the mean difference is zero".
    pub p: f64,
    /// The mean difference, in the unit of the differences, with its 95% t-interval; the interval
    /// may leave the scale.
    pub mean: Estimate,
}

/// Student's t-test (Student 1908, Biometrika 6:1): t = mean / (sd / sqrt(n)), with n - 1 degrees
/// of freedom.
///
/// `None` for fewer than two differences, or when all are equal: without a spread there is no t.
pub fn paired_t(differences: &[f64]) -> Option<PairedT> {
    let n = differences.len();
    let (mean, standard_error) = mean_and_standard_error(differences)?;
    let student = student(n)?;
    let half = student.inverse_cdf(0.975) * standard_error;
    let t = mean / standard_error;
    Some(PairedT {
        t,
        degrees_of_freedom: n - 1,
        p: as_p_value(2.0 * student.sf(t.abs())),
        mean: Estimate { point: mean, lower: mean - half, upper: mean + half, n },
    })
}

/// `None` when all values are equal, which rounding does not always show in their deviation.
pub(super) fn mean_and_standard_error(values: &[f64]) -> Option<(f64, f64)> {
    if values.iter().all(|&value| value == values[0]) {
        return None;
    }
    let (mean, deviation) = mean_and_deviation(values)?;
    Some((mean, deviation / (values.len() as f64).sqrt()))
}

/// The t-distribution for the mean of `n` values; `None` for fewer than two.
pub(super) fn student(n: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, n as f64 - 1.0).ok()
}

/// Exact two-sided p-value of McNemar's test: on the prompts that only one of the two won, either
/// is as likely to be the winner.
///
/// McNemar 1947 (Psychometrika 12:153), with the binomial distribution in place of chi-squared:
/// min(1, 2 P(X <= min(a, b))), X ~ Binomial(a + b, 1/2). See [`discordant`] for the counts. Being
/// exact it is conservative where they are small: at 5 to 0, p is 6.25%.
pub fn mcnemar(a_only: usize, b_only: usize) -> f64 {
    let fewer = a_only.min(b_only) as u64;
    Binomial::new(0.5, (a_only + b_only) as u64)
        .map_or(1.0, |wins| as_p_value(2.0 * wins.cdf(fewer)))
}

/// How many prompts a won while b lost, and how many b won while a lost.
///
/// A score above 1/2 is a win and one below it a loss. A prompt on which either series ties is not
/// discordant: it is left out, and not counted half.
///
/// # Panics
/// When the series differ in length.
pub fn discordant(a: &[f64], b: &[f64]) -> (usize, usize) {
    assert_eq!(a.len(), b.len(), "paired scores belong to the same prompts");
    let won_against = |winner: &[f64], loser: &[f64]| {
        winner.iter().zip(loser).filter(|&(&winner, &loser)| winner > 0.5 && loser < 0.5).count()
    };
    (won_against(a, b), won_against(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 12] = [1.0, 0.5, 0.75, 1.0, 0.0, 0.25, 1.0, 0.5, 1.0, 0.75, 0.0, 1.0];
    const B: [f64; 12] = [0.5, 0.5, 0.25, 1.0, 0.0, 0.5, 0.0, 0.5, 0.75, 0.5, 0.25, 0.5];

    fn close(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs();
        assert!(error < 1e-9, "{found:e} is not {expected:e}");
    }

    // import numpy as np; from scipy import stats
    // a = np.array([1, .5, .75, 1, 0, .25, 1, .5, 1, .75, 0, 1])
    // b = np.array([.5, .5, .25, 1, 0, .5, 0, .5, .75, .5, .25, .5])
    // stats.pearsonr(a, b)[0]
    // stats.permutation_test((a - b,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    #[test]
    fn correlation_and_exact_p_agree_with_scipy() {
        let result = paired(&A, &B).unwrap();
        assert!((result.correlation.unwrap() - 0.446776151383).abs() < 1e-9);
        assert!((result.p - 0.109375000000).abs() < 1e-12);
        assert!((result.difference.point - 0.208333333333).abs() < 1e-9);
    }

    #[test]
    fn swapping_the_series_turns_the_sign_only() {
        let (one, other) = (paired(&A, &B).unwrap(), paired(&B, &A).unwrap());
        assert!((one.difference.point + other.difference.point).abs() < 1e-12);
        assert!((one.difference.lower + other.difference.upper).abs() < 1e-12);
        assert_eq!((one.p, one.correlation), (other.p, other.correlation));
        assert!((one.minimum_detectable - other.minimum_detectable).abs() < 1e-12);
    }

    // r = stats.ttest_rel(a, b); r.statistic, r.pvalue, r.confidence_interval(.95)
    // d = np.sin(np.arange(805.)**2)**3 * .6 + .03; r = stats.ttest_1samp(d, 0)
    // stats.ttest_1samp([.3, .31, .29, .3], 0); stats.ttest_1samp([1, 0], 0)
    #[test]
    fn the_t_test_agrees_with_scipy() {
        let check = |differences: &[f64], t: f64, p: f64, lower: f64, upper: f64| {
            let found = paired_t(differences).unwrap();
            assert_eq!(found.degrees_of_freedom + 1, found.mean.n);
            for (found, expected) in
                [(found.t, t), (found.p, p), (found.mean.lower, lower), (found.mean.upper, upper)]
            {
                close(found, expected);
            }
        };
        let a_minus_b: Vec<f64> = A.iter().zip(B).map(|(a, b)| a - b).collect();
        check(
            &a_minus_b,
            1.9680547341524115,
            0.07477967953360769,
            -0.024657430115413798,
            0.4413240967820805,
        );
        check(
            &(0..805).map(|i| f64::from(i * i).sin().powi(3) * 0.6 + 0.03).collect::<Vec<f64>>(),
            2.8334514599673257,
            0.004720128624129198,
            0.010332973879188436,
            0.05693155517131719,
        );
        check(
            &[0.3, 0.31, 0.29, 0.3],
            73.48469228349529,
            5.553805323100816e-06,
            0.28700771736374886,
            0.3129922826362511,
        );
        check(&[1.0, 0.0], 1.0, 0.5, -5.853102368087347, 6.853102368087347);
    }

    #[test]
    fn without_a_spread_there_is_no_t() {
        for differences in [&[][..], &[0.5], &[0.0; 9], &[0.1; 9]] {
            assert_eq!(paired_t(differences), None);
        }
    }

    // for k, l in (5, 0), (9, 3), (60, 41), (300, 210), (7, 8), (10, 10), (0, 900):
    //     stats.binomtest(k, k + l).pvalue
    // from statsmodels.stats.contingency_tables import mcnemar
    // mcnemar([[0, 9], [3, 0]], exact=True).pvalue  # the same
    #[test]
    fn mcnemar_agrees_with_scipy_and_statsmodels() {
        close(mcnemar(5, 0), 0.0625);
        close(mcnemar(9, 3), 0.14599609375);
        close(mcnemar(60, 41), 0.07275700687752425);
        close(mcnemar(300, 210), 7.8005002825186e-05);
        close(mcnemar(0, 900), 2.3661043723335494e-271);
        close(mcnemar(7, 8), 1.0);
        close(mcnemar(10, 10), 1.0);
        close(mcnemar(1, 0), 1.0);
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(9_000, 0), f64::MIN_POSITIVE);
    }

    #[test]
    fn mcnemar_is_the_sign_flip_test_of_wins_and_losses() {
        for (a_only, b_only) in [(5, 0), (9, 3), (12, 30)] {
            let differences = [vec![1.0; a_only], vec![-1.0; b_only], vec![0.0; 20]].concat();
            close(mcnemar(a_only, b_only), sign_flip(&differences));
        }
    }

    #[test]
    fn a_tie_on_either_side_is_not_discordant() {
        assert_eq!(
            discordant(&[1.0, 0.75, 0.25, 0.5, 1.0, 1.0], &[0.0, 0.25, 1.0, 0.0, 0.5, 1.0]),
            (2, 1)
        );
        assert_eq!(discordant(&[], &[]), (0, 0));
    }

    #[test]
    fn exchanging_the_sides_mirrors_the_tests() {
        let differences = [0.5, 0.0, -0.25, 1.0, 0.25];
        let one = paired_t(&differences).unwrap();
        let other = paired_t(&differences.map(|difference| -difference)).unwrap();
        assert_eq!((one.t, one.p), (-other.t, other.p));
        assert_eq!((one.mean.lower, one.mean.upper), (-other.mean.upper, -other.mean.lower));
        assert_eq!(mcnemar(9, 3), mcnemar(3, 9));
        let (a_only, b_only) = discordant(&A, &B);
        assert_eq!(discordant(&B, &A), (b_only, a_only));
    }
}
