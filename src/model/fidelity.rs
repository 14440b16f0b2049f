//! What rounding a model's matrices changes: losses, distributions and greedy replies on a text.
use super::{
    Generation, Model, Rounding, Sampling,
    network::{Packed, Pass},
};

/// A rounded model beside the exact one, over the same tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Fidelity {
    pub rounding: Rounding,
    /// Tokens whose distribution was compared.
    pub tokens: usize,
    /// Mean negative log-likelihood of a token by the exact model, in nats.
    pub loss: f64,
    /// The same by the rounded one.
    pub rounded_loss: f64,
    /// Mean Kullback-Leibler divergence of the rounded distribution of the next token from the exact
    /// one, in nats.
    pub divergence: f64,
    /// Tokens before which both have the same favourite.
    pub same_favourite: usize,
    /// Greedy continuations that were compared, of [`REPLY_TOKENS`] tokens at most.
    pub replies: usize,
    /// Those that are the same to the end.
    pub same_replies: usize,
}

/// Tokens of a window: each sees those of its window alone.
const WINDOW: usize = 512;
/// Windows of a text, at most.
const WINDOWS: usize = 10;
/// Continuations, at most, and the tokens that each goes on from.
const REPLIES: usize = 32;
const PROMPT: usize = 64;
/// Longest continuation.
const REPLY_TOKENS: usize = 64;

impl Model {
    /// Compares the model with itself rounded, on the first tokens of a text; leaves it unrounded.
    ///
    /// # Errors
    /// When the text is shorter than two tokens.
    pub fn fidelity(&mut self, text: &str, rounding: Rounding) -> anyhow::Result<Fidelity> {
        let ids = self.chat.encode(text)?;
        anyhow::ensure!(ids.len() > 1, "the text has {} tokens: nothing to predict", ids.len());
        let window = WINDOW.min(self.weights.config.context);
        let mut found = Fidelity {
            rounding,
            tokens: 0,
            loss: 0.0,
            rounded_loss: 0.0,
            divergence: 0.0,
            same_favourite: 0,
            replies: 0,
            same_replies: 0,
        };
        let prompts = ids.chunks(PROMPT.min(window / 2).max(1));
        let prompts: Vec<&[u32]> = prompts.take(WINDOWS * window / PROMPT).collect();
        let prompts: Vec<&[u32]> =
            prompts.iter().step_by(prompts.len().div_ceil(REPLIES).max(1)).copied().collect();
        self.round(None);
        let exact_replies = self.continuations(&prompts)?;
        self.round(Some(rounding));
        let rounded_replies = self.continuations(&prompts)?;
        found.replies = prompts.len();
        let both = exact_replies.iter().zip(&rounded_replies);
        found.same_replies = both.filter(|(exact, rounded)| exact == rounded).count();
        for window in ids.chunks(window).take(WINDOWS).filter(|window| window.len() > 1) {
            let rounded = self.all_logits(window);
            let matrices = self.weights.rounded.take();
            let exact = self.all_logits(window);
            self.weights.rounded = matrices;
            found.add(&exact, &rounded, window, self.weights.config.vocabulary);
        }
        self.round(None);
        let tokens = found.tokens as f64;
        for total in [&mut found.loss, &mut found.rounded_loss, &mut found.divergence] {
            *total /= tokens;
        }
        Ok(found)
    }

    /// Logits after every token but the last.
    fn all_logits(&self, ids: &[u32]) -> Vec<f32> {
        let mut pass = Pass::forward_only();
        let mut packed = Packed::default();
        packed.push(ids);
        pass.forward(&self.weights, &packed, |_, _| {});
        pass.logits(&self.weights, &(0..ids.len() - 1).collect::<Vec<_>>())
    }

