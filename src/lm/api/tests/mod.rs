//! The client against servers that misbehave.
mod load;
mod server;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{Answer, Api, Call, Ended, Endpoint, Failure, Key, Settings};
use crate::model::{Message, Role};
use server::{Act, Request, Server, completion};

const SECRET: &str = "sk-do-not-show-me-0123456789";

/// Settings for servers that answer at once.
fn settings(servers: &[&Server]) -> Settings {
    let endpoint =
        |server: &&Server| Endpoint { url: server.url(), key: Some(Key::new(SECRET).unwrap()) };
    Settings {
        concurrency: 8,
        timeout: Duration::from_secs(20),
        attempts: 4,
        first_wait: Duration::from_millis(2),
        ..Settings::new(servers.iter().map(endpoint).collect())
    }
}

fn ask(text: &str) -> Call {
    Call {
        model: "judge".into(),
        messages: vec![Message::new(Role::User, text)],
        prompt: None,
        temperature: 0.0,
        top_p: 1.0,
        max_tokens: 16,
        seed: Some(7),
        top_logprobs: None,
        stop: Vec::new(),
        extra: BTreeMap::new(),
        sample: 0,
    }
}

fn calls(number: usize) -> Vec<Call> {
    (0..number).map(|index| ask(&index.to_string())).collect()
}

/// The question that a request holds.
fn question(request: &Request) -> &str {
    request.body["messages"][0]["content"].as_str().unwrap()
}

