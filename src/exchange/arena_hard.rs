//! Arena-Hard's judgments: two games a row (A the baseline, then A the model) with five outcomes.
use serde::{Deserialize, Serialize};

use super::{Comparison, Fields, Json, Look, Prompt, json};
use crate::record::Order;

#[derive(Deserialize, Serialize)]
struct Game {
    score: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    judgment: Option<Json>,
    /// Version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<Json>,
    /// Version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_prompt: Option<Json>,
}

pub(super) fn read(mut fields: Fields) -> anyhow::Result<Comparison> {
    let games: Vec<Option<Game>> = fields.read("games", "a list of two games")?.unwrap_or_default();
    anyhow::ensure!(games.len() <= 2, "{} games: Arena-Hard plays two", games.len());
    let mut looks = Vec::new();
    for (game, order) in games.into_iter().zip([Order::BaselineFirst, Order::CandidateFirst]) {
        // A game that was not played is no look: a prompt with one game among prompts with two is
        // incomplete, which scoring sees.
        if let Some(game) = game {
            looks.push(read_game(game, order)?);
        }
    }
    if looks.is_empty() {
        looks.push(Look::new(Some(Order::BaselineFirst), None));
    }
    let id = fields.take("uid").or_else(|| fields.take("question_id"));
    Ok(Comparison {
        prompt: Prompt {
            id,
            instruction: None,
            dataset: fields.read("category", "a text")?.unwrap_or_default(),
            turn: fields.read("turn", "a number")?,
        },
        judge: fields.read("judge", "a text")?.unwrap_or_default(),
        model: fields.name("model")?,
        // Version 0.1 does not name its one baseline.
        baseline: fields.read("baseline", "a text")?.unwrap_or_else(|| "gpt-4-0314".to_owned()),
        looks,
        rest: fields.into_rest(),
        ..Comparison::default()
    })
}

fn read_game(game: Game, order: Order) -> anyhow::Result<Look> {
    let towards_a = match game.score.as_deref() {
        None => None,
        Some("A>>B" | "A>B") => Some(1.0),
        Some("A=B" | "B=A") => Some(0.5),
        Some("B>A" | "B>>A") => Some(0.0),
        Some(other) => anyhow::bail!(
            "the score of a game is {other:?}: expected A>>B, A>B, A=B, B>A, B>>A or null"
        ),
    };
    let score = match order {
        Order::BaselineFirst => towards_a.map(|score: f64| 1.0 - score),
        Order::CandidateFirst | Order::OrderFree => towards_a,
    };
    let strong = game.score.is_some_and(|score| score.contains(['>']) && score.contains(">>"));
    Ok(Look {
        strong,
        reply: game.judgment,
        question: game.prompt.or(game.user_prompt),
        ..Look::new(Some(order), score)
    })
}

/// # Errors
/// When a look has no order, by which Arena-Hard tells its two games apart.
pub(super) fn write(comparison: Comparison) -> anyhow::Result<Fields> {
    let Comparison { prompt, judge, model, baseline, looks, rest, .. } = comparison;
    let mut fields = Fields::default();
    let mut games: [Option<Game>; 2] = [None, None];
    for look in looks {
        let (place, towards_a) = match look.order {
            Some(Order::BaselineFirst) => (0, look.score.map(|score| 1.0 - score)),
            Some(Order::CandidateFirst) => (1, look.score),
            _ => anyhow::bail!(
                "Arena-Hard tells its two games apart by the order, which this row does not have"
            ),
        };
        let label = |score: f64| match (score > 0.5, score < 0.5, look.strong) {
            (true, _, true) => "A>>B",
            (true, _, false) => "A>B",
            (_, true, true) => "B>>A",
            (_, true, false) => "B>A",
            _ => "A=B",
        };
        games[place] = Some(Game {
            score: towards_a.map(|score| label(score).to_owned()),
            judgment: look.reply,
            prompt: look.question,
            user_prompt: None,
        });
    }
    fields.push("uid", prompt.id.or(prompt.instruction).unwrap_or_else(|| json(&"")));
    if !prompt.dataset.is_empty() {
        fields.push("category", json(&prompt.dataset));
    }
    // Arena-Hard has single turns only; without the number, two turns would be one prompt.
    if let Some(turn) = prompt.turn {
        fields.push("turn", json(&turn));
    }
    fields.push("judge", json(&judge));
    fields.push("model", json(&model));
    fields.push("baseline", json(&baseline));
    fields.push("games", json(&games));
    rest.into_iter().for_each(|(name, value)| fields.push(&name, value));
    Ok(fields)
}
