//! Calls to the lines of files.
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{Kept, REQUESTS, custom_id};
use crate::{lm::api::Call, recipe::Price, store::write_atomic};

/// What a call costs in a batch, of its price otherwise, as OpenAI bills it.
pub const SHARE: f64 = 0.5;

/// The most that OpenAI takes in one file.
const MOST_REQUESTS: usize = 50_000;
const MOST_BYTES: usize = 200_000_000;

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Calls, each once, however often it was given.
    pub calls: usize,
    /// The files for the server, in order.
    pub files: Vec<PathBuf>,
}

/// A line of a batch.
#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    method: &'a str,
    url: &'a str,
    body: &'a RawValue,
}

/// Writes calls, each with its request in the store of replies, to `batch-0001.jsonl` and so on in a
/// directory. `price` is that of calls outside a batch. The same calls give the same bytes.
///
/// # Errors
/// When the directory has another batch, whose results would be lost; when it cannot be written; or
/// when a single call is larger than a file may be.
pub fn write(
    directory: &Path,
    price: Option<Price>,
    calls: &[(Value, Call)],
) -> anyhow::Result<Written> {
    write_within(directory, price, calls, (MOST_REQUESTS, MOST_BYTES))
}

/// [`write`], with the most calls and bytes of a file.
pub(super) fn write_within(
    directory: &Path,
    price: Option<Price>,
    calls: &[(Value, Call)],
    (most_requests, most_bytes): (usize, usize),
) -> anyhow::Result<Written> {
    let price = price
        .map(|price| Price { prompt: price.prompt * SHARE, completion: price.completion * SHARE });
    let (mut requests, mut files) = (Vec::new(), Vec::new());
    let (mut file, mut lines) = (Vec::new(), 0);
    let mut seen = HashSet::new();
    for (request, call) in calls {
        let id = custom_id(request);
        // Two lines of one name would be one result, paid for twice.
        if !seen.insert(id.clone()) {
            continue;
        }
        let body = RawValue::from_string(String::from_utf8(call.body())?)?;
        let url = format!("/v1/{}", call.path());
        let line = Line { custom_id: &id, method: "POST", url: &url, body: &body };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        anyhow::ensure!(
            line.len() <= most_bytes,
            "a call has {} bytes, and a batch's file at most {most_bytes}: leave its answers out",
            line.len()
        );
        if lines == most_requests || file.len() + line.len() > most_bytes {
            files.push(std::mem::take(&mut file));
            lines = 0;
        }
        file.extend(line);
        lines += 1;
        let kept =
            Kept { custom_id: id, model: call.model.clone(), price, request: request.clone() };
        serde_json::to_writer(&mut requests, &kept)?;
        requests.push(b'\n');
    }
    if lines > 0 {
        files.push(file);
    }
    let written = Written {
        calls: seen.len(),
        files: (1..=files.len())
            .map(|number| directory.join(format!("batch-{number:04}.jsonl")))
            .collect(),
    };
    if written.files.is_empty() {
        return Ok(written);
    }
    ensure_free(directory, &requests)?;
    // First, so that no file that could be sent is ever without it.
    write_atomic(&directory.join(REQUESTS), &requests)?;
    for (path, file) in written.files.iter().zip(&files) {
        write_atomic(path, file)?;
    }
    Ok(written)
}

/// A directory has one batch for good: a second one in its place would orphan results that a server
/// is still working on, and mix its files with those of the first.
fn ensure_free(directory: &Path, requests: &[u8]) -> anyhow::Result<()> {
    let path = directory.join(REQUESTS);
    let free = match path.exists() {
        true => {
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))? == requests
        }
        false => !directory.join("batch-0001.jsonl").exists(),
    };
    anyhow::ensure!(
        free,
        "{} has another batch: read its results first, then name a new directory",
        directory.display()
    );
    Ok(())
}
