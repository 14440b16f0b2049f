//! The bf16 products of a backward pass: `dx = dy W` and `dW += dyᵀ x`.
use rayon::prelude::*;

use super::{
    Format, Kernel, Line, PANEL, PackedMatrix, Write, products, round, round::Activations,
    with_scratch,
};

impl PackedMatrix {
    /// Rounds to bf16 and lays out the transpose of a dense matrix `M` of `outputs` columns, for
    /// products `y = x M`.
    pub(in crate::model) fn transposed(matrix: &[f32], outputs: usize) -> Self {
        assert!(!matrix.is_empty() && matrix.len().is_multiple_of(outputs), "not a matrix");
        let (format, inputs) = (Format::Bf16, matrix.len() / outputs);
        let kernel = Kernel::best(format);
        let lines = round::weight_words(format, inputs) * 2;
        let panels = vec![Line([0; 16]); outputs.div_ceil(PANEL) * lines];
        let mut transposed = Self { format, inputs, outputs, panels, kernel };
        transposed.fill_transposed(matrix);
        transposed
    }

    /// Rounds and lays out the transpose of another matrix of the same shape.
    pub(in crate::model) fn fill_transposed(&mut self, matrix: &[f32]) {
        let Self { format, inputs, outputs, .. } = *self;
        assert_eq!(matrix.len(), outputs * inputs, "another shape");
        let lines = round::weight_words(format, inputs) * 2;
        // Neighbours together, so that what is read of a row is worth the way to memory.
        self.panels.par_chunks_mut(3 * lines).enumerate().for_each(|(index, panels)| {
            round::columns(matrix, outputs, index * 3 * PANEL, panels);
        });
    }
}

/// `dW += dyᵀ x` by bf16, for `dy` (tokens, outputs), `x` (tokens, inputs) and `dW` (outputs, inputs).
pub(in crate::model) fn weight_gradient(dy: &[f32], x: &[f32], dweight: &mut [f32], inputs: usize) {
    let (tokens, outputs) = (x.len() / inputs, dweight.len() / inputs);
    assert!(x.len() == tokens * inputs && dweight.len() == outputs * inputs, "not matrices");
    assert_eq!(dy.len(), tokens * outputs, "dy is not (tokens, outputs)");
    if dy.is_empty() {
        return;
    }
    let x = PackedMatrix::transposed(x, inputs);
    let words = Activations::Bf16.words(tokens);
    with_scratch(outputs * words, |rows| {
        rows.par_chunks_mut(PANEL * words).enumerate().for_each(|(index, rows)| {
            let mut panel = vec![Line([0; 16]); words * 2];
            round::columns(dy, outputs, index * PANEL, &mut panel);
            // Few words at a time, so that the lines they lie in stay close at hand.
            for (block, lines) in panel.chunks(2 * 16).enumerate() {
                for (lane, row) in rows.chunks_exact_mut(words).enumerate() {
                    for (word, lines) in row[block * 16..].iter_mut().zip(lines.chunks_exact(2)) {
                        *word = lines[lane / 16].0[lane % 16];
                    }
                }
            }
        });
        products([&x], rows, outputs, [dweight], Write::Add);
    });
}
