//! From a run directory to numbers and pages. Never asks a model.
//!
//! Rows are read by `run`, scored by `win_rates`, and put into words by `verdict`; the sections of
//! `results` and `making` then become a page, a Markdown file and a table, which therefore agree.
//! `side_by_side` has those of several runs, `judged` those of judgments that came as files.
mod board;
mod browse;
mod contamination;
mod csv;
mod curation;
mod data;
mod deviations;
mod diversity;
mod document;
mod embed;
mod figures;
mod glance;
mod json;
mod judge_card;
mod judged;
mod latex;
mod leanings;
mod live;
mod making;
mod markdown;
mod model_card;
mod page;
mod plot;
mod published;
mod readings;
mod results;
mod run;
mod samples;
mod side_by_side;
mod table;
mod timeline;
mod verdict;
mod win_rates;
pub(crate) mod words;

#[cfg(test)]
mod fabricated;
#[cfg(test)]
mod making_tests;
#[cfg(test)]
mod output_tests;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;

pub use live::{Progress, Rivals, UnderWay, progress, rivals};
pub use page::{Served, served_policy};
pub use table::table;
pub use win_rates::{Comparison, Difference, Slice, WinRates};

use crate::{
    exchange::Ledger,
    scoring::{Control, Published, Rule, Scored, controls},
    store::write_atomic,
};
use document::{Block, Figure, Section};

/// A report that is ready to be written. The same rows give the same bytes.
pub struct Report {
    /// Texts by file name, the page first.
    files: Vec<(String, String)>,
    figures: Vec<Figure>,
    /// The numbers as plain text, for a terminal.
    pub table: String,
}

/// What a single drawing is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    Svg,
    Png,
    /// The numbers that are drawn.
    Csv,
}

/// Writes `report/` into a run directory, finished or not, and returns the files, the page first.
///
/// # Errors
/// When `run` is not a run directory, a row in it is broken, or `report/` cannot be written.
pub fn build(run: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Report::of_run(run)?.write(&run.join("report"))
}

impl Report {
    /// The report of one run, finished or not.
    ///
    /// # Errors
    /// When `run` is not a run directory, or a row in it is broken.
    pub fn of_run(run: &Path) -> anyhow::Result<Self> {
        let whole = Whole::read(run)?;
        let page = whole.page(None)?;
        let Whole { run, win_rates, made, headline, progress, mut sections, colophon } = whole;
        sections.extend(colophon);
        let mut files = vec![
            ("index.html".to_owned(), page),
            (
                "report.md".to_owned(),
                markdown::render(&win_rates.name, &headline, &progress, &sections),
            ),
            ("report.json".to_owned(), json::render(&headline, &win_rates, &made)?),
            ("win_rates.csv".to_owned(), csv::win_rates(&win_rates)?),
        ];
        if !win_rates.comparisons.is_empty() {
            files.push(("win_rates.tex".to_owned(), latex::render(&win_rates)));
        }
        let board = board::of_run(&win_rates)?;
        files.extend(board.map(|text| ("leaderboard.csv".to_owned(), text)));
        let caution = judge_card::caution(&run);
        let card =
            model_card::render(&win_rates, &run.recipe.evaluate.eval_set, caution.as_deref());
        files.extend(card.map(|text| ("model_card.md".to_owned(), text)));
        Ok(Self { files, figures: figures_of(sections), table: table(&win_rates) })
    }

    /// Several runs side by side.
    ///
    /// # Errors
    /// When one of `runs` is not a run directory, or a row in it is broken.
    pub fn of_runs(runs: &[PathBuf]) -> anyhow::Result<Self> {
        let runs = side_by_side::read(runs)?;
        let texts = Texts {
            name: "comparison",
            headline: side_by_side::headline(&runs),
            progress: words::counted(runs.len(), "run"),
            sections: side_by_side::sections(&runs)?,
            json: side_by_side::json(&runs)?,
            table: side_by_side::table(&runs),
        };
        texts.report([("win_rates.csv".to_owned(), side_by_side::csv(&runs)?)])
    }

    /// Judgments that came as files, as [`scoring::standings`](crate::scoring::standings) scored them.
    ///
    /// # Errors
    /// When judgments of one group do not compare.
    pub fn of_judgments(ledger: &Ledger, rule: &Rule, scored: &[Scored]) -> anyhow::Result<Self> {
        let listed = published::leaderboards()?;
        let controlled = controls(scored, &Published::default(), Control::default());
        let groups = judged::groups(scored, &controlled, &listed);
        let texts = Texts {
            name: "judgments",
            headline: judged::headline(&groups),
            progress: judged::progress(&groups),
            sections: judged::sections(&groups, ledger, rule)?,
            json: judged::json(&groups)?,
            table: judged::table(&groups),
        };
        let tables = [("win_rates.csv".to_owned(), judged::csv(&groups)?)];
        texts.report(tables.into_iter().chain(judged::leaderboards(&groups)?))
    }

