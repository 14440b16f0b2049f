//! Whether the choice of pairs hangs on how the rater's replies are read: the same recorded replies, read
//! otherwise.
use serde::Serialize;

use super::{
    document::{Block, Table},
    run::Run,
    words,
};
use crate::{
    curate,
    recipe::RatingMethod,
    record::Rated,
    stats::{self, Estimate},
};

/// One model's ratings under every reading.
#[derive(Debug, Serialize)]
pub(super) struct Sensitivity {
    pub(super) rated_by: String,
    /// Pairs that were put to the model.
    pub(super) pairs: usize,
    /// Of ratings by probabilities: what lies on none of the digits 1 to 5, mean over the pairs.
    pub(super) off_the_digits: Option<Estimate>,
    /// The run's own first.
    pub(super) readings: Vec<Reading>,
}

/// What one way to read replies makes of the ratings.
#[derive(Debug, Serialize)]
pub(super) struct Reading {
    pub(super) reading: &'static str,
    /// Mean rating of the pairs that have one.
    pub(super) rating: Option<Estimate>,
    /// Share of all pairs that would be kept, by the recipe's threshold and fallback.
    pub(super) kept: Option<Estimate>,
    /// Share of all pairs that would be kept and were dropped, or the other way round; not of the run's
    /// own reading.
    pub(super) changed: Option<Estimate>,
}

/// A way to read a reply, and the least and the greatest rating that it can find.
struct Reader {
    name: &'static str,
    scale: (f64, f64),
    read: fn(&str) -> Option<f64>,
}

const OWN: &str = "as in this run";

/// Readings that other programs use or that suggest themselves. The second is that of distilabel's
/// task for this method, `Score: (\d)` at its first match and without a range.
const TEXTS: [Reader; 4] = [
    Reader { name: "last \"Score: N\" anywhere", scale: (1.0, 5.0), read: last_score },
    Reader { name: "first \"Score: D\", any digit", scale: (0.0, 9.0), read: first_score },
    Reader {
        name: "first digit from 1 to 5",
        scale: (1.0, 5.0),
        read: |reply| reply.chars().find_map(level),
    },
    Reader {
        name: "last digit from 1 to 5",
        scale: (1.0, 5.0),
        read: |reply| reply.chars().rev().find_map(level),
    },
];

const PROBABILITIES: [Reader; 1] =
    [Reader { name: "the most probable digit", scale: (1.0, 5.0), read: most_probable }];

fn last_score(reply: &str) -> Option<f64> {
    let (_, after) = reply.rsplit_once("Score:")?;
    let after = after.trim_start();
    let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
    let rating: f64 = after[..end].trim_end_matches('.').parse().ok()?;
    (1.0..=5.0).contains(&rating).then_some(rating)
}

fn first_score(reply: &str) -> Option<f64> {
    let digit = |after: &str| after.chars().next()?.to_digit(10).map(f64::from);
    reply.split("Score: ").skip(1).find_map(digit)
}

fn level(character: char) -> Option<f64> {
    character.to_digit(10).filter(|digit| (1..=5).contains(digit)).map(f64::from)
}

/// The probabilities of 1 to 5, as a rating records them.
fn probabilities(reply: &str) -> Option<Vec<f64>> {
    let shares: Vec<f64> = reply.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    (shares.len() == 5).then_some(shares)
}

/// The lower of two that are as probable.
fn most_probable(reply: &str) -> Option<f64> {
    let shares = probabilities(reply)?;
    let most = shares.iter().copied().fold(0.0, f64::max);
    let at = shares.iter().position(|&share| share == most && share > 0.0)?;
    Some(at as f64 + 1.0)
}

/// The finished ratings of a run, by the model that gave them.
///
/// # Errors
/// When a file of ratings holds something that is not a row.
pub(super) fn sensitivities(run: &Run) -> anyhow::Result<Vec<Sensitivity>> {
    let mut all = Vec::new();
    for model in run.models() {
        let rows = run.ratings(&model)?;
        if rows.iter().any(|row| !row.replies.is_empty()) {
            all.push(sensitivity(run, model, &rows));
        }
    }
    Ok(all)
}

