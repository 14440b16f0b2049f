//! Which server a call goes to, and when.
//!
//! Servers do not say how many calls at a time are good for them, so each one's limit follows what
//! becomes of the calls: halved when it is too much, and growing while all goes well, as TCP does.
//! Knows nothing of what is sent.
use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Settings, doubled};

/// A limit grows by so much over as many calls as it allows at a time. Our choice: from half to all
/// of 64 takes 384 calls.
const GROWTH: f64 = 4.0;
/// A server that failed so often in a row is left for a while.
const STRIKES: u32 = 3;

/// Gives turns at servers.
pub(super) struct Limiter {
    state: Mutex<State>,
    changed: Condvar,
}

/// The right to ask one server once; to be given back.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) endpoint: usize,
    begun: Instant,
}

pub(super) enum Next {
    Turn(Turn),
    /// No server has answered any call for so long that it is no use.
    GivenUp,
    Stopped,
}

/// What became of a call, as far as it concerns the server's strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Answered,
    /// The server works, and wants fewer calls.
    Limited,
    Overloaded,
    Broken,
}

struct State {
    lines: Vec<Line>,
    /// Most calls at a time, over all servers.
    most: usize,
    first_wait: Duration,
    patience: Duration,
    /// When a call was last answered, or work began.
    alive: Instant,
}

/// One server.
struct Line {
    running: usize,
    /// Calls begun so far.
    begun: u64,
    /// Most calls at a time.
    limit: f64,
    /// When the limit was last halved.
    halved: Instant,
    /// The server asked not to be called before.
    closed_until: Instant,
    /// Failures in a row.
    strikes: u32,
    /// Not called before, if there is a better one.
    left_until: Instant,
}

