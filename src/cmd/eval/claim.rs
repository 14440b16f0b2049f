//! A directory of judgments belongs to one judge and one set of answers: others would not compare.
use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use spyhop::{
    generate::Entrant,
    judge::{Orders, configured::Judge},
    store::write_atomic,
};

/// What a directory was made with (`eval.json`).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    judge: String,
    model: String,
    /// Of prompt, sampling and parser.
    judge_hash: String,
    server: String,
    orders: String,
    random_seed: u64,
    /// By name, what identifies a contestant's answers. More may join.
    contestants: BTreeMap<String, String>,
}

/// Takes a directory, or finds that it was taken for the same.
///
/// # Errors
/// When it was taken for something else: what differs.
pub(super) fn claim(
    out: &Path,
    judge: &Judge,
    server: &str,
    orders: Orders,
    random_seed: u64,
    entrants: &[Entrant],
) -> anyhow::Result<()> {
    let mut made = Made {
        judge: judge.name.clone(),
        model: judge.model.clone(),
        judge_hash: judge.hash(),
        server: server.to_owned(),
        orders: format!("{orders:?}").to_lowercase(),
        random_seed,
        contestants: BTreeMap::new(),
    };
    for entrant in entrants {
        let before =
            made.contestants.insert(entrant.name().to_owned(), entrant.identity().to_owned());
        anyhow::ensure!(
            before.is_none(),
            "two contestants are called {:?}: rename one (generator in its file, or name in its .toml)",
            entrant.name()
        );
    }
    let path = out.join("eval.json");
    if path.exists() {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let before: Made = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a judging's record", path.display()))?;
        if let Some(differs) = difference(&before, &made) {
            anyhow::bail!("{} {differs}: choose another --out", out.display());
        }
        for (name, identity) in before.contestants {
            made.contestants.entry(name).or_insert(identity);
        }
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let text = serde_json::to_string_pretty(&made)? + "\n";
    write_atomic(&std::path::absolute(&path)?, text.as_bytes())
}

fn difference(before: &Made, now: &Made) -> Option<String> {
    let pairs = [
        ("judge", &before.judge, &now.judge),
        ("model of the judge", &before.model, &now.model),
        ("server", &before.server, &now.server),
        ("orders", &before.orders, &now.orders),
    ];
    if let Some((what, before, now)) = pairs.iter().find(|(_, before, now)| before != now) {
        return Some(format!("was made with {what} {before:?}, and now it is {now:?}"));
    }
    if before.judge_hash != now.judge_hash {
        return Some("was made with another prompt, sampling or parser of this judge".to_owned());
    }
    if before.random_seed != now.random_seed {
        return Some(format!("was made with --random-seed {}", before.random_seed));
    }
    let changed = now.contestants.iter().find(|(name, identity)| {
        before.contestants.get(*name).is_some_and(|before| before != *identity)
    });
    changed.map(|(name, _)| format!("holds judgments of other answers of {name:?}"))
}
