//! The products by vector instructions of x86-64.
//!
//! Some rows of `x` meet the 32 outputs of a panel in registers, from the first input to the last.
mod avx2;
mod avx512;

use super::{Format, Kernel, Line};

/// The kernels for a format that this processor can run, the fastest first.
pub(super) fn kernels(format: Format) -> impl Iterator<Item = Kernel> {
    [avx512::kernel(format), avx2::kernel(format)].into_iter().flatten()
}

/// Calls the tile of as many rows as `y` has, of those listed.
macro_rules! by_rows {
    ($tile:ident, [$($rows:literal)*], $x:ident, $panel:ident, $y:ident, $at:ident, $write:ident) => {
        match $y.len() {
            $($rows => $tile::<$rows>($x, $panel, $y, $at, $write),)*
            rows => panic!("a tile has no {rows} rows"),
        }
    };
}
use by_rows;

/// Asks for lines of the next panel, `length` further on, which memory would otherwise deliver late.
#[inline(always)]
fn prefetch(lines: &[Line], length: usize) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    for line in lines {
        // Past the last panel this is a hint without use.
        let next = std::ptr::from_ref(line).wrapping_add(length);
        // SAFETY: a hint about any address is harmless, and every x86-64 has it.
        #[expect(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(next.cast());
        }
    }
}
