//! What the verbs that ask a judge behind servers share: which servers, the key, and where replies are kept.
use std::path::{Path, PathBuf};

use spyhop::{
    judge::configured::Judge,
    lm::api::{Provider, Spent},
    recipe::{Price, RemoteJudge, Server},
    source::cache_directory,
    watch::Watch,
};

use super::{replies::default_store, say};

#[derive(clap::Args)]
pub(super) struct ServerArgs {
    /// The model that the servers are asked for, in place of the judge's own
    #[arg(long)]
    model: Option<String>,
    /// Dollars for a million tokens sent and a million written; without it, another model than the
    /// judge's own has no price
    #[arg(long, value_name = "SENT,WRITTEN", value_parser = price)]
    price: Option<Price>,
    /// A server, up to its /v1; name several that offer the same model. The first names the replies in
    /// the store
    #[arg(long, value_name = "URL", num_args = 1.., default_value = "https://api.openai.com/v1")]
    endpoint: Vec<String>,
    /// The environment variable that holds the servers' key [default: OPENAI_API_KEY, where it is set]
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
    /// A file that holds the key
    #[arg(long, value_name = "FILE", conflicts_with = "key_env")]
    key_file: Option<PathBuf>,
    /// Calls at a time, over all servers
    #[arg(long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    /// Seconds that one attempt may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Ask no server: read what is stored, and say how much is missing
    #[arg(long)]
    pub(super) offline: bool,
    /// Where replies are kept [default: replies.sqlite in the cache]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

fn price(text: &str) -> Result<Price, String> {
    let number = |text: &str| text.trim().parse().ok().filter(|price: &f64| *price >= 0.0);
    let found = text.split_once(',').and_then(|(sent, written)| {
        Some(Price { prompt: number(sent)?, completion: number(written)? })
    });
    found.ok_or_else(|| "expected two prices, such as 0.15,0.60".to_owned())
}

impl ServerArgs {
    /// The judge, with `--model` in the place of its own.
    pub(super) fn judge(&self, name_or_path: &str, watch: Watch) -> anyhow::Result<Judge> {
        let mut judge = Judge::load(name_or_path, &cache_directory()?, watch)?;
        judge.ask(self.model.as_deref(), self.price);
        Ok(judge)
    }

    /// The servers, with the store of their replies; with `--offline`, the store alone.
    pub(super) fn provider(&self, ask: bool) -> anyhow::Result<Provider> {
        Provider::open(&self.server(), &self.store()?, self.offline || !ask)
    }

    /// A judge behind these servers, for a check.
    pub(super) fn remote(&self, judge: &str) -> RemoteJudge {
        RemoteJudge {
            judge: judge.to_owned(),
            model: self.model.clone(),
            price: self.price,
            server: self.server(),
        }
    }

    fn server(&self) -> Server {
        Server {
            endpoints: self.endpoint.clone(),
            key_env: self.key_env.clone(),
            key_file: self.key_file.clone(),
            concurrency: self.concurrency,
            timeout_seconds: self.timeout,
        }
    }

    /// `--store`, if it was given.
    pub(super) fn named_store(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    pub(super) fn store(&self) -> anyhow::Result<PathBuf> {
        match &self.store {
            Some(path) => Ok(path.clone()),
            None => default_store(),
        }
    }
}

/// Says what was asked on account of `who`.
pub(super) fn account(who: &str, spent: &Spent) {
    let cost = spent.cost.map_or(String::new(), |cost| format!(", ${cost:.4}"));
    say(&format!(
        "{who}: {} asked, {} from the store, {} without a reply; {} + {} tokens{cost}",
        spent.asked, spent.stored, spent.failed, spent.prompt_tokens, spent.completion_tokens
    ));
    if let Some(failure) = &spent.last_failure {
        say(&format!("note: the last question without a reply: {failure}"));
    }
}
