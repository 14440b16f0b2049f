//! A folder with files of the net, however it is arranged: each is known by its SHA-256.
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    Fetched,
    cache::{Brought, Entry, Expected, Whole},
    digest,
    pattern::{Links, walk},
    place::{Kind, Place},
};
use crate::{
    recipe,
    watch::{Watch, nobody},
};

/// A folder to look in before the network.
#[derive(Debug)]
pub struct Mirror {
    root: PathBuf,
    names: Vec<String>,
    /// SHA-256 of the files that were looked at, by name.
    hashes: HashMap<String, String>,
}

impl Mirror {
    /// # Errors
    /// When the folder cannot be listed.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let names = walk(root, Links::Follow)?;
        Ok(Self { root: root.to_owned(), names, hashes: HashMap::new() })
    }

    /// Copies a source's file from the folder into the cache, as if one of its places had sent it.
    /// `None` where the folder has no such file, or the source says no SHA-256 to know it by.
    ///
    /// # Errors
    /// When a file cannot be read, or the cache cannot be written.
    pub fn bring(
        &mut self,
        source: &recipe::Source,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Option<Fetched>> {
        let Some(sha256) = source.sha256.as_deref().map(digest::parse).transpose()? else {
            return Ok(None);
        };
        for text in &source.from {
            let place = Place::parse(text)?;
            let name = match &place.kind {
                Kind::Https { name, .. } => name.clone(),
                Kind::Hub(wanted) => match &wanted.file {
                    Some(file) => file.rsplit('/').next().unwrap_or(file).to_owned(),
                    None => continue,
                },
                // Where these come from is on the machine, or a registry that has its own mirrors.
                Kind::File { .. } | Kind::Pypi { .. } | Kind::Apt { .. } => continue,
            };
            let Some(path) = self.find(&sha256, &name)? else { continue };
            let entry = Entry::of(cache, &place);
            let _lock = entry.lock(watch)?;
            let target = entry.empty_files()?.join(&name);
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
            let brought = Brought {
                from: place.text.clone(),
                root: None,
                files: vec![Expected { name, sha256: None }],
                whole: Whole::File,
            };
            return entry.finish(brought, Some(&sha256), watch).map(Some);
        }
        Ok(None)
    }

    /// The file with that content: first among those of the same name, then among all.
    fn find(&mut self, sha256: &str, name: &str) -> anyhow::Result<Option<PathBuf>> {
        let same_name = |path: &&String| path.rsplit('/').next() == Some(name);
        let (first, rest): (Vec<&String>, Vec<&String>) = self.names.iter().partition(same_name);
        for path in first.into_iter().chain(rest) {
            let found = match self.hashes.get(path) {
                Some(known) => known == sha256,
                None => {
                    let (hash, _) = digest::file(&self.root.join(path), &nobody)?;
                    let found = hash == sha256;
                    self.hashes.insert(path.clone(), hash);
                    found
                }
            };
            if found {
                return Ok(Some(self.root.join(path)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf abc | sha256sum
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn source(from: &str, sha256: Option<&str>) -> recipe::Source {
        recipe::Source { from: vec![from.to_owned()], sha256: sha256.map(str::to_owned) }
    }

    #[test]
    fn a_file_is_known_by_its_content_and_then_found_in_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, cache) = (directory.path().join("mirror"), directory.path().join("cache"));
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        fs::write(folder.join("rows.jsonl"), "another file of that name").unwrap();
        fs::write(folder.join("deep/er/renamed"), "abc").unwrap();
        let mut mirror = Mirror::open(&folder).unwrap();
        for from in ["https://example.org/x/rows.jsonl", "hf:datasets/a/b@main#x/rows.jsonl"] {
            let wanted = source(from, Some(ABC));
            assert!(super::super::cached(&wanted, &cache, &nobody).is_none());
            let found = mirror.bring(&wanted, &cache, &nobody).unwrap().unwrap();
            assert!(found.files[0].ends_with("files/rows.jsonl"));
            assert_eq!(fs::read_to_string(&found.files[0]).unwrap(), "abc");
            assert_eq!(super::super::cached(&wanted, &cache, &nobody), Some(found));
        }
        let unknown = source("https://example.org/rows.jsonl", Some(&"0".repeat(64)));
        assert_eq!(mirror.bring(&unknown, &cache, &nobody).unwrap(), None);
        let unnamed = source("https://example.org/rows.jsonl", None);
        assert_eq!(mirror.bring(&unnamed, &cache, &nobody).unwrap(), None);
    }
}
