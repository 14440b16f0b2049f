//! Adapters and dropout.
use std::{fs, path::Path};

use super::{super::*, examples, training};
use crate::model::tests::{CONFIG, check_gradients, model, packed, sequence, weights};

fn lora(targets: &[&str]) -> Lora {
    Lora { rank: 3, alpha: 6.0, targets: targets.iter().map(|t| (*t).to_owned()).collect() }
}

const ALL: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

fn new_adapter(lora: &Lora) -> Adapter {
    let layout = weights(&CONFIG).layout;
    Adapter::new(lora, &layout, &(0..layout.len()), 5)
}

/// An adapter as it may be after some training, with no zeros left.
fn adapter(targets: &[&str]) -> Adapter {
    let mut adapter = new_adapter(&lora(targets));
    for (index, value) in adapter.data.iter_mut().enumerate() {
        *value += 0.2 * ((index * 7919 % 1009) as f32 / 504.5 - 1.0);
    }
    adapter
}

fn dropout(examples: &[usize]) -> Dropout {
    Dropout { rate: 0.3, random_seed: 5, step: 2, examples: examples.to_vec() }
}

fn named(adapter: &Adapter) -> Vec<(String, Range<usize>)> {
    adapter.matrices().into_iter().map(|(name, at, _)| (name, at)).collect()
}

#[test]
fn gradients_of_adapters_and_through_dropout_equal_finite_differences() {
    for (targets, rate) in [(&ALL[..], 0.0), (&ALL, 0.3), (&["v_proj", "down_proj"], 0.3)] {
        let (mut weights, mut pass) = (weights(&CONFIG), Pass::training(&CONFIG, None));
        let adapter = adapter(targets);
        let parts = named(&adapter);
        assert_eq!(parts.len(), 2 * 2 * targets.len());
        pass.overlay.adapter = Some(adapter);
        pass.overlay.dropout = (rate > 0.0).then(|| dropout(&[4, 9]));
        check_gradients(&mut weights, &mut pass, &parts);
    }
    let (mut weights, mut pass) = (weights(&CONFIG), Pass::training(&CONFIG, None));
    pass.overlay.dropout = Some(dropout(&[4, 9]));
    let tensors = weights.layout.tensors.iter();
    let parts: Vec<_> = tensors.map(|tensor| (tensor.name.clone(), tensor.at.clone())).collect();
    check_gradients(&mut weights, &mut pass, &parts);
}

#[test]
fn a_merged_adapter_is_the_one_that_was_trained() {
    let (mut weights, mut pass) = (weights(&CONFIG), Pass::training(&CONFIG, None));
    let packed = packed(&[sequence(3, 70), sequence(5, 9)]);
    let mut hidden = |weights: &Weights, adapter: Option<Adapter>| {
        pass.overlay.adapter = adapter;
        pass.forward(weights, &packed, |_, _| {});
        (pass.hidden.clone(), pass.overlay.adapter.take())
    };
    let (base, _) = hidden(&weights, None);
    let (unmerged, adapter) = hidden(&weights, Some(adapter(&ALL)));
    adapter.unwrap().merge(&mut weights);
    let (merged, _) = hidden(&weights, None);
    let largest = |other: &[f32]| {
        let differences = merged.iter().zip(other).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    };
    assert!(largest(&unmerged) < 1e-5, "{}", largest(&unmerged));
    assert!(largest(&base) > 0.1);
}

#[test]
fn an_adapter_starts_as_nothing_and_all_of_it_is_trained() {
    let (weights, mut pass) = (weights(&CONFIG), Pass::training(&CONFIG, None));
    let adapter = new_adapter(&lora(&ALL));
    for (name, at, [_, columns]) in adapter.matrices() {
        let values = &adapter.data[at];
        let bound = if name.contains("lora_A") { 1.0 / (columns as f32).sqrt() } else { 0.0 };
        assert!(values.iter().all(|value| value.abs() <= bound), "{name}");
        // Half of the way to the bound is passed by half of them, but for chance.
        let far = values.iter().filter(|value| value.abs() > bound / 2.0).count();
        assert!(bound == 0.0 || (3..=7).contains(&(far * 10 / values.len())), "{name}");
    }
    let matrices = adapter.matrices();
    pass.overlay.adapter = Some(adapter);
    let examples = examples();
    let training = training(&examples, Path::new(""));
    let length = pass.overlay.adapter.as_ref().unwrap().data.len();
    let (mut optimiser, mut gradient) = (Optimiser::new(length), vec![0.0; length]);
    for step in 0..3 {
        training.batch_loss(step, &[0, 1, 2, 3, 4], &weights, &mut pass, &mut gradient);
        for (name, at, _) in &matrices {
            let dead = gradient[at.clone()].iter().filter(|g| **g == 0.0 || !g.is_finite());
            // As long as B is zero, A makes no difference.
            let expected = if step == 0 && name.contains("lora_A") { at.len() } else { 0 };
            assert_eq!(dead.count(), expected, "{name} in step {step}");
        }
        let values = &mut pass.overlay.adapter.as_mut().unwrap().data;
        let rates = Rates { learning: 1e-3, decay: 0.1 };
        optimiser.step(values, &[(0..length, true)], &gradient, 1.0, rates);
    }
}

