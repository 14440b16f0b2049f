//! Two raters and labels without an order.
use crate::stats::{Estimate, normal_quantile, proportion};

/// Share of the items to which two raters gave the same label, with Wilson's 95% interval.
///
/// # Panics
/// When the labels differ in number.
pub fn raw_agreement(a: &[usize], b: &[usize]) -> Option<Estimate> {
    assert_eq!(a.len(), b.len(), "both raters label the same items");
    proportion(a.iter().zip(b).filter(|(a, b)| a == b).count(), a.len())
}

/// Cohen's kappa of two raters, with its asymptotic 95% interval: agreement beyond that of two
/// raters who give out the same labels as often, but by chance. 1 is perfect, 0 is chance.
///
/// ```text
/// kappa = (po - pe) / (1 - pe)
/// ```
///
/// po is the raw agreement, pe the sum over labels of the product of the raters' shares: Cohen 1960
/// (Educ. Psychol. Meas. 20:37). The standard error is the one that does not assume kappa = 0 of
/// Fleiss, Cohen and Everitt 1969 (Psychol. Bull. 72:323). It is too small for few
/// items of which most have one label (the interval then covers 90% at 50 and 94% at 200), and 0
/// for raters who never differ; the interval of [`raw_agreement`] has no such gap.
///
/// `None` without items, or when both raters give all of them one and the same label.
///
/// # Panics
/// When the labels differ in number.
pub fn cohens_kappa(a: &[usize], b: &[usize]) -> Option<Estimate> {
    assert_eq!(a.len(), b.len(), "both raters label the same items");
    let n = a.len() as f64;
    let labels = a.iter().chain(b).max()? + 1;
    let mut table = vec![vec![0.0; labels]; labels];
    for (&a, &b) in a.iter().zip(b) {
        table[a][b] += 1.0;
    }
    let share_by_a = |i: usize| table[i].iter().sum::<f64>() / n;
    let share_by_b = |j: usize| table.iter().map(|row| row[j]).sum::<f64>() / n;
    let by_a: Vec<f64> = (0..labels).map(share_by_a).collect();
    let by_b: Vec<f64> = (0..labels).map(share_by_b).collect();
    let observed = (0..labels).map(|i| table[i][i]).sum::<f64>() / n;
    let chance: f64 = by_a.iter().zip(&by_b).map(|(a, b)| a * b).sum();
    if chance == 1.0 {
        return None;
    }
    let kappa = (observed - chance) / (1.0 - chance);
    let apart = 1.0 - kappa;
    let mut spread = -(kappa - chance * apart).powi(2);
    for (i, row) in table.iter().enumerate() {
        for (j, count) in row.iter().enumerate() {
            spread += count / n
                * match i == j {
                    true => (1.0 - (by_a[i] + by_b[i]) * apart).powi(2),
                    false => (apart * (by_b[i] + by_a[j])).powi(2),
                };
        }
    }
    let error = (spread.max(0.0) / n).sqrt() / (1.0 - chance);
    let half = normal_quantile(0.975) * error;
    Some(Estimate {
        point: kappa,
        lower: (kappa - half).max(-1.0),
        upper: (kappa + half).min(1.0),
        n: a.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    /// Labels of two raters from how often each pair of labels occurs.
    fn from_table(table: &[&[usize]]) -> (Vec<usize>, Vec<usize>) {
        let cells = table.iter().enumerate().flat_map(|(a, row)| {
            row.iter().enumerate().flat_map(move |(b, &count)| vec![(a, b); count])
        });
        cells.unzip()
    }

    // from statsmodels.stats.inter_rater import cohens_kappa  # statsmodels 0.15.0
    // for t in ([[12, 3, 1], [5, 9, 2], [0, 4, 14]], [[2, 7], [8, 3]]):
    //     r = cohens_kappa(t); print(r.kappa, r.kappa_low, r.kappa_upp)
    #[test]
    fn kappa_agrees_with_statsmodels() {
        let check = |table: &[&[usize]], point: f64, lower: f64, upper: f64| {
            let (a, b) = from_table(table);
            let kappa = cohens_kappa(&a, &b).unwrap();
            close(kappa.point, point);
            close(kappa.lower, lower);
            close(kappa.upper, upper);
            // Neither the order of the raters nor that of the items matters.
            let reversed = |labels: &[usize]| labels.iter().rev().copied().collect::<Vec<_>>();
            let swapped = cohens_kappa(&reversed(&b), &reversed(&a)).unwrap();
            close(swapped.point, point);
            close(swapped.lower, lower);
        };
        check(
            &[&[12, 3, 1], &[5, 9, 2], &[0, 4, 14]],
            0.549819927971,
            0.360210899517,
            0.739428956425,
        );
        check(&[&[2, 7], &[8, 3]], -0.5, -0.877642898408, -0.122357101592);
    }

    // The test set of PandaLM (999 pairs, labels 0, 1, 2), annotators 1 and 2, 1 and 3, 2 and 3;
    // its README gives .85, .88 and .86. The lines above, with these tables.
    #[test]
    fn kappas_of_pandalms_annotators_are_those_of_its_readme() {
        let check = |table: &[&[usize]], point: f64, lower: f64, upper: f64| {
            let (a, b) = from_table(table);
            let kappa = cohens_kappa(&a, &b).unwrap();
            close(kappa.point, point);
            close(kappa.lower, lower);
            close(kappa.upper, upper);
        };
        check(
            &[&[89, 0, 8], &[16, 388, 23], &[11, 29, 435]],
            0.852022678517,
            0.822470525512,
            0.881574831522,
        );
        check(
            &[&[89, 2, 6], &[15, 391, 21], &[9, 18, 448]],
            0.878943811250,
            0.851990782806,
            0.905896839695,
        );
        check(
            &[&[97, 13, 6], &[10, 379, 28], &[6, 19, 441]],
            0.861661454076,
            0.833130833046,
            0.890192075106,
        );
    }

    #[test]
    fn chance_is_zero_and_nothing_to_tell_apart_is_none() {
        let (a, b) = from_table(&[&[6, 3], &[4, 2]]);
        close(cohens_kappa(&a, &b).unwrap().point, 0.0);
        assert_eq!(
            raw_agreement(&a, &b).map(|share| (share.point, share.n)),
            Some((8.0 / 15.0, 15))
        );
        assert_eq!(cohens_kappa(&[], &[]), None);
        assert_eq!(raw_agreement(&[], &[]), None);
        assert_eq!(cohens_kappa(&[3; 7], &[3; 7]), None);
        let never_differ = cohens_kappa(&[0, 1, 0, 1, 1], &[0, 1, 0, 1, 1]).unwrap();
        assert_eq!((never_differ.point, never_differ.lower, never_differ.upper), (1.0, 1.0, 1.0));
        let never_same = cohens_kappa(&[0, 1], &[1, 0]).unwrap();
        assert_eq!(never_same.point, -1.0);
    }
}
