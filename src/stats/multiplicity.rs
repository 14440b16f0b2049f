//! p-values corrected for their number, because among twenty comparisons one "shows" something.
//!
//! Two promises, for two uses. [`holm`] bounds the chance of *any* false alarm: for gates of which
//! one alarm stops a release, and for every claim that somebody acts on. [`benjamini_hochberg`]
//! bounds the expected *share* of false alarms among what is found: for exploring slices, where the
//! next step is a closer look. The family is fixed before looking: every comparison that was
//! planned, shown or not.

/// p-values corrected for their number, in the order given: the chance of one false alarm among all
/// of them stays at 5%. Holm 1979, Scand. J. Stat. 6:65.
///
/// It holds however the comparisons depend on each other, as those against one baseline do.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in ascending(p_values).into_iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

/// p-values corrected for their number, in the order given: of those at most 5%, an expected share
/// of at most 5% are false alarms. Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289.
///
/// The r-th smallest of m becomes the least of m p / rank over it and all larger ones. It holds for
/// independent comparisons, such as slices that share no prompts. It says nothing about any single
/// one of them.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut corrected = vec![0.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (rank, index) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values.len() as f64 * p_values[index] / (rank + 1) as f64);
        corrected[index] = smallest;
    }
    corrected
}

/// The indices of the p-values, smallest first.
fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(corrected: &[f64], expected: &[f64]) {
        assert_eq!(corrected.len(), expected.len());
        for (corrected, expected) in corrected.iter().zip(expected) {
            assert!((corrected - expected).abs() < 1e-12, "{corrected} is not {expected}");
        }
    }

    // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")  # R: 0.03 0.06 0.06 0.02
    #[test]
    fn holm_agrees_with_r() {
        close(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    // from scipy import stats; from statsmodels.stats.multitest import multipletests
    // p = [0.01, 0.04, 0.03, 0.005, 0.6]
    // stats.false_discovery_control(p); multipletests(p, method="fdr_bh")[1]  # the same
    // stats.false_discovery_control([.9, .001, .039, .041, .042, .008])
    #[test]
    fn benjamini_hochberg_agrees_with_scipy_and_statsmodels() {
        let corrected = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005, 0.6]);
        close(&corrected, &[0.025, 0.05, 0.05, 0.025, 0.6]);
        let corrected = benjamini_hochberg(&[0.9, 0.001, 0.039, 0.041, 0.042, 0.008]);
        close(&corrected, &[0.9, 0.006, 0.0504, 0.0504, 0.0504, 0.024]);
    }

    #[test]
    fn corrections_only_raise_and_keep_the_order() {
        let p_values = [0.2, 0.001, 0.03, 0.03, 1.0, 0.012, 0.0004];
        let (any, share) = (holm(&p_values), benjamini_hochberg(&p_values));
        for (i, p) in p_values.into_iter().enumerate() {
            assert!(p <= share[i] && share[i] <= any[i] && any[i] <= 1.0);
            for (j, other) in p_values.into_iter().enumerate().filter(|&(_, other)| p <= other) {
                assert!(any[i] <= any[j] && share[i] <= share[j], "{p} and {other}");
            }
        }
        for correct in [holm, benjamini_hochberg] {
            assert!(correct(&[]).is_empty());
            assert_eq!(correct(&[0.3]), [0.3]);
        }
    }
}
