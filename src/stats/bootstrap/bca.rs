//! The interval of one number, corrected for bias and for a spread that changes with the number.
use statrs::distribution::{ContinuousCDF, Normal};

use super::super::{Estimate, interval::upper_probability, normal_quantile};
use super::{quantile, resample, weighted_mean};

/// The mean of independent values, one a prompt, with its BCa interval: [`bca_of`] the mean.
///
/// Where all values are equal the interval is that point, for every draw is the same: it says
/// nothing on how far 48 wins of 48 are from certainty. [`mean`](crate::stats::mean()) and
/// [`wilson`](crate::stats::wilson) do. `None` for fewer than two values.
///
/// # Panics
/// When there is no fold, or the level does not lie between 0 and 1.
pub fn bca(values: &[f64], folds: usize, level: f64, seed: u64) -> Option<Estimate> {
    bca_of(values.len(), folds, level, seed, |weights| weighted_mean(values, weights))
}

/// Any statistic of `n` independent items with its bias-corrected and accelerated interval (Efron
/// 1987, J. Am. Stat. Assoc. 82:171).
///
/// `statistic` is told how often each item counts: once for the estimate, 0 times for one item at a
/// time for the acceleration, and as often as it was drawn in a fold. For clusters, `n` is their
/// number and the statistic the ratio of two weighted sums over them.
///
/// ```text
/// ends = quantiles of the folds at Φ(z0 + (z0 ± z) / (1 - a (z0 ± z)))
/// z0   = Φ⁻¹(share of folds below the estimate, those equal to it counted half)
/// a    = Σ d³ / (6 (Σ d²)^1.5)        d = mean of the values without one item, less each of them
/// ```
///
/// Quantiles are interpolated linearly between order statistics, at 1 + (folds - 1) p (type 7 of
/// Hyndman and Fan 1996, Am. Stat. 50:361). Take 2,000 folds at the least, 10,000 for a report.
/// `None` for fewer than two items, and where the statistic of a fold is not a finite number.
///
/// # Panics
/// When there is no fold, or the level does not lie between 0 and 1.
pub fn bca_of(
    n: usize,
    folds: usize,
    level: f64,
    seed: u64,
    statistic: impl Fn(&[f64]) -> f64,
) -> Option<Estimate> {
    assert!(folds > 0, "a bootstrap needs folds");
    let z = normal_quantile(upper_probability(level));
    if n < 2 {
        return None;
    }
    let point = statistic(&vec![1.0; n]);
    let mut values = Vec::with_capacity(folds);
    resample(n, folds, seed, |counts| values.push(statistic(counts)));
    values.sort_by(f64::total_cmp);
    let (first, last) = (*values.first()?, *values.last()?);
    if !(point.is_finite() && first.is_finite() && last.is_finite()) {
        return None;
    }
    // Equal sums of discrete scores differ by rounding, according to the order of their terms.
    let tie = 1e-12 * first.abs().max(last.abs());
    if last - first <= tie {
        return Some(Estimate { point, lower: point, upper: point, n });
    }
    let below = values.partition_point(|value| *value < point - tie);
    let not_above = values.partition_point(|value| *value <= point + tie);
    // An estimate outside of all its folds is treated as if half a fold lay beyond it.
    let half_fold = 0.5 / folds as f64;
    let share = half_fold * (below + not_above) as f64;
    let bias = normal_quantile(share.clamp(half_fold, 1.0 - half_fold));
    let acceleration = acceleration(n, statistic);
    let end = |z: f64| {
        let shifted = bias + z;
        let corrected = bias + shifted / (1.0 - acceleration * shifted);
        quantile(&values, Normal::standard().cdf(corrected))
    };
    Some(Estimate { point, lower: end(-z), upper: end(z), n })
}

