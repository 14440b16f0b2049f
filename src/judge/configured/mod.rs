//! Judges as data: a TOML file says what a model is asked about two answers and how its reply is read.
//!
//! Sends nothing: the caller puts [`Judge::messages`] to an endpoint and hands the reply to
//! [`Judge::read`]. Answers are material from others and may be written to sway a judge; none can
//! change the messages around it, and a reply is read without a look at the answers.
mod file;
mod template;
mod parser;
mod verdict_line;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::Context;

pub use file::Sampling;
pub use parser::{Parsed, Said};

use crate::{
    model::Message,
    recipe::{Price, RemoteJudge, Source},
    record::content_id,
    source,
    watch::Watch,
};
use file::JudgeFile;
use parser::Parser;
use template::Template;

/// The judges that come with the program, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("pair-logprobs", include_str!("../../../judges/pair-logprobs.toml")),
    ("pair-verdict", include_str!("../../../judges/pair-verdict.toml")),
    ("pair-reasons", include_str!("../../../judges/pair-reasons.toml")),
    ("pair-levels", include_str!("../../../judges/pair-levels.toml")),
    ("alpaca_eval_gpt4", include_str!("../../../judges/alpaca_eval_gpt4.toml")),
    (
        "weighted_alpaca_eval_gpt4_turbo",
        include_str!("../../../judges/weighted_alpaca_eval_gpt4_turbo.toml"),
    ),
];

/// A model that is shown two answers, what it is asked, and how its reply is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// What rows and reports call it.
    pub name: String,
    pub description: String,
    /// The model that the endpoint is asked for. A caller may put another in its place.
    pub model: String,
    pub sampling: Sampling,
    pub price: Option<Price>,
    template: Template,
    parser: Parser,
}

impl Judge {
    /// Loads a built-in judge by its name, or any judge by the path of its file.
    ///
    /// Only a judge whose prompt others publish needs `cache` and, the first time, a network.
    ///
    /// # Errors
    /// When there is no such judge, its file has an unknown key or a value that is not allowed, or
    /// its prompt cannot be fetched or is not the one that was meant.
    pub fn load(name_or_path: &str, cache: &Path, watch: Watch) -> anyhow::Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text, Path::new(""), cache, watch)
                .with_context(|| format!("the built-in judge {name}"));
        }
        let path = Path::new(name_or_path);
        anyhow::ensure!(
            path.extension().is_some_and(|extension| extension == "toml"),
            "there is no judge {name_or_path:?}: expected the path of a .toml file, or one of {}",
            built_in().collect::<Vec<_>>().join(", ")
        );
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the judge {}", path.display()))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")), cache, watch)
            .with_context(|| path.display().to_string())
    }

    /// The judge that a recipe or a check names, with its model and price; a file may lie in `directory`.
    ///
    /// # Errors
    /// Those of [`Judge::load`].
    pub fn remote(
        remote: &RemoteJudge,
        directory: &Path,
        cache: &Path,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        let mut judge = Self::load(&source::beside(directory, &remote.judge), cache, watch)?;
        judge.ask(remote.model.as_deref(), remote.price);
        Ok(judge)
    }

    /// Puts another model in the place of the judge's own, and another price; the file's price is that
    /// of the file's model alone.
    pub fn ask(&mut self, model: Option<&str>, price: Option<Price>) {
        if let Some(model) = model.filter(|model| *model != self.model) {
            model.clone_into(&mut self.model);
            self.price = None;
        }
        self.price = price.or(self.price);
    }

    fn parse(text: &str, directory: &Path, cache: &Path, watch: Watch) -> anyhow::Result<Self> {
        let file = JudgeFile::parse(text)?;
        let template = match (&file.prompt.source, &file.prompt.user) {
            (Some(source), _) => {
                let fetched = source::fetch(source, directory, cache, watch)
                    .context("the prompt of prompt.source")?;
                let path = fetched.file().context("prompt.source")?;
                fs::read_to_string(path)
                    .map_err(anyhow::Error::from)
                    .and_then(|text| Template::from_markup(&text))
                    .with_context(|| format!("the prompt {}", path.display()))?
            }
            (None, user) => {
                let user = user.as_deref().unwrap_or_default();
                Template::new(file.prompt.system.as_deref(), user).context("[prompt]")?
            }
        };
        let JudgeFile { name, description, model, sampling, price, parser, prompt: _ } = file;
        Ok(Self { name, description, model, sampling, price, template, parser })
    }

    /// The question which of two answers is better, in the order in which they are given.
    pub fn messages(&self, instruction: &str, first: &str, second: &str) -> Vec<Message> {
        self.template.fill(instruction, first, second)
    }

    /// What a reply to [`Judge::messages`] says of the answer that was shown first.
    pub fn read(&self, said: &Said) -> Parsed {
        self.parser.read(said)
    }

    /// A hash of all that decides a judgment: model, sampling, prompt and the way replies are read.
    ///
    /// # Panics
    /// Never: the hash is of plain data, which JSON can hold.
    pub fn hash(&self) -> String {
        let whole = (&self.model, &self.sampling, &self.template, &self.parser);
        content_id(&[&serde_json::to_string(&whole).expect("plain data can be JSON")])
    }
}

/// The names of the judges that come with the program.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Where the prompt of a built-in judge is published, if it is not a part of the program.
///
/// # Errors
/// Never of a built-in judge: a test reads them all.
pub fn prompt_source(name: &str) -> anyhow::Result<Option<Source>> {
    match BUILT_IN.iter().find(|(own, _)| *own == name) {
        Some((_, text)) => Ok(JudgeFile::parse(text)?.prompt.source),
        None => Ok(None),
    }
}