    /// Writes every file into a directory, drawings into `plots/` in it, and returns them, the page first.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        let mut write = |name: &str, content: &[u8]| {
            let path = directory.join(name);
            write_atomic(&path, content)?;
            written.push(path);
            anyhow::Ok(())
        };
        for (name, text) in &self.files {
            write(name, text.as_bytes())?;
        }
        // Pictures take most of the time, and each is independent of the others.
        let pictures = self.figures.par_iter().map(|figure| plot::png(&figure.svg));
        let pictures = pictures.collect::<anyhow::Result<Vec<_>>>()?;
        for (Figure { name, svg, csv, .. }, picture) in self.figures.iter().zip(pictures) {
            write(&format!("plots/{name}.svg"), svg.as_bytes())?;
            write(&format!("plots/{name}.csv"), csv.as_bytes())?;
            write(&format!("plots/{name}.png"), &picture)?;
        }
        Ok(written)
    }

    /// The content of a file that is no drawing, such as `report.json`.
    pub fn text(&self, file: &str) -> Option<&str> {
        self.files.iter().find(|(name, _)| name == file).map(|(_, text)| text.as_str())
    }

    /// One of the drawings by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn plot(&self, name: &str, picture: Picture) -> anyhow::Result<Vec<u8>> {
        let names: Vec<&str> = self.figures.iter().map(|figure| figure.name).collect();
        let figure = self.figures.iter().find(|figure| figure.name == name).with_context(|| {
            format!("there is no plot {name:?} here; the plots are {}", names.join(", "))
        })?;
        match picture {
            Picture::Svg => Ok(figure.svg.clone().into_bytes()),
            Picture::Csv => Ok(figure.csv.clone().into_bytes()),
            Picture::Png => plot::png(&figure.svg),
        }
    }
}

/// What a report of something else than one run consists of.
struct Texts {
    name: &'static str,
    headline: String,
    progress: String,
    sections: Vec<Section>,
    json: String,
    table: String,
}

impl Texts {
    fn report(self, tables: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Report> {
        let Self { name, headline, progress, sections, json, table } = self;
        let page = page::Page {
            name,
            headline: &headline,
            progress: &progress,
            sections: &sections,
            facts: &[],
            samples: &samples::Samples::default(),
            browsed: &browse::Browsed::default(),
            colophon: &[],
            served: None,
        };
        let mut files = vec![
            ("index.html".to_owned(), page.render()?),
            ("report.md".to_owned(), markdown::render(name, &headline, &progress, &sections)),
            ("report.json".to_owned(), json),
        ];
        files.extend(tables);
        Ok(Report { files, figures: figures_of(sections), table })
    }
}

fn figures_of(sections: Vec<Section>) -> Vec<Figure> {
    let blocks = sections.into_iter().flat_map(|section| section.blocks);
    let figure = |block| match block {
        Block::Figure(figure) => Some(figure),
        _ => None,
    };
    blocks.filter_map(figure).collect()
}

/// The page of [`build`] with what a server puts on top of it; writes nothing.
///
/// # Errors
/// When `run` is not a run directory, or a row in it is broken.
pub fn page(run: &Path, served: &Served) -> anyhow::Result<String> {
    Whole::read(run)?.page(Some(served))
}

/// All that a report says.
struct Whole {
    run: run::Run,
    win_rates: WinRates,
    made: making::Made,
    headline: String,
    progress: String,
    sections: Vec<Section>,
    colophon: Vec<Section>,
}

impl Whole {
    fn read(run: &Path) -> anyhow::Result<Self> {
        let run = run::Run::read(run)?;
        let win_rates = win_rates::win_rates(&run)?;
        let headline = verdict::headline(&win_rates, judge_card::attribution(&run));
        let progress = format!("{} of {} stages done", win_rates.stages_done, win_rates.stages);
        let mut sections = results::sections(&run, &win_rates)?;
        let made = making::Made::of(&run)?;
        sections.extend(making::sections(&run, &win_rates, &made)?);
        let colophon = making::colophon(&run)?;
        Ok(Self { win_rates, made, headline, progress, sections, colophon, run })
    }

    fn page(&self, served: Option<&Served>) -> anyhow::Result<String> {
        let page = page::Page {
            name: &self.win_rates.name,
            headline: &self.headline,
            progress: &self.progress,
            sections: &self.sections,
            facts: &glance::facts(&self.run, &self.win_rates),
            samples: &samples::samples(&self.run)?,
            browsed: &browse::browsed(&self.run, &self.win_rates)?,
            colophon: &self.colophon,
            served,
        };
        page.render()
    }
}

/// The numbers of every comparison that is finished in a run directory.
///
/// # Errors
/// When `run` is not a run directory, or a row in it is broken.
pub fn win_rates(run: &Path) -> anyhow::Result<WinRates> {
    win_rates::win_rates(&run::Run::read(run)?)
}
