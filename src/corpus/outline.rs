//! The header tree of a page, and the segments that can be cut from it.
//!
//! Knows nothing of HTML, and nothing of what makes a good header or text: only of length.
use super::{
    block::{Block, Kind},
    filter,
};
use crate::record::Reject;

/// The text under one header, chosen so that no two of a page overlap.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The header's place among all headers of the page: tells equal texts of a page apart.
    pub(super) place: usize,
    /// Outermost first; the candidate's own is the last.
    pub(super) headers: Vec<String>,
    pub(super) text: String,
    /// Set when the text has not the length that is asked for.
    pub(super) misfit: Option<Reject>,
}

/// One header with what stands under it.
#[derive(Debug)]
struct Section {
    header: String,
    level: u8,
    /// What stands before the first lower header.
    body: Vec<Block>,
    children: Vec<usize>,
    is_navigation: bool,
}

/// Lengths in Unicode characters, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) min: usize,
    pub(super) max: usize,
}

/// The candidates of a page in reading order, by the rule that [`super`] states.
pub(super) fn candidates(blocks: Vec<Block>, lengths: Lengths) -> Vec<Candidate> {
    let (sections, roots) = tree(blocks);
    let mut found = Vec::new();
    for root in roots {
        cut(&sections, root, &[], lengths, &mut found);
    }
    found
}

/// All sections in reading order, and those that have none above them.
fn tree(blocks: Vec<Block>) -> (Vec<Section>, Vec<usize>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut roots = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for block in blocks {
        let Kind::Header(level) = block.kind else {
            // Text before the first header belongs to none.
            if let Some(&section) = open.last() {
                sections[section].body.push(block);
            }
            continue;
        };
        while open.last().is_some_and(|&section| sections[section].level >= level) {
            open.pop();
        }
        let place = sections.len();
        match open.last() {
            Some(&parent) => sections[parent].children.push(place),
            None => roots.push(place),
        }
        open.push(place);
        let header = clean_header(&block.text);
        let is_navigation = filter::is_navigation(&header);
        sections.push(Section { header, level, body: vec![], children: vec![], is_navigation });
    }
    (sections, roots)
}

/// Takes a section whole if it fits, else what stands directly under its header and its children.
fn cut(
    sections: &[Section],
    place: usize,
    above: &[String],
    lengths: Lengths,
    found: &mut Vec<Candidate>,
) {
    let section = &sections[place];
    let headers = [above, std::slice::from_ref(&section.header)].concat();
    let candidate = |text: String| {
        let misfit = match text.chars().count() {
            short if short < lengths.min => Some(Reject::TooShort),
            long if long > lengths.max => Some(Reject::TooLong),
            _ => None,
        };
        Candidate { place, headers: headers.clone(), text, misfit }
    };
    let whole = candidate(text(sections, place));
    let (apart, inside): (Vec<usize>, Vec<usize>) =
        section.children.iter().partition(|&&child| sections[child].is_navigation);
    let filled = inside.iter().filter(|&&child| !text(sections, child).is_empty()).count();
    let only_wraps = section.body.is_empty() && filled == 1;
    let is_parted = only_wraps || whole.misfit == Some(Reject::TooLong) && filled > 0;
    let taken = if is_parted { candidate(join(&section.body)) } else { whole };
    if !taken.text.is_empty() {
        found.push(taken);
    }
    for &child in if is_parted { &section.children } else { &apart } {
        cut(sections, child, &headers, lengths, found);
    }
}

/// The text of a section without its header, lower sections included but for navigation.
fn text(sections: &[Section], place: usize) -> String {
    fn add(sections: &[Section], place: usize, depth: usize, text: &mut String) {
        for &child in &sections[place].children {
            let section = &sections[child];
            if section.is_navigation {
                continue;
            }
            let mut below = join(&section.body);
            add(sections, child, depth + 1, &mut below);
            if below.is_empty() {
                continue;
            }
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            if !section.header.is_empty() {
                text.push_str(&format!("{} {}\n\n", "#".repeat(depth), section.header));
            }
            text.push_str(&below);
        }
    }
    let mut text = join(&sections[place].body);
    add(sections, place, 2, &mut text);
    text
}

