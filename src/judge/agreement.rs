//! How well a judge agrees with people: the number that says what its win rates are worth.
use std::{collections::HashMap, path::Path};

use anyhow::Context;

use super::quality::{self, HumanPair, towards};
use crate::{
    lm::Lm,
    recipe::{JudgeMethod, Score},
    record::Judgment,
    stats::{self, Estimate},
    store::read,
    watch::Watch,
};

/// A judge's agreement with people.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Pairs in the file.
    pub pairs: usize,
    /// Share of the pairs with a human majority on which the judge sides with it; a judge that calls
    /// a tie, or contradicts itself when the order changes, is half right.
    pub agreement: Estimate,
    /// The same, when the judge's preferences in the two orders are averaged before they are read.
    pub by_preference: Estimate,
    /// Share of pairs judged in both orders on which both gave the same verdict.
    pub consistency: Option<Estimate>,
    /// Pairs with a human majority on which the judge gave no verdict; counted in no share.
    pub missing: usize,
    /// Share on which the longer answer is the one that people preferred, for comparison.
    pub longer: Estimate,
}

/// Has the judge compare every pair, into `out`, and compares it with the people.
///
/// # Errors
/// When no pair has a human majority, or the judge cannot go on.
pub fn measure(
    load: impl FnOnce() -> anyhow::Result<Lm>,
    pairs: &[HumanPair],
    method: JudgeMethod,
    out: &Path,
    watch: Watch,
) -> anyhow::Result<Measured> {
    let [first, second] = quality::sides(pairs);
    super::run(load, &first, &second, method, out, watch)?;
    let judgments: Vec<Judgment> = read(out)?;
    let mut by_pair: HashMap<&str, Vec<&Judgment>> = HashMap::new();
    for judgment in &judgments {
        by_pair.entry(&judgment.prompt_id).or_default().push(judgment);
    }
    let (mut right, mut right_by_preference, mut longer) = (Vec::new(), Vec::new(), Vec::new());
    let (mut missing, mut both, mut same) = (0, 0, 0);
    for pair in pairs {
        let found = &by_pair[pair.id.as_str()];
        let verdicts: Vec<_> = found.iter().filter_map(|judgment| judgment.verdict).collect();
        if found.len() == 2 && verdicts.len() == 2 {
            both += 1;
            same += usize::from(verdicts[0] == verdicts[1]);
        }
        let Some(preferred) = pair.preferred else { continue };
        longer.push(towards(preferred, quality::longer(pair)));
        let scores = [Score::Verdicts, Score::Preferences].map(|rule| super::score(found, rule));
        let [Some(by_verdicts), Some(by_preferences)] = scores else {
            missing += 1;
            continue;
        };
        right.push(towards(preferred, by_verdicts));
        right_by_preference.push(towards(preferred, by_preferences));
    }
    let share = |scores: &[f64]| {
        stats::mean(scores).context("no pair has both a human majority and a verdict")
    };
    Ok(Measured {
        pairs: pairs.len(),
        agreement: share(&right)?,
        by_preference: share(&right_by_preference)?,
        consistency: stats::proportion(same, both),
        missing,
        longer: share(&longer)?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{judge::human_pairs, lm::Weights};

    const ITEMS: &str = r#"[
        {"instruction": "Q1", "input": "about x", "response1": "a", "response2": "bb",
         "annotator1": 1, "annotator2": 1, "annotator3": 0},
        {"instruction": "Q2", "response1": true, "response2": "ccc",
         "annotator1": 2, "annotator2": 1, "annotator3": 2},
        {"instruction": "Q3", "response1": "a", "response2": "b",
         "annotator1": 2, "annotator2": 1, "annotator3": 0},
        {"instruction": "Q4", "output_1": "same", "output_2": "same", "preference": 1.0},
        {"instruction": "Q5", "output_1": "a", "output_2": "b", "preference": 1.5}
    ]"#;

    #[test]
    fn a_judge_that_always_prefers_the_first_is_half_right() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pairs.json");
        fs::write(&path, ITEMS).unwrap();
        let script = directory.path().join("script.toml");
        fs::write(&script, "[[rule]]\nreplies = [\"A\"]\nlikelihoods = [-1.0]\n").unwrap();
        let weights = Weights::Script { script, model: "judge".into() };
        let pairs = human_pairs(&path).unwrap();
        let measured = |method| {
            let out = directory.path().join(format!("{method:?}.jsonl"));
            measure(|| Lm::load(&weights), &pairs, method, &out, &crate::watch::nobody).unwrap()
        };
        let choice = measured(JudgeMethod::Choice);
        assert_eq!((choice.pairs, choice.missing), (5, 0));
        assert_eq!((choice.agreement.point, choice.agreement.n), (0.5, 3));
        assert_eq!(choice.by_preference.point, 0.5);
        // The pair of identical answers is judged in no order.
        assert_eq!(choice.consistency.map(|share| (share.point, share.n)), Some((0.0, 4)));
        // Longer: "bb" is not preferred, "true" is, and the identical pair is a tie.
        assert_eq!(choice.longer.point, 0.5 / 3.0);
        assert_eq!(measured(JudgeMethod::Likelihood).consistency, None);
    }
}
