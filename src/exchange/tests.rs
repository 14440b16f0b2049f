//! Every format read, scored and written again.
use std::{fs, path::PathBuf};

use super::*;
use crate::watch::nobody;

/// AlpacaEval of several vintages: a tie as 0 and as 1.5, a missing verdict as null, NaN and -1.
const ALPACA_EVAL: &str = r#"[
 {"instruction":"Q1","output_1":"b","generator_1":"base","dataset":"d1","output_2":"m\/m","generator_2":"mine","annotator":"judge","preference":2,"price_per_example":0.1},
 {"instruction":"Q2","output_1":"b","generator_1":"base","dataset":"d1","output_2":"mm","generator_2":"mine","annotator":"judge","preference":0},
 {"instruction":"Q3","output_1":"b","generator_1":"base","dataset":"d2","output_2":"b","generator_2":"mine","annotator":"judge","preference":1.5},
 {"instruction":"Q4","output_1":"b","generator_1":"base","dataset":"d2","output_2":"mmm","generator_2":"mine","annotator":"judge","preference":null},
 {"instruction":"Q5","output_1":"b","generator_1":"base","dataset":"d2","output_2":"mmm","generator_2":"mine","annotator":"judge","preference":NaN},
 {"instruction":"Q6","output_1":"b","generator_1":"base","dataset":"d2","output_2":"mmm","generator_2":"mine","annotator":"judge","preference":-1}
]"#;

const FASTCHAT: &str = r#"{"question_id": 81, "model_1": "mine", "model_2": "base", "g1_winner": "model_1", "g2_winner": "model_1", "judge": ["gpt-4", "pair-v2"], "g1_user_prompt": "p1", "g1_judgment": "so [[A]]", "g2_user_prompt": "p2", "g2_judgment": "so [[B]]", "turn": 1, "tstamp": 1.5}
{"question_id": 81, "model_1": "mine", "model_2": "base", "g1_winner": "tie", "g2_winner": "model_2", "judge": ["gpt-4", "pair-v2"], "g1_user_prompt": "p1", "g1_judgment": "so [[C]]", "g2_user_prompt": "p2", "g2_judgment": "so [[A]]", "turn": 2, "tstamp": 1.5}
{"question_id": 82, "model_1": "base", "model_2": "mine", "g1_winner": "error", "g2_winner": "model_2", "judge": ["gpt-4", "pair-v2"], "g1_user_prompt": "p1", "g1_judgment": "?", "g2_user_prompt": "p2", "g2_judgment": "so [[A]]", "turn": 1, "tstamp": 1.5}
"#;

const ARENA_HARD: &str = r#"{"uid": "u1", "category": "hard", "judge": "j", "model": "mine", "baseline": "base", "games": [{"score": "B>>A", "judgment": {"answer": "[[B>>A]]"}, "prompt": [{"role": "user", "content": "x"}]}, {"score": "A>B", "judgment": {"answer": "[[A>B]]"}, "prompt": []}]}
{"uid": "u2", "category": "hard", "judge": "j", "model": "mine", "baseline": "base", "games": [{"score": "A=B", "judgment": {"answer": "tie"}, "prompt": []}, null]}
"#;

const VOTES: &str = r#"{"question_id": 1, "model_a": "mine", "model_b": "base", "winner": "model_a", "judge": "expert", "turn": 1}
{"question_id": 2, "model_a": "base", "model_b": "mine", "winner": "model_a", "judge": "expert", "turn": 1}
{"question_id": 2, "model_a": "base", "model_b": "mine", "winner": "tie (bothbad)", "judge": "expert", "turn": 1}
"#;

const OWN: &str = r#"{"id":"eef732cfc5a5bb6f","prompt_id":"p1","dataset":"d","candidate":"M1","baseline":"base","order":"candidate_first","verdict":"win","preference":0.7,"reply":"A"}
{"id":"16c0c78a4570fa6a","prompt_id":"p1","dataset":"d","candidate":"M1","baseline":"base","order":"baseline_first","verdict":"loss","preference":0.4,"reply":"A"}
{"id":"bd0f7f29697d1442","prompt_id":"p2","dataset":"d","candidate":"M1","baseline":"base","order":"order_free","verdict":null,"preference":null,"reply":"?"}
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn ledger(&self, text: &str) -> anyhow::Result<Ledger> {
        Ledger::read(&[self.file("in", text)], &Answers::default(), false, &nobody)
    }

    fn convert(&self, text: &str, to: Format) -> anyhow::Result<(String, Converted)> {
        self.convert_with(text, to, &Answers::default())
    }

    fn convert_with(
        &self,
        text: &str,
        to: Format,
        answers: &Answers,
    ) -> anyhow::Result<(String, Converted)> {
        let mut out = Vec::new();
        let converted = convert(&[self.file("in", text)], to, answers, &mut out, &nobody)?;
        Ok((String::from_utf8(out)?, converted))
    }
}

