//! One format of judgments into another, row by row.
use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::Context;

use crate::watch::Watch;

use super::{
    Answers, Comparison, Format, alpaca_eval, arena_hard, fastchat, fields::Fields, for_each, own,
    votes,
};

/// What a conversion did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    pub rows_in: usize,
    pub rows_out: usize,
    /// What the new format cannot say, and of how many prompts there was such a thing.
    pub lost: BTreeMap<&'static str, usize>,
}

/// Writes the judgments of `paths` in another format.
///
/// Two rows of one look each that follow one another and belong to the same prompt and models become
/// one, where the new format holds both orders in a row.
///
/// # Errors
/// When a file is broken, or a row holds too little for the new format: the message has file and row.
pub fn convert(
    paths: &[PathBuf],
    to: Format,
    answers: &Answers,
    out: &mut impl Write,
    watch: Watch,
) -> anyhow::Result<Converted> {
    let mut writer = Writer { to, out, converted: Converted::default() };
    for path in paths {
        let mut waiting: Option<(Format, Comparison)> = None;
        for_each(path, watch, |format, _, mut comparison| {
            answers.complete(&mut comparison)?;
            writer.converted.rows_in += 1;
            match &mut waiting {
                Some((_, first)) if same_match(first, &comparison)? => {
                    first.looks.append(&mut comparison.looks);
                }
                _ => {
                    if let Some((format, whole)) = waiting.replace((format, comparison)) {
                        writer.comparison(format, whole)?;
                    }
                }
            }
            Ok(())
        })?;
        if let Some((format, whole)) = waiting {
            let place = || format!("{}, its last row", path.display());
            writer.comparison(format, whole).with_context(place)?;
        }
    }
    writer.end()?;
    Ok(writer.converted)
}

fn same_match(one: &Comparison, other: &Comparison) -> anyhow::Result<bool> {
    let names = |row: &Comparison| [row.judge.clone(), row.model.clone(), row.baseline.clone()];
    Ok(one.prompt.keys()? == other.prompt.keys()? && names(one) == names(other))
}

struct Writer<'a, W> {
    to: Format,
    out: &'a mut W,
    converted: Converted,
}

impl<W: Write> Writer<'_, W> {
    fn count_losses(&mut self, from: Format, comparison: &Comparison) {
        let looks = &comparison.looks;
        let (to, two) = (self.to, looks.len() > 1);
        let fraction =
            |share: Option<f64>| share.is_some_and(|share| ![0.0, 0.5, 1.0].contains(&share));
        let soft = looks.iter().any(|look| fraction(look.score) || look.probability.is_some());
        let mut lose = |what, is_lost: bool| {
            if is_lost {
                *self.converted.lost.entry(what).or_default() += 1;
            }
        };
        let verdicts_only = matches!(to, Format::FastChat | Format::Votes | Format::ArenaHard);
        lose("the strength of a preference", soft && verdicts_only);
        lose(
            "\"significantly better\"",
            to != Format::ArenaHard && looks.iter().any(|look| look.strong),
        );
        lose(
            "the verdicts of the two orders (their mean is kept)",
            two && to == Format::AlpacaEval,
        );
        lose(
            "the judge's words",
            looks.iter().any(|look| look.reply.is_some())
                && (to == Format::Votes || two && to == Format::AlpacaEval),
        );
        lose(
            "the question put to the judge",
            looks.iter().any(|look| look.question.is_some())
                && matches!(to, Format::Own | Format::Votes | Format::AlpacaEval),
        );
        lose("the judge's name", to == Format::Own && !comparison.judge.is_empty());
        let texts = comparison.model_output.is_some() || comparison.baseline_output.is_some();
        lose("the answers", texts && to != Format::AlpacaEval);
        lose(
            "the instruction (the row has its hash)",
            from == Format::AlpacaEval && to == Format::Own,
        );
        let unknown = |look: &super::Look| look.order.is_none();
        lose("that the order is unknown", to == Format::Own && looks.iter().any(unknown));
        lose("fields of its own", to == Format::Own && from != to && !comparison.rest.is_empty());
    }

    fn comparison(&mut self, from: Format, comparison: Comparison) -> anyhow::Result<()> {
        self.count_losses(from, &comparison);
        let rows = match self.to {
            Format::AlpacaEval => vec![alpaca_eval::write(comparison)?],
            Format::FastChat => vec![fastchat::write(comparison)?],
            Format::Votes => votes::write(comparison)?,
            Format::ArenaHard => vec![arena_hard::write(comparison)?],
            Format::Own => own::write(comparison)?,
        };
        rows.iter().try_for_each(|row| self.row(row))
    }

    /// JSONL, except for AlpacaEval's array, which is laid out as pandas does it.
    fn row(&mut self, row: &Fields) -> anyhow::Result<()> {
        let array = self.to == Format::AlpacaEval;
        let begin = match (array, self.converted.rows_out) {
            (true, 0) => "[\n  {",
            (true, _) => ",\n  {",
            (false, _) => "{",
        };
        self.out.write_all(begin.as_bytes())?;
        for (index, (name, value)) in row.as_slice().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (indent, space) = if array { ("\n    ", "") } else { ("", " ") };
            let gap = if index > 0 && !array { " " } else { "" };
            let name = serde_json::to_string(name)?;
            write!(self.out, "{comma}{gap}{indent}{name}:{space}")?;
            match array {
                true => self.out.write_all(value.get().as_bytes())?,
                // A pretty-printed value must not break the line.
                false => self.out.write_all(one_line(value.get()).as_bytes())?,
            }
        }
        self.out.write_all(if array { b"\n  }" } else { b"}\n" })?;
        self.converted.rows_out += 1;
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.to == Format::AlpacaEval {
            let end: &[u8] = if self.converted.rows_out == 0 { b"[]" } else { b"\n]" };
            self.out.write_all(end)?;
        }
        self.out.flush().context("cannot write the converted rows")
    }
}

/// JSON without the line breaks between its tokens: inside its texts there are none.
pub(super) fn one_line(json: &str) -> String {
    json.lines().map(str::trim_start).collect::<Vec<_>>().join(" ")
}
