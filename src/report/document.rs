//! The parts that both the page and the Markdown file are made of.
use serde::Serialize;

use super::plot::Plot;

/// A part of the report under one heading.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// The anchor on the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Block {
    Paragraph {
        text: String,
    },
    /// What a reader must not overlook.
    Warning {
        text: String,
    },
    List {
        items: Vec<String>,
    },
    Table(Table),
    Figure(Figure),
}

impl Block {
    pub(super) fn paragraph(text: impl Into<String>) -> Self {
        Self::Paragraph { text: text.into() }
    }

    pub(super) fn figure(plot: &Plot) -> anyhow::Result<Self> {
        let Plot { name, title, caption, .. } = plot;
        let (svg, csv) = (plot.svg()?, plot.csv()?);
        Ok(Self::Figure(Figure { svg, name, title, caption: caption.clone(), csv }))
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self::Warning { text: text.into() }
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
    /// An interval a row, drawn on the page beside the numbers; empty or as long as `rows`.
    pub(super) intervals: Vec<Option<Drawn>>,
    /// What the ends and the middle of that drawing's axis are.
    pub(super) axis: [&'static str; 3],
}

#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Set flush right, in figures of one width.
    pub(super) number: bool,
}

/// An interval on an axis from 0 to 100 with a mark at 50.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Drawn {
    pub(super) lower: f64,
    pub(super) point: f64,
    pub(super) upper: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) svg: String,
    /// What its files in `plots/` are called, and what it is asked for by.
    pub(super) name: &'static str,
    /// What is drawn, for those who do not see it and as alternative text.
    pub(super) title: &'static str,
    pub(super) caption: String,
    /// The numbers that are drawn, as CSV.
    #[serde(skip)]
    pub(super) csv: String,
}

impl Table {
    /// Titles that end in `#` head columns of numbers.
    pub(super) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| Column {
            title: title.trim_end_matches('#'),
            number: title.ends_with('#'),
        };
        Self {
            columns: titles.iter().map(column).collect(),
            axis: ["0", "50", "100%"],
            ..Self::default()
        }
    }
}
