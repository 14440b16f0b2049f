//! Any number of raters, with gaps, and labels, ranks or numbers.
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::stats::{Estimate, bootstrap::quantile};

/// What the values of [`krippendorff_alpha`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Names: two values are equal or not.
    Nominal,
    /// Ranks: two values are as far apart as there are ratings between them.
    Ordinal,
    /// Numbers: two values are as far apart as their difference.
    Interval,
}

/// Resamples behind the interval of [`krippendorff_alpha`].
const RESAMPLES: usize = 1_000;

/// Krippendorff's alpha of any number of raters, some ratings of whom may be missing, with the 95%
/// percentile interval of a bootstrap over units.
///
/// `ratings` holds one row a unit and in it one place a rater; units with fewer than two ratings
/// have nothing to compare and are left out.
///
/// ```text
/// alpha = 1 - D_observed / D_expected
/// ```
///
/// D is the mean squared distance of two ratings: of the same unit, or of any two. Krippendorff,
/// "Content Analysis", chapter on reliability; "Computing Krippendorff's Alpha-Reliability" (2011).
/// The bootstrap draws whole units, because the ratings of one are not independent; draws in which
/// all ratings are equal have no alpha and are left out. The interval is too narrow for few
/// units (91% at 30, 93% at 100 in the worst case simulated), and has no width for raters who never
/// differ.
///
/// `None` when no unit has two ratings, or all ratings are equal.
///
/// # Panics
/// When a rating is not finite.
pub fn krippendorff_alpha(
    ratings: &[Vec<Option<f64>>],
    scale: Scale,
    seed: u64,
) -> Option<Estimate> {
    let rated: Vec<Vec<f64>> = ratings
        .iter()
        .map(|unit| unit.iter().copied().flatten().collect())
        .filter(|unit: &Vec<f64>| unit.len() > 1)
        .collect();
    assert!(rated.iter().flatten().all(|rating| rating.is_finite()), "ratings are finite");
    let mut values: Vec<f64> = rated.iter().flatten().copied().collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let place = |rating: &f64| values.partition_point(|value| value < rating);
    let units: Vec<Vec<usize>> =
        rated.iter().map(|unit| unit.iter().map(place).collect()).collect();
    let all: Vec<&[usize]> = units.iter().map(Vec::as_slice).collect();
    let point = alpha(&all, &values, scale)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn: Vec<&[usize]> =
                all.iter().map(|_| all[random.random_range(0..all.len())]).collect();
            alpha(&drawn, &values, scale)
        })
        .collect();
    resampled.push(point);
    resampled.sort_by(f64::total_cmp);
    let end = |probability| quantile(&resampled, probability);
    // A percentile interval may leave out the point, which no reader would understand.
    let (lower, upper) = (end(0.025).min(point), end(0.975).max(point));
    Some(Estimate { point, lower, upper, n: units.len() })
}

