//! What a training rounds for products: once what it leaves as it is, and after each step what it moved.
use std::ops::Range;

use super::{
    super::{network::Weights, ops::Format},
    Training,
};

impl Training<'_> {
    /// Rounds what is rounded, before the first step.
    pub(super) fn round_all(&self, weights: &mut Weights, trained: &Range<usize>) {
        let layout = &weights.layout;
        let layers = self.last_layers.unwrap_or(weights.config.layers);
        // No gradient goes through the layers between them.
        let (embedding, first) = (layout.embedding.end, layout.last_layers(layers).start);
        let goes_back = |at: &Range<usize>| at.start < embedding || first <= at.start;
        if let Some(rounding) = self.frozen {
            weights.round(rounding.format(), |at| !trained.contains(&at.start));
        }
        if self.rounded {
            weights.round_backward(|at| goes_back(at) && !trained.contains(&at.start));
        }
        self.round(weights, trained);
    }

    /// Has the products that follow use the trained weights as they are now.
    pub(super) fn round(&self, weights: &mut Weights, trained: &Range<usize>) {
        if self.rounded {
            weights.round(Format::Bf16, |at| trained.contains(&at.start));
            weights.round_backward(|at| trained.contains(&at.start));
        }
    }
}
