//! What has been fetched before. One directory a place:
//!
//! ```text
//! CACHE/<kind>/<content id of the place>/
//!   complete.json   written last: while it is missing, nothing else here counts
//!   files/          what was fetched; elsewhere for `hf:`, whose cache other programs share
//!   lock            held by the process that is fetching
//! ```
//!
//! Knows nothing of how files are brought.
use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::{
    Fetched,
    digest::{self, Piece},
    place::Place,
};
use crate::{
    record::content_id,
    store::write_atomic,
    watch::{Event, Watch, nobody},
};

const WORK_PREFIX: &str = "work-";

/// The directory of one place.
#[derive(Debug)]
pub(super) struct Entry {
    root: PathBuf,
    place: String,
}

/// What a place has sent, before it is verified.
#[derive(Debug)]
pub(super) struct Brought {
    /// The place, with what it chose itself.
    pub(super) from: String,
    /// None: the entry's own [`Entry::files`].
    pub(super) root: Option<PathBuf>,
    /// Names below `root`.
    pub(super) files: Vec<Expected>,
    pub(super) whole: Whole,
}

/// A file and, where the place publishes one, its SHA-256.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) sha256: Option<String>,
}

/// What the one SHA-256 of a source is of.
#[derive(Clone, Debug)]
pub(super) enum Whole {
    /// The only file.
    File,
    /// The list of the files.
    List,
    /// The archive that they were in.
    Archive { sha256: String, bytes: u64 },
}

/// The content of `complete.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    place: String,
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<PathBuf>,
    sha256: String,
    bytes: u64,
    files: Vec<Piece>,
}

