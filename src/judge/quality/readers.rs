//! Files of pairs that people compared, and of what a judge said of the same pairs.
use std::{cmp::Ordering, collections::HashMap, fs, path::Path};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::Opinion;
use crate::record::content_id;

/// Two answers to an instruction, and what people said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HumanPair {
    pub id: String,
    /// What the file calls the pair, by `idx` or else by its place from 0.
    pub index: usize,
    pub instruction: String,
    pub first: String,
    pub second: String,
    /// What each person said, in the file's order; `None` is a tie. A file with one label a pair has
    /// one vote.
    pub votes: Vec<Option<Side>>,
    /// The side that most people preferred; `None` where they did not agree on one.
    pub preferred: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    First,
    Second,
}

/// A judge's verdicts that somebody recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// One for each pair, in the pairs' order.
    pub opinions: Vec<Opinion>,
    /// Rows about none of the pairs.
    pub strangers: usize,
    /// Mean dollars of a row, where all of them have a price.
    pub price: Option<f64>,
}

/// The label that was given more often than any other; `None` if there is none.
pub(super) fn majority(votes: &[Option<Side>]) -> Option<Option<Side>> {
    let count = |label| votes.iter().filter(|&&vote| vote == label).count();
    let labels = [Some(Side::First), None, Some(Side::Second)];
    let most = labels.into_iter().max_by_key(|&label| count(label))?;
    let alone = labels.into_iter().filter(|&label| count(label) == count(most)).count() == 1;
    alone.then_some(most)
}

/// PandaLM's test set: one array, three annotators, 0 for a tie.
#[derive(Deserialize)]
struct PandaLm {
    idx: Option<usize>,
    #[serde(deserialize_with = "text")]
    instruction: String,
    #[serde(default, deserialize_with = "text")]
    input: String,
    #[serde(deserialize_with = "text")]
    response1: String,
    #[serde(deserialize_with = "text")]
    response2: String,
    annotator1: u8,
    annotator2: u8,
    annotator3: u8,
}

/// PandaLM's file went through a spreadsheet, which made a few answers numbers and booleans.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde::de::Error;
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Ok(scalar.to_string()),
        other => Err(D::Error::custom(format!("expected a text, found {other}"))),
    }
}

/// LLMBar's pairs: one label, of the answer that is better by construction and by its authors.
#[derive(Deserialize)]
struct LlmBar {
    input: String,
    output_1: String,
    output_2: String,
    label: u8,
}

/// AlpacaEval's annotations: one array (or JSONL), `preference` from 1 (first) to 2 (second), and 0 or
/// 1.5 for a tie. With `annotator_index`, each row is one person's vote.
#[derive(Deserialize)]
struct AlpacaEval {
    instruction: String,
    output_1: String,
    output_2: String,
    preference: Option<f64>,
    price_per_example: Option<f64>,
}

/// Reads human-labelled pairs, as PandaLM, LLMBar or AlpacaEval publish them.
///
/// Rows of AlpacaEval that have an `annotator_index` and the same texts are votes on one pair.
///
/// # Errors
/// When the file is none of these; the message names the item.
pub fn human_pairs(path: &Path) -> anyhow::Result<Vec<HumanPair>> {
    let mut pairs: Vec<HumanPair> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (item, number) in items(path)?.into_iter().zip(1..) {
        let several = item.get("annotator_index").is_some_and(|index| !index.is_null());
        let pair = human_pair(item, pairs.len()).with_context(|| {
            format!(
                "{}: item {number}: expected PandaLM's keys (instruction, response1, response2, annotator1 to annotator3), LLMBar's (input, output_1, output_2, label) or AlpacaEval's (instruction, output_1, output_2, preference)",
                path.display()
            )
        })?;
        let texts = content_id(&[&pair.instruction, &pair.first, &pair.second]);
        match places.get(&texts).filter(|_| several) {
            Some(&place) => pairs[place].votes.extend(pair.votes),
            None => {
                places.insert(texts, pairs.len());
                pairs.push(pair);
            }
        }
    }
    anyhow::ensure!(!pairs.is_empty(), "{} holds no pairs", path.display());
    for (pair, number) in pairs.iter_mut().zip(1_usize..) {
        // The same texts may stand in a file twice, labelled by others.
        pair.id = content_id(&[&number.to_string(), &pair.instruction, &pair.first, &pair.second]);
        pair.preferred = majority(&pair.votes).flatten();
    }
    Ok(pairs)
}

fn items(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text),
        false => {
            text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
        }
    }
    .with_context(|| format!("{}: neither a JSON array nor JSONL", path.display()))
}

