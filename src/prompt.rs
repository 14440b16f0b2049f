//! Every text that is put to a model, in our own words. What reads the replies lies in the stage that
//! asks; a text and its reader change together.
//!
//! Knows no model and no row.
use std::collections::BTreeMap;

/// Asks the backward model which instruction a text answers. The text comes last, so that the model
/// has just read it when it writes.
const BACKWARD: &str = "\
Below is a text that was written in reply to somebody's request.
What was the request? Write the one instruction or question that this text answers best, \
and nothing else.

Text:
";

/// Asks for a rating from 1 to 5. The five levels follow the structure of the paper's table 19.
const RATE: &str = "\
You are given an instruction from a user and a candidate answer. Judge how good an example the \
answer is of the way an AI assistant should respond. Use this scale:

1: The answer is incomplete, vague, off topic or not what was asked. Something is missing from it, \
it begins in the middle of a list, or it is promotion, navigation or somebody's private voice.
2: The answer deals with most of what was asked, but not directly: a general method where a \
solution was wanted, for instance.
3: The answer is helpful and complete in itself, but not in the voice of an assistant: it reads \
like an extract from a blog, a page or a manual, with opinions, remarks or links.
4: The answer is in an assistant's voice, keeps to the point, and is complete, ordered and \
helpful. Small things could be better, such as its length.
5: The answer is what a perfect assistant would write: made for exactly this instruction, with \
nothing beside the point, expert, clear and pleasant to read.

";

const RATE_WITH_REASONS: &str = "
\
First give your reasons in one or two sentences. Then write the rating alone on the last line, in \
the form
Score: <rating>";

const RATE_AT_ONCE: &str = "
\
Give the rating alone, in the form
Score: <rating>";

/// Asks which of two answers is better.
const COMPARE: &str = "\
Two assistants were given the same instruction. Which of them answered it better? Look at whether \
the answer is correct, whether it does what was asked, and whether it is clear. Neither the order \
in which they stand nor their length should count.

";

const COMPARE_ENDING: &str = "
\
Which answer is better, A or B? Reply with one letter.";

/// What precedes the letter that a comparison asks for.
pub const VERDICT_OPENING: &str = "Answer";
/// The letters, as they follow it: with their space, since tokenizers join the two.
pub const VERDICTS: [&str; 2] = [" A", " B"];
/// What precedes the digit that a rating at once asks for.
pub const RATING_OPENING: &str = "Score: ";

/// The question to the backward model: which instruction does `text` answer?
pub fn backward(text: &str) -> String {
    format!("{BACKWARD}{text}")
}

/// The question for a rating with reasons, to be answered by text that ends in `Score: N`.
pub fn rate(instruction: &str, output: &str) -> String {
    format!("{RATE}Instruction:\n{instruction}\n\nAnswer:\n{output}\n{RATE_WITH_REASONS}")
}

/// The question for a rating that is read off the probabilities after [`RATING_OPENING`].
pub fn rate_at_once(instruction: &str, output: &str) -> String {
    format!("{RATE}Instruction:\n{instruction}\n\nAnswer:\n{output}\n{RATE_AT_ONCE}")
}

/// The question of which answer is better, to be read off the letter after [`VERDICT_OPENING`].
pub fn compare(instruction: &str, first: &str, second: &str) -> String {
    format!(
        "{COMPARE}Instruction:\n{instruction}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}\n{COMPARE_ENDING}"
    )
}

/// BLAKE3 of each prompt with empty slots, for the provenance of a run.
pub fn hashes() -> BTreeMap<String, String> {
    let prompts = [
        ("backward", backward("")),
        ("rate", rate("", "")),
        ("rate_at_once", rate_at_once("", "") + RATING_OPENING),
        ("compare", compare("", "", "") + VERDICT_OPENING),
    ];
    let hash = |text: String| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
    prompts.map(|(name, text)| (name.to_owned(), hash(text))).into()
}
