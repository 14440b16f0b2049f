//! Whether a judge says of the anchors what it said before.
use serde::Serialize;

use super::{AnchorRun, Outcome};
use crate::stats::{self, Estimate};

/// The p-value up to which a change has a direction. Ours.
const LEVEL: f64 = 0.05;

/// A run beside the earlier runs of the same judge. Those with more than a tenth of the anchors missing
/// are passed over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Whether too few anchors were judged now, so that nothing is compared.
    pub too_few: bool,
    /// Earlier runs that count.
    pub earlier: usize,
    /// Anchors with another outcome from each of those to the next: the judge's own noise, as far as it
    /// is known.
    pub earlier_changes: Vec<usize>,
    pub since_first: Option<Change>,
    /// `None` also where the last run is the first one.
    pub since_last: Option<Change>,
}

/// What became of the anchors since one earlier run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub finding: Finding,
    /// Seconds from that run to this one.
    pub seconds: u64,
    /// Where that run was at another server.
    pub other_server: Option<String>,
    /// Anchors that are missing in neither.
    pub compared: usize,
    /// Of those, how many have a higher score now and how many a lower one.
    pub better: usize,
    pub worse: usize,
    /// Two-sided p-value of the exact sign test of those two numbers ([`stats::mcnemar`]): whether a
    /// change in either direction is as likely.
    pub p: f64,
    /// The accuracy now less that of then, on the anchors that are compared.
    pub difference: Option<Estimate>,
}

/// What a [`Change`] says. Each comparison is a test at 5% of its own, with no correction for their
/// number: over many runs of a judge that only wavers, one in twenty has a direction by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Not one outcome is another.
    NoChange,
    /// Outcomes changed, but not clearly more to one side.
    NoDirection,
    /// More of them for the better than chance would give.
    Better,
    /// More of them for the worse.
    Worse,
}

/// Compares a run with the earlier ones of the same judge, the first one first.
pub(super) fn drift(run: &AnchorRun, earlier: &[AnchorRun]) -> Drift {
    let earlier: Vec<&AnchorRun> = earlier.iter().filter(|run| !run.too_few()).collect();
    let changes = earlier.windows(2).map(|two| {
        let differences = differences(two[1], two[0]);
        differences.iter().filter(|&&difference| difference != 0.0).count()
    });
    let since = |before: Option<&&AnchorRun>| before.map(|before| change(run, before));
    let compare = !run.too_few();
    Drift {
        too_few: !compare,
        earlier: earlier.len(),
        earlier_changes: changes.collect(),
        since_first: since(earlier.first().filter(|_| compare)),
        since_last: since(earlier.get(1..).and_then(<[_]>::last).filter(|_| compare)),
    }
}

/// What became of the anchors since one earlier run of the same judge.
pub fn change(run: &AnchorRun, before: &AnchorRun) -> Change {
    let differences = differences(run, before);
    let better = differences.iter().filter(|&&difference| difference > 0.0).count();
    let worse = differences.iter().filter(|&&difference| difference < 0.0).count();
    let p = stats::mcnemar(better, worse);
    let finding = match (better, worse) {
        (0, 0) => Finding::NoChange,
        _ if p > LEVEL => Finding::NoDirection,
        _ if better > worse => Finding::Better,
        _ => Finding::Worse,
    };
    Change {
        finding,
        seconds: run.time.saturating_sub(before.time),
        other_server: (before.server != run.server).then(|| before.server.clone()),
        compared: differences.len(),
        better,
        worse,
        p,
        difference: stats::difference(&differences),
    }
}

/// The score now less the score then, of each anchor that has both.
fn differences(now: &AnchorRun, then: &AnchorRun) -> Vec<f64> {
    let difference =
        |(id, outcome): (&String, &Outcome)| Some(outcome.score()? - then.scores.get(id)?.score()?);
    now.scores.iter().filter_map(difference).collect()
}

impl Drift {
    /// What there is to say, one sentence a line.
    pub fn words(&self) -> Vec<String> {
        if self.too_few {
            return vec!["too few anchors judged to tell whether the judge has changed".to_owned()];
        }
        let Some(first) = &self.since_first else {
            return vec!["no earlier run of this judge to compare with".to_owned()];
        };
        let mut words = vec![format!("since the first run, {}", first.words())];
        if let Some(last) = &self.since_last {
            words.push(format!("since the last run, {}", last.words()));
            words.extend(self.noise(last));
        }
        words
    }

    /// How the last step compares with the earlier ones.
    fn noise(&self, last: &Change) -> Option<String> {
        let most = *self.earlier_changes.iter().max()?;
        let before = match self.earlier {
            2 => "between the two earlier runs".to_owned(),
            runs => format!("from one of the {runs} earlier runs to the next"),
        };
        match (most, last.better + last.worse) {
            (_, 0) => None,
            (0, _) => Some(format!("{before}, no verdict had changed, so any change is a sign")),
            (most, now) if now > most => {
                Some(format!("{before}, at most {most} had changed, which is fewer"))
            }
            (most, _) => Some(format!("{before}, up to {most} had changed, which is no fewer")),
        }
    }
}

impl Change {
    /// Whether scores of that run's time and of this one's had better not be compared: the change has a
    /// direction, or more than one anchor in ten has another outcome. A judge behind a server that
    /// wavers on a few anchors without leaning to one side passes.
    pub fn is_drift(&self) -> bool {
        matches!(self.finding, Finding::Better | Finding::Worse)
            || 10 * (self.better + self.worse) > self.compared
    }

    /// In one sentence, beginning with when that run was.
    pub fn words(&self) -> String {
        let Self { compared, better, worse, p, .. } = *self;
        let at = self.other_server.as_ref().map(|server| format!(" at {server}"));
        let when = format!("{}{}", ago(self.seconds), at.unwrap_or_default());
        let p = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") };
        let changed = format!("{} of {compared} verdicts changed", better + worse);
        let drifted = |to: &str| {
            let difference = self.difference.map_or(String::new(), |difference| {
                let Estimate { point, lower, upper, .. } = difference.scaled(100.0);
                format!(", accuracy {point:+.1} points [{lower:+.1}, {upper:+.1}]")
            });
            format!(
                "drifted: {changed}, {better} for the better and {worse} for the worse, on the whole for the {to} ({p}){difference}"
            )
        };
        let finding = match self.finding {
            Finding::NoChange => format!("no change of {compared} verdicts"),
            Finding::NoDirection => format!(
                "{changed}, {better} for the better and {worse} for the worse; no direction can be told ({p})"
            ),
            Finding::Better => drifted("better"),
            Finding::Worse => drifted("worse"),
        };
        format!("{when}: {finding}")
    }
}

/// A time span in its largest whole unit.
fn ago(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}
