//! How well a judge agrees with people: the number that says what its win rates are worth.
use std::{cmp::Ordering, collections::HashMap, fs, path::Path};

use anyhow::Context;
use serde::Deserialize;

use crate::{
    lm::Lm,
    recipe::{JudgeMethod, Score},
    record::{Completion, Finish, Judgment, content_id},
    stats::{self, Estimate},
    store::read,
    watch::Watch,
};

/// Two answers to an instruction, and what people said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HumanPair {
    pub id: String,
    pub instruction: String,
    pub first: String,
    pub second: String,
    /// The side that most people preferred; `None` where they did not agree on one.
    pub preferred: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

/// A judge's agreement with people.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Pairs in the file.
    pub pairs: usize,
    /// Share of the pairs with a human majority on which the judge sides with it; a judge that calls
    /// a tie, or contradicts itself when the order changes, is half right.
    pub agreement: Estimate,
    /// The same, when the judge's preferences in the two orders are averaged before they are read.
    pub by_preference: Estimate,
    /// Share of pairs judged in both orders on which both gave the same verdict.
    pub consistency: Option<Estimate>,
    /// Pairs with a human majority on which the judge gave no verdict; counted in no share.
    pub missing: usize,
    /// Share on which the longer answer is the one that people preferred, for comparison.
    pub longer: Estimate,
}

/// PandaLM's test set: one array, three annotators, 0 for a tie.
#[derive(Deserialize)]
struct PandaLm {
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
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        scalar @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
            Ok(scalar.to_string())
        }
        other => Err(D::Error::custom(format!("expected a text, found {other}"))),
    }
}

/// AlpacaEval's annotations: one array (or JSONL), `preference` from 1 (first) to 2 (second).
#[derive(Deserialize)]
struct AlpacaEval {
    instruction: String,
    output_1: String,
    output_2: String,
    preference: Option<f64>,
}

/// Reads human-labelled pairs, as PandaLM or AlpacaEval publish them.
///
/// # Errors
/// When the file is neither; the message names the item.
pub fn human_pairs(path: &Path) -> anyhow::Result<Vec<HumanPair>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let items: Vec<serde_json::Value> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text),
        false => {
            text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
        }
    }
    .with_context(|| format!("{}: neither a JSON array nor JSONL", path.display()))?;
    let pair = |(number, item): (usize, serde_json::Value)| {
        let read = match item.get("annotator1").is_some() {
            true => serde_json::from_value::<PandaLm>(item).map(from_pandalm),
            false => serde_json::from_value::<AlpacaEval>(item).map(from_alpaca_eval),
        };
        let mut pair = read.with_context(|| {
            format!(
                "{}: item {number}: expected PandaLM's keys (instruction, response1, response2, annotator1 to annotator3) or AlpacaEval's (instruction, output_1, output_2, preference)",
                path.display()
            )
        })?;
        // The same texts may stand in a file twice, labelled by others.
        pair.id = content_id(&[&number.to_string(), &pair.instruction, &pair.first, &pair.second]);
        anyhow::Ok(pair)
    };
    (1..).zip(items).map(pair).collect()
}

fn from_pandalm(item: PandaLm) -> HumanPair {
    let votes = [item.annotator1, item.annotator2, item.annotator3];
    let count = |vote| votes.iter().filter(|&&found| found == vote).count();
    let preferred = match (count(1), count(2)) {
        (2.., _) => Some(Side::First),
        (_, 2..) => Some(Side::Second),
        _ => None,
    };
    let instruction = match item.input.is_empty() {
        true => item.instruction,
        false => format!("{}\n\n{}", item.instruction, item.input),
    };
    let (first, second) = (item.response1, item.response2);
    HumanPair { id: String::new(), instruction, first, second, preferred }
}

fn from_alpaca_eval(item: AlpacaEval) -> HumanPair {
    let preferred = match item.preference {
        Some(preference) if (1.0..1.5).contains(&preference) => Some(Side::First),
        Some(preference) if preference > 1.5 && preference <= 2.0 => Some(Side::Second),
        _ => None,
    };
    HumanPair {
        id: String::new(),
        instruction: item.instruction,
        first: item.output_1,
        second: item.output_2,
        preferred,
    }
}

