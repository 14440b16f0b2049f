//! Weights, tokenizer and chat template from a GGUF file, by candle's reader.
use std::{fs::File, io::BufReader, path::Path};

use anyhow::Context;
use candle_core::{
    Device,
    quantized::{
        gguf_file::{Content, Value},
        tokenizer::TokenizerFromGguf,
    },
};
use tokenizers::{
    Tokenizer,
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use super::{
    chat::Chat,
    config::{Config, Layout},
    network::Weights,
};

/// Loads a model, its weights as `f32`.
///
/// # Errors
/// When the file is missing, cut short, or holds a model that is not supported.
pub(super) fn load(path: &Path) -> anyhow::Result<(Weights, Chat)> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let load = || -> anyhow::Result<(Weights, Chat)> {
        let content = Content::read(&mut reader)
            .context("not a GGUF file, or its head is damaged; delete it and run again")?;
        let end = content.tensor_infos.values().map(|info| {
            let blocks = info.shape.elem_count() / info.ggml_dtype.block_size();
            content.tensor_data_offset + info.offset + (blocks * info.ggml_dtype.type_size()) as u64
        });
        let needed = end.max().unwrap_or(0);
        anyhow::ensure!(
            length >= needed,
            "the file is cut short: {length} bytes, but its weights need {needed}; delete it and run again"
        );
        let config = config(&content)?;
        let chat = chat(&content)?;
        let layout = Layout::new(&config);
        layout.ensure_fits()?;
        let mut data = vec![0.0; layout.len()];
        for tensor in &layout.tensors {
            let name = gguf_name(&tensor.name)?;
            let read = content
                .tensor(&mut reader, &name, &Device::Cpu)
                .with_context(|| format!("no tensor {name}"))?;
            let values = read.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
            anyhow::ensure!(
                values.len() == tensor.at.len(),
                "tensor {name} has {} weights, not {}",
                values.len(),
                tensor.at.len()
            );
            let target = &mut data[tensor.at.clone()];
            if tensor.name.ends_with("q_proj.weight") || tensor.name.ends_with("k_proj.weight") {
                halves_from_pairs(&values, target, config.head_size, tensor.columns);
            } else {
                target.copy_from_slice(&values);
            }
        }
        Ok((Weights { config, layout, data, rounded: None }, chat))
    };
    let mut load = load;
    load().with_context(|| path.display().to_string())
}

/// Rotary positions turn pairs of rows. GGUF lays the two of a pair side by side, Hugging Face half
/// a head apart; we follow Hugging Face, since checkpoints are written in its layout.
fn halves_from_pairs(from: &[f32], to: &mut [f32], head_size: usize, columns: usize) {
    let half = head_size / 2;
    let heads =
        from.chunks_exact(head_size * columns).zip(to.chunks_exact_mut(head_size * columns));
    for (from, to) in heads {
        for i in 0..half {
            for part in 0..2 {
                let source = &from[(2 * i + part) * columns..][..columns];
                to[(part * half + i) * columns..][..columns].copy_from_slice(source);
            }
        }
    }
}

/// The GGUF name of one of our tensors.
fn gguf_name(name: &str) -> anyhow::Result<String> {
    let layer_parts = [
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
    let whole = [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    if let Some((_, gguf)) = whole.iter().find(|(ours, _)| *ours == name) {
        return Ok((*gguf).to_owned());
    }
    let (layer, part) = name
        .strip_prefix("model.layers.")
        .and_then(|rest| rest.strip_suffix(".weight"))
        .and_then(|rest| rest.split_once('.'))
        .with_context(|| format!("no GGUF name for {name}"))?;
    let (_, gguf) = layer_parts
        .iter()
        .find(|(ours, _)| *ours == part)
        .with_context(|| format!("no GGUF name for {name}"))?;
    Ok(format!("blk.{layer}.{gguf}.weight"))
}

fn config(content: &Content) -> anyhow::Result<Config> {
    let architecture = text(content, "general.architecture")?;
    anyhow::ensure!(
        architecture == "llama",
        "the architecture {architecture} is not supported: only llama is"
    );
    if let Ok(scaling) = text(content, "llama.rope.scaling.type") {
        anyhow::ensure!(scaling == "none", "scaled rotary positions ({scaling}) are not supported");
    }
    anyhow::ensure!(
        !content.tensor_infos.contains_key("rope_freqs.weight"),
        "scaled rotary positions (rope_freqs) are not supported"
    );
    anyhow::ensure!(
        !content.metadata.contains_key("llama.expert_count"),
        "mixtures of experts are not supported"
    );
    let number = |key: &str| anyhow::Ok(value(content, key)?.to_u32()? as usize);
    let float = |key: &str| anyhow::Ok(value(content, key)?.to_f32()?);
    let (hidden_size, heads) =
        (number("llama.embedding_length")?, number("llama.attention.head_count")?);
    let vocabulary = value(content, "tokenizer.ggml.tokens")?.to_vec()?.len();
    Config {
        hidden_size,
        intermediate_size: number("llama.feed_forward_length")?,
        layers: number("llama.block_count")?,
        heads,
        kv_heads: number("llama.attention.head_count_kv").unwrap_or(heads),
        head_size: number("llama.attention.key_length").unwrap_or(hidden_size / heads.max(1)),
        vocabulary,
        context: number("llama.context_length")?,
        rope_theta: float("llama.rope.freq_base").unwrap_or(1e4),
        rms_epsilon: float("llama.attention.layer_norm_rms_epsilon")?,
        tied: !content.tensor_infos.contains_key("output.weight"),
    }
    .checked()
}

fn chat(content: &Content) -> anyhow::Result<Chat> {
    let mut tokenizer = Tokenizer::from_gguf(content).context("its tokenizer is not supported")?;
    let kind = text(content, "tokenizer.ggml.pre").unwrap_or("default");
    match kind {
        // candle falls back to GPT-2's splitting here, which joins digits and adds a space.
        "smollm" => {
            let split = vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()];
            tokenizer.with_pre_tokenizer(Some(Sequence::new(split)));
        }
        "qwen2" | "smaug-bpe" | "lfm2" | "llama3" => {}
        other => anyhow::bail!(
            "its tokenizer splits text in a way ({other}) that is not supported; use the model's Hugging Face directory instead, which has a tokenizer.json"
        ),
    }
    let id = |key: &str| anyhow::Ok(value(content, key)?.to_u32()?);
    Chat::new(
        tokenizer,
        text(content, "tokenizer.chat_template")
            .context("it has no chat template: choose an instruction-tuned model")?
            .to_owned(),
        id("tokenizer.ggml.bos_token_id").ok(),
        id("tokenizer.ggml.eos_token_id")?,
    )
}

fn value<'a>(content: &'a Content, key: &str) -> anyhow::Result<&'a Value> {
    content.metadata.get(key).with_context(|| format!("no metadata {key}"))
}

fn text<'a>(content: &'a Content, key: &str) -> anyhow::Result<&'a str> {
    Ok(value(content, key)?.to_string()?)
}
