//! Loops that become vector code: how they are compiled for the processor at hand, and the sums, maxima
//! and exponentials that they are made of.
use pulp::{Arch, NullaryFnOnce};

/// Calls `work`, an `#[inline(always)]` closure, compiled for the widest vectors that this processor has.
///
/// A closure handed to [`Arch::dispatch`] itself is called through `FnOnce::call_once`, which the compiler
/// may leave a function of its own; then all of it is code for the oldest processors. Called as what it
/// is, it becomes part of the function that is compiled for new ones.
#[inline(always)]
pub(in crate::model) fn wide<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Wide(work))
}

struct Wide<F>(F);

impl<R, F: FnMut() -> R> NullaryFnOnce for Wide<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// Independent partial results: enough for the widest vectors, and the same on every processor.
const LANES: usize = 16;

/// `Σ term(values)` over places of rows of one length, in an order that does not depend on the processor.
#[inline(always)]
pub(in crate::model) fn sum<const N: usize>(
    rows: [&[f32]; N],
    term: impl Fn([f32; N]) -> f32,
) -> f32 {
    let parts = rows.map(|row| row.as_chunks::<LANES>());
    let mut partial = [0.0_f32; LANES];
    for at in 0..parts[0].0.len() {
        let chunks = parts.map(|(chunks, _)| &chunks[at]);
        for (lane, partial) in partial.iter_mut().enumerate() {
            *partial += term(chunks.map(|chunk| chunk[lane]));
        }
    }
    let rest = (0..parts[0].1.len()).map(|at| term(parts.map(|(_, rest)| rest[at])));
    partial.iter().sum::<f32>() + rest.sum::<f32>()
}

/// The largest value; not a number counts for nothing.
#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    let larger = |largest: f32, value: f32| if value > largest { value } else { largest };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut partial = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (partial, value) in partial.iter_mut().zip(chunk) {
            *partial = larger(*partial, *value);
        }
    }
    partial.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// `eˣ` to about 2 ulp, for `x` in [-87, 88] (clamped): Cephes' `expf` without branches, so that
/// loops over it become vector code.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, which is in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let series = 1.987_569_1e-4;
    let series = series * rest + 1.398_199_9e-3;
    let series = series * rest + 8.333_452e-3;
    let series = series * rest + 4.166_579_6e-2;
    let series = series * rest + 1.666_666_5e-1;
    let series = series * rest + 0.5;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    (series * rest * rest + rest + 1.0) * f32::from_bits(exponent << 23)
}

/// Turns scores into probabilities in place; returns the log of the normaliser, `ln Σ eˢ`.
#[inline(always)]
pub(in crate::model) fn softmax(scores: &mut [f32]) -> f32 {
    let largest = maximum(scores);
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let total = sum([&*scores], |[score]| score);
    for score in scores.iter_mut() {
        *score /= total;
    }
    largest + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        for step in -8_700..8_800 {
            let x = step as f32 * 0.01;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 2.5e-7, "exp({x}) = {ours}, not {exact}");
        }
        assert_eq!([exp(-1e9), exp(1e9)], [exp(-87.0), exp(88.0)]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_see_every_place() {
        for length in 0..70 {
            let row: Vec<f32> = (0..length).map(|at| at as f32).collect();
            let expected: f32 = row.iter().map(|value| value * value).sum();
            assert_eq!(sum([&row, &row], |[a, b]| a * b), expected);
            for at in 0..length {
                let mut row = vec![-3.0; length];
                (row[at], row[(at + 1) % length]) = (f32::NAN, -1.0);
                assert_eq!(maximum(&row), -1.0);
            }
        }
        assert_eq!(maximum(&[]), f32::NEG_INFINITY);
    }
}
