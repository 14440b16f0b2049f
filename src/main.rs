//! The command line: parses, runs one verb, and turns its outcome into an exit code.
mod cmd;

use std::process::ExitCode;

use clap::Parser;

/// Instruction backtranslation, run and evaluated.
///
/// spyhop turns plain text into training pairs, keeps the good ones, finetunes a model on them,
/// repeats, and after each round says with honest intervals whether the model got better.
#[derive(Parser)]
#[command(name = "spyhop", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 2 error; of `check` also 1 regressed, 3 inconclusive.\n\nStart with:  spyhop run recipes/quickstart.toml\nOr with judgments that you have:  spyhop score annotations.json"
)]
struct Cli {
    #[command(subcommand)]
    verb: cmd::Verb,
}

fn main() -> ExitCode {
    match cmd::run(Cli::parse().verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            cmd::say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
