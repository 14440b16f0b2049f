use std::path::PathBuf;

use spyhop::{iterate, recipe::Recipe};

/// List the stages of a recipe, with counts and estimated time
///
/// Checks the recipe and its local files; loads no model and downloads nothing. Times are estimates
/// for a model of 135 million weights on two cores.
#[derive(clap::Args)]
pub(crate) struct PlanArgs {
    /// The recipe, such as recipes/quickstart.toml
    recipe: PathBuf,
}

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let stages = iterate::plan(&recipe)?;
    println!("{:<20} {:<40} {:>9}", "stage", "work", "estimate");
    for stage in &stages {
        let seconds = stage.seconds.map_or("-".to_owned(), duration);
        println!("{:<20} {:<40} {seconds:>9}", stage.stage, stage.work);
    }
    let total = stages.iter().filter_map(|stage| stage.seconds).sum();
    println!("{:<20} {:<40} {:>9}", "in all", format!("{} stages", stages.len()), duration(total));
    super::say(
        "Estimates are for 135M weights on 2 cores; they leave out downloads, and scale with the number of weights.",
    );
    Ok(())
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
