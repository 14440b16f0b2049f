//! Pair to rating to kept: the forward model rates its own augmented pairs on five points.
use std::collections::HashMap;

use crate::{
    lm::{Ask, Lm, Reply, Request},
    model::{Message, Role, Sampling},
    prompt,
    recipe::{self, RatingMethod},
    record::{Counts, Finish, Pair, Rated, Row, Selection},
    stage::{self, Work},
};

/// Rates every pair. A pair whose replies hold no rating counts as failed.
pub fn run(
    load: impl FnOnce() -> anyhow::Result<Lm>,
    pairs: &[Pair],
    settings: &recipe::Curate,
    work: Work,
) -> anyhow::Result<Counts> {
    let questions = |pair: &Pair| -> Vec<Request> {
        let request =
            |content, ask| Request { messages: vec![Message::new(Role::User, content)], ask };
        match settings.rating {
            RatingMethod::Text => (0..settings.samples)
                .map(|sample| {
                    let ask = Ask::Text {
                        sampling: Sampling::new(
                            settings.temperature,
                            settings.top_p,
                            settings.top_k,
                        ),
                        max_tokens: settings.max_tokens,
                        seed: stage::seed(work.random_seed, pair.id(), sample),
                        stop: settings.stop.clone(),
                    };
                    request(prompt::rate(&pair.instruction, &pair.output), ask)
                })
                .collect(),
            RatingMethod::Probabilities => {
                let options = ["1", "2", "3", "4", "5"].map(str::to_owned).into();
                let ask = Ask::Choice { opening: prompt::RATING_OPENING.to_owned(), options };
                vec![request(prompt::rate_at_once(&pair.instruction, &pair.output), ask)]
            }
        }
    };
    let rows = stage::map(
        "curate",
        load,
        pairs,
        work.out,
        questions,
        |pair, replies| {
            let read: Vec<Option<f64>> = replies.iter().map(rating).collect();
            let known: Vec<f64> = read.iter().copied().flatten().collect();
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            Rated {
                id: pair.id.clone(),
                rating: (!known.is_empty()).then_some(mean),
                unread: read.len() - known.len(),
                replies: replies.into_iter().map(said).collect(),
            }
        },
        work.watch,
    )?;
    let kept = rows.iter().filter(|row| row.rating.is_some()).count();
    Ok(Counts { rows_in: rows.len(), kept, failed: rows.len() - kept, ..Counts::default() })
}

