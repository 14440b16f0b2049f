//! Tests of the whole model on a seeded tiny one, with no weights from outside.
use std::time::Duration;

use super::{
    chat::Example,
    config::Layout,
    train::{Schedule, Training},
    *,
};
use crate::record::{Finish, TrainingStep};

const CONFIG: Config = Config {
    hidden_size: 24,
    intermediate_size: 40,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_size: 6,
    vocabulary: 40,
    context: 256,
    rope_theta: 1e4,
    rms_epsilon: 1e-5,
    tied: true,
};

/// Small pseudo-random weights; norms near one.
fn weights(config: &Config) -> Weights {
    let layout = Layout::new(config);
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let mut data = vec![0.0; layout.len()];
    for tensor in &layout.tensors {
        for value in &mut data[tensor.at.clone()] {
            *value = if tensor.is_norm { 1.0 + 0.2 * next() } else { 0.5 * next() };
        }
    }
    Weights { config: config.clone(), layout, data, rounded: None }
}

/// A word-level tokenizer of `CONFIG.vocabulary` tokens and a plain template.
fn chat() -> Chat {
    let words: Vec<String> =
        (0..CONFIG.vocabulary - 3).map(|i| format!("\"w{i}\":{}", i + 3)).collect();
    let json = format!(
        r#"{{"version":"1.0","added_tokens":[
            {{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}},
            {{"id":1,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}},
            {{"id":2,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],
            "pre_tokenizer":{{"type":"WhitespaceSplit"}},
            "model":{{"type":"WordLevel","unk_token":"<unk>","vocab":{{"<unk>":0,"<s>":1,"</s>":2,{}}}}}}}"#,
        words.join(",")
    );
    let tokenizer: tokenizers::Tokenizer = json.parse().unwrap();
    let template = "{% for m in messages %}<s> {{ m.role }} {{ m.content }} </s> {% endfor %}{% if add_generation_prompt %}<s> assistant{% endif %}";
    Chat::new(tokenizer, template.into(), Some(1), 2).unwrap()
}

pub(super) fn model() -> Model {
    Model { weights: weights(&CONFIG), chat: chat() }
}

pub(super) fn sequence(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| 3 + (i * i * 7 + i * seed + seed) % 37).collect()
}

fn packed(sequences: &[Vec<u32>]) -> Packed {
    let mut packed = Packed::default();
    sequences.iter().for_each(|ids| packed.push(ids));
    packed
}

#[test]
fn every_gradient_equals_finite_differences() {
    for tied in [true, false] {
        let mut weights = weights(&Config { tied, ..CONFIG });
        // Longer than one attention block, so that its seams are crossed.
        let packed = packed(&[sequence(3, 70), sequence(5, 9)]);
        let labels: Vec<(usize, u32)> =
            (30..60).chain(71..78).map(|row| (row, packed.ids[row + 1])).collect();
        let mut gradient = vec![0.0; weights.data.len()];
        let mut pass = Pass::training(&weights.config);
        pass.forward(&weights, &packed, |_, _| {});
        pass.losses_backward(&weights, &packed, &labels, 1.0, &mut gradient);
        let mut loss = |weights: &Weights| {
            pass.forward(weights, &packed, |_, _| {});
            pass.losses(weights, &labels).iter().sum::<f64>()
        };
        for tensor in weights.layout.tensors.clone() {
            let part = &gradient[tensor.at.clone()];
            assert!(part.iter().all(|g| g.is_finite()), "{}", tensor.name);
            assert!(part.iter().any(|g| *g != 0.0), "{} has no gradient", tensor.name);
            // The direction of steepest ascent, where the relative error of a difference is smallest.
            let norm = part.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
            let direction: Vec<f32> = part.iter().map(|g| (f64::from(*g) / norm) as f32).collect();
            let step = 2e-2_f32;
            let original = weights.data[tensor.at.clone()].to_vec();
            let mut at = |sign: f32| {
                for ((w, o), d) in
                    weights.data[tensor.at.clone()].iter_mut().zip(&original).zip(&direction)
                {
                    *w = o + sign * step * d;
                }
                loss(&weights)
            };
            let difference = (at(1.0) - at(-1.0)) / f64::from(2.0 * step);
            weights.data[tensor.at.clone()].copy_from_slice(&original);
            assert!(
                (difference / norm - 1.0).abs() < 1e-2,
                "{}: finite difference {difference}, gradient {norm}",
                tensor.name
            );
        }
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
        let mut alone = Pass::training(&CONFIG);
        alone.forward(&weights, &packed(std::slice::from_ref(&ids)), |_, _| {});
        let rows = start * CONFIG.hidden_size..(start + ids.len()) * CONFIG.hidden_size;
        assert!(alone.hidden == together.hidden[rows]);
        start += ids.len();
    }
}

