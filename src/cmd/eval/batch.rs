//! What `spyhop eval` and `spyhop replies` do with a batch's files.
use std::path::{Path, PathBuf};

use spyhop::{
    judge::Court,
    lm::api::batch::{self, Yield},
    record::Completion,
    store::Replies,
};

use crate::cmd::say;

/// Writes the questions without a reply to a directory, and says what to do with them.
pub(in crate::cmd) fn write(
    court: &Court,
    candidate: &[Completion],
    baselines: &[Vec<Completion>],
    outs: &[PathBuf],
    directory: &Path,
) -> anyhow::Result<()> {
    let written = court.write_batch(candidate, baselines, outs, directory)?;
    if written.files.is_empty() {
        say("every question has a reply: run the same command without --batch");
        return Ok(());
    }
    say(&format!("{} questions are in", written.calls));
    for file in &written.files {
        say(&format!("  {}", file.display()));
    }
    say(&format!(
        "let the server answer each file as a batch of /v1/chat/completions, put what comes back into {}, and run:\n  spyhop replies --read-batch {}\n(with the same --store, if you named one); then the same `spyhop eval` without --batch",
        directory.display(),
        directory.join("OUTPUT...").display()
    ));
    Ok(())
}

/// Puts a server's files into the store, and says what was in them.
pub(in crate::cmd) fn read(
    results: &[PathBuf],
    requests: Option<&Path>,
    replies: &Replies,
) -> anyhow::Result<()> {
    let Yield { added, known, unknown, failed, cut, open } =
        batch::read(results, requests, replies)?;
    say(&format!("read {added} new replies; {known} were there already"));
    for (kind, trouble) in failed {
        say(&format!("note: {} lines have no reply: {kind}: {}", trouble.lines, trouble.example));
    }
    if unknown > 0 {
        say(&format!("note: {unknown} lines answer no request of this batch, and are left out"));
    }
    for path in cut {
        say(&format!("note: the last line of {} is cut: download it again", path.display()));
    }
    if open > 0 {
        say(&format!(
            "{open} requests of the batch have no reply yet: read its other files, or have `spyhop eval` ask them"
        ));
    }
    Ok(())
}
