//! Replies as models write them.
use super::*;

/// What a parser makes of a whole reply: the share, and an exclamation mark where it is strong.
fn read(parser: &Parser, text: &str) -> String {
    let parsed = parser.read(&Said { text, truncated: false, first_token: &[] });
    let share = parsed.share.map_or("none".to_owned(), |share| share.to_string());
    format!("{share}{}", if parsed.strong { "!" } else { "" })
}

#[test]
fn final_verdicts_are_read_through_their_decoration() {
    let parser = parser("pair-reasons");
    let check = |text: &str, expected: &str| assert_eq!(read(&parser, text), expected, "{text:?}");
    for text in [
        "Verdict: A",
        "verdict: a",
        "VERDICT : A.",
        "**Verdict:** A",
        "**Verdict: A**",
        "__Verdict__: **A**",
        "### Verdict: [[A]]",
        "> - Verdict: `A`!",
        "* *Verdict*: (A)",
        "Verdict: \"A\"",
        "Verdict: “A”.",
        "Verdict： A",
        "Verdict:\u{a0}A\u{200b}",
        "\u{feff}Verdict:A",
        "Verdict - A",
        "Verdict — A",
        "Verdict = A",
        "Final verdict: A",
        "My final verdict is: [[A]].",
        "My verdict is A.",
        "The verdict is Answer A",
        "Verdict: Answer A",
        "Verdict: A is better.",
        "Verdict:\nA",
        "## Verdict\n\n**A**\n",
        "## Final verdict\nB is vague, and A is not.\nVerdict: A",
        "## Verdict\nVerdict: A",
        "{\"verdict\": \"A\"}",
        "$\\textbf{x}$\r\nVerdict: A\r\n",
        "Verdict: A\n\nTell me if you need more.",
        "Verdict: A\nVerdict: A",
        "At first sight:\nVerdict: B\nBut B invents a source.\nVerdict: A",
        "<think>\nVerdict: B\n</think>\n\nVerdict: A",
        "The other says \"Verdict: B\" of itself.\nVerdict: A",
    ] {
        check(text, "1");
    }
    check("Both miss the point.\n**Verdict:** B", "0");
    for text in ["Verdict: tie", "Verdict: **Tie**.", "Verdict: a tie", "Verdict: draw"] {
        check(text, "0.5");
    }
    for text in [
        "",
        "\n\n",
        "A",
        "[[A]]",
        "I prefer A.",
        "So, all in all, verdict: A",
        "Verdict:",
        "Verdict: C",
        "Verdict: A or B",
        "Verdict: A, B or tie",
        "Verdict: neither",
        "Verdict: not A",
        "Verdicts: A",
        "Verdict A",
        "Verdict: A\nVerdict: B",
        "Verdict: A\nVerdict: B\nVerdict: B",
        "**Verdict:**\nA\n**Verdict:**\nB",
        "Verdict: A\n\nOn reflection:\nVerdict: A or B",
        "Score: 9/10",
        "I cannot judge this.",
    ] {
        check(text, "none");
    }
}

#[test]
fn levels_are_read_with_their_strength() {
    let parser = parser("pair-levels");
    let check = |text: &str, expected: &str| assert_eq!(read(&parser, text), expected, "{text:?}");
    check("Verdict: A is much better", "1!");
    check("**Verdict:** [[A>>B]]", "1!");
    check("Verdict: A is better.", "1");
    check("> Verdict: A>B", "1");
    check("Verdict: A", "1");
    check("Verdict: tie", "0.5");
    check("My final verdict is: [[A=B]]", "0.5");
    check("Verdict: b is better", "0");
    check("Verdict: B>A", "0");
    check("Verdict\n\nB is much better!", "0!");
    check("Verdict: A is better\nVerdict: A is much better", "none");
    check("Verdict: A is slightly better", "none");
    check("Verdict: A<B", "none");
}

#[test]
fn a_reply_that_was_cut_has_no_verdict() {
    for (name, text) in [
        ("pair-reasons", "Verdict: A"),
        ("pair-levels", "Verdict: A is better\nBut then"),
        ("alpaca_eval_gpt4", "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'ra"),
    ] {
        let said = Said { text, truncated: true, first_token: &[] };
        assert_eq!(parser(name).read(&said), Parsed::UNREAD, "{name}");
    }
}