    fn continuations(&self, prompts: &[&[u32]]) -> anyhow::Result<Vec<Vec<u32>>> {
        let request = |prompt: &&[u32]| Generation {
            prompt: prompt.to_vec(),
            sampling: Sampling::Greedy,
            max_tokens: REPLY_TOKENS,
            ..Generation::default()
        };
        let requests: Vec<Generation> = prompts.iter().map(request).collect();
        let mut replies = vec![Vec::new(); requests.len()];
        self.generate(
            &requests,
            |_| {},
            |index, reply| {
                replies[index] = reply.ids;
                Ok(())
            },
        )?;
        Ok(replies)
    }
}

impl Fidelity {
    /// Adds a window's sums.
    fn add(&mut self, exact: &[f32], rounded: &[f32], ids: &[u32], vocabulary: usize) {
        let rows = exact.chunks_exact(vocabulary).zip(rounded.chunks_exact(vocabulary));
        for ((exact, rounded), &next) in rows.zip(&ids[1..]) {
            let (p, q) = (Distribution::new(exact), Distribution::new(rounded));
            self.tokens += 1;
            self.loss -= p.log_probability(exact[next as usize]);
            self.rounded_loss -= q.log_probability(rounded[next as usize]);
            self.same_favourite += usize::from(p.favourite == q.favourite);
            // Σ p (ln p - ln q)
            let terms = exact.iter().zip(rounded).map(|(&exact, &rounded)| {
                let log = p.log_probability(exact);
                log.exp() * (log - q.log_probability(rounded))
            });
            self.divergence += terms.sum::<f64>();
        }
    }
}

/// What a softmax needs to know of its logits.
struct Distribution {
    favourite: usize,
    /// ln Σ eˣ
    normaliser: f64,
}

impl Distribution {
    fn new(logits: &[f32]) -> Self {
        let mut favourite = 0;
        for (id, &logit) in logits.iter().enumerate() {
            if logit > logits[favourite] {
                favourite = id;
            }
        }
        let largest = f64::from(logits[favourite]);
        let total: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Self { favourite, normaliser: largest + total.ln() }
    }

    fn log_probability(&self, logit: f32) -> f64 {
        f64::from(logit) - self.normaliser
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::model;

    #[test]
    fn sums_are_those_of_the_definitions() {
        // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = ln 2 / 2 - ln 2 / 4.
        let exact = [2.0_f32, 1.0, 1.0].map(f32::ln);
        let rounded = [1.0_f32, 2.0, 1.0].map(f32::ln);
        let mut found = Fidelity {
            rounding: Rounding::Bf16,
            tokens: 0,
            loss: 0.0,
            rounded_loss: 0.0,
            divergence: 0.0,
            same_favourite: 0,
            replies: 0,
            same_replies: 0,
        };
        found.add(&exact, &rounded, &[2, 0], 3);
        let ln2 = std::f64::consts::LN_2;
        assert!((found.divergence - ln2 / 4.0).abs() < 1e-6, "{found:?}");
        assert!((found.loss - ln2).abs() < 1e-6 && (found.rounded_loss - 2.0 * ln2).abs() < 1e-6);
        assert_eq!((found.tokens, found.same_favourite), (1, 0));
    }

    #[test]
    fn finer_rounding_changes_less() {
        let mut model = model();
        let words: Vec<String> = (0..300).map(|i| format!("w{}", (i * i + i / 7) % 37)).collect();
        let text = words.join(" ");
        let bf16 = model.fidelity(&text, Rounding::Bf16).unwrap();
        let int8 = model.fidelity(&text, Rounding::Int8).unwrap();
        assert!(0.0 < bf16.divergence && bf16.divergence < 1e-3, "{bf16:?}");
        let int7 = model.fidelity(&text, Rounding::Int7).unwrap();
        assert!(0.0 < int8.divergence && int8.divergence < 1e-2, "{int8:?}");
        assert!(int8.divergence < int7.divergence && int7.divergence < 2e-2, "{int7:?}");
        assert_eq!((bf16.loss, bf16.tokens), (int8.loss, 298));
        assert!(bf16.same_favourite > 270 && bf16.replies > 0);
        assert!(model.weights.rounded.is_none());
        assert!(model.fidelity("w1", Rounding::Bf16).is_err());
    }
}
