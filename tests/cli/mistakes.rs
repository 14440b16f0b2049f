//! Bad input: one clear message, exit code 2, and nothing lost.
use std::fs;

use crate::Workplace;

/// Runs the scripted recipe after a change, and looks for all of `expected` in one error.
fn check(workplace: &Workplace, expected: &[&str]) {
    let output = workplace.run(&["run", "recipes/scripted.toml"]);
    assert!(output.starts_with("exit 2\n--- stdout\n--- stderr\n"), "{output}");
    assert_eq!(output.matches("error: ").count(), 1, "{output}");
    for text in expected {
        assert!(output.contains(text), "no {text:?} in {output}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let workplace = Workplace::new();
    workplace.edit("recipes/scripted.toml", "epochs = 1", "epoch = 1");
    insta::assert_snapshot!(workplace.run(&["run", "recipes/scripted.toml"]), @r"
    exit 2
    --- stdout
    --- stderr
    error: recipes/scripted.toml: TOML parse error at line 25, column 1
       |
    25 | epoch = 1
       | ^^^^^
    unknown field `epoch`, expected one of `epochs`, `batch_size`, `learning_rate`, `final_learning_rate`, `weight_decay`, `gradient_clip`, `products`, `max_tokens`, `dropout`, `held_out`, `last_layers`, `lora`
    ");
    assert!(!workplace.path("runs").exists());
}

#[test]
fn a_missing_recipe_and_a_missing_file_are_named() {
    let workplace = Workplace::new();
    insta::assert_snapshot!(workplace.run(&["run", "recipes/absent.toml"]), @r"
    exit 2
    --- stdout
    --- stderr
    error: cannot read the recipe recipes/absent.toml: No such file or directory (os error 2)
    ");
    fs::remove_file(workplace.path("recipes/quickstart/seed.jsonl")).unwrap();
    check(&workplace, &["cannot get the seed", "seed.jsonl"]);
}

#[test]
fn a_broken_line_is_named_by_file_and_number() {
    let workplace = Workplace::new();
    let seed = workplace.path("recipes/quickstart/seed.jsonl");
    let text = fs::read_to_string(&seed).unwrap();
    let broken: Vec<&str> =
        text.lines().enumerate().map(|(i, line)| if i == 4 { &line[..40] } else { line }).collect();
    fs::write(&seed, broken.join("\n")).unwrap();
    check(&workplace, &["seed.jsonl:5"]);
    fs::write(&seed, text).unwrap();
    let output = workplace.run(&["run", "recipes/scripted.toml"]);
    assert!(output.starts_with("exit 0"), "{output}");
}

#[test]
fn a_wrong_hash_is_named_with_both_hashes() {
    let workplace = Workplace::new();
    let wrong = "0".repeat(64);
    workplace.edit(
        "recipes/scripted.toml",
        "from = [\"file:scripted/script.toml\"]",
        &format!("from = [\"file:scripted/script.toml\"]\nsha256 = \"{wrong}\""),
    );
    check(&workplace, &["cannot get the script", &wrong, "script.toml"]);
}

#[test]
fn a_model_file_cut_short_is_named() {
    let workplace = Workplace::new();
    fs::write(workplace.path("recipes/model.gguf"), b"GGUF\x03\0\0\0\x01\0\0\0").unwrap();
    workplace.edit("recipes/scripted.toml", "[model.script]", "[model.weights]");
    workplace.edit("recipes/scripted.toml", "file:scripted/script.toml", "file:model.gguf");
    check(
        &workplace,
        &["stage backward/finetune did not finish", "model.gguf", "delete it and run again"],
    );
}

#[test]
fn another_recipe_in_the_same_directory_is_refused() {
    let workplace = Workplace::new();
    workplace.run(&["run", "recipes/scripted.toml"]);
    workplace.edit("recipes/scripted.toml", "samples = 2", "samples = 3");
    check(&workplace, &["samples = 2", "samples = 3", "--out"]);
}

#[test]
fn changed_input_under_the_same_recipe_is_refused() {
    let workplace = Workplace::new();
    workplace.run(&["run", "recipes/scripted.toml"]);
    let seed = workplace.path("recipes/quickstart/seed.jsonl");
    let text = fs::read_to_string(&seed).unwrap();
    fs::write(&seed, text.replacen("Why", "How", 1)).unwrap();
    check(&workplace, &["inputs of stage seed have changed", "--out"]);
}

#[test]
fn a_question_without_a_rule_stops_the_run_and_keeps_its_rows() {
    let workplace = Workplace::new();
    let script = workplace.path("recipes/scripted/script.toml");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(
        &script,
        text.replace("model = \"M2\"", "model = \"M3\"").replace(
            "[[rule]]\nreplies = [\"It depends.\"",
            "[[rule]]\nmodel = \"base\"\nreplies = [\"It depends.\"",
        ),
    )
    .unwrap();
    check(&workplace, &["stage M0/generate did not finish", "no rule answers this question to M0"]);
    assert!(workplace.path("runs/scripted/base/completions.jsonl").exists());
}
