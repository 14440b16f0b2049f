//! What the page's browser of judgments is given: every pair of answers that a run compares, as JSON.
//!
//! Every text stands in it once, however often it is compared. Knows no page; `browse.js` reads it.
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{run::Run, win_rates::WinRates, words};
use crate::record::{Completion, Finish, Judgment, Order, Verdict};

/// All that can be looked at. Numbers in place of names are places in `texts`, `models` and `prompts`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Browsed {
    texts: Vec<String>,
    models: Vec<String>,
    prompts: Vec<Asked>,
    /// By model, then by prompt; `None` where the model has not answered.
    answers: Vec<Vec<Option<Answer>>>,
    comparisons: Vec<Compared>,
}

#[derive(Debug, Serialize)]
struct Asked {
    id: String,
    dataset: String,
    text: usize,
}

#[derive(Debug, Serialize)]
struct Answer {
    text: usize,
    characters: usize,
    /// Why the answer is not whole, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
}

/// A candidate's answers against a baseline's.
#[derive(Debug, Serialize)]
struct Compared {
    candidate: usize,
    baseline: usize,
    /// One for each prompt that both have answered.
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    prompt: usize,
    /// The candidate's, from 0 to 1; `None` where the prompt has none.
    score: Option<f64>,
    looks: Vec<Look>,
}

#[derive(Debug, Serialize)]
struct Look {
    /// The answer that the judge saw first: `candidate`, `baseline` or `none`.
    first: &'static str,
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preference: Option<f64>,
    /// The judge's own words.
    text: usize,
}

/// Gives every text a place, the same one each time it comes.
#[derive(Default)]
struct Places {
    texts: Vec<String>,
    known: HashMap<String, usize>,
}

impl Places {
    fn of(&mut self, text: &str) -> usize {
        if let Some(&place) = self.known.get(text) {
            return place;
        }
        self.texts.push(words::visible(text));
        self.known.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

/// Every pair of models that a run compares, judged or not yet, with all that was said of them.
pub(super) fn browsed(run: &Run, win_rates: &WinRates) -> anyhow::Result<Browsed> {
    let mut places = Places::default();
    let models: Vec<String> =
        run.contestants().into_iter().filter(|model| run.answers.contains_key(model)).collect();
    let prompts = run.prompts.iter().map(|prompt| Asked {
        id: words::visible(&prompt.id),
        dataset: words::visible(&prompt.dataset),
        text: places.of(&prompt.instruction),
    });
    let prompts = prompts.collect();
    let answers = models.iter().map(|model| {
        let given = &run.answers[model];
        run.prompts.iter().map(|prompt| Some(answer(given.get(&prompt.id)?, &mut places))).collect()
    });
    let answers = answers.collect();
    let place = |name: &str| models.iter().position(|model| model == name);
    let mut comparisons = Vec::new();
    for (iteration, name) in run.models().iter().enumerate() {
        for (of, other) in run.baselines(iteration) {
            let (Some(candidate), Some(baseline)) = (place(name), place(&other)) else { continue };
            let judgments = run.judgments(name, &of)?.unwrap_or_default();
            let scores = win_rates
                .comparisons
                .iter()
                .find(|one| one.candidate == *name && one.baseline == other)
                .map(|comparison| &comparison.scores);
            let items = items(run, scores, &judgments, [name, &other], &mut places);
            comparisons.push(Compared { candidate, baseline, items });
        }
    }
    Ok(Browsed { texts: places.texts, models, prompts, answers, comparisons })
}

impl Browsed {
    pub(super) fn is_empty(&self) -> bool {
        self.comparisons.is_empty()
    }
}

fn answer(answer: &Completion, places: &mut Places) -> Answer {
    Answer {
        text: places.of(&answer.output),
        characters: answer.output.chars().count(),
        cut: match answer.finish {
            Finish::Stop => None,
            Finish::Length => Some("cut at the token limit"),
            Finish::Overlong => Some("prompt too long for the model"),
            Finish::Refused => Some("refused by the server"),
        },
    }
}

fn items(
    run: &Run,
    scores: Option<&BTreeMap<String, f64>>,
    judgments: &[Judgment],
    models: [&String; 2],
    places: &mut Places,
) -> Vec<Item> {
    let mut looks: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for judgment in judgments {
        looks.entry(&judgment.prompt_id).or_default().push(judgment);
    }
    let answered = |id: &String| models.iter().all(|model| run.answers[*model].contains_key(id));
    let asked = run.prompts.iter().enumerate().filter(|(_, prompt)| answered(&prompt.id));
    asked
        .map(|(number, prompt)| {
            let mut looks = looks.remove(prompt.id.as_str()).unwrap_or_default();
            looks.sort_by_key(|look| look.order);
            Item {
                prompt: number,
                score: scores.and_then(|scores| scores.get(&prompt.id).copied()),
                looks: looks.into_iter().map(|judgment| look(judgment, places)).collect(),
            }
        })
        .collect()
}

fn look(judgment: &Judgment, places: &mut Places) -> Look {
    Look {
        first: match judgment.order {
            Order::CandidateFirst => "candidate",
            Order::BaselineFirst => "baseline",
            Order::OrderFree => "none",
        },
        verdict: judgment.verdict,
        // Three digits are what the page shows.
        preference: judgment.preference.map(|preference| (1e3 * preference).round() / 1e3),
        text: places.of(&judgment.reply),
    }
}
