//! Progress bars on stderr, or a line now and then where it is no terminal.
use std::{cell::RefCell, fmt::Write, io::IsTerminal, time::Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use spyhop::watch::{Event, Unit};

/// Draws what long work tells.
pub(super) struct Progress {
    state: RefCell<State>,
}

struct State {
    is_terminal: bool,
    bar: Option<ProgressBar>,
    what: String,
    shown: String,
    began: Instant,
    said: Instant,
}

/// Seconds between two lines where no bar can be drawn.
const LINE_EVERY: f64 = 20.0;

/// Work shorter than this many seconds leaves no line behind.
const WORTH_A_LINE: f64 = 1.0;

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            is_terminal: std::io::stderr().is_terminal(),
            bar: None,
            what: String::new(),
            shown: String::new(),
            began: now,
            said: now,
        };
        Self { state: RefCell::new(state) }
    }

    pub(super) fn watch(&self, event: Event) {
        self.state.borrow_mut().watch(event);
    }
}

impl State {
    fn watch(&mut self, event: Event) {
        match event {
            Event::Begin { what, total, unit } => {
                self.bar = Some(bar(&what, total, unit, self.is_terminal));
                (self.what, self.shown) = (what, String::new());
                (self.began, self.said) = (Instant::now(), Instant::now());
            }
            Event::Advance(count) => {
                if let Some(bar) = &self.bar {
                    bar.inc(count);
                    self.line();
                }
            }
            Event::Show(text) => {
                if let Some(bar) = &self.bar {
                    bar.set_message(text.clone());
                }
                self.shown = text;
                self.line();
            }
            Event::End => {
                if let Some(bar) = self.bar.take() {
                    let (done, seconds) = (bar.position(), self.began.elapsed().as_secs_f64());
                    bar.finish_and_clear();
                    if seconds >= WORTH_A_LINE {
                        super::say(&format!(
                            "  {:<28} {done:>8}   {seconds:>6.1} s   {}",
                            self.what, self.shown
                        ));
                    }
                }
            }
            Event::Say(text) => match &self.bar {
                Some(bar) => bar.suspend(|| super::say(&text)),
                None => super::say(&text),
            },
        }
    }

    /// Where no bar can be drawn, says now and then how far the work is.
    fn line(&mut self) {
        let Some(bar) = &self.bar else { return };
        if self.is_terminal || self.said.elapsed().as_secs_f64() < LINE_EVERY {
            return;
        }
        let total = bar.length().map_or(String::new(), |total| format!(" of {total}"));
        super::say(&format!("  {:<28} {:>8}{total}   {}", self.what, bar.position(), self.shown));
        self.said = Instant::now();
    }
}

/// `3.2/s, `; nothing before there is a rate.
fn rate(per_second: f64, unit: Unit) -> String {
    match (unit, per_second) {
        (_, none) if none.is_nan() || none <= 0.0 || none.is_infinite() => String::new(),
        (Unit::Bytes, rate) => format!("{}/s, ", HumanBytes(rate as u64)),
        (_, rate) if rate >= 100.0 => format!("{rate:.0}/s, "),
        (_, rate) if rate >= 1.0 => format!("{rate:.1}/s, "),
        (_, rate) => format!("{:.1}/min, ", 60.0 * rate),
    }
}

fn bar(what: &str, total: u64, unit: Unit, is_terminal: bool) -> ProgressBar {
    let count = match unit {
        Unit::Bytes => "{bytes} of {total_bytes}",
        Unit::Rows | Unit::Tokens => "{human_pos} of {human_len}",
    };
    // A total of zero: nobody knows how much there is.
    let template = match total {
        0 => "  {prefix:<26} {spinner} {elapsed} {wide_msg}".to_owned(),
        _ => format!("  {{prefix:<26}} {{bar:12}} {count}, {{rate}}{{eta}} left  {{wide_msg}}"),
    };
    let style = ProgressStyle::with_template(&template).unwrap_or(ProgressStyle::default_bar());
    let style = style.with_key("rate", move |state: &ProgressState, text: &mut dyn Write| {
        // Nobody is told less for want of a rate.
        let _ = text.write_str(&rate(state.per_sec(), unit));
    });
    let bar = match total {
        0 => ProgressBar::no_length(),
        _ => ProgressBar::new(total),
    };
    if !is_terminal {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_prefix(what.to_owned());
    if is_terminal {
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_short() {
        let check = |per_second, unit, expected: &str| {
            assert_eq!(rate(per_second, unit), expected, "{per_second}");
        };
        check(0.0, Unit::Rows, "");
        check(f64::NAN, Unit::Rows, "");
        check(0.05, Unit::Rows, "3.0/min, ");
        check(3.217, Unit::Rows, "3.2/s, ");
        check(1234.5, Unit::Tokens, "1234/s, ");
        check(3_145_728.0, Unit::Bytes, "3.00 MiB/s, ");
    }
}
