//! Win rates controlled for the lengths of the answers, and how.
use super::{super::words, Group, all};
use crate::scoring::Controlled;

/// The win rate at equal length with its interval, where there is one.
pub(super) fn cell(controlled: &Controlled) -> String {
    let interval = controlled
        .interval
        .as_ref()
        .map_or_else(String::new, |interval| format!(" {}", words::interval(interval)));
    format!("{:.2}%{interval}", 100.0 * controlled.win_rate)
}

/// How win rates were controlled for length, or why they were not, and of which models.
pub(super) fn methods(groups: &[Group]) -> Vec<String> {
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for (_, row) in all(groups) {
        let text = match row.controlled {
            Ok(controlled) => format!(
                "At equal length by {}, with 95% intervals by a bootstrap over the prompts; AlpacaEval's published length-controlled win rates are by another regression and do not compare",
                controlled.method
            ),
            Err(reason) => format!("No win rate at equal length: {reason}"),
        };
        let model = words::visible(&row.standing().contest.model);
        match said.iter_mut().find(|(known, _)| *known == text) {
            Some((_, models)) => models.push(model),
            None => said.push((text, vec![model])),
        }
    }
    let sentence =
        |(text, models): (String, Vec<String>)| format!("{text}: {}.", words::list(&models));
    said.into_iter().map(sentence).collect()
}
