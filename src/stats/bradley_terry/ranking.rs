//! What strengths and the folds of their bootstrap say: intervals, ranks and expected win rates.
use super::{Component, Strengths};
use crate::stats::{Estimate, bootstrap::quantile};

/// All players on one scale, with what is needed to say how sure that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    pub strengths: Strengths,
    /// Cluster-robust, by a formula that does not use the folds: each checks the other.
    pub standard_errors: Strengths,
    /// The strengths, had the prior's deviation been ten times larger.
    pub under_weaker_prior: Strengths,
    /// Strengths found again, each time with the clusters of one fold of the bootstrap.
    pub folds: Vec<Strengths>,
    /// Clusters with a game.
    pub clusters: usize,
    pub clusters_of_players: Vec<usize>,
    /// Where there is more than one, strengths and ranks compare within each only.
    pub components: Vec<Component>,
}

/// A parameter of the model, in log-odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// See [`Ranking::estimate`].
    pub estimate: Estimate,
    pub standard_error: f64,
    /// Whether the data bound it. If not, its size and its interval are the prior's word: folds of
    /// nothing but wins see nothing but wins.
    pub bounded: bool,
}

/// A player's place within its component, from 1 for the strongest.
#[derive(Clone, Debug, PartialEq)]
pub struct Rank {
    pub place: usize,
    /// Between these two places, inclusive, lie at least 95% of the folds.
    pub best: usize,
    pub worst: usize,
    /// Share of the folds in which the player has place 1, 2, ... of its component.
    pub shares: Vec<f64>,
}

/// A strength on Elo's scale: 400 points are odds of ten to one, 1000 is the mean of a component.
pub fn elo(strength: f64) -> f64 {
    400.0 / std::f64::consts::LN_10 * strength + 1000.0
}

impl Ranking {
    /// Any number made of strengths, such as a difference of two, with its 95% interval: the 2.5%
    /// and 97.5% points of the folds (percentile bootstrap, numpy's default interpolation).
    pub fn estimate(&self, number: impl Fn(&Strengths) -> f64) -> Estimate {
        let mut folds: Vec<f64> = self.folds.iter().map(&number).collect();
        folds.sort_by(f64::total_cmp);
        Estimate {
            point: number(&self.strengths),
            lower: quantile(&folds, 0.025),
            upper: quantile(&folds, 0.975),
            n: self.clusters,
        }
    }

    /// A player's strength; `n` is the number of clusters in which it has a game.
    pub fn strength(&self, player: usize) -> Parameter {
        let estimate = self.estimate(|strengths| strengths.players[player]);
        Parameter {
            estimate: Estimate { n: self.clusters_of_players[player], ..estimate },
            standard_error: self.standard_errors.players[player],
            bounded: self.component(player).bounds(player),
        }
    }

    /// The advantage of being shown first: see [`Strengths::order`].
    pub fn order(&self) -> Option<Parameter> {
        self.parameter(|strengths| strengths.order)
    }

    /// The logarithm of Davidson's nu: see [`Strengths::tie`].
    pub fn tie(&self) -> Option<Parameter> {
        self.parameter(|strengths| strengths.tie)
    }

    /// Without data to bound it, a parameter moves by about ln 100 when the prior is made ten times
    /// wider; with data it hardly moves. A step of 1 tells them apart; it is ours.
    fn parameter(&self, read: fn(&Strengths) -> Option<f64>) -> Option<Parameter> {
        let (point, freer) = (read(&self.strengths)?, read(&self.under_weaker_prior)?);
        Some(Parameter {
            estimate: self.estimate(|strengths| read(strengths).unwrap_or(point)),
            standard_error: read(&self.standard_errors)?,
            bounded: (freer - point).abs() < 1.0,
        })
    }

    /// A player's place in its component, in all data and in the folds.
    pub fn rank(&self, player: usize) -> Rank {
        let field = &self.component(player).players;
        let place = |strengths: &Strengths| {
            // Players with the same games differ by rounding, and share a place.
            let own = strengths.players[player] + 1e-9;
            1 + field.iter().filter(|&&other| strengths.players[other] > own).count()
        };
        let mut counts = vec![0_usize; field.len()];
        self.folds.iter().for_each(|fold| counts[place(fold) - 1] += 1);
        let folds = self.folds.len() as f64;
        // Places passed from one end before more than 2.5% of the folds are.
        let passed = |counts: &mut dyn Iterator<Item = &usize>| {
            let mut sum = 0;
            counts
                .take_while(|&&count| {
                    sum += count;
                    sum as f64 <= 0.025 * folds
                })
                .count()
        };
        Rank {
            place: place(&self.strengths),
            best: 1 + passed(&mut counts.iter()),
            worst: field.len() - passed(&mut counts.iter().rev()),
            shares: counts.iter().map(|&count| count as f64 / folds).collect(),
        }
    }

    /// Expected score of `player` against `anchor`: see [`Strengths::win_rate`]. `None` where they
    /// belong to different components, or are the same.
    pub fn win_rate(&self, player: usize, anchor: usize) -> Option<Estimate> {
        let comparable = player != anchor && self.component(player).players.contains(&anchor);
        comparable.then(|| self.estimate(|strengths| strengths.win_rate(player, anchor)))
    }

    /// Mean of the expected scores against every other player of the component, each counting the
    /// same, however often they met. `None` for a player that met nobody.
    pub fn mean_win_rate(&self, player: usize) -> Option<Estimate> {
        let others = self.component(player).players.iter().filter(|&&other| other != player);
        let others: Vec<usize> = others.copied().collect();
        let mean = |strengths: &Strengths| {
            let rates = others.iter().map(|&other| strengths.win_rate(player, other));
            rates.sum::<f64>() / others.len() as f64
        };
        (!others.is_empty()).then(|| self.estimate(mean))
    }

