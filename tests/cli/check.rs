//! The gate: verdicts, exit codes, locks and files, of the real program with a judge that is told what to say.
use std::fs;

use serde_json::{Value, json};

use crate::{
    Workplace,
    server::{Act, Server},
};

const PROMPTS: usize = 120;

/// Prefers the answer that says "good", wherever it stands, and else calls a tie.
pub(crate) fn fair(question: &str, _: usize) -> Act {
    let place = |what: &str| question.find(what);
    match (place("good answer"), place("plain answer")) {
        (Some(good), Some(plain)) if good < plain => Act::Say("Verdict: A", 0),
        (Some(_), Some(_)) => Act::Say("Verdict: B", 0),
        _ => Act::Say("Verdict: tie", 0),
    }
}

/// A file of answers: `good` of them are good, and the rest are plain.
pub(crate) fn answers(workplace: &Workplace, name: &str, good: usize) {
    let rows: Vec<Value> = (0..PROMPTS)
        .map(|i| {
            let kind = if i < good { "good" } else { "plain" };
            let output = format!("A {kind} answer, number {i}.");
            json!({"instruction": format!("Q{i}"), "output": output, "generator": "model", "dataset": "d"})
        })
        .collect();
    fs::write(workplace.path(name), serde_json::to_string(&rows).unwrap()).unwrap();
}

pub(crate) fn workplace() -> Workplace {
    let workplace = Workplace::new();
    answers(&workplace, "old.json", 60);
    answers(&workplace, "worse.json", 0);
    answers(&workplace, "better.json", 120);
    workplace
}

pub(crate) fn config(workplace: &Workplace, url: &str, more: &str) {
    let text = format!(
        "lock = \"spyhop.lock\"\nstore = \"replies.sqlite\"\n[[check]]\nname = \"assistant\"\nreference = \"old.json\"\nmargin = 5\n{more}\n[check.judge]\njudge = \"pair-verdict\"\nserver = {{ endpoints = [\"{url}\"] }}\n"
    );
    fs::write(workplace.path("spyhop.toml"), text).unwrap();
}

pub(crate) fn ad_hoc<'a>(candidate: &'a str, url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args =
        ["check", "--reference", "old.json", "--candidate", candidate, "--judge", "pair-verdict"];
    [&args[..], &["--margin", "5", "--endpoint", url], more].concat()
}

#[test]
fn each_verdict_has_its_exit_code() {
    let server = Server::new(fair);
    let workplace = workplace();
    let expect = |candidate: &str, more: &[&str], code: &str, words: &str| {
        let output = workplace.run(&ad_hoc(candidate, &server.url, more));
        assert!(output.starts_with(&format!("exit {code}")) && output.contains(words), "{output}");
    };
    expect("better.json", &[], "0", "check: better");
    // The same answers are ties without a question.
    let before = server.answered().len();
    expect("old.json", &[], "0", "check: no worse");
    assert_eq!(server.answered().len(), before);
    expect("worse.json", &[], "1", "check: regressed");
    expect("worse.json", &["--offline"], "1", "check: regressed");
    answers(&workplace, "alike.json", 45);
    expect("alike.json", &[], "3", "check: inconclusive");
    answers(&workplace, "empty.json", 60);
    workplace.edit("empty.json", "A good answer, number 7.", "");
    expect("empty.json", &[], "1", "0.8% of the answers are empty");
    expect("none.json", &[], "2", "there is no file \"none.json\"");
}

#[test]
fn until_decided_stops_early_and_a_budget_is_never_green() {
    let server = Server::new(fair);
    let workplace = workplace();
    answers(&workplace, "old.json", 0);
    answers(&workplace, "good.json", 120);
    let output =
        workplace.run(&ad_hoc("good.json", &server.url, &["--until-decided", "--format", "json"]));
    assert!(output.starts_with("exit 0"), "{output}");
    let (stdout, _) = output.split_once("--- stderr\n").unwrap();
    let rows: Value = serde_json::from_str(stdout.split_once("--- stdout\n").unwrap().1).unwrap();
    let saved = rows[0]["saved"].as_u64().unwrap();
    assert!(saved > 60, "{saved}");
    assert_eq!(server.answered().len() as u64, 2 * (PROMPTS as u64 - saved));

    let server = Server::new(fair);
    config(&workplace, &server.url, "budget = { calls = 20 }");
    workplace.edit("spyhop.toml", "lock = \"spyhop.lock\"\n", "");
    let output = workplace.run(&["check", "--candidate", "good.json"]);
    assert!(output.starts_with("exit 3"), "{output}");
    let words = "calls were used up after 16 of 120 prompts of candidate against the reference";
    assert!(output.contains(words), "{output}");
}

