//! How far a judge can be trusted: recorded verdicts, and a judge that is asked.
use std::fs;

use serde_json::Value;

use crate::{
    Workplace,
    server::{Act, Server},
};

const HUMAN: &str = r#"[
    {"idx": 0, "instruction": "Q0", "input": "", "response1": "short", "response2": "a longer answer than the other one here",
     "annotator1": 1, "annotator2": 1, "annotator3": 2},
    {"idx": 1, "instruction": "Q1", "input": "", "response1": "one", "response2": "- two\n- three",
     "annotator1": 2, "annotator2": 2, "annotator3": 2},
    {"idx": 2, "instruction": "Q2", "input": "", "response1": "a", "response2": "b",
     "annotator1": 0, "annotator2": 0, "annotator3": 1},
    {"idx": 3, "instruction": "Q3", "input": "", "response1": "c", "response2": "d",
     "annotator1": 1, "annotator2": 1, "annotator3": 1}
]"#;

const VERDICTS: &str = r#"[{"idx": 0, "x_result": "1"}, {"idx": 1, "x_result": 1},
    {"idx": 2, "x_result": "Tie"}, {"idx": 3, "x_result": "garbage"}]"#;

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    fs::write(workplace.path("human.json"), HUMAN).unwrap();
    fs::write(workplace.path("verdicts.json"), VERDICTS).unwrap();
    workplace
}

/// The value of a measure in what `--format json` printed.
fn value(output: &str, measure: &str) -> Value {
    let (stdout, _) = output.split_once("--- stderr\n").unwrap();
    let rows: Value = serde_json::from_str(stdout.split_once("--- stdout\n").unwrap().1).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["measure"] == measure).unwrap();
    row["value"].clone()
}

#[test]
fn recorded_verdicts_are_measured_without_asking() {
    let workplace = workplace();
    let args = ["judge-quality", "--human", "human.json", "--verdicts", "verdicts.json"];
    let output = workplace.run(&args);
    assert!(output.lines().all(|line| line.chars().count() <= 80), "{output}");
    insta::assert_snapshot!(output, @r"
    exit 0
    --- stdout
    judge: verdicts.json
    people: human.json
    4 pairs; people have a majority on 4, for one answer on 3; no verdict on 1

                                                 %     95% interval  pairs
    sides with the majority of people         50.0      [9.5, 90.5]      2
      the longer answer, as a judge           50.0     [15.4, 84.6]      3
    one person, with the majority of others   85.7     [6.7, 100.0]      3
      the judge, with the same majorities     25.0     [0.0, 100.0]      2
    same of three labels as the majority      66.7     [20.8, 93.9]      3
      Cohen's kappa                          0.500  [-0.111, 1.000]      3
      Krippendorff's alpha among people      0.500  [-0.100, 1.000]      4
    AlpacaEval's human agreement              66.7     [20.8, 93.9]      3
    AlpacaEval's bias                         33.3      [6.1, 79.2]      3
    AlpacaEval's variance                        -                -      -
      people                                  25.0      [7.1, 59.3]      4
    same verdict in both orders                  -                -      -
    answer shown first wins                      -                -      -
    prefers the longer answer                  0.0      [0.0, 79.3]      1
      people                                   0.0      [0.0, 79.3]      1
    prefers the answer with a list             0.0      [0.0, 79.3]      1
      people                                 100.0    [20.7, 100.0]      1

    This judge is weak: it is not shown to agree with people on at least 65%
    of pairs. Its verdicts prove the pipeline, not the model.
    --- stderr
    ");
}

#[test]
fn a_judge_that_always_says_the_first_is_weak() {
    let workplace = workplace();
    let server = Server::new(|_, _| Act::Say("Verdict: A", 0));
    let run = |judge: &str, more: &[&str]| {
        let args = ["judge-quality", "--human", "human.json", "--format", "json", "--judge", judge];
        workplace.run(&[&args[..], &["--endpoint", &server.url], more].concat())
    };
    let output = run("pair-verdict", &[]);
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(server.answered().len(), 8);
    for (measure, expected) in [
        ("pairs", 4.0),
        ("with_majority", 4.0),
        ("with_preference", 3.0),
        ("missing", 0.0),
        ("agreement", 50.0),
        ("order_consistency", 0.0),
        ("first_slot_rate", 100.0),
    ] {
        assert_eq!(value(&output, measure), expected, "{measure}");
    }
    assert_eq!(value(&output, "weak"), true);
    // Nothing is asked again, and another judge's rows do not pass for this one's.
    let again = run("pair-verdict", &["--offline"]);
    assert_eq!(value(&again, "agreement"), 50.0);
    let other = run("pair-levels", &["--offline"]);
    assert!(other.starts_with("exit 2") && other.contains("8 questions got no reply"), "{other}");
    assert_eq!(value(&other, "agreement"), Value::Null);
}

#[test]
fn what_does_not_fit_is_named() {
    let workplace = workplace();
    let run = |verdicts: &str| {
        fs::write(workplace.path("verdicts.json"), verdicts).unwrap();
        workplace.run(&["judge-quality", "--human", "human.json", "--verdicts", "verdicts.json"])
    };
    let output = run(r#"[{"idx": 0, "x": 1}]"#);
    assert!(output.contains("error: verdicts.json: item 1: expected PandaLM's keys"), "{output}");
    let output = run(r#"[{"idx": 9, "x_result": 1}]"#);
    assert!(output.contains("holds no verdict on any of the 4 pairs"), "{output}");
    let output = workplace.run(&["judge-quality", "--human", "human.json"]);
    assert!(output.starts_with("exit 2") && output.contains("--judge"), "{output}");
}
