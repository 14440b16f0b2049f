//! Which examples a step sees, and how far it goes.
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Which examples a step sees, and how far it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub epochs: f64,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub final_learning_rate: f64,
    pub weight_decay: f64,
    pub gradient_clip: f64,
    /// Decides the order of the examples, and whatever else a training draws.
    pub random_seed: u64,
}

impl Schedule {
    /// The examples of each step: every epoch a fresh shuffle, cut into batches without regard to
    /// where an epoch ends. A fraction of an epoch sees a fraction of the examples.
    pub fn batches(&self, examples: usize) -> Vec<Vec<usize>> {
        let visits = self.visits(examples);
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

    /// Whether with this step (from 0) each example has been visited once more, or all visits are over.
    pub(super) fn ends_epoch(&self, step: usize, examples: usize) -> bool {
        let visits = self.visits(examples);
        let (before, after) = (step * self.batch_size, (step + 1) * self.batch_size);
        after >= visits || before / examples != after / examples
    }

    /// How often an example is trained on, all of them together.
    fn visits(&self, examples: usize) -> usize {
        ((self.epochs * examples as f64).round() as usize).max(1)
    }
}
