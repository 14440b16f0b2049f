//! What this run does differently from the paper, computed from its recipe.
//!
//! The paper's values: arXiv 2308.06259, sections 2 and 3 and its appendix on training.
mod finetuning;

use super::{judge_card, run::Run, words};
use crate::recipe::{BASE, JudgeMethod, PREVIOUS, RatingMethod, Recipe, SeedFormat, Tag};

#[derive(Debug)]
pub(super) struct Deviation {
    pub(super) what: &'static str,
    pub(super) here: String,
    pub(super) paper: &'static str,
}

/// Every deviation, in the order of the loop.
pub(super) fn of(run: &Run) -> Vec<Deviation> {
    let recipe = &run.recipe;
    let mut found = Vec::new();
    let mut note = |differs: bool, what, here: String, paper| {
        if differs {
            found.push(Deviation { what, here, paper });
        }
    };
    note(true, "Base model", base_model(run), "LLaMA 7B, 33B and 65B");
    let seed_pairs = counted(run, "seed");
    note(
        seed_pairs != Some(3_200) || recipe.seed.format != SeedFormat::OpenAssistant,
        "Seed",
        match (seed_pairs, recipe.seed.format) {
            (None, _) => format!("at most {} pairs", words::count(recipe.seed.limit)),
            (Some(n), SeedFormat::OpenAssistant) => {
                format!("{} pairs of Open Assistant", words::count(n))
            }
            (Some(n), SeedFormat::Lima) => format!("{} pairs of LIMA", words::count(n)),
            (Some(n), SeedFormat::Jsonl) => format!("{} pairs of its own", words::count(n)),
        },
        "3,200 pairs of Open Assistant: first turn, English, rank 0",
    );
    note(true, "Corpus", corpus(run), "502,133 segments of English ClueWeb");
    note(
        (recipe.corpus.min_characters, recipe.corpus.max_characters) != (600, 3_000),
        "Segment length",
        format!(
            "{} to {} characters",
            words::count(recipe.corpus.min_characters),
            words::count(recipe.corpus.max_characters)
        ),
        "600 to 3,000 characters",
    );
    note(
        true,
        "Repetition filter",
        format!(
            "n-grams of {} words, Jaccard similarity of {}",
            recipe.corpus.repetition_ngram, recipe.corpus.repetition_threshold
        ),
        "not stated",
    );
    tags(recipe, &mut note);
    note(
        true,
        "Prompts for instructions, ratings and comparisons",
        "in own words".into(),
        "of the paper (the rating), of AlpacaEval (the judge); the backward model's is not printed",
    );
    finetuning::of(run, &mut note);
    note(
        sampling(
            recipe.augment.temperature,
            recipe.augment.top_p,
            recipe.augment.top_k,
            &recipe.augment.stop,
        ) != PAPER_SAMPLING,
        "Sampling of instructions",
        sampling(
            recipe.augment.temperature,
            recipe.augment.top_p,
            recipe.augment.top_k,
            &recipe.augment.stop,
        ),
        PAPER_SAMPLING,
    );
    curating(recipe, &mut note);
    note(recipe.iterations != 2, "Iterations", recipe.iterations.to_string(), "2");
    evaluation(run, &mut note);
    found
}

type Note<'a> = dyn FnMut(bool, &'static str, String, &'static str) + 'a;

fn counted(run: &Run, stage: &str) -> Option<usize> {
    run.done.iter().find(|done| done.id == stage).map(|done| done.counts.kept)
}

fn base_model(run: &Run) -> String {
    let Some(source) = &run.recipe.model.weights else {
        return "a script of replies, no model".into();
    };
    let used = run.provenance.as_ref().and_then(|provenance| {
        provenance.sources.iter().find(|used| source.from.contains(&used.from))
    });
    match used {
        Some(used) => format!("{} ({})", words::visible(&used.from), words::bytes(used.bytes)),
        None => words::visible(&words::list(&source.from)),
    }
}

fn corpus(run: &Run) -> String {
    let from = words::visible(&words::list(&run.recipe.corpus.source.from));
    match counted(run, "corpus") {
        Some(segments) => format!("{} of {from}", words::counted(segments, "segment")),
        None => format!("at most {} segments of {from}", words::count(run.recipe.corpus.limit)),
    }
}

