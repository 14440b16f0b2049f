//! Pairs to a checkpoint. The backward model and the forward models are trained by the same code, on
//! the pairs one way round or the other.
use std::{fs, path::Path, time::Duration};

use anyhow::Context;

use crate::{
    lm::{self, ScriptedCheckpoint, Weights},
    model::{Chat, Example, Message, Model, Role, Rounding, Schedule, Training},
    prompt,
    recipe::{self, Products, Tags},
    record::{Audit, Origin, Pair, TrainingStep, content_id},
    stage::Work,
    store::{self, Log, read, write_atomic},
    watch::{Event, Unit},
};

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
/// `training.jsonl`, `audit.json`, `metrics.jsonl` and `checkpoint/`.
///
/// # Errors
/// When the base model cannot be loaded or trained, or a file cannot be written.
pub fn run(
    name: &str,
    base: &Weights,
    pairs: &[Pair],
    direction: Direction,
    settings: &recipe::Finetune,
    tags: &Tags,
    work: Work,
) -> anyhow::Result<()> {
    let directory = work.out;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    store::write(&directory.join("training.jsonl"), pairs)?;
    let checkpoint = directory.join("checkpoint");
    match base {
        Weights::Script { .. } => {
            let ids: Vec<&str> = pairs.iter().map(|pair| pair.id.as_str()).collect();
            let taught = content_id(&ids);
            let record = ScriptedCheckpoint { model: name.to_owned(), pairs: pairs.len(), taught };
            lm::write_checkpoint(&checkpoint, &record)
        }
        // It appears whole, and last: a kill can only have come before its record.
        Weights::Files(_) if checkpoint.exists() => forget_state(&directory.join(STATE)),
        Weights::Files(path) => {
            let mut model = Model::load(path)?;
            let examples = examples(&model.chat, pairs, direction, tags, settings.max_tokens)?;
            let audit = audit(&examples, model.chat.end());
            let json = serde_json::to_string_pretty(&audit)? + "\n";
            write_atomic(&directory.join("audit.json"), json.as_bytes())?;
            anyhow::ensure!(
                audit.end_of_turn_learned > 0,
                "every training example is cut at finetune.max_tokens = {}, so no model would learn to stop; raise it",
                settings.max_tokens
            );
            let training = Training {
                schedule: Schedule {
                    epochs: settings.epochs,
                    batch_size: settings.batch_size,
                    learning_rate: settings.learning_rate,
                    final_learning_rate: settings.final_learning_rate,
                    weight_decay: settings.weight_decay,
                    gradient_clip: settings.gradient_clip,
                    random_seed: work.random_seed,
                },
                examples: &examples,
                rounded: match settings.products {
                    Products::Auto => Rounding::Bf16.is_fast(),
                    Products::Bf16 | Products::Int8 => true,
                    Products::F32 => false,
                },
                state: directory.join(STATE),
                state_every: STATE_EVERY,
            };
            train(name, &training, &mut model, work)?;
            model.save(&checkpoint)?;
            forget_state(&training.state)
        }
    }
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

fn train(name: &str, training: &Training, model: &mut Model, work: Work) -> anyhow::Result<()> {
    let watch = work.watch;
    let batches = training.schedule.batches(training.examples.len());
    let length = |batch: &Vec<usize>| {
        batch.iter().map(|&index| training.examples[index].ids.len() as u64).sum::<u64>()
    };
    let total = batches.iter().map(length).sum();
    watch(Event::Begin { what: format!("finetune {name}"), total, unit: Unit::Tokens });
    let path = work.out.join("metrics.jsonl");
    let mut metrics: Option<Log<TrainingStep>> = None;
    training.run(model, |index, step| {
        if metrics.is_none() {
            // A resumed training repeats the steps since its last state; their rows go.
            keep_steps_before(&path, index + 1)?;
            let behind = batches[..index].iter().map(length).sum();
            watch(Event::Advance(behind));
        }
        let log = match &mut metrics {
            Some(log) => log,
            None => metrics.insert(Log::open(&path)?),
        };
        watch(Event::Advance(step.tokens as u64));
        let rate = step.tokens as f64 / step.seconds;
        watch(Event::Show(format!("loss {:.3}, {rate:.0} tokens/s", step.loss)));
        log.append(&step)
    })?;
    watch(Event::End);
    Ok(())
}

fn keep_steps_before(path: &Path, first: usize) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    drop(Log::<TrainingStep>::open(path)?);
    let mut steps: Vec<TrainingStep> = read(path)?;
    steps.retain(|step| step.id.parse::<usize>().is_ok_and(|number| number < first));
    store::write(path, &steps)
}

