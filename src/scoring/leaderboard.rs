//! AlpacaEval's leaderboard files, and our own rows among the published ones.
use std::{cmp::Ordering, path::Path};

use anyhow::Context;

/// A leaderboard as its CSV file has it: cells stay the texts they were.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaderboard {
    /// The columns behind the first one, which has no name and holds the models'.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub model: String,
    /// One for each column.
    pub cells: Vec<String>,
    /// Whether it was put in here, and not read from a file.
    pub own: bool,
}

/// AlpacaEval 2's columns, in its order.
const COLUMNS: [&str; 11] = [
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
];

impl Leaderboard {
    /// One without rows.
    pub fn new() -> Self {
        Self { columns: COLUMNS.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Reads a published leaderboard. Columns are known by name, as their order differs from file to
    /// file, and those of [`COLUMNS`] that it lacks are added at the end.
    ///
    /// # Errors
    /// When the file cannot be read, is no CSV, or has no column `win_rate`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let broken = || format!("{} is not a CSV table", path.display());
        let header = reader.headers().with_context(broken)?.clone();
        let mut columns: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
        anyhow::ensure!(
            columns.iter().any(|column| column == "win_rate"),
            "{} has no column win_rate: expected a leaderboard of AlpacaEval, models in the first column",
            path.display()
        );
        let known = columns.len();
        let missing = COLUMNS.iter().filter(|name| header.iter().all(|column| column != **name));
        columns.extend(missing.map(|name| (*name).to_owned()));
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.with_context(broken)?;
            let mut cells: Vec<String> = record.iter().skip(1).map(str::to_owned).collect();
            cells.resize(columns.len().max(known), String::new());
            let model = record.get(0).unwrap_or_default().to_owned();
            rows.push(Row { model, cells, own: false });
        }
        Ok(Self { columns, rows })
    }

    /// Puts a row in, by column name, in place of one of the same model. Returns that one.
    pub fn put(&mut self, model: &str, cells: &[(&str, String)]) -> Option<Row> {
        let cell = |column: &String| {
            let found = cells.iter().find(|(name, _)| name == column);
            found.map_or(String::new(), |(_, text)| text.clone())
        };
        let cells = self.columns.iter().map(cell).collect();
        let row = Row { model: model.to_owned(), cells, own: true };
        match self.rows.iter_mut().find(|row| row.model == model) {
            Some(known) => Some(std::mem::replace(known, row)),
            None => {
                self.rows.push(row);
                None
            }
        }
    }

    /// The number in a cell, if there is one.
    pub fn number(&self, row: &Row, column: &str) -> Option<f64> {
        let place = self.columns.iter().position(|name| name == column)?;
        row.cells[place].parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Sorts from the highest down; rows without a number in the column come last, by name.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn sort_by(&mut self, column: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.columns.iter().any(|name| name == column),
            "there is no column {column:?} to sort by; the columns are {}",
            self.columns.join(", ")
        );
        let keys: Vec<Option<f64>> = self.rows.iter().map(|row| self.number(row, column)).collect();
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by(|&a, &b| match (keys[a], keys[b]) {
            (Some(one), Some(other)) => other.total_cmp(&one),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.rows[a].model.cmp(&self.rows[b].model),
        });
        self.rows = order.into_iter().map(|place| self.rows[place].clone()).collect();
        Ok(())
    }

    /// The file's text.
    ///
    /// # Errors
    /// When a cell cannot be written as CSV.
    pub fn to_csv(&self) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = std::iter::once("").chain(self.columns.iter().map(String::as_str));
        writer.write_record(header)?;
        for row in &self.rows {
            let cells = row.cells.iter().map(String::as_str);
            writer.write_record(std::iter::once(row.model.as_str()).chain(cells))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }
}

impl Default for Leaderboard {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = ",win_rate,n_total,mode,extra\n\
        a,50.000000000000001,805,verified,x\n\
        b,70,804,community,\n";

    fn published() -> Leaderboard {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leaderboard.csv");
        std::fs::write(&path, PUBLISHED).unwrap();
        Leaderboard::read(&path).unwrap()
    }

    #[test]
    fn own_rows_stand_among_the_published_which_keep_every_digit() {
        let mut board = published();
        let cells = [("win_rate", "60".to_owned()), ("n_total", "805".to_owned())];
        assert_eq!(board.put("mine", &cells), None);
        board.sort_by("win_rate").unwrap();
        let models: Vec<&str> = board.rows.iter().map(|row| row.model.as_str()).collect();
        assert_eq!(models, ["b", "mine", "a"]);
        let text = board.to_csv().unwrap();
        assert!(text.starts_with(",win_rate,n_total,mode,extra,standard_error,n_wins,"), "{text}");
        assert!(text.contains("\na,50.000000000000001,805,verified,x,"), "{text}");
        assert!(text.contains("\nmine,60,805,,,"), "{text}");
    }

    #[test]
    fn a_row_of_the_same_name_is_replaced_and_handed_back() {
        let mut board = published();
        let before = board.put("a", &[("win_rate", "55".to_owned())]).unwrap();
        assert_eq!(before.cells[0], "50.000000000000001");
        assert_eq!(board.number(&board.rows[0], "win_rate"), Some(55.0));
        assert_eq!(board.rows.len(), 2);
    }

    #[test]
    fn what_is_no_leaderboard_is_refused() {
        assert!(published().sort_by("elo").unwrap_err().to_string().contains("the columns are"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.csv");
        std::fs::write(&path, "model,score\na,1\n").unwrap();
        let error = Leaderboard::read(&path).unwrap_err().to_string();
        assert!(error.contains("has no column win_rate"), "{error}");
    }
}
