//! Several mean differences on the same prompts, of which one was picked for being the largest.
#[cfg(test)]
mod tests;

use super::super::{Estimate, interval::upper_probability};
use super::resample;

/// What [`max_t`] found, in the order of its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxT {
    /// Standard errors on each side of every interval; 1.96 or so for one column, more for several.
    pub critical: f64,
    pub columns: Vec<Adjusted>,
}

/// One column of [`max_t`], with the others taken into account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjusted {
    /// The mean with its simultaneous interval.
    pub estimate: Estimate,
    /// Two-sided p-value of the single-step method, the one that agrees with the interval.
    pub p_single_step: f64,
    /// Two-sided p-value of the step-down method: never larger, and as safe.
    pub p: f64,
}

/// Sum of squares that is added to that of every column, in the data and in every fold alike: two
/// made-up differences, -1 and 1, with the weight that [`mean`](crate::stats::mean()) gives its
/// own.
///
/// Without it, a column in which few prompts differ has folds without spread, whose t is infinite,
/// and one such column leaves all intervals without ends.
const EDGE_SQUARES: f64 = 0.5;

/// Mean differences of `columns` on the same prompts, with intervals that hold *all at once* at
/// `level`, and p-values for "the true mean is 0" that are corrected for their number.
///
/// A column holds one difference in [-1, 1] a prompt: of an iteration from the reference, or its
/// scores less 1/2. Whichever column is then picked, such as the best of k iterations, its interval
/// and p hold; the point itself stays too high on average, by having been picked.
///
/// ```text
/// t    = mean / SE             SE  = √((Σ (x - mean)² + 1/2) / (n (n - 1)))
/// t*   = (mean* - mean) / SE*       in each fold, all columns drawn together
/// ends = mean ± c SE                c = the ⌈level (folds + 1)⌉-th smallest max |t*|
/// p    = (1 + folds with max |t*| >= |t|) / (folds + 1)
/// ```
///
/// The maximum is over all columns for the intervals and the single-step p. The step-down p goes
/// from the largest |t| to the smallest, takes the maximum over the columns that are left, and
/// never falls on the way. Westfall and Young 1993 ("Resampling-Based Multiple Testing", Wiley);
/// Romano and Wolf 2005 (J. Am. Stat. Assoc. 100:94), with their algorithm of 2016 (Stat. Probab.
/// Lett. 113:38). The 1/2 is ours. Correlated columns are charged less than by Holm or Šidák.
/// `None` without columns and for fewer than two prompts.
///
/// # Panics
/// When the columns differ in length, a difference lies outside [-1, 1], the level does not lie
/// between 0 and 1, or the folds are fewer than level / (1 - level).
pub fn max_t(columns: &[&[f64]], folds: usize, seed: u64, level: f64) -> Option<MaxT> {
    let n = columns.first().map_or(0, |column| column.len());
    assert!(columns.iter().all(|column| column.len() == n), "columns are of the same prompts");
    let rank = critical_rank(folds, level);
    if n < 2 {
        return None;
    }
    let columns: Vec<Column> = columns.iter().map(|values| Column::new(values)).collect();
    // From the largest |t| to the smallest, so that the columns that are left come last.
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|&a, &b| columns[b].t().total_cmp(&columns[a].t()));
    let mut as_far = vec![[0_usize; 2]; columns.len()];
    let mut largest = Vec::with_capacity(folds);
    resample(n, folds, seed, |counts| {
        let far: Vec<f64> = columns.iter().map(|column| column.t_of_fold(counts)).collect();
        let maximum = far.iter().copied().fold(0.0, f64::max);
        let mut of_rest: f64 = 0.0;
        for &column in order.iter().rev() {
            of_rest = of_rest.max(far[column]);
            // A fold that lies exactly as far counts, whatever the rounding of its sums.
            let t = columns[column].t() * (1.0 - 1e-9);
            as_far[column][0] += usize::from(maximum >= t);
            as_far[column][1] += usize::from(of_rest >= t);
        }
        largest.push(maximum);
    });
    largest.sort_by(f64::total_cmp);
    let critical = largest[rank];
    let p = |count: usize| (count + 1) as f64 / (folds + 1) as f64;
    let mut adjusted: Vec<Adjusted> = columns
        .iter()
        .zip(&as_far)
        .map(|(column, counts)| Adjusted {
            estimate: column.estimate(critical),
            p_single_step: p(counts[0]),
            p: p(counts[1]),
        })
        .collect();
    let mut least: f64 = 0.0;
    for column in order {
        least = least.max(adjusted[column].p);
        adjusted[column].p = least;
    }
    Some(MaxT { critical, columns: adjusted })
}

/// Which of the ascending maxima is the critical value: the one that makes "the interval leaves out
/// 0" and "p is at most 1 - level" the same.
fn critical_rank(folds: usize, level: f64) -> usize {
    let share = 2.0 * upper_probability(level) - 1.0;
    // Rounding must not push a whole number up to the next.
    let rank = (share * (folds + 1) as f64 - 1e-6).ceil().max(1.0) as usize;
    assert!(rank <= folds, "{folds} folds are too few for a level of {level}");
    rank - 1
}

/// A column around its mean.
struct Column {
    mean: f64,
    standard_error: f64,
    /// Deviation from the mean and its square, a prompt.
    deviations: Vec<(f64, f64)>,
}

impl Column {
    fn new(values: &[f64]) -> Column {
        assert!(values.iter().all(|value| value.abs() <= 1.0), "differences lie in [-1, 1]");
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviations: Vec<(f64, f64)> =
            values.iter().map(|value| (value - mean, (value - mean).powi(2))).collect();
        let squares = deviations.iter().map(|(_, square)| square).sum();
        Column { mean, standard_error: standard_error(squares, n), deviations }
    }

    fn t(&self) -> f64 {
        self.mean.abs() / self.standard_error
    }

    fn t_of_fold(&self, counts: &[f64]) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        for ((deviation, square), count) in self.deviations.iter().zip(counts) {
            sum += count * deviation;
            squares += count * square;
        }
        let n = counts.len() as f64;
        let shift = sum / n;
        shift.abs() / standard_error((squares - n * shift * shift).max(0.0), n)
    }

    fn estimate(&self, critical: f64) -> Estimate {
        let half = critical * self.standard_error;
        Estimate {
            point: self.mean,
            lower: (self.mean - half).max(-1.0),
            upper: (self.mean + half).min(1.0),
            n: self.deviations.len(),
        }
    }
}

fn standard_error(squares: f64, n: f64) -> f64 {
    ((squares + EDGE_SQUARES) / (n * (n - 1.0))).sqrt()
}
