//! Several runs beside each other: win rates by run and iteration, and differences where runs were asked
//! the same prompts.
mod differences;
mod outputs;

use std::{collections::BTreeMap, path::PathBuf};

use differences::{differences, incomparable};
pub(super) use differences::{plot as difference_plot, row as difference_row};
pub(super) use outputs::{csv, json, table};

use super::{
    data,
    document::{Block, Section, Table},
    figures::{self, Trained},
    judge_card,
    plot::{Axis, Chart, Drawing, Drawn, Plot, Row, Rows, Scale, Series, Style},
    results,
    run::Run,
    win_rates::{Comparison, WinRates, win_rates},
    words,
};

/// A run and what it is called beside the others.
pub(super) struct Named {
    pub(super) name: String,
    run: Run,
    win_rates: WinRates,
}

/// Reads runs; they are called by their directories, or by their whole paths where those are alike.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let short = |path: &PathBuf| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        absolute
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let named = |path: &PathBuf| {
        let alike = paths.iter().filter(|other| short(other) == short(path)).count();
        let name = if alike > 1 { path.display().to_string() } else { short(path) };
        let run = Run::read(path)?;
        Ok(Named { name: words::visible(&name), win_rates: win_rates(&run)?, run })
    };
    paths.iter().map(named).collect()
}

pub(super) fn sections(runs: &[Named]) -> anyhow::Result<Vec<Section>> {
    let mut sections =
        vec![Section { id: "win-rates", title: "Win rates", blocks: table_and_plots(runs)? }];
    let (found, apart) = differences(runs);
    if !found.is_empty() || !apart.is_empty() {
        let blocks = differences::blocks(&found, &apart)?;
        sections.push(Section { id: "differences", title: "From run to run", blocks });
    }
    sections.push(Section { id: "data", title: "Data", blocks: growth(runs)? });
    sections.push(Section {
        id: "recipes",
        title: "What the recipes differ in",
        blocks: recipes(runs)?,
    });
    sections.push(Section { id: "runs", title: "Runs", blocks: progress(runs) });
    Ok(sections)
}

/// What has been found, in a sentence.
pub(super) fn headline(runs: &[Named]) -> String {
    let (found, _) = differences(runs);
    let shown = found.iter().filter(|difference| difference.is_shown()).count();
    match (found.len(), shown) {
        (0, _) => "Nothing of these runs can be compared prompt by prompt.".to_owned(),
        (all, shown) => {
            let all = words::counted(all, "difference");
            format!("{shown} of {all} to {} shown.", runs[0].name)
        }
    }
}

fn table_and_plots(runs: &[Named]) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&[
        "Run",
        "Model",
        "Against",
        "n#",
        "Missing#",
        "Win rate#",
        "95% interval#",
        "p (Holm)#",
    ]);
    let mut rows = Vec::new();
    for Named { name, win_rates, .. } in runs {
        rows.push(Row::heading(name));
        for comparison in &win_rates.comparisons {
            let Comparison { candidate, baseline, win_rate, missing, p_holm, .. } = comparison;
            let or_none =
                |text: Option<String>| text.unwrap_or_else(|| words::NOT_APPLICABLE.into());
            table.rows.push(vec![
                name.clone(),
                candidate.clone(),
                words::visible(baseline),
                words::count(win_rate.map_or(0, |estimate| estimate.n)),
                words::count(*missing),
                or_none(win_rate.map(|estimate| words::percent(estimate.point))),
                or_none(win_rate.map(|estimate| words::interval(&estimate))),
                or_none(win_rate.map(|_| words::p_value(*p_holm))),
            ]);
            table.intervals.push(win_rate.as_ref().map(results::drawn));
            let measured = win_rate.map(|rate| Drawn::Measured(0, rate.scaled(100.0)));
            rows.push(Row {
                label: format!("{candidate} against {}", words::visible(baseline)),
                drawn: measured.into_iter().collect(),
                figures: figures::in_figures(win_rate.as_ref()),
            });
        }
    }
    if table.rows.is_empty() {
        return Ok(vec![Block::paragraph("No comparison is finished yet in any of the runs.")]);
    }
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(by_iteration(runs).as_ref().map(Block::figure).transpose()?);
    let all = runs.iter().flat_map(|run| &run.win_rates.comparisons);
    let n = figures::judged(all.map(|comparison| comparison.win_rate.as_ref()));
    blocks.push(Block::figure(&Plot {
        name: "forest",
        title: "Every comparison of every run",
        note: format!("Whiskers: 95% intervals; dashed: a draw. {n}."),
        caption: format!(
            "Every comparison with its 95% interval, {n}. The dashed line at 50% is a draw."
        ),
        drawing: Drawing::Rows(Rows {
            axis: figures::percent("Win rate (%)"),
            even: Some(50.0),
            key: Vec::new(),
            rows,
        }),
    })?);
    let mut judges: Vec<String> =
        runs.iter().map(|run| format!("{}: {}", run.name, run.win_rates.judge)).collect();
    if runs.iter().all(|run| run.win_rates.judge == runs[0].win_rates.judge) {
        judges = vec![runs[0].win_rates.judge.clone()];
    }
    blocks.push(Block::List { items: judges });
    Ok(blocks)
}

