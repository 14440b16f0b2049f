//! One repository in the cache that a hub's clients share, filled file by file.
//!
//! hf-hub knows that cache's layout. Its own download is not used: it waits for ever on a silent
//! connection, and takes what a server without ranges sends again for the rest of the file.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context;
use hf_hub::{Cache, Repo};
use ureq::{Agent, http::Response};

use super::{
    digest,
    download::{Remote, download},
    server::{self, Failure, Patience},
};
use crate::watch::{Watch, nobody};

/// Which hub, and as whom. No `Debug`: the token must not reach a log.
#[derive(Clone)]
pub(super) struct Hub {
    pub(super) endpoint: String,
    /// The directory of `models--OWNER--NAME`; None when no variable says where it is.
    pub(super) cache: Option<PathBuf>,
    pub(super) token: Option<String>,
    pub(super) offline: bool,
}

/// One repository at the commit that its first file came from.
pub(super) struct Snapshot<'a> {
    pub(super) hub: &'a Hub,
    pub(super) cache: &'a Cache,
    pub(super) agent: Agent,
    pub(super) patience: &'a Patience,
    pub(super) repository: Repo,
    /// A branch may move between two files; a commit cannot.
    pub(super) commit: Option<String>,
}

/// What the hub says of a file before sending it.
struct Description {
    commit: String,
    etag: String,
}

impl Hub {
    /// The variables are those of Hugging Face's own clients.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache")));
            Some(cache?.join("huggingface"))
        });
        let cache = variable("HF_HUB_CACHE").map(PathBuf::from);
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: cache.or_else(|| Some(home.as_ref()?.join("hub"))),
            token: variable("HF_TOKEN"),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
        }
    }
}

impl Snapshot<'_> {
    pub(super) fn required(
        &mut self,
        name: &str,
        sha256: Option<&str>,
        watch: Watch,
    ) -> anyhow::Result<PathBuf> {
        let found = self.file(name, sha256, watch)?;
        found.with_context(|| {
            let repository = self.repository.url();
            let absent =
                if self.hub.offline { " in the cache, and HF_HUB_OFFLINE is set" } else { "" };
            format!("{repository} has no file {name} at {}{absent}", self.repository.revision())
        })
    }

    /// The file from the hub's cache, else from the hub; None when the hub says that it has none.
    pub(super) fn file(
        &mut self,
        name: &str,
        sha256: Option<&str>,
        watch: Watch,
    ) -> anyhow::Result<Option<PathBuf>> {
        if let Some(path) = self.cached(name) {
            // An old copy of a branch must not hide the commit that the recipe's hash is of.
            let meant = |path| sha256.is_none_or(|sha256| has_sha256(path, sha256));
            if meant(&path) {
                self.commit = self.commit.take().or_else(|| commit_of(&path, name));
                return Ok(Some(path));
            }
        }
        if self.hub.offline {
            return Ok(None);
        }
        let Some(description) = self.describe(name, watch)? else {
            return Ok(None);
        };
        let repository = self.cache.repo(self.repository.clone());
        let blob = repository.blob_path(&description.etag);
        let pointer = repository.pointer_path(&description.commit).join(name);
        for path in [&blob, &pointer] {
            let parent = path.parent().context("a path in the cache has a parent")?;
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        // The lock that hf-hub's own download takes.
        let lock = blob.with_extension("lock");
        let lock =
            File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
        lock.lock()?;
        if !blob.exists() {
            let url = self.url(name, &description.commit);
            let verified = is_sha256(&description.etag);
            let remote = Remote { url: &url, token: self.hub.token.as_deref(), verified };
            download(&remote, &blob, self.patience, watch)?;
        }
        drop(lock);
        point(&pointer, &blob, name)?;
        if self.repository.revision() != description.commit {
            repository.create_ref(&description.commit).context("cannot note the commit")?;
        }
        self.commit = Some(description.commit);
        Ok(Some(pointer))
    }

    fn cached(&self, name: &str) -> Option<PathBuf> {
        let repository = self.cache.repo(self.repository.clone());
        match &self.commit {
            Some(commit) => {
                Some(repository.pointer_path(commit).join(name)).filter(|path| path.exists())
            }
            None => repository.get(name),
        }
    }

    fn url(&self, name: &str, revision: &str) -> String {
        let revision = revision.replace('/', "%2F");
        format!(
            "{}/{}/resolve/{revision}/{}",
            self.hub.endpoint,
            self.repository.url(),
            escape(name)
        )
    }

    /// Asks for a file's commit and name in the cache.
    fn describe(&self, name: &str, watch: Watch) -> anyhow::Result<Option<Description>> {
        let revision = self.commit.as_deref().unwrap_or(self.repository.revision());
        let url = self.url(name, revision);
        server::persist(self.patience, watch, || 0, || self.describe_once(&url))
    }

    fn describe_once(&self, url: &str) -> Result<Option<Description>, Failure> {
        // A renamed repository and small files lead elsewhere on the hub; large ones lead off it,
        // and where to is of interest only to the download.
        let mut url = url.to_owned();
        let mut commit = None;
        for _ in 0..=server::MOST_REDIRECTS {
            let mut request = self
                .agent
                .head(&url)
                .config()
                .max_redirects(0)
                .max_redirects_will_error(false)
                .build();
            if let Some(token) = &self.hub.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| server::explain(&url, error, false))?;
            commit = header(&response, "x-repo-commit").or(commit);
            match response.status().as_u16() {
                404 => return Ok(None),
                401 | 403 => {
                    return Err(Failure::Lasting(anyhow::anyhow!(
                        "{url} answered {}: the repository is private, gated or missing; accept its terms and set HF_TOKEN to a token that may read it",
                        response.status()
                    )));
                }
                200..=399 => {}
                _ => return Err(server::refused(&url, &response)),
            }
            if let Some(next) = server::redirect_within(&url, &response) {
                url = next;
                continue;
            }
            let etag = header(&response, "x-linked-etag").or_else(|| header(&response, "etag"));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").replace('"', ""));
            // Both become names of files.
            let plain = |text: &String| {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            return match (commit.filter(plain), etag.filter(plain)) {
                (Some(commit), Some(etag)) => Ok(Some(Description { commit, etag })),
                _ => Err(Failure::Lasting(anyhow::anyhow!(
                    "{url} does not answer like a Hugging Face hub (X-Repo-Commit and ETag): check HF_ENDPOINT"
                ))),
            };
        }
        Err(Failure::Lasting(anyhow::anyhow!("{url} leads round in a circle")))
    }
}

