//! Files that may be gzipped.
use std::{fs, io::Read, path::Path};

use anyhow::Context;

/// The first two bytes of every gzip member (RFC 1952, 2.3.1).
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a whole file, unpacked if its first bytes say that it is gzipped, whatever its name.
///
/// # Errors
/// When the file cannot be read, or its gzip data are damaged: the message has the path.
pub fn read_unpacked(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !bytes.starts_with(&MAGIC) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    // Several members in a row are one file: parallel compressors write such.
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).with_context(
        || format!("{} is not a whole gzip file; bring it again from its source", path.display()),
    )?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_and_plain_files_read_alike() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let check = |bytes: &[u8], expected: &str| {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_unpacked(&path).unwrap(), expected.as_bytes());
        };
        check(b"plain", "plain");
        check(b"", "");
        check(&packed("one member"), "one member");
        check(&[packed("two "), packed("members")].concat(), "two members");
    }

    #[test]
    fn a_cut_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cut.gz");
        let whole = packed("some text that is long enough to be cut in the middle");
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let error = format!("{:#}", read_unpacked(&path).unwrap_err());
        assert!(error.contains("cut.gz is not a whole gzip file"), "{error}");
    }
}
