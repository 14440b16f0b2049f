//! Two axes with points, lines, columns and bands between them.
use plotters::style::Color;

use super::{
    axis::{Axis, Scale},
    canvas::{
        Canvas, GRID, INK, LINE, MARGIN, QUIET, Side, WIDTH, colour, drawn, fitted, lines, width,
    },
    key::{Key, Sample},
};

#[derive(Debug)]
pub(in crate::report) struct Chart {
    pub(in crate::report) x: Axis,
    pub(in crate::report) y: Axis,
    /// What marks and columns of all series at one place share, in units of x.
    pub(in crate::report) room: f64,
    pub(in crate::report) series: Vec<Series>,
    /// Where dashed lines mark values of special meaning.
    pub(in crate::report) at_x: Option<f64>,
    pub(in crate::report) at_y: Option<f64>,
}

#[derive(Debug)]
pub(in crate::report) struct Series {
    pub(in crate::report) name: String,
    pub(in crate::report) style: Style,
    pub(in crate::report) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Style {
    /// A mark with its interval.
    Marks,
    /// A column from zero with the interval of its height.
    Columns,
    /// A line, with marks along it by which it is known.
    Line,
    /// A straight line in a band from the lower ends to the upper.
    Band,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::report) struct Point {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    /// The ends of its 95% interval, where it has one.
    pub(in crate::report) ends: Option<(f64, f64)>,
    pub(in crate::report) n: Option<usize>,
}

/// Height of what lies between the axes.
const HEIGHT: f64 = 280.0;
/// Marks along a line.
const MARKS: usize = 6;

impl Chart {
    pub(super) fn svg(&self, title: &str, note: &str) -> anyhow::Result<String> {
        let title = lines(title, WIDTH - 2.0 * MARGIN);
        let note = lines(note, WIDTH - 2.0 * MARGIN);
        let key = self.key();
        let top = 14.0 + LINE * title.len() as f64 + key.height + LINE + 16.0;
        let y_ticks = self.y.scale.ticks();
        let labels = y_ticks.iter().map(|(_, label)| width(label)).fold(0.0, f64::max);
        let place = Place {
            chart: self,
            left: MARGIN + labels + 10.0,
            right: WIDTH - MARGIN - 6.0,
            top,
            bottom: top + HEIGHT,
        };
        let height = place.bottom + 2.0 * LINE + LINE * note.len() as f64 + 20.0;
        drawn(height, |canvas| {
            for (number, line) in title.iter().enumerate() {
                let at = (MARGIN, 20.0 + LINE * number as f64);
                canvas.text(line, at, INK, Side::Right)?;
            }
            key.draw(canvas, 22.0 + LINE * title.len() as f64)?;
            // Above the axis rather than turned on its side: nobody has to tilt their head.
            let room = WIDTH - 2.0 * MARGIN;
            canvas.text(&fitted(&self.y.title, room), (MARGIN, top - 20.0), QUIET, Side::Right)?;
            place.axes(canvas, &y_ticks)?;
            for (number, series) in self.series.iter().enumerate() {
                place.draw(canvas, number, series)?;
            }
            for (number, line) in note.iter().enumerate() {
                let y = place.bottom + 22.0 + LINE * (number as f64 + 2.0);
                canvas.text(line, (MARGIN, y), QUIET, Side::Right)?;
            }
            Ok(())
        })
    }

    fn key(&self) -> Key {
        let entry = |(number, series): (usize, &Series)| {
            let sample = match series.style {
                Style::Columns | Style::Band => Sample::Patch(number),
                Style::Marks | Style::Line => Sample::Mark(number),
            };
            (sample, series.name.clone())
        };
        Key::new(self.series.iter().enumerate().map(entry).collect())
    }

    pub(super) fn table(&self) -> Vec<Vec<String>> {
        let head = ["series", "x", "y", "lower", "upper", "n"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for series in &self.series {
            for point in &series.points {
                let x = match &self.x.scale {
                    Scale::Names(names) => names.get(point.x as usize).cloned().unwrap_or_default(),
                    _ => super::super::csv::number(Some(point.x)),
                };
                let number = super::super::csv::number;
                table.push(vec![
                    series.name.clone(),
                    x,
                    number(Some(point.y)),
                    number(point.ends.map(|ends| ends.0)),
                    number(point.ends.map(|ends| ends.1)),
                    point.n.map_or(String::new(), |n| n.to_string()),
                ]);
            }
        }
        table
    }
}

/// Where a chart is drawn.
struct Place<'a> {
    chart: &'a Chart,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Place<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.chart.x.scale.place(value) * (self.right - self.left)
    }

    /// What lies beyond the axis is drawn at its end.
    fn y(&self, value: f64) -> f64 {
        let place = self.chart.y.scale.place(value).clamp(0.0, 1.0);
        self.bottom - place * (self.bottom - self.top)
    }

