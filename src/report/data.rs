//! What the models learned from: where texts were lost, how long they are, what more of them brings.
use super::{
    diversity::{self, Diversity},
    document::{Block, Table},
    figures::{self, Trained},
    published,
    run::Run,
    win_rates::WinRates,
    words,
};
use crate::{record::Pair, stats};

/// Pairs that models learned from, or might have.
#[derive(Debug)]
pub(super) struct PairSet {
    pub(super) name: String,
    pub(super) instructions: Vec<String>,
    /// Length of each output in characters.
    pub(super) output_characters: Vec<usize>,
    /// What the paper has of lengths: of instructions and of outputs.
    pub(super) paper: [&'static str; 2],
}

/// The seed, everything augmented, and what each model learned from beside the seed.
///
/// # Errors
/// When a file of pairs holds something that is not a row.
pub(super) fn pair_sets(run: &Run) -> anyhow::Result<Vec<PairSet>> {
    let set = |name: String, pairs: Vec<(String, String)>, paper| {
        let output_characters = pairs.iter().map(|pair| pair.1.chars().count()).collect();
        let instructions = pairs.into_iter().map(|pair| pair.0).collect();
        PairSet { name, instructions, output_characters, paper }
    };
    let texts = |pairs: Vec<Pair>| -> Vec<(String, String)> {
        pairs.into_iter().map(|pair| (pair.instruction, pair.output)).collect()
    };
    let augmented = run.augmented()?.into_iter();
    let augmented = augmented.filter_map(|row| Some((row.instruction?, row.output))).collect();
    let mut sets = vec![
        set("Seed".into(), texts(run.seed_pairs()?), ["148 ± 322", "1,072 ± 818"]),
        set("Augmented, all".into(), augmented, ["352 ± 134", "1,722 ± 653"]),
    ];
    for model in run.models().iter().skip(1) {
        let curated = texts(run.curated_pairs(model)?);
        if !curated.is_empty() {
            let name = format!("Curated, for {model}");
            sets.push(set(name, curated, ["115 ± 175", "1,663 ± 616"]));
        }
    }
    Ok(sets)
}

pub(super) fn blocks(
    run: &Run,
    win_rates: &WinRates,
    sets: &[PairSet],
    diversities: &[Diversity],
) -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    if let Some(corpus) = run.done.iter().find(|done| done.id == "corpus") {
        let mut table = Table::new(&["Segments of the corpus", "Count#", "Share#"]);
        let all = corpus.counts.rows_in;
        let mut push = |what: String, rows: usize| {
            let share = if all == 0 { 0.0 } else { rows as f64 / all as f64 };
            table.rows.push(vec![what, words::count(rows), words::percent(share)]);
        };
        push("Kept".into(), corpus.counts.kept);
        for (reason, &rows) in &corpus.counts.dropped {
            push(format!("Dropped: {}", reason.replace('_', " ")), rows);
        }
        if corpus.counts.failed > 0 {
            push("Failed".into(), corpus.counts.failed);
        }
        push("All".into(), all);
        blocks.push(Block::Table(table));
    }
    let mut table = Table::new(&[
        "Pairs",
        "Count#",
        "Instruction#",
        "Output#",
        "Paper: instruction#",
        "Paper: output#",
    ]);
    let mut outputs: Vec<(String, Vec<usize>)> = Vec::new();
    for PairSet { name, instructions, output_characters, paper } in sets {
        let instructions: Vec<f64> =
            instructions.iter().map(|text| text.chars().count() as f64).collect();
        let lengths: Vec<f64> = output_characters.iter().map(|&length| length as f64).collect();
        table.rows.push(vec![
            name.clone(),
            words::count(lengths.len()),
            words::mean_and_deviation(&instructions),
            words::mean_and_deviation(&lengths),
            paper[0].into(),
            paper[1].into(),
        ]);
        outputs.push((name.clone(), output_characters.clone()));
    }
    blocks.push(Block::Table(table));
    blocks.push(Block::paragraph(
        "Lengths in characters, mean ± standard deviation. The paper's curated set is its A5 of the second iteration (Table 2).",
    ));
    for model in run.contestants() {
        if let Some(answers) = run.answers.get(&model) {
            let lengths = answers.values().map(|answer| answer.output.chars().count());
            outputs.push((format!("Answers of {}", words::visible(&model)), lengths.collect()));
        }
    }
    if outputs.iter().any(|(_, lengths)| !lengths.is_empty()) {
        blocks.push(Block::figure(&figures::lengths(&outputs))?);
    }
    blocks.extend(diversity::blocks(diversities)?);
    blocks.extend(growth(run, win_rates)?);
    Ok(blocks)
}

/// How the win rate grows with the data, where the models of the run differ in that.
fn growth(run: &Run, win_rates: &WinRates) -> anyhow::Result<Vec<Block>> {
    let trained = trained(run, win_rates, "a model of this run")?;
    let Some(baseline) = win_rates.comparisons.first().map(|first| &first.baseline) else {
        return Ok(Vec::new());
    };
    let Some(plot) = figures::scaling(&trained, &words::visible(baseline)) else {
        return Ok(Vec::new());
    };
    Ok(vec![Block::figure(&plot)?, Block::Table(alphas(&trained)?), Block::paragraph(ALPHA)])
}

/// Said below every [`alphas`].
pub(super) const ALPHA: &str = "Points of win rate that ten times the examples add, by a line in the logarithm. The paper's figures are published, not measured here: of LLaMA 7B against text-davinci-003, and to a base that it does not name, so they compare with one another and not with ours.";

/// Our slope, and those that the paper reports.
pub(super) fn alphas(trained: &[Trained]) -> anyhow::Result<Table> {
    let mut table = Table::new(&["Data", "What it is", "Alpha#", "95% interval#"]);
    if let Some(fit) = figures::scaled(trained) {
        let alpha = fit.alpha;
        table.rows.push(vec![
            "Measured here".into(),
            format!("{} models", trained.len()),
            words::signed(alpha.point),
            format!("[{}, {}]", words::signed(alpha.lower), words::signed(alpha.upper)),
        ]);
    }
    for published::Alpha { data, origin, alpha } in published::alphas()? {
        let cells = [data, format!("published: {origin}"), format!("{alpha:.2}"), String::new()];
        table.rows.push(cells.to_vec());
    }
    Ok(table)
}

/// The models that are judged against the first baseline, and what they were trained on.
pub(super) fn trained(
    run: &Run,
    win_rates: &WinRates,
    series: &str,
) -> anyhow::Result<Vec<Trained>> {
    let mut trained = Vec::new();
    let first = win_rates.comparisons.first().map(|first| &first.baseline);
    for comparison in win_rates.comparisons.iter().filter(|one| Some(&one.baseline) == first) {
        let audit = run.audit(&comparison.candidate)?;
        if let (Some(audit), Some(win_rate)) = (audit, comparison.win_rate) {
            let scores: Vec<f64> = comparison.scores.values().copied().collect();
            trained.push(Trained {
                series: series.to_owned(),
                examples: audit.examples,
                win_rate,
                standard_error: stats::standard_error(&scores),
            });
        }
    }
    Ok(trained)
}
