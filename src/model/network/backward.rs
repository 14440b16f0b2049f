//! The backward pass, layer by layer, from what the forward pass kept.
use std::ops::Range;

use super::{LayerState, Packed, Pass, Weights};
use crate::model::{
    attention::attend_backward,
    config::LayerLayout,
    ops::{Write, rms_norm_backward, swiglu, swiglu_backward},
};

/// Gradients of one layer's activations.
#[derive(Debug, Default)]
pub(super) struct Backward {
    pub(super) stream: Vec<f32>,
    pub(super) hidden: Vec<f32>,
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    pub(super) wide: Vec<f32>,
    pub(super) up: Vec<f32>,
}

impl Pass {
    /// Backward of [`Pass::forward`] from `self.backward.hidden`; adds to `gradient`.
    pub(super) fn backward(&mut self, weights: &Weights, packed: &Packed, gradient: &mut [f32]) {
        let (config, layout) = (&weights.config, &weights.layout);
        let hidden = config.hidden_size;
        let Some((_, rotation)) = &self.rotation else { return };
        let back = &mut self.backward;
        back.stream.clear();
        back.stream.resize(self.stream.len(), 0.0);
        rms_norm_backward(
            &self.stream,
            &weights.data[layout.final_norm.clone()],
            &self.final_scale,
            &back.hidden,
            &mut back.stream,
            &mut gradient[layout.final_norm.clone()],
        );
        for (state, layer) in self.layers.iter().zip(&layout.layers).rev() {
            self.activated.resize(state.gate.len(), 0.0);
            swiglu(&state.gate, &state.up, &mut self.activated);
            back.through_feed_forward(weights, layer, state, &self.activated, gradient);
            let part = |at: &Range<usize>| &weights.data[at.clone()];
            let query_width = config.heads * config.head_size;
            let output = &layer.attention_output;
            weights.weight_gradient(output, &back.stream, &state.attended, gradient, query_width);
            back.hidden.resize(state.attended.len(), 0.0);
            let (stream, replace) = (&back.stream, Write::Replace);
            weights.input_gradient(output, stream, &mut back.hidden, query_width, replace);
            back.query.resize(state.query.len(), 0.0);
            back.key.resize(state.key.len(), 0.0);
            back.value.resize(state.value.len(), 0.0);
            attend_backward(
                config,
                &packed.sequences,
                [&state.query, &state.key, &state.value],
                &state.probabilities,
                &back.hidden,
                &mut self.attention,
                [&mut back.query, &mut back.key, &mut back.value],
            );
            rotation.apply(&mut back.query, &packed.positions, true);
            rotation.apply(&mut back.key, &packed.positions, true);
            back.hidden.resize(state.normed.len(), 0.0);
            let projections = [
                (&back.query, &layer.query, Write::Replace),
                (&back.key, &layer.key, Write::Add),
                (&back.value, &layer.value, Write::Add),
            ];
            for (d, at, write) in projections {
                weights.weight_gradient(at, d, &state.normed, gradient, hidden);
                weights.input_gradient(at, d, &mut back.hidden, hidden, write);
            }
            rms_norm_backward(
                &state.input,
                part(&layer.attention_norm),
                &state.input_scale,
                &back.hidden,
                &mut back.stream,
                &mut gradient[layer.attention_norm.clone()],
            );
        }
        let embedding = &mut gradient[layout.embedding.clone()];
        for (row, &id) in back.stream.chunks_exact(hidden).zip(&packed.ids) {
            let target = &mut embedding[id as usize * hidden..][..hidden];
            for (target, value) in target.iter_mut().zip(row) {
                *target += value;
            }
        }
    }
}

impl Backward {
    /// From the gradient of a layer's output, in `stream`, to that of its middle, in place.
    fn through_feed_forward(
        &mut self,
        weights: &Weights,
        layer: &LayerLayout,
        state: &LayerState,
        activated: &[f32],
        gradient: &mut [f32],
    ) {
        let (hidden, wide) = (weights.config.hidden_size, weights.config.intermediate_size);
        let part = |at: &Range<usize>| &weights.data[at.clone()];
        weights.weight_gradient(&layer.down, &self.stream, activated, gradient, wide);
        self.wide.resize(state.gate.len(), 0.0);
        self.up.resize(state.gate.len(), 0.0);
        let replace = Write::Replace;
        weights.input_gradient(&layer.down, &self.stream, &mut self.wide, wide, replace);
        swiglu_backward(&state.gate, &state.up, &mut self.wide, &mut self.up);
        let normed = &state.middle_normed;
        weights.weight_gradient(&layer.gate, &self.wide, normed, gradient, hidden);
        weights.weight_gradient(&layer.up, &self.up, normed, gradient, hidden);
        self.hidden.resize(state.middle.len(), 0.0);
        weights.input_gradient(&layer.gate, &self.wide, &mut self.hidden, hidden, replace);
        weights.input_gradient(&layer.up, &self.up, &mut self.hidden, hidden, Write::Add);
        rms_norm_backward(
            &state.middle,
            part(&layer.feed_forward_norm),
            &state.middle_scale,
            &self.hidden,
            &mut self.stream,
            &mut gradient[layer.feed_forward_norm.clone()],
        );
    }
}
