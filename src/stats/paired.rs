//! Two series of scores on the same prompts: how far apart, and whether chance would do as well.
use super::{Estimate, difference, mean_and_deviation, minimum_detectable_effect};

/// A difference taken prompt by prompt, which is far sharper than two intervals side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// Steps of the grid on which [`sign_flip`] counts: fine enough for 2, 3, 4, 5, 6 or 8 verdicts a prompt.
const GRID: f64 = 240.0;

/// Two-sided p-value that the differences are symmetric about zero, from all 2^n choices of signs.
///
/// Fisher's randomisation test ("The Design of Experiments", 1935, section 21). Exact and without
/// random numbers: scores come in a few steps, so the distribution of the sum is a short table.
pub fn sign_flip(differences: &[f64]) -> f64 {
    let steps: Vec<usize> = differences
        .iter()
        .map(|difference| (difference.abs() * GRID).round() as usize)
        .filter(|&step| step > 0)
        .collect();
    let unit = steps.iter().copied().fold(0, greatest_common_divisor).max(1);
    let observed = (differences.iter().sum::<f64>().abs() * GRID / unit as f64).round() as usize;
    let total: usize = steps.iter().map(|step| step / unit).sum();
    // chances[k] is the chance that the sum is k - total, in units.
    let mut chances = vec![0.0; 2 * total + 1];
    chances[total] = 1.0;
    for step in steps.iter().map(|step| step / unit) {
        let mut next = vec![0.0; chances.len()];
        for (sum, chance) in chances.iter().enumerate().filter(|(_, chance)| **chance > 0.0) {
            next[sum - step] += chance / 2.0;
            next[sum + step] += chance / 2.0;
        }
        chances = next;
    }
    let as_far = |sum: usize| sum.abs_diff(total) >= observed;
    let p: f64 =
        chances.iter().enumerate().filter(|(sum, _)| as_far(*sum)).map(|(_, chance)| chance).sum();
    p.min(1.0)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// p-values corrected for their number, in the order given: the chance of one false alarm among all
/// of them stays at 5%. Holm 1979, Scand. J. Stat. 6:65.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 12] = [1.0, 0.5, 0.75, 1.0, 0.0, 0.25, 1.0, 0.5, 1.0, 0.75, 0.0, 1.0];
    const B: [f64; 12] = [0.5, 0.5, 0.25, 1.0, 0.0, 0.5, 0.0, 0.5, 0.75, 0.5, 0.25, 0.5];

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
    fn p_is_one_without_differences_and_small_when_all_agree() {
        assert_eq!(sign_flip(&[]), 1.0);
        assert_eq!(sign_flip(&[0.0; 9]), 1.0);
        assert!((sign_flip(&[0.25; 10]) - 2.0 / 1024.0).abs() < 1e-15);
        // Mixed thirds and quarters lie on the grid as well: 2 of 4 sign choices reach the sum.
        assert!((sign_flip(&[1.0 / 3.0, 0.25]) - 0.5).abs() < 1e-12);
        assert!((0.0..1e-100).contains(&sign_flip(&[1.0; 805])));
    }

    #[test]
    fn swapping_the_series_turns_the_sign_only() {
        let (one, other) = (paired(&A, &B).unwrap(), paired(&B, &A).unwrap());
        assert!((one.difference.point + other.difference.point).abs() < 1e-12);
        assert!((one.difference.lower + other.difference.upper).abs() < 1e-12);
        assert_eq!((one.p, one.correlation), (other.p, other.correlation));
        assert!((one.minimum_detectable - other.minimum_detectable).abs() < 1e-12);
    }

    // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")  # R: 0.03 0.06 0.06 0.02
    #[test]
    fn holm_agrees_with_r() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (corrected, expected) in corrected.iter().zip(expected) {
            assert!((corrected - expected).abs() < 1e-12);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
