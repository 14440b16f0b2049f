//! From values to places on an axis, and which of them are written down.
use super::canvas::width;

/// An axis with its title, which names the unit.
#[derive(Debug)]
pub(in crate::report) struct Axis {
    pub(in crate::report) title: String,
    pub(in crate::report) scale: Scale,
}

#[derive(Debug)]
pub(in crate::report) enum Scale {
    Linear {
        from: f64,
        to: f64,
    },
    /// Both ends are above zero.
    Logarithmic {
        from: f64,
        to: f64,
    },
    /// The i-th name stands at i.
    Names(Vec<String>),
}

impl Scale {
    /// A linear scale with round ends that holds all of `values`, and zero if `zero`.
    pub(in crate::report) fn around(values: impl IntoIterator<Item = f64>, zero: bool) -> Self {
        let start = if zero { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        let values = values.into_iter().filter(|value| value.is_finite());
        let (low, high) =
            values.fold(start, |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
        if low > high {
            return Self::Linear { from: 0.0, to: 1.0 };
        }
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        let step = step(high - low);
        Self::Linear { from: (low / step).floor() * step, to: (high / step).ceil() * step }
    }

    /// Where a value lies: 0 at the beginning of the axis, 1 at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Logarithmic { from, to } => (value / from).ln() / (to / from).ln(),
            Self::Names(names) => (value + 0.5) / names.len().max(1) as f64,
        }
    }

    /// Values with their labels, in order.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { from, to } => {
                let step = step(to - from);
                let first = (from / step - 1e-9).ceil() as i64;
                let last = (to / step + 1e-9).floor() as i64;
                (first..=last).map(|tick| tick as f64 * step).map(|x| (x, label(x))).collect()
            }
            Self::Logarithmic { from, to } => {
                let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
                let all = decades.flat_map(|decade| {
                    [1.0, 2.0, 5.0].map(|digit: f64| digit * 10_f64.powi(decade))
                });
                let inside = all.filter(|x| (*from * 0.999..=*to * 1.001).contains(x));
                let ticks: Vec<(f64, String)> = inside.map(|x| (x, label(x))).collect();
                if ticks.len() < 3 {
                    return Self::Linear { from: *from, to: *to }.ticks();
                }
                ticks
            }
            Self::Names(names) => {
                names.iter().enumerate().map(|(x, name)| (x as f64, name.clone())).collect()
            }
        }
    }

    /// Those of [`ticks`](Self::ticks) whose labels have room beside each other on an axis of `length`
    /// pixels: every one, every second, every third, ...
    pub(super) fn ticks_along(&self, length: f64) -> Vec<(f64, String)> {
        let all = self.ticks();
        let fits = |stride: usize| {
            let kept: Vec<(f64, f64)> = all
                .iter()
                .step_by(stride)
                .map(|(x, label)| (length * self.place(*x), width(label) / 2.0))
                .collect();
            kept.windows(2).all(|pair| pair[0].0 + pair[0].1 + 8.0 <= pair[1].0 - pair[1].1)
        };
        let stride = (1..=all.len()).find(|&stride| fits(stride)).unwrap_or(1);
        all.iter().step_by(stride).cloned().collect()
    }
}

/// The distance of about five round numbers on an axis of this span.
fn step(span: f64) -> f64 {
    let magnitude = 10_f64.powf(span.log10().floor());
    let parts = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0].map(|part| part * magnitude);
    parts.into_iter().find(|step| span / step <= 6.0).unwrap_or(magnitude)
}

fn label(value: f64) -> String {
    // Sums of steps end in digits that nobody asked for; and -0 is 0.
    let rounded = (value * 1e6).round() / 1e6 + 0.0;
    let whole = rounded.abs().trunc();
    if rounded.fract() == 0.0 && whole >= 1e4 {
        let sign = if rounded < 0.0 { "\u{2212}" } else { "" };
        return format!("{sign}{}", super::super::words::count(whole as usize));
    }
    rounded.to_string().replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_as_many_as_can_be_read() {
        let percent = Scale::Linear { from: 0.0, to: 100.0 };
        assert_eq!(labels(&percent), ["0", "20", "40", "60", "80", "100"]);
        let points = Scale::around([-19.2, 30.5], false);
        assert_eq!(labels(&points), ["−20", "−10", "0", "10", "20", "30", "40"]);
        let examples = Scale::Logarithmic { from: 90.0, to: 50_000.0 };
        assert_eq!(
            labels(&examples),
            ["100", "200", "500", "1000", "2000", "5000", "10,000", "20,000", "50,000"]
        );
        assert_eq!(labels(&Scale::around([], true)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        for value in [0.0, 5.0, -3.0] {
            assert!(Scale::around([value], false).place(value).is_finite());
        }
    }

    #[test]
    fn labels_along_an_axis_never_overlap() {
        for n in [1, 3, 12, 40, 400] {
            let scale = Scale::Names((0..n).map(|i| format!("M{i}")).collect());
            let ticks = scale.ticks_along(500.0);
            assert!(!ticks.is_empty());
            for pair in ticks.windows(2) {
                let at = |i: usize| 500.0 * scale.place(pair[i].0);
                assert!(at(1) - at(0) >= (width(&pair[0].1) + width(&pair[1].1)) / 2.0, "{n}");
            }
        }
    }
}