/// A sixth of the skewness of the statistic, from leaving out one item at a time.
fn acceleration(n: usize, statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let mut weights = vec![1.0; n];
    let values: Vec<f64> = (0..n)
        .map(|left_out| {
            weights[left_out] = 0.0;
            let value = statistic(&weights);
            weights[left_out] = 1.0;
            value
        })
        .collect();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (mean - value).powi(2)).sum();
    let cubes: f64 = values.iter().map(|value| (mean - value).powi(3)).sum();
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEWED: [f64; 12] =
        [0.02, 0.05, 0.08, 0.11, 0.13, 0.17, 0.21, 0.28, 0.34, 0.47, 0.71, 0.98];

    fn close(estimate: Estimate, lower: f64, upper: f64, tolerance: f64) {
        let error = (estimate.lower - lower).abs().max((estimate.upper - upper).abs());
        assert!(error < tolerance, "{estimate:?} is not [{lower}, {upper}]");
    }

    // import numpy as np; from scipy.stats import bootstrap
    // x = np.array([.02, .05, .08, .11, .13, .17, .21, .28, .34, .47, .71, .98])
    // y = np.repeat([0, .25, .5, .75, 1], [20, 6, 8, 4, 2])
    // for v, level in (x, .95), (x, .9), (y, .95):
    //     print(bootstrap((v,), np.mean, method="BCa", n_resamples=1_000_000, batch=50_000,
    //         confidence_level=level, rng=np.random.default_rng(1)).confidence_interval)
    #[test]
    fn means_agree_with_scipy() {
        // Four standard errors of the Monte Carlo of 20,000 folds.
        close(bca(&SKEWED, 20_000, 0.95, 1).unwrap(), 0.1725, 0.5083, 0.012);
        close(bca(&SKEWED, 20_000, 0.9, 2).unwrap(), 0.1890, 0.4690, 0.012);
        let counts = [(0.0, 20), (0.25, 6), (0.5, 8), (0.75, 4), (1.0, 2)];
        let scores: Vec<f64> =
            counts.iter().flat_map(|&(score, count)| vec![score; count]).collect();
        // Means move in steps of 1/160.
        close(bca(&scores, 10_000, 0.95, 3).unwrap(), 0.175, 0.36875, 1.01 / 160.0);
    }

    // from scipy.stats import pearsonr
    // u = np.array([.1, .4, .35, .8, .6, .55, .9, .3, .25, .7, .45, .5])
    // v = np.array([.2, .3, .5, .7, .75, .4, .95, .1, .4, .6, .35, .65])
    // r = lambda u, v, axis: pearsonr(u, v, axis=axis).statistic
    // print(bootstrap((u, v), r, paired=True, vectorized=True, method="BCa", batch=50_000,
    //     n_resamples=500_000, rng=np.random.default_rng(1)).confidence_interval)
    #[test]
    fn other_statistics_agree_with_scipy() {
        let u = [0.1, 0.4, 0.35, 0.8, 0.6, 0.55, 0.9, 0.3, 0.25, 0.7, 0.45, 0.5];
        let v = [0.2, 0.3, 0.5, 0.7, 0.75, 0.4, 0.95, 0.1, 0.4, 0.6, 0.35, 0.65];
        let correlation = |weights: &[f64]| {
            let (mean_u, mean_v) = (weighted_mean(&u, weights), weighted_mean(&v, weights));
            let product = |a: &[f64; 12], mean_a: f64, b: &[f64; 12], mean_b: f64| {
                let terms = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
                terms.zip(weights).map(|(term, weight)| term * weight).sum::<f64>()
            };
            let spreads = product(&u, mean_u, &u, mean_u) * product(&v, mean_v, &v, mean_v);
            product(&u, mean_u, &v, mean_v) / spreads.sqrt()
        };
        close(bca_of(12, 20_000, 0.95, 1, correlation).unwrap(), 0.6507, 0.9451, 0.015);
    }

    #[test]
    fn swapping_sides_mirrors_and_the_seed_decides() {
        let swapped = SKEWED.map(|score| 1.0 - score);
        let one = bca(&SKEWED, 2_000, 0.95, 9).unwrap();
        let other = bca(&swapped, 2_000, 0.95, 9).unwrap();
        close(one, 1.0 - other.upper, 1.0 - other.lower, 1e-12);
        assert_eq!(bca(&SKEWED, 2_000, 0.95, 9), Some(one));
        assert_ne!(bca(&SKEWED, 2_000, 0.95, 10), Some(one));
        let narrower = bca(&SKEWED, 2_000, 0.8, 9).unwrap();
        assert!(
            narrower.lower > one.lower && narrower.upper < one.upper && one.includes(one.point)
        );
    }

    #[test]
    fn ties_with_the_estimate_count_half() {
        // Without the half, the share below the median of these two points would be 1/4, not 1/2.
        let estimate = bca(&[0.1, 0.4], 4_000, 0.4, 1).unwrap();
        close(estimate, 0.25, 0.25, 1e-12);
        // Thirds do not add up exactly, and yet tie like whole numbers.
        let whole = [0.0, 1.0, 1.0, 2.0, 3.0, 0.0, 2.0, 1.0, 0.0];
        let thirds = bca(&whole.map(|score| score / 3.0), 4_000, 0.95, 5).unwrap();
        let whole = bca(&whole, 4_000, 0.95, 5).unwrap();
        close(thirds, whole.lower / 3.0, whole.upper / 3.0, 1e-12);
    }

    #[test]
    fn it_behaves_at_the_edges() {
        assert_eq!((bca(&[], 100, 0.95, 1), bca(&[0.5], 100, 0.95, 1)), (None, None));
        for score in [0.0, 0.1, 1.0] {
            let estimate = bca(&[score; 48], 100, 0.95, 1).unwrap();
            assert_eq!(
                (estimate.lower, estimate.upper, estimate.n),
                (estimate.point, estimate.point, 48)
            );
        }
        // A ratio that some fold leaves without a denominator.
        assert_eq!(bca_of(2, 100, 0.95, 1, |weights| weights[0] / weights[1]), None);
        let few = bca(&SKEWED, 1, 0.95, 1).unwrap();
        assert!(few.lower.is_finite() && few.lower == few.upper, "{few:?}");
    }
}
