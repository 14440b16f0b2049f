//! The key of a drawing: names beside samples of what they stand for.
use plotters::style::{Color, RGBAColor};

use super::canvas::{Canvas, INK, LINE, MARGIN, Side, WIDTH, colour, fitted, outcome, width};

/// What a mark in the key stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sample {
    Mark(usize),
    Patch(usize),
    Outcome(usize),
    Published,
}

/// The names of what is drawn beside a sample of each, in as many lines as they need.
pub(super) struct Key {
    entries: Vec<(Sample, String, (f64, f64))>,
    pub(super) height: f64,
}

impl Key {
    pub(super) fn new(entries: Vec<(Sample, String)>) -> Self {
        const SAMPLE: f64 = 20.0;
        const GAP: f64 = 22.0;
        let (mut x, mut y) = (0.0, 0.0);
        let mut placed = Vec::new();
        for (sample, name) in entries {
            let name = fitted(&name, WIDTH / 2.0);
            let room = SAMPLE + width(&name);
            if x > 0.0 && x + room > WIDTH - 2.0 * MARGIN {
                (x, y) = (0.0, y + LINE);
            }
            placed.push((sample, name, (x, y)));
            x += room + GAP;
        }
        let height = if placed.is_empty() { 0.0 } else { y + LINE };
        Self { entries: placed, height }
    }

    /// Draws it with its first line's middle at `top`.
    pub(super) fn draw(&self, canvas: &Canvas, top: f64) -> anyhow::Result<()> {
        for (sample, name, (x, y)) in &self.entries {
            let at = (MARGIN + x + 6.0, top + y);
            let patch = |fill: RGBAColor| {
                canvas.rectangle((at.0 - 6.0, at.1 - 6.0), (at.0 + 6.0, at.1 + 6.0), fill)
            };
            match sample {
                Sample::Mark(series) => canvas.mark(*series, at, 5.0)?,
                Sample::Patch(series) => patch(colour(*series).mix(0.7))?,
                Sample::Outcome(number) => patch(outcome(*number))?,
                Sample::Published => canvas.published(at, 4.0)?,
            }
            canvas.text(name, (at.0 + 14.0, at.1), INK, Side::Right)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_key_never_overlap() {
        let names = (0..40).map(|i| (Sample::Mark(i), format!("{i}-{}", "name".repeat(i % 9))));
        let key = Key::new(names.collect());
        for pair in key.entries.windows(2) {
            let [(_, name, (x, y)), (_, _, (next, below))] = pair else { continue };
            assert!(below > y || *next >= x + 20.0 + width(name), "{name}");
            assert!(x + 20.0 + width(name) <= WIDTH - 2.0 * MARGIN, "{name}");
        }
        assert!(key.height >= 4.0 * LINE);
    }
}
