//! Candidates and baselines that are not files: behind servers, finetuned in a run; and the judge's anchors.
use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    Workplace,
    server::{Act, Server},
};

const PROMPTS: usize = 10;

/// Answers questions, and judges for the answer that is shown first.
fn answers_and_judges(question: &str, _: usize) -> Act {
    match question.contains("Verdict") {
        true => Act::Say("Verdict: A", 0),
        false => Act::Say("I say so.", 0),
    }
}

/// A file of recorded answers, and a contestant behind a server.
fn workplace(url: &str) -> Workplace {
    let workplace = Workplace::new();
    let rows: String =
        (0..PROMPTS).map(|i| format!("\"Q{i}, please\",\"{i}\nand more\",recorded\n")).collect();
    fs::write(workplace.path("recorded.csv"), format!("instruction,output,generator\n{rows}"))
        .unwrap();
    let served = format!(
        "name = \"served\"\n[endpoint]\nmodel = \"m\"\nprice = {{ prompt = 1.0, completion = 2.0 }}\nserver = {{ endpoints = [\"{url}\"] }}\n[settings]\nsystem = \"Be brief.\"\n"
    );
    fs::write(workplace.path("served.toml"), served).unwrap();
    workplace
}

fn eval<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["eval", "--candidate", "served.toml", "--baseline", "recorded.csv"];
    args.extend(["--judge", "pair-verdict", "--endpoint", url, "--format", "json"]);
    args.extend(more);
    args
}

