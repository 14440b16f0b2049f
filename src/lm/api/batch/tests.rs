//! Batches there and back, with results in the form of OpenAI's reference.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{write::write_within, *};
use crate::{
    lm::api::{Answer, Call, Ended},
    model::{Message, Role},
    store::Replies,
};

const PRICE: Option<Price> = Some(Price { prompt: 2.5, completion: 10.0 });

/// Calls whose text has what a line of JSON must escape.
fn calls(count: usize) -> Vec<(Value, Call)> {
    let call = |number: usize| Call {
        model: "gpt-4o-mini".into(),
        messages: vec![Message {
            role: Role::User,
            content: format!("{number}: \"Which\"\nis \u{2028} better \u{1f40b}?"),
        }],
        prompt: None,
        temperature: 0.7,
        top_p: 1.0,
        max_tokens: 100,
        seed: None,
        top_logprobs: None,
        stop: Vec::new(),
        extra: BTreeMap::from([("top_p".to_owned(), Value::Null)]),
        sample: 0,
    };
    let request = |call: &Call| json!({"server": "https://api.openai.com/v1", "call": call});
    (0..count).map(call).map(|call| (request(&call), call)).collect()
}

/// A directory with a batch of so many calls, a store, and the names of the calls.
fn place(count: usize) -> (TempDir, Replies, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), PRICE, &calls(count)).unwrap();
    let replies = Replies::open(&directory.path().join("replies.sqlite")).unwrap();
    let ids = calls(count).iter().map(|(request, _)| custom_id(request)).collect();
    (directory, replies, ids)
}

/// A line as OpenAI's reference shows it.
fn good(id: &str, text: &str) -> String {
    line(
        id,
        200,
        &json!({
            "id": "chatcmpl-9758Iw", "object": "chat.completion", "created": 1_711_475_054,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null, "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 24, "completion_tokens": 15, "total_tokens": 39},
            "system_fingerprint": null,
        }),
    )
}

fn line(id: &str, status: u16, body: &Value) -> String {
    let response = json!({"status_code": status, "request_id": "req_c187b3", "body": body});
    let line =
        json!({"id": "batch_req_wnaDys", "custom_id": id, "response": response, "error": null});
    format!("{line}\n")
}

