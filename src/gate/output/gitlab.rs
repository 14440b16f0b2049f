//! GitLab's code-quality report.
use serde_json::{Value, json};

use super::Made;
use crate::{gate::Verdict, record::content_id};

/// One issue a reason of a check that is not green; `place` is the file that the issues point at.
pub fn gitlab(made: &[Made], place: &str) -> String {
    let issue = |check: &str, severity: &str, text: &str| {
        json!({
            "description": text,
            "check_name": format!("spyhop check {check}"),
            "fingerprint": content_id(&[check, text]),
            "severity": severity,
            "location": {"path": place, "lines": {"begin": 1}},
        })
    };
    let issues: Vec<Value> = made
        .iter()
        .flat_map(|one| match one {
            Err(failed) => vec![issue(&failed.check, "critical", &failed.error)],
            Ok((outcome, _)) => {
                let severity = match outcome.verdict {
                    Verdict::Better | Verdict::NoWorse => return Vec::new(),
                    Verdict::Regressed => "major",
                    Verdict::Inconclusive => "minor",
                };
                outcome.reasons.iter().map(|text| issue(&outcome.check, severity, text)).collect()
            }
        })
        .collect();
    format!("{:#}\n", Value::Array(issues))
}
