//! A Llama on packed sequences: the forward pass here, the output layer and the backward pass beside it.
//!
//! Knows no tokenizer, no optimiser and no sampling: token ids and labels in, hidden states, losses
//! and gradients out. The memory of a pass belongs to a [`Pass`] and is reused.
mod backward;
mod before;
mod dropout;
mod output;
mod overlay;
mod products;
mod projection;
mod read;

use std::ops::Range;

use super::{
    attention::{self, attend},
    config::Config,
    layout::Layout,
    ops::{Rotation, rms_norm, swiglu},
};

use backward::Backward;
pub(super) use before::Before;
use before::Gathered;
pub(super) use dropout::Dropout;
use dropout::{Branch, Place};
pub(super) use output::output_logits;
use overlay::Overlay;
pub(super) use products::Rounded;
use read::narrow;

/// The weights of a model in one arena.
#[derive(Debug)]
pub struct Weights {
    pub config: Config,
    pub layout: Layout,
    pub data: Vec<f32>,
    /// The matrices once more, rounded for faster products.
    pub(in crate::model) rounded: Option<Rounded>,
}

/// Sequences laid end to end; attention stays within each, and within what it goes on from.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    pub(super) ids: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) sequences: Vec<Range<usize>>,
    /// What each sequence goes on from, in order.
    before: Vec<Vec<Before>>,
    /// The rows whose hidden states will be read, ascending, if not all: the last layer makes no others.
    pub(super) read: Option<Vec<usize>>,
}

impl Packed {
    pub(super) fn push(&mut self, ids: &[u32]) {
        self.push_after(Vec::new(), ids);
    }
}

/// What one layer computed, as far as its backward pass needs it. Token rows throughout.
#[derive(Debug, Default)]
pub(super) struct LayerState {
    input: Vec<f32>,
    input_scale: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
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
    /// Of the last layers, as many as the backward pass goes through: one for each.
    kept: Vec<LayerState>,
    /// Of the layers before them, one after the other; what only the backward pass reads is not in it.
    passing: LayerState,
    /// The residual stream, and after the last layer its value before the final norm.
    stream: Vec<f32>,
    final_scale: Vec<f32>,
    /// The final norm's output, (rows that are read, hidden).
    pub(super) hidden: Vec<f32>,
    /// Which these are, if not all.
    read: Option<Vec<usize>>,
    activated: Vec<f32>,
    attention: attention::Scratch,
    gathered: Gathered,
    /// What is trained beside the weights, and what is dropped.
    pub(super) overlay: Overlay,
    branch: Vec<f32>,
    backward: Backward,
    /// Rotary tables as long as the longest position so far.
    rotation: Option<(usize, Rotation)>,
}

impl Pass {
    /// Memory for passes that only go forward.
    pub(super) fn forward_only() -> Self {
        Self::back_through(0, 0..0)
    }

    /// Memory for passes that go back as well, to the gradients of all weights, or of the last layers
    /// alone.
    pub(super) fn training(config: &Config, last_layers: Option<usize>) -> Self {
        let layout = Layout::new(config);
        match last_layers {
            Some(layers) => Self::back_through(layers, layout.last_layers(layers)),
            None => Self::back_through(config.layers, 0..layout.len()),
        }
    }

    /// Bytes that a pass over so many tokens holds, forward and back through so many layers.
    pub(super) fn training_bytes(config: &Config, layers: usize, tokens: usize) -> usize {
        let lengths =
            LayerState::default().buffers(tokens, tokens, config).map(|(_, length)| length);
        // What has no layer of its own, the gradients above all, comes to about two layers more.
        let activations = lengths.iter().sum::<usize>() * (layers + 2);
        4 * (activations + output::ROWS * config.vocabulary)
    }

    fn back_through(layers: usize, trained: Range<usize>) -> Self {
        Self {
            kept: (0..layers).map(|_| LayerState::default()).collect(),
            passing: LayerState::default(),
            stream: Vec::new(),
            final_scale: Vec::new(),
            hidden: Vec::new(),
            read: None,
            activated: Vec::new(),
            attention: attention::Scratch::default(),
            gathered: Gathered::default(),
            overlay: Overlay::of(trained),
            branch: Vec::new(),
            backward: Backward::default(),
            rotation: None,
        }
    }

