//! spyhop's own judgments, one look a row.
use serde::Deserialize;
use serde_json::value::to_raw_value;

use super::{Comparison, Fields, Look, Prompt, convert::one_line, json};
use crate::record::{Judgment, Order, Verdict, content_id};

pub(super) fn read(mut fields: Fields) -> anyhow::Result<Comparison> {
    let verdict: Option<Verdict> = fields.read("verdict", "win, tie, loss or null")?;
    let order = fields.read("order", "candidate_first, baseline_first or order_free")?;
    let mut look = Look::new(order, verdict.map(Verdict::score));
    let preference: Option<f64> = fields.read("preference", "a number or null")?;
    // A judge that reads likelihoods has a difference of log-probabilities there, and no order.
    look.probability =
        preference.filter(|share| order != Some(Order::OrderFree) && (0.0..=1.0).contains(share));
    if look.probability.is_none()
        && let Some(preference) = preference
    {
        fields.push("preference", json(&preference));
    }
    look.reply = fields.take("reply");
    fields.take("id");
    Ok(Comparison {
        prompt: Prompt {
            id: fields.take("prompt_id"),
            instruction: None,
            dataset: fields.read("dataset", "a text")?.unwrap_or_default(),
            turn: None,
        },
        judge: String::new(),
        model: fields.name("candidate")?,
        baseline: fields.name("baseline")?,
        looks: vec![look],
        rest: fields.into_rest(),
        ..Comparison::default()
    })
}

/// A row for each look.
///
/// # Errors
/// When a reply is no text.
pub(super) fn write(comparison: Comparison) -> anyhow::Result<Vec<Fields>> {
    let Comparison { prompt, model, baseline, looks, rest, .. } = comparison;
    let text = |value: &serde_json::value::RawValue| match serde_json::from_str(value.get()) {
        Ok(serde_json::Value::String(text)) => text,
        _ => one_line(value.get()),
    };
    let prompt_id = match (&prompt.id, &prompt.instruction) {
        (Some(id), _) => text(id),
        // As `generate` names a prompt that brings no id.
        (None, Some(instruction)) => content_id(&[&text(instruction)]),
        (None, None) => String::new(),
    };
    let prompt_id = match prompt.turn {
        Some(turn @ 2..) => format!("{prompt_id} turn {turn}"),
        _ => prompt_id,
    };
    let mut rows = Vec::new();
    for look in looks {
        // Of a row with a preference of another kind, it waits in `rest`.
        let kept = rest.iter().find(|(name, _)| name == "preference");
        let kept = kept.and_then(|(_, value)| f64::deserialize(&**value).ok());
        let order = look.order.unwrap_or(Order::OrderFree);
        let verdict = look.score.map(|score| match score {
            score if score > 0.5 => Verdict::Win,
            score if score < 0.5 => Verdict::Loss,
            _ => Verdict::Tie,
        });
        let fraction = look.score.filter(|score| ![0.0, 0.5, 1.0].contains(score));
        let name = format!("{order:?}");
        let row = Judgment {
            id: content_id(&[&model, &baseline, &prompt_id, &name]),
            prompt_id: prompt_id.clone(),
            dataset: prompt.dataset.clone(),
            candidate: model.clone(),
            baseline: baseline.clone(),
            order,
            verdict,
            preference: look.probability.or(fraction).or(kept),
            reply: look.reply.as_deref().map(text).unwrap_or_default(),
        };
        rows.push(serde_json::from_str(to_raw_value(&row)?.get())?);
    }
    Ok(rows)
}
