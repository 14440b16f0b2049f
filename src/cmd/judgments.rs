//! What the verbs that read judgments share: which files, how they are read, and what is said of them.
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::ValueEnum;
use spyhop::{
    exchange::{Answers, Contest, Format as FileFormat, Ledger},
    scoring::Rule,
};

use super::{progress::Progress, say};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Orders {
    /// The score of a prompt is the mean over both orders
    Average,
    /// A win counts only if both orders agree, and the rest are ties, as FastChat counts
    Consistent,
}

/// How judgments are read and made into scores.
#[derive(clap::Args)]
pub(super) struct ReadingArgs {
    /// Files with the models' answers, for judgments that do not hold them
    ///
    /// AlpacaEval's model_outputs.json, a run's completions.jsonl, FastChat's or Arena-Hard's
    /// model_answer. They give lengths, and say which prompts were answered but never judged.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    outputs: Vec<PathBuf>,
    /// What two looks at a prompt, one in each order, are worth together
    #[arg(long, value_enum, default_value = "average")]
    orders: Orders,
    /// How often Arena-Hard's "significantly better" counts
    #[arg(long, value_name = "TIMES", default_value_t = STRONG_WEIGHT)]
    strong_weight: f64,
    /// Take the judge's probability in place of its verdict, where spyhop's rows have both
    #[arg(long)]
    soft: bool,
    /// Turn comparisons around so that this model is the baseline, and leave out those without it
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// Use the verdicts of this judge only
    #[arg(long, value_name = "NAME")]
    judge: Option<String>,
}

impl Default for ReadingArgs {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            orders: Orders::Average,
            strong_weight: STRONG_WEIGHT,
            soft: false,
            against: None,
            judge: None,
        }
    }
}

/// Arena-Hard's own.
const STRONG_WEIGHT: f64 = 3.0;

impl ReadingArgs {
    pub(super) fn rule(&self) -> anyhow::Result<Rule> {
        anyhow::ensure!(
            self.strong_weight > 0.0 && self.strong_weight.is_finite(),
            "--strong-weight is {}: expected a number above 0",
            self.strong_weight
        );
        Ok(Rule {
            consistent: self.orders == Orders::Consistent,
            strong_weight: self.strong_weight,
        })
    }

    /// The answers that `--outputs` names and that lie in run directories among `paths`.
    pub(super) fn answers(&self, paths: &[PathBuf]) -> anyhow::Result<Answers> {
        let mut answers = Answers::default();
        for path in &self.outputs {
            answers.add(path)?;
        }
        for run in paths.iter().filter(|path| path.is_dir()) {
            for file in run_files(run, |name| name == "completions.jsonl")? {
                answers.add(&file)?;
            }
        }
        Ok(answers)
    }

    /// The looks of all files; a run's directory stands for its judgments.
    pub(super) fn ledger(&self, paths: &[PathBuf], answers: &Answers) -> anyhow::Result<Ledger> {
        let mut files = Vec::new();
        for path in paths {
            match path.is_dir() {
                false => files.push(path.clone()),
                true => {
                    let found = run_files(path, |name| name.starts_with("judgments-"))?;
                    anyhow::ensure!(
                        !found.is_empty(),
                        "{} holds no judgments-*.jsonl: name a run's directory or a file of judgments",
                        path.display()
                    );
                    files.extend(found);
                }
            }
        }
        let progress = Progress::new();
        let watch = |event| progress.watch(event);
        let mut ledger = Ledger::read(&files, answers, self.soft, &watch)?;
        self.keep(&mut ledger)?;
        Ok(ledger)
    }

