//! Rounding rows of `f32` to words of 32 bits, each two bf16 or four integers.
//!
//! Integers are symmetric: each group of inputs is divided by its largest magnitude over the largest
//! integer. That is added to weights, since the instructions multiply unsigned by signed numbers; the
//! offset of a group of activations, so many times its sum, takes that back, exactly.

use super::{super::vectors::wide, Format, Line, PANEL};

/// Inputs that share a scale.
pub(super) const GROUP: usize = 64;
/// Words of a group's integers: each holds four inputs that are this far apart.
pub(super) const GROUP_WORDS: usize = GROUP / 4;
/// Words of a group of weights: the scale, then the integers.
pub(super) const WEIGHT_GROUP: usize = 1 + GROUP_WORDS;
/// Words of a group of activations: the scale, the offset, then the integers.
pub(super) const ACTIVATION_GROUP: usize = 2 + GROUP_WORDS;
/// The same, where integers take 16 bits.
pub(super) const WIDE_GROUP: usize = 2 + 2 * GROUP_WORDS;

/// The largest integers: of weights, and of activations.
const INT8: (u32, u32) = (127, 127);
/// The largest whose products, four together, stay within 16 bits: 4 * (51 + 51) * 80 < 2^15. Activations
/// get the more of it, since they are less even: of real text, (63, 63) loses a fifth more.
const INT7: (u32, u32) = (51, 80);

/// Words of a row of weights.
pub(super) fn weight_words(format: Format, inputs: usize) -> usize {
    match format {
        Format::Bf16 => inputs.div_ceil(2),
        Format::Int8 | Format::Int7 => inputs.div_ceil(GROUP) * WEIGHT_GROUP,
    }
}

/// Rounds one row of weights.
pub(super) fn weights(format: Format, row: &[f32], words: &mut [u32]) {
    wide(
        #[inline(always)]
        || match format {
            Format::Bf16 => bf16(row, words),
            Format::Int8 => integer_weights::<{ INT8.0 }>(row, words),
            Format::Int7 => integer_weights::<{ INT7.0 }>(row, words),
        },
    );
}

#[inline(always)]
fn integer_weights<const LARGEST: u32>(row: &[f32], words: &mut [u32]) {
    let groups = words.as_chunks_mut::<WEIGHT_GROUP>().0;
    for (group, [scale, words @ ..]) in groups.iter_mut().enumerate() {
        let rounded = integers::<LARGEST>(&padded(row, group * GROUP), words, LARGEST);
        *scale = rounded.0.to_bits();
    }
}

/// How rounded activations lie before a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activations {
    Bf16,
    Int8,
    /// The integers of [`Activations::Int8`] in 16 bits each: two words for one, first its even bytes.
    /// For processors that would have to widen them again for every panel.
    Int8Wide,
    Int7,
}

impl Activations {
    /// Words of a row.
    pub(super) fn words(self, inputs: usize) -> usize {
        match self {
            Self::Bf16 => inputs.div_ceil(2),
            Self::Int8 | Self::Int7 => inputs.div_ceil(GROUP) * ACTIVATION_GROUP,
            Self::Int8Wide => inputs.div_ceil(GROUP) * WIDE_GROUP,
        }
    }

    /// Rounds dense rows.
    pub(super) fn round(self, rows: &[f32], inputs: usize, words: &mut [u32]) {
        wide(
            #[inline(always)]
            || {
                let words = words.chunks_exact_mut(self.words(inputs));
                for (row, words) in rows.chunks_exact(inputs).zip(words) {
                    match self {
                        Self::Bf16 => bf16(row, words),
                        Self::Int8 => integer_row::<{ INT8.1 }, { INT8.0 }>(row, words),
                        Self::Int8Wide => int8_wide_row(row, words),
                        Self::Int7 => integer_row::<{ INT7.1 }, { INT7.0 }>(row, words),
                    }
                }
            },
        );
    }
}

#[inline(always)]
fn integer_row<const LARGEST: u32, const WEIGHT: u32>(row: &[f32], words: &mut [u32]) {
    let groups = words.as_chunks_mut::<ACTIVATION_GROUP>().0;
    for (group, [scale, offset, words @ ..]) in groups.iter_mut().enumerate() {
        [*scale, *offset] = activations::<LARGEST, WEIGHT>(row, group, words);
    }
}

