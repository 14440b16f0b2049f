//! What people said, as numbers: how often the candidate won, and how far raters agree with each other
//! and with the model judge.
use std::collections::{BTreeMap, HashMap, HashSet};

use minijinja::{Value, value::Serde};
use serde::Serialize;

use super::{
    Response, Site,
    contest::{Contest, Pair},
    human, pages,
    raters::{self, standing},
};
use crate::{
    record::{Choice, Order, Verdict},
    report::words,
    stats::{self, Estimate, Scale},
};

/// Below this share of screening pairs the paper did not take a rater on (section 3.4).
const SCREENED_OUT: f64 = 0.85;

/// Seed of the bootstrap behind the interval of Krippendorff's alpha.
const ALPHA_SEED: u64 = 0;

/// What people said of one comparison, in numbers.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) raters: Vec<Rater>,
    /// Prompts whose mean score is above, at and below 1/2.
    pub(super) outcomes: [usize; 3],
    /// Mean score of a prompt, each the mean of its raters' choices.
    pub(super) win_rate: Option<Estimate>,
    /// Over the prompts that at least two rated: the mean share of pairs of raters who said the same.
    pub(super) raw_agreement: Option<Estimate>,
    pub(super) alpha: Option<Estimate>,
    /// Share of the prompts on which people and the model judge name the same winner, or neither.
    pub(super) judge_agreement: Option<Estimate>,
    pub(super) judge_kappa: Option<Estimate>,
    /// The model judge's win rate on the prompts that people rated.
    pub(super) judge_win_rate: Option<Estimate>,
    /// Choices on answers that are no longer these.
    pub(super) strangers: usize,
}

/// What one rater said.
#[derive(Debug)]
pub(super) struct Rater {
    pub(super) name: String,
    /// Choices for the candidate, for neither, for the baseline.
    pub(super) outcomes: [usize; 3],
    pub(super) win_rate: Option<Estimate>,
    /// How often the answer shown first was preferred, no preference counting half.
    pub(super) first: Option<Estimate>,
    /// How often the choice is the model judge's.
    pub(super) with_judge: Option<Estimate>,
    /// Share of screening pairs that were right, neither counting half.
    pub(super) screening: Option<Estimate>,
}

/// Numbers on one comparison, from every rater's rows.
pub(super) fn opinion(contest: &Contest, rows: &BTreeMap<String, Vec<Choice>>) -> Opinion {
    let prompts: HashMap<&str, &Pair> =
        contest.pairs.iter().map(|pair| (pair.id.as_str(), pair)).collect();
    let mut scores: BTreeMap<&str, Vec<(usize, f64)>> = BTreeMap::new();
    let (mut found, mut strangers) = (Vec::new(), 0);
    for (name, rows) in rows {
        let (known, choices): (Vec<&Choice>, Vec<&Choice>) =
            standing(rows, &contest.id).into_iter().partition(|row| row.screening);
        let (choices, others): (Vec<&Choice>, Vec<&Choice>) =
            choices.into_iter().partition(|row| prompts.contains_key(row.pair.as_str()));
        strangers += others.len();
        if choices.is_empty() && known.is_empty() {
            continue;
        }
        for choice in &choices {
            let prompt = prompts[choice.pair.as_str()].prompt_id.as_str();
            scores.entry(prompt).or_default().push((found.len(), score(choice)));
        }
        found.push(rater(name, contest, &choices, &known));
    }
    let mean = |ratings: &Vec<(usize, f64)>| {
        ratings.iter().map(|(_, score)| score).sum::<f64>() / ratings.len() as f64
    };
    let means: Vec<f64> = scores.values().map(mean).collect();
    let units: Vec<Vec<Option<f64>>> = scores
        .values()
        .map(|ratings| {
            let mut unit = vec![None; found.len()];
            ratings.iter().for_each(|&(rater, score)| unit[rater] = Some(score));
            unit
        })
        .collect();
    let agreeing: Vec<f64> = scores.values().filter_map(|ratings| same(ratings)).collect();
    let judged: Vec<(f64, f64)> = scores
        .iter()
        .filter_map(|(prompt, ratings)| Some((mean(ratings), *contest.judge.get(*prompt)?)))
        .collect();
    let (people, judge): (Vec<usize>, Vec<usize>) =
        judged.iter().map(|&(people, judge)| (side(people), side(judge))).unzip();
    let judge_scores: Vec<f64> = judged.iter().map(|&(_, judge)| judge).collect();
    Opinion {
        outcomes: outcomes(&means),
        win_rate: stats::mean(&means),
        raw_agreement: stats::mean(&agreeing),
        alpha: stats::krippendorff_alpha(&units, Scale::Nominal, ALPHA_SEED),
        judge_agreement: stats::raw_agreement(&people, &judge),
        judge_kappa: stats::cohens_kappa(&people, &judge),
        judge_win_rate: stats::mean(&judge_scores),
        raters: found,
        strangers,
    }
}

fn rater(name: &str, contest: &Contest, choices: &[&Choice], known: &[&Choice]) -> Rater {
    let scores: Vec<f64> = choices.iter().map(|choice| score(choice)).collect();
    let first = choices.iter().map(|choice| match choice.order {
        Order::BaselineFirst => 1.0 - score(choice),
        _ => score(choice),
    });
    let first: Vec<f64> = first.collect();
    let with_judge = choices.iter().filter_map(|choice| {
        let judge = contest.judge.get(&choice.prompt_id)?;
        Some((side(score(choice)), side(*judge)))
    });
    let (own, judge): (Vec<usize>, Vec<usize>) = with_judge.unzip();
    let known: Vec<f64> = known.iter().map(|choice| score(choice)).collect();
    Rater {
        name: name.to_owned(),
        outcomes: outcomes(&scores),
        win_rate: stats::mean(&scores),
        first: stats::mean(&first),
        with_judge: stats::raw_agreement(&own, &judge),
        screening: stats::mean(&known),
    }
}

