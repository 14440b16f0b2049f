//! Losses and their gradients.
use std::ops::Range;

use super::{CONFIG, packed, sequence, weights};
use crate::model::{
    config::Config,
    network::{Packed, Pass, Weights},
    ops,
    train::{packed_alike, trained},
};

#[test]
fn every_gradient_equals_finite_differences() {
    for tied in [true, false] {
        let mut weights = weights(&Config { tied, ..CONFIG });
        let tensors = weights.layout.tensors.iter();
        let parts: Vec<_> = tensors.map(|t| (t.name.clone(), t.at.clone())).collect();
        let mut pass = Pass::training(&weights.config, None);
        check_gradients(&mut weights, &mut pass, &parts);
    }
}

/// Compares the gradient of each part of what is trained with finite differences of the loss.
pub(in crate::model) fn check_gradients(
    weights: &mut Weights,
    pass: &mut Pass,
    parts: &[(String, Range<usize>)],
) {
    // Longer than one attention block, so that its seams are crossed.
    let packed = packed(&[sequence(3, 70), sequence(5, 9)]);
    let labels: Vec<(usize, u32)> =
        (30..60).chain(71..78).map(|row| (row, packed.ids[row + 1])).collect();
    check_gradients_of(&packed, &labels, weights, pass, parts);
    // Dropout knows of no sequence that is not an example.
    if pass.overlay.dropout.is_none() {
        let (packed, labels) = packed_alike();
        check_gradients_of(&packed, &labels, weights, pass, parts);
    }
}

fn check_gradients_of(
    packed: &Packed,
    labels: &[(usize, u32)],
    weights: &mut Weights,
    pass: &mut Pass,
    parts: &[(String, Range<usize>)],
) {
    let mut gradient = vec![0.0; trained(weights, pass).len()];
    pass.forward(weights, packed, |_, _| {});
    pass.losses_backward(weights, packed, labels, 1.0, &mut gradient);
    for (name, at) in parts {
        let part = &gradient[at.clone()];
        assert!(part.iter().all(|g| g.is_finite()), "{name}");
        assert!(part.iter().any(|g| *g != 0.0), "{name} has no gradient");
        // The direction of steepest ascent, where the relative error of a difference is smallest.
        let norm = part.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
        let direction: Vec<f32> = part.iter().map(|g| (f64::from(*g) / norm) as f32).collect();
        let step = 2e-2_f32;
        let original = trained(weights, pass)[at.clone()].to_vec();
        let mut loss_at = |sign: f32| {
            let values = trained(weights, pass)[at.clone()].iter_mut();
            for ((value, original), direction) in values.zip(&original).zip(&direction) {
                *value = original + sign * step * direction;
            }
            pass.forward(weights, packed, |_, _| {});
            pass.losses(weights, labels).iter().sum::<f64>()
        };
        let difference = (loss_at(1.0) - loss_at(-1.0)) / f64::from(2.0 * step);
        trained(weights, pass)[at.clone()].copy_from_slice(&original);
        assert!(
            (difference / norm - 1.0).abs() < 1e-2,
            "{name}: finite difference {difference}, gradient {norm}"
        );
    }
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    let weights = weights(&CONFIG);
    let sequences = [sequence(3, 70), sequence(5, 9), sequence(8, 33)];
    let mut together = Pass::forward_only();
    together.forward(&weights, &packed(&sequences), |_, _| {});
    let mut start = 0;
    for ids in sequences {
        let mut alone = Pass::training(&CONFIG, None);
        alone.forward(&weights, &packed(std::slice::from_ref(&ids)), |_, _| {});
        let rows = start * CONFIG.hidden_size..(start + ids.len()) * CONFIG.hidden_size;
        assert!(alone.hidden == together.hidden[rows]);
        start += ids.len();
    }
}

#[test]
fn rounded_products_change_losses_and_gradients_little() {
    let sequences = [sequence(3, 40), sequence(8, 25)];
    let labels: Vec<(usize, u32)> = (10..39).map(|row| (row, sequences[0][row + 1])).collect();
    let packed = packed(&sequences);
    let run = |rounded: bool| {
        let mut weights = weights(&CONFIG);
        if rounded {
            weights.round(ops::Format::Bf16, |_| true);
            weights.round_backward(|_| true);
        }
        let mut pass = Pass::training(&CONFIG, None);
        let mut gradient = vec![0.0; weights.data.len()];
        pass.forward(&weights, &packed, |_, _| {});
        let losses = pass.losses_backward(&weights, &packed, &labels, 1.0, &mut gradient);
        (losses, gradient)
    };
    let ((exact, gradient), (rounded, other)) = (run(false), run(true));
    assert_ne!(exact, rounded);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert!((exact - rounded).abs() < 0.05, "{exact} and {rounded}");
    }
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let cosine = dot(&gradient, &other) / (dot(&gradient, &gradient) * dot(&other, &other)).sqrt();
    assert!(cosine > 0.9995, "{cosine}");
    assert!(other.iter().all(|value| value.is_finite()));
}
