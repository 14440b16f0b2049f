//! AlpacaEval's measures of a judge, from pairs of answers that it and people voted on.
use std::cmp::Ordering;

use super::{Estimate, mean, proportion};

/// Two answers to one prompt, and the votes on them.
///
/// A vote is a preference from 1 (the first answer is better) to 2 (the second), with 1.5 for a
/// draw; AlpacaEval's older 0 for a draw must have become 1.5, and a vote that could not be read is
/// left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VotedPair {
    pub judge: Vec<f64>,
    /// Of people.
    pub gold: Vec<f64>,
    /// Lengths of the two answers in characters (Unicode code points).
    pub characters: [usize; 2],
    /// Whether the two answers contain a list: see [`contains_list`].
    pub lists: [bool; 2],
}

/// Shares with 95% intervals, whose `n` counts pairs; AlpacaEval prints the first three times 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgeMeasures {
    /// How near one vote of the judge is to the consensus of all gold votes.
    pub human_agreement: Option<Estimate>,
    /// How far the consensus of all of the judge's votes is from that of all gold votes.
    pub bias: Option<Estimate>,
    /// How far one vote of the judge is from the consensus of its others; pairs with two or more.
    pub variance: Option<Estimate>,
    /// Share on which the judge prefers the longer answer, where it prefers one and the lengths
    /// differ by more than 30 characters.
    pub prefers_longer: Option<Estimate>,
    /// Share on which it prefers the answer with a list, where it prefers one and one has a list.
    pub prefers_lists: Option<Estimate>,
    /// 2 less the mean vote: how often the first answer wins, draws counting half.
    pub prefers_first: Option<Estimate>,
    /// Votes of the judge that could be read.
    pub parsed: usize,
}

/// Lengths that differ by no more count as equal: AlpacaEval's.
const LENGTH_MARGIN: usize = 30;

/// AlpacaEval's measures of a judge (the leaderboard of evaluators of alpaca_eval 0.6.6).
///
/// Two votes p and q agree by 1 - |p - q|. The *consensus* of several votes is their most frequent
/// value when all are 1, 1.5 or 2, and their median otherwise. Where several values are equally
/// frequent AlpacaEval draws one at random, with a fixed seed that always gives the larger of two;
/// here the measure is the mean over them, which is what the draw is meant to stand for. The
/// length and list measures look at the first vote of a pair, as there. With the same number of
/// votes on every pair and no such ties all numbers equal AlpacaEval's.
///
/// The intervals are those of [`mean()`] over pairs, and Wilson's for the shares of pairs. With the
/// votes of people for the judge's, 1 - variance is the agreement that one of them reaches.
///
/// # Panics
/// When a vote lies outside [1, 2].
pub fn judge_measures(pairs: &[VotedPair]) -> JudgeMeasures {
    let mut votes = pairs.iter().flat_map(|pair| pair.judge.iter().chain(&pair.gold));
    assert!(votes.all(|vote| (1.0..=2.0).contains(vote)), "votes lie in [1, 2]");
    let over_pairs = |measure: &dyn Fn(&VotedPair) -> Option<f64>| {
        mean(
            &pairs
                .iter()
                .filter_map(measure)
                .map(|share| share.clamp(0.0, 1.0))
                .collect::<Vec<_>>(),
        )
    };
    JudgeMeasures {
        human_agreement: over_pairs(&|pair| agreement(&pair.judge, &consensus(&pair.gold))),
        bias: over_pairs(&|pair| {
            agreement(&consensus(&pair.judge), &consensus(&pair.gold)).map(|share| 1.0 - share)
        }),
        variance: over_pairs(&|pair| leave_one_out(&pair.judge).map(|share| 1.0 - share)),
        prefers_longer: preference_for(pairs, |pair| {
            let [first, second] = pair.characters;
            (first.abs_diff(second) > LENGTH_MARGIN).then(|| first.cmp(&second))
        }),
        prefers_lists: preference_for(pairs, |pair| Some(pair.lists[0].cmp(&pair.lists[1]))),
        prefers_first: over_pairs(&|pair| average(&pair.judge).map(|vote| 2.0 - vote)),
        parsed: pairs.iter().map(|pair| pair.judge.len()).sum(),
    }
}

/// The values that are the consensus of `votes`, each as good as the others.
fn consensus(votes: &[f64]) -> Vec<f64> {
    let mut sorted = votes.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.iter().any(|vote| ![1.0, 1.5, 2.0].contains(vote)) {
        let middle = &sorted[(sorted.len() - 1) / 2..=sorted.len() / 2];
        return average(middle).into_iter().collect();
    }
    let count = |value: f64| sorted.iter().filter(|&&vote| vote == value).count();
    let most = [1.0, 1.5, 2.0].map(count).into_iter().max().unwrap_or(0);
    sorted.dedup();
    sorted.retain(|&value| votes.iter().filter(|&&vote| vote == value).count() == most);
    sorted
}

