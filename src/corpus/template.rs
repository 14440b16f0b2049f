//! What many pages of a corpus end with: "this page was last modified on ...", "see also the lists
//! of ...". Written once in a template, it is no part of any page's text.
use std::collections::{HashMap, HashSet};

use super::{
    block::{Block, Kind},
    filter,
};

/// Pages that must end alike before it is taken for a template. Ours: a few copies of one page, as
/// mirrors have, should not lose their text.
const FEWEST_PAGES: usize = 10;

/// Takes the shared endings off the pages: last blocks, one by one, for as long as each stands in
/// the last section of at least [`FEWEST_PAGES`] pages. Digits don't count, since dates differ.
pub(super) fn strip_endings(pages: &mut [Vec<Block>]) {
    let mut count: HashMap<blake3::Hash, usize> = HashMap::new();
    for page in pages.iter() {
        let distinct: HashSet<_> = last_section(page).iter().map(fingerprint).collect();
        for block in distinct {
            *count.entry(block).or_default() += 1;
        }
    }
    for page in pages {
        let shared = last_section(page)
            .iter()
            .rev()
            .take_while(|block| count.get(&fingerprint(block)).is_some_and(|n| *n >= FEWEST_PAGES));
        page.truncate(page.len() - shared.count());
    }
}

/// The blocks after the last header.
fn last_section(page: &[Block]) -> &[Block] {
    let is_header = |block: &Block| matches!(block.kind, Kind::Header(_));
    &page[page.iter().rposition(is_header).map_or(0, |last| last + 1)..]
}

fn fingerprint(block: &Block) -> blake3::Hash {
    let text: String = block.text.chars().filter(|c| !c.is_numeric()).collect();
    filter::fingerprint(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::page;

    #[test]
    fn only_what_many_pages_end_with_is_taken_off() {
        let check = |pages: usize, html: &str, expected: usize| {
            let number =
                |n: usize| html.replace("NUMBER", &n.to_string()).replace("WORD", &"x".repeat(n));
            let mut pages: Vec<_> = (1..=pages).map(|n| page::blocks(&number(n))).collect();
            strip_endings(&mut pages);
            for page in pages {
                assert_eq!(page.len(), expected, "{html}");
            }
        };
        check(10, "<h1>A</h1><p>WORD<p>See the lists.<p>Modified on NUMBER", 2);
        check(9, "<h1>A</h1><p>WORD<p>See the lists.<p>Modified on NUMBER", 4);
        // Something of its own below it makes it a part of the text.
        check(10, "<h1>A</h1><p>Shared.<p>WORD", 3);
        check(10, "<h1>A</h1><p>Shared.<h2>B</h2>", 3);
        check(10, "<h1>A</h1>", 1);
    }
}
