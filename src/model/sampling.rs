//! Choosing the next token.
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// How the next token is chosen. Impossible mixes cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sampling {
    /// The likeliest token; of equals, the one with the lower id.
    #[default]
    Greedy,
    /// A draw from the likeliest tokens that together reach `top_p`, after division of the logits by
    /// `temperature` (Holtzman et al. 2020). With `top_k`, only so many of the likeliest exist: their
    /// probabilities sum to 1 before `top_p` is looked at, as in transformers and llama.cpp.
    Nucleus { temperature: f64, top_p: f64, top_k: Option<usize> },
}

impl Sampling {
    /// Temperature 0 means greedy, as everywhere.
    pub fn new(temperature: f64, top_p: f64, top_k: Option<usize>) -> Self {
        match temperature == 0.0 {
            true => Self::Greedy,
            false => Self::Nucleus { temperature, top_p, top_k },
        }
    }
}

/// A stream of choices that depends on its seed alone.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling, seed: u64) -> Self {
        Self { sampling, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub(super) fn choose(&mut self, logits: &[f32]) -> u32 {
        let Sampling::Nucleus { temperature, top_p, top_k } = self.sampling else {
            return best(logits);
        };
        let largest = f64::from(logits[best(logits) as usize]);
        let weight = |logit: f32| ((f64::from(logit) - largest) / temperature).exp();
        let likelier = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let mut likely: Vec<(u32, f64)> =
            (0..).zip(logits.iter().map(|&logit| weight(logit))).collect();
        if let Some(top_k) = top_k.filter(|&top_k| (1..likely.len()).contains(&top_k)) {
            likely.select_nth_unstable_by(top_k - 1, likelier);
            likely.truncate(top_k);
        }
        let total: f64 = likely.iter().map(|token| token.1).sum();
        // Tokens less likely than this hold less than `1 - top_p` together, so the nucleus is among
        // the others, and only those need sorting.
        let floor = total * (1.0 - top_p) / likely.len() as f64;
        likely.retain(|&(_, weight)| weight >= floor);
        likely.sort_by(likelier);
        let mut mass = 0.0;
        let reached = likely.iter().position(|&(_, weight)| {
            mass += weight;
            mass >= top_p * total
        });
        let nucleus = &likely[..reached.map_or(likely.len(), |last| last + 1)];
        let mut point =
            self.random.random::<f64>() * nucleus.iter().map(|token| token.1).sum::<f64>();
        for &(id, weight) in nucleus {
            point -= weight;
            if point < 0.0 {
                return id;
            }
        }
        // Rounding can leave the point at the very end.
        nucleus[nucleus.len() - 1].0
    }
}

fn best(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
        let mut sampler = Sampler::new(sampling, 7);
        let draws = 40_000;
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..draws {
            counts[sampler.choose(logits) as usize] += 1.0 / f64::from(draws);
        }
        counts
    }

    #[test]
    fn frequencies_follow_the_nucleus() {
        // softmax of ln p is p.
        let logits = [0.5_f32, 0.3, 0.15, 0.05].map(f32::ln);
        let check_all = |temperature, top_p, top_k, expected: [f64; 4]| {
            let found = frequencies(Sampling::Nucleus { temperature, top_p, top_k }, &logits);
            for (found, expected) in found.iter().zip(expected) {
                // Five standard errors of a share of 40,000 draws.
                let tolerance = 5.0 * (expected * (1.0 - expected) / 40_000.0_f64).sqrt() + 1e-9;
                assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
            }
        };
        let check = |temperature, top_p, expected| check_all(temperature, top_p, None, expected);
        check(1.0, 1.0, [0.5, 0.3, 0.15, 0.05]);
        check(1.0, 0.79, [0.625, 0.375, 0.0, 0.0]);
        check(1.0, 0.81, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0]);
        // Temperature 1/2 squares the probabilities: .25 .09 .0225 .0025 of .365.
        check(0.5, 1.0, [0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365]);
        check(1.0, 1e-9, [1.0, 0.0, 0.0, 0.0]);
        for top_k in [4, 5, 1_000] {
            check_all(1.0, 1.0, Some(top_k), [0.5, 0.3, 0.15, 0.05]);
        }
        check_all(1.0, 1.0, Some(2), [0.625, 0.375, 0.0, 0.0]);
        check_all(0.5, 1.0, Some(2), [0.25 / 0.34, 0.09 / 0.34, 0.0, 0.0]);
        check_all(1.0, 1.0, Some(1), [1.0, 0.0, 0.0, 0.0]);
        // Of the two likeliest the first alone has 0.625; of all it has 0.5.
        check_all(1.0, 0.6, Some(2), [1.0, 0.0, 0.0, 0.0]);
        check_all(1.0, 0.6, None, [0.625, 0.375, 0.0, 0.0]);
        assert!(
            frequencies(Sampling::new(0.0, 0.9, None), &logits)[1..]
                .iter()
                .all(|&share| share == 0.0)
        );
    }
}
