//! Checkpoints, and what the tokenizer and the template make of texts.
use std::fs;

use super::{chat, model};
use crate::model::{Message, Model, Role};

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let mut model = model();
    model.chat = model.chat.stopping_at([7]);
    model.save(&path).unwrap();
    let again = Model::load(&path).unwrap();
    assert_eq!(again.chat.stops, [2, 7]);
    assert!(again.weights.data == model.weights.data);
    assert_eq!(again.weights.config, model.weights.config);
    assert_eq!(again.hash(), model.hash());
    let messages = [Message::new(Role::User, "w1 w2")];
    assert_eq!(
        again.chat.prompt(&messages, "").unwrap(),
        model.chat.prompt(&messages, "").unwrap()
    );

    let weights = path.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 7]).unwrap();
    let error = format!("{:#}", Model::load(&path).unwrap_err());
    assert!(error.contains("model.safetensors: the file is cut short"), "{error}");
}

#[test]
fn damaged_and_oversized_models_are_refused_by_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let refused = |expected: &str| {
        let error = format!("{:#}", Model::load(&path).unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    let mut model = model();
    let damaged = model.weights.layout.layers[1].up.start + 5;
    model.weights.data[damaged] = f32::NAN;
    model.save(&path).unwrap();
    refused("tensor model.layers.1.mlp.up_proj.weight has 1 weights of 960 that are not finite");
    let config = fs::read_to_string(path.join("config.json")).unwrap();
    let wide = |width: &str| {
        let other = config.replace("\"intermediate_size\": 40", width);
        assert_ne!(other, config);
        fs::write(path.join("config.json"), other).unwrap();
    };
    wide("\"intermediate_size\": 48");
    refused(
        "gate_proj.weight has the shape [40, 24], and the model's configuration asks for [48, 24]",
    );
    if cfg!(target_os = "linux") {
        wide("\"intermediate_size\": 4000000000000");
        refused("too little memory: the model, in 32-bit numbers, needs 2304000.0 GB, and ");
    }
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
