//! The least time that the arithmetic and the memory traffic of a piece of work take.
use super::{DECODE_STEPS, Peaks, Work};
use crate::model::{Rounding, network::Weights};

/// Seconds: products at the peak of their kind and attention at that of `f32`, or every weight and kept
/// key read once from memory, whichever takes longer. Norms, activations and softmax count nothing.
pub(super) fn seconds(
    weights: &Weights,
    work: Work,
    rounding: Option<Rounding>,
    peaks: &Peaks,
) -> f64 {
    let (config, layout) = (&weights.config, &weights.layout);
    let output = layout.output.len() as f64;
    let matrices = layout.tensors.iter().filter(|tensor| !tensor.is_norm);
    let matrices = matrices.filter(|tensor| tensor.at != layout.embedding);
    let all: f64 = matrices.map(|tensor| tensor.at.len() as f64).sum();
    // With an embedding of its own, the output layer is among them already.
    let layers = if config.tied { all } else { all - output };
    let width = (config.layers * config.heads * config.head_size) as f64;
    // Scores and their sum over values, two operations each.
    let attention = |positions: f64| 4.0 * width * positions;
    let (products, attention, bytes) = match work {
        Work::Train { sequences, tokens } => {
            let (sequences, tokens) = (sequences as f64, tokens as f64);
            // The last token of a sequence has no successor to learn. Backward is twice forward.
            let products = 2.0 * sequences * (tokens * layers + (tokens - 1.0) * output);
            let attention = attention(sequences * tokens * (tokens + 1.0) / 2.0);
            // AdamW reads weight, gradient and two moments, and writes three of them.
            (3.0 * products, 3.0 * attention, 28.0 * weights.data.len() as f64)
        }
        Work::Prefill { tokens } => {
            let tokens = tokens as f64;
            let products = 2.0 * (tokens * layers + output);
            (
                products,
                attention(tokens * (tokens + 1.0) / 2.0),
                bytes(rounding) * (layers + output),
            )
        }
        Work::Decode { requests, after } => {
            let (requests, steps) = (requests as f64, DECODE_STEPS as f64);
            // The shortest that a context can be: later steps see more.
            let context = after as f64 + 1.0;
            let kept = (2 * config.layers * config.kv_heads * config.head_size) as f64;
            let products = 2.0 * requests * (layers + output);
            let read = bytes(rounding) * (layers + output) + 4.0 * requests * kept * context;
            (steps * products, steps * attention(requests * context), steps * read)
        }
    };
    let arithmetic = products / peaks.operations(rounding) + attention / peaks.f32;
    arithmetic.max(bytes / peaks.bandwidth)
}

/// Bytes of a weight as it is multiplied.
fn bytes(rounding: Option<Rounding>) -> f64 {
    match rounding {
        None => 4.0,
        Some(Rounding::Bf16) => 2.0,
        // A scale of four bytes for every 64.
        Some(Rounding::Int8 | Rounding::Int7) => 1.0 + 4.0 / 64.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{config::smollm2, layout::Layout};

    #[test]
    fn the_floors_of_smollm2_follow_from_its_shape() {
        let config = smollm2();
        let layout = Layout::new(&config);
        let weights = Weights { config, data: Vec::new(), layout, rounded: None };
        let peaks = Peaks { f32: 1e12, bf16: 2e12, int8: 4e12, int7: 4e12, bandwidth: 1e10 };
        let check = |work: Work, rounding, expected: f64| {
            let found = seconds(&weights, work, rounding, &peaks);
            assert!((found / expected - 1.0).abs() < 1e-9, "{work:?}: {found}, not {expected}");
        };
        // 106,168,320 weights in the layers and 28,311,552 in the output layer; 17,280 query values.
        let prefill = 2.0 * (512.0 * 106_168_320.0 + 28_311_552.0);
        let attention = 4.0 * 17_280.0 * 512.0 * 513.0 / 2.0;
        check(Work::Prefill { tokens: 512 }, None, (prefill + attention) / 1e12);
        check(
            Work::Prefill { tokens: 512 },
            Some(Rounding::Bf16),
            prefill / 2e12 + attention / 1e12,
        );
        // A single stream waits for memory: 538 MB, and 129 tokens of 46 kB.
        let read = 4.0 * 134_479_872.0 + 4.0 * 129.0 * 11_520.0;
        check(Work::Decode { requests: 1, after: 128 }, None, 8.0 * read / 1e10);
    }
}
