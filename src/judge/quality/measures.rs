//! Numbers from what people and a judge said of the same pairs. No files, no models.
use super::{
    HumanPair, Opinion, Side,
    readers::{longer, majority},
};
use crate::stats::{self, BothOrders, Estimate, Scale, VotedPair};

/// Lowest believable agreement with people below which a judge counts as weak.
///
/// Two people agree on 66% of such pairs (AlpacaEval's human annotators: 65.66%), so a judge that
/// may lie below 65% is not shown to do what one person would.
pub const WEAK_BELOW: f64 = 0.65;

/// A judge beside people. Intervals are at 95%, and their `n` counts pairs.
///
/// The majority of people is the label (the first answer, a tie, the second) that more of them gave
/// than any other. A pair is scored where all looks of the judge at it have a verdict, by their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    pub pairs: usize,
    /// Pairs with a human majority, and those of them on which it is for one of the answers.
    pub with_majority: usize,
    pub with_preference: usize,
    /// Pairs on which the judge has no verdict, or not on every look; they are in no other number.
    pub missing: usize,
    /// How often the judge sides with the majority, among the pairs on which that is for one of the
    /// answers; a tie, or two orders that contradict each other, is half right.
    pub agreement: Option<Estimate>,
    /// Two people or more a pair: how often one person sides with the majority of the others, likewise.
    pub ceiling: Option<Estimate>,
    /// How often the judge sides with those same majorities, each of which leaves one person out.
    pub beside_ceiling: Option<Estimate>,
    /// How often the answer with more characters is the one that the majority prefers.
    pub longer: Option<Estimate>,
    /// Share of pairs with a majority to which the judge gives its label, one of three.
    pub same_label: Option<Estimate>,
    /// Cohen's kappa of those labels.
    pub kappa: Option<Estimate>,
    /// Krippendorff's alpha of people among themselves, of three labels without an order.
    pub human_alpha: Option<Estimate>,
    /// AlpacaEval's measures: see [`stats::JudgeMeasures`].
    pub alpaca_agreement: Option<Estimate>,
    pub alpaca_bias: Option<Estimate>,
    /// Of the judge's looks at a pair among one another; several a pair only.
    pub alpaca_variance: Option<Estimate>,
    /// Of people among themselves; their bias is 0 by definition.
    pub alpaca_human_variance: Option<Estimate>,
    /// Of a judge that looked in both orders.
    pub orders: Option<BothOrders>,
    pub judge: Leanings,
    /// Of the majority.
    pub people: Leanings,
}

/// What the preferred answers have more of, among the pairs on which one is preferred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leanings {
    /// Where the lengths differ by more than 30 characters.
    pub longer: Option<Estimate>,
    /// Where one of the two has a list.
    pub lists: Option<Estimate>,
}

impl Quality {
    /// Whether the judge is not shown to agree with people as one of them would.
    pub fn is_weak(&self) -> bool {
        self.agreement.is_none_or(|agreement| agreement.lower < WEAK_BELOW)
    }
}

