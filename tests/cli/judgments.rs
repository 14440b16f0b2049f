//! The verbs that work on judgments that exist.
use std::fs;

use serde_json::Value;

use crate::Workplace;

/// AlpacaEval annotations of 24 prompts: so many wins in twelve, and one verdict missing.
fn annotations(workplace: &Workplace, name: &str, model: &str, shift: usize, wins: usize) {
    let rows: Vec<String> = (0..24)
        .map(|i| {
            let preference = match (i * 5 + shift) % 12 {
                _ if i == 3 => "null".to_owned(),
                place if place < wins => "2".to_owned(),
                place if place == wins => "1.5".to_owned(),
                _ => "1".to_owned(),
            };
            let (dataset, answer) = (["easy", "hard"][i % 2], "y".repeat(5 + (i * 7 + shift) % 11));
            format!(
                r#"{{"instruction":"Q{i}","output_1":"{}","generator_1":"base","dataset":"{dataset}","output_2":"{answer}!","generator_2":"{model}","annotator":"judge","preference":{preference}}}"#,
                "x".repeat(8 + i % 5)
            )
        })
        .collect();
    fs::write(workplace.path(name), format!("[{}]", rows.join(",\n"))).unwrap();
}

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    annotations(&workplace, "one.json", "one", 0, 8);
    annotations(&workplace, "two.json", "two", 1, 5);
    workplace
}

fn stdout(output: &str) -> &str {
    let (stdout, _) = output.split_once("--- stderr\n").unwrap();
    stdout.split_once("--- stdout\n").unwrap().1
}

