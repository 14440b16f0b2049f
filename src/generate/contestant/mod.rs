//! Whose answers are compared, as data: a file of answers, a model behind a server or on this machine,
//! or one that is still to be finetuned. Knows no judge.
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Settings, served::INSTRUCTION};
use crate::{
    exchange,
    recipe::{Price, Recipe, SeedFormat, Server, Source},
    record::{Completion, Prompt, content_id},
    source,
    watch::Watch,
};

/// The baselines that come with the program, by name.
const BUILT_IN: [(&str, &str); 10] = [
    ("text-davinci-003", include_str!("../../../baselines/text-davinci-003.toml")),
    ("lima", include_str!("../../../baselines/lima.toml")),
    ("humpback-65b", include_str!("../../../baselines/humpback-65b.toml")),
    ("humpback-70b", include_str!("../../../baselines/humpback-70b.toml")),
    ("guanaco-65b", include_str!("../../../baselines/guanaco-65b.toml")),
    ("oasst-rlhf-33b", include_str!("../../../baselines/oasst-rlhf-33b.toml")),
    ("falcon-instruct-40b", include_str!("../../../baselines/falcon-instruct-40b.toml")),
    ("claude", include_str!("../../../baselines/claude.toml")),
    ("chatgpt", include_str!("../../../baselines/chatgpt.toml")),
    ("gpt-4", include_str!("../../../baselines/gpt-4.toml")),
];

/// A model, or what it once answered: a file of `baselines/`, or one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contestant {
    /// What rows call it, unless the answers of `outputs` say another name themselves.
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// One file of answers: AlpacaEval's `model_outputs.json`, JSONL or CSV.
    pub outputs: Option<Source>,
    /// A model behind servers.
    pub endpoint: Option<Endpoint>,
    /// A GGUF file, or a directory in Hugging Face layout.
    pub weights: Option<Source>,
    /// A recipe's base model, finetuned on these pairs, as the recipe finetunes: a run makes it.
    pub finetuned: Option<Pairs>,
    /// How a model is asked; of no account for `outputs`.
    #[serde(default)]
    pub settings: Settings,
    /// What others found it to win.
    #[serde(default)]
    pub published: Vec<Published>,
    /// Of a model of a run: where the weights that it was finetuned from come from.
    #[serde(skip)]
    pub base: Option<String>,
    /// Where relative paths start from.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// A model behind servers that speak OpenAI's chat completions, or its completions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What the servers call it.
    pub model: String,
    #[serde(default)]
    pub server: Server,
    pub price: Option<Price>,
    /// A text to be completed, in which the instruction takes the place of `{instruction}`: for models
    /// without a chat template. Left out, servers are sent messages.
    pub prompt: Option<String>,
    /// Fields of the request that only this server knows; a null takes one of ours away.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// Pairs to finetune on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    pub source: Source,
    pub format: SeedFormat,
}

/// A win rate that others published: not measured here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub eval_set: String,
    pub judge: String,
    /// Whose answers it was compared with.
    pub against: String,
    /// In percent.
    pub win_rate: f64,
    pub standard_error: Option<f64>,
    /// Corrected for length, in percent.
    pub length_controlled: Option<f64>,
    /// Prompts.
    pub n: Option<usize>,
    /// Where it stands.
    pub source: String,
}