fn join(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        if !text.is_empty() {
            text.push_str(if block.tight { "\n" } else { "\n\n" });
        }
        text.push_str(&block.text);
    }
    text
}

/// A header without its section number and without a wiki's invitation to edit it.
fn clean_header(header: &str) -> String {
    let mut header = header.trim();
    for mark in ["[edit]", "[ edit ]"] {
        header = header.strip_suffix(mark).unwrap_or(header).trim_end();
    }
    let (number, rest) = header.split_once(char::is_whitespace).unwrap_or((header, ""));
    let is_number = number.starts_with(|first: char| first.is_ascii_digit())
        && number.contains(['.', ')'])
        && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ')');
    if is_number && !rest.is_empty() { rest.trim_start().to_owned() } else { header.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::page;

    /// The candidates as `header/path: text`, with what is wrong with the length.
    fn found(html: &str) -> Vec<String> {
        candidates(page::blocks(html), Lengths { min: 4, max: 12 })
            .into_iter()
            .map(|candidate| {
                let misfit = candidate.misfit.map(|misfit| format!(" [{misfit:?}]"));
                let path = candidate.headers.join("/");
                format!("{path}: {}{}", candidate.text, misfit.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn segments_are_cut_by_the_rule() {
        let check = |html: &str, expected: &[&str]| assert_eq!(found(html), expected, "{html}");
        check("<p>before<h1>A</h1><p>fits", &["A: fits"]);
        check(
            "<h1>A</h1>1234567890<br>2<h1>B</h1>1234567890<br>23",
            &["A: 1234567890\n2", "B: 1234567890\n23 [TooLong]"],
        );
        check("<h1>A</h1>abc<h1>B</h1>äöüß", &["A: abc [TooShort]", "B: äöüß"]);
        // The highest header that fits takes all below it.
        check("<h1>A</h1>ab<h2>B</h2>cd", &["A: ab\n\n## B\n\ncd"]);
        check("<h1>A</h1><h2>B</h2>cdef", &["A/B: cdef"]);
        check("<h1>A</h1><h4>B</h4><h6>C</h6>d", &["A/B/C: d [TooShort]"]);
        // Too long: the part before the first lower header, and each lower section.
        check(
            "<h1>A</h1>body<h2>B</h2>one more<h3>C</h3>two more<h2>D</h2>x",
            &["A: body", "A/B: one more", "A/B/C: two more", "A/D: x [TooShort]"],
        );
        // Empty sections are no candidates and leave no header line.
        check("<h1>A</h1>text<h2>B</h2><h2>C</h2>", &["A: text"]);
        check("<h1>A</h1>this is too long<h2>B</h2>", &["A: this is too long [TooLong]"]);
        // A header may be followed by one of a higher rank that was never opened.
        check("<h3>A</h3>text<h1>B</h1>more", &["A: text", "B: more"]);
        check("<h1>A</h1>text<h2>See also</h2>links", &["A: text", "A/See also: links"]);
    }

    #[test]
    fn lower_headers_are_lines_of_markdown() {
        let html =
            "<h1>A</h1>a<h3>B</h3>b<h6>C</h6>c<h3>D</h3><h5></h5>d<h2>References</h2>e<h2>F</h2>";
        let all = candidates(page::blocks(html), Lengths { min: 0, max: 99 });
        let texts: Vec<&str> = all.iter().map(|candidate| candidate.text.as_str()).collect();
        assert_eq!(texts, ["a\n\n## B\n\nb\n\n### C\n\nc\n\n## D\n\nd", "e"]);
    }

    #[test]
    fn headers_lose_their_number() {
        let check = |header: &str, expected: &str| assert_eq!(clean_header(header), expected);
        check("1.2. Overview", "Overview");
        check(" 3) Third ", "Third");
        check("2.1 Sizes", "Sizes");
        check("2021 in review", "2021 in review");
        check("3.40.1", "3.40.1");
        check("C#", "C#");
        check("History[edit]", "History");
        check("", "");
    }
}
