//! Messages to tokens and back: the one renderer, for training and for decoding.
//!
//! The template is the model's own, in Jinja, as Hugging Face runs it.
use anyhow::Context;
use minijinja::{Environment, ErrorKind, context, syntax::SyntaxConfig, value::Serde};
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A tokenizer with a chat template.
#[derive(Debug)]
pub struct Chat {
    pub(super) tokenizer: Tokenizer,
    /// The same, but blind to control tokens.
    plain: Tokenizer,
    pub(super) template: String,
    pub(super) begin: Option<u32>,
    pub(super) end: u32,
    /// Tokens at which a reply stops: `end`, and what else the model has for the same.
    pub(super) stops: Vec<u32>,
    /// Texts that the tokenizer turns into control tokens.
    control: Vec<String>,
}

/// A conversation as tokens, with the tokens to learn marked.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub ids: Vec<u32>,
    /// `learned[i]`: whether token `i` is to be predicted from those before it.
    pub learned: Vec<bool>,
}

impl Chat {
    /// # Errors
    /// When the template cannot be rendered.
    pub fn new(
        tokenizer: Tokenizer,
        template: String,
        begin: Option<u32>,
        end: u32,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            tokenizer.id_to_token(end).is_some(),
            "the end-of-turn token {end} is not in the vocabulary"
        );
        let added = tokenizer.get_added_tokens_decoder();
        let mut control: Vec<String> = added
            .values()
            .filter(|token| token.special)
            .map(|token| token.content.clone())
            .collect();
        control.sort();
        let mut plain = tokenizer.clone();
        plain.set_encode_special_tokens(true);
        let template = without_marks(&template);
        let chat = Self { tokenizer, plain, template, begin, end, stops: vec![end], control };
        chat.render(&[Message::new(Role::User, "")], true)
            .context("its chat template cannot be rendered")?;
        Ok(chat)
    }

    /// The same, where a reply stops at other tokens, too: Llama 3 may end the text instead of its turn.
    #[must_use]
    pub(super) fn stopping_at(mut self, others: impl IntoIterator<Item = u32>) -> Self {
        for other in others {
            if !self.stops.contains(&other) {
                self.stops.push(other);
            }
        }
        self
    }

    /// The token that ends a turn, in prompts and in what is learned.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The tokens that ask for an answer to `messages`, which begins with `opening`.
    pub fn prompt(&self, messages: &[Message], opening: &str) -> anyhow::Result<Vec<u32>> {
        let mut ids = tokens(&self.tokenizer, &self.render(messages, true)?)?;
        ids.extend(self.encode(opening)?);
        Ok(ids)
    }

    /// The tokens of `messages` answered by `answer`; the answer and the end of its turn are learned.
    pub fn example(&self, messages: &[Message], answer: &str) -> anyhow::Result<Example> {
        let mut ids = self.prompt(messages, "")?;
        let prompt_length = ids.len();
        ids.extend(self.encode(answer)?);
        ids.push(self.end);
        let learned = (0..ids.len()).map(|i| i >= prompt_length).collect();
        Ok(Example { ids, learned })
    }

    /// Text to tokens, with nothing added. Control tokens spelled out in it stay plain text.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        tokens(&self.plain, text)
    }

    /// Tokens to text, without control tokens.
    pub fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        self.tokenizer.decode(ids, true).map_err(anyhow::Error::from_boxed)
    }

    /// A web page or a model may spell out a control token; inside a rendered prompt it would end the
    /// turn. A space after its first character makes it plain text.
    fn disarm(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for control in &self.control {
            if text.contains(control.as_str()) {
                let mut characters = control.chars();
                let first: String = characters.by_ref().take(1).collect();
                text = text.replace(control, &format!("{first} {}", characters.as_str()));
            }
        }
        text
    }

    fn render(&self, messages: &[Message], open_answer: bool) -> anyhow::Result<String> {
        let messages: Vec<Message> = messages
            .iter()
            .map(|turn| Message::new(turn.role, self.disarm(&turn.content)))
            .collect();
        let mut environment = Environment::new();
        // As transformers sets its Jinja environment up.
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| {
            Err::<String, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| date(&format));
        let token = |id: Option<u32>| id.and_then(|id| self.tokenizer.id_to_token(id));
        let rendered = environment.render_str(
            &self.template,
            context! {
                messages => Serde(messages),
                add_generation_prompt => open_answer,
                bos_token => token(self.begin).unwrap_or_default(),
                eos_token => token(Some(self.end)).unwrap_or_default(),
            },
        )?;
        Ok(rendered)
    }
}

/// Some templates mark what the model said, by a tag that is transformers' own and prints nothing.
fn without_marks(template: &str) -> String {
    let marks = [("endgeneration", "endif"), ("generation", "if true")];
    marks.iter().fold(template.to_owned(), |template, (mark, instead)| {
        template
            .replace(&format!("{{% {mark} "), &format!("{{% {instead} "))
            .replace(&format!("{{%- {mark} "), &format!("{{%- {instead} "))
            .replace(&format!("{{% {mark}-"), &format!("{{% {instead} -"))
            .replace(&format!("{{%- {mark}-"), &format!("{{%- {instead} -"))
    })
}

/// Today, for templates that ask: always the day that Llama 3's own template falls back to, since a
/// prompt that changes overnight could not be repeated.
fn date(format: &str) -> String {
    let parts = [("%d", "26"), ("%m", "07"), ("%b", "Jul"), ("%B", "July"), ("%Y", "2024")];
    parts.iter().fold(format.to_owned(), |text, (part, value)| text.replace(part, value))
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> anyhow::Result<Vec<u32>> {
    let encoding = tokenizer.encode_fast(text, false).map_err(anyhow::Error::from_boxed)?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_what_the_model_said_print_nothing() {
        let check = |template: &str, expected: &str| {
            assert_eq!(without_marks(template), expected);
            let chat = crate::model::tests::chat();
            let mut other = Chat::new(chat.tokenizer, template.into(), Some(1), 2).unwrap();
            other.control.clear();
            assert_eq!(other.render(&[], false).unwrap(), "a x b 26 July 2024");
        };
        let date = "{{ strftime_now('%d %B %Y') }}";
        check(
            &format!("a {{%- generation -%}} {{{{ ' x ' }}}} {{%- endgeneration -%}} b {date}"),
            &format!("a {{%- if true -%}} {{{{ ' x ' }}}} {{%- endif -%}} b {date}"),
        );
        check(
            &format!("a {{% generation %}}x {{% endgeneration %}}b {date}"),
            &format!("a {{% if true %}}x {{% endif %}}b {date}"),
        );
    }
}
