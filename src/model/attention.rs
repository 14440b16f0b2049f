//! Causal attention over packed sequences, each confined to itself and to what it begins with, with its
//! backward pass.
//!
//! Queries, keys and values come as token rows, (tokens, heads * head_size). Work is split by
//! sequence and head; each piece writes a buffer of its own, (head, token, head_size), which is then
//! laid back into token rows, so that no two cores ever write the same memory.
//!
//! Probabilities exist for one block of queries at a time. The backward pass computes them again: kept
//! for every layer, they would be the only memory that grows with the square of a sequence's length.
use std::ops::Range;

use rayon::prelude::*;

use super::{
    config::Config,
    ops::{Cores, Matrix, Write, multiply, softmax, sum, wide},
};

/// Query rows handled together: above the diagonal, whole blocks of scores are never computed.
pub(super) const BLOCK: usize = 64;

/// Scratch memory of one layer's attention, reused from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    heads: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// How the three inputs are laid out.
struct Shape {
    heads: usize,
    group: usize,
    size: usize,
    query_width: usize,
    key_width: usize,
    scale: f32,
    /// Tokens that a query sees, its own included.
    window: usize,
}

impl Shape {
    fn new(config: &Config) -> Self {
        Self {
            heads: config.heads,
            group: config.heads / config.kv_heads,
            size: config.head_size,
            query_width: config.heads * config.head_size,
            key_width: config.kv_heads * config.head_size,
            scale: 1.0 / (config.head_size as f32).sqrt(),
            window: config.family.window.unwrap_or(usize::MAX),
        }
    }

    /// One query head of one sequence, (tokens, head_size).
    fn query<'a>(&self, rows: &'a [f32], sequence: &Range<usize>, head: usize) -> Matrix<'a> {
        let start = sequence.start * self.query_width + head * self.size;
        Matrix::strided(&rows[start..], sequence.len(), self.size, self.query_width)
    }

    /// One key (or value) head of one sequence, (tokens, head_size).
    fn key<'a>(&self, rows: &'a [f32], sequence: &Range<usize>, head: usize) -> Matrix<'a> {
        let start = sequence.start * self.key_width + head * self.size;
        Matrix::strided(&rows[start..], sequence.len(), self.size, self.key_width)
    }
}

/// The first `rows` rows of a head, or a block of them.
fn rows_of<'a>(
    shape: &Shape,
    rows: &'a [f32],
    sequence: &Range<usize>,
    head: usize,
    block: Range<usize>,
    is_query: bool,
) -> Matrix<'a> {
    let part = sequence.start + block.start..sequence.start + block.end;
    match is_query {
        true => shape.query(rows, &part, head),
        false => shape.key(rows, &part, head),
    }
}

/// `attended = softmax(causal(Q Kᵀ / √size)) V`, where a token sees no farther back than the family's
/// window.
///
/// `sequences` are rows of queries, and `spans` the rows of keys and values that belong to each: as
/// many, or more where a sequence goes on from tokens before it. Where those are a multiple of
/// [`BLOCK`], each product is the one that the whole sequence would have met, and so is each bit.
pub(super) fn attend(
    config: &Config,
    sequences: &[Range<usize>],
    spans: &[Range<usize>],
    [query, key, value]: [&[f32]; 3],
    scratch: &mut Scratch,
    attended: &mut [f32],
) {
    let shape = Shape::new(config);
    scratch.heads.resize(query.len(), 0.0);
    let by_head = |length: usize| std::iter::repeat_n(length, shape.heads);
    let tasks = sequences
        .iter()
        .zip(spans)
        .flat_map(|pair| (0..shape.heads).map(move |head| (pair, head)))
        .zip(split(
            &mut scratch.heads,
            sequences.iter().flat_map(|sequence| by_head(sequence.len() * shape.size)),
        ));
    tasks.collect::<Vec<_>>().into_par_iter().for_each_init(
        Vec::new,
        |block: &mut Vec<f32>, (((sequence, span), head), output)| {
            let tokens = span.len();
            let before = tokens - sequence.len();
            let key_head = head / shape.group;
            for start in (before..tokens).step_by(BLOCK) {
                let end = tokens.min(start + BLOCK);
                let rows = start - before..end - before;
                let queries = rows_of(&shape, query, sequence, head, rows.clone(), true);
                let keys = rows_of(&shape, key, span, key_head, 0..end, false);
                let values = rows_of(&shape, value, span, key_head, 0..end, false);
                probabilities(&shape, queries, keys, start, block);
                let block = Matrix::dense(block, rows.len(), end);
                let output = &mut output[rows.start * shape.size..rows.end * shape.size];
                multiply(output, shape.size, Write::Replace, block, values, 1.0, Cores::One);
            }
        },
    );
    to_rows(&scratch.heads, sequences, shape.heads, shape.size, attended);
}

