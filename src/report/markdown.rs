//! `report.md`: the sections as Markdown that GitHub shows. Holds no answers of models.
use super::{
    document::{Block, Section, Table},
    words,
};

pub(super) fn render(name: &str, headline: &str, progress: &str, sections: &[Section]) -> String {
    let mut text = format!("# {}\n\n**{}**\n\n{progress}\n", escape(name), escape(headline));
    for section in sections {
        text.push_str(&format!("\n## {}\n", section.title));
        for block in &section.blocks {
            text.push('\n');
            match block {
                Block::Paragraph { text: paragraph } => text.push_str(&(escape(paragraph) + "\n")),
                Block::Warning { text: warning } => {
                    text.push_str(&format!("> **Warning:** {}\n", escape(warning)));
                }
                Block::List { items } => {
                    for item in items {
                        text.push_str(&format!("- {}\n", escape(item)));
                    }
                }
                Block::Table(table) => text.push_str(&render_table(table)),
                Block::Figure(figure) => {
                    text.push_str(&format!("![{}](plots/{}.svg)\n\n", figure.title, figure.name));
                    text.push_str(&format!("*{}*\n", escape(&figure.caption)));
                }
            }
        }
    }
    text
}

fn render_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.columns.iter().map(|column| column.title.to_owned()).collect());
    let rule = |number: bool| if number { "---:" } else { "---" }.to_owned();
    text.push_str(&line(table.columns.iter().map(|column| rule(column.number)).collect()));
    for row in &table.rows {
        text.push_str(&line(row.iter().map(|cell| escape(cell)).collect()));
    }
    text
}

/// Text that Markdown shows as it is: no markup, no HTML, no second line.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::visible(text).chars() {
        match character {
            '\n' | '\t' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '|' | '#' | '[' | ']' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_shown_and_not_obeyed() {
        assert_eq!(
            escape("a|b\n<script>*x*</script> [l](u) \u{202E}"),
            "a\\|b &lt;script>\\*x\\*&lt;/script> \\[l\\](u) ⟨U+202E⟩"
        );
    }
}