/// The looks in the order of the rows.
fn by_row(ledger: &Ledger) -> Vec<Judged> {
    let mut looks = ledger.looks.clone();
    looks.sort_by_key(|look| (look.row, look.order));
    looks
}

/// Scores with their orders, in the order of the rows.
fn looks(ledger: &Ledger) -> Vec<(Option<f64>, Option<Order>)> {
    by_row(ledger).iter().map(|look| (look.score, look.order)).collect()
}

const FIRST: Option<Order> = Some(Order::CandidateFirst);
const SECOND: Option<Order> = Some(Order::BaselineFirst);
const FREE: Option<Order> = Some(Order::OrderFree);

#[test]
fn alpaca_eval_of_any_vintage_is_read() {
    let ledger = Place::new().ledger(ALPACA_EVAL).unwrap();
    let scores: Vec<Option<f64>> = by_row(&ledger).iter().map(|look| look.score).collect();
    assert_eq!(scores, [Some(1.0), Some(0.5), Some(0.5), None, None, None]);
    assert_eq!(ledger.contests.len(), 1);
    assert_eq!(ledger.contests[0].model, "mine");
    assert_eq!(ledger.datasets, ["d1", "d2"]);
    // Identical answers have no order, and the others none that is known.
    assert_eq!((by_row(&ledger)[0].order, by_row(&ledger)[2].order), (None, FREE));
    // An escaped slash is one character.
    assert_eq!(
        (by_row(&ledger)[0].model_characters, by_row(&ledger)[0].baseline_characters),
        (Some(3), Some(1))
    );
}

#[test]
fn replies_betray_the_order_and_vindicate_the_seed() {
    let reply = |m: f64| {
        let (m, other) = (m.ln(), (1.0 - m).ln());
        format!(
            r#"{{"logprobs":{{"content":[{{"token":"m","top_logprobs":[{{"token":"M","logprob":{other}}},{{"token":"m","logprob":{m}}}]}}]}}}}"#
        )
    };
    let row = |question: &str, preference: f64, reply: &str| {
        format!(
            r#"{{"instruction":"{question}","output_1":"a","output_2":"b","generator_1":"x","generator_2":"y","preference":{preference},"raw_completion":{reply}}}"#
        )
    };
    // The seed shows "Q1" and "Q2" with the model first or second; the preferences are written to fit.
    let preference = |question: &str, first: f64| match model_is_first(question.as_bytes()) {
        true => 1.0 + first,
        false => 2.0 - first,
    };
    let place = Place::new();
    let honest = ["Q1", "Q2", "Q3", "Q4"]
        .map(|question| row(question, preference(question, 0.8), &reply(0.8)));
    let silent = row("Q5", 1.25, "\"hm\"");
    let ledger =
        place.ledger(&[&honest[..], std::slice::from_ref(&silent)].concat().join("\n")).unwrap();
    assert_eq!((ledger.notes[0].order_known, ledger.notes[0].order_seeded), (4, 4));
    // The row whose reply says nothing is believed to follow the seed like the others.
    assert!(ledger.looks.iter().all(|look| look.order.is_some()));
    let turned = ["Q1", "Q2", "Q3", "Q4"]
        .map(|question| row(question, 3.0 - preference(question, 0.8), &reply(0.8)));
    let ledger = place.ledger(&[&turned[..], &[silent]].concat().join("\n")).unwrap();
    assert_eq!((ledger.notes[0].order_known, ledger.notes[0].order_seeded), (4, 0));
    assert_eq!(by_row(&ledger)[4].order, None);
    // A ranking in the words of Python, of AlpacaEval's first prompt.
    let ranked = r#""[{'model': 'model_2', 'rank': 1}, {'model': 'model_1', 'rank': 2}]""#;
    let ledger = place.ledger(&row("Q", 2.0, ranked)).unwrap();
    assert_eq!(by_row(&ledger)[0].order, SECOND);
}

