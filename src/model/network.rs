//! A Llama, forward and backward, on packed sequences.
//!
//! Knows no tokenizer, no optimiser and no sampling: token ids and labels in, hidden states, losses
//! and gradients out. The memory of a pass belongs to a [`Pass`] and is reused.
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::{
    attention::{self, attend, attend_backward},
    config::{Config, LayerLayout, Layout},
    ops::{
        Rotation, Write, linear, linear_input_gradient, linear_weight_gradient, rms_norm,
        rms_norm_backward, softmax, swiglu, swiglu_backward,
    },
};

/// The weights of a model in one arena.
#[derive(Debug)]
pub struct Weights {
    pub config: Config,
    pub layout: Layout,
    pub data: Vec<f32>,
}

/// Sequences laid end to end; attention stays within each.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    pub(super) ids: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) sequences: Vec<Range<usize>>,
}

impl Packed {
    pub(super) fn push(&mut self, ids: &[u32]) {
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions.extend(0..ids.len() as u32);
        self.sequences.push(start..self.ids.len());
    }
}

/// What one layer computed, as far as its backward pass needs it. Token rows throughout.
#[derive(Debug, Default)]
pub(super) struct LayerState {
    input: Vec<f32>,
    input_scale: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    probabilities: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    middle_scale: Vec<f32>,
    middle_normed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

/// The memory of a forward (and backward) pass.
#[derive(Debug)]
pub(super) struct Pass {
    /// One for each layer when training, one for all when not.
    layers: Vec<LayerState>,
    /// The residual stream, and after the last layer its value before the final norm.
    stream: Vec<f32>,
    final_scale: Vec<f32>,
    /// The final norm's output, (tokens, hidden).
    pub(super) hidden: Vec<f32>,
    activated: Vec<f32>,
    attention: attention::Scratch,
    backward: Backward,
    /// Rotary tables as long as the longest position so far.
    rotation: Option<(usize, Rotation)>,
}

/// Gradients of one layer's activations.
#[derive(Debug, Default)]
struct Backward {
    stream: Vec<f32>,
    hidden: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    wide: Vec<f32>,
    up: Vec<f32>,
}

impl Pass {
    /// Memory for passes that only go forward.
    pub(super) fn forward_only() -> Self {
        Self::with_layers(1)
    }

    /// Memory for passes that go back as well.
    pub(super) fn training(config: &Config) -> Self {
        Self::with_layers(config.layers)
    }

    fn with_layers(layers: usize) -> Self {
        Self {
            layers: (0..layers).map(|_| LayerState::default()).collect(),
            stream: Vec::new(),
            final_scale: Vec::new(),
            hidden: Vec::new(),
            activated: Vec::new(),
            attention: attention::Scratch::default(),
            backward: Backward::default(),
            rotation: None,
        }
    }

    fn rotate_up_to(&mut self, config: &Config, positions: &[u32]) {
        let needed = positions.iter().max().map_or(0, |&last| last as usize + 1);
        if self.rotation.as_ref().is_none_or(|(length, _)| *length < needed) {
            let length = needed.next_power_of_two();
            let rotation = Rotation::new(length, config.head_size, config.rope_theta);
            self.rotation = Some((length, rotation));
        }
    }

