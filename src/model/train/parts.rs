//! How a step's examples go through the model: a few at a time, and what they begin with in common only
//! once.
//!
//! Prompts of a finetuning all begin with the same words: the tag, or the question that the backward
//! model is asked. Each example would take the same keys and values from them, and their gradients add
//! up, so one pass over them teaches what one for each example would, but for rounding.
use std::collections::HashMap;

use super::{
    super::{beginnings::Beginnings, network::Packed},
    Example,
};

/// Tokens whose activations are in memory together: about 0.8 MB each for 135M weights.
pub(super) const TOKENS_AT_ONCE: usize = 640;

/// Examples that go through the model together.
#[derive(Default)]
pub(super) struct Part {
    pub(super) packed: Packed,
    /// `(row, next token)` of every token that is taught.
    pub(super) labels: Vec<(usize, u32)>,
    /// Which examples they are, in the order of their rows.
    pub(super) examples: Vec<usize>,
}

/// Cuts examples into parts of at most [`TOKENS_AT_ONCE`] tokens, or one example where it is longer; what
/// those of a part have in common goes through the model once, if it is `shared`.
pub(super) fn parts(examples: &[&Example], shared: bool) -> Vec<Part> {
    let limit = |example: &Example| if shared { shareable(example) } else { 0 };
    let sequences = examples.iter().map(|example| (example.ids.as_slice(), limit(example)));
    let beginnings = Beginnings::new(sequences, 1);
    let mut parts: Vec<Part> = Vec::new();
    let mut there = HashMap::new();
    for &index in &beginnings.order {
        let fits = |part: &Part| {
            part.packed.ids.len() + beginnings.missing(index, &there) <= TOKENS_AT_ONCE
        };
        if !parts.last().is_some_and(fits) {
            parts.push(Part::default());
            there.clear();
        }
        let Some(part) = parts.last_mut() else { continue };
        let own = beginnings.own(index);
        let rows = beginnings.push(index, &mut part.packed, &mut there);
        let label = |(row, id): (usize, u32)| (row - own.start + rows.start, id);
        part.labels.extend(labels(examples[index]).map(label));
        part.examples.push(index);
    }
    // Dropout has a say in every row.
    for part in parts.iter_mut().filter(|_| shared) {
        part.packed.read = Some(part.labels.iter().map(|&(row, _)| row).collect());
    }
    parts
}

/// Tokens at the beginning of an example whose rows predict nothing that is learned.
fn shareable(example: &Example) -> usize {
    let first = labels(example).next().map(|(row, _)| row);
    first.unwrap_or(example.ids.len().saturating_sub(1))
}

/// `(row, next token)` of every token that an example teaches.
pub(super) fn labels(example: &Example) -> impl Iterator<Item = (usize, u32)> {
    let learned = example.learned.iter().zip(&example.ids).enumerate().skip(1);
    learned.filter(|(_, (learned, _))| **learned).map(|(i, (_, &id))| (i - 1, id))
}

#[cfg(test)]
pub(in crate::model) mod tests {
    use super::*;
    use crate::model::{
        network::Pass,
        tests::{CONFIG, sequence, weights},
    };

    /// Examples that begin alike, two of them for longer, across the seams of attention's blocks; and one
    /// that has nothing in common with others.
    fn alike() -> Vec<Example> {
        let (tag, longer) = (sequence(3, 21), [sequence(3, 21), sequence(9, 50)].concat());
        [
            ([tag.clone(), sequence(5, 60)].concat(), 40),
            ([longer.clone(), sequence(6, 20)].concat(), 75),
            (sequence(8, 17), 4),
            ([tag, sequence(7, 9)].concat(), 24),
            ([longer, sequence(4, 80)].concat(), 80),
        ]
        .map(|(ids, prompt)| Example {
            learned: (0..ids.len()).map(|i| i >= prompt).collect(),
            ids,
        })
        .into()
    }

