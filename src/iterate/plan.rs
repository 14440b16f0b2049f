//! What a run would do, and about how long it would take, without touching a model.
use std::fs;

use crate::{
    eval_set, lm,
    model::Rounding,
    recipe::{
        BASE, JudgeMethod, PREVIOUS, RatingMethod, Recipe, SeedFormat, Source, baseline_name,
    },
};

/// A stage to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub stage: String,
    /// What it does, for people.
    pub work: String,
    /// Estimated seconds; `None` where the recipe does not decide it, such as for downloads.
    pub seconds: Option<f64>,
}

/// Seconds a token of a model of 135M weights on two cores without AVX-512, fitted to the tables of
/// `docs/performance.md`. A plan is in the right order of magnitude, not more.
struct Cost {
    read: f64,
    judge: f64,
    /// In a batch of 32.
    write: f64,
    train: f64,
}

impl Cost {
    /// Layers of such a model.
    const LAYERS: f64 = 30.0;

    fn of(recipe: &Recipe) -> Self {
        // Products take less where they are rounded, and all the rest as long.
        let seconds = |rest: f64, products: f64, rounding: Option<Rounding>| {
            1e-3 * (rest + products / rounding.map_or(1.0, |rounding| f64::from(rounding.speed())))
        };
        let answering = lm::rounding(recipe.model.products);
        let training = lm::rounding(recipe.finetune.products);
        let finetune = &recipe.finetune;
        let in_part = finetune.lora.is_some() || finetune.last_layers.is_some();
        let forward = seconds(0.6, 1.9, if in_part { answering } else { training });
        let through =
            finetune.last_layers.map_or(1.0, |layers| layers as f64 / Self::LAYERS).min(1.0);
        // To the gradients of what a layer reads, and of its weights or of an adapter.
        let back = seconds(0.5, 1.9, training)
            + if finetune.lora.is_some() { 0.8e-3 } else { seconds(1.6, 1.9, training) };
        Self {
            read: seconds(0.6, 1.9, answering),
            judge: seconds(0.6, 1.9, lm::rounding(recipe.judge_products())),
            write: seconds(1.2, 3.5, answering),
            train: forward + through * back,
        }
    }
}

/// Seconds that a stage takes to load a model, or to write one.
const LOAD: f64 = 1.5;

/// Tokens a row, as found in the quickstart: texts differ, so this is a guess for any other.
mod tokens {
    pub(super) const SEED_PAIR: f64 = 197.0;
    pub(super) const CHARACTERS_A_TOKEN: f64 = 3.6;
    pub(super) const INSTRUCTION: f64 = 30.0;
    /// Of a rating's and a comparison's words around the texts, what is not the same for all and so read
    /// once.
    pub(super) const RATING: f64 = 60.0;
    pub(super) const COMPARISON: f64 = 25.0;
    pub(super) const PROMPT: f64 = 60.0;
    /// Of the longest answer allowed.
    pub(super) const SHARE_WRITTEN: f64 = 0.85;
}

