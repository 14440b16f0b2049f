//! The tokens that a model's tokenizer makes of texts, for `benches/sentence_pieces.py` to hold against
//! SentencePiece.
//!
//! `cargo run --release --example tokens -- TEXTS.json MODEL...`: beside each model, writes
//! `MODEL.json` with, for each text, its tokens and what these say.
use std::{env, fs, path::Path};

use anyhow::Context;
use spyhop::model::Model;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [texts, models @ ..] = &arguments[..] else {
        anyhow::bail!("expected TEXTS.json MODEL...")
    };
    let texts: Vec<String> =
        serde_json::from_str(&fs::read_to_string(texts).with_context(|| texts.clone())?)?;
    for path in models {
        let chat = Model::load(Path::new(path))?.chat;
        let tokens = |text: &String| {
            let ids = chat.encode(text)?;
            let text = chat.decode(&ids)?;
            anyhow::Ok((ids, text))
        };
        let found: Vec<_> = texts.iter().map(tokens).collect::<anyhow::Result<_>>()?;
        fs::write(format!("{path}.json"), serde_json::to_string(&found)?)?;
    }
    Ok(())
}
