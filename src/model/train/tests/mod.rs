//! Trainings of the tiny model of `model::tests`.
mod last_layers;
mod overlay;

use std::{fs, path::Path};

use super::*;
use crate::model::{
    decode::Generation,
    tests::{CONFIG, generate, model, packed, sequence, weights},
};

fn training<'a>(examples: &'a [Example], state: &Path) -> Training<'a> {
    let schedule = Schedule {
        epochs: 30.0,
        batch_size: 2,
        learning_rate: 1e-2,
        final_learning_rate: 9e-3,
        weight_decay: 0.1,
        gradient_clip: 1.0,
        random_seed: 5,
    };
    Training {
        schedule,
        lora: None,
        last_layers: None,
        frozen: None,
        dropout: 0.0,
        examples,
        held_out: &[],
        rounded: false,
        state: state.to_owned(),
        state_every: Duration::ZERO,
    }
}

fn examples() -> Vec<Example> {
    (0..5)
        .map(|i| {
            let ids = sequence(i + 2, 12);
            Example { learned: (0..12).map(|t| t >= 6).collect(), ids }
        })
        .collect()
}

#[test]
fn a_few_examples_are_learned_by_heart() {
    let directory = tempfile::tempdir().unwrap();
    let (examples, mut model) = (examples(), model());
    let mut losses = Vec::new();
    training(&examples, &directory.path().join("state"))
        .run(&mut model, |_, step| {
            losses.push(step.loss);
            Ok(())
        })
        .unwrap();
    assert_eq!(losses.len(), 75);
    assert!(losses[0] > 3.0 && losses[74] < 0.1, "{losses:?}");
    let request = Generation {
        prompt: examples[0].ids[..6].to_vec(),
        max_tokens: 6,
        ..Generation::default()
    };
    assert_eq!(generate(&model, &[request])[0].ids, examples[0].ids[6..]);
}

#[test]
fn a_batch_that_is_cut_up_has_the_gradient_of_the_whole() {
    let (weights, mut pass) = (weights(&CONFIG), Pass::training(&CONFIG, None));
    let length = TOKENS_AT_ONCE / 3;
    let example = |seed: u32| Example {
        ids: sequence(seed, length),
        learned: (0..length).map(|i| i % (seed as usize + 1) == 0).collect(),
    };
    let examples: Vec<Example> = (1..6).map(example).collect();
    let training = training(&examples, Path::new(""));
    let (mut sum, mut whole) = (vec![7.0; weights.data.len()], vec![0.0; weights.data.len()]);
    let loss = training.batch_loss(0, &[0, 1, 2, 3, 4], &weights, &mut pass, &mut sum);
    let packed = packed(&examples.iter().map(|example| example.ids.clone()).collect::<Vec<_>>());
    let start = |index: usize| move |(row, id)| (index * length + row, id);
    let labels = examples.iter().enumerate().flat_map(|(i, example)| labels(example).map(start(i)));
    let labels: Vec<(usize, u32)> = labels.collect();
    pass.forward(&weights, &packed, |_, _| {});
    let scale = 1.0 / labels.len() as f32;
    let losses = pass.losses_backward(&weights, &packed, &labels, scale, &mut whole);
    assert!((losses.iter().sum::<f64>() / labels.len() as f64 - loss).abs() < 1e-6);
    let largest = sum.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-5 * norm(&whole) as f32, "{largest}");
}

#[test]
fn the_memory_of_a_training_is_known_before_it_is_taken() {
    let (examples, weights) = (examples(), weights(&CONFIG));
    let training = training(&examples, Path::new(""));
    let trained = weights.data.len();
    // Gradient and two moments; five examples of 12 tokens; 128 rows of logits.
    let layer = 4 * 24 + 2 * (4 * 6) + 2 * (2 * 6) + 2 * 40 + 2;
    let expected = 12 * trained + 4 * (60 * layer * (2 + 2) + 128 * 40);
    assert_eq!(training.memory(&weights, trained), expected);
}

