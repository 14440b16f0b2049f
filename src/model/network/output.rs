//! The output layer: losses, with their gradients, and logits.
use rayon::prelude::*;

use super::{Packed, Pass, Weights};
use crate::model::ops::{Write, softmax, wide};

/// Rows whose logits exist together.
pub(super) const ROWS: usize = 128;

impl Pass {
    /// Negative log-likelihood, in nats, of each `(token row, next token)` after a forward pass.
    pub(in crate::model) fn losses(
        &mut self,
        weights: &Weights,
        labels: &[(usize, u32)],
    ) -> Vec<f64> {
        self.output_layer(weights, labels, None)
    }

    /// Adds to `gradient` that of `scale * Σ loss`; returns the losses. It is the gradient of the
    /// weights that are trained, or with an adapter that of its matrices.
    pub(in crate::model) fn losses_backward(
        &mut self,
        weights: &Weights,
        packed: &Packed,
        labels: &[(usize, u32)],
        scale: f32,
        gradient: &mut [f32],
    ) -> Vec<f64> {
        let losses = self.output_layer(weights, labels, Some((scale, gradient)));
        // Without a loss there is no row to go back from.
        if !labels.is_empty() {
            self.backward(weights, packed, gradient);
        }
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
        let (hidden, vocabulary) = (weights.config.hidden_size, weights.config.vocabulary);
        let matrix = &weights.layout.output;
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
                rows.extend_from_slice(&self.hidden[self.place_of(row) * hidden..][..hidden]);
            }
            let logits = &mut logits[..labels.len() * vocabulary];
            weights.linear(matrix, &rows, logits, hidden, Write::Replace);
            let scale = gradient.as_ref().map_or(0.0, |(scale, _)| *scale);
            let chunk = logits.par_chunks_mut(vocabulary).zip(labels).map(|(logits, label)| {
                let target = label.1 as usize;
                let logit = logits[target];
                let normaliser = wide(
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
                weights.input_gradient(matrix, logits, &mut drows, hidden, Write::Replace);
                if let Some(gradient) = self.overlay.gradient_of(matrix, gradient) {
                    weights.weight_gradient(matrix, logits, &rows, gradient, hidden);
                }
                for (&(row, _), drow) in labels.iter().zip(drows.chunks_exact(hidden)) {
                    let place = self.place_of(row);
                    self.backward.hidden[place * hidden..][..hidden].copy_from_slice(drow);
                }
            }
        }
        losses
    }

    /// Logits after the given token rows, (rows, vocabulary).
    pub(in crate::model) fn logits(&self, weights: &Weights, rows: &[usize]) -> Vec<f32> {
        let hidden = weights.config.hidden_size;
        let mut chosen = Vec::with_capacity(rows.len() * hidden);
        for &row in rows {
            chosen.extend_from_slice(&self.hidden[self.place_of(row) * hidden..][..hidden]);
        }
        output_logits(weights, &chosen)
    }
}

/// Logits of hidden rows, (rows, vocabulary).
pub(in crate::model) fn output_logits(weights: &Weights, hidden_rows: &[f32]) -> Vec<f32> {
    let (hidden, vocabulary) = (weights.config.hidden_size, weights.config.vocabulary);
    let mut logits = vec![0.0; hidden_rows.len() / hidden * vocabulary];
    weights.linear(&weights.layout.output, hidden_rows, &mut logits, hidden, Write::Replace);
    logits
}
