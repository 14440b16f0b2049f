//! What makes a header or a text unfit to learn from. Pure functions of text.
use std::collections::HashSet;

use crate::record::Reject;

/// Phrases that make furniture of a header that holds one, whole words. The first four are the
/// paper's examples; its list is not published, the rest is ours.
const NAVIGATION_ANYWHERE: [&str; 29] = [
    "advertisement",
    "forum",
    "quick links",
    "free newsletter",
    "advertisements",
    "all rights reserved",
    "browse by",
    "comments policy",
    "contact us",
    "cookie policy",
    "follow us",
    "forums",
    "leave a comment",
    "leave a reply",
    "most popular",
    "newsletter",
    "privacy policy",
    "quick link",
    "recent comments",
    "recent posts",
    "related articles",
    "related posts",
    "see also",
    "share this",
    "sign up",
    "site map",
    "table of contents",
    "terms of service",
    "you may also like",
];

/// Words and phrases that do so only when they are the whole header: inside a longer one they may
/// well be its subject, as in "Index recommendations".
const NAVIGATION_WHOLE: [&str; 52] = [
    "about us",
    "acknowledgements",
    "acknowledgments",
    "archive",
    "archives",
    "author",
    "authors",
    "bibliography",
    "categories",
    "citations",
    "comment",
    "comments",
    "contact",
    "contents",
    "copyright",
    "credits",
    "download",
    "downloads",
    "external links",
    "feedback",
    "footnotes",
    "further reading",
    "home",
    "index",
    "latest news",
    "license",
    "links",
    "login",
    "log in",
    "main menu",
    "menu",
    "more",
    "more information",
    "navigation",
    "navigation menu",
    "news",
    "next",
    "next topic",
    "notes and references",
    "on this page",
    "page contents",
    "previous",
    "previous topic",
    "references",
    "related",
    "related topics",
    "search",
    "share",
    "sitemap",
    "sources",
    "tags",
    "this page",
];

/// A word in capitals of at most this many letters is an acronym: `JSON`, `UTF`, `XHTML`.
const ACRONYM_LETTERS: usize = 5;

/// What is wrong with a header.
pub(super) fn header(header: &str) -> Option<Reject> {
    if !header.chars().any(char::is_alphabetic) {
        Some(Reject::EmptyHeader)
    } else if is_in_capitals(header) {
        Some(Reject::UppercaseHeader)
    } else if is_navigation(header) {
        Some(Reject::NavigationHeader)
    } else {
        None
    }
}

/// All letters that have a case are capitals, beyond a single letter and a single acronym.
fn is_in_capitals(header: &str) -> bool {
    let has_case = |c: &char| c.is_lowercase() || c.is_uppercase();
    let letters: Vec<char> = header.chars().filter(has_case).collect();
    let words = header.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).count();
    letters.len() >= 2
        && letters.iter().all(|letter| letter.is_uppercase())
        && (words > 1 || letters.len() > ACRONYM_LETTERS)
}

/// The header belongs to a page's furniture, in capitals or not.
pub(super) fn is_navigation(header: &str) -> bool {
    let words = format!(" {} ", words(header).join(" "));
    NAVIGATION_WHOLE.contains(&words.trim())
        || NAVIGATION_ANYWHERE.iter().any(|phrase| words.contains(&format!(" {phrase} ")))
}

/// Lower-case words, without punctuation.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether two sentences of the text share at least `threshold` of their distinct runs of `n` words
/// (Jaccard similarity: shared / all). The paper names the test, not its numbers.
///
/// Code is no sentence, and a sentence of fewer than `n` + 2 words says too little to be compared.
pub(super) fn is_repetitive(text: &str, n: usize, threshold: f64) -> bool {
    let sentences: Vec<HashSet<Vec<String>>> = sentences(text)
        .iter()
        .map(|sentence| words(sentence))
        .filter(|words| words.len() >= n + 2)
        .map(|words| words.windows(n).map(<[String]>::to_vec).collect())
        .collect();
    sentences.iter().enumerate().any(|(at, one)| {
        sentences[..at].iter().any(|other| {
            let shared = one.intersection(other).count();
            let all = one.len() + other.len() - shared;
            shared as f64 >= threshold * all as f64
        })
    })
}

