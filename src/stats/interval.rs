//! The textbook intervals of a mean and of a share, at any level, and the one of items that come
//! in clusters.
use std::collections::BTreeMap;

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

use super::{Estimate, mean::wilson as wilson_ends, mean_and_deviation, normal_quantile};

/// Standard error of the mean of independent values: s / √n, with n - 1 in the denominator of s.
///
/// `None` for fewer than two values, which show no spread.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let (_, deviation) = mean_and_deviation(values)?;
    (values.len() > 1).then(|| deviation / (values.len() as f64).sqrt())
}

/// The mean of independent values with Student's interval: mean ± t(n - 1) s / √n (Student 1908,
/// Biometrika 6:1).
///
/// It asks for no scale, and in return has no width where all values are equal and is too narrow
/// where nearly all are: use [`mean`](super::mean()) or [`difference`](super::difference) for
/// scores. `None` for fewer than two values.
///
/// # Panics
/// When the level does not lie between 0 and 1.
pub fn student_t(values: &[f64], level: f64) -> Option<Estimate> {
    let (point, _) = mean_and_deviation(values)?;
    around(point, standard_error(values)?, values.len(), level)
}

/// A share of `n` items with Wilson's score interval (1927, J. Am. Stat. Assoc. 22:209), which
/// covers its level on average over the shares, and is the one to report. `None` without items.
///
/// # Panics
/// When there are more successes than items, or the level does not lie between 0 and 1.
pub fn wilson(successes: usize, n: usize, level: f64) -> Option<Estimate> {
    let point = share(successes, n)?;
    let (lower, upper) = wilson_ends(point, n as f64, normal_quantile(upper_probability(level)));
    Some(Estimate { point, lower, upper, n })
}

/// A share of `n` items with the exact interval of Clopper and Pearson (1934, Biometrika 26:404):
/// the shares that neither one-sided binomial test rejects. `None` without items.
///
/// It covers *at least* its level, whatever the share and `n`, and is wider than Wilson's for it.
///
/// # Panics
/// When there are more successes than items, or the level does not lie between 0 and 1.
pub fn clopper_pearson(successes: usize, n: usize, level: f64) -> Option<Estimate> {
    let point = share(successes, n)?;
    let upper_tail = upper_probability(level);
    let failures = n - successes;
    let quantile = |a: usize, b: usize, probability: f64| {
        Some(Beta::new(a as f64, b as f64).ok()?.inverse_cdf(probability))
    };
    let lower = match successes {
        0 => 0.0,
        _ => quantile(successes, failures + 1, 1.0 - upper_tail)?,
    };
    let upper = match failures {
        0 => 1.0,
        _ => quantile(successes + 1, failures, upper_tail)?,
    };
    Some(Estimate { point, lower, upper, n })
}

/// A weighted mean of values of which only those in different clusters are independent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clustered {
    pub mean: f64,
    /// See [`clustered_mean`]; `None` with one cluster.
    pub standard_error: Option<f64>,
    /// The mean with its 95% interval; its `n` is the number of clusters. `None` with one cluster.
    pub estimate: Option<Estimate>,
    /// Values, of whatever cluster.
    pub n_values: usize,
}

/// The mean Σ w s / Σ w of values that share a cluster with others, such as both orders of a
/// prompt, the turns of a dialogue or the translations of a question; `clusters` names that of each
/// value.
///
/// ```text
/// SE = √( C / (C - 1) · Σ_c (Σ_{i in c} w_i (s_i - mean))² ) / Σ w        C clusters
/// ```
///
/// The cluster-robust standard error (Liang and Zeger 1986, Biometrika 73:13; for evaluations
/// Miller, arXiv 2411.00640, appendix A) with the factor C / (C - 1) of the CR1 type for few
/// clusters (Cameron and Miller 2015, J. Hum. Resour. 50:317), and Student's t with C - 1 degrees
/// of freedom for the interval. With unit weights and one value a cluster it is [`standard_error`].
/// Below some 30 clusters, or where one holds much of the weight, it is still too small; and where
/// the deviations cancel in every cluster it is 0, which proves nothing. `None` without values.
///
/// # Panics
/// When the slices differ in length, or a weight is not positive and finite.
pub fn clustered_mean(values: &[f64], weights: &[f64], clusters: &[usize]) -> Option<Clustered> {
    assert_eq!(values.len(), weights.len(), "each value has a weight");
    assert_eq!(values.len(), clusters.len(), "each value has a cluster");
    assert!(weights.iter().all(|weight| *weight > 0.0 && weight.is_finite()), "weights above 0");
    if values.is_empty() {
        return None;
    }
    let total: f64 = weights.iter().sum();
    let mean =
        values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / total;
    let mut deviations: BTreeMap<usize, f64> = BTreeMap::new();
    for ((value, weight), cluster) in values.iter().zip(weights).zip(clusters) {
        *deviations.entry(*cluster).or_default() += weight * (value - mean);
    }
    let n = deviations.len();
    let squares: f64 = deviations.values().map(|deviation| deviation * deviation).sum();
    let standard_error = (n > 1).then(|| (n as f64 / (n as f64 - 1.0) * squares).sqrt() / total);
    let estimate = standard_error.and_then(|error| around(mean, error, n, 0.95));
    Some(Clustered { mean, standard_error, estimate, n_values: values.len() })
}

