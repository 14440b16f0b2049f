//! How the verbs print rows and numbers: for people, as JSON and as CSV.
use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use super::print;

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
