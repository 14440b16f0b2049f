//! What is drawn of the results: numbers to plots. `making` has those of how models were made.
mod making;

pub(super) use making::{
    Trained, first_words, lengths, losses, ratings, scaled, scaling, stage_times,
};

use super::{
    plot::{Axis, Chart, Drawing, Drawn, Plot, Point, Row, Rows, Scale, Series, Style},
    published,
    win_rates::{Comparison, WinRates},
    words,
};
use crate::{recipe::Agreement, stats::Estimate};

/// An axis of shares in percent, whole.
pub(super) fn percent(title: &str) -> Axis {
    Axis { title: title.into(), scale: Scale::Linear { from: 0.0, to: 100.0 } }
}

/// `56.7 [43.7, 68.8]`: a share in percent without its sign.
pub(super) fn in_figures(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(
        || words::NOT_APPLICABLE.into(),
        |estimate| format!("{:.1} {}", 100.0 * estimate.point, words::interval(estimate)),
    )
}

/// `n = 48 prompts`, or the range where comparisons differ.
pub(super) fn judged<'a>(estimates: impl IntoIterator<Item = Option<&'a Estimate>>) -> String {
    let n = estimates.into_iter().map(|estimate| estimate.map_or(0, |estimate| estimate.n));
    let (least, most) = n.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
    match (least.min(most), most) {
        (least, most) if least == most => format!("n = {} prompts", words::count(most)),
        (least, most) => format!("n = {} to {} prompts", words::count(least), words::count(most)),
    }
}

/// n of the win rates of a run.
pub(super) fn judged_in(comparisons: &[Comparison]) -> String {
    judged(comparisons.iter().map(|comparison| comparison.win_rate.as_ref()))
}

/// A number in [0, 1] as a point of a chart in percent.
pub(super) fn point(x: f64, share: Estimate) -> Point {
    let Estimate { point, lower, upper, n } = share.scaled(100.0);
    Point { x, y: point, ends: Some((lower, upper)), n: Some(n) }
}

const WHISKERS: &str = "Whiskers: 95% intervals";

/// Win rates of each model, one series a kind of baseline.
pub(super) fn win_rates(win_rates: &WinRates) -> Plot {
    let mut models: Vec<String> = Vec::new();
    let mut series: Vec<Series> = Vec::new();
    for comparison in &win_rates.comparisons {
        let x = match models.iter().position(|model| *model == comparison.candidate) {
            Some(x) => x,
            None => {
                models.push(comparison.candidate.clone());
                models.len() - 1
            }
        };
        let Some(win_rate) = comparison.win_rate else { continue };
        let name = match models.contains(&comparison.baseline) {
            true => "against the iteration before".to_owned(),
            false => format!("against {}", words::visible(&comparison.baseline)),
        };
        let point = point(x as f64, win_rate);
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name, style: Style::Marks, points: vec![point] }),
        }
    }
    let n = judged_in(&win_rates.comparisons);
    Plot {
        name: "win_rate_by_iteration",
        title: "Win rate by iteration",
        note: format!("{WHISKERS}; dashed: a draw. {n}."),
        caption: format!(
            "Win rate of each iteration with its 95% interval, {n}. The dashed line at 50% is a draw."
        ),
        drawing: Drawing::Chart(Chart {
            x: Axis { title: "Model".into(), scale: Scale::Names(models) },
            y: percent("Win rate (%)"),
            room: 0.7,
            series,
            at_x: None,
            at_y: Some(50.0),
        }),
    }
}

