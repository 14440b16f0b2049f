//! One thing a row: its name, what is known of it drawn to a common axis, and that in figures.
use plotters::style::Color;

use super::{
    axis::Axis,
    canvas::{
        Canvas, GRID, INK, LINE, MARGIN, QUIET, Side, WIDTH, colour, drawn, fitted, lines, outcome,
        width,
    },
    key::{Key, Sample},
};
use crate::stats::Estimate;

/// Rows to one axis, from the top down.
#[derive(Debug)]
pub(in crate::report) struct Rows {
    pub(in crate::report) axis: Axis,
    /// Where a dashed line marks "no difference" or the like.
    pub(in crate::report) even: Option<f64>,
    /// What marks say, where there are several.
    pub(in crate::report) key: Vec<String>,
    pub(in crate::report) rows: Vec<Row>,
}

#[derive(Debug)]
pub(in crate::report) struct Row {
    pub(in crate::report) label: String,
    pub(in crate::report) drawn: Vec<Drawn>,
    /// The same in figures, at the right.
    pub(in crate::report) figures: String,
}

impl Row {
    /// A line of text above the rows that it is about.
    pub(in crate::report) fn heading(label: impl Into<String>) -> Self {
        Self { label: label.into(), drawn: Vec::new(), figures: String::new() }
    }

    fn is_heading(&self) -> bool {
        self.drawn.is_empty() && self.figures.is_empty()
    }
}

/// What is known of a row, in the axis' unit.
#[derive(Debug)]
pub(in crate::report) enum Drawn {
    /// A number of ours with its interval; it has the mark of the key's entry of this number.
    Measured(usize, Estimate),
    /// A number that somebody else published, and its standard error.
    Published(f64, Option<f64>),
    /// A bar of wins, ties and losses, and the interval of the win rate on it.
    Outcomes([f64; 3], Option<Estimate>),
    /// A bar from zero.
    Bar(f64),
    /// The 5th, 25th, 50th, 75th and 95th percentile.
    Spread([f64; 5]),
}

const ROW: f64 = 27.0;
/// From one number of a row to the next.
const APART: f64 = 10.0;
/// Standard errors on each side of a published number that make a 95% interval.
const REACH: f64 = 1.959964;
const PUBLISHED: &str = "published, not measured here";
const OUTCOMES: [&str; 3] = ["won", "tied", "lost"];

impl Rows {
    pub(super) fn svg(&self, title: &str, note: &str) -> anyhow::Result<String> {
        let title = lines(title, WIDTH - 2.0 * MARGIN);
        let note = lines(note, WIDTH - 2.0 * MARGIN);
        let key = self.key();
        let top = 14.0 + LINE * title.len() as f64 + key.height + 8.0;
        let bottom = top + ROW * self.rows.len() as f64;
        let height = bottom + 2.0 * LINE + LINE * note.len() as f64 + 20.0;
        let widest = |text: fn(&Row) -> &str| {
            let rows = self.rows.iter().filter(|row| !row.is_heading());
            rows.map(|row| width(text(row))).fold(0.0, f64::max)
        };
        // Figures are never cut, names are, and what is drawn has what is left.
        let figures = widest(|row| &row.figures);
        let names = widest(|row| &row.label).min(WIDTH - 2.0 * MARGIN - figures - 200.0);
        let left = MARGIN + names + 12.0;
        let right = WIDTH - MARGIN - figures - 16.0;
        drawn(height, |canvas| {
            for (number, line) in title.iter().enumerate() {
                let at = (MARGIN, 20.0 + LINE * number as f64);
                canvas.text(line, at, INK, Side::Right)?;
            }
            key.draw(canvas, 22.0 + LINE * title.len() as f64)?;
            let across = Across { rows: self, left, right };
            for (x, label) in self.axis.scale.ticks_along(right - left) {
                let x = across.x(x);
                canvas.line(&[(x, top), (x, bottom)], GRID, 1)?;
                canvas.text(&label, (x, bottom + 14.0), INK, Side::Middle)?;
            }
            if let Some(even) = self.even {
                canvas.dashed((across.x(even), top), (across.x(even), bottom))?;
            }
            for (number, row) in self.rows.iter().enumerate() {
                let y = top + ROW * (number as f64 + 0.5);
                if row.is_heading() {
                    let label = fitted(&row.label, WIDTH - 2.0 * MARGIN);
                    // It crosses the lines of the axis, which must not cross its letters.
                    let end = MARGIN + width(&label) + 4.0;
                    canvas.cleared((MARGIN, y - 10.0), (end, y + 10.0))?;
                    canvas.text(&label, (MARGIN, y), QUIET, Side::Right)?;
                    continue;
                }
                canvas.text(&fitted(&row.label, names), (MARGIN, y), INK, Side::Right)?;
                canvas.text(&row.figures, (WIDTH - MARGIN, y), INK, Side::Left)?;
                across.draw(canvas, row, y)?;
            }
            let place = (left, bottom + 14.0 + LINE);
            let room = WIDTH - MARGIN - left;
            canvas.text(&fitted(&self.axis.title, room), place, QUIET, Side::Right)?;
            for (number, line) in note.iter().enumerate() {
                let y = bottom + 22.0 + LINE * (number as f64 + 2.0);
                canvas.text(line, (MARGIN, y), QUIET, Side::Right)?;
            }
            Ok(())
        })
    }

