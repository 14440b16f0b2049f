//! How many of the anchors a judge gets right.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{Anchor, Kind, Outcome, anchors};
use crate::stats::{self, Estimate};

/// Shares of anchors that the judge got right, an undecided one counting half, among those that are
/// not missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    pub all: Option<Estimate>,
    pub by_kind: BTreeMap<Kind, Option<Estimate>>,
    pub length_traps: Option<Estimate>,
    /// Of all but the length traps.
    pub other_kinds: Option<Estimate>,
    /// Where the better answer has fewer characters, and where it has more: half of the set each, so
    /// that a judge that goes by length alone is right on one half and wrong on the other.
    pub better_is_shorter: Option<Estimate>,
    pub better_is_longer: Option<Estimate>,
    pub right: usize,
    pub undecided: usize,
    pub wrong: usize,
    pub missing: usize,
}

/// Shares of what [`super::outcomes`] gives.
///
/// # Panics
/// When there is not one outcome an anchor.
pub fn accuracy(outcomes: &[Outcome]) -> Accuracy {
    let anchors = anchors();
    assert_eq!(outcomes.len(), anchors.len(), "one outcome an anchor");
    let share = |of: &dyn Fn(&Anchor) -> bool| {
        let of_these = anchors.iter().zip(outcomes).filter(|(anchor, _)| of(anchor));
        let scores: Vec<f64> = of_these.filter_map(|(_, outcome)| outcome.score()).collect();
        stats::mean(&scores)
    };
    let count = |which: Outcome| outcomes.iter().filter(|&&outcome| outcome == which).count();
    let characters = |text: &str| text.chars().count();
    let shorter = |anchor: &Anchor| characters(&anchor.better) < characters(&anchor.worse);
    let kinds = anchors.iter().map(|anchor| anchor.kind);
    Accuracy {
        all: share(&|_| true),
        by_kind: kinds.map(|kind| (kind, share(&|anchor| anchor.kind == kind))).collect(),
        length_traps: share(&|anchor| anchor.kind == Kind::LengthTrap),
        other_kinds: share(&|anchor| anchor.kind != Kind::LengthTrap),
        better_is_shorter: share(&shorter),
        better_is_longer: share(&|anchor| !shorter(anchor)),
        right: count(Outcome::Right),
        undecided: count(Outcome::Undecided),
        wrong: count(Outcome::Wrong),
        missing: count(Outcome::Missing),
    }
}

impl Accuracy {
    /// What there is to say, one sentence a line.
    pub fn words(&self) -> Vec<String> {
        let Accuracy { all, length_traps, other_kinds, .. } = self;
        let Accuracy { better_is_shorter, better_is_longer, .. } = self;
        let Accuracy { right, undecided, wrong, missing, .. } = *self;
        if all.is_none() {
            return vec!["anchors: not one was judged".to_owned()];
        }
        let mut words = vec![
            format!(
                "anchors: accuracy {}; {right} right, {undecided} undecided, {wrong} wrong, {missing} missing",
                percent(all)
            ),
            format!("length traps: {}; the rest: {}", percent(length_traps), percent(other_kinds)),
            format!(
                "where the better answer is the shorter one: {}; the longer one: {}",
                percent(better_is_shorter),
                percent(better_is_longer)
            ),
        ];
        let kinds = self.by_kind.iter();
        let lost: Vec<String> = kinds
            .filter_map(|(kind, share)| Some((kind, (*share)?)))
            .filter(|(_, share)| share.point < 1.0)
            .map(|(kind, Estimate { point, n, .. })| {
                format!("{} {:.1} of {n}", kind.words(), point * n as f64)
            })
            .collect();
        if !lost.is_empty() {
            words.push(format!("kinds that were not all right: {}", lost.join(", ")));
        }
        words
    }
}

/// `95.8% [86.0, 98.8], n = 48`
fn percent(share: &Option<Estimate>) -> String {
    share.map_or("n/a".to_owned(), |share| {
        let Estimate { point, lower, upper, n } = share.scaled(100.0);
        format!("{point:.1}% [{lower:.1}, {upper:.1}], n = {n}")
    })
}
