mod pruning;

use std::{fs, thread};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn reply(text: &str, stored: u64) -> Stored {
    Stored {
        reply: json!({ "text": text }).to_string(),
        prompt_tokens: 300,
        completion_tokens: 20,
        cost: None,
        stored,
    }
}

fn request(number: usize) -> Value {
    json!({ "model": "judge", "seed": number })
}

/// A store in a directory of its own, with replies to requests 0, 1, and so on.
fn store(count: usize) -> (TempDir, PathBuf, Replies) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new").join("replies.sqlite");
    let replies = Replies::open(&path).unwrap();
    for number in 0..count {
        assert!(replies.put("judge", &request(number), &reply("yes", number as u64)).unwrap());
    }
    (directory, path, replies)
}

/// How many requests have their reply, which have to be the first ones, of `count`.
fn present(path: &Path, count: usize) -> usize {
    let replies = Replies::open(path).unwrap();
    let keys: Vec<Key> = (0..count).map(|number| Replies::key(&request(number))).collect();
    let found = replies.get_many(&keys).unwrap();
    let present = found.iter().flatten().count();
    for (number, stored) in found.iter().enumerate() {
        assert_eq!(*stored, (number < present).then(|| reply("yes", number as u64)));
        assert_eq!(*stored, replies.get(&keys[number]).unwrap());
    }
    present
}

fn message_of_opening(path: &Path) -> String {
    Replies::open(path).unwrap_err().to_string()
}

