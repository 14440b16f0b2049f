//! Looks to scores, scores to standings.
use super::*;
use crate::{
    exchange::{Judged, Notes},
    stats::bradley_terry::Ties,
};

const AVERAGE: Rule = Rule { consistent: false, strong_weight: 3.0 };
const CONSISTENT: Rule = Rule { consistent: true, strong_weight: 3.0 };
const FIRST: Option<Order> = Some(Order::CandidateFirst);
const SECOND: Option<Order> = Some(Order::BaselineFirst);

fn contest(model: &str) -> Contest {
    Contest { judge: "j".into(), model: model.into(), baseline: "base".into() }
}

fn look(contest: u32, prompt: u64, order: Option<Order>, score: Option<f64>) -> Judged {
    Judged {
        contest,
        dataset: (prompt % 2) as u32,
        prompt: PromptKey(prompt),
        conversation: PromptKey(prompt),
        row: prompt as u32,
        order,
        score,
        strong: false,
        model_characters: Some(10 + prompt as u32),
        baseline_characters: Some(12),
    }
}

fn ledger(models: &[&str], looks: Vec<Judged>) -> Ledger {
    let contests = models.iter().map(|model| contest(model)).collect();
    Ledger::new(contests, vec!["even".into(), "odd".into()], looks, Vec::<Notes>::new())
}

/// Both orders of 40 prompts, with scores that are spread without being random.
fn both_orders(contest: u32, shift: u64) -> Vec<Judged> {
    let score = |number: u64| Some([0.0, 0.5, 1.0, 1.0, 0.0][((number * 7 + shift) % 5) as usize]);
    (0..40)
        .flat_map(|prompt| {
            [
                look(contest, prompt, FIRST, score(prompt)),
                look(contest, prompt, SECOND, score(prompt + shift)),
            ]
        })
        .collect()
}

fn only(ledger: &Ledger, rule: &Rule) -> Standing {
    standings(ledger, rule, |_| None).remove(0).standing
}

#[test]
fn orders_are_averaged_or_have_to_agree() {
    let looks = vec![
        look(0, 0, FIRST, Some(1.0)),
        look(0, 0, SECOND, Some(1.0)),
        look(0, 1, FIRST, Some(1.0)),
        look(0, 1, SECOND, Some(0.0)),
        look(0, 2, FIRST, Some(0.5)),
        look(0, 2, SECOND, Some(0.0)),
    ];
    let ledger = ledger(&["m"], looks);
    let scores = |rule| -> Vec<Option<f64>> {
        prompt_scores(&ledger, 0, rule).iter().map(|prompt| prompt.score).collect()
    };
    assert_eq!(scores(&AVERAGE), [Some(1.0), Some(0.5), Some(0.25)]);
    assert_eq!(scores(&CONSISTENT), [Some(1.0), Some(0.5), Some(0.5)]);
}

#[test]
fn a_prompt_with_half_its_verdicts_is_missing_and_bounded() {
    let mut looks = both_orders(0, 1);
    // One order was never judged, and one verdict could not be read.
    looks.retain(|look| look.prompt != PromptKey(3) || look.order == FIRST);
    looks.iter_mut().filter(|look| look.prompt == PromptKey(4)).for_each(|look| look.score = None);
    let ledger = ledger(&["m"], looks);
    let scores = prompt_scores(&ledger, 0, &AVERAGE);
    let find = |prompt| scores.iter().find(|score| score.prompt == PromptKey(prompt)).unwrap();
    assert_eq!((find(3).score, find(4).score), (None, None));
    let known = ledger.looks.iter().find(|look| look.prompt == PromptKey(3)).unwrap();
    let half = known.score.unwrap() / 2.0;
    assert_eq!((find(3).reach, find(4).reach), ((half, half + 0.5), (0.0, 1.0)));
    let standing = only(&ledger, &AVERAGE);
    assert_eq!((standing.total, standing.missing), (38, 2));
    let bounds = standing.bounds.unwrap();
    assert!((bounds.best.point - bounds.worst.point - 1.5 / 40.0).abs() < 1e-12);
    let Scored { standing, .. } = standings(&ledger, &AVERAGE, |_| Some(45)).remove(0);
    assert_eq!(standing.missing, 7);
}

#[test]
fn the_order_of_the_rows_changes_nothing() {
    let looks = both_orders(0, 1);
    let forward = only(&ledger(&["m"], looks.clone()), &AVERAGE);
    let backward = only(&ledger(&["m"], looks.into_iter().rev().collect()), &AVERAGE);
    assert_eq!(forward, backward);
}

