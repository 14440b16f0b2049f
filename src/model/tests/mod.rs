//! Tests of the whole model on a seeded tiny one, with no weights from outside.
mod checkpoint;
mod decoding;
mod gradients;

use super::{layout::Layout, *};

pub(super) use decoding::generate;
pub(super) use gradients::check_gradients;

pub(super) const CONFIG: Config = Config {
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
    family: Family::LLAMA,
};

/// Small pseudo-random weights; norms near one.
pub(super) fn weights(config: &Config) -> Weights {
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
pub(super) fn chat() -> Chat {
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

pub(super) fn packed(sequences: &[Vec<u32>]) -> Packed {
    let mut packed = Packed::default();
    sequences.iter().for_each(|ids| packed.push(ids));
    packed
}
