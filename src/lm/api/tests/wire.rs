//! What is sent, and how what comes back is read.
use serde_json::{Value, json};

use super::{
    super::{Answer, Call, Ended, call},
    ask,
};

#[test]
fn every_parameter_is_sent_and_the_sample_is_not() {
    let sent = |call: &Call| -> Value { serde_json::from_slice(&call.body()).unwrap() };
    let mut call = ask("Which?");
    let plain = json!({
        "model": "judge",
        "messages": [{ "role": "user", "content": "Which?" }],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 16,
        "seed": 7,
        "stream": false,
    });
    assert_eq!(sent(&call), plain);
    call.sample = 3;
    assert_eq!(sent(&call), plain);

    call.seed = None;
    call.top_logprobs = Some(5);
    call.stop = vec!["\n".into()];
    call.extra = [
        ("top_k".to_owned(), json!(-1)),
        ("max_tokens".into(), Value::Null),
        ("max_completion_tokens".into(), json!(16)),
    ]
    .into();
    let expected = json!({
        "model": "judge",
        "messages": [{ "role": "user", "content": "Which?" }],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_completion_tokens": 16,
        "logprobs": true,
        "top_logprobs": 5,
        "stop": ["\n"],
        "stream": false,
        "top_k": -1,
    });
    assert_eq!(sent(&call), expected);

    let kept = serde_json::to_string(&call).unwrap();
    assert_eq!(serde_json::from_str::<Call>(&kept).unwrap(), call);
    for field in ["temperature", "top_p", "seed", "top_logprobs", "stop", "extra", "sample"] {
        assert!(kept.contains(&format!("{field:?}:")), "{field} is not in {kept}");
    }
}

#[test]
fn a_text_is_completed_by_the_older_protocol() {
    let mut call = Call { messages: Vec::new(), prompt: Some("Q: x\nA:".into()), ..ask("") };
    call.top_logprobs = Some(2);
    let sent: Value = serde_json::from_slice(&call.body()).unwrap();
    let expected = json!({
        "model": "judge",
        "prompt": "Q: x\nA:",
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 16,
        "seed": 7,
        "logprobs": 2,
        "stream": false,
    });
    assert_eq!((sent, call.path()), (expected, "completions"));
    assert!(!serde_json::to_string(&ask("")).unwrap().contains("prompt"), "old keys hold");

    // As vLLM and OpenAI reply.
    let reply = json!({
        "object": "text_completion",
        "model": "base",
        "choices": [{
            "index": 0,
            "text": " y",
            "finish_reason": "length",
            "logprobs": {
                "tokens": [" y"],
                "token_logprobs": [-0.5],
                "top_logprobs": [{ " n": -2.0, " y": -0.5, " o": null }],
                "text_offset": [7],
            },
        }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 1 },
    });
    let answer = call::read(reply.to_string().as_bytes()).unwrap();
    assert_eq!((&*answer.text, &answer.ended), (" y", &Ended::Length));
    assert_eq!(answer.first_token, [(" y".to_owned(), -0.5), (" n".to_owned(), -2.0)]);
    let neither = json!({ "choices": [{ "finish_reason": "stop" }] });
    assert!(call::read(neither.to_string().as_bytes()).unwrap_err().contains("neither"));
}

#[test]
fn a_reply_is_read_in_all_its_forms() {
    let read = |body: Value| call::read(body.to_string().as_bytes());
    let ended = |choice: Value| {
        let answer = read(json!({ "choices": [choice] })).unwrap();
        (answer.text, answer.ended)
    };
    let other = |word: &str| Ended::Other(word.to_owned());
    let said = |text: &str| json!({ "role": "assistant", "content": text });
    let silent = json!({ "role": "assistant", "content": null });
    let check = |message: &Value, finish: Value, text: &str, expected: Ended| {
        let choice = json!({ "message": message, "finish_reason": finish });
        assert_eq!(ended(choice), (text.to_owned(), expected));
    };
    check(&said("A"), json!("stop"), "A", Ended::Stop);
    check(&said(""), json!("stop"), "", Ended::Stop);
    check(&said("A be"), json!("length"), "A be", Ended::Length);
    check(&said("A"), json!("content_filter"), "A", other("content_filter"));
    check(&said("A"), Value::Null, "A", other(""));
    check(&silent, json!("tool_calls"), "", other("tool_calls"));
    check(&silent, json!("length"), "", Ended::Length);
    check(&silent, json!("stop"), "", other("no content"));
    check(&json!({ "refusal": "I will not." }), json!("stop"), "", other("refusal"));

    let candidates = json!([
        { "token": "A", "logprob": -0.25, "bytes": [65] },
        { "token": "B", "logprob": -1.5 },
        { "token": "C", "logprob": null },
    ]);
    let full = json!({
        "model": "judge-2024-08-06",
        "system_fingerprint": "fp_1",
        "choices": [{
            "message": said("A"),
            "finish_reason": "stop",
            "logprobs": { "content": [
                { "token": "A", "logprob": -0.25, "top_logprobs": candidates },
                { "token": ".", "logprob": -0.1, "top_logprobs": [] },
            ] },
        }],
        "usage": { "prompt_tokens": 12, "completion_tokens": 2 },
    });
    let answer = read(full).unwrap();
    assert_eq!(answer.first_token, [("A".to_owned(), -0.25), ("B".to_owned(), -1.5)]);
    assert_eq!((answer.prompt_tokens, answer.completion_tokens), (12, 2));
    assert_eq!(
        (answer.model.as_str(), answer.fingerprint.as_deref()),
        ("judge-2024-08-06", Some("fp_1"))
    );
    let kept = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Answer>(&kept).unwrap(), answer);

    assert!(read(json!({ "choices": [] })).unwrap_err().contains("empty"));
    assert!(read(json!({ "error": "busy" })).unwrap_err().contains("choices"));
    assert!(read(json!([])).is_err());
}