/// Every comparison, by baseline, with what others published of the same baseline.
pub(super) fn forest(win_rates: &WinRates) -> anyhow::Result<Plot> {
    let mut rows = Vec::new();
    for baseline in baselines(win_rates) {
        rows.push(Row::heading(format!("against {}", words::visible(baseline))));
        for comparison in win_rates.comparisons.iter().filter(|one| one.baseline == baseline) {
            let measured = comparison.win_rate.map(|rate| Drawn::Measured(0, rate.scaled(100.0)));
            rows.push(Row {
                label: comparison.candidate.clone(),
                drawn: measured.into_iter().collect(),
                figures: in_figures(comparison.win_rate.as_ref()),
            });
        }
        rows.extend(published_against(baseline)?);
    }
    let n = judged_in(&win_rates.comparisons);
    let marked = match rows.iter().any(|row| matches!(row.drawn[..], [Drawn::Published(..)])) {
        true => {
            " Hollow marks are published figures of the paper's own model against the same baseline, on other prompts or by other judges; they were not measured here."
        }
        false => "",
    };
    Ok(Plot {
        name: "forest",
        title: "Win rates against all baselines",
        note: format!("{WHISKERS}; dashed: a draw. {n}."),
        caption: format!(
            "Every comparison with its 95% interval, {n}. The dashed line at 50% is a draw.{marked}"
        ),
        drawing: Drawing::Rows(Rows {
            axis: percent("Win rate (%)"),
            even: Some(50.0),
            key: vec!["measured in this run".into()],
            rows,
        }),
    })
}

/// In the order in which the run meets them.
fn baselines(win_rates: &WinRates) -> Vec<&str> {
    let mut baselines: Vec<&str> = Vec::new();
    for comparison in &win_rates.comparisons {
        if !baselines.contains(&comparison.baseline.as_str()) {
            baselines.push(&comparison.baseline);
        }
    }
    baselines
}

fn against(comparison: &Comparison) -> String {
    format!("{} against {}", comparison.candidate, words::visible(&comparison.baseline))
}

/// What is published of the paper's models against a built-in baseline.
fn published_against(baseline: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for people in published::people()?.into_iter().filter(|people| people.baseline == baseline) {
        rows.push(Row {
            label: format!("{}, by people", people.model),
            figures: format!("{:.1}", people.win_rate()),
            drawn: vec![Drawn::Published(people.win_rate(), None)],
        });
    }
    // AlpacaEval writes the name with other dashes.
    let name = baseline.replace('-', "_");
    for listed in published::leaderboards()?.into_iter().filter(|listed| listed.baseline == name) {
        if listed.model.starts_with("humpback") && listed.judge == "alpaca_eval_gpt4" {
            rows.push(Row {
                label: format!("{}, by GPT-4", listed.model),
                figures: format!("{:.1}", listed.win_rate),
                drawn: vec![Drawn::Published(listed.win_rate, Some(listed.standard_error))],
            });
        }
    }
    Ok(rows)
}

/// Wins, ties and losses, by baseline, with those of the paper's figure 4.
pub(super) fn outcomes(win_rates: &WinRates) -> anyhow::Result<Plot> {
    let mut rows = Vec::new();
    let mut caption = "";
    let published = published::people()?;
    for baseline in baselines(win_rates) {
        rows.push(Row::heading(format!("against {}", words::visible(baseline))));
        for comparison in win_rates.comparisons.iter().filter(|one| one.baseline == baseline) {
            let Comparison { candidate, wins, ties, losses, win_rate, .. } = comparison;
            rows.push(outcome_bar(candidate.clone(), [*wins, *ties, *losses], *win_rate));
        }
        for people in published.iter().filter(|people| people.baseline == baseline) {
            let published::Preference { model, win, tie, loss, .. } = people;
            caption = " Rows called published are people's choices in the paper, and were not measured here.";
            rows.push(Row {
                label: format!("published: {model}"),
                drawn: vec![Drawn::Outcomes([*win, *tie, *loss], None)],
                figures: format!("{win:.0}% / {tie:.0}% / {loss:.0}%"),
            });
        }
    }
    let mut plot = outcome_bars(rows, &judged_in(&win_rates.comparisons));
    plot.caption.push_str(caption);
    Ok(plot)
}