/// Alpha of units whose ratings are places in the ascending `values`.
fn alpha(units: &[&[usize]], values: &[f64], scale: Scale) -> Option<f64> {
    let mut counts = vec![0.0; values.len()];
    for &rating in units.iter().copied().flatten() {
        counts[rating] += 1.0;
    }
    let total: f64 = counts.iter().sum();
    // Distances are those of points on a line: for ranks, the middle rank of each value.
    let line: Vec<f64> = match scale {
        Scale::Nominal | Scale::Interval => values.to_vec(),
        Scale::Ordinal => counts
            .iter()
            .scan(0.0, |below, count| {
                *below += count;
                Some(*below - count / 2.0)
            })
            .collect(),
    };
    let squared = |a: usize, b: usize| match scale {
        Scale::Nominal => f64::from(u8::from(a != b)),
        Scale::Ordinal | Scale::Interval => (line[a] - line[b]).powi(2),
    };
    let within: f64 = units
        .iter()
        .map(|unit| {
            let pairs = unit.iter().flat_map(|&a| unit.iter().map(move |&b| (a, b)));
            pairs.map(|(a, b)| squared(a, b)).sum::<f64>() / (unit.len() as f64 - 1.0)
        })
        .sum();
    let mut any = 0.0;
    for (a, count) in counts.iter().enumerate() {
        for (b, other) in counts.iter().enumerate() {
            any += count * other * squared(a, b);
        }
    }
    (any > 0.0).then(|| 1.0 - (total - 1.0) * within / any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    /// Krippendorff's own example (2011): four raters, twelve units, gaps.
    fn with_gaps() -> Vec<Vec<Option<f64>>> {
        let rows: [&[u8]; 4] = [b"123321412---", b"1233224125-3", b"-3332342251-", b"12332441251-"];
        let rating = |byte: u8| (byte != b'-').then(|| f64::from(byte - b'0'));
        (0..12).map(|unit| rows.iter().map(|row| rating(row[unit])).collect()).collect()
    }

    // import numpy as np, krippendorff  # 0.9.0
    // rows = ["123321412---", "1233224125-3", "-3332342251-", "12332441251-"]
    // data = np.array([[np.nan if c == "-" else float(c) for c in row] for row in rows])
    // for s in ("nominal", "ordinal", "interval"):
    //     print(krippendorff.alpha(reliability_data=data, level_of_measurement=s))
    #[test]
    fn alpha_agrees_with_the_krippendorff_package() {
        let check = |scale, expected: f64| {
            let found = krippendorff_alpha(&with_gaps(), scale, 1).unwrap();
            close(found.point, expected);
            // The last unit has one rating.
            assert_eq!(found.n, 11);
            assert!(found.lower < found.point && found.point < found.upper, "{found:?}");
        };
        check(Scale::Nominal, 0.743421052632);
        check(Scale::Ordinal, 0.815387503755);
        check(Scale::Interval, 0.849107142857);
    }

    // import numpy as np, krippendorff; rng = np.random.default_rng(0)
    // votes holds the three annotators' labels of PandaLM's 999 pairs, one row a pair.
    // krippendorff.alpha(votes.T, level_of_measurement="nominal")
    // np.quantile([krippendorff.alpha(votes[rng.integers(0, 999, 999)].T,
    //              level_of_measurement="nominal") for _ in range(2000)], [.025, .975])
    #[test]
    fn alpha_of_pandalms_annotators_and_its_bootstrap_agree_with_the_package() {
        let counts = [
            ([0, 0, 0], 85),
            ([0, 0, 1], 2),
            ([0, 0, 2], 2),
            ([0, 2, 0], 4),
            ([0, 2, 2], 4),
            ([1, 0, 0], 5),
            ([1, 0, 1], 11),
            ([1, 1, 0], 10),
            ([1, 1, 1], 368),
            ([1, 1, 2], 10),
            ([1, 2, 1], 12),
            ([1, 2, 2], 11),
            ([2, 0, 0], 7),
            ([2, 0, 2], 4),
            ([2, 1, 1], 11),
            ([2, 1, 2], 18),
            ([2, 2, 0], 2),
            ([2, 2, 1], 7),
            ([2, 2, 2], 426),
        ];
        let unit = |votes: [u8; 3]| votes.map(|vote| Some(f64::from(vote))).to_vec();
        let units: Vec<_> =
            counts.iter().flat_map(|&(votes, count)| vec![unit(votes); count]).collect();
        let found = krippendorff_alpha(&units, Scale::Nominal, 7).unwrap();
        assert_eq!(found.n, 999);
        close(found.point, 0.864220685196);
        // Other random numbers than numpy's, so within a few times the noise of a quantile.
        assert!((found.lower - 0.8415).abs() < 0.004, "{found:?}");
        assert!((found.upper - 0.8869).abs() < 0.004, "{found:?}");
    }

    #[test]
    fn alpha_behaves_at_the_edges() {
        let rated = |units: &[&[f64]]| -> Vec<Vec<Option<f64>>> {
            units.iter().map(|unit| unit.iter().copied().map(Some).collect()).collect()
        };
        let alpha = |units: &[&[f64]]| krippendorff_alpha(&rated(units), Scale::Interval, 1);
        assert_eq!(alpha(&[]), None);
        assert_eq!(alpha(&[&[1.0], &[2.0]]), None);
        assert_eq!(alpha(&[&[1.0, 1.0], &[1.0, 1.0]]), None);
        let perfect = alpha(&[&[1.0, 1.0], &[2.0, 2.0], &[5.0, 5.0]]).unwrap();
        assert_eq!((perfect.point, perfect.lower, perfect.upper), (1.0, 1.0, 1.0));
        // krippendorff.alpha([[0, 1], [1, 0]], level_of_measurement="interval")
        close(alpha(&[&[0.0, 1.0], &[1.0, 0.0]]).unwrap().point, -0.5);
        assert_eq!(
            krippendorff_alpha(&with_gaps(), Scale::Ordinal, 3),
            krippendorff_alpha(&with_gaps(), Scale::Ordinal, 3)
        );
    }
}
