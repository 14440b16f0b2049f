//! JSON objects one by one, from an array or from JSONL, gzipped or not, in bounded memory. Knows no
//! format.
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;

use super::fields::Fields;
use crate::store::GZIP_MAGIC;

/// The objects of a file, in order.
pub(super) struct Rows {
    path: PathBuf,
    input: Box<dyn BufRead>,
    object: Vec<u8>,
    /// Objects begun so far; the current one's number, from 1.
    pub(super) number: usize,
    /// The line on which the reader stands, from 1.
    line: usize,
    in_array: bool,
    /// Bytes read so far, and in all where that is known: not of a packed file.
    pub(super) bytes: u64,
    pub(super) size: u64,
}

/// Where the reader stands inside an object.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Whether Python's bare `NaN` may stand outside a text.
    not_a_number: bool,
}

impl Scan {
    /// Looks at `bytes`, and returns how many belong to the object once it is whole.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                b'N' => self.not_a_number = true,
                _ => {}
            }
        }
        None
    }
}

impl Rows {
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let mut file = BufReader::with_capacity(1 << 18, File::open(path).with_context(cannot)?);
        let packed = file.fill_buf().with_context(cannot)?.starts_with(&GZIP_MAGIC);
        let size = file.get_ref().metadata().map_or(0, |metadata| metadata.len());
        Ok(match packed {
            true => Self::new(
                path,
                Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))),
            ),
            false => Self { size, ..Self::new(path, Box::new(file)) },
        })
    }

    fn new(path: &Path, input: Box<dyn BufRead>) -> Self {
        let (object, path) = (Vec::new(), path.to_owned());
        Self { path, input, object, number: 0, line: 1, in_array: false, bytes: 0, size: 0 }
    }

    /// The next object; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file is not JSON, or ends within an object or its array: the message has the row.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Fields>> {
        if !self.seek()? {
            return Ok(None);
        }
        self.number += 1;
        let not_a_number = self.take_object()?;
        if not_a_number {
            null_for_not_a_number(&mut self.object);
        }
        let fields = serde_json::from_slice(&self.object).with_context(|| self.place("bad JSON"));
        self.line += self.object.iter().filter(|&&byte| byte == b'\n').count();
        fields.map(Some)
    }

    /// Names the current row in front of what is wrong with it.
    pub(super) fn place(&self, what: &str) -> String {
        format!("{}: row {} (line {}): {what}", self.path.display(), self.number, self.line)
    }

    /// Goes to the next `{`, past the array's brackets and commas.
    fn seek(&mut self) -> anyhow::Result<bool> {
        loop {
            let Some(byte) = self.peek()? else {
                anyhow::ensure!(
                    !self.in_array,
                    "{} ends after row {} without the ] of its array: it was cut; bring it again from its source",
                    self.path.display(),
                    self.number
                );
                return Ok(false);
            };
            match byte {
                b'{' => return Ok(true),
                b'[' if self.number == 0 && !self.in_array => self.in_array = true,
                b']' if self.in_array => self.in_array = false,
                b',' if self.in_array => {}
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                // A byte order mark, as some editors write it.
                0xef | 0xbb | 0xbf if self.number == 0 => {}
                _ => {
                    let found = char::from(byte).escape_default();
                    anyhow::bail!(
                        "{}:{}: found {found} where an object should begin: expected a JSON array of objects, or one object a line",
                        self.path.display(),
                        self.line
                    )
                }
            }
            self.consume(1);
        }
    }

    /// Collects one object into `self.object`; returns whether it may hold a bare `NaN`.
    fn take_object(&mut self) -> anyhow::Result<bool> {
        self.object.clear();
        let mut scan = Scan::default();
        loop {
            let bytes = self.input.fill_buf();
            let bytes = bytes.with_context(|| format!("cannot read {}", self.path.display()))?;
            if bytes.is_empty() {
                let what =
                    "the file ends within this row: it was cut; bring it again from its source";
                anyhow::bail!(self.place(what));
            }
            let end = scan.advance(bytes);
            let taken = end.unwrap_or(bytes.len());
            self.object.extend_from_slice(&bytes[..taken]);
            self.consume(taken);
            if end.is_some() {
                return Ok(scan.not_a_number);
            }
        }
    }

    fn peek(&mut self) -> anyhow::Result<Option<u8>> {
        let bytes = self.input.fill_buf();
        let bytes = bytes.with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(bytes.first().copied())
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.bytes += count as u64;
    }
}

