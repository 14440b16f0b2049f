//! Readable text from what a walk through a page meets: paragraphs, list items, table rows, code.
//!
//! Knows nothing of HTML elements; [`super::page`] says what begins and ends.

/// A piece of a page that stands on lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Blocks of one list or one table share their number.
    pub(super) unit: usize,
    /// Follows the block before it with no blank line between them.
    pub(super) tight: bool,
    pub(super) weight: Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of level 1 to 6.
    Header(u8),
    Prose,
    Code,
}

/// How much of a text is links: what tells navigation from content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Characters that are not white space, here and below.
    pub(super) characters: usize,
    pub(super) link_characters: usize,
    pub(super) links: usize,
}

/// Collects blocks.
#[derive(Debug, Default)]
pub(super) struct Writer {
    blocks: Vec<Block>,
    line: String,
    /// White space was met since the last character of `line`.
    space: bool,
    weight: Weight,
    open_links: usize,
    header: Option<u8>,
    /// The text of an open code block, as it stands.
    code: Option<String>,
    lists: Vec<List>,
    /// Lists that were open at the last header: they lay out the page and get neither marker nor
    /// indentation.
    layout_lists: usize,
    table: Option<Table>,
    last_unit: usize,
    tight: bool,
}

#[derive(Debug)]
struct List {
    /// The next item's number; `None` for bullets.
    number: Option<usize>,
    /// What the open item still has to put before its first block.
    marker: Option<String>,
    /// The width of the open item's marker.
    width: usize,
}

#[derive(Debug, Default)]
struct Table {
    cells: usize,
    rows: usize,
}

impl Writer {
    /// The blocks, when the page is over.
    pub(super) fn finish(mut self) -> Vec<Block> {
        self.code_end();
        self.end_block();
        self.blocks
    }

    pub(super) fn in_header(&self) -> bool {
        self.header.is_some()
    }

