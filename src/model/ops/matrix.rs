//! Products of matrices that lie somewhere in slices, by the gemm crate: the one place that needs
//! `unsafe`.
use gemm::Parallelism;

/// A matrix somewhere in a slice: `data[row * row_stride + column * column_stride]`.
#[derive(Clone, Copy)]
pub(in crate::model) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A dense matrix, row after row.
    pub(in crate::model) fn dense(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that lie `row_stride` apart.
    pub(in crate::model) fn strided(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    pub(in crate::model) fn rows(&self) -> usize {
        self.rows
    }

    pub(in crate::model) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn last_index(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
    }
}

/// Whether a product replaces its target or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Write {
    Replace,
    Add,
}

/// Whether a product uses every core, or runs inside work that already does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Cores {
    All,
    One,
}

/// `target = scale * left * right` (or `+=`); rows of `target` lie `stride` apart.
pub(in crate::model) fn multiply(
    target: &mut [f32],
    stride: usize,
    write: Write,
    left: Matrix,
    right: Matrix,
    scale: f32,
    cores: Cores,
) {
    let (rows, columns, inner) = (left.rows, right.columns, left.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert_eq!(inner, right.rows, "inner dimensions differ");
    assert!(inner > 0 && stride >= columns);
    assert!(target.len() > (rows - 1) * stride + columns - 1);
    assert!(left.data.len() > left.last_index() && right.data.len() > right.last_index());
    let parallelism = match cores {
        Cores::All => Parallelism::Rayon(0),
        Cores::One => Parallelism::None,
    };
    // SAFETY: the three assertions above keep every access inside its slice, and `target` is
    // borrowed mutably, so it overlaps neither operand.
    #[expect(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            target.as_mut_ptr(),
            1,
            stride as isize,
            write == Write::Add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `y = x Wᵀ` (or `+=`) for `x` (tokens, inputs) and `W` (outputs, inputs).
///
/// A row of `y` is the same to the bit whatever rows stand beside it: decoding relies on that, since
/// a reply must not change with the requests served along with it. The kernels keep this promise for
/// all but the smallest products, which they sum in another order; those are padded with zero rows.
pub(in crate::model) fn linear(
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
    inputs: usize,
    write: Write,
) {
    /// gemm takes its "horizontal" kernel up to this many results, and another for one row.
    const SMALL: usize = 16 * 16;
    let (tokens, outputs) = (x.len() / inputs, weight.len() / inputs);
    let weight = Matrix::dense(weight, outputs, inputs).transposed();
    let least = 2.max(SMALL / outputs + 1);
    if tokens >= least || tokens == 0 {
        multiply(y, outputs, write, Matrix::dense(x, tokens, inputs), weight, 1.0, Cores::All);
        return;
    }
    let (mut padded_x, mut padded_y) = (vec![0.0; least * inputs], vec![0.0; least * outputs]);
    padded_x[..x.len()].copy_from_slice(x);
    padded_y[..y.len()].copy_from_slice(y);
    let padded = Matrix::dense(&padded_x, least, inputs);
    multiply(&mut padded_y, outputs, write, padded, weight, 1.0, Cores::All);
    y.copy_from_slice(&padded_y[..y.len()]);
}

/// `dx = dy W`.
pub(in crate::model) fn linear_input_gradient(
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    inputs: usize,
    write: Write,
) {
    let (tokens, outputs) = (dx.len() / inputs, weight.len() / inputs);
    let (dy, weight) = (Matrix::dense(dy, tokens, outputs), Matrix::dense(weight, outputs, inputs));
    multiply(dx, inputs, write, dy, weight, 1.0, Cores::All);
}

/// `dW += dyᵀ x`.
pub(in crate::model) fn linear_weight_gradient(
    dy: &[f32],
    x: &[f32],
    dweight: &mut [f32],
    inputs: usize,
) {
    let (tokens, outputs) = (x.len() / inputs, dweight.len() / inputs);
    let (dy, x) = (Matrix::dense(dy, tokens, outputs), Matrix::dense(x, tokens, inputs));
    multiply(dweight, inputs, Write::Add, dy.transposed(), x, 1.0, Cores::All);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_other_rows() {
        for (inner, outputs) in [(576, 1536), (576, 192), (1536, 576), (24, 12), (6, 3)] {
            check_rows(inner, outputs);
        }
    }

    fn check_rows(inner: usize, outputs: usize) {
        let value = |i: usize| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * 0.5;
        let weight: Vec<f32> = (0..outputs * inner).map(value).collect();
        let x: Vec<f32> = (0..300 * inner).map(|i| value(i + 13)).collect();
        let product = |tokens: usize| {
            let mut y = vec![0.0; tokens * outputs];
            linear(&x[..tokens * inner], &weight, &mut y, inner, Write::Replace);
            y
        };
        let all = product(300);
        for tokens in [1, 2, 3, 5, 8, 17, 31, 33, 63, 250, 299] {
            let same = product(tokens) == all[..tokens * outputs];
            assert!(same, "{tokens} rows of {inner} by {outputs}");
        }
    }
}
