//! The products of a pass with a model's matrices: by their `f32`, or rounded where the processor is
//! faster so.
use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
};

use super::Weights;
use crate::model::ops::{
    Format, PackedMatrix, Write, linear, linear_all, linear_input_gradient, linear_weight_gradient,
    weight_gradient,
};

/// A model's matrices, rounded and laid out for products. They do not follow a change of the weights.
#[derive(Debug, Default)]
pub(in crate::model) struct Rounded {
    /// By the place of the matrix in the arena.
    forward: HashMap<usize, PackedMatrix>,
    /// For products with the transpose, of gradients, by which those of weights are made rounded, too.
    backward: HashMap<usize, PackedMatrix>,
}

impl Weights {
    /// Rounds the matrices that lie `within`, as they are now, for the forward products that follow.
    pub(in crate::model) fn round(
        &mut self,
        format: Format,
        within: impl Fn(&Range<usize>) -> bool,
    ) {
        let mut rounded = self.rounded.take().unwrap_or_default();
        for Factor { at, inputs, delicate } in self.factors().filter(|factor| within(&factor.at)) {
            let matrix = &self.data[at.clone()];
            let format = if delicate { format.delicate() } else { format };
            // What was laid out before is filled anew: fresh memory is dear.
            match rounded.forward.entry(at.start) {
                Entry::Occupied(mut known) => known.get_mut().fill(matrix),
                Entry::Vacant(place) => {
                    place.insert(PackedMatrix::new(matrix, inputs, format));
                }
            }
        }
        self.rounded = Some(rounded);
    }

    /// The same for the products of gradients, which take bf16.
    pub(in crate::model) fn round_backward(&mut self, within: impl Fn(&Range<usize>) -> bool) {
        let mut rounded = self.rounded.take().unwrap_or_default();
        for Factor { at, inputs, .. } in self.factors().filter(|factor| within(&factor.at)) {
            let matrix = &self.data[at.clone()];
            match rounded.backward.entry(at.start) {
                Entry::Occupied(mut known) => known.get_mut().fill_transposed(matrix),
                Entry::Vacant(place) => {
                    place.insert(PackedMatrix::transposed(matrix, inputs));
                }
            }
        }
        self.rounded = Some(rounded);
    }

    /// `y = x Wᵀ` (or `+=`) with the matrix at a place of the arena.
    pub(in crate::model) fn linear(
        &self,
        at: &Range<usize>,
        x: &[f32],
        y: &mut [f32],
        inputs: usize,
        write: Write,
    ) {
        match self.rounded.as_ref().and_then(|rounded| rounded.forward.get(&at.start)) {
            Some(matrix) => matrix.linear(x, y, write),
            None => linear(x, &self.data[at.clone()], y, inputs, write),
        }
    }

    /// `y = x Wᵀ` with several matrices of as many inputs, all of them rounded or none; the rows of `x`
    /// are rounded once.
    pub(in crate::model) fn linear_all<const N: usize>(
        &self,
        at: [&Range<usize>; N],
        x: &[f32],
        y: [&mut [f32]; N],
        inputs: usize,
    ) {
        let rounded = self.rounded.as_ref().filter(|r| r.forward.contains_key(&at[0].start));
        let Some(rounded) = rounded else {
            for (at, y) in at.into_iter().zip(y) {
                linear(x, &self.data[at.clone()], y, inputs, Write::Replace);
            }
            return;
        };
        linear_all(at.map(|at| &rounded.forward[&at.start]), x, y, Write::Replace);
    }

    /// `dx = dy W` (or `+=`).
    pub(super) fn input_gradient(
        &self,
        at: &Range<usize>,
        dy: &[f32],
        dx: &mut [f32],
        inputs: usize,
        write: Write,
    ) {
        match self.rounded.as_ref().and_then(|rounded| rounded.backward.get(&at.start)) {
            Some(matrix) => matrix.linear(dy, dx, write),
            None => linear_input_gradient(dy, &self.data[at.clone()], dx, inputs, write),
        }
    }

    /// `dW += dyᵀ x`, of the matrix at a place of the arena.
    pub(super) fn weight_gradient(
        &self,
        at: &Range<usize>,
        dy: &[f32],
        x: &[f32],
        gradient: &mut [f32],
        inputs: usize,
    ) {
        let rounded = self.rounded.as_ref();
        match rounded.is_some_and(|rounded| rounded.backward.contains_key(&at.start)) {
            true => weight_gradient(dy, x, gradient, inputs),
            false => linear_weight_gradient(dy, x, gradient, inputs),
        }
    }

    /// Every matrix that a pass multiplies with.
    fn factors(&self) -> impl Iterator<Item = Factor> {
        let (config, layout) = (&self.config, &self.layout);
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let query = config.heads * config.head_size;
        let of = |at: &Range<usize>, inputs, delicate| Factor { at: at.clone(), inputs, delicate };
        let layers = layout.layers.iter().flat_map(move |layer| {
            [
                of(&layer.query, hidden, true),
                of(&layer.key, hidden, true),
                of(&layer.value, hidden, true),
                of(&layer.attention_output, query, false),
                of(&layer.gate, hidden, false),
                of(&layer.up, hidden, false),
                of(&layer.down, wide, false),
            ]
        });
        [of(&layout.output, hidden, true)].into_iter().chain(layers)
    }
}

/// A matrix that a pass multiplies with.
struct Factor {
    at: Range<usize>,
    inputs: usize,
    /// Whether coarse products of it change the model's words the most, for little of the work: what
    /// attention compares and sums, and the output layer.
    delicate: bool,
}
