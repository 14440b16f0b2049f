//! Open Assistant exports: message trees one a line, or the flat messages of the Hugging Face set.
//!
//! What is taken is the paper's choice: the first turn of each conversation, in one language, with the
//! answer that people ranked best. Nothing of the later turns is read.
use std::{collections::HashMap, path::Path};

use serde::Deserialize;

use super::{SeedRows, lines};
use crate::record::{Origin, Pair};

/// A line of either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Tree { tree_state: Option<String>, prompt: Message },
    Message(Message),
}

/// A message; in a tree it holds its replies, in the flat form it names its parent. Keys as in
/// Open Assistant's `ExportMessageNode`; those that are not needed are passed over.
#[derive(Deserialize)]
struct Message {
    message_id: String,
    parent_id: Option<String>,
    /// `None` in exports that blank deleted messages.
    text: Option<String>,
    role: String,
    lang: Option<String>,
    deleted: Option<bool>,
    /// 0 is the best. A number with a point in files that went through a data frame.
    rank: Option<f64>,
    tree_state: Option<String>,
    replies: Option<Vec<Message>>,
}

/// The state of a tree that went through every review.
const READY: &str = "ready_for_export";

/// One pair or one reason for each conversation, in the order of their prompts.
pub(super) fn read(path: &Path, bytes: &[u8], language: &str) -> anyhow::Result<SeedRows> {
    let expected = "an Open Assistant tree (`prompt` with `replies`) or message (`message_id`, `role`, `text`)";
    let mut conversations = Vec::new();
    let mut replies: HashMap<String, Vec<Message>> = HashMap::new();
    for (_, line) in lines(path, bytes, expected)? {
        match line {
            Line::Tree { tree_state, mut prompt } => {
                prompt.tree_state = tree_state;
                conversations.push(prompt);
            }
            Line::Message(message) => match &message.parent_id {
                None => conversations.push(message),
                Some(parent) => replies.entry(parent.clone()).or_default().push(message),
            },
        }
    }
    let mut rows = SeedRows::default();
    for mut prompt in conversations {
        let mut answers = prompt.replies.take().unwrap_or_default();
        answers.extend(replies.remove(&prompt.message_id).unwrap_or_default());
        match first_turn(prompt, answers, language) {
            Ok(pair) => rows.pairs.push(pair),
            Err(reason) => rows.drop(reason),
        }
    }
    Ok(rows)
}

/// The prompt with its best answer, or why there is none.
fn first_turn(
    prompt: Message,
    answers: Vec<Message>,
    language: &str,
) -> Result<Pair, &'static str> {
    if prompt.tree_state.as_deref().is_some_and(|state| state != READY) {
        return Err("not_ready");
    }
    if prompt.role != "prompter" {
        return Err("not_a_prompt");
    }
    let is_best = |answer: &Message| answer.role == "assistant" && answer.rank == Some(0.0);
    check(&prompt, language)?;
    let answer = answers.into_iter().find(is_best).ok_or("no_rank_0")?;
    check(&answer, language)?;
    match (prompt.text, answer.text) {
        (Some(instruction), Some(output))
            if !instruction.trim().is_empty() && !output.trim().is_empty() =>
        {
            Ok(Pair::new(instruction, output, Origin::Seed, answer.message_id))
        }
        _ => Err("empty"),
    }
}

