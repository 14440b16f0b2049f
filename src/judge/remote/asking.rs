//! Questions to replies to rows: from the store where it has them, else from a server.
use serde_json::Value;

use super::{
    super::{Match, configured::Said, decided, outcome, row, without_asking},
    Court,
};
use crate::{
    lm::api::{Answer, Call, Ended, Spent},
    record::{Judgment, Order},
    store::Log,
    watch::{Event, Watch},
};

impl Court<'_> {
    pub(super) fn call(&self, pair: &Match) -> Call {
        let (first, second) = match pair.order {
            Order::BaselineFirst => (&pair.baseline, &pair.candidate),
            Order::CandidateFirst | Order::OrderFree => (&pair.candidate, &pair.baseline),
        };
        let instruction = &pair.candidate.instruction;
        let sampling = &self.judge.sampling;
        // What the judge does not set is not sent, so that the server's own choice holds.
        let unset =
            [("temperature", sampling.temperature.is_none()), ("top_p", sampling.top_p.is_none())];
        let unset = unset.into_iter().filter(|(_, unset)| *unset);
        Call {
            model: self.judge.model.clone(),
            messages: self.judge.messages(instruction, &first.output, &second.output),
            prompt: None,
            temperature: sampling.temperature.unwrap_or(0.0),
            top_p: sampling.top_p.unwrap_or(1.0),
            max_tokens: sampling.max_tokens,
            seed: sampling.seed,
            top_logprobs: sampling.top_logprobs,
            stop: Vec::new(),
            extra: unset.map(|(name, _)| (name.to_owned(), Value::Null)).collect(),
            sample: self.sample,
        }
    }

    /// Makes a row of every match that has none: without asking, from the store, or by asking.
    pub(super) fn ask(
        &self,
        matches: &[&Match],
        log: &mut Log<Judgment>,
        spent: &mut Spent,
        watch: Watch,
    ) -> anyhow::Result<()> {
        let (known, open): (Vec<&Match>, Vec<&Match>) =
            matches.iter().copied().partition(|pair| log.contains(&pair.id));
        watch(Event::Advance(known.len() as u64));
        let mut questions = Vec::new();
        for pair in open {
            match decided(pair) {
                true => {
                    log.append(&without_asking(pair))?;
                    watch(Event::Advance(1));
                }
                false => questions.push((pair, self.call(pair))),
            }
        }
        let calls: Vec<Call> = questions.iter().map(|(_, call)| call.clone()).collect();
        self.provider.complete(&calls, self.judge.price, spent, |place, outcome, spent| {
            if let Ok(answer) = outcome {
                log.append(&self.judgment(questions[place].0, &answer))?;
            }
            watch(Event::Show(spent.to_string()));
            watch(Event::Advance(1));
            Ok(())
        })
    }

    fn judgment(&self, pair: &Match, answer: &Answer) -> Judgment {
        let said = Said {
            text: &answer.text,
            truncated: answer.ended == Ended::Length,
            first_token: &answer.first_token,
        };
        let share = self.judge.read(&said).share.map(|first| match pair.order {
            Order::BaselineFirst => 1.0 - first,
            Order::CandidateFirst | Order::OrderFree => first,
        });
        let verdict = share.map(|share| outcome(share, 0.5));
        let candidates = answer.first_token.iter();
        let candidates: Vec<String> =
            candidates.map(|(token, log)| format!("{token:?} {:.4}", log.exp())).collect();
        let reply = match candidates.is_empty() {
            true => answer.text.clone(),
            false => format!("{} [{}]", answer.text, candidates.join(", ")),
        };
        row(pair, verdict, share, reply)
    }
}
