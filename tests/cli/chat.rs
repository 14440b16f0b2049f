//! Talking to a model, and measuring one.
use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
};

use crate::{Workplace, copy, tiny};

impl Workplace {
    /// Runs a verb with these lines on stdin: exit code, stdout, stderr.
    fn with_lines(&self, args: &[&str], lines: &str) -> (i32, String, String) {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// What the tiny model replies, a line each.
    fn chat(&self, args: &[&str], lines: &str) -> Vec<String> {
        let args = [&["chat", "tiny", "--max-new-tokens", "9"], args].concat();
        let (code, stdout, stderr) = self.with_lines(&args, lines);
        assert_eq!(code, 0, "{stderr}");
        stdout.lines().map(str::to_owned).collect()
    }
}

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    tiny::write(&workplace.path("tiny"));
    workplace
}

#[test]
fn a_piped_conversation_has_replies_on_stdout_and_nothing_else() {
    let workplace = workplace();
    let replies = workplace.chat(&[], "w1 w2 w3\n\nw4 w5\n");
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert!(replies.iter().all(|reply| !reply.contains(['>', '<', '/'])), "{replies:?}");
    assert_eq!(workplace.chat(&[], "w1 w2 w3\nw4 w5\n"), replies);
    // The last line may lack its end.
    assert_eq!(workplace.chat(&[], "w1 w2 w3\nw4 w5"), replies);
    assert_ne!(workplace.chat(&["--seed", "1"], "w1 w2 w3\nw4 w5\n"), replies);
}

#[test]
fn a_conversation_remembers_until_it_is_reset() {
    let workplace = workplace();
    let greedy = ["--temperature", "0"];
    let replies = workplace.chat(&greedy, "w1 w2\nw1 w2\n/reset\nw1 w2\n");
    assert_eq!(replies.len(), 3);
    assert_ne!(replies[0], replies[1]);
    assert_eq!(replies[0], replies[2]);
    // Of all tokens the likeliest is left.
    assert_eq!(workplace.chat(&["--top-k", "1"], "w1 w2\n")[0], replies[0]);
    let told = workplace.chat(&[&greedy[..], &["--system", "w9 w8"]].concat(), "w1 w2\n");
    assert_ne!(told[0], replies[0]);
    let replies = workplace.chat(&greedy, "w3\n/system w9 w8\nw1 w2\n/system\nw3\n");
    assert_eq!(replies[1], told[0]);
    assert_eq!(replies[0], replies[2]);
}

#[test]
fn a_model_of_a_run_is_asked_as_the_run_asked_it() {
    let workplace = workplace();
    fs::create_dir_all(workplace.path("run/M1")).unwrap();
    copy(&workplace.path("tiny"), &workplace.path("run/M1/checkpoint"));
    fs::copy(workplace.path("recipes/quickstart.toml"), workplace.path("run/recipe.toml")).unwrap();
    workplace.edit(
        "run/recipe.toml",
        "[finetune]",
        "[tags]\nseed = \"w9\"\naugmented = \"w8\"\n\n[finetune]",
    );
    let chat = |model: &str, args: &[&str]| {
        let fixed = ["chat", model, "--max-new-tokens", "9", "--temperature", "0"];
        workplace.with_lines(&[&fixed[..], args].concat(), "w1 w2\n")
    };
    let (_, of_run, stderr) = chat("run/M1", &[]);
    assert_eq!(of_run, chat("tiny", &["--system", "w9 w8"]).1, "{stderr}");
    assert_eq!(chat("run/M1", &["--system", ""]).1, chat("tiny", &[]).1);
    assert_ne!(of_run, chat("tiny", &[]).1);
}

#[test]
fn what_cannot_be_talked_to_is_an_error() {
    let workplace = workplace();
    let check = |args: &[&str], lines: &str, expected: &str| {
        let (code, stdout, stderr) = workplace.with_lines(args, lines);
        assert_eq!((code, stderr.matches("error: ").count()), (2, 1), "{stderr}");
        assert!(stderr.contains(expected), "no {expected:?} in {stderr}");
        stdout
    };
    check(&["chat", "absent"], "", "no file \"absent\"");
    check(&["chat", "recipes/scripted.toml"], "", "recipes/scripted.toml");
    check(&["chat", "text-davinci-003"], "", "has no weights");
    check(&["chat", "tiny", "--top-p", "2"], "", "top_p above 0");
    check(&["chat", "tiny"], "/stop\n", "there is no command /stop");
    // Three tokens frame each turn, and the context holds 256.
    let long = format!("w1\n{}\n", "w2 ".repeat(250));
    let said = check(&["chat", "tiny", "--max-new-tokens", "9"], &long, "/reset starts anew");
    assert_eq!(said.lines().count(), 1, "{said}");
    let output = workplace.run(&["run", "recipes/scripted.toml"]);
    assert!(output.starts_with("exit 0"), "{output}");
    check(&["chat", "runs/scripted/M1/checkpoint"], "", "scripted");
}

#[test]
fn a_bench_prints_a_table_that_fits_or_one_object() {
    let workplace = workplace();
    fs::write(workplace.path("text"), "w1 w2 w3 ".repeat(50)).unwrap();
    let args = ["bench", "tiny", "--repetitions", "2", "--requests", "1,3", "--text", "text"];
    let output = workplace.run(&args);
    assert!(output.starts_with("exit 0"), "{output}");
    let (stdout, _) = output.split_once("--- stderr\n").unwrap();
    for row in ["train 4x256", "prefill 256", "decode 1", "decode 3"] {
        let lines: Vec<&str> = stdout.lines().filter(|line| line.starts_with(row)).collect();
        assert_eq!(lines.len(), if row.starts_with("train") { 2 } else { 4 }, "{stdout}");
    }
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    let (_, json, _) = workplace.with_lines(&[&args[..], &["--format", "json"]].concat(), "");
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["speed"].as_array().unwrap().len(), 14);
    assert!(object["speed"][0]["tokens_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(object["fidelity"][1]["products"], "int8");
    assert!(object["fidelity"][1]["kl_divergence"].as_f64().unwrap() > 0.0);
}
