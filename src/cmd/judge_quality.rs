use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use spyhop::{
    judge::{
        self, Court, HumanPair, Orders, human_pairs,
        quality::{self, Opinion, Quality, WEAK_BELOW},
    },
    lm::{self, Lm, Weights},
    model::Rounding,
    recipe::{self, Recipe, Score},
    record::content_id,
    source::{self, cache_directory},
    stats::Estimate,
    store::read,
};

use super::{
    budget::Budget,
    output::{Format, Row, interval, percent, print_csv, print_json, table},
    print,
    progress::Progress,
    say,
    server::{self, ServerArgs},
};

/// Measure how far a judge can be trusted, against people who compared the same answers
///
/// The pairs are those of PandaLM (annotator1 to annotator3), LLMBar (label) or AlpacaEval (output_1,
/// output_2, preference; rows with annotator_index are votes on one pair). The judge is asked about each
/// pair in both orders, behind a server or, with --recipe, on this machine; or its recorded verdicts are
/// read and nothing is asked.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop judge-quality --human testset-v1.json --judge pair-verdict --model gpt-4o-mini
  spyhop judge-quality --human testset-v1.json --recipe recipes/quickstart.toml
  spyhop judge-quality --human testset-v1.json --verdicts gpt-3.5-turbo-testset-v1.json

