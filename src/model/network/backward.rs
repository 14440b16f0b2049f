//! The backward pass, layer by layer, from what the forward pass kept; it ends where nothing earlier is
//! trained.
use super::{
    Packed, Pass, Weights,
    before::Gathered,
    dropout::{Branch, Place},
    read::widen,
};
use crate::model::{
    attention::attend_backward,
    ops::{Write, swiglu, swiglu_backward},
};

/// Gradients of one layer's activations.
#[derive(Debug, Default)]
pub(super) struct Backward {
    pub(super) stream: Vec<f32>,
    pub(super) branch: Vec<f32>,
    pub(super) hidden: Vec<f32>,
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    pub(super) gathered: Gathered,
    pub(super) wide: Vec<f32>,
    pub(super) up: Vec<f32>,
}

impl Pass {
    /// Backward of [`Pass::forward`] from `self.backward.hidden`; adds to `gradient`.
    pub(super) fn backward(&mut self, weights: &Weights, packed: &Packed, gradient: &mut [f32]) {
        let layout = &weights.layout;
        let hidden = weights.config.hidden_size;
        let back = &mut self.backward;
        back.stream.clear();
        back.stream.resize(self.stream.len(), 0.0);
        self.overlay.norm_backward(
            (weights, &layout.final_norm),
            &self.stream,
            &self.final_scale,
            &back.hidden,
            &mut back.stream,
            gradient,
        );
        for kept in (0..self.kept.len()).rev() {
            self.through_feed_forward(kept, weights, packed, gradient);
            self.through_attention(kept, weights, packed, gradient);
        }
        let Some(embedding) = self.overlay.gradient_of(&layout.embedding, gradient) else { return };
        for (row, &id) in self.backward.stream.chunks_exact(hidden).zip(&packed.ids) {
            let target = &mut embedding[id as usize * hidden..][..hidden];
            for (target, value) in target.iter_mut().zip(row) {
                *target += value;
            }
        }
    }

    /// From the gradient of a kept layer's output, in `stream`, to that of its middle, in place.
    fn through_feed_forward(
        &mut self,
        kept: usize,
        weights: &Weights,
        packed: &Packed,
        gradient: &mut [f32],
    ) {
        let (hidden, wide) = (weights.config.hidden_size, weights.config.intermediate_size);
        let index = weights.config.layers - self.kept.len() + kept;
        let (state, layer) = (&self.kept[kept], &weights.layout.layers[index]);
        let (back, overlay) = (&mut self.backward, &self.overlay);
        self.activated.resize(state.gate.len(), 0.0);
        swiglu(&state.gate, &state.up, &mut self.activated);
        let place = Place { layer: index, branch: Branch::FeedForward };
        let dy = overlay.of_branch(place, packed, &back.stream, &mut back.branch);
        back.wide.resize(state.gate.len(), 0.0);
        back.up.resize(state.gate.len(), 0.0);
        let target = (&mut back.wide[..], Write::Replace);
        overlay.backward((weights, &layer.down), dy, &self.activated, target, wide, gradient);
        swiglu_backward(&state.gate, &state.up, &mut back.wide, &mut back.up);
        let normed = &state.middle_normed;
        back.hidden.resize(state.middle.len(), 0.0);
        let target = (&mut back.hidden[..], Write::Replace);
        overlay.backward((weights, &layer.gate), &back.wide, normed, target, hidden, gradient);
        let target = (&mut back.hidden[..], Write::Add);
        overlay.backward((weights, &layer.up), &back.up, normed, target, hidden, gradient);
        overlay.norm_backward(
            (weights, &layer.feed_forward_norm),
            &state.middle,
            &state.middle_scale,
            &back.hidden,
            &mut back.stream,
            gradient,
        );
    }

    /// From the gradient of a kept layer's middle, in `stream`, to that of its input, in place.
    fn through_attention(
        &mut self,
        kept: usize,
        weights: &Weights,
        packed: &Packed,
        gradient: &mut [f32],
    ) {
        let config = &weights.config;
        let index = weights.config.layers - self.kept.len() + kept;
        let (state, layer) = (&self.kept[kept], &weights.layout.layers[index]);
        let (back, overlay) = (&mut self.backward, &self.overlay);
        let Some((_, rotation)) = &self.rotation else { return };
        let (hidden, query_width) = (config.hidden_size, config.heads * config.head_size);
        let place = Place { layer: index, branch: Branch::Attention };
        let dy = overlay.of_branch(place, packed, &back.stream, &mut back.branch);
        back.hidden.resize(state.attended.len(), 0.0);
        let (weight, target) =
            ((weights, &layer.attention_output), (&mut back.hidden[..], Write::Replace));
        overlay.backward(weight, dy, &state.attended, target, query_width, gradient);
        if let Some(read) = packed.read_in(index, config) {
            widen(&mut back.hidden, read, packed.ids.len(), query_width);
            widen(&mut back.stream, read, packed.ids.len(), hidden);
        }
        back.query.resize(state.query.len(), 0.0);
        back.key.resize(state.key.len(), 0.0);
        back.value.resize(state.value.len(), 0.0);
        let spans = packed.spans();
        let own = [&state.key[..], &state.value];
        let [key, value] = self.gathered.of(config, packed, index, own);
        let own = [&mut back.key[..], &mut back.value];
        back.gathered.backward(config, packed, own, |[dkey, dvalue]| {
            attend_backward(
                config,
                &packed.sequences,
                &spans,
                [&state.query, key, value],
                &back.hidden,
                &mut self.attention,
                [&mut back.query, dkey, dvalue],
            );
        });
        if config.family.rotates(index) {
            rotation.apply(&mut back.query, &packed.positions, true);
            rotation.apply(&mut back.key, &packed.positions, true);
        }
        back.hidden.resize(state.normed.len(), 0.0);
        let projections = [
            (&back.query, &layer.query, Write::Replace),
            (&back.key, &layer.key, Write::Add),
            (&back.value, &layer.value, Write::Add),
        ];
        for (dy, at, write) in projections {
            let target = (&mut back.hidden[..], write);
            overlay.backward((weights, at), dy, &state.normed, target, hidden, gradient);
        }
        overlay.norm_backward(
            (weights, &layer.attention_norm),
            &state.input,
            &state.input_scale,
            &back.hidden,
            &mut back.stream,
            gradient,
        );
    }
}