impl Limiter {
    pub(super) fn new(settings: &Settings) -> Self {
        let state = State::new(settings, Instant::now());
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Says that work begins: the time before it tells nothing about the servers.
    pub(super) fn begin(&self) {
        self.state().alive = Instant::now();
    }

    /// Waits for a turn, until `not_before` at least.
    pub(super) fn turn(&self, not_before: Instant, stop: &AtomicBool) -> Next {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            if stop.load(Ordering::Relaxed) {
                return Next::Stopped;
            }
            if state.is_given_up(now) {
                return Next::GivenUp;
            }
            let until = if now < not_before {
                not_before
            } else if let Some(endpoint) = state.start(now) {
                return Next::Turn(Turn { endpoint, begun: now });
            } else {
                state.next_change(now)
            };
            let wait = until.min(state.deadline()).saturating_duration_since(now);
            state =
                self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives a turn back. The server asked to be left alone for `closed_for`, if it did.
    pub(super) fn release(&self, turn: Turn, ending: Ending, closed_for: Option<Duration>) {
        self.state().end(&turn, ending, closed_for, Instant::now());
        self.changed.notify_all();
    }

    /// Has every waiting call look anew whether it should go on.
    pub(super) fn wake(&self) {
        // A waiting call looks and waits under the lock, so it does not miss this.
        drop(self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic leaves the numbers half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(settings: &Settings, now: Instant) -> Self {
        let line = |_| Line {
            running: 0,
            begun: 0,
            limit: settings.concurrency as f64,
            halved: now,
            closed_until: now,
            strikes: 0,
            left_until: now,
        };
        Self {
            lines: settings.endpoints.iter().map(line).collect(),
            most: settings.concurrency,
            first_wait: settings.first_wait,
            patience: settings.patience.max(settings.timeout.saturating_mul(3)),
            alive: now,
        }
    }

    /// When all is given up, unless a call is answered.
    fn deadline(&self) -> Instant {
        self.alive + self.patience
    }

    fn is_given_up(&self, now: Instant) -> bool {
        let deadline = self.deadline();
        now >= deadline || self.lines.iter().all(|line| line.closed_until > deadline)
    }

    /// The server of which a call is to be begun now, if there is any with room: the one with the
    /// fewest running.
    fn start(&mut self, now: Instant) -> Option<usize> {
        if self.lines.iter().map(|line| line.running).sum::<usize>() >= self.most {
            return None;
        }
        // While one is sound, another that failed is tried with one call at a time, now and then.
        let any_sound = self.lines.iter().any(Line::is_sound);
        let (chosen, line) = self
            .lines
            .iter_mut()
            .enumerate()
            .filter(|(_, line)| line.closed_until <= now && line.running < line.limit as usize)
            .filter(|(_, line)| {
                !any_sound || line.is_sound() || (line.left_until <= now && line.running == 0)
            })
            .min_by_key(|(_, line)| (line.running, line.begun))?;
        line.running += 1;
        line.begun += 1;
        Some(chosen)
    }

    /// When time alone may next bring a turn.
    fn next_change(&self, now: Instant) -> Instant {
        let times = self.lines.iter().flat_map(|line| [line.closed_until, line.left_until]);
        times.filter(|time| *time > now).min().unwrap_or_else(|| self.deadline())
    }

    fn end(&mut self, turn: &Turn, ending: Ending, closed_for: Option<Duration>, now: Instant) {
        let line = &mut self.lines[turn.endpoint];
        line.running -= 1;
        if let Some(wait) = closed_for {
            line.closed_until = line.closed_until.max(now + wait);
        }
        match ending {
            Ending::Answered => {
                self.alive = now;
                line.limit = (line.limit + GROWTH / line.limit).min(self.most as f64);
                line.strikes = 0;
            }
            Ending::Limited => line.halve(turn, now),
            Ending::Overloaded => {
                line.halve(turn, now);
                line.strike(turn, self.first_wait, now);
            }
            Ending::Broken => line.strike(turn, self.first_wait, now),
        }
    }
}

impl Line {
    fn is_sound(&self) -> bool {
        self.strikes < STRIKES
    }

    fn halve(&mut self, turn: &Turn, now: Instant) {
        // What was begun under the old limit says nothing of the new one.
        if turn.begun >= self.halved {
            self.limit = (self.limit / 2.0).max(1.0);
            self.halved = now;
        }
    }

    fn strike(&mut self, turn: &Turn, first_wait: Duration, now: Instant) {
        // Calls that one outage cut off all at once count once.
        if turn.begun >= self.left_until {
            self.strikes = self.strikes.saturating_add(1);
            if !self.is_sound() {
                self.left_until = now + doubled(first_wait, self.strikes - STRIKES);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Endpoint, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn state(servers: usize, concurrency: usize, now: Instant) -> State {
        let endpoint = Endpoint { url: "http://localhost/v1".into(), key: None };
        State::new(&Settings { concurrency, ..Settings::new(vec![endpoint; servers]) }, now)
    }

    /// As many turns as there are now, by server.
    fn turns(state: &mut State, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| state.start(now)).collect()
    }

    fn end(state: &mut State, endpoint: usize, begun: Instant, ending: Ending, now: Instant) {
        state.end(&Turn { endpoint, begun }, ending, None, now);
    }

    #[test]
    fn a_limit_is_halved_once_for_all_that_ran_and_grows_again() {
        let now = Instant::now();
        let mut state = state(1, 64, now);
        assert_eq!(turns(&mut state, now).len(), 64);
        let later = now + SECOND;
        for _ in 0..64 {
            end(&mut state, 0, now, Ending::Limited, later);
        }
        assert_eq!(turns(&mut state, later).len(), 32);
        let mut answered = 0;
        while state.lines[0].limit < 64.0 {
            end(&mut state, 0, later, Ending::Answered, later);
            state.start(later).unwrap();
            answered += 1;
        }
        assert!((380..=390).contains(&answered), "{answered}");
        // However bad it becomes, one call remains.
        for round in 1..20 {
            let now = later + SECOND * round;
            end(&mut state, 0, now, Ending::Overloaded, now);
            state.lines[0].running = 1;
        }
        state.lines[0].running = 0;
        assert_eq!(turns(&mut state, later + SECOND * 20).len(), 1);
    }

    #[test]
    fn a_failing_server_is_left_while_another_is_sound() {
        let now = Instant::now();
        let mut state = state(2, 8, now);
        assert_eq!(turns(&mut state, now), [0, 1, 0, 1, 0, 1, 0, 1]);
        for _ in 0..4 {
            end(&mut state, 1, now, Ending::Broken, now);
        }
        assert_eq!(turns(&mut state, now), [0, 0, 0, 0]);
        end(&mut state, 0, now, Ending::Answered, now);
        // After a while it is tried with one call, and left for longer if that fails.
        let then = now + SECOND;
        assert_eq!(turns(&mut state, then), [1]);
        end(&mut state, 1, then, Ending::Broken, then);
        assert_eq!(turns(&mut state, then + SECOND), [0]);
        end(&mut state, 0, then, Ending::Answered, then);
        let then = then + SECOND * 2;
        assert_eq!(turns(&mut state, then), [1]);
        // One answer and it is sound again.
        end(&mut state, 1, then, Ending::Answered, then);
        for _ in 0..4 {
            end(&mut state, 0, then, Ending::Answered, then);
        }
        assert_eq!(turns(&mut state, then)[..3], [1, 1, 1]);
    }

    #[test]
    fn servers_that_all_fail_are_all_tried() {
        let now = Instant::now();
        let mut state = state(2, 2, now);
        for _ in 0..STRIKES {
            for endpoint in turns(&mut state, now) {
                end(&mut state, endpoint, now, Ending::Broken, now);
            }
        }
        assert_eq!(turns(&mut state, now), [0, 1]);
        assert!(!state.is_given_up(now));
        assert!(state.is_given_up(now + Duration::from_secs(1800)));
    }

    #[test]
    fn a_closed_server_is_not_called() {
        let now = Instant::now();
        let mut state = state(2, 4, now);
        let endpoint = state.start(now).unwrap();
        state.end(&Turn { endpoint, begun: now }, Ending::Limited, Some(SECOND * 5), now);
        assert_eq!(turns(&mut state, now), [1, 1, 1, 1]);
        assert_eq!(state.next_change(now), now + SECOND * 5);
        let endpoint = 1;
        state.end(&Turn { endpoint, begun: now }, Ending::Limited, Some(SECOND * 5000), now);
        assert!(!state.is_given_up(now));
        assert_eq!(turns(&mut state, now + SECOND * 5), [0]);
    }
}
