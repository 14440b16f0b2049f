//! Judgments as other harnesses write them, in and out: AlpacaEval, FastChat, Arena-Hard, and our own.
//!
//! Every format becomes [`Comparison`]s, one row each, whose texts stay the JSON they were. What only
//! one format has travels in `rest`. Knows no statistics.
mod fields;
mod rows;
mod ranking;
mod seeded_order;
mod alpaca_eval;
mod fastchat;
mod votes;
mod arena_hard;
mod own;
mod answers;
mod ledger;
mod convert;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

pub use answers::{Answers, completions};
pub use convert::{Converted, convert};
pub use ledger::{Contest, Judged, Ledger, Notes};
pub use ranking::ranking_share;
pub use seeded_order::{model_is_first, python_random};

use crate::{
    record::Order,
    watch::{Event, Unit, Watch},
};
use fields::{Fields, Text};
use rows::Rows;

/// JSON text that is passed on as it came.
pub type Json = Box<RawValue>;

/// The file formats of judgments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `annotations.json`: one look a row, a preference from 1 (baseline) to 2 (model).
    AlpacaEval,
    /// `gpt-4_pair.jsonl` of FastChat's llm_judge: both orders in one row.
    FastChat,
    /// `model_a`, `model_b`, `winner`: one look a row, as in FastChat's human votes and Chatbot Arena.
    Votes,
    /// `model_judgment/<judge>/<model>.jsonl`: two games in one row, five degrees of preference.
    ArenaHard,
    /// `judgments-*.jsonl` of a run: one look a row ([`crate::record::Judgment`]).
    Own,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::AlpacaEval => "AlpacaEval annotations",
            Self::FastChat => "FastChat pairwise judgments",
            Self::Votes => "votes",
            Self::ArenaHard => "Arena-Hard judgments",
            Self::Own => "spyhop judgments",
        })
    }
}

/// The first 64 bits of a SHA-256: of an instruction where a format has nothing else, else of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PromptKey(pub u64);

impl PromptKey {
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(digest.iter().take(8).fold(0, |key, &byte| key << 8 | u64::from(byte)))
    }

    /// From the hexadecimal digits of a SHA-256.
    pub fn from_digest(digits: &str) -> Option<Self> {
        u64::from_str_radix(digits.get(..16)?, 16).ok().map(Self)
    }
}

/// What a judge, or several looks of one, said of two models' answers to one prompt.
#[derive(Debug, Default)]
pub struct Comparison {
    pub prompt: Prompt,
    /// Who judged; empty where the format does not say.
    pub judge: String,
    /// The model whose win rate it is.
    pub model: String,
    pub baseline: String,
    pub model_output: Option<Json>,
    pub baseline_output: Option<Json>,
    pub looks: Vec<Look>,
    /// Fields that only the file's own format has, as they came.
    pub rest: Vec<(String, Json)>,
}

/// What was asked.
#[derive(Debug, Default)]
pub struct Prompt {
    /// The format's name for it.
    pub id: Option<Json>,
    pub instruction: Option<Json>,
    /// The slice of the eval set that it belongs to.
    pub dataset: String,
    /// The turn of a conversation that was judged, from 1.
    pub turn: Option<u32>,
}

impl Prompt {
    /// The prompt, and the conversation that it is a turn of: two turns are not independent.
    ///
    /// # Errors
    /// When there is neither an id nor an instruction.
    pub(crate) fn keys(&self) -> anyhow::Result<(PromptKey, PromptKey)> {
        let conversation = match (&self.id, &self.instruction) {
            // A number and a text spell the same id.
            (Some(id), _) => match Text::of(id) {
                Ok(text) => PromptKey::of(text.bytes()),
                Err(_) => PromptKey::of(id.get().as_bytes()),
            },
            (None, Some(instruction)) => PromptKey::of(Text::of(instruction)?.bytes()),
            (None, None) => anyhow::bail!("the row does not say which prompt was judged"),
        };
        let turn = match self.turn {
            None | Some(0 | 1) => conversation,
            Some(turn) => PromptKey::of(format!("{:016x} turn {turn}", conversation.0).as_bytes()),
        };
        Ok((turn, conversation))
    }
}

