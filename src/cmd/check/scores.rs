//! Judgments to the scores of prompts, and what else is read off them.
use std::collections::{BTreeMap, HashMap};

use spyhop::{
    gate::{Scored, output::Worst},
    judge::{
        anchors::{AnchorRun, change},
        place_in_order, score,
    },
    recipe::Score,
    record::{Completion, Judgment, Order, Prompt, Verdict},
};

use super::ready::Ready;

/// Each prompt's score, from all looks at it.
pub(super) fn by_prompt(rows: &[Judgment], rule: Score) -> BTreeMap<String, Option<f64>> {
    let mut looks: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for row in rows {
        looks.entry(&row.prompt_id).or_default().push(row);
    }
    let one = |(prompt, looks): (&str, Vec<&Judgment>)| (prompt.to_owned(), score(&looks, rule));
    looks.into_iter().map(one).collect()
}

/// The first prompts of the order of judging.
pub(super) fn scored(
    rows: &[Judgment],
    rule: Score,
    prompts: &[Prompt],
    ended: usize,
) -> Vec<Scored> {
    let scores = by_prompt(rows, rule);
    let mut all: Vec<&Prompt> = prompts.iter().collect();
    all.sort_by_key(|prompt| place_in_order(&prompt.id));
    let one = |prompt: &&Prompt| Scored {
        prompt: prompt.id.clone(),
        dataset: prompt.dataset.clone(),
        score: scores.get(&prompt.id).copied().flatten(),
    };
    all.iter().take(ended).map(one).collect()
}

/// Of some prompts, how many have a verdict in both orders, and on how many of them it is the same.
pub(super) fn orders(rows: &[Judgment], direct: &[Scored]) -> (usize, usize) {
    let of = |order: Order| -> HashMap<&str, Verdict> {
        let own = rows.iter().filter(|row| row.order == order);
        own.filter_map(|row| Some((row.prompt_id.as_str(), row.verdict?))).collect()
    };
    let (first, second) = (of(Order::CandidateFirst), of(Order::BaselineFirst));
    let both = |one: &&Scored| first.get(&*one.prompt).zip(second.get(&*one.prompt));
    let verdicts: Vec<_> = direct.iter().filter_map(|one| both(&one)).collect();
    (verdicts.len(), verdicts.iter().filter(|(first, second)| first == second).count())
}

/// How a judge has changed since the lock, if it has.
pub(super) fn drift(before: Option<&AnchorRun>, now: &AnchorRun) -> Option<String> {
    let update = "`spyhop check --update`";
    let Some(before) = before else {
        return Some(format!("the lock has no anchors to compare the judge with: {update}"));
    };
    if now.too_few() {
        return Some(
            "too few anchors were judged to tell whether the judge has changed".to_owned(),
        );
    }
    if before.too_few() {
        return Some(format!(
            "the lock's anchors were judged too seldom to compare with: {update}"
        ));
    }
    let change = change(now, before);
    change.is_drift().then(|| {
        format!(
            "the judge has changed since the lock ({}), so scores do not compare: {update}",
            change.words()
        )
    })
}

/// Prompts that a comment shows.
const WORST: usize = 10;

/// The prompts on which the candidate did worst.
pub(super) fn worst(direct: &[Scored], rows: &[Judgment], ready: &Ready) -> Vec<Worst> {
    let mut lost: Vec<(f64, &Scored)> =
        direct.iter().filter_map(|one| Some((one.score?, one))).collect();
    lost.retain(|(score, _)| *score < 0.5);
    lost.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.prompt.cmp(&b.1.prompt)));
    let answer = |answers: &[Completion], id: &str| {
        answers.iter().find(|one| one.id == id).map_or(String::new(), |one| one.output.clone())
    };
    let one = |&(score, scored): &(f64, &Scored)| {
        let prompt = ready.prompts.iter().find(|one| one.id == scored.prompt)?;
        let said = rows.iter().find(|row| row.prompt_id == prompt.id);
        Some(Worst {
            score,
            dataset: scored.dataset.clone(),
            instruction: prompt.instruction.clone(),
            candidate: answer(&ready.candidate, &prompt.id),
            reference: answer(&ready.reference, &prompt.id),
            judge: said.map_or(String::new(), |row| row.reply.clone()),
        })
    };
    lost.iter().take(WORST).filter_map(one).collect()
}
