//! Differences between runs, prompt by prompt.
use super::{
    super::{
        document::{Block, Table},
        figures,
        plot::{Axis, Drawing, Drawn, Plot, Row, Rows, Scale},
        words,
    },
    Named,
};
use crate::{
    recipe::{BASE, Judge, Recipe},
    stats::{self, Estimate, Paired},
};

/// A model of a run less the model of the same name of the first run, against the same baseline.
pub(super) struct Difference {
    pub(super) run: String,
    pub(super) model: String,
    /// The run that is taken away, and the baseline of both.
    pub(super) first: String,
    pub(super) baseline: String,
    pub(super) paired: Paired,
    pub(super) p_holm: f64,
}

impl Difference {
    fn heading(&self) -> String {
        format!("{} less {}, against {}", self.run, self.first, words::visible(&self.baseline))
    }

    pub(super) fn is_shown(&self) -> bool {
        self.p_holm < 0.05 && !self.paired.difference.includes(0.0)
    }
}

/// What can be compared with the first run, and why other runs cannot.
pub(super) fn differences(runs: &[Named]) -> (Vec<Difference>, Vec<String>) {
    let Some((first, others)) = runs.split_first() else { return (Vec::new(), Vec::new()) };
    let (mut found, mut apart) = (Vec::new(), Vec::new());
    for other in others {
        match incomparable(first, other) {
            Some(reason) => apart.push(reason),
            None => found.extend(between(first, other)),
        }
    }
    // The same model against several baselines stands together with the others against each.
    found.sort_by_key(|one: &Difference| {
        let place = |name: &str| runs.iter().position(|run| run.name == name);
        (place(&one.run), one.baseline.clone())
    });
    let p_values: Vec<f64> = found.iter().map(|difference| difference.paired.p).collect();
    for (difference, p) in found.iter_mut().zip(stats::holm(&p_values)) {
        difference.p_holm = p;
    }
    (found, apart)
}

fn between(first: &Named, other: &Named) -> Vec<Difference> {
    let mut found = Vec::new();
    for ours in &other.win_rates.comparisons {
        // A baseline of the run itself is another model in another run.
        if other.run.models().contains(&ours.baseline) {
            continue;
        }
        let twin =
            first.win_rates.comparisons.iter().find(|theirs| {
                theirs.candidate == ours.candidate && theirs.baseline == ours.baseline
            });
        let Some(theirs) = twin else { continue };
        let (a, b): (Vec<f64>, Vec<f64>) = ours
            .scores
            .iter()
            .filter_map(|(id, score)| Some((*score, *theirs.scores.get(id)?)))
            .unzip();
        if let Some(paired) = stats::paired(&a, &b) {
            found.push(Difference {
                run: other.name.clone(),
                model: ours.candidate.clone(),
                first: first.name.clone(),
                baseline: ours.baseline.clone(),
                p_holm: paired.p,
                paired,
            });
        }
    }
    found
}

/// Why the scores of two runs do not compare.
pub(super) fn incomparable(first: &Named, other: &Named) -> Option<String> {
    let (one, two) = (&first.run.recipe, &other.run.recipe);
    // How well a judge is known does not change its verdicts.
    let judge = |recipe: &Recipe| Judge { agreement: None, ..recipe.judge.clone() };
    let of_base = one.evaluate.baselines.iter().any(|name| name == BASE);
    let reason = if judge(one) != judge(two) {
        "they have different judges"
    } else if one.model == two.model {
        return None;
    } else if one.judge.weights.is_none() && one.judge.remote.is_none() {
        "each is judged by its own base model"
    } else if of_base {
        "their base models differ"
    } else {
        return None;
    };
    Some(format!("{} and {} are not compared prompt by prompt: {reason}.", other.name, first.name))
}

pub(super) fn blocks(found: &[Difference], apart: &[String]) -> anyhow::Result<Vec<Block>> {
    let mut blocks: Vec<Block> =
        apart.iter().map(|reason| Block::warning(reason.clone())).collect();
    if found.is_empty() {
        return Ok(blocks);
    }
    let mut table = Table::new(&[
        "Difference",
        "Model",
        "Shared prompts#",
        "Points#",
        "95% interval#",
        "p#",
        "p (Holm)#",
        "Detectable#",
    ]);
    let mut rows = Vec::new();
    let mut heading = String::new();
    for difference in found {
        let Difference { model, paired, p_holm, .. } = difference;
        let estimate = &paired.difference;
        table.rows.push(vec![
            difference.heading(),
            model.clone(),
            words::count(estimate.n),
            words::points(estimate.point),
            words::points_interval(estimate),
            words::p_value(paired.p),
            words::p_value(*p_holm),
            format!("{:.1}", 100.0 * paired.minimum_detectable),
        ]);
        if heading != difference.heading() {
            heading = difference.heading();
            rows.push(Row::heading(&heading));
        }
        rows.push(row(model.clone(), estimate));
    }
    let n = figures::judged(found.iter().map(|one| Some(&one.paired.difference)));
    blocks.push(Block::Table(table));
    blocks.push(Block::figure(&plot(rows, &n))?);
    blocks.push(Block::paragraph(
        "Paired by prompt, over the prompts that both runs have a score for. Holm's correction is for all differences of this table. Detectable: the true difference, in points, that this many prompts would show in 80% of repetitions at the 5% level. A baseline is taken for the same where it has the same name.",
    ));
    Ok(blocks)
}

pub(in crate::report) fn row(label: String, estimate: &Estimate) -> Row {
    Row {
        label,
        drawn: vec![Drawn::Measured(0, estimate.scaled(100.0))],
        figures: format!("{} {}", words::points(estimate.point), words::points_interval(estimate)),
    }
}

/// Differences in points around zero.
pub(in crate::report) fn plot(rows: Vec<Row>, n: &str) -> Plot {
    let ends = rows.iter().flat_map(|row| &row.drawn).filter_map(|drawn| match drawn {
        Drawn::Measured(_, estimate) => Some([estimate.lower, estimate.upper, 0.0]),
        _ => None,
    });
    let scale = Scale::around(ends.flatten().collect::<Vec<_>>(), false);
    Plot {
        name: "differences",
        title: "Paired differences",
        note: format!("Whiskers: 95% intervals; dashed: no difference. {n}, shared."),
        caption: format!(
            "Differences of win rates on shared prompts with their 95% intervals, {n}. The dashed line is no difference."
        ),
        drawing: Drawing::Rows(Rows {
            axis: Axis { title: "Difference of win rates (points)".into(), scale },
            even: Some(0.0),
            key: Vec::new(),
            rows,
        }),
    }
}