#[test]
fn rankings_are_read_as_python_would() {
    let parser = parser("alpaca_eval_gpt4");
    let check = |text: &str, expected: &str| assert_eq!(read(&parser, text), expected, "{text:?}");
    for text in [
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]",
        "[\n    {'model': 'model_2', 'rank': 2},\n    {'model': 'model_1', 'rank': 1}\n]\n",
        "[{\"model\":\"model_1\",\"rank\":1},{\"model\":\"model_2\",\"rank\":2}]",
        "[{'rank': 1, 'model': 'model_1'}, {'rank': 2, 'model': 'model_2',},]",
        "({'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2})",
        "{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}",
        "[{'model': 'model_1', 'rank': 1, 'why': 'it\\'s {short}'}, {'model': 'model_2', 'rank': 2, 'why': None}]",
        "```python\n[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]\n```",
    ] {
        check(text, "1");
    }
    check("[{'model': 'model_1', 'rank': 2}, {'model': 'model_2', 'rank': 1}]", "0");
    for text in [
        "",
        "model_1",
        "[",
        "[]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 1}]",
        "[{'model': 'model_1', 'rank': 3}, {'model': 'model_2', 'rank': 1}]",
        "[{'model': 'model_1', 'rank': '1'}, {'model': 'model_2', 'rank': '2'}]",
        "[{'model': 'model_1', 'rank': 1}]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_1', 'rank': 2}]",
        "[{'model': 'model_1', 'rank': 2}, {'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}, {'model': 'model_3', 'rank': 3}]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2})",
        "[{'model': 'model_1', 'rank': 1} {'model': 'model_2', 'rank': 2}]",
        "[{'model': 'model_1'}, {'model': 'model_2', 'rank': 2}]",
        "[{'model: 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]",
        "Here you go: [{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]",
        "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}] since",
        "I'm sorry, but both are empty.",
        "{'model': 'é",
        "```",
        "``````",
    ] {
        check(text, "none");
    }
}

#[test]
fn probabilities_of_tokens_are_shares_of_both_sides() {
    let check = |name: &str, candidates: &[(&str, f64)], expected: Option<f64>| {
        let candidates: Vec<(String, f64)> =
            candidates.iter().map(|&(token, log)| (token.to_owned(), log)).collect();
        let said = Said { text: "A", truncated: true, first_token: &candidates };
        let share = parser(name).read(&said).share;
        let near = match (share, expected) {
            (Some(share), Some(expected)) => (share - expected).abs() < 1e-12,
            (share, expected) => share == expected,
        };
        assert!(near, "{candidates:?}: {share:?}, not {expected:?}");
    };
    let ours = |candidates: &[(&str, f64)], expected| check("pair-logprobs", candidates, expected);
    ours(&[("A", 0.6_f64.ln()), ("B", 0.2_f64.ln()), ("The", 0.1_f64.ln())], Some(0.75));
    ours(&[("A", 0.3_f64.ln()), (" A", 0.3_f64.ln()), (" B", 0.2_f64.ln())], Some(0.75));
    ours(&[("A", -3.0)], Some(1.0));
    ours(&[("I", -0.1), ("B", -9.0)], Some(0.0));
    ours(&[("A", -9999.0), ("B", -0.1)], Some(0.0));
    ours(&[("A", -800.0), ("B", -800.0)], Some(0.5));
    ours(&[("A", f64::NEG_INFINITY), ("B", f64::NAN)], None);
    ours(&[("I", -0.1), ("a", -1.0), ("**", -2.0)], None);
    ours(&[], None);
    // The example in AlpacaEval's completion_parsers.py, of which it makes 2 - 0.0175 (1 and 2 are sure).
    let example = [("M", -0.017597131), ("m", -4.048847), ("Both", -14.908222)];
    let odds = f64::exp(-4.048847 + 0.017597131);
    check("weighted_alpaca_eval_gpt4_turbo", &example, Some(odds / (1.0 + odds)));
}
