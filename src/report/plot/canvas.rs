//! What drawings are made of: lines, marks, text, and the frame around them. Coordinates are pixels.
use anyhow::Context;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::png;

pub(super) const INK: RGBColor = RGBColor(34, 38, 44);
pub(super) const QUIET: RGBColor = RGBColor(96, 103, 112);
pub(super) const GRID: RGBColor = RGBColor(229, 231, 235);
const GROUND: RGBColor = RGBColor(255, 255, 255);
/// Okabe and Ito 2008 without its yellow, which white paper swallows: blue, vermilion, bluish green,
/// reddish purple, orange, sky blue, black. Told apart with any colour vision.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Narrow enough that the text can still be read on a phone.
pub(super) const WIDTH: f64 = 640.0;
pub(super) const MARGIN: f64 = 20.0;
/// The size of text.
const TEXT: f64 = 13.5;
/// plotters divides a size by this before it writes it.
const PLOTTERS: f64 = 1.24;
/// From one line of text to the next.
pub(super) const LINE: f64 = 21.0;

/// The colour of a series; told apart from others of the same colour by its mark.
pub(super) fn colour(series: usize) -> RGBColor {
    PALETTE[series % PALETTE.len()]
}

/// The colour of wins, of ties and of losses.
pub(super) fn outcome(number: usize) -> RGBAColor {
    [PALETTE[0].mix(0.5), QUIET.mix(0.3), PALETTE[1].mix(0.5)][number % 3]
}

/// The width of a text in pixels.
pub(super) fn width(text: &str) -> f64 {
    png::width(text, TEXT)
}

/// A text that fits into `room`, its end cut off if need be.
pub(super) fn fitted(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut cut: Vec<char> = text.chars().collect();
    while cut.pop().is_some() {
        let shorter: String = cut.iter().chain(&['…']).collect();
        if width(&shorter) <= room {
            return shorter;
        }
    }
    String::new()
}

/// A text in lines that fit into `room`, broken between words.
pub(super) fn lines(text: &str, room: f64) -> Vec<String> {
    // No line ends within `n = 48`.
    let text = text.replace(" = ", "\u{A0}=\u{A0}");
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = fitted(word, room);
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}")) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// On which side of its place a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// It begins there.
    Right,
    Middle,
    /// It ends there.
    Left,
}

pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// An SVG of the given height that `draw` fills.
pub(super) fn drawn(
    height: f64,
    draw: impl FnOnce(&Canvas) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (WIDTH as u32, height.ceil() as u32);
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
        canvas.area.fill(&GROUND)?;
        draw(&canvas)?;
        canvas.area.present().context("a drawing in memory is always written")?;
    }
    // Without a family of its own a drawing opened by itself would fall back to a serif typeface.
    Ok(svg.replace(
        "font-family=\"sans-serif\"",
        "font-family=\"system-ui, Helvetica, Arial, sans-serif\"",
    ))
}

fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

impl Canvas<'_> {
    /// A line of text whose middle is at the height of `at`.
    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        colour: RGBColor,
        side: Side,
    ) -> anyhow::Result<()> {
        let side = match side {
            Side::Right => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Left => HPos::Right,
        };
        let style = ("sans-serif", PLOTTERS * TEXT).into_font().color(&colour);
        let style = style.pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), pixel(at), style))?;
        Ok(())
    }

    pub(super) fn line(
        &self,
        points: &[(f64, f64)],
        colour: RGBColor,
        width: u32,
    ) -> anyhow::Result<()> {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.area.draw(&PathElement::new(points, colour.stroke_width(width)))?;
        Ok(())
    }

    /// A line that marks a value of special meaning.
    pub(super) fn dashed(&self, from: (f64, f64), to: (f64, f64)) -> anyhow::Result<()> {
        const PERIOD: f64 = 11.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |way: f64| {
            let share = (way / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        for dash in 0..(length / PERIOD).ceil() as usize {
            let begin = PERIOD * dash as f64;
            self.line(&[at(begin), at(begin + 6.0)], INK, 1)?;
        }
        Ok(())
    }

    pub(super) fn area(&self, points: &[(f64, f64)], fill: RGBAColor) -> anyhow::Result<()> {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        self.area.draw(&Polygon::new(points, fill.filled()))?;
        Ok(())
    }

    pub(super) fn rectangle(
        &self,
        from: (f64, f64),
        to: (f64, f64),
        fill: RGBAColor,
    ) -> anyhow::Result<()> {
        self.area.draw(&Rectangle::new([pixel(from), pixel(to)], fill.filled()))?;
        Ok(())
    }

    /// Nothing but the ground, whatever was there.
    pub(super) fn cleared(&self, from: (f64, f64), to: (f64, f64)) -> anyhow::Result<()> {
        self.rectangle(from, to, GROUND.mix(1.0))
    }

    /// A whisker from one end of an interval to the other, across or upright.
    pub(super) fn whisker(
        &self,
        (from, to): ((f64, f64), (f64, f64)),
        cap: f64,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
        self.line(&[from, to], colour, 2)?;
        for (x, y) in [from, to] {
            let ends = if from.0 == to.0 {
                [(x - cap, y), (x + cap, y)]
            } else {
                [(x, y - cap), (x, y + cap)]
            };
            self.line(&ends, colour, 2)?;
        }
        Ok(())
    }

    /// A series' own mark: its shape and its colour together are the first 42 series' own.
    pub(super) fn mark(&self, series: usize, at: (f64, f64), radius: f64) -> anyhow::Result<()> {
        let (x, y) = at;
        let corners: &[(f64, f64)] = match series % 6 {
            0 => return self.disc(at, radius, colour(series)),
            1 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            2 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            3 => &[(0.0, -1.3), (1.2, 0.0), (0.0, 1.3), (-1.2, 0.0)],
            4 => &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
            _ => &[(-1.2, -0.5), (1.2, -0.5), (1.2, 0.5), (-1.2, 0.5)],
        };
        let corners: Vec<(f64, f64)> =
            corners.iter().map(|(dx, dy)| (x + radius * dx, y + radius * dy)).collect();
        self.area(&corners, colour(series).mix(1.0))
    }

    fn disc(&self, at: (f64, f64), radius: f64, colour: RGBColor) -> anyhow::Result<()> {
        self.area.draw(&Circle::new(pixel(at), radius.round() as i32, colour.filled()))?;
        Ok(())
    }

    /// The mark of a number that somebody else published: hollow, so that nobody takes it for one that
    /// was measured here.
    pub(super) fn published(&self, (x, y): (f64, f64), radius: f64) -> anyhow::Result<()> {
        let corner = |(dx, dy): (f64, f64)| pixel((x + radius * dx, y + radius * dy));
        let corners = [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0), (0.0, -1.3)].map(corner);
        self.area.draw(&Polygon::new(corners, GROUND.filled()))?;
        self.area.draw(&PathElement::new(corners, INK.stroke_width(2)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_broken_by_its_width() {
        assert_eq!(fitted("short", 100.0), "short");
        let cut = fitted("a name that is far too long for its column", 100.0);
        assert!(cut.ends_with('…') && width(&cut) <= 100.0, "{cut}");
        let broken = lines("one two three four five six seven eight nine ten", 100.0);
        assert!(broken.len() > 2 && broken.iter().all(|line| width(line) <= 100.0), "{broken:?}");
        assert_eq!(broken.join(" "), "one two three four five six seven eight nine ten");
    }
}