#[test]
fn a_killed_training_of_an_adapter_with_dropout_goes_on_to_the_same_weights() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let run = |name: &str, kills: &[usize]| {
        let mut training = training(&examples[..4], &directory.path().join(name));
        (training.held_out, training.rounded) = (&examples[4..], name.starts_with("rounded"));
        (training.dropout, training.lora) = (0.3, Some(lora(&ALL)));
        training.schedule.epochs = 5.0;
        for &kill in kills {
            let seen = |index: usize, _| {
                anyhow::ensure!(index + 1 < kill, "killed");
                Ok(())
            };
            training.run(&mut model(), seen).unwrap_err();
        }
        let mut trained = model();
        let mut steps = Vec::new();
        let adapter = training.run(&mut trained, |_, step| {
            steps.push((step.loss, step.held_out_before, step.held_out_after));
            Ok(())
        });
        (trained.weights.data, adapter.unwrap().unwrap().data, steps)
    };
    let (weights, adapter, steps) = run("whole", &[]);
    assert_eq!(steps.len(), 10);
    for kill in 1..=10 {
        let (again, same, rest) = run(&format!("killed-{kill}"), &[kill]);
        assert!(again == weights && same == adapter, "killed in step {kill}");
        assert_eq!(steps[kill - 1..], rest);
    }
    let (rounded, ..) = run("rounded", &[]);
    assert!(rounded != weights && rounded == run("rounded-killed", &[3, 7, 8]).0);
    // The state holds the adapter and its moments, and no weights.
    let state = fs::metadata(directory.path().join("whole")).unwrap().len();
    assert_eq!(state, 56 + 3 * 4 * adapter.len() as u64);
    // What has no adapter stays as it was.
    let base = model().weights;
    for tensor in &base.layout.tensors {
        let same = base.data[tensor.at.clone()] == weights[tensor.at.clone()];
        assert_eq!(same, !tensor.name.contains("_proj"), "{}", tensor.name);
    }
}

#[test]
fn an_adapter_is_written_as_peft_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("adapter");
    let adapter = adapter(&["q_proj", "down_proj"]);
    adapter.save(&path).unwrap();
    let text = fs::read_to_string(path.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&config["peft_type"], &config["r"]), (&"LORA".into(), &3.into()));
    assert_eq!(config["lora_alpha"], 6.0);
    assert_eq!(config["target_modules"], serde_json::json!(["q_proj", "down_proj"]));
    let bytes = fs::read(path.join("adapter_model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    let matrix = |layer, name: &str| format!("base_model.model.model.layers.{layer}.{name}.weight");
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], matrix(0, "mlp.down_proj.lora_A"));
    assert_eq!(names[7], matrix(1, "self_attn.q_proj.lora_B"));
    for (name, at, shape) in adapter.matrices() {
        let tensor = tensors.tensor(&name).unwrap();
        assert_eq!(tensor.shape(), shape);
        assert!(tensor.data() == bytemuck::cast_slice::<f32, u8>(&adapter.data[at]));
    }
}

#[test]
fn dropout_does_not_depend_on_packing() {
    let weights = weights(&CONFIG);
    let hidden = |sequences: &[(usize, Vec<u32>)], step: usize| {
        let mut pass = Pass::training(&CONFIG, None);
        let examples = sequences.iter().map(|(example, _)| *example).collect();
        pass.overlay.dropout = Some(Dropout { rate: 0.3, random_seed: 5, step, examples });
        let sequences: Vec<_> = sequences.iter().map(|(_, ids)| ids.clone()).collect();
        pass.forward(&weights, &packed(&sequences), |_, _| {});
        pass.hidden
    };
    let (long, short) = ((4, sequence(3, 70)), (9, sequence(5, 9)));
    let together = hidden(&[long.clone(), short.clone()], 2);
    let cut = 70 * CONFIG.hidden_size;
    assert!(together[..cut] == hidden(std::slice::from_ref(&long), 2));
    assert!(together[cut..] == hidden(std::slice::from_ref(&short), 2));
    assert!(together != hidden(&[long.clone(), short], 3), "each step has its own");
    assert!(together[..cut] != hidden(&[(5, long.1)], 2), "each example has its own");
}
