//! Decoding many requests at once: a request takes a slot as soon as one is free.
//!
//! A reply depends on its own request and seed alone. Every product gives the same row whatever rows
//! stand beside it (tested in `ops`), each slot has a cache of its own, and each request its own
//! random stream; so neither batching nor a resumed run changes a word.
mod conversation;
mod ending;
mod timed;

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    beginnings::{Prompts, Ran},
    cache::{Cache, attend_cached},
    config::Config,
    network::{Pass, Weights, output_logits},
    ops::{Rotation, Write, rms_norm, swiglu},
    sampling::{Sampler, Sampling},
};
use crate::record::Finish;

pub use conversation::Conversation;
pub use ending::before_stop;

/// A prompt to be continued.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    pub prompt: Vec<u32>,
    pub sampling: Sampling,
    pub max_tokens: usize,
    pub seed: u64,
    /// Texts that end the reply, and are no part of it.
    pub stop: Vec<String>,
}

/// What a prompt was continued with, without the end-of-turn token.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Every token made, those of a stop string too.
    pub ids: Vec<u32>,
    /// Their text, up to a stop string.
    pub text: String,
    pub finish: Finish,
}

/// Requests served at once.
const SLOTS: usize = 64;
/// Tokens that all caches together may hold.
const CACHED_TOKENS: usize = 16_384;
/// Prompt tokens that go through the model together.
const PREFILL_TOKENS: usize = 768;

impl super::Model {
    /// Continues every prompt until the end of the turn or `max_tokens`.
    ///
    /// `tokens` is told how many tokens each step made; `finished` gets each reply as it ends, with
    /// the request's index. A prompt that leaves no room in the context ends as `Overlong`.
    pub fn generate(
        &self,
        requests: &[Generation],
        mut tokens: impl FnMut(usize),
        mut finished: impl FnMut(usize, Generated) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let config = &self.weights.config;
        let overlong = |request: &Generation| {
            request.prompt.is_empty() || request.prompt.len() >= config.context
        };
        let shareable = |request: &Generation| match overlong(request) {
            true => 0,
            false => request.prompt.len() - 1,
        };
        let mut prompts = Prompts::new(
            requests.iter().map(|request| (request.prompt.as_slice(), shareable(request))),
        );
        let mut waiting: VecDeque<usize> = VecDeque::new();
        for &index in &prompts.beginnings.order {
            match overlong(&requests[index]) {
                true => finished(index, overlong_reply())?,
                false => waiting.push_back(index),
            }
        }
        let longest = requests.iter().map(|request| request.prompt.len() + request.max_tokens);
        let positions = longest.max().unwrap_or(1).min(config.context);
        let rotation = config.rotation(positions);
        let mut pass = Pass::forward_only();
        let mut step = StepBuffers::default();
        let mut slots: Vec<Slot> = Vec::new();
        loop {
            let admitted = admit(&mut waiting, requests, &prompts, &slots, config);
            if !admitted.is_empty() {
                tokens(admitted.len());
                slots.extend(prefill(&self.weights, &mut pass, requests, &mut prompts, &admitted));
            }
            let mut active = Vec::with_capacity(slots.len());
            for slot in slots {
                let request = &requests[slot.request];
                match ending::ended(&slot.ids, request, slot.is_full(), &self.chat)? {
                    Some(reply) => finished(slot.request, reply)?,
                    None => active.push(slot),
                }
            }
            slots = active;
            if slots.is_empty() && waiting.is_empty() {
                return Ok(());
            }
            // A slot that ended at its first token leaves room: fill it before the next step.
            if !slots.is_empty() {
                decode_step(&self.weights, &rotation, &mut step, &mut slots);
                tokens(slots.len());
            }
        }
    }
}

fn overlong_reply() -> Generated {
    Generated { ids: Vec::new(), text: String::new(), finish: Finish::Overlong }
}

/// One request being served.
struct Slot {
    request: usize,
    /// Tokens made so far.
    ids: Vec<u32>,
    sampler: Sampler,
    /// Keys and values of what its prompt shares with others.
    before: Vec<Arc<Cache>>,
    /// Those of its own tokens.
    cache: Cache,
}

impl Slot {
    /// The place of its last token in its sequence.
    fn position(&self) -> usize {
        self.before.iter().map(|kept| kept.length).sum::<usize>() + self.cache.length
    }

    fn is_full(&self) -> bool {
        self.cache.length >= self.cache.capacity
    }
}

/// The cache that a request needs beyond the first `shared` tokens of its prompt.
fn capacity(request: &Generation, shared: usize, config: &Config) -> usize {
    (request.prompt.len() + request.max_tokens).min(config.context) - shared
}

/// Tokens that the caches of all slots hold, shared ones once.
fn cached(slots: &[Slot]) -> usize {
    let shared = slots.iter().flat_map(|slot| &slot.before);
    let shared: HashMap<_, usize> = shared.map(|kept| (Arc::as_ptr(kept), kept.length)).collect();
    let own: usize = slots.iter().map(|slot| slot.cache.capacity).sum();
    own + shared.values().sum::<usize>()
}

/// Takes waiting requests, in order, as long as slots, caches and one prefill have room.
fn admit(
    waiting: &mut VecDeque<usize>,
    requests: &[Generation],
    prompts: &Prompts,
    slots: &[Slot],
    config: &Config,
) -> Vec<usize> {
    let mut admitted: Vec<usize> = Vec::new();
    let mut cached = cached(slots);
    let mut prompt_tokens = 0;
    while let Some(&next) = waiting.front() {
        let serving = slots.len() + admitted.len();
        let (own, cost) = (prompts.beginnings.own(next), prompts.beginnings.cost(next));
        cached += capacity(&requests[next], own.start, config) + cost - own.len();
        prompt_tokens += cost;
        let fits = serving < SLOTS && cached <= CACHED_TOKENS;
        let small = admitted.is_empty() || prompt_tokens <= PREFILL_TOKENS;
        // A request too large for the budget is served alone.
        if !((fits && small) || serving == 0) {
            break;
        }
        waiting.pop_front();
        admitted.push(next);
    }
    admitted
}

