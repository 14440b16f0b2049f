//! How a win rate grows with the amount of training data: a line in the logarithm.
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Estimate, normal_quantile};

/// One trained model: how much data it saw, and what it reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingPoint {
    /// Training examples.
    pub examples: f64,
    pub win_rate: f64,
}

/// The fitted line w = alpha log N + C, in the unit of the win rates. Intervals are at 95%.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingFit {
    /// Base of the logarithm: an alpha says nothing without it.
    pub base: f64,
    /// What multiplying the data by the base adds to the win rate.
    pub alpha: Estimate,
    /// C: the line at one example, usually far outside the data.
    pub intercept: Estimate,
    /// Share of the (weighted) variance that the line explains; `None` when win rates never vary.
    pub r_squared: Option<f64>,
    /// Chi^2 per degree of freedom, where standard errors were given and there are degrees left:
    /// far above 1 the points are no line within their errors.
    pub misfit: Option<f64>,
    line: Line,
}

/// The line through its centre, the weighted mean of log N: its height there and its slope are
/// uncorrelated.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    centre: f64,
    height: f64,
    height_error: f64,
    slope: f64,
    slope_error: f64,
    /// Standard errors on each side of an estimate.
    reach: f64,
    n: usize,
}

impl Line {
    fn at(&self, logarithm: f64) -> Estimate {
        let along = logarithm - self.centre;
        self.around(
            self.height + self.slope * along,
            self.height_error.hypot(along * self.slope_error),
        )
    }

    fn around(&self, point: f64, error: f64) -> Estimate {
        let half = self.reach * error;
        Estimate { point, lower: point - half, upper: point + half, n: self.n }
    }
}

impl ScalingFit {
    /// The line at `examples`, with the 95% interval of the line and not of one more model. Outside
    /// the range of the data it also takes for granted that the line goes on.
    ///
    /// # Panics
    /// When `examples` is not positive.
    pub fn predict(&self, examples: f64) -> Estimate {
        self.line.at(logarithm(examples, self.base))
    }
}

/// Fits w = alpha log_base N + C by least squares: the data-scaling coefficient of Li et al.,
/// "Self-Alignment with Instruction Backtranslation" (arXiv 2308.06259, table 3 of version 1), who
/// do not say to which base; an alpha to the base e is one to the base 10 over ln 10.
///
/// Without `standard_errors` every point counts the same, the scatter about the line says how
/// certain it is, and the intervals are Student's with n - 2 degrees of freedom. With them a point's
/// weight is 1 / SE^2 and the intervals are normal; where the points scatter more than their errors
/// allow, all errors are multiplied by sqrt(chi^2 / (n - 2)) (Birge 1932, Phys. Rev. 40:207) and the
/// intervals are Student's, and the errors are never made smaller. Models that share data, a seed or a judge err together, which no interval
/// here knows.
///
/// `None` when all N are equal, or with fewer than three points, or two where errors are given.
///
/// # Panics
/// When an N is not positive, the base is not above 1, or the standard errors are not positive and
/// as many as the points.
pub fn fit_scaling(
    points: &[ScalingPoint],
    standard_errors: Option<&[f64]>,
    base: f64,
) -> Option<ScalingFit> {
    assert!(base > 1.0, "a logarithm to the base {base}");
    let weights = match standard_errors {
        Some(errors) => {
            assert_eq!(errors.len(), points.len(), "every point has a standard error");
            assert!(errors.iter().all(|&error| error > 0.0), "standard errors are positive");
            errors.iter().map(|error| error.powi(-2)).collect()
        }
        None => vec![1.0; points.len()],
    };
    let total: f64 = weights.iter().sum();
    let logarithms: Vec<f64> = points.iter().map(|point| logarithm(point.examples, base)).collect();
    let all_equal = logarithms.windows(2).all(|pair| pair[0] == pair[1]);
    if all_equal || points.len() < if standard_errors.is_some() { 2 } else { 3 } {
        return None;
    }
    let rows = || {
        weights.iter().zip(&logarithms).zip(points).map(|((w, x), point)| (*w, *x, point.win_rate))
    };
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 { rows().map(|(w, x, y)| w * of(x, y)).sum() };
    let (centre, height) = (sum(&|x, _| x) / total, sum(&|_, y| y) / total);
    let spread = sum(&|x, _| (x - centre).powi(2));
    let slope = sum(&|x, y| (x - centre) * (y - height)) / spread;
    let residual = sum(&|x, y| (y - height - slope * (x - centre)).powi(2));
    let vertical = sum(&|_, y| (y - height).powi(2));
    let freedom = points.len() as f64 - 2.0;
    let scatter = (freedom > 0.0).then(|| residual / freedom);
    let (scale, reach) = match (standard_errors, scatter) {
        // The errors explain the scatter: nothing was estimated.
        (Some(_), None | Some(..=1.0)) => (1.0, normal_quantile(0.975)),
        (_, scatter) => (scatter?, StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975)),
    };
    let line = Line {
        centre,
        height,
        height_error: (scale / total).sqrt(),
        slope,
        slope_error: (scale / spread).sqrt(),
        reach,
        n: points.len(),
    };
    Some(ScalingFit {
        base,
        alpha: line.around(line.slope, line.slope_error),
        intercept: line.at(0.0),
        r_squared: (vertical > 0.0).then(|| 1.0 - residual / vertical),
        misfit: standard_errors.and(scatter),
        line,
    })
}

