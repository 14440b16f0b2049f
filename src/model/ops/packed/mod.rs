//! Products `y = x Wᵀ` with weights that were rounded and laid out once: to bf16 or to 8-bit
//! integers, for inference, where one matrix meets many activations; and bf16 products for training.
//!
//! A row of `y` is the same to the bit whatever rows stand beside it and however many threads work:
//! each result is one chain of sums over the inputs, in their order. Knows no model.
mod gradient;
mod portable;
mod round;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    pub(super) fn kernels(_: super::Format) -> impl Iterator<Item = super::Kernel> {
        std::iter::empty()
    }
}

use std::cell::Cell;

use rayon::prelude::*;

use super::Write;
use round::Activations;

pub(in crate::model) use gradient::weight_gradient;

/// How weights and activations are rounded for a product; sums are exact or `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Format {
    /// `f32` rounded to 8 significant bits.
    Bf16,
    /// Integers of ±127, with a scale for every 64 inputs of a row.
    Int8,
    /// The same, weights of ±51 and activations of ±80: four of their products fit into the sums of 16 bits
    /// that processors without AVX-512 VNNI make.
    Int7,
}

impl Format {
    /// The format of matrices that bear less rounding than the others.
    pub(in crate::model) fn delicate(self) -> Self {
        match self {
            Self::Int7 => Self::Int8,
            other => other,
        }
    }

    /// Whether this processor multiplies it faster than `f32`.
    pub(in crate::model) fn is_fast(self) -> bool {
        self.speed() > 1.0
    }

    /// How many times as fast as `f32` this processor multiplies it, where many rows meet the weights.
    pub(in crate::model) fn speed(self) -> f32 {
        Kernel::best(self).speed
    }

    /// Whether it does so at least where few rows meet the weights, so that reading these takes longest.
    pub(in crate::model) fn is_fast_for_few_rows(self) -> bool {
        x86::kernels(self).next().is_some()
    }
}

/// A weight matrix (outputs, inputs), laid out for products.
///
/// Words of 32 bits hold two or four weights of a row. The words of 32 rows, a panel, alternate: the
/// first word of each row, then the second of each, so that a product reads the panel from end to
/// end. A row of integers has the scale of each group among its words, before the group.
#[derive(Debug)]
pub(in crate::model) struct PackedMatrix {
    format: Format,
    inputs: usize,
    outputs: usize,
    panels: Vec<Line>,
    kernel: Kernel,
}

/// A cache line, and a vector: the same word of 16 rows.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Rows of a panel: two lines.
const PANEL: usize = 32;

impl PackedMatrix {
    /// Rounds and lays out a dense matrix of `inputs` columns.
    pub(in crate::model) fn new(weight: &[f32], inputs: usize, format: Format) -> Self {
        Self::with_kernel(weight, inputs, format, Kernel::best(format))
    }

    fn with_kernel(weight: &[f32], inputs: usize, format: Format, kernel: Kernel) -> Self {
        assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "not a matrix");
        let outputs = weight.len() / inputs;
        let lines = round::weight_words(format, inputs) * 2;
        let panels = vec![Line([0; 16]); outputs.div_ceil(PANEL) * lines];
        let mut matrix = Self { format, inputs, outputs, panels, kernel };
        matrix.fill(weight);
        matrix
    }

    /// Rounds and lays out other weights of the same shape.
    pub(in crate::model) fn fill(&mut self, weight: &[f32]) {
        let Self { format, inputs, outputs, .. } = *self;
        assert_eq!(weight.len(), outputs * inputs, "another shape");
        let lines = round::weight_words(format, inputs) * 2;
        let rows = weight.par_chunks(PANEL * inputs);
        self.panels.par_chunks_mut(lines).zip(rows).for_each(|(panel, rows)| {
            let words = lines / 2;
            let mut rounded = vec![0; PANEL * words];
            for (row, words) in rows.chunks_exact(inputs).zip(rounded.chunks_exact_mut(words)) {
                round::weights(format, row, words);
            }
            for (word, lines) in panel.chunks_exact_mut(2).enumerate() {
                for lane in 0..PANEL {
                    lines[lane / 16].0[lane % 16] = rounded[lane * words + word];
                }
            }
        });
    }

    /// `y = x Wᵀ` (or `+=`) for `x` (tokens, inputs).
    pub(in crate::model) fn linear(&self, x: &[f32], y: &mut [f32], write: Write) {
        linear_all([self], x, [y], write);
    }

    /// Lines of a panel.
    fn lines(&self) -> usize {
        round::weight_words(self.format, self.inputs) * 2
    }

    /// The product of all rows with some panels, each of which meets a few rows at a time.
    fn multiply(&self, x: &[u32], panels: &[Line], y: &mut [&mut [f32]], write: Write) {
        let words = x.len() / y.len();
        // Tiles of nearly the same height.
        let height = y.len().div_ceil(y.len().div_ceil(self.kernel.rows));
        for (panel, weights) in panels.chunks_exact(self.lines()).enumerate() {
            for (x, y) in x.chunks(height * words).zip(y.chunks_mut(height)) {
                (self.kernel.multiply)(x, weights, y, panel * PANEL, write);
            }
        }
    }
}