#[test]
fn only_the_same_request_hits() {
    let (_directory, _, replies) = store(0);
    let asked = json!({
        "model": "judge", "temperature": 0.7, "top_p": 1.0, "stop": ["a", "b"], "n": null,
        "messages": [{"role": "user", "content": "Which is better?"}],
    });
    let first = Stored { cost: Some(0.1), ..reply("the first — \u{1f40b}\n", 7) };
    replies.put("judge", &asked, &first).unwrap();
    let check = |text: &str, hits: bool| {
        let request: Value = serde_json::from_str(text).unwrap();
        let found = replies.get(&Replies::key(&request)).unwrap();
        assert_eq!(found, hits.then(|| first.clone()), "{text}");
    };
    let text = asked.to_string();
    check(&text, true);
    check(
        r#" {"top_p":1.0, "n":null, "messages":[{"content":"Which is better?", "role":"user"}],
            "temperature":0.7, "stop":["a","b"], "model":"judge"} "#,
        true,
    );
    for (old, new) in [
        ("judge", "judge "),
        ("0.7", "0.70000001"),
        ("1.0", "1"),
        (r#""n":null"#, r#""m":null"#),
        (r#","n":null"#, ""),
        (r#","n":null"#, r#","n":0"#),
        (r#"["a","b"]"#, r#"["b","a"]"#),
        ("better?", "better? "),
        ("better?", "better\\u0000?"),
        ("user", "system"),
        (r#"{"model""#, r#"{"seed":1,"model""#),
        (r#""Which is better?""#, r#"["Which is better?"]"#),
    ] {
        assert!(text.contains(old), "{old}");
        check(&text.replace(old, new), false);
    }
}

#[test]
fn the_request_stays_beside_the_reply_and_hashes_to_its_key() {
    let (_directory, path, _replies) = store(1);
    let (key, text): (Vec<u8>, String) = Connection::open(path)
        .unwrap()
        .query_row("SELECT key, request FROM replies", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(text, request(0).to_string());
    assert_eq!(key, blake3::hash(text.as_bytes()).as_bytes());
}

#[test]
fn the_first_reply_stays() {
    let (_directory, path, replies) = store(1);
    let other = Replies::open(&path).unwrap();
    assert!(!other.put("another", &request(0), &reply("no", 9)).unwrap());
    assert_eq!(present(&path, 1), 1);
    let requests = [request(0), request(1), request(1)];
    let second = reply("yes", 1);
    let batch = [(&requests[0], &reply("no", 9)), (&requests[1], &second), (&requests[2], &second)];
    assert_eq!(other.put_all("judge", &batch).unwrap(), 1);
    drop(replies);
    assert_eq!(present(&path, 3), 2);
}

#[test]
fn what_is_not_whole_json_is_not_kept() {
    let (_directory, path, replies) = store(0);
    for text in ["", "{\"text\": \"cut", "502 Bad Gateway", "{} {}"] {
        let broken = Stored { reply: text.to_owned(), ..reply("", 0) };
        let good = reply("yes", 1);
        let batch = [(&request(1), &good), (&request(0), &broken)];
        assert!(replies.put_all("judge", &batch).is_err(), "{text}");
    }
    assert_eq!(present(&path, 2), 0);
}

#[test]
fn many_connections_open_and_write_at_once() {
    const THREADS: usize = 8;
    const EACH: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replies.sqlite");
    let work = |own: usize| {
        let replies = Replies::open(&path).unwrap();
        let mut first = 0;
        for shared in 0..EACH {
            let put = |number, text: &str| {
                let reply = reply(text, number as u64);
                usize::from(replies.put("judge", &request(number), &reply).unwrap())
            };
            assert_eq!(put(EACH + own * EACH + shared, "yes"), 1);
            first += put(shared, "yes");
        }
        first
    };
    let first: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|own| scope.spawn(move || work(own))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(first, EACH);
    assert_eq!(present(&path, EACH + THREADS * EACH), EACH + THREADS * EACH);
}

#[test]
fn threads_share_one_store() {
    let (_directory, path, replies) = store(0);
    thread::scope(|scope| {
        for number in 0..8 {
            let replies = &replies;
            scope.spawn(move || {
                replies.put("judge", &request(number), &reply("yes", number as u64))
            });
        }
    });
    assert_eq!(present(&path, 8), 8);
}

/// Copies a store as it is at this moment, which is what a killed process leaves.
fn as_if_killed(path: &Path, log_bytes: usize) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("replies.sqlite");
    let beside = |path: &Path| path.with_extension("sqlite-wal");
    fs::copy(path, &copy).unwrap();
    let log = fs::read(beside(path)).unwrap();
    fs::write(beside(&copy), &log[..log_bytes.min(log.len())]).unwrap();
    (directory, copy)
}

#[test]
fn a_transaction_that_never_ends_leaves_nothing() {
    let (_directory, path, _replies) = store(3);
    let mut doomed = Connection::open(&path).unwrap();
    // With so small a cache, pages of the unfinished transaction reach the disk.
    doomed.execute_batch("PRAGMA cache_size = 5").unwrap();
    let transaction = doomed.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let log = path.with_extension("sqlite-wal");
    let before = fs::metadata(&log).unwrap().len();
    transaction.execute("UPDATE replies SET reply = 'x'", []).unwrap();
    for number in 3..40_u8 {
        let row = rusqlite::params![vec![number; 32], "x".repeat(3000)];
        let insert = "INSERT INTO replies VALUES (?1, 'm', 0, 0, 0, 0, ?2, '')";
        transaction.execute(insert, row).unwrap();
    }
    assert!(fs::metadata(&log).unwrap().len() > before, "nothing had reached the disk");
    let (_killed, copy) = as_if_killed(&path, usize::MAX);
    assert_eq!(present(&copy, 3), 3);
    // Readers do not wait for it.
    assert_eq!(present(&path, 3), 3);
    drop(transaction);
    assert_eq!(present(&path, 3), 3);
    let replies = Replies::open(&path).unwrap();
    assert_eq!(replies.summary().unwrap()[0].replies, 3);
    assert!(replies.put("judge", &request(3), &reply("yes", 3)).unwrap());
}

#[test]
fn a_torn_log_costs_only_the_last_replies() {
    let (_directory, path, _replies) = store(6);
    let bytes = fs::metadata(path.with_extension("sqlite-wal")).unwrap().len() as usize;
    let mut last = 6;
    for cut in (0..=bytes).rev().step_by(1501) {
        let (_killed, copy) = as_if_killed(&path, cut);
        let kept = present(&copy, 6);
        assert!(kept == last || kept + 1 == last, "{kept} of {last} with the log cut at {cut}");
        last = kept;
    }
    assert_eq!(last, 0);
}

#[test]
fn a_full_disk_loses_nothing_that_was_kept() {
    let (_directory, path, replies) = store(3);
    replies.with(|connection| connection.execute_batch("PRAGMA max_page_count = 12")).unwrap();
    let large = reply(&"x".repeat(100_000), 0);
    let error = replies.put("judge", &request(3), &large).unwrap_err().to_string();
    assert!(error.contains("replies.sqlite") && error.contains("free some space"), "{error}");
    assert!(replies.put("judge", &request(3), &reply("yes", 3)).unwrap());
    assert_eq!(present(&path, 4), 4);
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let check = |part: &str| {
        let before = fs::read(&path).unwrap();
        let message = message_of_opening(&path);
        assert!(message.contains(part) && message.contains("file"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    fs::write(&path, "{\"id\":\"a row of some other file\"}\n").unwrap();
    check("it is no store of replies");
    fs::write(&path, [0x5a; 5000]).unwrap();
    check("it is no store of replies");

    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    check("the SQLite file of another program");

    fs::remove_file(&path).unwrap();
    drop(Replies::open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    check("version 2 of the schema, this one knows 1");

    assert!(message_of_opening(directory.path()).contains("choose a file in a directory"));
    assert!(message_of_opening(&path.join("below")).contains("cannot create"));

    fs::write(&path, "").unwrap();
    assert_eq!(present(&path, 1), 0);
}

#[test]
fn a_damaged_file_is_named() {
    let (_directory, path, replies) = store(200);
    drop(replies);
    let whole = fs::read(&path).unwrap();
    let check = |damage: &dyn Fn(&mut [u8])| {
        let mut damaged = whole.clone();
        damage(&mut damaged);
        fs::write(&path, damaged).unwrap();
        let read = || {
            let replies = Replies::open(&path)?;
            let keys: Vec<Key> = (0..200).map(|number| Replies::key(&request(number))).collect();
            replies.get_many(&keys)
        };
        let message = read().unwrap_err().to_string();
        assert!(message.contains("replies.sqlite: "), "{message}");
        assert!(message.contains("damaged: ") && message.contains("move"), "{message}");
    };
    for from in [0, 100, 4096, 8192, 12_288, whole.len() / 2] {
        check(&|bytes| bytes[from..].fill(0xee));
    }
    check(&|bytes| {
        let text = bytes.windows(5).rposition(|window| window == b"\"yes\"").unwrap();
        bytes[text + 1] = 0xff;
    });
}
