//! Recorded replies through the whole path: question, store, parser, order, row, score.
use std::{fs, path::Path};

use serde_json::Value;

use super::*;
use crate::{
    exchange::{Answers, Ledger},
    record::{Finish, Order},
    stats,
    store::{Replies, Stored},
    watch::nobody,
};

/// AlpacaEval 2's way of reading, with a prompt that needs no package.
const JUDGE: &str = r#"
name = "recorded"
description = "The probabilities of m and M."
model = "gpt-4-1106-preview"
[prompt]
user = "{tag} {instruction} {tag} {first} {tag} {second}"
[parser]
kind = "token_logprobs"
first = ["m"]
second = ["M"]
[sampling]
max_tokens = 1
temperature = 1.0
top_logprobs = 5
"#;

fn completion(row: &Value, output: &str, generator: &str) -> Completion {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    Completion {
        id: content_id(&[&text("instruction")]),
        instruction: text("instruction"),
        output: text(output),
        generator: text(generator),
        dataset: text("dataset"),
        finish: Finish::Stop,
    }
}

/// A reply as a server would have sent it.
fn reply(row: &Value) -> String {
    let candidates = &row["raw_completion"]["logprobs"]["content"][0]["top_logprobs"];
    let first_token: Vec<Value> = candidates
        .as_array()
        .unwrap()
        .iter()
        .map(|one| serde_json::json!([one["token"], one["logprob"]]))
        .collect();
    let text = &row["raw_completion"]["text"];
    serde_json::json!({
        "text": text, "ended": "length", "first_token": first_token, "prompt_tokens": 1,
        "completion_tokens": 1, "model": "gpt-4-1106-preview", "fingerprint": null,
    })
    .to_string()
}

// The row of humpback-llama2-70b in weighted_alpaca_eval_gpt4_turbo_leaderboard.csv of
// tatsu-lab/alpaca_eval at commit cd543a1.
#[test]
fn recorded_replies_give_the_row_of_the_leaderboard() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(
        "../shared/data/alpaca_eval/annotations/humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json",
    );
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not here", path.display());
        return;
    };
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let side = |output: &str, generator: &str| -> Vec<Completion> {
        rows.iter().map(|row| completion(row, output, generator)).collect()
    };
    let (candidates, baselines) =
        (side("output_2", "generator_2"), side("output_1", "generator_1"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("judge.toml");
    fs::write(&file, JUDGE).unwrap();
    let judge = Judge::load(file.to_str().unwrap(), directory.path(), &nobody).unwrap();
    let replies = Replies::open(&directory.path().join("replies.sqlite")).unwrap();
    let provider = Provider { api: None, replies, server: "recorded".into(), concurrency: 1 };
    let court = Court { judge: &judge, provider: &provider, orders: Orders::Seeded, sample: 0 };
    let matches = court.matches(&candidates, &baselines).unwrap();
    assert_eq!(matches.len(), 805);
    let first = matches.iter().filter(|pair| pair.order == Order::CandidateFirst).count();
    assert_eq!(first, 406);
    let requests: Vec<Value> =
        matches.iter().map(|pair| provider.request(&court.call(pair))).collect();
    let stored: Vec<Stored> = rows
        .iter()
        .map(|row| Stored {
            reply: reply(row),
            prompt_tokens: 1,
            completion_tokens: 1,
            cost: None,
            stored: 0,
        })
        .collect();
    let pairs: Vec<(&Value, &Stored)> = requests.iter().zip(&stored).collect();
    provider.replies.put_all("gpt-4-1106-preview", &pairs).unwrap();

    let out = directory.path().join("judgments-base.jsonl");
    let outlook = court.outlook(&candidates, &baselines, &out).unwrap();
    assert_eq!((outlook.calls, outlook.stored), (805, 805));
    let spent = court.run(&candidates, &baselines, None, &out, &nobody).unwrap().spent;
    assert_eq!((spent.stored, spent.asked, spent.failed), (805, 0, 0));

    let ledger =
        Ledger::read(std::slice::from_ref(&out), &Answers::default(), true, &nobody).unwrap();
    let scores: Vec<f64> = ledger.looks.iter().filter_map(|look| look.score).collect();
    let win_rate = 100.0 * stats::mean(&scores).unwrap().point;
    assert!((win_rate - 10.121_771_502_645_965).abs() < 1e-8, "{win_rate}");
    let standard_error = 100.0 * stats::standard_error(&scores).unwrap();
    assert!((standard_error - 0.940_180_612_213_011_2).abs() < 1e-8, "{standard_error}");
    let count = |holds: fn(f64) -> bool| scores.iter().filter(|&&score| holds(score)).count();
    let counts = (count(|score| score > 0.5), count(|score| score < 0.5), scores.len());
    assert_eq!(counts, (77, 727, 805));

    // Until it is decided: the same rows, but only as many prompts as settle the question.
    let early = directory.path().join("early.jsonl");
    let undecided = |estimate: Option<&stats::Estimate>, _: &Spent| {
        estimate.is_some_and(|estimate| !estimate.includes(0.5))
    };
    let judged = court.run(&candidates, &baselines, Some(&undecided), &early, &nobody).unwrap();
    assert!(judged.ended_after.is_some_and(|prompts| prompts < 100), "{judged:?}");
}