The key is read from the environment variable OPENAI_API_KEY, or from what --key-env or --key-file name.")]
pub(crate) struct JudgeQualityArgs {
    /// Pairs of answers that people compared, as JSON or JSONL
    #[arg(long, value_name = "FILE")]
    human: PathBuf,
    /// A built-in judge, as for `spyhop eval`, or the path of a judge's file
    #[arg(long, required_unless_present_any = ["verdicts", "recipe"])]
    judge: Option<String>,
    /// A recipe, whose judge on this machine is asked, by its judge.method and judge.score
    #[arg(long, conflicts_with = "judge")]
    recipe: Option<PathBuf>,
    /// What a judge said of these pairs: PandaLM's verdicts (idx, and a key that ends in _result) or
    /// AlpacaEval's annotations
    #[arg(long, value_name = "FILE", conflicts_with_all = ["judge", "recipe"])]
    verdicts: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Ask before spending more than so many dollars; without a terminal, refuse
    #[arg(long, value_name = "DOLLARS")]
    max_cost: Option<f64>,
    /// Where judgments go, a directory for each judge
    #[arg(long, value_name = "DIR", default_value = "runs/judge-quality")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// A judge's opinions of all pairs.
struct Heard {
    judge: String,
    opinions: Vec<Opinion>,
    /// Dollars for 1,000 pairs, where a price is known.
    price: Option<f64>,
    /// Questions without a reply.
    failed: usize,
}

pub(crate) fn run(args: &JudgeQualityArgs) -> anyhow::Result<()> {
    let pairs = human_pairs(&args.human)?;
    let heard = match (&args.verdicts, &args.recipe) {
        (Some(path), _) => recorded(path, &pairs)?,
        (None, Some(recipe)) => local(args, &Recipe::load(recipe)?, &pairs)?,
        (None, None) => asked(args, &pairs)?,
    };
    let quality = quality::quality(&pairs, &heard.opinions);
    let human = file_name(&args.human);
    match args.format {
        Format::Table => print(&as_table(&heard, &human, &quality))?,
        Format::Json => print_json(&rows(&heard, &human, &quality))?,
        Format::Csv => print_csv(&rows(&heard, &human, &quality))?,
    }
    anyhow::ensure!(
        heard.failed == 0,
        "{} questions got no reply and count as missing above; run the same command again to ask them",
        heard.failed
    );
    Ok(())
}

fn recorded(path: &Path, pairs: &[HumanPair]) -> anyhow::Result<Heard> {
    let found = quality::recorded(path, pairs)?;
    if found.strangers > 0 {
        say(&format!("note: {} rows are about none of the pairs", found.strangers));
    }
    let looks: usize = found.opinions.iter().map(|opinion| opinion.scores.len()).sum();
    Ok(Heard {
        judge: file_name(path),
        price: found.price.map(|row| 1e3 * row * looks as f64 / pairs.len() as f64),
        opinions: found.opinions,
        failed: 0,
    })
}

fn asked(args: &JudgeQualityArgs, pairs: &[HumanPair]) -> anyhow::Result<Heard> {
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    let judge = args.judge.as_deref().context("name a judge with --judge")?;
    let judge = args.server.judge(judge, &watch)?;
    let provider = args.server.provider(true)?;
    let court = Court { judge: &judge, provider: &provider, orders: Orders::Both, sample: 0 };
    // Judgments of one judge must not pass for another's.
    let hash = content_id(&[&judge.hash(), &provider.server]);
    let out = args.out.join(format!("{}-{}", judge.name, &hash[..12]));
    let out = file(&out, args)?;
    let [first, second] = quality::sides(pairs);
    let mut budget = Budget::new(args.max_cost.filter(|_| !args.server.offline));
    budget.foresee(&judge.name, court.outlook(&first, &second, &out)?)?;
    let spent = court.run(&first, &second, None, &out, &watch)?.spent;
    server::account(&judge.name, &spent);
    say(&format!("judgments: {}", out.display()));
    let answered = spent.asked.saturating_sub(spent.failed);
    let price = spent.cost.filter(|_| answered > 0).map(|cost| 2e3 * cost / answered as f64);
    let judge = format!("{} ({})", judge.name, judge.model);
    let opinions = quality::opinions(pairs, &read(&out)?, Score::Verdicts);
    Ok(Heard { judge, opinions, price, failed: spent.failed })
}

/// Has the judge of a recipe, on this machine, compare every pair.
fn local(args: &JudgeQualityArgs, recipe: &Recipe, pairs: &[HumanPair]) -> anyhow::Result<Heard> {
    let progress = Progress::new();
    let watch = |event| progress.watch(event);
    anyhow::ensure!(
        recipe.judge.remote.is_none(),
        "this recipe's judge is behind a server: name it with --judge"
    );
    let weights = recipe.judge.weights.as_ref().or(recipe.model.weights.as_ref());
    let weights =
        weights.context("this recipe's judge is a script: there is nothing to measure")?;
    let fetched = source::fetch(weights, &recipe.directory, &cache_directory()?, &watch)?;
    let recipe::Judge { method, score, .. } = recipe.judge;
    let method_name = format!("{method:?}").to_lowercase();
    let products = recipe.judge_products();
    let multiplied = Rounding::name(lm::rounding(products));
    // Both scores are read from the same judgments.
    let out = args.out.join(format!("{method_name}-{multiplied}-{}", &fetched.sha256[..12]));
    let out = file(&out, args)?;
    let [first, second] = quality::sides(pairs);
    let load = || Lm::load_with(&Weights::Files(fetched.model().to_owned()), products);
    judge::run(load, &first, &second, method, &out, &watch)?;
    say(&format!("judgments: {}", out.display()));
    let judge = match score {
        Score::Verdicts => method_name,
        Score::Preferences => format!("{method_name}, averaged preferences,"),
    };
    let judge = format!("{judge} by {} with {multiplied} products", fetched.from);
    let opinions = quality::opinions(pairs, &read(&out)?, score);
    Ok(Heard { judge, opinions, price: None, failed: 0 })
}

fn file(directory: &Path, args: &JudgeQualityArgs) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let stem = args.human.file_stem().unwrap_or_default().to_string_lossy();
    Ok(directory.join(format!("{stem}.jsonl")))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// An estimate: its name for machines, its name for people, and what it is printed in: 100 for percent.
type Measure = (&'static str, &'static str, Option<Estimate>, f64);

fn measures(quality: &Quality) -> [Measure; 17] {
    let orders = quality.orders.as_ref();
    let consistency = orders.map(|orders| orders.consistency);
    let first_slot = orders.map(|orders| orders.first_slot);
    [
        ("agreement", "sides with the majority of people", quality.agreement, 100.0),
        ("longer_as_judge", "  the longer answer, as a judge", quality.longer, 100.0),
        ("ceiling", "one person, with the majority of others", quality.ceiling, 100.0),
        ("beside_ceiling", "  the judge, with the same majorities", quality.beside_ceiling, 100.0),
        ("same_label", "same of three labels as the majority", quality.same_label, 100.0),
        ("kappa", "  Cohen's kappa", quality.kappa, 1.0),
        ("human_alpha", "  Krippendorff's alpha among people", quality.human_alpha, 1.0),
        ("alpaca_agreement", "AlpacaEval's human agreement", quality.alpaca_agreement, 100.0),
        ("alpaca_bias", "AlpacaEval's bias", quality.alpaca_bias, 100.0),
        ("alpaca_variance", "AlpacaEval's variance", quality.alpaca_variance, 100.0),
        ("alpaca_human_variance", "  people", quality.alpaca_human_variance, 100.0),
        ("order_consistency", "same verdict in both orders", consistency, 100.0),
        ("first_slot_rate", "answer shown first wins", first_slot, 100.0),
        ("prefers_longer", "prefers the longer answer", quality.judge.longer, 100.0),
        ("human_prefers_longer", "  people", quality.people.longer, 100.0),
        ("prefers_lists", "prefers the answer with a list", quality.judge.lists, 100.0),
        ("human_prefers_lists", "  people", quality.people.lists, 100.0),
    ]
}

fn as_table(heard: &Heard, human: &str, quality: &Quality) -> String {
    let mut lines = vec![["", "%", "95% interval", "pairs"].map(str::to_owned).to_vec()];
    for (_, name, found, scale) in measures(quality) {
        let Some(Estimate { point, lower, upper, n }) = found else {
            lines.push(vec![name.to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned()]);
            continue;
        };
        let (point, ends) = match scale == 1.0 {
            true => (format!("{point:.3}"), format!("[{lower:.3}, {upper:.3}]")),
            false => (percent(Some(point)), interval(lower, upper)),
        };
        lines.push(vec![name.to_owned(), point, ends, n.to_string()]);
    }
    let price = heard.price.map_or(String::new(), |price| format!("\n${price:.2} per 1,000 pairs"));
    format!(
        "judge: {}\npeople: {human}\n{} pairs; people have a majority on {}, for one answer on {}; no verdict on {}\n\n{}{price}\n\n{}",
        heard.judge,
        quality.pairs,
        quality.with_majority,
        quality.with_preference,
        quality.missing,
        table(&lines),
        trust(quality)
    )
}

/// What the numbers come to, in the words of a report's card of the judge.
fn trust(quality: &Quality) -> String {
    let bound = 100.0 * WEAK_BELOW;
    match quality.agreement {
        None => "This judge is weak: how often it agrees with people is not known.".to_owned(),
        Some(_) if quality.is_weak() => format!(
            "This judge is weak: it is not shown to agree with people on at least {bound:.0}%\nof pairs. Its verdicts prove the pipeline, not the model."
        ),
        Some(agreement) => format!(
            "This judge agrees with people on at least {:.1}% of pairs, by its lower end;\nbelow {bound:.0}% it would count as weak.",
            100.0 * agreement.lower
        ),
    }
}

/// One row a number, as not every number has an interval.
fn rows(heard: &Heard, human: &str, quality: &Quality) -> Vec<Row> {
    let row = |measure: &str, value: Value, low: Option<f64>, high: Option<f64>, n: usize| -> Row {
        vec![
            ("judge", json!(heard.judge)),
            ("human", json!(human)),
            ("measure", json!(measure)),
            ("value", value),
            ("low", json!(low)),
            ("high", json!(high)),
            ("n", json!(n)),
        ]
    };
    let plain = |measure, value| row(measure, value, None, None, quality.pairs);
    let mut rows = vec![
        plain("pairs", json!(quality.pairs)),
        plain("with_majority", json!(quality.with_majority)),
        plain("with_preference", json!(quality.with_preference)),
        plain("missing", json!(quality.missing)),
        plain("price_per_1000", json!(heard.price)),
        plain("weak", json!(quality.is_weak())),
    ];
    rows.extend(measures(quality).into_iter().map(|(measure, _, found, scale)| {
        let number = |number: fn(Estimate) -> f64| found.map(|estimate| scale * number(estimate));
        row(
            measure,
            json!(number(|estimate| estimate.point)),
            number(|estimate| estimate.lower),
            number(|estimate| estimate.upper),
            found.map_or(0, |estimate| estimate.n),
        )
    }));
    rows
}
