//! Prompts that begin alike: what they share goes through the model once, and its keys and values are
//! kept until the last prompt that begins with it has gone through.
//!
//! Shared beginnings are found by the tokens alone: prompts are sorted, and those side by side are
//! compared. They make a tree, so that two kinds of questions, or several answers to each of many
//! questions, share all they can. A beginning is a whole number of attention's blocks: so every
//! product is the one that a prompt by itself would have met, and every reply is the same to the bit.
use std::{collections::HashMap, ops::Range, sync::Arc};

use super::{
    attention::BLOCK,
    cache::Cache,
    network::{Before, LayerState, Packed, Pass, Weights},
};

/// Prompts, with what they share.
pub(super) struct Prompts<'a> {
    prompts: Vec<&'a [u32]>,
    /// The prompts in the order in which they are best run: alike ones side by side.
    pub(super) order: Vec<usize>,
    beginnings: Vec<Beginning>,
    /// The longest shared beginning of each prompt.
    longest: Vec<Option<usize>>,
}

/// Tokens that several prompts have in the same place, after the same tokens.
struct Beginning {
    parent: Option<usize>,
    /// The first, in order, of the prompts that have it.
    prompt: usize,
    tokens: Range<usize>,
    /// How many of them are still to be run.
    waiting: usize,
    kept: Option<Arc<Cache>>,
}

/// A prompt that went through the model.
pub(super) struct Ran {
    /// The rows of the pass with the tokens that it did not share.
    pub(super) rows: Range<usize>,
    /// The keys and values of those that it did.
    pub(super) before: Vec<Arc<Cache>>,
}