/// Has the judge compare every pair, into `out`, and compares it with the people.
///
/// # Errors
/// When no pair has a human majority, or the judge cannot go on.
pub fn measure(
    load: impl FnOnce() -> anyhow::Result<Lm>,
    pairs: &[HumanPair],
    method: JudgeMethod,
    out: &Path,
    watch: Watch,
) -> anyhow::Result<Measured> {
    let completions = |generator: &str, output: fn(&HumanPair) -> &String| -> Vec<Completion> {
        let completion = |pair: &HumanPair| Completion {
            id: pair.id.clone(),
            instruction: pair.instruction.clone(),
            output: output(pair).clone(),
            generator: generator.to_owned(),
            dataset: String::new(),
            finish: Finish::Stop,
        };
        pairs.iter().map(completion).collect()
    };
    let (first, second) =
        (completions("first", |pair| &pair.first), completions("second", |pair| &pair.second));
    super::run(load, &first, &second, method, out, watch)?;
    let judgments: Vec<Judgment> = read(out)?;
    let mut by_pair: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for judgment in &judgments {
        by_pair.entry(&judgment.prompt_id).or_default().push(judgment);
    }
    let (mut right, mut right_by_preference, mut longer) = (Vec::new(), Vec::new(), Vec::new());
    let (mut missing, mut both, mut same) = (0, 0, 0);
    for pair in pairs {
        let found = &by_pair[pair.id.as_str()];
        let verdicts: Vec<_> = found.iter().filter_map(|judgment| judgment.verdict).collect();
        if found.len() == 2 && verdicts.len() == 2 {
            both += 1;
            same += usize::from(verdicts[0] == verdicts[1]);
        }
        let Some(preferred) = pair.preferred else { continue };
        let towards = |score: f64| if preferred == Side::First { score } else { 1.0 - score };
        let lengths = [&pair.first, &pair.second].map(|answer| answer.chars().count());
        longer.push(towards(match lengths[0].cmp(&lengths[1]) {
            Ordering::Greater => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Less => 0.0,
        }));
        let scores = [Score::Verdicts, Score::Preferences].map(|rule| super::score(found, rule));
        let [Some(by_verdicts), Some(by_preferences)] = scores else {
            missing += 1;
            continue;
        };
        right.push(towards(by_verdicts));
        right_by_preference.push(towards(by_preferences));
    }
    let share = |scores: &[f64]| {
        stats::mean(scores).context("no pair has both a human majority and a verdict")
    };
    Ok(Measured {
        pairs: pairs.len(),
        agreement: share(&right)?,
        by_preference: share(&right_by_preference)?,
        consistency: stats::proportion(same, both),
        missing,
        longer: share(&longer)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::Weights;

    const ITEMS: &str = r#"[
        {"instruction": "Q1", "input": "about x", "response1": "a", "response2": "bb",
         "annotator1": 1, "annotator2": 1, "annotator3": 0},
        {"instruction": "Q2", "response1": true, "response2": "ccc",
         "annotator1": 2, "annotator2": 1, "annotator3": 2},
        {"instruction": "Q3", "response1": "a", "response2": "b",
         "annotator1": 2, "annotator2": 1, "annotator3": 0},
        {"instruction": "Q4", "output_1": "same", "output_2": "same", "preference": 1.0},
        {"instruction": "Q5", "output_1": "a", "output_2": "b", "preference": 1.5}
    ]"#;

    #[test]
    fn people_are_read_from_both_formats() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pairs.json");
        fs::write(&path, ITEMS).unwrap();
        let pairs = human_pairs(&path).unwrap();
        let preferred: Vec<_> = pairs.iter().map(|pair| pair.preferred).collect();
        let (first, second) = (Some(Side::First), Some(Side::Second));
        assert_eq!(preferred, [first, second, None, first, None]);
        assert_eq!(pairs[0].instruction, "Q1\n\nabout x");
        assert_eq!(pairs[1].first, "true");
        fs::write(&path, "[{\"instruction\": \"Q\", \"annotator1\": 1}]").unwrap();
        let error = human_pairs(&path).unwrap_err().to_string();
        assert!(error.contains("pairs.json: item 1: expected PandaLM's keys"), "{error}");
    }

    #[test]
    fn a_judge_that_always_prefers_the_first_is_half_right() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pairs.json");
        fs::write(&path, ITEMS).unwrap();
        let script = directory.path().join("script.toml");
        fs::write(&script, "[[rule]]\nreplies = [\"A\"]\nlikelihoods = [-1.0]\n").unwrap();
        let weights = Weights::Script { script, model: "judge".into() };
        let pairs = human_pairs(&path).unwrap();
        let measured = |method| {
            let out = directory.path().join(format!("{method:?}.jsonl"));
            measure(|| Lm::load(&weights), &pairs, method, &out, &crate::watch::nobody).unwrap()
        };
        let choice = measured(JudgeMethod::Choice);
        assert_eq!((choice.pairs, choice.missing), (5, 0));
        assert_eq!((choice.agreement.point, choice.agreement.n), (0.5, 3));
        assert_eq!(choice.by_preference.point, 0.5);
        // The pair of identical answers is judged in no order.
        assert_eq!(choice.consistency.map(|share| (share.point, share.n)), Some((0.0, 4)));
        // Longer: "bb" is not preferred, "true" is, and the identical pair is a tie.
        assert_eq!(choice.longer.point, 0.5 / 3.0);
        assert_eq!(measured(JudgeMethod::Likelihood).consistency, None);
    }
}