#[test]
fn swapping_the_sides_gives_exactly_the_rest() {
    let mut turned = ledger(&["m"], both_orders(0, 1));
    let standing = only(&turned, &AVERAGE);
    turned.orient("m");
    let other = only(&turned, &AVERAGE);
    let (one, rest) = (standing.win_rate.unwrap(), other.win_rate.unwrap());
    assert_eq!(one.point, 1.0 - rest.point);
    assert_eq!(
        (standing.wins, standing.losses, standing.ties),
        (other.losses, other.wins, other.ties)
    );
    assert_eq!(standing.standard_error, other.standard_error);
    let (Position::Both(one), Position::Both(rest)) = (standing.position, other.position) else {
        panic!("both orders are there");
    };
    assert_eq!(one.first_slot.point, rest.first_slot.point);
    assert_eq!(one.bias.point, rest.bias.point);
}

// Arena-Hard 2, show_result.py: every "significantly better" is a list of three outcomes, and the score
// is the mean over all lists.
// import numpy as np
// np.mean([1, 1, 1] + [1] + [0.5] + [0] + [0, 0, 0] + [1])  # 0.55
#[test]
fn a_significantly_better_of_arena_hard_counts_three_times() {
    let mut looks = vec![
        look(0, 0, FIRST, Some(1.0)),
        look(0, 0, SECOND, Some(1.0)),
        look(0, 1, FIRST, Some(0.5)),
        look(0, 1, SECOND, Some(0.0)),
        look(0, 2, FIRST, Some(0.0)),
        look(0, 2, SECOND, Some(1.0)),
    ];
    looks[0].strong = true;
    looks[4].strong = true;
    let standing = only(&ledger(&["m"], looks), &AVERAGE);
    assert!((standing.win_rate.unwrap().point - 0.55).abs() < 1e-12);
}

// Turns of a conversation are not independent: CR1 with clusters, as in stats::clustered_mean.
// import numpy as np
// s = np.array([1, 1, 0, 0, 1, 0.]); c = np.array([0, 0, 1, 1, 2, 2]); d = s - s.mean()
// np.sqrt(3/2 * sum(d[c == k].sum()**2 for k in range(3))) / 6  # 0.2886751345948129
#[test]
fn turns_of_a_conversation_share_an_error() {
    let mut looks: Vec<Judged> = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
        .iter()
        .zip(0..)
        .map(|(&score, prompt)| look(0, prompt, None, Some(score)))
        .collect();
    looks.iter_mut().for_each(|look| look.conversation = PromptKey(look.prompt.0 / 2));
    let standing = only(&ledger(&["m"], looks), &AVERAGE);
    assert!((standing.standard_error.unwrap() - 0.288_675_134_594_812_9).abs() < 1e-12);
    assert_eq!((standing.win_rate.unwrap().n, standing.total), (3, 6));
}

fn sides(models: &[&str], looks: Vec<Judged>) -> Vec<Against> {
    let ledger = ledger(models, looks);
    let side = |(place, model): (usize, &&str)| {
        Against::new((*model).to_owned(), &ledger, place as u32, &AVERAGE)
    };
    models.iter().enumerate().map(side).collect()
}

#[test]
fn differences_are_paired_and_corrected() {
    let mut looks = [both_orders(0, 1), both_orders(1, 2), both_orders(2, 1)].concat();
    // The second candidate lacks ten prompts.
    looks.retain(|look| look.contest != 2 || look.prompt.0 >= 10);
    let sides = sides(&["a", "b", "c"], looks);
    let found = compare(&sides[0], &sides[1..], Some(0.03), 1).unwrap();
    let (b, c) = (&found[0], &found[1]);
    assert_eq!((b.shared, c.shared, c.only_reference, c.only_candidate), (40, 30, 10, 0));
    let scores = |shift| -> Vec<f64> {
        let scores = prompt_scores(&ledger(&["m"], both_orders(0, shift)), 0, &AVERAGE);
        scores.iter().filter_map(|score| score.score).collect()
    };
    let expected = stats::paired(&scores(2), &scores(1)).unwrap();
    let part = b.overall.as_ref().unwrap();
    assert_eq!(part.paired, expected);
    assert!(part.p_holm >= part.paired.p);
    assert_eq!(b.slices.len(), 2);
    assert_eq!(b.slices.iter().map(|part| part.paired.difference.n).sum::<usize>(), 40);
    // The same scores: no difference, and no gate can call it regressed.
    let same = c.overall.as_ref().unwrap();
    assert_eq!((same.paired.difference.point, same.paired.p), (0.0, 1.0));
    assert!(b.best_of.is_some() && b.gate.is_some());
    let reverse = compare(&sides[1], &sides[..1], None, 1).unwrap();
    let mirrored = reverse[0].overall.as_ref().unwrap();
    assert!((mirrored.paired.difference.point + part.paired.difference.point).abs() < 1e-15);
    assert_eq!(mirrored.mcnemar, part.mcnemar);
}

