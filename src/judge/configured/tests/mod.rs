//! Judges from their files, ugly replies, and answers that are written to sway a judge.
mod attacks;
mod files;
mod published;
mod replies;

use super::*;
use crate::watch::nobody;

fn text_of(name: &str) -> &'static str {
    BUILT_IN.iter().find(|(built_in, _)| *built_in == name).unwrap().1
}

fn judge(name: &str) -> Judge {
    Judge::load(name, Path::new("no cache is needed"), &nobody).unwrap()
}

fn parser(name: &str) -> Parser {
    JudgeFile::parse(text_of(name)).unwrap().parser
}

/// The four judges whose prompts are in their files.
fn our_own() -> impl Iterator<Item = Judge> {
    built_in().filter(|name| name.starts_with("pair-")).map(judge)
}

/// A prompt in AlpacaEval's layout, in our words.
const STAND_IN: &str = "<|im_start|>system\nYou rank.\n<|im_end|>\n<|im_start|>user\n{\n  \"q\": \
    \"\"\"{instruction}\"\"\",\n  {\"m\": \"\"\"{output_1}\"\"\"},\n  {\"M\": \"\"\"{output_2}\"\"\"}\n}\n\
    Reply with {'model': <name>}.\n<|im_end|>\n";
