//! What is wrong with an answer by itself, without a judge.
use serde::Serialize;

use crate::record::{Completion, Finish};

/// A fault of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No text, or no answer at all.
    Empty,
    /// It ends in the same words again and again.
    Repetition,
    /// Cut by the token limit.
    Truncated,
    /// It declines to answer.
    Refusal,
    /// In another language than its prompt, where both are certain.
    WrongLanguage,
}

/// All of them.
pub(super) const FAULTS: [Fault; 5] =
    [Fault::Empty, Fault::Repetition, Fault::Truncated, Fault::Refusal, Fault::WrongLanguage];

/// The share of answers with each fault, in the order of [`FAULTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    pub n: usize,
    pub shares: [f64; 5],
}

impl Fault {
    /// As what answers with it are: "3% of the answers are ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Repetition => "repetitive",
            Self::Truncated => "truncated",
            Self::Refusal => "refusals",
            Self::WrongLanguage => "in another language than their prompt",
        }
    }
}

/// Counts the faults of answers.
pub fn faults(answers: &[Completion]) -> Faults {
    let share = |fault: Fault| {
        let count = answers.iter().filter(|answer| has(answer, fault)).count();
        count as f64 / answers.len().max(1) as f64
    };
    Faults { n: answers.len(), shares: FAULTS.map(share) }
}

fn has(answer: &Completion, fault: Fault) -> bool {
    match fault {
        Fault::Empty => !answer.finish.answered() || answer.output.trim().is_empty(),
        Fault::Repetition => repeats(&answer.output),
        Fault::Truncated => answer.finish == Finish::Length,
        Fault::Refusal => refuses(&answer.output),
        Fault::WrongLanguage => other_language(&answer.instruction, &answer.output),
    }
}

/// Whether a text ends in a phrase of up to 40 words that stands there four times or more, in at least
/// 16 words.
fn repeats(text: &str) -> bool {
    const LONGEST: usize = 40;
    const TIMES: usize = 4;
    const WORDS: usize = 16;
    let mut words: Vec<&str> = text.split_whitespace().collect();
    // The last may be cut in its midst.
    words.pop();
    (1..=LONGEST).any(|period| {
        let needed = WORDS.max(TIMES * period);
        words.len() >= needed
            && words[words.len() - needed..]
                .windows(period + 1)
                .all(|window| window[0] == window[period])
    })
}

/// Whether a text begins as refusals do.
fn refuses(text: &str) -> bool {
    const OPENINGS: [&str; 14] = [
        "i can't",
        "i cannot",
        "i'm unable to",
        "i am unable to",
        "i'm not able to",
        "i am not able to",
        "i won't",
        "i will not be able to",
        "i'm sorry, but",
        "i am sorry, but",
        "sorry, but i",
        "unfortunately, i can't",
        "unfortunately, i cannot",
        "as an ai",
    ];
    let opening: String = text.trim_start().chars().take(60).collect();
    let opening = opening.to_lowercase().replace('\u{2019}', "'");
    OPENINGS.iter().any(|phrase| opening.starts_with(phrase))
}

fn other_language(prompt: &str, answer: &str) -> bool {
    /// Below, a language is a guess.
    const CHARACTERS: usize = 40;
    let language = |text: &str| {
        let found = whatlang::detect(text).filter(whatlang::Info::is_reliable)?;
        (text.chars().count() >= CHARACTERS).then(|| found.lang())
    };
    match (language(prompt), language(answer)) {
        (Some(asked), Some(answered)) => asked != answered,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(instruction: &str, output: &str, finish: Finish) -> Completion {
        Completion {
            id: instruction.into(),
            instruction: instruction.into(),
            output: output.into(),
            generator: "g".into(),
            dataset: String::new(),
            finish,
        }
    }

    #[test]
    fn faults_are_found_and_good_answers_have_none() {
        let english = "Please explain to me how the tides of the sea come about every day.";
        let good =
            "The Moon pulls the water of the sea, and as the Earth turns, it rises and falls.";
        let german =
            "Der Mond zieht das Wasser an, und weil sich die Erde dreht, steigt und fällt es.";
        let looped = format!("First. {}", "and then it goes on and on ".repeat(9));
        let check = |output: &str, finish: Finish, expected: &[Fault]| {
            let answer = answer(english, output, finish);
            let found: Vec<Fault> =
                FAULTS.into_iter().filter(|&fault| has(&answer, fault)).collect();
            assert_eq!(found, expected, "{output}");
        };
        check(good, Finish::Stop, &[]);
        check("", Finish::Stop, &[Fault::Empty]);
        check(" \n", Finish::Refused, &[Fault::Empty]);
        check(good, Finish::Length, &[Fault::Truncated]);
        check(&looped, Finish::Stop, &[Fault::Repetition]);
        check(&looped[..looped.len() - 9], Finish::Stop, &[Fault::Repetition]);
        check(&"no ".repeat(15), Finish::Stop, &[]);
        check("I\u{2019}m sorry, but I can't help with that.", Finish::Stop, &[Fault::Refusal]);
        check("You can say \"I'm sorry, but no\".", Finish::Stop, &[]);
        check(german, Finish::Stop, &[Fault::WrongLanguage]);
        check("Ebbe und Flut.", Finish::Stop, &[]);
    }

    #[test]
    fn shares_are_of_all_answers() {
        let rows = [answer("a", "", Finish::Stop), answer("b", "yes", Finish::Length)];
        assert_eq!(faults(&rows), Faults { n: 2, shares: [0.5, 0.0, 0.5, 0.0, 0.0] });
        assert_eq!(faults(&[]).n, 0);
    }
}
