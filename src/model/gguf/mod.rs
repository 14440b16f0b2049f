//! Weights, tokenizer and chat template from a GGUF file, by candle's reader.
mod sentence_piece;
mod tokenizer;

use std::{
    fs::File,
    io::BufReader,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use candle_core::{
    Device, Storage,
    quantized::gguf_file::{Content, Value},
};

use super::{
    chat::Chat,
    config::Config,
    family::{Architecture, Family, every_nth},
    layout::Layout,
    network::Weights,
    rotary::{Scaling, frequencies},
};

/// Loads a model, its weights as `f32`.
///
/// # Errors
/// When the file is missing, cut short, or holds a model that is not supported.
pub(super) fn load(path: &Path) -> anyhow::Result<(Weights, Chat)> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let load = move || -> anyhow::Result<(Weights, Chat)> {
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
        let mut config = config(&content)?;
        config.family.scaling = scaling(&content, &mut reader, &config)?;
        let chat = chat(&content)?;
        let layout = Layout::new(&config);
        layout.ensure_fits()?;
        let reader = Mutex::new(reader);
        let data = layout.filled(|tensor, target| {
            let name = gguf_name(&tensor.name)?;
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let read = content.tensor(&mut *reader, &name, &Device::Cpu);
            drop(reader);
            let read = read.with_context(|| format!("no tensor {name}"))?;
            tensor.check_shape(&name, read.shape().dims())?;
            let values = read.dequantize(&Device::Cpu)?;
            let (storage, _) = values.storage_and_layout();
            let Storage::Cpu(values) = &*storage else { anyhow::bail!("{name} is not in memory") };
            let values = values.as_slice::<f32>()?;
            if is_in_pairs(config.family.architecture, &tensor.name) {
                halves_from_pairs(values, target, config.head_size, tensor.columns);
            } else {
                target.copy_from_slice(values);
            }
            tensor.check_values(&name, target)
        })?;
        Ok((Weights { config, layout, data, rounded: None }, chat))
    };
    load().with_context(|| path.display().to_string())
}

/// Whether a file of this architecture has the rows of a matrix in pairs, as llama.cpp's conversion of
/// Llamas leaves them.
fn is_in_pairs(architecture: Architecture, name: &str) -> bool {
    let rotated = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
    rotated && !matches!(architecture, Architecture::Qwen2 | Architecture::Qwen3)
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
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
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
    let (layer, part, kind) = name
        .strip_prefix("model.layers.")
        .and_then(|rest| rest.rsplit_once('.'))
        .and_then(|(rest, kind)| rest.split_once('.').map(|(layer, part)| (layer, part, kind)))
        .with_context(|| format!("no GGUF name for {name}"))?;
    let (_, gguf) = layer_parts
        .iter()
        .find(|(ours, _)| *ours == part)
        .with_context(|| format!("no GGUF name for {name}"))?;
    Ok(format!("blk.{layer}.{gguf}.{kind}"))
}

