//! What the verbs that read judgments share: which files, how they are read, and how rows are printed.
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;
use spyhop::{
    exchange::{Answers, Contest, Format as FileFormat, Ledger},
    scoring::Rule,
};

use super::{print, progress::Progress, say};

/// How numbers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, 80 columns wide
    Table,
    /// One array of objects; a number that does not exist is null
    Json,
    /// A header and a line for each row
    Csv,
}

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
            let who = match &models[..] {
                [first, second, third, rest @ ..] if !rest.is_empty() => {
                    format!("{first}, {second}, {third} and {} more", rest.len())
                }
                few => few.join(", "),
            };
            say(&format!("note: {who}: {text}"));
        }
    }
}

/// Says what was noticed while reading.
pub(super) fn notes(ledger: &Ledger) {
    for note in &ledger.notes {
        if note.order_known == 0 {
            continue;
        }
        let format = note.format.map_or("rows".to_owned(), |format: FileFormat| format.to_string());
        say(&format!(
            "note: {}: {format} do not record the order; AlpacaEval's seeded order is the one that the judge's replies betray on {} of {} rows",
            note.path.display(),
            note.order_seeded,
            note.order_known,
        ));
    }
    let judged = |contest: usize| ledger.cells(contest as u32).next().is_some();
    let contests = || (0..ledger.contests.len()).filter(|&contest| judged(contest));
    for (what, name) in [
        ("judges", (|contest| &contest.judge) as fn(&Contest) -> &String),
        ("baselines", |contest| &contest.baseline),
    ] {
        let mut names: Vec<&str> = Vec::new();
        for name in contests().map(|contest| name(&ledger.contests[contest]).as_str()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > 1 {
            say(&format!(
                "note: {} {what} ({}): win rates of different {what} do not compare",
                names.len(),
                names.join(", ")
            ));
        }
    }
}

/// A row for machines: names and values, in order.
pub(super) type Row = Vec<(&'static str, Value)>;

/// Prints rows as one JSON array of objects.
pub(super) fn print_json(rows: &[Row]) -> anyhow::Result<()> {
    let object = |row: &Row| {
        Value::Object(row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    };
    let rows: Vec<Value> = rows.iter().map(object).collect();
    print(&serde_json::to_string_pretty(&rows)?)
}

/// Prints rows, which all have the same names, as CSV.
pub(super) fn print_csv(rows: &[Row]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(row) = rows.first() {
        writer.write_record(row.iter().map(|(name, _)| name))?;
    }
    for row in rows {
        writer.write_record(row.iter().map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))?;
    }
    let bytes = writer.into_inner().context("cannot write CSV")?;
    print(String::from_utf8(bytes)?.trim_end())
}

/// Columns of a terminal that a table fits into.
const WIDTH: usize = 80;

/// Lines of a table whose first column is on the left and all others on the right. The first holds
/// names, and is cut where the table would be wider than a terminal.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    if let Some(names) = widths.first_mut() {
        *names = (*names).min(WIDTH.saturating_sub(others).max(12));
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let cell = if column == 0 { shortened(cell, widths[0]) } else { cell.clone() };
            let gap = " ".repeat(widths[column] - cell.chars().count());
            match column {
                0 => line.push_str(&format!("{cell}{gap}")),
                _ => line.push_str(&format!("  {gap}{cell}")),
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A name that may be longer than its column.
fn shortened(name: &str, width: usize) -> String {
    match name.chars().count() > width {
        true => name.chars().take(width - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// `60.4`, or a dash for a number that does not exist.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// `[46.3, 73.0]`.
pub(super) fn interval(lower: f64, upper: f64) -> String {
    format!("[{:.1}, {:.1}]", 100.0 * lower, 100.0 * upper)
}

/// Two digits where it matters, and never a zero.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "<.001".to_owned() } else { format!("{p:.3}") }
}