    /// They, packed, with their labels.
    pub(in crate::model) fn packed_alike() -> (Packed, Vec<(usize, u32)>) {
        let part = parts(&alike().iter().collect::<Vec<_>>(), true).remove(0);
        (part.packed, part.labels)
    }

    #[test]
    fn what_examples_have_in_common_is_run_once_and_teaches_as_often_as_they_are() {
        let (examples, weights) = (alike(), weights(&CONFIG));
        let examples: Vec<&Example> = examples.iter().collect();
        let run = |part: &Part| {
            let mut gradient = vec![0.0; weights.data.len()];
            let mut pass = Pass::training(&CONFIG, None);
            pass.forward(&weights, &part.packed, |_, _| {});
            let losses =
                pass.losses_backward(&weights, &part.packed, &part.labels, 1.0, &mut gradient);
            (losses, gradient)
        };
        let [shared, apart] = [true, false].map(|shared| parts(&examples, shared).remove(0));
        let all: usize = examples.iter().map(|example| example.ids.len()).sum();
        let [again, twice] = [21 * 3, 50];
        assert_eq!((apart.packed.ids.len(), shared.packed.ids.len()), (all, all - again - twice));
        assert_eq!(shared.examples, apart.examples);
        let ((losses, gradient), (expected, whole)) = (run(&shared), run(&apart));
        let labelled: usize = examples.iter().map(|example| labels(example).count()).sum();
        assert_eq!(losses.len(), labelled);
        for (loss, expected) in losses.iter().zip(&expected) {
            assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
        }
        let largest = whole.iter().map(|g| g.abs()).fold(0.0, f32::max);
        for (gradient, expected) in gradient.iter().zip(&whole) {
            assert!((gradient - expected).abs() < 1e-5 * largest, "{gradient} {expected}");
        }
    }

    #[test]
    fn no_row_that_predicts_is_shared() {
        // The same prompt, and answers that begin alike.
        let example = |last: u32| Example {
            ids: [sequence(3, 12), vec![last]].concat(),
            learned: (0..13).map(|i| i >= 8).collect(),
        };
        let (one, other) = (example(5), example(6));
        let part = parts(&[&one, &other], true).remove(0);
        assert_eq!(part.packed.ids.len(), 7 + 2 * 6);
        let ids = |first: usize| part.labels[first..first + 5].iter().map(|&(_, id)| id);
        assert!(
            ids(0).eq(one.ids[8..].iter().copied()) && ids(5).eq(other.ids[8..].iter().copied())
        );
        let rows: Vec<usize> = part.labels.iter().map(|&(row, _)| row).collect();
        assert_eq!(rows, [7, 8, 9, 10, 11, 13, 14, 15, 16, 17]);
        // Nothing learned, and one token only.
        let nothing = Example { learned: vec![false; 13], ..example(5) };
        assert_eq!(parts(&[&nothing, &nothing], true)[0].packed.ids.len(), 12 + 2);
        let token = Example { ids: vec![4], learned: vec![true] };
        assert_eq!(parts(&[&token, &token], true)[0].packed.ids.len(), 2);
    }

    #[test]
    fn a_part_holds_so_many_tokens_and_begins_with_what_it_shares() {
        let example = |seed: u32| Example {
            ids: [sequence(3, 40), sequence(seed, 160)].concat(),
            learned: (0..200).map(|i| i >= 60).collect(),
        };
        let examples: Vec<Example> = (4..11).map(example).collect();
        let found = parts(&examples.iter().collect::<Vec<_>>(), true);
        let tokens: Vec<usize> = found.iter().map(|part| part.packed.ids.len()).collect();
        assert_eq!(tokens, [40 + 3 * 160, 40 + 3 * 160, 200]);
        let mut all: Vec<usize> = found.iter().flat_map(|part| part.examples.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        // Labels are the tokens that follow, whatever the order.
        for part in &found {
            let expected = part.examples.iter().flat_map(|&i| &examples[i].ids[60..]);
            assert!(part.labels.iter().map(|(_, id)| id).eq(expected));
        }
    }
}
