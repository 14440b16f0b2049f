//! Decoding under a stopwatch.
use std::{collections::VecDeque, time::Instant};

use super::{Generation, Slot, StepBuffers, admit, decode_step, prefill};
use crate::model::{
    Model, Sampling,
    beginnings::Prompts,
    network::Pass,
    speed::{DECODE_STEPS, made_up},
};

impl Model {
    /// Seconds of [`DECODE_STEPS`] steps, several times, with replies to made-up prompts of `after`
    /// tokens; steps before the first time do not count.
    pub(in crate::model) fn time_decoding(
        &self,
        requests: usize,
        after: usize,
        repetitions: usize,
    ) -> anyhow::Result<Vec<f64>> {
        let config = &self.weights.config;
        let steps = (repetitions + 1) * DECODE_STEPS;
        anyhow::ensure!(
            after > 0 && after + steps < config.context,
            "{repetitions} repetitions do not fit into a context of {} tokens: ask for fewer",
            config.context
        );
        let request = |index| Generation {
            prompt: made_up(index, after, config.vocabulary),
            sampling: Sampling::Greedy,
            max_tokens: steps + 1,
            ..Generation::default()
        };
        let requests: Vec<Generation> = (0..requests).map(request).collect();
        let prompts = requests.iter().map(|request| (request.prompt.as_slice(), after - 1));
        let mut prompts = Prompts::new(prompts);
        let mut waiting: VecDeque<usize> = prompts.beginnings.order.iter().copied().collect();
        let (mut pass, mut step) = (Pass::forward_only(), StepBuffers::default());
        let mut slots: Vec<Slot> = Vec::new();
        while !waiting.is_empty() {
            let admitted = admit(&mut waiting, &requests, &prompts, &slots, config);
            anyhow::ensure!(!admitted.is_empty(), "so many requests are never served at once");
            slots.extend(prefill(&self.weights, &mut pass, &requests, &mut prompts, &admitted));
        }
        let rotation = config.rotation(after + steps);
        let mut once = || {
            let began = Instant::now();
            for _ in 0..DECODE_STEPS {
                decode_step(&self.weights, &rotation, &mut step, &mut slots);
            }
            began.elapsed().as_secs_f64()
        };
        once();
        Ok((0..repetitions).map(|_| once()).collect())
    }
}
