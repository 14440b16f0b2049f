//! Segment to pair: the backward model predicts the instruction that a segment answers.
use crate::{
    lm::{Ask, Lm, Request},
    model::{Message, Role, Sampling},
    prompt, recipe,
    record::{Augmented, Counts, Finish, NoInstruction, Origin, Pair, Row, Segment},
    stage::{self, Work},
};

/// Asks the backward model once about every segment.
pub fn run(
    load: impl FnOnce() -> anyhow::Result<Lm>,
    segments: &[Segment],
    settings: &recipe::Augment,
    work: Work,
) -> anyhow::Result<Counts> {
    let question = |segment: &Segment| {
        vec![Request {
            messages: vec![Message::new(Role::User, prompt::backward(&segment.text))],
            ask: Ask::Text {
                sampling: Sampling::new(settings.temperature, settings.top_p, settings.top_k),
                max_tokens: settings.max_tokens,
                seed: stage::seed(work.random_seed, segment.id(), 0),
                stop: settings.stop.clone(),
            },
        }]
    };
    let rows = stage::map(
        "augment",
        load,
        segments,
        work.out,
        question,
        |segment, replies| {
            let (text, finish) = replies
                .into_iter()
                .next()
                .map_or((String::new(), Finish::Overlong), |reply| (reply.text, reply.finish));
            let (instruction, dropped) = match read(&text, finish, &segment.text) {
                Ok(instruction) => (Some(instruction), None),
                Err(reason) => (None, Some(reason)),
            };
            Augmented {
                id: segment.id.clone(),
                instruction,
                output: segment.text.clone(),
                dropped,
                reply: text,
                finish,
            }
        },
        work.watch,
    )?;
    let mut counts = Counts { rows_in: rows.len(), ..Counts::default() };
    for row in &rows {
        match row.dropped {
            None => counts.kept += 1,
            Some(reason) => {
                let name = match reason {
                    NoInstruction::Empty => "empty",
                    NoInstruction::Truncated => "truncated",
                    NoInstruction::Echo => "echo",
                };
                *counts.dropped.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// The candidate pairs: every segment for which there is an instruction.
pub fn pairs(rows: &[Augmented]) -> Vec<Pair> {
    let pair = |row: &Augmented| {
        let (output, parent) = (row.output.clone(), row.id.clone());
        Some(Pair::new(row.instruction.clone()?, output, Origin::Augmented, parent))
    };
    rows.iter().filter_map(pair).collect()
}

/// Takes a reply as an instruction, or says why it is none.
fn read(reply: &str, finish: Finish, segment: &str) -> Result<String, NoInstruction> {
    if finish != Finish::Stop {
        return Err(NoInstruction::Truncated);
    }
    let instruction = reply.trim();
    if !instruction.chars().any(char::is_alphanumeric) {
        return Err(NoInstruction::Empty);
    }
    // Seen in other replications: the model goes on with the text, or says the question again.
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (said, segment) = (folded(instruction), folded(segment));
    let start: String = said.chars().take(60).collect();
    if segment.starts_with(&start) || folded(&prompt::backward("")).contains(&start) {
        return Err(NoInstruction::Echo);
    }
    Ok(instruction.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_an_instruction_or_says_why_not() {
        let segment = "The VACUUM command rebuilds the file. It repacks it into less space.";
        let check = |reply, finish, expected: Result<&str, NoInstruction>| {
            assert_eq!(read(reply, finish, segment), expected.map(str::to_owned), "{reply:?}");
        };
        check(" What does VACUUM do?\n", Finish::Stop, Ok("What does VACUUM do?"));
        check("What does", Finish::Length, Err(NoInstruction::Truncated));
        check("", Finish::Overlong, Err(NoInstruction::Truncated));
        check(" \n...", Finish::Stop, Err(NoInstruction::Empty));
        check("The VACUUM  command rebuilds the file.", Finish::Stop, Err(NoInstruction::Echo));
        check("what was the request?", Finish::Stop, Err(NoInstruction::Echo));
    }
}
