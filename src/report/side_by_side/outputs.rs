//! Several runs as text, JSON and CSV.
use super::{
    super::{
        win_rates::{Comparison, WinRates},
        words,
    },
    Named, differences, headline,
};

/// The win rates as plain text, for a terminal of 80 columns.
pub(in crate::report) fn table(runs: &[Named]) -> String {
    let head = ["run", "model", "against", "n", "miss", "win %", "95%", "W/T/L"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Named { name, win_rates, .. } in runs {
        for comparison in &win_rates.comparisons {
            let Comparison { win_rate, wins, ties, losses, .. } = comparison;
            let or_none =
                |text: Option<String>| text.unwrap_or_else(|| words::NOT_APPLICABLE.into());
            rows.push(vec![
                words::beginning(name, 18),
                comparison.candidate.clone(),
                words::beginning(&comparison.baseline, 16),
                win_rate.map_or(0, |estimate| estimate.n).to_string(),
                comparison.missing.to_string(),
                or_none(win_rate.map(|estimate| format!("{:.1}", 100.0 * estimate.point))),
                or_none(win_rate.map(|estimate| words::interval(&estimate))),
                format!("{wins}/{ties}/{losses}"),
            ]);
        }
    }
    let mut text = super::super::table::aligned(rows, 3);
    text.push('\n');
    for Named { name, win_rates: WinRates { stages_done, stages, .. }, .. } in runs {
        text.push_str(&format!("{name}: {stages_done} of {stages} stages done\n"));
    }
    text.push_str(&headline(runs));
    text
}

/// The numbers of every run, for programs.
pub(in crate::report) fn json(runs: &[Named]) -> anyhow::Result<String> {
    let (found, _) = differences(runs);
    let runs: Vec<_> = runs
        .iter()
        .map(|run| serde_json::json!({ "run": run.name, "report": run.win_rates }))
        .collect();
    let differences: Vec<_> = found
        .iter()
        .map(|one| {
            serde_json::json!({
                "run": one.run,
                "model": one.model,
                "first": one.first,
                "baseline": one.baseline,
                "paired": one.paired,
                "p_holm": one.p_holm,
            })
        })
        .collect();
    super::super::json::pretty(&serde_json::json!({
        "schema": "spyhop comparison 1",
        "runs": runs,
        "differences": differences,
    }))
}

/// The win rates of every run, the run in the first column.
pub(in crate::report) fn csv(runs: &[Named]) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for run in runs {
        let mut rows = super::super::csv::rows(&run.win_rates).into_iter();
        if let (Some(mut head), true) = (rows.next(), all.is_empty()) {
            head.insert(0, "run".to_owned());
            all.push(head);
        }
        for mut row in rows {
            row.insert(0, run.name.clone());
            all.push(row);
        }
    }
    super::super::csv::text(all)
}
