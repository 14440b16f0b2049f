//! Prompts that begin alike: what they share goes through the model once, and its keys and values are
//! kept until the last prompt that begins with it has gone through.
//!
//! What is shared is a whole number of attention's blocks: so every product is the one that a prompt by
//! itself would have met, and every reply is the same to the bit.
use std::{collections::HashMap, ops::Range, sync::Arc};

use super::Beginnings;
use crate::model::{
    attention::BLOCK,
    cache::Cache,
    network::{Before, LayerState, Packed, Pass, Weights},
};

/// Prompts, and what of their beginnings is kept.
pub(in crate::model) struct Prompts<'a> {
    pub(in crate::model) beginnings: Beginnings<'a>,
    /// For each beginning, how many prompts with it are still to be run.
    waiting: Vec<usize>,
    kept: Vec<Option<Arc<Cache>>>,
    /// Of each prompt, the first token whose row is read.
    read_from: Vec<usize>,
}

/// A prompt that went through the model.
pub(in crate::model) struct Ran {
    /// The rows of the pass with the tokens that it did not share.
    pub(in crate::model) rows: Range<usize>,
    /// The keys and values of those that it did.
    pub(in crate::model) before: Vec<Arc<Cache>>,
}

impl<'a> Prompts<'a> {
    /// Takes prompts, and how many tokens of each may be shared: all but those whose rows are read.
    pub(in crate::model) fn new(prompts: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        let prompts: Vec<(&[u32], usize)> = prompts.into_iter().collect();
        let read_from = prompts.iter().map(|&(_, shared)| shared).collect();
        let beginnings = Beginnings::new(prompts, BLOCK);
        let waiting: Vec<usize> =
            beginnings.all.iter().map(|beginning| beginning.shared_by).collect();
        Self { kept: vec![None; waiting.len()], beginnings, waiting, read_from }
    }

    /// Runs a group of prompts through the model, each once; hidden states are in `pass`.
    ///
    /// `seen` gets every layer once its keys and values are there, with the rows of each prompt's own
    /// tokens.
    pub(in crate::model) fn forward(
        &mut self,
        weights: &Weights,
        pass: &mut Pass,
        group: &[usize],
        mut seen: impl FnMut(usize, &LayerState, &[Range<usize>]),
    ) -> Vec<Ran> {
        let config = &weights.config;
        let known = group.iter().flat_map(|&prompt| self.beginnings.chain(prompt));
        let mut there: HashMap<usize, Before> =
            known.filter_map(|at| Some((at, Before::Kept(self.kept[at].clone()?)))).collect();
        let mut packed = Packed::default();
        let push = |&prompt: &usize| self.beginnings.push(prompt, &mut packed, &mut there);
        let own: Vec<Range<usize>> = group.iter().map(push).collect();
        let read = group.iter().zip(&own).flat_map(|(&prompt, rows)| {
            let before = self.read_from[prompt] - self.beginnings.own(prompt).start;
            rows.start + before..rows.end
        });
        packed.read = Some(read.collect());
        let fresh = there.into_iter().filter_map(|(at, before)| match before {
            Before::Rows(rows) => Some((at, Cache::new(config, rows.len()), rows)),
            Before::Kept(_) => None,
        });
        let mut fresh: Vec<(usize, Cache, Range<usize>)> = fresh.collect();
        pass.forward(weights, &packed, |layer, state| {
            for (_, cache, rows) in &mut fresh {
                let (keys, values) = state.rows(config, rows);
                cache.fill(config, layer, keys, values);
            }
            seen(layer, state, &own);
        });
        for (at, mut cache, rows) in fresh {
            cache.length = rows.len();
            self.kept[at] = Some(Arc::new(cache));
        }
        let ran =
            group.iter().zip(own).map(|(&prompt, rows)| Ran { rows, before: self.take(prompt) });
        ran.collect()
    }

    /// The kept beginnings of a prompt that has been run; those that no other waits for are let go.
    fn take(&mut self, prompt: usize) -> Vec<Arc<Cache>> {
        let mut taken = Vec::new();
        for at in self.beginnings.chain(prompt) {
            self.waiting[at] -= 1;
            taken.extend(match self.waiting[at] {
                0 => self.kept[at].take(),
                _ => self.kept[at].clone(),
            });
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{
        Generation, Sampling,
        beginnings::tests::prompts,
        tests::{generate, model, sequence},
    };

    #[test]
    fn a_reply_is_the_same_to_the_bit_whether_its_beginning_was_shared_or_not() {
        let model = model();
        let request = |(i, prompt): (usize, Vec<u32>)| Generation {
            prompt,
            sampling: Sampling::new(1.0, 0.95, None),
            max_tokens: 1 + (i * 7) % 20,
            seed: i as u64,
            stop: Vec::new(),
        };
        let requests: Vec<Generation> = prompts().into_iter().enumerate().map(request).collect();
        let together = generate(&model, &requests);
        for (request, reply) in requests.iter().zip(&together) {
            assert_eq!(&generate(&model, std::slice::from_ref(request))[0], reply);
        }
    }

    #[test]
    fn probabilities_are_the_same_to_the_bit_whether_a_beginning_was_shared_or_not() {
        let model = model();
        let items: Vec<(Vec<u32>, Vec<u32>)> = prompts()
            .into_iter()
            .enumerate()
            .map(|(i, prompt)| (prompt, sequence(i as u32 + 4, 1 + i % 5)))
            .collect();
        type Score = fn(&crate::model::Model, &[(Vec<u32>, Vec<u32>)]) -> Vec<Vec<f64>>;
        let next: Score = |model, items| {
            let mut found = vec![Vec::new(); items.len()];
            let seen = |index: usize, values| {
                found[index] = values;
                Ok(())
            };
            model.next_token_log_probabilities(items, seen).unwrap();
            found
        };
        let whole: Score = |model, items| {
            let mut found = vec![Vec::new(); items.len()];
            let seen = |index: usize, values| {
                found[index] = values;
                Ok(())
            };
            model.log_probabilities(items, seen).unwrap();
            found
        };
        for score in [next, whole] {
            let together = score(&model, &items);
            for (item, values) in items.iter().zip(&together) {
                assert_eq!(&score(&model, std::slice::from_ref(item))[0], values);
            }
        }
    }
}