#[test]
fn a_budget_is_one_for_all_comparisons() {
    let server = Server::new(fair);
    let workplace = workplace();
    answers(&workplace, "third.json", 30);
    workplace.edit_all("third.json", "\"model\"", "\"third\"");
    // 120 questions about the reference, 180 about the baseline.
    let with_budget = |calls: usize| {
        let more = format!("baselines = [\"third.json\"]\nbudget = {{ calls = {calls} }}");
        config(&workplace, &server.url, &more);
        workplace.edit("spyhop.toml", "lock = \"spyhop.lock\"\n", "");
        workplace.run(&["check", "--candidate", "better.json"])
    };
    let output = with_budget(130);
    assert!(output.starts_with("exit 3"), "{output}");
    assert!(output.contains("prompts of candidate against third"), "{output}");
    assert!(server.answered().len() < 170, "{}", server.answered().len());
    // What is stored costs nothing, so that the budget of a second run is for the rest.
    let output = with_budget(300);
    assert!(output.starts_with("exit 0"), "{output}");
}

#[test]
fn a_judge_that_cannot_be_compared_with_the_locks_is_never_green() {
    let server = Server::new(|question, n| match question.contains("answer, number") {
        true => fair(question, n),
        false => Act::Say(["Verdict: tie", "Verdict: A", "I cannot tell."][n.min(2)], 0),
    });
    let workplace = workplace();
    config(&workplace, &server.url, "anchors = true");
    assert!(workplace.run(&["check", "--update"]).starts_with("exit 0"));
    let lock = fs::read_to_string(workplace.path("spyhop.lock")).unwrap();
    assert!(lock.contains("\"anchors\": {"), "{lock}");
    // Ties and contradictions are both undecided: no outcome is another.
    // A run on the anchors is known by its second.
    let next_second = || std::thread::sleep(std::time::Duration::from_secs(1));
    next_second();
    let output = workplace.run(&["check", "--candidate", "better.json"]);
    assert!(output.starts_with("exit 0"), "{output}");
    next_second();
    let output = workplace.run(&["check", "--candidate", "better.json"]);
    assert!(output.starts_with("exit 3") && output.contains("too few anchors"), "{output}");
}

#[test]
fn a_lock_refuses_what_is_not_what_it_was() {
    let server = Server::new(fair);
    let workplace = workplace();
    answers(&workplace, "third.json", 30);
    workplace.edit_all("third.json", "\"model\"", "\"third\"");
    config(&workplace, &server.url, "baselines = [\"third.json\"]");
    let output = workplace.run(&["check", "--candidate", "better.json"]);
    assert!(
        output.starts_with("exit 2") && output.contains("`spyhop check --update` writes it"),
        "{output}"
    );
    let output = workplace.run(&["check", "--update"]);
    assert!(output.starts_with("exit 0"), "{output}");
    let files = ["--junit", "junit.xml", "--markdown", "check.md", "--gitlab", "quality.json"];
    let check =
        |candidate: &'static str| [&["check", "--candidate", candidate], &files[..]].concat();
    let output = workplace.run(&check("better.json"));
    assert!(output.starts_with("exit 0") && output.contains("through third"), "{output}");
    let green = fs::read_to_string(workplace.path("junit.xml")).unwrap();
    assert!(green.contains("failures=\"0\" errors=\"0\""), "{green}");
    let outermost = green.lines().find(|line| line.starts_with("<testsuites")).unwrap();
    assert!(!outermost.contains("skipped"), "{outermost}");
    assert_eq!(fs::read_to_string(workplace.path("quality.json")).unwrap(), "[]\n");
    // Nothing is asked again, and every byte is the same.
    let asked = server.answered().len();
    let page = fs::read(workplace.path("check.md")).unwrap();
    let output = workplace.run(&[&check("better.json")[..], &["--offline"]].concat());
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(
        (server.answered().len(), fs::read(workplace.path("check.md")).unwrap()),
        (asked, page)
    );

    let output = workplace.run(&check("worse.json"));
    assert!(output.starts_with("exit 1"), "{output}");
    let red = fs::read_to_string(workplace.path("junit.xml")).unwrap();
    assert!(red.contains("type=\"regressed\""), "{red}");
    let page = fs::read_to_string(workplace.path("check.md")).unwrap();
    assert!(page.contains("The 10 worst prompts") && page.contains("A plain answer"), "{page}");
    assert!(fs::read_to_string(workplace.path("quality.json")).unwrap().contains("\"major\""));

    let refuse = |words: &str| {
        let output = workplace.run(&["check", "--candidate", "better.json"]);
        assert!(output.starts_with("exit 2") && output.contains(words), "{words}: {output}");
        // One clear message, and no table that looks green.
        assert!(!output.contains("no worse"), "{output}");
    };
    answers(&workplace, "old.json", 61);
    refuse("1 of 120 answers of the reference are others");
    answers(&workplace, "old.json", 60);
    workplace.edit("spyhop.toml", "\"pair-verdict\"", "\"pair-reasons\"");
    refuse("the judge was \"pair-verdict\" and is \"pair-reasons\"");
    workplace.edit("spyhop.toml", "\"pair-reasons\"", "\"pair-verdict\"");
    let lock = fs::read_to_string(workplace.path("spyhop.lock")).unwrap();
    fs::write(workplace.path("spyhop.lock"), lock.replacen("0.5", "1.0", 1)).unwrap();
    refuse("was edited");
    fs::write(workplace.path("spyhop.lock"), lock.replace("\"version\": 2", "\"version\": 7"))
        .unwrap();
    refuse("is a lock of version 7");
    fs::write(workplace.path("spyhop.lock"), &lock).unwrap();
    workplace.edit("spyhop.toml", "name = \"assistant\"", "name = \"other\"");
    refuse("the lock has no check \"other\"");
}

