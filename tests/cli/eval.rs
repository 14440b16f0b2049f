//! A judge behind a server, asked for real: faults, kills, stored replies, cost.
use std::{fs, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    Workplace,
    server::{Act, Server},
};

const PROMPTS: usize = 40;

/// Answers of two models; prompt 0 has the same of both.
fn workplace() -> Workplace {
    let workplace = Workplace::new();
    for model in ["one", "two"] {
        let rows: Vec<Value> = (0..PROMPTS)
            .map(|i| {
                let output = if i == 0 { "same".to_owned() } else { format!("{model} says {i}") };
                json!({"instruction": format!("Q{i}"), "output": output, "generator": model, "dataset": "d"})
            })
            .collect();
        let text = serde_json::to_string(&rows).unwrap();
        fs::write(workplace.path(&format!("{model}.json")), text).unwrap();
    }
    workplace
}

fn eval<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "eval",
        "--candidate",
        "one.json",
        "--baseline",
        "two.json",
        "--endpoint",
        url,
        "--format",
        "json",
    ];
    args.extend(if more.contains(&"--judge") { vec![] } else { vec!["--judge", "pair-verdict"] });
    args.extend(more);
    args
}

fn scored(output: &str) -> Value {
    let (stdout, _) = output.split_once("--- stderr\n").unwrap();
    let rows: Value = serde_json::from_str(stdout.split_once("--- stdout\n").unwrap().1).unwrap();
    rows[0].clone()
}

fn rows(workplace: &Workplace) -> usize {
    let path = workplace.path("runs/eval/one/judgments-two.jsonl");
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_judge_that_always_says_the_first_is_seen_through() {
    let workplace = workplace();
    let server = Server::new(|_, _| Act::Say("I looked.\nVerdict: A", 0));
    let output = workplace.run(&eval(&server.url, &[]));
    assert!(output.starts_with("exit 0"), "{output}");
    let row = scored(&output);
    assert_eq!(row["win_rate"], 50.0);
    assert_eq!((&row["n_total"], &row["missing"]), (&json!(PROMPTS), &json!(0)));
    assert_eq!((&row["order_consistency"], &row["first_slot_rate"]), (&json!(0.0), &json!(100.0)));
    // Identical answers are a tie without a question; all others are asked in both orders.
    assert_eq!(server.answered().len(), 2 * (PROMPTS - 1));
    assert_eq!(rows(&workplace), 2 * (PROMPTS - 1) + 1);
}

#[test]
fn a_repetition_asks_nothing_and_offline_proves_it() {
    let workplace = workplace();
    let server = Server::new(|_, _| Act::Say("Verdict: B", 0));
    let first = workplace.run(&eval(&server.url, &[]));
    let again = workplace.run(&eval(&server.url, &["--offline", "--out", "runs/other"]));
    assert_eq!(scored(&again), scored(&first));
    assert!(server.answered().iter().all(|&count| count == 1));
    // Another judge has other questions, none of which is stored.
    let other = eval(&server.url, &["--offline", "--judge", "pair-reasons", "--out", "runs/third"]);
    let output = workplace.run(&other);
    assert!(
        output.starts_with("exit 2") && output.contains("78 questions got no reply"),
        "{output}"
    );
    assert_eq!(scored(&output)["missing"], PROMPTS - 1);
    let output = workplace.run(&["replies", "--format", "json"]);
    assert!(output.contains("\"replies\": 78"), "{output}");
}

/// A storm: every question meets another trouble before it is answered.
fn storm(question: &str, n: usize) -> Act {
    match (question.len() + n) % 7 {
        _ if n >= 3 => Act::Say("Verdict: A", 5),
        0 => Act::Status(429, r#"{"error": {"message": "slow down"}}"#),
        1 => Act::Status(500, "oops"),
        2 => Act::Cut,
        3 => Act::Reset,
        4 => Act::Status(200, "<html>not json</html>"),
        _ => Act::Say("Verdict: A", 5),
    }
}

#[test]
fn through_a_storm_and_kills_every_prompt_ends_once_and_is_paid_once() {
    let workplace = workplace();
    let server = Server::new(storm);
    let args = eval(&server.url, &["--concurrency", "8"]);
    for _ in 0..3 {
        let mut child = workplace.command(&args).spawn().unwrap();
        thread::sleep(Duration::from_millis(1_200));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = workplace.run(&args);
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(rows(&workplace), 2 * (PROMPTS - 1) + 1);
    assert_eq!(scored(&output)["missing"], 0);
    assert_eq!(server.answered().len(), 2 * (PROMPTS - 1));
    // Only what was under way at a kill can have been answered twice: eight calls, three kills.
    let twice = server.answered().iter().filter(|&&count| count > 1).count();
    assert!(twice <= 24, "{twice} were paid for again");
}

#[test]
fn what_the_server_refuses_is_missing_and_said() {
    let workplace = workplace();
    let server = Server::new(|question, _| {
        match question.contains("says 7\\n") || question.contains("says 7\"") {
            true => Act::Status(400, r#"{"error": {"message": "too long for me"}}"#),
            false => Act::Say("no verdict here", 0),
        }
    });
    let output = workplace.run(&eval(&server.url, &[]));
    assert!(output.starts_with("exit 2") && output.contains("too long for me"), "{output}");
    // The others have a row without a verdict, which is missing too, and is not asked again.
    assert_eq!(scored(&output)["missing"], PROMPTS - 1);
    assert_eq!(scored(&output)["worst_case_win_rate"], 100.0 * 0.5 / PROMPTS as f64);
}

#[test]
fn a_price_is_foreseen_and_capped() {
    let workplace = workplace();
    let server = Server::new(|_, _| Act::Say("Verdict: A", 0));
    let output = workplace.run(&eval(&server.url, &["--max-cost", "0.0001"]));
    assert!(output.starts_with("exit 2") && output.contains("more than --max-cost"), "{output}");
    assert!(server.answered().is_empty());
    let output = workplace.run(&eval(&server.url, &["--max-cost", "100"]));
    assert!(output.contains("7800 + 780 tokens, $"), "{output}");
}

#[test]
fn a_question_that_is_settled_early_is_not_asked_to_the_end() {
    let workplace = workplace();
    // A judge that prefers the first model in whichever place.
    let server = Server::new(|question, _| {
        let first = question.find("one says").unwrap_or(0);
        match question.find("two says").is_some_and(|second| first < second) {
            true => Act::Say("Verdict: A", 0),
            false => Act::Say("Verdict: B", 0),
        }
    });
    let output = workplace.run(&eval(&server.url, &["--until-decided"]));
    assert!(output.contains("decided after 16 of 40 prompts"), "{output}");
    assert!(server.answered().len() <= 32);
}

#[test]
fn judges_do_not_mix_and_keys_stay_out() {
    let workplace = workplace();
    let server =
        Server::new(|_, _| Act::Status(401, r#"{"error": {"message": "wrong key sk-secret"}}"#));
    fs::write(workplace.path("key"), "sk-secret\n").unwrap();
    let output = workplace.run(&eval(&server.url, &["--key-file", "key"]));
    assert!(output.starts_with("exit 2") && !output.contains("sk-secret"), "{output}");
    let output = workplace.run(&eval(&server.url, &["--judge", "pair-levels"]));
    assert!(output.starts_with("exit 2") && output.contains("choose another --out"), "{output}");
    let output = workplace.run(&eval(&server.url, &["--judge", "none", "--out", "x"]));
    assert!(output.contains("pair-verdict, pair-reasons"), "{output}");
}
