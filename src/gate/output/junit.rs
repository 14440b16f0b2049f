//! JUnit XML, which most systems of continuous integration read.
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Made, difference_words, gate_words};
use crate::{
    gate::{Outcome, Verdict},
    stats::Gate,
};

/// One suite a check, one case a comparison or fault. A check that is inconclusive, or could not be
/// made, is an error and not a failure: neither is green.
///
/// # Errors
/// When the XML cannot be written, which plain text never brings about.
pub fn junit(made: &[Made]) -> anyhow::Result<String> {
    let mut report = Report::new("spyhop check");
    for one in made {
        report.add_test_suite(match one {
            Ok((outcome, _)) => suite(outcome),
            Err(failed) => {
                let mut suite = TestSuite::new(failed.check.clone());
                suite.add_test_case(case(
                    "check",
                    Some((NonSuccessKind::Error, "error", &failed.error)),
                ));
                suite
            }
        });
    }
    // Jenkins' schema knows no `skipped` on the outermost element, where it stands first.
    Ok(report.to_string()?.replacen(" skipped=\"0\"", "", 1))
}

fn suite(outcome: &Outcome) -> TestSuite {
    let mut suite = TestSuite::new(outcome.check.clone());
    let reasons = outcome.reasons.join("; ");
    let kind = match outcome.verdict {
        Verdict::Better | Verdict::NoWorse => None,
        Verdict::Regressed => Some((NonSuccessKind::Failure, "regressed", reasons.as_str())),
        Verdict::Inconclusive => Some((NonSuccessKind::Error, "inconclusive", reasons.as_str())),
    };
    suite.add_test_case(case("verdict", kind));
    for part in &outcome.parts {
        let words = format!("{}: {} points", gate_words(part.gate), difference_words(part));
        // What is open in a part alone does not make the check open.
        let kind = (part.gate == Gate::Regressed).then_some((
            NonSuccessKind::Failure,
            "regressed",
            words.as_str(),
        ));
        suite.add_test_case(case(&part.what.words(), kind));
    }
    for line in &outcome.faults {
        let words = format!(
            "{:.1}% of {} answers, {:.1}% allowed",
            100.0 * line.candidate,
            line.n,
            100.0 * line.limit
        );
        let kind = (line.candidate > line.limit).then_some((
            NonSuccessKind::Failure,
            "fault",
            words.as_str(),
        ));
        suite.add_test_case(case(line.fault.words(), kind));
    }
    suite
}

fn case(name: &str, kind: Option<(NonSuccessKind, &str, &str)>) -> TestCase {
    let status = match kind {
        None => TestCaseStatus::success(),
        Some((kind, of, message)) => {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(of).set_message(message);
            status
        }
    };
    TestCase::new(name, status)
}
