//! Questions to replies to rows: from the store where it has them, else from a server.
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    super::{Match, configured::Said, decided, outcome, row, without_asking},
    Court, Spent,
};
use crate::{
    lm::api::{Answer, Call, Ended, Failure},
    record::{Judgment, Order},
    store::{Log, Replies, Stored},
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
            temperature: sampling.temperature.unwrap_or(0.0),
            top_p: sampling.top_p.unwrap_or(1.0),
            max_tokens: sampling.max_tokens,
            seed: sampling.seed,
            top_logprobs: sampling.top_logprobs,
            stop: Vec::new(),
            extra: unset.map(|(name, _)| (name.to_owned(), Value::Null)).collect(),
            sample: 0,
        }
    }

    /// What the key of a reply is made of.
    pub(super) fn request(&self, call: &Call) -> Value {
        json!({"server": self.server, "call": call})
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
        let requests: Vec<Value> = questions.iter().map(|(_, call)| self.request(call)).collect();
        let keys: Vec<_> = requests.iter().map(Replies::key).collect();
        let (mut calls, mut asked) = (Vec::new(), Vec::new());
        for ((place, (pair, call)), found) in
            questions.iter().enumerate().zip(self.replies.get_many(&keys)?)
        {
            match found {
                Some(stored) => {
                    let answer: Answer = serde_json::from_str(&stored.reply)?;
                    log.append(&self.judgment(pair, &answer))?;
                    spent.stored += 1;
                    watch(Event::Advance(1));
                }
                None => {
                    calls.push(call.clone());
                    asked.push(place);
                }
            }
        }
        let Some(api) = self.api else {
            spent.failed += calls.len();
            return Ok(());
        };
        api.complete(&calls, &mut |index, outcome: Result<Answer, Failure>| {
            spent.asked += 1;
            let place = asked[index];
            match outcome {
                Ok(answer) => {
                    let cost = self.cost(&answer);
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let stored = Stored {
                        reply: serde_json::to_string(&answer)?,
                        prompt_tokens: answer.prompt_tokens,
                        completion_tokens: answer.completion_tokens,
                        cost,
                        stored: now.as_secs(),
                    };
                    // Stored before it is read: what was paid for is kept whatever comes.
                    let answer =
                        match self.replies.put(&self.judge.model, &requests[place], &stored)? {
                            true => answer,
                            // Another process was faster, and its reply is the one that stays.
                            false => match self.replies.get(&keys[place])? {
                                Some(first) => serde_json::from_str(&first.reply)?,
                                None => answer,
                            },
                        };
                    log.append(&self.judgment(questions[place].0, &answer))?;
                    spent.prompt_tokens += answer.prompt_tokens;
                    spent.completion_tokens += answer.completion_tokens;
                    spent.cost = spent.cost.zip(cost).map(|(sum, cost)| sum + cost);
                }
                // Every other call would meet the same, one by one.
                Err(failure @ Failure::Refused { status: 401 | 403 | 404, .. }) => {
                    anyhow::bail!("{failure}; check the key, the address and the model's name")
                }
                Err(failure) => {
                    spent.failed += 1;
                    spent.last_failure = Some(failure.to_string());
                }
            }
            let cost = spent.cost.map_or(String::new(), |cost| format!("${cost:.2}"));
            let failed = match spent.failed {
                0 => String::new(),
                failed => format!("  no reply: {failed}"),
            };
            watch(Event::Show(format!("{cost}{failed}")));
            watch(Event::Advance(1));
            Ok(())
        })
    }

    fn cost(&self, answer: &Answer) -> Option<f64> {
        let price = self.judge.price?;
        let prompt = answer.prompt_tokens as f64 * price.prompt;
        Some((prompt + answer.completion_tokens as f64 * price.completion) / 1e6)
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
