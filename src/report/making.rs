//! The sections that say what the models were made from, at what cost, and how far from the paper.
use super::{
    contamination, curation, data, deviations,
    diversity::{Diversity, diversities},
    document::{Block, Section, Table},
    figures, published,
    readings::{Sensitivity, sensitivities},
    run::Run,
    win_rates::WinRates,
    words,
};
use crate::record::TrainingStep;

/// Numbers on what the models were made from.
#[derive(Debug)]
pub(super) struct Made {
    sets: Vec<data::PairSet>,
    pub(super) curation: Vec<Sensitivity>,
    pub(super) diversity: Vec<Diversity>,
    /// Paid for replies of servers; `None` where none had a price.
    pub(super) dollars: Option<f64>,
}

impl Made {
    /// # Errors
    /// When a file of pairs or ratings holds something that is not a row.
    pub(super) fn of(run: &Run) -> anyhow::Result<Self> {
        let sets = data::pair_sets(run)?;
        let diversity = diversities(&sets, run.recipe.random_seed);
        Ok(Self { sets, curation: sensitivities(run)?, diversity, dollars: run.spent(|_| true) })
    }
}

pub(super) fn sections(
    run: &Run,
    win_rates: &WinRates,
    made: &Made,
) -> anyhow::Result<Vec<Section>> {
    let Made { sets, curation, diversity, .. } = made;
    Ok(vec![
        Section { id: "curation", title: "Curation", blocks: curation::blocks(run, curation)? },
        Section {
            id: "data",
            title: "Data",
            blocks: data::blocks(run, win_rates, sets, diversity)?,
        },
        Section { id: "training", title: "Training", blocks: training(run)? },
        Section {
            id: "contamination",
            title: "Contamination",
            blocks: contamination::blocks(run)?,
        },
        Section { id: "paper", title: "Where it differs from the paper", blocks: paper(run) },
        Section {
            id: "published",
            title: "Published, not measured here",
            blocks: published::blocks()?,
        },
    ])
}

/// The sections at the end of the report.
pub(super) fn colophon(run: &Run) -> anyhow::Result<Vec<Section>> {
    Ok(vec![
        Section { id: "stages", title: "Stages", blocks: stages(run)? },
        Section { id: "provenance", title: "Provenance", blocks: provenance(run) },
    ])
}

fn training(run: &Run) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&[
        "Model",
        "Examples#",
        "Tokens#",
        "Trained#",
        "Cut#",
        "End of turn learned#",
        "Steps#",
        "Loss, first tenth#",
        "Loss, last tenth#",
        "Tokens/s#",
    ]);
    let mut curves = Vec::new();
    let mut blocks = Vec::new();
    for model in ["backward".to_owned()].into_iter().chain(run.models()) {
        let Some(audit) = run.audit(&model)? else { continue };
        let steps = run.training_steps(&model)?;
        let unfinished = !run.is_done(&format!("{model}/finetune"));
        let tenth = steps.len().div_ceil(10);
        let seconds: f64 = steps.iter().map(|step| step.seconds).sum();
        let tokens: usize = steps.iter().map(|step| step.tokens).sum();
        table.rows.push(vec![
            if unfinished { format!("{model} (in progress)") } else { model.clone() },
            words::count(audit.examples),
            words::count(audit.tokens),
            words::percent(audit.trained_tokens as f64 / audit.tokens.max(1) as f64),
            words::count(audit.truncated),
            words::count(audit.end_of_turn_learned),
            words::count(steps.len()),
            mean_loss(&steps[..tenth]),
            mean_loss(&steps[steps.len() - tenth..]),
            if seconds > 0.0 {
                words::whole(tokens as f64 / seconds)
            } else {
                words::NOT_APPLICABLE.into()
            },
        ]);
        if audit.end_of_turn_learned * 10 < audit.examples * 9 {
            blocks.push(Block::warning(format!(
                "{model} learned the end of a turn from only {} of {} examples: it may not know when to stop.",
                audit.end_of_turn_learned, audit.examples
            )));
        }
        let before = steps.first().and_then(|step| step.held_out_before);
        let after = steps.iter().rev().find_map(|step| step.held_out_after);
        if let (Some(before), Some(after)) = (before, after) {
            blocks.push(Block::paragraph(format!(
                "{model}: the loss on {} held out is {before:.3} before the training, and {after:.3} when last measured.",
                words::counted(audit.held_out, "pair")
            )));
        }
        if !steps.is_empty() {
            curves.push((model, steps.iter().map(|step| step.loss).collect()));
        }
    }
    if table.rows.is_empty() {
        return Ok(vec![Block::paragraph("No finetuning has begun yet.")]);
    }
    blocks.insert(0, Block::Table(table));
    blocks.push(Block::paragraph(
        "Trained: share of the tokens that carry a label, those of outputs and ends of turns. Loss: mean negative log-likelihood of a trained token, in nats.",
    ));
    if !curves.is_empty() {
        blocks.push(Block::figure(&figures::losses(&curves))?);
    }
    Ok(blocks)
}

