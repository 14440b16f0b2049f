//! FastChat's `gpt-4_pair.jsonl`: two games a row, the second with the answers exchanged.
use super::{Comparison, Fields, Json, Look, Prompt, json};
use crate::record::Order;

/// Parts the two names of FastChat's `judge`, the model and its prompt, in one name of ours.
const JUDGE_SEPARATOR: &str = " / ";

pub(super) fn read(mut fields: Fields) -> anyhow::Result<Comparison> {
    let mut game = |number: u8, order: Order| {
        let winner: Option<String> = fields.read(&format!("g{number}_winner"), "a text")?;
        let mut look = Look::new(Some(order), score(winner.as_deref())?);
        look.reply = fields.take(&format!("g{number}_judgment"));
        look.question = fields.take(&format!("g{number}_user_prompt"));
        anyhow::Ok(look)
    };
    let looks = vec![game(1, Order::CandidateFirst)?, game(2, Order::BaselineFirst)?];
    Ok(Comparison {
        prompt: Prompt {
            id: fields.take("question_id"),
            instruction: None,
            dataset: fields.read("category", "a text")?.unwrap_or_default(),
            turn: fields.read("turn", "a number")?,
        },
        judge: fields.take("judge").map_or(Ok(String::new()), |judge| read_judge(&judge))?,
        model: fields.name("model_1")?,
        baseline: fields.name("model_2")?,
        looks,
        rest: fields.into_rest(),
        ..Comparison::default()
    })
}

/// `["gpt-4", "pair-v2"]`, or a plain name.
pub(super) fn read_judge(judge: &Json) -> anyhow::Result<String> {
    match serde_json::from_str::<Vec<String>>(judge.get()) {
        Ok(names) => Ok(names.join(JUDGE_SEPARATOR)),
        Err(_) => serde_json::from_str(judge.get())
            .map_err(|_| anyhow::anyhow!("judge is {judge}: expected a name or a list of two")),
    }
}

pub(super) fn write_judge(judge: &str) -> Json {
    match judge.split_once(JUDGE_SEPARATOR) {
        Some((model, prompt)) => json(&[model, prompt]),
        None => json(&judge),
    }
}

fn score(winner: Option<&str>) -> anyhow::Result<Option<f64>> {
    match winner {
        Some("model_1") => Ok(Some(1.0)),
        Some("model_2") => Ok(Some(0.0)),
        Some("tie") => Ok(Some(0.5)),
        Some("error") | None => Ok(None),
        Some(other) => anyhow::bail!(
            "the winner is {other:?}: expected \"model_1\", \"model_2\", \"tie\" or \"error\""
        ),
    }
}

/// # Errors
/// When the row does not hold one look in each order.
pub(super) fn write(comparison: Comparison) -> anyhow::Result<Fields> {
    let Comparison { prompt, judge, model, baseline, mut looks, rest, .. } = comparison;
    let mut fields = Fields::default();
    let mut in_order = |order: Order| {
        let place = looks.iter().position(|look| look.order == Some(order));
        place.map(|place| looks.remove(place))
    };
    let (Some(first), Some(second)) =
        (in_order(Order::CandidateFirst), in_order(Order::BaselineFirst))
    else {
        anyhow::bail!(
            "FastChat's pairwise rows hold a look in each order, and this row does not: convert to votes, which hold one"
        )
    };
    fields.push("question_id", prompt.id.or(prompt.instruction).unwrap_or_else(|| json(&"")));
    fields.push("model_1", json(&model));
    fields.push("model_2", json(&baseline));
    fields.push("g1_winner", json(&winner(first.score)));
    fields.push("g2_winner", json(&winner(second.score)));
    fields.push("judge", write_judge(&judge));
    for (number, look) in [(1, first), (2, second)] {
        let empty = || json(&"");
        fields.push(&format!("g{number}_user_prompt"), look.question.unwrap_or_else(empty));
        fields.push(&format!("g{number}_judgment"), look.reply.unwrap_or_else(empty));
    }
    fields.push("turn", json(&prompt.turn.unwrap_or(1)));
    if !prompt.dataset.is_empty() {
        fields.push("category", json(&prompt.dataset));
    }
    rest.into_iter().for_each(|(name, value)| fields.push(&name, value));
    Ok(fields)
}

fn winner(score: Option<f64>) -> &'static str {
    match score {
        None => "error",
        Some(score) if score > 0.5 => "model_1",
        Some(score) if score < 0.5 => "model_2",
        Some(_) => "tie",
    }
}
