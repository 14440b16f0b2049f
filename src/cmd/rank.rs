use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use spyhop::{
    scoring::{self, Ranked},
    stats::{Estimate, bradley_terry},
};

use super::{
    judgments::{ReadingArgs, notes},
    output::{Format, Row, interval, percent, print_csv, print_json, table},
    print, say,
};

/// Put all models of any judgments on one scale (Bradley-Terry)
///
/// Any pairs will do: all against one baseline, all against all, votes. A strength is the log-odds of
/// winning; Elo is the same on another scale, with 1000 for the mean and 400 points for odds of ten to
/// one. Intervals are from a bootstrap over prompts, so that both orders of a prompt count once.
#[derive(clap::Args)]
#[command(after_help = "Example:
  spyhop rank gpt-4_pair.jsonl --format csv > ranks.csv")]
pub(crate) struct RankArgs {
    /// Files of judgments, or directories of runs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// What a tie is
    #[arg(long, value_enum, default_value = "half")]
    ties: Ties,
    /// Folds of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    folds: usize,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ties {
    /// Half a win
    Half,
    /// An outcome of its own, the likelier the closer two models are (Davidson)
    Davidson,
}

pub(crate) fn run(args: &RankArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.folds >= 100, "--folds {}: an interval takes 100 or more", args.folds);
    let rule = args.reading.rule()?;
    let answers = args.reading.answers(&args.files)?;
    let ledger = args.reading.ledger(&args.files, &answers)?;
    notes(&ledger);
    let ties = match args.ties {
        Ties::Half => bradley_terry::Ties::Half,
        Ties::Davidson => bradley_terry::Ties::Davidson,
    };
    let Some(ranked) = scoring::rank(&ledger, &rule, ties, args.folds, args.seed)? else {
        anyhow::bail!("a ranking takes verdicts on two prompts or more");
    };
    match args.format {
        Format::Table => print(&as_table(&ranked))?,
        Format::Json => print_json(&rows(&ranked))?,
        Format::Csv => print_csv(&rows(&ranked))?,
    }
    explain(&ranked);
    Ok(())
}

fn as_table(ranked: &Ranked) -> String {
    let header = ["model", "rank", "95%", "Elo", "95%", "win %", "95%", "n"];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    for (player, rank) in ranked.order() {
        let strength = ranked.ranking.strength(player);
        let elo = ranked.elo(player);
        let win_rate = ranked.ranking.mean_win_rate(player);
        let unbounded = if strength.bounded { "" } else { "*" };
        lines.push(vec![
            format!("{}{unbounded}", ranked.models[player]),
            rank.place.to_string(),
            format!("{}-{}", rank.best, rank.worst),
            format!("{:.0}", elo.point),
            format!("[{:.0}, {:.0}]", elo.lower, elo.upper),
            percent(win_rate.map(|estimate| estimate.point)),
            win_rate.map_or("-".to_owned(), |one| interval(one.lower, one.upper)),
            elo.n.to_string(),
        ]);
    }
    table(&lines)
}

fn rows(ranked: &Ranked) -> Vec<Row> {
    let component = |player: usize| {
        let components = &ranked.ranking.components;
        components.iter().position(|component| component.players.contains(&player))
    };
    let row = |(player, rank): (usize, bradley_terry::Rank)| -> Row {
        let strength = ranked.ranking.strength(player);
        let elo = ranked.elo(player);
        let win_rate = ranked.ranking.mean_win_rate(player);
        let hundred = |end: fn(Estimate) -> f64| win_rate.map(|estimate| 100.0 * end(estimate));
        vec![
            ("model", json!(ranked.models[player])),
            ("rank", json!(rank.place)),
            ("rank_best", json!(rank.best)),
            ("rank_worst", json!(rank.worst)),
            ("strength", json!(strength.estimate.point)),
            ("strength_low", json!(strength.estimate.lower)),
            ("strength_high", json!(strength.estimate.upper)),
            ("standard_error", json!(strength.standard_error)),
            ("bounded_by_data", json!(strength.bounded)),
            ("elo", json!(elo.point)),
            ("elo_low", json!(elo.lower)),
            ("elo_high", json!(elo.upper)),
            ("mean_win_rate", json!(hundred(|estimate| estimate.point))),
            ("mean_win_rate_low", json!(hundred(|estimate| estimate.lower))),
            ("mean_win_rate_high", json!(hundred(|estimate| estimate.upper))),
            ("n", json!(elo.n)),
            ("component", json!(component(player).map(|place| place + 1))),
        ]
    };
    ranked.order().into_iter().map(row).collect()
}

fn explain(ranked: &Ranked) {
    let ranking = &ranked.ranking;
    say(&format!("{} verdicts on {} prompts", ranked.games, ranking.clusters));
    if ranked.missing > 0 {
        say(&format!("note: {} looks have no verdict and count nowhere", ranked.missing));
    }
    match ranking.order() {
        Some(order) => {
            let Estimate { point, lower, upper, .. } = order.estimate;
            let prior = if order.bounded { "" } else { "; the data do not bound it" };
            say(&format!(
                "shown first: {point:+.2} [{lower:+.2}, {upper:+.2}] in log-odds, {:.1}% of games between equals{prior}",
                100.0 / (1.0 + (-point).exp())
            ));
        }
        None => {
            say("note: no order term: the order is not known, or cannot be told from the strengths")
        }
    }
    let names = |players: &[usize]| {
        players.iter().map(|&player| ranked.models[player].as_str()).collect::<Vec<_>>().join(", ")
    };
    if ranking.components.len() > 1 {
        say(&format!(
            "note: {} groups of models that nobody compared with one another; ranks and strengths hold within a group only:",
            ranking.components.len()
        ));
        for component in &ranking.components {
            say(&format!("  {}", names(&component.players)));
        }
    }
    for component in ranking.components.iter().filter(|component| component.groups.len() > 1) {
        let groups: Vec<String> = component.groups.iter().map(|group| names(group)).collect();
        say(&format!(
            "note: * the data alone put no limit on a strength: from the top, {} never lost to or tied with who stands behind; how far apart they are is the prior's word",
            groups.join(" | ")
        ));
    }
}
