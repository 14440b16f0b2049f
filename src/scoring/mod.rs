//! Judgments to numbers: win rates, differences and ranks, from looks of any origin.
//!
//! One number a prompt first, then `stats`. Knows no file format but a leaderboard's, and no page.
mod length;
mod comparison;
mod ranks;
#[cfg(test)]
mod tests;
mod human;
mod leaderboard;
mod published;

use std::collections::BTreeMap;

pub use comparison::{Against, Difference, Part, compare};
pub use human::{CorrectedRate, HumanLabels, corrected};
pub use leaderboard::{Leaderboard, Row};
pub use length::{Control, Controlled, Method, control, controls};
pub use published::{Difficulty, Published, difficulty, gamed, weights};
pub use ranks::{Ranked, rank};

use crate::{
    exchange::{Contest, Judged, Ledger, PromptKey},
    record::Order,
    stats::{self, BothOrders, Bounds, Estimate, OneOrder},
};

/// How the looks at a prompt become its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Whether a win has to be seen in both orders, and everything else is a tie, as FastChat counts.
    /// Otherwise the score is the mean over the looks.
    pub consistent: bool,
    /// How often a "significantly better" of Arena-Hard counts. Arena-Hard itself says 3.
    pub strong_weight: f64,
}

/// One prompt of a contest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptScore {
    pub prompt: PromptKey,
    /// The conversation that it is a turn of: what is independent of the others.
    pub conversation: PromptKey,
    pub dataset: u32,
    /// The row's place in its file, from 0.
    pub row: u32,
    /// In [0, 1]; `None` if any of the looks has no verdict: one order alone would carry the judge's
    /// preference for a place into the score.
    pub score: Option<f64>,
    /// The lowest and the highest score that the prompt could have.
    pub reach: (f64, f64),
    /// What the prompt counts: the mean weight of its looks, which is 1 but for strong ones.
    pub weight: f64,
    pub model_characters: Option<u32>,
    pub baseline_characters: Option<u32>,
}

/// The prompts of a contest, in an order that follows from the prompts alone.
pub fn prompt_scores(ledger: &Ledger, contest: u32, rule: &Rule) -> Vec<PromptScore> {
    let both = both_orders_are_the_rule(ledger, contest);
    let score = |looks: &[Judged]| prompt_score(looks, rule, both && !has_both_orders(looks));
    ledger.cells(contest).map(score).collect()
}

/// Whether a prompt was seen in both orders, or no order matters.
fn has_both_orders(looks: &[Judged]) -> bool {
    let seen = |order| looks.iter().any(|look| look.order == Some(order));
    seen(Order::CandidateFirst) == seen(Order::BaselineFirst)
}

/// Whether most prompts that were seen in an order were seen in both: then one that was seen in one is
/// incomplete, be it that a call failed or that the file was cut.
fn both_orders_are_the_rule(ledger: &Ledger, contest: u32) -> bool {
    let ordered = |looks: &&[Judged]| {
        looks.iter().any(|look| !matches!(look.order, None | Some(Order::OrderFree)))
    };
    let (both, one): (Vec<&[Judged]>, Vec<&[Judged]>) =
        ledger.cells(contest).filter(ordered).partition(|looks| has_both_orders(looks));
    both.len() > one.len()
}

/// `half`: whether one of two orders is missing.
fn prompt_score(looks: &[Judged], rule: &Rule, half: bool) -> PromptScore {
    let weight = |strong: bool| if strong { rule.strong_weight } else { 1.0 };
    let absent = if half { 1.0 } else { 0.0 };
    let weights: f64 = absent + looks.iter().map(|look| weight(look.strong)).sum::<f64>();
    let combined = |missing: f64| {
        let scores = looks.iter().map(|look| (look.score.unwrap_or(missing), look.strong));
        if rule.consistent && (half || looks.len() > 1) {
            let all = |holds: fn(f64) -> bool| {
                scores.clone().all(|(score, _)| holds(score)) && (!half || holds(missing))
            };
            return match (all(|score| score > 0.5), all(|score| score < 0.5)) {
                (true, _) => 1.0,
                (_, true) => 0.0,
                _ => 0.5,
            };
        }
        let known: f64 = scores.map(|(score, strong)| weight(strong) * score).sum();
        (known + absent * missing) / weights
    };
    let complete = !half && looks.iter().all(|look| look.score.is_some());
    let first = &looks[0];
    PromptScore {
        prompt: first.prompt,
        conversation: first.conversation,
        dataset: first.dataset,
        row: first.row,
        score: complete.then(|| combined(0.0)),
        reach: (combined(0.0), combined(1.0)),
        weight: weights / (looks.len() as f64 + absent),
        model_characters: first.model_characters,
        baseline_characters: first.baseline_characters,
    }
}

/// How a model did against a baseline, in the eyes of one judge. Shares are in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub contest: Contest,
    /// Mean score over the prompts that have one, with its 95% interval; `None` if none has.
    pub win_rate: Option<Estimate>,
    /// AlpacaEval's: s / √n; cluster-robust where prompts are turns of a conversation or count
    /// differently.
    pub standard_error: Option<f64>,
    /// Prompts with a score above, below and at 1/2.
    pub wins: usize,
    pub losses: usize,
    pub ties: usize,
    /// Prompts with a score.
    pub total: usize,
    /// Prompts without one.
    pub missing: usize,
    /// With every missing verdict lost, and won.
    pub bounds: Option<Bounds>,
    /// Mean length of the model's answers in code points, cut to a whole number as AlpacaEval does;
    /// `None` if that of one is not known.
    pub average_length: Option<u32>,
    pub position: Position,
}