/// The candidate's score by a choice that stands.
fn score(choice: &Choice) -> f64 {
    choice.verdict.map_or(0.5, Verdict::score)
}

/// Won, neither, lost.
fn side(score: f64) -> usize {
    match score {
        won if won > 0.5 => 0,
        lost if lost < 0.5 => 2,
        _ => 1,
    }
}

fn outcomes(scores: &[f64]) -> [usize; 3] {
    [0, 1, 2].map(|wanted| scores.iter().filter(|&&score| side(score) == wanted).count())
}

/// The share of pairs of raters who said the same of a prompt; `None` of one that a single one rated.
fn same(ratings: &[(usize, f64)]) -> Option<f64> {
    let pairs = ratings.iter().enumerate().flat_map(|(at, (_, one))| {
        ratings[at + 1..].iter().map(move |(_, other)| f64::from(u8::from(one == other)))
    });
    let pairs: Vec<f64> = pairs.collect();
    (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64)
}

#[derive(Serialize)]
struct Shown {
    candidate: String,
    baseline: String,
    facts: Vec<(&'static str, String)>,
    raters: Vec<[String; 6]>,
    warnings: Vec<String>,
}

impl Site {
    /// The owner's page of numbers.
    pub(super) fn results(&self) -> anyhow::Result<Response> {
        let contests = self.contests()?;
        let rows = raters::all(&human(&self.subject))?;
        let shown: Vec<Shown> =
            contests.iter().map(|contest| shown(contest, &opinion(contest, &rows))).collect();
        let here: HashSet<&str> = contests.iter().map(|contest| contest.id.as_str()).collect();
        let elsewhere = rows.values().flatten().filter(|row| !here.contains(row.contest.as_str()));
        pages::page(
            "results.html",
            minijinja::context! {
                contests => Value::from(Serde(shown)),
                elsewhere => elsewhere.count(),
                raters_link => self.guard.raters_key().map(|key| format!("/rate?token={key}")),
                screening => self.screening.len(),
                run => matches!(&self.subject, super::Subject::Directory(run) if super::is_run(run)),
                choices => rows.values().any(|rows| !rows.is_empty()),
            },
        )
    }
}

fn shown(contest: &Contest, opinion: &Opinion) -> Shown {
    let [wins, ties, losses] = opinion.outcomes;
    let rated = wins + ties + losses;
    let choices: usize = opinion.raters.iter().flat_map(|rater| rater.outcomes).sum();
    let mut facts = vec![
        (
            "Compared",
            format!(
                "{} of {} by {}, {}",
                words::count(rated),
                words::counted(contest.pairs.len(), "prompt"),
                words::counted(opinion.raters.len(), "rater"),
                words::counted(choices, "choice")
            ),
        ),
        (
            "Left out",
            format!(
                "{} with the same answer, {} without one of the two",
                words::counted(contest.identical, "prompt"),
                words::count(contest.missing)
            ),
        ),
    ];
    if rated > 0 {
        let name = &contest.candidate;
        facts.push((
            "Outcome",
            format!("{name} wins {wins}, no difference {ties}, {name} loses {losses}"),
        ));
        facts.push(("Win rate", words::estimate_or_none(opinion.win_rate.as_ref())));
        facts.push(("Raters agree", words::estimate_or_none(opinion.raw_agreement.as_ref())));
        facts.push(("Krippendorff's alpha", coefficient(opinion.alpha.as_ref())));
    }
    if opinion.judge_agreement.is_some() {
        facts.push((
            "Agrees with the model judge",
            words::estimate_or_none(opinion.judge_agreement.as_ref()),
        ));
        facts.push(("Cohen's kappa with it", coefficient(opinion.judge_kappa.as_ref())));
        facts.push((
            "Its win rate on these prompts",
            words::estimate_or_none(opinion.judge_win_rate.as_ref()),
        ));
    }
    let failed = opinion.raters.iter().filter_map(|rater| {
        let share = rater.screening.filter(|share| share.point < SCREENED_OUT)?;
        Some(format!(
            "{} is right on {} of {} screening pairs; the paper took on nobody below {}.",
            rater.name,
            words::percent(share.point),
            share.n,
            words::percent(SCREENED_OUT)
        ))
    });
    let mut warnings: Vec<String> = failed.collect();
    if opinion.strangers > 0 {
        warnings.push(format!(
            "{} not counted: on answers that are no longer these.",
            words::counted(opinion.strangers, "choice")
        ));
    }
    let row = |rater: &Rater| {
        let [wins, ties, losses] = rater.outcomes;
        let share = |estimate: &Option<Estimate>| words::estimate_or_none(estimate.as_ref());
        [
            rater.name.clone(),
            format!("{wins}/{ties}/{losses}"),
            share(&rater.win_rate),
            share(&rater.first),
            share(&rater.with_judge),
            share(&rater.screening),
        ]
    };
    Shown {
        candidate: contest.candidate.clone(),
        baseline: contest.baseline.clone(),
        facts,
        raters: opinion.raters.iter().map(row).collect(),
        warnings,
    }
}

/// `0.743 [0.512, 0.931], n = 46`.
fn coefficient(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(
        || words::NOT_APPLICABLE.to_owned(),
        |Estimate { point, lower, upper, n }| {
            let numbers = format!("{point:.3} [{lower:.3}, {upper:.3}]").replace('-', "\u{2212}");
            format!("{numbers}, n = {}", words::count(*n))
        },
    )
}