impl Contestant {
    /// Loads a built-in baseline by name, a contestant's `.toml`, a file of answers, a model's file or
    /// directory, or a model of a run by its directory (`RUN/M1`).
    ///
    /// # Errors
    /// When there is no such thing, or the file has an unknown key.
    pub fn load(name_or_path: &str) -> anyhow::Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text).with_context(|| format!("the built-in baseline {name}"));
        }
        let path = Path::new(name_or_path);
        let absolute = std::path::absolute(path)?;
        anyhow::ensure!(
            path.exists(),
            "there is no file {name_or_path:?}, and no built-in baseline of that name: expected answers, a model, a contestant's .toml, or one of {}",
            built_in().map(|one| one.name).collect::<Vec<_>>().join(", ")
        );
        if path.is_dir() {
            return of_directory(&absolute);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let mut found = Self::parse(&text).with_context(|| path.display().to_string())?;
                found.directory = absolute.parent().unwrap_or(Path::new("")).to_owned();
                Ok(found)
            }
            Some("gguf") => {
                Ok(Self { weights: Some(source::at(&absolute)), ..Self::named(stem(&absolute)) })
            }
            _ => Ok(Self { outputs: Some(source::at(&absolute)), ..Self::named(stem(&absolute)) }),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let found: Self = toml::from_str(text)?;
        anyhow::ensure!(!found.name.trim().is_empty(), "name is empty: rows are called by it");
        let ways = [
            found.outputs.is_some(),
            found.endpoint.is_some(),
            found.weights.is_some(),
            found.finetuned.is_some(),
        ];
        let ways = ways.into_iter().filter(|way| *way).count();
        anyhow::ensure!(
            ways == 1 || (ways == 0 && !found.published.is_empty()),
            "expected one of outputs, endpoint, weights and finetuned, or published figures alone; found {ways}"
        );
        found.settings.check()?;
        if let Some(prompt) = found.endpoint.as_ref().and_then(|one| one.prompt.as_ref()) {
            anyhow::ensure!(
                prompt.contains(INSTRUCTION),
                "endpoint.prompt has no {INSTRUCTION}: nothing would be asked"
            );
            anyhow::ensure!(
                found.settings.system.is_none(),
                "settings.system has no place beside endpoint.prompt: write it into that text"
            );
        }
        if let Some(price) = found.endpoint.as_ref().and_then(|endpoint| endpoint.price) {
            price.check()?;
        }
        Ok(found)
    }

    fn named(name: String) -> Self {
        Self {
            name,
            description: String::new(),
            outputs: None,
            endpoint: None,
            weights: None,
            finetuned: None,
            settings: Settings::default(),
            published: Vec::new(),
            base: None,
            directory: PathBuf::new(),
        }
    }

    /// The recorded answers, if that is what it is.
    ///
    /// # Errors
    /// When they cannot be fetched, or the file holds no answers of one model.
    pub fn recorded(&self, cache: &Path, watch: Watch) -> anyhow::Result<Option<Vec<Completion>>> {
        let Some(outputs) = &self.outputs else { return Ok(None) };
        let fetched = source::fetch(outputs, &self.directory, cache, watch)
            .with_context(|| format!("the answers of {}", self.name))?;
        exchange::completions(fetched.file()?).map(Some)
    }

    /// Where its weights lie, and their hash, if it is a model on this machine.
    ///
    /// # Errors
    /// When they cannot be fetched.
    pub fn model(&self, cache: &Path, watch: Watch) -> anyhow::Result<Option<(PathBuf, String)>> {
        let Some(weights) = &self.weights else { return Ok(None) };
        let fetched = source::fetch(weights, &self.directory, cache, watch)
            .with_context(|| format!("the weights of {}", self.name))?;
        Ok(Some((fetched.model().to_owned(), fetched.sha256)))
    }
}

/// The baselines that come with the program.
///
/// # Panics
/// Never: a test reads them all.
pub fn built_in() -> impl Iterator<Item = Contestant> {
    BUILT_IN.iter().map(|(name, text)| {
        let mut found = Contestant::parse(text).expect("built-in baselines can be read");
        found.name = (*name).to_owned();
        found
    })
}

/// Recorded answers to an eval set's prompts, in its order, found by the prompt's id or its text.
///
/// # Errors
/// When prompts have no answer: how many, and the first.
pub fn select(answers: Vec<Completion>, prompts: &[Prompt]) -> anyhow::Result<Vec<Completion>> {
    let model = answers.first().map_or(String::new(), |answer| answer.generator.clone());
    let mut by_id: HashMap<String, Completion> = HashMap::new();
    for answer in answers {
        by_id.insert(content_id(&[&answer.instruction]), answer.clone());
        by_id.insert(answer.id.clone(), answer);
    }
    let (mut found, mut missing) = (Vec::with_capacity(prompts.len()), Vec::new());
    for prompt in prompts {
        let answer =
            by_id.get(&prompt.id).or_else(|| by_id.get(&content_id(&[&prompt.instruction])));
        match answer {
            Some(answer) if answer.instruction == prompt.instruction => found.push(Completion {
                id: prompt.id.clone(),
                dataset: prompt.dataset.clone(),
                ..answer.clone()
            }),
            _ => missing.push(prompt),
        }
    }
    if let Some(first) = missing.first() {
        let words: String = first.instruction.chars().take(60).collect();
        anyhow::bail!(
            "{model:?} has no answer to {} of {} prompts of the eval set; the first is {words:?}",
            missing.len(),
            prompts.len()
        );
    }
    Ok(found)
}

/// A model of a run, or one in Hugging Face layout.
fn of_directory(path: &Path) -> anyhow::Result<Contestant> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Contestant::named(name);
    if path.join("config.json").is_file() {
        found.weights = Some(source::at(path));
        return Ok(found);
    }
    let (answers, checkpoint) = (path.join("completions.jsonl"), path.join("checkpoint"));
    anyhow::ensure!(
        answers.is_file() || checkpoint.is_dir(),
        "{}: expected a model (config.json), or a model of a run (completions.jsonl or checkpoint)",
        path.display()
    );
    found.outputs = answers.is_file().then(|| source::at(&answers));
    found.weights = checkpoint.is_dir().then(|| source::at(&checkpoint));
    let recipe = path.parent().map(|run| run.join("recipe.toml")).filter(|path| path.is_file());
    if let Some(recipe) = recipe {
        let recipe = Recipe::load(&recipe)?;
        found.base = recipe.model.weights.as_ref().and_then(|source| source.from.first().cloned());
        found.settings = Settings::of(&recipe.evaluate, Some(recipe.tags.inference()));
    }
    Ok(found)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
