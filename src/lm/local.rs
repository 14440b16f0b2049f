//! A model on this machine.
use std::path::Path;

use anyhow::Context;

use super::{Ask, Reply, Request};
use crate::{
    model::{Generated, Generation, Model, Rounding},
    recipe::Products,
    record::Finish,
};

/// A loaded model behind [`super::Lm`].
#[derive(Debug)]
pub struct Local {
    model: Model,
}

/// A prompt and what is to follow it, with the index of its request.
type Scored = (Vec<usize>, Vec<(Vec<u32>, Vec<u32>)>);

/// How this processor rounds for products.
pub fn rounding(products: Products) -> Option<Rounding> {
    match products {
        Products::Auto => Rounding::fine(),
        Products::Fastest => Rounding::fastest(),
        Products::F32 => None,
        Products::Bf16 => Some(Rounding::Bf16),
        Products::Int8 => Some(Rounding::Int8),
        Products::Int7 => Some(Rounding::Int7),
    }
}

impl Local {
    pub(super) fn load(path: &Path, products: Products) -> anyhow::Result<Self> {
        let mut model = Model::load(path)?;
        model.round(rounding(products));
        Ok(Self { model })
    }

    pub(super) fn complete(
        &self,
        requests: &[Request],
        tokens: &mut dyn FnMut(usize),
        seen: &mut dyn FnMut(usize, Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (mut texts, mut text_indices) = (Vec::new(), Vec::new());
        let (mut choices, mut likelihoods) = (Scored::default(), Scored::default());
        for (index, request) in requests.iter().enumerate() {
            match &request.ask {
                Ask::Text { sampling, max_tokens, seed, stop } => {
                    text_indices.push(index);
                    texts.push(Generation {
                        prompt: self.model.chat.prompt(&request.messages, "")?,
                        sampling: *sampling,
                        max_tokens: *max_tokens,
                        seed: *seed,
                        stop: stop.clone(),
                    });
                }
                Ask::Choice { opening, options } => {
                    let prompt = self.model.chat.prompt(&request.messages, opening)?;
                    let ids = options.iter().map(|option| self.option(opening, option));
                    let item = (prompt, ids.collect::<anyhow::Result<_>>()?);
                    self.admit(index, item, 0, &mut choices, seen)?;
                }
                Ask::Likelihood { reply } => {
                    let prompt = self.model.chat.prompt(&request.messages, "")?;
                    let item = (prompt, self.model.chat.encode(reply)?);
                    let more = item.1.len();
                    self.admit(index, item, more, &mut likelihoods, seen)?;
                }
            }
        }
        self.model.generate(&texts, &mut *tokens, |at, generated| {
            let Generated { text, finish, .. } = generated;
            seen(text_indices[at], Reply { text, finish, log_probabilities: Vec::new() })
        })?;
        let mut scored = |indices: &[usize], at: usize, log_probabilities| {
            seen(
                indices[at],
                Reply { text: String::new(), finish: Finish::Stop, log_probabilities },
            )
        };
        let (indices, items) = choices;
        self.model.next_token_log_probabilities(&items, |at, found| {
            tokens(items[at].0.len());
            scored(&indices, at, found)
        })?;
        let (indices, items) = likelihoods;
        self.model.log_probabilities(&items, |at, found| {
            tokens(items[at].0.len() + items[at].1.len());
            scored(&indices, at, found)
        })
    }

    /// Adds an item to those to be scored, unless it does not fit into the model's context.
    fn admit(
        &self,
        index: usize,
        item: (Vec<u32>, Vec<u32>),
        more: usize,
        scored: &mut Scored,
        seen: &mut dyn FnMut(usize, Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if item.0.len() + more > self.model.weights.config.context {
            let finish = Finish::Overlong;
            return seen(index, Reply { text: String::new(), finish, log_probabilities: vec![] });
        }
        scored.0.push(index);
        scored.1.push(item);
        Ok(())
    }

    /// The one token that `option` adds to `opening`.
    fn option(&self, opening: &str, option: &str) -> anyhow::Result<u32> {
        let before = self.model.chat.encode(opening)?;
        let after = self.model.chat.encode(&format!("{opening}{option}"))?;
        let added = after.strip_prefix(before.as_slice());
        let one = added.and_then(|added| (added.len() == 1).then(|| added[0]));
        one.with_context(|| {
            format!("this model's tokenizer has no single token for {option:?} after {opening:?}")
        })
    }
}
