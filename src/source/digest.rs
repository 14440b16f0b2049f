//! SHA-256 of files and of sets of files.
use std::{fmt::Write, fs::File, io::Read, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::watch::{Event, Unit, Watch};

/// One file of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Relative to the source's root, with `/` between its parts.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Reads the `sha256` of a recipe.
pub(super) fn parse(text: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "sha256 = {text:?}: must be 64 hexadecimal digits, as `sha256sum FILE` prints them"
    );
    Ok(text.to_ascii_lowercase())
}

/// Size and SHA-256 of each named file below `root`.
pub(super) fn pieces(root: &Path, names: &[String], watch: Watch) -> anyhow::Result<Vec<Piece>> {
    let mut total = 0;
    for name in names {
        let path = root.join(name);
        total += path.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
    }
    watch(Event::Begin { what: "checking".into(), total, unit: Unit::Bytes });
    let found = names
        .iter()
        .map(|name| {
            let (sha256, bytes) = file(&root.join(name), watch)?;
            Ok(Piece { name: name.clone(), bytes, sha256 })
        })
        .collect();
    watch(Event::End);
    found
}

/// SHA-256 and size of one file; advances the watcher by every byte read.
pub(super) fn file(path: &Path, watch: Watch) -> anyhow::Result<(String, u64)> {
    let read = || {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok((hexadecimal(&hasher.finalize()), bytes));
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
            watch(Event::Advance(read as u64));
        }
    };
    read()
        .map_err(|error: std::io::Error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
}

/// SHA-256 of what `sha256sum` prints for the files sorted by name, and the sum of their sizes.
pub(super) fn list(pieces: &[Piece]) -> (String, u64) {
    let mut sorted: Vec<&Piece> = pieces.iter().collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = Sha256::new();
    for piece in &sorted {
        hasher.update(format!("{}  {}\n", piece.sha256, piece.name));
    }
    (hexadecimal(&hasher.finalize()), sorted.iter().map(|piece| piece.bytes).sum())
}

/// # Errors
/// When the recipe gives a SHA-256 and it is not the one found.
pub(super) fn verify(what: &str, expected: Option<&str>, found: &str) -> anyhow::Result<()> {
    match expected {
        Some(expected) if expected != found => anyhow::bail!(
            "{what} is not the one that the recipe means: SHA-256 expected {expected}, found {found}; if it was changed on purpose, write the found one into the recipe, else name another place in `from`"
        ),
        _ => Ok(()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::watch::nobody;

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        fs::write(directory.path().join("b.txt"), "abc").unwrap();
        fs::write(directory.path().join("sub/a.txt"), "").unwrap();
        let names = ["sub/a.txt".to_owned(), "b.txt".to_owned()];
        let pieces = pieces(directory.path(), &names, &nobody).unwrap();
        assert_eq!(
            pieces[1].sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // sha256sum b.txt sub/a.txt | sha256sum
        assert_eq!(
            list(&pieces),
            ("12e7535c477a7abd928e221c8e418baa2c45432a3e6e06affcbcba82942ba0d1".into(), 3)
        );
    }

    #[test]
    fn a_hash_in_a_recipe_is_checked_before_use() {
        assert_eq!(parse(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
            assert!(parse(text).unwrap_err().to_string().contains("64 hexadecimal digits"));
        }
    }
}
