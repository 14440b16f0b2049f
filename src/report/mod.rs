//! From a run directory to numbers and pages. Never asks a model.
//!
//! Rows are read by `run`, scored by `win_rates`, and put into words by `verdict`; the sections of
//! `results` and `making` then become a page, a Markdown file and a table, which therefore agree.
mod answers;
mod csv;
mod curation;
mod deviations;
mod document;
mod judge_card;
mod live;
mod making;
mod markdown;
mod page;
mod plot;
mod results;
mod run;
mod table;
mod verdict;
mod win_rates;
pub(crate) mod words;

#[cfg(test)]
mod fabricated;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use live::{Progress, Rivals, UnderWay, progress, rivals};
pub use page::Served;
pub use table::table;
pub use win_rates::{Comparison, Difference, Slice, WinRates};

use crate::store::write_atomic;

/// Writes `report/` into a run directory, finished or not, and returns the files.
///
/// `index.html` is the whole report in one file; `report.md` the same without the texts;
/// `win_rates.csv` the table for other programs; and one SVG for each of the two main plots, as far
/// as there is something to plot. The same run gives the same bytes.
///
/// # Errors
/// When `run` is not a run directory, a row in it is broken, or `report/` cannot be written.
pub fn build(run: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let directory = run.join("report");
    let whole = Whole::read(run)?;
    let mut files = vec![
        ("index.html", whole.page(None)?),
        ("win_rates.csv", csv::win_rates(&whole.win_rates)?),
    ];
    for block in whole.sections.iter().flat_map(|section| &section.blocks) {
        if let document::Block::Figure(document::Figure { file: Some(file), svg, .. }) = block {
            files.push((file, svg.clone()));
        }
    }
    let Whole { win_rates, headline, progress, mut sections, colophon, .. } = whole;
    sections.extend(colophon);
    files.push(("report.md", markdown::render(&win_rates.name, &headline, &progress, &sections)));
    let mut written = Vec::new();
    for (name, content) in files {
        let path = directory.join(name);
        write_atomic(&path, content.as_bytes())?;
        written.push(path);
    }
    Ok(written)
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
    headline: String,
    progress: String,
    sections: Vec<document::Section>,
    colophon: Vec<document::Section>,
}

impl Whole {
    fn read(run: &Path) -> anyhow::Result<Self> {
        let run = run::Run::read(run)?;
        let win_rates = win_rates::win_rates(&run)?;
        let headline = verdict::headline(&win_rates, judge_card::attribution(&run));
        let progress = format!("{} of {} stages done", win_rates.stages_done, win_rates.stages);
        let mut sections = results::sections(&run, &win_rates)?;
        sections.extend(making::sections(&run)?);
        let colophon = making::colophon(&run);
        Ok(Self { win_rates, headline, progress, sections, colophon, run })
    }

    fn page(&self, served: Option<&Served>) -> anyhow::Result<String> {
        let page = page::Page {
            name: &self.win_rates.name,
            headline: &self.headline,
            progress: &self.progress,
            sections: &self.sections,
            samples: &answers::samples(&self.run)?,
            asked: &answers::browse(&self.run, &self.win_rates)?,
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