/// `y = x Wᵀ` (or `+=`) for several matrices of one format and as many inputs: the rows are rounded once,
/// and the cores meet once.
pub(in crate::model) fn linear_all<const N: usize>(
    matrices: [&PackedMatrix; N],
    x: &[f32],
    y: [&mut [f32]; N],
    write: Write,
) {
    let Some(&&PackedMatrix { inputs, kernel: Kernel { activations, .. }, .. }) = matrices.first()
    else {
        return;
    };
    let tokens = x.len() / inputs;
    assert_eq!(x.len(), tokens * inputs, "x is not (tokens, inputs)");
    for (matrix, y) in matrices.iter().zip(&y) {
        let same = matrix.kernel.activations == activations && matrix.inputs == inputs;
        assert!(same, "other rows");
        assert_eq!(y.len(), tokens * matrix.outputs, "y is not (tokens, outputs)");
    }
    if x.is_empty() {
        return;
    }
    let words = activations.words(inputs);
    with_scratch(tokens * words, |rounded| {
        // Enough rows for a job of their own to be worth it.
        let rows = (1_usize << 14).div_ceil(inputs);
        rounded
            .par_chunks_mut(rows * words)
            .zip(x.par_chunks(rows * inputs))
            .for_each(|(words, x)| activations.round(x, inputs, words));
        products(matrices, rounded, tokens, y, write);
    });
}

/// The products with rounded rows: each job takes some columns of a `y`, or of many rows some rows.
fn products<const N: usize>(
    matrices: [&PackedMatrix; N],
    x: &[u32],
    rows: usize,
    y: [&mut [f32]; N],
    write: Write,
) {
    /// Jobs for each thread, so that one that is held up leaves work to the others.
    const JOBS: usize = 4;
    /// Rows that stay in a core's cache with their results.
    const BLOCK: usize = 96;
    let (words, jobs) = (x.len() / rows, JOBS * rayon::current_num_threads());
    if rows >= BLOCK * jobs {
        for (matrix, y) in matrices.into_iter().zip(y) {
            let blocks = y.par_chunks_mut(BLOCK * matrix.outputs).zip(x.par_chunks(BLOCK * words));
            blocks.for_each(|(y, x)| {
                let mut y: Vec<&mut [f32]> = y.chunks_exact_mut(matrix.outputs).collect();
                matrix.multiply(x, &matrix.panels, &mut y, write);
            });
        }
        return;
    }
    let panels: usize = matrices.iter().map(|matrix| matrix.outputs.div_ceil(PANEL)).sum();
    let panels = panels.div_ceil(jobs);
    let mut parts: Vec<Part> = Vec::new();
    for (matrix, y) in matrices.into_iter().zip(y) {
        let own = parts.len();
        let lines = matrix.panels.chunks(panels * matrix.lines());
        parts.extend(lines.map(|panels| Part { matrix, panels, y: Vec::with_capacity(rows) }));
        for row in y.chunks_exact_mut(matrix.outputs) {
            for (part, columns) in parts[own..].iter_mut().zip(row.chunks_mut(panels * PANEL)) {
                part.y.push(columns);
            }
        }
    }
    parts.par_iter_mut().for_each(|part| part.matrix.multiply(x, part.panels, &mut part.y, write));
}

/// Some panels of a matrix, and the columns that they make in each row.
struct Part<'a> {
    matrix: &'a PackedMatrix,
    panels: &'a [Line],
    y: Vec<&'a mut [f32]>,
}

/// Lends memory that the next product on this thread uses again.
fn with_scratch(words: usize, work: impl FnOnce(&mut [u32])) {
    thread_local! {
        static SCRATCH: Cell<Vec<u32>> = Cell::default();
    }
    // Taken, not borrowed: a thread that waits for others may start another product.
    let mut scratch = SCRATCH.take();
    scratch.resize(words, 0);
    work(&mut scratch);
    SCRATCH.set(scratch);
}

/// A product of rounded rows with one panel: takes the rows, the panel, the rows of `y`, where in
/// these the panel's outputs begin, and how to write them.
type Multiply = fn(&[u32], &[Line], &mut [&mut [f32]], usize, Write);

/// A way to multiply.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    /// Rows that it takes at most.
    rows: usize,
    /// How they lie.
    activations: Activations,
    multiply: Multiply,
    /// About how many times as fast as `f32` it was measured to be where many rows meet the weights.
    speed: f32,
}

impl Kernel {
    fn best(format: Format) -> Self {
        x86::kernels(format).next().unwrap_or_else(|| Self::portable(format))
    }

    fn portable(format: Format) -> Self {
        let (activations, multiply, speed): (_, Multiply, _) = match format {
            Format::Bf16 => (Activations::Bf16, portable::bf16, 0.1),
            Format::Int8 => (Activations::Int8, portable::integers, 0.3),
            Format::Int7 => (Activations::Int7, portable::integers, 0.3),
        };
        Self { rows: 8, activations, multiply, speed }
    }
}
