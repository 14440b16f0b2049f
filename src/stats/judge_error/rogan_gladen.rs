//! A judge's share of wins, freed of its two error rates.
use crate::stats::{Estimate, interval::upper_probability, normal_quantile};

/// A share of wins freed of a judge's two error rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorFree {
    /// With the interval at the level asked for; `n` counts the judged prompts.
    pub estimate: Estimate,
    /// By the delta method, at the clipped point.
    pub standard_error: f64,
    /// q0: share of the human losses that the judge calls losses.
    pub specificity: f64,
    /// q1: share of the human wins that the judge calls wins.
    pub sensitivity: f64,
}

/// `hits` of `n`, as counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub hits: usize,
    pub n: usize,
}

/// Why [`rogan_gladen`] gives no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A count of nothing.
    Empty,
    /// q0 + q1 - 1 is at most 0.2: the judge is too near to a coin.
    NearCoin,
    /// The whole interval lies outside [0, 1]: no share of wins goes with these error rates, so the
    /// labelled prompts are not like the others.
    Contradiction,
}

/// The least q0 + q1 - 1 that [`rogan_gladen`] accepts. Ours: below it a point of the judge's win
/// rate becomes more than five points of the corrected one.
const LEAST_INFORMATIVE: f64 = 0.2;

/// The share of human wins behind a judge's share of wins, from the judge's two error rates.
///
/// `wins` are the judge's among all judged prompts; `right_on_losses` and `right_on_wins` count where
/// the judge agrees with people, among the prompts that people call losses (m0) and wins (m1). Only
/// wins and losses: ties have no place in it. The labelled prompts are a sample of their own.
///
/// ```text
/// theta = (p + q0 - 1) / (q0 + q1 - 1), clipped to [0, 1]
/// SE^2  = (p (1-p) / n + (1-theta)^2 q0 (1-q0) / m0 + theta^2 q1 (1-q1) / m1) / (q0 + q1 - 1)^2
/// ```
///
/// Rogan and Gladen 1978 (Am. J. Epidemiol. 107:71); for judges, Lee et al. (arXiv 2511.21140). The
/// interval is that of Lang and Reiczigel 2014 (Prev. Vet. Med. 113:13): the same formulas with
/// z^2/2 wins and losses added to p and one of each to q0 and q1, and a shift of the centre.
///
/// # Errors
/// Where there is no honest number: see [`Refusal`].
///
/// # Panics
/// When a count has more hits than items, or `level` lies outside (0, 1).
pub fn rogan_gladen(
    wins: Count,
    right_on_losses: Count,
    right_on_wins: Count,
    level: f64,
) -> Result<ErrorFree, Refusal> {
    let counts = [wins, right_on_losses, right_on_wins];
    assert!(counts.iter().all(|count| count.hits <= count.n), "more hits than items: {counts:?}");
    let z = normal_quantile(upper_probability(level));
    if counts.iter().any(|count| count.n == 0) {
        return Err(Refusal::Empty);
    }
    let [_, q0, q1] = counts.map(|count| count.hits as f64 / count.n as f64);
    if q0 + q1 - 1.0 <= LEAST_INFORMATIVE {
        return Err(Refusal::NearCoin);
    }
    let plain = counts.map(|count| Share::with_added(count, 0.0));
    let theta = truth(plain).clamp(0.0, 1.0);
    let added = [z * z / 2.0, 1.0, 1.0];
    let adjusted = [0, 1, 2].map(|which| Share::with_added(counts[which], added[which]));
    let centre = truth(adjusted);
    let shift = centre * adjusted[2].squared_error() - (1.0 - centre) * adjusted[1].squared_error();
    let middle = centre + 2.0 * z * z * shift;
    let half = z * truth_squared_error(adjusted, centre).sqrt();
    if middle + half < 0.0 || middle - half > 1.0 {
        return Err(Refusal::Contradiction);
    }
    Ok(ErrorFree {
        estimate: Estimate {
            point: theta,
            lower: (middle - half).clamp(0.0, theta),
            upper: (middle + half).clamp(theta, 1.0),
            n: wins.n,
        },
        standard_error: truth_squared_error(plain, theta).sqrt(),
        specificity: q0,
        sensitivity: q1,
    })
}

/// A share `p` of `n` items, which need not be whole.
#[derive(Clone, Copy)]
struct Share {
    p: f64,
    n: f64,
}

impl Share {
    /// The share when `added` hits and as many misses are made up.
    fn with_added(count: Count, added: f64) -> Self {
        let n = count.n as f64 + 2.0 * added;
        Self { p: (count.hits as f64 + added) / n, n }
    }

    fn squared_error(self) -> f64 {
        self.p * (1.0 - self.p) / self.n
    }
}