fn sensitivity(run: &Run, rated_by: String, rows: &[Rated]) -> Sensitivity {
    let settings = &run.recipe.curate;
    let by_probabilities = settings.rating == RatingMethod::Probabilities;
    let readers: &[Reader] = if by_probabilities { &PROBABILITIES } else { &TEXTS };
    let own: Vec<Option<f64>> = rows.iter().map(|row| row.rating).collect();
    let chosen = curate::kept(&own, settings);
    let reading = |reading, ratings: &[Option<f64>], scale: (f64, f64)| {
        let kept = curate::kept(ratings, settings);
        let differs =
            |at: &usize| chosen.binary_search(at).is_ok() != kept.binary_search(at).is_ok();
        let changed = (0..rows.len()).filter(differs).count();
        Reading {
            reading,
            rating: mean(ratings, scale),
            kept: stats::proportion(kept.len(), rows.len()),
            changed: stats::proportion(changed, rows.len()).filter(|_| reading != OWN),
        }
    };
    let mut readings = vec![reading(OWN, &own, (1.0, 5.0))];
    for Reader { name, scale, read } in readers {
        let ratings: Vec<Option<f64>> = rows
            .iter()
            .map(|row| {
                let known: Vec<f64> = row.replies.iter().filter_map(|reply| read(reply)).collect();
                stats::mean_and_deviation(&known).map(|(mean, _)| mean)
            })
            .collect();
        readings.push(reading(name, &ratings, *scale));
    }
    let off = |row: &Rated| {
        let on: f64 = probabilities(row.replies.first()?)?.iter().sum();
        Some((1.0 - on).clamp(0.0, 1.0))
    };
    let off: Vec<f64> = rows.iter().filter(|_| by_probabilities).filter_map(off).collect();
    Sensitivity { rated_by, pairs: rows.len(), off_the_digits: stats::mean(&off), readings }
}

/// The mean of the ratings that there are, with its 95% interval.
fn mean(ratings: &[Option<f64>], (least, greatest): (f64, f64)) -> Option<Estimate> {
    let on_scale = |rating: f64| ((rating - least) / (greatest - least)).clamp(0.0, 1.0);
    let scores: Vec<f64> = ratings.iter().copied().flatten().map(on_scale).collect();
    let rating = |score: f64| least + (greatest - least) * score;
    stats::mean(&scores).map(|Estimate { point, lower, upper, n }| Estimate {
        point: rating(point),
        lower: rating(lower),
        upper: rating(upper),
        n,
    })
}

const TEXT: &str = "The same recorded replies, read otherwise; the recipe's threshold and fallback then choose. Fate changed: share of all pairs that would be kept and were dropped, or were kept and would be dropped. This run takes \"Score: N\" alone on the last line of a reply that the model ended itself; the other readings take cut replies too, because a rating does not record the cut.";

const EXPECTED: &str = "A rating is the mean of 1 to 5 under the model's probabilities of the next token, so there is no text to read otherwise. In its place: how the choice would change if a rating were the most probable digit, by probabilities recorded to four decimals. Fate changed: share of all pairs that would be kept and were dropped, or were kept and would be dropped.";

pub(super) fn blocks(all: &[Sensitivity], method: RatingMethod) -> Vec<Block> {
    if all.is_empty() {
        return Vec::new();
    }
    let mut table =
        Table::new(&["Rated by", "Read", "Pairs read#", "Mean rating#", "Kept#", "Fate changed#"]);
    let mut items = Vec::new();
    for Sensitivity { rated_by, off_the_digits, readings, .. } in all {
        for Reading { reading, rating, kept, changed } in readings {
            let none = || words::NOT_APPLICABLE.to_owned();
            table.rows.push(vec![
                rated_by.clone(),
                (*reading).to_owned(),
                words::count(rating.map_or(0, |rating| rating.n)),
                rating.map_or_else(none, |Estimate { point, lower, upper, .. }| {
                    format!("{point:.2} [{lower:.2}, {upper:.2}]")
                }),
                words::estimate_or_none(kept.as_ref()),
                changed.as_ref().map_or_else(String::new, words::estimate),
            ]);
        }
        items.extend(off_the_digits.map(|off| {
            format!(
                "{rated_by}: {} of the probability lies on none of the five digits, mean over the pairs. The more it is, the less the rating says.",
                words::estimate(&off)
            )
        }));
    }
    let text = if method == RatingMethod::Text { TEXT } else { EXPECTED };
    let mut blocks = vec![Block::Table(table), Block::paragraph(text)];
    if !items.is_empty() {
        blocks.push(Block::List { items });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_reads_as_its_name_says() {
        let check = |reply: &str, expected: [Option<f64>; 4]| {
            assert_eq!(TEXTS.map(|reader| (reader.read)(reply)), expected, "{reply:?}");
        };
        check("Clear.\nScore: 4", [Some(4.0); 4]);
        check("Score: 4.5", [Some(4.5), Some(4.0), Some(4.0), Some(5.0)]);
        check("2 of 3 parts.\nScore: 5.", [Some(5.0), Some(5.0), Some(2.0), Some(5.0)]);
        check("Score: 2\nScore: 3", [Some(3.0), Some(2.0), Some(2.0), Some(3.0)]);
        check("Score: 9", [None, Some(9.0), None, None]);
        check("Score: 4/5", [Some(4.0), Some(4.0), Some(4.0), Some(5.0)]);
        check("Score: high", [None; 4]);
        check("", [None; 4]);
    }

    #[test]
    fn probabilities_are_read_as_they_are_recorded() {
        assert_eq!(most_probable("0.1000 0.2000 0.5000 0.1000 0.0500"), Some(3.0));
        assert_eq!(most_probable("0.4000 0.4000 0.0000 0.0000 0.0000"), Some(1.0));
        assert_eq!(most_probable("0.0000 0.0000 0.0000 0.0000 0.0000"), None);
        assert_eq!(most_probable("Score: 3"), None);
    }
}
