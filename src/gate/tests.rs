//! Verdicts from made-up evidence, suites and locks.
use super::{suite::Suite, *};
use crate::record::{Completion, Finish, Prompt};

const SUITE: &str = r#"
[[check]]
name = "assistant"
reference = "old.json"
margin = 5
[check.judge]
judge = "pair-verdict"
"#;

fn check(keys: &str) -> Check {
    let text = SUITE.replace("margin = 5", &format!("margin = 5\n{keys}"));
    Suite::parse(&text).unwrap().checks.remove(0)
}

/// Of `n` prompts in two slices, a share that the candidate wins, and the rest are lost.
fn evidence(n: usize, won: usize) -> Evidence {
    let direct = (0..n)
        .map(|i| Scored {
            prompt: i.to_string(),
            dataset: if i % 2 == 0 { "even" } else { "odd" }.into(),
            // Spread evenly, so that no slice or stretch differs from the whole.
            score: Some(f64::from(u8::from((i * 7919) % n < won))),
        })
        .collect();
    Evidence {
        candidate: "new".into(),
        reference: "old".into(),
        judge: "j".into(),
        prompts: n,
        direct,
        candidate_characters: 100.0,
        reference_characters: 100.0,
        ..Evidence::default()
    }
}

fn verdict(check: &Check, evidence: &Evidence) -> (Verdict, String) {
    let outcome = decide(check, evidence).unwrap();
    (outcome.verdict, outcome.reasons.join("; "))
}

#[test]
fn the_interval_decides() {
    let check = check("");
    let expect = |n: usize, won: usize, expected: Verdict, words: &str| {
        let (found, reasons) = verdict(&check, &evidence(n, won));
        assert!(found == expected && reasons.contains(words), "{won} of {n}: {found:?}, {reasons}");
    };
    expect(2001, 1101, Verdict::Better, "above zero");
    expect(2001, 1000, Verdict::NoWorse, "a loss of 5 points is excluded");
    expect(2001, 801, Verdict::Regressed, "lies below a loss of 5 points");
    expect(101, 50, Verdict::Inconclusive, "neither excludes a loss of 5 points");
    assert_eq!(Verdict::Better.exit_code() + Verdict::NoWorse.exit_code(), 0);
    assert_eq!((Verdict::Regressed.exit_code(), Verdict::Inconclusive.exit_code()), (1, 3));
}

#[test]
fn a_sequence_needs_more_and_says_what_it_saved() {
    let mut evidence = evidence(301, 41);
    evidence.prompts = 805;
    let outcome = decide(&check("until_decided = true"), &evidence).unwrap();
    assert_eq!((outcome.verdict, outcome.saved), (Verdict::Regressed, Some(504)));
    assert_eq!(outcome.parts.len(), 1, "a slice was not looked at in order");
}

#[test]
fn green_is_withheld_where_something_is_not_known() {
    let good = evidence(2001, 1101);
    let expect = |keys: &str, change: &dyn Fn(&mut Evidence), words: &str| {
        let mut evidence = good.clone();
        change(&mut evidence);
        let (found, reasons) = verdict(&check(keys), &evidence);
        assert!(found == Verdict::Inconclusive && reasons.contains(words), "{found:?}: {reasons}");
    };
    let nothing = |_: &mut Evidence| {};
    expect("", &|one| one.ended_early = Some("the budget is used up".into()), "budget");
    let contrary = |one: &mut Evidence| (one.both_orders, one.same_in_both) = (2001, 100);
    expect("", &contrary, "the same in both orders on 5.0% of 2001 prompts");
    expect("", &|one| one.drift = Some("the judge has drifted".into()), "drifted");
    expect("floors = { agreement = 0.65 }", &nothing, "is not known");
    let known = "floors = { agreement = 0.65 }\nagreement = { estimate = 0.7, lower = 0.6, upper = 0.8, n = 9, measured_on = \"x\" }";
    expect(known, &nothing, "at least 60.0% of pairs, and 65.0%");
    let missing = |one: &mut Evidence| {
        one.direct.iter_mut().step_by(5).for_each(|scored| scored.score = None);
    };
    expect("", &missing, "1600 of 2001 judged prompts have a score");
}

#[test]
fn red_comes_from_slices_baselines_faults_and_length_too() {
    let good = evidence(2001, 1101);
    let expect = |keys: &str, change: &dyn Fn(&mut Evidence), words: &str| {
        let mut evidence = good.clone();
        change(&mut evidence);
        let (found, reasons) = verdict(&check(keys), &evidence);
        assert!(found == Verdict::Regressed && reasons.contains(words), "{found:?}: {reasons}");
    };
    let bad_slice = |one: &mut Evidence| {
        let own = one.direct.iter_mut().filter(|scored| scored.prompt.ends_with('8'));
        for scored in own {
            scored.dataset = "eights".into();
            scored.score = Some(0.0);
        }
    };
    expect("", &bad_slice, "slice eights");
    let (found, _) = verdict(&check("slices = false"), &{
        let mut evidence = good.clone();
        bad_slice(&mut evidence);
        evidence
    });
    assert_eq!(found, Verdict::NoWorse);
    let behind = |one: &mut Evidence| {
        let pairs = (0..500).map(|i| (Some(f64::from(u8::from(i % 3 == 0))), Some(0.5))).collect();
        one.through.push(Against { baseline: "third".into(), pairs });
    };
    expect("", &behind, "through third");
    expect("", &|one| one.candidate_faults.shares[0] = 0.01, "1.0% of the answers are empty");
    let limit = "ceilings = { length_growth = 1.5 }";
    expect(limit, &|one| one.candidate_characters = 160.0, "1.60 times as long");
}

