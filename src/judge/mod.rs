//! Pairwise comparison: a judge model looks at a candidate's and a baseline's answer to each prompt.
pub mod anchors;
pub mod configured;
mod family;
pub mod quality;
mod remote;
mod seated;

use std::{collections::HashMap, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use family::shared_family;
pub use quality::{HumanPair, human_pairs};
pub use remote::{Court, Judged, Orders, Until, place_in_order};
pub use seated::Seated;

use crate::{
    lm::{Ask, Lm, Reply, Request},
    model::{Message, Role},
    prompt,
    recipe::{JudgeMethod, Score},
    record::{Completion, Finish, Judgment, Order, Row, Verdict, content_id},
    stage,
    watch::Watch,
};

/// Two answers to one prompt, and the order in which the judge is to see them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Match {
    id: String,
    candidate: Completion,
    baseline: Completion,
    order: Order,
}

impl Row for Match {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Compares the two models' answers prompt by prompt.
///
/// Identical answers are a tie without a question. An answer that could not be given leaves the
/// match without a verdict; so does a reply that cannot be read.
///
/// # Errors
/// When a prompt has no row on the other side, or the judge cannot go on.
pub fn run(
    load: impl FnOnce() -> anyhow::Result<Lm>,
    candidates: &[Completion],
    baselines: &[Completion],
    method: JudgeMethod,
    out: &Path,
    watch: Watch,
) -> anyhow::Result<()> {
    let matches = matches(candidates, baselines, method)?;
    let name = |completions: &[Completion]| {
        completions.first().map_or(String::new(), |row| row.generator.clone())
    };
    let what = format!("judge {} against {}", name(candidates), name(baselines));
    stage::map(
        &what,
        load,
        &matches,
        out,
        |pair| if decided(pair) { Vec::new() } else { questions(pair, method) },
        |pair, replies| judgment(pair, &replies, method),
        watch,
    )?;
    Ok(())
}

fn matches(
    candidates: &[Completion],
    baselines: &[Completion],
    method: JudgeMethod,
) -> anyhow::Result<Vec<Match>> {
    let by_prompt: HashMap<&str, &Completion> =
        baselines.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut matches = Vec::new();
    for candidate in candidates {
        let baseline = *by_prompt
            .get(candidate.id.as_str())
            .with_context(|| format!("the baseline has no answer to prompt {:?}", candidate.id))?;
        let mut add = |order| {
            let name = format!("{order:?}");
            let id = [&candidate.generator, &baseline.generator, &candidate.id, &name];
            let id = content_id(&id.map(String::as_str));
            let (candidate, baseline) = (candidate.clone(), baseline.clone());
            matches.push(Match { id, candidate, baseline, order });
        };
        let same = candidate.output == baseline.output;
        match method {
            JudgeMethod::Choice if !same => {
                add(Order::CandidateFirst);
                add(Order::BaselineFirst);
            }
            JudgeMethod::Choice | JudgeMethod::Likelihood => add(Order::OrderFree),
        }
    }
    Ok(matches)
}

/// Whether the outcome is known without a judge.
fn decided(pair: &Match) -> bool {
    unanswered(pair) || pair.candidate.output == pair.baseline.output
}

fn unanswered(pair: &Match) -> bool {
    [&pair.candidate, &pair.baseline].iter().any(|answer| !answer.finish.answered())
}

fn questions(pair: &Match, method: JudgeMethod) -> Vec<Request> {
    let instruction = &pair.candidate.instruction;
    match method {
        JudgeMethod::Choice => {
            let (first, second) = match pair.order {
                Order::BaselineFirst => (&pair.baseline, &pair.candidate),
                Order::CandidateFirst | Order::OrderFree => (&pair.candidate, &pair.baseline),
            };
            let question = prompt::compare(instruction, &first.output, &second.output);
            let opening = prompt::VERDICT_OPENING.to_owned();
            let options = prompt::VERDICTS.map(str::to_owned).into();
            let messages = vec![Message::new(Role::User, question)];
            vec![Request { messages, ask: Ask::Choice { opening, options } }]
        }
        JudgeMethod::Likelihood => [&pair.candidate, &pair.baseline]
            .map(|answer| Request {
                messages: vec![Message::new(Role::User, instruction.as_str())],
                ask: Ask::Likelihood { reply: answer.output.clone() },
            })
            .into(),
    }
}

fn judgment(pair: &Match, replies: &[Reply], method: JudgeMethod) -> Judgment {
    if decided(pair) {
        return without_asking(pair);
    }
    let (verdict, preference, reply) = match method {
        JudgeMethod::Choice => chosen(pair.order, &replies[0]),
        JudgeMethod::Likelihood => likelier(&replies[0], &replies[1]),
    };
    row(pair, verdict, preference, reply)
}

/// Identical answers are a tie, and an answer that could not be given leaves no verdict.
fn without_asking(pair: &Match) -> Judgment {
    match unanswered(pair) {
        true => row(pair, None, None, "one of the two has no answer".to_owned()),
        false => row(pair, Some(Verdict::Tie), None, "identical answers".to_owned()),
    }
}

fn row(pair: &Match, verdict: Option<Verdict>, preference: Option<f64>, reply: String) -> Judgment {
    Judgment {
        id: pair.id.clone(),
        prompt_id: pair.candidate.id.clone(),
        dataset: pair.candidate.dataset.clone(),
        candidate: pair.candidate.generator.clone(),
        baseline: pair.baseline.generator.clone(),
        order: pair.order,
        verdict,
        preference,
        reply,
    }
}

/// The candidate's score on one prompt, from all that the judge said of it: 1 for a win, 0 for a
/// loss. `None` unless every look has a verdict, since one order alone carries the bias of its order.
pub fn score(looks: &[&Judgment], rule: Score) -> Option<f64> {
    let verdicts: Vec<Verdict> = looks.iter().map(|look| look.verdict).collect::<Option<_>>()?;
    let n = verdicts.len() as f64;
    if verdicts.is_empty() {
        return None;
    }
    let mean = verdicts.iter().map(|verdict| verdict.score()).sum::<f64>() / n;
    let preferences: Option<Vec<f64>> = looks.iter().map(|look| look.preference).collect();
    match (rule, preferences) {
        (Score::Preferences, Some(shares)) if looks[0].order != Order::OrderFree => {
            let above_even = shares.iter().sum::<f64>() / n - 0.5;
            // Shares that mirror each other meet in the middle only up to rounding.
            Some(if above_even.abs() < 1e-9 { 0.5 } else { f64::from(above_even > 0.0) })
        }
        _ => Some(mean),
    }
}

type Outcome = (Option<Verdict>, Option<f64>, String);

fn outcome(candidate: f64, baseline: f64) -> Verdict {
    match candidate.total_cmp(&baseline) {
        std::cmp::Ordering::Greater => Verdict::Win,
        std::cmp::Ordering::Equal => Verdict::Tie,
        std::cmp::Ordering::Less => Verdict::Loss,
    }
}

/// The letter with the higher probability; the preference is the candidate's share of the two.
fn chosen(order: Order, reply: &Reply) -> Outcome {
    let &[first, second] = &reply.log_probabilities[..] else {
        return (None, None, "too long for the judge".to_owned());
    };
    let (candidate, baseline) = match order {
        Order::BaselineFirst => (second, first),
        Order::CandidateFirst | Order::OrderFree => (first, second),
    };
    let said = format!("A {:.4} B {:.4}", first.exp(), second.exp());
    let share = 1.0 / (1.0 + (baseline - candidate).exp());
    (Some(outcome(candidate, baseline)), Some(share), said)
}

/// The answer with the higher mean log-probability a token. No answer at all is the least likely.
fn likelier(candidate: &Reply, baseline: &Reply) -> Outcome {
    let mean = |reply: &Reply| match (reply.finish, reply.log_probabilities.len()) {
        (Finish::Overlong, _) => None,
        (_, 0) => Some(f64::NEG_INFINITY),
        (_, n) => Some(reply.log_probabilities.iter().sum::<f64>() / n as f64),
    };
    let (Some(candidate), Some(baseline)) = (mean(candidate), mean(baseline)) else {
        return (None, None, "too long for the judge".to_owned());
    };
    let difference = candidate - baseline;
    let said = format!("candidate {candidate:.4} baseline {baseline:.4}");
    (Some(outcome(candidate, baseline)), difference.is_finite().then_some(difference), said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(generator: &str, output: &str, finish: Finish) -> Completion {
        Completion {
            id: "p1".into(),
            instruction: "Say A or B.".into(),
            output: output.into(),
            generator: generator.into(),
            dataset: "test".into(),
            finish,
        }
    }

    fn reply(log_probabilities: &[f64]) -> Reply {
        let log_probabilities = log_probabilities.to_vec();
        Reply { text: String::new(), finish: Finish::Stop, log_probabilities }
    }

    fn verdicts(candidate: &str, method: JudgeMethod, replies: &[Reply]) -> Vec<Option<Verdict>> {
        let candidate = completion("M1", candidate, Finish::Stop);
        let baseline = completion("base", "B", Finish::Stop);
        let matches = matches(&[candidate], &[baseline], method).unwrap();
        let ask = |pair: &Match| judgment(pair, if decided(pair) { &[] } else { replies }, method);
        matches.iter().map(|pair| ask(pair).verdict).collect()
    }

    #[test]
    fn a_judge_that_always_says_a_wins_once_and_loses_once() {
        let always_first = [reply(&[-0.1, -2.0])];
        let expected = [Some(Verdict::Win), Some(Verdict::Loss)];
        assert_eq!(verdicts("x", JudgeMethod::Choice, &always_first), expected);
        let undecided = [reply(&[-0.7, -0.7])];
        assert_eq!(verdicts("x", JudgeMethod::Choice, &undecided), [Some(Verdict::Tie); 2]);
        let overlong = [Reply { finish: Finish::Overlong, ..reply(&[]) }];
        assert_eq!(verdicts("x", JudgeMethod::Choice, &overlong), [None, None]);
    }

    #[test]
    fn averaged_preferences_cancel_a_bias_for_a_place() {
        let look = |order, verdict, preference| Judgment {
            id: String::new(),
            prompt_id: String::new(),
            dataset: String::new(),
            candidate: String::new(),
            baseline: String::new(),
            order,
            verdict,
            preference,
            reply: String::new(),
        };
        let check = |first: Option<f64>, second: Option<f64>, expected: [Option<f64>; 2]| {
            let verdict = |share: f64| if share > 0.5 { Verdict::Win } else { Verdict::Loss };
            let looks = [
                look(Order::CandidateFirst, first.map(verdict), first),
                look(Order::BaselineFirst, second.map(verdict), second),
            ];
            let looks: Vec<&Judgment> = looks.iter().collect();
            assert_eq!(
                [score(&looks, Score::Verdicts), score(&looks, Score::Preferences)],
                expected
            );
        };
        // Always for the first place, but more so when the candidate stands there.
        check(Some(0.9), Some(0.2), [Some(0.5), Some(1.0)]);
        check(Some(0.8), Some(0.1), [Some(0.5), Some(0.0)]);
        check(Some(0.9), Some(0.1), [Some(0.5), Some(0.5)]);
        check(Some(0.9), Some(0.6), [Some(1.0), Some(1.0)]);
        check(Some(0.9), None, [None, None]);
        let same = look(Order::OrderFree, Some(Verdict::Tie), None);
        assert_eq!(score(&[&same], Score::Preferences), Some(0.5));
        let likelier = look(Order::OrderFree, Some(Verdict::Win), Some(0.1));
        assert_eq!(score(&[&likelier], Score::Preferences), Some(1.0));
        assert_eq!(score(&[], Score::Verdicts), None);
    }

    #[test]
    fn likelihood_compares_means_not_sums() {
        let check = |candidate: &[f64], baseline: &[f64], expected| {
            let replies = [reply(candidate), reply(baseline)];
            assert_eq!(verdicts("x", JudgeMethod::Likelihood, &replies), [expected]);
        };
        check(&[-1.0, -1.0, -1.0], &[-1.5], Some(Verdict::Win));
        check(&[-2.0], &[-1.0, -1.5], Some(Verdict::Loss));
        check(&[-1.0], &[-1.0, -1.0], Some(Verdict::Tie));
        check(&[], &[-9.0], Some(Verdict::Loss));
    }

    #[test]
    fn identical_answers_tie_and_missing_answers_have_no_verdict() {
        for method in [JudgeMethod::Choice, JudgeMethod::Likelihood] {
            assert_eq!(verdicts("B", method, &[]), [Some(Verdict::Tie)]);
        }
        let missing = completion("M1", "", Finish::Overlong);
        let baseline = completion("base", "B", Finish::Stop);
        let method = JudgeMethod::Likelihood;
        let matches = matches(&[missing], &[baseline], method).unwrap();
        assert_eq!(judgment(&matches[0], &[], method).verdict, None);
    }
}