#[test]
fn a_judge_that_says_nothing_is_never_green() {
    let server = Server::new(|_, _| Act::Say("I cannot tell.", 0));
    let workplace = workplace();
    let output = workplace.run(&ad_hoc("better.json", &server.url, &[]));
    // The sixty identical answers are ties; the other half has no verdict.
    assert!(output.starts_with("exit 3"), "{output}");
    assert!(
        output.contains("60 of 120 judged prompts have a score, 50.0%, and 90.0% are wanted"),
        "{output}"
    );
    answers(&workplace, "old.json", 0);
    let output = workplace.run(&ad_hoc("better.json", &server.url, &[]));
    assert!(output.starts_with("exit 2"), "{output}");
    assert!(output.contains("none of 120 judged prompts has a verdict"), "{output}");
    fs::write(
        workplace.path("few.json"),
        r#"[{"instruction": "Q0", "output": "x", "generator": "m"}]"#,
    )
    .unwrap();
    let output = workplace.run(&ad_hoc("old.json", &server.url, &["--eval-set", "first-look"]));
    assert!(
        output.starts_with("exit 2") && output.contains("has no answer to 48 of 48"),
        "{output}"
    );
}

#[test]
fn a_judge_that_always_picks_the_first_is_never_green() {
    let server = Server::new(|_, _| Act::Say("Verdict: A", 0));
    let workplace = workplace();
    let output = workplace.run(&ad_hoc("worse.json", &server.url, &[]));
    assert!(output.starts_with("exit 3"), "{output}");
    assert!(output.contains("the same in both orders on 0.0% of 60 prompts"), "{output}");
}

#[test]
fn init_writes_a_file_that_check_reads() {
    let server = Server::new(fair);
    let workplace = workplace();
    let output = workplace.run(&["init", "--reference", "old.json", "--candidate", "worse.json"]);
    assert!(output.contains("48 prompts detect a drop of 16.6 points"), "{output}");
    let again = workplace.run(&["init"]);
    assert!(again.starts_with("exit 2") && again.contains("spyhop.toml exists"), "{again}");
    let output = workplace.run(&["init", "--out", "other.toml", "--format", "csv"]);
    assert!(
        output.contains("\nother.toml,48,16.57") && output.contains(",17.0,0.8,0.41\n"),
        "{output}"
    );
    workplace.edit("spyhop.toml", "eval_set = \"first-look\" ", "# ");
    let server_line = format!("server = {{ endpoints = [\"{}\"] }}", server.url);
    workplace.edit(
        "spyhop.toml",
        "# server = { endpoints = [\"http://127.0.0.1:8000/v1\"], concurrency = 16 }",
        &server_line,
    );
    let output = workplace.run(&["check"]);
    assert!(output.starts_with("exit 1"), "{output}");
    assert!(workplace.path(".spyhop/replies.sqlite").exists());
}