/// Measures the judge that said `opinions` of `pairs`, the i-th of the i-th.
///
/// The ceiling compares each vote with the majority of the other votes on its pair, where they have
/// one. A pair on which all agree counts there once a person, and one on which people differ less
/// often, so it compares with [`Quality::beside_ceiling`], which counts likewise, and not with
/// [`Quality::agreement`]. The intervals of the two are clustered by pair.
///
/// # Panics
/// When there is not one opinion a pair, or a score lies outside [0, 1].
pub fn quality(pairs: &[HumanPair], opinions: &[Opinion]) -> Quality {
    assert_eq!(pairs.len(), opinions.len(), "one opinion a pair");
    let scores: Vec<Option<f64>> = opinions.iter().map(Opinion::score).collect();
    let both = || pairs.iter().zip(scores.iter().copied());
    let agreement: Vec<f64> =
        both().filter_map(|(pair, score)| Some(towards(pair.preferred?, score?))).collect();
    let longest: Vec<f64> =
        pairs.iter().filter_map(|pair| Some(towards(pair.preferred?, longer(pair)))).collect();
    let labels: (Vec<usize>, Vec<usize>) = both()
        .filter_map(|(pair, score)| Some((label(score?), label(points(majority(&pair.votes)?)))))
        .unzip();
    let votes = |pair: &HumanPair| -> Vec<f64> {
        pair.votes.iter().map(|&vote| 2.0 - points(vote)).collect()
    };
    let voted = |judge: &dyn Fn(usize) -> Vec<f64>| -> Vec<VotedPair> {
        let voted = |(place, pair): (usize, &HumanPair)| VotedPair {
            judge: judge(place),
            gold: votes(pair),
            characters: [&pair.first, &pair.second].map(|answer| answer.chars().count()),
            lists: [&pair.first, &pair.second].map(|answer| stats::contains_list(answer)),
        };
        pairs.iter().enumerate().map(voted).collect()
    };
    let of = |judge: &dyn Fn(usize) -> Vec<f64>| stats::judge_measures(&voted(judge));
    let judge = of(&|place| scores[place].map(|score| 2.0 - score).into_iter().collect());
    let looks = of(&|place| match scores[place] {
        Some(_) => opinions[place].scores.iter().flatten().map(|score| 2.0 - score).collect(),
        None => Vec::new(),
    });
    let people = of(&|place| {
        majority(&pairs[place].votes).map(|vote| 2.0 - points(vote)).into_iter().collect()
    });
    let ratings: Vec<Vec<Option<f64>>> = pairs
        .iter()
        .map(|pair| pair.votes.iter().map(|&vote| Some(points(vote))).collect())
        .collect();
    Quality {
        pairs: pairs.len(),
        with_majority: pairs.iter().filter(|pair| majority(&pair.votes).is_some()).count(),
        with_preference: longest.len(),
        missing: scores.iter().filter(|score| score.is_none()).count(),
        agreement: stats::mean(&agreement),
        ceiling: against_the_others(pairs, |_, vote| Some(points(vote))),
        beside_ceiling: against_the_others(pairs, |place, _| scores[place]),
        longer: stats::mean(&longest),
        same_label: stats::raw_agreement(&labels.0, &labels.1),
        kappa: stats::cohens_kappa(&labels.0, &labels.1),
        human_alpha: stats::krippendorff_alpha(&ratings, Scale::Nominal, SEED),
        alpaca_agreement: judge.human_agreement,
        alpaca_bias: judge.bias,
        alpaca_variance: looks.variance,
        alpaca_human_variance: of(&|place| votes(&pairs[place])).variance,
        orders: orders(opinions),
        judge: Leanings { longer: judge.prefers_longer, lists: judge.prefers_lists },
        people: Leanings { longer: people.prefers_longer, lists: people.prefers_lists },
    }
}

/// Of the bootstrap behind alpha's interval, so that a repetition prints the same.
const SEED: u64 = 1;

/// The first answer's score by one label.
fn points(label: Option<Side>) -> f64 {
    match label {
        Some(Side::First) => 1.0,
        None => 0.5,
        Some(Side::Second) => 0.0,
    }
}

/// The label that a score of the first answer stands for: itself, a tie, or the other.
fn label(score: f64) -> usize {
    match score {
        first if first > 0.5 => 0,
        second if second < 0.5 => 2,
        _ => 1,
    }
}

/// What the first answer's score says for `preferred`.
pub(in crate::judge) fn towards(preferred: Side, score: f64) -> f64 {
    if preferred == Side::First { score } else { 1.0 - score }
}

/// How often somebody's score, of a pair's place and the vote that is left out, sides with the
/// majority of the other votes, where that is for one of the answers.
fn against_the_others(
    pairs: &[HumanPair],
    score: impl Fn(usize, Option<Side>) -> Option<f64>,
) -> Option<Estimate> {
    let (mut values, mut clusters, mut by_pair) = (Vec::new(), Vec::new(), Vec::new());
    for (place, pair) in pairs.iter().enumerate() {
        let before = values.len();
        for (left_out, &vote) in pair.votes.iter().enumerate() {
            let others = [&pair.votes[..left_out], &pair.votes[left_out + 1..]].concat();
            if let (Some(Some(preferred)), Some(score)) = (majority(&others), score(place, vote)) {
                values.push(towards(preferred, score));
                clusters.push(place);
            }
        }
        let here = &values[before..];
        by_pair.extend((!here.is_empty()).then(|| here.iter().sum::<f64>() / here.len() as f64));
    }
    let clustered = stats::clustered_mean(&values, &vec![1.0; values.len()], &clusters)?;
    match clustered.standard_error {
        Some(error) if error > 0.0 => clustered.estimate.map(|estimate| Estimate {
            lower: estimate.lower.max(0.0),
            upper: estimate.upper.min(1.0),
            ..estimate
        }),
        // All pairs say the same, which is not certainty.
        _ => stats::mean(&by_pair),
    }
}

fn orders(opinions: &[Opinion]) -> Option<BothOrders> {
    let looks = opinions.iter().filter(|opinion| opinion.both_orders);
    let looks = looks.filter_map(|opinion| match opinion.scores[..] {
        [Some(shown_first), Some(shown_second)] => Some((shown_first, shown_second)),
        _ => None,
    });
    let (shown_first, shown_second): (Vec<f64>, Vec<f64>) = looks.unzip();
    stats::both_orders(&shown_first, &shown_second)
}
