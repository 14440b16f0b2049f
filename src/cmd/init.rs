use std::path::PathBuf;

use serde_json::json;
use spyhop::{eval_set::EvalSet, source::cache_directory, stats, store::write_atomic};

use super::{
    output::{Format, print_csv, print_json},
    print,
    progress::Progress,
};

/// Write a commented spyhop.toml for `spyhop check`, with thresholds for the size of the eval set
///
/// Says what so many prompts can show: which loss is found, and which margin an equal model passes.
#[derive(clap::Args)]
#[command(after_help = "Example:
  spyhop init --eval-set first-look --reference outputs/main.json --candidate outputs/new.json")]
pub(crate) struct InitArgs {
    /// A built-in eval set, a set.toml, or a file of prompts
    #[arg(long, value_name = "SET", default_value = "first-look")]
    eval_set: String,
    /// The contestant that candidates must not be worse than
    #[arg(long, value_name = "CONTESTANT", default_value = "outputs/reference.json")]
    reference: String,
    /// The contestant that is checked
    #[arg(long, value_name = "CONTESTANT", default_value = "outputs/candidate.json")]
    candidate: String,
    /// A built-in judge or a judge's file
    #[arg(long, default_value = "pair-verdict")]
    judge: String,
    /// The model that judges
    #[arg(long, default_value = "gpt-4o-mini")]
    model: String,
    #[arg(long, value_name = "FILE", default_value = "spyhop.toml")]
    out: PathBuf,
    /// How the numbers are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Standard deviation of a prompt's score where neither side is better and a third of the prompts is
/// decided alike in both orders for each: what differs between eval sets is little beside it.
const DEVIATION: f64 = 0.41;
/// How often the loss that is named has to be found.
const POWER: f64 = 0.8;

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.out.exists(),
        "{} exists: name another file with --out, or change that one",
        args.out.display()
    );
    let progress = Progress::new();
    let set = EvalSet::load(&args.eval_set, &cache_directory()?, &|event| progress.watch(event))?;
    let n = set.prompts.len();
    let error = DEVIATION / (n as f64).sqrt();
    let shown = 100.0 * stats::detectable(error, 0.05, POWER);
    let margin = shown.ceil().max(1.0);
    let slices = match set.slices.len() {
        0 | 1 => "false           # this eval set has no slices",
        _ => "true            # a slice that regressed turns the check red; corrected by Holm",
    };
    let text = format!(
        r#"# Checks for `spyhop check`: may a candidate take the place of a reference?
# Green: a loss of the margin or more is excluded (95%). Red: such a loss is shown. Else: inconclusive.

# What checks compare with, written by `spyhop check --update` and kept in the repository.
# lock = "spyhop.lock"

# Replies of the judge. In the CI's cache or the repository, an unchanged candidate costs no call.
store = ".spyhop/replies.sqlite"

[[check]]
name = "assistant"
reference = {reference:?}
candidate = {candidate:?}       # or: spyhop check --candidate FILE
eval_set = {eval_set:?}         # {n} prompts
# baselines = ["text-davinci-003"]   # compare both sides with these as well

# Points of the win rate that may be lost. Of {n} prompts, an equal model passes a margin of {margin} four
# times in five, and a model that loses {both} points is called regressed as often. Answers that did not
# change are ties, and pass any margin.
margin = {margin:.1}
slices = {slices}
until_decided = false   # true: prompts in an order of chance, and an end as soon as it is certain
anchors = false         # true: 96 questions more, to notice that the judge was changed

[check.judge]
judge = {judge:?}
model = {model:?}
# price = {{ prompt = 0.15, completion = 0.60 }}    # dollars for a million tokens
# server = {{ endpoints = ["http://127.0.0.1:8000/v1"], concurrency = 16 }}

# In place of [check.judge], a model on this machine: needs no server and no key, and judges every prompt.
# [check.local_judge]
# method = "choice"           # or "likelihood"
# score = "preferences"
# weights = {{ from = ["file:judge.gguf"] }}

# How far the judge agrees with people, by `spyhop judge-quality`.
# [check.agreement]
# estimate = 0.70
# lower = 0.67
# upper = 0.73
# n = 894
# measured_on = "PandaLM's 999 pairs"

[check.floors]          # below these nothing is known: inconclusive
coverage = 0.9          # share of the judged prompts with a verdict in both orders
consistency = 0.4       # share of the prompts on which the judge says the same in both orders
# agreement = 0.65      # lower end of the judge's agreement with people

[check.ceilings]        # above these it is red, whatever the judge says; shares of the answers
empty = 0.0
repetition = 0.05       # answers that end in the same words again and again
# truncated = 0.1
# refusal = 0.1
# wrong_language = 0.02
# length_growth = 1.5   # mean length over the reference's

[check.budget]          # used up: inconclusive, never green
# dollars = 1.0
# calls = {calls}
# minutes = 30
"#,
        reference = args.reference,
        candidate = args.candidate,
        eval_set = args.eval_set,
        both = 2.0 * margin,
        judge = args.judge,
        model = args.model,
        calls = 2 * n,
    );
    write_atomic(&std::path::absolute(&args.out)?, text.as_bytes())?;
    let row = || {
        vec![vec![
            ("file", json!(args.out)),
            ("prompts", json!(n)),
            ("detectable_points", json!(shown)),
            ("margin_points", json!(margin)),
            ("power", json!(POWER)),
            ("deviation", json!(DEVIATION)),
        ]]
    };
    match args.format {
        Format::Table => print(&format!(
            "{}: {n} prompts detect a drop of {shown:.1} points below the margin 80% of the time, and an equal model passes a margin of {margin} as often (scores of a prompt assumed to deviate by {DEVIATION})",
            args.out.display()
        )),
        Format::Json => print_json(&row()),
        Format::Csv => print_csv(&row()),
    }
}
