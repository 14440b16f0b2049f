use std::path::PathBuf;

use anyhow::Context;
use spyhop::{
    judge,
    lm::{Lm, Weights},
    recipe::{JudgeMethod, Recipe},
    source,
    stats::Estimate,
};

use super::{print, progress::Progress};

/// Measure how well a recipe's judge agrees with people
///
/// The file holds pairs of answers that people compared, as PandaLM (annotator1 to annotator3) or
/// AlpacaEval (output_1, output_2, preference) publish them. Every way of judging is measured. Put
/// the figures under [judge.agreement] in the recipe, and every report prints them.
#[derive(clap::Args)]
pub(crate) struct AgreementArgs {
    /// The recipe whose judge is measured
    recipe: PathBuf,
    /// The human-labelled pairs, as JSON or JSONL
    pairs: PathBuf,
    /// Where the judgments go, a directory for each judge; run again with the same directory to go on after a stop
    #[arg(long, default_value = "runs/agreement")]
    out: PathBuf,
}

pub(crate) fn run(args: &AgreementArgs) -> anyhow::Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let weights = recipe.judge.weights.as_ref().or(recipe.model.weights.as_ref());
    let weights =
        weights.context("this recipe's judge is a script: there is nothing to measure")?;
    let pairs = judge::human_pairs(&args.pairs)?;
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    let fetched = source::fetch(weights, &recipe.directory, &source::cache_directory()?, &watch)?;
    let path = match &fetched.files[..] {
        [file] => file.clone(),
        _ => fetched.root.clone(),
    };
    // Judgments of one judge must not pass for another's.
    let out = args.out.join(&fetched.sha256[..12]);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    print(&format!("{:<28} {:>6} {:>18} {:>6}", "", "share", "95% interval", "n"))?;
    for (name, method) in [("likelihood", JudgeMethod::Likelihood), ("choice", JudgeMethod::Choice)]
    {
        let out = out.join(format!("{name}.jsonl"));
        let load = || Lm::load(&Weights::Files(path.clone()));
        let measured = judge::measure(load, &pairs, method, &out, &watch)?;
        match measured.consistency {
            None => line(name, measured.agreement)?,
            Some(consistency) => {
                line(&format!("{name}, score = verdicts"), measured.agreement)?;
                line(&format!("{name}, score = preferences"), measured.by_preference)?;
                line("  same in both orders", consistency)?;
            }
        }
        if measured.missing > 0 {
            print(&format!("  no verdict on {} pairs", measured.missing))?;
        }
        if method == JudgeMethod::Choice {
            line("the longer answer", measured.longer)?;
        }
    }
    super::say(&format!("judgments: {}", out.display()));
    Ok(())
}

fn line(name: &str, estimate: Estimate) -> anyhow::Result<()> {
    let Estimate { point, lower, upper, n } = estimate;
    let interval = format!("[{:.1}%, {:.1}%]", 100.0 * lower, 100.0 * upper);
    print(&format!("{name:<28} {:>5.1}% {interval:>18} {n:>6}", 100.0 * point))
}
