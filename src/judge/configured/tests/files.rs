//! What a judge file may hold, and what is said of one that is wrong.
use std::fs;

use super::*;
use crate::model::Role;

#[test]
fn judges_of_our_own_need_no_network_and_differ() {
    let judges: Vec<Judge> = our_own().collect();
    assert_eq!(judges.len(), 4);
    for (at, one) in judges.iter().enumerate() {
        assert!(!one.description.is_empty() && one.price.is_some());
        let roles: Vec<Role> = one.messages("i", "a", "b").iter().map(|turn| turn.role).collect();
        assert_eq!(roles, [Role::System, Role::User]);
        for other in &judges[..at] {
            assert!(one.name != other.name && one.hash() != other.hash());
        }
    }
    for (name, text) in BUILT_IN {
        assert_eq!(JudgeFile::parse(text).unwrap().name, name);
    }
    let other_model = Judge { model: "another".into(), ..judge("pair-verdict") };
    assert_ne!(other_model.hash(), judge("pair-verdict").hash());
}

#[test]
fn the_whole_question_is_as_the_file_has_it() {
    let [system, user] = &judge("pair-verdict").messages("What is 2+2?\n", " 4", "{5}")[..] else {
        panic!("two messages");
    };
    assert!(system.content.starts_with("You compare two answers to one instruction, as a careful"));
    let tag = user.content.split("end instruction ").nth(1).unwrap().split('\n').next().unwrap();
    let fenced = format!(
        "\n\nbegin instruction {tag}\nWhat is 2+2?\n\nend instruction {tag}\n\n\
         begin answer A {tag}\n 4\nend answer A {tag}\n\n\
         begin answer B {tag}\n{{5}}\nend answer B {tag}\n\nWhich"
    );
    assert!(user.content.contains(&fenced), "{}", user.content);
    assert!(user.content.ends_with("\nVerdict: A\nVerdict: B\nVerdict: tie"));
}

#[test]
fn mistakes_in_a_file_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("judge.toml");
    let check = |name: &str, from: &str, to: &str, expected: &str| {
        let text = text_of(name);
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = Judge::load(path.to_str().unwrap(), directory.path(), &nobody).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("judge.toml") && error.contains(expected), "{error}");
    };
    let verdict = |from: &str, to: &str, expected: &str| check("pair-verdict", from, to, expected);
    verdict("[sampling]", "[sampling]\nmax_token = 1", "unknown field `max_token`");
    verdict("[prompt]", "[prompt]\nuser_text = \"\"", "unknown field `user_text`");
    verdict("[price]", "[price]\ntotal = 1", "unknown field `total`");
    verdict("[price]", "[prices]", "unknown field `prices`");
    verdict("[parser]", "[parser]\nstop = 1", "unknown field `stop`");
    verdict(
        "\"final_verdict\"",
        "\"regex\"",
        "unknown variant `regex`, expected one of `token_logprobs`",
    );
    verdict("kind = \"final_verdict\"", "", "missing field `kind`");
    verdict("marker = \"Verdict\"", "", "missing field `marker`");
    verdict("marker = \"Verdict\"", "marker = \"**\"", "parser.marker = \"**\": must be a word");
    verdict(
        "first = [\"A\"",
        "first = [\"**b**\"",
        "parser.first and parser.second both have \"b\"",
    );
    verdict(
        "first = [\"A\", \"Answer A\", \"A is better\"]",
        "first = []",
        "parser.first is empty",
    );
    verdict("first = [\"A\"", "first = [\" \"", "parser.first has a label without a letter");
    verdict("name = \"pair-verdict\"", "name = \"a b\"", "name = \"a b\": use letters");
    verdict("\"gpt-4o-mini\"", "\"\"", "model is empty");
    verdict(
        "temperature = 0.0",
        "temperature = 3",
        "sampling.temperature = 3: must be between 0 and 2",
    );
    verdict("temperature = 0.0", "top_p = 0", "sampling.top_p = 0: must be above 0");
    verdict("temperature = 0.0", "seed = -1", "expected u64");
    verdict("max_tokens = 32", "max_tokens = 0", "sampling.max_tokens = 0: must be at least 1");
    verdict("max_tokens = 32", "", "missing field `max_tokens`");
    verdict(
        "[sampling]",
        "[sampling]\ntop_logprobs = 5",
        "goes with parser.kind = \"token_logprobs\"",
    );
    verdict("prompt = 0.15", "prompt = -1", "price.prompt = -1: must be dollars");
    verdict("\n{first}\n", "\n", "[prompt]: the prompt has no {first}");
    verdict(
        "\n{first}\n",
        "\n{output_1}\n",
        "has {output_1}: expected one of {instruction}, {first}",
    );
    verdict(
        "[prompt]\n",
        "[prompt]\nsource = { from = [\"file:p\"] }\n",
        "exactly one of `user` and `source`",
    );
    check(
        "pair-logprobs",
        "top_logprobs = 20",
        "top_logprobs = 1",
        "sampling.top_logprobs = 1: parser.kind",
    );
    check("pair-logprobs", "top_logprobs = 20", "", "sampling.top_logprobs = none");
    check(
        "pair-logprobs",
        "[\"A\", \" A\"]",
        "[\"A\", \"B\"]",
        "parser.first and parser.second both have \"B\"",
    );
    check("alpaca_eval_gpt4", "\nsha256 =", "\n# ", "prompt.source.sha256 is missing");
    check(
        "alpaca_eval_gpt4",
        "[prompt.source]",
        "[prompt]\nsystem = \"x\"\n[prompt.source]",
        "prompt.system goes with",
    );

    let error =
        |name: &str| format!("{:#}", Judge::load(name, Path::new(""), &nobody).unwrap_err());
    let unknown = error("pair-verdikt");
    assert!(
        unknown.contains("there is no judge \"pair-verdikt\"") && unknown.contains("pair-reasons")
    );
    assert!(error("nowhere/judge.toml").contains("cannot read the judge nowhere/judge.toml"));
}