#[test]
fn one_slice_of_many_that_looks_bad_by_chance_is_not_red() {
    let mut evidence = evidence(2001, 1101);
    for (place, scored) in evidence.direct.iter_mut().enumerate() {
        scored.dataset = format!("s{}", place % 40);
    }
    // 2.0% alone, and not among forty.
    let slice = evidence.direct.iter_mut().filter(|scored| scored.dataset == "s3");
    slice.enumerate().for_each(|(i, scored)| scored.score = Some(f64::from(u8::from(i < 15))));
    let outcome = decide(&check(""), &evidence).unwrap();
    let part = outcome.parts.iter().find(|part| part.what == What::Slice("s3".into())).unwrap();
    assert!(part.difference.unwrap().upper < 0.0, "{part:?}");
    assert_eq!((part.gate, outcome.verdict), (Gate::Inconclusive, Verdict::Better));
}

#[test]
fn nothing_judged_is_an_error() {
    let refuse = |evidence: &Evidence, words: &str| {
        let error = decide(&check(""), evidence).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refuse(&Evidence::default(), "the eval set is empty");
    let mut evidence = evidence(9, 3);
    evidence.direct.iter_mut().for_each(|scored| scored.score = None);
    refuse(&evidence, "none of 9 judged prompts has a verdict");
}

#[test]
fn mistakes_in_a_suite_are_named() {
    let refuse = |from: &str, to: &str, words: &str| {
        let error = Suite::parse(&SUITE.replace(from, to)).unwrap_err();
        assert!(format!("{error:#}").contains(words), "{error:#}");
    };
    refuse("margin = 5", "margin = 0", "margin = 0: expected points");
    refuse("margin = 5", "margin = 5\nmargins = 5", "unknown field `margins`");
    refuse("assistant", "a b", "name: use letters");
    refuse(
        "margin = 5",
        "margin = 5\nuntil_decided = true\nbaselines = [\"x\"]",
        "leave baselines",
    );
    refuse("margin = 5", "margin = 5\nceilings = { empty = 2 }", "expected a share");
    refuse("margin = 5", "margin = 5\nbudget = { dollars = 0 }", "expected a number above 0");
    let judge = "[check.judge]\njudge = \"pair-verdict\"\n";
    refuse(judge, "", "expected one of [check.judge]");
    let local = "[check.local_judge]\nmethod = \"likelihood\"\nweights = { from = [\"file:m\"] }\n";
    refuse(judge, &format!("{judge}{local}"), "expected one of [check.judge]");
    refuse(judge, &format!("[check.budget]\ncalls = 9\n{local}"), "leave until_decided, anchors");
    let twice = format!("{SUITE}{SUITE}");
    assert!(format!("{:#}", Suite::parse(&twice).unwrap_err()).contains("two checks are called"));
}

#[test]
fn a_lock_knows_what_changed() {
    let answer = |output: &str| Completion {
        id: "p".into(),
        instruction: "Q".into(),
        output: output.into(),
        generator: "old".into(),
        dataset: String::new(),
        finish: Finish::Stop,
    };
    let prompt =
        |text: &str| Prompt { id: "p".into(), instruction: text.into(), dataset: String::new() };
    let locked = Locked {
        reference: "old".into(),
        eval_set: prompts_hash(&[prompt("Q")]),
        judge: "pair-verdict".into(),
        judge_model: "m".into(),
        judge_hash: "h".into(),
        answers: answer_hashes(&[answer("a")]),
        baselines: [("third".to_owned(), LockedBaseline::default())].into(),
        ..Locked::default()
    };
    locked.compare(&locked).unwrap();
    let differs = |change: &dyn Fn(&mut Locked), words: &str| {
        let mut now = locked.clone();
        change(&mut now);
        let error = locked.compare(&now).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("--update"), "{error}");
    };
    differs(&|now| now.judge_model = "n".into(), "the judge's model was \"m\" and is \"n\"");
    differs(&|now| now.judge_hash = "other".into(), "prompt, sampling or parser was changed");
    differs(&|now| now.eval_set = prompts_hash(&[prompt("R")]), "the eval set has other prompts");
    differs(&|now| now.answers = answer_hashes(&[answer("b")]), "1 of 1 answers of the reference");
    differs(&|now| now.baselines = Default::default(), "\"third\" is gone");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spyhop.lock");
    let mut lock = Lock::default();
    lock.put("assistant", locked.clone());
    lock.save(&path).unwrap();
    let read = Lock::load(&path).unwrap();
    assert_eq!((&read, read.of("assistant").unwrap()), (&lock, &locked));
    assert!(read.of("other").unwrap_err().to_string().contains("no check \"other\""));

    let text = std::fs::read_to_string(&path).unwrap();
    let refuse = |from: &str, to: &str, words: &str| {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let error = format!("{:#}", Lock::load(&path).unwrap_err());
        assert!(error.contains(words), "{error}");
    };
    refuse("\"m\"", "\"n\"", "was edited");
    refuse("\"version\": 2", "\"version\": 0", "is a lock of version 0");
    refuse("{", "[", "is no lock");
    std::fs::remove_file(&path).unwrap();
    assert!(format!("{:#}", Lock::load(&path).unwrap_err()).contains("cannot read the lock"));
}
