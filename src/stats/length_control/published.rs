//! The published length-controlled leaderboard, from its weights and from its annotations.
//!
//! These tests read files that are too large for the package, and pass where those are missing.
use std::{collections::HashMap, fs, path::Path};

use super::*;

/// The text of one file of AlpacaEval's data, or a line that says it is not there.
fn file(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/alpaca_eval").join(name);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("skipped: {} is not there", path.display());
    }
    text
}

/// The rows of a comma-separated table without quotes, by their first column; empty cells are `None`.
fn table(name: &str) -> Option<HashMap<String, Vec<Option<f64>>>> {
    let text = file(name)?;
    let row = |line: &str| {
        let (name, numbers) = line.split_once(',').unwrap();
        (name.to_owned(), numbers.split(',').map(|number| number.parse().ok()).collect())
    };
    Some(text.lines().skip(1).map(row).collect())
}

fn difficulties() -> Option<Vec<f64>> {
    let text = file("length_control/ae2_instruction_difficulty_recovered.csv")?;
    let difficulty = |line: &str| line.split(',').nth(1).unwrap().parse().unwrap();
    Some(text.lines().skip(1).map(difficulty).collect())
}

fn gamed() -> Option<GamedBaseline> {
    let sums: serde_json::Value =
        serde_json::from_str(&file("length_control/ae2_gamed_sufficient_stats.json")?).unwrap();
    let number = |key: &str| sums[key].as_f64().unwrap();
    let text = file("length_control/ae2_gamed_t_d.csv")?;
    let row = |line: &str| {
        let (length, difficulty) = line.split_once(',').unwrap();
        [length.parse().unwrap(), difficulty.parse().unwrap()]
    };
    Some(GamedBaseline {
        rows: text.lines().skip(1).map(row).collect(),
        label_sums: [number("S_t"), number("S_d")],
        weight: number("row_weight"),
    })
}

fn humpback() -> Option<Vec<Compared>> {
    let text = file("annotations/humpback-llama2-70b.weighted_alpaca_eval_gpt4_turbo.json")?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let characters =
        |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().chars().count() as f64;
    let prompts = rows.iter().zip(difficulties()?).map(|(row, difficulty)| Compared {
        score: row["preference"].as_f64().map(|preference| match preference {
            0.0 => 0.5,
            _ => preference - 1.0,
        }),
        length_difference: characters(row, "output_1") - characters(row, "output_2"),
        difficulty,
    });
    Some(prompts.collect())
}

/// The cost that the weights published for Humpback 70B imply.
const HUMPBACK_COST: f64 = 2.782_559_402_207_126;

#[test]
fn published_weights_give_the_published_leaderboard() {
    let (Some(weights), Some(leaderboard), Some(difficulties)) = (
        table("length_control/weights_baseline_gpt4_1106_preview.csv"),
        table("leaderboards/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"),
        difficulties(),
    ) else {
        return;
    };
    let (mut exact, mut errors) = (0, 0);
    for (model, weights) in &weights {
        let Some(row) = leaderboard.get(model) else { continue };
        let [length, difficulty, bias] = [0, 1, 2].map(|column| weights[column].unwrap());
        let predicted = from_weights(Weights { length, difficulty, bias }, &difficulties).unwrap();
        // The columns are win_rate, standard_error, n_wins, n_wins_base, n_draws, n_total,
        // discrete_win_rate, mode, avg_length, length_controlled_winrate, lc_standard_error.
        let Some(published) = row[9] else { continue };
        // The weights of two models are not those of their row, one is rounded, and rows with missing
        // annotations were averaged over fewer prompts.
        let tolerance = match (model.as_str(), row[5]) {
            ("dbrx-instruct" | "NullModel", _) => 0.2,
            ("zephyr-7b-alpha-ExPO", _) => 1e-7,
            (_, Some(805.0)) => 1e-8,
            _ => 0.0125,
        };
        let off = (100.0 * predicted.win_rate - published).abs();
        assert!(off < tolerance, "{model} is off by {off}");
        exact += usize::from(off < 1e-8);
        if let Some(published) = row.get(10).copied().flatten().filter(|_| tolerance == 1e-8) {
            let off = (100.0 * predicted.standard_error.unwrap() - published).abs();
            assert!(off < 1e-8, "the standard error of {model} is off by {off}");
            errors += 1;
        }
    }
    assert!(exact >= 188 && errors >= 30, "{exact} win rates and {errors} standard errors");
}

// The same rows in Python, with gamed labels y that have the two sums:
// scipy.optimize.lsq_linear(G.T, [S_t, S_d], bounds=(0, 1)).x; then scikit-learn's LogisticRegression
// as in the tests of `glm`.
#[test]
fn the_fit_gives_the_row_of_humpback() {
    let (Some(prompts), Some(gamed), Some(difficulties)) = (humpback(), gamed(), difficulties())
    else {
        return;
    };
    let close = |weights: Weights, expected: [f64; 3]| {
        let found = [weights.length, weights.difficulty, weights.bias];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-7, "{weights:?} is not {expected:?}");
        }
    };
    let weights = fit(&prompts, Some(&gamed), HUMPBACK_COST).unwrap();
    close(weights, [-1.962_646_772_4, 0.989_403_618_2, -2.181_558_417_5]);
    let win_rate = 100.0 * from_weights(weights, &difficulties).unwrap().win_rate;
    assert!((win_rate - 16.246_41).abs() < 1e-4 && (win_rate - 16.249_164).abs() < 0.02);
    let alone = fit(&prompts, None, COST).unwrap();
    close(alone, [-1.960_477_256_0, 1.107_709_049_4, -2.361_267_205_5]);
}

#[test]
fn the_published_standard_error_is_about_half_of_the_bootstrap() {
    let (Some(prompts), Some(gamed), Some(difficulties)) = (humpback(), gamed(), difficulties())
    else {
        return;
    };
    let result = length_controlled(&prompts, Some(&gamed), HUMPBACK_COST, 400, 1).unwrap();
    let published = from_weights(result.weights, &difficulties).unwrap().standard_error.unwrap();
    assert!((100.0 * published - 0.70).abs() < 0.01, "{published}");
    // 1.43 in 1,000 folds; a standard deviation from 400 folds is uncertain by 3.5%.
    assert!((100.0 * result.standard_error - 1.43).abs() < 0.2, "{result:?}");
}