    fn axes(&self, canvas: &Canvas, y_ticks: &[(f64, String)]) -> anyhow::Result<()> {
        for (y, label) in y_ticks {
            let y = self.y(*y);
            canvas.line(&[(self.left, y), (self.right, y)], GRID, 1)?;
            canvas.text(label, (self.left - 8.0, y), QUIET, Side::Left)?;
        }
        let Chart { x, at_x, at_y, .. } = self.chart;
        canvas.line(&[(self.left, self.bottom), (self.right, self.bottom)], QUIET, 1)?;
        for (at, label) in x.scale.ticks_along(self.right - self.left) {
            let label = fitted(&label, self.right - self.left);
            let half = width(&label) / 2.0;
            let at = self.x(at).clamp(MARGIN + half, WIDTH - MARGIN / 2.0 - half);
            canvas.text(&label, (at, self.bottom + 14.0), INK, Side::Middle)?;
        }
        let title = fitted(&x.title, self.right - self.left);
        canvas.text(&title, (self.left, self.bottom + 14.0 + LINE), QUIET, Side::Right)?;
        if let Some(x) = at_x {
            canvas.dashed((self.x(*x), self.top), (self.x(*x), self.bottom))?;
        }
        if let Some(y) = at_y {
            canvas.dashed((self.left, self.y(*y)), (self.right, self.y(*y)))?;
        }
        Ok(())
    }

    fn draw(&self, canvas: &Canvas, number: usize, series: &Series) -> anyhow::Result<()> {
        let own = colour(number);
        match series.style {
            Style::Marks => {
                let (aside, room) = self.share(number, Style::Marks);
                let radius = (0.4 * room).clamp(2.0, 6.0);
                for point in &series.points {
                    let x = self.x(point.x + aside);
                    self.interval(canvas, x, point, (0.3 * room).clamp(1.0, 5.0), own)?;
                    canvas.mark(number, (x, self.y(point.y)), radius)?;
                }
            }
            Style::Columns => {
                let (aside, room) = self.share(number, Style::Columns);
                for point in &series.points {
                    let x = self.x(point.x + aside);
                    let half = 0.46 * room;
                    let corners = ((x - half, self.y(point.y)), (x + half, self.y(0.0)));
                    canvas.rectangle(corners.0, corners.1, own.mix(0.7))?;
                    self.interval(canvas, x, point, (0.3 * room).clamp(1.0, 4.0), INK)?;
                }
            }
            Style::Line => {
                let points = self.points(series, |point| point.y);
                canvas.line(&points, own, 2)?;
                // Each at its own places, so that lines that run together are still told apart.
                let spread = points.len() as f64 / MARKS as f64;
                let first = (number as f64 * 0.618).fract();
                let last = points.len().saturating_sub(1);
                for mark in 0..MARKS.min(points.len()) {
                    let at = ((mark as f64 + first) * spread) as usize;
                    canvas.mark(number, points[at.min(last)], 4.0)?;
                }
            }
            Style::Band => {
                let lower = |point: &Point| point.ends.map_or(point.y, |ends| ends.0);
                let upper = |point: &Point| point.ends.map_or(point.y, |ends| ends.1);
                let mut around = self.points(series, upper);
                around.extend(self.points(series, lower).into_iter().rev());
                canvas.area(&around, own.mix(0.15))?;
                // Drawn from pixel to pixel in short pieces it would not be straight.
                let line = self.points(series, |point| point.y);
                if let [first, .., last] = line[..] {
                    canvas.line(&[first, last], own, 2)?;
                }
            }
        }
        Ok(())
    }

    fn points(&self, series: &Series, y: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
        series.points.iter().map(|point| (self.x(point.x), self.y(y(point)))).collect()
    }

    /// How far from its place a series stands, in units of x, and the pixels that it has there.
    fn share(&self, number: usize, style: Style) -> (f64, f64) {
        if matches!(self.chart.x.scale, Scale::Logarithmic { .. }) {
            return (0.0, 16.0);
        }
        let beside = |series: &&Series| series.style == style;
        let all = self.chart.series.iter().filter(beside).count().max(1) as f64;
        let before = self.chart.series[..number].iter().filter(beside).count() as f64;
        let room = self.chart.room / all;
        ((before + 0.5) * room - self.chart.room / 2.0, (self.x(room) - self.x(0.0)).abs())
    }

    fn interval(
        &self,
        canvas: &Canvas,
        x: f64,
        point: &Point,
        cap: f64,
        colour: plotters::style::RGBColor,
    ) -> anyhow::Result<()> {
        let Some((lower, upper)) = point.ends else { return Ok(()) };
        let ends = ((x, self.y(lower)), (x, self.y(upper)));
        // Where many stand side by side, thick lines would run into each other.
        if cap < 2.0 {
            return canvas.line(&[ends.0, ends.1], colour, 1);
        }
        canvas.whisker(ends, cap, colour)
    }
}
