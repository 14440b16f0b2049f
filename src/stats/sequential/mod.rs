//! Intervals for a mean that hold at every sample size at once, so that one may look after every
//! prompt and stop as soon as the answer is clear.
//!
//! An interval for a fixed `n`, such as [`super::mean`], holds at the one `n` that was chosen before
//! the first prompt was judged. Whoever looks again and again at such intervals, and stops at the
//! first that leaves 50% out, errs far more often than they say. Those here may be looked at.
//!
//! What they ask for instead is an order of the observations that does not depend on their values:
//! shuffle the prompts by a seed before the first is judged, and push their scores in that order.
//! Nothing here reorders. The mean is that of the prompts which the eval set was drawn from, and the
//! price is an interval between 1.4 and 2 times as wide: see docs/statistics/coverage.md.
mod betting;
mod empirical_bernstein;

pub use betting::{ConfidenceSequence, betting, betting_difference, first_exclusion};
pub use empirical_bernstein::empirical_bernstein;

use super::Estimate;

/// The largest share c of the capital that one bet may lose; Waudby-Smith and Ramdas name 1/2 and 3/4.
const TRUNCATION: f64 = 0.5;

/// The observations so far, and what the next bet makes of them.
#[derive(Clone, Debug, Default)]
struct Past {
    n: usize,
    sum: f64,
    /// Sum of (x - μ)², with the μ that already knows x.
    squares: f64,
}

impl Past {
    /// μ: the mean, with 1/2 as an observation more.
    fn mean(&self) -> f64 {
        (0.5 + self.sum) / (self.n as f64 + 1.0)
    }

    /// λ: the bet on the next observation, before truncation. The t in it cancels that of σ².
    fn bet(&self, alpha: f64) -> f64 {
        (2.0 * (2.0 / alpha).ln() / ((0.25 + self.squares) * (self.n as f64 + 2.0).ln())).sqrt()
    }

    fn push(&mut self, observation: f64) {
        assert!((0.0..=1.0).contains(&observation), "scores lie in [0, 1]");
        self.n += 1;
        self.sum += observation;
        self.squares += (observation - self.mean()).powi(2);
    }

    fn estimate(&self, lower: f64, upper: f64) -> Option<Estimate> {
        let point = self.sum / self.n as f64;
        (self.n > 0).then_some(Estimate { point, lower, upper, n: self.n })
    }
}

fn error_rate(level: f64) -> f64 {
    assert!(0.0 < level && level < 1.0, "a level lies between 0 and 1");
    1.0 - level
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    pub(super) const SERIES: [fn(usize) -> f64; 4] = [
        |i| f64::from(u8::from(i * 37 % 101 < 60)),
        |i| ((i * i * 7 + 3 * i) % 9 / 3) as f64 / 2.0,
        |i| f64::from(u8::from(i * 37 % 101 < 5)),
        |i| (i * 61 % 97) as f64 / 97.0,
    ];

    pub(super) fn close(estimate: Estimate, lower: f64, upper: f64) {
        let error = (estimate.lower - lower).abs().max((estimate.upper - upper).abs());
        assert!(error < 1e-9, "{estimate:?} is not [{lower}, {upper}]");
    }

    #[test]
    fn swapping_sides_mirrors_the_interval() {
        for method in [betting, empirical_bernstein] {
            for series in SERIES {
                let values: Vec<f64> = (0..100).map(series).collect();
                let swapped: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
                let other = method(&swapped, 0.95).unwrap();
                close(method(&values, 0.95).unwrap(), 1.0 - other.upper, 1.0 - other.lower);
            }
        }
    }

    #[test]
    fn it_behaves_at_the_edges() {
        for method in [betting, empirical_bernstein] {
            assert_eq!(method(&[], 0.95), None);
            let one = method(&[1.0], 0.95).unwrap();
            assert!(one.lower < 0.5 && one.upper == 1.0, "{one:?}");
            let all_won = method(&[1.0; 805], 0.95).unwrap();
            assert!((0.95..1.0).contains(&all_won.lower) && all_won.upper == 1.0, "{all_won:?}");
            let all_tied = method(&[0.5; 805], 0.95).unwrap();
            assert!(all_tied.includes(0.5) && all_tied.upper - all_tied.lower < 0.05);
            // Losses before wins contradict a mean that stays the same, and the mean so far is left out.
            let sorted = [[0.0; 200], [1.0; 200]].concat();
            let estimate = method(&sorted, 0.95).unwrap();
            assert!(estimate.lower <= estimate.upper && !estimate.includes(estimate.point));
        }
    }

    /// Because an interval never widens, one that has ever left the truth out does so at the end.
    #[test]
    fn one_sequence_in_twenty_at_most_ever_leaves_the_truth_out() {
        let repetitions = 200;
        let mut random = ChaCha8Rng::seed_from_u64(2024);
        for method in [betting, empirical_bernstein] {
            for (truth, ties) in [(0.05, 0.0), (0.5, 0.0), (0.5, 0.5), (0.9, 0.1)] {
                let errors = (0..repetitions)
                    .filter(|_| {
                        let mut score = || {
                            let uniform: f64 = random.random();
                            // Ties take as much from the wins as from the losses.
                            let won = truth - ties / 2.0;
                            if uniform < won {
                                1.0
                            } else {
                                f64::from(u8::from(uniform < won + ties)) / 2.0
                            }
                        };
                        let scores: Vec<f64> = (0..200).map(|_| score()).collect();
                        !method(&scores, 0.95).unwrap().includes(truth)
                    })
                    .count();
                // 10 are expected at most; more than 18 have a chance below 1% (binomial).
                assert!(errors <= 18, "{errors} of {repetitions} at {truth} with {ties} ties");
            }
        }
    }
}
