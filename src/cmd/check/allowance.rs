//! What a check may spend on its judge, over all its comparisons.
use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use spyhop::{gate::Budget, lm::api::Spent};

/// A budget, and what was spent of it.
#[derive(Debug)]
pub(super) struct Allowance<'a> {
    budget: &'a Budget,
    began: Instant,
    spent: RefCell<Spending>,
}

#[derive(Debug, Default)]
struct Spending {
    calls: usize,
    dollars: f64,
}

impl<'a> Allowance<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, began: Instant::now(), spent: RefCell::default() }
    }

    /// Whether there is a limit at all.
    pub(super) fn is_limited(&self) -> bool {
        let Budget { dollars, calls, minutes } = self.budget;
        dollars.is_some() || calls.is_some() || minutes.is_some()
    }

    /// What is used up, when `now` comes on top of what earlier comparisons spent.
    pub(super) fn used_up(&self, now: &Spent) -> Option<&'static str> {
        let (Budget { dollars, calls, minutes }, before) = (self.budget, self.spent.borrow());
        let cost = before.dollars + now.cost.unwrap_or(0.0);
        let time = |minutes: f64| self.began.elapsed() >= Duration::from_secs_f64(60.0 * minutes);
        if calls.is_some_and(|most| before.calls + now.asked >= most) {
            Some("calls")
        } else if dollars.is_some_and(|most| cost >= most) {
            Some("dollars")
        } else if minutes.is_some_and(time) {
            Some("minutes")
        } else {
            None
        }
    }

    /// Counts what a comparison spent.
    pub(super) fn add(&self, spent: &Spent) {
        let mut before = self.spent.borrow_mut();
        before.calls += spent.asked;
        before.dollars += spent.cost.unwrap_or(0.0);
    }
}
