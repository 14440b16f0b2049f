//! What AlpacaEval publishes for the length control of its own eval set, read from its CSV files.
use std::{collections::HashMap, path::Path};

use anyhow::Context;
use serde::Deserialize;

use super::PromptScore;
use crate::{
    exchange::PromptKey,
    stats::length_control::{GamedBaseline, Weights},
};

/// Figures of others for the length control; all may be absent.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// By model.
    pub weights: HashMap<String, Weights>,
    pub difficulty: Option<Difficulty>,
    pub gamed: Option<GamedBaseline>,
    /// The weight of the loss against the penalty; cross-validated if there is none.
    pub cost: Option<f64>,
}

/// The difficulty of prompts, in any unit.
#[derive(Clone, Debug)]
pub enum Difficulty {
    ByPrompt(HashMap<PromptKey, f64>),
    /// By the row's place in the annotations, which must then be in AlpacaEval's order.
    ByRow(Vec<f64>),
}

impl Published {
    /// The difficulty of each prompt, if there are any.
    ///
    /// # Errors
    /// When a prompt has none.
    pub(super) fn difficulties(
        &self,
        scores: &[PromptScore],
    ) -> Result<Option<Vec<f64>>, &'static str> {
        let Some(known) = &self.difficulty else { return Ok(None) };
        let find = |score: &PromptScore| match known {
            Difficulty::ByPrompt(by_prompt) => by_prompt.get(&score.prompt).copied(),
            Difficulty::ByRow(rows) => rows.get(score.row as usize).copied(),
        };
        let found: Option<Vec<f64>> = scores.iter().map(find).collect();
        found.map(Some).ok_or("a prompt has no difficulty in the file of --lc-difficulty")
    }
}

const LENGTH: &str = "np.tanh(std_delta_len)";
const DIFFICULTY: &str = "instruction_difficulty";
const BIAS: &str = "not_gamed_baseline.astype(float)";

/// The weight of a row of a gamed baseline: half of AlpacaEval's 0.2, as it has two.
const GAMED_WEIGHT: f64 = 0.1;

/// Reads `weights/<judge>/length_controlled_v1/baseline_<model>.csv` of AlpacaEval.
///
/// # Errors
/// When the file cannot be read or lacks a column.
pub fn weights(path: &Path) -> anyhow::Result<HashMap<String, Weights>> {
    let table = Table::read(path)?;
    let [length, difficulty, bias] = [LENGTH, DIFFICULTY, BIAS].map(|name| table.numbers(name));
    let (length, difficulty, bias) = (length?, difficulty?, bias?);
    let weights =
        |row: usize| Weights { length: length[row], difficulty: difficulty[row], bias: bias[row] };
    // The first column is pandas' index: the model.
    let name = |row: usize| table.rows[row].get(0).unwrap_or_default().to_owned();
    Ok((0..table.rows.len()).map(|row| (name(row), weights(row))).collect())
}

/// Reads difficulties: a column `instruction_difficulty`, and `sha256_instruction` or the `index` of
/// the prompt among the annotations; without either, a row is the prompt at the same place.
///
/// # Errors
/// When the file cannot be read, lacks the column, or a hash or an index is broken.
pub fn difficulty(path: &Path) -> anyhow::Result<Difficulty> {
    let table = Table::read(path)?;
    let values = table.numbers(DIFFICULTY)?;
    if let Some(column) = table.column("sha256_instruction") {
        let key = |(row, value): (usize, f64)| {
            let digits = table.rows[row].get(column).unwrap_or_default();
            let key = PromptKey::from_digest(digits);
            let key = key.with_context(|| {
                format!("{}:{}: {digits:?} is no SHA-256", path.display(), row + 2)
            })?;
            anyhow::Ok((key, value))
        };
        let by_prompt = values.into_iter().enumerate().map(key).collect::<anyhow::Result<_>>()?;
        return Ok(Difficulty::ByPrompt(by_prompt));
    }
    if table.column("index").is_none() {
        return Ok(Difficulty::ByRow(values));
    }
    // df_gamed.csv has every prompt more than once, and the first is taken, as in AlpacaEval.
    let mut by_row: Vec<Option<f64>> = Vec::new();
    for (index, value) in table.numbers("index")?.into_iter().zip(values) {
        anyhow::ensure!(
            (0.0..1e7).contains(&index) && index.fract() == 0.0,
            "{}: the index {index} is no place of a row",
            path.display()
        );
        let index = index as usize;
        by_row.resize(by_row.len().max(index + 1), None);
        by_row[index].get_or_insert(value);
    }
    let whole: Option<Vec<f64>> = by_row.into_iter().collect();
    let whole = whole
        .with_context(|| format!("{}: some index below the largest is missing", path.display()))?;
    Ok(Difficulty::ByRow(whole))
}

