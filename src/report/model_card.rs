//! `model_card.md`: what a Hugging Face model card says of the latest model, with its metadata.
//!
//! The keys of `model-index` are those of the hub's specification (huggingface_hub, `modelcard.md`).
use super::{markdown, verdict, win_rates::WinRates, words};

/// `None` until there is a number to state.
pub(super) fn render(
    win_rates: &WinRates,
    eval_set: &str,
    caution: Option<&str>,
) -> Option<String> {
    let latest = &win_rates.comparisons.last()?.candidate;
    let of_latest: Vec<_> =
        win_rates.comparisons.iter().filter(|one| one.candidate == *latest).collect();
    let mut metrics = String::new();
    for comparison in &of_latest {
        let Some(win_rate) = comparison.win_rate else { continue };
        metrics.push_str(&format!(
            "    - type: win_rate\n      name: {}\n      value: {:.1}\n",
            quoted(&format!(
                "Win rate against {}, % {}, n = {}",
                comparison.baseline,
                words::interval(&win_rate),
                win_rate.n
            )),
            100.0 * win_rate.point,
        ));
    }
    if metrics.is_empty() {
        return None;
    }
    let name = format!("{} {latest}", win_rates.name);
    let mut text = format!(
        "---\nmodel-index:\n- name: {name}\n  results:\n  - task:\n      type: text-generation\n      name: Following instructions, compared in pairs\n    dataset:\n      type: {set}\n      name: {set}\n    metrics:\n{metrics}---\n\n## Evaluation\n\n",
        name = quoted(&name),
        set = quoted(eval_set),
    );
    if let Some(caution) = caution {
        text.push_str(&format!("> **Warning:** {}\n\n", markdown::escape(caution)));
    }
    text.push_str(
        "| Model | Against | n | Missing | Win rate | 95% interval | Won / tied / lost |\n",
    );
    text.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for comparison in &of_latest {
        let win_rate = comparison.win_rate.as_ref();
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| words::NOT_APPLICABLE.into());
        let cells = [
            latest.clone(),
            comparison.baseline.clone(),
            words::count(win_rate.map_or(0, |estimate| estimate.n)),
            words::count(comparison.missing),
            or_none(win_rate.map(|estimate| words::percent(estimate.point))),
            or_none(win_rate.map(words::interval)),
            format!("{} / {} / {}", comparison.wins, comparison.ties, comparison.losses),
        ];
        text.push_str(&format!("| {} |\n", cells.map(|cell| markdown::escape(&cell)).join(" | ")));
    }
    text.push('\n');
    text.push_str(&format!(
        "Eval set: {}. {}\n",
        markdown::escape(eval_set),
        markdown::escape(&win_rates.judge)
    ));
    for sentence in verdict::sentences(win_rates) {
        if sentence.starts_with(&format!("{latest} ")) {
            text.push_str(&format!("\n- {}", markdown::escape(&sentence)));
        }
    }
    text.push_str(
        "\n\nMeasured by spyhop; `report/` of the run has every number and every judgment.\n",
    );
    Some(text)
}

/// A string of YAML, of which one of JSON is a kind.
fn quoted(text: &str) -> String {
    serde_json::Value::from(words::visible(text)).to_string()
}