#[test]
fn score_reads_well() {
    let workplace = workplace();
    insta::assert_snapshot!(workplace.run(&["score", "one.json"]), @r#"
    exit 0
    --- stdout
    against base, judged by judge
    model   n  miss  win %           95%  LC %           95%  place  chars
    one    23     1   69.6  [50.2, 83.8]  69.1  [46.6, 85.1]      -     10
    --- stderr
    note: one: prompts without a score: 1; with all of them lost the win rate is 66.7%, with all won 70.8%
    note: one: length-controlled by spyhop's regression, without difficulties
    note: one: no position bias: the order of the answers is not known
    "#);
}

#[test]
fn score_has_the_promised_keys_in_percent() {
    let workplace = workplace();
    let output = workplace.run(&["score", "one.json", "two.json", "--format", "json"]);
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(rows.len(), 2);
    let promised = "model win_rate standard_error ci_low ci_high n_wins n_wins_base n_draws n_total \
        discrete_win_rate avg_length length_controlled_win_rate lc_standard_error lc_ci_low \
        lc_ci_high missing worst_case_win_rate best_case_win_rate";
    let keys: Vec<&str> = rows[0].keys().map(String::as_str).collect();
    assert_eq!(keys[..18].join(" "), promised);
    let number = |name: &str| rows[0][name].as_f64().unwrap();
    let (wins, draws, total) = (number("n_wins"), number("n_draws"), number("n_total"));
    assert!((number("win_rate") - 100.0 * (wins + draws / 2.0) / total).abs() < 1e-9);
    assert_eq!((total, number("missing")), (23.0, 1.0));
    let worst = 100.0 * (wins + draws / 2.0) / 24.0;
    assert!((number("worst_case_win_rate") - worst).abs() < 1e-9);
    assert_eq!(rows[0]["order_consistency"], Value::Null);
    assert!(output.contains("the order of the answers is not known"), "{output}");
}

#[test]
fn the_order_of_the_rows_and_a_repetition_change_no_byte() {
    let workplace = workplace();
    let args = ["score", "one.json", "--format", "json"];
    let first = workplace.run(&args);
    assert_eq!(workplace.run(&args), first);
    let text = fs::read_to_string(workplace.path("one.json")).unwrap();
    let mut rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    rows.reverse();
    fs::write(workplace.path("one.json"), serde_json::to_string(&rows).unwrap()).unwrap();
    assert_eq!(workplace.run(&args), first);
}

#[test]
fn the_directory_of_a_run_stands_for_its_judgments() {
    let workplace = Workplace::new();
    workplace.run(&["run", "recipes/scripted.toml"]);
    let output = workplace.run(&["score", "runs/scripted", "--format", "csv"]);
    let report = fs::read_to_string(workplace.path("runs/scripted/report/win_rates.csv")).unwrap();
    let rates = |text: &str, model: usize, rate: usize, scale: f64| {
        let mut rates: Vec<(String, i64)> = Vec::new();
        for line in text.lines().skip(1).filter(|line| line.contains("M") && line.contains("base"))
        {
            let cells: Vec<&str> = line.split(',').collect();
            // Rows of the report's slices name a dataset.
            if scale == 1.0 || cells[2].is_empty() {
                let rate = cells[rate].parse::<f64>().unwrap() * scale;
                rates.push((cells[model].to_owned(), (rate * 1e3).round() as i64));
            }
        }
        rates
    };
    let ours = rates(stdout(&output), 0, 1, 1.0);
    assert_eq!(ours.len(), 3);
    assert_eq!(ours, rates(&report, 0, 5, 100.0));
}

#[test]
fn compare_reads_well() {
    let workplace = workplace();
    insta::assert_snapshot!(
        workplace.run(&["compare", "one.json", "two.json", "--margin", "5", "--anytime"]), @r#"
    exit 0
    --- stdout
    win rate against base: candidate minus one, which has a score for 23 of 24 prompts

    candidate   n  points            95%     r      p  p Holm  McNemar   MDE
    two        23   -26.1  [-47.7, -1.5]  0.22  0.064   0.064    0.289  33.0

    two, by dataset
    dataset   n  points            95%      r      p  p Holm  McNemar   MDE
    easy     12   -33.3  [-54.4, -8.3]   0.61  0.031   0.062    0.500  33.0
    hard     11   -18.2  [-54.9, 24.4]  -0.07  0.688   0.688    0.688  56.6

    two: no difference shown; a true difference of 33.0 points would be found four times in five
      at a margin of 5 points: inconclusive (p of no worse 0.952, of equivalent 0.952)
      however often one has looked: [-50.4, 13.4]
    --- stderr
    "#);
}

#[test]
fn several_candidates_are_corrected_for() {
    let workplace = workplace();
    annotations(&workplace, "three.json", "three", 7, 7);
    let output =
        workplace.run(&["compare", "one.json", "two.json", "three.json", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(stdout(&output)).unwrap();
    // Each candidate over all prompts and in two datasets.
    assert_eq!(rows.len(), 6);
    for row in rows.iter().filter(|row| row["dataset"].is_null()) {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert!(number("p_holm") >= number("p_sign_flip"));
        assert!(number("best_of_low") < number("difference"));
    }
}

#[test]
fn two_judgings_of_one_model_are_told_apart_by_their_files() {
    let workplace = workplace();
    annotations(&workplace, "again.json", "one", 2, 7);
    let output = workplace.run(&["compare", "one.json", "again.json", "--format", "csv"]);
    assert!(output.contains("\nagain.json,one.json,base,judge,,23,"), "{output}");
}

#[test]
fn rank_puts_all_on_one_scale() {
    let workplace = workplace();
    let output = workplace.run(&["rank", "one.json", "two.json", "--folds", "200"]);
    insta::assert_snapshot!(output, @r#"
    exit 0
    --- stdout
    model  rank  95%   Elo           95%  win %           95%   n
    one       1  1-2  1110  [1015, 1204]   72.1  [53.2, 84.8]  23
    base      2  1-3   967   [889, 1043]   43.5  [29.4, 58.7]  23
    two       3  2-3   922   [832, 1014]   34.4  [20.5, 52.9]  23
    --- stderr
    46 verdicts on 23 prompts
    note: 2 looks have no verdict and count nowhere
    note: no order term: the order is not known, or cannot be told from the strengths
    "#);
}

#[test]
fn a_leaderboard_shows_the_model_among_the_others() {
    let workplace = workplace();
    let published = ",win_rate,standard_error,n_total,mode,avg_length\nbest,90.5,1.0,24,minimal,100\nlast,10,1,24,verified,7\n";
    fs::write(workplace.path("published.csv"), published).unwrap();
    let args = ["leaderboard", "one.json", "--published", "published.csv", "--out", "board.csv"];
    insta::assert_snapshot!(workplace.run(&args), @r#"
    exit 0
    --- stdout
    model   rank  win %    SE  LC %  chars
      best     1  90.50  1.00     -    100
    > one      2  69.57  9.29     -     10
      last     3  10.00  1.00     -      7
    --- stderr
    note: one: length_controlled_winrate stays empty: AlpacaEval's is by its own regression (--lc-weights or --lc-gamed)
    leaderboard: board.csv, 3 models
    "#);
    let board = fs::read_to_string(workplace.path("board.csv")).unwrap();
    assert!(board.contains("\nbest,90.5,1.0,24,minimal,100,"), "{board}");
}

#[test]
fn convert_says_what_is_lost() {
    let workplace = workplace();
    let output = workplace.run(&["convert", "one.json", "--to", "spyhop", "--out", "own.jsonl"]);
    insta::assert_snapshot!(output, @r#"
    exit 0
    --- stdout
    own.jsonl: 24 rows of spyhop judgments, from 24 rows
    --- stderr
    note: spyhop judgments do not hold that the order is unknown: lost in 24 rows
    note: spyhop judgments do not hold the answers: lost in 24 rows
    note: spyhop judgments do not hold the instruction (the row has its hash): lost in 24 rows
    note: spyhop judgments do not hold the judge's name: lost in 24 rows
    "#);
    let scored = |name: &str| {
        let output = workplace.run(&["score", name, "--format", "json", "--lc-folds", "0"]);
        let rows: Vec<Value> = serde_json::from_str(stdout(&output)).unwrap();
        rows[0]["win_rate"].clone()
    };
    assert_eq!(scored("own.jsonl"), scored("one.json"));
    let again = ["convert", "one.json", "--to", "spyhop", "--out", "own.jsonl", "--format", "json"];
    let output = workplace.run(&again);
    let rows: Vec<Value> = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&rows[0]["rows_in"], &rows[0]["rows_out"]), (&24.into(), &24.into()));
    assert_eq!(rows[0]["lost"]["the answers"], 24);
    let output =
        workplace.run(&["convert", "one.json", "--to", "fastchat", "--out", "pairs.jsonl"]);
    assert!(output.starts_with("exit 2") && output.contains("one.json: row"), "{output}");
    assert!(!workplace.path("pairs.jsonl").exists());
    assert!(!workplace.path("pairs.jsonl.partial").exists());
}

#[test]
fn mistakes_exit_with_2_and_say_where() {
    let workplace = workplace();
    let check = |args: &[&str], expected: &str| {
        let output = workplace.run(args);
        assert!(output.starts_with("exit 2") && output.contains(expected), "{output}");
        assert!(stdout(&output).is_empty(), "{output}");
    };
    let text = fs::read_to_string(workplace.path("one.json")).unwrap();
    fs::write(workplace.path("twice.json"), text.replace("\"Q2\"", "\"Q1\"")).unwrap();
    fs::write(workplace.path("odd.json"), text.replacen("\"preference\":2", "\"preference\":3", 1))
        .unwrap();
    fs::write(workplace.path("cut.json"), &text[..text.len() / 2]).unwrap();
    check(&["score", "none.json"], "cannot read none.json");
    check(
        &["score", "twice.json"],
        "twice.json: row 3 (line 3): the prompt of row 2 is judged again",
    );
    check(&["score", "odd.json"], "odd.json: row 1 (line 1): preference is 3: expected 1");
    check(&["score", "cut.json"], "the file ends within this row");
    check(&["score", "one.json", "--against", "other"], "the baselines are base");
    check(&["score", "one.json", "--judge", "other"], "the judges are judge");
    check(&["score", "one.json", "--lc-gamed", "none.csv"], "cannot read none.csv");
    check(&["compare", "one.json#three", "two.json"], "it has one against base");
    check(&["compare", "one.json", "two.json", "--margin", "0"], "--margin");
    check(&["rank", "one.json", "--folds", "3"], "100 or more");
    check(&["leaderboard", "one.json", "--published", "one.json", "--out", "x.csv"], "one.json");
}