/// One bar: prompts won, tied and lost.
pub(super) fn outcome_bar(label: String, counts: [usize; 3], win_rate: Option<Estimate>) -> Row {
    let n = counts.iter().sum::<usize>().max(1) as f64;
    let shares = counts.map(|count| 100.0 * count as f64 / n);
    let [wins, ties, losses] = counts;
    Row {
        label,
        drawn: vec![Drawn::Outcomes(shares, win_rate.map(|rate| rate.scaled(100.0)))],
        figures: format!("{wins} / {ties} / {losses}"),
    }
}

/// Bars of wins, ties and losses.
pub(super) fn outcome_bars(rows: Vec<Row>, n: &str) -> Plot {
    Plot {
        name: "outcomes",
        title: "Won, tied and lost",
        note: format!("Upright mark and whisker: win rate with its 95% interval. {n}."),
        caption: format!(
            "Prompts won, tied and lost, {n}; the upright mark is the win rate, in which a tie counts half, with its 95% interval."
        ),
        drawing: Drawing::Rows(Rows {
            axis: percent("Share of the prompts (%)"),
            even: None,
            key: Vec::new(),
            rows,
        }),
    }
}

/// How often the answer shown first wins; `None` for a judge that sees no order.
pub(super) fn position(win_rates: &WinRates) -> Option<Plot> {
    let row = |comparison: &Comparison| {
        let share = comparison.first_position?;
        Some(Row {
            label: against(comparison),
            drawn: vec![Drawn::Measured(0, share.scaled(100.0))],
            figures: in_figures(Some(&share)),
        })
    };
    let rows: Vec<Row> = win_rates.comparisons.iter().filter_map(row).collect();
    let shares = win_rates.comparisons.iter().filter_map(|one| one.first_position.as_ref());
    let n = judged(shares.map(Some));
    (!rows.is_empty()).then(|| Plot {
        name: "position",
        title: "How often the answer shown first wins",
        note: format!("{WHISKERS}; dashed: a judge that does not mind the order. {n}."),
        caption: format!(
            "Share won by the answer shown first, ties counting half, with its 95% interval, {n}. 50% for a judge that does not mind the order."
        ),
        drawing: Drawing::Rows(Rows {
            axis: percent("First answer wins (%)"),
            even: Some(50.0),
            key: Vec::new(),
            rows,
        }),
    })
}

/// How often the judge sides with people, beside judges that others measured.
pub(super) fn agreement(agreement: &Agreement) -> anyhow::Result<Plot> {
    let Agreement { estimate: point, lower, upper, n, .. } = *agreement;
    let here = Estimate { point, lower, upper, n };
    let mut rows = vec![Row {
        label: "This judge".into(),
        drawn: vec![Drawn::Measured(0, here.scaled(100.0))],
        figures: in_figures(Some(&here)),
    }];
    rows.extend(published::judges()?.into_iter().map(
        |published::JudgeAgreement { judge, agreement }| Row {
            label: judge,
            drawn: vec![Drawn::Published(agreement, None)],
            figures: format!("{agreement:.1}"),
        },
    ));
    let n = words::count(n);
    Ok(Plot {
        name: "agreement",
        title: "How often judges side with people",
        note: format!(
            "Whisker: 95% interval. n = {n} pairs; the published figures are of AlpacaEval's pairs."
        ),
        caption: format!(
            "Agreement of this judge with the majority of people and its 95% interval, n = {n} pairs. Hollow marks are AlpacaEval's published figures for other judges on its own pairs, counted in its own way, and were not measured here; humans are one person against the majority of others."
        ),
        drawing: Drawing::Rows(Rows {
            axis: Axis {
                title: "Agreement with people (%)".into(),
                scale: Scale::Linear { from: 40.0, to: 100.0 },
            },
            even: None,
            key: vec!["measured".into()],
            rows,
        }),
    })
}