    fn key(&self) -> Key {
        let named = self.key.iter().enumerate();
        let mut entries: Vec<(Sample, String)> =
            named.map(|(number, name)| (Sample::Mark(number), name.clone())).collect();
        if self.any(|drawn| matches!(drawn, Drawn::Outcomes(..))) {
            let outcome = |number: usize| (Sample::Outcome(number), OUTCOMES[number].to_owned());
            entries.extend([0, 1, 2].map(outcome));
        }
        if self.any(|drawn| matches!(drawn, Drawn::Published(..))) {
            entries.push((Sample::Published, PUBLISHED.to_owned()));
        }
        Key::new(entries)
    }

    fn any(&self, is: impl Fn(&Drawn) -> bool) -> bool {
        self.rows.iter().flat_map(|row| &row.drawn).any(is)
    }

    pub(super) fn table(&self) -> Vec<Vec<String>> {
        let head = ["heading", "row", "what", "value", "lower", "upper", "n"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        let mut heading = "";
        for row in &self.rows {
            if row.is_heading() {
                heading = &row.label;
            }
            let mut push = |what: &str, numbers: [Option<f64>; 3], n: Option<usize>| {
                let mut line = vec![heading.to_owned(), row.label.clone(), what.to_owned()];
                line.extend(numbers.map(super::super::csv::number));
                line.push(n.map_or(String::new(), |n| n.to_string()));
                table.push(line);
            };
            for drawn in &row.drawn {
                match drawn {
                    Drawn::Measured(kind, estimate) => {
                        let Estimate { point, lower, upper, n } = *estimate;
                        let what = self.key.get(*kind).map_or("measured", String::as_str);
                        push(what, [Some(point), Some(lower), Some(upper)], Some(n));
                    }
                    Drawn::Published(point, error) => {
                        let end = |side: f64| error.map(|error| point + side * REACH * error);
                        push(PUBLISHED, [Some(*point), end(-1.0), end(1.0)], None);
                    }
                    Drawn::Outcomes(parts, win_rate) => {
                        for (name, part) in OUTCOMES.iter().zip(parts) {
                            push(name, [Some(*part), None, None], None);
                        }
                        if let Some(Estimate { point, lower, upper, n }) = *win_rate {
                            push("win rate", [Some(point), Some(lower), Some(upper)], Some(n));
                        }
                    }
                    Drawn::Bar(value) => push("value", [Some(*value), None, None], None),
                    Drawn::Spread([least, quarter, middle, most, all]) => {
                        push("middle 90%", [Some(*middle), Some(*least), Some(*all)], None);
                        push("middle half", [Some(*middle), Some(*quarter), Some(*most)], None);
                    }
                }
            }
        }
        table
    }
}

/// Where rows are drawn, from left to right.
struct Across<'a> {
    rows: &'a Rows,
    left: f64,
    right: f64,
}

impl Across<'_> {
    /// What lies beyond the axis is drawn at its end.
    fn x(&self, value: f64) -> f64 {
        let place = self.rows.axis.scale.place(value).clamp(0.0, 1.0);
        self.left + place * (self.right - self.left)
    }

    fn draw(&self, canvas: &Canvas, row: &Row, middle: f64) -> anyhow::Result<()> {
        // One below the other, as numbers that agree would hide each other.
        let first = middle - APART * (row.drawn.len() as f64 - 1.0) / 2.0;
        for (number, drawn) in row.drawn.iter().enumerate() {
            let y = first + APART * number as f64;
            match drawn {
                Drawn::Measured(kind, estimate) => {
                    let ends = (self.x(estimate.lower), self.x(estimate.upper));
                    canvas.whisker(((ends.0, y), (ends.1, y)), 4.0, colour(*kind))?;
                    canvas.mark(*kind, (self.x(estimate.point), y), 5.0)?;
                }
                Drawn::Published(point, error) => {
                    if let Some(error) = error {
                        let end = |side: f64| (self.x(point + side * REACH * error), y);
                        canvas.line(&[end(-1.0), end(1.0)], INK, 1)?;
                    }
                    canvas.published((self.x(*point), y), 4.0)?;
                }
                Drawn::Outcomes(parts, win_rate) => {
                    let mut from = 0.0;
                    for (outcome_number, part) in parts.iter().enumerate() {
                        let (begin, end) = (self.x(from), self.x(from + part));
                        canvas.rectangle(
                            (begin, y - 9.0),
                            (end, y + 9.0),
                            outcome(outcome_number),
                        )?;
                        from += part;
                    }
                    if let Some(win_rate) = win_rate {
                        let ends = ((self.x(win_rate.lower), y), (self.x(win_rate.upper), y));
                        canvas.whisker(ends, 4.0, INK)?;
                        let x = self.x(win_rate.point);
                        canvas.line(&[(x, y - 6.0), (x, y + 6.0)], INK, 3)?;
                    }
                }
                Drawn::Bar(value) => {
                    let ends = ((self.x(0.0), y - 7.0), (self.x(*value), y + 7.0));
                    canvas.rectangle(ends.0, ends.1, colour(0).mix(0.75))?;
                }
                Drawn::Spread([least, quarter, median, most, all]) => {
                    let whisker = ((self.x(*least), y), (self.x(*all), y));
                    canvas.whisker(whisker, 4.0, colour(0))?;
                    let half = ((self.x(*quarter), y - 6.0), (self.x(*most), y + 6.0));
                    canvas.rectangle(half.0, half.1, colour(0).mix(0.45))?;
                    let x = self.x(*median);
                    canvas.line(&[(x, y - 7.0), (x, y + 7.0)], INK, 3)?;
                }
            }
        }
        Ok(())
    }
}
