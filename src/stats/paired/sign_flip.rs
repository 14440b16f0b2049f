//! The sign-flip test: how often chance alone would take the sum of the differences as far from
//! zero.
use super::as_p_value;

/// Steps of the grid on which [`sign_flip`] is exact: fine enough for means of up to 10 or of 12
/// verdicts, less one another or 1/2.
const GRID: f64 = 5_040.0;

/// The most steps that the differences of one [`sign_flip`] may add up to, which bounds its time.
/// Ours.
const MOST_STEPS: u64 = 1 << 18;

/// Two-sided p-value that the differences are symmetric about zero, from all 2^n choices of signs.
///
/// Fisher's randomisation test ("The Design of Experiments", 1935, section 21), without random
/// numbers and without a normal approximation: in whole steps, the distribution of the sum is a
/// short table.
///
/// Scores that are means of up to 10 or of 12 verdicts lie on a grid of 1/5040, and p is exactly
/// that share of all choices. Continuous scores are rounded to a grid on which the sizes of their
/// differences add up to 2^18 steps: 326 steps for a mean difference of 805, 52 of 5,000, 3 of
/// 100,000. Rounding treats d and -d alike, so the rounded differences are symmetric when the
/// differences are, and the test of them is exact: a p of at most 5% has a chance of at most 5%. It
/// costs some power, and p differs a little from that of the differences as they are (far beyond
/// 100,000 prompts most round to nothing, and a t-test sees more). Scores on the fine grid are
/// rounded too if they make more than 2^18 steps of their common unit; that takes more than 65,536
/// prompts with scores in quarters, and more than 1,092 with scores in 240ths.
///
/// The choice of signs that was observed counts too, so p is never 0; below the smallest normal
/// number of an `f64`, 2.2e-308, it is that number.
///
/// # Panics
/// When a difference lies outside [-1, 1].
pub fn sign_flip(differences: &[f64]) -> f64 {
    assert!(
        differences.iter().all(|difference| difference.abs() <= 1.0),
        "differences lie in [-1, 1]"
    );
    share_as_extreme(&whole_steps(differences, MOST_STEPS))
}

/// The differences in whole steps, small ones first: those of the fine grid in their largest common
/// unit if they lie on it and add up to at most `most`, and otherwise of about `most` in all.
fn whole_steps(differences: &[f64], most: u64) -> Vec<i64> {
    let mut sorted = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let on_grid = |difference: &f64| (difference * GRID - (difference * GRID).round()).abs() < 1e-6;
    let rounded = |per_step: f64| -> Vec<i64> {
        sorted.iter().map(|difference| (difference * per_step).round() as i64).collect()
    };
    let steps = rounded(GRID);
    let sizes = || steps.iter().map(|step| step.unsigned_abs());
    let unit = sizes().fold(0, greatest_common_divisor).max(1);
    if sorted.iter().all(on_grid) && sizes().sum::<u64>() / unit <= most {
        return steps.iter().map(|step| step / unit as i64).collect();
    }
    rounded(most as f64 / sorted.iter().map(|difference| difference.abs()).sum::<f64>())
}

