//! The gate inside continuous integration: what it says to GitHub, and the steps of `action.yml` as they are.
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::{
    check::{ad_hoc, config, fair, workplace},
    server::{Act, Server},
};

#[test]
fn in_github_actions_it_annotates_and_summarises() {
    let server = Server::new(fair);
    let workplace = workplace();
    let summary = workplace.path("summary.md");
    let output = workplace
        .command(&ad_hoc("worse.json", &server.url, &[]))
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("::error title=spyhop check check::regressed: "), "{text}");
    assert!(fs::read_to_string(summary).unwrap().contains("## :x: check: regressed"));
}

/// The script of the step `id`, as the file has it.
fn step(action: &str, id: &str) -> String {
    let (_, step) = action.split_once(&format!("- id: {id}\n")).unwrap();
    let (_, script) = step.split_once("run: |\n").unwrap();
    let lines = script.lines().take_while(|line| line.is_empty() || line.starts_with("        "));
    lines.map(|line| format!("{}\n", line.trim_start_matches("        "))).collect()
}

#[test]
fn the_actions_script_gives_its_verdict_and_the_jobs_exit_code() {
    let server = Server::new(fair);
    let silent = Server::new(|_, _| Act::Say("I cannot tell.", 0));
    let action = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    let script = step(&fs::read_to_string(action).unwrap(), "check");
    let run = |url: &str, candidate: &str, inconclusive: &str, arguments: &str| {
        let workplace = workplace();
        config(&workplace, url, "");
        workplace.edit("spyhop.toml", "lock = \"spyhop.lock\"\n", "");
        let bin = workplace.path(".spyhop-bin/bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_spyhop"), bin.join("spyhop")).unwrap();
        let status = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script])
            .current_dir(workplace.path(""))
            .env("HOME", workplace.path(""))
            .env("XDG_CACHE_HOME", workplace.path("cache"))
            .env("GITHUB_OUTPUT", workplace.path("output"))
            .envs([("CONFIG", "spyhop.toml"), ("CHECKS", "assistant"), ("CANDIDATE", candidate)])
            .envs([("ARGUMENTS", arguments), ("INCONCLUSIVE", inconclusive)])
            .output()
            .unwrap()
            .status;
        let verdict = fs::read_to_string(workplace.path("output")).unwrap();
        let files = ["spyhop-junit.xml", "spyhop-check.md"].map(|file| workplace.path(file));
        assert!(files.iter().all(|file| file.exists()), "{candidate}");
        (status.code().unwrap(), verdict.trim().to_owned())
    };
    let expect = |found: (i32, String), code: i32, verdict: &str| {
        assert_eq!(found, (code, format!("verdict={verdict}")));
    };
    expect(run(&server.url, "better.json", "fail", ""), 0, "green");
    expect(run(&server.url, "worse.json", "fail", "--jobs 2"), 1, "regressed");
    expect(run(&silent.url, "better.json", "fail", ""), 3, "inconclusive");
    expect(run(&silent.url, "better.json", "pass", ""), 0, "inconclusive");
    expect(run(&server.url, "better.json", "pass", "--offline"), 2, "error");
}
