use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use serde_json::json;
use spyhop::{
    source,
    store::{ModelSummary, Replies},
};

use super::{
    eval::batch,
    output::{Format, Row, print_csv, print_json, table},
    print, say,
};

/// Show the replies of models that are kept, and remove some
///
/// Every reply of every model call is kept, so that no question is paid for twice; errors are not.
/// Costs are what the replies cost when they came. One that is removed is asked for again.
#[derive(clap::Args)]
#[command(after_help = "Example:
  spyhop replies --prune-older-than 90 --prune-model gpt-4-turbo")]
pub(crate) struct RepliesArgs {
    /// The file, in place of replies.sqlite in spyhop's cache directory
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// First read the files that a server made of those of `spyhop eval --batch`: output and errors
    #[arg(long, value_name = "FILE", num_args = 1..)]
    read_batch: Vec<PathBuf>,
    /// The requests.jsonl of that batch, if it is not beside those files
    #[arg(long, value_name = "FILE", requires = "read_batch")]
    requests: Option<PathBuf>,
    /// First remove what is older than this; with --prune-model, of that model only
    #[arg(long, value_name = "DAYS")]
    prune_older_than: Option<u64>,
    /// First remove what this model replied
    #[arg(long, value_name = "NAME")]
    prune_model: Option<String>,
}

/// Where replies are kept if the user names no other place.
pub(super) fn default_store() -> anyhow::Result<PathBuf> {
    Ok(source::cache_directory()?.join("replies.sqlite"))
}

const DAY: u64 = 24 * 60 * 60;

pub(crate) fn run(args: &RepliesArgs) -> anyhow::Result<()> {
    let path = match &args.store {
        Some(path) => path.clone(),
        None => default_store()?,
    };
    anyhow::ensure!(
        path.exists() || !args.read_batch.is_empty(),
        "{} does not exist: no reply is kept there",
        path.display()
    );
    let replies = Replies::open(&path)?;
    if !args.read_batch.is_empty() {
        batch::read(&args.read_batch, args.requests.as_deref(), &replies)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?.as_secs();
    if args.prune_older_than.is_some() || args.prune_model.is_some() {
        let before = args.prune_older_than.map(|days| now.saturating_sub(days.saturating_mul(DAY)));
        let removed = replies.prune(before, args.prune_model.as_deref())?;
        say(&format!("removed {removed} replies"));
    }
    let models = replies.summary()?;
    match args.format {
        Format::Table => print(&as_table(&models, now))?,
        Format::Json => print_json(&rows(&models))?,
        Format::Csv => print_csv(&rows(&models))?,
    }
    say(&format!("{}: {} MB", path.display(), megabytes(replies.bytes()?)));
    let all: u64 = models.iter().map(|model| model.replies).sum();
    let unpriced = all - models.iter().map(|model| model.priced).sum::<u64>();
    if unpriced > 0 {
        say(&format!("note: {unpriced} of {all} replies came without a price; no cost has them"));
    }
    Ok(())
}

fn as_table(models: &[ModelSummary], now: u64) -> String {
    let header = ["model", "replies", "tokens in", "tokens out", "$", "MB", "days old"];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    for model in models {
        let days = |moment: u64| now.saturating_sub(moment) / DAY;
        lines.push(vec![
            model.model.clone(),
            model.replies.to_string(),
            model.prompt_tokens.to_string(),
            model.completion_tokens.to_string(),
            model.cost.map_or("-".to_owned(), |cost| format!("{cost:.2}")),
            megabytes(model.bytes),
            format!("{}-{}", days(model.last), days(model.first)),
        ]);
    }
    table(&lines)
}

fn rows(models: &[ModelSummary]) -> Vec<Row> {
    let row = |model: &ModelSummary| -> Row {
        vec![
            ("model", json!(model.model)),
            ("replies", json!(model.replies)),
            ("prompt_tokens", json!(model.prompt_tokens)),
            ("completion_tokens", json!(model.completion_tokens)),
            ("cost", json!(model.cost)),
            ("priced", json!(model.priced)),
            ("first", json!(model.first)),
            ("last", json!(model.last)),
            ("bytes", json!(model.bytes)),
        ]
    };
    models.iter().map(row).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
