//! The products of a pass with a model's matrices: by their `f32`, or rounded where the processor is
//! faster so.
use std::{collections::HashMap, ops::Range};

use super::Weights;
use crate::model::ops::{
    Format, PackedMatrix, Write, linear, linear_all, linear_input_gradient, linear_weight_gradient,
    weight_gradient,
};

/// A model's matrices, rounded and laid out for products. They do not follow a change of the weights.
#[derive(Debug)]
pub(in crate::model) struct Rounded {
    /// By the place of the matrix in the arena.
    forward: HashMap<usize, PackedMatrix>,
    /// The same for products with the transpose; empty where nothing is trained.
    backward: HashMap<usize, PackedMatrix>,
}

impl Weights {
    /// Rounds the matrices for the products that follow: with `backward`, for gradients too, which takes
    /// bf16.
    pub(in crate::model) fn round(&mut self, format: Format, backward: bool) {
        // What was laid out before is filled anew: fresh memory is dear.
        let empty = || Rounded { forward: HashMap::new(), backward: HashMap::new() };
        let mut rounded = self.rounded.take().unwrap_or_else(empty);
        for (at, inputs) in self.matrices() {
            let matrix = &self.data[at.clone()];
            match rounded.forward.get_mut(&at.start) {
                Some(known) => known.fill(matrix),
                None => {
                    let fresh = PackedMatrix::new(matrix, inputs, format);
                    rounded.forward.insert(at.start, fresh);
                }
            }
            match rounded.backward.get_mut(&at.start) {
                Some(known) => known.fill_transposed(matrix),
                None if backward => {
                    let fresh = PackedMatrix::transposed(matrix, inputs);
                    rounded.backward.insert(at.start, fresh);
                }
                None => {}
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

    /// `y = x Wᵀ` with several matrices of as many inputs, whose rows are rounded once.
    pub(in crate::model) fn linear_all<const N: usize>(
        &self,
        at: [&Range<usize>; N],
        x: &[f32],
        y: [&mut [f32]; N],
        inputs: usize,
    ) {
        let Some(rounded) = &self.rounded else {
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

    /// `dW += dyᵀ x`, into the gradient of the whole arena.
    pub(super) fn weight_gradient(
        &self,
        at: &Range<usize>,
        dy: &[f32],
        x: &[f32],
        gradient: &mut [f32],
        inputs: usize,
    ) {
        let target = &mut gradient[at.clone()];
        let rounded = self.rounded.as_ref();
        match rounded.is_some_and(|rounded| rounded.backward.contains_key(&at.start)) {
            true => weight_gradient(dy, x, target, inputs),
            false => linear_weight_gradient(dy, x, target, inputs),
        }
    }

    /// Every matrix that a pass multiplies with: its place, and its inputs.
    fn matrices(&self) -> Vec<(Range<usize>, usize)> {
        let (config, layout) = (&self.config, &self.layout);
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let query = config.heads * config.head_size;
        let mut all = vec![(layout.output.clone(), hidden)];
        for layer in &layout.layers {
            let from_hidden = [&layer.query, &layer.key, &layer.value, &layer.gate, &layer.up];
            all.extend(from_hidden.map(|at| (at.clone(), hidden)));
            all.push((layer.attention_output.clone(), query));
            all.push((layer.down.clone(), wide));
        }
        all
    }
}
