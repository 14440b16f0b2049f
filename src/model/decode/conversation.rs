//! A conversation: what was said before stays in memory as keys and values, and each reply goes on
//! from there, word by word.
use std::sync::Arc;

use super::{
    Generated, Generation, Slot, StepBuffers, capacity, choose, decode_step, ending, overlong_reply,
};
use crate::model::{
    Model,
    attention::BLOCK,
    cache::Cache,
    network::{Before, Packed, Pass},
    sampling::Sampler,
};

/// The tokens of a conversation so far, with their keys and values.
#[derive(Debug, Default)]
pub struct Conversation {
    ids: Vec<u32>,
    /// Those of one turn after the other.
    kept: Vec<Arc<Cache>>,
}

impl Conversation {
    /// Continues a prompt, of which the beginning that was there before is not run again.
    ///
    /// `seen` gets the text as it comes, up to what may still change: an unfinished character, or the
    /// beginning of a stop string. A prompt that leaves no room in the context ends as `Overlong`.
    ///
    /// # Errors
    /// Those of `seen`.
    pub fn reply(
        &mut self,
        model: &Model,
        request: &Generation,
        mut seen: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Generated> {
        let (weights, prompt) = (&model.weights, &request.prompt);
        let config = &weights.config;
        if prompt.is_empty() || prompt.len() >= config.context {
            return Ok(overlong_reply());
        }
        self.keep(&prompt[..prompt.len() - 1]);
        let (shared, own) = (self.ids.len(), prompt.len() - self.ids.len());
        let mut packed = Packed::default();
        let before = self.kept.iter().cloned().map(Before::Kept).collect();
        packed.push_after(before, &prompt[shared..]);
        packed.read = Some(vec![own - 1]);
        let mut cache = Cache::new(config, capacity(request, shared, config));
        let mut pass = Pass::forward_only();
        pass.forward(weights, &packed, |layer, state| {
            let (keys, values) = state.rows(config, &(0..own));
            cache.fill(config, layer, keys, values);
        });
        cache.length = own;
        let (ids, sampler) = (Vec::new(), Sampler::new(request.sampling, request.seed));
        let slot = Slot { request: 0, ids, sampler, before: self.kept.clone(), cache };
        let mut slots = [slot];
        choose(&mut slots, &pass.logits(weights, &[own - 1]), config.vocabulary);
        let positions = (prompt.len() + request.max_tokens).min(config.context);
        let rotation = config.rotation(positions);
        let (mut step, mut told) = (StepBuffers::default(), 0);
        let reply = loop {
            let ids = &slots[0].ids;
            if let Some(reply) = ending::ended(ids, request, slots[0].is_full(), &model.chat)? {
                break reply;
            }
            let text = model.chat.decode(ids)?;
            let certain = certain(&text, &request.stop);
            if let Some(new) = certain.get(told..).filter(|new| !new.is_empty()) {
                seen(new)?;
                told = certain.len();
            }
            decode_step(weights, &rotation, &mut step, &mut slots);
        };
        if let Some(rest) = reply.text.get(told..).filter(|rest| !rest.is_empty()) {
            seen(rest)?;
        }
        let [slot] = slots;
        self.ids = [prompt.as_slice(), &slot.ids].concat();
        self.ids.truncate(slot.position());
        self.kept.push(Arc::new(slot.cache.compact(config)));
        Ok(reply)
    }

    /// Forgets all but what the conversation shares with a prompt: whole blocks of attention, so that a
    /// prompt's products are those that it would have met by itself.
    fn keep(&mut self, prompt: &[u32]) {
        let same = self.ids.iter().zip(prompt).take_while(|(kept, new)| kept == new).count();
        let same = same - same % BLOCK;
        self.ids.truncate(same);
        let mut rest = same;
        self.kept.retain_mut(|cache| {
            let length = cache.length.min(rest);
            rest -= length;
            Arc::make_mut(cache).length = length;
            length > 0
        });
    }
}

/// The part of a growing text that no further token can change.
fn certain<'a>(text: &'a str, stop: &[String]) -> &'a str {
    let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let begins = |at: &usize| stop.iter().any(|stop| stop.starts_with(&text[*at..]));
    let starts = text.char_indices().map(|(at, _)| at);
    let held = starts.skip_while(|at| text.len() - at > longest(stop)).find(begins);
    &text[..held.unwrap_or(text.len())]
}

fn longest(stop: &[String]) -> usize {
    stop.iter().map(String::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{generate, model, sequence};

    #[test]
    fn what_may_still_change_is_held_back() {
        let check = |text: &str, stop: &[&str], expected: &str| {
            let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
            assert_eq!(certain(text, &stop), expected, "{text:?} {stop:?}");
        };
        check("one two", &[], "one two");
        check("caf\u{fffd}", &[], "caf");
        check("end\n", &["\n\n"], "end");
        check("end\nx", &["\n\n"], "end\nx");
        check("a STO", &["STOP", "TOE"], "a ");
        check("a TO", &["STOP", "TOE"], "a ");
        check("é<", &["<|end|>"], "é");
    }

    #[test]
    fn a_turn_goes_on_from_those_before_and_says_the_same_as_from_the_start() {
        let model = model();
        let mut conversation = Conversation::default();
        let mut prompt = sequence(3, 100);
        for turn in 0..4_usize {
            let request =
                Generation { prompt: prompt.clone(), max_tokens: 12, ..Generation::default() };
            let mut text = String::new();
            let seen = |new: &str| {
                text += new;
                Ok(())
            };
            let reply = conversation.reply(&model, &request, seen).unwrap();
            assert_eq!(reply, generate(&model, std::slice::from_ref(&request))[0]);
            assert_eq!(text, reply.text);
            // All but the newest token is kept.
            let known = [prompt.as_slice(), &reply.ids].concat();
            assert!(known.starts_with(&conversation.ids));
            assert!(conversation.ids.len() + 1 >= known.len(), "turn {turn}");
            let kept: usize = conversation.kept.iter().map(|cache| cache.length).sum();
            assert_eq!(kept, conversation.ids.len());
            prompt = [known, sequence(turn as u32, 9)].concat();
        }
        // A conversation that went another way shares its beginning only.
        let other = [&prompt[..70], &sequence(9, 20)].concat();
        let request = Generation { prompt: other, max_tokens: 12, ..Generation::default() };
        let reply = conversation.reply(&model, &request, |_| Ok(())).unwrap();
        assert_eq!(reply, generate(&model, &[request])[0]);
        assert_eq!(conversation.kept[0].length, BLOCK);
    }

    #[test]
    fn a_stop_string_is_never_told() {
        let model = model();
        let plain = Generation { prompt: sequence(4, 20), max_tokens: 20, ..Generation::default() };
        let whole = generate(&model, std::slice::from_ref(&plain)).remove(0).text;
        let stop = whole.split(' ').nth(4).unwrap().to_owned();
        let request = Generation { stop: vec![stop.clone()], ..plain };
        let mut told = String::new();
        let seen = |new: &str| {
            told += new;
            Ok(())
        };
        let reply = Conversation::default().reply(&model, &request, seen).unwrap();
        assert_eq!(told, whole[..whole.find(&stop).unwrap()]);
        assert_eq!(told, reply.text);
    }
}