/// Python writes a missing number as `NaN`, which JSON does not have.
fn null_for_not_a_number(object: &mut Vec<u8>) {
    let (mut written, mut at, mut in_text) = (Vec::with_capacity(object.len() + 8), 0, false);
    while at < object.len() {
        let rest = &object[at..];
        let taken = match rest[0] {
            b'\\' if in_text => 2,
            _ if !in_text && rest.starts_with(b"NaN") => 3,
            _ => 1,
        };
        in_text ^= rest[0] == b'"';
        match taken {
            3 => written.extend_from_slice(b"null"),
            _ => written.extend_from_slice(&rest[..taken.min(rest.len())]),
        }
        at += taken;
    }
    *object = written;
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn rows(text: &str, buffer: usize) -> anyhow::Result<Vec<Fields>> {
        let input = BufReader::with_capacity(buffer, Cursor::new(text.to_owned().into_bytes()));
        let mut rows = Rows::new(Path::new("f.json"), Box::new(input));
        let mut found = Vec::new();
        while let Some(fields) = rows.next()? {
            found.push(fields);
        }
        Ok(found)
    }

    #[test]
    fn arrays_and_lines_give_the_same_rows_whatever_the_buffer() {
        let objects = [r#"{"a":"x{\"]}","b":[{"c":1}]}"#, r#"{"a":null,"b":NaN}"#, "{}"];
        let array = format!("\u{feff} [\n {} ,\n{},{}\n]\n", objects[0], objects[1], objects[2]);
        let lines = format!("{}\n\n{}\r\n{}", objects[0], objects[1], objects[2]);
        for text in [array, lines] {
            for buffer in [1, 2, 3, 7, 1000] {
                let found = rows(&text, buffer).unwrap();
                assert_eq!(found.len(), 3, "{text}");
                assert_eq!(found[0].as_slice()[0].1.get(), r#""x{\"]}""#);
                assert_eq!(found[0].as_slice()[1].1.get(), r#"[{"c":1}]"#);
                assert_eq!(found[1].as_slice()[1].1.get(), "null");
            }
        }
        assert_eq!(rows("", 8).unwrap().len(), 0);
        assert_eq!(rows("[]", 8).unwrap().len(), 0);
    }

    #[test]
    fn not_a_number_is_null_only_outside_texts() {
        let found = rows(r#"{"NaN":"NaN \" NaN","x":[NaN,1]}"#, 64).unwrap();
        assert_eq!(found[0].as_slice()[0].0, "NaN");
        assert_eq!(found[0].as_slice()[0].1.get(), r#""NaN \" NaN""#);
        assert_eq!(found[0].as_slice()[1].1.get(), "[null,1]");
    }

    #[test]
    fn mistakes_name_file_and_row() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", rows(text, 64).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("[{\"a\":1},\n{\"a\":", "f.json: row 2 (line 2): the file ends within this row");
        check("[{\"a\":1},", "f.json ends after row 1 without the ]");
        check("[{\"a\":1},\n\n{\"a\":1 1}]", "f.json: row 2 (line 3): bad JSON");
        check("{\"a\":1}\n7", "f.json:2: found 7 where an object should begin");
        check("hello", "expected a JSON array of objects");
    }

    #[test]
    fn a_gzipped_file_reads_like_a_plain_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.json");
        let mut packer =
            flate2::write::GzEncoder::new(File::create(&path).unwrap(), Default::default());
        packer.write_all(b"[{\"a\":1},{\"a\":2}]").unwrap();
        packer.finish().unwrap();
        let mut rows = Rows::open(&path).unwrap();
        assert!(rows.next().unwrap().is_some() && rows.next().unwrap().is_some());
        assert!(rows.next().unwrap().is_none());
    }
}
