//! Models behind servers that speak OpenAI's protocols, chat completions and completions: hosted ones,
//! vLLM, SGLang, llama.cpp.
//!
//! Knows no task: what a reply means is the caller's business. [`Api`] only asks; [`Provider`] asks and
//! keeps every reply, and [`batch`] does the same by way of files.
pub mod batch;
mod call;
mod client;
mod key;
mod limiter;
mod provider;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use call::{Answer, Call, Ended};
pub use key::Key;
pub use provider::{Outlook, Provider, Spent};

use client::{Client, Kind};
use limiter::{Ending, Limiter, Next};

/// No wait between two attempts is longer, unless the server asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Enough for a TLS handshake; most of it is never touched.
const STACK: usize = 512 * 1024;

/// Servers that all offer the same models, and how patient to be with them.
#[derive(Clone, Debug)]
pub struct Settings {
    pub endpoints: Vec<Endpoint>,
    /// Most calls at a time, over all endpoints; fewer while servers say that it is too much.
    pub concurrency: usize,
    /// For one attempt, from its connection to the last byte of its reply.
    pub timeout: Duration,
    /// Most attempts for one call.
    pub attempts: u32,
    /// Before a second attempt, at most; doubles with each, up to a minute.
    pub first_wait: Duration,
    /// When for so long no call has been answered, the rest is given up. At least three timeouts.
    pub patience: Duration,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Up to the part that OpenAI calls `v1`: `https://api.openai.com/v1`.
    pub url: String,
    pub key: Option<Key>,
}

/// Why a call has no answer. No text in it holds a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server will not answer this call, however often it is asked.
    Refused { status: u16, message: String },
    /// No attempt brought a reply. None was made where the servers had been given up already.
    Unreachable { attempts: u32, last: String },
    /// Replies came, but the last was no completion.
    Garbled { attempts: u32, last: String },
}

/// A connection to servers. What it has learned of their strength outlives a call.
pub struct Api {
    clients: Vec<Client>,
    limiter: Limiter,
    settings: Settings,
}

impl Settings {
    /// With defaults that suit hosted models as well as a server of one's own.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            concurrency: 16,
            timeout: Duration::from_secs(600),
            attempts: 8,
            first_wait: Duration::from_secs(1),
            patience: Duration::from_secs(1800),
        }
    }
}

impl Api {
    /// Connects to nothing yet.
    ///
    /// Certificates are the machine's, or those of the PEM file that `SSL_CERT_FILE` names. Proxies
    /// are those of `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY`, but for hosts in `NO_PROXY` and for
    /// this machine.
    ///
    /// # Errors
    /// When an address is none, or would let a key travel unencrypted.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        anyhow::ensure!(!settings.endpoints.is_empty(), "no endpoint: name at least one");
        anyhow::ensure!(settings.concurrency > 0, "concurrency is 0: allow at least one call");
        anyhow::ensure!(settings.attempts > 0, "attempts is 0: allow at least one");
        let clients = settings
            .endpoints
            .iter()
            .map(|endpoint| Client::new(endpoint, &settings).with_context(|| endpoint.url.clone()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let limiter = Limiter::new(&settings);
        Ok(Self { clients, limiter, settings })
    }

    /// Makes every call, handing over each outcome, with its call's index, as it comes: in any
    /// order, each once, on this thread.
    ///
    /// # Errors
    /// That of `seen`: then no call is begun any more, and what the running ones bring is lost. A
    /// failure of a call is no error.
    pub fn complete(
        &self,
        calls: &[Call],
        seen: &mut dyn FnMut(usize, Result<Answer, Failure>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        self.limiter.begin();
        let work = |worker: u64, sender: mpsc::Sender<_>| {
            // Of two processes that a server turned away at once, each is to wait its own time.
            let seed = (u64::from(std::process::id()) << 32) | worker;
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(call) = calls.get(index) else { return };
                let Some(outcome) = self.call(call, &stop, &mut random) else { return };
                if sender.send((index, outcome)).is_err() {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for worker in 0..self.settings.concurrency.min(calls.len()) {
                let (work, sender) = (&work, sender.clone());
                let spawned = thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || work(worker as u64, sender));
                match spawned {
                    Ok(_) => {}
                    Err(error) if worker == 0 => {
                        return Err(error).context("cannot start a thread");
                    }
                    // Fewer threads than asked for do the same, only later.
                    Err(_) => break,
                }
            }
            drop(sender);
            let mut outcome = Ok(());
            for (index, result) in receiver {
                if outcome.is_ok() {
                    outcome = seen(index, result);
                    if outcome.is_err() {
                        stop.store(true, Ordering::Relaxed);
                        self.limiter.wake();
                    }
                }
            }
            outcome
        })
    }

    /// One call to its end; `None` when it was told to stop between two attempts.
    fn call(
        &self,
        call: &Call,
        stop: &AtomicBool,
        random: &mut ChaCha8Rng,
    ) -> Option<Result<Answer, Failure>> {
        let body = call.body();
        let mut last = Failure::Unreachable {
            attempts: 0,
            last: "not asked: the servers had answered no call for too long".into(),
        };
        let mut not_before = Instant::now();
        for attempt in 1..=self.settings.attempts {
            let turn = match self.limiter.turn(not_before, stop) {
                Next::Turn(turn) => turn,
                Next::GivenUp => break,
                Next::Stopped => return None,
            };
            let outcome = self.clients[turn.endpoint].ask(call.path(), &body);
            let (ending, closed_for) = match &outcome {
                Ok(_) => (Ending::Answered, None),
                Err(trouble) => (trouble.kind.ending(), trouble.retry_after),
            };
            self.limiter.release(turn, ending, closed_for);
            let trouble = match outcome {
                Ok(answer) => return Some(Ok(answer)),
                Err(trouble) => trouble,
            };
            last = match trouble.kind {
                Kind::Refused(status) => {
                    let message = trouble.text;
                    return Some(Err(Failure::Refused { status, message }));
                }
                Kind::Garbled => Failure::Garbled { attempts: attempt, last: trouble.text },
                _ => Failure::Unreachable { attempts: attempt, last: trouble.text },
            };
            // Another server may be reached where this one cannot.
            if trouble.kind == Kind::Hopeless && self.clients.len() == 1 {
                break;
            }
            let wait = doubled(self.settings.first_wait, attempt - 1);
            not_before = Instant::now() + wait.mul_f64(random.random());
        }
        Some(Err(last))
    }
}

/// `first`, doubled so many times, but never much.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_WAIT)
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, message } => {
                write!(formatter, "the server refused with status {status}: {message}")
            }
            Self::Unreachable { attempts, last } => {
                write!(formatter, "no reply (attempts: {attempts}): {last}")
            }
            Self::Garbled { attempts, last } => {
                write!(formatter, "no readable reply (attempts: {attempts}): {last}")
            }
        }
    }
}

impl std::error::Error for Failure {}
