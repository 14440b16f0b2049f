//! `report.json`: the numbers for programs. `docs/formats.md` describes every key.
use serde::Serialize;

use super::{diversity::Diversity, making::Made, readings::Sensitivity, win_rates::WinRates};

/// The version of the keys: one that is added leaves it, one that changes its meaning raises it.
const SCHEMA: &str = "spyhop report 1";

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    headline: &'a str,
    #[serde(flatten)]
    win_rates: &'a WinRates,
    curation: &'a [Sensitivity],
    diversity: &'a [Diversity],
    dollars: Option<f64>,
}

pub(super) fn render(headline: &str, win_rates: &WinRates, made: &Made) -> anyhow::Result<String> {
    let Made { curation, diversity, dollars, .. } = made;
    pretty(&Report { schema: SCHEMA, headline, win_rates, curation, diversity, dollars: *dollars })
}

/// Indented, and ended by a line end.
pub(super) fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
