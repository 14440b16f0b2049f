use std::{fs, path::Path};

use super::*;
use crate::{
    record::Verdict,
    stats::{self, Estimate},
};

const FIRST: Option<Side> = Some(Side::First);
const SECOND: Option<Side> = Some(Side::Second);
const TIE: Option<Side> = None;

/// An instruction, the votes on its answers, and what most people preferred.
type Votes<'a> = (&'a str, &'a [Option<Side>], Option<Side>);

fn pair(index: usize, answers: [&str; 2], votes: &[Option<Side>]) -> HumanPair {
    HumanPair {
        id: index.to_string(),
        index,
        instruction: format!("Q{index}"),
        first: answers[0].to_owned(),
        second: answers[1].to_owned(),
        votes: votes.to_vec(),
        preferred: readers::majority(votes).flatten(),
    }
}

fn said(scores: &[Option<f64>]) -> Opinion {
    Opinion { scores: scores.to_vec(), both_orders: scores.len() == 2, together: None }
}

#[test]
fn preferences_are_averaged_over_both_orders_before_they_are_read() {
    let pairs = [pair(0, ["a", "b"], &[FIRST]), pair(1, ["same", "same"], &[TIE])];
    let [first, second] = sides(&pairs);
    assert_eq!((first[0].output.as_str(), second[0].output.as_str()), ("a", "b"));
    let look = |prompt: &str, order, verdict, preference| Judgment {
        id: format!("{prompt} {order:?}"),
        prompt_id: prompt.into(),
        dataset: String::new(),
        candidate: "first".into(),
        baseline: "second".into(),
        order,
        verdict: Some(verdict),
        preference,
        reply: String::new(),
    };
    // Always the answer in the first place, but more so when that is the first answer.
    let judgments = [
        look("0", Order::CandidateFirst, Verdict::Win, Some(0.9)),
        look("0", Order::BaselineFirst, Verdict::Loss, Some(0.3)),
        look("1", Order::OrderFree, Verdict::Tie, None),
    ];
    let scores = |rule| -> Vec<Option<f64>> {
        opinions(&pairs, &judgments, rule).iter().map(Opinion::score).collect()
    };
    assert_eq!(scores(Score::Verdicts), [Some(0.5), Some(0.5)]);
    assert_eq!(scores(Score::Preferences), [Some(1.0), Some(0.5)]);
    assert_eq!(opinions(&pairs, &judgments[..1], Score::Verdicts)[0].score(), None);
}

fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pairs.json");
    fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn people_are_read_from_every_format() {
    let check = |text: &str, expected: &[Votes]| {
        let (_directory, path) = written(text);
        let pairs = human_pairs(&path).unwrap();
        let found: Vec<Votes> = pairs
            .iter()
            .map(|pair| (pair.instruction.as_str(), &pair.votes[..], pair.preferred))
            .collect();
        assert_eq!(found, expected);
    };
    // PandaLM's: 0 is a tie, and a spreadsheet made a text a boolean.
    check(
        r#"[{"instruction": "Q1", "input": "about x", "response1": true, "response2": "bb",
             "annotator1": 1, "annotator2": 1, "annotator3": 0},
            {"instruction": "Q2", "response1": "a", "response2": "b",
             "annotator1": 2, "annotator2": 1, "annotator3": 0},
            {"instruction": "Q3", "response1": "a", "response2": "b",
             "annotator1": 0, "annotator2": 0, "annotator3": 2}]"#,
        &[
            ("Q1\n\nabout x", &[FIRST, FIRST, TIE], FIRST),
            ("Q2", &[SECOND, FIRST, TIE], None),
            ("Q3", &[TIE, TIE, SECOND], None),
        ],
    );
    // LLMBar's.
    check(
        r#"[{"input": "Q", "output_1": "a", "output_2": "b", "label": 2}]"#,
        &[("Q", &[SECOND], SECOND)],
    );
    // AlpacaEval's, one label a row: the same texts are two pairs.
    check(
        r#"{"instruction": "Q", "output_1": "a", "output_2": "b", "preference": 1.2}
           {"instruction": "Q", "output_1": "a", "output_2": "b", "preference": null}"#
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n")
            .as_str(),
        &[("Q", &[FIRST], FIRST), ("Q", &[], None)],
    );
    // AlpacaEval's, one vote a row.
    check(
        r#"[{"instruction": "Q", "output_1": "a", "output_2": "b", "preference": 2, "annotator_index": 3},
            {"instruction": "P", "output_1": "a", "output_2": "b", "preference": 1, "annotator_index": 3},
            {"instruction": "Q", "output_1": "a", "output_2": "b", "preference": 0, "annotator_index": 7},
            {"instruction": "Q", "output_1": "a", "output_2": "b", "preference": 2.0, "annotator_index": 8}]"#,
        &[("Q", &[SECOND, TIE, SECOND], SECOND), ("P", &[FIRST], FIRST)],
    );
    for (text, expected) in [
        (r#"[{"instruction": "Q", "annotator1": 1}]"#, "pairs.json: item 1: expected PandaLM's"),
        (r#"[{"input": "Q", "output_1": "", "output_2": "", "label": 3}]"#, "item 1: expected"),
        ("[]", "holds no pairs"),
        ("{", "neither a JSON array nor JSONL"),
    ] {
        let (_directory, path) = written(text);
        let error = human_pairs(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn recorded_verdicts_find_their_pairs() {
    let pairs =
        [pair(4, ["a", "b"], &[FIRST]), pair(7, ["c", "d"], &[TIE]), pair(8, ["e", "f"], &[])];
    let check = |text: &str, expected: [&[Option<f64>]; 3], strangers, price| {
        let (_directory, path) = written(text);
        let found = recorded(&path, &pairs).unwrap();
        let scores: Vec<&[Option<f64>]> =
            found.opinions.iter().map(|opinion| &opinion.scores[..]).collect();
        assert_eq!((&scores[..], found.strangers, found.price), (&expected[..], strangers, price));
    };
    check(
        r#"[{"idx": 7, "gpt_result": "Tie"}, {"idx": 4, "gpt_result": "2"},
            {"idx": 8, "gpt_result": "garbage"}, {"idx": 99, "gpt_result": 1}]"#,
        [&[Some(0.0)], &[Some(0.5)], &[None]],
        1,
        None,
    );
    // Several votes, one of them with the answers turned, and one that could not be read.
    check(
        r#"[{"instruction": "Q4", "output_1": "a", "output_2": "b", "preference": 1.25, "price_per_example": 0.5},
            {"instruction": "Q4", "output_1": "b", "output_2": "a", "preference": 2.0, "price_per_example": 1.5},
            {"instruction": "Q7", "output_1": "c", "output_2": "d", "preference": null, "price_per_example": 1.0}]"#,
        [&[Some(0.75), Some(1.0)], &[None], &[]],
        0,
        Some(1.0),
    );
    let (_directory, path) = written(r#"[{"idx": 0, "gpt_result": 1}]"#);
    let error = recorded(&path, &pairs).unwrap_err().to_string();
    assert!(error.contains("no verdict on any of the 3 pairs"), "{error}");
}

fn point(found: Option<Estimate>) -> Option<(f64, usize)> {
    found.map(|estimate| ((estimate.point * 1e9).round() / 1e9, estimate.n))
}

#[test]
fn numbers_by_hand() {
    let long = "a much longer answer than the other, with a list:\n- x\n- y";
    let pairs = [
        pair(0, ["a", long], &[FIRST, FIRST, SECOND]),
        pair(1, [long, "b"], &[FIRST, FIRST, FIRST]),
        pair(2, ["c", "d"], &[TIE, TIE, SECOND]),
        pair(3, ["ee", "f"], &[SECOND, FIRST, TIE]),
        pair(4, ["g", "hh"], &[SECOND, SECOND, SECOND]),
    ];
    let opinions = [
        said(&[Some(1.0), Some(1.0)]),
        said(&[Some(1.0), Some(0.0)]),
        said(&[Some(0.5), Some(0.5)]),
        said(&[Some(0.0), Some(0.0)]),
        said(&[Some(0.0), None]),
    ];
    let found = quality(&pairs, &opinions);
    let counts = (found.pairs, found.with_majority, found.with_preference, found.missing);
    assert_eq!(counts, (5, 4, 3, 1));
    // Pairs 0 and 1: right, and half right for two orders that contradict each other.
    assert_eq!(point(found.agreement), Some((0.75, 2)));
    // Longer: pair 0 no, pair 1 yes, pair 4 yes.
    assert_eq!(point(found.longer), Some((0.666_666_667, 3)));
    // Others that agree on an answer: on pair 0 once (the third person, wrong), on 1 and 4 thrice.
    // On pair 3 the others are always two, who differ.
    assert_eq!(point(found.ceiling), Some((0.857_142_857, 3)));
    // The judge: pair 0 once right, pair 1 thrice half right: (1 + 1.5) / 4.
    assert_eq!(point(found.beside_ceiling), Some((0.625, 2)));
    // Pair 0 and 2 have the majority's label; pair 1 has not.
    assert_eq!(point(found.same_label), Some((0.666_666_667, 3)));
    // Judge: first, tie, tie; people: first, first, tie. (2/3 - 4/9) / (1 - 4/9), with chance
    // (1/3)(2/3) + (2/3)(1/3) = 4/9.
    assert_eq!(point(found.kappa), Some((0.4, 3)));
    // AlpacaEval's: |p - q| is 0 and 0.5 and 0, and on pair 3 the consensus of people is any of three
    // values: (0 + 0.5 + 1) / 3.
    assert_eq!(point(found.alpaca_bias), Some((0.25, 4)));
    // Looks that differ by 1 on one pair of four.
    assert_eq!(point(found.alpaca_variance), Some((0.25, 4)));
    let orders = found.orders.unwrap();
    assert_eq!(point(Some(orders.consistency)), Some((0.75, 4)));
    assert_eq!(point(Some(orders.first_slot)), Some((0.625, 4)));
    // By more than 30 characters, with a preference: the judge only on pair 0, people also on 1.
    assert_eq!(point(found.judge.longer), Some((0.0, 1)));
    assert_eq!(point(found.people.longer), Some((0.5, 2)));
    assert_eq!(point(found.people.lists), Some((0.5, 2)));
    assert!(found.is_weak());

    let silent = quality(&pairs, &vec![Opinion::default(); 5]);
    assert_eq!((silent.missing, silent.agreement, silent.orders), (5, None, None));
    assert!(silent.is_weak());
    // Nothing is certain because all pairs say the same.
    let one_voice = quality(&pairs[4..], &[said(&[Some(0.0)])]);
    assert_eq!(point(one_voice.ceiling), Some((1.0, 1)));
    assert!(one_voice.ceiling.unwrap().lower < 0.5);
}

// README.md of WeOpenML/PandaLM gives the kappas .85, .88 and .86 of its annotators, and 105, 422 and
// 472 majority labels. The rest is from plain Python over the same files.
#[test]
fn pandalm_published_numbers_come_out() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/pandalm_human_999");
    if !directory.exists() {
        eprintln!("skipped: {} is not here", directory.display());
        return;
    }
    let pairs = human_pairs(&directory.join("testset-v1.json")).unwrap();
    let majorities: Vec<_> =
        pairs.iter().filter_map(|pair| readers::majority(&pair.votes)).collect();
    let count = |label| majorities.iter().filter(|&&found| found == label).count();
    assert_eq!([count(TIE), count(FIRST), count(SECOND)], [105, 422, 472]);
    let labels = |person: usize| -> Vec<usize> {
        let label = |vote| [FIRST, TIE, SECOND].iter().position(|&one| one == vote).unwrap();
        pairs.iter().map(|pair| label(pair.votes[person])).collect()
    };
    for (one, other, expected) in
        [(0, 1, 0.852_022_678_5), (0, 2, 0.878_943_811_3), (1, 2, 0.861_661_454_1)]
    {
        let kappa = stats::cohens_kappa(&labels(one), &labels(other)).unwrap().point;
        assert!((kappa - expected).abs() < 1e-9, "{kappa}");
    }
    // missing; agreement, beside the ceiling, same label, kappa, bias, prefers longer
    for (file, missing, expected) in [
        (
            "gpt-3.5-turbo-testset-v1.json",
            25,
            [
                0.803_287_981_9,
                0.811_939_690_3,
                0.715_605_749_5,
                0.492_864_715_3,
                0.222_792_607_8,
                0.651_419_558_4,
            ],
        ),
        (
            "pandalm-7b-testset-v1.json",
            0,
            [
                0.752_237_136_5,
                0.760_878_323_9,
                0.667_667_667_7,
                0.435_354_924_8,
                0.258_258_258_3,
                0.676_848_874_6,
            ],
        ),
    ] {
        let verdicts = recorded(&directory.join(file), &pairs).unwrap();
        let found = quality(&pairs, &verdicts.opinions);
        assert_eq!((found.with_preference, found.missing), (894, missing), "{file}");
        let points = [
            found.agreement,
            found.beside_ceiling,
            found.same_label,
            found.kappa,
            found.alpaca_bias,
            found.judge.longer,
            found.ceiling,
            found.people.longer,
            found.longer,
            found.human_alpha,
        ];
        let people = [0.965_954_875_1, 0.711_838_006_2, 0.673_937_360_2, 0.864_220_685_2];
        for (point, expected) in points.into_iter().zip(expected.into_iter().chain(people)) {
            let point = point.unwrap().point;
            assert!((point - expected).abs() < 1e-9, "{file}: {point} is not {expected}");
        }
        assert!(!found.is_weak(), "{file}");
    }
}
