mod anchors;
pub(super) mod batch;
mod claim;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::ValueEnum;
use spyhop::{
    generate::Contestant,
    judge::{Court, Judged, Orders, Until, shared_family},
    lm::api::{Outlook, Spent, batch::SHARE},
    record::Completion,
    source::cache_directory,
    stats::Estimate,
};

use super::{
    budget::Budget,
    convert,
    entrants::{self, Asking},
    output::Format,
    progress::Progress,
    say, score, server,
};

/// Have a judge model compare a model's answers with those of others
///
/// Candidate and baselines are files with answers (AlpacaEval's model_outputs.json, JSONL, CSV, or
/// completions.jsonl of a run), models (a GGUF file, a directory in Hugging Face layout, a model of a
/// run such as runs/quickstart/M1), a contestant's .toml, which may name a server, or a built-in
/// baseline: `spyhop fetch` lists them. Models are asked for their answers first.
///
/// The judge is behind one or more servers that speak OpenAI's chat completions: hosted, vLLM, SGLang,
/// llama.cpp. Every reply is stored once it is paid for, so a run that was stopped goes on where it was,
/// and a repetition costs nothing. Ends with the table of `spyhop score`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop eval --candidate m1.json --baseline base.json --judge pair-verdict --model gpt-4o-mini --max-cost 2
  spyhop eval --candidate runs/quickstart/M2 --baseline text-davinci-003 lima.json --eval-set vicuna \\
    --judge pair-logprobs --endpoint http://127.0.0.1:8000/v1

The key is read from the environment variable OPENAI_API_KEY, or from what --key-env or --key-file name.")]
pub(crate) struct EvalArgs {
    /// Whose answers are judged
    #[arg(long, value_name = "CONTESTANT")]
    candidate: String,
    /// Whom they are compared with
    #[arg(long, value_name = "CONTESTANT", num_args = 1.., required = true)]
    baseline: Vec<String>,
    /// A built-in eval set, a set.toml, or JSONL of prompts [default: what the first file of answers
    /// answers]
    #[arg(long, value_name = "SET")]
    eval_set: Option<String>,
    /// A built-in judge (pair-verdict, pair-reasons, pair-levels, pair-logprobs, alpaca_eval_gpt4,
    /// weighted_alpaca_eval_gpt4_turbo) or the path of a judge's file
    #[arg(long)]
    judge: String,
    #[command(flatten)]
    server: server::ServerArgs,
    /// Put no question to the judge's server: write those that have no stored reply to files for
    /// OpenAI's batches, at half the price, and say what to do with them
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
    /// First put 48 frozen pairs with a clearly better answer to the judge, anew each time, and say
    /// whether it judges as it did before
    #[arg(long, conflicts_with_all = ["offline", "batch"])]
    anchors: bool,
    /// Chance of the models that are asked for answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    random_seed: u64,
    /// Where answers and judgments go
    #[arg(long, value_name = "DIR", default_value = "runs/eval")]
    out: PathBuf,
    /// Write the judgments to this file as well, as AlpacaEval's annotations
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
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

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    let judge = args.server.judge(&args.judge, &watch)?;
    let contestants: Vec<Contestant> = std::iter::once(&args.candidate)
        .chain(&args.baseline)
        .map(|name| Contestant::load(name))
        .collect::<anyhow::Result<_>>()?;
    let cache = cache_directory()?;
    let (prompts, entrants) =
        entrants::enter(&contestants, args.eval_set.as_deref(), &cache, &watch)?;
    let provider = args.server.provider(args.batch.is_none())?;
    let orders = match args.orders {
        OrderChoice::Both => Orders::Both,
        OrderChoice::Seeded => Orders::Seeded,
    };
    claim::claim(&args.out, &judge, &provider.server, orders, args.random_seed, &entrants)?;
    for entrant in &entrants {
        if let Some(family) = shared_family(&judge.model, entrant.model()) {
            let curated = match entrant.is_of_a_run() {
                true => ", and models of that family also curated what it learnt from",
                false => "",
            };
            say(&format!(
                "note: the judge, {}, and {} are both of the {family} family: a judge favours its own{curated}",
                judge.model,
                entrant.name()
            ));
        }
    }
    let mut budget = Budget::new(args.max_cost.filter(|_| !args.server.offline));
    let asking = Asking {
        out: args.out.clone(),
        store: args.server.store()?,
        offline: args.server.offline,
        random_seed: args.random_seed,
    };
    let answers = entrants::answer(&entrants, &prompts, &asking, &mut budget, &watch)?;
    let Some((candidate, baselines)) = answers.split_first() else { return Ok(()) };