#[test]
fn other_formats_are_read() {
    let place = Place::new();
    let expected = [
        (Some(1.0), FIRST),
        (Some(1.0), SECOND),
        (Some(0.5), FIRST),
        (Some(0.0), SECOND),
        // The third row has the models the other way round.
        (Some(1.0), FIRST),
        (None, SECOND),
    ];
    let fastchat = place.ledger(FASTCHAT).unwrap();
    assert_eq!(looks(&fastchat), expected);
    assert_eq!(fastchat.contests[0].judge, "gpt-4 / pair-v2");
    assert_eq!(by_row(&fastchat)[0].conversation, by_row(&fastchat)[2].conversation);
    assert_ne!(by_row(&fastchat)[0].prompt, by_row(&fastchat)[2].prompt);
    let arena = place.ledger(ARENA_HARD).unwrap();
    let expected = [(Some(1.0), FIRST), (Some(1.0), SECOND), (Some(0.5), SECOND)];
    assert_eq!(looks(&arena), expected);
    assert_eq!(
        by_row(&arena).iter().map(|look| look.strong).collect::<Vec<_>>(),
        [false, true, false]
    );
    let votes = place.ledger(VOTES).unwrap();
    assert_eq!(looks(&votes), [(Some(1.0), FIRST), (Some(0.0), SECOND), (Some(0.5), SECOND)]);
    let own = place.ledger(OWN).unwrap();
    assert_eq!(looks(&own), [(Some(1.0), FIRST), (Some(0.0), SECOND), (None, FREE)]);
    let soft = Ledger::read(&[place.file("own", OWN)], &Answers::default(), true, &nobody).unwrap();
    assert_eq!(looks(&soft), [(Some(0.7), FIRST), (Some(0.4), SECOND), (None, FREE)]);
}

