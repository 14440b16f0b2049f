use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use spyhop::{
    exchange,
    judge::{Court, Orders, Spent, configured::Judge, shared_family},
    lm::api::batch::SHARE,
    record::Completion,
    store::{write, write_atomic},
};

use super::{batch, output::Format, progress::Progress, say, score, server::ServerArgs};

/// Have a judge model compare a model's answers with those of others
///
/// Candidate and baselines are files with answers: AlpacaEval's model_outputs.json, or completions.jsonl
/// of a run. The judge is behind one or more servers that speak OpenAI's chat completions: hosted, vLLM,
/// SGLang, llama.cpp. Every reply is stored once it is paid for, so a run that was stopped goes on where
/// it was, and a repetition costs nothing. Ends with the table of `spyhop score`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop eval --candidate m1.json --baseline base.json --judge pair-verdict --model gpt-4o-mini --max-cost 2
  spyhop eval --candidate m1.json --baseline base.json --judge pair-logprobs --endpoint http://127.0.0.1:8000/v1

The key is read from the environment variable OPENAI_API_KEY, or from what --key-env or --key-file name.")]
pub(crate) struct EvalArgs {
    /// The answers to be judged
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// The answers that they are compared with, one file for each baseline
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    baseline: Vec<PathBuf>,
    /// A built-in judge (pair-verdict, pair-reasons, pair-levels, pair-logprobs, alpaca_eval_gpt4,
    /// weighted_alpaca_eval_gpt4_turbo) or the path of a judge's file
    #[arg(long)]
    judge: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Ask no server: write the questions that have no stored reply to files for OpenAI's batches, at
    /// half the price, and say what to do with them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["offline", "until_decided"])]
    batch: Option<PathBuf>,
    /// The order in which the judge sees two answers
    #[arg(long, value_enum, default_value = "both")]
    orders: OrderChoice,
    /// Stop as soon as it is certain, at 95% and however often one looks, which of the two is better
    #[arg(long)]
    until_decided: bool,
    /// Ask before spending more than so many dollars; without a terminal, refuse
    #[arg(long, value_name = "DOLLARS")]
    max_cost: Option<f64>,
    /// Where judgments go
    #[arg(long, value_name = "DIR", default_value = "runs/eval")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderChoice {
    /// Each prompt in both orders, averaged
    Both,
    /// Each prompt in the one order that AlpacaEval draws for it, at half the price
    Seeded,
}

/// What a directory of judgments was made with: others do not mix with it (`eval.json`).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    judge: String,
    model: String,
    /// Of prompt, sampling and parser.
    judge_hash: String,
    server: String,
    orders: String,
}

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    let judge = args.server.judge(&args.judge, &watch)?;
    let candidate = exchange::completions(&args.candidate)?;
    let baselines: Vec<Vec<Completion>> = args
        .baseline
        .iter()
        .map(|path| exchange::completions(path))
        .collect::<anyhow::Result<_>>()?;
    let replies = args.server.replies()?;
    let api = match args.batch {
        Some(_) => None,
        None => args.server.api()?,
    };
    let server = args.server.name();
    let orders = match args.orders {
        OrderChoice::Both => Orders::Both,
        OrderChoice::Seeded => Orders::Seeded,
    };
    claim(&args.out, &judge, server, orders)?;
    let court = Court { judge: &judge, api: api.as_ref(), replies: &replies, server, orders };
    let files: Vec<PathBuf> = baselines
        .iter()
        .map(|baseline| file(&args.out, &candidate, baseline))
        .collect::<anyhow::Result<_>>()?;
    for answers in std::iter::once(&candidate).chain(&baselines) {
        if let Some(family) = shared_family(&judge.model, &answers[0].generator) {
            say(&format!(
                "note: the judge, {}, and {} are both of the {family} family: a judge favours its own",
                judge.model, answers[0].generator
            ));
        }
    }
    foresee(args, &court, &candidate, &baselines, &files)?;
    if let Some(directory) = &args.batch {
        return batch::write(&court, &candidate, &baselines, &files, directory);
    }
    let began = Instant::now();
    let mut failed = 0;
    for (baseline, out) in baselines.iter().zip(&files) {
        let until = args.until_decided.then_some(0.95);
        let spent = court.run(&candidate, baseline, until, out, &watch)?;
        failed += spent.failed;
        account(&spent, &candidate, baseline, args.until_decided);
    }
    for answers in std::iter::once(&candidate).chain(&baselines) {
        write(&directory(&args.out, answers)?.join("completions.jsonl"), answers)?;
    }
    score::show_directory(&args.out, args.format)?;
    say(&format!("judgments: {}, {:.0} s", args.out.display(), began.elapsed().as_secs_f64()));
    anyhow::ensure!(
        failed == 0,
        "{failed} questions got no reply and count as missing above; run the same command again to ask them"
    );
    Ok(())
}

