//! A walk through an HTML page, in reading order and without its furniture.
//!
//! Says what begins and ends; [`super::block`] makes text of it, [`super::furniture`] says what is
//! passed over. Knows nothing of segments.
use scraper::{ElementRef, Html, Node};

use super::{
    block::{Block, Writer},
    furniture::{header_level, is_furniture, without_link_lists},
};

/// Elements that stand on lines of their own (HTML standard, 15.3: `display: block` and relatives).
const BLOCKS: [&str; 32] = [
    "address",
    "article",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "hgroup",
    "hr",
    "legend",
    "listing",
    "main",
    "menu",
    "option",
    "p",
    "plaintext",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
];

/// A table with one of these inside lays out the page and is read cell by cell.
const LAYOUT: [&str; 13] =
    ["article", "blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "pre", "table", "ul"];

/// The blocks of a page.
pub(super) fn blocks(html: &str) -> Vec<Block> {
    let page = Html::parse_document(html);
    let mut walk = Walk::default();
    let root = *page.root_element();
    let mut node = root;
    // A loop, since pages exist that nest deeper than a stack would allow.
    loop {
        let mut entered = walk.enter(node.value(), ElementRef::wrap(node));
        if let Some(child) = node.first_child().filter(|_| entered) {
            node = child;
            continue;
        }
        loop {
            if let Some(element) = ElementRef::wrap(node).filter(|_| entered) {
                walk.leave(element);
            }
            if node == root {
                return without_link_lists(walk.writer.finish());
            }
            if let Some(next) = node.next_sibling() {
                node = next;
                break;
            }
            let Some(parent) = node.parent() else {
                unreachable!("every node of the walk is below the root element")
            };
            node = parent;
            entered = true;
        }
    }
}

#[derive(Default)]
struct Walk {
    writer: Writer,
    /// Open `<header>` elements of an article: of these only the headers are read.
    mastheads: usize,
}

impl Walk {
    /// Whether to go on with what is inside.
    fn enter(&mut self, node: &Node, element: Option<ElementRef>) -> bool {
        if let Node::Text(text) = node
            && (self.mastheads == 0 || self.writer.in_header())
        {
            self.writer.text(text);
        }
        let Some(element) = element else { return false };
        if let Some(formula) = formula(element) {
            self.writer.text(&format!(" ${formula}$ "));
            return false;
        }
        if is_furniture(element) {
            return false;
        }
        match element.value().name() {
            "header" => self.mastheads += 1,
            "br" => self.writer.line_break(),
            "a" if element.attr("href").is_some() => self.writer.link_begin(),
            "pre" | "listing" | "plaintext" | "xmp" => self.writer.code_begin(),
            "ul" | "menu" | "dir" | "dl" => self.writer.list_begin(None),
            "ol" => self.writer.list_begin(Some(first_number(element))),
            "li" => self.writer.item_begin(),
            "dd" => self.writer.stay_close(),
            "table" if is_layout(element) => self.writer.boundary(),
            "table" => self.writer.table_begin(),
            "tr" => self.writer.row_begin(),
            "td" | "th" => self.writer.cell_begin(),
            "sup" => return self.superscript(element),
            name => match header_level(name) {
                Some(level) => self.writer.header_begin(level),
                None if BLOCKS.contains(&name) => self.writer.boundary(),
                None => {}
            },
        }
        true
    }

    fn leave(&mut self, element: ElementRef) {
        match element.value().name() {
            "header" => self.mastheads -= 1,
            "a" if element.attr("href").is_some() => self.writer.link_end(),
            "pre" | "listing" | "plaintext" | "xmp" => self.writer.code_end(),
            "ul" | "menu" | "dir" | "dl" | "ol" => self.writer.list_end(),
            "li" => self.writer.item_end(),
            "table" => self.writer.table_end(),
            "tr" | "caption" => self.writer.row_end(),
            name if header_level(name).is_some() => self.writer.header_end(),
            name if BLOCKS.contains(&name) => self.writer.boundary(),
            _ => {}
        }
    }

    /// Drops the mark of a footnote; keeps an exponent from melting into its base.
    fn superscript(&mut self, element: ElementRef) -> bool {
        let has_link = element.descendent_elements().any(|inner| inner.attr("href").is_some());
        let text: String = element.text().collect();
        let is_exponent = text.trim().trim_start_matches(['-', '+', '−']).parse::<u64>().is_ok();
        if is_exponent && !has_link {
            self.writer.text("^");
        }
        !has_link
    }
}

/// The source of a formula that is shown as an image, as TeX renderers on servers do.
fn formula<'a>(element: ElementRef<'a>) -> Option<&'a str> {
    let marks = |class: &str| class.split('-').any(|part| matches!(part, "math" | "tex" | "latex"));
    let is_formula = element.value().name() == "img" && element.value().classes().any(marks);
    element.attr("alt").map(str::trim).filter(|alt| is_formula && !alt.is_empty())
}

