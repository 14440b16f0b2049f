//! Two models' answers as pairs to compare, and the order in which each rater sees them.
//!
//! Everything here follows from hashes: the same files give every rater the same items in the same
//! order, today and after a restart.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

use crate::{
    judge,
    recipe::Score,
    record::{Completion, Judgment, Order, content_id},
    report::Rivals,
    store::{read_so_far, read_unpacked},
};

/// Two models, and the prompts on which their answers can be compared.
#[derive(Clone, Debug)]
pub(super) struct Contest {
    /// Names it in addresses and rows.
    pub(super) id: String,
    pub(super) candidate: String,
    pub(super) baseline: String,
    /// In the order in which raters see them.
    pub(super) pairs: Vec<Pair>,
    /// Prompts left out because both answers are the same.
    pub(super) identical: usize,
    /// Prompts left out because one of the two has no answer.
    pub(super) missing: usize,
    /// A model judge's scores of the candidate by prompt id, where there is one.
    pub(super) judge: BTreeMap<String, f64>,
}

/// Two answers to a prompt.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) id: String,
    pub(super) prompt_id: String,
    pub(super) dataset: String,
    pub(super) instruction: String,
    pub(super) candidate: String,
    pub(super) baseline: String,
}

/// A pair in its place in a rater's queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) pair: &'a Pair,
    pub(super) order: Order,
    pub(super) screening: bool,
}

/// What the names of a screening pair's sides are in rows.
pub(super) const SCREENING: [&str; 2] = ["better", "worse"];

/// Places within which half of the pairs have the candidate first, so that a rater who stops early
/// has seen both orders alike. Four, because the second of two would follow from the first.
const BLOCK: usize = 4;

impl Contest {
    pub(super) fn new(rivals: Rivals) -> Self {
        let Rivals { candidate, baseline, judge } = rivals;
        let name = |answers: &[Completion]| {
            answers.first().map_or(String::new(), |answer| answer.generator.clone())
        };
        let names = [name(&candidate), name(&baseline)];
        let prompts: BTreeSet<&str> =
            candidate.iter().chain(&baseline).map(|answer| answer.id.as_str()).collect();
        let total = prompts.len();
        let theirs: HashMap<&str, &Completion> =
            baseline.iter().map(|answer| (answer.id.as_str(), answer)).collect();
        let (mut pairs, mut identical) = (Vec::new(), 0);
        for ours in &candidate {
            let Some(their) = theirs.get(ours.id.as_str()) else { continue };
            if !ours.finish.answered() || !their.finish.answered() {
                continue;
            }
            if ours.output.trim() == their.output.trim() {
                identical += 1;
                continue;
            }
            pairs.push(Pair::new(&names, ours, &their.output));
        }
        pairs.sort_by_cached_key(|pair| content_id(&["order of prompts", &pair.prompt_id]));
        let missing = total - pairs.len() - identical;
        let [candidate, baseline] = names;
        let id = content_id(&["contest", &candidate, &baseline])[..8].to_owned();
        Self { id, candidate, baseline, pairs, identical, missing, judge }
    }

    /// What a rater compares: at most `limit` pairs, and after every `every` of them a screening pair,
    /// as long as there are any that were not shown.
    pub(super) fn queue<'a>(
        &'a self,
        rater: &str,
        screening: &'a [Pair],
        every: usize,
        limit: usize,
    ) -> Vec<Place<'a>> {
        let pairs = &self.pairs[..limit.min(self.pairs.len())];
        let mut known = in_orders(screening, &[rater, &self.id], true).into_iter();
        let mut queue = Vec::new();
        for (place, number) in in_orders(pairs, &[rater, &self.id], false).into_iter().zip(1..) {
            queue.push(place);
            if number % every.max(1) == 0 {
                queue.extend(known.next());
            }
        }
        queue
    }
}

impl Pair {
    fn new(names: &[String; 2], candidate: &Completion, baseline: &str) -> Self {
        let Completion { id, instruction, output, dataset, .. } = candidate;
        Self {
            id: content_id(&[&names[0], &names[1], id, instruction, output, baseline]),
            prompt_id: id.clone(),
            dataset: dataset.clone(),
            instruction: instruction.clone(),
            candidate: output.clone(),
            baseline: baseline.to_owned(),
        }
    }
}