    fn rotate_up_to(&mut self, config: &Config, positions: &[u32]) {
        let needed = positions.iter().max().map_or(0, |&last| last as usize + 1);
        if self.rotation.as_ref().is_none_or(|(length, _)| *length < needed) {
            let length = needed.next_power_of_two();
            self.rotation = Some((length, config.rotation(length)));
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
        let spans = packed.spans();
        // Or a reply would depend on whether its beginning was shared.
        debug_assert!(
            !self.kept.is_empty()
                || packed.sequences.iter().zip(&spans).all(|(sequence, span)| {
                    (span.len() - sequence.len()).is_multiple_of(attention::BLOCK)
                }),
            "what a sequence goes on from is no whole blocks"
        );
        assert!(packed.read.is_none() || self.overlay.dropout.is_none(), "dropout takes all rows");
        self.read.clone_from(&packed.read);
        for (index, layout) in weights.layout.layers.iter().enumerate() {
            let read = packed.read_in(index, config);
            let kept = (index + self.kept.len()).checked_sub(config.layers);
            let state = match kept {
                Some(kept) => &mut self.kept[kept],
                None => &mut self.passing,
            };
            state.resize(tokens, read.map_or(tokens, <[_]>::len), config);
            if kept.is_some() {
                state.input.copy_from_slice(&self.stream);
            }
            let part = |at: &Range<usize>| &weights.data[at.clone()];
            rms_norm(
                &self.stream,
                part(&layout.attention_norm),
                config.rms_epsilon,
                &mut state.normed,
                &mut state.input_scale,
            );
            let matrices = [&layout.query, &layout.key, &layout.value];
            let projected = [&mut state.query[..], &mut state.key, &mut state.value];
            weights.linear_all(matrices, &state.normed, projected, hidden);
            self.overlay.adapt(&layout.query, &state.normed, &mut state.query);
            self.overlay.adapt(&layout.key, &state.normed, &mut state.key);
            self.overlay.adapt(&layout.value, &state.normed, &mut state.value);
            let projected = [&mut state.query[..], &mut state.key, &mut state.value];
            weights.place(index, rotation, &packed.positions, projected);
            seen(index, state);
            let own = [&state.key[..], &state.value];
            let [key, value] = self.gathered.of(config, packed, index, own);
            attend(
                config,
                &packed.sequences,
                &spans,
                [&state.query, key, value],
                &mut self.attention,
                &mut state.attended,
            );
            let query_width = config.heads * config.head_size;
            if let Some(read) = read {
                narrow(&mut state.attended, read, query_width);
                narrow(&mut self.stream, read, hidden);
            }
            let output = &layout.attention_output;
            let (y, write) = self.overlay.target(&mut self.branch, &mut self.stream);
            weights.linear(output, &state.attended, y, query_width, write);
            self.overlay.adapt(&layout.attention_output, &state.attended, y);
            let place = Place { layer: index, branch: Branch::Attention };
            self.overlay.join(place, packed, &mut self.branch, &mut self.stream);
            if kept.is_some() {
                state.middle.copy_from_slice(&self.stream);
            }
            rms_norm(
                &self.stream,
                part(&layout.feed_forward_norm),
                config.rms_epsilon,
                &mut state.middle_normed,
                &mut state.middle_scale,
            );
            let gated = [&mut state.gate[..], &mut state.up];
            weights.linear_all([&layout.gate, &layout.up], &state.middle_normed, gated, hidden);
            self.overlay.adapt(&layout.gate, &state.middle_normed, &mut state.gate);
            self.overlay.adapt(&layout.up, &state.middle_normed, &mut state.up);
            self.activated.resize(state.gate.len(), 0.0);
            swiglu(&state.gate, &state.up, &mut self.activated);
            let wide = config.intermediate_size;
            let (y, write) = self.overlay.target(&mut self.branch, &mut self.stream);
            weights.linear(&layout.down, &self.activated, y, wide, write);
            self.overlay.adapt(&layout.down, &self.activated, y);
            let place = Place { layer: index, branch: Branch::FeedForward };
            self.overlay.join(place, packed, &mut self.branch, &mut self.stream);
        }
        self.hidden.resize(self.stream.len(), 0.0);
        self.final_scale.resize(self.stream.len() / hidden, 0.0);
        rms_norm(
            &self.stream,
            &weights.data[weights.layout.final_norm.clone()],
            config.rms_epsilon,
            &mut self.hidden,
            &mut self.final_scale,
        );
    }
}

impl LayerState {
    /// Makes room for so many token rows, and after attention for those that are `read`.
    fn resize(&mut self, tokens: usize, read: usize, config: &Config) {
        for (buffer, length) in self.buffers(tokens, read, config) {
            buffer.resize(length, 0.0);
        }
    }

    /// Every buffer, with its length.
    fn buffers(
        &mut self,
        tokens: usize,
        read: usize,
        config: &Config,
    ) -> [(&mut Vec<f32>, usize); 12] {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let (query, key) = (config.heads * config.head_size, config.kv_heads * config.head_size);
        [
            (&mut self.input, tokens * hidden),
            (&mut self.input_scale, tokens),
            (&mut self.normed, tokens * hidden),
            (&mut self.query, tokens * query),
            (&mut self.key, tokens * key),
            (&mut self.value, tokens * key),
            (&mut self.attended, tokens * query),
            (&mut self.middle, read * hidden),
            (&mut self.middle_scale, read),
            (&mut self.middle_normed, read * hidden),
            (&mut self.gate, read * wide),
            (&mut self.up, read * wide),
        ]
    }
}