/// Backward of [`attend`]: `gradients` are those of query, key and value, and are replaced.
pub(super) fn attend_backward(
    config: &Config,
    sequences: &[Range<usize>],
    spans: &[Range<usize>],
    [query, key, value]: [&[f32]; 3],
    dattended: &[f32],
    scratch: &mut Scratch,
    [dquery, dkey, dvalue]: [&mut [f32]; 3],
) {
    let shape = Shape::new(config);
    let key_heads = config.kv_heads;
    scratch.heads.resize(query.len(), 0.0);
    scratch.keys.resize(key.len(), 0.0);
    scratch.values.resize(key.len(), 0.0);
    let per_key_head = |ranges: &[Range<usize>], factor: usize| {
        let lengths = ranges.iter().map(|range| range.len() * factor);
        lengths.flat_map(|length| std::iter::repeat_n(length, key_heads)).collect::<Vec<_>>()
    };
    let tasks = sequences
        .iter()
        .zip(spans)
        .flat_map(|pair| (0..key_heads).map(move |head| (pair, head)))
        .zip(split(&mut scratch.heads, per_key_head(sequences, shape.size * shape.group)))
        .zip(split(&mut scratch.keys, per_key_head(spans, shape.size)))
        .zip(split(&mut scratch.values, per_key_head(spans, shape.size)));
    tasks.collect::<Vec<_>>().into_par_iter().for_each_init(
        <[Vec<f32>; 2]>::default,
        |[weights, dscores], (((((sequence, span), key_head), dqueries), dkeys), dvalues)| {
            let tokens = span.len();
            let before = tokens - sequence.len();
            dkeys.fill(0.0);
            dvalues.fill(0.0);
            for member in 0..shape.group {
                let head = key_head * shape.group + member;
                let dqueries = &mut dqueries[member * sequence.len() * shape.size..];
                for start in (before..tokens).step_by(BLOCK) {
                    let end = tokens.min(start + BLOCK);
                    let at = start - before..end - before;
                    let rows = at.len();
                    let dy = rows_of(&shape, dattended, sequence, head, at.clone(), true);
                    let queries = rows_of(&shape, query, sequence, head, at.clone(), true);
                    let keys = rows_of(&shape, key, span, key_head, 0..end, false);
                    let values = rows_of(&shape, value, span, key_head, 0..end, false);
                    probabilities(&shape, queries, keys, start, weights);
                    dscores.resize(rows * end, 0.0);
                    let (size, one) = (shape.size, Cores::One);
                    multiply(dscores, end, Write::Replace, dy, values.transposed(), 1.0, one);
                    let block = Matrix::dense(weights, rows, end).transposed();
                    multiply(dvalues, size, Write::Add, block, dy, 1.0, one);
                    wide(
                        #[inline(always)]
                        || {
                            let rows = weights.chunks(end).zip(dscores.chunks_mut(end));
                            rows.for_each(|(p, d)| softmax_backward(p, d, shape.scale));
                        },
                    );
                    let scores = Matrix::dense(dscores, rows, end);
                    let target = &mut dqueries[at.start * size..at.end * size];
                    multiply(target, size, Write::Replace, scores, keys, 1.0, one);
                    multiply(dkeys, size, Write::Add, scores.transposed(), queries, 1.0, one);
                }
            }
        },
    );
    to_rows(&scratch.heads, sequences, shape.heads, shape.size, dquery);
    to_rows(&scratch.keys, spans, key_heads, shape.size, dkey);
    to_rows(&scratch.values, spans, key_heads, shape.size, dvalue);
}

/// `softmax(causal(Q Kᵀ * scale))`, within the window, of a block of queries, the first of which is token `start`.
fn probabilities(shape: &Shape, queries: Matrix, keys: Matrix, start: usize, block: &mut Vec<f32>) {
    let [rows, end] = [queries.rows(), keys.rows()];
    block.resize(rows * end, 0.0);
    multiply(block, end, Write::Replace, queries, keys.transposed(), shape.scale, Cores::One);
    wide(
        #[inline(always)]
        || {
            for (row, scores) in block.chunks_mut(end).enumerate() {
                let seen = start + row + 1;
                let (past, future) = scores.split_at_mut(seen);
                let (out_of_sight, seen) = past.split_at_mut(seen.saturating_sub(shape.window));
                out_of_sight.fill(0.0);
                softmax(seen);
                future.fill(0.0);
            }
        },
    );
}

/// `d ← p ⊙ (d − Σ p d) * scale`: the gradient of the scores before softmax and scaling.
#[inline(always)]
fn softmax_backward(probabilities: &[f32], d: &mut [f32], scale: f32) {
    let inner = sum([probabilities, d], |[probability, d]| probability * d);
    for (d, probability) in d.iter_mut().zip(probabilities) {
        *d = probability * (*d - inner) * scale;
    }
}

/// Cuts a buffer into consecutive parts.
fn split(mut rest: &mut [f32], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [f32]> {
    let cut = |length: usize| {
        let (part, tail) = std::mem::take(&mut rest).split_at_mut(length);
        rest = tail;
        part
    };
    lengths.into_iter().map(cut).collect()
}

/// From (sequence, head, token, size) to token rows.
fn to_rows(
    heads: &[f32],
    sequences: &[Range<usize>],
    n_heads: usize,
    size: usize,
    rows: &mut [f32],
) {
    let width = n_heads * size;
    let parts = split(rows, sequences.iter().map(|sequence| sequence.len() * width));
    sequences.par_iter().zip(parts).for_each(|(sequence, rows)| {
        let tokens = sequence.len();
        let heads = &heads[sequence.start * width..sequence.end * width];
        let rows = rows.par_chunks_exact_mut(width).with_min_len(32).enumerate();
        rows.for_each(|(token, row)| {
            for (head, part) in row.chunks_exact_mut(size).enumerate() {
                part.copy_from_slice(&heads[(head * tokens + token) * size..][..size]);
            }
        });
    });
}