/// The sums over the labels of gamed rows, where the labels themselves are not public.
#[derive(Deserialize)]
struct LabelSums {
    #[serde(rename = "S_t")]
    length: f64,
    #[serde(rename = "S_d")]
    difficulty: f64,
}

/// Reads AlpacaEval's `df_gamed.csv`; or its features alone, with the sums of labels as JSON
/// (`{"S_t": ..., "S_d": ...}`) beside them.
///
/// # Errors
/// When a file cannot be read, or there are neither labels nor sums.
pub fn gamed(path: &Path, sums: Option<&Path>) -> anyhow::Result<GamedBaseline> {
    let table = Table::read(path)?;
    let lengths: Vec<f64> = match table.column("tanh_std_delta_len") {
        Some(_) => table.numbers("tanh_std_delta_len")?,
        None => table.numbers("std_delta_len")?.into_iter().map(f64::tanh).collect(),
    };
    let difficulties = table.numbers(DIFFICULTY)?;
    let features = || lengths.iter().zip(&difficulties).map(|(&t, &d)| [t, d]);
    if let Some(sums) = sums {
        let cannot = || format!("cannot read {}", sums.display());
        let text = std::fs::read_to_string(sums).with_context(cannot)?;
        let sums: LabelSums = serde_json::from_str(&text)
            .with_context(|| format!("{}: expected S_t and S_d", sums.display()))?;
        return Ok(GamedBaseline {
            rows: features().collect(),
            label_sums: [sums.length, sums.difficulty],
            weight: GAMED_WEIGHT,
        });
    }
    anyhow::ensure!(
        table.column("preference").is_some(),
        "{} has no column preference: name the sums over the labels with --lc-gamed-sums",
        path.display()
    );
    let labels = table.numbers("preference")?;
    let rows: Vec<[f64; 3]> = features().zip(labels).map(|([t, d], label)| [t, d, label]).collect();
    Ok(GamedBaseline::labelled(&rows, GAMED_WEIGHT))
}

/// A CSV file whose columns are found by name.
struct Table {
    path: String,
    header: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
}

impl Table {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let broken = || format!("{} is not a CSV table", path.display());
        let header = reader.headers().with_context(broken)?.clone();
        let rows = reader.records().collect::<Result<_, _>>().with_context(broken)?;
        Ok(Self { path: path.display().to_string(), header, rows })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    fn numbers(&self, name: &str) -> anyhow::Result<Vec<f64>> {
        let column = self.column(name).with_context(|| {
            let found: Vec<&str> = self.header.iter().collect();
            format!("{} has no column {name:?}; its columns are {}", self.path, found.join(", "))
        })?;
        let number = |(row, record): (usize, &csv::StringRecord)| {
            let text = record.get(column).unwrap_or_default();
            text.parse::<f64>().ok().filter(|number| number.is_finite()).with_context(|| {
                format!("{}:{}: {name} is {text:?}: expected a number", self.path, row + 2)
            })
        };
        self.rows.iter().enumerate().map(number).collect()
    }
}