/// The mean of 1 - |p - q| over all p of the one and q of the other.
fn agreement(one: &[f64], other: &[f64]) -> Option<f64> {
    let pairs = one.iter().flat_map(|p| other.iter().map(move |q| 1.0 - (p - q).abs()));
    average(&pairs.collect::<Vec<_>>())
}

/// The mean agreement of each vote with the consensus of the others.
fn leave_one_out(votes: &[f64]) -> Option<f64> {
    let against_the_rest = |left_out: usize| {
        let rest = [&votes[..left_out], &votes[left_out + 1..]].concat();
        agreement(&votes[left_out..=left_out], &consensus(&rest))
    };
    average(&(0..votes.len()).filter_map(against_the_rest).collect::<Vec<_>>())
}

fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How often the preferred answer has more of something, among the pairs in which one has.
fn preference_for(
    pairs: &[VotedPair],
    first_to_second: impl Fn(&VotedPair) -> Option<Ordering>,
) -> Option<Estimate> {
    let preferred = pairs.iter().filter_map(|pair| {
        let vote = pair.judge.first()?;
        match (vote.partial_cmp(&1.5)?, first_to_second(pair)?) {
            (Ordering::Equal, _) | (_, Ordering::Equal) => None,
            // The first answer is preferred by a vote below 1.5.
            (vote, more) => Some(vote != more),
        }
    });
    let preferred: Vec<bool> = preferred.collect();
    proportion(preferred.iter().filter(|&&more| more).count(), preferred.len())
}

/// Whether a line starts like an item of a list, by AlpacaEval's rule: after white space there is a
/// `*`, `•` or `-`; or a number and `.` or `)`; or one letter of a to z and `.` or `)` and white
/// space. A letter, digit or `_` must follow anywhere later in the text.
///
/// The rule is loose, and kept for comparability: a line that starts with bold text, a rule of
/// dashes or `3.5` counts.
pub fn contains_list(text: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let Some(last) = text.char_indices().rev().find(|&(_, c)| in_word(c)).map(|(at, _)| at) else {
        return false;
    };
    let mut line_start = 0;
    text.split_inclusive('\n').any(|line| {
        let start = line_start;
        line_start += line.len();
        // The item's text may begin on a later line.
        after_marker(line).is_some_and(|rest| start + line.len() - rest.len() <= last)
    })
}

