//! A GGUF file's tokenizer, put together as the model's own `tokenizer.json` has it.
//!
//! The file names the way in which text is cut before it is merged, and says no more about it.
use anyhow::Context;
use candle_core::quantized::{gguf_file::Content, tokenizer::TokenizerFromGguf};
use tokenizers::{
    ModelWrapper, SplitDelimiterBehavior, Tokenizer,
    decoders::byte_level::ByteLevel as ByteLevelDecoder,
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::{sentence_piece, text};

/// Llama 3's cuts, from its `tokenizer.json`.
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-2's, without its byte level.
const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// # Errors
/// When the file cuts text in a way that is not known here.
pub(super) fn read(content: &Content) -> anyhow::Result<Tokenizer> {
    let kind = text(content, "tokenizer.ggml.model").context("it has no tokenizer")?;
    if kind == "llama" {
        return sentence_piece::read(content).context("its tokenizer cannot be read");
    }
    anyhow::ensure!(
        kind == "gpt2",
        "its tokenizer is of a kind ({kind}) that is not supported; use the model's Hugging Face directory instead, which has a tokenizer.json"
    );
    let mut tokenizer = Tokenizer::from_gguf(content).context("its tokenizer is not supported")?;
    // candle takes GPT-2's cuts for those it does not know, with a space before the text.
    let name = text(content, "tokenizer.ggml.pre").unwrap_or("default");
    let bytes = ByteLevel::new(false, true, false);
    let cuts: Vec<PreTokenizerWrapper> = match name {
        "qwen2" => return Ok(tokenizer),
        "gpt2" | "gpt-2" => vec![ByteLevel::new(false, true, true).into()],
        "smollm" => vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()],
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" => vec![at(LLAMA_3)?, bytes.into()],
        // As llama.cpp does where a file does not say: four cuts, one after the other.
        "default" => {
            let cuts = [r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", "[0-9][0-9][0-9]"];
            let cuts = cuts.into_iter().map(at).collect::<anyhow::Result<Vec<_>>>()?;
            cuts.into_iter().chain([bytes.into()]).collect()
        }
        other => anyhow::bail!(
            "its tokenizer cuts text in a way ({other}) that is not supported; use the model's Hugging Face directory instead, which has a tokenizer.json"
        ),
    };
    tokenizer.with_pre_tokenizer(Some(Sequence::new(cuts)));
    tokenizer.with_decoder(Some(ByteLevelDecoder::default()));
    if name.starts_with("llama")
        && let ModelWrapper::BPE(model) = tokenizer.get_model()
    {
        // A word of Llama 3's that is a token is not put together from its parts.
        let mut model = model.clone();
        model.ignore_merges = true;
        tokenizer.with_model(model);
    }
    Ok(tokenizer)
}

/// Cuts before and after each match.
fn at(pattern: &str) -> anyhow::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
    Ok(split.map_err(anyhow::Error::from_boxed)?.into())
}
