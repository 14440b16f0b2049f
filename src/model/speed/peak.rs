//! What this machine does at best: products, and bytes from memory.
use std::time::Instant;

use rayon::prelude::*;

use crate::model::{
    Rounding,
    ops::{Cores, Matrix, PackedMatrix, Write, multiply, sum, wide},
};

/// The best of several measurements, with all cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Operations a second, two for each factor, in products of 2048 × 2048 × 2048.
    pub f32: f64,
    pub bf16: f64,
    pub int8: f64,
    pub int7: f64,
    /// Bytes read a second from a buffer of 256 MiB.
    pub bandwidth: f64,
}

/// Figures of an unoptimised build are worth nothing, so it does not take long over them.
const QUICK: bool = cfg!(debug_assertions);
const SIZE: usize = if QUICK { 64 } else { 2048 };
const BUFFER: usize = if QUICK { 1 << 16 } else { 1 << 26 };
const TIMES: usize = if QUICK { 2 } else { 12 };

impl Peaks {
    /// Takes about three seconds on two cores.
    pub fn measure() -> Self {
        let x: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 251) as f32 / 251.0 - 0.5).collect();
        let mut y = vec![0.0; SIZE * SIZE];
        let operations = 2.0 * (SIZE as f64).powi(3);
        let exact = operations
            / least_seconds(|| {
                let (left, right) =
                    (Matrix::dense(&x, SIZE, SIZE), Matrix::dense(&x, SIZE, SIZE).transposed());
                multiply(&mut y, SIZE, Write::Replace, left, right, 1.0, Cores::All);
            });
        let mut rounded = |rounding: Rounding| {
            let matrix = PackedMatrix::new(&x, SIZE, rounding.format());
            operations / least_seconds(|| matrix.linear(&x, &mut y, Write::Replace))
        };
        let [bf16, int8, int7] = [Rounding::Bf16, Rounding::Int8, Rounding::Int7].map(&mut rounded);
        Self { f32: exact, bf16, int8, int7, bandwidth: bandwidth() }
    }

    /// Operations a second in products of one kind.
    pub fn operations(&self, rounding: Option<Rounding>) -> f64 {
        match rounding {
            None => self.f32,
            Some(Rounding::Bf16) => self.bf16,
            Some(Rounding::Int8) => self.int8,
            Some(Rounding::Int7) => self.int7,
        }
    }
}

fn least_seconds(mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    };
    (0..TIMES).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn bandwidth() -> f64 {
    let buffer = vec![1.0_f32; BUFFER];
    let seconds = least_seconds(|| {
        let total: f32 = buffer
            .par_chunks(1 << 16)
            .map(|chunk| {
                wide(
                    #[inline(always)]
                    || sum([chunk], |[value]| value),
                )
            })
            .sum();
        std::hint::black_box(total);
    });
    (buffer.len() * size_of::<f32>()) as f64 / seconds
}
