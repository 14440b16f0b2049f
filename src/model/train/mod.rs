//! Finetuning: which examples a step sees, the schedule, AdamW, and a state from which a killed
//! training goes on to the same weights, bit for bit.
mod optimiser;
mod parts;
mod rounding;
mod schedule;
mod state;

use std::{
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use super::{
    Model, Rounding,
    adapter::{Adapter, Lora},
    chat::Example,
    config::Config,
    memory,
    network::{Dropout, Pass, Weights},
};
use crate::record::TrainingStep;

use optimiser::{Optimiser, Rates, norm};
#[cfg(test)]
pub(super) use parts::tests::packed_alike;
use parts::{TOKENS_AT_ONCE, labels, parts};
pub use schedule::Schedule;
use state::{read_state, write_state};

/// A finetuning that can be killed.
pub struct Training<'a> {
    pub schedule: Schedule,
    /// Trains an adapter in place of the weights.
    pub lora: Option<Lora>,
    /// Trains so many layers, counted from the last, and leaves the others, the embedding, the output
    /// layer and the last norm as they are; with `lora`, an adapter of so many layers.
    pub last_layers: Option<usize>,
    /// How the matrices that stay as they are multiply on the way forward: such as all with `lora`.
    pub frozen: Option<Rounding>,
    /// Share of the numbers of each layer's two branches that is dropped before they are added to the
    /// residual stream.
    pub dropout: f64,
    pub examples: &'a [Example],
    /// Examples that nothing is learned from: their loss says whether the model learns more than the
    /// others by heart.
    pub held_out: &'a [Example],
    /// Whether other products, those of gradients above all, are of bf16: faster on some processors, and
    /// coarser.
    pub rounded: bool,
    /// Where the state goes while the training is under way.
    pub state: PathBuf,
    /// Time between two states: each holds three numbers for each that is trained, so not every step
    /// writes one.
    pub state_every: Duration,
}