fn truth([p, q0, q1]: [Share; 3]) -> f64 {
    (p.p + q0.p - 1.0) / (q0.p + q1.p - 1.0)
}

fn truth_squared_error([p, q0, q1]: [Share; 3], theta: f64) -> f64 {
    let errors = (1.0 - theta).powi(2) * q0.squared_error() + theta.powi(2) * q1.squared_error();
    (p.squared_error() + errors) / (q0.p + q1.p - 1.0).powi(2)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn count(hits: usize, n: usize) -> Count {
        Count { hits, n }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    // import numpy as np
    // k, n, a, m0, b, m1, z = 120, 200, 40, 50, 45, 60, 1.959963984540054
    // p, q0, q1 = k/n, a/m0, b/m1; J = q0+q1-1; t = (p+q0-1)/J
    // print(t, np.sqrt(p*(1-p)/n + (1-t)**2*q0*(1-q0)/m0 + t**2*q1*(1-q1)/m1)/J)
    // P, u, v = (k+z*z/2)/(n+z*z), (a+1)/(m0+2), (b+1)/(m1+2); J = u+v-1; T = (P+u-1)/J
    // s = np.sqrt(P*(1-P)/(n+z*z) + (1-T)**2*u*(1-u)/(m0+2) + T**2*v*(1-v)/(m1+2))/J
    // d = 2*z*z*(T*v*(1-v)/(m1+2) - (1-T)*u*(1-u)/(m0+2)); print(T+d-z*s, T+d+z*s)
    #[test]
    fn rogan_gladen_agrees_with_numpy() {
        let free = rogan_gladen(count(120, 200), count(40, 50), count(45, 60), 0.95).unwrap();
        close(free.estimate.point, 0.727272727273);
        close(free.standard_error, 0.101083536208);
        close(free.estimate.lower, 0.535191807459);
        close(free.estimate.upper, 0.943718739940);
        assert_eq!((free.specificity, free.sensitivity, free.estimate.n), (0.8, 0.75, 200));
    }

    #[test]
    fn swapping_the_sides_mirrors_it() {
        let one = rogan_gladen(count(120, 200), count(40, 50), count(45, 60), 0.9).unwrap();
        let other = rogan_gladen(count(80, 200), count(45, 60), count(40, 50), 0.9).unwrap();
        close(one.estimate.point, 1.0 - other.estimate.point);
        close(one.estimate.lower, 1.0 - other.estimate.upper);
        close(one.standard_error, other.standard_error);
    }

    #[test]
    fn without_an_honest_number_there_is_none() {
        let check = |wins, on_losses, on_wins, expected| {
            assert_eq!(rogan_gladen(wins, on_losses, on_wins, 0.95).err(), expected);
        };
        check(count(0, 0), count(9, 10), count(9, 10), Some(Refusal::Empty));
        check(count(5, 9), count(0, 0), count(9, 10), Some(Refusal::Empty));
        check(count(5, 9), count(6, 10), count(6, 10), Some(Refusal::NearCoin));
        check(count(5, 9), count(6, 10), count(7, 10), None);
        check(count(0, 9), count(10, 10), count(10, 10), None);
        // A fifth of the human losses should be called wins, and a twentieth of all prompts is.
        check(count(10, 200), count(40, 50), count(45, 60), Some(Refusal::Contradiction));
    }

    #[test]
    fn ninety_five_percent_intervals_cover_about_ninety_five_percent() {
        let (labels, repetitions) = (30, 1_000);
        for (truth, accuracy) in [(0.05, 0.9), (0.2, 0.75), (0.5, 0.8), (0.5, 0.95), (0.9, 0.8)] {
            let mut random = ChaCha8Rng::seed_from_u64(1978);
            let mut judged_wins = |n: usize, human_wins: f64| {
                let won =
                    |_: &usize| random.random_bool(human_wins) == random.random_bool(accuracy);
                count((0..n).filter(won).count(), n)
            };
            let (mut covered, mut refused) = (0, 0);
            for _ in 0..repetitions {
                let (wins, on_wins) = (judged_wins(300, truth), judged_wins(labels, 1.0));
                let on_losses = count(labels - judged_wins(labels, 0.0).hits, labels);
                match rogan_gladen(wins, on_losses, on_wins, 0.95) {
                    Ok(free) => covered += u32::from(free.estimate.includes(truth)),
                    Err(_) => refused += 1,
                }
            }
            let share = f64::from(covered) / f64::from(repetitions - refused);
            assert!((0.93..=0.99).contains(&share), "{share} at {truth}, {accuracy}");
            assert!(refused < repetitions / 20, "{refused} refusals at {truth}, {accuracy}");
        }
    }
}
