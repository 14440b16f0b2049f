//! What the outcomes have to do with the form of the answers: their length, and lists in them.
use std::collections::BTreeMap;

use crate::{
    record::Completion,
    stats::{
        self, Estimate, contains_list,
        length_control::{COST, Compared, length_controlled},
    },
};

/// Draws of the bootstrap, and its seed. So many know the width of the interval to one part in twenty,
/// which is enough for a glance; `spyhop score` takes 1,000.
const FOLDS: usize = 200;
const SEED: u64 = 1;

/// How much form decides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leanings {
    /// The win rate as it would be if both answers were equally long, by a fit of length alone.
    pub(super) at_equal_length: Option<Estimate>,
    /// Share of the prompts with an outcome and unequal lengths on which the longer answer wins.
    pub(super) longer_wins: Option<Estimate>,
    /// Share of the prompts with an outcome and a list in one answer on which that answer wins.
    pub(super) list_wins: Option<Estimate>,
}

/// `scores` and the two sides' answers are by prompt id.
pub(super) fn leanings(
    scores: &BTreeMap<String, f64>,
    ours: &BTreeMap<String, Completion>,
    theirs: &BTreeMap<String, Completion>,
) -> Leanings {
    let both: Vec<(&str, &str, Option<f64>)> = ours
        .iter()
        .filter_map(|(id, answer)| {
            let other = theirs.get(id)?;
            Some((answer.output.as_str(), other.output.as_str(), scores.get(id).copied()))
        })
        .collect();
    let length = |text: &str| text.chars().count();
    let compared: Vec<Compared> = both
        .iter()
        .map(|(answer, other, score)| Compared {
            score: *score,
            length_difference: length(other) as f64 - length(answer) as f64,
            difficulty: 0.0,
        })
        .collect();
    let controlled = length_controlled(&compared, None, COST, FOLDS, SEED);
    Leanings {
        at_equal_length: controlled.map(|controlled| rounded(controlled.win_rate)),
        longer_wins: wins_with_more(&both, length),
        list_wins: wins_with_more(&both, |text| usize::from(contains_list(text))),
    }
}

/// To a millionth, so that a processor that sums otherwise leaves the same files.
fn rounded(estimate: Estimate) -> Estimate {
    let round = |share: f64| (1e6 * share).round() / 1e6;
    let Estimate { point, lower, upper, n } = estimate;
    Estimate { point: round(point), lower: round(lower), upper: round(upper), n }
}

/// How often the answer that has more of something wins, where one has more and one wins.
fn wins_with_more(
    both: &[(&str, &str, Option<f64>)],
    amount: impl Fn(&str) -> usize,
) -> Option<Estimate> {
    let won = both.iter().filter_map(|(answer, other, score)| {
        let score = score.filter(|score| *score != 0.5)?;
        let (ours, theirs) = (amount(answer), amount(other));
        (ours != theirs).then_some((score > 0.5) == (ours > theirs))
    });
    let won: Vec<bool> = won.collect();
    stats::proportion(won.iter().filter(|&&won| won).count(), won.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Finish;

    #[test]
    fn the_longer_answer_and_the_list_are_counted_where_something_is_decided() {
        let side = |texts: &[&str]| -> BTreeMap<String, Completion> {
            let row = |(number, text): (usize, &&str)| {
                let completion = Completion {
                    id: number.to_string(),
                    instruction: "do it".into(),
                    output: (*text).into(),
                    generator: "M0".into(),
                    dataset: "all".into(),
                    finish: Finish::Stop,
                };
                (number.to_string(), completion)
            };
            texts.iter().enumerate().map(row).collect()
        };
        let ours = side(&["longer one", "- a\n- b", "same", "tied, long", "short"]);
        let theirs = side(&["short", "no list here", "four", "tied", "longer one"]);
        let scores = [("0", 1.0), ("1", 0.0), ("2", 1.0), ("3", 0.5), ("4", 0.0)];
        let scores = scores.map(|(id, score)| (id.to_owned(), score)).into();
        let found = leanings(&scores, &ours, &theirs);
        let point = |estimate: Option<Estimate>| estimate.map(|found| (found.point, found.n));
        // Won by the longer: 0, 1 (theirs is longer) and 4; equal in length: 2; tied: 3.
        assert_eq!(point(found.longer_wins), Some((1.0, 3)));
        assert_eq!(point(found.list_wins), Some((0.0, 1)));
        assert!(found.at_equal_length.is_none_or(|rate| (0.0..=1.0).contains(&rate.point)));
    }
}
