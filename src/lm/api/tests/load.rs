//! How many calls go where, and when.
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{Api, Endpoint, Failure, Settings},
    calls, outcomes,
    server::{Act, Request, Server},
    settings,
};

/// No server has this port.
const NOBODY: &str = "http://127.0.0.1:1/v1";

#[test]
fn a_server_is_left_alone_for_as_long_as_it_asks() {
    let server = Server::start(|request| match request.number {
        0..8 => Act::status(429, "Retry-After: 1\r\n", "{}"),
        _ => Act::say("A"),
    });
    let api = Api::new(settings(&[&server])).unwrap();
    let begin = Instant::now();
    assert!(outcomes(&api, &calls(20)).iter().all(Result::is_ok));
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 28);

    // Longer than one is ready to wait: nobody waits at all.
    let server = Server::start(|_| Act::status(429, "Retry-After: 86400\r\n", "daily limit"));
    let settings = Settings { concurrency: 1, ..settings(&[&server]) };
    let api = Api::new(settings).unwrap();
    let outcomes = outcomes(&api, &calls(3));
    assert_eq!(server.requests().len(), 1);
    for (outcome, expected) in outcomes.into_iter().zip([1, 0, 0]) {
        assert!(
            matches!(&outcome, Err(Failure::Unreachable { attempts, .. }) if *attempts == expected),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_storm_of_limits_loses_no_call() {
    // A bucket of 8 tokens that gains one every 5 ms.
    let begin = Instant::now();
    let taken = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let gained = 8 + begin.elapsed().as_millis() as usize / 5;
        if taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| {
                (taken < gained).then_some(taken + 1)
            })
            .is_ok()
        {
            Act::say("A")
        } else {
            Act::status(429, "retry-after-ms: 5\r\n", "{}")
        }
    });
    let settings = Settings { concurrency: 32, attempts: 12, ..settings(&[&server]) };
    let api = Api::new(settings).unwrap();
    assert!(outcomes(&api, &calls(150)).iter().all(Result::is_ok));
    let requests = server.requests().len();
    assert!(requests < 600, "{requests} requests for 150 calls");
}

#[test]
fn no_more_calls_run_at_once_than_allowed() {
    let server = Server::start(|_| {
        thread::sleep(Duration::from_millis(10));
        Act::say("A")
    });
    let api = Api::new(Settings { concurrency: 5, ..settings(&[&server]) }).unwrap();
    // Two threads ask at once, and share the bound.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(outcomes(&api, &calls(50)).iter().all(Result::is_ok)));
        }
    });
    assert_eq!(server.requests().len(), 100);
    assert!((2..=5).contains(&server.most_running()), "{}", server.most_running());
    let connections: BTreeSet<_> =
        server.requests().into_iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 5, "{} connections", connections.len());
}

#[test]
fn servers_share_the_work() {
    let slow = |_: &Request| {
        thread::sleep(Duration::from_millis(5));
        Act::say("A")
    };
    let (one, two) = (Server::start(slow), Server::start(slow));
    let api = Api::new(settings(&[&one, &two])).unwrap();
    assert!(outcomes(&api, &calls(200)).iter().all(Result::is_ok));
    let (one, two) = (one.requests().len(), two.requests().len());
    assert_eq!(one + two, 200);
    assert!(one.abs_diff(two) < 60, "{one} and {two}");
}

#[test]
fn a_server_that_is_down_is_avoided_and_found_again() {
    let work = |failures: usize| {
        let well = Server::start(|_| {
            thread::sleep(Duration::from_millis(5));
            Act::say("A")
        });
        let ill = Server::start(move |request| {
            if request.number < failures { Act::status(500, "", "down") } else { Act::say("A") }
        });
        let api = Api::new(settings(&[&well, &ill])).unwrap();
        assert!(outcomes(&api, &calls(300)).iter().all(Result::is_ok));
        ill.requests().len()
    };
    let in_vain = work(usize::MAX);
    assert!(in_vain < 30, "{in_vain} requests to a server that is down");
    let well_again = work(6);
    assert!(well_again > 30, "{well_again} requests to a server that was down");
}

#[test]
fn a_server_that_is_not_there_is_done_without() {
    let well = Server::start(|_| Act::say("A"));
    let mut settings = settings(&[&well]);
    settings.endpoints.push(Endpoint { url: NOBODY.into(), key: None });
    let api = Api::new(settings).unwrap();
    assert!(outcomes(&api, &calls(50)).iter().all(Result::is_ok));
}

#[test]
fn all_is_given_up_when_nobody_answers_for_long() {
    let endpoints = vec![Endpoint { url: NOBODY.into(), key: None }];
    let settings = Settings {
        concurrency: 2,
        attempts: 1000,
        timeout: Duration::from_millis(20),
        patience: Duration::from_millis(100),
        ..Settings::new(endpoints)
    };
    let api = Api::new(settings).unwrap();
    let untried = outcomes(&api, &calls(10))
        .into_iter()
        .filter(|outcome| matches!(outcome, Err(Failure::Unreachable { attempts: 0, .. })));
    assert_eq!(untried.count(), 8);
}