/// The pair with its votes, but without its id and the majority; `place` names it where the file does not.
fn human_pair(item: Value, place: usize) -> anyhow::Result<HumanPair> {
    let pair = |index: Option<usize>, texts: [String; 3], votes: Vec<Option<Side>>| {
        let [instruction, first, second] = texts;
        let (id, index) = (String::new(), index.unwrap_or(place));
        HumanPair { id, index, instruction, first, second, votes, preferred: None }
    };
    if item.get("annotator1").is_some() {
        let item: PandaLm = serde_json::from_value(item)?;
        let instruction = match item.input.is_empty() {
            true => item.instruction,
            false => format!("{}\n\n{}", item.instruction, item.input),
        };
        let votes = [item.annotator1, item.annotator2, item.annotator3].map(side);
        Ok(pair(item.idx, [instruction, item.response1, item.response2], votes.into()))
    } else if item.get("label").is_some() {
        let item: LlmBar = serde_json::from_value(item)?;
        anyhow::ensure!([1, 2].contains(&item.label), "label is {}: expected 1 or 2", item.label);
        Ok(pair(None, [item.input, item.output_1, item.output_2], vec![side(item.label)]))
    } else {
        let item: AlpacaEval = serde_json::from_value(item)?;
        let vote = item.preference.map(|preference| match preference {
            first if (1.0..1.5).contains(&first) => Some(Side::First),
            second if second > 1.5 && second <= 2.0 => Some(Side::Second),
            _ => None,
        });
        Ok(pair(None, [item.instruction, item.output_1, item.output_2], Vec::from_iter(vote)))
    }
}

fn side(label: u8) -> Option<Side> {
    match label {
        1 => Some(Side::First),
        2 => Some(Side::Second),
        _ => None,
    }
}

/// Reads a judge's verdicts on `pairs`: PandaLM's (`idx` and one `*_result`: 1, 2, 0 or `Tie`) or
/// AlpacaEval's annotations, in which several rows of one pair are several votes.
///
/// What is none of the values that a verdict can have is a missing verdict, as is a pair without a row.
///
/// # Errors
/// When the file is neither, or holds no verdict on any of the pairs.
pub fn recorded(path: &Path, pairs: &[HumanPair]) -> anyhow::Result<Recorded> {
    let by_index: HashMap<usize, usize> =
        pairs.iter().enumerate().map(|(place, pair)| (pair.index, place)).collect();
    let mut by_texts: HashMap<[&str; 3], Vec<usize>> = HashMap::new();
    for (place, pair) in pairs.iter().enumerate() {
        by_texts.entry([&pair.instruction, &pair.first, &pair.second]).or_default().push(place);
    }
    // The pairs that a row is about, what it says of them, and what it cost.
    let read = |item: Value| -> anyhow::Result<(Vec<usize>, Option<f64>, Option<f64>)> {
        if item.get("idx").is_some() {
            let (index, score) = result(&item)?;
            return Ok((by_index.get(&index).copied().into_iter().collect(), score, None));
        }
        let row: AlpacaEval = serde_json::from_value(item)?;
        let vote = row.preference.map(|vote| if vote == 0.0 { 1.5 } else { vote });
        let score = vote.filter(|vote| (1.0..=2.0).contains(vote)).map(|vote| 2.0 - vote);
        let texts = [&*row.instruction, &row.output_1, &row.output_2];
        let turned = [texts[0], texts[2], texts[1]];
        let (places, score) = match (by_texts.get(&texts), by_texts.get(&turned)) {
            (None, Some(places)) => (places.clone(), score.map(|score| 1.0 - score)),
            (places, _) => (places.cloned().unwrap_or_default(), score),
        };
        Ok((places, score, row.price_per_example))
    };
    let mut opinions = vec![Opinion::default(); pairs.len()];
    let (mut rows, mut strangers, mut price) = (0, 0, Some(0.0));
    for (item, number) in items(path)?.into_iter().zip(1..) {
        let (places, score, cost) = read(item).with_context(|| {
            format!(
                "{}: item {number}: expected PandaLM's keys (idx and one that ends in _result) or AlpacaEval's (instruction, output_1, output_2, preference)",
                path.display()
            )
        })?;
        strangers += usize::from(places.is_empty());
        places.into_iter().for_each(|place| opinions[place].scores.push(score));
        price = price.zip(cost).map(|(sum, cost)| sum + cost);
        rows += 1;
    }
    anyhow::ensure!(
        strangers < rows,
        "{} holds no verdict on any of the {} pairs: expected a judge's verdicts on the same pairs",
        path.display(),
        pairs.len()
    );
    Ok(Recorded { opinions, strangers, price: price.map(|sum| sum / rows as f64) })
}

/// One row of PandaLM's verdicts: the pair's index and the first answer's score.
fn result(item: &Value) -> anyhow::Result<(usize, Option<f64>)> {
    let index = item["idx"].as_u64().context("idx is not a whole number")? as usize;
    let fields = item.as_object().context("not an object")?;
    let mut results = fields.iter().filter(|(name, _)| name.ends_with("_result"));
    let (Some((_, value)), None) = (results.next(), results.next()) else {
        anyhow::bail!("expected one key that ends in _result");
    };
    let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let score = match said.trim().to_lowercase().as_str() {
        "1" => Some(1.0),
        "2" => Some(0.0),
        "0" | "tie" => Some(0.5),
        _ => None,
    };
    Ok((index, score))
}

/// The score of the first answer by a judge that prefers more characters.
pub(in crate::judge) fn longer(pair: &HumanPair) -> f64 {
    match pair.first.chars().count().cmp(&pair.second.chars().count()) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    }
}
