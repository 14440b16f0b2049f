//! What a design can show: the smallest effect it would find, and the prompts that an effect takes.
//!
//! All of it is for a two-sided test of a mean difference, in the normal approximation of Miller,
//! "Adding Error Bars to Evals" (arXiv 2411.00640), section 5: `significance` is the chance to see
//! an effect that is not there, `power` that of seeing one that is. Where p-values are corrected by
//! Holm's method, plan with `significance` over the number of comparisons.
//!
//! Exact tests of scores that are only won, tied or lost find a little less: planned for 80% with
//! 115 prompts, of which a third differ, a t-test finds 79% and the sign-flip test 75% (simulated).
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Estimate, normal_quantile};

/// The smallest true effect that this design would have found in 80% of repetitions, at 5%
/// significance (two-sided), in the estimate's unit.
///
/// (z_0.975 + z_0.8) x SE = 2.80 x SE: Miller, "Adding Error Bars to Evals" (arXiv 2411.00640),
/// section 5. The standard error is read off the interval, so that a sample without any spread does
/// not claim to have been able to see everything. The rule of our reports, which asks the interval and
/// an exact test, finds it somewhat less often with few prompts: 72% at 48, 78% at 200.
pub fn minimum_detectable_effect(estimate: &Estimate) -> f64 {
    let standard_error = (estimate.upper - estimate.lower) / (2.0 * normal_quantile(0.975));
    detectable(standard_error, 0.05, 0.8)
}

/// The smallest true effect found with the chance `power`, in the unit of the standard error:
/// (z_{1 - significance/2} + z_power) x SE.
///
/// # Panics
/// When `significance` or `power` lies outside (0, 1).
pub fn detectable(standard_error: f64, significance: f64, power: f64) -> f64 {
    (two_sided_quantile(significance) + quantile(power)) * standard_error
}

/// The chance to find a mean difference of `effect` with `n` prompts, for differences of that
/// standard deviation: Phi(e - z) + Phi(-e - z), where e = |effect| sqrt(n) / deviation and z is
/// the quantile of 1 - significance/2.
///
/// # Panics
/// When `deviation` is not above zero, or `significance` lies outside (0, 1).
pub fn power(effect: f64, deviation: f64, n: usize, significance: f64) -> f64 {
    assert!(deviation > 0.0, "without a spread there is nothing to plan");
    let shift = effect.abs() * (n as f64).sqrt() / deviation;
    let z = two_sided_quantile(significance);
    Normal::standard().cdf(shift - z) + Normal::standard().cdf(-shift - z)
}

/// How many prompts a mean difference of `effect` takes, for differences of that standard
/// deviation, in the same unit: (z_{1 - significance/2} + z_power)^2 deviation^2 / effect^2,
/// rounded up.
///
/// The deviation is that of the *difference* of a prompt's two scores, far below that of either
/// where the two go together; take it from a pilot run, or from [`resampled_deviation`].
///
/// # Panics
/// When the effect is zero, or `significance` or `power` lies outside (0, 1).
pub fn prompts_needed(effect: f64, deviation: f64, significance: f64, power: f64) -> usize {
    assert!(effect != 0.0, "no number of prompts shows an effect of zero");
    whole((detectable(deviation, significance, power) / effect).powi(2))
}

/// One side of a comparison whose answers are drawn, or judged, several times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampled {
    /// Standard deviation of the score between answers to the same prompt.
    pub deviation: f64,
    /// Answers a prompt, K, whose scores are averaged.
    pub times: usize,
}

/// The standard deviation of a prompt's difference when each side is averaged over its answers:
/// sqrt(between^2 + a^2 / K_a + b^2 / K_b), Miller (arXiv 2411.00640), section 5.
///
/// `between` is the standard deviation over prompts of the difference of the two *expected* scores:
/// the part that only more prompts reduce.
///
/// # Panics
/// When a side is drawn zero times.
pub fn resampled_deviation(between: f64, a: Resampled, b: Resampled) -> f64 {
    assert!(a.times > 0 && b.times > 0, "each side answers at least once");
    let within = |side: Resampled| side.deviation.powi(2) / side.times as f64;
    (between.powi(2) + within(a) + within(b)).sqrt()
}

