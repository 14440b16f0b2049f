//! Keys and values that are kept: of a reply under way, or of a beginning that many prompts share; and
//! attention over them.
use std::{ops::Range, sync::Arc};

use super::{
    config::Config,
    ops::{softmax, wide},
};

/// Keys and values of consecutive tokens.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// (layer, head, size, capacity): a position is a column, so that the scores of many positions
    /// are computed side by side.
    keys: Vec<f32>,
    /// (layer, head, capacity, size).
    values: Vec<f32>,
    pub(super) length: usize,
    pub(super) capacity: usize,
}

impl Cache {
    pub(super) fn new(config: &Config, capacity: usize) -> Self {
        let size = config.layers * config.kv_heads * config.head_size * capacity;
        Self { keys: vec![0.0; size], values: vec![0.0; size], length: 0, capacity }
    }

    /// Where one layer's keys, or values, lie.
    fn layer(&self, config: &Config, layer: usize) -> Range<usize> {
        let size = config.kv_heads * config.head_size * self.capacity;
        layer * size..(layer + 1) * size
    }

    /// Where one layer's keys, or values, of a head lie.
    fn head(&self, config: &Config, layer: usize, head: usize) -> Range<usize> {
        let (start, size) = (self.layer(config, layer).start, config.head_size * self.capacity);
        start + head * size..start + (head + 1) * size
    }

    /// Stores one token's key and value rows at `position`.
    pub(super) fn store(
        &mut self,
        config: &Config,
        layer: usize,
        position: usize,
        key: &[f32],
        value: &[f32],
    ) {
        let (size, capacity) = (config.head_size, self.capacity);
        let at = self.layer(config, layer);
        let (keys, values) = (&mut self.keys[at.clone()], &mut self.values[at]);
        for head in 0..config.kv_heads {
            for i in 0..size {
                keys[(head * size + i) * capacity + position] = key[head * size + i];
            }
            values[(head * capacity + position) * size..][..size]
                .copy_from_slice(&value[head * size..][..size]);
        }
    }

    /// Stores a layer's key and value rows from the beginning on.
    pub(super) fn fill(&mut self, config: &Config, layer: usize, keys: &[f32], values: &[f32]) {
        let width = config.kv_heads * config.head_size;
        let rows = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for (position, (key, value)) in rows.enumerate() {
            self.store(config, layer, position, key, value);
        }
    }

    /// The same without room for more.
    pub(super) fn compact(&self, config: &Config) -> Self {
        let mut compact = Self::new(config, self.length);
        let mut rows =
            [(); 2].map(|()| vec![0.0; self.length * config.kv_heads * config.head_size]);
        for layer in 0..config.layers {
            let [keys, values] = &mut rows;
            self.rows(config, layer, keys, values);
            compact.fill(config, layer, keys, values);
        }
        compact.length = self.length;
        compact
    }

    /// A layer's key and value rows, as they were stored.
    pub(super) fn rows(&self, config: &Config, layer: usize, keys: &mut [f32], values: &mut [f32]) {
        let (size, capacity) = (config.head_size, self.capacity);
        let width = config.kv_heads * size;
        let at = self.layer(config, layer);
        let (kept_keys, kept_values) = (&self.keys[at.clone()], &self.values[at]);
        for i in 0..width {
            let column = &kept_keys[i * capacity..][..self.length];
            for (row, key) in keys.chunks_exact_mut(width).zip(column) {
                row[i] = *key;
            }
        }
        for (position, row) in values.chunks_exact_mut(width).enumerate() {
            for (head, part) in row.chunks_exact_mut(size).enumerate() {
                part.copy_from_slice(&kept_values[(head * capacity + position) * size..][..size]);
            }
        }
    }
}

/// One token's attention over what its sequence goes on from and over its own cache, its own position
/// included. Where the one ends and the other begins changes no sum.
pub(super) fn attend_cached(
    config: &Config,
    before: &[Arc<Cache>],
    own: &Cache,
    layer: usize,
    query: &[f32],
    output: &mut [f32],
) {
    let size = config.head_size;
    // Heads that share keys and values meet each of them while it is near.
    let group = config.heads / config.kv_heads * size;
    let scale = 1.0 / (size as f32).sqrt();
    let parts = || {
        let before = before.iter().map(|cache| (&**cache, cache.length));
        before.chain([(own, own.length + 1)])
    };
    let total: usize = parts().map(|(_, seen)| seen).sum();
    let first = total.saturating_sub(config.family.window.unwrap_or(usize::MAX));
    let query: Vec<f32> = query.iter().map(|query| query * scale).collect();
    let mut scores = vec![0.0; config.heads / config.kv_heads * total];
    let groups = query.chunks_exact(group).zip(output.chunks_exact_mut(group)).enumerate();
    for (head, (queries, outputs)) in groups {
        wide(
            #[inline(always)]
            || {
                let mut start = 0;
                for (cache, seen) in parts() {
                    let keys = &cache.keys[cache.head(config, layer, head)];
                    for at in (0..seen).step_by(TILE) {
                        let end = seen.min(at + TILE);
                        for (query, scores) in
                            queries.chunks_exact(size).zip(scores.chunks_exact_mut(total))
                        {
                            let scores = &mut scores[start + at..start + end];
                            score(query, keys, cache.capacity, at, scores);
                        }
                    }
                    start += seen;
                }
                for (scores, output) in
                    scores.chunks_exact_mut(total).zip(outputs.chunks_exact_mut(size))
                {
                    let (out_of_sight, in_sight) = scores.split_at_mut(first);
                    out_of_sight.fill(0.0);
                    softmax(in_sight);
                    let mut weights = &scores[..];
                    output.fill(0.0);
                    for (cache, seen) in parts() {
                        let (part, after) = weights.split_at(seen);
                        let values = &cache.values[cache.head(config, layer, head)];
                        mix(part, values, output);
                        weights = after;
                    }
                }
            },
        );
    }
}

/// Positions whose scores are summed in registers, and values of an output likewise.
const TILE: usize = 64;

/// Scores of positions from `at` on: each is a sum over the head's values in their order.
#[inline(always)]
fn score(query: &[f32], keys: &[f32], capacity: usize, at: usize, scores: &mut [f32]) {
    if at + TILE <= capacity {
        let mut sums = [0.0_f32; TILE];
        for (query, keys) in query.iter().zip(keys.chunks_exact(capacity)) {
            if let Some(keys) = keys[at..].first_chunk::<TILE>() {
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum += query * key;
                }
            }
        }
        scores.copy_from_slice(&sums[..scores.len()]);
        return;
    }
    scores.fill(0.0);
    for (query, keys) in query.iter().zip(keys.chunks_exact(capacity)) {
        for (score, key) in scores.iter_mut().zip(&keys[at..]) {
            *score += query * key;
        }
    }
}

/// Adds values by their weights, position after position.
#[inline(always)]
fn mix(weights: &[f32], values: &[f32], output: &mut [f32]) {
    let size = output.len();
    let (tiles, rest) = output.as_chunks_mut::<TILE>();
    let whole = tiles.len() * TILE;
    for (index, tile) in tiles.iter_mut().enumerate() {
        let mut sums = *tile;
        for (weight, values) in weights.iter().zip(values.chunks_exact(size)) {
            if let Some(values) = values[index * TILE..].first_chunk::<TILE>() {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
        }
        *tile = sums;
    }
    if !rest.is_empty() {
        for (weight, values) in weights.iter().zip(values.chunks_exact(size)) {
            for (output, value) in rest.iter_mut().zip(&values[whole..]) {
                *output += weight * value;
            }
        }
    }
}
