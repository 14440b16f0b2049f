//! `spyhop report`: of one run, of several, and of files of judgments.
use std::fs;

use serde_json::Value;

use crate::{Workplace, copy};

/// A finished scripted run at `runs/scripted`, and what printing it says.
fn finished() -> Workplace {
    let workplace = Workplace::new();
    let output = workplace.run(&["run", "recipes/scripted.toml"]);
    assert!(output.starts_with("exit 0"), "{output}");
    workplace
}

#[test]
fn every_output_of_a_run_is_there_and_stays_the_same() {
    let workplace = finished();
    let report = workplace.path("runs/scripted/report");
    let read = |name: &str| fs::read(report.join(name)).unwrap();
    let names = [
        "index.html",
        "report.md",
        "report.json",
        "win_rates.csv",
        "win_rates.tex",
        "leaderboard.csv",
        "model_card.md",
        "plots/win_rate_by_iteration.svg",
        "plots/forest.png",
        "plots/outcomes.csv",
        "plots/cost.png",
    ];
    let first: Vec<Vec<u8>> = names.iter().map(|name| read(name)).collect();
    fs::remove_dir_all(&report).unwrap();
    assert!(workplace.run(&["report", "runs/scripted"]).starts_with("exit 0"));
    for (name, first) in names.iter().zip(first) {
        assert_eq!(read(name), first, "{name}");
    }
    let json: Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert_eq!(json["schema"], "spyhop report 1");
    assert_eq!(json["comparisons"].as_array().unwrap().len(), 5);
    let printed = workplace.run(&["report", "runs/scripted", "--format", "json"]);
    let printed = printed.split("--- stdout\n").nth(1).unwrap().split("--- stderr").next().unwrap();
    assert_eq!(serde_json::from_str::<Value>(printed).unwrap(), json);
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    assert!(text("win_rates.tex").contains("\\toprule"), "{}", text("win_rates.tex"));
    assert!(text("model_card.md").starts_with("---\nmodel-index:\n- name: \"scripted M2\"\n"));
    assert!(text("leaderboard.csv").starts_with(",win_rate,standard_error,n_wins,"));
    assert!(text("report.md").contains("![Win rates against all baselines](plots/forest.svg)"));
}

#[test]
fn one_plot_is_drawn_by_its_name() {
    let workplace = finished();
    let draw = |name: &str, out: &str| {
        workplace.run(&["report", "runs/scripted", "--plot", name, "--out", out])
    };
    assert_eq!(draw("forest", "a.png"), "exit 0\n--- stdout\n--- stderr\nplot: a.png\n");
    assert!(fs::read(workplace.path("a.png")).unwrap().starts_with(b"\x89PNG"));
    for kind in ["png", "svg", "csv"] {
        let out = format!("again.{kind}");
        draw("forest", &out);
        let beside = workplace.path(&format!("runs/scripted/report/plots/forest.{kind}"));
        assert_eq!(fs::read(workplace.path(&out)).unwrap(), fs::read(beside).unwrap());
    }
    let said = draw("pie", "a.png");
    assert!(
        said.starts_with("exit 2") && said.contains("the plots are win_rate_by_iteration, forest"),
        "{said}"
    );
    let said = draw("forest", "a.jpeg");
    assert!(
        said.starts_with("exit 2") && said.contains("name a .png, .svg or .csv file"),
        "{said}"
    );
}

#[test]
fn runs_stand_side_by_side_finished_or_not() {
    let workplace = finished();
    copy(&workplace.path("runs/scripted"), &workplace.path("runs/other"));
    copy(&workplace.path("runs/scripted"), &workplace.path("runs/begun"));
    let stages = fs::read_to_string(workplace.path("runs/begun/stages.jsonl")).unwrap();
    let begun: String = stages.lines().take(4).map(|line| format!("{line}\n")).collect();
    fs::write(workplace.path("runs/begun/stages.jsonl"), begun).unwrap();
    let runs = ["runs/scripted", "runs/other", "runs/begun"];
    let args = [&["report"][..], &runs[..], &["--compare", "--out", "both"][..]].concat();
    let said = workplace.run(&args);
    assert!(said.starts_with("exit 0"), "{said}");
    assert!(said.contains("other: 18 of 18 stages done\n"), "{said}");
    assert!(said.contains("begun: 4 of 18 stages done\n"), "{said}");
    assert!(said.ends_with("report: both/index.html\n"), "{said}");
    let text = fs::read_to_string(workplace.path("both/report.md")).unwrap();
    assert!(text.contains("| other less scripted, against base | M1 | 48 | 0.0 |"), "{text}");
    assert!(text.contains("| begun | 4 of 18 stages done |"), "{text}");
    let first = fs::read(workplace.path("both/index.html")).unwrap();
    workplace.run(&args);
    assert_eq!(fs::read(workplace.path("both/index.html")).unwrap(), first);
    // Without --compare, each has its own report again.
    let said = workplace.run(&["report", "runs/other", "runs/begun"]);
    assert!(said.contains("report: runs/other/report/index.html\n"), "{said}");
    assert!(said.contains("report: runs/begun/report/index.html\n"), "{said}");
}

#[test]
fn files_of_judgments_have_a_report_too() {
    let workplace = Workplace::new();
    let row = |number: usize, model: &str, preference: f64| {
        format!(
            r#"{{"instruction": "Do {number}.", "output_1": "one", "generator_1": "reference", "output_2": "two", "generator_2": "{model}", "dataset": "made", "annotator": "someone", "preference": {preference}}}"#
        )
    };
    for (model, wins) in [("good", 30), ("bad", 6)] {
        let rows: Vec<String> =
            (0..40).map(|i| row(i, model, if i < wins { 2.0 } else { 1.0 })).collect();
        fs::write(workplace.path(&format!("{model}.json")), format!("[{}]", rows.join(",")))
            .unwrap();
    }
    let said = workplace.run(&["report", "bad.json", "good.json"]);
    assert!(said.starts_with("exit 0"), "{said}");
    assert!(said.ends_with("report: report/index.html\n"), "{said}");
    let text = fs::read_to_string(workplace.path("report/report.md")).unwrap();
    assert!(text.contains("**Win rates against reference by someone.**\n\n2 models\n"), "{text}");
    assert!(text.contains("| bad minus good | 40 | −60.0 |"), "{text}");
    let board = fs::read_to_string(workplace.path("report/leaderboard.csv")).unwrap();
    let rows: Vec<&str> = board.lines().skip(1).collect();
    assert!(rows[0].starts_with("good,75,") && rows[1].starts_with("bad,15,"), "{board}");
}

#[test]
fn what_cannot_be_reported_together_is_refused() {
    let workplace = Workplace::new();
    fs::create_dir_all(workplace.path("run")).unwrap();
    fs::write(workplace.path("rows.json"), "[]").unwrap();
    for (args, expected) in [
        (&["report", "run", "rows.json"][..], "report runs and files of judgments apart"),
        (&["report", "rows.json", "--compare"], "--compare is for runs"),
        (&["report", "run", "run", "--out", "x"], "report one run, or --compare them"),
        (&["report", "run"], "is not a run directory"),
        (&["report", "run", "--plot", "forest"], "--out <PATH>"),
    ] {
        let said = workplace.run(args);
        assert!(said.starts_with("exit 2") && said.contains(expected), "{said}");
    }
}
