//! Our numbers against those that AlpacaEval publishes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use spyhop::{
    exchange::{Answers, Ledger, python_random},
    record::Order,
    scoring::{self, Control, Method, Published, Rule, prompt_scores, standings},
    stats, watch,
};

/// AlpacaEval's data, which this project does not contain; `None`, said aloud, where it is missing.
fn alpaca_eval(place: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/alpaca_eval").join(place);
    if !path.exists() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {} is not here", path.display());
        }
        return None;
    }
    Some(path)
}

const RULE: Rule = Rule { consistent: false, strong_weight: 3.0 };

fn read(path: &Path) -> Ledger {
    Ledger::read(&[path.to_owned()], &Answers::default(), false, &watch::nobody).unwrap()
}

/// A leaderboard's rows: column to cell, by model.
fn leaderboard(path: &Path) -> HashMap<String, HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        let cells = header.iter().zip(record.iter());
        (
            record[0].to_owned(),
            cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect(),
        )
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found} is not {expected}");
}

// The counts, win rates and standard errors of all 102 rows of
// src/alpaca_eval/leaderboards/data_AlpacaEval/alpaca_eval_gpt4_leaderboard.csv in
// tatsu-lab/alpaca_eval at commit cd543a1. The standard errors of three rows were not made of their
// counts: counting the draws of the two Humpbacks as losses comes near theirs.
#[test]
fn counts_alone_give_every_win_rate_and_error_of_the_first_leaderboard() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alpaca_eval_gpt4_counts.csv");
    let board = leaderboard(&path);
    assert_eq!(board.len(), 102);
    for (model, row) in board {
        let count = |name: &str| row[name].parse::<usize>().unwrap();
        let (wins, losses, draws) = (count("n_wins"), count("n_wins_base"), count("n_draws"));
        assert_eq!(wins + losses + draws, count("n_total"), "{model}");
        let scores = [vec![1.0; wins], vec![0.0; losses], vec![0.5; draws]].concat();
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        let win_rate = 100.0 * stats::mean(&scores).unwrap().point;
        close(win_rate, number("win_rate"), 1e-8, &model);
        let tolerance = match model.as_str() {
            "humpback-llama2-70b" | "humpback-llama-65b" | "baize-v2-7b" => 0.01,
            _ => 1e-8,
        };
        let standard_error = 100.0 * stats::standard_error(&scores).unwrap();
        close(standard_error, number("standard_error"), tolerance, &model);
    }
}

/// Every file `<model>.<judge>.json` among the annotations, with its row of the judge's leaderboard.
#[test]
fn annotations_give_the_rows_of_their_leaderboards() {
    let Some(annotations) = alpaca_eval("annotations") else { return };
    let mut seen = 0;
    for entry in fs::read_dir(annotations).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (model, judge) = stem.rsplit_once('.').unwrap();
        let Some(board) = alpaca_eval(&format!("leaderboards/{judge}_leaderboard.csv")) else {
            continue;
        };
        let row = &leaderboard(&board)[model];
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        let ledger = read(&path);
        let found = standings(&ledger, &RULE, |_| None);
        assert_eq!(found.len(), 1, "{model}");
        let standing = &found[0].standing;
        close(100.0 * standing.win_rate.unwrap().point, number("win_rate"), 1e-8, model);
        close(100.0 * standing.standard_error.unwrap(), number("standard_error"), 1e-8, model);
        close(
            100.0 * standing.discrete_win_rate().unwrap(),
            number("discrete_win_rate"),
            1e-8,
            model,
        );
        for (count, name) in [
            (standing.wins, "n_wins"),
            (standing.losses, "n_wins_base"),
            (standing.ties, "n_draws"),
            (standing.total, "n_total"),
        ] {
            assert_eq!(count as f64, number(name), "{model}: {name}");
        }
        assert_eq!(f64::from(standing.average_length.unwrap()), number("avg_length"), "{model}");
        seen += 1;
    }
    assert!(seen >= 4);
}

const HUMPBACK: &str = "annotations/humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json";

#[test]
fn the_replies_betray_the_seeded_order_on_all_805_rows() {
    let Some(path) = alpaca_eval(HUMPBACK) else { return };
    let ledger = read(&path);
    assert_eq!((ledger.notes[0].order_known, ledger.notes[0].order_seeded), (805, 805));
    let first = ledger.looks.iter().filter(|look| look.order == Some(Order::CandidateFirst));
    assert_eq!(first.count(), 406);
}

// Vectors of CPython, made with random.Random(seed).random().
#[test]
fn random_numbers_are_those_of_python() {
    let Some(path) = alpaca_eval("length_control/py_random_seed_vectors.json") else { return };
    let vectors: Vec<HashMap<String, Value>> =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(vectors.len() >= 5);
    for vector in vectors {
        let seed = vector["seed"].as_str().unwrap();
        let expected: f64 = vector["random"].as_str().unwrap().parse().unwrap();
        let found = python_random(seed.as_bytes());
        assert_eq!(found, expected, "{seed:?}");
        assert_eq!(vector["switch"].as_bool(), Some(found >= 0.5), "{seed:?}");
    }
}