/// One look of the judge.
#[derive(Debug)]
pub struct Look {
    /// `None` where the file does not tell.
    pub order: Option<Order>,
    /// The order in which AlpacaEval would have shown the two, were it certain that AlpacaEval did.
    pub seeded: Option<Order>,
    /// The model's share of the preference, in [0, 1]; a tie is 1/2, `None` no verdict.
    pub score: Option<f64>,
    /// The judge's probability that the model is better, where the format keeps it beside a verdict.
    pub probability: Option<f64>,
    /// Arena-Hard's "significantly better".
    pub strong: bool,
    pub reply: Option<Json>,
    /// The prompt that was put to the judge.
    pub question: Option<Json>,
}

impl Look {
    fn new(order: Option<Order>, score: Option<f64>) -> Self {
        Self {
            order,
            seeded: None,
            score,
            probability: None,
            strong: false,
            reply: None,
            question: None,
        }
    }
}

/// Bytes between two words on the progress of a long file.
const TELL_EVERY: u64 = 1 << 20;

/// Calls `each` with the comparisons of a file, one by one, and the row that each stands in.
///
/// # Errors
/// When the file cannot be read, is in no known format or breaks it: the message has file and row.
fn for_each(
    path: &Path,
    watch: Watch,
    mut each: impl FnMut(Format, usize, Comparison) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Format>> {
    let mut rows = Rows::open(path)?;
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    watch(Event::Begin { what: format!("read {name}"), total: rows.size, unit: Unit::Bytes });
    let (mut format, mut told) = (None, 0);
    while let Some(fields) = rows.next()? {
        if rows.bytes - told >= TELL_EVERY {
            watch(Event::Advance(rows.bytes - told));
            told = rows.bytes;
        }
        let row = rows.number;
        let take = || {
            let format = match format {
                Some(format) => format,
                None => *format.insert(recognise(&fields)?),
            };
            let comparison = match format {
                Format::AlpacaEval => alpaca_eval::read(fields),
                Format::FastChat => fastchat::read(fields),
                Format::Votes => votes::read(fields, row),
                Format::ArenaHard => arena_hard::read(fields),
                Format::Own => own::read(fields),
            }?;
            each(format, row, comparison)
        };
        take().map_err(|error| anyhow::anyhow!(rows.place(&format!("{error:#}"))))?;
    }
    watch(Event::Advance(rows.bytes - told));
    watch(Event::End);
    Ok(format)
}

fn recognise(fields: &Fields) -> anyhow::Result<Format> {
    let has = |name| fields.has(name);
    if has("g1_winner") {
        Ok(Format::FastChat)
    } else if has("games") {
        Ok(Format::ArenaHard)
    } else if has("winner") && has("model_a") {
        Ok(Format::Votes)
    } else if has("prompt_id") && has("candidate") {
        Ok(Format::Own)
    } else if has("preference") && (has("generator_2") || has("output_2")) {
        Ok(Format::AlpacaEval)
    } else if has("score") && has("judgment") {
        anyhow::bail!(
            "these are FastChat's grades of single answers, which compare nothing: expected pairwise judgments (g1_winner, g2_winner)"
        )
    } else if has("output") || has("choices") || has("messages") {
        anyhow::bail!(
            "these are a model's answers, not judgments of them: give such a file to --outputs"
        )
    } else {
        let keys: Vec<&str> = fields.as_slice().iter().map(|(name, _)| name.as_str()).collect();
        anyhow::bail!(
            "no known format of judgments has the keys {}: expected AlpacaEval annotations (generator_1, generator_2, preference), FastChat (g1_winner, g2_winner or model_a, model_b, winner), Arena-Hard (games) or spyhop (prompt_id, candidate, verdict)",
            keys.join(", ")
        )
    }
}

fn json(value: &impl Serialize) -> Json {
    to_raw_value(value).expect("numbers, texts and lists of them are JSON")
}
