mod rows;

use std::path::{Path, PathBuf};

use spyhop::{
    exchange::{Answers, Contest, Ledger},
    scoring::{self, Control, Controlled, CorrectedRate, HumanLabels, Published, Rule, Standing},
};

use super::{
    judgments::{ReadingArgs, Remarks, notes},
    output::{Format, print_csv, print_json},
    print,
    progress::Progress,
};

/// Win rates from judgments that exist, one row for each model
///
/// Reads AlpacaEval's annotations.json of any vintage, FastChat's and Arena-Hard's judgments, votes,
/// and spyhop's own rows, gzipped or not; the directory of a run stands for its judgments. Asks no
/// model. Win rate and standard error are those of AlpacaEval's leaderboard; the interval is spyhop's
/// (docs/statistics.md). Numbers that do not exist are null, and stderr says why.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  spyhop score annotations.json
  spyhop score --format json results/*/annotations.json > scores.json
  spyhop score gpt-4_pair.jsonl --against gpt-3.5-turbo --outputs model_answer/*.jsonl
  spyhop score runs/quickstart")]
pub(crate) struct ScoreArgs {
    /// Files of judgments, or directories of runs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    length: LengthArgs,
    /// Judgments of the same answers by people, in any of the formats: corrects win rates for the
    /// judge's errors
    #[arg(long, value_name = "FILE")]
    human: Vec<PathBuf>,
}

/// Where the length control comes from.
#[derive(clap::Args)]
pub(super) struct LengthArgs {
    /// AlpacaEval's published weights (weights/*/length_controlled_v1/baseline_*.csv)
    #[arg(long, value_name = "CSV")]
    lc_weights: Option<PathBuf>,
    /// How hard each prompt is, from instruction_difficulty in a CSV; df_gamed.csv has it too
    #[arg(long, value_name = "CSV")]
    lc_difficulty: Option<PathBuf>,
    /// AlpacaEval's gamed baseline (df_gamed.csv): fit its published regression anew
    #[arg(long, value_name = "CSV")]
    lc_gamed: Option<PathBuf>,
    /// Sums over the labels of the gamed baseline, where the file has none
    #[arg(long, value_name = "JSON", requires = "lc_gamed")]
    lc_gamed_sums: Option<PathBuf>,
    /// Weight of the loss against the penalty [default: 2.7826 for the published regression, which is
    /// what AlpacaEval mostly chose, else 10000]
    #[arg(long, value_name = "C")]
    lc_cost: Option<f64>,
    /// Folds of the bootstrap behind the interval of a length-controlled win rate; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = Control::default().folds)]
    lc_folds: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Default for LengthArgs {
    fn default() -> Self {
        Self {
            lc_weights: None,
            lc_difficulty: None,
            lc_gamed: None,
            lc_gamed_sums: None,
            lc_cost: None,
            lc_folds: Control::default().folds,
            seed: Control::default().seed,
        }
    }
}

impl LengthArgs {
    pub(super) fn published(&self) -> anyhow::Result<Published> {
        anyhow::ensure!(
            self.lc_cost.is_none_or(|cost| cost > 0.0 && cost.is_finite()),
            "--lc-cost is not above 0"
        );
        anyhow::ensure!(
            self.lc_folds != 1,
            "one fold has no spread: --lc-folds 1000, or 0 for no length control"
        );
        let weights = self.lc_weights.as_deref().map(scoring::weights).transpose()?;
        let gamed = self.lc_gamed.as_deref();
        let difficulty = self.lc_difficulty.as_deref().or(gamed).map(scoring::difficulty);
        Ok(Published {
            weights: weights.unwrap_or_default(),
            difficulty: difficulty.transpose()?,
            gamed: gamed
                .map(|path| scoring::gamed(path, self.lc_gamed_sums.as_deref()))
                .transpose()?,
            cost: self.lc_cost,
        })
    }
}

/// All that is known of one model against one baseline.
pub(super) struct Scored {
    pub(super) standing: Standing,
    pub(super) controlled: Result<Controlled, String>,
    corrected: Option<CorrectedRate>,
}

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let rule = args.reading.rule()?;
    let answers = args.reading.answers(&args.files)?;
    let ledger = args.reading.ledger(&args.files, &answers)?;
    let labels = match args.human.is_empty() {
        true => None,
        false => {
            let progress = Progress::new();
            let watch = |event| progress.watch(event);
            let people = Ledger::read_repeated(&args.human, &answers, &watch)?;
            Some(HumanLabels::new(&people, &rule))
        }
    };
    let scored = score(&ledger, &answers, &rule, &args.length, labels.as_ref())?;
    show(&ledger, &scored, args.format)
}

/// What `spyhop score` prints of a directory of judgments, with nothing but its defaults.
pub(super) fn show_directory(directory: &Path, format: Format) -> anyhow::Result<()> {
    let reading = ReadingArgs::default();
    let (paths, length) = ([directory.to_owned()], LengthArgs::default());
    let answers = reading.answers(&paths)?;
    let ledger = reading.ledger(&paths, &answers)?;
    let scored = score(&ledger, &answers, &reading.rule()?, &length, None)?;
    show(&ledger, &scored, format)
}

fn show(ledger: &Ledger, scored: &[Scored], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => print(&rows::as_table(scored))?,
        Format::Json => print_json(&scored.iter().map(rows::row).collect::<Vec<_>>())?,
        Format::Csv => print_csv(&scored.iter().map(rows::row).collect::<Vec<_>>())?,
    }
    notes(ledger);
    let mut remarks = Remarks::default();
    scored.iter().for_each(|one| rows::explain(one, &mut remarks));
    remarks.say();
    Ok(())
}

pub(super) fn score(
    ledger: &Ledger,
    answers: &Answers,
    rule: &Rule,
    length: &LengthArgs,
    labels: Option<&HumanLabels>,
) -> anyhow::Result<Vec<Scored>> {
    let published = length.published()?;
    let answered = |model: &str| Some(answers.count(model)).filter(|&count| count > 0);
    let scored = scoring::standings(ledger, rule, answered);
    let settings = Control { folds: length.lc_folds, seed: length.seed };
    let controlled = scoring::controls(&scored, &published, settings);
    let one = |(this, controlled): (scoring::Scored, _)| {
        let Contest { model, baseline, .. } = &this.standing.contest;
        let corrected =
            labels.map(|labels| scoring::corrected(model, baseline, &this.scores, labels));
        Scored { controlled, corrected, standing: this.standing }
    };
    Ok(scored.into_iter().zip(controlled).map(one).collect())
}
