//! What a training lays over the weights, an adapter and dropout, and which of the weights it moves.
use std::ops::Range;

use super::{
    Packed, Weights,
    dropout::{Dropout, Place},
};
use crate::model::{
    adapter::Adapter,
    ops::{
        Cores, Matrix, Write, linear, linear_input_gradient, linear_weight_gradient, multiply,
        rms_norm_backward,
    },
};

#[derive(Debug)]
pub(in crate::model) struct Overlay {
    /// Where the weights lie that are trained: gradients are of them, in their order.
    trained: Range<usize>,
    /// With an adapter, gradients are those of its matrices, and the weights have none.
    pub(in crate::model) adapter: Option<Adapter>,
    pub(in crate::model) dropout: Option<Dropout>,
}

impl Overlay {
    pub(super) fn of(trained: Range<usize>) -> Self {
        Self { trained, adapter: None, dropout: None }
    }

    /// The weights that are trained: none with an adapter.
    pub(in crate::model) fn trained(&self) -> Range<usize> {
        match self.adapter {
            Some(_) => 0..0,
            None => self.trained.clone(),
        }
    }

    /// The part of the gradient that is of the weights at `at`, if they are trained.
    pub(super) fn gradient_of<'a>(
        &self,
        at: &Range<usize>,
        gradient: &'a mut [f32],
    ) -> Option<&'a mut [f32]> {
        let trained = self.trained();
        let within = trained.start <= at.start && at.end <= trained.end;
        within.then(|| &mut gradient[at.start - trained.start..at.end - trained.start])
    }

    /// Adds the adapter's share to `y = x Wᵀ`, whose weights lie at `at`.
    pub(super) fn adapt(&self, at: &Range<usize>, x: &[f32], y: &mut [f32]) {
        let Some((adapter, [a, b])) = self.pair(at) else { return };
        let rank = adapter.rank();
        let inputs = a.len() / rank;
        let (tokens, outputs) = (x.len() / inputs, b.len() / rank);
        let mut low = vec![0.0; tokens * rank];
        linear(x, &adapter.data[a], &mut low, inputs, Write::Replace);
        let low = Matrix::dense(&low, tokens, rank);
        let b = Matrix::dense(&adapter.data[b], outputs, rank).transposed();
        multiply(y, outputs, Write::Add, low, b, adapter.scale(), Cores::All);
    }

    /// Where a branch of the residual stream is to be written: to the stream itself, unless it first
    /// has to be dropped from.
    pub(super) fn target<'a>(
        &self,
        branch: &'a mut Vec<f32>,
        stream: &'a mut [f32],
    ) -> (&'a mut [f32], Write) {
        if self.dropout.is_none() {
            return (stream, Write::Add);
        }
        branch.resize(stream.len(), 0.0);
        (branch, Write::Replace)
    }

    /// Adds to the stream what dropout leaves of a branch.
    pub(super) fn join(
        &self,
        place: Place,
        packed: &Packed,
        branch: &mut [f32],
        stream: &mut [f32],
    ) {
        let Some(dropout) = &self.dropout else { return };
        dropout.apply(place, packed, branch);
        for (stream, branch) in stream.iter_mut().zip(branch) {
            *stream += *branch;
        }
    }

    /// Backward of [`Overlay::join`]: the gradient of a branch, from that of the stream.
    pub(super) fn of_branch<'a>(
        &self,
        place: Place,
        packed: &Packed,
        dstream: &'a [f32],
        branch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let Some(dropout) = &self.dropout else { return dstream };
        branch.clear();
        branch.extend_from_slice(dstream);
        dropout.apply(place, packed, branch);
        branch
    }

    /// Backward of a projection of `x` to `dy`'s rows: fills `dx`, or adds to it, and adds to the
    /// gradient of what is trained.
    pub(super) fn backward(
        &self,
        (weights, at): (&Weights, &Range<usize>),
        dy: &[f32],
        x: &[f32],
        (dx, write): (&mut [f32], Write),
        inputs: usize,
        gradient: &mut [f32],
    ) {
        weights.input_gradient(at, dy, dx, inputs, write);
        if let Some(gradient) = self.gradient_of(at, gradient) {
            weights.weight_gradient(at, dy, x, gradient, inputs);
        }
        let Some((adapter, [a, b])) = self.pair(at) else { return };
        let (rank, tokens) = (adapter.rank(), x.len() / inputs);
        let outputs = b.len() / rank;
        let (mut low, mut dlow) = (vec![0.0; tokens * rank], vec![0.0; tokens * rank]);
        linear(x, &adapter.data[a.clone()], &mut low, inputs, Write::Replace);
        let dy = Matrix::dense(dy, tokens, outputs);
        let weight = Matrix::dense(&adapter.data[b.clone()], outputs, rank);
        let (scale, cores) = (adapter.scale(), Cores::All);
        multiply(&mut dlow, rank, Write::Replace, dy, weight, scale, cores);
        let low = Matrix::dense(&low, tokens, rank);
        multiply(&mut gradient[b], rank, Write::Add, dy.transposed(), low, scale, cores);
        linear_weight_gradient(&dlow, x, &mut gradient[a.clone()], inputs);
        linear_input_gradient(&dlow, &adapter.data[a], dx, inputs, Write::Add);
    }

    /// Backward of a norm whose weights lie at `at`: adds to `dx`, and to the gradient if it is trained.
    pub(super) fn norm_backward(
        &self,
        (weights, at): (&Weights, &Range<usize>),
        x: &[f32],
        inverse_rms: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        gradient: &mut [f32],
    ) {
        let dweight = self.gradient_of(at, gradient);
        rms_norm_backward(x, &weights.data[at.clone()], inverse_rms, dy, dx, dweight);
    }

    fn pair(&self, at: &Range<usize>) -> Option<(&Adapter, [Range<usize>; 2])> {
        let adapter = self.adapter.as_ref()?;
        Some((adapter, adapter.pair(at)?))
    }
}
