//! A model that replies from a script: the whole loop with no weights and no network.
//!
//! A script is TOML: rules, of which the first that fits a question answers it. Which of a rule's
//! replies is given follows from the question alone, so a run can be repeated and resumed.
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Ask, Reply, Request};
use crate::{model::before_stop, record::Finish, store::write_atomic};

/// A script, replying as one of its models.
#[derive(Debug)]
pub struct Scripted {
    script: Script,
    path: PathBuf,
    model: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    /// Time that each reply takes, to see how a run behaves while it works.
    #[serde(default)]
    delay_milliseconds: u64,
    /// A file, beside the script, to which every question answered adds a line.
    log: Option<PathBuf>,
    rule: Vec<Rule>,
}

/// Answers the questions that fit it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The model asked: `base`, `backward`, `M0`, ...; any, if left out.
    model: Option<String>,
    /// Texts that the question contains, all of them.
    #[serde(default)]
    contains: Vec<String>,
    /// Replies to a question for text. Where options are offered, the options that become likely.
    #[serde(default)]
    replies: Vec<String>,
    /// Mean log-probabilities, for questions of likelihood.
    #[serde(default)]
    likelihoods: Vec<f64>,
}

/// What a finetuning of a scripted model leaves: nothing is learned, but what was taught is on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCheckpoint {
    pub model: String,
    pub pairs: usize,
    /// Hash of the training pairs' ids.
    pub taught: String,
}

/// Writes the checkpoint of a scripted model.
pub fn write_checkpoint(directory: &Path, checkpoint: &ScriptedCheckpoint) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(checkpoint)? + "\n";
    write_atomic(&directory.join("scripted.json"), json.as_bytes())
}

impl Scripted {
    pub(super) fn load(path: &Path, model: &str) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the script {}", path.display()))?;
        let script = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self { script, path: path.to_owned(), model: model.to_owned() })
    }

    pub(super) fn complete(
        &self,
        requests: &[Request],
        tokens: &mut dyn FnMut(usize),
        seen: &mut dyn FnMut(usize, Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (index, request) in requests.iter().enumerate() {
            let reply = self.reply(request)?;
            thread::sleep(Duration::from_millis(self.script.delay_milliseconds));
            if let Some(log) = &self.script.log {
                self.write_log(log, request)?;
            }
            tokens(1);
            seen(index, reply)?;
        }
        Ok(())
    }

    fn reply(&self, request: &Request) -> anyhow::Result<Reply> {
        let question = question(request);
        let fits = |rule: &&Rule| {
            rule.model.as_ref().is_none_or(|model| *model == self.model)
                && rule.contains.iter().all(|text| question.contains(text))
                && match request.ask {
                    Ask::Text { .. } | Ask::Choice { .. } => !rule.replies.is_empty(),
                    Ask::Likelihood { .. } => !rule.likelihoods.is_empty(),
                }
        };
        let rule = self.script.rule.iter().find(fits).with_context(|| {
            let start: String = question.chars().take(200).collect();
            format!(
                "{}: no rule answers this question to {}: {start:?}; add a [[rule]] that does",
                self.path.display(),
                self.model
            )
        })?;
        // Which reply: by a hash of model, question and seed.
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.model.as_bytes()).update(question.as_bytes());
        if let Ask::Text { seed, .. } = request.ask {
            hasher.update(&seed.to_le_bytes());
        }
        let hash = hasher.finalize();
        let pick = |count: usize| hash.as_bytes()[0] as usize % count;
        let log_probabilities = match &request.ask {
            Ask::Text { stop, .. } => {
                let text = &rule.replies[pick(rule.replies.len())];
                let text = before_stop(text, stop).unwrap_or(text).to_owned();
                return Ok(Reply { text, finish: Finish::Stop, log_probabilities: Vec::new() });
            }
            Ask::Choice { options, .. } => {
                let likely = &rule.replies[pick(rule.replies.len())];
                let rest = 0.1 / (options.len() - 1).max(1) as f64;
                let log = |option: &String| match option.trim() == likely.trim() {
                    true => 0.9_f64.ln(),
                    false => rest.ln(),
                };
                options.iter().map(log).collect()
            }
            Ask::Likelihood { reply } => {
                let mean = rule.likelihoods[pick(rule.likelihoods.len())];
                reply.split_whitespace().map(|_| mean).collect()
            }
        };
        Ok(Reply { text: String::new(), finish: Finish::Stop, log_probabilities })
    }

    fn write_log(&self, log: &Path, request: &Request) -> anyhow::Result<()> {
        let path = self.path.with_file_name(log);
        let hash = blake3::hash(format!("{request:?}").as_bytes()).to_hex();
        let line = format!("{} {}\n", self.model, &hash[..16]);
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(line.as_bytes())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// All that is asked, as one text.
fn question(request: &Request) -> String {
    let mut text = String::new();
    for message in &request.messages {
        text += &message.content;
        text.push('\n');
    }
    match &request.ask {
        Ask::Text { .. } => {}
        Ask::Choice { opening, .. } => text += opening,
        Ask::Likelihood { reply } => text += reply,
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, Role, Sampling};

    fn scripted(script: &str) -> Scripted {
        let script = toml::from_str(script).unwrap();
        Scripted { script, path: "script.toml".into(), model: "M0".into() }
    }

    fn ask(content: &str, ask: Ask) -> Request {
        Request { messages: vec![Message::new(Role::User, content)], ask }
    }

    const TEXT: Ask =
        Ask::Text { sampling: Sampling::Greedy, max_tokens: 9, seed: 1, stop: Vec::new() };

    #[test]
    fn the_first_fitting_rule_answers() {
        let model = scripted(
            "[[rule]]\nmodel = \"M1\"\nreplies = [\"no\"]\n[[rule]]\ncontains = [\"sky\", \"blue\"]\nreplies = [\"air\"]\n[[rule]]\nreplies = [\"other\", \"thing\"]\nlikelihoods = [-2.0]\n",
        );
        assert_eq!(model.reply(&ask("why is the sky blue", TEXT)).unwrap().text, "air");
        let other = model.reply(&ask("why is the sky red", TEXT)).unwrap();
        assert!(["other", "thing"].contains(&other.text.as_str()));
        assert_eq!(model.reply(&ask("why is the sky red", TEXT)).unwrap(), other);
        let (sampling, stop) = (Sampling::Greedy, vec!["r".to_owned()]);
        let stopped = Ask::Text { sampling, max_tokens: 9, seed: 1, stop };
        assert_eq!(model.reply(&ask("why is the sky blue", stopped)).unwrap().text, "ai");
        let likelihood = Ask::Likelihood { reply: "because of air".into() };
        let reply = model.reply(&ask("sky blue", likelihood)).unwrap();
        assert_eq!(reply.log_probabilities, [-2.0; 3]);
        let options = vec!["other".to_owned(), "thing".to_owned(), "x".to_owned()];
        let choice = Ask::Choice { opening: String::new(), options };
        let total: f64 =
            model.reply(&ask("q", choice)).unwrap().log_probabilities.iter().map(|l| l.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
    }

    #[test]
    fn an_unforeseen_question_is_an_error_that_shows_it() {
        let error = scripted("[[rule]]\ncontains = [\"x\"]\nreplies = [\"y\"]\n")
            .reply(&ask("a question", TEXT))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no rule answers this question to M0: \"a question"), "{error}");
    }
}
