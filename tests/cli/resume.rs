//! A run that is killed, however often and wherever, ends with the rows of one that was not.
use std::{collections::BTreeMap, fs, path::Path, process::Stdio, thread, time::Duration};

use crate::{Workplace, copy};

/// Every row file of a run, but for the records of time.
fn rows(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![run.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(run).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                directories.push(path);
            } else if name != "stages.jsonl"
                && !name.starts_with("report/index")
                && name != "report/report.md"
                && !name.starts_with("report/plots/cost")
            {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn assert_same(
    expected: &BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Vec<u8>>,
    when: &str,
) {
    let names = |rows: &BTreeMap<String, Vec<u8>>| rows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{when}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} differs {when}");
    }
}

#[test]
fn killed_at_any_moment_it_ends_with_the_same_rows() {
    let workplace = Workplace::new();
    // Slow enough that kills land in every stage.
    let script = workplace.path("recipes/scripted/script.toml");
    let text = fs::read_to_string(&script).unwrap();
    let settings = "delay_milliseconds = 4\nlog = \"asked.log\"\n";
    fs::write(&script, format!("{settings}{text}")).unwrap();
    let log = workplace.path("recipes/scripted/asked.log");
    workplace.run(&["run", "recipes/scripted.toml", "--out", "whole"]);
    let expected = rows(&workplace.path("whole"));
    assert!(expected.contains_key("M2/judgments-previous.jsonl"));
    let needed = fs::read_to_string(&log).unwrap().lines().count();
    assert!(needed > 500);
    fs::remove_file(&log).unwrap();

    let mut kills = 0;
    let finished = loop {
        let mut child = workplace
            .command(&["run", "recipes/scripted.toml", "--out", "killed"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over the run: 130, 167, 204, ... milliseconds, and a little later each time, so
        // that a slow machine comes to its end too.
        thread::sleep(Duration::from_millis(
            130 + 37 * (kills % 7) + 2 * kills + kills * kills / 40,
        ));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(kills < 300, "the run does not get on");
    };
    assert!(finished.success());
    assert!(kills >= 5, "only {kills} kills: the script is too fast for this test");
    assert_same(&expected, &rows(&workplace.path("killed")), &format!("after {kills} kills"));

    // Each question once, but for those whose row a kill prevented: at most the two of one rating.
    let asked = fs::read_to_string(&log).unwrap().lines().count();
    let most = needed + 2 * kills as usize;
    assert!((needed..=most).contains(&asked), "{asked} questions for {needed}, {kills} kills");
}

#[test]
fn every_stage_resumes_from_a_torn_row() {
    let workplace = Workplace::new();
    workplace.run(&["run", "recipes/scripted.toml", "--out", "whole"]);
    let whole = workplace.path("whole");
    let expected = rows(&whole);
    let stages = fs::read_to_string(whole.join("stages.jsonl")).unwrap();
    let cut = workplace.path("cut");
    for (number, line) in stages.lines().enumerate() {
        let stage: serde_json::Value = serde_json::from_str(line).unwrap();
        let stage = stage["id"].as_str().unwrap();
        let file = match stage.rsplit_once('/') {
            None if stage == "augment" => "augmented.jsonl".to_owned(),
            None => continue,
            Some((_, "finetune")) => continue,
            Some((model, "generate")) => format!("{model}/completions.jsonl"),
            Some((model, "curate")) => format!("{model}/ratings.jsonl"),
            Some((model, judge)) => {
                format!("{model}/{}.jsonl", judge.replace("judge", "judgments"))
            }
        };
        // In the middle of a row, half way through the file; and the stage's record torn as well.
        let _ = fs::remove_dir_all(&cut);
        copy(&whole, &cut);
        let before: Vec<&str> = stages.lines().take(number).collect();
        fs::write(cut.join("stages.jsonl"), format!("{}\n{}", before.join("\n"), &line[..9]))
            .unwrap();
        let bytes = &expected[&file];
        fs::write(cut.join(&file), &bytes[..bytes.len() / 2]).unwrap();
        let output = workplace.run(&["run", "recipes/scripted.toml", "--out", "cut"]);
        assert!(output.starts_with("exit 0"), "{output}");
        assert_same(&expected, &rows(&cut), &format!("after a cut in {file}"));
    }
}

#[test]
fn a_finished_run_says_so_and_does_nothing() {
    let workplace = Workplace::new();
    let first = workplace.run(&["run", "recipes/scripted.toml"]);
    let stages = fs::read(workplace.path("runs/scripted/stages.jsonl")).unwrap();
    let again = workplace.run(&["run", "recipes/scripted.toml"]);
    assert_eq!(stages, fs::read(workplace.path("runs/scripted/stages.jsonl")).unwrap());
    assert!(!first.contains("nothing left to do"), "{first}");
    assert!(again.contains("nothing left to do"), "{again}");
    let table = |text: &str| text.split("--- stderr").next().unwrap().to_owned();
    assert_eq!(table(&first), table(&again));
}
