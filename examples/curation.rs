//! The stage that rates pairs, as a run has it, for `benches/curation.py` to hold against llama.cpp.
//!
//! `cargo run --release --example curation -- pairs SEED.jsonl N OUT` writes `OUT/pairs.jsonl`: N pairs,
//! every instruction of the seed first with its own answer, then with those of its neighbours; and
//! `OUT/questions.json`, what a model is asked about them.
//! `... -- rate MODEL PAIRS.jsonl METHOD PRODUCTS OUT.jsonl` rates them.
use std::{env, fs, path::Path};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spyhop::{
    curate,
    lm::{Lm, Weights},
    prompt,
    recipe::Curate,
    record::{Origin, Pair},
    stage::Work,
    watch,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["pairs", seed, number, out] => pairs(&rows(seed)?, number.parse()?, Path::new(out)),
        ["rate", model, pairs, method, products, out] => rate(model, pairs, method, products, out),
        _ => anyhow::bail!("expected pairs SEED N OUT, or rate MODEL PAIRS METHOD PRODUCTS OUT"),
    }
}

fn pairs(seed: &[Value], number: usize, out: &Path) -> anyhow::Result<()> {
    let field = |at: usize, name: &str| {
        let text = seed[at % seed.len()][name].as_str().map(str::to_owned);
        text.with_context(|| format!("a row of the seed has no {name}"))
    };
    let pair = |at: usize| {
        let (instruction, output) =
            (field(at, "instruction")?, field(at + at / seed.len(), "output")?);
        Ok(Pair::new(instruction, output, Origin::Augmented, at.to_string()))
    };
    let pairs: Vec<Pair> = (0..number).map(pair).collect::<anyhow::Result<_>>()?;
    let question = |pair: &Pair| {
        let (instruction, output) = (&pair.instruction, &pair.output);
        json!({
            "text": prompt::rate(instruction, output),
            "probabilities": prompt::rate_at_once(instruction, output),
        })
    };
    let questions: Vec<Value> = pairs.iter().map(question).collect();
    let questions = json!({ "opening": prompt::RATING_OPENING, "questions": questions });
    let lines: Vec<String> = pairs.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    fs::create_dir_all(out)?;
    fs::write(out.join("pairs.jsonl"), lines.join("\n"))?;
    Ok(fs::write(out.join("questions.json"), serde_json::to_string(&questions)?)?)
}

fn rate(model: &str, pairs: &str, method: &str, products: &str, out: &str) -> anyhow::Result<()> {
    // Greedy, and at most 64 tokens, so that a peer can be asked for the same.
    let settings =
        Curate { rating: named(method)?, temperature: 0.0, max_tokens: 64, ..Curate::default() };
    let products = named(products)?;
    let load = || Lm::load_with(&Weights::Files(model.into()), products);
    let work = Work { out: Path::new(out), random_seed: 1, watch: &watch::nobody };
    curate::run(load, &rows::<Pair>(pairs)?, &settings, work).map(drop)
}

/// One of several, by its name in a recipe.
fn named<T: DeserializeOwned>(name: &str) -> anyhow::Result<T> {
    Ok(serde_json::from_value(json!(name))?)
}

fn rows<T: DeserializeOwned>(path: &str) -> anyhow::Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
