use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;
use spyhop::{
    exchange::{self, Answers, Converted},
    watch::Watch,
};

use super::{
    output::{Format, print_csv, print_json},
    print,
    progress::Progress,
    say,
};

/// Write judgments in the format of another harness
///
/// What both formats can say is kept to the byte; what the new one cannot say is counted on stderr.
/// Nothing is written if a row cannot be converted.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop convert annotations.json --to arena-hard --out judgment.jsonl
  spyhop convert gpt-4_pair.jsonl --to alpaca-eval --out annotations.json --questions question.jsonl --outputs model_answer/*.jsonl")]
pub(crate) struct ConvertArgs {
    /// Files of judgments; their format is seen from their keys
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The new format
    #[arg(long, value_enum)]
    to: Target,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Files with the models' answers, for judgments that do not hold them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    outputs: Vec<PathBuf>,
    /// Files with the questions, for judgments that hold only their ids
    #[arg(long, value_name = "FILE", num_args = 1..)]
    questions: Vec<PathBuf>,
    /// How the counts are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// annotations.json
    AlpacaEval,
    /// gpt-4_pair.jsonl: both orders in a row
    Fastchat,
    /// model_a, model_b, winner: one look a row
    Votes,
    /// model_judgment/*.jsonl: two games in a row
    ArenaHard,
    /// judgments-*.jsonl: one look a row
    Spyhop,
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let to = match args.to {
        Target::AlpacaEval => exchange::Format::AlpacaEval,
        Target::Fastchat => exchange::Format::FastChat,
        Target::Votes => exchange::Format::Votes,
        Target::ArenaHard => exchange::Format::ArenaHard,
        Target::Spyhop => exchange::Format::Own,
    };
    let mut answers = Answers::default();
    for path in args.outputs.iter().chain(&args.questions) {
        answers.add(path)?;
    }
    let progress = Progress::new();
    let converted = write(&args.out, |out| {
        exchange::convert(&args.files, to, &answers, out, &|event| progress.watch(event))
    })?;
    for (what, rows) in &converted.lost {
        say(&format!("note: {to} do not hold {what}: lost in {rows} rows"));
    }
    let Converted { rows_in, rows_out, lost } = converted;
    let row = || {
        vec![vec![
            ("file", json!(args.out)),
            ("judgments", json!(to.to_string())),
            ("rows_in", json!(rows_in)),
            ("rows_out", json!(rows_out)),
            ("lost", json!(lost)),
        ]]
    };
    match args.format {
        Format::Table => {
            print(&format!("{}: {rows_out} rows of {to}, from {rows_in} rows", args.out.display()))
        }
        Format::Json => print_json(&row()),
        Format::Csv => print_csv(&row()),
    }
}

/// Writes a run's judgments as AlpacaEval's annotations; its directory has the answers.
pub(super) fn to_alpaca_eval(
    judgments: &[PathBuf],
    run: &Path,
    out: &Path,
    watch: Watch,
) -> anyhow::Result<()> {
    let mut answers = Answers::default();
    for entry in fs::read_dir(run).with_context(|| format!("cannot read {}", run.display()))? {
        let path = entry?.path().join("completions.jsonl");
        if path.is_file() {
            answers.add(&path)?;
        }
    }
    let to = exchange::Format::AlpacaEval;
    let converted = write(out, |file| exchange::convert(judgments, to, &answers, file, watch))?;
    say(&format!("{}: {} rows of {to}", out.display(), converted.rows_out));
    Ok(())
}

/// Writes beside the file and renames at the end, so that a mistake in the last row leaves nothing.
fn write(
    path: &Path,
    convert: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<Converted>,
) -> anyhow::Result<Converted> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let cannot = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(&partial).with_context(cannot)?);
    let converted = convert(&mut out).inspect_err(|_| drop(fs::remove_file(&partial)))?;
    out.flush().with_context(cannot)?;
    out.get_ref().sync_data().with_context(cannot)?;
    fs::rename(&partial, path).with_context(cannot)?;
    Ok(converted)
}
