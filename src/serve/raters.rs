//! Who rates, and the files that hold what they said: one a rater, one row a choice.
//!
//! Nothing is kept in memory. Each choice opens the rater's file, which drops what a kill cut short,
//! adds one row, and is on the disk before anybody hears of it.
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;

use super::contest::{Contest, Place, SCREENING};
use crate::{
    record::{Choice, Verdict, content_id},
    store::{Log, read_so_far},
};

/// Characters of a rater's name.
const LONGEST_NAME: usize = 60;

/// The directory of choices, held by one server at a time.
#[derive(Debug)]
pub(super) struct Raters {
    directory: PathBuf,
    writing: Mutex<()>,
    _lock: File,
}

/// What a page wants written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    Choose(Place<'a>, Verdict),
    /// Takes this choice back.
    Undo(&'a Choice),
}

impl Raters {
    /// # Errors
    /// When the directory cannot be created, or another server writes there.
    pub(super) fn open(directory: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join("lock");
        let lock =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory, writing: Mutex::new(()), _lock: lock }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "{} is in use by another spyhop serve: stop it first",
                directory.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// What a rater said in a comparison, row by row.
    ///
    /// # Errors
    /// When a row is broken.
    pub(super) fn rows(&self, rater: &str, contest: &str) -> anyhow::Result<Vec<Choice>> {
        let mut rows = read_so_far::<Choice>(&self.path(rater))?;
        rows.retain(|row| row.rater == rater && row.contest == contest);
        Ok(rows)
    }

    /// Writes one row, if the rater has written `after` rows of this comparison so far: otherwise the
    /// form was sent twice, or from a page that another tab has left behind. Returns whether it did.
    ///
    /// # Errors
    /// When the row cannot be written.
    pub(super) fn write(
        &self,
        (rater, contest): (&str, &Contest),
        after: usize,
        act: Act,
        time: u64,
    ) -> anyhow::Result<bool> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(rater);
        let new = !path.exists();
        if self.rows(rater, &contest.id)?.len() != after {
            return Ok(false);
        }
        let row = row(rater, contest, after, act, time);
        let mut log = Log::<Choice>::open(&path)?;
        log.append(&row)?;
        log.sync()?;
        if new && let Ok(directory) = File::open(&self.directory) {
            // A new file's name is safe only with its directory.
            directory.sync_all().with_context(|| path.display().to_string())?;
        }
        Ok(true)
    }

    fn path(&self, rater: &str) -> PathBuf {
        self.directory.join(file_name(rater))
    }
}

fn row(rater: &str, contest: &Contest, after: usize, act: Act, time: u64) -> Choice {
    let id = |pair: &str| content_id(&[rater, &contest.id, pair, &after.to_string()]);
    match act {
        Act::Choose(Place { pair, order, screening }, verdict) => Choice {
            id: id(&pair.id),
            rater: rater.to_owned(),
            pair: pair.id.clone(),
            prompt_id: pair.prompt_id.clone(),
            dataset: pair.dataset.clone(),
            candidate: if screening { SCREENING[0].into() } else { contest.candidate.clone() },
            baseline: if screening { SCREENING[1].into() } else { contest.baseline.clone() },
            order,
            verdict: Some(verdict),
            screening,
            contest: contest.id.clone(),
            time,
        },
        Act::Undo(choice) => Choice { id: id(&choice.pair), verdict: None, time, ..choice.clone() },
    }
}

/// Every rater's rows, by rater.
///
/// # Errors
/// When a row is broken.
pub(super) fn all(directory: &Path) -> anyhow::Result<BTreeMap<String, Vec<Choice>>> {
    let mut by_rater: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(by_rater),
        entries => entries.with_context(|| format!("cannot read {}", directory.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for row in read_so_far::<Choice>(&path)? {
                by_rater.entry(row.rater.clone()).or_default().push(row);
            }
        }
    }
    Ok(by_rater)
}

/// A rater's choices that stand in a comparison, the latest last: of each pair the last row, unless
/// that takes it back.
pub(super) fn standing<'a>(rows: &'a [Choice], contest: &str) -> Vec<&'a Choice> {
    let rows: Vec<&Choice> = rows.iter().filter(|row| row.contest == contest).collect();
    let last: HashMap<&str, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.pair.as_str(), at)).collect();
    let rows = rows.into_iter().enumerate();
    rows.filter(|(at, row)| last[row.pair.as_str()] == *at && row.verdict.is_some())
        .map(|(_, row)| row)
        .collect()
}

/// A name as rows have it: in lower case, with single spaces; `None` for what is no name.
pub(super) fn rater_name(typed: &str) -> Option<String> {
    let name = typed.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let fits = !name.is_empty() && name.chars().count() <= LONGEST_NAME;
    (fits && !name.chars().any(char::is_control)).then_some(name)
}

/// A file name that is safe everywhere, and another one for another name.
fn file_name(rater: &str) -> String {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match rater.chars().all(safe) {
        true => format!("{rater}.jsonl"),
        false => {
            let letters: String = rater.chars().map(|c| if safe(c) { c } else { '-' }).collect();
            format!("{letters}-{}.jsonl", &content_id(&[rater])[..8])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_safe_files() {
        let check = |typed: &str, name: Option<&str>, file: &str| {
            assert_eq!(rater_name(typed).as_deref(), name, "{typed:?}");
            if let Some(name) = name {
                let found = file_name(name);
                assert!(found.starts_with(file) && found.ends_with(".jsonl"), "{found}");
                assert!(!found.contains(['/', '\\', '.']) || found.matches('.').count() == 1);
            }
        };
        check("Anna", Some("anna"), "anna.jsonl");
        check("  Jos\u{e9}  P ", Some("jos\u{e9} p"), "jos--p-");
        check("../../etc/passwd", Some("../../etc/passwd"), "------etc-passwd-");
        check("lock", Some("lock"), "lock.jsonl");
        check("", None, "");
        check(" \t", None, "");
        check("a\u{0}b", None, "");
        check(&"x".repeat(61), None, "");
        assert_ne!(file_name("a b"), file_name("a-b"));
        assert_eq!(rater_name("ANNA"), rater_name("anna"));
    }
}