fn logarithm(examples: f64, base: f64) -> f64 {
    assert!(examples > 0.0, "{examples} examples");
    examples.ln() / base.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-8, "{found} is not {expected}");
    }

    fn is(estimate: Estimate, point: f64, lower: f64, upper: f64) {
        close(estimate.point, point);
        close(estimate.lower, lower);
        close(estimate.upper, upper);
    }

    const ERRORS: [f64; 6] = [2.5, 2.4, 2.4, 2.2, 2.3, 2.1];

    fn points() -> Vec<ScalingPoint> {
        let examples = [400.0, 800.0, 1_600.0, 3_200.0, 6_400.0, 12_800.0];
        let win_rates = [40.1, 44.9, 45.2, 49.8, 52.6, 53.1];
        examples
            .into_iter()
            .zip(win_rates)
            .map(|(examples, win_rate)| ScalingPoint { examples, win_rate })
            .collect()
    }

    // import numpy as np, statsmodels.api as sm  # 0.15.0
    // N = np.array([400, 800, 1600, 3200, 6400, 12800.]); w = np.array([40.1, 44.9, 45.2, 49.8, 52.6, 53.1])
    // se = np.array([2.5, 2.4, 2.4, 2.2, 2.3, 2.1]); X = sm.add_constant(np.log10(N))
    // plain = sm.OLS(w, X).fit()
    // weighted = sm.WLS(w, X, weights=1/se**2).fit(cov_type="fixed scale")
    // misfit = sm.WLS(w, X, weights=1/(se/3)**2).fit()
    // for r in plain, weighted, misfit:
    //     print(r.params, r.conf_int(), r.rsquared, r.get_prediction([[1, np.log10(25600)]]).conf_int())
    // print((((w - weighted.fittedvalues)/se)**2).sum()/4, misfit.scale)
    #[test]
    fn without_errors_it_is_ordinary_least_squares() {
        let fit = fit_scaling(&points(), None, 10.0).unwrap();
        is(fit.alpha, 8.798363839887, 5.960507905332, 11.636219774442);
        is(fit.intercept, 18.101367558320, 8.470250833768, 27.732484282873);
        is(fit.predict(25_600.0), 56.88666667, 53.55972499, 60.21360835);
        close(fit.r_squared.unwrap(), 0.948781722059);
        assert_eq!((fit.misfit, fit.base, fit.alpha.n), (None, 10.0, 6));
    }

    #[test]
    fn with_errors_it_is_weighted_least_squares() {
        let fit = fit_scaling(&points(), Some(&ERRORS), 10.0).unwrap();
        is(fit.alpha, 8.653669663050, 5.064381105793, 12.242958220307);
        is(fit.intercept, 18.590863262193, 6.214409732793, 30.967316791593);
        is(fit.predict(25_600.0), 56.73831572, 52.70759011, 60.76904132);
        close(fit.r_squared.unwrap(), 0.947297242782);
        close(fit.misfit.unwrap(), 0.310575455503);
    }

    #[test]
    fn where_points_are_no_line_within_their_errors_the_errors_grow() {
        let fit = fit_scaling(&points(), Some(&ERRORS.map(|error| error / 3.0)), 10.0).unwrap();
        close(fit.misfit.unwrap(), 2.795179099523);
        is(fit.alpha, 8.653669663050, 5.820106225690, 11.487233100410);
        is(fit.predict(25_600.0), 56.73831572, 53.55625985, 59.92037158);
    }

    #[test]
    fn the_base_changes_alpha_and_nothing_else() {
        let [ten, e, two] = [10.0, std::f64::consts::E, 2.0]
            .map(|base| fit_scaling(&points(), None, base).unwrap());
        close(e.alpha.point, 3.821080865440);
        close(ten.alpha.point, e.alpha.point * 10.0_f64.ln());
        close(two.alpha.upper, e.alpha.upper * 2.0_f64.ln());
        let (one, other) = (ten.predict(5_000.0), two.predict(5_000.0));
        is(one, other.point, other.lower, other.upper);
        close(ten.intercept.lower, two.intercept.lower);
    }

    #[test]
    fn the_order_of_points_does_not_matter_and_the_line_is_known_best_inside() {
        let mut reversed = points();
        reversed.reverse();
        let (fit, other) = (
            fit_scaling(&points(), None, 2.0).unwrap(),
            fit_scaling(&reversed, None, 2.0).unwrap(),
        );
        is(fit.alpha, other.alpha.point, other.alpha.lower, other.alpha.upper);
        let width = |examples: f64| fit.predict(examples).upper - fit.predict(examples).lower;
        assert!(width(2_000.0) < width(400.0) && width(12_800.0) < width(100_000.0));
    }

    #[test]
    fn too_few_points_give_no_line() {
        let points = points();
        assert!(fit_scaling(&[], None, 10.0).is_none());
        assert!(fit_scaling(&points[..2], None, 10.0).is_none());
        assert!(fit_scaling(&[points[0]; 4], None, 10.0).is_none());
        assert!(fit_scaling(&points[..1], Some(&[1.0]), 10.0).is_none());
        let two = fit_scaling(&points[..2], Some(&[1.0, 2.0]), 2.0).unwrap();
        close(two.alpha.point, 44.9 - 40.1);
        // Two independent points: the errors of their difference add up in squares.
        close(two.alpha.upper - two.alpha.point, 1.959963984540 * 5.0_f64.sqrt());
        assert_eq!(two.misfit, None);
        let flat: Vec<ScalingPoint> =
            points.iter().map(|point| ScalingPoint { win_rate: 50.0, ..*point }).collect();
        let flat = fit_scaling(&flat, None, 10.0).unwrap();
        assert_eq!((flat.alpha.point, flat.alpha.upper, flat.r_squared), (0.0, 0.0, None));
    }
}
