//! The sections that answer "did it get better?".
use super::{
    document::{Block, Drawn, Section, Table},
    figures, judge_card,
    run::Run,
    timeline, verdict,
    win_rates::{Comparison, WinRates},
    words,
};

pub(super) fn sections(run: &Run, win_rates: &WinRates) -> anyhow::Result<Vec<Section>> {
    let mut sections = vec![
        Section { id: "verdict", title: "Verdict", blocks: verdicts(run, win_rates) },
        Section { id: "win-rates", title: "Win rates", blocks: table_and_plot(win_rates)? },
    ];
    if let Some(timeline) = timeline::table(run, win_rates)? {
        let mut blocks = vec![Block::Table(timeline)];
        blocks.extend(differences(win_rates));
        sections.push(Section {
            id: "differences",
            title: "From one iteration to the next",
            blocks,
        });
    }
    if win_rates.comparisons.iter().any(|comparison| comparison.slices.len() > 1) {
        sections.push(Section { id: "slices", title: "By dataset", blocks: slices(win_rates) });
    }
    sections.push(Section {
        id: "judge",
        title: "The judge",
        blocks: judge_card::blocks(run, win_rates)?,
    });
    Ok(sections)
}

fn verdicts(run: &Run, win_rates: &WinRates) -> Vec<Block> {
    let judge = judge_card::caution(run)
        .map_or_else(|| Block::paragraph(win_rates.judge.clone()), Block::warning);
    let mut blocks = vec![judge];
    let items = verdict::sentences(win_rates);
    if items.is_empty() {
        blocks
            .push(Block::paragraph("There is nothing to compare until the first judging is done."));
    } else {
        blocks.push(Block::List { items });
    }
    blocks
}

fn table_and_plot(win_rates: &WinRates) -> anyhow::Result<Vec<Block>> {
    if win_rates.comparisons.is_empty() {
        return Ok(vec![Block::paragraph("No comparison is finished yet.")]);
    }
    let mut table = Table::new(&[
        "Candidate",
        "Baseline",
        "n#",
        "Missing#",
        "Win rate#",
        "95% interval#",
        "At equal length#",
        "Won : tied : lost#",
        "p (Holm)#",
        "Characters#",
        "Cut#",
        "Judging#",
    ]);
    for comparison in &win_rates.comparisons {
        table.rows.push(row(comparison));
        table.intervals.push(comparison.win_rate.as_ref().map(drawn));
    }
    Ok(vec![
        Block::Table(table),
        Block::figure(&figures::win_rates(win_rates))?,
        Block::figure(&figures::forest(win_rates)?)?,
        Block::figure(&figures::outcomes(win_rates)?)?,
        Block::paragraph(
            "Win rate: mean over prompts of the score, where a win is 1, a tie 1/2, a loss 0; how the looks of the judge make one score is said below, under The judge. A prompt is won when its score is above 1/2. Interval: Wilson's, for the effective number of prompts. At equal length: by AlpacaEval's regression with length alone, without difficulties, with a bootstrap's interval; a guess where one side is nearly always the longer. p: exact sign-flip test against 50%, Holm-corrected for all comparisons of the recipe. Characters: mean length of an answer, candidate : baseline. Cut: answers that reached the token limit, candidate : baseline. Judging: its wall time.",
        ),
    ])
}

fn row(comparison: &Comparison) -> Vec<String> {
    let win_rate = comparison.win_rate.as_ref();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| words::NOT_APPLICABLE.into());
    let characters = |value: Option<f64>| or_none(value.map(words::whole));
    vec![
        comparison.candidate.clone(),
        comparison.baseline.clone(),
        words::count(win_rate.map_or(0, |estimate| estimate.n)),
        words::count(comparison.missing),
        or_none(win_rate.map(|estimate| words::percent(estimate.point))),
        or_none(win_rate.map(words::interval)),
        or_none(comparison.at_equal_length.as_ref().map(|controlled| {
            format!("{} {}", words::percent(controlled.point), words::interval(controlled))
        })),
        format!("{} : {} : {}", comparison.wins, comparison.ties, comparison.losses),
        or_none(win_rate.map(|_| words::p_value(comparison.p_holm))),
        format!(
            "{} : {}",
            characters(comparison.candidate_characters),
            characters(comparison.baseline_characters)
        ),
        format!("{} : {}", comparison.candidate_truncated, comparison.baseline_truncated),
        words::duration(comparison.judging_seconds),
    ]
}

pub(super) fn drawn(estimate: &crate::stats::Estimate) -> Drawn {
    on_axis(estimate, |share| 100.0 * share)
}

/// A difference of shares from -50 to +50 points; what lies beyond is cut.
pub(super) fn drawn_difference(estimate: &crate::stats::Estimate) -> Drawn {
    on_axis(estimate, |difference| 50.0 + 100.0 * difference)
}

fn on_axis(estimate: &crate::stats::Estimate, place: fn(f64) -> f64) -> Drawn {
    let at = |value: f64| ((10.0 * place(value)).round() / 10.0).clamp(0.0, 100.0);
    Drawn { lower: at(estimate.lower), point: at(estimate.point), upper: at(estimate.upper) }
}

fn differences(win_rates: &WinRates) -> Vec<Block> {
    if win_rates.differences.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[
        "Win rate against the base model",
        "n#",
        "Points#",
        "95% interval#",
        "Correlation#",
        "p#",
        "p (Holm)#",
        "Detectable#",
    ]);
    for difference in &win_rates.differences {
        let paired = &difference.paired;
        table.rows.push(vec![
            format!("{} minus {}", difference.candidate, difference.before),
            words::count(paired.difference.n),
            words::points(paired.difference.point),
            words::points_interval(&paired.difference),
            paired.correlation.map_or_else(
                || words::NOT_APPLICABLE.into(),
                |correlation| format!("{correlation:.2}").replace('-', "\u{2212}"),
            ),
            words::p_value(paired.p),
            words::p_value(difference.p_holm),
            format!("{:.1}", 100.0 * paired.minimum_detectable),
        ]);
        table.intervals.push(Some(drawn_difference(&paired.difference)));
    }
    table.axis = ["\u{2212}50", "0", "+50"];
    vec![
        Block::Table(table),
        Block::paragraph(
            "Paired by prompt, which is sharper than two intervals side by side. Detectable: the true difference, in points, that this many prompts would show in 80% of repetitions at the 5% level (2.80 standard errors). A smaller difference may exist and stay unseen.",
        ),
    ]
}

fn slices(win_rates: &WinRates) -> Vec<Block> {
    let mut table =
        Table::new(&["Comparison", "Dataset", "n#", "Missing#", "Win rate#", "95% interval#"]);
    for comparison in &win_rates.comparisons {
        for slice in &comparison.slices {
            let win_rate = slice.win_rate.as_ref();
            let or_none =
                |text: Option<String>| text.unwrap_or_else(|| words::NOT_APPLICABLE.into());
            table.rows.push(vec![
                format!("{} against {}", comparison.candidate, comparison.baseline),
                words::visible(&slice.dataset),
                words::count(win_rate.map_or(0, |estimate| estimate.n)),
                words::count(slice.missing),
                or_none(win_rate.map(|estimate| words::percent(estimate.point))),
                or_none(win_rate.map(words::interval)),
            ]);
            table.intervals.push(win_rate.map(drawn));
        }
    }
    vec![
        Block::Table(table),
        Block::paragraph(
            "For exploring: so many rows are not corrected for their number, and one in twenty intervals misses the truth.",
        ),
    ]
}
