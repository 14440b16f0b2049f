//! Finetuning: which examples a step sees, the schedule, AdamW, and a state from which a killed
//! training goes on to the same weights, bit for bit.
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rayon::prelude::*;

use super::{
    Model,
    chat::Example,
    network::{Packed, Pass, Weights},
    ops::Format,
};
use crate::record::TrainingStep;

/// What a finetuning is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub epochs: f64,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub final_learning_rate: f64,
    pub weight_decay: f64,
    pub gradient_clip: f64,
    /// Decides the order of the examples.
    pub random_seed: u64,
}

impl Schedule {
    /// The examples of each step: every epoch a fresh shuffle, cut into batches without regard to
    /// where an epoch ends. A fraction of an epoch sees a fraction of the examples.
    pub fn batches(&self, examples: usize) -> Vec<Vec<usize>> {
        let visits = ((self.epochs * examples as f64).round() as usize).max(1);
        let mut order: Vec<usize> = Vec::with_capacity(visits);
        for epoch in 0.. {
            if examples == 0 || order.len() >= visits {
                break;
            }
            let mut indices: Vec<usize> = (0..examples).collect();
            let mut random = ChaCha8Rng::seed_from_u64(self.random_seed);
            random.set_stream(epoch);
            indices.shuffle(&mut random);
            order.extend(indices);
        }
        order.truncate(visits);
        order.chunks(self.batch_size).map(<[usize]>::to_vec).collect()
    }

    /// Linear from the first rate at the first step to the final rate at the last, as in the paper
    /// (1e-5 to 9e-6).
    pub fn learning_rate(&self, step: usize, steps: usize) -> f64 {
        let share = step as f64 / steps.saturating_sub(1).max(1) as f64;
        self.learning_rate + (self.final_learning_rate - self.learning_rate) * share
    }
}

/// AdamW's constants. The paper names none; 0.9 and 0.95 are those of LIMA, whose recipe it cites.
const BETAS: (f64, f64) = (0.9, 0.95);
const EPSILON: f64 = 1e-8;
/// Tokens whose activations are in memory together: about 0.8 MB each for 135M weights.
const TOKENS_AT_ONCE: usize = 640;

/// A finetuning that can be killed.
pub struct Training<'a> {
    pub schedule: Schedule,
    pub examples: &'a [Example],
    /// Whether products are of bf16: faster on some processors, and coarser.
    pub rounded: bool,
    /// Where the state goes while the training is under way.
    pub state: PathBuf,
    /// Time between two states: each holds three numbers a weight, so not every step writes one.
    pub state_every: Duration,
}

impl Training<'_> {
    /// Trains the model in place; `seen` gets every step, counted from 0, as it ends.
    ///
    /// With a state on disk from a killed training of the same examples, goes on from it.
    ///
    /// # Errors
    /// When the loss is no longer a number, or the state cannot be read or written.
    pub fn run(
        &self,
        model: &mut Model,
        mut seen: impl FnMut(usize, TrainingStep) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let batches = self.schedule.batches(self.examples.len());
        let weights = &mut model.weights;
        let mut optimiser = Optimiser::new(weights.data.len());
        let mut gradient = vec![0.0; weights.data.len()];
        let mut pass = Pass::training(&weights.config);
        let fingerprint = self.fingerprint(weights);
        let first = read_state(&self.state, &fingerprint, weights, &mut optimiser)?;
        let mut saved = Instant::now();
        for (index, batch) in batches.iter().enumerate().skip(first) {
            let began = Instant::now();
            // The weights stay as they are within a step; what is changed is their f32.
            if self.rounded {
                weights.round(Format::Bf16, true);
            }
            let trained: usize = batch.iter().map(|&i| labels(&self.examples[i]).count()).sum();
            gradient.par_chunks_mut(1 << 16).for_each(|chunk| chunk.fill(0.0));
            let mut loss = 0.0;
            let lengths = batch.iter().map(|&i| self.examples[i].ids.len());
            for group in super::groups(lengths, TOKENS_AT_ONCE) {
                let (packed, labels) = pack(batch[group].iter().map(|&i| &self.examples[i]));
                pass.forward(weights, &packed, |_, _| {});
                // The mean is over the tokens of the whole batch, however it is cut up.
                let scale = 1.0 / trained as f32;
                let losses = pass.losses_backward(weights, &packed, &labels, scale, &mut gradient);
                loss += losses.iter().sum::<f64>() / trained as f64;
            }
            let learning_rate = self.schedule.learning_rate(index, batches.len());
            let gradient_norm = norm(&gradient);
            anyhow::ensure!(
                loss.is_finite() && gradient_norm.is_finite(),
                "step {}: the loss is {loss} and the gradient's norm {gradient_norm}; lower finetune.learning_rate",
                index + 1
            );
            let clip = (self.schedule.gradient_clip / gradient_norm).min(1.0);
            optimiser.step(weights, &gradient, clip, learning_rate, self.schedule.weight_decay);
            let step = TrainingStep {
                id: (index + 1).to_string(),
                loss,
                learning_rate,
                gradient_norm,
                trained_tokens: trained,
                tokens: batch.iter().map(|&i| self.examples[i].ids.len()).sum(),
                seconds: began.elapsed().as_secs_f64(),
            };
            seen(index, step)?;
            if saved.elapsed() >= self.state_every && index + 1 < batches.len() {
                write_state(&self.state, &fingerprint, weights, &optimiser)?;
                saved = Instant::now();
            }
        }
        weights.rounded = None;
        Ok(())
    }

    /// Identifies the training that a state belongs to.
    fn fingerprint(&self, weights: &Weights) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?} {}", self.schedule, self.rounded).as_bytes());
        for example in self.examples {
            hasher.update(&(example.ids.len() as u64).to_le_bytes());
            hasher.update(bytemuck::cast_slice(&example.ids));
            hasher.update(&example.learned.iter().map(|&l| u8::from(l)).collect::<Vec<_>>());
        }
        hasher.update(bytemuck::cast_slice(&weights.data));
        *hasher.finalize().as_bytes()
    }
}

