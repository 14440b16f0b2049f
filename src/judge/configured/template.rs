//! A prompt with gaps: read once into pieces, filled in one pass.
//!
//! What is filled in is never read again, so an answer that spells out a gap, a role or the end of a
//! message stays text. Whether a server keeps it so is the server's business: messages leave here as
//! pairs of a role and a content.
use anyhow::Context;
use serde::Serialize;

use crate::{
    model::{Message, Role},
    record::content_id,
};

/// The messages of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Template {
    turns: Vec<(Role, Vec<Piece>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
enum Piece {
    Text(String),
    Gap(Gap),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
enum Gap {
    Instruction,
    First,
    Second,
    /// A word that occurs in none of the other three: answers fenced by it cannot end their fence.
    Tag,
}

/// The gaps of a prompt in a judge file.
const GAPS: &[(&str, Gap)] = &[
    ("instruction", Gap::Instruction),
    ("first", Gap::First),
    ("second", Gap::Second),
    ("tag", Gap::Tag),
];

/// The gaps of a prompt in AlpacaEval's layout.
const MARKUP_GAPS: &[(&str, Gap)] =
    &[("instruction", Gap::Instruction), ("output_1", Gap::First), ("output_2", Gap::Second)];

/// Enough that no ordinary text has them by chance, and few tokens.
const TAG_DIGITS: usize = 8;

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

impl Template {
    /// # Errors
    /// When a gap is unknown, or one of instruction and answers has none.
    pub(super) fn new(system: Option<&str>, user: &str) -> anyhow::Result<Self> {
        let texts = [(Role::System, system), (Role::User, Some(user))];
        let texts = texts.into_iter().filter_map(|(role, text)| Some((role, text?)));
        Self::of_texts(texts, GAPS)
    }

    /// Reads AlpacaEval's layout: each message between `<|im_start|>ROLE` and `<|im_end|>`.
    ///
    /// # Errors
    /// When the text is not in that layout; else those of [`Template::new`].
    pub(super) fn from_markup(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(START);
        anyhow::ensure!(
            parts.next().is_some_and(|before| before.trim().is_empty()) && text.contains(START),
            "expected {START} at the beginning"
        );
        let mut texts = Vec::new();
        for part in parts {
            let (role, rest) = part.split_once('\n').unwrap_or((part, ""));
            let role = match role.trim() {
                "system" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                other => anyhow::bail!("the role {other:?}: expected system, user or assistant"),
            };
            let (content, after) = rest
                .split_once(END)
                .with_context(|| format!("a message of role {role:?} does not end in {END}"))?;
            anyhow::ensure!(after.trim().is_empty(), "{:?} stands outside messages", after.trim());
            // AlpacaEval trims as well.
            texts.push((role, content.trim()));
        }
        Self::of_texts(texts.into_iter(), MARKUP_GAPS)
    }

    fn of_texts<'a>(
        texts: impl Iterator<Item = (Role, &'a str)>,
        gaps: &[(&str, Gap)],
    ) -> anyhow::Result<Self> {
        let turns: Vec<(Role, Vec<Piece>)> = texts
            .map(|(role, text)| Ok((role, pieces(text, gaps)?)))
            .collect::<anyhow::Result<_>>()?;
        for &(name, gap) in gaps {
            let there = turns.iter().any(|(_, pieces)| pieces.contains(&Piece::Gap(gap)));
            anyhow::ensure!(there || gap == Gap::Tag, "the prompt has no {{{name}}}");
        }
        Ok(Self { turns })
    }

    /// The messages, with every text to the byte.
    pub(super) fn fill(&self, instruction: &str, first: &str, second: &str) -> Vec<Message> {
        let tag = absent_tag(instruction, first, second, TAG_DIGITS);
        let text = |piece: &Piece| -> String {
            match piece {
                Piece::Text(text) => text.clone(),
                Piece::Gap(Gap::Instruction) => instruction.to_owned(),
                Piece::Gap(Gap::First) => first.to_owned(),
                Piece::Gap(Gap::Second) => second.to_owned(),
                Piece::Gap(Gap::Tag) => tag.clone(),
            }
        };
        let message = |(role, pieces): &(Role, Vec<Piece>)| {
            Message::new(*role, pieces.iter().map(text).collect::<String>())
        };
        self.turns.iter().map(message).collect()
    }
}

fn pieces(text: &str, gaps: &[(&str, Gap)]) -> anyhow::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices('{') {
        let Some(name) = gap_name(&text[at + 1..]) else { continue };
        let &(_, gap) = gaps.iter().find(|(known, _)| *known == name).with_context(|| {
            let names: Vec<String> = gaps.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!("the prompt has {{{name}}}: expected one of {}", names.join(", "))
        })?;
        pieces.push(Piece::Text(text[from..at].to_owned()));
        pieces.push(Piece::Gap(gap));
        from = at + "{}".len() + name.len();
    }
    pieces.push(Piece::Text(text[from..].to_owned()));
    Ok(pieces)
}

/// The name, where a brace opens a gap: other braces, such as those of JSON, are text.
fn gap_name(after_brace: &str) -> Option<&str> {
    let (name, _) = after_brace.split_once('}')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// Hexadecimal digits that no text has, in either case; the same in both orders of the answers.
///
/// They follow from all three texts, so that whoever writes an answer cannot know them.
fn absent_tag(instruction: &str, first: &str, second: &str, digits: usize) -> String {
    let mut texts = [instruction, first, second].map(str::to_ascii_lowercase);
    texts[1..].sort_unstable();
    let [instruction, one, other] = &texts;
    let mut attempt: u64 = 0;
    loop {
        let mut tag = content_id(&[instruction, one, other, &attempt.to_string()]);
        tag.truncate(digits);
        if !texts.iter().any(|text| text.contains(&tag)) {
            return tag;
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_in_none_of_the_texts_and_cannot_be_foreseen() {
        let tag = |first, second| absent_tag("Say it.", first, second, TAG_DIGITS);
        assert_eq!(tag("yes", "no"), tag("no", "yes"), "the tag tells the order");
        assert_ne!(tag("yes", "no"), tag("yes", "no."));
        // Of tags with two digits, an answer can guess all but one.
        for left_out in 0..=255_u8 {
            let guesses = (0..=255).filter(|&guess| guess != left_out);
            let answer: String = guesses.map(|guess: u8| format!("{guess:02X} ")).collect();
            assert_eq!(absent_tag("z", &answer, "z", 2), format!("{left_out:02x}"));
        }
    }
}
