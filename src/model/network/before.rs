//! What a sequence goes on from: tokens whose keys and values are there already.
use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{LayerState, Packed};
use crate::model::{cache::Cache, config::Config};

/// Where the keys and values of some tokens are.
#[derive(Clone, Debug)]
pub(in crate::model) enum Before {
    /// Among the rows of this very pass.
    Rows(Range<usize>),
    /// Kept from an earlier one.
    Kept(Arc<Cache>),
}

impl Before {
    fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Kept(cache) => cache.length,
        }
    }
}

impl Packed {
    /// Adds a sequence that goes on from tokens before it; returns its rows.
    pub(in crate::model) fn push_after(
        &mut self,
        before: Vec<Before>,
        ids: &[u32],
    ) -> Range<usize> {
        let (start, first) = (self.ids.len(), before.iter().map(Before::len).sum::<usize>());
        self.ids.extend_from_slice(ids);
        self.positions.extend((first..first + ids.len()).map(|position| position as u32));
        self.sequences.push(start..self.ids.len());
        self.before.push(before);
        start..self.ids.len()
    }

    /// Where the keys of each sequence lie, those before it included, among those of [`Gathered::of`].
    pub(super) fn spans(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let span = |(sequence, before): (&Range<usize>, &Vec<Before>)| {
            let start = end;
            end += before.iter().map(Before::len).sum::<usize>() + sequence.len();
            start..end
        };
        self.sequences.iter().zip(&self.before).map(span).collect()
    }

    /// What lies in those places, piece after piece: for each sequence what it goes on from, then itself.
    fn gathered(&self) -> impl Iterator<Item = Before> {
        let sequences = self.sequences.iter().zip(&self.before);
        sequences.flat_map(|(sequence, before)| {
            before.iter().cloned().chain([Before::Rows(sequence.clone())])
        })
    }
}

impl LayerState {
    /// Keys and values of some rows.
    pub(in crate::model) fn rows(&self, config: &Config, rows: &Range<usize>) -> (&[f32], &[f32]) {
        let width = config.kv_heads * config.head_size;
        let at = rows.start * width..rows.end * width;
        (&self.key[at.clone()], &self.value[at])
    }
}

/// Keys and values laid end to end, each sequence's after those that it goes on from.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Gathered {
    /// A layer's key and value rows for [`Packed::spans`]: the layer's own where nothing comes before.
    pub(super) fn of<'a>(
        &'a mut self,
        config: &Config,
        packed: &Packed,
        layer: usize,
        [own_keys, own_values]: [&'a [f32]; 2],
    ) -> [&'a [f32]; 2] {
        if packed.before.iter().all(Vec::is_empty) {
            return [own_keys, own_values];
        }
        let width = config.kv_heads * config.head_size;
        let spans = packed.spans();
        let total = spans.last().map_or(0, |span| span.end) * width;
        self.keys.resize(total, 0.0);
        self.values.resize(total, 0.0);
        let (mut keys, mut values) = (&mut self.keys[..], &mut self.values[..]);
        let mut tasks = Vec::new();
        for part in packed.gathered() {
            let rows = [cut(&mut keys, &part, width), cut(&mut values, &part, width)];
            tasks.push((part, rows));
        }
        tasks.into_par_iter().for_each(|(part, [keys, values])| match part {
            Before::Kept(cache) => cache.rows(config, layer, keys, values),
            Before::Rows(rows) => {
                let rows = rows.start * width..rows.end * width;
                keys.copy_from_slice(&own_keys[rows.clone()]);
                values.copy_from_slice(&own_values[rows]);
            }
        });
        [&self.keys, &self.values]
    }
}

impl Gathered {
    /// Backward of [`Gathered::of`]: `fill` gets the gradients to be filled, and each row of a layer's own
    /// keys and values the sum of those of the sequences that met it.
    pub(super) fn backward(
        &mut self,
        config: &Config,
        packed: &Packed,
        [own_keys, own_values]: [&mut [f32]; 2],
        fill: impl FnOnce([&mut [f32]; 2]),
    ) {
        if packed.before.iter().all(Vec::is_empty) {
            return fill([own_keys, own_values]);
        }
        let width = config.kv_heads * config.head_size;
        let total = packed.spans().last().map_or(0, |span| span.end) * width;
        self.keys.resize(total, 0.0);
        self.values.resize(total, 0.0);
        fill([&mut self.keys, &mut self.values]);
        for (gathered, own) in [(&self.keys, own_keys), (&self.values, own_values)] {
            own.fill(0.0);
            let mut rest = &gathered[..];
            for part in packed.gathered() {
                let (gradient, tail) = rest.split_at(part.len() * width);
                rest = tail;
                // What was kept from an earlier pass is given, and has none.
                let Before::Rows(rows) = part else { continue };
                let own = &mut own[rows.start * width..rows.end * width];
                own.iter_mut().zip(gradient).for_each(|(own, gradient)| *own += gradient);
            }
        }
    }
}

/// The next rows of a buffer, as many as `part` has.
fn cut<'a>(rest: &mut &'a mut [f32], part: &Before, width: usize) -> &'a mut [f32] {
    let (rows, tail) = std::mem::take(rest).split_at_mut(part.len() * width);
    *rest = tail;
    rows
}
