//! What the store says of itself, and what is removed from it.
use std::{fs, thread};

use super::{super::*, *};

#[test]
fn summary_counts_by_model() {
    let (_directory, _, replies) = store(0);
    assert_eq!(replies.summary().unwrap(), []);
    let priced = Stored { cost: Some(0.25), ..reply("é", 50) };
    replies.put("b", &json!(1), &priced).unwrap();
    replies.put("b", &json!(2), &priced).unwrap();
    replies.put("b", &json!(3), &reply("é", 90)).unwrap();
    replies.put("a", &json!(4), &reply("", 70)).unwrap();
    let expected = |model: &str, replies, cost, priced, first, last, bytes| ModelSummary {
        model: model.to_owned(),
        replies,
        prompt_tokens: 300 * replies,
        completion_tokens: 20 * replies,
        cost,
        priced,
        first,
        last,
        bytes,
    };
    // {"text":"é"} has 13 bytes, and a request here one.
    let both =
        [expected("a", 1, None, 0, 70, 70, 12), expected("b", 3, Some(0.5), 2, 50, 90, 3 * 14)];
    assert_eq!(replies.summary().unwrap(), both);
}

#[test]
fn pruning_removes_what_was_named_and_frees_its_space() {
    let check = |before: Option<u64>, model: Option<&str>, left: &[&str]| {
        let (_directory, path, replies) = store(0);
        let text = "x".repeat(50_000);
        for (number, (model, stored)) in [("a", 1), ("a", 2), ("b", 1), ("b", 2)].iter().enumerate()
        {
            replies.put(model, &json!(number), &reply(&text, *stored)).unwrap();
        }
        let full = replies.bytes().unwrap();
        assert_eq!(replies.prune(before, model).unwrap(), 4 - left.len());
        let kept: Vec<String> = (0..4)
            .filter(|number| replies.get(&Replies::key(&json!(number))).unwrap().is_some())
            .map(|number| ["a1", "a2", "b1", "b2"][number].to_owned())
            .collect();
        assert_eq!(kept, left);
        assert_eq!(replies.bytes().unwrap() < full, left.len() < 4);
        if left.len() < 4 {
            assert_eq!(fs::metadata(&path).unwrap().len(), replies.bytes().unwrap());
        }
        assert!(replies.prune(None, None).is_err());
    };
    check(Some(2), None, &["a2", "b2"]);
    check(None, Some("a"), &["b1", "b2"]);
    check(Some(2), Some("b"), &["a1", "a2", "b2"]);
    check(Some(1), None, &["a1", "a2", "b1", "b2"]);
    check(None, Some("c"), &["a1", "a2", "b1", "b2"]);
    check(Some(u64::MAX >> 1), None, &[]);
}

#[test]
fn pruning_while_another_writes() {
    let (_directory, path, replies) = store(0);
    let writer = Replies::open(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20 {
                let new = reply("yes", number as u64);
                writer.put("judge", &request(number), &new).unwrap();
            }
        });
        for number in 0..20 {
            replies.put("old", &json!(number), &reply("yes", 0)).unwrap();
            assert_eq!(replies.prune(None, Some("old")).unwrap(), 1);
        }
    });
    assert_eq!(present(&path, 20), 20);
}
