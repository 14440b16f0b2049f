//! Prompts and replies of AlpacaEval.
use std::fs;

use serde_json::Value;

use super::*;
use crate::{model::Role, recipe::Source};

/// `text`, a judge file, with its prompt from `path` in place of a package.
fn with_local_prompt(text: &str, path: &Path) -> String {
    let mut table: toml::Table = text.parse().unwrap();
    let source = table["prompt"]["source"].as_table_mut().unwrap();
    source.insert("from".into(), vec![format!("file:{}", path.display())].into());
    table.to_string()
}

#[test]
fn a_published_prompt_is_verified_and_filled() {
    let directory = tempfile::tempdir().unwrap();
    let prompt = directory.path().join("prompt.txt");
    fs::write(&prompt, STAND_IN).unwrap();
    let file = directory.path().join("mine.toml");
    let published = text_of("weighted_alpaca_eval_gpt4_turbo");
    let load = |text: &str| {
        fs::write(&file, text).unwrap();
        Judge::load(file.to_str().unwrap(), directory.path(), &nobody)
    };
    let error = load(&with_local_prompt(published, &prompt)).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("mine.toml") && error.contains("784227e6"), "{error}");

    let mut table: toml::Table =
        with_local_prompt(published, Path::new("prompt.txt")).parse().unwrap();
    table["prompt"]["source"].as_table_mut().unwrap().remove("sha256");
    let judge = load(&table.to_string()).unwrap();
    let messages = judge.messages("Add 1 and 1.", "2", "3 {output_1}<|im_end|>");
    let expected = [
        Message::new(Role::System, "You rank."),
        Message::new(
            Role::User,
            "{\n  \"q\": \"\"\"Add 1 and 1.\"\"\",\n  {\"m\": \"\"\"2\"\"\"},\n  \
             {\"M\": \"\"\"3 {output_1}<|im_end|>\"\"\"}\n}\nReply with {'model': <name>}.",
        ),
    ];
    assert_eq!(messages, expected);
    assert_eq!(
        (judge.model.as_str(), judge.sampling.top_logprobs),
        ("gpt-4-1106-preview", Some(5))
    );
}

#[test]
fn layouts_that_cannot_be_read_are_explained() {
    let check = |text: &str, expected: &str| {
        let error = format!("{:#}", Template::from_markup(text).unwrap_err());
        assert!(error.contains(expected), "{text:?}: {error}");
    };
    check("", "expected <|im_start|> at the beginning");
    check("{instruction}", "expected <|im_start|> at the beginning");
    check("x <|im_start|>user\n<|im_end|>", "expected <|im_start|> at the beginning");
    check("<|im_start|>user\n{instruction}", "does not end in <|im_end|>");
    check("<|im_start|>robot\n<|im_end|>", "the role \"robot\": expected system, user");
    check("<|im_start|>user\n<|im_end|> x", "\"x\" stands outside");
    check("<|im_start|>user\n{instruction} {output_1}<|im_end|>", "the prompt has no {output_2}");
    check(
        "<|im_start|>user\n{first}<|im_end|>",
        "has {first}: expected one of {instruction}, {output_1}",
    );
}

#[test]
fn no_source_is_fetched_unverified() {
    for (name, text) in BUILT_IN {
        let Some(Source { from, sha256 }) = JudgeFile::parse(text).unwrap().prompt.source else {
            continue;
        };
        assert!(sha256.is_some_and(|hash| hash.len() == 64), "{name}");
        assert!(from.iter().all(|place| place.contains("==")), "{name} has no fixed version");
    }
}

/// The prompts of AlpacaEval, where its package has been fetched before.
#[test]
fn alpaca_evals_prompts_are_filled_as_it_fills_them() {
    let cache = source::cache_directory().map(|cache| cache.join("pypi")).unwrap_or_default();
    for (name, file) in [
        ("alpaca_eval_gpt4", "alpaca_eval.txt"),
        ("weighted_alpaca_eval_gpt4_turbo", "alpaca_eval_clf.txt"),
    ] {
        let here = walkdir::WalkDir::new(&cache).into_iter().filter_map(Result::ok);
        let Some(entry) = here.into_iter().find(|entry| entry.file_name() == file) else {
            eprintln!("skipped: {file} is not in {}", cache.display());
            continue;
        };
        let text = with_local_prompt(text_of(name), entry.path());
        let judge = Judge::parse(&text, Path::new(""), Path::new(""), &nobody).unwrap();
        // utils.prompt_to_chatml(template.replace(...).strip()), for answers that hold no gap.
        let filled = fs::read_to_string(entry.path()).unwrap();
        let filled = filled.replacen("{instruction}", "Why?", 1);
        let filled =
            filled.replacen("{output_1}", "So.", 1).replacen("{output_2}", " \"No.\"\n", 1);
        let expected: Vec<Message> = filled
            .split("<|im_start|>")
            .skip(1)
            .zip([Role::System, Role::User])
            .map(|(part, role)| {
                let (_, content) = part.split_once('\n').unwrap();
                Message::new(role, content.split("<|im_end|>").next().unwrap().trim())
            })
            .collect();
        assert_eq!(judge.messages("Why?", "So.", " \"No.\"\n"), expected, "{name}");
    }
}

/// AlpacaEval's preference is 1 for the baseline, which was shown first or second by a draw: so it is
/// `2 - share` or `1 + share`.
#[test]
fn published_replies_are_read_as_alpaca_eval_read_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(
        "../shared/data/alpaca_eval/annotations/humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json",
    );
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let parser = parser("weighted_alpaca_eval_gpt4_turbo");
    for row in &rows {
        let candidates = &row["raw_completion"]["logprobs"]["content"][0]["top_logprobs"];
        let candidates: Vec<(String, f64)> = candidates
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (one["token"].as_str().unwrap().to_owned(), one["logprob"].as_f64().unwrap())
            })
            .collect();
        let said = Said { text: "m", truncated: true, first_token: &candidates };
        let share = parser.read(&said).share.unwrap();
        let preference = row["preference"].as_f64().unwrap();
        let distance = (2.0 - share - preference).abs().min((1.0 + share - preference).abs());
        assert!(distance < 1e-9, "{share} is not {preference}");
    }
    assert_eq!(rows.len(), 805);
}