    /// Runs the model up to the final norm; the result is in `self.hidden`.
    ///
    /// `seen` gets every layer once its keys and values are there, rotated.
    pub(super) fn forward(
        &mut self,
        weights: &Weights,
        packed: &Packed,
        mut seen: impl FnMut(usize, &LayerState),
    ) {
        let config = &weights.config;
        let (tokens, hidden) = (packed.ids.len(), config.hidden_size);
        self.rotate_up_to(config, &packed.positions);
        let Some((_, rotation)) = &self.rotation else { return };
        let embedding = &weights.data[weights.layout.embedding.clone()];
        self.stream.resize(tokens * hidden, 0.0);
        for (row, &id) in self.stream.chunks_exact_mut(hidden).zip(&packed.ids) {
            row.copy_from_slice(&embedding[id as usize * hidden..][..hidden]);
        }
        let shared = self.layers.len() == 1;
        for (index, layout) in weights.layout.layers.iter().enumerate() {
            let state = &mut self.layers[if shared { 0 } else { index }];
            state.resize(tokens, config);
            state.input.copy_from_slice(&self.stream);
            let part = |at: &Range<usize>| &weights.data[at.clone()];
            rms_norm(
                &state.input,
                part(&layout.attention_norm),
                config.rms_epsilon,
                &mut state.normed,
                &mut state.input_scale,
            );
            let replace = Write::Replace;
            linear(&state.normed, part(&layout.query), &mut state.query, hidden, replace);
            linear(&state.normed, part(&layout.key), &mut state.key, hidden, replace);
            linear(&state.normed, part(&layout.value), &mut state.value, hidden, replace);
            rotation.apply(&mut state.query, &packed.positions, false);
            rotation.apply(&mut state.key, &packed.positions, false);
            seen(index, state);
            attend(
                config,
                &packed.sequences,
                [&state.query, &state.key, &state.value],
                &mut state.probabilities,
                &mut self.attention,
                &mut state.attended,
            );
            let query_width = config.heads * config.head_size;
            let output = part(&layout.attention_output);
            linear(&state.attended, output, &mut self.stream, query_width, Write::Add);
            state.middle.copy_from_slice(&self.stream);
            rms_norm(
                &state.middle,
                part(&layout.feed_forward_norm),
                config.rms_epsilon,
                &mut state.middle_normed,
                &mut state.middle_scale,
            );
            linear(&state.middle_normed, part(&layout.gate), &mut state.gate, hidden, replace);
            linear(&state.middle_normed, part(&layout.up), &mut state.up, hidden, replace);
            self.activated.resize(state.gate.len(), 0.0);
            swiglu(&state.gate, &state.up, &mut self.activated);
            let (down, wide) = (part(&layout.down), config.intermediate_size);
            linear(&self.activated, down, &mut self.stream, wide, Write::Add);
        }
        self.hidden.resize(tokens * hidden, 0.0);
        self.final_scale.resize(tokens, 0.0);
        rms_norm(
            &self.stream,
            &weights.data[weights.layout.final_norm.clone()],
            config.rms_epsilon,
            &mut self.hidden,
            &mut self.final_scale,
        );
    }