    fn keep(&self, ledger: &mut Ledger) -> anyhow::Result<()> {
        let names = |name: fn(&Contest) -> &str, ledger: &Ledger| {
            let mut all: Vec<String> =
                ledger.contests.iter().map(|contest| name(contest).to_owned()).collect();
            all.sort();
            all.dedup();
            all.join(", ")
        };
        if let Some(judge) = &self.judge {
            let known = names(|contest| &contest.judge, ledger);
            ledger.retain(|contest| contest.judge == *judge);
            anyhow::ensure!(
                !ledger.looks.is_empty(),
                "--judge {judge:?} gave no verdict here; the judges are {known}"
            );
        }
        if let Some(baseline) = &self.against {
            let known = names(|contest| &contest.baseline, ledger);
            ledger.orient(baseline);
            ledger.retain(|contest| contest.baseline == *baseline);
            anyhow::ensure!(
                !ledger.looks.is_empty(),
                "nothing was compared with {baseline:?}; the baselines are {known}"
            );
        }
        Ok(())
    }
}

/// The files of a run, one directory deep, sorted.
fn run_files(run: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = |directory: &Path| {
        let cannot = format!("cannot read {}", directory.display());
        let entries = std::fs::read_dir(directory).with_context(|| cannot.clone())?;
        entries
            .map(|entry| Ok(entry.with_context(|| cannot.clone())?.path()))
            .collect::<anyhow::Result<Vec<PathBuf>>>()
    };
    for inner in entries(run)?.into_iter().filter(|path| path.is_dir()) {
        found.extend(entries(&inner)?.into_iter().filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| wanted(name) && name.ends_with(".jsonl"))
        }));
    }
    found.sort();
    Ok(found)
}

/// Remarks on several models, of which each is said once.
#[derive(Default)]
pub(super) struct Remarks(Vec<(String, Vec<String>)>);

impl Remarks {
    pub(super) fn add(&mut self, model: &str, text: String) {
        match self.0.iter_mut().find(|(known, _)| *known == text) {
            Some((_, models)) if models.iter().any(|known| known == model) => {}
            Some((_, models)) => models.push(model.to_owned()),
            None => self.0.push((text, vec![model.to_owned()])),
        }
    }

    pub(super) fn say(&self) {
        for (text, models) in &self.0 {
            let who = listed(models);
            say(&format!("note: {who}: {text}"));
        }
    }
}

/// Some names, and how many more there are.
fn listed(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 3;
    let some: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len() {
        n @ 0..=SHOWN => some[..n].join(", "),
        n => format!("{} and {} more", some.join(", "), n - SHOWN),
    }
}

/// The different names of some contests, in order.
fn distinct<'a>(
    contests: impl Iterator<Item = &'a Contest>,
    name: fn(&Contest) -> &String,
) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    contests.map(|contest| name(contest).as_str()).filter(|name| seen.insert(*name)).collect()
}

/// Says what was noticed while reading.
pub(super) fn notes(ledger: &Ledger) {
    for note in &ledger.notes {
        let path = note.path.display();
        if note.order_known > 0 {
            say(&format!(
                "note: {path}: AlpacaEval does not record the order; its seeded order is the one that the judge's replies betray on {} of {} rows",
                note.order_seeded, note.order_known,
            ));
        }
        let contests = note.contests.iter().map(|&contest| &ledger.contests[contest as usize]);
        let models = distinct(contests, |contest| &contest.model);
        // Its files are of one model each, and AlpacaEval itself would take several for one.
        if note.format == Some(FileFormat::AlpacaEval) && models.len() > 1 {
            say(&format!(
                "note: {path} has answers of {} models ({}), and each has a row",
                models.len(),
                listed(&models)
            ));
        }
    }
    let judged = |contest: &usize| ledger.cells(*contest as u32).next().is_some();
    let contests =
        || (0..ledger.contests.len()).filter(judged).map(|contest| &ledger.contests[contest]);
    let differ = |what: &str, names: Vec<&str>| {
        if names.len() > 1 {
            say(&format!(
                "note: {} {what} ({}): win rates of different {what} do not compare",
                names.len(),
                listed(&names)
            ));
        }
    };
    differ("judges", distinct(contests(), |contest| &contest.judge));
    differ("baselines", distinct(contests(), |contest| &contest.baseline));
}
