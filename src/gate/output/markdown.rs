//! A comment on a pull request, or the summary of a job.
use std::fmt::Write;

use super::{Made, cut, difference_words, gate_words};
use crate::gate::{Outcome, Verdict};

/// A prompt on which the candidate lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// The candidate's score, in [0, 1].
    pub score: f64,
    pub dataset: String,
    pub instruction: String,
    pub candidate: String,
    pub reference: String,
    /// What the judge said, in the first order.
    pub judge: String,
}

/// Most characters of a text that is shown: a job's summary has a limit, and so have readers.
const MOST: usize = 700;

/// Every check with its verdict, numbers and worst prompts. What models wrote is escaped.
pub fn markdown(made: &[Made]) -> String {
    let mut page = String::new();
    for one in made {
        match one {
            Ok((outcome, worst)) => check(&mut page, outcome, worst),
            Err(failed) => {
                let error = escaped(&cut(&failed.error, MOST));
                page += &format!("## :no_entry: {}: not checked\n\n{error}\n\n", failed.check);
            }
        }
    }
    page
}

fn check(page: &mut String, outcome: &Outcome, worst: &[Worst]) {
    let mark = match outcome.verdict {
        Verdict::Better | Verdict::NoWorse => ":white_check_mark:",
        Verdict::Regressed => ":x:",
        Verdict::Inconclusive => ":grey_question:",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(page, "## {mark} {}: {}\n", outcome.check, outcome.verdict.words());
    for reason in &outcome.reasons {
        let _ = writeln!(page, "- {}", escaped(reason));
    }
    let _ = writeln!(
        page,
        "\n{} against {}, judged by {}, margin {} points; {} of {} prompts judged, {} with a score{}.\n",
        escaped(&outcome.candidate),
        escaped(&outcome.reference),
        escaped(&outcome.judge),
        outcome.margin,
        outcome.judged,
        outcome.prompts,
        outcome.scored,
        outcome
            .saved
            .filter(|&saved| saved > 0)
            .map_or(String::new(), |saved| format!(", {saved} saved by stopping early")),
    );
    page.push_str("| comparison | points [95%] | prompts | |\n|---|---:|---:|---|\n");
    for part in &outcome.parts {
        let n = part.difference.map_or(0, |found| found.n);
        let (what, difference) = (escaped(&part.what.words()), difference_words(part));
        let _ = writeln!(page, "| {what} | {difference} | {n} | {} |", gate_words(part.gate));
    }
    if !outcome.faults.is_empty() {
        page.push_str("\n| answers | candidate | reference | allowed |\n|---|---:|---:|---:|\n");
        for line in &outcome.faults {
            let _ = writeln!(
                page,
                "| {} | {:.1}% | {:.1}% | {:.1}% |",
                line.fault.words(),
                100.0 * line.candidate,
                100.0 * line.reference,
                100.0 * line.limit
            );
        }
    }
    let _ = writeln!(
        page,
        "\nMean length: {:.0} characters, the reference's {:.0}.\n",
        outcome.candidate_characters, outcome.reference_characters
    );
    if worst.is_empty() {
        return;
    }
    let _ = writeln!(page, "<details><summary>The {} worst prompts</summary>\n", worst.len());
    for one in worst {
        // In code nobody is mentioned and nothing becomes a link, and unlike <pre> it wraps.
        let block = |text: &str| format!("<code>{}</code>", html(&cut(text, MOST)));
        let _ = writeln!(
            page,
            "<p><b>{:.0}%</b> {}</p>\n<p>{}</p>\n<table><tr><th width=\"50%\">candidate</th><th width=\"50%\">reference</th></tr><tr><td valign=\"top\">{}</td><td valign=\"top\">{}</td></tr></table>\n<p>The judge: {}</p>\n",
            100.0 * one.score,
            html(&one.dataset),
            block(&one.instruction),
            block(&one.candidate),
            block(&one.reference),
            block(&one.judge)
        );
    }
    page.push_str("</details>\n\n");
}

/// Plain text within HTML. A blank line would end the block in which Markdown leaves HTML alone.
fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\r' => {}
            '\t' => safe.push(' '),
            other if other.is_control() || is_bidirectional(other) => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// Plain text within Markdown.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => safe.push(' '),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' => {
                safe.push('\\');
                safe.push(character);
            }
            other if other.is_control() || is_bidirectional(other) => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// Marks that turn the text around them.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_models_wrote_cannot_leave_its_place() {
        let text = "</code><script>alert(1)</script>\n\n# head | \u{202e}evil\u{0} @team";
        let safe = html(text);
        assert!(
            !safe.contains('<') && !safe.contains('\n') && !safe.contains('\u{202e}'),
            "{safe}"
        );
        let safe = escaped(text);
        assert!(!safe.contains('<') && !safe.contains('\n'), "{safe}");
        assert!(safe.contains("\\# head \\|") && safe.contains("\\@team"), "{safe}");
    }
}