/// The share of all choices of signs for which the sum is as far from zero as with the signs given.
fn share_as_extreme(steps: &[i64]) -> f64 {
    let observed = steps.iter().sum::<i64>().unsigned_abs() as usize;
    if observed == 0 {
        return 1.0;
    }
    let sizes = || steps.iter().map(|step| step.unsigned_abs() as usize);
    // Whatever gets a minus sign, m in all, makes the sum total - 2 m. Up to this m the sum is as
    // high as the one observed, and by symmetry it is as often as low.
    let last = (sizes().sum::<usize>() - observed) / 2;
    // chances[m] is the chance of m.
    let mut chances = vec![0.0; last + 1];
    chances[0] = 1.0;
    let mut next = chances.clone();
    let mut reachable = 1;
    for size in sizes() {
        reachable = (reachable + size).min(last + 1);
        let below = size.min(reachable);
        for (next, plus) in next[..below].iter_mut().zip(&chances) {
            *next = plus / 2.0;
        }
        let plus_and_minus = chances[below..reachable].iter().zip(&chances);
        for (next, (plus, minus)) in next[below..reachable].iter_mut().zip(plus_and_minus) {
            *next = (plus + minus) / 2.0;
        }
        std::mem::swap(&mut chances, &mut next);
    }
    as_p_value(2.0 * chances.iter().sum::<f64>())
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Differences that lie on no grid: np.sin(np.arange(float(n))**2)**3 * .6 + shift
    fn continuous(n: usize, shift: f64) -> Vec<f64> {
        (0..n).map(|i| ((i * i) as f64).sin().powi(3) * 0.6 + shift).collect()
    }

    fn close(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs();
        assert!(error < 1e-9, "{found:e} is not {expected:e}");
    }

    #[test]
    fn p_is_one_without_differences_and_small_when_all_agree() {
        assert_eq!(sign_flip(&[]), 1.0);
        assert_eq!(sign_flip(&[0.0; 9]), 1.0);
        assert_eq!(sign_flip(&[1e-9]), 1.0);
        assert!((sign_flip(&[0.25; 10]) - 2.0 / 1024.0).abs() < 1e-15);
        assert!((0.0..1e-100).contains(&sign_flip(&[1.0; 805])));
        assert_eq!(sign_flip(&[1.0; 5_000]), f64::MIN_POSITIVE);
    }

    // Over all 2^7 choices, counted with whole numbers of sevenths and ninths of 1/2:
    // d = np.array([9, 7, 27, 14, -9, 21, 35])
    // stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    #[test]
    fn means_of_any_few_verdicts_lie_on_the_grid() {
        let differences = [9.0, 7.0, 27.0, 14.0, -9.0, 21.0, 35.0].map(|d| d / 126.0);
        close(sign_flip(&differences), 0.0625);
        // Thirds and quarters: 2 of 4 choices of signs reach the sum.
        close(sign_flip(&[1.0 / 3.0, 0.25]), 0.5);
    }

    // d = np.sin(np.arange(16.)**2)**3 * .6 + .1
    // stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    //
    // and for 805, with shift .03, the share of 2^805 choices in whole numbers of any length:
    // s = np.sort(abs(np.rint(d * 2**14 / abs(d).sum()).astype(int))).tolist(); table = 1
    // for k in s: table += table << (k * 806)
    // o = abs(np.rint(d * 2**14 / abs(d).sum()).sum()); last = int(sum(s) - o) // 2
    // count = sum(table >> (806 * m) & (2**806 - 1) for m in range(last + 1)); count / 2**804
    #[test]
    fn continuous_differences_have_the_p_of_all_choices_of_signs() {
        close(sign_flip(&continuous(16, 0.1)), 0.390228271484375);
        let steps = whole_steps(&continuous(805, 0.03), 1 << 14);
        close(share_as_extreme(&steps), 0.004679169565879143);
    }

    #[test]
    fn a_coarse_grid_keeps_the_level_and_stays_near() {
        let sizes = continuous(10, 0.1);
        let p_values: Vec<f64> = (0..1 << 10)
            .map(|choice| {
                let sign = |i: usize| if choice >> i & 1 == 1 { -1.0 } else { 1.0 };
                let signed: Vec<f64> = (0..10).map(|i| sign(i) * sizes[i]).collect();
                share_as_extreme(&whole_steps(&signed, 60))
            })
            .collect();
        for level in [0.01, 0.05, 0.2, 0.5] {
            let alarms = p_values.iter().filter(|&&p| p <= level).count();
            assert!(alarms as f64 <= level * 1024.0, "{alarms} of 1024 at {level}");
        }
        let differences = continuous(100, 0.06);
        let p = |most: u64| share_as_extreme(&whole_steps(&differences, most));
        let (coarse, fine) = (p(2_000), p(40_000));
        assert!(coarse != fine && (coarse / fine - 1.0).abs() < 0.1, "{coarse} and {fine}");
    }

    #[test]
    fn the_order_of_prompts_and_the_names_of_the_sides_do_not_matter() {
        let differences = continuous(30, 0.1);
        let reversed: Vec<f64> = differences.iter().rev().copied().collect();
        let mirrored: Vec<f64> = differences.iter().map(|difference| -difference).collect();
        let p = sign_flip(&differences);
        assert_eq!([sign_flip(&reversed), sign_flip(&mirrored)], [p, p]);
    }
}