/// `(row, next token)` of every token that an example teaches.
fn labels(example: &Example) -> impl Iterator<Item = (usize, u32)> {
    let learned = example.learned.iter().zip(&example.ids).enumerate().skip(1);
    learned.filter(|(_, (learned, _))| **learned).map(|(i, (_, &id))| (i - 1, id))
}

fn pack<'a>(examples: impl Iterator<Item = &'a Example>) -> (Packed, Vec<(usize, u32)>) {
    let (mut packed, mut all) = (Packed::default(), Vec::new());
    for example in examples {
        let start = packed.ids.len();
        all.extend(labels(example).map(|(row, id)| (start + row, id)));
        packed.push(&example.ids);
    }
    (packed, all)
}

/// Euclidean norm, summed in chunks of fixed size so that the number of cores does not change it.
fn norm(gradient: &[f32]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    gradient.par_chunks(1 << 16).map(square).collect::<Vec<_>>().iter().sum::<f64>().sqrt()
}

/// AdamW (Loshchilov & Hutter 2019), algorithm 2, in one sweep over memory.
struct Optimiser {
    steps: u64,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Optimiser {
    fn new(weights: usize) -> Self {
        Self { steps: 0, mean: vec![0.0; weights], square: vec![0.0; weights] }
    }

    fn step(&mut self, weights: &mut Weights, gradient: &[f32], clip: f64, rate: f64, decay: f64) {
        self.steps += 1;
        let power = self.steps as i32;
        let (beta_mean, beta_square) = (BETAS.0 as f32, BETAS.1 as f32);
        let step_size = (rate / (1.0 - BETAS.0.powi(power))) as f32;
        let correction = (1.0 / (1.0 - BETAS.1.powi(power)).sqrt()) as f32;
        let (clip, epsilon) = (clip as f32, EPSILON as f32);
        for tensor in &weights.layout.tensors {
            // Norms scale and are not decayed, as is usual.
            let keep = if tensor.is_norm { 1.0 } else { (1.0 - rate * decay) as f32 };
            let at = tensor.at.clone();
            let chunks = weights.data[at.clone()]
                .par_chunks_mut(1 << 14)
                .zip(gradient[at.clone()].par_chunks(1 << 14))
                .zip(self.mean[at.clone()].par_chunks_mut(1 << 14))
                .zip(self.square[at].par_chunks_mut(1 << 14));
            chunks.for_each(|(((weights, gradient), mean), square)| {
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for i in 0..weights.len() {
                            let g = gradient[i] * clip;
                            mean[i] = mean[i] * beta_mean + g * (1.0 - beta_mean);
                            square[i] = square[i] * beta_square + g * g * (1.0 - beta_square);
                            let scale = square[i].sqrt() * correction + epsilon;
                            weights[i] = weights[i] * keep - step_size * mean[i] / scale;
                        }
                    },
                );
            });
        }
    }
}

const MAGIC: &[u8; 16] = b"spyhop training1";

/// Writes weights and optimiser beside the old state, then takes its place.
fn write_state(
    path: &Path,
    fingerprint: &[u8; 32],
    weights: &Weights,
    optimiser: &Optimiser,
) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(&partial)?);
        file.write_all(MAGIC)?;
        file.write_all(fingerprint)?;
        file.write_all(&optimiser.steps.to_le_bytes())?;
        for values in [&weights.data, &optimiser.mean, &optimiser.square] {
            file.write_all(bytemuck::cast_slice(values))?;
        }
        file.into_inner()?.sync_data()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| {
        format!("cannot write the training state {} (is the disk full?)", path.display())
    })
}

/// Restores a state if there is one; returns the number of steps it has behind it.
fn read_state(
    path: &Path,
    fingerprint: &[u8; 32],
    weights: &mut Weights,
    optimiser: &mut Optimiser,
) -> anyhow::Result<usize> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        file => file.with_context(|| format!("cannot open {}", path.display()))?,
    };
    let read = || -> anyhow::Result<()> {
        let mut file = BufReader::new(file);
        let (mut head, mut steps) = ([0; 48], [0; 8]);
        file.read_exact(&mut head)?;
        anyhow::ensure!(
            head[..16] == *MAGIC && head[16..] == *fingerprint,
            "it belongs to another training"
        );
        file.read_exact(&mut steps)?;
        optimiser.steps = u64::from_le_bytes(steps);
        for values in [&mut weights.data, &mut optimiser.mean, &mut optimiser.square] {
            file.read_exact(bytemuck::cast_slice_mut(values))?;
        }
        Ok(())
    };
    read().with_context(|| {
        format!("cannot go on from {}; delete it to train from the start", path.display())
    })?;
    Ok(optimiser.steps as usize)
}
