mod allowance;
mod make;
mod ready;
mod scores;
mod show;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Context;
use spyhop::{
    gate::{
        Budget, Ceilings, Check, Floors, Lock, Suite,
        output::{Failed, Made},
    },
    watch::Event,
};

use super::{output::Format, progress::Progress, say, server::ServerArgs};

/// Say whether a candidate may take the place of a reference: green, red, or not known
///
/// Runs the checks of spyhop.toml (`spyhop init` writes one), or one that the options describe. The judge
/// compares the candidate with the reference in both orders, prompt by prompt. Green (exit 0) means that
/// a loss of the margin is excluded with 95% confidence, red (exit 1) that such a loss is shown, or that
/// the answers have faults beyond their limits. Neither is inconclusive (exit 3). Errors are exit 2.
///
/// Replies are stored, so that an unchanged candidate costs no call: --offline proves it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop check --candidate new.json
  spyhop check --reference old.json --candidate new.json --judge pair-verdict --margin 3
  spyhop check --update                 # write the reference lock

In GitHub Actions it also annotates, and writes the job's summary.")]
pub(crate) struct CheckArgs {
    /// Which checks of the file; all if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[arg(long, value_name = "FILE", default_value = "spyhop.toml")]
    config: PathBuf,
    /// Whose answers are checked: a file of answers, a model, a contestant's .toml
    #[arg(long, value_name = "CONTESTANT")]
    candidate: Option<String>,
    /// Whom they are compared with; with it, no file of checks is read
    #[arg(long, value_name = "CONTESTANT", requires_all = ["candidate", "judge"])]
    reference: Option<String>,
    /// The prompts, with --reference [default: those that the candidate answered]
    #[arg(long, value_name = "SET", requires = "reference")]
    eval_set: Option<String>,
    /// The judge, with --reference
    #[arg(long, requires = "reference")]
    judge: Option<String>,
    /// Points of the win rate that may be lost, with --reference
    #[arg(long, value_name = "POINTS", requires = "reference", default_value_t = 3.0)]
    margin: f64,
    /// Contestants that both sides are compared with as well, with --reference
    #[arg(long, value_name = "CONTESTANT", num_args = 1.., requires = "reference")]
    baseline: Vec<String>,
    /// Judge prompts in an order of chance, and stop as soon as the answer is certain, with --reference
    #[arg(long, requires = "reference")]
    until_decided: bool,
    /// End as inconclusive rather than ask for more than so many dollars, with --reference
    #[arg(long, value_name = "DOLLARS", requires = "reference")]
    max_cost: Option<f64>,
    #[command(flatten)]
    server: ServerArgs,
    /// Write what the checks compare with to the lock, in place of checking
    #[arg(long, conflicts_with_all = ["candidate", "reference"])]
    update: bool,
    /// Checks at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Where answers and judgments go
    #[arg(long, value_name = "DIR", default_value = "runs/check")]
    out: PathBuf,
    /// Write JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a comment for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write GitLab's code-quality report
    #[arg(long, value_name = "FILE")]
    gitlab: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Runs the checks; the exit code is that of the worst verdict.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let suite = match &args.reference {
        Some(reference) => ad_hoc(args, reference)?,
        None => Suite::load(&args.config)?,
    };
    let unknown = args.names.iter().find(|name| !suite.checks.iter().any(|one| one.name == **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = suite.checks.iter().map(|one| one.name.as_str()).collect();
        anyhow::bail!("there is no check {name:?}: expected one of {}", names.join(", "));
    }
    let checks: Vec<&Check> = suite
        .checks
        .iter()
        .filter(|one| args.names.is_empty() || args.names.contains(&one.name))
        .collect();
    let lock_path = suite.lock.as_ref().map(|lock| suite.directory.join(lock));
    if args.update {
        return update(args, &suite, &checks, lock_path.as_deref());
    }
    let lock = lock_path.as_deref().map(Lock::load).transpose()?;
    // Bars of several checks would write over one another.
    let alone = checks.len() == 1 || args.jobs == 1;
    let made = each(&checks, args.jobs, &|check| {
        let progress = Progress::new();
        let watch = |event: Event| match (alone, event) {
            (true, event) => progress.watch(event),
            (false, Event::Say(text)) => say(&text),
            (false, _) => {}
        };
        let work = make::Work { args, suite: &suite, check, watch: &watch };
        let locked = lock.as_ref().map(|lock| lock.of(&check.name)).transpose()?;
        work.make(locked)
    });
    show::show(args, &made)?;
    Ok(exit_code(&made))
}

/// Writes what checks compare with.
fn update(
    args: &CheckArgs,
    suite: &Suite,
    checks: &[&Check],
    path: Option<&Path>,
) -> anyhow::Result<u8> {
    let path =
        path.context("no lock is named: put lock = \"spyhop.lock\" into the file of checks")?;
    let mut lock =
        if path.exists() && !args.names.is_empty() { Lock::load(path)? } else { Lock::default() };
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    for check in checks {
        let work = make::Work { args, suite, check, watch: &watch };
        lock.put(&check.name, work.lock().with_context(|| check.name.clone())?);
    }
    lock.save(path)?;
    say(&format!("{}: {} checks", path.display(), checks.len()));
    Ok(0)
}

/// Makes checks, some at a time, and gives what became of them in their order.
fn each(
    checks: &[&Check],
    jobs: usize,
    make: &(dyn Fn(&Check) -> anyhow::Result<make::Finished> + Sync),
) -> Vec<Made> {
    let next = Mutex::new(0..checks.len());
    let made: Mutex<Vec<Option<Made>>> = Mutex::new(checks.iter().map(|_| None).collect());
    let take = || next.lock().ok().and_then(|mut next| next.next());
    let work = || {
        while let Some(place) = take() {
            let check = checks[place];
            let one = make(check)
                .map_err(|error| Failed { check: check.name.clone(), error: format!("{error:#}") });
            if let Ok(mut made) = made.lock() {
                made[place] = Some(one);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, checks.len().max(1)) {
            scope.spawn(work);
        }
    });
    made.into_inner().unwrap_or_default().into_iter().flatten().collect()
}

fn exit_code(made: &[Made]) -> u8 {
    let code = |one: &Made| match one {
        Err(_) => 2,
        Ok((outcome, _)) => outcome.verdict.exit_code(),
    };
    // An error is worse than red, and red than not knowing.
    [2, 1, 3].into_iter().find(|&worst| made.iter().any(|one| code(one) == worst)).unwrap_or(0)
}

fn ad_hoc(args: &CheckArgs, reference: &str) -> anyhow::Result<Suite> {
    let judge = args.judge.as_deref().context("name a judge with --judge")?;
    let check = Check {
        name: "check".to_owned(),
        reference: reference.to_owned(),
        candidate: args.candidate.clone(),
        eval_set: args.eval_set.clone(),
        baselines: args.baseline.clone(),
        margin: args.margin,
        slices: true,
        until_decided: args.until_decided,
        anchors: false,
        random_seed: 0,
        judge: Some(args.server.remote(judge)),
        local_judge: None,
        agreement: None,
        floors: Floors::default(),
        ceilings: Ceilings::default(),
        budget: Budget { dollars: args.max_cost, ..Budget::default() },
    };
    check.check()?;
    Ok(Suite { store: None, lock: None, checks: vec![check], directory: PathBuf::new() })
}
