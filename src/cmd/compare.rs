use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spyhop::{
    exchange::Ledger,
    scoring::{self, Against, Difference, Part, Rule},
    stats::{Estimate, Gate},
};

use super::{
    judgments::{ReadingArgs, notes},
    output::{Format, Row, interval, p_value, print_csv, print_json, table},
    print, say,
};

/// Compare models that were judged against the same baseline, prompt by prompt
///
/// The difference is candidate minus reference, in points of the win rate, over the prompts that both
/// have a score for. Paired by prompt, it is far sharper than two intervals side by side. Several
/// candidates are corrected for: p-values by Holm, and by the largest of all differences for who takes
/// the best one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop compare old/annotations.json new/annotations.json --margin 3
  spyhop compare iteration-0.json iteration-1.json iteration-2.json
  spyhop compare judgments.jsonl#vicuna-7b judgments.jsonl#vicuna-13b")]
pub(crate) struct CompareArgs {
    /// What to compare with: FILE, or FILE#MODEL if the file has several models
    reference: String,
    /// What is compared with it
    #[arg(required = true)]
    candidates: Vec<String>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Points that a candidate may lose and still count as no worse; prints the verdict of the interval
    #[arg(long, value_name = "POINTS")]
    margin: Option<f64>,
    /// Show an interval that holds however often one has looked, such as after every prompt
    #[arg(long)]
    anytime: bool,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let rule = args.reading.rule()?;
    if let Some(margin) = args.margin {
        anyhow::ensure!(
            margin > 0.0 && margin < 100.0,
            "--margin is {margin}: expected points between 0 and 100"
        );
    }
    let operands: Vec<&String> = std::iter::once(&args.reference).chain(&args.candidates).collect();
    let mut sides: Vec<Against> =
        operands.iter().map(|operand| side(operand, args, &rule)).collect::<anyhow::Result<_>>()?;
    // Two runs of one model are told apart by their files.
    let names: Vec<String> = sides.iter().map(|side| side.name.clone()).collect();
    for (side, operand) in sides.iter_mut().zip(operands) {
        if names.iter().filter(|name| **name == side.name).count() > 1 {
            side.name.clone_from(operand);
        }
    }
    let candidates = sides.split_off(1);
    let reference = sides.remove(0);
    let margin = args.margin.map(|points| points / 100.0);
    let found = scoring::compare(&reference, &candidates, margin, args.seed)?;
    let without = found.iter().find(|one| one.overall.is_none());
    if let Some(one) = without {
        anyhow::bail!(
            "{} and {} share no prompt with a score on both sides ({} and {} have one)",
            reference.name,
            one.name,
            one.only_reference,
            one.only_candidate
        );
    }
    match args.format {
        Format::Table => print(&as_table(&reference, &found, args))?,
        Format::Json => print_json(&rows(&reference, &found))?,
        Format::Csv => print_csv(&rows(&reference, &found))?,
    }
    for one in &found {
        if one.only_reference + one.only_candidate > 0 {
            say(&format!(
                "note: {}: {} prompts are shared; {} with a score of the reference alone and {} of the candidate alone are left out",
                one.name, one.shared, one.only_reference, one.only_candidate
            ));
        }
    }
    Ok(())
}

/// Reads `FILE` or `FILE#MODEL`.
fn side(operand: &str, args: &CompareArgs, rule: &Rule) -> anyhow::Result<Against> {
    // A file that has the whole name wins over a model behind the sign.
    let (path, model) = match operand.rsplit_once('#') {
        Some((path, model)) if !Path::new(operand).exists() => (path, Some(model)),
        _ => (operand, None),
    };
    let paths = [PathBuf::from(path)];
    let answers = args.reading.answers(&paths)?;
    let ledger = args.reading.ledger(&paths, &answers)?;
    notes(&ledger);
    let contest = contest(&ledger, model, path)?;
    let name = match model {
        Some(model) => model.to_owned(),
        None => ledger.contests[contest as usize].model.clone(),
    };
    Ok(Against::new(name, &ledger, contest, rule))
}

fn contest(ledger: &Ledger, model: Option<&str>, path: &str) -> anyhow::Result<u32> {
    let judged = |contest: u32| ledger.looks.iter().any(|look| look.contest == contest);
    let all: Vec<u32> = (0..ledger.contests.len() as u32).filter(|&one| judged(one)).collect();
    let named =
        |contest: u32| model.is_none_or(|model| ledger.contests[contest as usize].model == model);
    let found: Vec<u32> = all.iter().copied().filter(|&contest| named(contest)).collect();
    let list = |contests: &[u32]| {
        let name = |&contest: &u32| {
            let names = &ledger.contests[contest as usize];
            format!("{} against {}", names.model, names.baseline)
        };
        contests.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    match found[..] {
        [contest] => Ok(contest),
        [] => anyhow::bail!(
            "{path} has no model {:?}; it has {}",
            model.unwrap_or_default(),
            list(&all)
        ),
        _ => anyhow::bail!(
            "{path} has {}: choose one by {path}#MODEL, or by --against and --judge",
            list(&found)
        ),
    }
}

/// Points of the win rate.
fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share)
}

