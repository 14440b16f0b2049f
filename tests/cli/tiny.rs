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

/// The same model as a GGUF file of `f32`, with a tokenizer of single bytes.
pub(crate) fn gguf(architecture: &str, cuts: &str) -> Vec<u8> {
    let mut file = Gguf::default();
    let tokens: Vec<String> = ["<unk>", "<s>", "</s>"]
        .map(str::to_owned)
        .into_iter()
        .chain(('a'..='z').map(String::from))
        .chain(('0'..='8').map(String::from))
        .chain(["he", "Ġ"].map(str::to_owned))
        .collect();
    let types: Vec<u32> = (0..VOCABULARY as u32).map(|id| if id < 3 { 3 } else { 1 }).collect();
    let template = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}<s>";
    file.text("general.architecture", architecture);
    let numbers = [
        ("embedding_length", HIDDEN),
        ("feed_forward_length", WIDE),
        ("block_count", 2),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("attention.key_length", 6),
        ("context_length", 256),
    ];
    for (key, number) in numbers {
        file.number(&format!("{architecture}.{key}"), number as u32);
    }
    file.key(&format!("{architecture}.attention.layer_norm_rms_epsilon"), 6);
    file.head.extend(1e-5_f32.to_le_bytes());
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", cuts);
    file.text("tokenizer.chat_template", template);
    file.number("tokenizer.ggml.bos_token_id", 1);
    file.number("tokenizer.ggml.eos_token_id", 2);
    file.array("tokenizer.ggml.tokens", 8, tokens.len());
    tokens.iter().for_each(|token| file.string(token));
    file.array("tokenizer.ggml.token_type", 4, types.len());
    types.iter().for_each(|kind| file.head.extend(kind.to_le_bytes()));
    file.array("tokenizer.ggml.merges", 8, 1);
    file.string("h e");
    for (name, (shape, values)) in weights() {
        file.tensor(&gguf_name(&name), &shape, &values);
    }
    file.bytes()
}

fn gguf_name(name: &str) -> String {
    let parts = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("model.layers.", "blk."),
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    parts.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}

/// A GGUF file, version 3, as it grows.
#[derive(Default)]
struct Gguf {
    head: Vec<u8>,
    keys: u64,
    infos: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

impl Gguf {
    fn string(&mut self, text: &str) {
        self.head.extend((text.len() as u64).to_le_bytes());
        self.head.extend(text.as_bytes());
    }

    fn key(&mut self, name: &str, kind: u32) {
        self.keys += 1;
        self.string(name);
        self.head.extend(kind.to_le_bytes());
    }

    fn text(&mut self, name: &str, text: &str) {
        self.key(name, 8);
        self.string(text);
    }

    fn number(&mut self, name: &str, number: u32) {
        self.key(name, 4);
        self.head.extend(number.to_le_bytes());
    }

    fn array(&mut self, name: &str, kind: u32, length: usize) {
        self.key(name, 9);
        self.head.extend(kind.to_le_bytes());
        self.head.extend((length as u64).to_le_bytes());
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors += 1;
        self.infos.extend((name.len() as u64).to_le_bytes());
        self.infos.extend(name.as_bytes());
        self.infos.extend((shape.len() as u32).to_le_bytes());
        for size in shape.iter().rev() {
            self.infos.extend((*size as u64).to_le_bytes());
        }
        self.infos.extend(0_u32.to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.data.resize(self.data.len().next_multiple_of(32), 0);
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.keys.to_le_bytes());
        bytes.extend(self.head);
        bytes.extend(self.infos);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(self.data);
        bytes
    }
}
