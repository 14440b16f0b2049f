//! What is drawn of how models were made: ratings, lengths, losses, growth with data, time.
use super::{
    super::{
        curation::{BINS, Ratings},
        diversity::{Diversity, FirstWord},
        plot::{Axis, Chart, Drawing, Drawn, Plot, Point, Row, Rows, Scale, Series, Style},
        words,
    },
    WHISKERS, percent, point,
};
use crate::stats::{Estimate, ScalingFit, ScalingPoint, fit_scaling};

/// How each model's ratings spread over the scale, with the threshold for being kept.
pub(in crate::report) fn ratings(all: &[Ratings], threshold: f64) -> Plot {
    let half = (BINS[1] - BINS[0]) / 2.0;
    let series = |ratings: &Ratings| {
        let columns = BINS.iter().zip(&ratings.shares);
        let columns = columns.filter_map(|(&lower, share)| Some(point(lower + half, (*share)?)));
        Series {
            name: format!("rated by {}", ratings.rated_by),
            style: Style::Columns,
            points: columns.collect(),
        }
    };
    let series: Vec<Series> = all.iter().map(series).collect();
    let tops = series.iter().flat_map(|series| &series.points).filter_map(|point| point.ends);
    let scale = Scale::around(tops.map(|ends| ends.1), true);
    let n: Vec<String> = all
        .iter()
        .map(|ratings| {
            let (rated, unrated) = (words::count(ratings.rated), words::count(ratings.unrated));
            format!("{}: n = {rated}, {unrated} unrated", ratings.rated_by)
        })
        .collect();
    let n = n.join("; ");
    Plot {
        name: "ratings",
        title: "Ratings by iteration",
        note: format!("{WHISKERS}; dashed: the threshold. {n}."),
        caption: format!(
            "Share of the rated pairs in each half point of the scale, with 95% intervals. {n}. The dashed line is the threshold."
        ),
        drawing: Drawing::Chart(Chart {
            x: Axis { title: "Rating".into(), scale: Scale::Linear { from: 1.0, to: 5.0 } },
            y: Axis { title: "Share of the rated pairs (%)".into(), scale },
            room: 0.84 * 2.0 * half,
            series,
            at_x: Some(threshold),
            at_y: None,
        }),
    }
}

/// Training loss by optimiser step, one line a model.
pub(in crate::report) fn losses(curves: &[(String, Vec<f64>)]) -> Plot {
    let series = |(model, losses): &(String, Vec<f64>)| {
        let step =
            |(step, &y): (usize, &f64)| Point { x: step as f64 + 1.0, y, ..Point::default() };
        Series {
            name: model.clone(),
            style: Style::Line,
            points: losses.iter().enumerate().map(step).collect(),
        }
    };
    let steps = curves.iter().map(|(_, losses)| losses.len() as f64);
    let all = curves.iter().flat_map(|(_, losses)| losses).copied();
    let counts: Vec<String> =
        curves.iter().map(|(model, losses)| format!("{model} {}", losses.len())).collect();
    Plot {
        name: "losses",
        title: "Training loss",
        note: "Each step's own loss, on its own examples: no interval is known.".into(),
        caption: format!(
            "Loss at each optimiser step, one training run a model. Steps: {}.",
            words::list(&counts)
        ),
        drawing: Drawing::Chart(Chart {
            x: Axis { title: "Optimiser step".into(), scale: Scale::around(steps, true) },
            y: Axis { title: "Loss (nats a token)".into(), scale: Scale::around(all, true) },
            room: 1.0,
            series: curves.iter().map(series).collect(),
            at_x: None,
            at_y: None,
        }),
    }
}

/// How long texts are: named sets of lengths in characters.
pub(in crate::report) fn lengths(sets: &[(String, Vec<usize>)]) -> Plot {
    let mut rows = Vec::new();
    let mut longest = Vec::new();
    for (label, lengths) in sets {
        let mut sorted: Vec<f64> = lengths.iter().map(|&length| length as f64).collect();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            continue;
        }
        let spread = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| quantile(&sorted, share));
        longest.push(spread[4]);
        rows.push(Row {
            label: label.clone(),
            drawn: vec![Drawn::Spread(spread)],
            figures: format!("{}, n = {}", words::whole(spread[2]), words::count(sorted.len())),
        });
    }
    Plot {
        name: "lengths",
        title: "Lengths of texts",
        note: "Mark: median. Box: middle half. Whiskers: middle 90% of the texts, not an interval of the median.".into(),
        caption: "Lengths in characters: the median, the middle half and the middle 90% of the texts of each set, and how many there are.".into(),
        drawing: Drawing::Rows(Rows {
            axis: Axis { title: "Characters".into(), scale: Scale::around(longest, true) },
            even: None,
            key: Vec::new(),
            rows,
        }),
    }
}