/// Parts of the text that end at a line's end, or at `.`, `!` or `?` before a space. Code is left out.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let start = line.trim_start_matches([' ', '-']);
        match fence {
            Some(open) if line.trim() == open => fence = None,
            Some(_) => {}
            None if start.starts_with("```") => fence = Some(start),
            None => {
                let mut rest = line;
                while let Some(end) =
                    [". ", "! ", "? "].iter().filter_map(|end| rest.find(end)).min()
                {
                    sentences.push(&rest[..=end]);
                    rest = &rest[end + 2..];
                }
                sentences.push(rest);
            }
        }
    }
    sentences
}

/// A text without the differences that nobody sees: case and white space.
pub(super) fn fingerprint(text: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for word in text.split_whitespace() {
        hasher.update(word.to_lowercase().as_bytes());
        hasher.update(b" ");
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_furniture_are_turned_away() {
        let check =
            |text: &str, expected: Option<Reject>| assert_eq!(header(text), expected, "{text}");
        for good in [
            "How to boil an egg",
            "JSON",
            "I/O",
            "A",
            "C++",
            "PRAGMA foreign_keys",
            "日本語の見出し",
            "Index recommendations",
            "The search interface",
            "Informal forumlas",
            "Sources of error",
        ] {
            check(good, None);
        }
        for empty in ["", "2021-03-04 (3.1)", "***"] {
            check(empty, Some(Reject::EmptyHeader));
        }
        for capitals in ["SELECT", "ALTER TABLE", "SEE ALSO", "WHAT'S NEW", "ÜBERSICHT"] {
            check(capitals, Some(Reject::UppercaseHeader));
        }
        for navigation in [
            "Search",
            "See also:",
            "Table of Contents",
            "Our Forum",
            "Free  newsletter!",
            "Quick Links",
            "References",
            "Advertisement",
        ] {
            check(navigation, Some(Reject::NavigationHeader));
        }
        assert!(is_navigation("SEE ALSO"));
    }

    #[test]
    fn lists_are_written_as_they_are_compared() {
        for phrase in NAVIGATION_ANYWHERE.iter().chain(&NAVIGATION_WHOLE) {
            assert_eq!(words(phrase).join(" "), *phrase);
        }
    }

    #[test]
    fn a_sentence_said_twice_is_found() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_repetitive(text, 3, 0.8), expected, "{text}")
        };
        let one = "The quick brown fox jumps over the lazy dog.";
        let other = "A slow red hen walks under a busy bridge.";
        check(&format!("{one} {other}"), false);
        check(&format!("{one} {other} {one}"), true);
        check(&format!("- {one}\n- {}", one.to_uppercase()), true);
        check(&format!("```\n{one}\n{one}\n```\n{other}"), false);
        check(&format!("````\n```\n{one}\n````\n{one}"), false);
        check(&format!("{one}\n\n```\n{one}\n```\n\n{one}"), true);
        // Four words have too few n-grams to say anything.
        check("See the manual page. See the manual page.", false);
        // Seven n-grams each; one other word in the middle leaves 4 of 10 shared, at the end 6 of 8.
        check(&format!("{one} The quick brown fox leaps over the lazy dog."), false);
        check(&format!("{one} The quick brown fox jumps over the lazy cat."), false);
        assert!(is_repetitive(
            &format!("{one} The quick brown fox jumps over the lazy cat."),
            3,
            0.75
        ));
    }

    #[test]
    fn fingerprints_see_words_only() {
        assert_eq!(fingerprint("One  two\n\nthree"), fingerprint("one TWO three "));
        assert_ne!(fingerprint("one two"), fingerprint("onetwo"));
    }
}
