//! The products in plain Rust, for processors without the instructions, and as their reference.
//!
//! Integers give the same bits as the instructions. So does bf16 on Zen 4, but for numbers below the
//! normal ones; other processors may round the sum of a pair in another order.
use super::{
    Line, Write,
    round::{ACTIVATION_GROUP, WEIGHT_GROUP},
};

/// bf16: see [`super::Multiply`].
pub(super) fn bf16(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    let words = panel.len() / 2;
    for (x, y) in x.chunks_exact(words).zip(y) {
        let mut sums = [[0.0_f32; 16]; 2];
        for (&pair, lines) in x.iter().zip(panel.chunks_exact(2)) {
            let (low, high) = halves(pair);
            for (sums, line) in sums.iter_mut().zip(lines) {
                for (sum, &weights) in sums.iter_mut().zip(&line.0) {
                    let (weight_low, weight_high) = halves(weights);
                    *sum += weight_high * high;
                    *sum += weight_low * low;
                }
            }
        }
        store(sums.as_flattened(), &mut y[at..], write);
    }
}

fn halves(pair: u32) -> (f32, f32) {
    (f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000))
}

/// Integers: see [`super::Multiply`].
pub(super) fn integers(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    let groups = panel.as_chunks::<{ 2 * WEIGHT_GROUP }>().0;
    for (x, y) in x.chunks_exact(groups.len() * ACTIVATION_GROUP).zip(y) {
        let mut totals = [[0.0_f32; 16]; 2];
        let x_groups = x.as_chunks::<ACTIVATION_GROUP>().0;
        for ([scale, offset, integers @ ..], panel) in x_groups.iter().zip(groups) {
            let scale = f32::from_bits(*scale);
            let mut sums = [[*offset as i32; 16]; 2];
            for (word, lines) in integers.iter().zip(panel[2..].chunks_exact(2)) {
                let x = word.to_le_bytes().map(|byte| i32::from(byte as i8));
                for (sums, line) in sums.iter_mut().zip(lines) {
                    for (sum, &weights) in sums.iter_mut().zip(&line.0) {
                        for (x, weight) in x.iter().zip(weights.to_le_bytes()) {
                            *sum = sum.wrapping_add(x * i32::from(weight));
                        }
                    }
                }
            }
            for (half, totals) in totals.iter_mut().enumerate() {
                for (lane, total) in totals.iter_mut().enumerate() {
                    let weight_scale = f32::from_bits(panel[half].0[lane]);
                    *total += sums[half][lane] as f32 * (weight_scale * scale);
                }
            }
        }
        store(totals.as_flattened(), &mut y[at..], write);
    }
}

/// Writes as many sums as `y` has room for.
pub(super) fn store(sums: &[f32], y: &mut [f32], write: Write) {
    for (y, sum) in y.iter_mut().zip(sums) {
        match write {
            Write::Replace => *y = *sum,
            Write::Add => *y += sum,
        }
    }
}
