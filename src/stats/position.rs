//! What the place in which an answer is shown does to a judge's scores.
use std::cmp::Ordering;

use super::{Estimate, difference, mean, mean_and_deviation, proportion};

/// A judge that saw every prompt in both orders. Intervals are at 95%.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BothOrders {
    /// Share of the prompts on which both orders give the same verdict: a win, a tie or a loss.
    pub consistency: Estimate,
    /// How often the answer shown first wins, ties counting half; 0.5 for a judge that is fair.
    pub first_slot: Estimate,
    /// Among the prompts whose verdict changes with the order, the share on which the change is in
    /// favour of the first place (primacy) and not of the second (recency); 0.5 is fair.
    pub primacy: Option<Estimate>,
    /// The candidate's mean score shown first less that shown second, in [-1, 1].
    pub bias: Estimate,
    /// The candidate's mean score over both orders.
    pub debiased: Estimate,
}

/// A judge that saw every prompt in one order, drawn at random. Intervals are at 95%.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneOrder {
    /// The candidate's mean score where it was shown first.
    pub shown_first: Estimate,
    /// The candidate's mean score where it was shown second.
    pub shown_second: Estimate,
    /// The first less the second, in [-1, 1].
    pub bias: Estimate,
    /// Of the bias; `None` with fewer than two prompts in an order.
    pub standard_error: Option<f64>,
    /// The mean of the two: what half the prompts in each order would give.
    pub debiased: Estimate,
}

/// Compares the candidate's scores in [0, 1] shown first and shown second, of which the i-th
/// entries belong to the same prompt.
///
/// Position consistency and the split of what is inconsistent into primacy and recency are those of
/// Shi et al., "Judging the Judges" (arXiv 2406.07791); they fold the split into one normalised
/// number, here it is a share of its own with Wilson's interval. A score above 1/2 is a win of the
/// candidate, one below it a loss. The other intervals are those of [`mean()`] and [`difference`]
/// over prompts.
///
/// # Panics
/// When the series differ in length or a score lies outside [0, 1].
pub fn both_orders(shown_first: &[f64], shown_second: &[f64]) -> Option<BothOrders> {
    assert_eq!(shown_first.len(), shown_second.len(), "both orders are of the same prompts");
    let over_prompts = |number: fn(f64, f64) -> f64| -> Vec<f64> {
        shown_first
            .iter()
            .zip(shown_second)
            .map(|(&first, &second)| number(first, second))
            .collect()
    };
    let verdict = |score: f64| score.total_cmp(&0.5);
    let changes = |towards: Ordering| {
        let pairs = shown_first.iter().zip(shown_second);
        pairs.filter(|&(&first, &second)| verdict(first).cmp(&verdict(second)) == towards).count()
    };
    let (primacy, recency) = (changes(Ordering::Greater), changes(Ordering::Less));
    Some(BothOrders {
        consistency: proportion(changes(Ordering::Equal), shown_first.len())?,
        first_slot: mean(&over_prompts(|first, second| (first + 1.0 - second) / 2.0))?,
        primacy: proportion(primacy, primacy + recency),
        bias: difference(&over_prompts(|first, second| first - second))?,
        debiased: mean(&over_prompts(|first, second| (first + second) / 2.0))?,
    })
}

/// Compares the candidate's scores in [0, 1] on the prompts where it was shown first with those on
/// the prompts where it was shown second.
///
/// The prompts differ between the two, so this is far less sharp than [`both_orders`], and only
/// says something of the judge where chance chose the order. The interval of the bias joins those
/// of the two means, as Newcombe's for two shares does (1998, Stat. Med. 17:873, method 10): its
/// lower end is m1 - m2 - sqrt((m1 - l1)^2 + (u2 - m2)^2), with m the means and l and u their ends,
/// and its upper the mirror of that. The standard error is sqrt(s1^2 / n1 + s2^2 / n2).
///
/// `None` without prompts in one of the orders.
///
/// # Panics
/// When a score lies outside [0, 1].
pub fn one_order(shown_first: &[f64], shown_second: &[f64]) -> Option<OneOrder> {
    let (first, second) = (mean(shown_first)?, mean(shown_second)?);
    let squared_error = |scores: &[f64]| {
        let deviation = mean_and_deviation(scores).filter(|_| scores.len() > 1)?.1;
        Some(deviation * deviation / scores.len() as f64)
    };
    let n = first.n + second.n;
    let turned = Estimate { point: -second.point, lower: -second.upper, upper: -second.lower, n };
    let middle = sum(first, second);
    Some(OneOrder {
        shown_first: first,
        shown_second: second,
        bias: sum(first, turned),
        standard_error: squared_error(shown_first)
            .zip(squared_error(shown_second))
            .map(|(first, second)| (first + second).sqrt()),
        debiased: Estimate {
            point: middle.point / 2.0,
            lower: middle.lower / 2.0,
            upper: middle.upper / 2.0,
            n,
        },
    })
}

