//! A call and its answer, and what they look like on the wire.
//!
//! Knows nothing of connections.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::Message;

/// Everything that a reply depends on, but for the server. Serialised, it can be the key under
/// which the reply is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub model: String,
    pub messages: Vec<Message>,
    /// A text to be completed, in place of messages: the protocol of base models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    pub temperature: f64,
    pub top_p: f64,
    pub max_tokens: usize,
    pub seed: Option<u64>,
    /// How many candidates for each token to report, with their probabilities.
    pub top_logprobs: Option<usize>,
    pub stop: Vec<String>,
    /// Fields that only some servers know, sent as they are: vLLM takes `top_k` and
    /// `repetition_penalty` from the model's files where they are not given. They come in place of
    /// our own fields of that name, and a null removes one: some hosted models want
    /// `max_completion_tokens` and no `max_tokens`.
    pub extra: BTreeMap<String, Value>,
    /// The number of the sample: it tells calls apart that are the same, and is not sent.
    pub sample: usize,
}

/// What a server replied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Empty where the model said nothing to the user.
    pub text: String,
    pub ended: Ended,
    /// Candidates for the first token with their natural log-probabilities, as the server orders
    /// them; empty where the server reports none. Two can have the same text.
    pub first_token: Vec<(String, f64)>,
    /// 0 where the server does not count.
    pub prompt_tokens: u64,
    /// 0 where the server does not count.
    pub completion_tokens: u64,
    /// The model, in the server's words: often a dated version of what was asked for.
    pub model: String,
    /// What the server says of the build that replied.
    pub fingerprint: Option<String>,
}

/// How a reply ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Stop,
    /// The token limit cut it.
    Length,
    /// The server's own word, such as `content_filter`; `refusal` or `no content` where it ended
    /// well and says nothing.
    Other(String),
}

#[derive(Deserialize)]
struct Reply {
    choices: Vec<Choice>,
    model: Option<String>,
    system_fingerprint: Option<String>,
    usage: Option<Usage>,
}

/// With `message` of a chat, with `text` of a completion.
#[derive(Deserialize)]
struct Choice {
    message: Option<Said>,
    text: Option<String>,
    finish_reason: Option<String>,
    logprobs: Option<LogProbabilities>,
}

#[derive(Default, Deserialize)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
}

/// With `content` of a chat, with `top_logprobs` of a completion.
#[derive(Deserialize)]
struct LogProbabilities {
    content: Option<Vec<Token>>,
    top_logprobs: Option<Vec<Option<Candidates>>>,
}

/// Tokens with their log-probabilities; null for a probability of zero.
type Candidates = BTreeMap<String, Option<f64>>;

#[derive(Deserialize)]
struct Token {
    top_logprobs: Option<Vec<Candidate>>,
}

#[derive(Deserialize)]
struct Candidate {
    token: String,
    /// Null for a probability of zero, which JSON cannot say.
    logprob: Option<f64>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Call {
    /// The part of the address that comes after `v1`.
    pub(super) fn path(&self) -> &'static str {
        if self.prompt.is_some() { "completions" } else { "chat/completions" }
    }

    /// The body of the request.
    pub(super) fn body(&self) -> Vec<u8> {
        let chat = self.prompt.is_none();
        let mut body = json!({
            "model": self.model,
            "messages": chat.then_some(&self.messages),
            "prompt": self.prompt,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "logprobs": self.top_logprobs.map(|most| if chat { json!(true) } else { json!(most) }),
            "top_logprobs": self.top_logprobs.filter(|_| chat),
            "stop": (!self.stop.is_empty()).then_some(&self.stop),
            "stream": false,
        });
        if let Value::Object(fields) = &mut body {
            fields.extend(self.extra.clone());
            fields.retain(|_, value| !value.is_null());
        }
        body.to_string().into_bytes()
    }
}

/// Reads a reply; the error says what is wrong with it.
pub(super) fn read(body: &[u8]) -> Result<Answer, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let choice = reply.choices.into_iter().next().ok_or("`choices` is empty")?;
    let finish = choice.finish_reason.unwrap_or_default();
    let Said { content, refusal } = match (choice.message, choice.text) {
        (Some(said), _) => said,
        (None, Some(text)) => Said { content: Some(text), refusal: None },
        (None, None) => return Err("neither `message` nor `text` in `choices`".to_owned()),
    };
    let ended = match finish.as_str() {
        "length" => Ended::Length,
        "stop" if content.is_some() => Ended::Stop,
        "stop" if refusal.is_some() => Ended::Other("refusal".into()),
        "stop" => Ended::Other("no content".into()),
        _ => Ended::Other(finish),
    };
    let (prompt_tokens, completion_tokens) =
        reply.usage.map_or((None, None), |usage| (usage.prompt_tokens, usage.completion_tokens));
    Ok(Answer {
        text: content.unwrap_or_default(),
        ended,
        first_token: choice.logprobs.map_or(Vec::new(), LogProbabilities::first_token),
        prompt_tokens: prompt_tokens.unwrap_or(0),
        completion_tokens: completion_tokens.unwrap_or(0),
        model: reply.model.unwrap_or_default(),
        fingerprint: reply.system_fingerprint,
    })
}

impl LogProbabilities {
    /// The candidates for the first token.
    fn first_token(self) -> Vec<(String, f64)> {
        let of_chat = self.content.and_then(|tokens| tokens.into_iter().next()?.top_logprobs);
        if let Some(candidates) = of_chat {
            let pair = |one: Candidate| Some((one.token, one.logprob?));
            return candidates.into_iter().filter_map(pair).collect();
        }
        let of_completion = self.top_logprobs.and_then(|tokens| tokens.into_iter().next()?);
        let pair = |(token, log): (String, Option<f64>)| Some((token, log?));
        let mut found: Vec<_> =
            of_completion.unwrap_or_default().into_iter().filter_map(pair).collect();
        // This protocol's object has no order.
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }
}

/// What a server says is wrong. Each wraps it in its own way.
pub(super) fn complaint(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    ["/error/message", "/message", "/detail", "/error"]
        .iter()
        .find_map(|place| json.pointer(place)?.as_str())
        .unwrap_or(&text)
        .to_owned()
}
