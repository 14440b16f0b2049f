//! How fast a model runs on this machine, beside what its shape and the machine allow.
//!
//! Measures passes over made-up tokens, not tasks; knows no table and no file.
mod floor;
mod peak;

use std::{path::PathBuf, time::Duration, time::Instant};

use anyhow::Context;

pub use peak::Peaks;

use super::{
    Config, Model, Rounding,
    chat::Example,
    train::{Schedule, Training},
};

/// A kind of work, at the size that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Steps of full finetuning: sequences of so many tokens, all of them learned.
    Train { sequences: usize, tokens: usize },
    /// A prompt, up to the probabilities of its next token.
    Prefill { tokens: usize },
    /// The next token of each of several replies under way, after so many tokens.
    Decode { requests: usize, after: usize },
}

/// Seconds that a piece of work took, in order of repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub work: Work,
    pub rounding: Option<Rounding>,
    pub seconds: Vec<f64>,
    /// The least time that a machine with these peaks could take.
    pub floor: f64,
}

/// Steps of decoding that are timed together.
pub(super) const DECODE_STEPS: usize = 8;

impl Work {
    /// The work as a model's context allows it: the sizes of the tables in `docs/performance.md`, or less.
    pub fn training(config: &Config) -> Self {
        Self::Train { sequences: 4, tokens: config.context.min(256) }
    }

    /// A prompt of 512 tokens, or what fits.
    pub fn prefill(config: &Config) -> Self {
        Self::Prefill { tokens: config.context.min(512) }
    }

    /// Replies after 128 tokens, or a quarter of the context.
    pub fn decode(config: &Config, requests: usize) -> Self {
        Self::Decode { requests, after: (config.context / 4).min(128) }
    }

    /// Tokens that it makes or takes.
    pub fn tokens(self) -> usize {
        match self {
            Self::Train { sequences, tokens } => sequences * tokens,
            Self::Prefill { tokens } => tokens,
            Self::Decode { requests, .. } => requests * DECODE_STEPS,
        }
    }
}

impl Measured {
    /// Tokens a second: the median of the repetitions, the least and the most.
    pub fn rates(&self) -> (f64, f64, f64) {
        let mut rates: Vec<f64> =
            self.seconds.iter().map(|seconds| self.work.tokens() as f64 / seconds).collect();
        rates.sort_by(f64::total_cmp);
        let (low, high) = (rates[(rates.len() - 1) / 2], rates[rates.len() / 2]);
        ((low + high) / 2.0, rates[0], rates[rates.len() - 1])
    }

    /// Tokens a second at the floor.
    pub fn floor_rate(&self) -> f64 {
        self.work.tokens() as f64 / self.floor
    }
}

impl Model {
    /// Times a piece of work, after a repetition that does not count, with the matrices rounded for its
    /// products. The weights stay as they are.
    ///
    /// # Errors
    /// When the model cannot be trained, or its context is too short.
    pub fn measure(
        &mut self,
        work: Work,
        rounding: Option<Rounding>,
        peaks: &Peaks,
        repetitions: usize,
    ) -> anyhow::Result<Measured> {
        let seconds = match work {
            Work::Train { sequences, tokens } => {
                self.time_training(sequences, tokens, rounding, repetitions)?
            }
            Work::Prefill { tokens } => {
                self.round(rounding);
                let ids = made_up(0, tokens, self.weights.config.vocabulary);
                let item = [(ids, vec![0])];
                let once = || {
                    let began = Instant::now();
                    self.next_token_log_probabilities(&item, |_, _| Ok(()))?;
                    anyhow::Ok(began.elapsed().as_secs_f64())
                };
                once()?;
                (0..repetitions).map(|_| once()).collect::<anyhow::Result<_>>()?
            }
            Work::Decode { requests, after } => {
                self.round(rounding);
                self.time_decoding(requests, after, repetitions)?
            }
        };
        let floor = floor::seconds(&self.weights, work, rounding, peaks);
        Ok(Measured { work, rounding, seconds, floor })
    }

    /// Steps at a learning rate of zero, which leave the weights as they are.
    fn time_training(
        &mut self,
        sequences: usize,
        tokens: usize,
        rounding: Option<Rounding>,
        repetitions: usize,
    ) -> anyhow::Result<Vec<f64>> {
        anyhow::ensure!(
            rounding.is_none_or(Rounding::trains),
            "integers are too coarse for training"
        );
        self.round(None);
        let vocabulary = self.weights.config.vocabulary;
        let examples: Vec<Example> = (0..sequences)
            .map(|index| Example {
                ids: made_up(index, tokens, vocabulary),
                learned: vec![true; tokens],
            })
            .collect();
        let schedule = Schedule {
            epochs: (repetitions + 1) as f64,
            batch_size: sequences,
            learning_rate: 0.0,
            final_learning_rate: 0.0,
            weight_decay: 0.1,
            gradient_clip: 1.0,
            random_seed: 0,
        };
        // A state that is never written.
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let state: PathBuf = directory.path().join("state");
        let training = Training {
            schedule,
            lora: None,
            last_layers: None,
            frozen: None,
            dropout: 0.0,
            held_out: &[],
            examples: &examples,
            rounded: rounding.is_some(),
            state,
            state_every: Duration::MAX,
        };
        let mut seconds = Vec::new();
        training.run(self, |_, step| {
            seconds.push(step.seconds);
            Ok(())
        })?;
        self.round(None);
        Ok(seconds.split_off(1))
    }
}

/// Tokens without a pattern, none of them among the first few, which are often control tokens.
pub(super) fn made_up(seed: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    let first = 64.min(vocabulary / 2);
    let mut state = seed as u64 + 1;
    let mut next = || {
        // Knuth's MMIX generator.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (first + (state >> 33) as usize % (vocabulary - first)) as u32
    };
    (0..length).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::model;

    #[test]
    fn every_kind_of_work_is_measured_and_leaves_the_weights_alone() {
        let peaks = Peaks { f32: 1e9, bf16: 2e9, int8: 4e9, int7: 4e9, bandwidth: 1e9 };
        let mut model = model();
        let before = model.weights.data.clone();
        let config = model.weights.config.clone();
        let works = [Work::training(&config), Work::prefill(&config), Work::decode(&config, 3)];
        for work in works {
            for rounding in [None, Some(Rounding::Bf16), Some(Rounding::Int8), Some(Rounding::Int7)]
            {
                let measured = model.measure(work, rounding, &peaks, 2);
                if matches!(work, Work::Train { .. }) && !rounding.is_none_or(Rounding::trains) {
                    assert!(measured.is_err());
                    continue;
                }
                let measured = measured.unwrap();
                let (median, least, most) = measured.rates();
                assert_eq!(measured.seconds.len(), 2);
                assert!(0.0 < least && least <= median && median <= most, "{measured:?}");
                assert!(measured.floor > 0.0 && model.weights.data == before);
            }
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let work = Work::Prefill { tokens: 12 };
        let measured =
            Measured { work, rounding: None, seconds: vec![1.0, 2.0, 3.0, 4.0], floor: 0.5 };
        assert_eq!(measured.rates(), (5.0, 3.0, 12.0));
        assert_eq!(measured.floor_rate(), 24.0);
    }
}
