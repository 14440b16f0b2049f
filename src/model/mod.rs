//! Tokens in, tokens out: Llama-family models on the CPU, trained and decoded by our own code.
//!
//! Knows no text format beyond the model's own chat template, no task, no recipe and no files beyond
//! checkpoints. candle reads GGUF; forward, backward and decoding are written out here, because
//! candle's fused operations have no backward pass, and a pass written for the whole model reuses its
//! memory.
mod adapter;
mod attention;
mod beginnings;
mod cache;
mod chat;
mod checkpoint;
mod config;
mod decode;
mod family;
mod fidelity;
mod gguf;
mod layout;
mod memory;
mod network;
mod ops;
mod rotary;
mod sampling;
pub mod speed;
mod train;

use std::{ops::Range, path::Path};

pub use adapter::{Adapter, Lora};
pub use chat::{Chat, Example, Message, Role};
pub use config::Config;
pub use decode::{Conversation, Generated, Generation, before_stop};
pub use family::{Architecture, Family};
pub use fidelity::Fidelity;
pub use network::Weights;
pub use rotary::Scaling;
pub use sampling::Sampling;
pub use train::{Schedule, Training};

/// How matrices are rounded for products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To 8 significant bits.
    Bf16,
    /// To 8-bit integers, with a scale for every 64 of a row.
    Int8,
    /// To 7-bit integers with such scales, and to 8-bit ones where a model bears less: queries, keys,
    /// values and the output layer. Faster where the processor sums products in 16 bits.
    Int7,
}

impl Rounding {
    /// Whether this processor multiplies so faster than in `f32`.
    pub fn is_fast(self) -> bool {
        self.format().is_fast()
    }

    /// About how many times as fast as in `f32` this processor multiplies so.
    pub fn speed(self) -> f32 {
        self.format().speed()
    }

    /// What multiplies fastest here, however coarse.
    pub fn fastest() -> Option<Self> {
        // Of equals, the finest.
        let all = [Self::Int7, Self::Int8, Self::Bf16];
        let fastest = all.into_iter().max_by(|a, b| a.speed().total_cmp(&b.speed()));
        fastest.filter(|rounding| rounding.is_fast())
    }

    /// What multiplies fastest here without a loss that shows: bf16 where the processor has
    /// instructions for it, else none.
    pub fn fine() -> Option<Self> {
        Some(Self::Bf16).filter(|rounding| rounding.is_fast())
    }

    /// The same for one reply at a time, where fewer bits to read make up for more arithmetic.
    pub fn fine_alone() -> Option<Self> {
        Some(Self::Bf16).filter(|rounding| rounding.format().is_fast_for_few_rows())
    }

    /// Whether gradients may be rounded so.
    pub fn trains(self) -> bool {
        self == Self::Bf16
    }

    /// The format of the factors of products that are rounded so, or not at all.
    pub fn name(rounding: Option<Self>) -> &'static str {
        match rounding {
            None => "f32",
            Some(Self::Bf16) => "bf16",
            Some(Self::Int8) => "int8",
            Some(Self::Int7) => "int7",
        }
    }

    fn format(self) -> Format {
        match self {
            Self::Bf16 => Format::Bf16,
            Self::Int8 => Format::Int8,
            Self::Int7 => Format::Int7,
        }
    }
}

use beginnings::Prompts;
use network::{Packed, Pass};
use ops::Format;

/// A model with its tokenizer and chat template.
#[derive(Debug)]
pub struct Model {
    pub weights: Weights,
    pub chat: Chat,
}