    let court = Court { judge: &judge, provider: &provider, orders, sample: 0 };
    let files: Vec<PathBuf> = baselines
        .iter()
        .map(|baseline| judgments(&args.out, candidate, baseline))
        .collect::<anyhow::Result<_>>()?;
    foresee(args, &court, candidate, baselines, &files, &mut budget)?;
    if args.anchors {
        anchors::check(args, &court, &mut budget, &watch)?;
    }
    if let Some(directory) = &args.batch {
        return batch::write(&court, candidate, baselines, &files, directory);
    }
    let mut failed = 0;
    for (baseline, out) in baselines.iter().zip(&files) {
        let decided = |estimate: Option<&Estimate>, _: &Spent| {
            estimate.is_some_and(|estimate| !estimate.includes(0.5))
        };
        let until = args.until_decided.then_some(&decided as Until);
        let judged = court.run(candidate, baseline, until, out, &watch)?;
        failed += judged.spent.failed;
        account(&judged, candidate, baseline, args.until_decided);
    }
    score::show_directory(&args.out, args.format)?;
    if let Some(path) = &args.annotations {
        convert::to_alpaca_eval(&files, &args.out, path, &watch)?;
    }
    say(&format!("judgments: {}, {:.0} s", args.out.display(), began.elapsed().as_secs_f64()));
    anyhow::ensure!(
        failed == 0,
        "{failed} questions got no reply and count as missing above; run the same command again to ask them"
    );
    Ok(())
}

fn judgments(
    out: &Path,
    candidate: &[Completion],
    baseline: &[Completion],
) -> anyhow::Result<PathBuf> {
    let name = entrants::directory(out, &baseline[0].generator)?;
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(entrants::directory(out, &candidate[0].generator)?.join(format!("judgments-{name}.jsonl")))
}

/// Says what the judge is to be asked and what it would cost, and asks if that is too much.
fn foresee(
    args: &EvalArgs,
    court: &Court,
    candidate: &[Completion],
    baselines: &[Vec<Completion>],
    files: &[PathBuf],
    budget: &mut Budget,
) -> anyhow::Result<()> {
    let mut all = Outlook { cost: Some(0.0), ..Outlook::default() };
    for (baseline, out) in baselines.iter().zip(files) {
        let outlook = court.outlook(candidate, baseline, out)?;
        all.calls += outlook.calls;
        all.stored += outlook.stored;
        all.at_once = outlook.at_once;
        all.cost = all.cost.zip(outlook.cost).map(|(sum, more)| sum + more);
    }
    if args.batch.is_some() {
        all.cost = all.cost.map(|cost| cost * SHARE);
    }
    budget.foresee(&court.judge.name, all)
}

fn account(judged: &Judged, candidate: &[Completion], baseline: &[Completion], until: bool) {
    let (one, other) = (&candidate[0].generator, &baseline[0].generator);
    server::account(&format!("{one} against {other}"), &judged.spent);
    match (until, judged.ended_after) {
        (true, Some(prompts)) => say(&format!(
            "decided after {prompts} of {} prompts: the rest was not asked",
            candidate.len()
        )),
        (true, None) => say("not decided after all prompts"),
        (false, _) => {}
    }
}