/// The words that instructions of each set begin with most.
pub(in crate::report) fn first_words(sets: &[Diversity]) -> Plot {
    let mut rows = Vec::new();
    for set in sets {
        rows.push(Row::heading(format!("{}, n = {}", set.set, words::count(set.instructions))));
        rows.extend(set.first_words.iter().map(|FirstWord { word, share }| Row {
            label: words::beginning(word, 20),
            drawn: vec![Drawn::Measured(0, share.scaled(100.0))],
            figures: super::in_figures(Some(share)),
        }));
    }
    Plot {
        name: "first_words",
        title: "What instructions begin with",
        note: format!("{WHISKERS}."),
        caption: "Share of the instructions of each set that begin with the word, for the most common first words, with 95% intervals; n counts instructions.".into(),
        drawing: Drawing::Rows(Rows {
            axis: percent("Share of the instructions (%)"),
            even: None,
            key: Vec::new(),
            rows,
        }),
    }
}

/// The value below which a share of sorted values lies, between two of them where need be (Hyndman and
/// Fan 1996, type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    sorted[below] + part * (above - sorted[below])
}

/// A model that was trained on so many examples, and its win rate with its standard error, as shares.
#[derive(Clone, Debug)]
pub(in crate::report) struct Trained {
    pub(in crate::report) series: String,
    pub(in crate::report) examples: usize,
    pub(in crate::report) win_rate: Estimate,
    pub(in crate::report) standard_error: Option<f64>,
}

/// To this base the report states how a win rate grows.
const BASE: f64 = 10.0;

/// The line through win rates in percent over the logarithm of the examples.
pub(in crate::report) fn scaled(models: &[Trained]) -> Option<ScalingFit> {
    let points: Vec<ScalingPoint> = models
        .iter()
        .map(|model| ScalingPoint {
            examples: model.examples.max(1) as f64,
            win_rate: 100.0 * model.win_rate.point,
        })
        .collect();
    let errors: Option<Vec<f64>> = models
        .iter()
        .map(|model| model.standard_error.map(|error| 100.0 * error).filter(|&error| error > 0.0))
        .collect();
    fit_scaling(&points, errors.as_deref(), BASE)
}

/// How many times the fewest examples the most have to be: below that a slope is all noise.
const RANGE: f64 = 1.5;

/// Win rates over the number of training examples, with the fitted line; `None` without a line.
pub(in crate::report) fn scaling(models: &[Trained], against: &str) -> Option<Plot> {
    let examples = || models.iter().map(|model| model.examples as f64);
    let least = examples().fold(f64::INFINITY, f64::min).max(1.0);
    let most = examples().fold(0.0, f64::max);
    let fit = scaled(models).filter(|_| most >= RANGE * least)?;
    let (from, to) = (least / 1.15, most * 1.15);
    let mut series = vec![Series {
        name: "fitted line with its 95% interval".into(),
        style: Style::Band,
        points: (0..=40)
            .map(|step| {
                let x = from * (to / from).powf(f64::from(step) / 40.0);
                let Estimate { point: y, lower, upper, n } = fit.predict(x);
                Point { x, y, ends: Some((lower, upper)), n: Some(n) }
            })
            .collect(),
    }];
    for model in models {
        let point = point(model.examples as f64, model.win_rate);
        match series.iter_mut().find(|series| series.name == model.series) {
            Some(series) => series.points.push(point),
            None => series.push(Series {
                name: model.series.clone(),
                style: Style::Marks,
                points: vec![point],
            }),
        }
    }
    let alpha = fit.alpha;
    let line = format!(
        "{:.1} [{:.1}, {:.1}] points for ten times the examples",
        alpha.point, alpha.lower, alpha.upper
    )
    .replace('-', "\u{2212}");
    Some(Plot {
        name: "scaling",
        title: "Win rate and training data",
        note: format!("{WHISKERS}. n = {} models, {line}.", models.len()),
        caption: format!(
            "Win rate against {against} over the examples that a model was trained on, n = {} models; whiskers and band are 95% intervals. The line gains {line}. Models of one run share prompts, judge and seed, which no interval here knows.",
            models.len()
        ),
        drawing: Drawing::Chart(Chart {
            x: Axis {
                title: "Training examples (logarithmic)".into(),
                scale: Scale::Logarithmic { from, to },
            },
            y: percent(&format!("Win rate against {against} (%)")),
            room: 1.0,
            series,
            at_x: None,
            at_y: Some(50.0),
        }),
    })
}

/// What each stage took.
pub(in crate::report) fn stage_times(stages: &[(String, f64)]) -> Plot {
    let longest = stages.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        short if short < 300.0 => ("seconds", 1.0),
        middling if middling < 3.0 * 3600.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    };
    let row = |(stage, taken): &(String, f64)| Row {
        label: stage.clone(),
        drawn: vec![Drawn::Bar(taken / seconds)],
        figures: words::duration(*taken),
    };
    let total: f64 = stages.iter().map(|(_, seconds)| seconds).sum();
    let total = words::duration(total);
    Plot {
        name: "cost",
        title: "Cost: time of each stage",
        note: format!("Measured once: no interval is known. {total} in all."),
        caption: format!("Wall time of each finished stage, {total} in all."),
        drawing: Drawing::Rows(Rows {
            axis: Axis {
                title: format!("Wall time ({unit})"),
                scale: Scale::around([longest / seconds], true),
            },
            even: None,
            key: Vec::new(),
            rows: stages.iter().map(row).collect(),
        }),
    }
}
