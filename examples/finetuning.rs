//! Trainings and what comes of them, for `benches/finetuning.py` to hold against PyTorch, TRL and PEFT.
//!
//! `cargo run --release --example finetuning -- prepare MODEL.gguf PAIRS.jsonl OUT` writes the model as
//! `OUT/base/`, and `OUT/pairs.json`: the tokens of each pair, and which of them are learned.
//! `... -- train MODEL JOB.json OUT` trains on such examples and writes `OUT/steps.json`, with the
//! examples of each step, and the seconds that all cores together had worked when it ended. Where the job has prompts, it writes `OUT/checkpoint/`, `OUT/adapter/` of a
//! job with an adapter, and `OUT/replies.json`: prompts and greedy replies of 64 tokens as ids.
use std::{env, fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use spyhop::model::{Example, Generation, Lora, Message, Model, Role, Schedule, Training};

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
    /// Trains so many layers, counted from the last.
    last_layers: Option<usize>,
    /// What the trained model is to reply to.
    prompts: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [verb, model, input, out] = &arguments[..] else {
        anyhow::bail!("expected prepare or train, MODEL, a file and OUT");
    };
    let model = Model::load(Path::new(model))?;
    let text = fs::read_to_string(input).with_context(|| input.clone())?;
    match verb.as_str() {
        "prepare" => prepare(&model, &text, Path::new(out)),
        "train" => train(model, serde_json::from_str(&text)?, Path::new(out)),
        _ => anyhow::bail!("{verb}: expected prepare or train"),
    }
}

fn prepare(model: &Model, pairs: &str, out: &Path) -> anyhow::Result<()> {
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
    fs::create_dir_all(out)?;
    fs::write(out.join("pairs.json"), serde_json::to_string(&examples)?)?;
    model.save(&out.join("base"))
}

/// Seconds of all cores so far, by Linux's ticks of a hundredth.
fn processor_seconds() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = status.rsplit_once(')').context("no name in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
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
        last_layers: job.last_layers,
        frozen: None,
        dropout: 0.0,
        examples: &examples,
        held_out: &[],
        rounded: job.rounded,
        state: out.join("state"),
        state_every: Duration::MAX,
    };
    fs::create_dir_all(out)?;
    let (mut steps, mut processor) = (Vec::new(), vec![processor_seconds()?]);
    let adapter = training.run(&mut model, |_, step| {
        steps.push(serde_json::to_value(&step)?);
        processor.push(processor_seconds()?);
        Ok(())
    })?;
    let found = json!({ "batches": batches, "steps": steps, "processor": processor });
    fs::write(out.join("steps.json"), serde_json::to_string(&found)?)?;
    if job.prompts.is_empty() {
        return Ok(());
    }
    model.save(&out.join("checkpoint"))?;
    if let Some(adapter) = adapter {
        adapter.save(&out.join("adapter"))?;
    }
    let request = |prompt: &String| {
        let prompt = model.chat.prompt(&[Message::new(Role::User, prompt)], "")?;
        anyhow::Ok(Generation { prompt, max_tokens: 64, ..Generation::default() })
    };
    let requests: Vec<_> = job.prompts.iter().map(request).collect::<anyhow::Result<_>>()?;
    let mut replies = vec![Vec::new(); requests.len()];
    model.generate(
        &requests,
        |_| {},
        |index, reply| {
            replies[index] = reply.ids;
            Ok(())
        },
    )?;
    let pairs: Vec<_> = requests.iter().map(|request| &request.prompt).zip(replies).collect();
    Ok(fs::write(out.join("replies.json"), serde_json::to_string(&pairs)?)?)
}