/// How many prompts McNemar's test takes, when the share `discordant` of them is won by one model
/// and lost by the other, and the two shares differ by `difference`:
/// (z_{1 - significance/2} sqrt(discordant) + z_power sqrt(discordant - difference^2))^2 /
/// difference^2, rounded up. Connor 1987, Biometrics 43:207.
///
/// The exact test is conservative, and takes some more where few prompts are discordant.
///
/// # Panics
/// When the difference is zero or exceeds the discordant share, the share exceeds 1, or
/// `significance` or `power` lies outside (0, 1).
pub fn mcnemar_prompts_needed(
    discordant: f64,
    difference: f64,
    significance: f64,
    power: f64,
) -> usize {
    assert!(difference != 0.0, "no number of prompts shows a difference of zero");
    assert!(
        difference.abs() <= discordant && discordant <= 1.0,
        "{difference} is no difference among a share of {discordant}"
    );
    let none = two_sided_quantile(significance) * discordant.sqrt();
    let some = quantile(power) * (discordant - difference.powi(2)).sqrt();
    whole(((none + some) / difference).powi(2))
}

fn whole(prompts: f64) -> usize {
    (prompts.ceil() as usize).max(1)
}

fn two_sided_quantile(significance: f64) -> f64 {
    quantile(1.0 - significance / 2.0)
}