impl Training<'_> {
    /// Trains the model in place; `seen` gets every step, counted from 0, as it ends.
    ///
    /// With a state on disk from a killed training of the same examples, goes on from it. Where an
    /// adapter was trained, it is merged into the model, and returned as well.
    ///
    /// # Errors
    /// When the model's family cannot be trained, memory does not suffice, the loss is no longer a number, or the state cannot be read or
    /// written. The model is of no use then, and the state on disk is the last one that had a loss.
    pub fn run(
        &self,
        model: &mut Model,
        mut seen: impl FnMut(usize, TrainingStep) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Adapter>> {
        let (schedule, weights) = (&self.schedule, &mut model.weights);
        weights.config.family.check_training()?;
        self.check_layers(&weights.config)?;
        let batches = schedule.batches(self.examples.len());
        let fingerprint = self.fingerprint(weights);
        let mut pass = Pass::training(&weights.config, self.last_layers);
        let lora = self.lora.as_ref();
        pass.overlay.adapter = lora.map(|lora| {
            Adapter::new(lora, &weights.layout, &pass.overlay.trained(), schedule.random_seed)
        });
        let decayed = decayed(weights, &pass);
        let length = trained(weights, &mut pass).len();
        memory::ensure_free(
            self.memory(weights, length),
            "training, besides the weights,",
            "train an adapter (finetune.lora) or fewer layers (finetune.last_layers), cut longer examples (finetune.max_tokens), or take a smaller model",
        )?;
        let (mut optimiser, mut gradient) = (Optimiser::new(length), vec![0.0; length]);
        let values = trained(weights, &mut pass);
        let first = read_state(&self.state, &fingerprint, values, &mut optimiser)?;
        let (mut saved, mut kept) = (Instant::now(), first);
        let at = pass.overlay.trained();
        self.round_all(weights, &at);
        for (index, batch) in batches.iter().enumerate().skip(first) {
            let held_out_before = match index {
                0 => self.held_out_loss(weights, &mut pass),
                _ => None,
            };
            let mut began = Instant::now();
            let loss = self.batch_loss(index, batch, weights, &mut pass, &mut gradient);
            let gradient_norm = norm(&gradient);
            self.ensure_finite(index, kept, &[loss, gradient_norm])?;
            // Only now is it known that the steps before led to a model that still works.
            if saved.elapsed() >= self.state_every && index > kept {
                let writing = Instant::now();
                write_state(&self.state, &fingerprint, trained(weights, &mut pass), &optimiser)?;
                (saved, kept) = (Instant::now(), index);
                began += writing.elapsed();
            }
            let clip = (schedule.gradient_clip / gradient_norm).min(1.0);
            let learning = schedule.learning_rate(index, batches.len());
            let rates = Rates { learning, decay: schedule.weight_decay };
            optimiser.step(trained(weights, &mut pass), &decayed, &gradient, clip, rates);
            self.round(weights, &at);
            let seconds = began.elapsed().as_secs_f64();
            let held_out_after = match schedule.ends_epoch(index, self.examples.len()) {
                true => self.held_out_loss(weights, &mut pass),
                false => None,
            };
            self.ensure_finite(index, kept, held_out_after.as_slice())?;
            let lengths = batch.iter().map(|&i| self.examples[i].ids.len());
            let step = TrainingStep {
                id: (index + 1).to_string(),
                loss,
                learning_rate: learning,
                gradient_norm,
                trained_tokens: self.labels_of(batch),
                tokens: lengths.sum(),
                seconds,
                held_out_before,
                held_out_after,
            };
            seen(index, step)?;
        }
        // No loss has seen the last step.
        self.ensure_finite(
            batches.len().saturating_sub(1),
            kept,
            &[norm(trained(weights, &mut pass))],
        )?;
        weights.rounded = None;
        let adapter = pass.overlay.adapter;
        if let Some(adapter) = &adapter {
            adapter.merge(weights);
        }
        Ok(adapter)
    }

    /// # Errors
    /// When the model does not have so many layers.
    fn check_layers(&self, config: &Config) -> anyhow::Result<()> {
        let Some(layers) = self.last_layers else { return Ok(()) };
        anyhow::ensure!(
            (1..=config.layers).contains(&layers),
            "finetune.last_layers = {layers}, and the model has {} layers: name 1 to {0}, or leave the key out to train all weights",
            config.layers
        );
        Ok(())
    }

    /// Bytes that a training of so many numbers takes besides the weights: for each number a gradient and
    /// two moments, what the longest pass holds, and the matrices once more where they are rounded, at most
    /// 16 bits for each direction.
    fn memory(&self, weights: &Weights, trained: usize) -> usize {
        let lengths = self.examples.iter().chain(self.held_out).map(|example| example.ids.len());
        let all = lengths.clone().sum::<usize>();
        let longest = lengths.max().unwrap_or(0).max(TOKENS_AT_ONCE.min(all));
        let forward = 2 * usize::from(self.rounded || self.frozen.is_some());
        let rounded = (forward + 2 * usize::from(self.rounded)) * weights.data.len();
        let layers = self.last_layers.unwrap_or(weights.config.layers);
        12 * trained + Pass::training_bytes(&weights.config, layers, longest) + rounded
    }

    /// Mean loss of a learned token of the batch, with its gradient.
    fn batch_loss(
        &self,
        step: usize,
        batch: &[usize],
        weights: &Weights,
        pass: &mut Pass,
        gradient: &mut [f32],
    ) -> f64 {
        gradient.par_chunks_mut(1 << 16).for_each(|chunk| chunk.fill(0.0));
        // The mean is over the tokens of the whole batch, however it is cut up; a batch whose answers
        // are all cut away has none.
        let labelled = self.labels_of(batch).max(1);
        let mut loss = 0.0;
        let examples: Vec<&Example> = batch.iter().map(|&i| &self.examples[i]).collect();
        // With dropout, no two examples have the same keys and values.
        for part in parts(&examples, self.dropout == 0.0) {
            pass.overlay.dropout = (self.dropout > 0.0).then(|| Dropout {
                rate: self.dropout,
                random_seed: self.schedule.random_seed,
                step,
                examples: part.examples.iter().map(|&i| batch[i]).collect(),
            });
            pass.forward(weights, &part.packed, |_, _| {});
            let scale = 1.0 / labelled as f32;
            let losses = pass.losses_backward(weights, &part.packed, &part.labels, scale, gradient);
            loss += losses.iter().sum::<f64>() / labelled as f64;
        }
        loss
    }

    /// Mean loss of a learned token of the examples held out, where there is one.
    fn held_out_loss(&self, weights: &Weights, pass: &mut Pass) -> Option<f64> {
        pass.overlay.dropout = None;
        let (mut loss, mut labelled) = (0.0, 0);
        for part in parts(&self.held_out.iter().collect::<Vec<_>>(), true) {
            pass.forward(weights, &part.packed, |_, _| {});
            loss += pass.losses(weights, &part.labels).iter().sum::<f64>();
            labelled += part.labels.len();
        }
        (labelled > 0).then(|| loss / labelled as f64)
    }

    /// Tokens of the batch that are learned.
    fn labels_of(&self, batch: &[usize]) -> usize {
        batch.iter().map(|&i| labels(&self.examples[i]).count()).sum()
    }

    /// Refuses to go on from losses and norms that are no numbers, in the step at `index`; `kept` steps
    /// are in the state on disk.
    fn ensure_finite(&self, index: usize, kept: usize, numbers: &[f64]) -> anyhow::Result<()> {
        anyhow::ensure!(
            numbers.iter().all(|number| number.is_finite()),
            "step {}: the loss or a norm is not finite ({numbers:?}), so training stops and no checkpoint is written; start a run with a lower finetune.learning_rate{}",
            index + 1,
            match kept {
                0 => String::new(),
                _ => format!("; the state after step {kept} stays in {}", self.state.display()),
            }
        );
        Ok(())
    }

    /// Identifies the training that a state belongs to.
    fn fingerprint(&self, weights: &Weights) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let layers = (self.last_layers, self.frozen);
        let settings = (&self.schedule, &self.lora, layers, self.dropout, self.rounded);
        hasher.update(format!("{settings:?}").as_bytes());
        for example in self.examples {
            hasher.update(&(example.ids.len() as u64).to_le_bytes());
            hasher.update(bytemuck::cast_slice(&example.ids));
            hasher.update(&example.learned.iter().map(|&l| u8::from(l)).collect::<Vec<_>>());
        }
        hasher.update(bytemuck::cast_slice(&weights.data));
        *hasher.finalize().as_bytes()
    }
}

/// The numbers that a training moves: an adapter's, or weights.
pub(super) fn trained<'a>(weights: &'a mut Weights, pass: &'a mut Pass) -> &'a mut [f32] {
    let at = pass.overlay.trained();
    match &mut pass.overlay.adapter {
        Some(adapter) => &mut adapter.data,
        None => &mut weights.data[at],
    }
}

/// The same in parts, each with whether it is decayed: norms scale and are not, as is usual.
fn decayed(weights: &Weights, pass: &Pass) -> Vec<(Range<usize>, bool)> {
    match &pass.overlay.adapter {
        Some(adapter) => vec![(0..adapter.data.len(), true)],
        None => {
            let trained = pass.overlay.trained();
            let tensors = weights.layout.tensors.iter();
            let tensors = tensors.filter(|tensor| trained.contains(&tensor.at.start));
            let place = |at: &Range<usize>| at.start - trained.start..at.end - trained.start;
            tensors.map(|tensor| (place(&tensor.at), !tensor.is_norm)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
