//! Replies, and what they do not depend on.
use super::{model, sequence};
use crate::{
    model::{Generated, Generation, Model, Sampling},
    record::Finish,
};

pub(in crate::model) fn generate(model: &Model, requests: &[Generation]) -> Vec<Generated> {
    let mut replies = vec![None; requests.len()];
    model
        .generate(
            requests,
            |_| {},
            |index, reply| {
                assert!(replies[index].replace(reply).is_none());
                Ok(())
            },
        )
        .unwrap();
    replies.into_iter().map(Option::unwrap).collect()
}

#[test]
fn decoding_with_a_cache_equals_decoding_without() {
    let model = model();
    let mut ids = sequence(4, 67);
    let request = Generation { prompt: ids.clone(), max_tokens: 30, ..Generation::default() };
    let reply = &generate(&model, &[request])[0];
    assert!(!reply.ids.is_empty());
    for (position, &id) in reply.ids.iter().enumerate() {
        let best = model.best_next(&ids, 2);
        // Nearly equal logits may round either way, since the sums are taken in another order.
        assert!(
            best[0].0 == id || best[0].1 - best[1].1 < 1e-4,
            "token {position}: {id}, not {best:?}"
        );
        ids.push(id);
    }
}

#[test]
fn a_reply_does_not_depend_on_its_neighbours() {
    let model = model();
    let request = |i: u32| Generation {
        prompt: sequence(i, 5 + (i as usize * 11) % 60),
        sampling: Sampling::new(1.0, 0.95, None),
        max_tokens: 1 + (i as usize * 7) % 40,
        seed: u64::from(i),
        stop: Vec::new(),
    };
    let all: Vec<Generation> = (0..70).map(request).collect();
    let together = generate(&model, &all);
    for (request, reply) in all.iter().zip(&together) {
        assert_eq!(&generate(&model, std::slice::from_ref(request))[0], reply);
    }
    assert!(together.iter().any(|reply| reply.finish == Finish::Stop));
    assert!(together.iter().any(|reply| reply.finish == Finish::Length));
}

#[test]
fn a_prompt_beyond_the_context_is_overlong() {
    let request = Generation { prompt: sequence(1, 256), max_tokens: 5, ..Generation::default() };
    let near = Generation { prompt: sequence(1, 254), ..request.clone() };
    let replies = generate(&model(), &[request, near]);
    assert_eq!(replies[0].finish, Finish::Overlong);
    assert!(replies[0].ids.is_empty());
    // The last token is never fed back, so it needs no place in the context.
    assert!(replies[1].ids.len() <= 3);
}