#[test]
fn a_killed_training_goes_on_to_the_same_weights() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let run = |name: &str, kills: &[usize]| {
        let training = training(&examples, &directory.path().join(name));
        for &kill in kills {
            let mut model = model();
            let seen = |index: usize, _| {
                anyhow::ensure!(index + 1 < kill, "killed");
                Ok(())
            };
            training.run(&mut model, seen).unwrap_err();
        }
        let mut model = model();
        let mut steps = Vec::new();
        let seen = |index, step: TrainingStep| {
            steps.push((index, step.loss));
            Ok(())
        };
        training.run(&mut model, seen).unwrap();
        (model.weights.data, steps)
    };
    let (weights, steps) = run("whole", &[]);
    let (again, rest) = run("killed", &[1, 20, 21, 60]);
    assert!(weights == again);
    assert_eq!(steps[59..], rest);
    // A state is whole or absent: nothing but the two last ones is left.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);

    // The state of another training is refused, not mixed in.
    fs::write(directory.path().join("other"), [0; 100]).unwrap();
    let error = training(&examples, &directory.path().join("other"))
        .run(&mut model(), |_, _| Ok(()))
        .unwrap_err();
    assert!(format!("{error:#}").contains("belongs to another training"));
}

#[test]
fn a_training_of_rounded_products_learns_and_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let run = |name: &str, kill: Option<usize>| {
        let state = directory.path().join(name);
        let training = Training { rounded: true, ..training(&examples, &state) };
        if let Some(kill) = kill {
            let seen = |index: usize, _| {
                anyhow::ensure!(index + 1 < kill, "killed");
                Ok(())
            };
            training.run(&mut model(), seen).unwrap_err();
        }
        let (mut model, mut last) = (model(), f64::NAN);
        let seen = |_, step: TrainingStep| {
            last = step.loss;
            Ok(())
        };
        training.run(&mut model, seen).unwrap();
        assert!(last < 0.2, "{last}");
        model.weights.data
    };
    assert!(run("whole", None) == run("killed", Some(9)));
}

#[test]
fn the_schedule_reaches_its_last_rate_at_the_last_step() {
    let examples = examples();
    let schedule = training(&examples, Path::new("")).schedule;
    let batches = schedule.batches(5);
    assert_eq!(batches.len(), 75);
    assert_eq!(schedule.learning_rate(0, 75), 1e-2);
    assert!((schedule.learning_rate(74, 75) - 9e-3).abs() < 1e-15);
    let mut visits = [0; 5];
    batches.iter().flatten().for_each(|&example| visits[example] += 1);
    assert_eq!(visits, [30; 5]);
    let other = Schedule { random_seed: 6, ..schedule.clone() };
    assert_ne!(batches, other.batches(5));
}

#[test]
fn held_out_examples_are_measured_and_not_learned_from() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let run = |held_out: &[Example], name: &str, rounded: bool| {
        let mut training = training(&examples[..3], &directory.path().join(name));
        (training.held_out, training.rounded) = (held_out, rounded);
        (training.schedule.epochs, training.dropout) = (2.5, 0.2);
        let (mut trained, mut losses) = (model(), Vec::new());
        let seen = |_, step: TrainingStep| {
            losses.push([step.held_out_before, step.held_out_after]);
            Ok(())
        };
        training.run(&mut trained, seen).unwrap();
        let of = |weights: &mut Weights| {
            training.round_all(weights, &(0..weights.data.len()));
            training.held_out_loss(weights, &mut Pass::training(&CONFIG, None))
        };
        let [first, last] = [of(&mut model().weights), of(&mut trained.weights)];
        (trained.weights.data, losses, [first, last])
    };
    for (name, rounded) in [("rounded", true), ("exact", false)] {
        let (weights, losses, [first, last]) = run(&examples[3..], name, rounded);
        // Eight visits of three examples, two a step: epochs end in steps 2, 3 and, with the training, 4.
        let there: Vec<[bool; 2]> =
            losses.iter().map(|two| two.map(|loss| loss.is_some())).collect();
        assert_eq!(there, [[true, false], [false, true], [false, true], [false, true]]);
        assert_eq!((losses[0][0], losses[3][1]), (first, last));
        assert!(first != last && first.unwrap() > 3.0);
        let (without, losses, _) = run(&[], &format!("{name}-none"), rounded);
        assert!(weights == without);
        assert!(losses.concat().iter().all(Option::is_none));
    }
}

