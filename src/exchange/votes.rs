//! Votes: `model_a`, `model_b` and the `winner`, one look a row, as FastChat's people and Chatbot Arena
//! cast them. `model_a` stood first.
use super::{Comparison, Fields, Look, Prompt, fastchat, json};
use crate::record::Order;

pub(super) fn read(mut fields: Fields, row: usize) -> anyhow::Result<Comparison> {
    let winner = fields.name("winner")?;
    let score = match winner.as_str() {
        "model_a" => 1.0,
        "model_b" => 0.0,
        tie if tie.starts_with("tie") => 0.5,
        other => {
            anyhow::bail!("winner is {other:?}: expected \"model_a\", \"model_b\" or \"tie\"")
        }
    };
    // Without a question, every vote was cast in a conversation of its own.
    let id = fields.take("question_id").unwrap_or_else(|| json(&format!("row {row}")));
    Ok(Comparison {
        prompt: Prompt {
            id: Some(id),
            instruction: None,
            dataset: fields.read("category", "a text")?.unwrap_or_default(),
            turn: fields.read("turn", "a number")?,
        },
        judge: match fields.take("judge") {
            Some(judge) => fastchat::read_judge(&judge)?,
            None => String::new(),
        },
        model: fields.name("model_a")?,
        baseline: fields.name("model_b")?,
        looks: vec![Look::new(Some(Order::CandidateFirst), Some(score))],
        rest: fields.into_rest(),
        ..Comparison::default()
    })
}

/// A row for each look.
///
/// # Errors
/// When a look has no order or no verdict: a vote has both.
pub(super) fn write(comparison: Comparison) -> anyhow::Result<Vec<Fields>> {
    let Comparison { prompt, judge, model, baseline, looks, rest, .. } = comparison;
    let vote = |look: &Look| {
        let mut fields = Fields::default();
        let (first, second, towards_first) = match look.order {
            Some(Order::CandidateFirst) => (&model, &baseline, look.score),
            Some(Order::BaselineFirst) => (&baseline, &model, look.score.map(|score| 1.0 - score)),
            _ => {
                anyhow::bail!("a vote says which answer stood first, and this row does not know it")
            }
        };
        let winner = match towards_first {
            None => anyhow::bail!("a vote has a winner or is a tie, and this row has no verdict"),
            Some(score) if score > 0.5 => "model_a",
            Some(score) if score < 0.5 => "model_b",
            Some(_) => "tie",
        };
        let id = prompt.id.as_ref().or(prompt.instruction.as_ref());
        fields.push("question_id", id.cloned().unwrap_or_else(|| json(&"")));
        fields.push("model_a", json(first));
        fields.push("model_b", json(second));
        fields.push("winner", json(&winner));
        fields.push("judge", fastchat::write_judge(&judge));
        fields.push("turn", json(&prompt.turn.unwrap_or(1)));
        if !prompt.dataset.is_empty() {
            fields.push("category", json(&prompt.dataset));
        }
        rest.iter().for_each(|(name, value)| fields.push(name, value.clone()));
        Ok(fields)
    };
    looks.iter().map(vote).collect()
}
