//! What each verb prints.
use std::fs;

use crate::Workplace;

#[test]
fn run_prints_the_table_on_stdout_and_the_path_on_stderr() {
    let workplace = Workplace::new();
    let output = workplace.run(&["run", "recipes/scripted.toml"]);
    assert!(output.starts_with("exit 0"), "{output}");
    let (stdout, stderr) = output.split_once("--- stderr\n").unwrap();
    assert!(stdout.contains("18 of 18 stages done"), "{stdout}");
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    assert_eq!(stderr, "report: runs/scripted/report/index.html\n");
    for name in ["index.html", "report.md", "win_rates.csv", "plots/win_rate_by_iteration.svg"] {
        assert!(workplace.path("runs/scripted/report").join(name).exists(), "{name}");
    }
    let again = workplace.run(&["run", "recipes/scripted.toml", "--format", "json"]);
    assert!(again.contains("\"schema\": \"spyhop report 1\""), "{again}");
}

#[test]
fn report_repeats_itself_to_the_byte() {
    let workplace = Workplace::new();
    let table = workplace.run(&["run", "recipes/scripted.toml"]);
    let page = workplace.path("runs/scripted/report/index.html");
    let first = fs::read(&page).unwrap();
    fs::remove_dir_all(page.parent().unwrap()).unwrap();
    assert_eq!(workplace.run(&["report", "runs/scripted"]), table);
    assert_eq!(fs::read(&page).unwrap(), first);
}

#[test]
fn plan_lists_the_stages_and_touches_nothing() {
    let workplace = Workplace::new();
    let output = workplace.run(&["plan", "recipes/quickstart.toml"]);
    let stages: Vec<&str> = output
        .lines()
        .skip_while(|line| !line.starts_with("stage"))
        .skip(1)
        .take_while(|line| !line.starts_with("in all"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = "seed corpus backward/finetune augment base/generate M0/finetune M0/generate \
        M0/judge-base M0/curate M1/finetune M1/generate M1/judge-base M1/judge-previous \
        M1/curate M2/finetune M2/generate M2/judge-base M2/judge-previous";
    assert_eq!(stages.join(" "), expected);
    assert!(output.contains("24 pairs"), "{output}");
    assert!(!workplace.path("cache").exists() && !workplace.path("runs").exists());
}

#[test]
fn a_plan_reads_well() {
    let workplace = Workplace::new();
    workplace.edit("recipes/scripted.toml", "iterations = 2", "iterations = 1");
    insta::assert_snapshot!(workplace.run(&["plan", "recipes/scripted.toml"]), @r"
    exit 0
    --- stdout
    stage                work                                      estimate
    seed                 at most 12 pairs                                 -
    corpus               at most 6 segments                               -
    backward/finetune    12 pairs, 1 epoch                              0 s
    augment              6 instructions                                 0 s
    base/generate        48 answers                                     0 s
    M0/finetune          12 pairs, 1 epoch                              0 s
    M0/generate          48 answers                                     0 s
    M0/judge-base        48 comparisons                                 0 s
    M0/curate            6 ratings                                      0 s
    M1/finetune          12 pairs and those kept, 1 epoch               0 s
    M1/generate          48 answers                                     0 s
    M1/judge-base        48 comparisons                                 0 s
    M1/judge-previous    48 comparisons                                 0 s
    in all               13 stages                                      0 s
    --- stderr
    Estimates are for 135M weights on 2 cores; they leave out downloads, and scale with the number of weights.
    ");
}

#[test]
fn a_plan_is_what_a_run_does() {
    let workplace = Workplace::new();
    let json = workplace.run(&["plan", "recipes/scripted.toml", "--format", "json"]);
    assert!(
        json.contains("\"stage\": \"M2/judge-previous\"") && json.contains("\"seconds\": null")
    );
    let plan = workplace.run(&["plan", "recipes/scripted.toml"]);
    workplace.run(&["run", "recipes/scripted.toml"]);
    let stages = fs::read_to_string(workplace.path("runs/scripted/stages.jsonl")).unwrap();
    for line in stages.lines() {
        let stage: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = stage["id"].as_str().unwrap();
        assert!(plan.lines().any(|line| line.split_whitespace().next() == Some(id)), "{id}");
    }
}

#[test]
fn every_verb_explains_itself() {
    let workplace = Workplace::new();
    let help = workplace.run(&["--help"]);
    let verbs = "run plan report eval check init judge-quality fetch replies score leaderboard compare rank convert";
    for verb in verbs.split(' ') {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
        let own = workplace.run(&[verb, "--help"]);
        assert!(own.starts_with("exit 0") && own.contains("Usage: spyhop"), "{own}");
    }
}