fn is_layout(table: ElementRef) -> bool {
    table.descendent_elements().skip(1).any(|inner| {
        let is_paragraph = |element: &ElementRef| matches!(element.value().name(), "p" | "div");
        let before = || inner.prev_siblings().find_map(ElementRef::wrap);
        LAYOUT.contains(&inner.value().name())
            || is_paragraph(&inner) && before().is_some_and(|before| is_paragraph(&before))
    })
}

fn first_number(list: ElementRef) -> usize {
    list.attr("start").and_then(|start| start.trim().parse().ok()).unwrap_or(1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::corpus::block::Kind;

    /// The blocks as one text, headers as `[level] text`.
    pub(in crate::corpus) fn text(html: &str) -> String {
        let mut text = String::new();
        for block in blocks(html) {
            if !text.is_empty() {
                text += if block.tight { "\n" } else { "\n\n" };
            }
            if let Kind::Header(level) = block.kind {
                text += &format!("[{level}] ");
            }
            text += &block.text;
        }
        text
    }

    #[test]
    fn text_reads_as_it_looks() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check(
            "<p>One\n <b>two</b>\tthree.<p>Fo&amp;ur&nbsp;<i> five</i>",
            "One two three.\n\nFo&ur five",
        );
        check("a<br>b<br/><br/><br>c<div>d<div>e</div>f</div>", "a\nb\n\nc\n\nd\n\ne\n\nf");
        check(
            "so&shy;ft&#8203; 10<sup>9</sup> and 1<sup>st</sup>, H<sub>2</sub>O",
            "soft 10^9 and 1st, H2O",
        );
        check("fact<sup class=r><a href='#n1'>[1]</a></sup>.", "fact.");
        check(
            "If<img class='x-math y' alt='{a^2}' aria-hidden=true>,<img alt=x> then",
            "If ${a^2}$ , then",
        );
        check("<h2><span>1. </span>Title<br>two</h2>x", "[2] 1. Title two\n\nx");
        check("<div><div><h3>A</h3></div></div>b<a href=x><h1>C</h1></a>", "[3] A\n\nb\n\n[1] C");
        check("<h1>A<h2>B</h1>c", "[1] A\n\n[2] B\n\nc");
    }

    #[test]
    fn lists_are_marked_and_indented() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check("x<ul><li>a<li> b</ul>y", "x\n\n- a\n- b\n\ny");
        check("<ol><li>a<ul><li>b</ul>c<li>d</ol>", "1. a\n   - b\n\n   c\n2. d");
        check(
            "<ol start=9><li><p>a</p><p>b</p><li>c<li>d<br>e</ol>",
            "9. a\n\n   b\n10. c\n11. d\n    e",
        );
        check("<ul><li><li><ul><li>a</ul></ul>", "  - a");
        check("<ul><p>indented</p></ul>", "indented");
        check("<ul><li>a<pre>b\n\nc</pre></ul>", "- a\n\n  ```\n  b\n\n  c\n  ```");
        check("<dl><dt>a<dd>b<p>c<dt>d<dd>e</dl>", "a\nb\n\nc\n\nd\ne");
        // A list that holds headers lays out the page.
        check(
            "<ul><li><h2>A</h2>b<ul><li>c</ul><li><h2>D</h2>e</ul>f",
            "[2] A\n\nb\n\n- c\n\n[2] D\n\ne\n\nf",
        );
    }

    #[test]
    fn code_is_kept_as_it_stands() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check(
            "<pre>\n\n  if x &lt; 1:\n\n    <b>y</b>  \n\n</pre>z",
            "```\n  if x < 1:\n\n    y\n```\n\nz",
        );
        check("<pre><div>a</div><div>b</div>c<br>d</pre>", "```\na\nb\nc\nd\n```");
        check("<pre>```\nx\n```</pre>", "````\n```\nx\n```\n````");
        check("a<pre> \n </pre>b", "a\n\nb");
    }

    #[test]
    fn tables_are_rows_unless_they_lay_out_the_page() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check(
            "<table><caption>Sizes</caption><tr><th>a<th>b<tr><td><p>1</p><td><div>2<br>3</div><tr><td><td>4</table>x",
            "Sizes\na | b\n1 | 2 3\n| 4\n\nx",
        );
        check("<table><tr><td>menu<td><h1>A</h1><p>b<p>c</table>", "menu\n\n[1] A\n\nb\n\nc");
        check("<table><tr><td><p>b<p>c</table>", "b\n\nc");
        check("<table><tr><td><td></table>", "");
    }

    #[test]
    fn a_page_may_nest_very_deep() {
        let html = format!("{}deep{}", "<div>".repeat(10_000), "</div>".repeat(10_000));
        assert_eq!(text(&html), "deep");
    }
}