impl Entry {
    pub(super) fn of(cache: &Path, place: &Place) -> Self {
        let id = content_id(&[&place.text]);
        // Client programs run in other directories, so a relative cache would be lost on them.
        let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.to_owned());
        Self { root: cache.join(place.kind_name()).join(id), place: place.text.clone() }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Where the fetched files belong.
    pub(super) fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Lets one process at a time fetch this place.
    pub(super) fn lock(&self, watch: Watch) -> anyhow::Result<File> {
        let path = self.root.join("lock");
        let open = || {
            fs::create_dir_all(&self.root)?;
            let file = File::create(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    watch(Event::Say(format!(
                        "another process is fetching {}: waiting for it",
                        self.place
                    )));
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        open().map_err(|error| {
            let advice = match error.kind() {
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotFound => {
                    "; set XDG_CACHE_HOME to a directory that you may write to"
                }
                _ => "",
            };
            anyhow::anyhow!("cannot lock {}: {error}{advice}", path.display())
        })
    }

    /// An empty directory beside `files`, deleted when dropped. To be asked for with the lock held.
    pub(super) fn work(&self) -> anyhow::Result<TempDir> {
        let make = || {
            for entry in fs::read_dir(&self.root)? {
                let entry = entry?;
                // Left by a process that was killed: the lock says that nobody works there now.
                if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(&self.root)
        };
        make().with_context(|| format!("cannot make a directory in {}", self.root.display()))
    }

    /// An empty [`Entry::files`].
    pub(super) fn empty_files(&self) -> anyhow::Result<PathBuf> {
        let files = self.files();
        let make = || {
            if files.exists() {
                fs::remove_dir_all(&files)?;
            }
            fs::create_dir_all(&files)
        };
        make().with_context(|| format!("cannot empty {}", files.display()))?;
        Ok(files)
    }

    /// The files, if all are here and whole, and the recipe's hash is theirs.
    ///
    /// Sizes are always compared; content only when the recipe gives a hash to compare with.
    pub(super) fn complete(&self, sha256: Option<&str>, watch: Watch) -> Option<Fetched> {
        let text = fs::read(self.root.join("complete.json")).ok()?;
        let manifest: Manifest = serde_json::from_slice(&text).ok()?;
        if sha256.is_some_and(|expected| expected != manifest.sha256) {
            return None;
        }
        let root = manifest.root.clone().unwrap_or_else(|| self.files());
        let changed = if sha256.is_some() {
            let names: Vec<String> = manifest.files.iter().map(|file| file.name.clone()).collect();
            digest::pieces(&root, &names, watch).ok().as_deref() != Some(&manifest.files)
        } else {
            let same = |file: &Piece| {
                root.join(&file.name).metadata().is_ok_and(|found| found.len() == file.bytes)
            };
            !manifest.files.iter().all(same)
        };
        if changed {
            watch(Event::Say(format!(
                "files of {} in {} are not as they were fetched: fetching again",
                self.place,
                root.display()
            )));
            return None;
        }
        Some(manifest.fetched(root))
    }

    /// Verifies what was brought and marks it complete.
    ///
    /// # Errors
    /// When a hash is not the expected one: the files in question are deleted first.
    pub(super) fn finish(
        &self,
        brought: Brought,
        sha256: Option<&str>,
        watch: Watch,
    ) -> anyhow::Result<Fetched> {
        let own = brought.root.is_none();
        let root = brought.root.clone().unwrap_or_else(|| self.files());
        let mut expected = brought.files;
        expected.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<String> = expected.iter().map(|file| file.name.clone()).collect();
        let pieces = digest::pieces(&root, &names, watch)?;
        for (piece, expected) in pieces.iter().zip(&expected) {
            if expected.sha256.as_ref().is_some_and(|sha256| *sha256 != piece.sha256) {
                discard(&root.join(&piece.name));
                anyhow::bail!(
                    "{} was damaged on its way (SHA-256 published {}, received {}) and is deleted: try again",
                    piece.name,
                    expected.sha256.as_deref().unwrap_or_default(),
                    piece.sha256,
                );
            }
        }
        let (hash, bytes, what) = match (&brought.whole, &pieces[..]) {
            (Whole::File, [only]) => (only.sha256.clone(), only.bytes, only.name.as_str()),
            (Whole::Archive { sha256, bytes }, _) => (sha256.clone(), *bytes, "the archive"),
            _ => {
                let (hash, bytes) = digest::list(&pieces);
                (hash, bytes, "the set of files")
            }
        };
        if let Err(error) = digest::verify(what, sha256, &hash) {
            // What lies elsewhere is somebody else's too, and whole by its publisher's own hash.
            return if own {
                self.empty_files()?;
                Err(error.context("the download is deleted"))
            } else {
                Err(error)
            };
        }
        let manifest = Manifest {
            place: self.place.clone(),
            from: brought.from,
            root: brought.root,
            sha256: hash,
            bytes,
            files: pieces,
        };
        let mut text = serde_json::to_vec_pretty(&manifest)?;
        text.push(b'\n');
        write_atomic(&self.root.join("complete.json"), &text)?;
        Ok(manifest.fetched(root))
    }
}

impl Manifest {
    fn fetched(self, root: PathBuf) -> Fetched {
        Fetched {
            from: self.from,
            files: self.files.iter().map(|file| root.join(&file.name)).collect(),
            root,
            sha256: self.sha256,
            bytes: self.bytes,
        }
    }
}

/// SHA-256 and size of an archive.
pub(super) fn archive(path: &Path) -> anyhow::Result<Whole> {
    let (sha256, bytes) = digest::file(path, &nobody)?;
    Ok(Whole::Archive { sha256, bytes })
}

/// The file with that extension in a directory, if there is exactly one.
pub(super) fn only_file(directory: &Path, extension: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let mut found = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    found.next().filter(|_| found.next().is_none())
}

/// Deletes a file and, if it is a link, what it points to. What cannot be deleted is found again by
/// the next fetch, which compares the hashes anew.
fn discard(path: &Path) {
    if let Ok(target) = fs::canonicalize(path) {
        let _ = fs::remove_file(target);
    }
    let _ = fs::remove_file(path);
}