pub(super) fn generate(model: &Model, requests: &[Generation]) -> Vec<Generated> {
    let mut replies = vec![None; requests.len()];
    model
        .generate(
            requests,
            |_| {},
            |index, reply| {
                assert!(replies[index].replace(reply).is_none());
                Ok(())
            },
        )
        .unwrap();
    replies.into_iter().map(Option::unwrap).collect()
}

#[test]
fn decoding_with_a_cache_equals_decoding_without() {
    let model = model();
    let mut ids = sequence(4, 67);
    let request =
        Generation { prompt: ids.clone(), sampling: Sampling::Greedy, max_tokens: 30, seed: 0 };
    let reply = &generate(&model, &[request])[0];
    assert!(!reply.ids.is_empty());
    for (position, &id) in reply.ids.iter().enumerate() {
        let best = model.best_next(&ids, 2);
        // Nearly equal logits may round either way, since the sums are taken in another order.
        assert!(
            best[0].0 == id || best[0].1 - best[1].1 < 1e-4,
            "token {position}: {id}, not {best:?}"
        );
        ids.push(id);
    }
}

#[test]
fn a_reply_does_not_depend_on_its_neighbours() {
    let model = model();
    let request = |i: u32| Generation {
        prompt: sequence(i, 5 + (i as usize * 11) % 60),
        sampling: Sampling::Nucleus { temperature: 1.0, top_p: 0.95 },
        max_tokens: 1 + (i as usize * 7) % 40,
        seed: u64::from(i),
    };
    let all: Vec<Generation> = (0..70).map(request).collect();
    let together = generate(&model, &all);
    for (request, reply) in all.iter().zip(&together) {
        assert_eq!(&generate(&model, std::slice::from_ref(request))[0], reply);
    }
    assert!(together.iter().any(|reply| reply.finish == Finish::Stop));
    assert!(together.iter().any(|reply| reply.finish == Finish::Length));
}

#[test]
fn a_prompt_beyond_the_context_is_overlong() {
    let request =
        Generation { prompt: sequence(1, 256), sampling: Sampling::Greedy, max_tokens: 5, seed: 0 };
    let near = Generation { prompt: sequence(1, 254), ..request.clone() };
    let replies = generate(&model(), &[request, near]);
    assert_eq!(replies[0], Generated { ids: vec![], finish: Finish::Overlong });
    // The last token is never fed back, so it needs no place in the context.
    assert!(replies[1].ids.len() <= 3);
}

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
        examples,
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
        sampling: Sampling::Greedy,
        max_tokens: 6,
        seed: 0,
    };
    assert_eq!(generate(&model, &[request])[0].ids, examples[0].ids[6..]);
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
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);

    // The state of another training is refused, not mixed in.
    std::fs::write(directory.path().join("other"), [0; 100]).unwrap();
    let error = training(&examples, &directory.path().join("other"))
        .run(&mut model(), |_, _| Ok(()))
        .unwrap_err();
    assert!(format!("{error:#}").contains("belongs to another training"));
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
fn a_checkpoint_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let model = model();
    model.save(&path).unwrap();
    let again = Model::load(&path).unwrap();
    assert!(again.weights.data == model.weights.data);
    assert_eq!(again.weights.config, model.weights.config);
    assert_eq!(again.hash(), model.hash());
    let messages = [Message::new(Role::User, "w1 w2")];
    assert_eq!(
        again.chat.prompt(&messages, "").unwrap(),
        model.chat.prompt(&messages, "").unwrap()
    );

    let weights = path.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 7]).unwrap();
    let error = format!("{:#}", Model::load(&path).unwrap_err());
    assert!(error.contains("model.safetensors: the file is cut short"), "{error}");
}

#[test]
fn only_the_answer_and_the_end_of_its_turn_are_learned() {
    let chat = chat();
    let messages = [Message::new(Role::User, "w1 w2")];
    let example = chat.example(&messages, "w5 w6 w7").unwrap();
    let learned: Vec<u32> =
        example.ids.iter().zip(&example.learned).filter(|(_, l)| **l).map(|(id, _)| *id).collect();
    assert_eq!(learned, [8, 9, 10, 2]);
    assert!(example.ids.starts_with(&chat.prompt(&messages, "").unwrap()));
}

#[test]
fn a_control_token_in_a_text_stays_text() {
    let chat = chat();
    let ids = chat.prompt(&[Message::new(Role::User, "w1 </s> w2")], "").unwrap();
    let ends = ids.iter().filter(|&&id| id == 2).count();
    assert_eq!(ends, 1, "the text closed the turn: {ids:?}");
}

#[test]
fn rounded_products_change_losses_and_gradients_little() {
    let sequences = [sequence(3, 40), sequence(8, 25)];
    let labels: Vec<(usize, u32)> = (10..39).map(|row| (row, sequences[0][row + 1])).collect();
    let packed = packed(&sequences);
    let run = |rounded: bool| {
        let mut weights = weights(&CONFIG);
        if rounded {
            weights.round(ops::Format::Bf16, true);
        }
        let mut pass = Pass::training(&CONFIG);
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
