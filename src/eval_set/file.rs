//! The schema of a set's file, and what serde cannot say of it.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::recipe::Source;

/// A set's file, checked.
#[derive(Debug)]
pub(super) struct SetFile {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) licence: String,
    pub(super) count: usize,
    pub(super) content: Content,
    slices: BTreeMap<String, usize>,
}

/// Where a set's prompts are.
#[derive(Debug)]
pub(super) enum Content {
    /// In a file that others publish.
    Source { source: Source, columns: Columns, only: BTreeMap<String, Value> },
    /// In a file beside the set's, in the form that [`super::prompts`] reads.
    Prompts { path: String, sha256: String },
    /// In other sets: names of built-in ones, or paths of set files relative to this one.
    Union(Vec<String>),
}

/// Where a row of a published file has what a prompt consists of: JSON pointers (RFC 6901).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Columns {
    /// Texts; those that are not blank make the instruction, with a blank line between them.
    pub(super) instruction: Vec<String>,
    /// A text, the prompt's slice. Left out: all prompts are in one slice with the set's name.
    pub(super) dataset: Option<String>,
}

/// A set's file as it is written: exactly one of `source`, `prompts` and `union`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Letters, digits, `-`, `_` and `.`.
    name: String,
    /// A sentence or two for a list of sets.
    description: String,
    /// Under which the prompts may be used; says so where that is unclear.
    licence: String,
    /// Prompts.
    count: usize,
    /// One file that others publish: JSONL, or one JSON array. Needs `columns`.
    source: Option<Source>,
    columns: Option<Columns>,
    /// Goes with `source`: takes the rows whose value at each pointer is this text, number or boolean.
    only: Option<BTreeMap<String, Value>>,
    /// A file of prompts beside this one. Needs `sha256`.
    prompts: Option<String>,
    /// Of `prompts`, in hexadecimal.
    sha256: Option<String>,
    /// Sets whose prompts together make this one; equal instructions are kept once.
    union: Option<Vec<String>>,
    /// How many prompts each slice has; together `count`.
    slices: BTreeMap<String, usize>,
}

impl SetFile {
    /// # Errors
    /// When the text is not TOML, or a key is unknown, missing or has a value that is not allowed.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let written: Written = toml::from_str(text)?;
        written.check()?;
        let Written { name, description, licence, count, slices, .. } = written;
        let content = match (written.source, written.prompts, written.union) {
            (Some(source), None, None) => {
                only_with("source", &[("sha256", written.sha256.is_some())])?;
                let Some(columns) = written.columns else {
                    anyhow::bail!("[source] needs [columns]: where a row has the instruction");
                };
                let only = written.only.unwrap_or_default();
                columns.check()?;
                check_source(&source, &only)?;
                Content::Source { source, columns, only }
            }
            (None, Some(path), None) => {
                let others =
                    [("columns", written.columns.is_some()), ("only", written.only.is_some())];
                only_with("prompts", &others)?;
                let Some(sha256) = written.sha256 else {
                    anyhow::bail!("prompts needs sha256: write what `sha256sum {path}` prints");
                };
                Content::Prompts { path, sha256 }
            }
            (None, None, Some(sets)) => {
                let others = [
                    ("columns", written.columns.is_some()),
                    ("only", written.only.is_some()),
                    ("sha256", written.sha256.is_some()),
                ];
                only_with("union", &others)?;
                anyhow::ensure!(sets.len() > 1, "union = {sets:?}: name two sets or more");
                Content::Union(sets)
            }
            _ => anyhow::bail!("a set has exactly one of `source`, `prompts` and `union`"),
        };
        Ok(Self { name, description, licence, count, content, slices })
    }

    /// # Errors
    /// When the slices that were found are not those of the file: the message has both counts.
    pub(super) fn check_counts(&self, found: &BTreeMap<String, usize>) -> anyhow::Result<()> {
        let names: BTreeSet<&String> = self.slices.keys().chain(found.keys()).collect();
        let different: Vec<String> = names
            .into_iter()
            .filter_map(|name| {
                let count = |slices: &BTreeMap<_, usize>| slices.get(name).copied().unwrap_or(0);
                let (expected, found) = (count(&self.slices), count(found));
                (expected != found)
                    .then(|| format!("slice {name:?}: {expected} expected, {found} found"))
            })
            .collect();
        anyhow::ensure!(
            different.is_empty(),
            "its file says count = {}, and {} prompts were found; {}",
            self.count,
            found.values().sum::<usize>(),
            different.join("; ")
        );
        Ok(())
    }
}

impl Written {
    fn check(&self) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(plain),
            "name = {:?}: use letters, digits, -, _ and .",
            self.name
        );
        for (key, text) in [("description", &self.description), ("licence", &self.licence)] {
            anyhow::ensure!(!text.trim().is_empty(), "{key} is empty: write one");
        }
        let sum: usize = self.slices.values().sum();
        anyhow::ensure!(
            self.count > 0 && self.count == sum,
            "count = {}, and [slices] has {sum} prompts: both must be the same, and not 0",
            self.count
        );
        Ok(())
    }
}

impl Columns {
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.instruction.is_empty(),
            "columns.instruction is empty: name at least one pointer, such as \"/instruction\""
        );
        self.instruction.iter().chain(&self.dataset).try_for_each(|text| check_pointer(text))
    }
}

fn check_source(source: &Source, only: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    anyhow::ensure!(
        source.sha256.is_some()
            || source.from.iter().all(|place| place.trim().starts_with("file:")),
        "source.sha256 is missing: prompts that are fetched must be those that were meant"
    );
    for (pointer, value) in only {
        check_pointer(pointer)?;
        anyhow::ensure!(
            value.is_string() || value.is_number() || value.is_boolean(),
            "only has {pointer:?} = {value}: expected a text, a number or a boolean"
        );
    }
    Ok(())
}

fn check_pointer(text: &str) -> anyhow::Result<()> {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    anyhow::ensure!(
        (text.is_empty() || text.starts_with('/')) && escaped,
        "{text:?} is no JSON pointer: begin it with /, as in \"/turns/0\", and write ~ as ~0"
    );
    Ok(())
}

/// Refuses keys that belong to another kind of set.
fn only_with(kind: &str, others: &[(&str, bool)]) -> anyhow::Result<()> {
    match others.iter().find(|(_, given)| *given) {
        Some((key, _)) => anyhow::bail!("{key} does not go with {kind}: leave it out"),
        None => Ok(()),
    }
}
