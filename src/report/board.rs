//! `leaderboard.csv`: models as rows of AlpacaEval's leaderboard, which has one baseline and one judge.
use super::win_rates::{Comparison, WinRates};
use crate::{
    exchange::Contest,
    scoring::{Leaderboard, Position, Standing},
    stats,
};

/// The models that were compared with the recipe's first baseline; `None` until there is one.
pub(super) fn of_run(win_rates: &WinRates) -> anyhow::Result<Option<String>> {
    let Some(first) = win_rates.comparisons.first() else { return Ok(None) };
    let alike = win_rates.comparisons.iter().filter(|one| one.baseline == first.baseline);
    board(alike.map(|comparison| (comparison.candidate.clone(), standing(comparison)))).map(Some)
}

/// A row for each model, the best first.
pub(super) fn board(
    standings: impl IntoIterator<Item = (String, Standing)>,
) -> anyhow::Result<String> {
    let mut board = Leaderboard::new();
    for (model, standing) in standings {
        board.put(&model, &standing.cells("community"));
    }
    board.sort_by("win_rate")?;
    board.to_csv()
}

fn standing(comparison: &Comparison) -> Standing {
    let scores: Vec<f64> = comparison.scores.values().copied().collect();
    let Comparison { candidate, baseline, .. } = comparison;
    Standing {
        contest: Contest {
            judge: String::new(),
            model: candidate.clone(),
            baseline: baseline.clone(),
        },
        win_rate: comparison.win_rate,
        standard_error: stats::standard_error(&scores),
        wins: comparison.wins,
        losses: comparison.losses,
        ties: comparison.ties,
        total: scores.len(),
        missing: comparison.missing,
        bounds: None,
        average_length: comparison.candidate_characters.map(|length| length as u32),
        position: Position::Unknown,
    }
}