fn quantile(probability: f64) -> f64 {
    assert!(0.0 < probability && probability < 1.0, "{probability} is no chance inside (0, 1)");
    normal_quantile(probability)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::{mcnemar, paired_t, panic_of};

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
    }

    // from scipy.stats import norm
    // norm.ppf(.975) + norm.ppf(.8)  # 2.8015852181129685
    // (norm.ppf(.995) + norm.ppf(.9)) * .013
    #[test]
    fn detectable_effects_agree_with_scipy() {
        let one = 1.959_963_984_540_054;
        let estimate = Estimate { point: 0.0, lower: -one, upper: one, n: 9 };
        close(minimum_detectable_effect(&estimate), 2.801_585_218_112_968_5);
        close(detectable(0.013, 0.01, 0.9), 0.05014595129821551);
    }

    // from statsmodels.stats.power import normal_power
    // for e, d, n, s in (.02, .3, 805, .05), (-.05, .25, 100, .05), (0, .3, 100, .05), (.01, .3, 20, .1):
    //     normal_power(e / d, n, s)
    #[test]
    fn power_agrees_with_statsmodels() {
        close(power(0.02, 0.3, 805, 0.05), 0.47276743260170334);
        close(power(-0.05, 0.25, 100, 0.05), 0.5160052739761747);
        close(power(0.0, 0.3, 100, 0.05), 0.05);
        close(power(0.01, 0.3, 20, 0.1), 0.10376776510435065);
        close(power(0.5, 0.3, 100, 0.05), 1.0);
    }

    // from statsmodels.stats.power import zt_ind_solve_power
    // for e, d, s, p in (.02, .3, .05, .8), (.05, .25, .05, .9), (.1, .4, .01, .8):
    //     zt_ind_solve_power(effect_size=e / d, alpha=s, power=p, ratio=0)  # 1765.99 262.69 186.86
    #[test]
    fn prompts_agree_with_statsmodels() {
        assert_eq!(prompts_needed(0.02, 0.3, 0.05, 0.8), 1_766);
        assert_eq!(prompts_needed(-0.05, 0.25, 0.05, 0.9), 263);
        assert_eq!(prompts_needed(0.1, 0.4, 0.01, 0.8), 187);
        assert_eq!(prompts_needed(0.1, 0.0, 0.05, 0.8), 1);
    }

    // w, a, ka, b, kb = .2, .3, 4, .25, 2; d = (w*w + a*a/ka + b*b/kb)**.5  # 0.30618621784789724
    // (norm.ppf(.975) + norm.ppf(.8))**2 * d**2 / .03**2  # 817.59
    #[test]
    fn more_answers_a_prompt_take_fewer_prompts() {
        let a = |times: usize| Resampled { deviation: 0.3, times };
        let b = Resampled { deviation: 0.25, times: 2 };
        close(resampled_deviation(0.2, a(4), b), 0.30618621784789724);
        let needed = |times| prompts_needed(0.03, resampled_deviation(0.2, a(times), b), 0.05, 0.8);
        assert_eq!(needed(4), 818);
        assert!(needed(1) > needed(2) && needed(2) > needed(4));
        // What more answers cannot remove.
        assert!(needed(1_000_000) > prompts_needed(0.03, 0.2, 0.05, 0.8));
    }

    // z = norm.ppf
    // for d, e, s, p in (.3, .06, .05, .8), (.5, -.1, .05, .9), (.2, .2, .05, .8):
    //     (z(1 - s/2) * d**.5 + z(p) * (d - e*e)**.5)**2 / e**2  # 651.71 521.20 36.79
    #[test]
    fn prompts_of_mcnemar_follow_the_formula() {
        assert_eq!(mcnemar_prompts_needed(0.3, 0.06, 0.05, 0.8), 652);
        assert_eq!(mcnemar_prompts_needed(0.5, -0.1, 0.05, 0.9), 522);
        assert_eq!(mcnemar_prompts_needed(0.2, 0.2, 0.05, 0.8), 37);
    }

    #[test]
    fn effect_prompts_and_power_belong_together() {
        for (effect, deviation, significance, wanted) in
            [(0.02, 0.3, 0.05, 0.8), (0.1, 0.4, 0.01, 0.9), (-0.3, 0.5, 0.05, 0.95)]
        {
            let n = prompts_needed(effect, deviation, significance, wanted);
            let reached = |n: usize| power(effect, deviation, n, significance);
            assert!(reached(n) >= wanted && reached(n - 1) < wanted, "{n} prompts");
            let standard_error = deviation / (n as f64).sqrt();
            assert!(detectable(standard_error, significance, wanted) <= effect.abs());
        }
    }

    /// The share of 2,000 repetitions in which `found` sees an effect among `n` differences that
    /// are 1 with the chance `gain`, -1 with the chance `loss`, and otherwise 0.
    fn simulated(n: usize, gain: f64, loss: f64, found: impl Fn(usize, usize) -> bool) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(1987);
        let hits = (0..2_000)
            .filter(|_| {
                let draws: Vec<f64> = (0..n).map(|_| random.random()).collect();
                let gains = draws.iter().filter(|&&draw| draw < gain).count();
                let losses = draws.iter().filter(|&&draw| draw > 1.0 - loss).count();
                found(gains, losses)
            })
            .count();
        hits as f64 / 2_000.0
    }

    #[test]
    fn the_promised_power_is_reached_in_repetitions() {
        let (gain, loss): (f64, f64) = (0.25, 0.1);
        let deviation = f64::sqrt(gain + loss - (gain - loss).powi(2));
        let n = prompts_needed(gain - loss, deviation, 0.05, 0.8);
        let by_t = simulated(n, gain, loss, |gains, losses| {
            let ties = vec![0.0; n - gains - losses];
            let differences = [vec![1.0; gains], vec![-1.0; losses], ties].concat();
            paired_t(&differences).is_some_and(|test| test.p < 0.05)
        });
        assert!((0.77..0.83).contains(&by_t), "{by_t} with {n} prompts");
        let n = mcnemar_prompts_needed(gain + loss, gain - loss, 0.05, 0.8);
        let by_mcnemar = simulated(n, gain, loss, |gains, losses| mcnemar(gains, losses) < 0.05);
        // The exact test is conservative.
        assert!((0.74..0.82).contains(&by_mcnemar), "{by_mcnemar} with {n} prompts");
    }

    #[test]
    fn a_difference_beyond_the_discordant_share_is_refused() {
        let message = panic_of(|| _ = mcnemar_prompts_needed(0.1, 0.2, 0.05, 0.8));
        assert!(message.contains("no difference among a share"), "{message}");
    }
}