/// A directory belongs to one judge: its rows would not compare with another's.
fn claim(out: &Path, judge: &Judge, server: &str, orders: Orders) -> anyhow::Result<()> {
    let made = Made {
        judge: judge.name.clone(),
        model: judge.model.clone(),
        judge_hash: judge.hash(),
        server: server.to_owned(),
        orders: format!("{orders:?}").to_lowercase(),
    };
    let path = out.join("eval.json");
    if !path.exists() {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let text = serde_json::to_string_pretty(&made)?;
        return write_atomic(&std::path::absolute(&path)?, text.as_bytes());
    }
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let before: Made = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a judging's record", path.display()))?;
    anyhow::ensure!(
        before == made,
        "{} was judged with {before:?}, and now it would be {made:?}: choose another --out",
        out.display()
    );
    Ok(())
}

/// A model's directory: a name may hold what a file name may not.
fn directory(out: &Path, answers: &[Completion]) -> anyhow::Result<PathBuf> {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let directory = out.join(answers[0].generator.chars().map(plain).collect::<String>());
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

fn file(out: &Path, candidate: &[Completion], baseline: &[Completion]) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        candidate[0].generator != baseline[0].generator,
        "candidate and baseline are both called {:?}: rename one in its file (generator)",
        candidate[0].generator
    );
    let name = directory(out, baseline)?;
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(directory(out, candidate)?.join(format!("judgments-{name}.jsonl")))
}

/// Says what is to be asked and what it would cost, and asks if that is too much.
fn foresee(
    args: &EvalArgs,
    court: &Court,
    candidate: &[Completion],
    baselines: &[Vec<Completion>],
    files: &[PathBuf],
) -> anyhow::Result<()> {
    let (mut questions, mut stored, mut cost) = (0, 0, Some(0.0));
    for (baseline, out) in baselines.iter().zip(files) {
        let outlook = court.outlook(candidate, baseline, out)?;
        questions += outlook.questions;
        stored += outlook.stored;
        cost = cost.zip(outlook.cost).map(|(sum, more)| sum + more);
    }
    if args.batch.is_some() {
        cost = cost.map(|cost| cost * SHARE);
    }
    let price = match cost {
        Some(cost) => format!("about ${cost:.2} at most"),
        None => "the price is not known".to_owned(),
    };
    say(&format!(
        "{} asks {} of {questions} questions, {stored} are stored: {price}",
        court.judge.name,
        questions - stored
    ));
    let Some(limit) = args.max_cost.filter(|_| !args.server.offline) else { return Ok(()) };
    let cost = cost.context(
        "--max-cost needs a price: name it with --price, or put [price] into the judge's file",
    )?;
    if cost <= limit {
        return Ok(());
    }
    anyhow::ensure!(
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        "this may cost ${cost:.2}, more than --max-cost {limit}: raise it, or judge fewer prompts"
    );
    let mut stderr = std::io::stderr();
    write!(stderr, "this may cost ${cost:.2}, more than {limit}; go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    anyhow::ensure!(answer.trim().eq_ignore_ascii_case("y"), "stopped; nothing was asked");
    Ok(())
}

fn account(spent: &Spent, candidate: &[Completion], baseline: &[Completion], until: bool) {
    let cost = spent.cost.map_or(String::new(), |cost| format!(", ${cost:.4}"));
    say(&format!(
        "{} against {}: {} asked, {} from the store, {} without a reply; {} + {} tokens{cost}",
        candidate[0].generator,
        baseline[0].generator,
        spent.asked,
        spent.stored,
        spent.failed,
        spent.prompt_tokens,
        spent.completion_tokens
    ));
    if let Some(failure) = &spent.last_failure {
        say(&format!("note: the last question without a reply: {failure}"));
    }
    match (until, spent.decided_after) {
        (true, Some(prompts)) => say(&format!(
            "decided after {prompts} of {} prompts, and stopped: the others count as missing below; the win rate there is that of a series that was stopped when it was clear, and so a little too far from 50%",
            candidate.len()
        )),
        (true, None) => say("not decided after all prompts"),
        (false, _) => {}
    }
}
