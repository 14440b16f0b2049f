//! What token sequences have in common at their beginnings, so that it need go through the model only
//! once.
//!
//! Shared beginnings are found by the tokens alone: sequences are sorted, and those side by side are
//! compared. They make a tree, so that two kinds of questions, or several answers to each of many
//! questions, share all they can.
mod prompts;

use std::{collections::HashMap, ops::Range};

use super::network::{Before, Packed};
pub(super) use prompts::{Prompts, Ran};

/// Sequences, called prompts here, with what they share.
pub(super) struct Beginnings<'a> {
    prompts: Vec<&'a [u32]>,
    /// The prompts in the order in which they are best run: alike ones side by side.
    pub(super) order: Vec<usize>,
    all: Vec<Beginning>,
    /// The longest shared beginning of each prompt.
    longest: Vec<Option<usize>>,
}

/// Tokens that several prompts have in the same place, after the same tokens.
struct Beginning {
    parent: Option<usize>,
    /// The first, in order, of the prompts that have it.
    prompt: usize,
    tokens: Range<usize>,
    /// How many prompts have it.
    shared_by: usize,
}

impl<'a> Beginnings<'a> {
    /// Takes prompts, and how many tokens of each may be shared. What is shared is a multiple of `unit`
    /// tokens.
    pub(super) fn new(prompts: impl IntoIterator<Item = (&'a [u32], usize)>, unit: usize) -> Self {
        let (prompts, limits): (Vec<&[u32]>, Vec<usize>) = prompts.into_iter().unzip();
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&prompt| prompts[prompt]);
        let alike = |pair: &[usize]| {
            let (a, b) = (pair[0], pair[1]);
            let same = prompts[a].iter().zip(prompts[b]).take_while(|(a, b)| a == b).count();
            let same = same.min(limits[a]).min(limits[b]);
            same - same % unit
        };
        let alike: Vec<usize> = order.windows(2).map(alike).collect();
        let longest = vec![None; prompts.len()];
        let mut found = Self { prompts, order, all: Vec::new(), longest };
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
        let depth = parent.map_or(0, |parent| self.all[parent].tokens.end);
        let (above, mut parent) = (parent, parent);
        if least > depth {
            for &prompt in &self.order[places.clone()] {
                self.longest[prompt] = Some(self.all.len());
            }
            let (prompt, shared_by) = (self.order[places.start], places.len());
            let tokens = depth..least;
            parent = Some(self.all.len());
            self.all.push(Beginning { parent: above, prompt, tokens, shared_by });
        }
        let mut start = places.start;
        for place in between.filter(|&place| alike[place] == least).chain([places.end - 1]) {
            self.divide(start..place + 1, parent, alike);
            start = place + 1;
        }
    }

    /// The shared beginnings of a prompt, from its first token on.
    fn chain(&self, prompt: usize) -> Vec<usize> {
        let parent = |&at: &usize| self.all[at].parent;
        let mut chain: Vec<usize> = std::iter::successors(self.longest[prompt], parent).collect();
        chain.reverse();
        chain
    }

    /// The tokens that a prompt does not share.
    pub(super) fn own(&self, prompt: usize) -> Range<usize> {
        let shared = self.longest[prompt].map_or(0, |at| self.all[at].tokens.end);
        shared..self.prompts[prompt].len()
    }

    /// Tokens that go through the model for a prompt, when prompts are run in order.
    pub(super) fn cost(&self, prompt: usize) -> usize {
        self.beyond(prompt, |at| self.all[at].prompt != prompt)
    }

    /// Tokens that go through the model for a prompt after those `there`.
    pub(super) fn missing(&self, prompt: usize, there: &HashMap<usize, Before>) -> usize {
        self.beyond(prompt, |at| there.contains_key(&at))
    }

    /// A prompt's own tokens, and those of its beginnings that are not there.
    fn beyond(&self, prompt: usize, is_there: impl Fn(usize) -> bool) -> usize {
        let missing = self.chain(prompt).into_iter().filter(|&at| !is_there(at));
        self.own(prompt).len() + missing.map(|at| self.all[at].tokens.len()).sum::<usize>()
    }

    /// Adds a prompt's own tokens to a pass, after what it begins with, which is `there` or is added
    /// first; returns their rows.
    pub(super) fn push(
        &self,
        prompt: usize,
        packed: &mut Packed,
        there: &mut HashMap<usize, Before>,
    ) -> Range<usize> {
        let mut before: Vec<Before> = Vec::new();
        for at in self.chain(prompt) {
            let part = there.entry(at).or_insert_with(|| {
                let ids = &self.prompts[prompt][self.all[at].tokens.clone()];
                Before::Rows(packed.push_after(before.clone(), ids))
            });
            before.push(part.clone());
        }
        packed.push_after(before, &self.prompts[prompt][self.own(prompt)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{attention::BLOCK, tests::sequence};

    /// Two kinds of questions with long beginnings, some of which go on alike for longer; and one that is
    /// the beginning of others.
    pub(super) fn prompts() -> Vec<Vec<u32>> {
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
        let all: Vec<(&[u32], usize)> = all.iter().map(|ids| (&ids[..], ids.len() - 1)).collect();
        let prompts = Beginnings::new(all.iter().copied(), BLOCK);
        let shared = |prompt: usize| prompts.own(prompt).start;
        let found: Vec<usize> = (0..all.len()).map(shared).collect();
        assert_eq!(found, [128, 192, 64, 128, 192, 64, 128, 192, 64, 128, 192, 64, 128, 128, 0]);
        // Run in order, every shared token goes through the model once: 128, 64 more, and 64.
        let cost: usize = prompts.order.iter().map(|&prompt| prompts.cost(prompt)).sum();
        let own: usize = (0..all.len()).map(|prompt| prompts.own(prompt).len()).sum();
        assert_eq!(cost - own, 128 + 64 + 64);
    }
}
