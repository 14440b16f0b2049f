use std::path::PathBuf;

use spyhop::report;

use super::{print, say};

/// Write the report of a run again, finished or not
///
/// Reads the run's rows and asks no model. The win-rate table goes to stdout.
#[derive(clap::Args)]
pub(crate) struct ReportArgs {
    /// The run's directory, such as runs/quickstart
    run: PathBuf,
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let files = report::build(&args.run)?;
    print(&report::table(&report::win_rates(&args.run)?))?;
    if let Some(page) = files.first() {
        say(&format!("report: {}", page.display()));
    }
    Ok(())
}
