//! The sets that come with the program.
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{super::*, fails};
use crate::{exchange, watch::nobody};

/// The folder of a built-in set.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("eval_sets").join(name)
}

#[test]
fn every_set_here_is_built_in() {
    let list = built_in().unwrap();
    let names: BTreeSet<String> = list.iter().map(|set| set.name.clone()).collect();
    let folders = fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.join("set.toml").exists());
    let folders = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names, folders.collect());
    let readme = fs::read_to_string(folder("README.md")).unwrap();
    for (set, (name, text)) in list.iter().zip(BUILT_IN) {
        assert_eq!(set.name, name);
        assert_eq!(fs::read_to_string(folder(name).join("set.toml")).unwrap(), text);
        let row = format!("| `{name}` | {} |", set.count);
        assert!(readme.contains(&row), "eval_sets/README.md has no row that begins {row}");
    }
    let count = |name: &str| sources(name).unwrap().len();
    assert_eq!([count("first-look"), count("koala"), count("humpback")], [0, 1, 2]);
    fails(sources("set.toml"), "there is no eval set");
}

#[test]
fn sets_that_were_written_here_need_no_cache_and_are_those_of_their_hash() {
    for (name, text) in PROMPTS {
        let built_in = EvalSet::load(name, Path::new("/nowhere"), &nobody).unwrap();
        assert_eq!(built_in.prompts.len(), text.lines().count());
        // By its path, the same file is fetched and its hash compared.
        let path = folder(name).join("set.toml");
        let by_path = EvalSet::load(path.to_str().unwrap(), Path::new("/nowhere"), &nobody);
        assert_eq!(by_path.unwrap(), built_in);
    }
    let first_look = EvalSet::load("first-look", Path::new("/nowhere"), &nobody).unwrap();
    assert_eq!(first_look.prompts[0].id, "fl-001");
}

/// What the published files are called in a folder of data that this project does not contain, by a
/// part of their address.
const PUBLISHED: [(&str, &str); 7] = [
    ("/alpaca_eval/2a8a6f3a", "alpaca_eval/outputs/text_davinci_003.json"),
    ("/vicuna_bench/", "fastchat_judge/vicuna_bench/question.jsonl"),
    ("/mt_bench/", "fastchat_judge/mt_bench/question.jsonl"),
    ("/user_oriented_instructions", "self_instruct_252/user_oriented_instructions.jsonl"),
    ("/koala_test_set", "koala_180/koala_test_set.jsonl"),
    ("/lima/test", "lima/test.jsonl"),
    ("/arena-hard-v0.1/", "arena_hard_v0.1/question.jsonl"),
];

/// A built-in set's file with places on this disk, and with paths for the names in a union.
fn on_disk(text: &str, data: &Path) -> String {
    let mut set: toml::Table = text.parse().unwrap();
    if let Some(source) = set.get_mut("source") {
        let from = source["from"][0].as_str().unwrap();
        let (_, path) = PUBLISHED.iter().find(|(part, _)| from.contains(part)).unwrap();
        source["from"][0] = format!("file:{}", data.join(path).display()).into();
    }
    for name in set.get_mut("union").and_then(|union| union.as_array_mut()).into_iter().flatten() {
        *name = format!("{}.toml", name.as_str().unwrap()).into();
    }
    set.to_string()
}

#[test]
fn published_sets_are_what_their_files_say() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let published = BUILT_IN.iter().filter(|(name, _)| PROMPTS.iter().all(|(own, _)| own != name));
    for (name, text) in published.clone() {
        let path = directory.path().join(format!("{name}.toml"));
        fs::write(path, on_disk(text, &data)).unwrap();
    }
    // Loading compares the hash of every file and the count of every slice.
    let sets: BTreeMap<&str, EvalSet> = published
        .map(|(name, _)| {
            let path = directory.path().join(format!("{name}.toml"));
            (*name, EvalSet::load(path.to_str().unwrap(), directory.path(), &nobody).unwrap())
        })
        .collect();
    assert_eq!(sets["humpback"].prompts.len(), 1066);

    let ids = |name: &str| -> HashSet<&str> {
        sets[name].prompts.iter().map(|prompt| prompt.id.as_str()).collect()
    };
    let shared = |one: &str, other: &str| ids(one).intersection(&ids(other)).count();
    for (name, other, expected) in [
        ("vicuna", "alpaca-eval", 80),
        ("self-instruct", "alpaca-eval", 252),
        ("koala", "alpaca-eval", 156),
        ("koala-180", "koala", 144),
        ("open-assistant", "alpaca-eval", 188),
        ("hh", "alpaca-eval", 129),
        ("lima-test", "vicuna", 39),
        ("lima-test", "alpaca-eval", 39),
        ("mt-bench", "vicuna", 2),
    ] {
        assert_eq!(shared(name, other), expected, "{name} and {other}");
    }
    // Answers that others recorded belong to the prompts of the set, in its order.
    let outputs = data.join("alpaca_eval/outputs/text_davinci_003.json");
    let answers = exchange::completions(&outputs).unwrap();
    let answers = answers.iter().map(|answer| (&answer.id, &answer.dataset));
    let prompts = sets["alpaca-eval"].prompts.iter();
    assert!(answers.eq(prompts.map(|prompt| (&prompt.id, &prompt.dataset))));
}
