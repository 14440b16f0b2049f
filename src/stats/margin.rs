//! Whether a candidate is good enough: the three-way gate, and the tests behind it.
//!
//! A margin is the loss that one is willing to accept, chosen before looking. "No significant
//! difference" is no pass: too few prompts reach it with any model. A candidate passes because the
//! data exclude a loss of a margin or more, and fails because they exclude anything better.
//!
//! Levels: whether a 95% interval lies above a bound is a one-sided test at 2.5%, so that is the
//! level of [`gate`]; the same decision by [`non_inferiority_p`] asks for p below 2.5%. Two
//! one-sided tests at 5% ([`equivalence_p`] below 5%) are the question whether the 90% interval
//! lies within the margin on both sides, and at 2.5% whether the 95% interval does.
use serde::Serialize;
use statrs::distribution::ContinuousCDF;

use super::{
    Estimate,
    paired::{as_p_value, mean_and_standard_error, student},
};

/// What an interval says about a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The interval lies above zero.
    Better,
    /// It lies above minus the margin. It may lie below zero: worse, but by less than the margin.
    NoWorse,
    /// It lies below minus the margin.
    Regressed,
    /// It holds minus the margin: there are too few prompts to tell, which is neither pass nor
    /// fail.
    Inconclusive,
}

/// Reads the gate off the interval of candidate minus reference, in the unit of `margin`.
///
/// From a 95% interval, a candidate that is worse by the margin passes with a chance of 2.5% (3 to 4%
/// where one prompt in ten differs), and one that is not worse by more than the margin is called
/// regressed with at most that chance.
/// Where it has to pass several gates, no correction is needed for the pass, since a bad one would
/// have to slip through all of them; the chance that one of them calls a regression that is not
/// there does grow with their number.
///
/// # Panics
/// When the margin is not above zero.
pub fn gate(candidate_minus_reference: &Estimate, margin: f64) -> Gate {
    check(margin);
    let &Estimate { lower, upper, .. } = candidate_minus_reference;
    if lower > 0.0 {
        Gate::Better
    } else if lower > -margin {
        Gate::NoWorse
    } else if upper < -margin {
        Gate::Regressed
    } else {
        Gate::Inconclusive
    }
}

/// One-sided p-value of "the candidate is worse by the margin or more", from candidate minus
/// reference, one difference a prompt, in the unit of `margin`: a t-test of the mean of d + margin.
///
/// Small means no worse. Where few prompts differ it is too small: at a true 5% it came out below 5%
/// in 9% of repetitions with 48 prompts of which one in ten differs. `None` for fewer than two
/// differences, or when all are equal.
///
/// # Panics
/// When the margin is not above zero.
pub fn non_inferiority_p(differences: &[f64], margin: f64) -> Option<f64> {
    check(margin);
    let (mean, standard_error) = mean_and_standard_error(differences)?;
    let t = (mean + margin) / standard_error;
    Some(as_p_value(student(differences.len())?.sf(t)))
}

/// p-value of "the two differ by the margin or more, in either direction": the larger of two
/// one-sided t-tests (TOST; Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).
///
/// Small means equivalent. `None` for fewer than two differences, or when all are equal.
///
/// # Panics
/// When the margin is not above zero.
pub fn equivalence_p(differences: &[f64], margin: f64) -> Option<f64> {
    let mirrored: Vec<f64> = differences.iter().map(|difference| -difference).collect();
    Some(non_inferiority_p(differences, margin)?.max(non_inferiority_p(&mirrored, margin)?))
}