#[test]
fn a_training_whose_loss_is_no_number_stops_and_keeps_its_last_state() {
    let directory = tempfile::tempdir().unwrap();
    let examples = examples();
    let mut training = training(&examples, &directory.path().join("state"));
    // The rate grows from one that works to one that does not.
    training.schedule.final_learning_rate = 1e38;
    let mut steps = 0;
    let seen = |_, step: TrainingStep| {
        steps += 1;
        assert!(step.loss.is_finite() && step.gradient_norm.is_finite());
        Ok(())
    };
    let error = training.run(&mut model(), seen).unwrap_err().to_string();
    assert!(error.starts_with(&format!("step {}: the loss", steps + 1)), "{error}");
    let kept = format!("the state after step {} stays in {}", steps - 1, training.state.display());
    assert!(error.contains(&kept), "{error}");
    // What is kept has a loss, so the same end comes again.
    let again = training.run(&mut model(), |_, _| Ok(())).unwrap_err().to_string();
    assert_eq!(again, error);
}

#[test]
fn norms_are_not_decayed() {
    let weights = weights(&CONFIG);
    let decayed = decayed(&weights, &Pass::training(&CONFIG, None));
    let tensors = weights.layout.tensors.iter().map(|tensor| tensor.name.contains("norm"));
    assert!(decayed.iter().zip(tensors).all(|((_, decayed), is_norm)| *decayed != is_norm));
    let ones = vec![1.0; weights.data.len()];
    let mut moved = ones.clone();
    let rates = Rates { learning: 0.5, decay: 0.5 };
    Optimiser::new(ones.len()).step(&mut moved, &decayed, &vec![0.0; ones.len()], 1.0, rates);
    for (at, decayed) in decayed {
        let expected = if decayed { 0.75 } else { 1.0 };
        assert!(moved[at].iter().all(|value| *value == expected));
    }
}

#[test]
fn adamw_moves_weights_as_pytorch_does() {
    // w = torch.tensor([0.5, -1.2, 3.0, 0.01], requires_grad=True)
    // adamw = torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    // for step in range(3):
    //     w.grad = torch.tensor([0.3, -2.0, 0.0, 1e-4]) * (step + 1)
    //     torch.nn.utils.clip_grad_norm_([w], 1.0)
    //     adamw.step()
    let expected = [0.188_139_54, -0.867_348_85, 2.910_897, -0.287_246_97];
    let mut weights = [0.5, -1.2, 3.0, 0.01];
    let mut optimiser = Optimiser::new(4);
    for step in 0..3 {
        let gradient = [0.3_f32, -2.0, 0.0, 1e-4].map(|g| g * (step as f32 + 1.0));
        let clip = (1.0 / norm(&gradient)).min(1.0);
        let rates = Rates { learning: 0.1, decay: 0.1 };
        optimiser.step(&mut weights, &[(0..4, true)], &gradient, clip, rates);
    }
    for (found, expected) in weights.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{weights:?}");
    }
}

#[test]
fn a_batch_with_nothing_to_learn_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let cut = Example { ids: sequence(3, 5), learned: vec![false; 5] };
    let mut training = training(std::slice::from_ref(&cut), &directory.path().join("state"));
    training.schedule.epochs = 2.0;
    training.run(&mut model(), |_, _| Ok(())).unwrap();
}
