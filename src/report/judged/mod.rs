//! Judgments that came as files, such as AlpacaEval's annotations: standings, with what is published of
//! the same models.
mod equal_length;
mod outputs;

pub(super) use outputs::{csv, json, leaderboards, table};

use super::{
    document::{Block, Section, Table},
    figures,
    plot::{Axis, Drawing, Drawn, Plot, Row, Rows, Scale},
    published::Listed,
    results,
    side_by_side::{difference_plot, difference_row},
    words,
};
use crate::{
    exchange::Ledger,
    scoring::{Against, Controlled, Position, Rule, Scored, Standing, compare},
    stats::Estimate,
};

/// The standings of one judge against one baseline, the best first, which is all that compares.
pub(super) struct Group<'a> {
    pub(super) judge: &'a str,
    pub(super) baseline: &'a str,
    rows: Vec<Judged<'a>>,
}

/// A model's standing, and what is known of it beside that.
struct Judged<'a> {
    scored: &'a Scored,
    /// The win rate at equal length, or why there is none.
    controlled: &'a Result<Controlled, String>,
    listed: Option<&'a Listed>,
}

/// Standings by judge and baseline, in the order in which files bring them.
pub(super) fn groups<'a>(
    scored: &'a [Scored],
    controlled: &'a [Result<Controlled, String>],
    listed: &'a [Listed],
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for (scored, controlled) in scored.iter().zip(controlled) {
        let contest = &scored.standing.contest;
        let listed = listed.iter().find(|row| {
            row.judge == contest.judge
                && row.baseline == contest.baseline
                && row.model == contest.model
        });
        let known = groups
            .iter_mut()
            .find(|group| group.judge == contest.judge && group.baseline == contest.baseline);
        let row = Judged { scored, controlled, listed };
        match known {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                judge: &contest.judge,
                baseline: &contest.baseline,
                rows: vec![row],
            }),
        }
    }
    for group in &mut groups {
        let rate = |one: &Judged| one.scored.standing.win_rate.map_or(-1.0, |rate| rate.point);
        group.rows.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    }
    groups
}

/// What has been read, in a sentence.
pub(super) fn headline(groups: &[Group]) -> String {
    match groups {
        [group] => format!("Win rates {}.", heading(group)),
        _ => format!(
            "Win rates of {} judges and baselines, which do not compare with each other.",
            groups.len()
        ),
    }
}

/// How many models there are.
pub(super) fn progress(groups: &[Group]) -> String {
    words::counted(groups.iter().map(|group| group.rows.len()).sum(), "model")
}

fn judged_by(judge: &str) -> String {
    if judge.is_empty() { String::new() } else { format!(" by {}", words::visible(judge)) }
}

pub(super) fn sections(
    groups: &[Group],
    ledger: &Ledger,
    rule: &Rule,
) -> anyhow::Result<Vec<Section>> {
    let mut sections =
        vec![Section { id: "win-rates", title: "Win rates", blocks: win_rates(groups)? }];
    let differences = differences(groups, ledger, rule)?;
    if !differences.is_empty() {
        sections.push(Section {
            id: "differences",
            title: "Differences on shared prompts",
            blocks: differences,
        });
    }
    sections.extend(position(groups)?);
    Ok(sections)
}

/// All standings with their groups.
fn all<'a>(groups: &'a [Group]) -> impl Iterator<Item = (&'a Group<'a>, &'a Judged<'a>)> {
    groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)))
}

impl Judged<'_> {
    fn standing(&self) -> &Standing {
        &self.scored.standing
    }
}

/// What stands above the rows of a group.
fn heading(group: &Group) -> String {
    format!("against {}{}", words::visible(group.baseline), judged_by(group.judge))
}

fn win_rates(groups: &[Group]) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&[
        "Model",
        "Against",
        "Judge",
        "n#",
        "Missing#",
        "Win rate#",
        "95% interval#",
        "At equal length#",
        "Standard error#",
        "Wins#",
        "Ties#",
        "Losses#",
        "Characters#",
        "Published#",
        "Published n#",
    ]);
    let (mut rows, mut bars): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for (group, row) in all(groups) {
        let (standing, listed) = (row.standing(), row.listed);
        if heading(group) != last {
            last = heading(group);
            rows.push(Row::heading(&last));
            bars.push(Row::heading(&last));
        }
        let or_none = |text: Option<String>| text.unwrap_or_else(|| words::NOT_APPLICABLE.into());
        let win_rate = standing.win_rate.as_ref();
        table.rows.push(vec![
            words::visible(&standing.contest.model),
            words::visible(group.baseline),
            words::visible(group.judge),
            words::count(standing.total),
            words::count(standing.missing),
            or_none(win_rate.map(|estimate| format!("{:.2}%", 100.0 * estimate.point))),
            or_none(win_rate.map(words::interval)),
            or_none(row.controlled.as_ref().ok().map(equal_length::cell)),
            or_none(standing.standard_error.map(|error| format!("{:.2}", 100.0 * error))),
            words::count(standing.wins),
            words::count(standing.ties),
            words::count(standing.losses),
            or_none(standing.average_length.map(|length| words::count(length as usize))),
            listed.map_or_else(String::new, |row| format!("{:.2}%", row.win_rate)),
            listed.map_or_else(String::new, |row| words::count(row.n)),
        ]);
        table.intervals.push(win_rate.map(results::drawn));
        let label = words::visible(&standing.contest.model);
        let mut drawn: Vec<Drawn> = Vec::new();
        drawn.extend(win_rate.map(|rate| Drawn::Measured(0, rate.scaled(100.0))));
        drawn.extend(listed.map(|row| Drawn::Published(row.win_rate, None)));
        let figures = figures::in_figures(win_rate);
        rows.push(Row { label: label.clone(), drawn, figures });
        let counts = [standing.wins, standing.ties, standing.losses];
        bars.push(figures::outcome_bar(label, counts, standing.win_rate));
    }
    let n = figures::judged(all(groups).map(|(_, row)| row.standing().win_rate.as_ref()));
    let forest = Plot {
        name: "forest",
        title: "Win rates",
        note: format!("Whiskers: 95% intervals; dashed: a draw. {n}."),
        caption: format!(
            "Win rate of each model with its 95% interval, {n}. The dashed line at 50% is a draw. Hollow marks are AlpacaEval's published win rates of the same models, baseline and judge; they were not measured here."
        ),
        drawing: Drawing::Rows(Rows {
            axis: figures::percent("Win rate (%)"),
            even: Some(50.0),
            key: vec!["from these files".into()],
            rows,
        }),
    };
    let mut blocks = vec![
        Block::Table(table),
        Block::figure(&forest)?,
        Block::figure(&figures::outcome_bars(bars, &n))?,
        Block::paragraph(
            "Win rate and standard error are AlpacaEval's; the interval is Wilson's, for the effective number of prompts. Published: AlpacaEval's leaderboard, not measured here. Win rates of different judges, or against different baselines, do not compare.",
        ),
    ];
    let items = equal_length::methods(groups);
    if !items.is_empty() {
        blocks.push(Block::List { items });
    }
    Ok(blocks)
}

