//! Standings as text, JSON and CSV.
use super::{
    super::{board, csv as table_of, json as document, words},
    Group, Judged, all,
};

/// The standings as plain text for a terminal, with what is published beside them.
pub(in crate::report) fn table(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let judge = if group.judge.is_empty() { "" } else { ", judged by " };
        text.push_str(&format!("against {}{judge}{}\n", group.baseline, group.judge));
        let head = ["model", "n", "miss", "win %", "95%", "LC %", "SE", "published"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for row in &group.rows {
            let standing = row.standing();
            let percent = |share: f64| format!("{:.2}", 100.0 * share);
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            rows.push(vec![
                words::beginning(&standing.contest.model, 28),
                standing.total.to_string(),
                standing.missing.to_string(),
                or_none(standing.win_rate.map(|rate| percent(rate.point))),
                or_none(standing.win_rate.map(|rate| words::interval(&rate))),
                or_none(row.controlled.as_ref().ok().map(|one| percent(one.win_rate))),
                or_none(standing.standard_error.map(percent)),
                or_none(row.listed.map(|row| format!("{:.2}", row.win_rate))),
            ]);
        }
        text.push_str(&super::super::table::aligned(rows, 1));
    }
    text
}

/// The numbers for programs.
pub(in crate::report) fn json(groups: &[Group]) -> anyhow::Result<String> {
    let row = |(group, row): (&Group, &Judged)| {
        let standing = row.standing();
        let (controlled, reason) = match row.controlled {
            Ok(controlled) => (Some(controlled), None),
            Err(reason) => (None, Some(reason)),
        };
        serde_json::json!({
            "model": standing.contest.model,
            "baseline": group.baseline,
            "judge": group.judge,
            "win_rate": standing.win_rate,
            "standard_error": standing.standard_error,
            "wins": standing.wins,
            "ties": standing.ties,
            "losses": standing.losses,
            "missing": standing.missing,
            "average_length": standing.average_length,
            "at_equal_length": controlled.map(|controlled| serde_json::json!({
                "win_rate": controlled.win_rate,
                "standard_error": controlled.standard_error,
                "interval": controlled.interval,
                "method": controlled.method.to_string(),
            })),
            "not_at_equal_length": reason,
            "published": row.listed.map(|row| serde_json::json!({
                "win_rate": row.win_rate / 100.0,
                "standard_error": row.standard_error / 100.0,
                "n": row.n,
                "source": row.source,
            })),
        })
    };
    let standings: Vec<_> = all(groups).map(row).collect();
    document::pretty(&serde_json::json!({ "schema": "spyhop standings 1", "standings": standings }))
}

/// A leaderboard for each judge and baseline, by file name.
pub(in crate::report) fn leaderboards(groups: &[Group]) -> anyhow::Result<Vec<(String, String)>> {
    let board = |(number, group): (usize, &Group)| {
        let name = match groups.len() {
            1 => "leaderboard.csv".to_owned(),
            _ => format!("leaderboard_{}.csv", number + 1),
        };
        let rows = group
            .rows
            .iter()
            .map(|row| (row.standing().contest.model.clone(), row.standing().clone()));
        Ok((name, board::board(rows)?))
    };
    groups.iter().enumerate().map(board).collect()
}

/// The win rates, one row a model.
pub(in crate::report) fn csv(groups: &[Group]) -> anyhow::Result<String> {
    let head = [
        "model",
        "baseline",
        "judge",
        "n",
        "missing",
        "win_rate",
        "lower",
        "upper",
        "standard_error",
        "at_equal_length",
        "at_equal_length_lower",
        "at_equal_length_upper",
        "at_equal_length_method",
        "wins",
        "ties",
        "losses",
        "published_win_rate",
        "published_n",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (group, row) in all(groups) {
        let (standing, listed) = (row.standing(), row.listed);
        let controlled = row.controlled.as_ref().ok();
        let interval = controlled.and_then(|controlled| controlled.interval);
        let rate = standing.win_rate;
        rows.push(vec![
            standing.contest.model.clone(),
            group.baseline.to_owned(),
            group.judge.to_owned(),
            standing.total.to_string(),
            standing.missing.to_string(),
            table_of::number(rate.map(|rate| rate.point)),
            table_of::number(rate.map(|rate| rate.lower)),
            table_of::number(rate.map(|rate| rate.upper)),
            table_of::number(standing.standard_error),
            table_of::number(controlled.map(|controlled| controlled.win_rate)),
            table_of::number(interval.map(|interval| interval.lower)),
            table_of::number(interval.map(|interval| interval.upper)),
            controlled.map_or_else(String::new, |controlled| controlled.method.to_string()),
            standing.wins.to_string(),
            standing.ties.to_string(),
            standing.losses.to_string(),
            table_of::number(listed.map(|row| row.win_rate / 100.0)),
            listed.map_or_else(String::new, |row| row.n.to_string()),
        ]);
    }
    table_of::text(rows)
}
