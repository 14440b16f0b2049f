//! What our model code makes of a GGUF file, as JSON, for `benches/parity.py` to hold against
//! llama.cpp and transformers.
//!
//! `cargo run --release --example parity -- MODEL.gguf TEXTS.json PROMPTS.json OUT`: writes
//! `OUT/tokens.json` (ids of each text), `OUT/greedy.json` (64 greedy tokens for each prompt, with
//! the distance between the two best logits at each), `OUT/scores.json` (mean log-probability of
//! those tokens) and `OUT/checkpoint/`.
use std::{env, fs, path::Path};

use anyhow::Context;
use serde_json::json;
use spyhop::model::{Generation, Message, Model, Role};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, texts, prompts, out] = &arguments[..] else {
        anyhow::bail!("expected MODEL.gguf TEXTS.json PROMPTS.json OUT");
    };
    let (model, out) = (Model::load(Path::new(model))?, Path::new(out));
    let read = |path: &str| -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
        Ok(serde_json::from_str(&text)?)
    };
    fs::create_dir_all(out)?;
    let ids: Vec<Vec<u32>> =
        read(texts)?.iter().map(|text| model.chat.encode(text)).collect::<anyhow::Result<_>>()?;
    fs::write(out.join("tokens.json"), serde_json::to_string(&ids)?)?;

    let request = |prompt: &String| {
        anyhow::Ok(Generation {
            prompt: model.chat.prompt(&[Message::new(Role::User, prompt)], "")?,
            max_tokens: 64,
            ..Generation::default()
        })
    };
    let requests: Vec<Generation> =
        read(prompts)?.iter().map(request).collect::<anyhow::Result<_>>()?;
    let mut replies = vec![None; requests.len()];
    model.generate(
        &requests,
        |_| {},
        |index, reply| {
            replies[index] = Some(reply.ids);
            Ok(())
        },
    )?;
    let replies: Vec<Vec<u32>> = replies.into_iter().flatten().collect();
    let mut greedy = Vec::new();
    for (request, reply) in requests.iter().zip(&replies) {
        let (mut context, mut margins) = (request.prompt.clone(), Vec::new());
        for &id in reply {
            let best = model.best_next(&context, 2);
            margins.push(best[0].1 - best[1].1);
            context.push(id);
        }
        let text = model.chat.decode(reply)?;
        greedy.push(
            json!({ "prompt": request.prompt, "ids": reply, "margins": margins, "text": text }),
        );
    }
    fs::write(out.join("greedy.json"), serde_json::to_string(&greedy)?)?;

    let items: Vec<(Vec<u32>, Vec<u32>)> =
        requests.into_iter().map(|request| request.prompt).zip(replies).collect();
    let mut scores = vec![0.0; items.len()];
    model.log_probabilities(&items, |index, found| {
        scores[index] = found.iter().sum::<f64>() / found.len() as f64;
        Ok(())
    })?;
    fs::write(out.join("scores.json"), serde_json::to_string(&scores)?)?;
    model.save(&out.join("checkpoint"))
}