#[inline(always)]
fn int8_wide_row(row: &[f32], words: &mut [u32]) {
    let groups = words.as_chunks_mut::<WIDE_GROUP>().0;
    for (group, [scale, offset, words @ ..]) in groups.iter_mut().enumerate() {
        let mut narrow = [0; GROUP_WORDS];
        [*scale, *offset] = activations::<{ INT8.1 }, { INT8.0 }>(row, group, &mut narrow);
        for (wide, word) in words.as_chunks_mut::<2>().0.iter_mut().zip(narrow) {
            *wide = [widened(word), widened(word >> 8)];
        }
    }
}

/// Rounds one group of a row to integers; returns its scale and its offset.
#[inline(always)]
fn activations<const LARGEST: u32, const WEIGHT: u32>(
    row: &[f32],
    group: usize,
    words: &mut [u32; GROUP_WORDS],
) -> [u32; 2] {
    let (scale, sum) = integers::<LARGEST>(&padded(row, group * GROUP), words, 0);
    [scale.to_bits(), sum.wrapping_mul(WEIGHT).wrapping_neg()]
}

/// The first and the third byte, in 16 bits each.
#[inline(always)]
fn widened(word: u32) -> u32 {
    let byte = |word: u32| u32::from(i16::from(word as i8) as u16);
    byte(word) | byte(word >> 16) << 16
}

/// Rounds columns of a dense matrix to bf16, from `first` on, into panels whose words are pairs of
/// rows.
pub(super) fn columns(matrix: &[f32], columns: usize, first: usize, panels: &mut [Line]) {
    let lines = matrix.len().div_ceil(2 * columns) * 2;
    wide(
        #[inline(always)]
        || {
            for (word, rows) in matrix.chunks(2 * columns).enumerate() {
                let (low, high) = rows.split_at(columns);
                for (index, panel) in panels.chunks_exact_mut(lines).enumerate() {
                    let at = first + index * PANEL;
                    let (low, high): ([f32; PANEL], [f32; PANEL]) =
                        (padded(low, at), padded(high, at));
                    let words: [u32; PANEL] = std::array::from_fn(|lane| {
                        nearest_bf16(low[lane]) | nearest_bf16(high[lane]) << 16
                    });
                    let lines = panel[2 * word..].iter_mut();
                    lines.zip(words.as_chunks().0).for_each(|(line, words)| line.0 = *words);
                }
            }
        },
    );
}

/// The values of a row from `at` on, and zeros where it ends.
#[inline(always)]
fn padded<const N: usize>(row: &[f32], at: usize) -> [f32; N] {
    let values = row.get(at..).unwrap_or_default();
    if let Some(whole) = values.first_chunk() {
        return *whole;
    }
    let mut padded = [0.0; N];
    padded[..values.len()].copy_from_slice(values);
    padded
}

#[inline(always)]
fn bf16(row: &[f32], words: &mut [u32]) {
    let (pairs, rest) = row.as_chunks::<2>();
    for (word, &[low, high]) in words.iter_mut().zip(pairs) {
        *word = nearest_bf16(low) | nearest_bf16(high) << 16;
    }
    if let ([last], Some(word)) = (rest, words.last_mut()) {
        *word = nearest_bf16(*last);
    }
}

/// The upper half of the `f32`, rounded to nearest, ties to even; a NaN stays one.
#[inline(always)]
fn nearest_bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if value.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

/// Rounds one group, adding `shift` to each integer; returns the scale, and the sum without shifts.
#[inline(always)]
fn integers<const LARGEST: u32>(
    values: &[f32; GROUP],
    words: &mut [u32; GROUP_WORDS],
    shift: u32,
) -> (f32, u32) {
    /// 1.5 * 2^23: adding it rounds to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    // As integers, magnitudes have the same order, with NaN above all: it ends up in the scale.
    let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).fold(0, u32::max);
    let scale = f32::from_bits(largest) / LARGEST as f32;
    // A group of zeros, or of values so small that the inverse overflows, becomes one of zeros.
    let inverse = if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    // The low bits of the sum with `ROUND` are those of the integer.
    let integer = |value: f32| (value * inverse + ROUND).to_bits();
    let mut sums = [0_u32; GROUP_WORDS];
    for (at, (word, sum)) in words.iter_mut().zip(&mut sums).enumerate() {
        *word = 0;
        for byte in 0..4 {
            let integer = integer(values[byte * GROUP_WORDS + at]);
            *sum = sum.wrapping_add(integer);
            *word |= (integer.wrapping_add(shift) & 0xff) << (8 * byte);
        }
    }
    let sum = sums.iter().fold(0_u32, |total, &sum| total.wrapping_add(sum));
    (scale, sum.wrapping_sub(ROUND.to_bits().wrapping_mul(GROUP as u32)))
}
