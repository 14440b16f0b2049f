//! AlpacaEval's `annotations.json`, of any vintage, and the order that its replies betray.
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Comparison, Fields, Json, Look, Prompt, Text, json, ranking::ranking_share,
    seeded_order::model_is_first,
};
use crate::record::Order;

pub(super) fn read(mut fields: Fields) -> anyhow::Result<Comparison> {
    let instruction = fields.take("instruction");
    let dataset = fields.read("dataset", "a text")?.unwrap_or_default();
    let preference: Option<f64> = fields.read("preference", "a number or null")?;
    let mut look = Look::new(None, preference.map(score).transpose()?.flatten());
    look.reply = reply(&mut fields);
    let (model_output, baseline_output) = (fields.take("output_2"), fields.take("output_1"));
    let same = |(one, other): (&Json, &Json)| one.get() == other.get();
    if model_output.as_ref().zip(baseline_output.as_ref()).is_some_and(same) {
        // A tie without a question to the judge.
        look.order = Some(Order::OrderFree);
    } else if let (Some(instruction), true) = (&instruction, look.reply.is_some()) {
        // Without a reply nothing can vindicate the seed, which takes as long as all the rest of a row.
        look.seeded = Some(match model_is_first(Text::of(instruction)?.bytes()) {
            true => Order::CandidateFirst,
            false => Order::BaselineFirst,
        });
        let shown = |score| shown(look.reply.as_ref()?, score, look.seeded?);
        look.order = look.score.and_then(shown);
    }
    Ok(Comparison {
        prompt: Prompt { id: None, instruction, dataset, turn: None },
        judge: fields.read("annotator", "a text")?.unwrap_or_default(),
        model: fields.read("generator_2", "a text")?.unwrap_or_else(|| "model".to_owned()),
        baseline: fields.read("generator_1", "a text")?.unwrap_or_else(|| "baseline".to_owned()),
        model_output,
        baseline_output,
        looks: vec![look],
        rest: fields.into_rest(),
    })
}

/// AlpacaEval's preference as the model's score: 1 is the baseline, 2 the model, 1.5 and the older 0 a
/// tie, and -1 stands in its cache for a verdict that could not be read.
fn score(preference: f64) -> anyhow::Result<Option<f64>> {
    match preference {
        0.0 => Ok(Some(0.5)),
        1.0..=2.0 => Ok(Some(preference - 1.0)),
        -1.0 => Ok(None),
        _ => anyhow::bail!(
            "preference is {preference}: expected 1 (baseline) to 2 (model), 0 for a tie, or null"
        ),
    }
}

fn reply(fields: &mut Fields) -> Option<Json> {
    let newer = fields.take("preference_raw_completion");
    newer.or_else(|| fields.take("raw_completion"))
}

/// The order in which the judge saw the two, read off its reply: the reply speaks of the first and the
/// second answer, the preference of the model's. An even preference fits both orders, the seeded too.
fn shown(reply: &Json, score: f64, seeded: Order) -> Option<Order> {
    let first = first_share(reply)?;
    // The preference has ten decimals.
    let is = |share: f64| (share - score).abs() < 1e-6;
    match (is(first), is(1.0 - first)) {
        (true, false) => Some(Order::CandidateFirst),
        (false, true) => Some(Order::BaselineFirst),
        (true, true) => Some(seeded),
        (false, false) => None,
    }
}

/// One candidate for the judge's first token.
#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    token: std::borrow::Cow<'a, str>,
    logprob: f64,
}

#[derive(Deserialize)]
struct Position<'a> {
    #[serde(borrow)]
    top_logprobs: Vec<Token<'a>>,
}

#[derive(Deserialize)]
struct LogProbabilities<'a> {
    #[serde(borrow)]
    content: Vec<Position<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    logprobs: LogProbabilities<'a>,
}

/// A ranking in the words of AlpacaEval's function calls.
#[derive(Deserialize)]
struct Ranking<'a> {
    #[serde(borrow)]
    ordered_models: &'a RawValue,
}

/// The share of the preference that the reply gives to the answer shown first: from the
/// probabilities of the tokens `m` and `M`, or from a ranking of `model_1` (or `m`) and the other.
fn first_share(reply: &Json) -> Option<f64> {
    if reply.get().starts_with('{') {
        let choice: Choice = serde_json::from_str(reply.get()).ok()?;
        let tokens = &choice.logprobs.content.first()?.top_logprobs;
        let chance = |name: &str| {
            let token = tokens.iter().find(|token| token.token == name);
            token.map_or(0.0, |token| token.logprob.exp())
        };
        let (first, second) = (chance("m"), chance("M"));
        return (first + second > 0.0).then(|| first / (first + second));
    }
    let text: String = serde_json::from_str(reply.get()).ok()?;
    let list = serde_json::from_str(&text)
        .map_or(&*text, |Ranking { ordered_models }| ordered_models.get());
    let names = [("model_1", "model_2"), ("m", "M")];
    names.into_iter().find_map(|(first, second)| ranking_share(list, first, second))
}

/// The fields of a row as AlpacaEval orders them.
///
/// # Errors
/// When the instruction is not known, by which AlpacaEval joins.
pub(super) fn write(comparison: Comparison) -> anyhow::Result<Fields> {
    let Comparison { prompt, judge, model, baseline, model_output, baseline_output, looks, rest } =
        comparison;
    let mut fields = Fields::default();
    let Some(instruction) = prompt.instruction else {
        anyhow::bail!(
            "AlpacaEval knows a prompt by its instruction, which this row does not have: name the files that hold it with --questions"
        )
    };
    fields.push("instruction", instruction);
    let mut optional = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            fields.push(name, value);
        }
    };
    optional("output_1", baseline_output);
    optional("generator_1", Some(json(&baseline)));
    optional("dataset", (!prompt.dataset.is_empty()).then(|| json(&prompt.dataset)));
    optional("output_2", model_output);
    optional("generator_2", Some(json(&model)));
    optional("annotator", (!judge.is_empty()).then(|| json(&judge)));
    // One look without a verdict leaves the prompt without a score, as everywhere in spyhop.
    let shares: Option<Vec<f64>> =
        looks.iter().map(|look| look.probability.or(look.score)).collect();
    let shares = shares.filter(|shares| !shares.is_empty());
    let mean = shares.map(|shares| shares.iter().sum::<f64>() / shares.len() as f64);
    optional("preference", Some(json(&mean.map(|share| 1.0 + share))));
    for (name, value) in rest {
        optional(&name, Some(value));
    }
    if let [look] = &looks[..] {
        optional("raw_completion", look.reply.clone());
    }
    Ok(fields)
}
