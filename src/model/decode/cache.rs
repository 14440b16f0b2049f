//! The keys and values that a sequence has made so far, and attention over them.
use std::ops::Range;

use pulp::Arch;

use crate::model::{config::Config, ops::softmax};

/// Keys and values of one sequence.
pub(super) struct Cache {
    /// (layer, head, size, capacity): a position is a column, so that the scores of many positions
    /// are computed side by side.
    pub(super) keys: Vec<f32>,
    /// (layer, head, capacity, size).
    pub(super) values: Vec<f32>,
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
}

/// One token's attention over its cache, its own position included.
pub(super) fn attend_cached(
    config: &Config,
    cache: &Cache,
    layer: usize,
    query: &[f32],
    output: &mut [f32],
) {
    let (size, capacity, seen) = (config.head_size, cache.capacity, cache.length + 1);
    let group = config.heads / config.kv_heads;
    let scale = 1.0 / (size as f32).sqrt();
    let at = cache.layer(config, layer);
    let (keys, values) = (&cache.keys[at.clone()], &cache.values[at]);
    let mut scores = vec![0.0; seen];
    for (head, (query, output)) in
        query.chunks_exact(size).zip(output.chunks_exact_mut(size)).enumerate()
    {
        let start = head / group * size * capacity;
        Arch::new().dispatch(
            #[inline(always)]
            || {
                scores.fill(0.0);
                for (i, query) in query.iter().enumerate() {
                    let keys = &keys[start + i * capacity..][..seen];
                    for (score, key) in scores.iter_mut().zip(keys) {
                        *score += query * scale * key;
                    }
                }
                softmax(&mut scores);
                output.fill(0.0);
                for (position, weight) in scores.iter().enumerate() {
                    let values = &values[start + position * size..][..size];
                    for (output, value) in output.iter_mut().zip(values) {
                        *output += weight * value;
                    }
                }
            },
        );
    }
}
