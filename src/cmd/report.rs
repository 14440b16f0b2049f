use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use spyhop::{
    report::{Picture, Report},
    scoring,
    store::write_atomic,
};

use super::{
    judgments::{ReadingArgs, notes},
    print, say,
};

/// Write the report of runs again, finished or not, or of judgments that came as files
///
/// Reads rows and asks no model; the same rows give the same bytes. Each run's report goes into its own
/// directory. With --compare, several runs stand side by side in one report. Files of judgments, such as
/// AlpacaEval's annotations.json, are put into one report beside AlpacaEval's published figures. The
/// win rates go to stdout.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop report runs/quickstart
  spyhop report runs/one runs/other --compare --out comparison
  spyhop report results/*/annotations.json --out judged
  spyhop report runs/quickstart --plot forest --out forest.png")]
pub(crate) struct ReportArgs {
    /// Directories of runs, such as runs/quickstart; or files of judgments
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Put the runs side by side, in one report
    #[arg(long)]
    compare: bool,
    /// Where the report goes, or with --plot the drawing [default: report in the run's directory, or in
    /// this one]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Draw this plot alone, into the .png, .svg or .csv file of --out
    #[arg(long, value_name = "NAME", requires = "out")]
    plot: Option<String>,
    /// How the win rates are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// How the numbers of a report are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, 80 columns wide
    Table,
    /// The content of report.json
    Json,
    /// The content of win_rates.csv
    Csv,
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let (directories, files): (Vec<&PathBuf>, Vec<&PathBuf>) =
        args.runs.iter().partition(|path| path.is_dir());
    anyhow::ensure!(
        directories.is_empty() || files.is_empty(),
        "{} is a run's directory and {} is not: report runs and files of judgments apart",
        directories[0].display(),
        files[0].display()
    );
    if directories.is_empty() {
        anyhow::ensure!(!args.compare, "--compare is for runs: files stand side by side anyway");
        return finish(args, &of_files(args)?, None);
    }
    if args.compare {
        return finish(args, &Report::of_runs(&args.runs)?, None);
    }
    anyhow::ensure!(
        args.out.is_none() || args.runs.len() == 1,
        "--out is one place for several reports: report one run, or --compare them"
    );
    for run in &args.runs {
        finish(args, &Report::of_run(run)?, Some(run))?;
    }
    Ok(())
}

fn of_files(args: &ReportArgs) -> anyhow::Result<Report> {
    let reading = ReadingArgs::default();
    let rule = reading.rule()?;
    let answers = reading.answers(&args.runs)?;
    let ledger = reading.ledger(&args.runs, &answers)?;
    let scored = scoring::standings(&ledger, &rule, |_| None);
    notes(&ledger);
    Report::of_judgments(&ledger, &rule, &scored)
}

/// Writes what was asked for and says where it is.
fn finish(args: &ReportArgs, report: &Report, run: Option<&PathBuf>) -> anyhow::Result<()> {
    if let (Some(name), Some(out)) = (&args.plot, &args.out) {
        let extension = out.extension().and_then(|extension| extension.to_str());
        let picture = match extension {
            Some("png") => Picture::Png,
            Some("svg") => Picture::Svg,
            Some("csv") => Picture::Csv,
            _ => anyhow::bail!(
                "--out {} does not say what to draw: name a .png, .svg or .csv file",
                out.display()
            ),
        };
        // A bare file name has an empty parent, which is no directory to write to.
        write_atomic(&std::path::absolute(out)?, &report.plot(name, picture)?)?;
        say(&format!("plot: {}", out.display()));
        return Ok(());
    }
    let inside = || run.map_or_else(|| PathBuf::from("report"), |run| run.join("report"));
    let files = report.write(&args.out.clone().unwrap_or_else(inside))?;
    let text = match args.format {
        Format::Table => Some(report.table.as_str()),
        Format::Json => report.text("report.json").map(str::trim_end),
        Format::Csv => report.text("win_rates.csv").map(str::trim_end),
    };
    print(text.unwrap_or_default())?;
    let page = files.first().context("a report has at least its page")?;
    say(&format!("report: {}", page.display()));
    Ok(())
}