    fn component(&self, player: usize) -> &Component {
        let component =
            self.components.iter().find(|component| component.players.contains(&player));
        component.expect("every player belongs to a component")
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{
        super::{
            Game, ranking,
            tests::{close, game, weak},
        },
        *,
    };

    #[test]
    fn elo_and_expected_scores() {
        assert_eq!(elo(0.0), 1000.0);
        close(&[elo(10.0_f64.ln())], &[1400.0], 1e-9);
        let three = |tie| Strengths { players: vec![3.0_f64.ln(), 0.0], order: Some(9.0), tie };
        close(&[three(None).win_rate(0, 1), three(None).win_rate(1, 0)], &[0.75, 0.25], 1e-12);
        // nu = 1: 3^(1/2) : 1 : 3^(-1/2), of which the tie goes halves.
        let root = 3.0_f64.sqrt();
        close(
            &[three(Some(0.0)).win_rate(0, 1)],
            &[(root + 0.5) / (root + 1.0 + 1.0 / root)],
            1e-12,
        );
    }

    /// Strengths of four players and the advantage of being shown first.
    const TRUTH: [f64; 5] = [0.8, 0.2, -0.3, -0.7, 0.5];

    /// One draw decides all eight games of a cluster, which are as dependent as can be.
    fn simulated(clusters: usize, random: &mut ChaCha8Rng) -> Vec<Game> {
        let mut games = Vec::new();
        for cluster in 0..clusters {
            let draw: f64 = random.random();
            for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
                let a_wins = |order: f64| {
                    let advantage: f64 = TRUTH[a] - TRUTH[b] + order;
                    f64::from(u8::from(draw < 1.0 / (1.0 + (-advantage).exp())))
                };
                games.push(game(a, b, a_wins(TRUTH[4]), cluster));
                games.push(game(b, a, 1.0 - a_wins(-TRUTH[4]), cluster));
            }
        }
        games
    }

    fn parameters(ranking: &Ranking) -> Vec<Parameter> {
        (0..4).map(|player| ranking.strength(player)).chain(ranking.order()).collect()
    }

    #[test]
    fn the_standard_error_covers_about_ninety_five_percent() {
        let mut random = ChaCha8Rng::seed_from_u64(1957);
        let mut held = [0; 5];
        for _ in 0..600 {
            let found = ranking(&simulated(48, &mut random), &weak(4), 1, 0).unwrap();
            for (index, parameter) in parameters(&found).iter().enumerate() {
                let error = (parameter.estimate.point - TRUTH[index]).abs();
                held[index] += i32::from(error <= 1.96 * parameter.standard_error);
            }
        }
        let shares = held.map(|held| f64::from(held) / 600.0);
        assert!(shares.iter().all(|share| (0.925..=0.975).contains(share)), "{shares:?}");
    }

    // import numpy as np; np.quantile(np.arange(50)**2 / 100, [.025, .975])  # 0.01675, 22.82625
    #[test]
    fn intervals_are_the_quantiles_of_numpy() {
        let mut found =
            ranking(&simulated(9, &mut ChaCha8Rng::seed_from_u64(2)), &weak(4), 1, 0).unwrap();
        let fold = |k: usize| Strengths {
            players: vec![(k * k) as f64 / 100.0, 1.0, 2.0, 30.0],
            ..found.strengths.clone()
        };
        found.folds = (0..50).rev().map(fold).collect();
        let estimate = found.strength(0).estimate;
        close(&[estimate.lower, estimate.upper], &[0.01675, 22.82625], 1e-12);
        // Of the folds, 10 are below the 1 of player 1, and 5 more below the 2 of player 2.
        assert_eq!(found.rank(0).shares, [0.0, 0.7, 0.1, 0.2]);
        assert_eq!((found.rank(0).best, found.rank(0).worst), (2, 4));
    }

    #[test]
    fn bootstrap_and_sandwich_agree_and_exceed_the_naive_error() {
        let games = simulated(150, &mut ChaCha8Rng::seed_from_u64(1986));
        let found = ranking(&games, &weak(4), 400, 7).unwrap();
        for parameter in parameters(&found) {
            let width = parameter.estimate.upper - parameter.estimate.lower;
            let ratio = width / (2.0 * 1.96 * parameter.standard_error);
            assert!((0.85..1.15).contains(&ratio), "{ratio}: {parameter:?}");
            assert!(parameter.estimate.includes(parameter.estimate.point));
        }
        // As if every game were a prompt of its own. The draw of a cluster favours all that is named
        // first above: player 0 always, player 3 never.
        let apart = |(cluster, game): (usize, &Game)| Game { cluster, ..*game };
        let apart: Vec<Game> = games.iter().enumerate().map(apart).collect();
        let naive = ranking(&apart, &weak(4), 1, 7).unwrap();
        for player in [0, 3] {
            let ratio =
                found.standard_errors.players[player] / naive.standard_errors.players[player];
            assert!(ratio > 1.1, "{ratio}");
        }
        let ranks: Vec<Rank> = (0..4).map(|player| found.rank(player)).collect();
        assert_eq!(ranks.iter().map(|rank| rank.place).collect::<Vec<_>>(), [1, 2, 3, 4]);
        for rank in &ranks {
            assert!(rank.best <= rank.place && rank.place <= rank.worst);
            close(&[rank.shares.iter().sum()], &[1.0], 1e-12);
            let held: f64 = rank.shares[rank.best - 1..rank.worst].iter().sum();
            assert!(held >= 0.95, "{rank:?}");
        }
    }
}
