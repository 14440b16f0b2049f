//! Drawings: what is drawn as plain data, and that as SVG, as PNG and as a table. Knows no run, no page
//! and no file.
//!
//! Text is measured by the typeface that PNG files are set in, one of the widest without serifs, so
//! nothing overlaps in a browser's own either. Drawings bring their own light ground, so they read the
//! same on a dark page and on paper.
mod axis;
mod canvas;
mod chart;
mod key;
mod png;
mod rows;
#[cfg(test)]
mod tests;

use super::csv;

pub(super) use axis::{Axis, Scale};
pub(super) use chart::{Chart, Point, Series, Style};
pub(super) use png::png;
pub(super) use rows::{Drawn, Row, Rows};

/// A drawing with what has to stand beside it.
#[derive(Debug)]
pub(super) struct Plot {
    /// Its files' name, and what it is asked for by.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What a reader of the drawing alone has to know, at its bottom: what the whiskers are, and n.
    pub(super) note: String,
    /// What stands below it in a report.
    pub(super) caption: String,
    pub(super) drawing: Drawing,
}

#[derive(Debug)]
pub(super) enum Drawing {
    Rows(Rows),
    Chart(Chart),
}

impl Plot {
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        match &self.drawing {
            Drawing::Rows(rows) => rows.svg(self.title, &self.note),
            Drawing::Chart(chart) => chart.svg(self.title, &self.note),
        }
    }

    /// Every number that is drawn, one a line.
    pub(super) fn csv(&self) -> anyhow::Result<String> {
        match &self.drawing {
            Drawing::Rows(rows) => csv::text(rows.table()),
            Drawing::Chart(chart) => csv::text(chart.table()),
        }
    }
}