#[test]
fn a_contestant_behind_a_server_is_asked_once() {
    let server = Server::new(answers_and_judges);
    let workplace = workplace(&server.url);
    let output = workplace.run(&eval(&server.url, &["--max-cost", "0.0001"]));
    assert!(output.starts_with("exit 2") && output.contains("more than --max-cost"), "{output}");
    assert!(server.answered().is_empty());

    let args = eval(&server.url, &["--annotations", "annotations.json"]);
    let output = workplace.run(&args);
    assert!(output.starts_with("exit 0"), "{output}");
    assert!(output.contains("served: 10 asked, 0 from the store"), "{output}");
    assert_eq!(server.answered().len(), 3 * PROMPTS);
    let rows = fs::read_to_string(workplace.path("runs/eval/served/completions.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), PROMPTS);
    assert_eq!(rows[7]["instruction"], "Q7, please");
    assert_eq!(rows[7]["output"], "I say so.");
    let annotations = fs::read_to_string(workplace.path("annotations.json")).unwrap();
    let annotations: Vec<Value> = serde_json::from_str(&annotations).unwrap();
    // AlpacaEval has one row a prompt: both orders together.
    assert_eq!(annotations.len(), PROMPTS);
    assert_eq!(annotations[0]["preference"], 1.5);
    assert_eq!(annotations[0]["generator_2"], "served");

    // Elsewhere, without a server, the store has it all.
    let again = workplace.run(&eval(&server.url, &["--offline", "--out", "runs/other"]));
    assert!(again.starts_with("exit 0"), "{again}");
    assert!(server.answered().iter().all(|&count| count == 1));
    // Another way of asking has other answers, which do not mix with the first.
    workplace.edit("served.toml", "Be brief.", "Be long.");
    let other = workplace.run(&args);
    assert!(other.contains("runs/eval holds judgments of other answers of \"served\""), "{other}");
}

#[test]
fn answers_that_changed_are_not_passed_off_as_judged() {
    let server = Server::new(answers_and_judges);
    let workplace = workplace(&server.url);
    fs::copy(workplace.path("recorded.csv"), workplace.path("other.csv")).unwrap();
    workplace.edit(
        "other.csv",
        "\"Q3, please\",\"3\nand more\",recorded",
        "\"Q3, please\",new,recorded",
    );
    fs::write(workplace.path("one.csv"), "instruction,output\n\"Q3, please\",x\n").unwrap();
    let args = |baseline| {
        let mut args = eval(&server.url, &[]);
        args[2] = "one.csv";
        args[4] = baseline;
        args
    };
    assert!(workplace.run(&args("recorded.csv")).starts_with("exit 0"));
    let output = workplace.run(&args("other.csv"));
    assert!(output.starts_with("exit 2"), "{output}");
    assert!(output.contains("other answers of \"recorded\": choose another --out"), "{output}");
    // Back to the first answers, nothing is lost.
    assert!(workplace.run(&args("recorded.csv")).starts_with("exit 0"));
    assert!(server.answered().iter().all(|&count| count == 1));
    let output = workplace.run(&[
        "eval",
        "--candidate",
        "recorded.csv",
        "--baseline",
        "claude",
        "--judge",
        "pair-verdict",
    ]);
    assert!(output.starts_with("exit 2") && output.contains("published figures only"), "{output}");
    let mut lacks = args("one.csv");
    lacks[2] = "recorded.csv";
    let output = workplace.run(&lacks);
    assert!(output.contains("\"one\" has no answer to 9 of 10 prompts"), "{output}");
}

#[test]
fn the_anchors_are_asked_anew_and_compared() {
    let server = Server::new(answers_and_judges);
    let workplace = workplace(&server.url);
    let args = eval(&server.url, &["--anchors"]);
    let output = workplace.run(&args);
    // Who always picks the first is never right.
    assert!(output.contains("0 right, 48 undecided, 0 wrong, 0 missing"), "{output}");
    assert!(output.contains("no earlier run of this judge"), "{output}");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let output = workplace.run(&args);
    assert!(output.contains("anchors: 96 asked, 0 from the store"), "{output}");
    assert!(output.contains("no change of 48 verdicts"), "{output}");
    let history = fs::read_to_string(workplace.path("cache/spyhop/anchors.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 2);
}

#[test]
fn a_run_has_baselines_from_outside_and_a_judge_behind_a_server() {
    let server = Server::new(answers_and_judges);
    let workplace = Workplace::new();
    let url = &server.url;
    let pairs = "{\"conversations\": [\"What is rain?\", \"Water that falls from clouds.\"]}\n";
    fs::write(workplace.path("recipes/pairs.jsonl"), pairs).unwrap();
    let taught = "name = \"taught\"\n[finetuned]\nformat = \"lima\"\nsource = { from = [\"file:pairs.jsonl\"] }\n";
    fs::write(workplace.path("recipes/taught.toml"), taught).unwrap();
    let served = format!(
        "name = \"served\"\n[endpoint]\nmodel = \"m\"\nserver = {{ endpoints = [\"{url}\"] }}\n"
    );
    fs::write(workplace.path("recipes/served.toml"), served).unwrap();
    let prompts = fs::read_to_string(workplace.path("eval_sets/first-look/prompts.jsonl")).unwrap();
    let recorded: Vec<Value> = prompts
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| json!({"instruction": row["instruction"], "output": "so", "generator": "x"}))
        .collect();
    let recorded = serde_json::to_string(&recorded).unwrap();
    fs::write(workplace.path("recipes/recorded.json"), recorded).unwrap();
    workplace.edit(
        "recipes/scripted.toml",
        "eval_set = \"first-look\"",
        "eval_set = \"first-look\"\nbaselines = [\"base\", \"recorded.json\", \"taught.toml\", \"served.toml\"]",
    );
    let remote = format!(
        "judge = \"pair-verdict\"\nserver = {{ endpoints = [\"{url}\"] }}\nprice = {{ prompt = 1.0, completion = 2.0 }}\n"
    );
    workplace.edit(
        "recipes/scripted.toml",
        "method = \"choice\"",
        &format!("[judge.remote]\n{remote}"),
    );
    let run = ["run", "recipes/scripted.toml", "--out", "run"];
    let output = workplace.run(&run);
    assert!(output.starts_with("exit 0"), "{output}");
    for baseline in ["base", "recorded", "taught", "served"] {
        assert!(output.contains(&format!("M2 against {baseline}")), "{output}");
        let rows = workplace.path(&format!("run/M2/judgments-{baseline}.jsonl"));
        let rows = fs::read_to_string(rows).unwrap();
        assert!(rows.contains(&format!("\"baseline\":\"{baseline}\"")), "{rows}");
    }
    let page = fs::read_to_string(workplace.path("run/report/report.md")).unwrap();
    assert!(page.contains("pair-verdict by its own model at http://127.0.0.1"), "{page}");
    let asked = server.answered().len();
    // Each reply of the server is of 100 and 10 tokens; the answers of `served` have no price.
    let judged = asked - prompts.lines().count();
    let stages = fs::read_to_string(workplace.path("run/stages.jsonl")).unwrap();
    let stages = stages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let spent: f64 = stages.filter_map(|stage| stage["counts"]["cost"].as_f64()).sum();
    assert!((spent - judged as f64 * 120e-6).abs() < 1e-9, "{spent} for {judged} questions");
    let paid = format!("and ${spent:.2} for replies of servers that have a price, in all.");
    assert!(page.contains(&paid), "{page}");
    let again = workplace.run(&run);
    assert!(again.contains("nothing left to do"), "{again}");
    assert_eq!(server.answered().len(), asked);
}

#[test]
fn fetch_lists_what_there_is_and_fills_the_cache_from_a_folder() {
    let workplace = Workplace::new();
    let list = workplace.run(&["fetch"]);
    assert!(list.contains("alpaca-eval") && list.contains("figures only"), "{list}");
    let output = workplace.run(&["fetch", "nothing"]);
    assert!(
        output.starts_with("exit 2") && output.contains("`spyhop fetch` lists them"),
        "{output}"
    );
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !shared.is_dir() {
        eprintln!("skipped: {} is not here", shared.display());
        return;
    }
    let mirror = shared.to_str().unwrap();
    let names = ["humpback", "text-davinci-003", "lima"];
    let output = workplace
        .run(&[&["fetch"], &names[..], &["--mirror", mirror, "--format", "json"]].concat());
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(output.matches("\"here\": true").count(), 3, "{output}");
    assert!(output.contains("\"prompts\": 1066"), "{output}");
}

#[test]
fn a_baseline_that_a_run_has_to_make_is_refused_before_anybody_is_asked() {
    let server = Server::new(answers_and_judges);
    let workplace = workplace(&server.url);
    let mut args = eval(&server.url, &["--eval-set", "first-look"]);
    args[4] = "lima";
    let output = workplace.run(&args);
    assert!(output.starts_with("exit 2"), "{output}");
    assert!(output.contains("lima is finetuned by a run: put \"lima\" into"), "{output}");
    assert!(server.answered().is_empty());
}
