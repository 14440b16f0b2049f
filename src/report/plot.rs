//! Drawings as SVG text: what colour, where the axes stand. Knows nothing of files and pages.
//!
//! Colours: Okabe and Ito 2008, told apart with any colour vision; shapes differ as well. Drawings
//! bring their own light ground, so they read the same on a dark page and on paper.
use anyhow::Context;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    curation::{BINS, Ratings},
    win_rates::WinRates,
    words,
};
use crate::stats::Estimate;

const GROUND: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(34, 38, 44);
const QUIET: RGBColor = RGBColor(96, 103, 112);
const GRID: RGBColor = RGBColor(229, 231, 235);
/// Blue, vermilion, bluish green, reddish purple, orange, sky blue.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// In pixels: small enough that the text can still be read on a phone's width.
const SIZE: (u32, u32) = (600, 390);
const TEXT: i32 = 16;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Win rates with their intervals: models from left to right, one series a kind of baseline.
///
/// `n` says how many prompts each stands on, such as `n = 48 prompts`.
pub(super) fn win_rates(win_rates: &WinRates, n: &str) -> anyhow::Result<String> {
    let mut models: Vec<&str> = Vec::new();
    for comparison in &win_rates.comparisons {
        if !models.contains(&comparison.candidate.as_str()) {
            models.push(&comparison.candidate);
        }
    }
    let series = [("against base", true), ("against previous", false)];
    drawn(|area| {
        let frame = Frame { x_title: "Model", y_title: "Win rate (%)", top: 100.0, step: 25.0 };
        let positions = models.iter().enumerate();
        let ticks: Vec<(f64, String)> =
            positions.map(|(x, model)| (x as f64, (*model).to_owned())).collect();
        let mut chart = frame.draw(area, (-0.5, models.len() as f64 - 0.5), &ticks)?;
        reference(&mut chart, [(-0.5, 50.0), (models.len() as f64 - 0.5, 50.0)])?;
        note(area, &format!("whiskers: 95% intervals; {n}"))?;
        let mut legend = Vec::new();
        for (number, (name, against_base)) in series.into_iter().enumerate() {
            let points: Vec<(f64, Estimate)> = win_rates
                .comparisons
                .iter()
                .filter(|comparison| (comparison.baseline == "base") == against_base)
                .filter_map(|comparison| {
                    let x = models.iter().position(|model| *model == comparison.candidate)?;
                    let aside = if against_base { -0.08 } else { 0.08 };
                    Some((x as f64 + aside, comparison.win_rate?))
                })
                .collect();
            if points.is_empty() {
                continue;
            }
            legend.push((name.to_owned(), number));
            for (x, estimate) in points {
                interval(&mut chart, x, &estimate, PALETTE[number])?;
                mark(&mut chart, (x, 100.0 * estimate.point), number)?;
            }
        }
        key(area, &legend, Marked::ByShape)
    })
}

/// How each model's ratings spread over the scale, with the threshold for being kept.
pub(super) fn ratings(all: &[Ratings], threshold: f64) -> anyhow::Result<String> {
    let highest = all
        .iter()
        .flat_map(|ratings| ratings.shares.iter().flatten())
        .map(|share| 100.0 * share.upper)
        .fold(10.0, f64::max);
    let (top, step) = scale(highest);
    drawn(|area| {
        let frame = Frame { x_title: "Rating", y_title: "Share of rated pairs (%)", top, step };
        let ticks: Vec<(f64, String)> =
            BINS.iter().chain(&[5.0]).map(|&bound| (bound, bound.to_string())).collect();
        let mut chart = frame.draw(area, (0.9, 5.1), &ticks)?;
        let mut legend = Vec::new();
        let width = 0.42 / all.len() as f64;
        for (number, ratings) in all.iter().enumerate() {
            let colour = PALETTE[number % PALETTE.len()];
            legend.push((format!("rated by {}", ratings.rated_by), number));
            for (&lower, share) in BINS.iter().zip(&ratings.shares) {
                let Some(share) = share else { continue };
                let left = lower + 0.04 + width * number as f64;
                let right = left + width * 0.92;
                chart.draw_series([Rectangle::new(
                    [(left, 0.0), (right, 100.0 * share.point)],
                    colour.mix(0.75).filled(),
                )])?;
                interval(&mut chart, (left + right) / 2.0, share, INK)?;
            }
        }
        reference(&mut chart, [(threshold, 0.0), (threshold, top)])?;
        let n: Vec<String> = all.iter().map(|ratings| ratings.rated.to_string()).collect();
        note(area, &format!("whiskers: 95% intervals; n = {} pairs", words::list(&n)))?;
        key(area, &legend, Marked::ByColour)
    })
}

