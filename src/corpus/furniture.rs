//! What stands on a page and is no part of its text: menus, forms, scripts, lists of links.
//!
//! Knows nothing of single sites: only elements, roles, and how much of a text is links.
use scraper::ElementRef;

use super::block::{Block, Kind, Weight};

/// Elements that hold no text of the page itself.
const FURNITURE: [&str; 27] = [
    "annotation",
    "annotation-xml",
    "aside",
    "audio",
    "button",
    "canvas",
    "datalist",
    "dialog",
    "footer",
    "form",
    "head",
    "header",
    "iframe",
    "input",
    "map",
    "nav",
    "noframes",
    "noscript",
    "object",
    "rp",
    "rt",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
];

/// Values of `role` that say the same of any element (WAI-ARIA 1.2, landmark and widget roles).
const FURNITURE_ROLES: [&str; 9] = [
    "alertdialog",
    "banner",
    "complementary",
    "contentinfo",
    "dialog",
    "menu",
    "menubar",
    "navigation",
    "search",
];

/// Share of a text from which on it is a list of links, as a fraction. Kohlschütter et al., 2010,
/// *Boilerplate Detection using Shallow Text Features*, split at a link density of 1/3; the reference
/// pages of a manual link every other word and are content, hence this milder bound.
const LINK_SHARE: (usize, usize) = (2, 3);

/// A text with fewer links is never taken for a list of links.
const FEWEST_LINKS: usize = 3;

/// A paragraph that is nothing but a link of at most this many words is a button: "Reply", "Read more".
const BUTTON_WORDS: usize = 4;

/// The number of `h1` to `h6`.
pub(super) fn header_level(name: &str) -> Option<u8> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&level).then_some(level)
}

fn has_header(element: ElementRef) -> bool {
    element.descendent_elements().any(|inner| header_level(inner.value().name()).is_some())
}

/// The element and all inside it is passed over.
pub(super) fn is_furniture(element: ElementRef) -> bool {
    let name = element.value().name();
    if matches!(name, "html" | "body") {
        // Some pages are hidden until their script has run.
        return false;
    }
    if is_hidden(element)
        || element.attr("role").is_some_and(|role| FURNITURE_ROLES.contains(&role))
    {
        return true;
    }
    match name {
        // Some servers wrap a whole page in one form.
        "form" => !has_header(element),
        // The head of a page is furniture; the head of an article has its title.
        "header" => !element
            .ancestors()
            .filter_map(ElementRef::wrap)
            .any(|outer| matches!(outer.value().name(), "article" | "main" | "section")),
        "a" => is_permalink(element),
        _ => FURNITURE.contains(&name),
    }
}

/// The sign behind a header or a definition that links to the place itself.
fn is_permalink(link: ElementRef) -> bool {
    let text: String = link.text().collect();
    matches!(text.trim(), "¶" | "§" | "#" | "🔗")
}

fn is_hidden(element: ElementRef) -> bool {
    let style = element.attr("style").unwrap_or_default();
    let style: String = style.to_ascii_lowercase().split_whitespace().collect();
    element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || style.contains("display:none")
        || style.contains("visibility:hidden")
}

/// Leaves out lists of links: neighbouring units that are nearly all links, several together.
pub(super) fn without_link_lists(blocks: Vec<Block>) -> Vec<Block> {
    let mut kept = Vec::with_capacity(blocks.len());
    // Units that are nearly all links, and how many links they have so far.
    let (mut run, mut links) = (Vec::new(), 0);
    let mut blocks = blocks.into_iter().peekable();
    while let Some(first) = blocks.next() {
        let mut unit = vec![first];
        while let Some(next) = blocks.next_if(|next| next.unit == unit[0].unit) {
            unit.push(next);
        }
        let weight = total(&unit);
        let is_linked = weight.link_characters * LINK_SHARE.1 > weight.characters * LINK_SHARE.0;
        if is_linked && unit.iter().all(|block| block.kind == Kind::Prose) {
            links += weight.links;
            if !is_button(&unit, weight) {
                run.append(&mut unit);
            }
            continue;
        }
        if links < FEWEST_LINKS {
            kept.append(&mut run);
        }
        (run, links) = (Vec::new(), 0);
        kept.append(&mut unit);
    }
    if links < FEWEST_LINKS {
        kept.append(&mut run);
    }
    kept
}

fn is_button(unit: &[Block], weight: Weight) -> bool {
    let is_link = weight.links == 1 && weight.link_characters == weight.characters;
    let words = || unit.iter().flat_map(|block| block.text.split_whitespace()).count();
    is_link && words() <= BUTTON_WORDS
}

fn total(unit: &[Block]) -> Weight {
    unit.iter().fold(Weight::default(), |sum, block| Weight {
        characters: sum.characters + block.weight.characters,
        link_characters: sum.link_characters + block.weight.link_characters,
        links: sum.links + block.weight.links,
    })
}

#[cfg(test)]
mod tests {
    use crate::corpus::page::tests::text;

    #[test]
    fn furniture_is_passed_over() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        for furniture in [
            "<script>x</script>",
            "<style>x</style>",
            "<nav>x</nav>",
            "<header>x</header>",
            "<footer>x</footer>",
            "<aside>x</aside>",
            "<form>x</form>",
            "<noscript>x</noscript>",
            "<template>x</template>",
            "<svg><text>x</text></svg>",
            "<div role=navigation>x</div>",
            "<p hidden>x</p>",
            "<p style='color:red; DISPLAY : none'>x</p>",
            "<!-- x -->",
            "<button>x</button>",
            "<select><option>x</select>",
        ] {
            check(&format!("<title>x</title><p>a</p>{furniture}<p>b</p>"), "a\n\nb");
        }
        check("<article><header><h1>A</h1><p>by x</p></header><p>b</article>", "[1] A\n\nb");
        check("<h2>A<a href='#1'> ¶</a></h2>C<a href=2>#</a>, C#", "[2] A\n\nC, C#");
        check("<form action=.><h1>A</h1><p>b</form>", "[1] A\n\nb");
        check("<body style='display:none'><p>a", "a");
    }

    #[test]
    fn lists_of_links_are_dropped_and_links_in_text_are_not() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        let links = "<a href=1>first</a> <a href=2>second</a> <a href=3>third</a>";
        check(&format!("a<p>{links}</p>b"), "a\n\nb");
        check(
            &format!("a<p>Of these, {links} are among the links that matter</p>"),
            &text(&format!("a<p>Of these, {links} are among the links that matter</p>")),
        );
        let items: String = (0..4).map(|n| format!("<li><a href={n}>link {n}</a>")).collect();
        check(&format!("a<ul>{items}</ul>b"), "a\n\nb");
        let divs: String = (0..4).map(|n| format!("<div><a href={n}>link {n}</a></div>")).collect();
        check(&format!("a<div>{divs}</div>b"), "a\n\nb");
        let pair = "<a href=1>a link of five words</a><p><a href=2>and a second such link</a>";
        check(&format!("<p>{pair}"), "a link of five words\n\nand a second such link");
        check("a<p><a href=1>Read more</a><p>b", "a\n\nb");
        check("<dl><dt><a href=1>term</a><dd>meaning</dl>", "term\nmeaning");
        check(
            "<ul><li><a href=1>a</a>, which is told at length<li><a href=2>b</a></ul>",
            "- a, which is told at length\n- b",
        );
    }
}
