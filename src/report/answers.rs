//! What the page shows of the texts themselves: rated pairs, and every answer beside its rivals.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{run::Run, win_rates::WinRates, words};
use crate::record::{Augmented, Finish, Judgment, Order, Verdict, content_id};

/// Pairs shown from each end of the ratings.
const SAMPLES: usize = 3;

/// An augmented pair with every rating that it was given.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    instruction: String,
    output: String,
    /// `4.50 by M0, 4.00 by M1`.
    ratings: String,
}

/// The best and the worst rated pairs, by the latest ratings.
#[derive(Debug, Default, Serialize)]
pub(super) struct Samples {
    highest: Vec<Sample>,
    lowest: Vec<Sample>,
}

/// One prompt of the eval set with all answers and verdicts.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    beginning: String,
    dataset: String,
    instruction: String,
    answers: Vec<Answer>,
    verdicts: Vec<Judged>,
}

#[derive(Debug, Serialize)]
struct Answer {
    model: String,
    output: String,
    characters: String,
    /// Why the answer is not whole, where it is not.
    cut: Option<&'static str>,
}

/// The verdicts of one comparison on one prompt.
#[derive(Debug, Serialize)]
struct Judged {
    comparison: String,
    /// `win`, `tie`, `loss` or `missing`: also the style class.
    outcome: &'static str,
    /// What was said in each order.
    looks: String,
}

pub(super) fn samples(run: &Run) -> anyhow::Result<Samples> {
    let mut by_pair: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let mut latest = None;
    for model in run.models() {
        for row in run.ratings(&model)? {
            if let Some(rating) = row.rating {
                by_pair.entry(row.id).or_default().push((model.clone(), rating));
                latest = Some(model.clone());
            }
        }
    }
    let Some(latest) = latest else { return Ok(Samples::default()) };
    let augmented = run.augmented()?;
    let mut rated = Vec::new();
    for row in &augmented {
        let Some(instruction) = &row.instruction else { continue };
        let id = content_id(&[instruction, &row.output]);
        let Some(ratings) = by_pair.get(&id) else { continue };
        if let Some((_, rating)) = ratings.iter().find(|(model, _)| *model == latest) {
            rated.push((*rating, id, row));
        }
    }
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    rated.dedup_by(|a, b| a.1 == b.1);
    let shown = |(_, id, row): &(f64, String, &Augmented)| {
        let ratings: Vec<String> =
            by_pair[id].iter().map(|(model, rating)| format!("{rating:.2} by {model}")).collect();
        Sample {
            instruction: words::visible(row.instruction.as_deref().unwrap_or_default()),
            output: words::visible(&row.output),
            ratings: ratings.join(", "),
        }
    };
    let lowest = rated.len().saturating_sub(SAMPLES).max(SAMPLES.min(rated.len()));
    Ok(Samples {
        highest: rated.iter().take(SAMPLES).map(shown).collect(),
        lowest: rated[lowest..].iter().rev().map(shown).collect(),
    })
}

/// Every prompt of the eval set that at least one model has answered.
pub(super) fn browse(run: &Run, win_rates: &WinRates) -> anyhow::Result<Vec<Asked>> {
    let mut looks: BTreeMap<(String, String), Vec<Judgment>> = BTreeMap::new();
    for (iteration, model) in run.models().into_iter().enumerate() {
        for (of, _) in run.baselines(iteration) {
            for judgment in run.judgments(&model, &of)?.unwrap_or_default() {
                let name = versus(&judgment.candidate, &judgment.baseline);
                looks.entry((judgment.prompt_id.clone(), name)).or_default().push(judgment);
            }
        }
    }
    let models = run.contestants();
    let asked = run.prompts.iter().map(|prompt| {
        let answers = models
            .iter()
            .filter_map(|model| {
                let answer = run.answers.get(model)?.get(&prompt.id)?;
                Some(Answer {
                    model: model.clone(),
                    output: words::visible(&answer.output),
                    characters: words::count(answer.output.chars().count()),
                    cut: match answer.finish {
                        Finish::Stop => None,
                        Finish::Length => Some("cut at the token limit"),
                        Finish::Overlong => Some("prompt too long for the model"),
                        Finish::Refused => Some("refused by the server"),
                    },
                })
            })
            .collect();
        let verdicts = win_rates.comparisons.iter().map(|comparison| {
            let name = versus(&comparison.candidate, &comparison.baseline);
            let looks = looks.get(&(prompt.id.clone(), name.clone()));
            Judged {
                comparison: name,
                outcome: match comparison.scores.get(&prompt.id) {
                    None => "missing",
                    Some(&score) if score > 0.5 => "win",
                    Some(&score) if score < 0.5 => "loss",
                    Some(_) => "tie",
                },
                looks: looks.map_or_else(|| "not judged".into(), |looks| said(looks)),
            }
        });
        Asked {
            beginning: words::beginning(&prompt.instruction, 80),
            dataset: words::visible(&prompt.dataset),
            instruction: words::visible(&prompt.instruction),
            answers,
            verdicts: verdicts.collect(),
        }
    });
    Ok(asked.filter(|asked| !asked.answers.is_empty()).collect())
}

fn versus(candidate: &str, baseline: &str) -> String {
    format!("{candidate} against {baseline}")
}

/// `win shown first, loss shown second`.
fn said(looks: &[Judgment]) -> String {
    let one = |look: &&Judgment| {
        let verdict = match look.verdict {
            Some(Verdict::Win) => "win",
            Some(Verdict::Tie) => "tie",
            Some(Verdict::Loss) => "loss",
            None => "unreadable",
        };
        let order = match look.order {
            Order::CandidateFirst => " shown first",
            Order::BaselineFirst => " shown second",
            Order::OrderFree => "",
        };
        format!("{verdict}{order}")
    };
    let mut looks: Vec<&Judgment> = looks.iter().collect();
    looks.sort_by_key(|look| look.order);
    looks.iter().map(one).collect::<Vec<_>>().join(", ")
}
