//! The iterations one after another: what each learned from, how it did, and what it gained.
use super::{
    document::Table,
    results::drawn,
    run::Run,
    verdict::Shown,
    win_rates::WinRates,
    words::{self, NOT_APPLICABLE},
};

/// One row for each model that is judged against the base model; `None` before the first is.
pub(super) fn table(run: &Run, win_rates: &WinRates) -> anyhow::Result<Option<Table>> {
    let mut table = Table::new(&[
        "Model",
        "Seed pairs#",
        "Curated pairs#",
        "Win rate against base#",
        "Gain on the one before#",
        "95% interval#",
        "Better?",
        "Time#",
    ]);
    let seed = run.seed_pairs()?.len();
    for model in run.models() {
        let against_base = win_rates
            .comparisons
            .iter()
            .find(|one| one.candidate == model && one.baseline == "base");
        let Some(comparison) = against_base else { continue };
        let win_rate = comparison.win_rate.as_ref();
        let difference = win_rates.differences.iter().find(|one| one.candidate == model);
        let gained = difference.map(|difference| &difference.paired.difference);
        let none = || NOT_APPLICABLE.to_owned();
        let time: f64 = run
            .done
            .iter()
            .filter(|done| done.id.starts_with(&format!("{model}/")))
            .map(|done| done.seconds)
            .sum();
        table.rows.push(vec![
            model.clone(),
            words::count(seed),
            words::count(run.curated_pairs(&model)?.len()),
            words::estimate_or_none(win_rate),
            gained.map_or_else(none, |gained| format!("{} points", words::points(gained.point))),
            gained.map_or_else(none, words::points_interval),
            match difference.map(Shown::of_difference) {
                None => none(),
                Some(Shown::Better) => "yes".into(),
                Some(Shown::Worse) => "no, worse".into(),
                Some(Shown::Nothing) => "not shown".into(),
            },
            words::duration(time),
        ]);
        table.intervals.push(win_rate.map(drawn));
    }
    Ok((!table.rows.is_empty()).then_some(table))
}
