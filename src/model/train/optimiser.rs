//! AdamW, and the norm by which gradients are clipped.
use std::ops::Range;

use rayon::prelude::*;

use crate::model::ops::wide;

/// AdamW's constants. The paper names none; 0.9 and 0.95 are those of LIMA, whose recipe it cites.
const BETAS: (f64, f64) = (0.9, 0.95);
const EPSILON: f64 = 1e-8;

/// What a step multiplies with: the learning rate, and the decay for a learning rate of one.
pub(super) struct Rates {
    pub(super) learning: f64,
    pub(super) decay: f64,
}

/// Euclidean norm, summed in chunks of fixed size so that the number of cores does not change it.
pub(super) fn norm(gradient: &[f32]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    gradient.par_chunks(1 << 16).map(square).collect::<Vec<_>>().iter().sum::<f64>().sqrt()
}

/// AdamW (Loshchilov & Hutter 2019), algorithm 2, in one sweep over memory.
pub(super) struct Optimiser {
    pub(super) steps: u64,
    pub(super) mean: Vec<f32>,
    pub(super) square: Vec<f32>,
}

impl Optimiser {
    pub(super) fn new(weights: usize) -> Self {
        Self { steps: 0, mean: vec![0.0; weights], square: vec![0.0; weights] }
    }

    /// Moves the weights that `decayed` lists, with whether AdamW's decay is for them.
    pub(super) fn step(
        &mut self,
        weights: &mut [f32],
        decayed: &[(Range<usize>, bool)],
        gradient: &[f32],
        clip: f64,
        Rates { learning, decay }: Rates,
    ) {
        self.steps += 1;
        let power = self.steps as i32;
        let (beta_mean, beta_square) = (BETAS.0 as f32, BETAS.1 as f32);
        let step_size = (learning / (1.0 - BETAS.0.powi(power))) as f32;
        let correction = (1.0 / (1.0 - BETAS.1.powi(power)).sqrt()) as f32;
        let (clip, epsilon) = (clip as f32, EPSILON as f32);
        for (at, decayed) in decayed {
            let keep = if *decayed { (1.0 - learning * decay) as f32 } else { 1.0 };
            let chunks = weights[at.clone()]
                .par_chunks_mut(1 << 14)
                .zip(gradient[at.clone()].par_chunks(1 << 14))
                .zip(self.mean[at.clone()].par_chunks_mut(1 << 14))
                .zip(self.square[at.clone()].par_chunks_mut(1 << 14));
            chunks.for_each(|(((weights, gradient), mean), square)| {
                wide(
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