/// What the model reads and what it is to say, for one pair.
fn conversation<'a>(pair: &'a Pair, direction: Direction, tags: &Tags) -> (Vec<Message>, &'a str) {
    match direction {
        Direction::Backward => {
            (vec![Message::new(Role::User, prompt::backward(&pair.output))], &pair.instruction)
        }
        Direction::Forward => {
            let tag = match pair.origin {
                Origin::Seed => &tags.seed,
                Origin::Augmented => &tags.augmented,
            };
            let user = Message::new(Role::User, pair.instruction.as_str());
            (vec![Message::new(Role::System, tag.as_str()), user], &pair.output)
        }
    }
}

fn examples(
    chat: &Chat,
    pairs: &[Pair],
    direction: Direction,
    tags: &Tags,
    max_tokens: usize,
) -> anyhow::Result<Vec<Example>> {
    let example = |pair: &Pair| {
        let (messages, answer) = conversation(pair, direction, tags);
        let mut example = chat.example(&messages, answer)?;
        example.ids.truncate(max_tokens);
        example.learned.truncate(max_tokens);
        anyhow::Ok(example)
    };
    pairs.iter().map(example).collect()
}

/// Counts what the examples teach, so that a wrong mask is seen before it costs a training.
fn audit(examples: &[Example], end: u32) -> Audit {
    let ends = |example: &&Example| {
        example.ids.last() == Some(&end) && example.learned.last() == Some(&true)
    };
    let end_of_turn_learned = examples.iter().filter(ends).count();
    Audit {
        examples: examples.len(),
        tokens: examples.iter().map(|example| example.ids.len()).sum(),
        trained_tokens: examples
            .iter()
            .map(|example| example.learned.iter().filter(|&&learned| learned).count())
            .sum(),
        // Only the cut takes the end of the turn away.
        truncated: examples.len() - end_of_turn_learned,
        end_of_turn_learned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_has_its_tag_and_each_direction_its_question() {
        let tags = Tags::default();
        let check = |origin, direction, system: Option<&str>, answer: &str| {
            let pair = Pair::new("Why?".into(), "Because.".into(), origin, "p".into());
            let (messages, said) = conversation(&pair, direction, &tags);
            let first = &messages[0];
            let found = (first.role == Role::System).then_some(first.content.as_str());
            assert_eq!((found, said), (system, answer));
        };
        check(Origin::Seed, Direction::Forward, Some(&tags.seed), "Because.");
        check(Origin::Augmented, Direction::Forward, Some(&tags.augmented), "Because.");
        check(Origin::Seed, Direction::Backward, None, "Why?");
    }

    #[test]
    fn the_audit_sees_cut_examples() {
        let example = |ids: Vec<u32>, learned: Vec<bool>| Example { ids, learned };
        let found = audit(
            &[
                example(vec![5, 6, 7, 2], vec![false, false, true, true]),
                example(vec![5, 6, 7], vec![false, false, true]),
            ],
            2,
        );
        let expected = Audit {
            examples: 2,
            tokens: 7,
            trained_tokens: 3,
            truncated: 1,
            end_of_turn_learned: 1,
        };
        assert_eq!(found, expected);
    }
}