/// What follows the marker of a list item on its line.
fn after_marker(line: &str) -> Option<&str> {
    // Python's white space: Unicode's, and four separators of files, groups, records and units.
    let white = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let line = line.trim_start_matches(white);
    if let Some(rest) = line.strip_prefix(['*', '•', '-']) {
        return Some(rest);
    }
    let number = line.trim_start_matches(char::is_numeric);
    if number.len() < line.len() {
        return number.strip_prefix(['.', ')']);
    }
    let letter = line.strip_prefix(|c: char| c.is_ascii_alphabetic())?;
    letter.strip_prefix(['.', ')'])?.strip_prefix(white)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    fn pair(judge: &[f64], gold: &[f64], first: &str, second: &str) -> VotedPair {
        VotedPair {
            judge: judge.to_vec(),
            gold: gold.to_vec(),
            characters: [first, second].map(|answer| answer.chars().count()),
            lists: [first, second].map(contains_list),
        }
    }

    fn made_up() -> Vec<VotedPair> {
        let repeat = |text: &str, times| text.repeat(times);
        vec![
            pair(&[1.0, 1.0, 2.0, 1.0], &[1.0, 1.0, 1.0, 2.0], &repeat("a", 50), &repeat("b", 90)),
            pair(&[2.0; 4], &[1.0, 2.0, 2.0, 2.0], &repeat("a", 90), &repeat("b", 20)),
            pair(&[1.5, 1.0, 1.0, 1.0], &[1.0, 1.0, 2.0, 1.0], "- one\n- two", &repeat("c", 40)),
            pair(&[2.0, 1.0, 2.0, 2.0], &[1.0; 4], &repeat("b", 40), "1. x"),
            pair(
                &[1.0, 1.5, 1.5, 1.5],
                &[2.0, 2.0, 1.5, 2.0],
                &repeat("c", 300),
                &format!("* y{}", repeat("y", 200)),
            ),
            pair(&[1.5; 4], &[1.0, 2.0, 1.0, 1.0], "d", &repeat("z", 99)),
            pair(&[2.0, 2.0, 1.0, 2.0], &[1.0, 2.0, 2.0, 1.0], &repeat("e", 35), "eeee"),
            pair(
                &[1.2, 1.9, 1.4, 1.1],
                &[2.0, 2.0, 2.0, 1.0],
                &repeat("f", 100),
                &repeat("g", 140),
            ),
        ]
    }

    // import pandas as pd; from alpaca_eval.analyze import Analyzer  # alpaca-eval 0.6.6
    // from alpaca_eval.metrics import helpers
    // judge = [[1,1,2,1],[2]*4,[1.5,1,1,1],[2,1,2,2],[1,1.5,1.5,1.5],[1.5]*4,[2,2,1,2],[1.2,1.9,1.4,1.1]]
    // gold = [[1,1,1,2],[1,2,2,2],[1,1,2,1],[1]*4,[2,2,1.5,2],[1,2,1,1],[1,2,2,1],[2,2,2,1]]
    // o1 = ["a"*50, "a"*90, "- one\n- two", "b"*40, "c"*300, "d", "e"*35, "f"*100]
    // o2 = ["b"*90, "b"*20, "c"*40, "1. x", "* y"+"y"*200, "z"*99, "e"*4, "g"*140]
    // def table(votes): return pd.DataFrame([dict(instruction=f"q{i}", output_1=o1[i], output_2=o2[i],
    //     preference=float(v)) for i, vs in enumerate(votes) for v in vs])
    // a = Analyzer.__new__(Analyzer); a.keys = ["instruction", "output_1", "output_2"]
    // a.annotation_key = "preference"; a.scoring_rule = helpers.AbsoluteScoringRule()
    // a.df_gold_crossannotations = a._select_n_annotations(table(gold), n_annotators=4)
    // j = a._select_n_annotations(table(judge), n_annotators=4)
    // for side in 0, -1:  # the smaller and the larger of equally frequent votes; print the mean
    //     helpers._random_mode = lambda s, **_: pd.Series.mode(s).iloc[side]
    //     print(a.agreement_of_annotations(j, n_majority_vote_1=1)["score"], a.estimate_bias(j))
    // print(a.estimate_variance(j), a.get_length_biases(j), a.get_list_biases(j), 2-j.preference.mean())
    #[test]
    fn they_agree_with_alpaca_eval() {
        let measures = judge_measures(&made_up());
        let check = |found: Option<Estimate>, expected: f64, n: usize| {
            close(found.unwrap().point, expected);
            assert_eq!(found.unwrap().n, n);
        };
        check(measures.human_agreement, (0.55 + 0.6125) / 2.0, 8);
        check(measures.bias, (0.4625 + 0.3375) / 2.0, 8);
        check(measures.variance, 0.16875, 8);
        check(measures.prefers_longer, 1.0 / 6.0, 6);
        check(measures.prefers_lists, 0.5, 2);
        check(measures.prefers_first, 0.48125, 8);
        assert_eq!(measures.parsed, 32);
    }

    #[test]
    fn neither_the_order_of_pairs_nor_that_of_answers_matters() {
        let one = judge_measures(&made_up());
        let swapped = made_up().into_iter().rev().map(|pair| VotedPair {
            judge: pair.judge.iter().map(|vote| 3.0 - vote).collect(),
            gold: pair.gold.iter().map(|vote| 3.0 - vote).collect(),
            characters: [pair.characters[1], pair.characters[0]],
            lists: [pair.lists[1], pair.lists[0]],
        });
        let other = judge_measures(&swapped.collect::<Vec<_>>());
        let point = |estimate: Option<Estimate>| estimate.unwrap().point;
        close(point(one.human_agreement), point(other.human_agreement));
        close(point(one.bias), point(other.bias));
        close(point(one.variance), point(other.variance));
        assert_eq!(one.prefers_longer, other.prefers_longer);
        assert_eq!(one.prefers_lists, other.prefers_lists);
        close(point(one.prefers_first), 1.0 - point(other.prefers_first));
    }

    #[test]
    fn without_votes_there_are_no_numbers() {
        let nothing = judge_measures(&[VotedPair::default()]);
        assert_eq!(nothing, judge_measures(&[]));
        assert_eq!((nothing.human_agreement, nothing.variance, nothing.parsed), (None, None, 0));
        let one_vote = judge_measures(&[pair(&[1.5], &[1.5], "a", "b")]);
        assert_eq!(one_vote.variance, None);
        assert_eq!(one_vote.human_agreement.map(|share| share.point), Some(1.0));
        assert_eq!(one_vote.prefers_longer, None);
    }

    // from alpaca_eval.utils import contains_list
    #[test]
    fn lists_are_those_of_alpaca_eval() {
        let check = |text: &str, expected: bool| {
            assert_eq!(contains_list(text), expected, "{text:?}");
        };
        for text in
            ["* item", "• item", "- item", "  \t- item", "-item", "Intro:\n\n1. one\n2. two"]
        {
            check(text, true);
        }
        for text in ["1) one", "12.one", "a. first", "B) second", "**Bold** text", "3.5 apples"] {
            check(text, true);
        }
        // What follows a marker may stand on a later line, or be no Latin letter.
        for text in ["---\n\nend", "1.\n\nend", "a)\nend", "- !?\n\"x\"", "- é", "- _", "- 是"] {
            check(text, true);
        }
        for text in ["", "plain", "a - b", "1.", "- ", "*", "1 one", "a.b", "ab. c", "a) ", "é. x"]
        {
            check(text, false);
        }
        for text in ["word\n- ", "word\r- item", "+ item", "(1) one", "– dash", "x\n- !\n"] {
            check(text, false);
        }
    }
}