/// Pairs with the order in which a rater sees each: half of every block has the candidate first, by
/// the rank of its hash; of an odd block, a hash decides which half is the larger.
fn in_orders<'a>(pairs: &'a [Pair], seed: &[&str], screening: bool) -> Vec<Place<'a>> {
    let hash = |pair: &Pair| content_id(&[seed, &[pair.id.as_str()]].concat());
    let mut places = Vec::new();
    for block in pairs.chunks(BLOCK) {
        let hashes: Vec<String> = block.iter().map(hash).collect();
        let odd = usize::from(content_id(&[&hashes[0], "larger half"]).as_bytes()[0] % 2);
        for (pair, own) in block.iter().zip(&hashes) {
            let rank = hashes.iter().filter(|other| *other < own).count();
            let order = match 2 * rank + odd < block.len() {
                true => Order::CandidateFirst,
                false => Order::BaselineFirst,
            };
            places.push(Place { pair, order, screening });
        }
    }
    places
}

/// The comparisons in a directory of `spyhop eval`: those that a file of judgments is there for.
///
/// # Errors
/// When a row is broken, or the answers that were judged are not there.
pub(super) fn of_eval(directory: &Path) -> anyhow::Result<Vec<Rivals>> {
    let mut answers: HashMap<String, Vec<Completion>> = HashMap::new();
    let mut judged: BTreeMap<(String, String), Vec<Judgment>> = BTreeMap::new();
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    for model in entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir()) {
        let rows: Vec<Completion> = read_so_far(&model.join("completions.jsonl"))?;
        if let Some(row) = rows.first() {
            answers.insert(row.generator.clone(), rows);
        }
        for file in fs::read_dir(&model)? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("judgments-") && name.ends_with(".jsonl") {
                for row in read_so_far::<Judgment>(&path)? {
                    judged
                        .entry((row.candidate.clone(), row.baseline.clone()))
                        .or_default()
                        .push(row);
                }
            }
        }
    }
    let mut rivals = Vec::new();
    for ((candidate, baseline), judgments) in judged {
        let of = |model: &str| {
            answers.get(model).cloned().with_context(|| {
                format!("{} has judgments of {model:?} and not its answers", directory.display())
            })
        };
        let mut looks: BTreeMap<&str, Vec<&Judgment>> = BTreeMap::new();
        for judgment in &judgments {
            looks.entry(&judgment.prompt_id).or_default().push(judgment);
        }
        let judge = looks.into_iter().filter_map(|(prompt, looks)| {
            Some((prompt.to_owned(), judge::score(&looks, Score::Verdicts)?))
        });
        let judge = judge.collect();
        rivals.push(Rivals { candidate: of(&candidate)?, baseline: of(&baseline)?, judge });
    }
    anyhow::ensure!(
        !rivals.is_empty(),
        "{} is neither a run (recipe.toml) nor a directory of spyhop eval (NAME/judgments-NAME.jsonl)",
        directory.display()
    );
    Ok(rivals)
}

/// A pair of which it is known which answer is better. Other keys are passed over.
#[derive(Deserialize)]
struct Known {
    instruction: String,
    better: String,
    worse: String,
}

/// Reads screening pairs, JSONL with `instruction`, `better` and `worse`, into an order of their own.
///
/// # Errors
/// When the file cannot be read, or a line is no such pair: the message has file and line.
pub(super) fn screening(path: &Path) -> anyhow::Result<Vec<Pair>> {
    let text = read_unpacked(path)?;
    let names = SCREENING.map(str::to_owned);
    let mut pairs: Vec<Pair> = Vec::new();
    for (line, number) in String::from_utf8_lossy(&text).lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let known: Known = serde_json::from_str(line).with_context(|| {
            format!("{}:{number}: expected instruction, better and worse", path.display())
        })?;
        anyhow::ensure!(
            known.better.trim() != known.worse.trim(),
            "{}:{number}: both answers are the same: nobody could tell them apart",
            path.display()
        );
        let answer = Completion {
            id: content_id(&[&known.instruction, &known.better, &known.worse]),
            instruction: known.instruction,
            output: known.better,
            generator: names[0].clone(),
            dataset: String::new(),
            finish: crate::record::Finish::Stop,
        };
        pairs.push(Pair::new(&names, &answer, &known.worse));
    }
    anyhow::ensure!(!pairs.is_empty(), "{} holds no screening pairs", path.display());
    pairs.sort_by_cached_key(|pair| content_id(&["order of screening", &pair.id]));
    pairs.dedup_by(|one, other| one.id == other.id);
    Ok(pairs)
}
