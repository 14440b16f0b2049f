//! What is going to be spent, said before it is, and stopped where it is too much.
use std::io::{IsTerminal, Write};

use anyhow::Context;
use spyhop::lm::api::Outlook;

use super::say;

/// Dollars that were foreseen so far, and the most that may be.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<f64>,
    foreseen: f64,
}

impl Budget {
    pub(super) fn new(limit: Option<f64>) -> Self {
        Self { limit, foreseen: 0.0 }
    }

    /// Says what `who` is to be asked and what it would cost, and asks a person if that is too much.
    ///
    /// # Errors
    /// When it is too much and there is no terminal, or the person says no, or nobody knows the price.
    pub(super) fn foresee(&mut self, who: &str, outlook: Outlook) -> anyhow::Result<()> {
        let Outlook { calls, stored, at_once, cost } = outlook;
        let price = match cost {
            Some(cost) => format!("about ${cost:.4} at most"),
            None => "the price is not known".to_owned(),
        };
        say(&format!(
            "{who} is asked {} of {calls} questions, {stored} are stored: {price}{}",
            calls - stored,
            time(calls - stored, at_once)
        ));
        let Some(limit) = self.limit.filter(|_| calls > stored) else { return Ok(()) };
        let cost = cost.context(
            "--max-cost needs a price: name it with --price, or put [price] into the judge's file or price into the contestant's [endpoint]",
        )?;
        self.foreseen += cost;
        if self.foreseen <= limit {
            return Ok(());
        }
        anyhow::ensure!(
            std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            "this may cost ${:.4}, more than --max-cost {limit}: raise it, or judge fewer prompts",
            self.foreseen
        );
        let mut stderr = std::io::stderr();
        write!(stderr, "this may cost ${:.4}, more than {limit}; go on? [y/N] ", self.foreseen)?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        anyhow::ensure!(answer.trim().eq_ignore_ascii_case("y"), "stopped; nothing more was asked");
        Ok(())
    }
}

/// How long it takes, as far as that can be said: nobody knows how long the server will think.
fn time(calls: usize, at_once: usize) -> String {
    match calls.div_ceil(at_once.max(1)) {
        0 => String::new(),
        1 => "; as long as a reply takes".to_owned(),
        rounds => format!("; {rounds} times as long as a reply takes, {at_once} at a time"),
    }
}
