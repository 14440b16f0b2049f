//! Whose model it is, as far as a name tells: a judge favours answers of its own family.
//!
//! Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (arXiv 2306.05685), section
//! 3.3, on self-enhancement.

/// Parts of names, and the family that each tells.
const FAMILIES: [(&str, &str); 20] = [
    ("gpt", "GPT"),
    ("davinci", "GPT"),
    ("claude", "Claude"),
    ("gemini", "Gemini"),
    ("gemma", "Gemini"),
    ("mistral", "Mistral"),
    ("mixtral", "Mistral"),
    ("qwen", "Qwen"),
    ("deepseek", "DeepSeek"),
    ("smollm", "SmolLM"),
    ("falcon", "Falcon"),
    ("command-r", "Command"),
    ("phi-", "Phi"),
    ("vicuna", "Llama"),
    ("guanaco", "Llama"),
    ("humpback", "Llama"),
    ("tulu", "Llama"),
    ("wizardlm", "Llama"),
    ("alpaca-", "Llama"),
    ("llama", "Llama"),
];

/// The family that two models belong to, if their names tell that it is one.
pub fn shared_family(one: &str, other: &str) -> Option<&'static str> {
    family(one).filter(|found| family(other) == Some(*found))
}

fn family(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    FAMILIES.iter().find(|(part, _)| name.contains(part)).map(|(_, family)| *family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_families() {
        let check = |one: &str, other: &str, expected: Option<&str>| {
            assert_eq!(shared_family(one, other), expected, "{one} and {other}");
            assert_eq!(shared_family(other, one), expected, "{other} and {one}");
        };
        check("gpt-4o-mini", "text_davinci_003", Some("GPT"));
        check("weighted_alpaca_eval_gpt4_turbo", "gpt4_1106_preview", Some("GPT"));
        check("alpaca_eval_gpt4", "alpaca-7b", None);
        check("meta-llama/Llama-3.1-70B-Instruct", "humpback-llama2-70b", Some("Llama"));
        check("M1", "M0", None);
        check("claude-3-opus", "gpt-4", None);
    }
}
