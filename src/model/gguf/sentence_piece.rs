//! The SentencePiece tokenizers of a GGUF file (Llama 2, TinyLlama, Mistral): pieces with scores, the
//! best of which merge first.
//!
//! Put together as Hugging Face's conversion does it (`generate_merges`): each way to cut a piece into
//! two others is a merge, in the order of the scores. Pieces that no text may become (the unknown one,
//! control tokens, bytes) are not merged to, as in SentencePiece.
use anyhow::Context;
use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::{
    AddedToken, Tokenizer,
    decoders::{
        DecoderWrapper, byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as Decoders,
        strip::Strip,
    },
    models::bpe::{BPE, Merges, Vocab},
    normalizers::{NormalizerWrapper, Prepend, Replace, utils::Sequence as Normalizers},
};

use super::value;

/// What stands for a space.
const SPACE: &str = "\u{2581}";

/// How SentencePiece and GGUF number the kinds of pieces.
mod kind {
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER_DEFINED: i32 = 4;
    pub(super) const BYTE: i32 = 6;
}

/// A piece of the vocabulary.
struct Piece {
    text: String,
    score: f32,
    kind: i32,
}

/// # Errors
/// When pieces, scores or kinds are missing, or differ in number.
pub(super) fn read(content: &Content) -> anyhow::Result<Tokenizer> {
    let pieces = pieces(content)?;
    let vocabulary: Vocab =
        (0..).zip(&pieces).map(|(id, piece)| (piece.text.clone(), id)).collect();
    let unknown = pieces.iter().find(|piece| piece.kind == kind::UNKNOWN);
    let merges = merges(&pieces, &vocabulary);
    let mut model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .byte_fallback(pieces.iter().any(|piece| piece.kind == kind::BYTE))
        .fuse_unk(true);
    if let Some(piece) = unknown {
        model = model.unk_token(piece.text.clone());
    }
    let mut tokenizer = Tokenizer::new(model.build().map_err(anyhow::Error::from_boxed)?);

    // As llama.cpp does, a space comes before the text, and before what follows a control token.
    let spaced = match content.metadata.get("tokenizer.ggml.add_space_prefix") {
        Some(spaced) => spaced.to_bool()?,
        None => true,
    };
    let replace = |from: &str, to: &str| Replace::new(from, to).map_err(anyhow::Error::from_boxed);
    let mut normalizers: Vec<NormalizerWrapper> = vec![replace(" ", SPACE)?.into()];
    let mut decoders: Vec<DecoderWrapper> =
        vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if spaced {
        normalizers.insert(0, Prepend::new(SPACE.to_owned()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer
        .with_normalizer(Some(Normalizers::new(normalizers)))
        .map_err(anyhow::Error::from_boxed)?
        .with_decoder(Some(Decoders::new(decoders)));

    let of = |wanted: &[i32], special| -> Vec<AddedToken> {
        let found = pieces.iter().filter(|piece| wanted.contains(&piece.kind));
        found.map(|piece| AddedToken::from(piece.text.clone(), special).normalized(false)).collect()
    };
    tokenizer
        .add_special_tokens(of(&[kind::UNKNOWN, kind::CONTROL], true))
        .map_err(anyhow::Error::from_boxed)?;
    tokenizer.add_tokens(of(&[kind::USER_DEFINED], false)).map_err(anyhow::Error::from_boxed)?;
    Ok(tokenizer)
}

fn pieces(content: &Content) -> anyhow::Result<Vec<Piece>> {
    let list = |key: &str| -> anyhow::Result<&Vec<Value>> {
        let key = format!("tokenizer.ggml.{key}");
        value(content, &key)?.to_vec().with_context(|| format!("{key} is not a list"))
    };
    let (texts, scores, kinds) = (list("tokens")?, list("scores")?, list("token_type")?);
    anyhow::ensure!(
        texts.len() == scores.len() && texts.len() == kinds.len(),
        "its tokenizer has {} pieces, {} scores and {} kinds of pieces: the file is damaged",
        texts.len(),
        scores.len(),
        kinds.len()
    );
    let rows = texts.iter().zip(scores).zip(kinds);
    rows.map(|((text, score), kind)| {
        Ok(Piece { text: text.to_string()?.clone(), score: score.to_f32()?, kind: kind.to_i32()? })
    })
    .collect()
}

/// Each way to make a piece of two others, the best first: by score, then the longer left part, then
/// the longer right part.
fn merges(pieces: &[Piece], vocabulary: &Vocab) -> Merges {
    let mut merges = Vec::new();
    for piece in pieces {
        if [kind::UNKNOWN, kind::CONTROL, kind::BYTE].contains(&piece.kind) {
            continue;
        }
        let cuts = piece.text.char_indices().skip(1).map(|(at, _)| piece.text.split_at(at));
        let mut own: Vec<_> = cuts
            .filter_map(|(left, right)| {
                Some(((*vocabulary.get(left)?, *vocabulary.get(right)?), (left, right)))
            })
            .collect();
        own.sort_unstable();
        merges.extend(own.into_iter().map(|(_, cut)| (piece.score, cut)));
    }
    let characters = |(left, right): (&str, &str)| (left.chars().count(), right.chars().count());
    merges.sort_by(|(score, cut), (other_score, other_cut)| {
        other_score.total_cmp(score).then_with(|| characters(*other_cut).cmp(&characters(*cut)))
    });
    merges.into_iter().map(|(_, (left, right))| (left.to_owned(), right.to_owned())).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use candle_core::quantized::gguf_file::VersionedMagic;

    use super::*;

    /// What SentencePiece 0.2.3 made of a sentence: 285 pieces by pairs, bytes as the last resort.
    pub(in super::super) fn content() -> Content {
        let learned = "▁s ▁se he the ▁sea ▁the ▁seal ▁a ▁see ho nd re ▁o ▁at e ▁ s a h t l o r d n";
        let mut pieces =
            vec![("<unk>".to_owned(), 2), ("<s>".to_owned(), 3), ("</s>".to_owned(), 3)];
        pieces.push(("[hull]".to_owned(), 4));
        pieces.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), 6)));
        let first = pieces.len();
        pieces.extend(learned.split(' ').map(|text| (text.to_owned(), 1)));
        let scores = (0..pieces.len()).map(|id| -(id.saturating_sub(first) as f32));
        let lists = [
            ("scores", scores.map(Value::F32).collect()),
            ("token_type", pieces.iter().map(|(_, kind)| Value::I32(*kind)).collect()),
            ("tokens", pieces.iter().map(|(text, _)| Value::String(text.clone())).collect()),
        ];
        let lists = lists.map(|(key, list)| (format!("tokenizer.ggml.{key}"), Value::Array(list)));
        Content {
            magic: VersionedMagic::GgufV3,
            metadata: HashMap::from(lists),
            tensor_infos: HashMap::new(),
            tensor_data_offset: 0,
        }
    }

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
    }

    #[test]
    fn text_becomes_the_pieces_of_sentence_piece_and_text_again() {
        let mut tokenizer = read(&content()).unwrap();
        // By SentencePiece with the same model.
        let same: [(&str, &[u32]); 5] = [
            ("the seal sees the seashore", &[265, 266, 268, 276, 265, 264, 276, 269, 271]),
            ("  seals\n", &[275, 275, 266, 276, 14]),
            ("Xsee", &[275, 92, 276, 274, 274]),
            ("é🙂", &[275, 199, 173, 244, 163, 157, 134]),
            ("", &[]),
        ];
        for (text, expected) in same {
            assert_eq!(ids(&tokenizer, text), expected, "{text}");
            assert_eq!(tokenizer.decode(expected, true).unwrap(), text);
        }
        // As llama.cpp has it, a space begins what follows a piece of its own.
        assert_eq!(ids(&tokenizer, "see</s>[hull]sea"), [268, 2, 3, 264]);
        assert_eq!(tokenizer.decode(&[268, 2, 3, 264], true).unwrap(), "see[hull] sea");
        // Spelled out in text that is not to be trusted.
        tokenizer.set_encode_special_tokens(true);
        assert_eq!(ids(&tokenizer, "see </s>"), [268, 275, 64, 51, 276, 66]);
    }

    #[test]
    fn a_file_may_want_no_space_before_the_text() {
        let mut content = content();
        content.metadata.insert("tokenizer.ggml.add_space_prefix".into(), Value::Bool(false));
        let tokenizer = read(&content).unwrap();
        assert_eq!(ids(&tokenizer, "see the"), [276, 274, 274, 265]);
        assert_eq!(tokenizer.decode(&[265, 265], true).unwrap(), " the the");
    }

    #[test]
    fn lists_of_unlike_lengths_are_an_error() {
        let mut content = content();
        content.metadata.insert("tokenizer.ggml.scores".into(), Value::Array(Vec::new()));
        let error = read(&content).unwrap_err().to_string();
        assert!(error.contains("285 pieces, 0 scores and 285 kinds"), "{error}");
        content.metadata.remove("tokenizer.ggml.scores");
        assert!(read(&content).is_err());
    }
}
