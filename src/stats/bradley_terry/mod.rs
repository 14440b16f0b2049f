//! Bradley-Terry strengths: one scale for all players, from any set of pairwise games.
//!
//! A player is whatever was compared, such as a model or an iteration; a game is one look of a judge
//! or the score of one prompt. The chance that the player shown first wins has the log-odds
//!
//! ```text
//! strength(first) - strength(second) + order        the last term only in games of known order
//! ```
//!
//! Bradley and Terry 1952 (Biometrika 39:324); the order term, Davidson and Beaver 1977 (Biometrics
//! 33:693). Games of one prompt are not independent, so all uncertainty is over clusters.
mod connected;
mod fit;
mod ranking;
mod tally;
#[cfg(test)]
mod tests;

pub use connected::Component;
pub use fit::Strengths;
pub use ranking::{Parameter, Rank, Ranking, elo};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fit::Likelihood;
use tally::tally;

/// One comparison of two players.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Game {
    /// The player shown first, as an index below [`Setup::players`].
    pub first: usize,
    pub second: usize,
    /// Score of `first` in [0, 1]: 1 a win, 0.5 a tie, 0 a loss; a preference in between under
    /// [`Ties::Half`] only.
    pub score: f64,
    /// Whether `first` was really shown first. Without, the order is unknown, or there is none, as
    /// with the mean of both orders; the order term then does not apply.
    pub ordered: bool,
    /// How many games this one counts for; 0 leaves it out.
    pub weight: f64,
    /// What is independent of one another: the prompt. Any number will do.
    pub cluster: usize,
}

/// What a tie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Half a win and half a loss, as any score s is s of a win and 1 - s of a loss.
    Half,
    /// An outcome of its own: with d the log-odds above, win, tie and loss are as likely as
    /// e^(d/2) : nu : e^(-d/2). Davidson 1970 (J. Am. Stat. Assoc. 65:317). With order, Davidson and
    /// Beaver 1977 put its whole effect on one player, so that their nu differs from this one by a
    /// constant factor; where all games are ordered the model is the same. A score must be 0, 0.5
    /// or 1: nothing says what part of a tie 0.7 is.
    Davidson,
}

/// What the strengths are of, and how they are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    pub players: usize,
    pub ties: Ties,
    /// Standard deviation of the normal prior about zero on all parameters, in log-odds, such as
    /// [`WEAK_PRIOR`]. It keeps strengths finite for players that never lost or never won. A large
    /// one, up to 1e4, leaves maximum likelihood.
    pub prior_deviation: f64,
}

/// A prior that hardly speaks where there are data: 5 is odds of 148 to 1, or 869 points of Elo.
///
/// It draws a player of n even games towards zero by about 16% / n, and puts one that won all of 48
/// games at odds of 200 to 400 to 1. The value is ours.
pub const WEAK_PRIOR: f64 = 5.0;

/// The most likely strengths, without any uncertainty. `None` without games.
///
/// # Panics
/// When a game names a player that does not exist or plays itself, when a score lies outside [0, 1]
/// or is not 0, 0.5 or 1 under [`Ties::Davidson`], when a weight is negative or not finite, and when
/// the prior's deviation is not above 0 and at most 1e4.
pub fn strengths(games: &[Game], setup: &Setup) -> Option<Strengths> {
    let tally = tally(games, setup);
    let likelihood = Likelihood::new(&tally, setup);
    let found = likelihood.maximum(&tally.totals(&tally.once()), &likelihood.origin());
    (tally.clusters > 0).then(|| likelihood.strengths(&found))
}

/// Strengths with all that their intervals need; `None` with fewer than two clusters.
///
/// Each of the `folds` of the bootstrap is of as many clusters as there are, drawn with replacement,
/// and starts from the strengths of all data: Efron and Tibshirani 1993, "An Introduction to the
/// Bootstrap", chapter 13. Take 1,000 folds or more. In a fold the prior holds a player that has no
/// game there, or wins all of them.
///
/// # Panics
/// As [`strengths`], and without folds.
pub fn ranking(games: &[Game], setup: &Setup, folds: usize, seed: u64) -> Option<Ranking> {
    assert!(folds > 0, "an interval needs folds");
    let tally = tally(games, setup);
    if tally.clusters < 2 {
        return None;
    }
    let likelihood = Likelihood::new(&tally, setup);
    let totals = tally.totals(&tally.once());
    let found = likelihood.maximum(&totals, &likelihood.origin());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let fold = |_| {
        let mut counts = vec![0.0; tally.clusters];
        (0..tally.clusters).for_each(|_| counts[random.random_range(0..tally.clusters)] += 1.0);
        likelihood.strengths(&likelihood.maximum(&tally.totals(&counts), &found))
    };
    let folds = (0..folds).map(fold).collect();
    let weaker = likelihood.with_weaker_prior();
    Some(Ranking {
        strengths: likelihood.strengths(&found),
        standard_errors: likelihood.standard_errors(&tally, &found),
        under_weaker_prior: weaker.strengths(&weaker.maximum(&totals, &found)),
        folds,
        clusters: tally.clusters,
        clusters_of_players: tally.clusters_of_players(setup.players),
        components: likelihood.components,
    })
}
