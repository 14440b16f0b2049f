//! What a model is taught: which pairs, as which tokens.
use std::collections::HashSet;

use super::Direction;
use crate::{
    model::{Chat, Example, Message, Role},
    prompt,
    recipe::Tags,
    record::{Audit, Origin, Pair},
    sample,
};

/// Parts the pairs into those to learn from and so many seed pairs to measure on. A pair held out is
/// not learned from wherever it comes from, and the same ones are held out in every training of a run.
pub(super) fn hold_out(
    pairs: &[Pair],
    held_out: usize,
    random_seed: u64,
) -> anyhow::Result<(Vec<Pair>, Vec<Pair>)> {
    let seed = pairs.iter().filter(|pair| pair.origin == Origin::Seed).collect();
    let drawn = sample::draw(seed, held_out, random_seed);
    let ids: HashSet<&str> = drawn.iter().map(|pair| pair.id.as_str()).collect();
    let (held, learned): (Vec<Pair>, Vec<Pair>) =
        pairs.iter().cloned().partition(|pair| ids.contains(pair.id.as_str()));
    anyhow::ensure!(
        held_out == 0 || !learned.is_empty(),
        "finetune.held_out = {held_out} leaves none of {} pairs to learn from; lower it",
        pairs.len()
    );
    Ok((learned, held))
}

pub(super) fn examples(
    chat: &Chat,
    pairs: &[Pair],
    direction: Direction,
    tags: &Tags,
    max_tokens: usize,
) -> anyhow::Result<Vec<Example>> {
    let example = |pair: &Pair| {
        let (messages, answer) = conversation(pair, direction, tags);
        let mut example = chat.example(&messages, answer)?;
        example.ids.truncate(max_tokens);
        example.learned.truncate(max_tokens);
        anyhow::Ok(example)
    };
    pairs.iter().map(example).collect()
}

/// What the model reads and what it is to say, for one pair.
fn conversation<'a>(pair: &'a Pair, direction: Direction, tags: &Tags) -> (Vec<Message>, &'a str) {
    match direction {
        Direction::Backward => {
            (vec![Message::new(Role::User, prompt::backward(&pair.output))], &pair.instruction)
        }
        Direction::Forward => {
            let tag = match pair.origin {
                Origin::Seed => &tags.seed,
                Origin::Augmented => &tags.augmented,
            };
            let user = Message::new(Role::User, pair.instruction.as_str());
            (vec![Message::new(Role::System, tag.as_str()), user], &pair.output)
        }
    }
}

/// Counts what the examples teach, so that a wrong mask is seen before it costs a training.
pub(super) fn audit(examples: &[Example], held_out: usize, end: u32) -> Audit {
    let ends = |example: &&Example| {
        example.ids.last() == Some(&end) && example.learned.last() == Some(&true)
    };
    let end_of_turn_learned = examples.iter().filter(ends).count();
    Audit {
        examples: examples.len(),
        tokens: examples.iter().map(|example| example.ids.len()).sum(),
        trained_tokens: examples
            .iter()
            .map(|example| example.learned.iter().filter(|&&learned| learned).count())
            .sum(),
        // Only the cut takes the end of the turn away.
        truncated: examples.len() - end_of_turn_learned,
        end_of_turn_learned,
        held_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_has_its_tag_and_each_direction_its_question() {
        let tags = Tags::default();
        let check = |origin, direction, system: Option<&str>, answer: &str| {
            let pair = Pair::new("Why?".into(), "Because.".into(), origin, "p".into());
            let (messages, said) = conversation(&pair, direction, &tags);
            let first = &messages[0];
            let found = (first.role == Role::System).then_some(first.content.as_str());
            assert_eq!((found, said), (system, answer));
        };
        check(Origin::Seed, Direction::Forward, Some(&tags.seed), "Because.");
        check(Origin::Augmented, Direction::Forward, Some(&tags.augmented), "Because.");
        check(Origin::Seed, Direction::Backward, None, "Why?");
    }

    #[test]
    fn the_audit_sees_cut_examples() {
        let example = |ids: Vec<u32>, learned: Vec<bool>| Example { ids, learned };
        let found = audit(
            &[
                example(vec![5, 6, 7, 2], vec![false, false, true, true]),
                example(vec![5, 6, 7], vec![false, false, true]),
            ],
            3,
            2,
        );
        let expected = Audit {
            examples: 2,
            tokens: 7,
            trained_tokens: 3,
            truncated: 1,
            end_of_turn_learned: 1,
            held_out: 3,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn no_pair_is_both_learned_from_and_held_out() {
        let pair = |number: usize, origin| {
            let (ask, answer) = (format!("Ask {number}"), format!("Answer {number}"));
            Pair::new(ask, answer, origin, number.to_string())
        };
        let seed: Vec<Pair> = (0..20).map(|number| pair(number, Origin::Seed)).collect();
        // The corpus may hold a pair of the seed.
        let pool: Vec<Pair> = (10..40).map(|number| pair(number, Origin::Augmented)).collect();
        let both = [&seed[..], &pool].concat();
        let ids = |pairs: &[Pair]| pairs.iter().map(|pair| pair.id.clone()).collect::<HashSet<_>>();
        for held_out in [0, 1, 5, 19] {
            let (first, drawn) = hold_out(&seed, held_out, 7).unwrap();
            assert_eq!((first.len(), drawn.len()), (20 - held_out, held_out));
            let (learned, held) = hold_out(&both, held_out, 7).unwrap();
            assert_eq!(learned.len() + held.len(), both.len());
            assert_eq!(ids(&held), ids(&drawn), "each training holds out the same");
            assert!(ids(&learned).is_disjoint(&ids(&held)));
        }
        assert_ne!(hold_out(&seed, 5, 7).unwrap(), hold_out(&seed, 5, 8).unwrap());
        let error = hold_out(&seed, 20, 7).unwrap_err().to_string();
        assert!(error.contains("finetune.held_out = 20 leaves none of 20 pairs"), "{error}");
    }
}