#[test]
fn the_published_length_control_is_reproduced_from_files() {
    let (Some(path), Some(weights), Some(difficulty), Some(gamed), Some(sums)) = (
        alpaca_eval(HUMPBACK),
        alpaca_eval("length_control/weights_baseline_gpt4_1106_preview.csv"),
        alpaca_eval("length_control/ae2_instruction_difficulty_recovered.csv"),
        alpaca_eval("length_control/ae2_gamed_t_d.csv"),
        alpaca_eval("length_control/ae2_gamed_sufficient_stats.json"),
    ) else {
        return;
    };
    let ledger = read(&path);
    let scores = prompt_scores(&ledger, 0, &RULE);
    let control = Control { folds: 100, seed: 1 };
    let difficulty = Some(scoring::difficulty(&difficulty).unwrap());
    let by_weights = Published {
        weights: scoring::weights(&weights).unwrap(),
        difficulty: difficulty.clone(),
        ..Published::default()
    };
    let found =
        scoring::control("humpback-llama2-70b", &scores, &[], &by_weights, control).unwrap();
    assert_eq!((found.method, found.interval), (Method::Weights, None));
    close(100.0 * found.win_rate, 16.249_164_231_428_974, 1e-8, "by weights");
    let refit = Published {
        difficulty,
        gamed: Some(scoring::gamed(&gamed, Some(&sums)).unwrap()),
        ..Published::default()
    };
    let found = scoring::control("humpback-llama2-70b", &scores, &[], &refit, control).unwrap();
    close(100.0 * found.win_rate, 16.249_164_231_428_974, 0.02, "fitted anew");
    assert!(found.interval.unwrap().includes(0.1625));
}

// The project holds a few rows of the leaderboards itself, for its reports to mark.
#[test]
fn a_report_of_annotations_agrees_with_the_leaderboards() {
    let Some(annotations) = alpaca_eval("annotations") else { return };
    let Some(leaderboards) = alpaca_eval("leaderboards") else { return };
    let mut files: Vec<PathBuf> =
        fs::read_dir(annotations).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let ledger = Ledger::read(&files, &Answers::default(), false, &watch::nobody).unwrap();
    let scored = standings(&ledger, &RULE, |_| None);
    let report = spyhop::report::Report::of_judgments(&ledger, &RULE, &scored).unwrap();
    let json: Value = serde_json::from_str(report.text("report.json").unwrap()).unwrap();
    let rows = json["standings"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let judge = row["judge"].as_str().unwrap();
        let board = leaderboard(&leaderboards.join(format!("{judge}_leaderboard.csv")));
        let model = row["model"].as_str().unwrap();
        let cell = |column: &str| board[model][column].parse::<f64>().unwrap();
        close(100.0 * row["win_rate"]["point"].as_f64().unwrap(), cell("win_rate"), 1e-8, model);
        let error = row["standard_error"].as_f64().unwrap();
        close(100.0 * error, cell("standard_error"), 1e-8, model);
        let published = &row["published"];
        close(100.0 * published["win_rate"].as_f64().unwrap(), cell("win_rate"), 1e-4, model);
        assert_eq!(published["n"].as_f64().unwrap(), cell("n_total"), "{model}");
        assert_eq!(row["win_rate"]["n"].as_f64().unwrap(), cell("n_total"), "{model}");
    }
    let forest =
        String::from_utf8(report.plot("forest", spyhop::report::Picture::Csv).unwrap()).unwrap();
    assert!(forest.contains("guanaco-65b,from these files,71.801242,"), "{forest}");
    assert!(forest.contains("guanaco-65b,\"published, not measured here\",71.801200,"), "{forest}");
}

#[test]
fn the_rows_that_the_project_holds_are_those_of_the_leaderboards() {
    let Some(leaderboards) = alpaca_eval("leaderboards") else { return };
    let held = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/published/leaderboards.csv");
    let mut reader = csv::Reader::from_path(held).unwrap();
    let header = reader.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let mut rows = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let cell = |name: &str| record[place(name)].to_owned();
        let board = leaderboard(&leaderboards.join(format!("{}_leaderboard.csv", cell("judge"))));
        let model = cell("model");
        for (ours, theirs) in [
            ("win_rate", "win_rate"),
            ("standard_error", "standard_error"),
            ("n", "n_total"),
            ("length_controlled", "length_controlled_winrate"),
        ] {
            match cell(ours).parse::<f64>() {
                Ok(number) => close(number, board[&model][theirs].parse().unwrap(), 6e-5, &model),
                Err(_) => assert_eq!(board[&model][theirs], "", "{model} {ours}"),
            }
        }
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
}
