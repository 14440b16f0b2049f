//! `https:` places, and the download that `hf:` places share with them.
//!
//! A download grows as `NAME.part` and takes its name when it is whole. A broken one resumes where the
//! server can prove that the rest belongs to the same file.
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use ureq::{
    Agent,
    http::{HeaderMap, Response},
};

use super::{
    cache::{Brought, Entry, Expected, Whole},
    server::{
        Failure, MOST_REDIRECTS, Patience, agent, explain, persist, redirect_within, refused,
    },
};
use crate::watch::{Event, Unit, Watch};

/// One file on a server.
#[derive(Clone, Copy)]
pub(super) struct Remote<'a> {
    pub(super) url: &'a str,
    pub(super) token: Option<&'a str>,
    /// The content will be compared with a known SHA-256.
    pub(super) verified: bool,
}

/// Downloads the one file of an `https:` place.
pub(super) fn bring(
    url: &str,
    name: &str,
    verified: bool,
    entry: &Entry,
    patience: &Patience,
    watch: Watch,
) -> anyhow::Result<Brought> {
    let files = entry.files();
    fs::create_dir_all(&files).with_context(|| format!("cannot create {}", files.display()))?;
    let remote = Remote { url, token: None, verified };
    download(&remote, &files.join(name), patience, watch)?;
    Ok(Brought {
        from: entry.place().to_owned(),
        root: None,
        files: vec![Expected { name: name.to_owned(), sha256: None }],
        whole: Whole::File,
    })
}

/// Brings a remote file to `target`, which appears only when it is whole.
pub(super) fn download(
    remote: &Remote,
    target: &Path,
    patience: &Patience,
    watch: Watch,
) -> anyhow::Result<()> {
    let agent = agent(remote.url, patience)?;
    let part = Part::of(target);
    persist(patience, watch, || part.length(), || attempt(&agent, remote, &part, watch))?;
    part.complete(target)
}

/// One request: the whole file, or what the part file lacks.
fn attempt(agent: &Agent, remote: &Remote, part: &Part, watch: Watch) -> Result<(), Failure> {
    let validator = part.validator();
    // With neither, nothing would show that the file has changed in between.
    let start = if remote.verified || validator.is_some() { part.length() } else { 0 };
    let send = |url: &str| {
        let mut request = agent.get(url);
        if let Some(token) = remote.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
            if let Some(validator) = &validator {
                request = request.header("If-Range", validator);
            }
        }
        request.call().map_err(|error| explain(url, error, start > 0))
    };
    let mut response = send(remote.url)?;
    // Without encryption the client itself follows nothing.
    for _ in 0..MOST_REDIRECTS {
        match redirect_within(remote.url, &response) {
            Some(next) => response = send(&next)?,
            None => break,
        }
    }
    let (begin, total) = match response.status().as_u16() {
        200 => (0, length(response.headers())),
        206 => match content_range(response.headers()) {
            Some((Some(first), total)) if first == start => (start, total),
            _ => return Err(part.start_over("the server sent another part than it was asked for")),
        },
        416 => match content_range(response.headers()) {
            // Stopped after the last byte and before the file got its name.
            Some((None, Some(total))) if total == start => return Ok(()),
            _ => return Err(part.start_over("the server cannot send the rest")),
        },
        _ => return Err(refused(remote.url, &response)),
    };
    let chunked = response.headers().contains_key("transfer-encoding");
    if total.is_none() && !chunked && !remote.verified {
        return Err(Failure::Lasting(anyhow::anyhow!(
            "{} gives no length, so a broken download could not be told from a whole one: give the source a sha256",
            remote.url
        )));
    }
    let what = format!("downloading {}", part.name);
    watch(Event::Begin { what, total: total.unwrap_or(0), unit: Unit::Bytes });
    let written = receive(response, part, begin, watch);
    watch(Event::End);
    written?;
    let length = part.length();
    match total {
        Some(total) if length != total => Err(Failure::Passing(anyhow::anyhow!(
            "the connection broke after {length} of {total} bytes of {}",
            part.name
        ))),
        _ => Ok(()),
    }
}

/// Writes a response's body into the part file, from `begin` on.
fn receive(
    response: Response<ureq::Body>,
    part: &Part,
    begin: u64,
    watch: Watch,
) -> Result<(), Failure> {
    let disk = |error: io::Error| {
        Failure::Lasting(anyhow::anyhow!("cannot write {}: {error}", part.path.display()))
    };
    let mut file = if begin == 0 {
        part.begin(response.headers()).map_err(disk)?
    } else {
        OpenOptions::new().append(true).open(&part.path).map_err(disk)?
    };
    watch(Event::Advance(begin));
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = body.read(&mut buffer).map_err(|error| {
            Failure::Passing(anyhow::anyhow!(
                "the connection broke after {} bytes of {}: {error}",
                part.length(),
                part.name
            ))
        })?;
        if read == 0 {
            return file.sync_data().map_err(disk);
        }
        file.write_all(&buffer[..read]).map_err(disk)?;
        watch(Event::Advance(read as u64));
    }
}

/// A download that has not ended, and beside it what its server said to know it by.
#[derive(Debug)]
struct Part {
    name: String,
    path: PathBuf,
    validator: PathBuf,
}

impl Part {
    fn of(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = target.with_file_name(format!("{name}.part"));
        let validator = target.with_file_name(format!("{name}.part.validator"));
        Self { name, path, validator }
    }

    fn length(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// What the server will accept as proof that its file is still the same (RFC 9110, 13.1.5).
    fn validator(&self) -> Option<String> {
        fs::read_to_string(&self.validator).ok().filter(|text| !text.is_empty())
    }

    /// An empty part file for the content that `headers` announce.
    fn begin(&self, headers: &HeaderMap) -> io::Result<File> {
        // In this order a kill never leaves old bytes with a new validator.
        let file = File::create(&self.path)?;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let strong = text("etag").filter(|tag| !tag.starts_with("W/"));
        fs::write(&self.validator, strong.or(text("last-modified")).unwrap_or_default())?;
        Ok(file)
    }

    fn start_over(&self, reason: &str) -> Failure {
        match fs::remove_file(&self.path) {
            Ok(()) => Failure::Passing(anyhow::anyhow!("{}: {reason}: starting over", self.name)),
            Err(error) => {
                Failure::Lasting(anyhow::anyhow!("cannot delete {}: {error}", self.path.display()))
            }
        }
    }

    fn complete(&self, target: &Path) -> anyhow::Result<()> {
        fs::rename(&self.path, target)
            .with_context(|| format!("cannot rename {}", self.path.display()))?;
        // It means nothing without its part file.
        let _ = fs::remove_file(&self.validator);
        Ok(())
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

/// First byte and full length of `bytes 5-9/10`, `bytes 5-9/*` and `bytes */10`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let range = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, total) = range.split_once('/')?;
    let first = part.split_once('-').and_then(|(first, _)| first.trim().parse().ok());
    Some((first, total.trim().parse().ok()))
}