/// Student's interval of `n` independent items; `None` for fewer than two.
fn around(point: f64, standard_error: f64, n: usize, level: f64) -> Option<Estimate> {
    let student = StudentsT::new(0.0, 1.0, n as f64 - 1.0).ok()?;
    let half = student.inverse_cdf(upper_probability(level)) * standard_error;
    Some(Estimate { point, lower: point - half, upper: point + half, n })
}

fn share(successes: usize, n: usize) -> Option<f64> {
    assert!(successes <= n, "{successes} of {n}");
    (n > 0).then(|| successes as f64 / n as f64)
}

/// The probability below the upper end of a two-sided interval: 0.975 for 0.95.
pub(super) fn upper_probability(level: f64) -> f64 {
    assert!(level > 0.0 && level < 1.0, "a level lies between 0 and 1, not at {level}");
    0.5 + level / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 12] = [1.0, 0.5, 0.75, 1.0, 0.0, 0.25, 1.0, 0.5, 1.0, 0.75, 0.0, 1.0];
    const CLUSTERS: [usize; 12] = [4, 4, 4, 1, 1, 9, 9, 2, 2, 2, 2, 7];

    fn close(estimate: Estimate, lower: f64, upper: f64) {
        let error = (estimate.lower - lower).abs().max((estimate.upper - upper).abs());
        assert!(error < 1e-9, "{estimate:?} is not [{lower}, {upper}]");
    }

    // import numpy as np; from scipy import stats
    // x = np.array([1, .5, .75, 1, 0, .25, 1, .5, 1, .75, 0, 1])
    // print(stats.sem(x))
    // for level in .9, .95: print(stats.t.interval(level, len(x) - 1, x.mean(), stats.sem(x)))
    #[test]
    fn student_agrees_with_scipy() {
        assert!((standard_error(&SCORES).unwrap() - 0.112892133643).abs() < 1e-9);
        close(student_t(&SCORES, 0.9).unwrap(), 0.443092064373, 0.848574602293);
        close(student_t(&SCORES, 0.95).unwrap(), 0.397359422495, 0.894307244172);
    }

    // from scipy.stats import binomtest
    // for k, n, level in (0, 48, .95), (29, 48, .95), (29, 48, .99), (3, 805, .95), (1, 1, .95):
    //     for method in "exact", "wilson": print(binomtest(k, n).proportion_ci(level, method))
    #[test]
    fn shares_agree_with_scipy() {
        let check = |successes: usize, n: usize, level: f64, exact: [f64; 2], score: [f64; 2]| {
            close(clopper_pearson(successes, n, level).unwrap(), exact[0], exact[1]);
            close(wilson(successes, n, level).unwrap(), score[0], score[1]);
        };
        check(0, 48, 0.95, [0.0, 0.073972785347], [0.0, 0.074100129666]);
        check(29, 48, 0.95, [0.452695800911, 0.742301027154], [0.463104084925, 0.729791721394]);
        check(29, 48, 0.99, [0.409198465835, 0.778010783248], [0.420629304246, 0.762403896549]);
        check(3, 805, 0.95, [0.000769197164, 0.010852070031], [0.001268209132, 0.010899142966]);
        check(1, 1, 0.95, [0.025, 1.0], [0.206549314377, 1.0]);
    }

    #[test]
    fn swapping_sides_mirrors_the_shares() {
        for interval in [wilson, clopper_pearson] {
            for successes in [0, 1, 30, 48] {
                let one = interval(successes, 48, 0.95).unwrap();
                let other = interval(48 - successes, 48, 0.95).unwrap();
                close(one, 1.0 - other.upper, 1.0 - other.lower);
                assert!(one.includes(one.point), "{one:?}");
            }
        }
        assert_eq!(clopper_pearson(0, 48, 0.95).unwrap().lower, 0.0);
        assert_eq!(clopper_pearson(48, 48, 0.95).unwrap().upper, 1.0);
    }

    // import statsmodels.api as sm; from scipy import stats
    // g = np.array([4, 4, 4, 1, 1, 9, 9, 2, 2, 2, 2, 7])
    // for w in np.ones(12), np.array([1, 2, 1, .5, 1, 3, 1, 1, 2, 1, 1, .25]):
    //     fit = sm.WLS(x, np.ones(12), weights=w).fit(use_t=True, cov_type="cluster",
    //         cov_kwds={"groups": g, "use_correction": True, "df_correction": True})
    //     print(fit.params, fit.bse, fit.conf_int())  # correction: C/(C-1) (n-1)/(n-1); df C-1
    #[test]
    fn clusters_agree_with_statsmodels() {
        let check = |weights: &[f64], mean: f64, error: f64, lower: f64, upper: f64| {
            let result = clustered_mean(&SCORES, weights, &CLUSTERS).unwrap();
            assert!((result.mean - mean).abs() < 1e-9, "{result:?}");
            assert!((result.standard_error.unwrap() - error).abs() < 1e-9, "{result:?}");
            assert!((result.estimate.unwrap().lower - lower).abs() < 1e-7, "{result:?}");
            assert!((result.estimate.unwrap().upper - upper).abs() < 1e-7, "{result:?}");
            assert_eq!((result.estimate.unwrap().n, result.n_values), (5, 12));
        };
        check(&[1.0; 12], 0.645833333333, 0.060453074120, 0.47798869, 0.81367798);
        let weights = [1.0, 2.0, 1.0, 0.5, 1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 1.0, 0.25];
        check(&weights, 0.576271186441, 0.067199961010, 0.38969418, 0.76284819);
    }

    #[test]
    fn clusters_of_one_are_no_clusters_and_copies_add_nothing() {
        let single: Vec<usize> = (0..12).collect();
        let result = clustered_mean(&SCORES, &[1.0; 12], &single).unwrap();
        let plain = student_t(&SCORES, 0.95).unwrap();
        let error = result.standard_error.unwrap() - standard_error(&SCORES).unwrap();
        assert!(error.abs() < 1e-15);
        close(result.estimate.unwrap(), plain.lower, plain.upper);
        let (twice, both) = (SCORES.repeat(2), single.repeat(2));
        let copied = clustered_mean(&twice, &[1.0; 24], &both).unwrap();
        close(copied.estimate.unwrap(), plain.lower, plain.upper);
        // Two orders that always contradict each other: no spread between prompts at all.
        let split = clustered_mean(&[0.0, 1.0, 1.0, 0.0], &[1.0; 4], &[0, 0, 1, 1]).unwrap();
        assert_eq!((split.mean, split.standard_error), (0.5, Some(0.0)));
    }

    #[test]
    fn too_few_values_give_no_number() {
        assert_eq!((standard_error(&[]), standard_error(&[0.5])), (None, None));
        assert_eq!((student_t(&[], 0.95), student_t(&[0.5], 0.95)), (None, None));
        assert_eq!((wilson(0, 0, 0.95), clopper_pearson(0, 0, 0.95)), (None, None));
        assert_eq!(clustered_mean(&[], &[], &[]), None);
        let one = clustered_mean(&[0.0, 1.0], &[1.0, 3.0], &[5, 5]).unwrap();
        assert_eq!((one.mean, one.standard_error, one.estimate), (0.75, None, None));
        let equal = student_t(&[0.5; 48], 0.95).unwrap();
        assert_eq!((equal.lower, equal.upper), (0.5, 0.5));
    }
}