fn config(content: &Content) -> anyhow::Result<Config> {
    let name = text(content, "general.architecture")?;
    let architecture = Architecture::of_gguf(name)?;
    let optional = |key: &str| content.metadata.get(&format!("{name}.{key}"));
    let number =
        |key: &str| anyhow::Ok(value(content, &format!("{name}.{key}"))?.to_u32()? as usize);
    let float = |key: &str| anyhow::Ok(value(content, &format!("{name}.{key}"))?.to_f32()?);
    if let Some(scaling) = optional("rope.scaling.type") {
        let scaling = scaling.to_string()?;
        anyhow::ensure!(
            scaling == "none",
            "rotary positions scaled in another way than Llama 3's ({scaling}) are not supported"
        );
    }
    anyhow::ensure!(optional("expert_count").is_none(), "mixtures of experts are not supported");
    let biased = content.tensor_infos.contains_key("blk.0.attn_q.bias");
    anyhow::ensure!(
        biased == architecture.has_biases(),
        "a model of architecture {name} {} biases of queries is not supported",
        if biased { "with" } else { "without" }
    );
    let (hidden_size, heads) = (number("embedding_length")?, number("attention.head_count")?);
    let vocabulary = value(content, "tokenizer.ggml.tokens")?.to_vec()?.len();
    let layers = number("block_count")?;
    Config {
        hidden_size,
        intermediate_size: number("feed_forward_length")?,
        layers,
        heads,
        kv_heads: number("attention.head_count_kv").unwrap_or(heads),
        head_size: number("attention.key_length").unwrap_or(hidden_size / heads.max(1)),
        vocabulary,
        context: number("context_length")?,
        rope_theta: float("rope.freq_base").unwrap_or(1e4),
        rms_epsilon: float("attention.layer_norm_rms_epsilon")?,
        tied: !content.tensor_infos.contains_key("output.weight"),
        family: Family {
            architecture,
            window: number("attention.sliding_window").ok().filter(|&window| window > 0),
            unrotated: match architecture {
                // As llama.cpp has it, which does not read it from the file either.
                Architecture::SmolLm3 => every_nth(layers, 4),
                _ => Vec::new(),
            },
            scaling: None,
        },
    }
    .checked()
}

/// The stretching of rotary positions, of which the file holds the divisors.
fn scaling(
    content: &Content,
    reader: &mut BufReader<File>,
    config: &Config,
) -> anyhow::Result<Option<Scaling>> {
    if !content.tensor_infos.contains_key("rope_freqs.weight") {
        return Ok(None);
    }
    let divisors = content.tensor(reader, "rope_freqs.weight", &Device::Cpu)?;
    let divisors = divisors.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    let plain = frequencies(config.rope_theta, config.head_size, None);
    Scaling::from_divisors(&divisors, &plain).map(Some)
}

fn chat(content: &Content) -> anyhow::Result<Chat> {
    let id = |name: &str| {
        let key = format!("tokenizer.ggml.{name}_token_id");
        content.metadata.get(&key).map(Value::to_u32).transpose().context(key)
    };
    // Where a turn ends before the text does, the file says so.
    let ends = [id("eot")?, id("eos")?, id("eom")?];
    let ends: Vec<u32> = ends.into_iter().flatten().collect();
    let end = *ends.first().context("no metadata tokenizer.ggml.eos_token_id")?;
    let template = text(content, "tokenizer.chat_template")
        .context("it has no chat template: choose an instruction-tuned model")?;
    let chat = Chat::new(tokenizer::read(content)?, template.to_owned(), id("bos")?, end)?;
    Ok(chat.stopping_at(ends))
}

fn value<'a>(content: &'a Content, key: &str) -> anyhow::Result<&'a Value> {
    content.metadata.get(key).with_context(|| format!("no metadata {key}"))
}

fn text<'a>(content: &'a Content, key: &str) -> anyhow::Result<&'a str> {
    Ok(value(content, key)?.to_string()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_where_the_file_says_and_a_reply_at_the_others_too() {
        let mut content = sentence_piece::tests::content();
        let mut set = |key: &str, value| content.metadata.insert(key.to_owned(), value);
        set("tokenizer.ggml.model", Value::String("llama".into()));
        set("tokenizer.chat_template", Value::String("{{ messages[0].content }}".into()));
        set("tokenizer.ggml.eos_token_id", Value::U32(2));
        set("tokenizer.ggml.eot_token_id", Value::U32(3));
        let both = chat(&content).unwrap();
        assert_eq!((both.end(), &both.stops[..]), (3, &[3, 2][..]));
        content.metadata.remove("tokenizer.ggml.eot_token_id");
        let one = chat(&content).unwrap();
        assert_eq!((one.end(), &one.stops[..]), (2, &[2][..]));
        content.metadata.remove("tokenizer.ggml.eos_token_id");
        assert!(chat(&content).unwrap_err().to_string().contains("eos_token_id"));
    }
}
