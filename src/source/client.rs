//! Runs another program that downloads or unpacks, and turns its failures into one line.
use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use walkdir::WalkDir;

use crate::watch::{Event, Unit, Watch};

/// A call of a program.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The program and its first arguments.
    pub(super) command: &'a [String],
    pub(super) arguments: &'a [String],
    /// An existing directory of the caller's: the program's working and temporary directory, and
    /// where its output goes.
    pub(super) directory: &'a Path,
    /// For the watcher, such as "downloading NAME".
    pub(super) what: &'a str,
}

/// How a call ended.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Done,
    /// The program is not on this machine.
    Missing,
    /// The last words of the program.
    Failed(String),
}

impl Call<'_> {
    /// Runs the program to its end; the growth of the directory is told as bytes.
    pub(super) fn run(&self, watch: Watch) -> anyhow::Result<Outcome> {
        let (program, first) = self.command.split_first().context("a command has a program")?;
        let output = |name: &str| -> anyhow::Result<(std::path::PathBuf, File)> {
            let path = self.directory.join(name);
            let file =
                File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
            Ok((path, file))
        };
        // Files, not pipes: a program that says much cannot block on a reader that is measuring.
        let (_, stdout) = output("client.out")?;
        let (stderr_path, stderr) = output("client.err")?;
        let spawned = Command::new(program)
            .args(first)
            .args(self.arguments)
            .current_dir(self.directory)
            .env("TMPDIR", self.directory)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Missing),
            Err(error) => return Err(error).with_context(|| format!("cannot run {program}")),
        };
        watch(Event::Begin { what: self.what.to_owned(), total: 0, unit: Unit::Bytes });
        let before = size(self.directory);
        let mut told = before;
        let mut pause = Duration::from_millis(2);
        let status = loop {
            if let Some(status) =
                child.try_wait().with_context(|| format!("cannot wait for {program}"))?
            {
                break status;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
            let now = size(self.directory);
            if now > told {
                watch(Event::Advance(now - told));
                told = now;
            }
        };
        watch(Event::End);
        if status.success() {
            return Ok(Outcome::Done);
        }
        let stderr = fs::read(&stderr_path).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr);
        // 127 is what shells, and the stand-ins that version managers put in place, answer.
        if status.code() == Some(127) || stderr.contains("No module named pip") {
            return Ok(Outcome::Missing);
        }
        let words = last_words(&stderr);
        let words = if words.is_empty() { "it said nothing".into() } else { words };
        Ok(Outcome::Failed(format!("{program}: {status}: {words}")))
    }
}

/// The lines of a program's error output that say most, shortened.
pub(super) fn last_words(stderr: &str) -> String {
    const LINES: usize = 3;
    const CHARACTERS: usize = 320;
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_error =
        |line: &&&str| ["ERROR:", "E:", "Err:"].iter().any(|mark| line.starts_with(mark));
    let errors: Vec<&str> = lines.iter().filter(is_error).copied().collect();
    let mut chosen = if errors.is_empty() { lines.clone() } else { errors };
    chosen.drain(..chosen.len().saturating_sub(LINES));
    // pip's errors say that it found nothing, and only its retries why.
    let retry = lines.iter().rfind(|line| line.contains("Retrying"));
    if let Some(retry) = retry.filter(|retry| !chosen.contains(retry)) {
        chosen.insert(0, retry);
    }
    let shorten = |line: &str| match line.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    };
    chosen.iter().map(|line| shorten(line)).collect::<Vec<_>>().join(" | ")
}

/// Bytes below a directory; what vanishes while it is counted counts nothing.
fn size(directory: &Path) -> u64 {
    let entries = WalkDir::new(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::nobody;

    #[test]
    fn errors_are_picked_out_and_shortened() {
        assert_eq!(last_words(""), "");
        assert_eq!(last_words("a\nb\n\nc\nd\n"), "b | c | d");
        assert_eq!(last_words("WARNING: x\nERROR: no\n[notice] y\n"), "ERROR: no");
        let retried = "WARNING: Retrying, no such host\nERROR: none\n";
        assert_eq!(last_words(retried), "WARNING: Retrying, no such host | ERROR: none");
        assert_eq!(last_words(&"é".repeat(1_000)).chars().count(), 323);
    }

    #[cfg(unix)]
    #[test]
    fn a_call_ends_in_one_of_three_ways() {
        let directory = tempfile::tempdir().unwrap();
        let run = |words: &[&str]| {
            let command: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            let call = Call {
                command: &command,
                arguments: &[],
                directory: directory.path(),
                what: "test",
            };
            call.run(&nobody).unwrap()
        };
        assert_eq!(run(&["true"]), Outcome::Done);
        assert_eq!(run(&["spyhop-has-no-such-program"]), Outcome::Missing);
        assert_eq!(run(&["sh", "-c", "exit 127"]), Outcome::Missing);
        let Outcome::Failed(words) = run(&["sh", "-c", "echo E: no network >&2; exit 100"]) else {
            panic!("it failed");
        };
        assert_eq!(words, "sh: exit status: 100: E: no network");
    }
}
