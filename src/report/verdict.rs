//! What the numbers say, in words: a defeat and "nothing shown" as plainly as a success.
use super::{
    win_rates::{Comparison, Difference, WinRates},
    words,
};

/// What a comparison has shown at the 5% level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Better,
    Worse,
    Nothing,
}

impl Shown {
    /// A difference counts as shown when the interval leaves `even` out and Holm's p-value, which
    /// allows for the number of comparisons, is below 5%.
    fn from(estimate: &crate::stats::Estimate, even: f64, p_holm: f64) -> Self {
        if estimate.includes(even) || p_holm >= 0.05 {
            Self::Nothing
        } else if estimate.point > even {
            Self::Better
        } else {
            Self::Worse
        }
    }

    pub(super) fn of_comparison(comparison: &Comparison) -> Self {
        comparison
            .win_rate
            .map_or(Self::Nothing, |win_rate| Self::from(&win_rate, 0.5, comparison.p_holm))
    }

    pub(super) fn of_difference(difference: &Difference) -> Self {
        Self::from(&difference.paired.difference, 0.0, difference.p_holm)
    }
}

/// The shortest true answer to "did it get better?", for the latest model; `attribution` says whose
/// answer it is, where that matters.
pub(super) fn headline(win_rates: &WinRates, attribution: Option<&str>) -> String {
    let Some(last) = win_rates.comparisons.last() else {
        return "No comparison is finished yet.".into();
    };
    let candidate = &last.candidate;
    let of_last = win_rates.comparisons.iter().filter(|other| other.candidate == *candidate);
    let (mut better, mut worse, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for comparison in of_last {
        let baseline = named(&comparison.baseline);
        match Shown::of_comparison(comparison) {
            Shown::Better => better.push(baseline),
            Shown::Worse => worse.push(baseline),
            Shown::Nothing => nothing.push(baseline),
        }
    }
    let mut parts = Vec::new();
    if !better.is_empty() {
        parts.push(format!("is better than {}", words::list(&better)));
    }
    if !worse.is_empty() {
        parts.push(format!("is worse than {}", words::list(&worse)));
    }
    if !nothing.is_empty() {
        parts.push(format!("is not shown to differ from {}", words::list(&nothing)));
    }
    let attribution = attribution.map_or_else(String::new, |who| format!(", {who}"));
    format!("{candidate} {}{attribution}.", words::list(&parts))
}

/// One sentence for each comparison, then one for each difference.
pub(super) fn sentences(win_rates: &WinRates) -> Vec<String> {
    let comparisons = win_rates.planned_comparisons;
    let of_comparisons =
        win_rates.comparisons.iter().map(|comparison| of_comparison(comparison, comparisons));
    let differences = win_rates.planned_differences;
    let of_differences =
        win_rates.differences.iter().map(|difference| of_difference(difference, differences));
    of_comparisons.chain(of_differences).collect()
}

fn of_comparison(comparison: &Comparison, family: usize) -> String {
    let Comparison { candidate, baseline, missing, prompts, .. } = comparison;
    let baseline = named(baseline);
    let Some(win_rate) = comparison.win_rate else {
        return format!("{candidate} against {baseline}: none of {prompts} prompts has a score.");
    };
    let shown = Shown::of_comparison(comparison);
    let conclusion = conclusion(shown, !win_rate.includes(0.5), comparison.p_holm, family);
    let mut sentence =
        format!("{candidate} against {baseline}: {}: {conclusion}.", words::estimate(&win_rate));
    if *missing > 0 {
        let (least, most) = comparison.bounds;
        sentence.push_str(&format!(
            " {missing} of {prompts} prompts have no score: {} if all that is missing were lost, {} if won.",
            words::percent(least),
            words::percent(most)
        ));
        let could_undo = match shown {
            Shown::Better => least <= 0.5,
            Shown::Worse => most >= 0.5,
            Shown::Nothing => false,
        };
        if could_undo {
            sentence.push_str(" They could undo the result.");
        }
    }
    sentence
}

fn of_difference(difference: &Difference, family: usize) -> String {
    let Difference { candidate, before, paired, p_holm } = difference;
    let estimate = &paired.difference;
    let shown = Shown::of_difference(difference);
    let mut sentence = format!(
        "{candidate} minus {before}, both against the base model: {} points {}, n = {}: {}.",
        words::points(estimate.point),
        words::points_interval(estimate),
        words::count(estimate.n),
        conclusion(shown, !estimate.includes(0.0), *p_holm, family)
    );
    if shown == Shown::Nothing {
        sentence.push_str(&format!(
            " This many prompts show a true difference of {:.1} points or more four times in five.",
            100.0 * paired.minimum_detectable
        ));
    }
    sentence
}

fn conclusion(shown: Shown, interval_excludes_even: bool, p_holm: f64, family: usize) -> String {
    let allowed = if family > 1 {
        format!("{} allowing for {family} comparisons", words::p_equals(p_holm))
    } else {
        words::p_equals(p_holm)
    };
    match shown {
        Shown::Better => format!("better ({allowed})"),
        Shown::Worse => format!("worse ({allowed})"),
        Shown::Nothing if interval_excludes_even => format!("no difference shown ({allowed})"),
        Shown::Nothing => "no difference shown".into(),
    }
}

/// A baseline as a sentence calls it.
pub(super) fn named(baseline: &str) -> String {
    if baseline == "base" { "the base model".into() } else { baseline.to_owned() }
}