#[test]
fn what_both_formats_can_say_survives_there_and_back() {
    let place = Place::new();
    let check = |text: &str, there: Format, back: Format| {
        let (converted, _) = place.convert(text, there).unwrap();
        let (again, _) = place.convert(&converted, back).unwrap();
        let rows = |text: &str| -> Vec<serde_json::Value> {
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(rows(&again), rows(text), "{there}, {converted}");
    };
    let fastchat = FASTCHAT.lines().take(2).collect::<Vec<_>>().join("\n");
    check(&fastchat, Format::FastChat, Format::FastChat);
    check(&fastchat, Format::ArenaHard, Format::FastChat);
    check(ARENA_HARD, Format::ArenaHard, Format::ArenaHard);
    check(VOTES.lines().next().unwrap(), Format::Votes, Format::Votes);
    check(OWN, Format::Own, Format::Own);
}

#[test]
fn alpaca_eval_is_passed_on_to_the_byte_and_laid_out_as_pandas_does() {
    let place = Place::new();
    let text = "[\n  {\n    \"instruction\":\"caf\\u00e9 \\/ \\ud83d\",\n    \"output_1\":\"b\",\n    \"generator_1\":\"x\",\n    \"output_2\":\"m\",\n    \"generator_2\":\"y\",\n    \"annotator\":\"j\",\n    \"preference\":1.0000047109,\n    \"price_per_example\":0.00123,\n    \"raw_completion\":{\n      \"text\":\"m\"\n    }\n  }\n]";
    assert_eq!(place.convert(text, Format::AlpacaEval).unwrap().0, text);
}

#[test]
fn two_orders_become_one_preference_with_the_instruction_from_elsewhere() {
    let place = Place::new();
    let error = format!("{:#}", place.convert(FASTCHAT, Format::AlpacaEval).unwrap_err());
    assert!(error.contains("in: row 2 (line 2)") && error.contains("--questions"), "{error}");
    let mut answers = Answers::default();
    for (name, text) in [
        (
            "questions",
            r#"{"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]}"#,
        ),
        ("more", r#"{"question_id": 82, "category": "maths", "turns": ["Add."]}"#),
        (
            "answers",
            r#"{"question_id": 81, "model_id": "mine", "choices": [{"index": 0, "turns": ["One.", "Two!"]}]}"#,
        ),
    ] {
        answers.add(&place.file(name, text)).unwrap();
    }
    let (text, converted) = place.convert_with(FASTCHAT, Format::AlpacaEval, &answers).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("instruction"), ["Write.", "Again.", "Add."]);
    assert_eq!(column("dataset"), ["writing", "writing", "maths"]);
    assert_eq!(column("output_2")[..2], ["One.", "Two!"]);
    assert_eq!(column("preference"), [2.0.into(), 1.25.into(), serde_json::Value::Null]);
    assert_eq!((converted.rows_in, converted.rows_out), (3, 3));
    assert_eq!(converted.lost["the verdicts of the two orders (their mean is kept)"], 3);
}

#[test]
fn rows_of_one_order_meet_in_formats_of_two() {
    let place = Place::new();
    let whole: String = OWN.lines().take(2).map(|line| format!("{line}\n")).collect();
    let (text, converted) = place.convert(&whole, Format::FastChat).unwrap();
    assert!(text.contains(r#""g1_winner": "model_1", "g2_winner": "model_2""#), "{text}");
    assert_eq!((converted.rows_in, converted.rows_out), (2, 1));
    assert_eq!(converted.lost["the strength of a preference"], 1);
    // A prompt without an order does not fit.
    assert!(place.convert(OWN, Format::FastChat).is_err());
}

#[test]
fn mistakes_name_file_and_row() {
    let place = Place::new();
    let check = |text: &str, expected: &[&str]| {
        let error = format!("{:#}", place.ledger(text).unwrap_err());
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
    };
    check(&ALPACA_EVAL.replace("\"Q2\"", "\"Q1\""), &["in: row 2", "row 1 is judged again"]);
    check(
        &ALPACA_EVAL.replace(":1.5", ":2.5"),
        &["in: row 3", "preference is 2.5", "1 (baseline) to 2"],
    );
    check(&ALPACA_EVAL.replace(":1.5", ":\"draw\""), &["in: row 3", "expected a number"]);
    check(
        &ALPACA_EVAL.replace("\"instruction\":\"Q2\",", ""),
        &["row 2", "which prompt was judged"],
    );
    check(
        &FASTCHAT.replace("\"tie\"", "\"draw\""),
        &["in: row 2 (line 2)", "the winner is \"draw\""],
    );
    check(&ARENA_HARD.replace("A=B", "A"), &["row 2", "expected A>>B"]);
    check(&OWN.replace("\"loss\"", "\"lost\""), &["row 2", "expected win, tie, loss or null"]);
    check(&VOTES.replace("\"tie (bothbad)\"", "\"none\""), &["row 3", "winner is \"none\""]);
    check("[]", &["has no rows"]);
    check(r#"{"instruction":"Q","output":"A"}"#, &["a model's answers", "--outputs"]);
    check(
        r#"{"question_id":1,"model":"m","score":7,"judgment":"[[7]]"}"#,
        &["grades of single answers"],
    );
    check(r#"{"a":1}"#, &["no known format", "has the keys a"]);
    check(&ALPACA_EVAL[..ALPACA_EVAL.len() - 60], &["in: row 6", "it was cut"]);
}

#[test]
fn people_may_judge_a_prompt_again() {
    let place = Place::new();
    let path = place.file("people", &ALPACA_EVAL.replace("\"Q2\"", "\"Q1\""));
    let ledger = Ledger::read_repeated(&[path], &Answers::default(), &nobody).unwrap();
    assert_eq!(ledger.cells(0).map(<[Judged]>::len).max(), Some(2));
}

#[test]
fn turning_the_sides_around_mirrors_every_look() {
    let mut ledger = Place::new().ledger(FASTCHAT).unwrap();
    let before = ledger.clone();
    ledger.orient("mine");
    assert_eq!(ledger.contests[1].baseline, "mine");
    // Turned around, what was shown first comes second, and so the looks at a prompt change places.
    for (one, other) in before.looks.iter().zip(&ledger.looks) {
        assert_eq!((other.contest, other.prompt), (1, one.prompt));
    }
    let score = |ledger: &Ledger, row: u32, order: Option<Order>| {
        let look = ledger.looks.iter().find(|look| look.row == row && look.order == order);
        look.unwrap().score
    };
    for row in 0..3 {
        let turned = score(&ledger, row, SECOND);
        assert_eq!(turned, score(&before, row, FIRST).map(|score| 1.0 - score));
    }
    ledger.orient("base");
    assert_eq!(ledger.looks, before.looks);
}
