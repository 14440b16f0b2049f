//! A model behind servers answers an eval set; every reply is stored, so nothing is paid for twice.
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use serde_json::Value;

use super::{Endpoint, Settings};
use crate::{
    lm::api::{Answer, Call, Ended, Outlook, Provider, Spent},
    model::{Message, Role},
    record::{Completion, Finish, Prompt, Row},
    stage,
    store::{Log, read_so_far},
    watch::{Event, Unit, Watch},
};

/// What an instruction takes the place of in [`Endpoint::prompt`].
pub(super) const INSTRUCTION: &str = "{instruction}";

/// Who is asked, and how.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// What rows call it.
    pub name: &'a str,
    pub endpoint: &'a Endpoint,
    pub provider: &'a Provider,
    pub settings: &'a Settings,
    pub random_seed: u64,
}

impl Served<'_> {
    /// How much there is to ask, and what it would cost.
    ///
    /// # Errors
    /// When the store or the rows in `out` cannot be read.
    pub fn outlook(&self, prompts: &[Prompt], out: &Path) -> anyhow::Result<Outlook> {
        let done: Vec<Completion> = read_so_far(out)?;
        let done: HashSet<&str> = done.iter().map(Row::id).collect();
        let open = prompts.iter().filter(|prompt| !done.contains(prompt.id()));
        let calls: Vec<Call> = open.map(|prompt| self.call(prompt)).collect();
        self.provider.outlook(&calls, self.endpoint.price)
    }

    /// Asks every prompt that has no row in `out`.
    ///
    /// # Errors
    /// When servers refuse everything, or the store or `out` cannot be written. A prompt without a reply
    /// is none: it has no row, and is asked again the next time.
    pub fn run(&self, prompts: &[Prompt], out: &Path, watch: Watch) -> anyhow::Result<Spent> {
        let mut log = Log::<Completion>::open(out)?;
        let open: Vec<&Prompt> =
            prompts.iter().filter(|prompt| !log.contains(&prompt.id)).collect();
        let calls: Vec<Call> = open.iter().map(|prompt| self.call(prompt)).collect();
        let mut spent = Spent::default();
        let (what, total) = (format!("{} answers", self.name), prompts.len() as u64);
        watch(Event::Begin { what, total, unit: Unit::Rows });
        watch(Event::Advance(total - open.len() as u64));
        let price = self.endpoint.price;
        self.provider.complete(&calls, price, &mut spent, |index, outcome, spent| {
            if let Ok(answer) = outcome {
                log.append(&self.completion(open[index], &answer))?;
            }
            watch(Event::Show(spent.to_string()));
            watch(Event::Advance(1));
            Ok(())
        })?;
        watch(Event::End);
        log.finish(prompts)?;
        Ok(spent)
    }

    fn call(&self, prompt: &Prompt) -> Call {
        let (messages, completed) = match &self.endpoint.prompt {
            Some(text) => (Vec::new(), Some(text.replace(INSTRUCTION, &prompt.instruction))),
            None => {
                let system = self.settings.system.as_deref();
                let system = system.map(|text| Message::new(Role::System, text));
                let user = Message::new(Role::User, prompt.instruction.as_str());
                (system.into_iter().chain([user]).collect(), None)
            }
        };
        Call {
            model: self.endpoint.model.clone(),
            messages,
            prompt: completed,
            temperature: self.settings.temperature,
            top_p: self.settings.top_p,
            max_tokens: self.settings.max_tokens,
            // Some servers keep a seed in 32 bits with a sign.
            seed: Some(stage::seed(self.random_seed, &prompt.id, 0) >> 33),
            top_logprobs: None,
            stop: self.settings.stop.clone(),
            extra: self.extra(),
            sample: 0,
        }
    }

    /// Fields that are not OpenAI's: those of the contestant, and `top_k` where it is set.
    fn extra(&self) -> BTreeMap<String, Value> {
        let top_k = self.settings.top_k.map(|top_k| ("top_k".to_owned(), top_k.into()));
        top_k.into_iter().chain(self.endpoint.extra.clone()).collect()
    }

    fn completion(&self, prompt: &Prompt, answer: &Answer) -> Completion {
        let output = answer.text.trim();
        Completion {
            id: prompt.id.clone(),
            instruction: prompt.instruction.clone(),
            output: output.to_owned(),
            generator: self.name.to_owned(),
            dataset: prompt.dataset.clone(),
            finish: match &answer.ended {
                Ended::Length => Finish::Length,
                Ended::Other(_) if output.is_empty() => Finish::Refused,
                Ended::Stop | Ended::Other(_) => Finish::Stop,
            },
        }
    }
}