fn header<T>(response: &Response<T>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Escapes what a path of an address cannot hold.
fn escape(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let escaped = |byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    name.bytes().map(escaped).collect()
}

/// `SNAPSHOTS/COMMIT/NAME` to `COMMIT`; a name may have directories.
fn commit_of(path: &Path, name: &str) -> Option<String> {
    let root = path.ancestors().nth(Path::new(name).components().count())?;
    Some(root.file_name()?.to_str()?.to_owned())
}

/// The SHA-256 by which the hub knows a snapshot's file, if it is a large one.
pub(super) fn published_sha256(path: &Path) -> Option<String> {
    blob_name(path).filter(|name| is_sha256(name))
}

/// The name of the blob that a snapshot's file stands for: for large files their SHA-256.
fn blob_name(path: &Path) -> Option<String> {
    Some(fs::canonicalize(path).ok()?.file_name()?.to_str()?.to_owned())
}

fn is_sha256(name: &str) -> bool {
    digest::parse(name).is_ok()
}

fn has_sha256(path: &Path, sha256: &str) -> bool {
    match blob_name(path) {
        Some(name) if is_sha256(&name) => name == sha256,
        _ => digest::file(path, &nobody).is_ok_and(|(found, _)| found == sha256),
    }
}

/// Puts a blob into a snapshot under its name.
#[cfg(unix)]
fn point(pointer: &Path, blob: &Path, name: &str) -> anyhow::Result<()> {
    let blob_name = blob.file_name().context("a blob has a name")?;
    // From snapshots/COMMIT/NAME to blobs/ETAG.
    let up = "../".repeat(Path::new(name).components().count() + 1);
    let target = Path::new(&up).join("blobs").join(blob_name);
    match std::os::unix::fs::symlink(target, pointer) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot create {}", pointer.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn point(pointer: &Path, blob: &Path, _: &str) -> anyhow::Result<()> {
    fs::copy(blob, pointer).with_context(|| format!("cannot create {}", pointer.display()))?;
    Ok(())
}
