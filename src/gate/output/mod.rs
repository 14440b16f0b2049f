//! Outcomes for people and for the systems that run checks. Text in, text out; writes no file.
mod gitlab;
mod junit;
mod markdown;

pub use gitlab::gitlab;
pub use junit::junit;
pub use markdown::{Worst, markdown};

use super::{Outcome, Part};
use crate::stats::Gate;

/// A check that could not be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub check: String,
    pub error: String,
}

/// What became of a check that was to be made.
pub type Made = Result<(Outcome, Vec<Worst>), Failed>;

fn gate_words(gate: Gate) -> &'static str {
    match gate {
        Gate::Better => "better",
        Gate::NoWorse => "no worse",
        Gate::Regressed => "regressed",
        Gate::Inconclusive => "open",
    }
}

fn difference_words(part: &Part) -> String {
    match &part.difference {
        Some(found) => {
            format!("{:+.1} [{:+.1}, {:+.1}]", found.point, found.lower, found.upper)
        }
        None => "none".to_owned(),
    }
}

/// The first `most` characters, and a word where there are more.
fn cut(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    let more = text.chars().count().saturating_sub(most);
    if more > 0 {
        kept.push_str(&format!(" ... ({more} characters more)"));
    }
    kept
}
