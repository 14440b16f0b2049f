//! Tokens, trainings and their steps as JSON, for `benches/finetuning.py` to hold against PyTorch,
//! TRL and PEFT.
//!
//! `cargo run --release --example finetuning -- tokens MODEL PAIRS.jsonl OUT.json` writes what a model
//! is taught by each pair: its tokens, and which of them are learned.
//! `... -- train MODEL JOB.json OUT` trains on such examples and writes `OUT/steps.json`, with the
//! examples of each step, and `OUT/checkpoint/`, and `OUT/adapter/` where the job has an adapter.
use std::{env, fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use spyhop::model::{Example, Lora, Message, Model, Role, Schedule, Training};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    examples: Vec<(Vec<u32>, Vec<bool>)>,
    epochs: f64,
    batch_size: usize,
    learning_rate: f64,
    final_learning_rate: f64,
    rounded: bool,
    /// Rank and alpha of an adapter for all seven projections.
    lora: Option<(usize, f64)>,
    /// Whether the result is written.
    keep: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [verb, model, input, out] = &arguments[..] else {
        anyhow::bail!("expected tokens or train, MODEL, a file and OUT");
    };
    let model = Model::load(Path::new(model))?;
    let text = fs::read_to_string(input).with_context(|| input.clone())?;
    match verb.as_str() {
        "tokens" => tokens(&model, &text, Path::new(out)),
        "train" => train(model, serde_json::from_str(&text)?, Path::new(out)),
        _ => anyhow::bail!("{verb}: expected tokens or train"),
    }
}

fn tokens(model: &Model, pairs: &str, out: &Path) -> anyhow::Result<()> {
    let example = |line: &str| {
        let row: Value = serde_json::from_str(line)?;
        let [instruction, output] = ["instruction", "output"].map(|name| row[name].as_str());
        let instruction = instruction.context("no instruction")?;
        let messages = [
            Message::new(Role::System, "Answer in the style of an AI Assistant."),
            Message::new(Role::User, instruction),
        ];
        let example = model.chat.example(&messages, output.context("no output")?)?;
        anyhow::Ok((example.ids, example.learned))
    };
    let examples: Vec<_> = pairs.lines().map(example).collect::<anyhow::Result<_>>()?;
    Ok(fs::write(out, serde_json::to_string(&examples)?)?)
}

fn train(mut model: Model, job: Job, out: &Path) -> anyhow::Result<()> {
    let examples: Vec<Example> =
        job.examples.into_iter().map(|(ids, learned)| Example { ids, learned }).collect();
    let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    let lora = |(rank, alpha)| Lora { rank, alpha, targets: targets.map(str::to_owned).to_vec() };
    let schedule = Schedule {
        epochs: job.epochs,
        batch_size: job.batch_size,
        learning_rate: job.learning_rate,
        final_learning_rate: job.final_learning_rate,
        weight_decay: 0.1,
        gradient_clip: 1.0,
        random_seed: 1,
    };
    let batches = schedule.batches(examples.len());
    let training = Training {
        schedule,
        lora: job.lora.map(lora),
        dropout: 0.0,
        examples: &examples,
        held_out: &[],
        rounded: job.rounded,
        state: out.join("state"),
        state_every: Duration::MAX,
    };
    fs::create_dir_all(out)?;
    let mut steps = Vec::new();
    let adapter = training.run(&mut model, |_, step| {
        steps.push(serde_json::to_value(&step)?);
        Ok(())
    })?;
    let found = json!({ "batches": batches, "steps": steps });
    fs::write(out.join("steps.json"), serde_json::to_string(&found)?)?;
    if job.keep {
        model.save(&out.join("checkpoint"))?;
        if let Some(adapter) = adapter {
            adapter.save(&out.join("adapter"))?;
        }
    }
    Ok(())
}
