//! A judge asked by files: written, answered elsewhere, read, judged.
use std::fs;

use serde_json::{Value, json};

use crate::Workplace;

const EVAL: [&str; 9] = [
    "eval",
    "--candidate",
    "one.json",
    "--baseline",
    "two.json",
    "--judge",
    "pair-verdict",
    "--format",
    "json",
];

fn eval(workplace: &Workplace, more: &[&str]) -> String {
    workplace.run(&[&EVAL, more].concat())
}

/// Answers of two models to ten prompts.
fn workplace() -> Workplace {
    let workplace = Workplace::new();
    for model in ["one", "two"] {
        let row = |i| json!({"instruction": format!("Q{i}"), "output": format!("{model} {i}"), "generator": model});
        let rows: Vec<Value> = (0..10).map(row).collect();
        fs::write(workplace.path(&format!("{model}.json")), json!(rows).to_string()).unwrap();
    }
    workplace
}

/// What a server would make of a batch's file, last line first.
fn answered(batch: &str) -> Vec<String> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["method"], &line["url"]),
            (&json!("POST"), &json!("/v1/chat/completions"))
        );
        assert_eq!(line["body"]["model"], "gpt-4o-mini");
        let body = json!({
            "choices": [{"message": {"content": "Verdict: A"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        });
        json!({
            "id": "batch_req_1", "custom_id": line["custom_id"], "error": null,
            "response": {"status_code": 200, "request_id": "1", "body": body},
        })
        .to_string()
    };
    batch.lines().rev().map(line).collect()
}

#[test]
fn a_batch_goes_out_and_comes_back() {
    let workplace = workplace();
    let output = eval(&workplace, &["--batch", "batch"]);
    assert!(output.starts_with("exit 0"), "{output}");
    assert!(output.contains("20 questions are in\n  batch/batch-0001.jsonl\n"), "{output}");
    let read = || fs::read_to_string(workplace.path("batch/batch-0001.jsonl")).unwrap();
    let batch = read();
    eval(&workplace, &["--batch", "batch"]);
    assert_eq!(read(), batch);

    let lines = answered(&batch);
    let (last, most) = lines.split_last().unwrap();
    fs::write(workplace.path("batch/output.jsonl"), most.join("\n") + "\n" + &last[..40]).unwrap();
    let id: Value = serde_json::from_str::<Value>(last).unwrap()["custom_id"].clone();
    let error = json!({"code": "batch_expired", "message": "too late"});
    let error = json!({"custom_id": id, "response": null, "error": error});
    fs::write(workplace.path("batch/errors.jsonl"), error.to_string()).unwrap();
    let args =
        ["replies", "--format", "json", "--read-batch", "batch/output.jsonl", "batch/errors.jsonl"];
    let output = workplace.run(&args);
    for part in [
        "read 19 new replies; 0 were there already",
        "note: 1 lines have no reply: error batch_expired: too late",
        "note: the last line of batch/output.jsonl is cut",
        "1 requests of the batch have no reply yet",
        "\"priced\": 19",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(workplace.run(&args).contains("read 0 new replies; 19 were there already"));

    let output = eval(&workplace, &["--offline"]);
    assert!(
        output.starts_with("exit 2") && output.contains("1 questions got no reply"),
        "{output}"
    );
    assert!(eval(&workplace, &["--batch", "batch"]).contains("batch has another batch"));
    assert!(eval(&workplace, &["--batch", "rest"]).contains("1 questions are in"));
    fs::write(workplace.path("whole.jsonl"), lines.join("\n")).unwrap();
    let args = ["replies", "--read-batch", "whole.jsonl", "--requests", "batch/requests.jsonl"];
    assert!(workplace.run(&args).contains("read 1 new replies; 19 were there already"));
    let output = eval(&workplace, &["--offline"]);
    assert!(output.starts_with("exit 0") && output.contains("\"win_rate\": 50.0"), "{output}");
    assert!(eval(&workplace, &["--batch", "none"]).contains("every question has a reply"));
    assert!(!workplace.path("none").exists());
}
