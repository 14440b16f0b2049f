//! Evaluation sets as data: a TOML file says which prompts a set has, where they come from, and how
//! many there are in each slice.
//!
//! Asks no model and knows no judge. Prompts that others wrote are fetched, never contained here; a
//! set is only handed out when its counts are those that its file promises.
mod file;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sha2::{Digest, Sha256};

pub use rows::prompts;

use crate::{recipe::Source, record::Prompt, source, watch::Watch};
use file::{Columns, Content, SetFile};

/// The sets that come with the program, by name.
const BUILT_IN: [(&str, &str); 12] = [
    ("first-look", include_str!("../../eval_sets/first-look/set.toml")),
    ("alpaca-eval", include_str!("../../eval_sets/alpaca-eval/set.toml")),
    ("vicuna", include_str!("../../eval_sets/vicuna/set.toml")),
    ("self-instruct", include_str!("../../eval_sets/self-instruct/set.toml")),
    ("koala", include_str!("../../eval_sets/koala/set.toml")),
    ("koala-180", include_str!("../../eval_sets/koala-180/set.toml")),
    ("open-assistant", include_str!("../../eval_sets/open-assistant/set.toml")),
    ("hh", include_str!("../../eval_sets/hh/set.toml")),
    ("lima-test", include_str!("../../eval_sets/lima-test/set.toml")),
    ("humpback", include_str!("../../eval_sets/humpback/set.toml")),
    ("mt-bench", include_str!("../../eval_sets/mt-bench/set.toml")),
    ("arena-hard", include_str!("../../eval_sets/arena-hard/set.toml")),
];

/// The prompts of those of them that were written for this project, by the set's name.
const PROMPTS: [(&str, &str); 1] =
    [("first-look", include_str!("../../eval_sets/first-look/prompts.jsonl"))];

/// Prompts, and what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalSet {
    /// From the set's file; of a plain file of prompts, the file's name without its ending.
    pub name: String,
    /// Empty for a plain file of prompts.
    pub description: String,
    /// Empty for a plain file of prompts.
    pub licence: String,
    /// How many prompts each slice has.
    pub slices: BTreeMap<String, usize>,
    /// In the order of their file; those of a union, set after set.
    pub prompts: Vec<Prompt>,
    /// SHA-256 of the prompts as JSONL: of `prompts.jsonl` in the directory of a run with this set.
    pub sha256: String,
}

/// What a list of sets says of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub name: String,
    pub description: String,
    pub licence: String,
    /// Prompts.
    pub count: usize,
}

impl EvalSet {
    /// Loads a built-in set by its name, any set by the path of its `.toml` file, or a plain file of
    /// prompts, as [`prompts`] reads it, by its path.
    ///
    /// Only a set whose prompts others publish needs `cache` and, the first time, a network.
    ///
    /// # Errors
    /// When there is no such set, its file has an unknown key or a value that is not allowed, its
    /// prompts cannot be fetched or read, or their counts are not those that its file gives.
    pub fn load(name_or_path: &str, cache: &Path, watch: Watch) -> anyhow::Result<Self> {
        let path = Path::new(name_or_path);
        if built_in_text(name_or_path).is_some() || is_toml(path) {
            let set = Described::find(name_or_path, Path::new(""))?;
            let prompts = set.prompts(cache, watch)?;
            let SetFile { name, description, licence, .. } = set.file;
            return Self::new(name, description, licence, prompts);
        }
        anyhow::ensure!(path.exists(), no_such_set(name_or_path));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::new(name, String::new(), String::new(), prompts(path)?)
    }

    /// So many of its prompts, in their order. They are chosen by their ids, so they are the same in every
    /// run, and those of a smaller limit are among those of a larger one.
    ///
    /// # Errors
    /// None that a set which was loaded could have.
    pub fn at_most(self, limit: usize) -> anyhow::Result<Self> {
        let of = |prompt: &Prompt| *blake3::hash(prompt.id.as_bytes()).as_bytes();
        let mut hashes: Vec<_> = self.prompts.iter().map(of).collect();
        hashes.sort_unstable();
        let Some(first_left_out) = hashes.get(limit) else { return Ok(self) };
        let mut prompts = self.prompts;
        prompts.retain(|prompt| of(prompt) < *first_left_out);
        Self::new(self.name, self.description, self.licence, prompts)
    }

    fn new(
        name: String,
        description: String,
        licence: String,
        prompts: Vec<Prompt>,
    ) -> anyhow::Result<Self> {
        let (slices, sha256) = (count_slices(&prompts), sha256(&prompts)?);
        Ok(Self { name, description, licence, slices, prompts, sha256 })
    }
}

/// The sets that come with the program, in the order of a list. Fetches nothing.
///
/// # Errors
/// Never, as long as the tests of this module pass: they read the same files.
pub fn built_in() -> anyhow::Result<Vec<Summary>> {
    BUILT_IN
        .iter()
        .map(|(name, _)| {
            let SetFile { name, description, licence, count, .. } =
                Described::find(name, Path::new(""))?.file;
            Ok(Summary { name, description, licence, count })
        })
        .collect()
}