/// Runs the prompts through the model, and chooses the first token of each reply.
fn prefill(
    weights: &Weights,
    pass: &mut Pass,
    requests: &[Generation],
    prompts: &mut Prompts,
    admitted: &[usize],
) -> Vec<Slot> {
    let config = &weights.config;
    let cache = |&index: &usize| {
        Cache::new(config, capacity(&requests[index], prompts.beginnings.own(index).start, config))
    };
    let mut caches: Vec<Cache> = admitted.iter().map(cache).collect();
    let ran = prompts.forward(weights, pass, admitted, |layer, state, own| {
        caches.par_iter_mut().zip(own).for_each(|(cache, rows)| {
            let (keys, values) = state.rows(config, rows);
            cache.fill(config, layer, keys, values);
        });
    });
    let last: Vec<usize> = ran.iter().map(|ran| ran.rows.end - 1).collect();
    let logits = pass.logits(weights, &last);
    let slot = |((&request, ran), mut cache): ((&usize, Ran), Cache)| {
        cache.length = ran.rows.len();
        let Generation { sampling, seed, .. } = &requests[request];
        let (ids, sampler) = (Vec::new(), Sampler::new(*sampling, *seed));
        Slot { request, ids, sampler, before: ran.before, cache }
    };
    let mut slots: Vec<Slot> = admitted.iter().zip(ran).zip(caches).map(slot).collect();
    choose(&mut slots, &logits, config.vocabulary);
    slots
}

fn choose(slots: &mut [Slot], logits: &[f32], vocabulary: usize) {
    slots.par_iter_mut().zip(logits.par_chunks_exact(vocabulary)).for_each(|(slot, logits)| {
        let next = slot.sampler.choose(logits);
        slot.ids.push(next);
    });
}

/// The memory of a decoding step, reused from step to step.
#[derive(Default)]
struct StepBuffers {
    stream: Vec<f32>,
    scale: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    activated: Vec<f32>,
}

/// Feeds each slot its last token, and chooses its next.
fn decode_step(weights: &Weights, rotation: &Rotation, step: &mut StepBuffers, slots: &mut [Slot]) {
    let config = &weights.config;
    let rows = slots.len();
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let (query_width, key_width) =
        (config.heads * config.head_size, config.kv_heads * config.head_size);
    let buffers = [
        (&mut step.stream, hidden),
        (&mut step.scale, 1),
        (&mut step.normed, hidden),
        (&mut step.query, query_width),
        (&mut step.key, key_width),
        (&mut step.value, key_width),
        (&mut step.attended, query_width),
        (&mut step.gate, wide),
        (&mut step.up, wide),
        (&mut step.activated, wide),
    ];
    for (buffer, width) in buffers {
        buffer.clear();
        buffer.resize(rows * width, 0.0);
    }
    let embedding = &weights.data[weights.layout.embedding.clone()];
    let mut positions = vec![0; rows];
    for (index, slot) in slots.iter().enumerate() {
        let id = slot.ids[slot.ids.len() - 1] as usize;
        step.stream[index * hidden..][..hidden]
            .copy_from_slice(&embedding[id * hidden..][..hidden]);
        positions[index] = slot.position() as u32;
    }
    let part = |at: &Range<usize>| &weights.data[at.clone()];
    for (index, layer) in weights.layout.layers.iter().enumerate() {
        let (epsilon, norm) = (config.rms_epsilon, part(&layer.attention_norm));
        rms_norm(&step.stream, norm, epsilon, &mut step.normed, &mut step.scale);
        let matrices = [&layer.query, &layer.key, &layer.value];
        let projected = [&mut step.query[..], &mut step.key, &mut step.value];
        weights.linear_all(matrices, &step.normed, projected, hidden);
        let projected = [&mut step.query[..], &mut step.key, &mut step.value];
        weights.place(index, rotation, &positions, projected);
        slots
            .par_iter_mut()
            .zip(step.attended.par_chunks_mut(query_width))
            .zip(step.query.par_chunks(query_width))
            .zip(step.key.par_chunks(key_width).zip(step.value.par_chunks(key_width)))
            .for_each(|(((slot, attended), query), (key, value))| {
                slot.cache.store(config, index, slot.cache.length, key, value);
                attend_cached(config, &slot.before, &slot.cache, index, query, attended);
            });
        let output = &layer.attention_output;
        weights.linear(output, &step.attended, &mut step.stream, query_width, Write::Add);
        let norm = part(&layer.feed_forward_norm);
        rms_norm(&step.stream, norm, epsilon, &mut step.normed, &mut step.scale);
        let gated = [&mut step.gate[..], &mut step.up];
        weights.linear_all([&layer.gate, &layer.up], &step.normed, gated, hidden);
        swiglu(&step.gate, &step.up, &mut step.activated);
        weights.linear(&layer.down, &step.activated, &mut step.stream, wide, Write::Add);
    }
    let norm = part(&weights.layout.final_norm);
    rms_norm(&step.stream, norm, config.rms_epsilon, &mut step.normed, &mut step.scale);
    let logits = output_logits(weights, &step.normed);
    slots.iter_mut().for_each(|slot| slot.cache.length += 1);
    choose(slots, &logits, config.vocabulary);
}