const PAPER_SAMPLING: &str = "temperature 0.7, top-p 0.9";

fn sampling(temperature: f64, top_p: f64, top_k: Option<usize>, stop: &[String]) -> String {
    let mut text = format!("temperature {temperature}, top-p {top_p}");
    if let Some(top_k) = top_k {
        text += &format!(", top-k {top_k}");
    }
    if !stop.is_empty() {
        text += &format!(", {}", words::counted(stop.len(), "stop string"));
    }
    text
}

fn tags(recipe: &Recipe, note: &mut Note) {
    let tags = &recipe.tags;
    let paper =
        ["Answer in the style of an AI Assistant.", "Answer with knowledge from web search."];
    note(
        [tags.seed.as_str(), tags.augmented.as_str()] != paper,
        "System prompts",
        format!(
            "seed: \"{}\"; augmented: \"{}\"",
            words::visible(&tags.seed),
            words::visible(&tags.augmented)
        ),
        "seed: \"Answer in the style of an AI Assistant.\"; augmented: \"Answer with knowledge from web search.\"",
    );
    note(
        tags.inference != [Tag::Seed, Tag::Augmented],
        "System prompt when answering",
        if tags.inference.is_empty() {
            "none".into()
        } else {
            format!("\"{}\"", words::visible(&tags.inference()))
        },
        "both together",
    );
}

fn curating(recipe: &Recipe, note: &mut Note) {
    let curate = &recipe.curate;
    note(
        curate.rating == RatingMethod::Probabilities,
        "Rating",
        "mean of 1 to 5 under the model's next-token probabilities".into(),
        "the model writes its reasons and a score",
    );
    note(
        curate.rating == RatingMethod::Text && curate.samples != 1,
        "Replies for a rating",
        format!("mean of {}", curate.samples),
        "one, as far as stated",
    );
    note(
        curate.rating == RatingMethod::Text
            && sampling(curate.temperature, curate.top_p, curate.top_k, &curate.stop)
                != PAPER_SAMPLING,
        "Sampling of ratings",
        sampling(curate.temperature, curate.top_p, curate.top_k, &curate.stop),
        PAPER_SAMPLING,
    );
    note(
        curate.threshold != 4.5 || curate.at_least > 0,
        "Pairs kept",
        format!(
            "rated {} and more{}",
            curate.threshold,
            if curate.at_least > 0 {
                format!(", but at least the {} best rated", words::count(curate.at_least))
            } else {
                String::new()
            }
        ),
        "rated 4.5 and more",
    );
}

fn evaluation(run: &Run, note: &mut Note) {
    let evaluate = &run.recipe.evaluate;
    let prompts = match run.prompts.len() {
        0 => words::visible(&evaluate.eval_set),
        n => format!("{} of {}", words::counted(n, "prompt"), words::visible(&evaluate.eval_set)),
    };
    note(
        true,
        "Eval set",
        prompts,
        "1,130 prompts of six public sets and the authors' own; AlpacaEval's 805",
    );
    note(
        sampling(evaluate.temperature, evaluate.top_p, evaluate.top_k, &evaluate.stop)
            != PAPER_SAMPLING,
        "Sampling of answers",
        sampling(evaluate.temperature, evaluate.top_p, evaluate.top_k, &evaluate.stop),
        PAPER_SAMPLING,
    );
    note(
        true,
        "Longest answer",
        format!("{} tokens", words::count(evaluate.max_tokens)),
        "not stated",
    );
    let baselines: Vec<String> = evaluate
        .baselines
        .iter()
        .map(|baseline| match baseline.as_str() {
            BASE => "the base model".into(),
            PREVIOUS => "the iteration before".into(),
            other => words::visible(other),
        })
        .collect();
    note(
        true,
        "Baselines",
        words::list(&baselines),
        "text-davinci-003; other models in the human evaluation",
    );
    let method = match run.recipe.judge.method {
        _ if run.recipe.judge.remote.is_some() => "asked in both orders",
        JudgeMethod::Choice => "chooses",
        JudgeMethod::Likelihood => "compares likelihoods",
    };
    note(
        true,
        "Judge",
        format!("{}; {method}", judge_card::model(run)),
        "GPT-4 with AlpacaEval's prompt, and people",
    );
}
