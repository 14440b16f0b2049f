//! Pure numbers: estimates with their intervals, tests, power, corrections. No rows, no I/O.
//!
//! Everything here takes one number per prompt, or is told which numbers belong together, so the
//! independence that the formulas need holds by construction. Where there is no number (`n = 0`),
//! there is `None` and not a number without an `n`.
mod agreement;
mod bootstrap;
pub mod bradley_terry;
mod interval;
mod judge_error;
mod judge_measures;
pub mod length_control;
mod margin;
mod mean;
mod missing;
mod multiplicity;
mod paired;
mod position;
mod power;
mod scaling;
mod sequential;

pub use agreement::{Scale, cohens_kappa, krippendorff_alpha, raw_agreement};
pub use bootstrap::{Adjusted, MaxT, bca, bca_of, bootstrap_means, max_t};
pub use interval::{Clustered, clopper_pearson, clustered_mean, standard_error, student_t, wilson};
pub use judge_error::{Corrected, Count, ErrorFree, Refusal, ppi_plus_plus, rogan_gladen};
pub use judge_measures::{JudgeMeasures, VotedPair, contains_list, judge_measures};
pub use margin::{Gate, equivalence_p, gate, non_inferiority_p};
pub use mean::{Estimate, difference, mean, mean_and_deviation, proportion};
pub use missing::{Bounds, missing_bounds};
pub use multiplicity::{benjamini_hochberg, holm};
pub use paired::{Paired, PairedT, discordant, mcnemar, paired, paired_t, sign_flip};
pub use position::{BothOrders, OneOrder, both_orders, one_order};
pub use power::{
    Resampled, detectable, mcnemar_prompts_needed, minimum_detectable_effect, power,
    prompts_needed, resampled_deviation,
};
pub use scaling::{ScalingFit, ScalingPoint, fit_scaling};
pub use sequential::{
    ConfidenceSequence, betting, betting_difference, empirical_bernstein, first_exclusion,
};

use statrs::distribution::{ContinuousCDF, Normal};

/// The point of the standard normal distribution below which the share `probability` lies.
fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// What `work` panics with.
#[cfg(test)]
fn panic_of(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(work).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // from scipy.stats import norm
    // norm.ppf(.975)  # 1.959963984540054
    #[test]
    fn quantiles_agree_with_scipy() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