#[test]
fn what_does_not_compare_is_refused() {
    let mut sides = sides(&["a", "b"], [both_orders(0, 1), both_orders(1, 2)].concat());
    sides[1].contest.baseline = "other".into();
    let error = compare(&sides[0], &sides[1..], None, 1).unwrap_err().to_string();
    assert!(error.contains("only scores against the same baseline compare"), "{error}");
    sides[1].contest = Contest { judge: "k".into(), ..contest("b") };
    let error = compare(&sides[0], &sides[1..], None, 1).unwrap_err().to_string();
    assert!(error.contains("different judges"), "{error}");
}

#[test]
fn ranking_sees_the_order_and_who_never_met() {
    let mut looks = [both_orders(0, 1), both_orders(1, 2)].concat();
    looks.push(look(1, 99, FIRST, None));
    let mut ledger = ledger(&["a", "b"], looks);
    let ranked = rank(&ledger, &AVERAGE, Ties::Half, 100, 1).unwrap().unwrap();
    assert_eq!((ranked.models.len(), ranked.games, ranked.missing), (3, 160, 1));
    assert!(ranked.ranking.order().is_some());
    assert_eq!(ranked.ranking.components.len(), 1);
    ledger.contests[1].baseline = "elsewhere".into();
    let apart = rank(&ledger, &AVERAGE, Ties::Half, 100, 1).unwrap().unwrap();
    assert_eq!(apart.ranking.components.len(), 2);
    assert_eq!(apart.order().len(), 4);
    ledger.looks[0].score = Some(0.7);
    let error = rank(&ledger, &AVERAGE, Ties::Davidson, 100, 1).unwrap_err().to_string();
    assert!(error.contains("--ties half"), "{error}");
}

#[test]
fn people_correct_the_judge() {
    let judged: Vec<Judged> =
        (0..60).map(|prompt| look(0, prompt, None, Some((prompt % 3 == 0).into()))).collect();
    // People agree on the first 20 prompts, except on two that the judge calls lost.
    let people: Vec<Judged> = judged
        .iter()
        .take(20)
        .map(|look| Judged {
            score: Some(if [1, 7].contains(&look.prompt.0) { 1.0 } else { look.score.unwrap() }),
            ..*look
        })
        .collect();
    let labels = HumanLabels::new(&ledger(&["m"], people), &AVERAGE);
    let scores = prompt_scores(&ledger(&["m"], judged), 0, &AVERAGE);
    let found = corrected("m", "base", &scores, &labels);
    assert_eq!(found.labelled, 20);
    assert_eq!(found.agreement.unwrap().point, 0.9);
    // import numpy as np; po, pe = 18/20, 7/20 * 9/20 + 13/20 * 11/20; (po - pe) / (1 - pe)
    assert!((found.kappa.unwrap().point - 0.793_814_432_989_690_8).abs() < 1e-12);
    let powered = found.prediction_powered.unwrap().estimate;
    assert!(powered.point > 1.0 / 3.0 && powered.includes(0.4), "{powered:?}");
    let error_free = found.rogan_gladen.unwrap();
    assert_eq!((error_free.specificity, error_free.sensitivity), (1.0, 7.0 / 9.0));
    assert_eq!(corrected("other", "base", &scores, &labels).labelled, 0);
}

#[test]
fn length_control_says_why_it_is_not_there() {
    let control_with = |scores: &[PromptScore], others: &[&[PromptScore]]| {
        control("m", scores, others, &Published::default(), Control { folds: 50, seed: 1 })
    };
    let scores_of = |shift| prompt_scores(&ledger(&["m"], both_orders(0, shift)), 0, &AVERAGE);
    let scores = scores_of(1);
    let found = control_with(&scores, &[]).unwrap();
    assert_eq!(found.method, Method::NoDifficulty);
    assert!(found.interval.unwrap().includes(found.win_rate));
    let (second, third) = (scores_of(2), scores_of(3));
    let found = control_with(&scores, &[&second[..], &third[..]]).unwrap();
    assert_eq!(found.method, Method::EstimatedDifficulty { models: 2 });
    let mut unknown = scores.clone();
    unknown[5].model_characters = None;
    assert!(control_with(&unknown, &[]).unwrap_err().contains("--outputs"));
    let mut turns = scores;
    turns[5].conversation = turns[4].prompt;
    assert!(control_with(&turns, &[]).unwrap_err().contains("turns of conversations"));
}
