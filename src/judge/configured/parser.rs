//! From a reply to a preference for the answer that was shown first.
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::verdict_line;
use crate::exchange::ranking_share;

/// A judge's reply, as an endpoint gives it.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub text: &'a str,
    /// Whether the token limit cut the reply.
    pub truncated: bool,
    /// The candidates for the reply's first token, each with its natural log-probability. Empty
    /// unless they were asked for.
    pub first_token: &'a [(String, f64)],
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parsed {
    /// The preference for the answer that was shown first, in [0, 1]; `None` when the reply holds
    /// no verdict, or two that differ.
    pub share: Option<f64>,
    /// Whether the one answer is called much better than the other.
    pub strong: bool,
}

impl Parsed {
    pub(super) const UNREAD: Self = Self { share: None, strong: false };

    fn of(share: f64, strong: bool) -> Self {
        Self { share: Some(share), strong }
    }
}

/// How replies are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Parser {
    /// The share of `first` in the probability of both, at the first token. Spelled exactly.
    TokenLogprobs { first: Vec<String>, second: Vec<String> },
    /// The last line `MARKER: LABEL`.
    FinalVerdict {
        marker: String,
        first: Vec<String>,
        second: Vec<String>,
        #[serde(default)]
        tie: Vec<String>,
    },
    /// The same, with degrees.
    Levels {
        marker: String,
        much_first: Vec<String>,
        first: Vec<String>,
        tie: Vec<String>,
        second: Vec<String>,
        much_second: Vec<String>,
    },
    /// A Python list of `{'model': NAME, 'rank': 1}`, as AlpacaEval's first prompts ask for.
    Ranking { first: String, second: String },
}

impl Parser {
    /// Whether replies are read off the candidates for the first token.
    pub(super) fn reads_candidates(&self) -> bool {
        matches!(self, Self::TokenLogprobs { .. })
    }

    /// # Errors
    /// When a list of labels is empty, or a label stands in two.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let normal = |label: &str| match self {
            Self::FinalVerdict { .. } | Self::Levels { .. } => verdict_line::label(label),
            Self::TokenLogprobs { .. } | Self::Ranking { .. } => label.to_owned(),
        };
        if let Self::FinalVerdict { marker, .. } | Self::Levels { marker, .. } = self {
            anyhow::ensure!(
                !normal(marker).is_empty(),
                "parser.marker = {marker:?}: must be a word, such as \"Verdict\""
            );
        }
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (key, labels, _) in self.labels() {
            let may_be_empty = matches!(self, Self::FinalVerdict { .. }) && key == "tie";
            anyhow::ensure!(
                !labels.is_empty() || may_be_empty,
                "parser.{key} is empty: name at least one label"
            );
            for label in labels {
                let label = normal(label);
                anyhow::ensure!(!label.is_empty(), "parser.{key} has a label without a letter");
                if let Some(other) = seen.insert(label.clone(), key) {
                    anyhow::ensure!(
                        other == key,
                        "parser.{other} and parser.{key} both have {label:?}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Each key, its labels, and what they mean.
    fn labels(&self) -> Vec<(&'static str, &[String], Parsed)> {
        let (first_better, tied, second_better) =
            (Parsed::of(1.0, false), Parsed::of(0.5, false), Parsed::of(0.0, false));
        match self {
            Self::TokenLogprobs { first, second } => {
                vec![("first", first, first_better), ("second", second, second_better)]
            }
            Self::Ranking { first, second } => vec![
                ("first", std::slice::from_ref(first), first_better),
                ("second", std::slice::from_ref(second), second_better),
            ],
            Self::FinalVerdict { marker: _, first, second, tie } => vec![
                ("first", first, first_better),
                ("tie", tie, tied),
                ("second", second, second_better),
            ],
            Self::Levels { marker: _, much_first, first, tie, second, much_second } => vec![
                ("much_first", much_first, Parsed::of(1.0, true)),
                ("first", first, first_better),
                ("tie", tie, tied),
                ("second", second, second_better),
                ("much_second", much_second, Parsed::of(0.0, true)),
            ],
        }
    }

    pub(super) fn read(&self, said: &Said) -> Parsed {
        match self {
            // The one token that is asked for is always followed by the limit.
            Self::TokenLogprobs { first, second } => {
                Parsed { share: share(said.first_token, first, second), strong: false }
            }
            Self::FinalVerdict { marker, .. } | Self::Levels { marker, .. } => {
                // What a cut reply says last is not the last that it would have said.
                if said.truncated {
                    return Parsed::UNREAD;
                }
                let labels = self.labels();
                let meaning = |said: &str| {
                    let says = |label: &String| verdict_line::label(label) == said;
                    let found = labels.iter().find(|(_, labels, _)| labels.iter().any(says));
                    found.map(|&(_, _, parsed)| parsed)
                };
                verdict_line::last(said.text, marker, meaning).unwrap_or(Parsed::UNREAD)
            }
            // A cut list has no end, and so cannot be read.
            Self::Ranking { first, second } => {
                Parsed { share: ranking_share(said.text, first, second), strong: false }
            }
        }
    }
}

/// The share of `first` in the probability of both. One that is not among the candidates has none,
/// as in AlpacaEval; `None` when neither is there.
fn share(candidates: &[(String, f64)], first: &[String], second: &[String]) -> Option<f64> {
    let among = |labels: &[String]| -> Vec<f64> {
        let wanted = candidates.iter().filter(|(token, _)| labels.contains(token));
        wanted.map(|(_, log)| *log).filter(|log| log.is_finite()).collect()
    };
    let (first, second) = (among(first), among(second));
    let largest = first.iter().chain(&second).copied().reduce(f64::max)?;
    let mass = |logs: &[f64]| logs.iter().map(|log| (log - largest).exp()).sum::<f64>();
    Some(mass(&first) / (mass(&first) + mass(&second)))
}