/// What the order of the two answers does to the judge.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Every prompt was seen in both orders.
    Both(BothOrders),
    /// Every prompt was seen in one, chosen by chance.
    One(OneOrder),
    Unknown,
}

impl Standing {
    /// (wins + ties / 2) / n: AlpacaEval's, in which a preference is a win however slight.
    pub fn discrete_win_rate(&self) -> Option<f64> {
        let won = self.wins as f64 + self.ties as f64 / 2.0;
        (self.total > 0).then(|| won / self.total as f64)
    }

    /// The cells of a leaderboard's row, by column; `mode` is AlpacaEval's word for where it comes from.
    pub fn cells(&self, mode: &str) -> Vec<(&'static str, String)> {
        let percent =
            |share: Option<f64>| share.map_or(String::new(), |share| (100.0 * share).to_string());
        vec![
            ("win_rate", percent(self.win_rate.map(|estimate| estimate.point))),
            ("standard_error", percent(self.standard_error)),
            ("n_wins", self.wins.to_string()),
            ("n_wins_base", self.losses.to_string()),
            ("n_draws", self.ties.to_string()),
            ("n_total", self.total.to_string()),
            ("discrete_win_rate", percent(self.discrete_win_rate())),
            ("mode", mode.to_owned()),
            ("avg_length", self.average_length.map_or(String::new(), |length| length.to_string())),
        ]
    }
}

/// A contest with its prompts.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Index into [`Ledger::contests`].
    pub contest: u32,
    pub scores: Vec<PromptScore>,
    pub standing: Standing,
}

/// Every contest with at least one row, in the order in which the files bring them.
///
/// `answered` says how many prompts a model answered, where that is known: those without any row are
/// missing too.
pub fn standings(
    ledger: &Ledger,
    rule: &Rule,
    answered: impl Fn(&str) -> Option<usize>,
) -> Vec<Scored> {
    let all = (0..ledger.contests.len() as u32).filter_map(|contest| {
        let scores = prompt_scores(ledger, contest, rule);
        if scores.is_empty() {
            return None;
        }
        let answered = answered(&ledger.contests[contest as usize].model);
        let unjudged = answered.map_or(0, |count| count.saturating_sub(scores.len()));
        let standing = standing(ledger, contest, &scores, unjudged);
        Some(Scored { contest, scores, standing })
    });
    all.collect()
}

fn standing(ledger: &Ledger, contest: u32, scores: &[PromptScore], unjudged: usize) -> Standing {
    let scored: Vec<&PromptScore> = scores.iter().filter(|prompt| prompt.score.is_some()).collect();
    let values: Vec<f64> = scored.iter().filter_map(|prompt| prompt.score).collect();
    let count = |holds: fn(f64) -> bool| values.iter().filter(|&&score| holds(score)).count();
    let (win_rate, standard_error) = estimate(&scored, &values);
    let open = std::iter::repeat_n((0.0, 1.0), unjudged);
    let (lowest, highest): (Vec<f64>, Vec<f64>) =
        scores.iter().map(|prompt| prompt.reach).chain(open).unzip();
    let lengths: Option<Vec<u64>> =
        scores.iter().map(|prompt| prompt.model_characters.map(u64::from)).collect();
    Standing {
        contest: ledger.contests[contest as usize].clone(),
        win_rate,
        standard_error,
        wins: count(|score| score > 0.5),
        losses: count(|score| score < 0.5),
        ties: count(|score| score == 0.5),
        total: values.len(),
        missing: scores.len() - values.len() + unjudged,
        bounds: stats::missing_bounds(&lowest, &highest),
        average_length: lengths
            .map(|lengths| (lengths.iter().sum::<u64>() / lengths.len() as u64) as u32),
        position: position(ledger, contest),
    }
}

/// The mean and its standard error: by prompt where prompts are independent and count the same, else
/// by conversation.
fn estimate(scored: &[&PromptScore], values: &[f64]) -> (Option<Estimate>, Option<f64>) {
    let mut conversations: BTreeMap<PromptKey, usize> = BTreeMap::new();
    let clusters: Vec<usize> = scored
        .iter()
        .map(|prompt| {
            let next = conversations.len();
            *conversations.entry(prompt.conversation).or_insert(next)
        })
        .collect();
    let alike = scored.windows(2).all(|pair| pair[0].weight == pair[1].weight);
    if alike && conversations.len() == scored.len() {
        return (stats::mean(values), stats::standard_error(values));
    }
    let weights: Vec<f64> = scored.iter().map(|prompt| prompt.weight).collect();
    match stats::clustered_mean(values, &weights, &clusters) {
        Some(clustered) => (clustered.estimate, clustered.standard_error),
        None => (None, None),
    }
}

fn position(ledger: &Ledger, contest: u32) -> Position {
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for looks in ledger.cells(contest) {
        let seen = |order| looks.iter().find(|look| look.order == Some(order))?.score;
        match (seen(Order::CandidateFirst), seen(Order::BaselineFirst)) {
            (Some(one), Some(other)) => pairs.push((one, other)),
            (Some(score), None) => first.push(score),
            (None, Some(score)) => second.push(score),
            (None, None) => {}
        }
    }
    if !pairs.is_empty() {
        let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        return stats::both_orders(&first, &second).map_or(Position::Unknown, Position::Both);
    }
    stats::one_order(&first, &second).map_or(Position::Unknown, Position::One)
}
