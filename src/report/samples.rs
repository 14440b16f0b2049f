//! The rated pairs that the page shows.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{run::Run, words};
use crate::record::{Augmented, content_id};

/// Pairs shown from each end of the ratings.
const SAMPLES: usize = 3;

/// An augmented pair with every rating that it was given.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    instruction: String,
    output: String,
    /// `4.50 by M0, 4.00 by M1`.
    ratings: String,
}

/// The best and the worst rated pairs, by the latest ratings.
#[derive(Debug, Default, Serialize)]
pub(super) struct Samples {
    highest: Vec<Sample>,
    lowest: Vec<Sample>,
}

pub(super) fn samples(run: &Run) -> anyhow::Result<Samples> {
    let mut by_pair: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let mut latest = None;
    for model in run.models() {
        for row in run.ratings(&model)? {
            if let Some(rating) = row.rating {
                by_pair.entry(row.id).or_default().push((model.clone(), rating));
                latest = Some(model.clone());
            }
        }
    }
    let Some(latest) = latest else { return Ok(Samples::default()) };
    let augmented = run.augmented()?;
    let mut rated = Vec::new();
    for row in &augmented {
        let Some(instruction) = &row.instruction else { continue };
        let id = content_id(&[instruction, &row.output]);
        let Some(ratings) = by_pair.get(&id) else { continue };
        if let Some((_, rating)) = ratings.iter().find(|(model, _)| *model == latest) {
            rated.push((*rating, id, row));
        }
    }
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    rated.dedup_by(|a, b| a.1 == b.1);
    let shown = |(_, id, row): &(f64, String, &Augmented)| {
        let ratings: Vec<String> =
            by_pair[id].iter().map(|(model, rating)| format!("{rating:.2} by {model}")).collect();
        Sample {
            instruction: words::visible(row.instruction.as_deref().unwrap_or_default()),
            output: words::visible(&row.output),
            ratings: ratings.join(", "),
        }
    };
    let lowest = rated.len().saturating_sub(SAMPLES).max(SAMPLES.min(rated.len()));
    Ok(Samples {
        highest: rated.iter().take(SAMPLES).map(shown).collect(),
        lowest: rated[lowest..].iter().rev().map(shown).collect(),
    })
}
