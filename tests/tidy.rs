//! Keeps the drawing in `src/lib.rs` true, and crates where they belong.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file of a module: `src/judge.rs`, or all below `src/judge/`.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(module).with_extension("rs")];
    let mut directories = vec![source().join(module)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|file| file.is_file() && file.extension().is_some_and(|e| e == "rs"));
    files
}

/// The modules of `lib.rs` in groups, as blank lines part them.
fn groups() -> Vec<Vec<String>> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let module = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    let groups = lib.split("\n\n").map(|group| group.lines().filter_map(module).collect());
    groups.filter(|group: &Vec<String>| !group.is_empty()).collect()
}

/// The first path segment after every `crate::`, in `use crate::a` and in `use crate::{a, b::c}`.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let (mut depth, mut word, mut in_path) = (0_i32, String::new(), false);
        for c in rest.chars() {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() && depth <= 1 && !in_path {
                used.push(word.clone());
            }
            word.clear();
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ':' => in_path = true,
                ',' if depth == 1 => in_path = false,
                _ => {}
            }
            if depth <= 0 {
                break;
            }
        }
    }
    used
}

#[test]
fn the_reader_of_paths_reads_them() {
    let code = "use crate::{a::{b, c}, d, e::f};\nlet x = crate::g::h();\nuse crate::i;";
    assert_eq!(used_modules(code), ["a", "d", "e", "g", "i"]);
}

#[test]
fn a_module_uses_only_earlier_groups() {
    let groups = groups();
    assert!(groups.len() > 5, "the groups of lib.rs were not found");
    let rank = |name: &str| groups.iter().position(|group| group.iter().any(|m| m == name));
    let mut broken = Vec::new();
    for module in groups.concat() {
        let files = files_of(&module);
        assert!(!files.is_empty(), "{module} has no file");
        for file in files {
            let code = fs::read_to_string(&file).unwrap();
            for used in used_modules(&code) {
                let later = rank(&used).is_some_and(|used| Some(used) >= rank(&module));
                if used != module && later {
                    broken.push(format!("{}: {module} must not use {used}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_crate_appears_only_in_the_module_that_owns_it() {
    let owners: [(&str, &[&str]); 25] = [
        ("candle_core", &["model"]),
        ("gemm", &["model"]),
        ("tokenizers", &["model"]),
        ("safetensors", &["model"]),
        ("ureq", &["source", "lm"]),
        ("httpdate", &["lm"]),
        ("rusqlite", &["store"]),
        ("hf_hub", &["source"]),
        ("zip", &["source"]),
        ("scraper", &["corpus"]),
        ("encoding_rs", &["corpus"]),
        ("plotters", &["report"]),
        ("resvg", &["report"]),
        ("epaint_default_fonts", &["report"]),
        ("skrifa", &["report"]),
        ("csv", &["report", "scoring", "exchange"]),
        ("statrs", &["stats"]),
        ("nalgebra", &["stats"]),
        ("rand_mt", &["exchange"]),
        ("whatlang", &["gate"]),
        ("quick_junit", &["gate"]),
        ("axum", &["serve"]),
        ("tokio", &["serve"]),
        ("form_urlencoded", &["serve"]),
        ("percent_encoding", &["serve"]),
    ];
    let mut broken = Vec::new();
    for module in groups().concat() {
        for file in files_of(&module) {
            let code = fs::read_to_string(&file).unwrap();
            for (name, modules) in owners {
                let path = format!("{name}::");
                let uses =
                    code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                        line.match_indices(&path).any(|(at, _)| {
                            let before = line[..at].chars().next_back();
                            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
                        })
                    });
                if uses && !modules.contains(&module.as_str()) {
                    broken.push(format!("{}: {name} belongs to {modules:?}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_key_of_a_recipe_is_explained() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let explained = fs::read_to_string(project.join("docs/recipes.md")).unwrap();
    // Keys that no shipped recipe sets.
    let unset = ["judge.weights", "judge.remote", "finetune.lora"].map(str::to_owned);
    let lora = ["rank", "alpha", "targets"].map(|key| format!("finetune.lora.{key}"));
    let mut keys = [&unset[..], &lora].concat();
    let sampled = ["augment", "curate", "evaluate"];
    keys.extend(
        sampled.iter().flat_map(|section| ["top_k", "stop"].map(|key| format!("{section}.{key}"))),
    );
    for recipe in ["quickstart.toml", "scripted.toml"] {
        let recipe = spyhop::recipe::Recipe::load(&project.join("recipes").join(recipe)).unwrap();
        let resolved: toml::Table = recipe.resolved().unwrap().parse().unwrap();
        for (section, value) in resolved {
            match value {
                toml::Value::Table(table) => {
                    keys.extend(table.keys().map(|key| format!("{section}.{key}")));
                }
                _ => keys.push(section),
            }
        }
    }
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(explained.contains(&format!("`{key}`")), "docs/recipes.md does not explain {key}");
    }
}

#[test]
fn every_row_type_is_described() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let formats = fs::read_to_string(project.join("docs/formats.md")).unwrap();
    let record = files_of("record").into_iter().map(|file| fs::read_to_string(file).unwrap());
    let record = record.collect::<Vec<_>>().concat();
    let names = record.lines().filter_map(|line| line.strip_prefix("pub struct "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(formats.contains(name), "docs/formats.md does not describe {name}");
    }
}
