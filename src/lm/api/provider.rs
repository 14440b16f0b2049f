//! Servers with a memory: every reply is stored before it is used, so that nothing is asked or paid for
//! twice.
use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{Answer, Api, Call, Endpoint, Failure, Key, Settings};
use crate::{
    recipe::{Price, Server},
    store::{Replies, Stored},
};

/// The variable that holds the servers' key where a user names no other.
const KEY: &str = "OPENAI_API_KEY";

/// Characters of a token, roughly, of English text.
const CHARACTERS_A_TOKEN: f64 = 4.0;

/// Servers that offer the same models, and the store of what they replied.
#[derive(Debug)]
pub struct Provider {
    /// `None`: only replies that are stored are read.
    pub api: Option<Api>,
    pub replies: Replies,
    /// Which server answers: part of the key of a reply, as two servers may call two models the same.
    pub server: String,
    /// Calls at a time.
    pub concurrency: usize,
}

/// What some calls took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spent {
    /// Calls that were put to a server now, and those whose reply was stored.
    pub asked: usize,
    pub stored: usize,
    /// Calls that got no reply: they are asked again the next time.
    pub failed: usize,
    pub last_failure: Option<String>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Dollars, over the replies that came now and have a price; `None` where none has.
    pub cost: Option<f64>,
}

/// What is left to ask, before it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    pub calls: usize,
    /// Of those, how many have a stored reply.
    pub stored: usize,
    /// How many are asked at a time.
    pub at_once: usize,
    /// Dollars for the rest, at four characters a token and replies of full length; `None` where there
    /// is no price.
    pub cost: Option<f64>,
}

impl Provider {
    /// Connects to nothing yet. With `offline`, it never will.
    ///
    /// # Errors
    /// When an address is none, a key that is named is not there, or the store cannot be opened.
    pub fn open(server: &Server, store: &Path, offline: bool) -> anyhow::Result<Self> {
        let name = server.endpoints.first().context("no endpoint: name at least one")?.clone();
        let api = match offline {
            true => None,
            false => Some(Api::new(settings(server)?)?),
        };
        let (replies, concurrency) = (Replies::open(store)?, server.concurrency);
        Ok(Self { api, replies, server: name, concurrency })
    }

    /// What the key of a call's reply is made of.
    pub fn request(&self, call: &Call) -> Value {
        json!({"server": self.server, "call": call})
    }

    /// How many of some calls are stored, and what the rest would cost.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outlook(&self, calls: &[Call], price: Option<Price>) -> anyhow::Result<Outlook> {
        let keys: Vec<_> = calls.iter().map(|call| Replies::key(&self.request(call))).collect();
        let found = self.replies.get_many(&keys)?;
        let new = calls.iter().zip(&found).filter(|(_, found)| found.is_none());
        let cost = price.map(|price| new.map(|(call, _)| at_most(call, price)).sum());
        let stored = found.iter().flatten().count();
        Ok(Outlook { calls: calls.len(), stored, at_once: self.concurrency, cost })
    }

    /// Makes every call that has no stored reply, handing over each outcome with its call's index: first
    /// the stored ones, then the others as they come.
    ///
    /// # Errors
    /// Those of `seen`, of the store, and what every other call would meet too: a key or a model that the
    /// server does not accept, or an account without money. Other failures are handed over.
    pub fn complete(
        &self,
        calls: &[Call],
        price: Option<Price>,
        spent: &mut Spent,
        mut seen: impl FnMut(usize, Result<Answer, Failure>, &Spent) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let requests: Vec<Value> = calls.iter().map(|call| self.request(call)).collect();
        let keys: Vec<_> = requests.iter().map(Replies::key).collect();
        let (mut open, mut places) = (Vec::new(), Vec::new());
        for (place, found) in self.replies.get_many(&keys)?.into_iter().enumerate() {
            match found {
                Some(stored) => {
                    spent.stored += 1;
                    seen(place, Ok(serde_json::from_str(&stored.reply)?), spent)?;
                }
                None => {
                    open.push(calls[place].clone());
                    places.push(place);
                }
            }
        }
        let Some(api) = &self.api else {
            spent.failed += open.len();
            return Ok(());
        };
        api.complete(&open, &mut |index, outcome: Result<Answer, Failure>| {
            spent.asked += 1;
            let place = places[index];
            let outcome = match outcome {
                Ok(answer) => {
                    let stored = stored(&answer, price)?;
                    spent.prompt_tokens += answer.prompt_tokens;
                    spent.completion_tokens += answer.completion_tokens;
                    if let Some(cost) = stored.cost {
                        *spent.cost.get_or_insert(0.0) += cost;
                    }
                    // Stored before it is read: what was paid for is kept whatever comes.
                    Ok(match self.replies.put(&calls[place].model, &requests[place], &stored)? {
                        true => answer,
                        // Another process was faster, and its reply is the one that stays.
                        false => match self.replies.get(&keys[place])? {
                            Some(first) => serde_json::from_str(&first.reply)?,
                            None => answer,
                        },
                    })
                }
                // Every other call would meet the same, one by one.
                Err(failure @ Failure::Refused { status: 401..=404 | 429, .. }) => {
                    anyhow::bail!(
                        "{failure}; check the key, the account, the address and the model's name"
                    )
                }
                Err(failure) => {
                    spent.failed += 1;
                    spent.last_failure = Some(failure.to_string());
                    Err(failure)
                }
            };
            seen(place, outcome, spent)
        })
    }
}

/// What a call costs if its reply is as long as it may be, in dollars.
fn at_most(call: &Call, price: Price) -> f64 {
    let texts = call.messages.iter().map(|message| &message.content).chain(&call.prompt);
    let characters: usize = texts.map(|text| text.chars().count()).sum();
    price.of(characters as f64 / CHARACTERS_A_TOKEN, call.max_tokens as f64)
}

impl fmt::Display for Spent {
    /// What it cost so far and how often there was no reply, for a progress bar.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cost) = self.cost {
            write!(formatter, "${cost:.2}")?;
        }
        match self.failed {
            0 => Ok(()),
            failed => write!(formatter, "  no reply: {failed}"),
        }
    }
}

/// An answer as the store keeps it, come now.
pub(super) fn stored(answer: &Answer, price: Option<Price>) -> anyhow::Result<Stored> {
    Ok(Stored {
        reply: serde_json::to_string(answer)?,
        prompt_tokens: answer.prompt_tokens,
        completion_tokens: answer.completion_tokens,
        cost: price
            .map(|price| price.of(answer.prompt_tokens as f64, answer.completion_tokens as f64)),
        stored: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    })
}

fn settings(server: &Server) -> anyhow::Result<Settings> {
    let key = match (&server.key_file, &server.key_env) {
        (Some(path), _) => Some(Key::from_file(path)?),
        (None, Some(name)) => Some(Key::from_environment(name)?),
        (None, None) if std::env::var_os(KEY).is_some() => Some(Key::from_environment(KEY)?),
        (None, None) => None,
    };
    let endpoint = |url: &String| Endpoint { url: url.clone(), key: key.clone() };
    let mut settings = Settings::new(server.endpoints.iter().map(endpoint).collect());
    settings.concurrency = server.concurrency;
    settings.timeout = Duration::from_secs(server.timeout_seconds);
    Ok(settings)
}
