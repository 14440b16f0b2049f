//! A model small enough for a test: random weights, and a tokenizer of forty words.
use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// Tensors by name: their shape and weights.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

const HIDDEN: usize = 24;
const WIDE: usize = 40;
pub(crate) const VOCABULARY: usize = 40;

/// Writes a Llama in Hugging Face layout.
pub(crate) fn write(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    write_json(&directory.join("config.json"), &config());
    write_json(&directory.join("tokenizer.json"), &tokenizer(VOCABULARY));
    let template = "{% for m in messages %}<s> {{ m.role }} {{ m.content }} </s> {% endfor %}{% if add_generation_prompt %}<s> assistant{% endif %}";
    let words = json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": template });
    write_json(&directory.join("tokenizer_config.json"), &words);
    write_weights(&directory.join("model.safetensors"), &weights());
}

pub(crate) fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

pub(crate) fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": WIDE,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 256,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true,
    })
}

/// Words `w0`, `w1`, ..., after `<unk>`, `<s>`, `</s>`, `user`, `assistant` and `system`.
pub(crate) fn tokenizer(words: usize) -> Value {
    let named = ["<unk>", "<s>", "</s>", "user", "assistant", "system"].map(str::to_owned);
    let words = named.into_iter().chain((0..words - 6).map(|i| format!("w{i}")));
    let vocabulary: serde_json::Map<String, Value> =
        words.zip(0..).map(|(word, id)| (word, json!(id))).collect();
    let control = |(id, content): (usize, &str)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true })
    };
    let control: Vec<Value> =
        ["<unk>", "<s>", "</s>"].into_iter().enumerate().map(control).collect();
    json!({
        "version": "1.0",
        "added_tokens": control,
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "unk_token": "<unk>", "vocab": vocabulary },
    })
}

/// Pseudo-random weights; norms near one.
pub(crate) fn weights() -> Tensors {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize]| {
        let norm = if shape.len() == 1 { 1.0 } else { 0.0 };
        let values = (0..shape.iter().product()).map(|_| norm + 0.5 * next()).collect();
        tensors.insert(name, (shape.to_vec(), values));
    };
    add("model.embed_tokens.weight".into(), &[VOCABULARY, HIDDEN]);
    add("model.norm.weight".into(), &[HIDDEN]);
    for layer in 0..2 {
        let parts: [(&str, &[usize]); 9] = [
            ("input_layernorm", &[HIDDEN]),
            ("self_attn.q_proj", &[24, HIDDEN]),
            ("self_attn.k_proj", &[12, HIDDEN]),
            ("self_attn.v_proj", &[12, HIDDEN]),
            ("self_attn.o_proj", &[HIDDEN, 24]),
            ("post_attention_layernorm", &[HIDDEN]),
            ("mlp.gate_proj", &[WIDE, HIDDEN]),
            ("mlp.up_proj", &[WIDE, HIDDEN]),
            ("mlp.down_proj", &[HIDDEN, WIDE]),
        ];
        for (part, shape) in parts {
            add(format!("model.layers.{layer}.{part}.weight"), shape);
        }
    }
    tensors
}

pub(crate) fn write_weights(path: &Path, tensors: &Tensors) {
    let bytes: BTreeMap<&String, Vec<u8>> = tensors
        .iter()
        .map(|(name, (_, values))| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = tensors.iter().map(|(name, (shape, _))| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), &bytes[name]).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}
