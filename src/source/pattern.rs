//! Names of files below a directory or in an archive, by pattern: `*` and `?` stay inside one
//! directory, `**` crosses any number of them.
use std::{fmt, path::Path};

use anyhow::Context;
use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

/// What follows `#` in a place: one name, or a pattern for several.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    /// None when the text is a plain name.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    /// # Errors
    /// When the pattern is malformed or could reach outside its directory.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!text.is_empty(), "the part after # is empty: name a file or a pattern");
        anyhow::ensure!(
            !text.starts_with('/'),
            "the part after # must not begin with /: it is relative to what stands before #"
        );
        anyhow::ensure!(
            !text.split('/').any(|part| part == ".."),
            "the part after # must not have `..`"
        );
        let glob = if text.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            let glob = glob.map_err(|error| anyhow::anyhow!("not a pattern: {error}"))?;
            Some(glob.compile_matcher())
        } else {
            None
        };
        Ok(Self { text: text.to_owned(), glob })
    }

    /// The one name that is meant, if the pattern is none.
    pub(super) fn literal(&self) -> Option<&str> {
        self.glob.is_none().then_some(self.text.as_str())
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().map_or(self.text == name, |glob| glob.is_match(name))
    }

    /// Those of `names` that match, sorted.
    ///
    /// # Errors
    /// When none does: the message shows some of what there is.
    pub(super) fn select(&self, mut names: Vec<String>, of: &str) -> anyhow::Result<Vec<String>> {
        const SHOWN: usize = 5;
        names.sort_unstable();
        let chosen: Vec<String> = names.iter().filter(|name| self.matches(name)).cloned().collect();
        if chosen.is_empty() {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            let some = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            anyhow::bail!(
                "no file of {of} matches {self}; of its {} files, the first are: {some}{more}",
                names.len()
            );
        }
        Ok(chosen)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Whether a walk goes where symbolic links point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    /// For trees that strangers packed: a link could point at any file of this machine.
    Skip,
}

/// Names of all files below `root`, with `/` between their parts; hidden ones are left out.
///
/// # Errors
/// When a directory cannot be read, links run in a circle, or a name is not UTF-8.
pub(super) fn walk(root: &Path, links: Links) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let entries = WalkDir::new(root).follow_links(links == Links::Follow);
    for entry in entries.into_iter().filter_entry(|entry| !hidden(entry)) {
        let entry = entry.with_context(|| format!("cannot list {}", root.display()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let relative = entry.path().strip_prefix(root)?;
        let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
        let parts = parts.with_context(|| {
            format!("the name of {} is not UTF-8: rename the file", entry.path().display())
        })?;
        names.push(parts.join("/"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn stars_know_directories() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let found = Pattern::parse(pattern).unwrap().matches(name);
            assert_eq!(found, expected, "{pattern} {name}");
        };
        check("*.html", "a.html", true);
        check("*.html", "b/a.html", false);
        check("**/*.html", "a.html", true);
        check("**/*.html", "b/c/a.html", true);
        check("**/*.html", "b/c/a.htm", false);
        check("b/**", "b/c/a.html", true);
        check("b/**/a.html", "b/a.html", true);
        check("b/?.html", "b/a.html", true);
        check("b?a.html", "b/a.html", false);
        check("{a,b}.[ch]", "b.h", true);
        check("a.html", "a.html", true);
        check("a.html", "aXhtml", false);
    }

    #[test]
    fn a_walk_lists_files_and_not_what_is_hidden() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("b/.git")).unwrap();
        for name in ["z.txt", "b/a.txt", "b/.git/config", ".hidden"] {
            fs::write(root.join(name), name).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("z.txt", root.join("link.txt")).unwrap();
        let list = |links| {
            let mut names = walk(root, links).unwrap();
            names.sort();
            names.join(" ")
        };
        assert_eq!(list(Links::Skip), "b/a.txt z.txt");
        #[cfg(unix)]
        assert_eq!(list(Links::Follow), "b/a.txt link.txt z.txt");
        let pattern = Pattern::parse("*.html").unwrap();
        let error = pattern.select(walk(root, Links::Skip).unwrap(), "the tree").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no file of the tree matches *.html; of its 2 files, the first are: b/a.txt, z.txt"
        );
    }
}