/// What a reply said, for the row.
fn said(reply: Reply) -> String {
    match reply.log_probabilities.is_empty() {
        true => reply.text,
        false => {
            let share = |log: &f64| format!("{:.4}", log.exp());
            reply.log_probabilities.iter().map(share).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The rating that a reply holds.
fn rating(reply: &Reply) -> Option<f64> {
    match (&reply.log_probabilities[..], reply.finish) {
        // Probabilities of 1 to 5: their mean, as if the model could say nothing else.
        (logs, _) if logs.len() == 5 => {
            let total: f64 = logs.iter().map(|log| log.exp()).sum();
            let mean =
                (1..).zip(logs).map(|(level, log)| f64::from(level) * log.exp()).sum::<f64>();
            (total > 0.0).then(|| mean / total)
        }
        (_, Finish::Stop) => parse(&reply.text),
        // A cut reply has not reached its last line.
        _ => None,
    }
}

/// Reads `Score: N` on the last line: N from 1 to 5, with decimals or without, and nothing after it.
///
/// Strict on purpose: a looser pattern has read ratings such as 10502 out of such replies, and
/// anchoring it moved a replication's kept set by a quarter.
fn parse(reply: &str) -> Option<f64> {
    let last = reply.trim_end().lines().next_back()?.trim();
    let number = last.strip_prefix("Score:")?.trim();
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let rating: f64 = number.parse().ok().filter(|_| plain)?;
    (1.0..=5.0).contains(&rating).then_some(rating)
}

/// Chooses the pairs rated at least `threshold`; or, if these are fewer than `at_least`, that many of
/// the best rated. Pairs keep their order; of equally rated pairs the earlier wins.
pub fn select(
    pairs: &[Pair],
    ratings: &[Rated],
    settings: &recipe::Curate,
) -> (Vec<Pair>, Selection) {
    let by_id: HashMap<&str, f64> =
        ratings.iter().filter_map(|row| Some((row.id.as_str(), row.rating?))).collect();
    let ratings: Vec<Option<f64>> =
        pairs.iter().map(|pair| by_id.get(pair.id.as_str()).copied()).collect();
    let rated = || ratings.iter().copied().flatten();
    let reached = rated().filter(|rating| *rating >= settings.threshold).count();
    let chosen = kept(&ratings, settings);
    let selection = Selection {
        pairs: pairs.len(),
        unrated: pairs.len() - rated().count(),
        threshold: settings.threshold,
        reached_threshold: reached,
        kept: chosen.len(),
        fallback: chosen.len() > reached,
        lowest_kept: chosen.iter().filter_map(|&at| ratings[at]).min_by(f64::total_cmp),
    };
    (chosen.into_iter().map(|at| pairs[at].clone()).collect(), selection)
}

/// The places of the pairs that [`select`] chooses by their ratings, ascending.
pub fn kept(ratings: &[Option<f64>], settings: &recipe::Curate) -> Vec<usize> {
    let mut rated: Vec<(usize, f64)> =
        ratings.iter().enumerate().filter_map(|(at, rating)| Some((at, (*rating)?))).collect();
    rated.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let reached = rated.iter().filter(|(_, rating)| *rating >= settings.threshold).count();
    rated.truncate(reached.max(settings.at_least));
    let mut chosen: Vec<usize> = rated.into_iter().map(|(at, _)| at).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Origin;

    #[test]
    fn a_rating_is_read_only_from_a_clean_last_line() {
        let check =
            |reply: &str, expected: Option<f64>| assert_eq!(parse(reply), expected, "{reply:?}");
        check("Clear and complete.\nScore: 5", Some(5.0));
        check("Score: 4\n\n", Some(4.0));
        check("Score: 4.5", Some(4.5));
        check("Score:3", Some(3.0));
        check("Score: 2\nNo, better.\nScore: 3", Some(3.0));
        // Read as ratings by a looser pattern in another replication: 10502, 91, 728, 0.
        check("Score: 10502", None);
        check("Score: 91", None);
        check("Score: 0", None);
        check("Score: 5.5", None);
        check("Score: -3", None);
        check("Score: 1e0", None);
        check("Score: NaN", None);
        check("Score: 4/5", None);
        check("Score: 5 out of 5, because", None);
        check("Score: 5\nI hope this helps!", None);
        check("The score is 5", None);
        check("", None);
    }

    #[test]
    fn probabilities_give_their_mean() {
        let reply = |shares: [f64; 5]| Reply {
            text: String::new(),
            finish: Finish::Stop,
            log_probabilities: shares.map(f64::ln).to_vec(),
        };
        assert!((rating(&reply([0.0, 0.0, 0.1, 0.1, 0.2])).unwrap() - 4.25).abs() < 1e-12);
        assert_eq!(rating(&reply([0.0; 5])), None);
        let cut =
            Reply { text: "Score: 5".into(), finish: Finish::Length, log_probabilities: vec![] };
        assert_eq!(rating(&cut), None);
    }

    #[test]
    fn selection_keeps_the_best_and_says_when_it_fell_back() {
        let pairs: Vec<Pair> = (0..6)
            .map(|i| Pair::new(format!("i{i}"), "o".into(), Origin::Augmented, "s".into()))
            .collect();
        let ratings: Vec<Rated> = pairs
            .iter()
            .zip([Some(4.5), None, Some(2.0), Some(5.0), Some(4.0), Some(4.0)])
            .map(|(pair, rating)| Rated {
                id: pair.id.clone(),
                rating,
                replies: vec![],
                unread: usize::from(rating.is_none()),
            })
            .collect();
        let check = |at_least, expected: &[&str], fallback| {
            let settings = recipe::Curate { at_least, ..recipe::Curate::default() };
            let (kept, selection) = select(&pairs, &ratings, &settings);
            let names: Vec<&str> = kept.iter().map(|pair| pair.instruction.as_str()).collect();
            assert_eq!(names, expected);
            assert_eq!((selection.kept, selection.fallback), (expected.len(), fallback));
            assert_eq!((selection.unrated, selection.reached_threshold), (1, 2));
        };
        check(0, &["i0", "i3"], false);
        check(2, &["i0", "i3"], false);
        check(3, &["i0", "i3", "i4"], true);
        check(99, &["i0", "i2", "i3", "i4", "i5"], true);
    }
}
