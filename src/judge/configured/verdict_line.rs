//! Reads `Verdict: A` out of prose, through the decoration that models put around it.

/// What the reply's last verdict says; `None` when there is none, when it is not among the labels,
/// or when it stands right below another that differs.
///
/// A verdict is a line that begins with the marker. One in mid-sentence is not meant as an answer.
pub(super) fn last<T: PartialEq>(
    reply: &str,
    marker: &str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let marker = label(marker);
    let lines = reply.lines().map(bare).filter(|line| !line.is_empty());
    let mut lines = lines.peekable();
    let mut last = None;
    let mut below_another = false;
    while let Some(line) = lines.next() {
        let Some(value) = value(&line, &marker) else {
            below_another = false;
            continue;
        };
        let said = match value {
            "" => {
                // The label may stand below its marker; otherwise the marker is a heading.
                match lines.next_if(|next| meaning(trimmed(next)).is_some()) {
                    Some(next) => meaning(trimmed(&next)),
                    None => continue,
                }
            }
            value => meaning(value),
        };
        last = if below_another && said != last { None } else { said };
        below_another = true;
    }
    last
}

/// A label as it is compared: without decoration and case.
pub(super) fn label(text: &str) -> String {
    trimmed(&bare(text)).to_owned()
}

/// The line in lower case, without Markdown, brackets, quotes, and signs that are not seen.
fn bare(line: &str) -> String {
    const DECORATION: &str = "*_`~[](){}\"'“”‘’«»\\$\u{200b}\u{200e}\u{200f}\u{2060}\u{feff}";
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "#>-+•".contains(c));
    let plain: String = line
        .chars()
        .filter(|&c| !DECORATION.contains(c))
        .map(|c| if c == '：' { ':' } else { c })
        .flat_map(char::to_lowercase)
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows the marker, where the line begins with it.
fn value<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    let openings = ["my final ", "the final ", "final ", "my ", "the ", ""];
    let rest = openings.iter().find_map(|opening| {
        let rest = line.strip_prefix(opening)?;
        rest.strip_prefix(marker)
    })?;
    let said = rest.strip_prefix(" is").filter(|said| said.starts_with([' ', ':']));
    let rest = said.unwrap_or(rest).trim_start();
    if rest.is_empty() {
        return Some("");
    }
    let after = rest.strip_prefix([':', '=', '-', '–', '—']);
    match (after, said) {
        (Some(after), _) => Some(trimmed(after)),
        (None, Some(_)) => Some(trimmed(rest)),
        (None, None) => None,
    }
}

fn trimmed(text: &str) -> &str {
    text.trim().trim_end_matches(['.', ',', ';', ':', '!']).trim_end()
}