/// Training loss by optimiser step, one line a model.
pub(super) fn losses(curves: &[(String, Vec<f64>)]) -> anyhow::Result<String> {
    let highest = curves.iter().flat_map(|(_, losses)| losses).copied().fold(0.1, f64::max);
    let steps = curves.iter().map(|(_, losses)| losses.len()).max().unwrap_or(1) as f64;
    let (top, step) = scale(highest);
    drawn(|area| {
        let frame = Frame { x_title: "Optimiser step", y_title: "Loss (nats a token)", top, step };
        let (_, stride) = scale(steps);
        let ticks: Vec<(f64, String)> = (0..)
            .map(|tick| f64::from(tick) * stride.max(1.0))
            .take_while(|&x| x <= steps)
            .map(|x| (x, x.to_string()))
            .collect();
        let mut chart = frame.draw(area, (0.0, steps * 1.02), &ticks)?;
        let mut legend = Vec::new();
        for (number, (model, losses)) in curves.iter().enumerate() {
            let colour = PALETTE[number % PALETTE.len()];
            legend.push((model.clone(), number));
            let points = losses.iter().enumerate().map(|(step, &loss)| (step as f64 + 1.0, loss));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
        key(area, &legend, Marked::ByColour)
    })
}

/// Runs `draw` on an empty ground and returns the SVG.
fn drawn(draw: impl FnOnce(&Area) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&GROUND)?;
        draw(&area)?;
        area.present().context("a drawing in memory is always written")?;
    }
    // Without a family of its own a drawing opened by itself would fall back to a serif typeface.
    Ok(svg.replace(
        "font-family=\"sans-serif\"",
        "font-family=\"system-ui, Helvetica, Arial, sans-serif\"",
    ))
}

/// The axes of a chart that starts at 0.
struct Frame {
    x_title: &'static str,
    y_title: &'static str,
    top: f64,
    /// Distance of the horizontal lines.
    step: f64,
}

impl Frame {
    fn draw<'a, 'b>(
        &self,
        area: &'b Area<'a>,
        (left, right): (f64, f64),
        ticks: &[(f64, String)],
    ) -> anyhow::Result<Chart<'a, 'b>> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(58)
            .margin_right(24)
            .margin_left(64)
            .margin_bottom(62)
            .build_cartesian_2d(left..right, 0.0..self.top)?;
        let lines = (0..)
            .map(|line| f64::from(line) * self.step)
            .take_while(|&y| y <= self.top * (1.0 + 1e-9));
        for y in lines {
            chart.draw_series([PathElement::new([(left, y), (right, y)], GRID.stroke_width(1))])?;
            let at = chart.backend_coord(&(left, y));
            let label = ((y * 1000.0).round() / 1000.0).to_string();
            write(area, &label, (at.0 - 10, at.1), QUIET, Pos::new(HPos::Right, VPos::Center))?;
        }
        chart
            .draw_series([PathElement::new([(left, 0.0), (right, 0.0)], QUIET.stroke_width(1))])?;
        for (x, label) in ticks {
            let at = chart.backend_coord(&(*x, 0.0));
            write(area, label, (at.0, at.1 + 10), INK, Pos::new(HPos::Center, VPos::Top))?;
        }
        let corner = (chart.backend_coord(&(left, 0.0)).0, SIZE.1 as i32 - 30);
        write(area, self.x_title, corner, QUIET, Pos::new(HPos::Left, VPos::Top))?;
        // Above the axis rather than turned on its side: nobody has to tilt their head.
        write(area, self.y_title, (24, 14), QUIET, Pos::new(HPos::Left, VPos::Top))?;
        Ok(chart)
    }
}