/// What has to be fetched before a built-in set can be read without a network; none for a set whose
/// prompts come with the program.
///
/// # Errors
/// When there is no built-in set of this name.
pub fn sources(name: &str) -> anyhow::Result<Vec<Source>> {
    anyhow::ensure!(built_in_text(name).is_some(), no_such_set(name));
    let set = Described::find(name, Path::new(""))?;
    Ok(match set.file.content {
        Content::Source { source, .. } => vec![source],
        Content::Prompts { .. } => Vec::new(),
        Content::Union(names) => {
            let sources: Vec<_> =
                names.iter().map(|name| sources(name)).collect::<anyhow::Result<_>>()?;
            sources.concat()
        }
    })
}

/// A set's file, and where it stands.
struct Described {
    file: SetFile,
    /// Names the set in messages.
    place: String,
    /// Where relative paths start; `None` for a built-in set.
    directory: Option<PathBuf>,
}

impl Described {
    /// A built-in set by its name, or one by the path of its file, which may be relative.
    fn find(name_or_path: &str, directory: &Path) -> anyhow::Result<Self> {
        if let Some(text) = built_in_text(name_or_path) {
            let place = format!("the built-in eval set {name_or_path}");
            let file = SetFile::parse(text).with_context(|| place.clone())?;
            return Ok(Self { file, place, directory: None });
        }
        let path = directory.join(name_or_path);
        anyhow::ensure!(is_toml(&path), no_such_set(name_or_path));
        let place = path.display().to_string();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read the eval set {place}"))?;
        let file = SetFile::parse(&text).with_context(|| place.clone())?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { file, place, directory: Some(directory) })
    }

    fn prompts(&self, cache: &Path, watch: Watch) -> anyhow::Result<Vec<Prompt>> {
        let prompts = match &self.file.content {
            Content::Source { source, columns, only } => {
                self.published(source, columns, only, cache, watch)
            }
            Content::Prompts { path, sha256 } => self.beside(path, sha256, cache, watch),
            Content::Union(names) => self.union(names, cache, watch),
        };
        let prompts = prompts.with_context(|| self.place.clone())?;
        self.file.check_counts(&count_slices(&prompts)).with_context(|| self.place.clone())?;
        Ok(prompts)
    }

    /// The prompts of a file that others publish.
    fn published(
        &self,
        source: &Source,
        columns: &Columns,
        only: &BTreeMap<String, serde_json::Value>,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Vec<Prompt>> {
        let path = one_file(source, self.start(), cache, watch)?;
        rows::by_columns(&path, columns, only, &self.file.name)
    }

    /// The prompts of a file that lies beside the set's, or was built in with it.
    fn beside(
        &self,
        path: &str,
        sha256: &str,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Vec<Prompt>> {
        if self.directory.is_none()
            && let Some((name, text)) = PROMPTS.iter().find(|(name, _)| *name == self.file.name)
        {
            return rows::prompts_of(text, &format!("{name}/{path}"));
        }
        let from = vec![format!("file:{path}")];
        let source = Source { from, sha256: Some(sha256.to_owned()) };
        prompts(&one_file(&source, self.start(), cache, watch)?)
    }

    /// The prompts of every set, those with the same instruction once, as the first set has them.
    fn union(&self, names: &[String], cache: &Path, watch: Watch) -> anyhow::Result<Vec<Prompt>> {
        let (mut all, mut instructions, mut ids) = (Vec::new(), HashSet::new(), HashSet::new());
        for name in names {
            let set = Self::find(name, self.start())?;
            // One level is enough for every use so far, and cannot run in a circle.
            anyhow::ensure!(
                !matches!(set.file.content, Content::Union(_)),
                "union has {name:?}, which is a union itself: name its sets instead"
            );
            for prompt in set.prompts(cache, watch)? {
                if !instructions.insert(prompt.instruction.trim().to_owned()) {
                    continue;
                }
                anyhow::ensure!(
                    ids.insert(prompt.id.clone()),
                    "{name} has a prompt {:?}, and so has a set before it, with another instruction",
                    prompt.id
                );
                all.push(prompt);
            }
        }
        Ok(all)
    }

    fn start(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new(""))
    }
}

fn built_in_text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn no_such_set(name: &str) -> String {
    let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    format!(
        "there is no eval set {name:?}: expected the path of a .toml file or of a file of prompts, or one of {}",
        names.join(", ")
    )
}

fn one_file(
    source: &Source,
    directory: &Path,
    cache: &Path,
    watch: Watch,
) -> anyhow::Result<PathBuf> {
    let mut fetched = source::fetch(source, directory, cache, watch)?;
    anyhow::ensure!(
        fetched.files.len() == 1,
        "{} is {} files: expected one",
        fetched.from,
        fetched.files.len()
    );
    Ok(fetched.files.remove(0))
}

fn count_slices(prompts: &[Prompt]) -> BTreeMap<String, usize> {
    let mut slices = BTreeMap::new();
    for prompt in prompts {
        *slices.entry(prompt.dataset.clone()).or_default() += 1;
    }
    slices
}

fn sha256(prompts: &[Prompt]) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    for prompt in prompts {
        hasher.update(serde_json::to_vec(prompt)?);
        hasher.update(b"\n");
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
