//! Where a reply ends: at the end of its turn, at a stop string, or for want of room.
use super::{Generated, Generation};
use crate::{model::Chat, record::Finish};

/// The text before the first of the stop strings, if one is in it.
pub fn before_stop<'a>(text: &'a str, stop: &[String]) -> Option<&'a str> {
    let first = stop.iter().filter_map(|stop| text.find(stop.as_str())).min()?;
    Some(&text[..first])
}

/// The reply that these tokens make, if they end one; `full` says that there is no room for more.
pub(super) fn ended(
    ids: &[u32],
    request: &Generation,
    full: bool,
    chat: &Chat,
) -> anyhow::Result<Option<Generated>> {
    if let Some((&last, before)) = ids.split_last()
        && chat.stops.contains(&last)
    {
        return whole(before, request, Finish::Stop, chat).map(Some);
    }
    if stopped(ids, &request.stop, chat)? || ids.len() >= request.max_tokens || full {
        return whole(ids, request, Finish::Length, chat).map(Some);
    }
    Ok(None)
}

fn whole(
    ids: &[u32],
    request: &Generation,
    finish: Finish,
    chat: &Chat,
) -> anyhow::Result<Generated> {
    let (text, ids) = (chat.decode(ids)?, ids.to_vec());
    Ok(match before_stop(&text, &request.stop) {
        Some(before) => Generated { ids, text: before.to_owned(), finish: Finish::Stop },
        None => Generated { ids, text, finish },
    })
}

/// Whether the newest token completed a stop string.
fn stopped(ids: &[u32], stop: &[String], chat: &Chat) -> anyhow::Result<bool> {
    let Some(longest) = stop.iter().map(String::len).max() else { return Ok(false) };
    // A token adds a byte at least, but for control tokens, which are few.
    let newest = &ids[ids.len().saturating_sub(longest + 8)..];
    Ok(before_stop(&chat.decode(newest)?, stop).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Sampling,
        tests::{generate, model, sequence},
    };

    fn stops(stop: &[&str]) -> Vec<String> {
        stop.iter().map(|&stop| stop.to_owned()).collect()
    }

    #[test]
    fn the_first_stop_string_counts() {
        let check = |text: &str, stop: &[&str], expected: Option<&str>| {
            assert_eq!(before_stop(text, &stops(stop)), expected, "{text:?} {stop:?}");
        };
        check("one two three", &["three", "two"], Some("one "));
        check("one two", &["three"], None);
        check("one two", &[], None);
        check("ünï\n\nx", &["\n\n"], Some("ünï"));
        check("abc", &["abc", "b"], Some(""));
    }

    #[test]
    fn a_reply_is_cut_at_a_stop_string_that_spans_tokens() {
        let model = model();
        let plain = Generation {
            prompt: sequence(4, 20),
            sampling: Sampling::Greedy,
            max_tokens: 20,
            ..Generation::default()
        };
        let whole = generate(&model, std::slice::from_ref(&plain)).remove(0);
        let words: Vec<&str> = whole.text.split(' ').collect();
        assert!(words.len() > 6, "{words:?}");
        // From the middle of one word to the middle of the next: "5 w1" of "w15 w12".
        let (left, right) = (words[3], words[4]);
        let stop = format!("{} {}", &left[1..], &right[..2]);
        let request = Generation { stop: vec!["never".into(), stop.clone()], ..plain.clone() };
        let cut = generate(&model, &[request]).remove(0);
        assert_eq!(cut.text, whole.text[..whole.text.find(&stop).unwrap()]);
        assert_eq!(cut.finish, Finish::Stop);
        assert!(whole.ids.starts_with(&cut.ids) && cut.ids.len() <= 5, "{cut:?}");
        // A stop string that never comes changes nothing.
        let request = Generation { stop: vec!["never".into()], ..plain };
        assert_eq!(generate(&model, &[request]).remove(0), whole);
    }

    #[test]
    fn a_reply_ends_at_each_of_the_models_ends() {
        let mut model = model();
        let request =
            Generation { prompt: sequence(4, 20), max_tokens: 20, ..Generation::default() };
        let whole = generate(&model, std::slice::from_ref(&request)).remove(0);
        let other = whole.ids[4];
        model.chat = model.chat.stopping_at([other]);
        let cut = generate(&model, &[request]).remove(0);
        let first = whole.ids.iter().position(|id| *id == other).unwrap();
        assert_eq!((cut.ids.as_slice(), cut.finish), (&whole.ids[..first], Finish::Stop));
    }
}
