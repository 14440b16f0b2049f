//! A judge behind endpoints compares the answers of two models. Every reply is stored as soon as it is
//! there and paid for once; a row is written when its reply is read, so that a stop loses nothing.
mod asking;
mod batch;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use super::{Match, configured::Judge, decided};
use crate::{
    exchange::model_is_first,
    lm::api::{Call, Outlook, Provider, Spent},
    recipe::{JudgeMethod, Score},
    record::{Completion, Judgment, Order, content_id},
    stats::{ConfidenceSequence, Estimate},
    store::{Log, read_so_far},
    watch::{Event, Unit, Watch},
};

/// In which order the judge sees the two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orders {
    /// In both, and the two average.
    Both,
    /// In the one that AlpacaEval draws for the instruction, at half the price.
    Seeded,
}

/// What a judge works with.
#[derive(Clone, Copy, Debug)]
pub struct Court<'a> {
    pub judge: &'a Judge,
    /// The servers of the judge's model.
    pub provider: &'a Provider,
    pub orders: Orders,
    /// Which sample of the judge's replies is asked for: 0, but for questions that are put again.
    pub sample: usize,
}

/// What a judging took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// A question that got no reply has no row, and is asked again the next time.
    pub spent: Spent,
    /// After how many prompts it was enough, if that was before the last.
    pub ended_after: Option<usize>,
}

/// Says whether enough is judged, from the win rate by a confidence sequence at 95% (of prompts with a
/// verdict in every order; none before the first) and from what was spent. It is asked before every
/// few prompts.
pub type Until<'a> = &'a dyn Fn(Option<&Estimate>, &Spent) -> bool;

/// Where a prompt stands in the order in which prompts are judged one by one. It is that of a hash of
/// the prompt's id, which has nothing to do with how the prompt will be judged.
pub fn place_in_order(prompt_id: &str) -> String {
    content_id(&["order", prompt_id])
}

/// Prompts that are judged before a sequence is looked at.
const LOOK_EVERY: usize = 16;

impl Court<'_> {
    /// How much there is to ask, and what it would cost.
    ///
    /// # Errors
    /// When the baseline lacks a prompt, or the store or the rows in `out` cannot be read.
    pub fn outlook(
        &self,
        candidates: &[Completion],
        baselines: &[Completion],
        out: &Path,
    ) -> anyhow::Result<Outlook> {
        let done = rows_by_id(out)?;
        let matches = self.matches(candidates, baselines)?;
        let open = matches.iter().filter(|pair| !done.contains_key(&pair.id) && !decided(pair));
        let calls: Vec<Call> = open.map(|pair| self.call(pair)).collect();
        self.provider.outlook(&calls, self.judge.price)
    }

    /// Judges every prompt of the candidate, into `out`; with `until`, in the order of [`place_in_order`],
    /// and only until that says that it is enough.
    ///
    /// # Errors
    /// When the baseline lacks a prompt, or the store or `out` cannot be read or written. A question
    /// without a reply is none.
    pub fn run(
        &self,
        candidates: &[Completion],
        baselines: &[Completion],
        until: Option<Until>,
        out: &Path,
        watch: Watch,
    ) -> anyhow::Result<Judged> {
        let matches = self.matches(candidates, baselines)?;
        let mut log = Log::<Judgment>::open(out)?;
        let mut judged = Judged::default();
        let names = |rows: &[Completion]| rows[0].generator.clone();
        let what = format!("judge {} against {}", names(candidates), names(baselines));
        watch(Event::Begin { what, total: matches.len() as u64, unit: Unit::Rows });
        match until {
            None => {
                let all: Vec<&Match> = matches.iter().collect();
                self.ask(&all, &mut log, &mut judged.spent, watch)?;
            }
            Some(until) => {
                judged.ended_after =
                    self.settle(&matches, until, (out, &mut log), &mut judged.spent, watch)?;
            }
        }
        watch(Event::End);
        log.finish(&matches)?;
        Ok(judged)
    }

    /// Judges prompt after prompt until it is enough; returns after how many that was.
    fn settle(
        &self,
        matches: &[Match],
        until: Until,
        (out, log): (&Path, &mut Log<Judgment>),
        spent: &mut Spent,
        watch: Watch,
    ) -> anyhow::Result<Option<usize>> {
        let mut prompts: Vec<Vec<&Match>> = Vec::new();
        for pair in matches {
            match prompts.last_mut() {
                Some(last) if last[0].candidate.id == pair.candidate.id => last.push(pair),
                _ => prompts.push(vec![pair]),
            }
        }
        prompts.sort_by_key(|looks| place_in_order(&looks[0].candidate.id));
        let mut sequence = ConfidenceSequence::betting(0.95);
        let mut judged = 0;
        for some in prompts.chunks(LOOK_EVERY) {
            if until(sequence.estimate().as_ref(), spent) {
                return Ok(Some(judged));
            }
            self.ask(&some.concat(), log, spent, watch)?;
            let rows = rows_by_id(out)?;
            for looks in some {
                let rows: Vec<&Judgment> =
                    looks.iter().filter_map(|pair| rows.get(&pair.id)).collect();
                judged += 1;
                // A prompt with a missing verdict is left out, as everywhere.
                let whole = (rows.len() == looks.len()).then_some(&rows[..]);
                if let Some(score) = whole.and_then(|rows| super::score(rows, Score::Verdicts)) {
                    sequence.push(score);
                }
            }
        }
        Ok(None)
    }

    fn matches(
        &self,
        candidates: &[Completion],
        baselines: &[Completion],
    ) -> anyhow::Result<Vec<Match>> {
        let mut matches = super::matches(candidates, baselines, JudgeMethod::Choice)?;
        if self.orders == Orders::Seeded {
            matches.retain(|pair| {
                let first = model_is_first(pair.candidate.instruction.as_bytes());
                match pair.order {
                    Order::CandidateFirst => first,
                    Order::BaselineFirst => !first,
                    Order::OrderFree => true,
                }
            });
        }
        Ok(matches)
    }
}

fn rows_by_id(out: &Path) -> anyhow::Result<HashMap<String, Judgment>> {
    Ok(read_so_far::<Judgment>(out)?.into_iter().map(|row| (row.id.clone(), row)).collect())
}
