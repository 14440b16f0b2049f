//! The products by AVX2 and fused multiply-add, for processors without AVX-512.
//!
//! Both give the portable kernel's bits: products of two bf16 are exact in `f32`, and so are sums of
//! integers.
use std::arch::{is_x86_feature_detected, x86_64::*};

use super::{
    super::{
        Format, Kernel, Line, Multiply, Write, portable,
        round::{ACTIVATION_GROUP, Activations, GROUP_WORDS, WEIGHT_GROUP, WIDE_GROUP},
    },
    by_rows, prefetch,
};

/// The kernel for a format, where this processor has the instructions.
pub(super) fn kernel(format: Format) -> Option<Kernel> {
    let (activations, multiply, speed): (_, Multiply, _) = match format {
        // It takes the instructions of `f32` and more: what it saves is memory.
        Format::Bf16 => (Activations::Bf16, bf16, 0.9),
        Format::Int8 => (Activations::Int8Wide, int8, 1.8),
        Format::Int7 => (Activations::Int7, int7, 2.5),
    };
    supported().then_some(Kernel { rows: ROWS, activations, multiply, speed })
}

fn supported() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Rows that a tile takes at most: with two vectors of outputs, they fill the 16 registers.
const ROWS: usize = 4;

fn bf16(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    assert!(supported());
    // SAFETY: the processor has the instructions.
    #[expect(unsafe_code)]
    unsafe {
        by_rows!(bf16_rows, [1 2 3 4], x, panel, y, at, write);
    }
}

fn int8(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    assert!(supported());
    // SAFETY: the processor has the instructions.
    #[expect(unsafe_code)]
    unsafe {
        by_rows!(int8_rows, [1 2 3 4], x, panel, y, at, write);
    }
}

fn int7(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    assert!(supported());
    // SAFETY: the processor has the instructions.
    #[expect(unsafe_code)]
    unsafe {
        by_rows!(int7_rows, [1 2 3 4], x, panel, y, at, write);
    }
}

/// The sums of some rows with 8 outputs of each vector.
type Sums<const ROWS: usize, const VECTORS: usize> = [[__m256; VECTORS]; ROWS];

/// Defines the product of some rows with a panel: few rows meet all four vectors at once; more take two
/// after two, so that their sums stay in registers.
macro_rules! rows_by {
    ($rows:ident, $tile:ident) => {
        #[target_feature(enable = "avx2,fma")]
        fn $rows<const ROWS: usize>(
            x: &[u32],
            panel: &[Line],
            y: &mut [&mut [f32]],
            at: usize,
            write: Write,
        ) {
            if ROWS <= 2 {
                store(&$tile::<ROWS, 4>(x, panel, 0), y, at, write);
            } else {
                for first in [0, 2] {
                    store(&$tile::<ROWS, 2>(x, panel, first), y, at + 8 * first, write);
                }
            }
        }
    };
}
rows_by!(bf16_rows, bf16_tile);
rows_by!(int8_rows, int8_tile);
rows_by!(int7_rows, int7_tile);

/// The vectors of a panel from `first` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn bf16_tile<const ROWS: usize, const VECTORS: usize>(
    x: &[u32],
    panel: &[Line],
    first: usize,
) -> Sums<ROWS, VECTORS> {
    let words = panel.len() / 2;
    let x = rows_of::<ROWS, _>(x, words);
    let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    for (word, lines) in panel.as_chunks::<2>().0.iter().enumerate() {
        // More rows than two find the panel in the cache again and again.
        if VECTORS == 4 {
            prefetch(lines, panel.len());
        }
        let mut high = [_mm256_setzero_ps(); VECTORS];
        let mut low = [_mm256_setzero_ps(); VECTORS];
        for vector in 0..VECTORS {
            let weights = load(lines, first + vector);
            high[vector] = _mm256_castsi256_ps(_mm256_and_si256(weights, upper));
            low[vector] = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(weights));
        }
        for row in 0..ROWS {
            let pair = _mm256_set1_epi32(x[row][word] as i32);
            let upper = _mm256_castsi256_ps(_mm256_and_si256(pair, upper));
            let lower = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pair));
            for vector in 0..VECTORS {
                let sum = &mut sums[row][vector];
                *sum = _mm256_fmadd_ps(high[vector], upper, *sum);
                *sum = _mm256_fmadd_ps(low[vector], lower, *sum);
            }
        }
    }
    sums
}

/// AVX2 multiplies bytes with sums of 16 bits, which these can exceed. So the even and the odd bytes
/// are taken for integers of 16 bits, whose products it sums to 32; those of the rows lie so already.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn int8_tile<const ROWS: usize, const VECTORS: usize>(
    x: &[u32],
    panel: &[Line],
    first: usize,
) -> Sums<ROWS, VECTORS> {
    let (length, groups) = (panel.len(), panel.as_chunks::<{ 2 * WEIGHT_GROUP }>().0);
    let x = rows_of::<ROWS, _>(x.as_chunks::<WIDE_GROUP>().0, groups.len());
    let bytes = _mm256_set1_epi16(0xff);
    let mut totals = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    for (group, panel) in groups.iter().enumerate() {
        let mut sums = [[_mm256_setzero_si256(); VECTORS]; ROWS];
        for row in 0..ROWS {
            sums[row] = [_mm256_set1_epi32(x[row][group][1] as i32); VECTORS];
        }
        for word in 0..GROUP_WORDS {
            let lines = panel[2 * (word + 1)..].first_chunk::<2>().expect("a word");
            if VECTORS == 4 {
                prefetch(lines, length);
            }
            let mut even = [_mm256_setzero_si256(); VECTORS];
            let mut odd = [_mm256_setzero_si256(); VECTORS];
            for vector in 0..VECTORS {
                let weights = load(lines, first + vector);
                even[vector] = _mm256_and_si256(weights, bytes);
                odd[vector] = _mm256_srli_epi16::<8>(weights);
            }
            for row in 0..ROWS {
                let evens = _mm256_set1_epi32(x[row][group][2 + 2 * word] as i32);
                let odds = _mm256_set1_epi32(x[row][group][3 + 2 * word] as i32);
                for vector in 0..VECTORS {
                    let pair = _mm256_madd_epi16(even[vector], evens);
                    let other = _mm256_madd_epi16(odd[vector], odds);
                    let sum = &mut sums[row][vector];
                    *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(pair, other));
                }
            }
        }
        for row in 0..ROWS {
            add_scaled(&mut totals[row], &sums[row], x[row][group][0], panel, first);
        }
    }
    totals
}

