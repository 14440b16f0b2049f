//! Pure numbers: estimates with their intervals, paired differences, power. No rows, no I/O.
//!
//! Everything here takes one number per prompt, so the independence that the formulas need holds by
//! construction. Where there is no number (`n = 0`), there is `None` and not a number without an `n`.
mod mean;
mod paired;

pub use mean::{Estimate, difference, mean, mean_and_deviation, proportion};
pub use paired::{Paired, holm, paired, sign_flip};

use statrs::distribution::{ContinuousCDF, Normal};

/// The point of the standard normal distribution below which the share `probability` lies.
fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The smallest true effect that this design would have found in 80% of repetitions, at 5%
/// significance (two-sided), in the estimate's unit.
///
/// (z_0.975 + z_0.8) x SE = 2.80 x SE: Miller, "Adding Error Bars to Evals" (arXiv 2411.00640),
/// section 5. The standard error is read off the interval, so that a sample without any spread does
/// not claim to have been able to see everything.
pub fn minimum_detectable_effect(estimate: &Estimate) -> f64 {
    let standard_error = (estimate.upper - estimate.lower) / (2.0 * normal_quantile(0.975));
    (normal_quantile(0.975) + normal_quantile(0.8)) * standard_error
}

#[cfg(test)]
mod tests {
    use super::*;

    // from scipy.stats import norm
    // norm.ppf(.975), norm.ppf(.975) + norm.ppf(.8)  # 1.959963984540054 2.8015852181129685
    #[test]
    fn quantiles_and_power_agree_with_scipy() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
        let one = 1.959_963_984_540_054;
        let estimate = Estimate { point: 0.0, lower: -one, upper: one, n: 9 };
        assert!((minimum_detectable_effect(&estimate) - 2.801_585_218_112_968_5).abs() < 1e-9);
    }
}