fn check(margin: f64) {
    assert!(margin > 0.0, "a margin is above zero, and not {margin}");
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::{difference, paired_t, panic_of};

    const DIFFERENCES: [f64; 12] =
        [0.5, 0.0, 0.5, 0.0, 0.0, -0.25, 1.0, 0.0, 0.25, 0.25, -0.25, 0.5];

    fn mirrored() -> [f64; 12] {
        DIFFERENCES.map(|difference| -difference)
    }

    #[test]
    fn the_gate_reads_the_interval() {
        let check = |lower: f64, upper: f64, expected: Gate| {
            let estimate = Estimate { point: (lower + upper) / 2.0, lower, upper, n: 48 };
            assert_eq!(gate(&estimate, 2.0), expected, "{estimate:?}");
        };
        check(0.1, 3.0, Gate::Better);
        check(0.0, 3.0, Gate::NoWorse);
        check(-1.9, 3.0, Gate::NoWorse);
        check(-1.9, -0.1, Gate::NoWorse);
        check(-2.0, 3.0, Gate::Inconclusive);
        check(-9.0, -2.0, Gate::Inconclusive);
        check(-9.0, -2.1, Gate::Regressed);
        check(-9.0, 9.0, Gate::Inconclusive);
    }

    // import numpy as np; from scipy import stats
    // from statsmodels.stats.weightstats import ttost_paired
    // a = np.array([1, .5, .75, 1, 0, .25, 1, .5, 1, .75, 0, 1])
    // b = np.array([.5, .5, .25, 1, 0, .5, 0, .5, .75, .5, .25, .5])
    // for m in .05, .1, .25, .5:
    //     stats.ttest_1samp(a - b, -m, alternative="greater").pvalue
    //     stats.ttest_1samp(b - a, -m, alternative="greater").pvalue; ttost_paired(a, b, -m, m)[0]
    #[test]
    fn both_tests_agree_with_scipy_and_statsmodels() {
        let close = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() < 1e-10, "{found:?} is not {expected}");
        };
        for (margin, no_worse, mirrored_no_worse) in [
            (0.05, 0.016400076302293714, 0.9185731466663989),
            (0.1, 0.007060066725152382, 0.8359480281823304),
            (0.25, 0.0005975590806362176, 0.3506952791306691),
            (0.5, 1.7077098588561596e-05, 0.009356630364023446),
        ] {
            close(non_inferiority_p(&DIFFERENCES, margin), no_worse);
            close(non_inferiority_p(&mirrored(), margin), mirrored_no_worse);
            close(equivalence_p(&DIFFERENCES, margin), no_worse.max(mirrored_no_worse));
            assert_eq!(equivalence_p(&DIFFERENCES, margin), equivalence_p(&mirrored(), margin));
        }
    }

    #[test]
    fn a_95_percent_interval_is_a_one_sided_test_at_two_and_a_half_percent() {
        for differences in [DIFFERENCES, mirrored()] {
            let interval = paired_t(&differences).unwrap().mean;
            for margin in (1..60).map(|step| f64::from(step) / 100.0) {
                let p = non_inferiority_p(&differences, margin).unwrap();
                let passes = matches!(gate(&interval, margin), Gate::Better | Gate::NoWorse);
                assert_eq!(p < 0.025, passes, "{p} at {margin}");
                // Whether it regressed is the same test of the mirrored differences at -margin.
                let regressed = gate(&interval, margin) == Gate::Regressed;
                assert_eq!(p > 0.975, regressed, "{p} at {margin}");
                let within = -margin < interval.lower && interval.upper < margin;
                assert_eq!(equivalence_p(&differences, margin).unwrap() < 0.025, within);
            }
        }
    }

    #[test]
    fn a_candidate_on_the_margin_passes_and_fails_in_one_of_forty_repetitions() {
        let mut random = ChaCha8Rng::seed_from_u64(1987);
        let verdicts: Vec<Gate> = (0..2_000)
            .map(|_| {
                let draws = (0..100).map(|_| random.random::<f64>());
                // Worse by 0.1: -1 for a quarter of the prompts, 1 for 15 in a hundred.
                let differences: Vec<f64> = draws
                    .map(|draw| f64::from(u8::from(draw < 0.15)) - f64::from(u8::from(draw > 0.75)))
                    .collect();
                gate(&difference(&differences).unwrap(), 0.1)
            })
            .collect();
        let share = |verdict: Gate| {
            verdicts.iter().filter(|&&found| found == verdict).count() as f64 / 2_000.0
        };
        let passed = share(Gate::Better) + share(Gate::NoWorse);
        assert!((0.015..0.035).contains(&passed), "{passed} passed");
        let regressed = share(Gate::Regressed);
        assert!((0.015..0.035).contains(&regressed), "{regressed} regressed");
    }

    #[test]
    fn a_wider_margin_never_raises_p() {
        let p_values: Vec<(f64, f64)> = (1..200)
            .map(|step| f64::from(step) / 50.0)
            .map(|margin| {
                let no_worse = non_inferiority_p(&DIFFERENCES, margin).unwrap();
                (no_worse, equivalence_p(&DIFFERENCES, margin).unwrap())
            })
            .collect();
        assert!(p_values.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0].1 >= pair[1].1));
        assert!(p_values.iter().all(|&(one, both)| 0.0 < one && one <= both && both <= 1.0));
    }

    #[test]
    fn without_a_spread_there_is_no_test() {
        for differences in [&[][..], &[0.5], &[0.0; 9]] {
            assert_eq!(non_inferiority_p(differences, 0.1), None);
            assert_eq!(equivalence_p(differences, 0.1), None);
        }
    }

    #[test]
    fn a_margin_of_zero_is_refused() {
        let estimate = Estimate { point: 0.0, lower: -1.0, upper: 1.0, n: 9 };
        let message = panic_of(|| _ = gate(&estimate, 0.0));
        assert!(message.contains("a margin is above zero"), "{message}");
    }
}
