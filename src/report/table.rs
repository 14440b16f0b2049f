//! The win rates as plain text, for a terminal of 80 columns.
use super::{
    verdict,
    win_rates::{Comparison, WinRates},
    words,
};

/// The table, its differences, and the verdicts in words. Ends with a line end.
pub fn table(win_rates: &WinRates) -> String {
    let mut text = format!(
        "{}: {} of {} stages done\n",
        win_rates.name, win_rates.stages_done, win_rates.stages
    );
    if win_rates.comparisons.is_empty() {
        text.push_str("no comparison is finished yet\n");
        return text;
    }
    let header = ["model", "against", "n", "miss", "win %", "95%", "W/T/L", "order", "chars"]
        .map(str::to_owned)
        .to_vec();
    let rows = win_rates.comparisons.iter().map(row);
    text.push('\n');
    text.push_str(&aligned([header].into_iter().chain(rows).collect(), 2));
    if !win_rates.differences.is_empty() {
        let header = ["against base", "n", "points", "95%", "p", "p Holm", "detectable"]
            .map(str::to_owned)
            .to_vec();
        let rows = win_rates.differences.iter().map(|difference| {
            let paired = &difference.paired;
            vec![
                format!("{} minus {}", difference.candidate, difference.before),
                paired.difference.n.to_string(),
                words::points(paired.difference.point),
                words::points_interval(&paired.difference),
                words::p_value(paired.p),
                words::p_value(difference.p_holm),
                format!("{:.1}", 100.0 * paired.minimum_detectable),
            ]
        });
        text.push('\n');
        text.push_str(&aligned([header].into_iter().chain(rows).collect(), 1));
    }
    text.push('\n');
    text.push_str(&wrapped(&win_rates.judge, 80));
    for sentence in verdict::sentences(win_rates) {
        text.push_str(&wrapped(&sentence, 80));
    }
    // Terminals and log files may not know the minus sign.
    text.replace('\u{2212}', "-")
}

fn row(comparison: &Comparison) -> Vec<String> {
    let Comparison { wins, ties, losses, .. } = comparison;
    let characters = |value: Option<f64>| {
        value.map_or_else(|| words::NOT_APPLICABLE.into(), |value| format!("{value:.0}"))
    };
    let win_rate = comparison.win_rate.as_ref();
    vec![
        comparison.candidate.clone(),
        comparison.baseline.clone(),
        win_rate.map_or(0, |estimate| estimate.n).to_string(),
        comparison.missing.to_string(),
        win_rate.map_or_else(
            || words::NOT_APPLICABLE.into(),
            |estimate| format!("{:.1}", 100.0 * estimate.point),
        ),
        win_rate.map_or_else(|| words::NOT_APPLICABLE.into(), words::interval),
        format!("{wins}/{ties}/{losses}"),
        comparison.order_consistency.as_ref().map_or_else(
            || words::NOT_APPLICABLE.into(),
            |estimate| format!("{:.0}%", 100.0 * estimate.point),
        ),
        format!(
            "{}:{}",
            characters(comparison.candidate_characters),
            characters(comparison.baseline_characters)
        ),
    ]
}

/// Rows in columns as wide as their widest cell: the first `left` flush left, the others right.
pub(super) fn aligned(rows: Vec<Vec<String>>, left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| {
                    if column < left {
                        format!("{cell:<width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                })
                .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A sentence broken between words, later lines indented by two.
fn wrapped(sentence: &str, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            text.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}