/// The stages of a recipe, in order.
///
/// # Errors
/// When the seed or the eval set is a local file that cannot be read.
pub fn plan(recipe: &Recipe) -> anyhow::Result<Vec<Planned>> {
    let mut stages = Vec::new();
    let mut add = |stage: String, work: String, seconds: Option<f64>| {
        stages.push(Planned { stage, work, seconds: seconds.map(|s| s.ceil()) });
    };
    let seeds = local_lines(recipe, &recipe.seed.source)?
        .filter(|_| recipe.seed.format == SeedFormat::Jsonl)
        .map_or(recipe.seed.limit, |lines| lines.min(recipe.seed.limit))
        .saturating_sub(recipe.finetune.held_out) as f64;
    let prompts = prompts(recipe)?;
    let known_prompts = prompts.unwrap_or(805) as f64;
    let prompts = prompts.map_or("the eval set's".to_owned(), |prompts| prompts.to_string());
    let segments = recipe.corpus.limit as f64;
    let segment = (recipe.corpus.min_characters + recipe.corpus.max_characters) as f64
        / 2.0
        / tokens::CHARACTERS_A_TOKEN;
    let scripted = recipe.model.script.is_some();
    let time = |seconds: f64| Some(if scripted { 0.0 } else { LOAD + seconds });
    let cost = Cost::of(recipe);
    let train = |pairs: f64, extra: f64| {
        let tokens = pairs * tokens::SEED_PAIR + extra * (segment + tokens::INSTRUCTION);
        time(LOAD + recipe.finetune.epochs * tokens * cost.train)
    };
    let epochs = match recipe.finetune.epochs {
        1.0 => "1 epoch".to_owned(),
        epochs => format!("{epochs} epochs"),
    };

    add("seed".into(), format!("at most {} pairs", recipe.seed.limit), None);
    add("corpus".into(), format!("at most {} segments", recipe.corpus.limit), None);
    add("backward/finetune".into(), format!("{seeds} pairs, {epochs}"), train(seeds, 0.0));
    let augment = segments * (segment * cost.read + tokens::INSTRUCTION * cost.write);
    add("augment".into(), format!("{segments} instructions"), time(augment));
    let answer = recipe.evaluate.max_tokens as f64 * tokens::SHARE_WRITTEN;
    let answers = known_prompts * (tokens::PROMPT * cost.read + answer * cost.write);
    let answers_work = format!("{prompts} answers");
    // Likelihood reads each answer once; a choice reads both, in each order.
    let read_in_all = match recipe.judge.method {
        JudgeMethod::Likelihood => 2.0 * (tokens::PROMPT + answer),
        JudgeMethod::Choice => 2.0 * (tokens::PROMPT + tokens::COMPARISON + 2.0 * answer),
    };
    let judged = known_prompts * read_in_all * cost.judge;
    // How fast servers are is not known.
    let judged = time(judged).filter(|_| recipe.judge.remote.is_none());
    let baselines = |model: &str, first: bool, add: &mut dyn FnMut(String, String, Option<f64>)| {
        let names = recipe.evaluate.baselines.iter().map(|baseline| baseline_name(baseline));
        for name in names.filter(|&name| !(first && name == PREVIOUS)) {
            add(format!("{model}/judge-{name}"), format!("{prompts} comparisons"), judged);
        }
    };
    add(format!("{BASE}/generate"), answers_work.clone(), time(answers));
    for rival in recipe.evaluate.rivals() {
        let work = format!("{prompts} answers: read, or asked for");
        add(format!("{}/generate", baseline_name(rival)), work, None);
    }
    add("M0/finetune".into(), format!("{seeds} pairs, {epochs}"), train(seeds, 0.0));
    add("M0/generate".into(), answers_work.clone(), time(answers));
    baselines("M0", true, &mut add);
    for iteration in 1..=recipe.iterations {
        let (previous, model) = (format!("M{}", iteration - 1), format!("M{iteration}"));
        let read = segments * (segment + tokens::RATING) * cost.read;
        let written = match recipe.curate.rating {
            RatingMethod::Probabilities => 0.0,
            RatingMethod::Text => {
                let reply = recipe.curate.max_tokens as f64 * tokens::SHARE_WRITTEN;
                segments * recipe.curate.samples as f64 * reply * cost.write
            }
        };
        add(format!("{previous}/curate"), format!("{segments} ratings"), time(read + written));
        let kept = recipe.curate.at_least as f64;
        add(
            format!("{model}/finetune"),
            format!("{seeds} pairs and those kept, {epochs}"),
            train(seeds, kept.max(segments / 4.0)),
        );
        add(format!("{model}/generate"), answers_work.clone(), time(answers));
        baselines(&model, false, &mut add);
    }
    Ok(stages)
}

/// Prompts of the eval set, where that is known without fetching anything.
fn prompts(recipe: &Recipe) -> anyhow::Result<Option<usize>> {
    let name = &recipe.evaluate.eval_set;
    let limited = |count: usize| Some(count.min(recipe.evaluate.limit.unwrap_or(usize::MAX)));
    if let Some(set) = eval_set::built_in()?.into_iter().find(|set| set.name == *name) {
        return Ok(limited(set.count));
    }
    if name.ends_with(".toml") {
        return Ok(None);
    }
    let path = recipe.directory.join(name);
    Ok(limited(eval_set::prompts(&path)?.len()))
}

/// Lines of a source that is a local file.
fn local_lines(recipe: &Recipe, source: &Source) -> anyhow::Result<Option<usize>> {
    let Some(name) = source.from.first().and_then(|from| from.strip_prefix("file:")) else {
        return Ok(None);
    };
    let path = recipe.directory.join(name);
    if path.extension().is_some_and(|extension| extension == "gz") || name.contains('#') {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
    Ok(Some(text.lines().filter(|line| !line.trim().is_empty()).count()))
}
