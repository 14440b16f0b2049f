//! Figures that others published: marks to hold one's own against, and never measured here.
//!
//! `reports/published/` has them as CSV, each row with its source and how sure the figure is.
use serde::{Deserialize, de::DeserializeOwned};

use super::document::{Block, Table};

/// A win rate in the paper's table of AlpacaEval, in percent.
#[derive(Debug, Deserialize)]
pub(super) struct PaperRate {
    pub(super) model: String,
    pub(super) group: String,
    pub(super) win_rate: f64,
    pub(super) certainty: String,
}

/// How people chose between a model of the paper and a baseline, in percent.
#[derive(Debug, Deserialize)]
pub(super) struct Preference {
    pub(super) model: String,
    /// As the built-in baseline is called.
    pub(super) baseline: String,
    pub(super) win: f64,
    pub(super) tie: f64,
    pub(super) loss: f64,
}

impl Preference {
    /// Ties count half, as in a win rate.
    pub(super) fn win_rate(&self) -> f64 {
        self.win + self.tie / 2.0
    }
}

/// A row of a leaderboard of AlpacaEval, in percent.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) model: String,
    pub(super) judge: String,
    pub(super) baseline: String,
    pub(super) win_rate: f64,
    pub(super) standard_error: f64,
    pub(super) n: usize,
    pub(super) source: String,
}

/// How fast a win rate grows with data, to a base of the logarithm that the paper does not name.
#[derive(Debug, Deserialize)]
pub(super) struct Alpha {
    pub(super) data: String,
    pub(super) origin: String,
    pub(super) alpha: f64,
}

/// An accuracy without finetuning on the benchmark, in percent.
#[derive(Debug, Deserialize)]
pub(super) struct Benchmark {
    pub(super) model: String,
    pub(super) benchmark: String,
    pub(super) shots: usize,
    pub(super) accuracy: f64,
}

/// How often a judge sides with people on AlpacaEval's pairs, in percent.
#[derive(Debug, Deserialize)]
pub(super) struct JudgeAgreement {
    pub(super) judge: String,
    pub(super) agreement: f64,
}

pub(super) fn paper() -> anyhow::Result<Vec<PaperRate>> {
    rows(include_str!("../../reports/published/alpaca_eval.csv"))
}

pub(super) fn people() -> anyhow::Result<Vec<Preference>> {
    rows(include_str!("../../reports/published/human_preference.csv"))
}

pub(super) fn leaderboards() -> anyhow::Result<Vec<Listed>> {
    rows(include_str!("../../reports/published/leaderboards.csv"))
}

pub(super) fn alphas() -> anyhow::Result<Vec<Alpha>> {
    rows(include_str!("../../reports/published/scaling.csv"))
}

pub(super) fn benchmarks() -> anyhow::Result<Vec<Benchmark>> {
    rows(include_str!("../../reports/published/benchmarks.csv"))
}

pub(super) fn judges() -> anyhow::Result<Vec<JudgeAgreement>> {
    rows(include_str!("../../reports/published/judges.csv"))
}

/// The paper's own results, as tables.
pub(super) fn blocks() -> anyhow::Result<Vec<Block>> {
    let mut rates =
        Table::new(&["AlpacaEval (GPT-4, 805 prompts)", "Kind", "Win rate#", "How sure"]);
    for PaperRate { model, group, win_rate, certainty } in paper()? {
        rates.rows.push(vec![model, group, format!("{win_rate:.2}%"), certainty]);
    }
    let mut preferences = Table::new(&["People", "Against", "Won#", "Tied#", "Lost#"]);
    for Preference { model, baseline, win, tie, loss } in people()? {
        let shares = [win, tie, loss].map(|share| format!("{share:.1}%"));
        preferences.rows.push([model, baseline].into_iter().chain(shares).collect());
    }
    let all = benchmarks()?;
    let mut names: Vec<(String, usize)> = Vec::new();
    for Benchmark { model, shots, .. } in &all {
        if !names.contains(&(model.clone(), *shots)) {
            names.push((model.clone(), *shots));
        }
    }
    const BENCHMARKS: [&str; 6] =
        ["SIQA", "PIQA", "ARC easy", "ARC challenge", "OpenBookQA", "MMLU"];
    let mut accuracies = Table::new(&[
        "Accuracy (%)",
        "Shots#",
        "SIQA#",
        "PIQA#",
        "ARC easy#",
        "ARC challenge#",
        "OpenBookQA#",
        "MMLU#",
    ]);
    for (model, shots) in names {
        let of = |name: &str| {
            let found = all
                .iter()
                .find(|row| row.model == model && row.shots == shots && row.benchmark == name);
            found.map_or_else(String::new, |row| format!("{:.1}", row.accuracy))
        };
        let cells = BENCHMARKS.map(of);
        accuracies.rows.push([model.clone(), shots.to_string()].into_iter().chain(cells).collect());
    }
    Ok(vec![
        Block::paragraph(
            "What the paper reports of models of 33 to 70 billion parameters (Li et al. 2023, arXiv 2308.06259): marks to hold a run against, on other prompts and by other judges than this run's. The files in reports/published name the table of each figure, and how sure it is.",
        ),
        Block::Table(rates),
        Block::Table(preferences),
        Block::Table(accuracies),
    ])
}

fn rows<T: DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    Ok(csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::built_in;

    #[test]
    fn every_file_is_read_to_its_end() {
        let counts = [
            paper().unwrap().len(),
            people().unwrap().len(),
            leaderboards().unwrap().len(),
            alphas().unwrap().len(),
            benchmarks().unwrap().len(),
            judges().unwrap().len(),
        ];
        assert_eq!(counts, [17, 5, 45, 8, 25, 7]);
        assert_eq!(people().unwrap()[0].win_rate(), 58.95);
        let shares = |row: &Preference| row.win + row.tie + row.loss;
        assert!(people().unwrap().iter().all(|row| (shares(row) - 100.0).abs() <= 0.11));
    }

    #[test]
    fn built_in_baselines_say_the_same() {
        let listed = leaderboards().unwrap();
        let mut compared = 0;
        for contestant in built_in() {
            for published in &contestant.published {
                if published.source.starts_with("AlpacaEval, ") {
                    let same = listed.iter().any(|row| {
                        row.judge == published.judge
                            && row.baseline == published.against
                            && row.win_rate == published.win_rate
                            && Some(row.standard_error) == published.standard_error
                            && Some(row.n) == published.n
                            && row.source == published.source
                    });
                    assert!(same, "{} {}", contestant.name, published.judge);
                    compared += 1;
                }
            }
        }
        assert!(compared > 10, "{compared}");
    }
}
