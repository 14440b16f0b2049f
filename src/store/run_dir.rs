//! The directory of one run: which stages are done, with what inputs, and by whom.
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::log::{Log, read, write_atomic};
use crate::record::{Counts, Done};

/// An open run directory. One process at a time holds it.
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    done: RefCell<Vec<Done>>,
    worked: Cell<bool>,
    _lock: File,
}

/// What a run was made with, beyond its recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub spyhop_version: String,
    /// `git describe` of the source that the binary was built from.
    pub spyhop_commit: String,
    pub device: String,
    /// Everything read from outside: what it is for, where it came from, SHA-256.
    pub sources: Vec<SourceUsed>,
    /// BLAKE3 of each built-in prompt.
    pub prompts: BTreeMap<String, String>,
    /// How `models` that answer and rate, how the `judge` where that is said apart, and how `training`
    /// multiplied on this processor: `f32`, `bf16`, `int8` or `int7`. None in a scripted run.
    #[serde(default)]
    pub products: BTreeMap<String, String>,
}

/// One file, or set of files, from outside the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceUsed {
    pub role: String,
    pub from: String,
    pub sha256: String,
    pub bytes: u64,
}

/// A stage at work, and where it writes.
#[derive(Debug)]
pub struct Stage<'a> {
    pub id: &'a str,
    root: &'a Path,
}

impl Stage<'_> {
    /// A file or directory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl RunDir {
    /// Opens or creates the directory of a run of `recipe` (its resolved text).
    ///
    /// # Errors
    /// When another process holds the directory, or it belongs to a different recipe.
    pub fn open(root: &Path, recipe: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path)
            .with_context(|| format!("cannot create {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "{} is in use by another spyhop process; wait for it, or choose another directory with --out",
                root.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock_path.display()));
            }
        }
        let recipe_path = root.join("recipe.toml");
        if recipe_path.exists() {
            let earlier = fs::read_to_string(&recipe_path)?;
            if let Some((old, new)) = first_difference(&earlier, recipe) {
                anyhow::bail!(
                    "{} was made with another recipe: there `{old}`, now `{new}`; choose another directory with --out, or delete this one to start over",
                    root.display()
                );
            }
        } else {
            write_atomic(&recipe_path, recipe.as_bytes())?;
        }
        let done = RefCell::new(finished(root)?);
        Ok(Self { done, worked: Cell::new(false), root: root.to_owned(), _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether any stage ran since the directory was opened.
    pub fn worked(&self) -> bool {
        self.worked.get()
    }

    /// The record of a finished stage.
    pub fn done(&self, id: &str) -> Option<Done> {
        self.done.borrow().iter().find(|done| done.id == id).cloned()
    }

    /// Runs a stage unless it is done, and then records that it is.
    ///
    /// `inputs` identifies everything that the stage reads. `work` gets the stage and returns its
    /// counts; whatever it wrote before a kill, it finds again. Returns whether it ran.
    ///
    /// # Errors
    /// Those of `work`; or when the stage was done before with other inputs.
    ///
    /// # Panics
    /// When the counts do not add up: rows were lost without a reason.
    pub fn stage(
        &self,
        id: &str,
        inputs: &[&str],
        work: impl FnOnce(&Stage) -> anyhow::Result<Counts>,
    ) -> anyhow::Result<bool> {
        let inputs = crate::record::content_id(inputs);
        if let Some(done) = self.done(id) {
            anyhow::ensure!(
                done.inputs == inputs,
                "the inputs of stage {id} have changed since it was done in {}; choose another directory with --out",
                self.root.display()
            );
            return Ok(false);
        }
        self.worked.set(true);
        let marker = self.root.join("running");
        let resumed = fs::read_to_string(&marker).is_ok_and(|running| running == id);
        write_atomic(&marker, id.as_bytes())?;
        let began = Instant::now();
        let counts = work(&Stage { id, root: &self.root })
            .with_context(|| format!("stage {id} did not finish"))?;
        assert!(counts.balanced(), "stage {id} lost rows: {counts:?}");
        let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let done = Done { id: id.to_owned(), inputs, counts, seconds, resumed };
        let mut log = Log::<Done>::open(&self.root.join("stages.jsonl"))?;
        log.append(&done)?;
        log.sync()?;
        self.done.borrow_mut().push(done);
        fs::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))?;
        Ok(true)
    }

    /// Writes `provenance.json`, unless an earlier session has.
    ///
    /// # Errors
    /// When the earlier session asked with other built-in prompts: its rows and new ones would mix.
    pub fn keep_provenance(&self, provenance: &Provenance) -> anyhow::Result<()> {
        let path = self.path("provenance.json");
        if path.exists() {
            let earlier: Provenance = serde_json::from_str(&fs::read_to_string(&path)?)
                .with_context(|| path.display().to_string())?;
            anyhow::ensure!(
                earlier.prompts == provenance.prompts,
                "{} was made by spyhop {} ({}) with other built-in prompts; go on with that version, or choose another directory with --out",
                self.root.display(),
                earlier.spyhop_version,
                earlier.spyhop_commit
            );
            return Ok(());
        }
        let json = serde_json::to_string_pretty(provenance)?;
        write_atomic(&path, (json + "\n").as_bytes())
    }
}

/// The finished stages of a run directory, in the order in which they finished.
fn finished(root: &Path) -> anyhow::Result<Vec<Done>> {
    let path = root.join("stages.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    // Opening drops a torn last line; the stage that it belonged to is not done.
    drop(Log::<Done>::open(&path)?);
    read(&path)
}

/// The first line in which two recipes differ.
fn first_difference(earlier: &str, now: &str) -> Option<(String, String)> {
    let (mut old, mut new) = (earlier.lines(), now.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let text = |line: Option<&str>| line.unwrap_or("(nothing)").to_owned();
                return Some((text(a), text(b)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_stage_does_not_run_again() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDir::open(directory.path(), "name = \"a\"\n").unwrap();
        assert!(run.stage("corpus", &["x"], |_| Ok(Counts::all(3))).unwrap());
        drop(run);
        let run = RunDir::open(directory.path(), "name = \"a\"\n").unwrap();
        assert!(!run.stage("corpus", &["x"], |_| unreachable!()).unwrap());
        assert_eq!(run.done("corpus").unwrap().counts, Counts::all(3));
        let error = run.stage("corpus", &["y"], |_| unreachable!()).unwrap_err().to_string();
        assert!(error.contains("inputs of stage corpus have changed"), "{error}");
    }

    #[test]
    fn a_failed_stage_is_not_done_and_says_so_when_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDir::open(directory.path(), "").unwrap();
        run.stage("seed", &[], |_| anyhow::bail!("no disk")).unwrap_err();
        assert!(run.stage("seed", &[], |_| Ok(Counts::all(1))).unwrap());
        assert!(run.done("seed").unwrap().resumed);
    }

    #[test]
    fn another_recipe_and_a_second_process_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDir::open(directory.path(), "name = \"a\"\nsteps = 1\n").unwrap();
        let error = RunDir::open(directory.path(), "").unwrap_err().to_string();
        assert!(error.contains("in use by another spyhop process"), "{error}");
        drop(run);
        let error =
            RunDir::open(directory.path(), "name = \"a\"\nsteps = 2\n").unwrap_err().to_string();
        assert!(error.contains("there `steps = 1`, now `steps = 2`"), "{error}");
    }
}