    pub(super) fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.push_str(text);
            return;
        }
        for character in text.chars() {
            if character.is_whitespace() {
                self.space = true;
            } else if !is_invisible(character) {
                self.character(character);
            }
        }
    }

    fn character(&mut self, character: char) {
        if self.space && !self.line.is_empty() && !self.line.ends_with('\n') {
            self.line.push(' ');
        }
        self.space = false;
        self.line.push(character);
        self.weight.characters += 1;
        self.weight.link_characters += usize::from(self.open_links > 0);
    }

    pub(super) fn link_begin(&mut self) {
        self.open_links += 1;
        self.weight.links += 1;
    }

    pub(super) fn link_end(&mut self) {
        self.open_links -= 1;
    }

    /// One breaks a line, two end a paragraph.
    pub(super) fn line_break(&mut self) {
        if let Some(code) = &mut self.code {
            code.push('\n');
        } else if self.header.is_some() || self.table.is_some() {
            self.space = true;
        } else if self.line.ends_with('\n') {
            self.end_block();
        } else if !self.line.is_empty() {
            self.line.push('\n');
        }
    }

    /// A block begins or ends here, whatever it is.
    pub(super) fn boundary(&mut self) {
        if let Some(code) = &mut self.code {
            if !code.is_empty() && !code.ends_with('\n') {
                code.push('\n');
            }
        } else if self.header.is_some() || self.table.is_some() {
            self.space = true;
        } else {
            self.end_block();
        }
    }

    pub(super) fn header_begin(&mut self, level: u8) {
        self.end_block();
        self.header = Some(level);
    }

    pub(super) fn header_end(&mut self) {
        let Some(level) = self.header.take() else { return };
        let text = std::mem::take(&mut self.line);
        let weight = std::mem::take(&mut self.weight);
        self.space = false;
        self.tight = false;
        self.layout_lists = self.lists.len();
        let unit = self.new_unit();
        self.blocks.push(Block { kind: Kind::Header(level), text, unit, tight: false, weight });
    }

    pub(super) fn code_begin(&mut self) {
        self.boundary();
        if self.header.is_none() && self.table.is_none() && self.code.is_none() {
            self.code = Some(String::new());
        }
    }

    pub(super) fn code_end(&mut self) {
        let Some(code) = self.code.take() else { return };
        let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
        let Some(first) = lines.iter().position(|line| !line.is_empty()) else { return };
        let last = lines.iter().rposition(|line| !line.is_empty()).unwrap_or(first);
        let code = lines[first..=last].join("\n");
        let mut fence = "```".to_owned();
        while code.contains(&fence) {
            fence.push('`');
        }
        self.push(Kind::Code, &format!("{fence}\n{code}\n{fence}"), Weight::default());
    }

    /// `number` is that of the first item, for a numbered list.
    pub(super) fn list_begin(&mut self, number: Option<usize>) {
        self.boundary();
        if self.lists.len() == self.layout_lists && self.table.is_none() {
            self.new_unit();
        }
        self.lists.push(List { number, marker: None, width: 0 });
    }

    pub(super) fn list_end(&mut self) {
        self.boundary();
        self.lists.pop();
        self.layout_lists = self.layout_lists.min(self.lists.len());
        self.tight = false;
    }

    pub(super) fn item_begin(&mut self) {
        self.boundary();
        let Some(list) = self.lists.last_mut() else { return };
        let marker = match &mut list.number {
            Some(number) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            None => "- ".to_owned(),
        };
        list.width = marker.len();
        list.marker = Some(marker);
    }

    pub(super) fn item_end(&mut self) {
        self.boundary();
        if let Some(list) = self.lists.last_mut() {
            list.marker = None;
            list.width = 0;
        }
    }

    /// The next block explains the one before it and stands on the line below it.
    pub(super) fn stay_close(&mut self) {
        self.boundary();
        self.tight = matches!(self.blocks.last(), Some(Block { kind: Kind::Prose, .. }));
    }

    /// A table of short cells, with no blocks inside them.
    pub(super) fn table_begin(&mut self) {
        self.boundary();
        if self.lists.len() == self.layout_lists {
            self.new_unit();
        }
        self.table = Some(Table::default());
    }

    pub(super) fn table_end(&mut self) {
        self.row_end();
        self.table = None;
    }

    pub(super) fn row_begin(&mut self) {
        self.row_end();
    }

    /// Also ends a caption.
    pub(super) fn row_end(&mut self) {
        let Some(table) = &mut self.table else { return self.boundary() };
        let tight = table.rows > 0;
        table.cells = 0;
        if self.line.chars().any(|character| character != '|' && character != ' ') {
            table.rows += 1;
            self.tight |= tight;
        } else {
            self.line.clear();
        }
        self.end_block();
    }

    pub(super) fn cell_begin(&mut self) {
        let Some(table) = &mut self.table else { return self.boundary() };
        table.cells += 1;
        if table.cells > 1 {
            self.line.push_str(" |");
            self.space = true;
        }
    }

    fn new_unit(&mut self) -> usize {
        self.last_unit += 1;
        self.last_unit
    }

    fn end_block(&mut self) {
        let line = std::mem::take(&mut self.line);
        let weight = std::mem::take(&mut self.weight);
        self.space = false;
        self.push(Kind::Prose, line.trim(), weight);
    }

    /// Adds a block with the marker and indentation of the lists around it.
    fn push(&mut self, kind: Kind, text: &str, weight: Weight) {
        if text.is_empty() {
            return;
        }
        let inside = self.lists.len() > self.layout_lists || self.table.is_some();
        let unit = if inside { self.last_unit } else { self.new_unit() };
        let mut before = String::new();
        let mut is_first_of_item = false;
        for list in &mut self.lists[self.layout_lists..] {
            before = " ".repeat(before.len());
            is_first_of_item = list.marker.is_some();
            before += &list.marker.take().unwrap_or_else(|| " ".repeat(list.width));
        }
        let below = format!("\n{}", " ".repeat(before.len()));
        let follows =
            self.blocks.last().is_some_and(|last| last.kind == Kind::Prose && last.unit == unit);
        let text = before + &text.replace('\n', &below).replace(&format!("{below}\n"), "\n\n");
        let tight = (self.tight || is_first_of_item) && follows;
        self.tight = false;
        self.blocks.push(Block { kind, text, unit, tight, weight });
    }
}

/// Soft hyphens, zero-width characters, byte order marks, control characters: nobody reads them.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
        || character.is_control()
}