/// Each model less the best one of its group.
fn differences(groups: &[Group], ledger: &Ledger, rule: &Rule) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&[
        "Difference",
        "Shared prompts#",
        "Points#",
        "95% interval#",
        "p#",
        "p (Holm)#",
    ]);
    let mut rows = Vec::new();
    let mut shared = Vec::new();
    for group in groups {
        let mut sides = group.rows.iter().map(|row| {
            let model = words::visible(&row.standing().contest.model);
            Against::new(model, ledger, row.scored.contest, rule)
        });
        let Some(best) = sides.next() else { continue };
        let others: Vec<Against> = sides.collect();
        if !others.is_empty() {
            let than = format!("less {}, {}", best.name, heading(group));
            rows.push(Row::heading(than));
        }
        for difference in compare(&best, &others, None, 0)? {
            let Some(overall) = difference.overall else { continue };
            let estimate = overall.paired.difference;
            let label = format!("{} minus {}", difference.name, best.name);
            table.rows.push(vec![
                label,
                words::count(estimate.n),
                words::points(estimate.point),
                words::points_interval(&estimate),
                words::p_value(overall.paired.p),
                words::p_value(overall.p_holm),
            ]);
            rows.push(difference_row(difference.name, &estimate));
            shared.push(estimate);
        }
    }
    if shared.is_empty() {
        return Ok(Vec::new());
    }
    let n = figures::judged(shared.iter().map(Some));
    Ok(vec![
        Block::Table(table),
        Block::figure(&difference_plot(rows, &n))?,
        Block::paragraph(
            "Paired by prompt, over the prompts that both models have a score for, judged alike against the same baseline.",
        ),
    ])
}

/// What the order of the answers does to the judge, where the files tell.
fn position(groups: &[Group]) -> anyhow::Result<Option<Section>> {
    let mut table = Table::new(&["Model", "Shown first#", "Shown second#", "Difference#"]);
    let mut both = Table::new(&["Model", "Order consistency#", "First answer wins#"]);
    let (mut rows, mut shares) = (Vec::new(), Vec::new());
    for (group, row) in all(groups) {
        let standing = row.standing();
        let label = words::visible(&standing.contest.model);
        let full = format!("{label} against {}", words::visible(group.baseline));
        match &standing.position {
            Position::One(one) => {
                table.rows.push(vec![
                    full,
                    words::estimate(&one.shown_first),
                    words::estimate(&one.shown_second),
                    format!(
                        "{} {}",
                        words::points(one.bias.point),
                        words::points_interval(&one.bias)
                    ),
                ]);
                shares.extend([one.shown_first, one.shown_second]);
                let mark = |kind, share: Estimate| Drawn::Measured(kind, share.scaled(100.0));
                rows.push(Row {
                    label,
                    drawn: vec![mark(0, one.shown_first), mark(1, one.shown_second)],
                    figures: words::points(one.bias.point),
                });
            }
            Position::Both(orders) => both.rows.push(vec![
                full,
                words::estimate(&orders.consistency),
                words::estimate(&orders.first_slot),
            ]),
            Position::Unknown => {}
        }
    }
    let mut blocks = Vec::new();
    if !both.rows.is_empty() {
        blocks.push(Block::Table(both));
    }
    if !rows.is_empty() {
        let n = figures::judged(shares.iter().map(Some));
        blocks.push(Block::Table(table));
        blocks.push(Block::figure(&Plot {
            name: "position",
            title: "Win rates by the place of the answer",
            note: format!("Whiskers: 95% intervals. {n} in each place."),
            caption: format!(
                "Win rate where the model's answer was shown first and where it was shown second, with 95% intervals, {n} in each place, and the difference in points. Each prompt was seen in one order, drawn by chance."
            ),
            drawing: Drawing::Rows(Rows {
                axis: Axis {
                    title: "Win rate (%)".into(),
                    scale: Scale::Linear { from: 0.0, to: 100.0 },
                },
                even: None,
                key: vec!["shown first".into(), "shown second".into()],
                rows,
            }),
        })?);
    }
    Ok((!blocks.is_empty()).then_some(Section { id: "judge", title: "The judge", blocks }))
}