/// The sum of two independent estimates, with the interval that their two intervals give.
fn sum(a: Estimate, b: Estimate) -> Estimate {
    let point = a.point + b.point;
    Estimate {
        point,
        lower: point - (a.point - a.lower).hypot(b.point - b.lower),
        upper: point + (a.upper - a.point).hypot(b.upper - b.point),
        n: a.n + b.n,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    fn is(estimate: Estimate, point: f64, lower: f64, upper: f64) {
        close(estimate.point, point);
        close(estimate.lower, lower);
        close(estimate.upper, upper);
    }

    // Shown first: 9 wins, 1 tie, 2 losses; shown second, of the same prompts: below.
    const FIRST: [f64; 12] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0];
    const SECOND: [f64; 12] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 0.0];

    // from statsmodels.stats.proportion import proportion_confint as ci
    // for k, n in (6, 12), (5, 6): print(k/n, ci(k, n, method="wilson"))
    // import numpy as np; a = np.array(FIRST); b = np.array(SECOND)
    // print(((a + 1 - b)/2).mean(), (a - b).mean(), ((a + b)/2).mean())
    #[test]
    fn both_orders_give_the_shares_of_statsmodels() {
        let both = both_orders(&FIRST, &SECOND).unwrap();
        is(both.consistency, 0.5, 0.253781597634, 0.746218402366);
        is(both.primacy.unwrap(), 5.0 / 6.0, 0.436497177814, 0.969946630252);
        close(both.first_slot.point, 0.645833333333);
        close(both.bias.point, 0.291666666667);
        close(both.debiased.point, 0.645833333333);
        assert!(both.bias.lower < 0.0 && both.bias.upper > 0.0, "{both:?}");
    }

    #[test]
    fn the_other_side_sees_the_same_judge() {
        let turn =
            |scores: &[f64]| scores.iter().rev().map(|score| 1.0 - score).collect::<Vec<_>>();
        let one = both_orders(&FIRST, &SECOND).unwrap();
        // The candidate's answers are shown first where the baseline's are shown second.
        let other = both_orders(&turn(&SECOND), &turn(&FIRST)).unwrap();
        assert_eq!((one.consistency, one.primacy), (other.consistency, other.primacy));
        is(other.first_slot, one.first_slot.point, one.first_slot.lower, one.first_slot.upper);
        is(other.bias, one.bias.point, one.bias.lower, one.bias.upper);
        close(other.debiased.lower, 1.0 - one.debiased.upper);
        let one = one_order(&FIRST, &SECOND[..7]).unwrap();
        let other = one_order(&turn(&SECOND[..7]), &turn(&FIRST)).unwrap();
        is(other.bias, one.bias.point, one.bias.lower, one.bias.upper);
        close(other.debiased.lower, 1.0 - one.debiased.upper);
    }

    // from statsmodels.stats.proportion import confint_proportions_2indep
    // for a, n, b, m in (9, 40, 21, 50), (0, 20, 20, 20):
    //     print(confint_proportions_2indep(a, n, b, m, compare="diff", method="newcomb"))
    #[test]
    fn one_order_without_ties_is_newcombes_interval() {
        let wins = |wins: usize, n: usize| -> Vec<f64> {
            (0..n).map(|prompt| f64::from(u8::from(prompt < wins))).collect()
        };
        let bias = |a, n, b, m| one_order(&wins(a, n), &wins(b, m)).unwrap().bias;
        is(bias(9, 40, 21, 50), -0.195, -0.366239633692, 0.001082495943);
        is(bias(0, 20, 20, 20), -1.0, -1.0, -0.772134616242);
    }

    #[test]
    fn it_behaves_at_the_edges() {
        assert_eq!(both_orders(&[], &[]), None);
        assert_eq!(one_order(&[1.0], &[]), None);
        assert_eq!(one_order(&[1.0], &[0.0, 1.0]).unwrap().standard_error, None);
        let always_first = both_orders(&[1.0; 48], &[0.0; 48]).unwrap();
        assert_eq!((always_first.consistency.point, always_first.first_slot.point), (0.0, 1.0));
        assert_eq!((always_first.bias.point, always_first.debiased.point), (1.0, 0.5));
        assert_eq!(always_first.primacy.map(|share| share.point), Some(1.0));
        let fair = both_orders(&[1.0, 0.0, 0.7], &[1.0, 0.0, 0.6]).unwrap();
        assert_eq!((fair.consistency.point, fair.primacy), (1.0, None));
    }

    // import json, random, numpy as np
    // rows = json.load(open("humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json"))
    // draw = lambda r: random.Random("is_switched_outputs" + r["instruction"] + "0").choices([False, True])[0]
    // a, b = ([r["preference"] - 1 for r in rows if draw(r) == side] for side in (True, False))
    // print(len(a), len(b), np.mean(a), np.mean(b), np.sqrt(np.var(a, ddof=1)/len(a) + np.var(b, ddof=1)/len(b)))
    #[test]
    fn the_position_bias_of_alpaca_eval_2_is_found_in_its_annotations() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(
            "../shared/data/alpaca_eval/annotations/humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json",
        );
        let Ok(text) = fs::read_to_string(&path) else {
            println!("skipped: {} is missing", path.display());
            return;
        };
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for row in &rows {
            let preference = row["preference"].as_f64().unwrap();
            let tokens = row["raw_completion"]["logprobs"]["content"][0]["top_logprobs"].as_array();
            let chance = |name: &str| {
                let token = tokens.unwrap().iter().find(|token| token["token"] == name);
                token.map_or(0.0, |token| token["logprob"].as_f64().unwrap().exp())
            };
            // "m" names the answer shown first, and the preference is 1 more than the chance of the
            // candidate's name: so the reply gives away the order that Python's generator drew.
            let candidate_first = 1.0 + chance("m") / (chance("m") + chance("M"));
            match (preference - candidate_first).abs() < 1e-8 {
                true => first.push(preference - 1.0),
                false => second.push(preference - 1.0),
            }
        }
        let found = one_order(&first, &second).unwrap();
        assert_eq!((found.shown_first.n, found.shown_second.n), (406, 399));
        close(found.shown_first.point, 0.056201575470);
        close(found.shown_second.point, 0.147023611418);
        close(found.bias.point, -0.090822035948);
        close(found.standard_error.unwrap(), 0.018608390358);
        assert!(found.bias.upper < -0.05, "{found:?}");
    }
}
