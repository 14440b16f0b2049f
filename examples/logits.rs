//! What our model code makes of token ids, as JSON, for `benches/families.py` to hold against
//! transformers.
//!
//! `cargo run --release --example logits -- IDS.json MODEL...`: beside each model, a directory or a GGUF
//! file, writes `MODEL.json` with, for each list of ids, all logits of the next token and 24 greedy
//! tokens; and `MODEL.again`, the model as a checkpoint of ours.
use std::{env, fs, path::Path};

use anyhow::Context;
use serde_json::json;
use spyhop::model::{Generation, Model};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [ids, models @ ..] = &arguments[..] else { anyhow::bail!("expected IDS.json MODEL...") };
    let text = fs::read_to_string(ids).with_context(|| ids.clone())?;
    let ids: Vec<Vec<u32>> = serde_json::from_str(&text)?;
    for path in models {
        let model = Model::load(Path::new(path))?;
        let vocabulary = model.weights.config.vocabulary;
        let logits = |ids: &Vec<u32>| {
            let mut ranked = model.best_next(ids, vocabulary);
            ranked.sort_unstable_by_key(|(id, _)| *id);
            ranked.into_iter().map(|(_, logit)| logit).collect::<Vec<f32>>()
        };
        let logits: Vec<Vec<f32>> = ids.iter().map(logits).collect();
        let request = |prompt: &Vec<u32>| Generation {
            prompt: prompt.clone(),
            max_tokens: 24,
            ..Generation::default()
        };
        let requests: Vec<Generation> = ids.iter().map(request).collect();
        let mut greedy = vec![Vec::new(); ids.len()];
        model.generate(
            &requests,
            |_| {},
            |index, reply| {
                greedy[index] = reply.ids;
                Ok(())
            },
        )?;
        fs::write(
            format!("{path}.json"),
            json!({ "logits": logits, "greedy": greedy }).to_string(),
        )?;
        model.save(Path::new(&format!("{path}.again")))?;
    }
    Ok(())
}
