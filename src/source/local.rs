//! `file:` places: files that are on this machine already, used where they lie.
use std::path::Path;

use anyhow::Context;

use super::{
    Fetched, digest,
    pattern::{Links, Pattern, walk},
};
use crate::watch::Watch;

/// The file, the files of the directory, or those of them that match.
///
/// # Errors
/// When nothing is there, or its hash is not the recipe's.
pub(super) fn find(
    place: &str,
    path: &Path,
    pattern: Option<&Pattern>,
    sha256: Option<&str>,
    watch: Watch,
) -> anyhow::Result<Fetched> {
    let metadata = path
        .metadata()
        .with_context(|| format!("cannot read {} (paths start at the recipe)", path.display()))?;
    let one = |root: &Path, name: &str| -> anyhow::Result<Fetched> {
        let path = root.join(name);
        anyhow::ensure!(path.is_file(), "there is no file {}", path.display());
        let mut pieces = digest::pieces(root, &[name.to_owned()], watch)?;
        let piece = pieces.pop().context("one name gives one piece")?;
        digest::verify(&path.display().to_string(), sha256, &piece.sha256)?;
        Ok(Fetched {
            from: place.to_owned(),
            files: vec![path],
            root: root.to_owned(),
            sha256: piece.sha256,
            bytes: piece.bytes,
        })
    };
    if metadata.is_file() {
        anyhow::ensure!(
            pattern.is_none(),
            "{} is a file: what follows # selects files of a directory",
            path.display()
        );
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
        return one(path.parent().unwrap_or(Path::new("")), name);
    }
    if let Some(name) = pattern.and_then(Pattern::literal) {
        return one(path, name);
    }
    let what = path.display().to_string();
    let mut names = walk(path, Links::Follow)?;
    names.sort_unstable();
    if let Some(pattern) = pattern {
        names = pattern.select(names, &what)?;
    }
    anyhow::ensure!(!names.is_empty(), "the directory {what} has no files");
    let pieces = digest::pieces(path, &names, watch)?;
    let (hash, bytes) = digest::list(&pieces);
    digest::verify(&format!("the set of files in {what}"), sha256, &hash)?;
    Ok(Fetched {
        from: place.to_owned(),
        files: names.iter().map(|name| path.join(name)).collect(),
        root: path.to_owned(),
        sha256: hash,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::watch::nobody;

    #[test]
    fn a_file_a_directory_or_a_choice() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("pages/sub")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        for name in ["pages/b.html", "pages/a.txt", "pages/sub/a.html"] {
            fs::write(root.join(name), "abc").unwrap();
        }
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let check = |path: &str, pattern: &str, expected: &str| {
            let pattern = (!pattern.is_empty()).then(|| Pattern::parse(pattern).unwrap());
            let path = root.join(path);
            let found = find("file:x", &path, pattern.as_ref(), None, &nobody).unwrap();
            let names = found
                .files
                .iter()
                .map(|file| file.strip_prefix(&found.root).unwrap().to_str().unwrap().to_owned());
            assert_eq!(names.collect::<Vec<_>>().join(" "), expected);
            assert_eq!(found.bytes, 3 * found.files.len() as u64);
            found.sha256
        };
        assert_eq!(check("pages/a.txt", "", "a.txt"), abc);
        assert_eq!(check("pages", "sub/a.html", "sub/a.html"), abc);
        let list = check("pages", "**/*.html", "b.html sub/a.html");
        assert_ne!(check("pages", "", "a.txt b.html sub/a.html"), list);

        let fails = |path: &str, pattern: &str, sha256: Option<&str>, expected: &str| {
            let pattern = (!pattern.is_empty()).then(|| Pattern::parse(pattern).unwrap());
            let error = find("file:x", &root.join(path), pattern.as_ref(), sha256, &nobody);
            let error = format!("{:#}", error.unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        fails("missing", "", None, "missing (paths start at the recipe): No such file");
        fails("empty", "", None, "has no files");
        fails("pages", "*.pdf", None, "matches *.pdf");
        fails("pages", "c.html", None, "there is no file");
        fails("pages/a.txt", "*", None, "is a file");
        fails("pages/a.txt", "", Some(&list), "a.txt is not the one");
        fails("pages", "**/*.html", Some(abc), &format!("found {list}"));
        assert!(find("file:x", &root.join("pages/a.txt"), None, Some(abc), &nobody).is_ok());
    }
}
