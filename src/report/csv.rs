//! `win_rates.csv`: the table for other programs. Shares lie in [0, 1]; an empty field is a number
//! that does not exist, such as the order consistency of a judge that sees no order.
//!
//! | column | meaning |
//! |---|---|
//! | `candidate`, `baseline` | the models compared |
//! | `dataset` | the slice of the eval set; empty: all of it |
//! | `n` | prompts with a score |
//! | `missing` | prompts without one: not answered, not judged, or with an unreadable verdict |
//! | `win_rate`, `lower`, `upper` | mean score of a prompt and its 95% interval |
//! | `if_missing_lose`, `if_missing_win` | the mean score with every missing verdict so counted |
//! | `wins`, `ties`, `losses` | prompts with a score above, at, below 1/2 |
//! | `p`, `p_holm` | sign-flip p-value against 1/2; corrected for all comparisons of the run |
//! | `order_consistency`, with `_lower`, `_upper`, `_n` | share of prompts judged alike in both orders |
//! | `first_position`, with `_lower`, `_upper`, `_n` | share won by the answer shown first |
//! | `candidate_characters`, `baseline_characters` | mean length of an answer |
//! | `candidate_truncated`, `baseline_truncated` | answers cut by the token limit |
//! | `identical` | prompts with the same answer from both |
//!
//! A row of one dataset has values up to `upper` only.
use anyhow::Context;

use super::win_rates::{Comparison, WinRates};
use crate::stats::Estimate;

const COLUMNS: [&str; 28] = [
    "candidate",
    "baseline",
    "dataset",
    "n",
    "missing",
    "win_rate",
    "lower",
    "upper",
    "if_missing_lose",
    "if_missing_win",
    "wins",
    "ties",
    "losses",
    "p",
    "p_holm",
    "order_consistency",
    "order_consistency_lower",
    "order_consistency_upper",
    "order_consistency_n",
    "first_position",
    "first_position_lower",
    "first_position_upper",
    "first_position_n",
    "candidate_characters",
    "baseline_characters",
    "candidate_truncated",
    "baseline_truncated",
    "identical",
];

pub(super) fn win_rates(win_rates: &WinRates) -> anyhow::Result<String> {
    text(rows(win_rates))
}

/// The header, and the rows below it.
pub(super) fn rows(win_rates: &WinRates) -> Vec<Vec<String>> {
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    for comparison in &win_rates.comparisons {
        rows.push(whole(comparison));
        for slice in &comparison.slices {
            let win_rate = slice.win_rate.as_ref();
            let mut fields = head(comparison, &slice.dataset, slice.missing, win_rate);
            fields.resize(COLUMNS.len(), String::new());
            rows.push(fields);
        }
    }
    rows
}

/// Rows, of which the first is the header, as the text of a file.
pub(super) fn text(rows: Vec<Vec<String>>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().context("a buffer takes every byte")?;
    Ok(String::from_utf8(bytes)?)
}

fn whole(comparison: &Comparison) -> Vec<String> {
    let mut fields = head(comparison, "", comparison.missing, comparison.win_rate.as_ref());
    fields.extend([
        number(Some(comparison.bounds.0)),
        number(Some(comparison.bounds.1)),
        comparison.wins.to_string(),
        comparison.ties.to_string(),
        comparison.losses.to_string(),
        number(comparison.win_rate.map(|_| comparison.p)),
        number(comparison.win_rate.map(|_| comparison.p_holm)),
    ]);
    fields.extend(with_interval(comparison.order_consistency));
    fields.extend(with_interval(comparison.first_position));
    fields.extend([
        number(comparison.candidate_characters),
        number(comparison.baseline_characters),
        comparison.candidate_truncated.to_string(),
        comparison.baseline_truncated.to_string(),
        comparison.identical.to_string(),
    ]);
    fields
}

/// A share, its interval and its n.
fn with_interval(estimate: Option<Estimate>) -> [String; 4] {
    [
        number(estimate.map(|estimate| estimate.point)),
        number(estimate.map(|estimate| estimate.lower)),
        number(estimate.map(|estimate| estimate.upper)),
        estimate.map_or_else(String::new, |estimate| estimate.n.to_string()),
    ]
}

fn head(
    comparison: &Comparison,
    dataset: &str,
    missing: usize,
    win_rate: Option<&Estimate>,
) -> Vec<String> {
    vec![
        comparison.candidate.clone(),
        comparison.baseline.clone(),
        dataset.to_owned(),
        win_rate.map_or(0, |estimate| estimate.n).to_string(),
        missing.to_string(),
        number(win_rate.map(|estimate| estimate.point)),
        number(win_rate.map(|estimate| estimate.lower)),
        number(win_rate.map(|estimate| estimate.upper)),
    ]
}

/// Six decimals, or nothing for a number that does not exist.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.6}"))
}
