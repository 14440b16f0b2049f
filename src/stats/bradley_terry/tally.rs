//! Games added up: what the likelihood needs of them, by cluster, so that a fold is a weighted sum.
use super::{Game, Setup, Ties};

/// One pair of players in one order. Without a known order the smaller index comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) ordered: bool,
}

/// Weight of the games that the first player won, that were tied, and that it lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) won: f64,
    pub(super) tied: f64,
    pub(super) lost: f64,
}

/// The games of one cluster in one cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) cluster: usize,
    pub(super) cell: usize,
    pub(super) outcomes: Outcomes,
}

#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) cells: Vec<Cell>,
    pub(super) entries: Vec<Entry>,
    /// Clusters with a game; they are numbered from 0 here.
    pub(super) clusters: usize,
}

/// Sorts the games before it adds them, so that the order of the rows cannot move a last digit.
pub(super) fn tally(games: &[Game], setup: &Setup) -> Tally {
    let deviation = setup.prior_deviation;
    assert!(deviation > 0.0 && deviation <= 1e4, "the prior's deviation is {deviation}");
    let mut games: Vec<(usize, Cell, Outcomes)> = games
        .iter()
        .inspect(|game| check(game, setup))
        .filter(|game| game.weight > 0.0)
        .map(|game| (game.cluster, cell(game), outcomes(game, setup.ties)))
        .collect();
    games.sort_by(|(cluster_a, cell_a, a), (cluster_b, cell_b, b)| {
        (cluster_a, cell_a)
            .cmp(&(cluster_b, cell_b))
            .then(a.won.total_cmp(&b.won))
            .then(a.tied.total_cmp(&b.tied))
            .then(a.lost.total_cmp(&b.lost))
    });
    let mut cells: Vec<Cell> = games.iter().map(|&(_, cell, _)| cell).collect();
    cells.sort_unstable();
    cells.dedup();
    let mut clusters: Vec<usize> = games.iter().map(|&(cluster, _, _)| cluster).collect();
    clusters.dedup();
    let mut entries: Vec<Entry> = Vec::new();
    for (cluster, cell, outcomes) in games {
        let cluster = clusters.partition_point(|&other| other < cluster);
        let cell = cells.partition_point(|&other| other < cell);
        match entries.last_mut() {
            Some(last) if (last.cluster, last.cell) == (cluster, cell) => {
                last.outcomes = add(last.outcomes, outcomes, 1.0);
            }
            _ => entries.push(Entry { cluster, cell, outcomes }),
        }
    }
    Tally { cells, entries, clusters: clusters.len() }
}

impl Tally {
    /// Counts of the clusters of all data.
    pub(super) fn once(&self) -> Vec<f64> {
        vec![1.0; self.clusters]
    }

    /// What fell into each cell when the i-th cluster is counted `counts[i]` times.
    pub(super) fn totals(&self, counts: &[f64]) -> Vec<Outcomes> {
        let mut totals = vec![Outcomes::default(); self.cells.len()];
        for entry in &self.entries {
            totals[entry.cell] = add(totals[entry.cell], entry.outcomes, counts[entry.cluster]);
        }
        totals
    }

    /// The number of clusters in which each player has a game.
    pub(super) fn clusters_of_players(&self, players: usize) -> Vec<usize> {
        let mut last = vec![None; players];
        let mut clusters = vec![0; players];
        for entry in &self.entries {
            let cell = self.cells[entry.cell];
            for player in [cell.first, cell.second] {
                if last[player].replace(entry.cluster) != Some(entry.cluster) {
                    clusters[player] += 1;
                }
            }
        }
        clusters
    }
}

fn add(sum: Outcomes, more: Outcomes, times: f64) -> Outcomes {
    Outcomes {
        won: sum.won + times * more.won,
        tied: sum.tied + times * more.tied,
        lost: sum.lost + times * more.lost,
    }
}

fn check(game: &Game, setup: &Setup) {
    assert!(game.first != game.second, "player {} plays itself", game.first);
    assert!(game.first.max(game.second) < setup.players, "{} players: {game:?}", setup.players);
    assert!((0.0..=1.0).contains(&game.score), "a score lies in [0, 1]: {game:?}");
    assert!(game.weight >= 0.0 && game.weight.is_finite(), "a weight is not negative: {game:?}");
    let whole = [0.0, 0.5, 1.0].contains(&game.score);
    assert!(setup.ties == Ties::Half || whole, "Davidson's model takes 0, 0.5 and 1: {game:?}");
}

fn cell(game: &Game) -> Cell {
    let &Game { first, second, ordered, .. } = game;
    match ordered || first < second {
        true => Cell { first, second, ordered },
        false => Cell { first: second, second: first, ordered },
    }
}

fn outcomes(game: &Game, ties: Ties) -> Outcomes {
    let score = if cell(game).first == game.first { game.score } else { 1.0 - game.score };
    match ties {
        Ties::Davidson if score == 0.5 => Outcomes { won: 0.0, tied: game.weight, lost: 0.0 },
        _ => Outcomes { won: game.weight * score, tied: 0.0, lost: game.weight * (1.0 - score) },
    }
}
