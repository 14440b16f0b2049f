//! Append-only JSONL that survives a kill and resumes.
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::record::Row;

/// An append-only JSONL file of rows with distinct ids.
///
/// Every row goes to the operating system in one write, so a killed process loses at most the row
/// that it was writing; [`Log::sync`] makes them safe against a power cut as well.
#[derive(Debug)]
pub struct Log<T> {
    path: PathBuf,
    ids: HashSet<String>,
    file: File,
    row: PhantomData<T>,
}

impl<T: Row> Log<T> {
    /// Opens or creates the file, and drops a last line that a kill cut short.
    ///
    /// # Errors
    /// When the file cannot be opened, or a whole line is not a row: the message has file and line.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64)?;
            file.flush()?;
        }
        let mut ids = HashSet::new();
        for (number, row) in parse::<T>(path, &bytes[..whole])? {
            anyhow::ensure!(
                ids.insert(row.id().to_owned()),
                "{}:{number}: the row id {:?} occurs twice; delete one of the two lines",
                path.display(),
                row.id(),
            );
        }
        Ok(Self { path: path.to_owned(), ids, file, row: PhantomData })
    }

    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Writes one row.
    ///
    /// # Errors
    /// When the row cannot be written, such as on a full disk: rows written before stay whole.
    ///
    /// # Panics
    /// When the file already has a row of this id: stages ask [`Log::contains`] first.
    pub fn append(&mut self, row: &T) -> anyhow::Result<()> {
        assert!(
            self.ids.insert(row.id().to_owned()),
            "row {:?} is already in {}",
            row.id(),
            self.path.display()
        );
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| explain_write(&self.path, error))
    }

    /// Makes every row written so far safe against a power cut.
    pub fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().map_err(|error| explain_write(&self.path, error))
    }

    /// Ends the writing: makes every row safe, and puts the rows into the order of the inputs that they
    /// were made from, where they came in another. Gives all rows.
    ///
    /// # Errors
    /// When the file has a row of something else.
    pub fn finish<'a, I: Row + 'a>(
        self,
        inputs: impl IntoIterator<Item = &'a I>,
    ) -> anyhow::Result<Vec<T>> {
        self.sync()?;
        let places: HashMap<&str, usize> =
            inputs.into_iter().enumerate().map(|(place, input)| (input.id(), place)).collect();
        let mut rows: Vec<T> = read(&self.path)?;
        anyhow::ensure!(
            rows.iter().all(|row| places.contains_key(row.id())),
            "{} holds rows of other inputs; delete it, or choose another --out",
            self.path.display()
        );
        if !rows.is_sorted_by_key(|row| places[row.id()]) {
            rows.sort_by_key(|row| places[row.id()]);
            write(&self.path, &rows)?;
        }
        Ok(rows)
    }
}

/// Reads every row of a file that another program may have written.
///
/// # Errors
/// When the file is missing or a line is not a row: the message has file and line.
pub fn read<T: Row>(path: &Path) -> anyhow::Result<Vec<T>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse(path, &bytes)?.into_iter().map(|(_, row)| row).collect())
}

/// Reads the whole rows of a file that may not exist yet, or that a running stage may be writing.
///
/// # Errors
/// When a whole line is not a row: the message has file and line.
pub fn read_so_far<T: Row>(path: &Path) -> anyhow::Result<Vec<T>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    Ok(parse(path, &bytes[..whole])?.into_iter().map(|(_, row)| row).collect())
}

/// Replaces a whole file of rows, as [`write_atomic`] does.
pub fn write<T: Row>(path: &Path, rows: &[T]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    write_atomic(path, &lines)
}

/// Replaces a file in one step: a reader sees the old content or the new, never a part.
///
/// What a kill leaves of it has the name of the file and `.partial`, and the next write takes it up.
pub fn write_atomic(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().context("a file path has a parent")?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let write = || {
        fs::create_dir_all(directory)?;
        let mut file = File::create(&partial)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(&partial, path)
    };
    write().map_err(|error| explain_write(path, error))
}

fn explain_write(path: &Path, error: std::io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        ErrorKind::StorageFull => "; free some space and run again: finished rows are kept",
        ErrorKind::PermissionDenied => "; choose another directory with --out",
        _ => "",
    };
    anyhow::anyhow!("cannot write {}: {error}{advice}", path.display())
}

/// Rows with their line numbers. Blank lines are passed over.
fn parse<T: Row>(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<(usize, T)>> {
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = serde_json::from_slice(line).with_context(|| {
            format!(
                "{}:{}: not a valid {} row",
                path.display(),
                index + 1,
                std::any::type_name::<T>().rsplit("::").next().unwrap_or_default()
            )
        })?;
        rows.push((index + 1, row));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Prompt;

    fn prompt(id: &str) -> Prompt {
        Prompt { id: id.into(), instruction: "line one\nline two".into(), dataset: "test".into() }
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let mut log = Log::open(&path).unwrap();
        log.append(&prompt("a")).unwrap();
        log.append(&prompt("b")).unwrap();
        drop(log);
        let whole = fs::read(&path).unwrap();
        let first_line = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut log = Log::<Prompt>::open(&path).unwrap();
            assert_eq!(log.contains("a"), cut >= first_line);
            assert!(!log.contains("b"));
            for id in ["a", "b"] {
                if !log.contains(id) {
                    log.append(&prompt(id)).unwrap();
                }
            }
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at byte {cut}");
        }
    }

    #[test]
    fn a_growing_file_is_read_up_to_its_last_whole_row() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        assert_eq!(read_so_far::<Prompt>(&path).unwrap(), []);
        let line = serde_json::to_string(&prompt("a")).unwrap();
        fs::write(&path, format!("{line}\n{}", &line[..9])).unwrap();
        assert_eq!(read_so_far::<Prompt>(&path).unwrap(), [prompt("a")]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        fs::write(&path, "{\"id\":\"a\",\"instruction\":\"\",\"dataset\":\"\"}\nnot json\n")
            .unwrap();
        for error in [Log::<Prompt>::open(&path).unwrap_err(), read::<Prompt>(&path).unwrap_err()] {
            let error = format!("{error:#}");
            assert!(error.contains("rows.jsonl:2: not a valid Prompt row"), "{error}");
        }
    }

    #[test]
    fn a_row_twice_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let line = "{\"id\":\"a\",\"instruction\":\"\",\"dataset\":\"\"}\n";
        fs::write(&path, line.repeat(2)).unwrap();
        let error = Log::<Prompt>::open(&path).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:2: the row id \"a\" occurs twice"), "{error}");
    }
}
