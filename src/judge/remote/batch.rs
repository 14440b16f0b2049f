//! Questions that have no reply, as files for a server that answers within a day at half the price.
use std::path::{Path, PathBuf};

use super::{Court, decided, rows_by_id};
use crate::{
    lm::api::batch::{self, Written},
    record::Completion,
    store::Replies,
};

impl Court<'_> {
    /// Writes the questions about a candidate and some baselines that have neither a row in the
    /// baseline's file of `outs` nor a stored reply to files in a directory. Asks no server.
    ///
    /// # Errors
    /// When a baseline lacks a prompt, the store or the rows in `outs` cannot be read, or the
    /// directory cannot be written or has another batch.
    pub fn write_batch(
        &self,
        candidates: &[Completion],
        baselines: &[Vec<Completion>],
        outs: &[PathBuf],
        directory: &Path,
    ) -> anyhow::Result<Written> {
        let mut calls = Vec::new();
        for (baseline, out) in baselines.iter().zip(outs) {
            let done = rows_by_id(out)?;
            for pair in self.matches(candidates, baseline)? {
                if !done.contains_key(&pair.id) && !decided(&pair) {
                    let call = self.call(&pair);
                    calls.push((self.provider.request(&call), call));
                }
            }
        }
        let keys: Vec<_> = calls.iter().map(|(request, _)| Replies::key(request)).collect();
        let mut found = self.provider.replies.get_many(&keys)?.into_iter();
        calls.retain(|_| found.next().is_some_and(|reply| reply.is_none()));
        batch::write(directory, self.judge.price, &calls)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        judge::{Orders, configured::Judge},
        lm::api::{Provider, batch::read},
        record::Finish,
        watch::nobody,
    };

    fn answers(generator: &str) -> Vec<Completion> {
        let answer = |number: usize| Completion {
            id: number.to_string(),
            instruction: format!("Q{number}"),
            output: if number == 0 { "same".into() } else { format!("{generator} {number}") },
            generator: generator.into(),
            dataset: "d".into(),
            finish: Finish::Stop,
        };
        (0..4).map(answer).collect()
    }

    #[test]
    fn what_comes_back_is_what_the_court_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let judge = Judge::load("pair-verdict", directory.path(), &nobody).unwrap();
        let replies = Replies::open(&path("replies.sqlite")).unwrap();
        let provider = Provider { api: None, replies, server: "s".into(), concurrency: 1 };
        let court = Court { judge: &judge, provider: &provider, orders: Orders::Both, sample: 0 };
        let (one, baselines) = (answers("one"), [answers("two"), answers("three")]);
        let outs = [path("two.jsonl"), path("three.jsonl")];
        let write = |to: &str| court.write_batch(&one, &baselines, &outs, &path(to)).unwrap();
        // Identical answers are a tie without a question; the others are asked in both orders.
        let written = write("batch");
        assert_eq!((written.calls, written.files.len()), (12, 1));

        let text = fs::read_to_string(&written.files[0]).unwrap();
        let ids: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["custom_id"].clone())
            .collect();
        assert_eq!(ids.iter().map(Value::to_string).collect::<HashSet<_>>().len(), 12);
        let choice = json!({"message": {"content": "Verdict: A"}, "finish_reason": "stop"});
        let reply = |id: &Value| {
            let body = json!({"choices": [&choice], "usage": {"prompt_tokens": 1_000_000}});
            json!({"custom_id": id, "response": {"status_code": 200, "body": body}}).to_string()
        };
        // One question stays without a result.
        let results: Vec<String> = ids[1..].iter().rev().map(reply).collect();
        fs::write(path("batch/output.jsonl"), results.join("\n")).unwrap();
        let came = read(&[path("batch/output.jsonl")], None, &provider.replies).unwrap();
        assert_eq!((came.added, came.open), (11, 1));
        let paid = provider.replies.summary().unwrap()[0].cost.unwrap();
        assert!((paid - 11.0 * judge.price.unwrap().prompt / 2.0).abs() < 1e-9, "{paid}");

        let spent = court.run(&one, &baselines[0], None, &outs[0], &nobody).unwrap().spent;
        assert_eq!((spent.stored, spent.failed), (5, 1));
        assert_eq!(write("rest").calls, 1);
        assert!(court.write_batch(&one, &baselines, &outs, &path("batch")).is_err());
    }
}
