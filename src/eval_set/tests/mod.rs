mod built_in;

use tempfile::TempDir;

use super::*;
use crate::watch::nobody;

const HEAD: &str = "name = \"n\"\ndescription = \"d\"\nlicence = \"l\"\n";

/// A set's file for one of the forms, with two prompts in the slice `n`.
fn set(content: &str) -> String {
    let (top, tables) = content.split_once("\n\n").unwrap_or((content, ""));
    format!("{HEAD}count = 2\n{top}\n{tables}\n[slices]\nn = 2\n")
}

fn write(directory: &TempDir, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
}

fn load(directory: &TempDir, name: &str) -> anyhow::Result<EvalSet> {
    let cache = directory.path().join("cache");
    EvalSet::load(directory.path().join(name).to_str().unwrap(), &cache, &nobody)
}

fn texts(prompts: &[Prompt]) -> Vec<&str> {
    prompts.iter().map(|prompt| prompt.instruction.as_str()).collect()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(found: anyhow::Result<T>, expected: &str) {
    let error = format!("{:#}", found.unwrap_err());
    assert!(error.contains(expected), "{error}\nhas not: {expected}");
}

#[test]
fn a_set_file_has_no_unknown_key_and_one_kind_of_content() {
    let source = "\n\n[source]\nfrom = [\"file:a.json\"]\n[columns]\ninstruction = [\"/a~1b/0\"]\n";
    let prompts = "prompts = \"p.jsonl\"\nsha256 = \"00\"";
    let union = "union = [\"vicuna\", \"koala\"]";
    for content in [source, prompts, union] {
        SetFile::parse(&set(content)).unwrap();
    }
    let full = format!("{source}dataset = \"\"\n[only]\n\"/x\" = 3\n\"/y\" = true\n");
    SetFile::parse(&set(&full)).unwrap();

    let with = |what: &str| set(&format!("{source}{what}"));
    let cases = [
        (&set(""), "exactly one of `source`, `prompts` and `union`"),
        (&set(&format!("{union}\n{prompts}")), "exactly one of"),
        (&set(&format!("{union}{source}")), "exactly one of"),
        (&set("lang = \"en\"\nunion = [\"a\", \"b\"]"), "unknown field `lang`"),
        (&with("output = \"/b\""), "unknown field `output`"),
        (&set(&source.replace("file:a.json\"]", "file:a\"]\nurl = \"b\"")), "unknown field `url`"),
        (&set("\n\n[source]\nfrom = [\"file:a\"]"), "[source] needs [columns]"),
        (&set(&source.replace("file:", "https://a.b/")), "source.sha256 is missing"),
        (&set(&source.replace("\"/a~1b/0\"", "")), "columns.instruction is empty"),
        (&set(&source.replace("/a~1b/0", "a")), "\"a\" is no JSON pointer"),
        (&set(&source.replace("a~1b", "a~b")), "\"/a~b/0\" is no JSON pointer"),
        (&with("dataset = \"b\""), "\"b\" is no JSON pointer"),
        (&with("[only]\nb = 1"), "\"b\" is no JSON pointer"),
        (&with("[only]\n\"/b\" = [1]"), "expected a text, a number or a boolean"),
        (&set(&format!("sha256 = \"00\"{source}")), "sha256 does not go with source"),
        (&set("prompts = \"p.jsonl\""), "prompts needs sha256"),
        (&set(&format!("{prompts}\n\n[only]\n\"/a\" = 1")), "only does not go with prompts"),
        (
            &set(&format!("{prompts}\n\n[columns]\ninstruction = [\"/a\"]")),
            "columns does not go with prompts",
        ),
        (&set(&format!("sha256 = \"00\"\n{union}")), "sha256 does not go with union"),
        (&set("union = [\"vicuna\"]"), "name two sets or more"),
        (&set(union).replace("= 2\nunion", "= 3\nunion"), "count = 3, and [slices] has 2"),
        (&set(union).replace("= 2", "= 0"), "count = 0"),
        (&set(union).replace("[slices]\nn = 2", ""), "missing field `slices`"),
        (&set(union).replace("\"n\"", "\"a/b\""), "name = \"a/b\""),
        (&set(union).replace("\"l\"", "\" \""), "licence is empty"),
        (&set(union).replace("\"d\"", "\"\""), "description is empty"),
    ];
    for (text, expected) in cases {
        fails(SetFile::parse(text), expected);
    }
}

#[test]
fn columns_are_found_in_arrays_and_in_jsonl() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [
        r#"{"a/b": {"q": ["one ", "x"]}, "in": "two", "kind": "k", "m": 1}"#,
        r#"{"a/b": {"q": ["three"]}, "in": " ", "kind": "k", "m": 2}"#,
        r#"{"a/b": {"q": ["four"]}, "in": "", "kind": "other", "m": 1}"#,
    ];
    let set = |columns: &str, counts: &str| {
        format!(
            "{HEAD}{counts}[source]\nfrom = [\"file:rows\"]\n[columns]\ninstruction = [\"/a~1b/q/0\", \"/in\"]\n{columns}"
        )
    };
    let (one, three, four) = ("one \n\ntwo", "three", "four");
    let all = "count = 3\nslices = { n = 3 }\n";
    let k = "count = 2\nslices = { k = 2 }\n";
    let k_1 = "count = 1\nslices = { k = 1 }\n";
    let dataset = "dataset = \"/kind\"\n";
    for text in [rows.join("\n\n"), format!(" [{}]\n", rows.join(","))] {
        write(&directory, &[("rows", &text)]);
        let check = |columns: &str, counts: &str, expected: &[&str]| {
            write(&directory, &[("set.toml", &set(columns, counts))]);
            let found = load(&directory, "set.toml").unwrap();
            assert_eq!(texts(&found.prompts), expected);
            for prompt in found.prompts {
                assert_eq!(prompt.id, crate::record::content_id(&[&prompt.instruction]));
            }
        };
        check("", all, &[one, three, four]);
        check(&format!("{dataset}[only]\n\"/kind\" = \"k\""), k, &[one, three]);
        check(&format!("{dataset}[only]\n\"/kind\" = \"k\"\n\"/m\" = 1"), k_1, &[one]);
    }
    let check = |columns: &str, text: &str, expected: &str| {
        write(&directory, &[("set.toml", &set(columns, all)), ("rows", text)]);
        fails(load(&directory, "set.toml"), expected);
    };
    let good = r#"{"a/b": {"q": ["x"]}, "in": ""}"#;
    let next = |row: &str| format!("{good}\n{row}");
    check("", &next(r#"{"in": "x"}"#), "rows:2: there is nothing at /a~1b/q/0");
    check("", &format!("[{good}, {{}}]"), "rows: row 2: there is nothing at /a~1b/q/0");
    check("", &next(r#"{"a/b": {"q": [1]}, "in": ""}"#), "rows:2: what is at /a~1b/q/0 is no text");
    check("", &next(r#"{"a/b": {"q": [""]}, "in": ""}"#), "rows:2: the instruction is empty");
    check("", &next(good), "occurs twice");
    check("", &next("{"), "rows:2: expected one JSON object a line");
    check("", &format!("[{good}"), "rows: expected a JSON array");
    check(dataset, good, "rows:1: there is nothing at /kind");
    check("[only]\n\"/kind\" = \"k\"", good, "rows:1: there is nothing at /kind");
    check("[only]\n\"/in\" = \"k\"", good, "the eval set is empty");
}

#[test]
fn counts_are_those_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let rows = "{\"t\":\"1\",\"s\":\"a\"}\n{\"t\":\"2\",\"s\":\"a\"}\n{\"t\":\"3\",\"s\":\"b\"}";
    let check = |count: usize, slices: &str| {
        let text = format!(
            "{HEAD}count = {count}\nslices = {{ {slices} }}\n[source]\nfrom = [\"file:rows\"]\n[columns]\ninstruction = [\"/t\"]\ndataset = \"/s\""
        );
        write(&directory, &[("rows", rows), ("set.toml", &text)]);
        load(&directory, "set.toml")
    };
    let found = check(3, "a = 2, b = 1").unwrap();
    assert_eq!(found.slices, [("a".to_owned(), 2), ("b".to_owned(), 1)].into());
    let both = "set.toml: its file says count = 4, and 3 prompts were found; slice \"a\": 3 expected, 2 found";
    fails(check(4, "a = 3, b = 1"), both);
    fails(check(3, "a = 1, b = 2"), "\"a\": 1 expected, 2 found; slice \"b\": 2 expected, 1 found");
    fails(check(3, "a = 2, c = 1"), "\"b\": 0 expected, 1 found; slice \"c\": 1 expected, 0 found");
}

#[test]
fn a_union_keeps_equal_instructions_once() {
    let directory = tempfile::tempdir().unwrap();
    let member = |name: &str, count: usize| {
        format!(
            "{HEAD}count = {count}\nslices = {{ {name} = {count} }}\n[source]\nfrom = [\"file:{name}\"]\n[columns]\ninstruction = [\"/t\"]\n"
        )
        .replace("\"n\"", &format!("\"{name}\""))
    };
    let union = |members: &str, slices: &str| {
        format!("{HEAD}count = 3\nunion = [{members}]\nslices = {{ {slices} }}\n")
    };
    write(
        &directory,
        &[
            ("a", "[{\"t\":\"1\"},{\"t\":\"2\"}]"),
            ("b", "[{\"t\":\"3\"},{\"t\":\" 2\\n\"}]"),
            ("a.toml", &member("a", 2)),
            ("b.toml", &member("b", 2)),
            ("ab.toml", &union("\"a.toml\", \"b.toml\"", "a = 2, b = 1")),
            ("ba.toml", &union("\"b.toml\", \"a.toml\"", "a = 1, b = 2")),
            ("wrong.toml", &union("\"a.toml\", \"b.toml\"", "a = 1, b = 2")),
            ("nested.toml", &union("\"ab.toml\", \"a.toml\"", "a = 2, b = 1")),
            ("missing.toml", &union("\"a.toml\", \"c\"", "a = 2, b = 1")),
        ],
    );
    assert_eq!(texts(&load(&directory, "ab.toml").unwrap().prompts), ["1", "2", "3"]);
    assert_eq!(texts(&load(&directory, "ba.toml").unwrap().prompts), ["3", " 2\n", "1"]);
    fails(load(&directory, "wrong.toml"), "slice \"a\": 1 expected, 2 found");
    fails(load(&directory, "nested.toml"), "which is a union itself");
    fails(load(&directory, "missing.toml"), "there is no eval set \"c\"");

    // The same id with another instruction: two files of prompts with their own ids.
    let (one, other) =
        ("{\"id\":\"1\",\"instruction\":\"x\"}", "{\"id\":\"1\",\"instruction\":\"y\"}");
    let own = |text: &str, name: &str| {
        let digest = Sha256::digest(text);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{HEAD}count = 1\nprompts = \"{name}\"\nsha256 = \"{sha256}\"\nslices = {{ \"\" = 1 }}"
        )
    };
    write(
        &directory,
        &[
            ("one", one),
            ("other", other),
            ("one.toml", &own(one, "one")),
            ("other.toml", &own(other, "other")),
            ("clash.toml", &union("\"one.toml\", \"other.toml\"", "a = 3")),
            ("changed.toml", &own(one, "other")),
        ],
    );
    assert_eq!(texts(&load(&directory, "one.toml").unwrap().prompts), ["x"]);
    fails(load(&directory, "clash.toml"), "other.toml has a prompt \"1\"");
    fails(load(&directory, "changed.toml"), "SHA-256 expected");
}

#[test]
fn plain_files_of_prompts_are_read_and_their_mistakes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |text: &str, expected: Result<usize, &str>| {
        write(&directory, &[("prompts.jsonl", text)]);
        match (prompts(&directory.path().join("prompts.jsonl")), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.len(), expected),
            (found, expected) => fails(found, expected.unwrap_err()),
        }
    };
    check("{\"instruction\":\"a\",\"dataset\":\"x\"}\n\n{\"instruction\":\"b\"}", Ok(2));
    check("[{\"instruction\":\"a\",\"output\":\"x\"},\n{\"instruction\":\"b\"}]", Ok(2));
    check("{\"instruction\":\"a\"}\n{\"instruction\":\"a\"}", Err("prompts.jsonl:2: the prompt"));
    check("{\"instruction\":\"a\"}\n{\"prompt\":\"b\"}", Err("prompts.jsonl:2: expected"));
    check("[{\"instruction\":\"a\"},{\"prompt\":\"b\"}]", Err("prompts.jsonl: row 2: expected"));
    check("{\"instruction\":\" \"}", Err("prompts.jsonl:1: the instruction is empty"));
    check("\n", Err("the eval set is empty"));
    check("[]", Err("the eval set is empty"));

    // printf '%s\n' '{"id":"1","instruction":"ä","dataset":"s"}' \
    //   '{"id":"2","instruction":"b","dataset":""}' | sha256sum
    let text = "{\"instruction\":\"ä\",\"dataset\":\"s\",\"id\":\"1\"}\n{\"instruction\":\"b\",\"id\":\"2\"}";
    write(&directory, &[("mine.jsonl", text)]);
    let found = load(&directory, "mine.jsonl").unwrap();
    assert_eq!(found.name, "mine");
    assert_eq!(found.slices, [(String::new(), 1), ("s".to_owned(), 1)].into());
    assert_eq!(found.sha256, "51ea71c598cd513f042a913f2b198e5f04307ce4d831894161301c723b227c37");
    fails(load(&directory, "absent.jsonl"), "there is no eval set");
    fails(EvalSet::load("vicunna", directory.path(), &nobody), "or one of first-look, alpaca-eval");
}

#[test]
fn a_part_of_a_set_is_the_same_every_time_and_within_a_larger_part() {
    let whole = EvalSet::load("first-look", Path::new(""), &nobody).unwrap();
    let of = |limit| whole.clone().at_most(limit).unwrap();
    let ids = |set: &EvalSet| set.prompts.iter().map(|prompt| prompt.id.clone()).collect();
    let (small, large): (Vec<String>, Vec<String>) = (ids(&of(12)), ids(&of(32)));
    assert_eq!((small.len(), large.len()), (12, 32));
    assert!(small.iter().all(|id| large.contains(id)) && small[..] != large[..12]);
    // In their order, and not by where they stand.
    assert!(large.is_sorted());
    assert_ne!(large, ids(&whole)[..32]);
    let part = of(32);
    assert_eq!(part.slices.values().sum::<usize>(), 32);
    assert_ne!(part.sha256, whole.sha256);
    for limit in [48, 49, usize::MAX] {
        assert_eq!(of(limit), whole);
    }
}
