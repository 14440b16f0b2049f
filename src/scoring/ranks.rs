//! All models of any number of contests on one scale.
use std::collections::HashMap;

use super::Rule;
use crate::{
    exchange::{Ledger, PromptKey},
    record::Order,
    stats::Estimate,
    stats::bradley_terry::{self, Game, Rank, Ranking, Setup, Ties, WEAK_PRIOR, elo},
};

/// The models by name, and what the games between them say.
#[derive(Clone, Debug)]
pub struct Ranked {
    pub models: Vec<String>,
    pub games: usize,
    /// Looks without a verdict, which no game was made of.
    pub missing: usize,
    pub ranking: Ranking,
}

/// Ranks everything that the ledger compares.
///
/// `None` with fewer than two prompts.
///
/// # Errors
/// When ties are to be an outcome of their own and a score is neither a win nor a tie nor a loss.
pub fn rank(
    ledger: &Ledger,
    rule: &Rule,
    ties: Ties,
    folds: usize,
    seed: u64,
) -> anyhow::Result<Option<Ranked>> {
    let mut models: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut player = |name: &str| {
        *places.entry(name.to_owned()).or_insert_with(|| {
            models.push(name.to_owned());
            models.len() - 1
        })
    };
    let players: Vec<(usize, usize)> = ledger
        .contests
        .iter()
        .map(|contest| (player(&contest.model), player(&contest.baseline)))
        .collect();
    let mut clusters: HashMap<PromptKey, usize> = HashMap::new();
    let (mut games, mut missing) = (Vec::new(), 0);
    // The prompts' own order makes the sums, and so every digit, independent of the files' order.
    let mut looks: Vec<_> = ledger.looks.iter().collect();
    looks.sort_by_key(|look| (look.conversation, look.prompt, look.contest, look.order));
    for look in looks {
        let Some(score) = look.score else {
            missing += 1;
            continue;
        };
        anyhow::ensure!(
            ties == Ties::Half || [0.0, 0.5, 1.0].contains(&score),
            "a preference of {score:.4} is neither a win nor a tie nor a loss: use --ties half"
        );
        let (model, baseline) = players[look.contest as usize];
        if model == baseline {
            continue;
        }
        let next = clusters.len();
        let cluster = *clusters.entry(look.conversation).or_insert(next);
        let baseline_first = look.order == Some(Order::BaselineFirst);
        let (first, second, score) = match baseline_first {
            true => (baseline, model, 1.0 - score),
            false => (model, baseline, score),
        };
        let ordered = baseline_first || look.order == Some(Order::CandidateFirst);
        let weight = if look.strong { rule.strong_weight } else { 1.0 };
        games.push(Game { first, second, score, ordered, weight, cluster });
    }
    let setup = Setup { players: models.len(), ties, prior_deviation: WEAK_PRIOR };
    let ranking = bradley_terry::ranking(&games, &setup, folds, seed);
    Ok(ranking.map(|ranking| Ranked { models, games: games.len(), missing, ranking }))
}

impl Ranked {
    /// Strength on Elo's scale, with its interval.
    pub fn elo(&self, player: usize) -> Estimate {
        let strength = self.ranking.strength(player).estimate;
        Estimate {
            point: elo(strength.point),
            lower: elo(strength.lower),
            upper: elo(strength.upper),
            n: strength.n,
        }
    }

    /// Players from the strongest down, component by component, the largest first.
    pub fn order(&self) -> Vec<(usize, Rank)> {
        let mut components: Vec<_> = self.ranking.components.iter().collect();
        components.sort_by_key(|component| std::cmp::Reverse(component.players.len()));
        let mut all = Vec::new();
        for component in components {
            let mut players: Vec<(usize, Rank)> = component
                .players
                .iter()
                .map(|&player| (player, self.ranking.rank(player)))
                .collect();
            players.sort_by(|(a, one), (b, other)| {
                (one.place, &self.models[*a]).cmp(&(other.place, &self.models[*b]))
            });
            all.extend(players);
        }
        all
    }
}
