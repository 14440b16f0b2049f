use std::path::PathBuf;

use serde_json::json;
use spyhop::{
    iterate::{self, Planned},
    recipe::Recipe,
};

use super::output::{Format, Row, print_csv, print_json};

/// List the stages of a recipe, with counts and estimated time
///
/// Checks the recipe and its local files; loads no model and downloads nothing. Times are estimates
/// for a model of 135 million weights on two cores without AVX-512.
#[derive(clap::Args)]
pub(crate) struct PlanArgs {
    /// The recipe, such as recipes/quickstart.toml
    recipe: PathBuf,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let stages = iterate::plan(&recipe)?;
    match args.format {
        Format::Table => super::print(&table(&stages))?,
        Format::Json => print_json(&rows(&stages))?,
        Format::Csv => print_csv(&rows(&stages))?,
    }
    super::say(
        "Estimates are for 135M weights on 2 cores; they leave out downloads, and scale with the number of weights.",
    );
    Ok(())
}

fn table(stages: &[Planned]) -> String {
    let line = |stage: &str, work: &str, time: &str| format!("{stage:<20} {work:<40} {time:>9}");
    let mut lines = vec![line("stage", "work", "estimate")];
    for stage in stages {
        let time = stage.seconds.map_or("-".to_owned(), duration);
        lines.push(line(&stage.stage, &stage.work, &time));
    }
    let total = stages.iter().filter_map(|stage| stage.seconds).sum();
    lines.push(line("in all", &format!("{} stages", stages.len()), &duration(total)));
    lines.join("\n")
}

fn rows(stages: &[Planned]) -> Vec<Row> {
    let row = |planned: &Planned| {
        vec![
            ("stage", json!(planned.stage)),
            ("work", json!(planned.work)),
            ("seconds", json!(planned.seconds)),
        ]
    };
    stages.iter().map(row).collect()
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
