use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use super::*;
use crate::stats::{self, Estimate};

/// Verdicts on all anchors in both orders, of a judge that says which of two answers is the better one:
/// the first (`Some(true)`), the second, or neither.
fn judged(first_is_better: impl Fn(&Anchor, &str, &str) -> Option<bool>) -> Vec<Judgment> {
    let verdict = |first: Option<bool>| match first {
        None => Verdict::Tie,
        Some(true) => Verdict::Win,
        Some(false) => Verdict::Loss,
    };
    let mut rows = Vec::new();
    for anchor in anchors() {
        let Anchor { better, worse, .. } = &anchor;
        let shown_first = first_is_better(&anchor, better, worse);
        let shown_second = first_is_better(&anchor, worse, better).map(|first| !first);
        for (order, said) in
            [(Order::CandidateFirst, shown_first), (Order::BaselineFirst, shown_second)]
        {
            rows.push(Judgment {
                id: format!("{} {order:?}", anchor.id),
                prompt_id: anchor.id.clone(),
                dataset: "anchors".into(),
                candidate: "anchor-better".into(),
                baseline: "anchor-worse".into(),
                order,
                verdict: Some(verdict(said)),
                preference: None,
                reply: String::new(),
            });
        }
    }
    rows
}

/// A run with these outcomes of the first anchors, and right on all others.
fn run_of(time: u64, judge_hash: &str, first: &[Outcome]) -> AnchorRun {
    let ids = anchors().into_iter().map(|anchor| anchor.id).enumerate();
    let outcome = |place: usize| first.get(place).copied().unwrap_or(Outcome::Right);
    AnchorRun {
        id: format!("{judge_hash} {time}"),
        time,
        judge: "pair-verdict".into(),
        model: "some-model".into(),
        judge_hash: judge_hash.into(),
        server: "http://a".into(),
        anchors: set_hash(),
        scores: ids.map(|(place, id)| (id, outcome(place))).collect(),
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

/// A frozen set does not change: one that is better is another set, in another file.
#[test]
fn the_set_is_the_one_that_was_frozen() {
    assert_eq!(set_hash(), "f352158ad751bbd1");
}

#[test]
fn the_set_has_eight_kinds_of_six_and_favours_no_length_and_no_list() {
    let anchors = anchors();
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut seen = HashSet::new();
    let (mut shorter, mut only_better_lists, mut only_worse_lists) = (0, 0, 0);
    for (place, anchor) in anchors.iter().enumerate() {
        let Anchor { id, kind, instruction, better, worse } = anchor;
        assert_eq!(*id, format!("anchor-{:02}", place + 1));
        *kinds.entry(*kind).or_default() += 1;
        assert!(seen.insert(instruction.to_lowercase()), "{id}: the instruction occurs twice");
        for answer in [better, worse] {
            let words = answer.split_whitespace().count();
            assert!((20..=120).contains(&words), "{id}: an answer of {words} words");
            assert_eq!(answer.trim(), answer, "{id}");
        }
        let lengths = [better, worse].map(|answer| answer.chars().count());
        // Beyond the margin up to which AlpacaEval calls two answers equally long.
        assert!(lengths[0].abs_diff(lengths[1]) > 30, "{id}: {lengths:?}");
        shorter += usize::from(lengths[0] < lengths[1]);
        let lists = [better, worse].map(|answer| stats::contains_list(answer));
        only_better_lists += usize::from(lists == [true, false]);
        only_worse_lists += usize::from(lists == [false, true]);
        if *kind == Kind::LengthTrap {
            assert!(lengths[1] > 3 * lengths[0] && lists == [false, true], "{id}: no trap");
        }
    }
    assert_eq!((anchors.len(), shorter), (48, 24));
    assert_eq!((kinds.len(), kinds.values().all(|&n| n == 6)), (8, true));
    assert_eq!((only_better_lists, only_worse_lists), (12, 12));
}

#[test]
fn no_instruction_is_that_of_another_set_of_ours() {
    let here: HashSet<String> = anchors().into_iter().map(|anchor| anchor.instruction).collect();
    for file in ["eval_sets/first-look/prompts.jsonl", "recipes/quickstart/seed.jsonl"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        for line in fs::read_to_string(path).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(!here.contains(row["instruction"].as_str().unwrap()), "{file}: {line}");
        }
    }
}

#[test]
fn the_sides_are_two_models_with_the_same_prompts() {
    let [better, worse] = sides();
    assert_eq!((better.len(), worse.len()), (48, 48));
    for (better, worse) in better.iter().zip(&worse) {
        assert_eq!((&better.id, &better.instruction), (&worse.id, &worse.instruction));
        assert_ne!(better.output, worse.output);
        assert_eq!(better.generator, "anchor-better");
        assert_eq!(worse.generator, "anchor-worse");
    }
}

// from scipy.stats import binomtest; binomtest(48, 48).proportion_ci(method="wilson")
#[test]
fn a_perfect_judge_is_right_on_all() {
    let accuracy = accuracy(&outcomes(&judged(|anchor, first, _| Some(first == anchor.better))));
    let all = accuracy.all.unwrap();
    assert_eq!((accuracy.right, all.point, all.n), (48, 1.0, 48));
    close(all.lower, 0.925899870334);
    assert_eq!(accuracy.by_kind.len(), 8);
    assert!(accuracy.by_kind.values().all(|share| share.unwrap().point == 1.0));
}

#[test]
fn a_judge_that_goes_by_length_or_by_lists_is_right_on_half() {
    let length = |answer: &str| answer.chars().count();
    let longest = outcomes(&judged(|_, first, second| Some(length(first) > length(second))));
    let longest = accuracy(&longest);
    let point = |share: Option<Estimate>| share.unwrap().point;
    assert_eq!((longest.right, longest.wrong, point(longest.all)), (24, 24, 0.5));
    assert_eq!((point(longest.length_traps), longest.length_traps.unwrap().n), (0.0, 6));
    assert_eq!((point(longest.other_kinds), longest.other_kinds.unwrap().n), (24.0 / 42.0, 42));
    assert_eq!((point(longest.better_is_shorter), point(longest.better_is_longer)), (0.0, 1.0));
    let lists = accuracy(&outcomes(&judged(|_, first, second| {
        let lists = [first, second].map(stats::contains_list);
        (lists[0] != lists[1]).then_some(lists[0])
    })));
    assert_eq!((lists.right, lists.undecided, lists.wrong), (12, 24, 12));
    assert_eq!(point(lists.all), 0.5);
}

#[test]
fn a_judge_that_goes_by_place_or_always_ties_is_undecided() {
    for said in [Some(true), Some(false), None] {
        let outcomes = outcomes(&judged(|_, _, _| said));
        assert_eq!(outcomes, [Outcome::Undecided; 48]);
        assert_eq!(accuracy(&outcomes).all.unwrap().point, 0.5);
    }
}

#[test]
fn an_outcome_takes_both_orders() {
    let check = |first: Option<Verdict>, second: Option<Verdict>, expected: Outcome| {
        let mut rows = judged(|_, _, _| None);
        (rows[0].verdict, rows[1].verdict) = (first, second);
        assert_eq!(outcomes(&rows)[0], expected, "{first:?} {second:?}");
    };
    let (win, tie, loss) = (Some(Verdict::Win), Some(Verdict::Tie), Some(Verdict::Loss));
    check(win, win, Outcome::Right);
    check(loss, loss, Outcome::Wrong);
    for (first, second) in [(win, loss), (loss, win), (win, tie), (tie, loss), (tie, tie)] {
        check(first, second, Outcome::Undecided);
    }
    for (first, second) in [(win, None), (None, loss), (None, None)] {
        check(first, second, Outcome::Missing);
    }
    let one_order: Vec<Judgment> = judged(|_, _, _| Some(true)).into_iter().step_by(2).collect();
    assert_eq!(outcomes(&one_order), [Outcome::Missing; 48]);
    let none = accuracy(&outcomes(&[]));
    assert_eq!((none.missing, none.all, none.by_kind.len()), (48, None, 8));
    assert_eq!(none.words(), ["anchors: not one was judged"]);
}

#[test]
fn a_history_keeps_judges_apart_and_drops_a_torn_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("anchors.jsonl");
    let now = run_of(50, "one", &[]);
    assert_eq!(history::earlier(&path, "one").unwrap(), []);
    let other_set = AnchorRun { anchors: "another".into(), ..run_of(11, "one", &[]) };
    // Two processes can write in the other order than they began.
    let mine = [run_of(30, "one", &[Outcome::Wrong, Outcome::Missing]), run_of(10, "one", &[])];
    for run in [&other_set, &mine[0], &run_of(20, "two", &[]), &mine[1]] {
        history::append(&path, run).unwrap();
    }
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{}", &whole[..90])).unwrap();
    let expected = [mine[1].clone(), mine[0].clone()];
    assert_eq!(history::earlier(&path, "one").unwrap(), expected);
    history::append(&path, &now).unwrap();
    let expected = [expected.as_slice(), std::slice::from_ref(&now)].concat();
    assert_eq!(history::earlier(&path, "one").unwrap(), expected);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&whole) && text.lines().count() == 5, "{text}");
    assert!(text.contains(r#""anchor-01":0.0,"anchor-02":null,"anchor-03":1.0"#), "{text}");
    let error = history::append(&path, &now).unwrap_err().to_string();
    assert!(error.contains("in this very second"), "{error}");
    fs::write(&path, whole.replacen("\"anchor-01\":0.0", "\"anchor-01\":0.3", 1)).unwrap();
    let error = format!("{:#}", history::earlier(&path, "one").unwrap_err());
    assert!(error.contains("anchors.jsonl:2") && error.contains("0.5, 0 or null"), "{error}");
}

// p is 2 P(X <= the smaller number), X ~ Binomial(all that changed, 1/2), by hand:
// 6 to 0: 2 / 64; 5 to 0: 2 / 32; 7 to 1: 2 (1 + 8) / 256; 8 to 1: 2 (1 + 9) / 512; 3 to 3: 1.
#[test]
fn drift_counts_what_changed_and_tests_its_direction() {
    use Outcome::{Right, Undecided, Wrong};
    let check = |then: &[Outcome], now: &[Outcome], better, worse, p: f64, finding| {
        let found = drift::drift(&run_of(9, "one", now), &[run_of(1, "one", then)]);
        let change = found.since_first.unwrap();
        assert_eq!((change.compared, change.better, change.worse), (48, better, worse));
        assert_eq!((change.finding, found.since_last), (finding, None));
        close(change.p, p);
        let mean = |outcomes: &[Outcome]| {
            outcomes.iter().filter_map(|one| one.score()).map(|score| 1.0 - score).sum::<f64>()
        };
        let difference = change.difference.unwrap();
        close(difference.point, (mean(then) - mean(now)) / 48.0);
        assert!(difference.lower < difference.point && difference.point < difference.upper);
    };
    check(&[], &[], 0, 0, 1.0, Finding::NoChange);
    check(&[Wrong, Undecided], &[Wrong, Undecided], 0, 0, 1.0, Finding::NoChange);
    check(&[], &[Wrong], 0, 1, 1.0, Finding::NoDirection);
    check(&[], &[Undecided; 5], 0, 5, 0.0625, Finding::NoDirection);
    check(&[], &[Undecided; 6], 0, 6, 0.03125, Finding::Worse);
    check(&[Wrong; 6], &[], 6, 0, 0.03125, Finding::Better);
    let one_up = [&[Wrong][..], &[Right; 8]].concat();
    let seven_down = [&[Right][..], &[Wrong; 7]].concat();
    check(&one_up, &seven_down, 1, 7, 0.0703125, Finding::NoDirection);
    let eight_down = [&[Right][..], &[Wrong; 8]].concat();
    check(&one_up, &eight_down, 1, 8, 0.0390625, Finding::Worse);
    check(
        &[Wrong, Wrong, Undecided, Right, Right, Right],
        &[Right, Undecided, Right, Wrong, Undecided, Wrong],
        3,
        3,
        1.0,
        Finding::NoDirection,
    );
}

#[test]
fn a_run_with_more_than_a_tenth_missing_is_not_compared() {
    let whole = run_of(1, "one", &[]);
    let four = run_of(2, "one", &[Outcome::Missing; 4]);
    let five = run_of(3, "one", &[Outcome::Missing; 5]);
    assert_eq!([whole.too_few(), four.too_few(), five.too_few()], [false, false, true]);
    let found = drift::drift(&five, std::slice::from_ref(&whole));
    assert_eq!((found.too_few, found.earlier, &found.since_first), (true, 1, &None));
    assert_eq!(found.words(), ["too few anchors judged to tell whether the judge has changed"]);
    let found = drift::drift(&whole, std::slice::from_ref(&five));
    assert_eq!((found.too_few, found.earlier, &found.since_first), (false, 0, &None));
    assert_eq!(found.words(), ["no earlier run of this judge to compare with"]);
    let now = AnchorRun { server: "http://b".into(), ..run_of(7_202, "one", &[]) };
    let found = drift::drift(&now, &[five, four]);
    assert_eq!(found.since_first.as_ref().unwrap().compared, 44);
    assert_eq!(
        found.words(),
        ["since the first run, 2 hours ago at http://a: no change of 44 verdicts"]
    );
}

#[test]
fn the_words_say_how_much_how_sure_and_whether_it_wavered_before() {
    let day = 86_400;
    let words = |now: &[Outcome], earlier: &[&[Outcome]]| {
        let run = |(place, first): (usize, &&[Outcome])| run_of(place as u64 * day, "one", first);
        let earlier: Vec<AnchorRun> = earlier.iter().enumerate().map(run).collect();
        drift::drift(&run_of(earlier.len() as u64 * day, "one", now), &earlier).words()
    };
    let wrong = [Outcome::Wrong; 9];
    assert_eq!(
        words(&[], &[&[], &[]]),
        [
            "since the first run, 2 days ago: no change of 48 verdicts",
            "since the last run, 1 day ago: no change of 48 verdicts",
        ]
    );
    assert_eq!(
        words(&wrong[..2], &[&[], &[]]),
        [
            "since the first run, 2 days ago: 2 of 48 verdicts changed, 0 for the better and 2 for the worse; no direction can be told (p = 0.500)",
            "since the last run, 1 day ago: 2 of 48 verdicts changed, 0 for the better and 2 for the worse; no direction can be told (p = 0.500)",
            "between the two earlier runs, no verdict had changed, so any change is a sign",
        ]
    );
    let drifted = words(&wrong, &[&[], &wrong[..2], &wrong[..2]]);
    assert!(
        drifted[0].starts_with("since the first run, 3 days ago: drifted: 9 of 48 verdicts changed, 0 for the better and 9 for the worse, on the whole for the worse (p = 0.004), accuracy -18.8 points ["),
        "{drifted:?}"
    );
    assert!(drifted[1].contains("7 of 48 verdicts changed"), "{drifted:?}");
    assert_eq!(
        drifted[2],
        "from one of the 3 earlier runs to the next, at most 2 had changed, which is fewer"
    );
    let wavers = words(&wrong[..1], &[&[], &wrong[..2], &[]]);
    assert!(wavers[2].ends_with("up to 2 had changed, which is no fewer"), "{wavers:?}");
}

#[test]
fn a_judge_that_wavers_has_not_drifted() {
    use Outcome::{Right, Undecided, Wrong};
    let before = run_of(1, "one", &[Right, Right, Wrong, Wrong, Undecided]);
    let drifted = |now: &[Outcome]| change(&run_of(2, "one", now), &before).is_drift();
    assert!(!drifted(&[Right, Right, Wrong, Wrong, Undecided]));
    // Two for the better, two for the worse.
    assert!(!drifted(&[Wrong, Undecided, Right, Right, Undecided]));
    // More than a tenth of 48, to no side.
    assert!(drifted(&[Wrong, Undecided, Right, Right, Wrong]));
    // Fewer than a tenth has no direction at 5%, which takes six of one kind: a tenth is the stricter.
    let wrong = [Wrong; 9];
    let lost = change(&run_of(2, "one", &wrong), &before);
    assert!(lost.is_drift() && lost.finding == Finding::Worse, "{lost:?}");
}

#[test]
fn the_gist_and_the_json_hold_the_same_numbers() {
    let mut outcomes = vec![Outcome::Right; 48];
    (outcomes[0], outcomes[1], outcomes[47]) =
        (Outcome::Wrong, Outcome::Undecided, Outcome::Missing);
    let run = run_of(9, "one", &outcomes);
    let drift = drift::drift(&run, &[run_of(1, "one", &[])]);
    let checked = Checked { run, accuracy: accuracy(&outcomes), drift };
    let words = checked.words();
    assert!(words[0].starts_with("anchors: accuracy 96.8% ["), "{words:?}");
    assert!(words[0].ends_with("n = 47; 45 right, 1 undecided, 1 wrong, 1 missing"), "{words:?}");
    assert_eq!(words[3], "kinds that were not all right: wrong fact 4.5 of 6");
    assert_eq!(words.len(), 5);
    let json = serde_json::to_value(&checked).unwrap();
    assert_eq!(json["accuracy"]["all"]["n"], 47);
    assert_eq!(json["accuracy"]["by_kind"]["wrong_fact"]["point"], 4.5 / 6.0);
    assert_eq!(json["accuracy"]["by_kind"]["length_trap"]["n"], 5);
    assert_eq!(json["drift"]["since_first"]["finding"], "no_direction");
    close(json["drift"]["since_first"]["p"].as_f64().unwrap(), 0.5);
    assert_eq!(json["drift"]["since_last"], serde_json::Value::Null);
}
