//! Calls as files: OpenAI's batches, answered within a day at half the price. vLLM reads them too.
//!
//! [`write`] makes the files that a server takes, and beside them `requests.jsonl`, which says what
//! each call is in the store of replies. [`read`] puts the files that come back into the store.
//! Between the two, a person carries files: nothing here asks a server.
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{collections::HashMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{recipe::Price, store::Replies};

pub use read::{Trouble, Yield, read};
pub use write::{SHARE, Written, write};

/// The file beside a batch's files.
const REQUESTS: &str = "requests.jsonl";

/// A line of it: what a reply is to be kept under, and what it costs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    custom_id: String,
    model: String,
    /// In a batch: with [`SHARE`].
    price: Option<Price>,
    request: Value,
}

/// The lines of it, by their `custom_id`.
type Requests = HashMap<String, Kept>;

fn requests_of(path: &Path) -> anyhow::Result<Requests> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read {}: put the server's file beside the {REQUESTS} of its batch, or name that with --requests",
            path.display()
        )
    })?;
    let mut requests = Requests::new();
    for (line, text) in text.lines().enumerate() {
        let place = || format!("{} line {}", path.display(), line + 1);
        let kept: Kept = serde_json::from_str(text)
            .with_context(|| format!("{} is no request of a batch", place()))?;
        anyhow::ensure!(
            custom_id(&kept.request) == kept.custom_id,
            "{} was changed since it was written: its request is not the one that was sent",
            place()
        );
        requests.insert(kept.custom_id.clone(), kept);
    }
    Ok(requests)
}

/// The key of a request in the store of replies, as 64 hexadecimal digits: as many characters as a
/// server allows.
fn custom_id(request: &Value) -> String {
    Replies::key(request).to_string()
}
