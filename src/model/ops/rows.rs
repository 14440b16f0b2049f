//! Operations on token rows: norms, activations, rotary positions.
use rayon::prelude::*;

use super::vectors::{exp, sum, wide};

/// RMSNorm: `y = x / rms(x) * weight`; keeps `1 / rms(x)` of each token for the backward pass.
pub(in crate::model) fn rms_norm(
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    y: &mut [f32],
    inverse_rms: &mut [f32],
) {
    let width = weight.len();
    let rows = y.par_chunks_mut(width).zip(x.par_chunks(width)).zip(inverse_rms.par_iter_mut());
    rows.with_min_len(32).for_each(|((y, x), inverse_rms)| {
        wide(
            #[inline(always)]
            || {
                let mean_square = sum([x], |[x]| x * x) / width as f32;
                let scale = 1.0 / (mean_square + epsilon).sqrt();
                *inverse_rms = scale;
                for i in 0..width {
                    y[i] = x[i] * scale * weight[i];
                }
            },
        );
    });
}

/// RMSNorm of each part of `x` that is as wide as `weight`, in place.
pub(in crate::model) fn norm_parts(x: &mut [f32], weight: &[f32], epsilon: f32) {
    let width = weight.len();
    x.par_chunks_mut(width).with_min_len(64).for_each(|x| {
        wide(
            #[inline(always)]
            || {
                let scale = 1.0 / (sum([x], |[x]| x * x) / width as f32 + epsilon).sqrt();
                for i in 0..width {
                    x[i] *= scale * weight[i];
                }
            },
        );
    });
}

/// Adds a bias to every row.
pub(in crate::model) fn add_bias(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
    }
}

/// Tokens handled together when a sum over tokens is split among cores.
const BLOCK: usize = 64;

/// Backward of [`rms_norm`]: adds to `dx`, and to `dweight` where the weights are trained.
pub(in crate::model) fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    inverse_rms: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dweight: Option<&mut [f32]>,
) {
    let width = weight.len();
    let block = BLOCK * width;
    let blocks = dx.par_chunks_mut(block).zip(dy.par_chunks(block)).zip(x.par_chunks(block));
    let partial: Vec<Vec<f32>> = blocks
        .zip(inverse_rms.par_chunks(BLOCK))
        .map(|(((dx, dy), x), inverse_rms)| {
            let mut dweight = vec![0.0; width];
            let rows = dx.chunks_mut(width).zip(dy.chunks(width)).zip(x.chunks(width));
            for (((dx, dy), x), &scale) in rows.zip(inverse_rms) {
                wide(
                    #[inline(always)]
                    || {
                        let inner = sum([dy, weight, x], |[dy, weight, x]| dy * weight * x);
                        let along = inner * scale * scale * scale / width as f32;
                        for i in 0..width {
                            dx[i] += dy[i] * weight[i] * scale - x[i] * along;
                            dweight[i] += dy[i] * x[i] * scale;
                        }
                    },
                );
            }
            dweight
        })
        .collect();
    let Some(dweight) = dweight else { return };
    for partial in partial {
        for (total, part) in dweight.iter_mut().zip(partial) {
            *total += part;
        }
    }
}

/// SwiGLU: `y = silu(gate) * up`.
pub(in crate::model) fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32]) {
    let chunks = y.par_chunks_mut(4096).zip(gate.par_chunks(4096)).zip(up.par_chunks(4096));
    chunks.for_each(|((y, gate), up)| {
        wide(
            #[inline(always)]
            || {
                for i in 0..y.len() {
                    y[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
                }
            },
        );
    });
}

/// Backward of [`swiglu`]: `d` comes in as the gradient of `y`, and leaves as that of the gate;
/// `dup` becomes that of `up`.
pub(in crate::model) fn swiglu_backward(gate: &[f32], up: &[f32], d: &mut [f32], dup: &mut [f32]) {
    let gradients = d.par_chunks_mut(4096).zip(dup.par_chunks_mut(4096));
    let chunks = gradients.zip(gate.par_chunks(4096)).zip(up.par_chunks(4096));
    chunks.for_each(|(((d, dup), gate), up)| {
        wide(
            #[inline(always)]
            || {
                for i in 0..d.len() {
                    let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
                    let silu = gate[i] * sigmoid;
                    let dy = d[i];
                    dup[i] = dy * silu;
                    d[i] = dy * up[i] * (sigmoid + silu * (1.0 - sigmoid));
                }
            },
        );
    });
}

/// Cosines and sines of rotary positions, (positions, head_size / 2) each.
#[derive(Debug)]
pub(in crate::model) struct Rotation {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotation {
    /// Tables for so many positions; a frequency is the angle between neighbours.
    pub(in crate::model) fn new(positions: usize, frequencies: &[f32]) -> Self {
        let angles: Vec<f32> = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        Self {
            half: frequencies.len(),
            cosines: angles.iter().map(|angle| angle.cos()).collect(),
            sines: angles.iter().map(|angle| angle.sin()).collect(),
        }
    }

    /// Rotates every head of every token in place; `positions` has one entry a token. The inverse
    /// rotation is the backward pass.
    pub(in crate::model) fn apply(&self, x: &mut [f32], positions: &[u32], inverse: bool) {
        let width = x.len() / positions.len().max(1);
        let sign = if inverse { -1.0 } else { 1.0 };
        let rows = x.par_chunks_mut(width.max(1)).zip(positions.par_iter()).with_min_len(32);
        rows.for_each(|(x, &position)| {
            let at = position as usize * self.half..(position as usize + 1) * self.half;
            let (cosines, sines) = (&self.cosines[at.clone()], &self.sines[at]);
            wide(
                #[inline(always)]
                || {
                    for head in x.chunks_exact_mut(2 * self.half) {
                        let (first, second) = head.split_at_mut(self.half);
                        for i in 0..self.half {
                            let (a, b, sine) = (first[i], second[i], sines[i] * sign);
                            first[i] = a * cosines[i] - b * sine;
                            second[i] = b * cosines[i] + a * sine;
                        }
                    }
                },
            );
        });
    }
}
