//! A run while it goes on in another process: what is done, what is under way, how far it has come.
//!
//! Reads files only, and takes no lock: whoever works there does not notice.
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use super::{run::Run, win_rates, words};
use crate::{
    recipe::JudgeMethod,
    record::{Completion, Order, Pair, content_id},
    store::read_so_far,
};

/// Newest rows shown, and characters of each.
const NEWEST: usize = 3;
const ROW_CHARACTERS: usize = 160;

/// How far a run has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The recipe's name.
    pub name: String,
    /// Every stage that the recipe asks for, in order, and whether it is done.
    pub stages: Vec<(String, bool)>,
    pub under_way: Option<UnderWay>,
}

/// The stage that a process works at, or worked at when it was stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct UnderWay {
    pub stage: String,
    /// Rows that are there: of a finetuning, its steps. 0 for a stage that writes at its end.
    pub rows: usize,
    /// Rows that there will be, where that is known before.
    pub total: Option<usize>,
    /// The newest rows in short, the newest first.
    pub newest: Vec<String>,
    /// When the stage last wrote a row, or else when it began.
    pub changed: Option<SystemTime>,
}

/// Two models' answers to the same prompts.
#[derive(Clone, Debug)]
pub struct Rivals {
    pub candidate: Vec<Completion>,
    pub baseline: Vec<Completion>,
    /// The judge's score of the candidate by prompt id, once it has judged all.
    pub judge: BTreeMap<String, f64>,
}

/// How far a run has come.
///
/// # Errors
/// When `run` is not a run directory, or a row in it is broken.
pub fn progress(run: &Path) -> anyhow::Result<Progress> {
    let root = run;
    let run = Run::read(root)?;
    let stages = run.stages().into_iter().map(|stage| (stage.clone(), run.is_done(&stage)));
    let under_way = match fs::read_to_string(root.join("running")) {
        Ok(stage) if !run.is_done(&stage) => Some(under_way(root, &run, stage)?),
        _ => None,
    };
    Ok(Progress { name: run.recipe.name.clone(), stages: stages.collect(), under_way })
}

/// Every pair of models that a run compares and that have both answered, the latest model first.
///
/// # Errors
/// When `run` is not a run directory, or a row in it is broken.
pub fn rivals(run: &Path) -> anyhow::Result<Vec<Rivals>> {
    let run = Run::read(run)?;
    let judged = win_rates::win_rates(&run)?.comparisons;
    let mut rivals = Vec::new();
    for (iteration, candidate) in run.models().iter().enumerate().rev() {
        for (_, baseline) in run.baselines(iteration) {
            let answers = |model: &str| -> Option<Vec<Completion>> {
                let answers = run.answers.get(model)?;
                let in_order = run.prompts.iter().filter_map(|prompt| answers.get(&prompt.id));
                Some(in_order.cloned().collect())
            };
            let (Some(ours), Some(theirs)) = (answers(candidate), answers(&baseline)) else {
                continue;
            };
            let scores = judged
                .iter()
                .find(|one| one.candidate == *candidate && one.baseline == baseline)
                .map(|comparison| comparison.scores.clone());
            rivals.push(Rivals {
                candidate: ours,
                baseline: theirs,
                judge: scores.unwrap_or_default(),
            });
        }
    }
    Ok(rivals)
}

fn under_way(root: &Path, run: &Run, stage: String) -> anyhow::Result<UnderWay> {
    let (model, work) = stage.split_once('/').unwrap_or(("", &stage));
    let of = |name: &str| Some(root.join(model).join(name));
    let pairs = || read_so_far::<Pair>(&root.join(model).join("training.jsonl"));
    let (file, total): (Option<PathBuf>, Option<usize>) = match work {
        "augment" => {
            let segments = lines(&root.join("segments.jsonl"));
            (of("augmented.jsonl"), Some(segments.len()))
        }
        "finetune" => {
            let visits = (run.recipe.finetune.epochs * pairs()?.len() as f64).round() as usize;
            (
                of("metrics.jsonl"),
                Some(visits.max(1).div_ceil(run.recipe.finetune.batch_size.max(1))),
            )
        }
        "generate" => (of("completions.jsonl"), Some(run.prompts.len())),
        "curate" => {
            let augmented = run.augmented()?;
            let written = augmented
                .iter()
                .filter_map(|row| Some(content_id(&[row.instruction.as_ref()?, &row.output])));
            (of("ratings.jsonl"), Some(written.collect::<HashSet<_>>().len()))
        }
        judging => match judging.strip_prefix("judge-") {
            Some(name) => (of(&format!("judgments-{name}.jsonl")), looks(run, model, name)),
            None => (None, None),
        },
    };
    let lines = file.as_deref().map(lines).unwrap_or_default();
    let newest = lines.iter().rev().take(NEWEST).filter_map(|line| summary(line)).collect();
    let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let changed = file.as_deref().and_then(written).max(written(&root.join("running")));
    Ok(UnderWay { rows: lines.len(), total, newest, changed, stage })
}

/// Looks that a judging will have: two of each prompt, or one where no order matters.
fn looks(run: &Run, model: &str, name: &str) -> Option<usize> {
    let iteration: usize = model.strip_prefix('M')?.parse().ok()?;
    let (_, other) = run.baselines(iteration).into_iter().find(|(of, _)| of == name)?;
    let (ours, theirs) = (run.answers.get(model)?, run.answers.get(&other)?);
    let in_order =
        run.recipe.judge.remote.is_some() || matches!(run.recipe.judge.method, JudgeMethod::Choice);
    let looks = |(id, answer): (&String, &Completion)| {
        let same = theirs.get(id).is_some_and(|their| their.output == answer.output);
        if in_order && !same { 2 } else { 1 }
    };
    Some(ours.iter().map(looks).sum())
}

/// The whole lines of a file that may not exist yet.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned).collect()
}

/// A row of any stage in a few words.
fn summary(line: &str) -> Option<String> {
    let row: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| row[name].as_str().filter(|text| !text.is_empty());
    let said = if let Some(loss) = row["loss"].as_f64() {
        format!("step {}: loss {loss:.3}", text("id").unwrap_or_default())
    } else if row.get("order").is_some() {
        let verdict = text("verdict").unwrap_or("no verdict");
        let order: Option<Order> = serde_json::from_value(row["order"].clone()).ok();
        let order = match order {
            Some(Order::CandidateFirst) => ", shown first",
            Some(Order::BaselineFirst) => ", shown second",
            _ => "",
        };
        format!("{}: {verdict}{order}", text("prompt_id").unwrap_or_default())
    } else if row.get("replies").is_some() {
        let rating = row["rating"].as_f64();
        let rating = rating.map_or("no rating".to_owned(), |rating| format!("rated {rating:.2}"));
        format!("{rating}: {}", row["replies"][0].as_str().unwrap_or_default())
    } else if row.get("reply").is_some() {
        text("instruction").or(text("dropped")).unwrap_or_default().to_owned()
    } else {
        format!("{} → {}", text("instruction")?, text("output").unwrap_or_default())
    };
    Some(words::beginning(&said, ROW_CHARACTERS))
}