/// The first baseline that every run has, by iteration, a series a run.
fn by_iteration(runs: &[Named]) -> Option<Plot> {
    let has = |run: &Named, baseline: &str| {
        run.win_rates.comparisons.iter().any(|one| one.baseline == baseline)
    };
    let first = runs.iter().find_map(|run| run.win_rates.comparisons.first())?;
    let baseline = &first.baseline;
    let mut models: Vec<String> = Vec::new();
    let mut series = Vec::new();
    for Named { name, win_rates, .. } in runs.iter().filter(|run| has(run, baseline)) {
        let mut points = Vec::new();
        for comparison in win_rates.comparisons.iter().filter(|one| one.baseline == *baseline) {
            let known = models.iter().position(|model| *model == comparison.candidate);
            let x = known.unwrap_or_else(|| {
                models.push(comparison.candidate.clone());
                models.len() - 1
            });
            points.extend(comparison.win_rate.map(|rate| figures::point(x as f64, rate)));
        }
        series.push(Series { name: name.clone(), style: Style::Marks, points });
    }
    let all = runs.iter().flat_map(|run| &run.win_rates.comparisons);
    let n = figures::judged(
        all.filter(|one| one.baseline == *baseline).map(|one| one.win_rate.as_ref()),
    );
    let against = words::visible(baseline);
    Some(Plot {
        name: "win_rate_by_iteration",
        title: "Win rate by run and iteration",
        note: format!("Against {against}. Whiskers: 95% intervals; dashed: a draw. {n}."),
        caption: format!(
            "Win rate of each iteration of each run against {against} with its 95% interval, {n}. The dashed line at 50% is a draw."
        ),
        drawing: Drawing::Chart(Chart {
            x: Axis { title: "Model".into(), scale: Scale::Names(models) },
            y: figures::percent("Win rate (%)"),
            room: 0.8,
            series,
            at_x: None,
            at_y: Some(50.0),
        }),
    })
}

fn growth(runs: &[Named]) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&["Run", "Seed pairs#", "Augmented#", "Model", "Trained on#"]);
    let mut trained: Vec<Trained> = Vec::new();
    for Named { name, run, win_rates } in runs {
        let (seed, augmented) = (run.seed_pairs()?.len(), run.augmented()?.len());
        for model in run.models() {
            if let Some(audit) = run.audit(&model)? {
                table.rows.push(vec![
                    name.clone(),
                    words::count(seed),
                    words::count(augmented),
                    model,
                    words::count(audit.examples),
                ]);
            }
        }
        trained.extend(data::trained(run, win_rates, name)?);
    }
    let mut blocks = vec![Block::Table(table)];
    let alike = |run: &Named| {
        let baseline =
            |run: &Named| run.win_rates.comparisons.first().map(|one| one.baseline.clone());
        baseline(run).is_none() || baseline(run) == baseline(&runs[0])
    };
    let first = runs[0].win_rates.comparisons.first();
    if runs.iter().all(|run| alike(run) && incomparable(&runs[0], run).is_none())
        && let Some(first) = first
        && let Some(plot) = figures::scaling(&trained, &words::visible(&first.baseline))
    {
        blocks.push(Block::figure(&plot)?);
        blocks.push(Block::Table(data::alphas(&trained)?));
        blocks.push(Block::paragraph(data::ALPHA));
    }
    Ok(blocks)
}

/// The keys on which the recipes differ.
fn recipes(runs: &[Named]) -> anyhow::Result<Vec<Block>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        let resolved: toml::Value = toml::from_str(&run.run.recipe.resolved()?)?;
        let mut flat = Vec::new();
        flatten("", &resolved, &mut flat);
        for (key, value) in flat {
            let row = values.entry(key).or_insert_with(|| vec![String::new(); runs.len()]);
            row[place] = value;
        }
    }
    values.retain(|_, row| row.iter().any(|value| *value != row[0]));
    if values.is_empty() {
        return Ok(vec![Block::paragraph("Nothing.")]);
    }
    let mut table = Table::new(&["Key", "Run", "Value"]);
    for (key, row) in values {
        for (run, value) in runs.iter().zip(row) {
            table.rows.push(vec![key.clone(), run.name.clone(), words::beginning(&value, 120)]);
        }
    }
    Ok(vec![Block::Table(table)])
}

fn flatten(key: &str, value: &toml::Value, flat: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&key, value, flat);
            }
        }
        value => flat.push((key.to_owned(), value.to_string())),
    }
}

fn progress(runs: &[Named]) -> Vec<Block> {
    let mut table = Table::new(&["Run", "Stages", "Wall time#", "Judge"]);
    for Named { name, run, win_rates } in runs {
        let seconds: f64 = run.done.iter().map(|done| done.seconds).sum();
        table.rows.push(vec![
            name.clone(),
            format!("{} of {} stages done", win_rates.stages_done, win_rates.stages),
            words::duration(seconds),
            judge_card::model(run),
        ]);
    }
    vec![Block::Table(table)]
}