impl Model {
    /// Loads a GGUF file, or a directory in Hugging Face layout.
    ///
    /// # Errors
    /// When a file is missing or damaged, the architecture is not supported, the tokenizer is another
    /// model's, or memory does not suffice.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let (weights, chat) = match path.is_dir() {
            true => checkpoint::load(path)?,
            false => gguf::load(path)?,
        };
        let (words, vocabulary) = (chat.tokenizer.get_vocab_size(true), weights.config.vocabulary);
        anyhow::ensure!(
            words <= vocabulary,
            "{}: the tokenizer has {words} tokens, but the model only {vocabulary}",
            path.display()
        );
        // Vocabularies are padded to round numbers, but not by so much.
        anyhow::ensure!(
            vocabulary - words <= vocabulary / 8,
            "{}: the tokenizer has {words} tokens, and the model {vocabulary}: it is another model's",
            path.display()
        );
        Ok(Self { weights, chat })
    }

    /// Rounds the matrices for every product that follows, or not any more; sums and weights stay `f32`.
    /// [`Model::fidelity`] says what it changes.
    pub fn round(&mut self, rounding: Option<Rounding>) {
        self.weights.rounded = None;
        if let Some(rounding) = rounding {
            self.weights.round(rounding.format(), |_| true);
        }
    }

    /// Writes a checkpoint in Hugging Face layout, whole or not at all.
    pub fn save(&self, directory: &Path) -> anyhow::Result<()> {
        checkpoint::save(directory, &self.weights, &self.chat)
    }

    /// BLAKE3 of the weights, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytemuck::cast_slice(&self.weights.data));
        hasher.finalize().to_hex().to_string()
    }

    /// Natural-log probabilities of each continuation, token by token, given its prompt.
    ///
    /// `seen` gets each result with its index. Prompt and continuation together must fit the model's
    /// context. What prompts have in common at their beginning is run once.
    pub fn log_probabilities(
        &self,
        items: &[(Vec<u32>, Vec<u32>)],
        mut seen: impl FnMut(usize, Vec<f64>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let whole = |(prompt, continuation): &(Vec<u32>, Vec<u32>)| {
            [prompt.as_slice(), continuation].concat()
        };
        let whole: Vec<Vec<u32>> = items.iter().map(whole).collect();
        let limits = items.iter().map(|(prompt, _)| prompt.len().saturating_sub(1));
        let prompts = Prompts::new(whole.iter().map(Vec::as_slice).zip(limits));
        self.score(prompts, |pass, group| {
            let mut labels = Vec::new();
            for (index, own, rows) in group {
                let (prompt, continuation) = &items[*index];
                // The row of the prompt's last token is among the own ones.
                let row = rows.start + prompt.len() - 1 - own.start;
                labels.extend(continuation.iter().enumerate().map(|(i, &id)| (row + i, id)));
            }
            let mut losses = pass.losses(&self.weights, &labels).into_iter();
            for (index, ..) in group {
                let continuation = items[*index].1.len();
                seen(*index, losses.by_ref().take(continuation).map(|loss| -loss).collect())?;
            }
            Ok(())
        })
    }

    /// Natural-log probabilities of each of `choices` as the next token after each prompt.
    ///
    /// `seen` gets each result with its index. What prompts have in common at their beginning is run
    /// once.
    pub fn next_token_log_probabilities(
        &self,
        items: &[(Vec<u32>, Vec<u32>)],
        mut seen: impl FnMut(usize, Vec<f64>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let vocabulary = self.weights.config.vocabulary;
        let prompts =
            items.iter().map(|(prompt, _)| (prompt.as_slice(), prompt.len().saturating_sub(1)));
        self.score(Prompts::new(prompts), |pass, group| {
            let last: Vec<usize> = group.iter().map(|(.., rows)| rows.end - 1).collect();
            let logits = pass.logits(&self.weights, &last);
            for ((index, ..), logits) in group.iter().zip(logits.chunks_exact(vocabulary)) {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f64 = logits.iter().map(|&l| f64::from(l - largest).exp()).sum();
                let of = |&id: &u32| f64::from(logits[id as usize] - largest) - total.ln();
                seen(*index, items[*index].1.iter().map(of).collect())?;
            }
            Ok(())
        })
    }

    /// Runs all prompts, a group at a time; `seen` gets each group's pass, with every prompt's index,
    /// the tokens that it does not share, and their rows.
    fn score(
        &self,
        mut prompts: Prompts,
        mut seen: impl FnMut(&mut Pass, &[(usize, Range<usize>, Range<usize>)]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut pass = Pass::forward_only();
        let order = prompts.beginnings.order.clone();
        let costs = order.iter().map(|&prompt| prompts.beginnings.cost(prompt));
        for places in groups(costs, TOKENS_AT_ONCE) {
            let group = &order[places];
            let ran = prompts.forward(&self.weights, &mut pass, group, |_, _, _| {});
            let rows = group.iter().zip(ran);
            let rows: Vec<_> = rows
                .map(|(&prompt, ran)| (prompt, prompts.beginnings.own(prompt), ran.rows))
                .collect();
            seen(&mut pass, &rows)?;
        }
        Ok(())
    }

    /// The model's best guesses at the token after `ids`, with their logits, best first.
    pub fn best_next(&self, ids: &[u32], count: usize) -> Vec<(u32, f32)> {
        let mut pass = Pass::forward_only();
        let mut packed = Packed::default();
        packed.push(ids);
        pass.forward(&self.weights, &packed, |_, _| {});
        let logits = pass.logits(&self.weights, &[ids.len() - 1]);
        let mut ranked: Vec<(u32, f32)> = (0..).zip(logits).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(count);
        ranked
    }
}

/// Tokens that go through the model together: enough that weights are read once for many tokens,
/// few enough that activations stay small.
const TOKENS_AT_ONCE: usize = 768;

/// Cuts items into consecutive groups of at most `limit` tokens, or one item where it is longer.
fn groups(lengths: impl Iterator<Item = usize>, limit: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (index, length) in lengths.enumerate() {
        match groups.last_mut() {
            Some(group) if tokens + length <= limit => {
                group.end = index + 1;
                tokens += length;
            }
            _ => {
                groups.push(index..index + 1);
                tokens = length;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests;