fn put(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Every file of a directory but the store.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_name_is_the_key_of_the_store() {
    let (request, _) = &calls(1)[0];
    let id = custom_id(request);
    assert_eq!(id.len(), 64);
    assert!(format!("{:?}", Replies::key(request)).contains(&id));
}

#[test]
fn lines_are_what_the_server_would_be_asked() {
    let (directory, _, ids) = place(3);
    let text = fs::read_to_string(directory.path().join("batch-0001.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for ((line, id), (_, call)) in lines.iter().zip(&ids).zip(calls(3)) {
        let body: Value = serde_json::from_slice(&call.body()).unwrap();
        assert!(body.get("top_p").is_none());
        let url = "/v1/chat/completions";
        let expected = json!({"custom_id": id, "method": "POST", "url": url, "body": body});
        assert_eq!(*line, expected);
    }
}

#[test]
fn files_keep_to_the_limits_and_lose_no_call() {
    let check = |limits: (usize, usize), expected: &[usize]| {
        let directory = tempfile::tempdir().unwrap();
        let mut twice = calls(5);
        twice.extend(calls(5));
        let written = write_within(directory.path(), PRICE, &twice, limits).unwrap();
        assert_eq!(written.calls, 5);
        let texts = written.files.iter().map(|path| fs::read_to_string(path).unwrap());
        let counts: Vec<usize> = texts
            .inspect(|text| assert!(text.len() <= limits.1))
            .map(|text| text.lines().count())
            .collect();
        assert_eq!(counts, expected, "{limits:?}");
    };
    let (directory, _, _) = place(1);
    let bytes = fs::read(directory.path().join("batch-0001.jsonl")).unwrap().len();
    check((50_000, 200_000_000), &[5]);
    check((5, 200_000_000), &[5]);
    check((2, 200_000_000), &[2, 2, 1]);
    check((50_000, 2 * bytes), &[2, 2, 1]);
    check((50_000, 2 * bytes - 1), &[1; 5]);
    let small = write_within(directory.path(), PRICE, &calls(1), (5, bytes - 1)).unwrap_err();
    assert!(small.to_string().contains("at most"), "{small}");
}

#[test]
fn a_directory_has_one_batch() {
    let (directory, _, _) = place(3);
    let before = content(directory.path());
    write(directory.path(), PRICE, &calls(3)).unwrap();
    assert_eq!(content(directory.path()), before);
    for (price, count) in [(PRICE, 2), (PRICE, 4), (None, 3)] {
        let error = write(directory.path(), price, &calls(count)).unwrap_err().to_string();
        assert!(error.contains("has another batch"), "{error}");
    }
    let nothing = write(directory.path(), PRICE, &[]).unwrap();
    assert_eq!(nothing, Written { calls: 0, files: Vec::new() });
    assert_eq!(content(directory.path()), before);
    let foreign = tempfile::tempdir().unwrap();
    put(&foreign, "batch-0001.jsonl", "mine\n");
    assert!(write(foreign.path(), PRICE, &calls(1)).is_err());
}

#[test]
fn replies_are_kept_once_at_half_the_price() {
    let (directory, replies, ids) = place(3);
    let text = [good(&ids[2], "two"), good(&ids[0], "zero"), good(&ids[0], "again")].concat();
    let path = put(&directory, "output.jsonl", &text);
    let read_it = || read(std::slice::from_ref(&path), None, &replies).unwrap();
    assert_eq!(read_it(), Yield { added: 2, known: 1, open: 1, ..Yield::default() });
    assert_eq!(read_it(), Yield { added: 0, known: 3, open: 1, ..Yield::default() });
    let (request, _) = &calls(1)[0];
    let stored = replies.get(&Replies::key(request)).unwrap().unwrap();
    let answer: Answer = serde_json::from_str(&stored.reply).unwrap();
    assert_eq!((answer.text.as_str(), answer.ended), ("zero", Ended::Stop));
    assert_eq!((stored.prompt_tokens, stored.completion_tokens), (24, 15));
    // 24 of 1.25 and 15 of 5 dollars a million.
    assert!((stored.cost.unwrap() - 105e-6).abs() < 1e-12);
    assert_eq!(replies.summary().unwrap()[0].model, "gpt-4o-mini");
}

#[test]
fn what_is_no_reply_is_counted_and_not_kept() {
    let (directory, replies, ids) = place(9);
    let expired = json!({
        "id": "batch_req_123", "custom_id": ids[1], "response": null,
        "error": {"code": "batch_expired", "message": "This request could not be executed."},
    });
    let error = json!({"error": {"message": "slow\ndown", "type": "requests", "code": null}});
    let output = [
        good(&ids[0], "fine"),
        good(&"0".repeat(64), "whose?"),
        line(&ids[2], 200, &json!({"error": "overloaded"})),
        line(&ids[3], 200, &Value::Null),
        line(&ids[4], 204, &json!("nothing")),
        "\n{\"custom_id\": 7}\n".to_owned(),
    ];
    let whole = good(&ids[5], "cut — here");
    let cut = whole.len() - 10;
    let output = put(&directory, "output.jsonl", &(output.concat() + &whole[..cut]));
    let errors = [
        format!("{expired}\r\n"),
        line(&ids[6], 429, &error),
        line(&ids[7], 429, &error),
        // Not cut: only its end of line is missing.
        line(&ids[8], 400, &json!({"error": {"message": "too long"}})).trim().to_owned(),
    ];
    let errors = put(&directory, "errors.jsonl", &errors.concat());
    let batch = directory.path().join("batch-0001.jsonl");
    let read = read(&[output.clone(), errors, batch], None, &replies).unwrap();
    assert_eq!((read.added, read.known, read.unknown, read.open), (1, 0, 1, 8));
    assert_eq!(read.cut, [output]);
    let failed: Vec<(&str, usize, &str)> = read
        .failed
        .iter()
        .map(|(kind, trouble)| (kind.as_str(), trouble.lines, trouble.example.as_str()))
        .collect();
    let [expired, neither, no_chat, no_line, s204, s400, s429] = failed[..] else {
        panic!("{failed:?}");
    };
    assert_eq!(expired, ("error batch_expired", 1, "This request could not be executed."));
    assert_eq!((neither.0, neither.1), ("neither response nor error", 9));
    assert_eq!((no_chat.0, no_chat.1), ("no completion", 2));
    assert!(no_chat.2.contains("overloaded"), "{no_chat:?}");
    assert_eq!((no_line.0, no_line.1), ("no line of a batch's results", 1));
    assert!(no_line.2.contains("output.jsonl line 7"), "{no_line:?}");
    assert_eq!((s204.0, s204.1), ("status 204", 1));
    assert_eq!(s400, ("status 400", 1, "too long"));
    assert_eq!(s429, ("status 429", 2, "slow down"));
    assert_eq!(replies.summary().unwrap()[0].replies, 1);
}

#[test]
fn a_cut_anywhere_keeps_the_lines_before_it() {
    let (directory, replies, ids) = place(2);
    let first = good(&ids[0], "whole");
    let second = good(&ids[1], "\u{1f40b}");
    let bytes = [first.as_bytes(), second.trim_end().as_bytes()].concat();
    let path = directory.path().join("output.jsonl");
    for end in first.len() + 1..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        let read = read(std::slice::from_ref(&path), None, &replies).unwrap();
        assert_eq!((read.added + read.known, read.cut.len(), read.open), (1, 1, 1), "{end}");
        assert!(read.failed.is_empty() && read.unknown == 0);
    }
    fs::write(&path, &bytes).unwrap();
    let read = read(&[path], None, &replies).unwrap();
    assert_eq!(read, Yield { added: 1, known: 1, ..Yield::default() });
}

#[test]
fn requests_that_were_changed_are_refused_with_their_line() {
    let (directory, replies, ids) = place(3);
    let output = put(&directory, "output.jsonl", &good(&ids[0], "fine"));
    let text = fs::read_to_string(directory.path().join(REQUESTS)).unwrap();
    let check = |old: &str, new: &str, part: &str| {
        assert!(text.contains(old), "{old}");
        let elsewhere = tempfile::tempdir().unwrap();
        let requests = put(&elsewhere, "mine.jsonl", &text.replace(old, new));
        let result = read(std::slice::from_ref(&output), Some(&requests), &replies);
        let error = result.map_err(|error| format!("{error:#}"));
        match part {
            "" => assert_eq!(error.unwrap().added, 1),
            _ => {
                let error = error.unwrap_err();
                assert!(error.contains("mine.jsonl") && error.contains(part), "{error}");
                assert_eq!(replies.summary().unwrap(), []);
            }
        }
    };
    check("\"1: ", "\"One: ", "line 2 was changed");
    check(&ids[2], &ids[1], "line 3 was changed");
    check("0.7", "0.8", "line 1 was changed");
    check("\"model\":\"gpt-4o-mini\",\"price\"", "\"price\"", "line 1 is no request of a batch");
    check("10", "10", "");
    fs::remove_file(directory.path().join(REQUESTS)).unwrap();
    let error = read(&[output], None, &replies).unwrap_err().to_string();
    assert!(error.contains("--requests"), "{error}");
}