/// A round top above `highest`, and the distance of four to eight lines below it.
fn scale(highest: f64) -> (f64, f64) {
    let magnitude = 10_f64.powf(highest.log10().floor());
    let step = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0]
        .map(|part| part * magnitude)
        .into_iter()
        .find(|step| highest / step <= 6.0)
        .unwrap_or(magnitude);
    ((highest / step).ceil() * step, step)
}

fn write(
    area: &Area,
    text: &str,
    at: (i32, i32),
    colour: RGBColor,
    anchor: Pos,
) -> anyhow::Result<()> {
    let style = ("sans-serif", TEXT).into_font().color(&colour).pos(anchor);
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// What a reader of the drawing alone has to know, at the bottom right.
fn note(area: &Area, text: &str) -> anyhow::Result<()> {
    let at = (SIZE.0 as i32 - 24, SIZE.1 as i32 - 30);
    write(area, text, at, QUIET, Pos::new(HPos::Right, VPos::Top))
}

/// A dashed line that marks a value of special meaning.
fn reference(chart: &mut Chart, ends: [(f64, f64); 2]) -> anyhow::Result<()> {
    chart.draw_series(DashedLineSeries::new(ends, 6, 5, INK.stroke_width(1)))?;
    Ok(())
}

/// A vertical line from end to end of an interval, with a cap on each.
fn interval(chart: &mut Chart, x: f64, share: &Estimate, colour: RGBColor) -> anyhow::Result<()> {
    let cap = chart.x_range();
    let cap = 0.007 * (cap.end - cap.start);
    let (lower, upper) = (100.0 * share.lower, 100.0 * share.upper);
    let lines = [
        [(x, lower), (x, upper)],
        [(x - cap, lower), (x + cap, lower)],
        [(x - cap, upper), (x + cap, upper)],
    ];
    chart.draw_series(lines.map(|line| PathElement::new(line, colour.stroke_width(2))))?;
    Ok(())
}

/// A filled mark, of another shape for each series.
fn mark(chart: &mut Chart, at: (f64, f64), series: usize) -> anyhow::Result<()> {
    let style = PALETTE[series % PALETTE.len()].filled();
    if series == 0 {
        chart.draw_series([Circle::new(at, 6, style)])?;
    } else {
        chart.draw_series([TriangleMarker::new(at, 8, style)])?;
    }
    Ok(())
}

/// The names of the series beside their marks, in one line at the top right.
fn key(area: &Area, series: &[(String, usize)], marked: Marked) -> anyhow::Result<()> {
    // Without font metrics a generous guess keeps names apart: half an em is a wide face's average.
    let width = |name: &str| (name.chars().count() as f64 * f64::from(TEXT) * 0.5) as i32 + 42;
    let mut x = SIZE.0 as i32 - series.iter().map(|(name, _)| width(name)).sum::<i32>();
    for (name, number) in series {
        let style = PALETTE[number % PALETTE.len()].filled();
        match marked {
            Marked::ByColour => area.draw(&Rectangle::new([(x, 13), (x + 12, 25)], style))?,
            Marked::ByShape if *number == 0 => area.draw(&Circle::new((x + 6, 19), 6, style))?,
            Marked::ByShape => area.draw(&TriangleMarker::new((x + 6, 20), 8, style))?,
        }
        write(area, name, (x + 19, 14), INK, Pos::new(HPos::Left, VPos::Top))?;
        x += width(name);
    }
    Ok(())
}

/// How series are told apart.
#[derive(Clone, Copy)]
enum Marked {
    ByColour,
    ByShape,
}