/// The outcome of each call: exactly one, none of which shows the key.
fn outcomes(api: &Api, calls: &[Call]) -> Vec<Result<Answer, Failure>> {
    let mut outcomes = vec![None; calls.len()];
    api.complete(calls, &mut |index, outcome| {
        if let Err(failure) = &outcome {
            let shown = format!("{failure} {failure:?} {api:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
        assert!(outcomes[index].replace(outcome).is_none(), "call {index} ended twice");
        Ok(())
    })
    .unwrap();
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// The outcome of one call, and the number of requests made for it.
fn outcome(
    act: impl Fn(&Request) -> Act + Send + Sync + 'static,
) -> (Result<Answer, Failure>, usize) {
    let server = Server::start(act);
    let api = Api::new(settings(&[&server])).unwrap();
    let outcome = outcomes(&api, &calls(1)).remove(0);
    (outcome, server.requests().len())
}

#[test]
fn troubles_that_pass_are_tried_again() {
    let check = |name: &str, act: fn() -> Act| {
        let (outcome, requests) = outcome(move |request| match request.number {
            0 | 1 => act(),
            _ => Act::say("A"),
        });
        assert_eq!(outcome.unwrap().text, "A", "{name}");
        assert_eq!(requests, 3, "{name}");
    };
    check("500", || Act::status(500, "", "oops"));
    check("502", || Act::status(502, "Content-Type: text/html\r\n", "<html>"));
    check("503", || Act::status(503, "Retry-After: 0\r\n", r#"{"error":"loading"}"#));
    check("408", || Act::status(408, "", ""));
    check("429", || Act::status(429, "retry-after-ms: 5\r\n", "{}"));
    check("no JSON", || Act::status(200, "", "<html>busy</html>"));
    check("half JSON", || Act::status(200, "", &completion("A")[..60]));
    check("no choices", || Act::status(200, "", r#"{"error":{"message":"upstream"}}"#));
    check("empty", || Act::status(200, "", ""));
    check("cut", || Act::Cut(completion("A")));
    check("reset", || Act::Reset);
}

#[test]
fn a_slow_reply_is_tried_again() {
    let check = |act: Act| {
        let server = Server::start(move |request| match request.number {
            0 => act.clone(),
            _ => Act::say("A"),
        });
        let settings = Settings { timeout: Duration::from_millis(250), ..settings(&[&server]) };
        let api = Api::new(settings).unwrap();
        let begin = Instant::now();
        assert_eq!(outcomes(&api, &calls(1)).remove(0).unwrap().text, "A");
        assert!(server.requests().len() > 1);
        assert!(begin.elapsed() >= Duration::from_millis(250));
    };
    check(Act::Silence(Duration::from_millis(500)));
    // Some byte always comes, but never the last in time.
    check(Act::Drip { body: completion("A"), every: Duration::from_millis(20) });
}

#[test]
fn a_reply_counts_whatever_its_type_is_called() {
    let (outcome, requests) =
        outcome(|_| Act::status(200, "Content-Type: text/html\r\n", &completion("A")));
    let answer = outcome.unwrap();
    assert_eq!((answer.text.as_str(), answer.ended, requests), ("A", Ended::Stop, 1));
    assert_eq!((answer.prompt_tokens, answer.completion_tokens), (12, 3));
}

#[test]
fn lasting_refusals_are_not_tried_again() {
    let check = |status: u16, body: &str, expected: &str| {
        let body = body.to_owned();
        let (outcome, requests) = outcome(move |_| Act::status(status, "", &body));
        let Err(Failure::Refused { status: told, message }) = outcome else {
            panic!("{status}: {outcome:?}")
        };
        assert_eq!((told, requests), (status, 1));
        assert!(message.contains(expected) && message.len() < 700, "{message}");
    };
    check(400, r#"{"error":{"message":"prompt too long","code":400}}"#, "prompt too long");
    check(401, &format!(r#"{{"error":{{"message":"bad key {SECRET}"}}}}"#), "bad key [key]");
    check(403, &format!("<p>{}{SECRET}</p>", "x".repeat(480)), "...");
    check(404, r#"{"detail":"Not Found"}"#, "Not Found");
    check(413, &"long ".repeat(10_000), "long");
    check(422, r#"{"object":"error","message":"no such field"}"#, "no such field");
    check(429, r#"{"error":{"message":"You are poor","code":"insufficient_quota"}}"#, "poor");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| Act::say("A"));
    let location = format!("Location: {}/chat/completions\r\n", elsewhere.url());
    let location: &'static str = location.leak();
    for status in [301, 302, 307, 308] {
        let (outcome, _) = outcome(move |_| Act::status(status, location, ""));
        assert!(matches!(outcome, Err(Failure::Refused { status: told, .. }) if told == status));
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn attempts_come_to_an_end() {
    let (outcome_of_500, requests) =
        outcome(|_| Act::status(500, "", &format!(r#"{{"message":"oops {SECRET}"}}"#)));
    let Err(Failure::Unreachable { attempts: 4, last }) = outcome_of_500 else {
        panic!("{outcome_of_500:?}")
    };
    assert!(last.ends_with("status 500: oops [key]"), "{last}");
    assert_eq!(requests, 4);

    let (outcome, requests) = outcome(|_| Act::status(200, "", "[1, 2"));
    assert!(matches!(outcome, Err(Failure::Garbled { attempts: 4, .. })), "{outcome:?}");
    assert_eq!(requests, 4);
}

#[test]
fn every_call_of_a_mixed_storm_ends_once() {
    let attempts = Mutex::new(BTreeMap::new());
    let server = Server::start(move |request| {
        let number: usize = question(request).parse().unwrap();
        let attempt = {
            let mut attempts = attempts.lock().unwrap();
            *attempts.entry(number).and_modify(|count| *count += 1).or_insert(1)
        };
        match (number % 10, attempt) {
            (0, _) => Act::status(400, "", "no"),
            (1, _) => Act::status(200, "", "{}"),
            (2, 1) => Act::Reset,
            (3, 1..3) => Act::Cut(completion("A")),
            (4, 1..3) => Act::status(429, "retry-after-ms: 1\r\n", ""),
            (5, 1..4) => Act::status(503, "", ""),
            _ => Act::say(&format!("reply to {number}")),
        }
    });
    let api = Api::new(settings(&[&server])).unwrap();
    for (index, outcome) in outcomes(&api, &calls(200)).into_iter().enumerate() {
        match (index % 10, outcome) {
            (0, Err(Failure::Refused { status: 400, .. }))
            | (1, Err(Failure::Garbled { attempts: 4, .. })) => {}
            (2.., Ok(answer)) => assert_eq!(answer.text, format!("reply to {index}")),
            (_, outcome) => panic!("{index}: {outcome:?}"),
        }
    }
    let attempts = [1, 4, 2, 3, 3, 4, 1, 1, 1, 1];
    assert_eq!(server.requests().len(), 20 * attempts.iter().sum::<usize>());
    assert!(server.most_running() <= 8);
}

#[test]
fn a_caller_that_fails_ends_the_work() {
    let server = Server::start(|request| match question(request) {
        "0" => Act::say("A"),
        // These wait for their next attempt when the caller fails.
        _ => Act::status(500, "", ""),
    });
    let settings = Settings { first_wait: Duration::from_secs(60), ..settings(&[&server]) };
    let api = Api::new(settings).unwrap();
    let begin = Instant::now();
    let mut seen = 0;
    let error = api
        .complete(&calls(1000), &mut |_, _| {
            seen += 1;
            anyhow::bail!("the disk is full")
        })
        .unwrap_err();
    assert_eq!((error.to_string().as_str(), seen), ("the disk is full", 1));
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(server.requests().len() < 20);
}

#[test]
fn no_calls_are_no_work() {
    let server = Server::start(|_| Act::say("A"));
    let api = Api::new(settings(&[&server])).unwrap();
    assert!(outcomes(&api, &[]).is_empty());
    assert!(server.requests().is_empty());
}

#[test]
fn a_key_is_sent_and_never_shown() {
    let server = Server::start(|_| Act::say("A"));
    let api = Api::new(settings(&[&server])).unwrap();
    assert!(outcomes(&api, &calls(1))[0].is_ok());
    let head = server.requests().remove(0).head;
    assert!(head.to_lowercase().contains(&format!("authorization: bearer {SECRET}")), "{head}");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(!format!("{api:?} {:?}", settings(&[&server])).contains(SECRET));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let check = |text: &str, complaint: &str| {
        fs::write(&path, text).unwrap();
        match Key::from_file(&path) {
            Ok(key) => assert_eq!((complaint, key), ("", Key::new(SECRET).unwrap())),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(error.contains(complaint) && !error.contains(SECRET), "{error}");
                assert!(!complaint.is_empty(), "{error}");
            }
        }
    };
    check(&format!("{SECRET}\n"), "");
    check(" \n", "holds nothing");
    check(&format!("{SECRET} {SECRET}"), "holds spaces");
    assert!(Key::from_file(&directory.path().join("none")).is_err());
    assert!(
        Key::from_environment("SPYHOP_NO_SUCH_KEY").unwrap_err().to_string().contains("is not set")
    );
}