impl<'a> Prompts<'a> {
    /// Takes prompts, and how many tokens of each may be shared: all but those whose rows are wanted.
    pub(super) fn new(prompts: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        let (prompts, limits): (Vec<&[u32]>, Vec<usize>) = prompts.into_iter().unzip();
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&prompt| prompts[prompt]);
        let alike = |pair: &[usize]| {
            let (a, b) = (pair[0], pair[1]);
            let same = prompts[a].iter().zip(prompts[b]).take_while(|(a, b)| a == b).count();
            let same = same.min(limits[a]).min(limits[b]);
            same - same % BLOCK
        };
        let alike: Vec<usize> = order.windows(2).map(alike).collect();
        let longest = vec![None; prompts.len()];
        let mut found = Self { prompts, order, beginnings: Vec::new(), longest };
        found.divide(0..found.order.len(), None, &alike);
        found
    }

    /// Finds what the prompts in a part of the order share beyond `parent`; `alike[i]` tokens are the
    /// same in the prompts of places `i` and `i + 1`.
    fn divide(&mut self, places: Range<usize>, parent: Option<usize>, alike: &[usize]) {
        let between = places.start..places.end.saturating_sub(1);
        let Some(&least) = alike.get(between.clone()).and_then(|alike| alike.iter().min()) else {
            return;
        };
        let depth = parent.map_or(0, |parent| self.beginnings[parent].tokens.end);
        let (above, mut parent) = (parent, parent);
        if least > depth {
            for &prompt in &self.order[places.clone()] {
                self.longest[prompt] = Some(self.beginnings.len());
            }
            let (prompt, waiting) = (self.order[places.start], places.len());
            let tokens = depth..least;
            parent = Some(self.beginnings.len());
            self.beginnings.push(Beginning { parent: above, prompt, tokens, waiting, kept: None });
        }
        let mut start = places.start;
        for place in between.filter(|&place| alike[place] == least).chain([places.end - 1]) {
            self.divide(start..place + 1, parent, alike);
            start = place + 1;
        }
    }

    /// The shared beginnings of a prompt, from its first token on.
    fn chain(&self, prompt: usize) -> Vec<usize> {
        let parent = |&at: &usize| self.beginnings[at].parent;
        let mut chain: Vec<usize> = std::iter::successors(self.longest[prompt], parent).collect();
        chain.reverse();
        chain
    }

    /// The tokens that a prompt does not share.
    pub(super) fn own(&self, prompt: usize) -> Range<usize> {
        let shared = self.longest[prompt].map_or(0, |at| self.beginnings[at].tokens.end);
        shared..self.prompts[prompt].len()
    }

    /// Tokens that go through the model for a prompt, when prompts are run in order.
    pub(super) fn cost(&self, prompt: usize) -> usize {
        let first = |&at: &usize| self.beginnings[at].prompt == prompt;
        let shared = self.chain(prompt).into_iter().filter(first);
        self.own(prompt).len() + shared.map(|at| self.beginnings[at].tokens.len()).sum::<usize>()
    }

    /// Runs a group of prompts through the model, each once; hidden states are in `pass`.
    ///
    /// `seen` gets every layer once its keys and values are there, with the rows of each prompt's own
    /// tokens.
    pub(super) fn forward(
        &mut self,
        weights: &Weights,
        pass: &mut Pass,
        group: &[usize],
        mut seen: impl FnMut(usize, &LayerState, &[Range<usize>]),
    ) -> Vec<Ran> {
        let config = &weights.config;
        let (mut packed, mut own) = (Packed::default(), Vec::new());
        let mut fresh: HashMap<usize, (Range<usize>, Cache)> = HashMap::new();
        for &prompt in group {
            let mut before: Vec<Before> = Vec::new();
            for at in self.chain(prompt) {
                let beginning = &self.beginnings[at];
                let part = match (&beginning.kept, fresh.get(&at)) {
                    (Some(kept), _) => Before::Kept(kept.clone()),
                    (None, Some((rows, _))) => Before::Rows(rows.clone()),
                    (None, None) => {
                        let ids = &self.prompts[prompt][beginning.tokens.clone()];
                        let rows = packed.push_after(before.clone(), ids);
                        fresh.insert(at, (rows.clone(), Cache::new(config, rows.len())));
                        Before::Rows(rows)
                    }
                };
                before.push(part);
            }
            own.push(packed.push_after(before, &self.prompts[prompt][self.own(prompt)]));
        }
        pass.forward(weights, &packed, |layer, state| {
            for (rows, cache) in fresh.values_mut() {
                let (keys, values) = state.rows(config, rows);
                cache.fill(config, layer, keys, values);
            }
            seen(layer, state, &own);
        });
        for (at, (rows, mut cache)) in fresh {
            cache.length = rows.len();
            self.beginnings[at].kept = Some(Arc::new(cache));
        }
        let ran =
            group.iter().zip(own).map(|(&prompt, rows)| Ran { rows, before: self.take(prompt) });
        ran.collect()
    }

    /// The kept beginnings of a prompt that has been run; those that no other waits for are let go.
    fn take(&mut self, prompt: usize) -> Vec<Arc<Cache>> {
        let mut taken = Vec::new();
        for at in self.chain(prompt) {
            let beginning = &mut self.beginnings[at];
            beginning.waiting -= 1;
            taken.extend(match beginning.waiting {
                0 => beginning.kept.take(),
                _ => beginning.kept.clone(),
            });
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Generation, Sampling,
        tests::{generate, model, sequence},
    };

    /// Two kinds of questions with long beginnings, some of which go on alike for longer; and one that is
    /// the beginning of others.
    fn prompts() -> Vec<Vec<u32>> {
        let (rubric, judge) = (sequence(3, 130), sequence(9, 70));
        let mut all: Vec<Vec<u32>> = (0..12_u32)
            .map(|i| match i % 3 {
                0 => [rubric.as_slice(), &sequence(i, 5 + i as usize)].concat(),
                1 => [rubric.as_slice(), &sequence(2, 68), &sequence(i, 3)].concat(),
                _ => [judge.as_slice(), &sequence(i, 20)].concat(),
            })
            .collect();
        all.extend([rubric.clone(), rubric, sequence(5, 8)]);
        all
    }

    #[test]
    fn what_is_alike_is_found_in_whole_blocks() {
        let all = prompts();
        let prompts = Prompts::new(all.iter().map(|prompt| (prompt.as_slice(), prompt.len() - 1)));
        let shared = |prompt: usize| prompts.own(prompt).start;
        let found: Vec<usize> = (0..all.len()).map(shared).collect();
        assert_eq!(found, [128, 192, 64, 128, 192, 64, 128, 192, 64, 128, 192, 64, 128, 128, 0]);
        // Run in order, every shared token goes through the model once: 128, 64 more, and 64.
        let cost: usize = prompts.order.iter().map(|&prompt| prompts.cost(prompt)).sum();
        let own: usize = (0..all.len()).map(|prompt| prompts.own(prompt).len()).sum();
        assert_eq!(cost - own, 128 + 64 + 64);
    }

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