    /// Backward of [`Pass::forward`] from `self.backward.hidden`; adds to `gradient`.
    fn backward(&mut self, weights: &Weights, packed: &Packed, gradient: &mut [f32]) {
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
            let output = &mut gradient[layer.attention_output.clone()];
            linear_weight_gradient(&back.stream, &state.attended, output, query_width);
            back.hidden.resize(state.attended.len(), 0.0);
            let (stream, output) = (&back.stream, part(&layer.attention_output));
            linear_input_gradient(stream, output, &mut back.hidden, query_width, Write::Replace);
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
                let target = &mut gradient[at.clone()];
                linear_weight_gradient(d, &state.normed, target, hidden);
                linear_input_gradient(d, part(at), &mut back.hidden, hidden, write);
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

    /// Negative log-likelihood, in nats, of each `(token row, next token)` after a forward pass.
    pub(super) fn losses(&mut self, weights: &Weights, labels: &[(usize, u32)]) -> Vec<f64> {
        self.output_layer(weights, labels, None)
    }

    /// Adds to `gradient` that of `scale * Σ loss`; returns the losses.
    pub(super) fn losses_backward(
        &mut self,
        weights: &Weights,
        packed: &Packed,
        labels: &[(usize, u32)],
        scale: f32,
        gradient: &mut [f32],
    ) -> Vec<f64> {
        let losses = self.output_layer(weights, labels, Some((scale, gradient)));
        self.backward(weights, packed, gradient);
        losses
    }

    /// The output layer at the labelled rows only, a few rows at a time, so that the logits of a
    /// whole batch never exist at once. With a gradient wanted, it fills `self.backward.hidden`.
    fn output_layer(
        &mut self,
        weights: &Weights,
        labels: &[(usize, u32)],
        mut gradient: Option<(f32, &mut [f32])>,
    ) -> Vec<f64> {
        const ROWS: usize = 128;
        let (hidden, vocabulary) = (weights.config.hidden_size, weights.config.vocabulary);
        let matrix = &weights.data[weights.layout.output.clone()];
        self.backward.hidden.clear();
        if gradient.is_some() {
            self.backward.hidden.resize(self.hidden.len(), 0.0);
        }
        let mut losses = Vec::with_capacity(labels.len());
        let (mut rows, mut drows) = (Vec::new(), Vec::new());
        let mut logits = vec![0.0; ROWS.min(labels.len()) * vocabulary];
        for labels in labels.chunks(ROWS) {
            rows.clear();
            for &(row, _) in labels {
                rows.extend_from_slice(&self.hidden[row * hidden..][..hidden]);
            }
            let logits = &mut logits[..labels.len() * vocabulary];
            linear(&rows, matrix, logits, hidden, Write::Replace);
            let scale = gradient.as_ref().map_or(0.0, |(scale, _)| *scale);
            let chunk = logits.par_chunks_mut(vocabulary).zip(labels).map(|(logits, label)| {
                let target = label.1 as usize;
                let logit = logits[target];
                let normaliser = Arch::new().dispatch(
                    #[inline(always)]
                    || softmax(logits),
                );
                logits[target] -= 1.0;
                logits.iter_mut().for_each(|value| *value *= scale);
                f64::from(normaliser - logit)
            });
            losses.extend(chunk.collect::<Vec<f64>>());
            if let Some((_, gradient)) = &mut gradient {
                drows.resize(rows.len(), 0.0);
                linear_input_gradient(logits, matrix, &mut drows, hidden, Write::Replace);
                let target = &mut gradient[weights.layout.output.clone()];
                linear_weight_gradient(logits, &rows, target, hidden);
                for (&(row, _), drow) in labels.iter().zip(drows.chunks_exact(hidden)) {
                    self.backward.hidden[row * hidden..][..hidden].copy_from_slice(drow);
                }
            }
        }
        losses
    }

    /// Logits after the given token rows, (rows, vocabulary).
    pub(super) fn logits(&self, weights: &Weights, rows: &[usize]) -> Vec<f32> {
        let hidden = weights.config.hidden_size;
        let mut chosen = Vec::with_capacity(rows.len() * hidden);
        for &row in rows {
            chosen.extend_from_slice(&self.hidden[row * hidden..][..hidden]);
        }
        output_logits(weights, &chosen)
    }
}

/// Logits of hidden rows, (rows, vocabulary).
pub(super) fn output_logits(weights: &Weights, hidden_rows: &[f32]) -> Vec<f32> {
    let (hidden, vocabulary) = (weights.config.hidden_size, weights.config.vocabulary);
    let mut logits = vec![0.0; hidden_rows.len() / hidden * vocabulary];
    let matrix = &weights.data[weights.layout.output.clone()];
    linear(hidden_rows, matrix, &mut logits, hidden, Write::Replace);
    logits
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
        linear_weight_gradient(&self.stream, activated, &mut gradient[layer.down.clone()], wide);
        self.wide.resize(state.gate.len(), 0.0);
        self.up.resize(state.gate.len(), 0.0);
        let replace = Write::Replace;
        linear_input_gradient(&self.stream, part(&layer.down), &mut self.wide, wide, replace);
        swiglu_backward(&state.gate, &state.up, &mut self.wide, &mut self.up);
        let normed = &state.middle_normed;
        linear_weight_gradient(&self.wide, normed, &mut gradient[layer.gate.clone()], hidden);
        linear_weight_gradient(&self.up, normed, &mut gradient[layer.up.clone()], hidden);
        self.hidden.resize(state.middle.len(), 0.0);
        linear_input_gradient(&self.wide, part(&layer.gate), &mut self.hidden, hidden, replace);
        linear_input_gradient(&self.up, part(&layer.up), &mut self.hidden, hidden, Write::Add);
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

impl LayerState {
    fn resize(&mut self, tokens: usize, config: &Config) {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let (query, key) = (config.heads * config.head_size, config.kv_heads * config.head_size);
        let buffers = [
            (&mut self.input, hidden),
            (&mut self.input_scale, 1),
            (&mut self.normed, hidden),
            (&mut self.query, query),
            (&mut self.key, key),
            (&mut self.value, key),
            (&mut self.attended, query),
            (&mut self.middle, hidden),
            (&mut self.middle_scale, 1),
            (&mut self.middle_normed, hidden),
            (&mut self.gate, wide),
            (&mut self.up, wide),
        ];
        for (buffer, width) in buffers {
            buffer.resize(tokens * width, 0.0);
        }
    }
}
