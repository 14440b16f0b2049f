//! Dropout on the two branches of a layer, before each is added to the residual stream.
//!
//! Whether a number is dropped follows from where it stands and from nothing else, so a step that is
//! run again drops the same, however its examples are packed.
use rayon::prelude::*;

use super::Packed;

/// Dropout in one pass of one training step.
#[derive(Clone, Debug)]
pub(in crate::model) struct Dropout {
    /// Share of the numbers that are dropped, below 1.
    pub(in crate::model) rate: f64,
    pub(in crate::model) random_seed: u64,
    pub(in crate::model) step: usize,
    /// Which example each sequence of the pass is.
    pub(in crate::model) examples: Vec<usize>,
}

/// A branch of the residual stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) layer: usize,
    pub(super) branch: Branch,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Branch {
    Attention,
    FeedForward,
}

impl Dropout {
    /// Drops from token rows, and scales up what is left, so that the mean stays as it was.
    ///
    /// The same numbers go forward and backward, since the operation is its own gradient.
    pub(super) fn apply(&self, Place { layer, branch }: Place, packed: &Packed, rows: &mut [f32]) {
        let place = [self.random_seed, self.step as u64, layer as u64, branch as u64];
        let place = place.into_iter().fold(0, mix);
        let sequences = packed.sequences.iter().zip(&self.examples);
        let keys: Vec<u64> = sequences
            .flat_map(|(sequence, &example)| {
                let example = mix(place, example as u64);
                let positions = packed.positions[sequence.clone()].iter();
                positions.map(move |&position| mix(example, u64::from(position)))
            })
            .collect();
        assert_eq!(keys.len(), packed.ids.len(), "every sequence is an example");
        let width = rows.len() / keys.len().max(1);
        let limit = (self.rate * 2_f64.powi(32)) as u64;
        let scale = (1.0 / (1.0 - self.rate)) as f32;
        let rows = rows.par_chunks_mut(width.max(1)).zip(keys).with_min_len(32);
        rows.for_each(|(row, key)| {
            for (channel, value) in row.iter_mut().enumerate() {
                let kept = mix(key, channel as u64) >> 32 >= limit;
                *value *= if kept { scale } else { 0.0 };
            }
        });
    }
}

/// The number that SplitMix64 (Steele et al. 2014) makes of the state `key` after `counter + 1` steps.
fn mix(key: u64, counter: u64) -> u64 {
    let state = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
