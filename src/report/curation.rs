//! How pairs were rated and chosen, and whether the choice was the one that was meant.
use super::{
    document::{Block, Table},
    figures,
    readings::{self, Sensitivity},
    run::Run,
    words,
};
use crate::{
    record::{Rated, Selection},
    stats::{self, Estimate},
};

/// How one model's ratings spread over the scale.
#[derive(Debug)]
pub(super) struct Ratings {
    pub(super) rated_by: String,
    /// Share of the rated pairs in each of [`BINS`].
    pub(super) shares: Vec<Option<Estimate>>,
    pub(super) rated: usize,
    pub(super) unrated: usize,
}

/// Lower ends of the bins, each half a point wide; 5 itself falls into the last.
pub(super) const BINS: [f64; 8] = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5];

pub(super) fn blocks(run: &Run, sensitivities: &[Sensitivity]) -> anyhow::Result<Vec<Block>> {
    let mut table = Table::new(&[
        "Chosen for",
        "Rated by",
        "Pairs#",
        "Unrated#",
        "Threshold#",
        "Reached it#",
        "Kept#",
        "Lowest kept#",
        "Kept by",
    ]);
    let models = run.models();
    let mut warnings = Vec::new();
    for (before, model) in models.iter().zip(&models[1..]) {
        let Some(selection) = run.selection(model)? else { continue };
        table.rows.push(vec![
            model.clone(),
            before.clone(),
            words::count(selection.pairs),
            words::count(selection.unrated),
            selection.threshold.to_string(),
            words::count(selection.reached_threshold),
            words::count(selection.kept),
            selection
                .lowest_kept
                .map_or_else(|| words::NOT_APPLICABLE.into(), |rating| format!("{rating:.2}")),
            if selection.fallback { "FALLBACK" } else { "threshold" }.into(),
        ]);
        warnings.extend(warn(model, &selection));
        let taught = |model: &str| -> anyhow::Result<Vec<String>> {
            Ok(run.curated_pairs(model)?.into_iter().map(|pair| pair.id).collect())
        };
        if before != "M0" && selection.kept > 0 && taught(model)? == taught(before)? {
            warnings.push(format!(
                "{before} chose the same pairs for {model} as were chosen for {before} itself, so {model} learned the same as {before} and answers the same."
            ));
        }
    }
    if table.rows.is_empty() {
        return Ok(vec![Block::paragraph("No pairs are curated yet.")]);
    }
    let mut blocks: Vec<Block> = warnings.into_iter().map(Block::warning).collect();
    blocks.push(Block::Table(table));
    blocks.extend(figure(run)?);
    blocks.extend(readings::blocks(sensitivities, run.recipe.curate.rating));
    Ok(blocks)
}

fn figure(run: &Run) -> anyhow::Result<Option<Block>> {
    let mut all = Vec::new();
    for model in run.models() {
        let rows = run.ratings(&model)?;
        if !rows.is_empty() {
            all.push(spread(model, &rows));
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    Block::figure(&figures::ratings(&all, run.recipe.curate.threshold)).map(Some)
}

fn spread(rated_by: String, rows: &[Rated]) -> Ratings {
    let ratings: Vec<f64> = rows.iter().filter_map(|row| row.rating).collect();
    let bin = |rating: f64| BINS.iter().rposition(|&lower| rating >= lower).unwrap_or(0);
    let share = |index: usize| {
        let inside = ratings.iter().filter(|&&rating| bin(rating) == index).count();
        stats::proportion(inside, ratings.len())
    };
    Ratings {
        rated_by,
        shares: (0..BINS.len()).map(share).collect(),
        rated: ratings.len(),
        unrated: rows.len() - ratings.len(),
    }
}

fn warn(model: &str, selection: &Selection) -> Vec<String> {
    let Selection { pairs, unrated, threshold, reached_threshold, kept, .. } = selection;
    let mut warnings = Vec::new();
    if selection.fallback {
        let lowest = selection
            .lowest_kept
            .map_or_else(String::new, |rating| format!(", down to a rating of {rating:.2}"));
        warnings.push(format!(
            "The fallback was used for {model}: only {reached_threshold} of {pairs} pairs were rated at least {threshold}, so the {kept} best rated were kept{lowest}. {model} is not a model trained on pairs of that quality."
        ));
    }
    if *kept == 0 {
        warnings.push(format!(
            "Nothing was kept for {model}: none of {pairs} pairs was rated at least {threshold}, so {model} learned from the seed alone, like M0."
        ));
    }
    if unrated * 10 > *pairs {
        warnings.push(format!(
            "For {model}, {unrated} of {pairs} replies held no rating that could be read; those pairs could not be chosen."
        ));
    }
    warnings
}
