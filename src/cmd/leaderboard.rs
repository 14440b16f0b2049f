use std::path::PathBuf;

use clap::ValueEnum;
use spyhop::{
    scoring::{Leaderboard, Method},
    store::write_atomic,
};

use super::{
    judgments::ReadingArgs,
    output::table,
    print, say,
    score::{LengthArgs, Scored, score},
};

/// Put models among those of a published leaderboard
///
/// Scores the judgments as `spyhop score` does and writes a CSV file with AlpacaEval's column names,
/// which its tools read. With --published, the rows of a leaderboard of AlpacaEval stand beside the
/// new ones, to the digit. The table on stdout shows the new rows with their neighbours.
#[derive(clap::Args)]
#[command(after_help = "Example:
  spyhop leaderboard annotations.json --published alpaca_eval_gpt4_leaderboard.csv --out leaderboard.csv")]
pub(crate) struct LeaderboardArgs {
    /// Files of judgments, or directories of runs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the leaderboard goes; it may be the file of --published
    #[arg(long, value_name = "CSV")]
    out: PathBuf,
    /// A leaderboard to join: same eval set, same baseline, same judge
    #[arg(long, value_name = "CSV")]
    published: Option<PathBuf>,
    /// The column that ranks, highest first, such as length_controlled_winrate
    #[arg(long, value_name = "COLUMN", default_value = "win_rate")]
    sort_by: String,
    /// AlpacaEval's word for where a row comes from
    #[arg(long, value_enum, default_value = "community")]
    mode: Mode,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    length: LengthArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Minimal,
    Verified,
    Community,
    Dev,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Verified => "verified",
            Self::Community => "community",
            Self::Dev => "dev",
        }
    }
}

pub(crate) fn run(args: &LeaderboardArgs) -> anyhow::Result<()> {
    let rule = args.reading.rule()?;
    let mut board = match &args.published {
        Some(path) => Leaderboard::read(path)?,
        None => Leaderboard::new(),
    };
    let answers = args.reading.answers(&args.files)?;
    let ledger = args.reading.ledger(&args.files, &answers)?;
    let scored = score(&ledger, &answers, &rule, &args.length, None)?;
    for (place, one) in scored.iter().enumerate() {
        let contest = &one.standing.contest;
        let twin = scored[..place]
            .iter()
            .find(|other| other.standing.contest.model == contest.model)
            .map(|other| &other.standing.contest);
        if let Some(twin) = twin {
            anyhow::bail!(
                "{} has more than one win rate, against {} by {:?} and against {} by {:?}: a leaderboard has one baseline and one judge (--against, --judge)",
                contest.model,
                twin.baseline,
                twin.judge,
                contest.baseline,
                contest.judge
            );
        }
    }
    for one in &scored {
        let model = &one.standing.contest.model;
        if let Some(before) = board.put(model, &cells(one, args.mode)) {
            let rate = before.cells.first().map_or("", String::as_str);
            say(&format!("note: {model} was on the leaderboard, with {rate}; its row is replaced"));
        }
        match &one.controlled {
            Ok(controlled) if is_published(controlled.method) => {}
            _ => say(&format!(
                "note: {model}: length_controlled_winrate stays empty: AlpacaEval's is by its own regression (--lc-weights or --lc-gamed)"
            )),
        }
    }
    board.sort_by(&args.sort_by)?;
    let text = board.to_csv()?;
    // A bare file name has an empty parent, which is no directory to write to.
    write_atomic(&std::path::absolute(&args.out)?, text.as_bytes())?;
    print(&neighbours(&board, &args.sort_by))?;
    say(&format!("leaderboard: {}, {} models", args.out.display(), board.rows.len()));
    Ok(())
}

fn is_published(method: Method) -> bool {
    matches!(method, Method::Weights | Method::Published { .. })
}

fn cells(scored: &Scored, mode: Mode) -> Vec<(&'static str, String)> {
    let Scored { standing, controlled, .. } = scored;
    let percent =
        |share: Option<f64>| share.map_or(String::new(), |share| (100.0 * share).to_string());
    let controlled = controlled.as_ref().ok().filter(|one| is_published(one.method));
    let mut cells = standing.cells(mode.name());
    cells.extend([
        ("length_controlled_winrate", percent(controlled.map(|one| one.win_rate))),
        ("lc_standard_error", percent(controlled.and_then(|one| one.standard_error))),
    ]);
    cells
}

/// Rows above and below a new one that the table shows.
const NEIGHBOURS: usize = 3;

fn neighbours(board: &Leaderboard, sorted_by: &str) -> String {
    let own: Vec<usize> = (0..board.rows.len()).filter(|&place| board.rows[place].own).collect();
    let mut header = vec!["model".to_owned(), "rank".to_owned()];
    let mut columns = vec!["win_rate", "standard_error", "length_controlled_winrate", "avg_length"];
    if !columns.contains(&sorted_by) {
        columns.insert(0, sorted_by);
    }
    header.extend(columns.iter().map(|column| match *column {
        "win_rate" => "win %".to_owned(),
        "standard_error" => "SE".to_owned(),
        "length_controlled_winrate" => "LC %".to_owned(),
        "avg_length" => "chars".to_owned(),
        other => other.to_owned(),
    }));
    let mut rows = vec![header];
    let mut last = None;
    for (place, row) in board.rows.iter().enumerate() {
        if own.iter().all(|own| own.abs_diff(place) > NEIGHBOURS) {
            continue;
        }
        if last.is_some_and(|last: usize| last + 1 < place) {
            rows.push(vec!["...".to_owned()]);
        }
        last = Some(place);
        let mark = if row.own { "> " } else { "  " };
        let mut cells = vec![format!("{mark}{}", row.model), (place + 1).to_string()];
        cells.extend(columns.iter().map(|column| {
            let digits = if *column == "avg_length" { 0 } else { 2 };
            let number = board.number(row, column);
            number.map_or("-".to_owned(), |number| format!("{number:.digits$}"))
        }));
        rows.push(cells);
    }
    table(&rows)
}