fn mean_loss(steps: &[TrainingStep]) -> String {
    let losses: Vec<f64> = steps.iter().map(|step| step.loss).collect();
    crate::stats::mean_and_deviation(&losses)
        .map_or_else(|| words::NOT_APPLICABLE.into(), |(mean, _)| format!("{mean:.3}"))
}

fn paper(run: &Run) -> Vec<Block> {
    let mut table = Table::new(&["What", "This run", "The paper"]);
    for deviation in deviations::of(run) {
        table.rows.push(vec![deviation.what.into(), deviation.here, deviation.paper.into()]);
    }
    vec![
        Block::paragraph(
            "Li et al. 2023, \"Self-Alignment with Instruction Backtranslation\" (arXiv 2308.06259). Only what differs, or what the paper leaves open, is listed.",
        ),
        Block::Table(table),
    ]
}

fn stages(run: &Run) -> anyhow::Result<Vec<Block>> {
    let mut columns = vec!["Stage", "Rows in#", "Kept#", "Dropped#", "Failed#", "Wall time#"];
    let spent = run.spent(|_| true);
    if spent.is_some() {
        columns.push("Cost#");
    }
    let mut table = Table::new(&columns);
    for done in &run.done {
        let counts = &done.counts;
        let mut row = vec![
            done.id.clone(),
            words::count(counts.rows_in),
            words::count(counts.kept),
            words::count(counts.dropped.values().sum()),
            words::count(counts.failed),
            format!("{}{}", words::duration(done.seconds), if done.resumed { " *" } else { "" }),
        ];
        if spent.is_some() {
            row.push(counts.cost.map_or_else(|| words::NOT_APPLICABLE.into(), words::dollars));
        }
        table.rows.push(row);
    }
    let mut blocks = vec![Block::Table(table)];
    let total: f64 = run.done.iter().map(|done| done.seconds).sum();
    let resumed = run.done.iter().any(|done| done.resumed);
    blocks.push(Block::paragraph(format!(
        "{}{} in all.{}",
        words::duration(total),
        spent.map_or_else(String::new, |spent| format!(
            ", and {} for replies of servers that have a price,",
            words::dollars(spent)
        )),
        if resumed {
            " * Resumed after an interruption; the time before it, and what it paid servers, is not counted, so the true cost is higher."
        } else {
            ""
        }
    )));
    let left: Vec<String> = run.stages().into_iter().filter(|stage| !run.is_done(stage)).collect();
    if !left.is_empty() {
        blocks.push(Block::paragraph(format!("Still to do: {}.", words::list(&left))));
    }
    if !run.done.is_empty() {
        let taken = run.done.iter().map(|done| (done.id.clone(), done.seconds));
        blocks.push(Block::figure(&figures::stage_times(&taken.collect::<Vec<_>>()))?);
    }
    Ok(blocks)
}

fn provenance(run: &Run) -> Vec<Block> {
    let Some(provenance) = &run.provenance else {
        return vec![Block::paragraph("The run has not written its provenance yet.")];
    };
    let mut items = vec![
        format!("spyhop {} ({})", provenance.spyhop_version, provenance.spyhop_commit),
        format!("Device: {}", words::visible(&provenance.device)),
        format!("Random seed: {}", run.recipe.random_seed),
    ];
    if let [Some(models), Some(training)] =
        ["models", "training"].map(|of| provenance.products.get(of))
    {
        let finetune = &run.recipe.finetune;
        let is_partial = finetune.lora.is_some() || finetune.last_layers.is_some();
        let models = words::visible(models);
        let answering = match provenance.products.get("judge") {
            None => format!("{models} to answer, rate and judge"),
            Some(judge) => {
                format!("{} to judge, {models} to answer and rate", words::visible(judge))
            }
        };
        items.push(format!(
            "Products on this device: {answering}{}, {} to train",
            if is_partial { " and with what a training leaves as it is" } else { "" },
            words::visible(training)
        ));
    }
    let mut blocks = vec![Block::List { items }];
    let mut table = Table::new(&["Source", "From", "Size#", "SHA-256"]);
    for source in &provenance.sources {
        table.rows.push(vec![
            words::visible(&source.role),
            words::visible(&source.from),
            words::bytes(source.bytes),
            words::visible(&source.sha256),
        ]);
    }
    blocks.push(Block::Table(table));
    if !provenance.prompts.is_empty() {
        let mut table = Table::new(&["Prompt", "BLAKE3"]);
        for (name, hash) in &provenance.prompts {
            table.rows.push(vec![words::visible(name), words::visible(hash)]);
        }
        blocks.push(Block::Table(table));
    }
    blocks
}