fn check(message: &Message, language: &str) -> Result<(), &'static str> {
    if message.deleted == Some(true) {
        return Err("deleted");
    }
    if message.lang.as_deref() != Some(language) {
        return Err("other_language");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "export.jsonl";

    fn read_text(text: &str) -> SeedRows {
        read(Path::new(FILE), text.as_bytes(), "en").unwrap()
    }

    /// The kept outputs, or the reason of the one that was dropped.
    fn outcome(text: &str) -> String {
        let SeedRows { pairs, dropped } = read_text(text);
        pairs.into_iter().map(|pair| pair.output).chain(dropped.into_keys()).collect()
    }

    #[test]
    fn one_answer_of_a_tree_is_taken_or_a_reason_given() {
        let answer = |text: &str, lang: &str, rank: serde_json::Value| {
            json!({"message_id": text, "parent_id": "1", "text": text, "role": "assistant",
                   "lang": lang, "deleted": false, "rank": rank, "replies": []})
        };
        let good = [answer("second", "en", json!(1)), answer("best", "en", json!(0))];
        let check = |change: &[(&str, serde_json::Value)],
                     replies: &[serde_json::Value],
                     expected: &str| {
            let mut tree = json!({"message_tree_id": "1", "tree_state": "ready_for_export", "prompt":
                {"message_id": "1", "text": "ask", "role": "prompter", "lang": "en",
                 "deleted": false, "replies": replies}});
            for (pointer, value) in change {
                *tree.pointer_mut(pointer).unwrap() = value.clone();
            }
            assert_eq!(outcome(&tree.to_string()), expected, "{tree}");
        };
        check(&[], &good, "best");
        check(&[], &[answer("best", "en", json!(0.0))], "best");
        check(&[("/tree_state", json!(null))], &good, "best");
        check(&[("/tree_state", json!("growing"))], &good, "not_ready");
        check(&[("/prompt/role", json!("assistant"))], &good, "not_a_prompt");
        check(&[("/prompt/lang", json!("de"))], &good, "other_language");
        check(&[("/prompt/deleted", json!(true))], &good, "deleted");
        check(&[("/prompt/replies/1/deleted", json!(true))], &good, "deleted");
        check(&[("/prompt/replies/1/role", json!("prompter"))], &good, "no_rank_0");
        check(&[("/prompt/text", json!(" "))], &good, "empty");
        check(&[("/prompt/text", json!(null))], &good, "empty");
        check(&[], &[answer("best", "de", json!(0))], "other_language");
        check(&[], &[answer("alone", "en", json!(null))], "no_rank_0");
        check(&[], &[], "no_rank_0");
    }

    #[test]
    fn flat_messages_find_their_parents_in_any_order() {
        let message = |id: &str, parent: Option<&str>, role: &str, rank: Option<u8>| {
            json!({"message_id": id, "parent_id": parent, "text": id, "role": role, "lang": "en",
                   "rank": rank, "tree_state": "ready_for_export"})
        };
        let text = [
            message("answer 2", Some("ask 2"), "assistant", Some(0)),
            message("ask 1", None, "prompter", None),
            message("worse 1", Some("ask 1"), "assistant", Some(1)),
            message("answer 1", Some("ask 1"), "assistant", Some(0)),
            message("more", Some("answer 1"), "prompter", None),
            message("deep", Some("more"), "assistant", Some(0)),
            message("ask 2", None, "prompter", None),
            message("ask 3", None, "prompter", None),
        ]
        .map(|message| message.to_string())
        .join("\n");
        let rows = read_text(&text);
        let pairs: Vec<(&str, &str, &str)> = rows
            .pairs
            .iter()
            .map(|pair| (pair.instruction.as_str(), pair.output.as_str(), pair.parent.as_str()))
            .collect();
        assert_eq!(pairs, [("ask 1", "answer 1", "answer 1"), ("ask 2", "answer 2", "answer 2")]);
        assert_eq!(rows.dropped, [("no_rank_0".into(), 1)].into());
    }

    #[test]
    fn a_line_of_another_format_is_named() {
        let text = "{\"instruction\": \"a\", \"output\": \"b\"}";
        let error = format!("{:#}", read(Path::new(FILE), text.as_bytes(), "en").unwrap_err());
        assert!(error.contains("export.jsonl:1: expected an Open Assistant tree"), "{error}");
    }

    #[test]
    fn real_exports_give_the_known_number_of_pairs() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let check = |file: &str, expected: usize, dropped: usize| {
            let path = data.join(file);
            let Ok(bytes) = std::fs::read(&path) else {
                eprintln!("skipped: {} is not there", path.display());
                return;
            };
            let rows = read(&path, &bytes, "en").unwrap();
            assert_eq!(
                (rows.pairs.len(), rows.dropped),
                (expected, [("no_rank_0".into(), dropped)].into())
            );
        };
        // Of the 188 English conversations of the oasst1 validation split, two have no answer of rank 0.
        check("oasst1_en_validation/en-validation.jsonl", 186, 2);
        check("oasst_trees_en_100/en_100_tree.jsonl", 99, 1);
        check("oasst_trees_en_100/en_100_message.jsonl", 99, 1);
    }
}
