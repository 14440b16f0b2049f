//! The bootstrap: how far a number would move with other prompts, found by drawing them anew.
//!
//! A fold draws n of the n prompts with replacement (Efron 1979, Ann. Stat. 7:1) and passes on how
//! often each was drawn. All columns of scores see the same draw, so that they stay paired. What is
//! drawn must be independent: prompts, or whole clusters of them, and never single verdicts.
mod bca;
mod max_t;

pub use bca::{bca, bca_of};
pub use max_t::{Adjusted, MaxT, max_t};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The mean of each column in each fold: one row of `folds` means a column, in the order given.
///
/// The k-th means of all columns come from the same draw of prompts, so that any function of them,
/// such as a difference or a rank, has its bootstrap distribution in the k-th entries.
/// Empty where there are no prompts.
///
/// # Panics
/// When the columns differ in length.
pub fn bootstrap_means(columns: &[&[f64]], folds: usize, seed: u64) -> Vec<Vec<f64>> {
    let n = columns.first().map_or(0, |column| column.len());
    assert!(columns.iter().all(|column| column.len() == n), "columns are of the same prompts");
    let mut means = vec![Vec::new(); columns.len()];
    resample(n, folds, seed, |counts| {
        for (means, column) in means.iter_mut().zip(columns) {
            means.push(weighted_mean(column, counts));
        }
    });
    means
}

/// Calls `visit` once a fold with the number of times that each of `n` items was drawn.
fn resample(n: usize, folds: usize, seed: u64, mut visit: impl FnMut(&[f64])) {
    if n == 0 {
        return;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = vec![0.0; n];
    for _ in 0..folds {
        counts.fill(0.0);
        for _ in 0..n {
            counts[random.random_range(0..n)] += 1.0;
        }
        visit(&counts);
    }
}

/// The value below which the share `probability` of ascending values lies, interpolated linearly as
/// numpy does by default.
pub(super) fn quantile(ascending: &[f64], probability: f64) -> f64 {
    let position = probability * (ascending.len() - 1) as f64;
    let (low, high) = (ascending[position.floor() as usize], ascending[position.ceil() as usize]);
    low + (high - low) * position.fract()
}

fn weighted_mean(values: &[f64], weights: &[f64]) -> f64 {
    let sums = values
        .iter()
        .zip(weights)
        .fold((0.0, 0.0), |(sum, total), (value, weight)| (sum + value * weight, total + weight));
    sums.0 / sums.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 6] = [0.0, 0.25, 1.0, 1.0, 0.5, 0.75];
    const B: [f64; 6] = [0.5, 0.25, 0.75, 1.0, 0.0, 0.5];

    // All 6^6 draws, so no random numbers:
    // import itertools, numpy as np
    // a = np.array([0, .25, 1, 1, .5, .75]); b = np.array([.5, .25, .75, 1, 0, .5])
    // i = np.array(list(itertools.product(range(6), repeat=6)))
    // x, y = a[i].mean(1), b[i].mean(1)
    // print(x.std(), y.std(), np.corrcoef(x, y)[0, 1], np.mean(x > y))
    #[test]
    fn folds_have_the_spread_and_the_correlation_of_all_draws() {
        let means = bootstrap_means(&[&A, &B], 20_000, 1979);
        let moments = |values: &[f64]| super::super::mean_and_deviation(values).unwrap();
        let (mean_a, spread_a) = moments(&means[0]);
        let (mean_b, spread_b) = moments(&means[1]);
        let products = means[0].iter().zip(&means[1]).map(|(a, b)| (a - mean_a) * (b - mean_b));
        let correlation = products.sum::<f64>() / 20_000.0 / (spread_a * spread_b);
        let above = means[0].iter().zip(&means[1]).filter(|(a, b)| a > b).count() as f64 / 20_000.0;
        assert!((spread_a - 0.152145).abs() < 0.003, "{spread_a}");
        assert!((spread_b - 0.131762).abs() < 0.003, "{spread_b}");
        assert!((correlation - 0.606218).abs() < 0.02, "{correlation}");
        assert!((above - 0.698174).abs() < 0.015, "{above}");
    }

    #[test]
    fn the_same_seed_gives_the_same_folds_and_columns_do_not_touch() {
        let both = bootstrap_means(&[&A, &B], 50, 7);
        assert_eq!(both, bootstrap_means(&[&A, &B], 50, 7));
        assert_eq!(both[1], bootstrap_means(&[&B], 50, 7)[0]);
        assert_ne!(both, bootstrap_means(&[&A, &B], 50, 8));
        assert_eq!(bootstrap_means(&[&[0.5; 9]], 3, 7), [[0.5; 3]]);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(bootstrap_means(&[&[], &[]], 9, 7), [[0.0; 0]; 2]);
        assert!(bootstrap_means(&[], 9, 7).is_empty());
    }
}
