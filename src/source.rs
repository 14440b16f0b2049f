//! Where files come from.
use std::path::{Path, PathBuf};

use crate::{recipe, watch::Watch};

/// Files brought by [`fetch`], verified and on the local disk.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The alternative that served.
    pub from: String,
    /// The files, sorted. One, unless the source has a pattern.
    pub files: Vec<PathBuf>,
    /// The directory that the files' names are relative to.
    pub root: PathBuf,
    /// SHA-256 of the file, or of the archive that the files were taken from.
    pub sha256: String,
    /// Size of the same, in bytes.
    pub bytes: u64,
}

/// Brings a source's files, from the cache where it has them.
pub fn fetch(
    _source: &recipe::Source,
    _directory: &Path,
    _cache: &Path,
    _watch: Watch,
) -> anyhow::Result<Fetched> {
    anyhow::bail!("to come")
}