fn as_table(reference: &Against, found: &[Difference], args: &CompareArgs) -> String {
    let mut blocks = vec![format!(
        "win rate against {}: candidate minus {}, which has a score for {} of {} prompts",
        reference.contest.baseline,
        reference.name,
        reference.scored(),
        reference.prompts()
    )];
    let header = |first: &str| {
        [first, "n", "points", "95%", "r", "p", "p Holm", "McNemar", "MDE"]
            .map(str::to_owned)
            .to_vec()
    };
    let mut rows = vec![header("candidate")];
    let overall = |one: &Difference| one.overall.as_ref().map(|part| line(&one.name, part));
    rows.extend(found.iter().filter_map(overall));
    blocks.push(table(&rows));
    for one in found.iter().filter(|one| !one.slices.is_empty()) {
        let mut rows = vec![header("dataset")];
        let slice = |part: &Part| line(part.dataset.as_deref().unwrap_or("(none)"), part);
        rows.extend(one.slices.iter().map(slice));
        blocks.push(format!("{}, by dataset\n{}", one.name, table(&rows)));
    }
    blocks.push(found.iter().map(|one| words(one, args)).collect::<Vec<_>>().join("\n"));
    blocks.join("\n\n")
}

fn line(name: &str, part: &Part) -> Vec<String> {
    let Estimate { point, lower, upper, n } = part.paired.difference;
    vec![
        name.to_owned(),
        n.to_string(),
        points(point),
        interval(lower, upper),
        part.paired.correlation.map_or("-".to_owned(), |r| format!("{r:.2}")),
        p_value(part.paired.p),
        p_value(part.p_holm),
        p_value(part.mcnemar),
        format!("{:.1}", 100.0 * part.paired.minimum_detectable),
    ]
}

/// The rule of every report: the interval leaves out zero, and the corrected p is below 5%.
fn finding(part: &Part) -> &'static str {
    let Estimate { point, .. } = part.paired.difference;
    let shown = !part.paired.difference.includes(0.0) && part.p_holm < 0.05;
    match (shown, point > 0.0) {
        (true, true) => "better",
        (true, false) => "worse",
        (false, _) => "no difference shown",
    }
}

fn verdict(gate: Gate) -> &'static str {
    match gate {
        Gate::Better => "better",
        Gate::NoWorse => "no worse",
        Gate::Regressed => "regressed",
        Gate::Inconclusive => "inconclusive",
    }
}

fn words(one: &Difference, args: &CompareArgs) -> String {
    let Some(part) = &one.overall else { return String::new() };
    let mut words = format!(
        "{}: {}; a true difference of {:.1} points would be found four times in five",
        one.name,
        finding(part),
        100.0 * part.paired.minimum_detectable
    );
    if let (Some(margin), Some((gate, no_worse, same))) = (args.margin, &one.gate) {
        let p = |p: &Option<f64>| p.map_or("-".to_owned(), p_value);
        words += &format!(
            "\n  at a margin of {margin} points: {} (p of no worse {}, of equivalent {})",
            verdict(*gate),
            p(no_worse),
            p(same)
        );
    }
    if let Some(best) = &one.best_of {
        let Estimate { lower, upper, .. } = best.estimate;
        words += &format!(
            "\n  if it was chosen as the best of all: {}, p {}",
            interval(lower, upper),
            p_value(best.p)
        );
    }
    if let (true, Some(anytime)) = (args.anytime, part.anytime) {
        words += &format!(
            "\n  however often one has looked: {}",
            interval(anytime.lower, anytime.upper)
        );
    }
    words
}

fn rows(reference: &Against, found: &[Difference]) -> Vec<Row> {
    let parts = |one: &Difference| {
        let all = one.overall.iter().chain(&one.slices);
        all.map(|part| row(reference, one, part)).collect::<Vec<_>>()
    };
    found.iter().flat_map(parts).collect()
}

/// Differences in points, as `spyhop score` prints percent.
fn row(reference: &Against, one: &Difference, part: &Part) -> Row {
    let Estimate { point, lower, upper, n } = part.paired.difference;
    let whole = part.dataset.is_none();
    let best = one.best_of.filter(|_| whole);
    let gate = one.gate.filter(|_| whole);
    let hundred = |share: Option<f64>| share.map_or(Value::Null, |share| json!(100.0 * share));
    let end = |estimate: Option<Estimate>, end: fn(Estimate) -> f64| hundred(estimate.map(end));
    vec![
        ("candidate", json!(one.name)),
        ("reference", json!(reference.name)),
        ("baseline", json!(reference.contest.baseline)),
        ("judge", json!(reference.contest.judge)),
        ("dataset", json!(part.dataset)),
        ("n", json!(n)),
        ("difference", hundred(Some(point))),
        ("ci_low", hundred(Some(lower))),
        ("ci_high", hundred(Some(upper))),
        ("correlation", json!(part.paired.correlation)),
        ("p_sign_flip", json!(part.paired.p)),
        ("p_holm", json!(part.p_holm)),
        ("t", json!(part.t.map(|t| t.t))),
        ("p_t", json!(part.t.map(|t| t.p))),
        ("t_ci_low", end(part.t.map(|t| t.mean), |estimate| estimate.lower)),
        ("t_ci_high", end(part.t.map(|t| t.mean), |estimate| estimate.upper)),
        ("candidate_only_wins", json!(part.candidate_only)),
        ("reference_only_wins", json!(part.reference_only)),
        ("p_mcnemar", json!(part.mcnemar)),
        ("minimum_detectable", hundred(Some(part.paired.minimum_detectable))),
        ("finding", json!(finding(part))),
        ("anytime_low", end(part.anytime, |estimate| estimate.lower)),
        ("anytime_high", end(part.anytime, |estimate| estimate.upper)),
        ("best_of_low", end(best.map(|best| best.estimate), |estimate| estimate.lower)),
        ("best_of_high", end(best.map(|best| best.estimate), |estimate| estimate.upper)),
        ("best_of_p", json!(best.map(|best| best.p))),
        ("margin_verdict", json!(gate.map(|(gate, ..)| verdict(gate)))),
        ("p_no_worse", json!(gate.and_then(|(_, p, _)| p))),
        ("p_equivalent", json!(gate.and_then(|(.., p)| p))),
    ]
}
