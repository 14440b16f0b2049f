use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use spyhop::{iterate, recipe::Recipe, report, source};

use super::{print, progress::Progress, report::Format, say};

/// Run a recipe: the whole loop, or what is left of it
///
/// Downloads go to $XDG_CACHE_HOME/spyhop (or ~/.cache/spyhop). A run that was stopped, however it
/// was stopped, goes on where it was. At the end the win-rate table is printed to stdout, and the
/// path of the report to stderr.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The recipe, such as recipes/quickstart.toml
    recipe: PathBuf,
    /// The run's directory [default: runs/<name of the recipe>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How the win rates are printed at the end
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let recipe = Recipe::load(&args.recipe)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&recipe.name));
    let progress = Progress::new();
    let report_page =
        iterate::run(&recipe, &out, &source::cache_directory()?, &|event| progress.watch(event))?;
    let written = |name| {
        let path = report_page.with_file_name(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    match args.format {
        Format::Table => print(&report::table(&report::win_rates(&out)?))?,
        Format::Json => print(written("report.json")?.trim_end())?,
        Format::Csv => print(written("win_rates.csv")?.trim_end())?,
    }
    say(&format!("report: {}", report_page.display()));
    let seconds = began.elapsed().as_secs();
    if seconds >= 10 {
        let memory =
            peak_memory().map_or(String::new(), |peak| format!(", {peak} of memory at most"));
        say(&format!("took: {} min {:02} s{memory}", seconds / 60, seconds % 60));
    }
    Ok(())
}

/// The most memory that this process held, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.2} GB", kibibytes * 1024.0 / 1e9))
}
