//! Trainings of the last layers alone.
use std::{fs, path::Path};

use super::{super::*, examples, training};
use crate::model::{
    layout::Tensor,
    ops::Format,
    tests::{CONFIG, chat, check_gradients, packed, sequence, weights},
    train::parts::tests::packed_alike,
};

/// Two of its four layers are trained here.
fn model(tied: bool) -> Model {
    Model { weights: weights(&Config { tied, layers: 4, ..CONFIG }), chat: chat() }
}

fn lora() -> Lora {
    let targets = ["q_proj", "o_proj", "down_proj"].map(str::to_owned).into();
    Lora { rank: 3, alpha: 6.0, targets }
}

fn is_of_the_last_two(name: &str) -> bool {
    name.contains("layers.2.") || name.contains("layers.3.")
}

/// The gradient of all weights, or of the last layers.
fn gradient(weights: &mut Weights, last_layers: Option<usize>) -> Vec<f32> {
    let mut pass = Pass::training(&weights.config, last_layers);
    let (packed, labels) = packed_alike();
    let mut gradient = vec![0.0; trained(weights, &mut pass).len()];
    pass.forward(weights, &packed, |_, _| {});
    pass.losses_backward(weights, &packed, &labels, 1.0, &mut gradient);
    gradient
}

#[test]
fn their_gradients_are_those_of_a_training_of_all_weights() {
    for tied in [true, false] {
        let mut weights = model(tied).weights;
        let at = weights.layout.last_layers(2);
        let tensors = weights.layout.tensors.iter();
        let of = |tensor: &&Tensor| at.contains(&tensor.at.start);
        assert!(tensors.clone().all(|tensor| of(&tensor) == is_of_the_last_two(&tensor.name)));
        assert!(gradient(&mut weights, Some(2)) == gradient(&mut weights, None)[at]);
        let all = weights.layout.last_layers(4);
        assert_eq!(all.start, weights.layout.embedding.end);
    }
}

#[test]
fn their_gradients_equal_finite_differences_also_after_layers_of_integers() {
    for format in [None, Some(Format::Int8), Some(Format::Bf16)] {
        let mut weights = model(true).weights;
        let mut pass = Pass::training(&weights.config, Some(2));
        let (at, embedding) = (pass.overlay.trained(), weights.layout.embedding.end);
        if let Some(format) = format {
            weights.round(format, |of| (embedding..at.start).contains(&of.start));
        }
        let tensors = weights.layout.tensors.iter().filter(|tensor| at.contains(&tensor.at.start));
        let place = |tensor: &Tensor| tensor.at.start - at.start..tensor.at.end - at.start;
        let parts: Vec<_> = tensors.map(|tensor| (tensor.name.clone(), place(tensor))).collect();
        check_gradients(&mut weights, &mut pass, &parts);
    }
}

#[test]
fn what_stays_as_it_is_may_be_coarse_and_gradients_change_little() {
    let examples = examples();
    for lora in [None, Some(lora())] {
        let gradient = |frozen| {
            let last_layers = Some(2);
            let training = Training { frozen, last_layers, ..training(&examples, Path::new("")) };
            let mut weights = model(false).weights;
            let mut pass = Pass::training(&weights.config, last_layers);
            let at = pass.overlay.trained();
            pass.overlay.adapter =
                lora.as_ref().map(|lora| Adapter::new(lora, &weights.layout, &at, 5));
            let mut gradient = vec![0.0; trained(&mut weights, &mut pass).len()];
            training.round_all(&mut weights, &pass.overlay.trained());
            training.batch_loss(0, &[0, 1, 2, 3, 4], &weights, &mut pass, &mut gradient);
            gradient
        };
        let (exact, coarse) = (gradient(None), gradient(Some(Rounding::Int8)));
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let cosine = dot(&exact, &coarse) / (norm(&exact) * norm(&coarse));
        assert!(exact != coarse && cosine > 0.99, "{cosine}");
    }
}

#[test]
fn nothing_else_changes_and_a_kill_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let numbers = model(false).weights.layout.last_layers(2).len();
    for (name, lora, rounded) in
        [("exact", None, false), ("bf16", None, true), ("adapter", Some(lora()), false)]
    {
        let run = |state: &str, kills: &[usize]| {
            let state = directory.path().join(format!("{name}-{state}"));
            let mut training = Training {
                last_layers: Some(2),
                frozen: Some(Rounding::Int8),
                lora: lora.clone(),
                rounded,
                ..training(&examples, &state)
            };
            training.schedule.epochs = 10.0;
            for &kill in kills {
                let seen = |index: usize, _| {
                    anyhow::ensure!(index + 1 < kill, "killed");
                    Ok(())
                };
                training.run(&mut model(false), seen).unwrap_err();
            }
            let (mut trained, mut losses) = (model(false), Vec::new());
            let seen = |_, step: TrainingStep| {
                losses.push(step.loss);
                Ok(())
            };
            let adapter = training.run(&mut trained, seen).unwrap();
            (trained.weights.data, adapter, losses, fs::metadata(state).unwrap().len())
        };
        let (weights, adapter, losses, state) = run("whole", &[]);
        assert!(*losses.last().unwrap() < 0.9 * losses[0], "{name}: {losses:?}");
        assert!(weights == run("killed", &[1, 9, 10, 20]).0, "{name}");
        let base = model(false).weights;
        for tensor in &base.layout.tensors {
            let same = base.data[tensor.at.clone()] == weights[tensor.at.clone()];
            let is_target = adapter.is_none()
                || lora.iter().flat_map(|lora| &lora.targets).any(|t| tensor.name.contains(t));
            assert_eq!(same, !(is_of_the_last_two(&tensor.name) && is_target), "{}", tensor.name);
        }
        // What is trained and its two moments, and nothing of the rest.
        let trained = adapter.as_ref().map_or(numbers, |adapter| adapter.data.len());
        assert_eq!(state, 56 + 3 * 4 * trained as u64, "{name}");
        let Some(adapter) = adapter else { continue };
        let out = directory.path().join("adapter");
        adapter.save(&out).unwrap();
        let text = fs::read_to_string(out.join("adapter_config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["layers_to_transform"], serde_json::json!([2, 3]));
        assert!(adapter.matrices().iter().all(|(name, ..)| is_of_the_last_two(name)));
    }
}

#[test]
fn they_take_less_memory_and_cannot_be_more_than_there_are() {
    let examples = examples();
    let of = |last_layers| Training { last_layers, ..training(&examples, Path::new("")) };
    let weights = model(true).weights;
    assert!(of(Some(1)).memory(&weights, 100) < of(Some(3)).memory(&weights, 100));
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let training = Training { last_layers: Some(5), ..training(&examples, &state) };
    let error = training.run(&mut model(true), |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("finetune.last_layers = 5, and the model has 4 layers"), "{error}");
}

#[test]
fn the_layers_before_them_compute_as_they_do_in_an_answer() {
    let mut weights = model(true).weights;
    weights.round(Format::Int8, |_| true);
    let packed = packed(&[sequence(3, 64)]);
    let hidden = |mut pass: Pass| {
        pass.forward(&weights, &packed, |_, _| {});
        pass.hidden
    };
    let answering = hidden(Pass::forward_only());
    assert!(hidden(Pass::training(&weights.config, Some(2))) == answering);
    assert!(hidden(Pass::training(&weights.config, None)) == answering);
}
