//! Models that cannot be loaded: one clear message, exit code 2.
use std::fs;

use serde_json::json;

use crate::{Workplace, tiny};

/// Talks to the tiny model after a change, and looks for all of `expected` in one error.
fn check(change: impl FnOnce(&Workplace), expected: &[&str]) {
    let workplace = Workplace::new();
    tiny::write(&workplace.path("tiny"));
    change(&workplace);
    let output = workplace.run(&["chat", "tiny"]);
    assert!(output.starts_with("exit 2\n--- stdout\n--- stderr\n"), "{output}");
    assert_eq!(output.matches("error: ").count(), 1, "{output}");
    for text in expected {
        assert!(output.contains(text), "no {text:?} in {output}");
    }
}

fn change_config(key: &'static str, value: serde_json::Value) -> impl FnOnce(&Workplace) {
    move |workplace| {
        let mut config = tiny::config();
        config[key] = value;
        tiny::write_json(&workplace.path("tiny/config.json"), &config);
    }
}

fn change_weights(change: impl FnOnce(&mut tiny::Tensors)) -> impl FnOnce(&Workplace) {
    move |workplace| {
        let mut tensors = tiny::weights();
        change(&mut tensors);
        tiny::write_weights(&workplace.path("tiny/model.safetensors"), &tensors);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    check(
        change_config("architectures", json!(["MambaForCausalLM"])),
        &["tiny/config.json", "MambaForCausalLM is not supported", "LlamaForCausalLM, Mistral"],
    );
    check(
        change_config("rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 })),
        &["tiny/config.json", "(yarn)"],
    );
}

#[test]
fn damaged_weights_are_named() {
    let part = "model.layers.1.mlp.up_proj.weight";
    check(
        change_weights(|tensors| tensors.get_mut(part).unwrap().1[7] = f32::NAN),
        &["tiny/model.safetensors", part, "1 weights of 960 that are not finite"],
    );
    check(
        change_weights(|tensors| tensors.get_mut(part).unwrap().0 = vec![24, 40]),
        &[part, "has the shape [24, 40]", "asks for [40, 24]"],
    );
    check(change_weights(|tensors| drop(tensors.remove(part))), &["no tensor", part]);
    check(
        |workplace| {
            let path = workplace.path("tiny/model.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
        },
        &["tiny/model.safetensors", "cut short"],
    );
}

#[test]
fn a_tokenizer_of_another_model_is_named() {
    for (words, expected) in [(50, "has 50 tokens, but the model only 40"), (20, "another model's")]
    {
        let change = |workplace: &Workplace| {
            tiny::write_json(&workplace.path("tiny/tokenizer.json"), &tiny::tokenizer(words));
        };
        check(change, &["tiny", expected]);
    }
}

#[test]
fn too_little_memory_is_said_before_anything_is_loaded() {
    check(
        change_config("vocab_size", json!(1_000_000_000_000_u64)),
        &["tiny", "too little memory: the model", "GB is free"],
    );
}

#[test]
fn a_gguf_that_is_cut_short_or_none_is_named() {
    let workplace = Workplace::new();
    let check = |bytes: &[u8], expected: &str| {
        fs::write(workplace.path("model.gguf"), bytes).unwrap();
        let output = workplace.run(&["bench", "model.gguf"]);
        assert!(output.starts_with("exit 2"), "{output}");
        assert!(output.contains("model.gguf") && output.contains(expected), "{output}");
    };
    check(b"no model at all", "not a GGUF file");
    check(b"GGUF\x03\x00\x00\x00", "not a GGUF file, or its head is damaged");
    let gguf = tiny::gguf("llama", "gpt2");
    check(&gguf[..gguf.len() - 10], "the file is cut short");
    check(&tiny::gguf("mamba", "gpt2"), "the architecture mamba is not supported");
    check(&tiny::gguf("llama", "chameleon"), "cuts text in a way (chameleon)");
    fs::write(workplace.path("model.gguf"), gguf).unwrap();
    let output = workplace.run(&["chat", "model.gguf"]);
    assert!(output.starts_with("exit 0"), "{output}");
}
