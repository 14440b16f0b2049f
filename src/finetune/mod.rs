//! Pairs to a checkpoint. The backward model and the forward models are trained by the same code, on
//! the pairs one way round or the other.
mod examples;

use std::{fs, path::Path, time::Duration};

use anyhow::Context;

use crate::{
    lm::{self, ScriptedCheckpoint, Weights},
    model::{Adapter, Lora, Model, Schedule, Training},
    recipe::{self, Recipe},
    record::{Counts, Pair, TrainingStep, content_id},
    stage::Work,
    store::{self, Log, read, write_atomic},
    watch::{Event, Unit},
};

use examples::{audit, examples, hold_out};

/// Which way round pairs are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From output to instruction.
    Backward,
    /// From instruction to output.
    Forward,
}

/// Where a training goes on after a kill.
const STATE: &str = "training-state";
/// Time between two states of a training: what a kill costs at most.
const STATE_EVERY: Duration = Duration::from_secs(240);

/// Trains a model called `name` from `base` on `pairs`, in the directory `work.out`:
/// `training.jsonl`, `audit.json`, `metrics.jsonl` and `checkpoint/`; `held_out.jsonl` where pairs are
/// held out, and `adapter/` where an adapter is trained. Pairs held out are dropped.
///
/// # Errors
/// When the base model cannot be loaded or trained, a file cannot be written, or no pair is left to
/// learn from.
pub fn run(
    name: &str,
    base: &Weights,
    pairs: &[Pair],
    direction: Direction,
    recipe: &Recipe,
    work: Work,
) -> anyhow::Result<Counts> {
    let (directory, settings) = (work.out, &recipe.finetune);
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let (pairs, held_out) = hold_out(pairs, settings.held_out, work.random_seed)?;
    store::write(&directory.join("training.jsonl"), &pairs)?;
    let mut counts = Counts::all(pairs.len());
    if !held_out.is_empty() {
        store::write(&directory.join("held_out.jsonl"), &held_out)?;
        counts.rows_in += held_out.len();
        counts.dropped.insert("held_out".to_owned(), held_out.len());
    }
    let checkpoint = directory.join("checkpoint");
    match base {
        Weights::Script { .. } => {
            let ids: Vec<&str> = pairs.iter().map(|pair| pair.id.as_str()).collect();
            let taught = content_id(&ids);
            let record = ScriptedCheckpoint { model: name.to_owned(), pairs: pairs.len(), taught };
            lm::write_checkpoint(&checkpoint, &record)?;
        }
        // It appears whole, and last: a kill can only have come before its record.
        Weights::Files(_) if checkpoint.exists() => {}
        Weights::Files(path) => {
            let mut model = Model::load(path)?;
            let examples =
                |pairs| examples(&model.chat, pairs, direction, &recipe.tags, settings.max_tokens);
            let (examples, held_out) = (examples(&pairs)?, examples(&held_out)?);
            let audit = audit(&examples, held_out.len(), model.chat.end());
            let json = serde_json::to_string_pretty(&audit)? + "\n";
            write_atomic(&directory.join("audit.json"), json.as_bytes())?;
            anyhow::ensure!(
                audit.end_of_turn_learned > 0,
                "every training example is cut at finetune.max_tokens = {}, so no model would learn to stop; raise it",
                settings.max_tokens
            );
            let training = Training {
                schedule: schedule(settings, work.random_seed),
                lora: settings.lora.as_ref().map(lora),
                last_layers: settings.last_layers,
                // What stays as it is multiplies as it does when the base model answers.
                frozen: lm::rounding(recipe.model.products),
                dropout: settings.dropout,
                examples: &examples,
                held_out: &held_out,
                // The recipe's check refuses what is coarser than bf16.
                rounded: lm::rounding(settings.products).is_some(),
                state: directory.join(STATE),
                state_every: STATE_EVERY,
            };
            if let Some(adapter) = train(name, &training, &mut model, work)? {
                adapter.save(&directory.join("adapter"))?;
            }
            model.save(&checkpoint)?;
        }
    }
    forget_state(&directory.join(STATE))?;
    Ok(counts)
}

fn schedule(settings: &recipe::Finetune, random_seed: u64) -> Schedule {
    Schedule {
        epochs: settings.epochs,
        batch_size: settings.batch_size,
        learning_rate: settings.learning_rate,
        final_learning_rate: settings.final_learning_rate,
        weight_decay: settings.weight_decay,
        gradient_clip: settings.gradient_clip,
        random_seed,
    }
}

fn lora(settings: &recipe::Lora) -> Lora {
    let recipe::Lora { rank, alpha, targets } = settings;
    let targets = targets.iter().map(|target| target.name().to_owned()).collect();
    Lora { rank: *rank, alpha: *alpha, targets }
}

/// Removes the state of a training, once its result is safe.
fn forget_state(state: &Path) -> anyhow::Result<()> {
    match fs::remove_file(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", state.display()))
        }
        _ => Ok(()),
    }
}

fn train(
    name: &str,
    training: &Training,
    model: &mut Model,
    work: Work,
) -> anyhow::Result<Option<Adapter>> {
    let watch = work.watch;
    let batches = training.schedule.batches(training.examples.len());
    let length = |batch: &Vec<usize>| {
        batch.iter().map(|&index| training.examples[index].ids.len() as u64).sum::<u64>()
    };
    let total = batches.iter().map(length).sum();
    watch(Event::Begin { what: format!("finetune {name}"), total, unit: Unit::Tokens });
    let path = work.out.join("metrics.jsonl");
    let mut metrics: Option<Log<TrainingStep>> = None;
    let (mut held_out, mut learned) = (None, 0);
    let adapter = training.run(model, |index, step| {
        if metrics.is_none() {
            // A resumed training repeats the steps since its last state; their rows go.
            let behind = keep_steps_before(&path, index + 1)?;
            held_out =
                behind.iter().rev().find_map(|step| step.held_out_after.or(step.held_out_before));
            learned = behind.iter().map(|step| step.trained_tokens).sum();
            let behind = batches[..index].iter().map(length).sum();
            watch(Event::Advance(behind));
        }
        let log = match &mut metrics {
            Some(log) => log,
            None => metrics.insert(Log::open(&path)?),
        };
        watch(Event::Advance(step.tokens as u64));
        held_out = step.held_out_after.or(step.held_out_before).or(held_out);
        learned += step.trained_tokens;
        let (loss, rate) = (step.loss, step.learning_rate);
        let unseen = held_out.map_or_else(String::new, |loss| format!(", held out {loss:.3}"));
        let speed = step.tokens as f64 / step.seconds;
        watch(Event::Show(format!(
            "loss {loss:.3}{unseen}, {speed:.0} tokens/s, {learned} learned, rate {rate:.2e}"
        )));
        log.append(&step)
    })?;
    watch(Event::End);
    Ok(adapter)
}

/// Removes the rows of a log from a step on; returns those that stay.
fn keep_steps_before(path: &Path, first: usize) -> anyhow::Result<Vec<TrainingStep>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    drop(Log::<TrainingStep>::open(path)?);
    let mut steps: Vec<TrainingStep> = read(path)?;
    steps.retain(|step| step.id.parse::<usize>().is_ok_and(|number| number < first));
    store::write(path, &steps)?;
    Ok(steps)
}