/// Of integers that are small enough, sums of 16 bits hold what two instructions multiply.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn int7_tile<const ROWS: usize, const VECTORS: usize>(
    x: &[u32],
    panel: &[Line],
    first: usize,
) -> Sums<ROWS, VECTORS> {
    let (length, groups) = (panel.len(), panel.as_chunks::<{ 2 * WEIGHT_GROUP }>().0);
    let x = rows_of::<ROWS, _>(x.as_chunks::<ACTIVATION_GROUP>().0, groups.len());
    let ones = _mm256_set1_epi16(1);
    let mut totals = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    for (group, panel) in groups.iter().enumerate() {
        let mut sums = [[_mm256_setzero_si256(); VECTORS]; ROWS];
        for row in 0..ROWS {
            sums[row] = [_mm256_set1_epi32(x[row][group][1] as i32); VECTORS];
        }
        for word in (0..GROUP_WORDS).step_by(2) {
            let lines = panel[2 * (word + 1)..].first_chunk::<4>().expect("two words");
            if VECTORS == 4 {
                prefetch(lines, length);
            }
            let [lines, next] = lines.as_chunks::<2>().0 else { unreachable!() };
            for row in 0..ROWS {
                let four = _mm256_set1_epi32(x[row][group][2 + word] as i32);
                let next_four = _mm256_set1_epi32(x[row][group][3 + word] as i32);
                for (vector, sum) in sums[row].iter_mut().enumerate() {
                    let products = _mm256_maddubs_epi16(load(lines, first + vector), four);
                    let others = _mm256_maddubs_epi16(load(next, first + vector), next_four);
                    let pairs = _mm256_add_epi16(products, others);
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        for row in 0..ROWS {
            add_scaled(&mut totals[row], &sums[row], x[row][group][0], panel, first);
        }
    }
    totals
}

/// Adds a group's sums, by the scale of the row and those of the outputs, with which the panel begins.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_scaled<const VECTORS: usize>(
    totals: &mut [__m256; VECTORS],
    sums: &[__m256i; VECTORS],
    scale: u32,
    panel: &[Line],
    first: usize,
) {
    let scale = _mm256_set1_ps(f32::from_bits(scale));
    let scales = panel.first_chunk::<2>().expect("scales");
    for (vector, (total, &sum)) in totals.iter_mut().zip(sums).enumerate() {
        let scales = _mm256_castsi256_ps(load(scales, first + vector));
        let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scales, scale));
        *total = _mm256_add_ps(*total, sum);
    }
}

/// The first rows, of `width` each. No closure: it would not be compiled for these instructions.
#[inline(always)]
fn rows_of<const ROWS: usize, T>(all: &[T], width: usize) -> [&[T]; ROWS] {
    let mut rows = [&all[..0]; ROWS];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = &all[index * width..][..width];
    }
    rows
}

/// Eight of the 32 words.
#[inline]
#[target_feature(enable = "avx2")]
fn load(lines: &[Line; 2], vector: usize) -> __m256i {
    let words = &lines[vector / 2].0.as_chunks::<8>().0[vector % 2];
    // SAFETY: 32 bytes; unaligned loads ask for no more.
    #[expect(unsafe_code)]
    unsafe {
        _mm256_loadu_si256(std::ptr::from_ref(words).cast())
    }
}

/// Writes the sums of each row from column `at` on, as many as `y` has room for.
#[inline]
#[target_feature(enable = "avx2")]
fn store<const ROWS: usize, const VECTORS: usize>(
    sums: &Sums<ROWS, VECTORS>,
    y: &mut [&mut [f32]],
    at: usize,
    write: Write,
) {
    for (sums, y) in sums.iter().zip(y) {
        for (vector, &sum) in sums.iter().enumerate() {
            let y = y.get_mut(at + 8 * vector..).unwrap_or_default();
            let mut eight = [0.0_f32; 8];
            // SAFETY: 32 bytes each; unaligned loads and stores ask for no more.
            #[expect(unsafe_code)]
            unsafe {
                match y.first_chunk_mut::<8>() {
                    Some(y) => {
                        let sum = match write {
                            Write::Replace => sum,
                            Write::Add => _mm256_add_ps(_mm256_loadu_ps(y.as_ptr()), sum),
                        };
                        _mm256_storeu_ps(y.as_mut_ptr(), sum);
                        continue;
                    }
                    None => _mm256_storeu_ps(eight.as_mut_ptr(), sum),
                }
            }
            portable::store(&eight, y, write);
        }
    }
}
