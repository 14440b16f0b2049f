//! The products by AVX-512 and its instructions for bf16 and 8-bit integers.
use std::arch::{is_x86_feature_detected, x86_64::*};

use super::{
    super::{
        Format, Kernel, Line, PANEL, Write,
        round::{ACTIVATION_GROUP, Activations, GROUP_WORDS, WEIGHT_GROUP},
    },
    by_rows, prefetch,
};

/// The kernel for a format, where this processor has the instructions.
pub(super) fn kernel(format: Format) -> Option<Kernel> {
    let kernel = match format {
        Format::Bf16 => {
            let activations = Activations::Bf16;
            Kernel { rows: 12, activations, multiply: bf16, speed: 1.9 }
        }
        Format::Int8 => {
            let activations = Activations::Int8;
            Kernel { rows: 6, activations, multiply: integers, speed: 2.9 }
        }
        // The same instructions on the same bytes.
        Format::Int7 => {
            let activations = Activations::Int7;
            Kernel { rows: 6, activations, multiply: integers, speed: 2.9 }
        }
    };
    supported(format).then_some(kernel)
}

fn supported(format: Format) -> bool {
    is_x86_feature_detected!("avx512f")
        && match format {
            Format::Bf16 => is_x86_feature_detected!("avx512bf16"),
            Format::Int8 | Format::Int7 => is_x86_feature_detected!("avx512vnni"),
        }
}

fn bf16(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    assert!(supported(Format::Bf16));
    // SAFETY: the processor has the instructions.
    #[expect(unsafe_code)]
    unsafe {
        by_rows!(bf16_tile, [1 2 3 4 5 6 7 8 9 10 11 12], x, panel, y, at, write);
    }
}

fn integers(x: &[u32], panel: &[Line], y: &mut [&mut [f32]], at: usize, write: Write) {
    assert!(supported(Format::Int8));
    // SAFETY: the processor has the instructions.
    #[expect(unsafe_code)]
    unsafe {
        by_rows!(integer_tile, [1 2 3 4 5 6], x, panel, y, at, write);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16_tile<const ROWS: usize>(
    x: &[u32],
    panel: &[Line],
    y: &mut [&mut [f32]],
    at: usize,
    write: Write,
) {
    let words = panel.len() / 2;
    let x: [&[u32]; ROWS] = std::array::from_fn(|row| &x[row * words..][..words]);
    prefetch_results(y, at, write);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (word, lines) in panel.as_chunks::<2>().0.iter().enumerate() {
        prefetch(lines, panel.len());
        let weights = [load(&lines[0]), load(&lines[1])];
        for row in 0..ROWS {
            let pair = _mm512_set1_epi32(x[row][word] as i32);
            for half in 0..2 {
                sums[row][half] =
                    _mm512_dpbf16_ps(sums[row][half], as_bf16(weights[half]), as_bf16(pair));
            }
        }
    }
    for (sums, y) in sums.into_iter().zip(y) {
        store(sums, &mut y[at..], write);
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn integer_tile<const ROWS: usize>(
    x: &[u32],
    panel: &[Line],
    y: &mut [&mut [f32]],
    at: usize,
    write: Write,
) {
    let (length, groups) = (panel.len(), panel.as_chunks::<{ 2 * WEIGHT_GROUP }>().0);
    let x: [&[[u32; ACTIVATION_GROUP]]; ROWS] = {
        let all = x.as_chunks::<ACTIVATION_GROUP>().0;
        std::array::from_fn(|row| &all[row * groups.len()..][..groups.len()])
    };
    prefetch_results(y, at, write);
    let mut totals = [[_mm512_setzero_ps(); 2]; ROWS];
    for (group, panel) in groups.iter().enumerate() {
        let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
        for row in 0..ROWS {
            sums[row] = [_mm512_set1_epi32(x[row][group][1] as i32); 2];
        }
        for word in 0..GROUP_WORDS {
            let lines = &panel[2 * (word + 1)..][..2];
            prefetch(lines, length);
            let weights = [load(&lines[0]), load(&lines[1])];
            for row in 0..ROWS {
                let four = _mm512_set1_epi32(x[row][group][2 + word] as i32);
                for half in 0..2 {
                    sums[row][half] = _mm512_dpbusd_epi32(sums[row][half], weights[half], four);
                }
            }
        }
        let scales = [load(&panel[0]), load(&panel[1])].map(|line| _mm512_castsi512_ps(line));
        for row in 0..ROWS {
            let scale = _mm512_set1_ps(f32::from_bits(x[row][group][0]));
            for half in 0..2 {
                let scale = _mm512_mul_ps(scales[half], scale);
                let sum = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[row][half]), scale);
                totals[row][half] = _mm512_add_ps(totals[row][half], sum);
            }
        }
    }
    for (totals, y) in totals.into_iter().zip(y) {
        store(totals, &mut y[at..], write);
    }
}

#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, and aligned.
    #[expect(unsafe_code)]
    unsafe {
        _mm512_load_si512(std::ptr::from_ref(line).cast())
    }
}

/// Asks for the results that a product will be added to.
#[target_feature(enable = "avx512f")]
fn prefetch_results(y: &[&mut [f32]], at: usize, write: Write) {
    if write == Write::Add {
        for y in y {
            _mm_prefetch::<_MM_HINT_T0>(y[at..].as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(y[at..].as_ptr().wrapping_add(16).cast());
        }
    }
}

/// The same bits.
#[target_feature(enable = "avx512f")]
fn as_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without a wrong value.
    #[expect(unsafe_code)]
    unsafe {
        std::mem::transmute(bits)
    }
}

/// Writes as many of the 32 sums as `y` has room for.
#[target_feature(enable = "avx512f")]
fn store(sums: [__m512; 2], y: &mut [f32], write: Write) {
    let width = y.len().min(PANEL);
    for (sums, y) in sums.into_iter().zip(y[..width].chunks_mut(16)) {
        let mask = (0xffff_u32 >> (16 - y.len())) as u16;
        let at = y.as_mut_ptr();
        // SAFETY: the mask leaves out all but the values of `y`.
        #[expect(unsafe_code)]
        unsafe {
            let sums = match write {
                Write::Replace => sums,
                Write::Add => _mm512_add_ps(_mm512_maskz_loadu_ps(mask, at), sums),
            };
            _mm512_mask_storeu_ps(at, mask, sums);
        }
    }
}
