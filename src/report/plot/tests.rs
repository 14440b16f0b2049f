//! That no text lies on another, whatever is drawn.
use super::{
    canvas::{WIDTH, width},
    *,
};
use crate::stats::Estimate;

/// The boxes of all texts of a drawing: left, top, right, bottom.
fn boxes(svg: &str) -> Vec<(String, [f64; 4])> {
    let texts = svg.split("<text ").skip(1);
    let parse = |text: &str| {
        let attribute = |name: &str| {
            let rest = text.split(&format!("{name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let number = |name: &str| attribute(name).parse::<f64>().unwrap();
        let content = text.split('>').nth(1).unwrap().split('<').next().unwrap().trim().to_owned();
        let (x, y, size) = (number(" x").max(0.0), number(" y"), number("font-size"));
        let long = width(&content);
        let left = match attribute("text-anchor").as_str() {
            "start" => x,
            "middle" => x - long / 2.0,
            _ => x - long,
        };
        (content, [left, y - size / 2.0, left + long, y + size / 2.0])
    };
    texts.map(|text| parse(&format!(" {text}"))).collect()
}

fn readable(plot: &Plot) {
    let svg = plot.svg().unwrap();
    let height: f64 =
        svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let boxes = boxes(&svg);
    for (number, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
        assert!(
            *left >= 0.0 && *right <= WIDTH + 0.5 && *top >= 0.0 && *bottom <= height,
            "{text:?} leaves the drawing: {left} {top} {right} {bottom}"
        );
        for (other, [l, t, r, b]) in &boxes[number + 1..] {
            let apart = right <= l || r <= left || bottom <= t || b <= top;
            assert!(apart || text.is_empty(), "{text:?} lies on {other:?} in {}", plot.name);
        }
    }
    assert_eq!(svg, plot.svg().unwrap());
}

fn estimate(number: usize) -> Estimate {
    let point = (17 * number % 101) as f64;
    Estimate { point, lower: (point - 9.0).max(0.0), upper: (point + 7.0).min(100.0), n: 48 }
}

fn name(number: usize) -> String {
    format!("model-{number}{}", "-of-some-long-name".repeat(number % 5))
}

fn plot(drawing: Drawing) -> Plot {
    Plot {
        name: "test",
        title: "A title that is rather long, so long that it does not fit into a single line of the drawing at all",
        note: "Whiskers: 95% intervals; dashed: a draw. n = 48 prompts. ".repeat(3),
        caption: String::new(),
        drawing,
    }
}

fn percent() -> Axis {
    Axis { title: "Win rate (%)".into(), scale: Scale::Linear { from: 0.0, to: 100.0 } }
}

const SERIES: [usize; 5] = [0, 1, 3, 12, 40];

#[test]
fn rows_stay_readable_at_any_number() {
    for n in SERIES {
        let row = |number: usize| Row {
            label: name(number),
            drawn: match number % 4 {
                0 => vec![
                    Drawn::Measured(0, estimate(number)),
                    Drawn::Published(estimate(number).point, Some(1.5)),
                ],
                1 => vec![Drawn::Outcomes([50.0, 20.0, 30.0], Some(estimate(number)))],
                2 => vec![Drawn::Spread([5.0, 20.0, 30.0, 50.0, 90.0])],
                _ => vec![Drawn::Bar(40.0)],
            },
            figures: format!("{} [{}, {}]", number, 10 * number, 100 * number),
        };
        let mut rows: Vec<Row> = (0..n).map(row).collect();
        rows.insert(n / 2, Row::heading(format!("against {}", name(9))));
        let rows = Rows { axis: percent(), even: Some(50.0), key: vec!["measured".into()], rows };
        readable(&plot(Drawing::Rows(rows)));
    }
}

#[test]
fn charts_stay_readable_at_any_number() {
    for n in SERIES {
        for style in [Style::Marks, Style::Columns, Style::Line, Style::Band] {
            let point = |x: usize| {
                let Estimate { point: y, lower, upper, n } = estimate(x);
                Point { x: x as f64, y, ends: Some((lower, upper)), n: Some(n) }
            };
            let series = |number: usize| Series {
                name: name(number),
                style,
                points: (0..=number).map(point).collect(),
            };
            let scales = [
                Scale::Names((0..n).map(name).collect()),
                Scale::Linear { from: 0.0, to: (n + 1) as f64 },
                Scale::Logarithmic { from: 0.5, to: (n + 1) as f64 },
            ];
            for scale in scales {
                readable(&plot(Drawing::Chart(Chart {
                    x: Axis { title: "Model".into(), scale },
                    y: percent(),
                    room: 0.8,
                    series: (0..n).map(series).collect(),
                    at_x: Some(1.0),
                    at_y: Some(50.0),
                })));
            }
        }
    }
}

#[test]
fn a_table_has_every_number_that_is_drawn() {
    let rows = Rows {
        axis: percent(),
        even: None,
        key: vec!["measured".into()],
        rows: vec![
            Row::heading("against base"),
            Row {
                label: "M0, \"first\"".into(),
                drawn: vec![
                    Drawn::Measured(0, estimate(3)),
                    Drawn::Published(50.0, Some(1.0)),
                    Drawn::Published(60.0, None),
                ],
                figures: "51.0".into(),
            },
        ],
    };
    let text = plot(Drawing::Rows(rows)).csv().unwrap();
    insta::assert_snapshot!(text, @r#"
    heading,row,what,value,lower,upper,n
    against base,"M0, ""first""",measured,51.000000,42.000000,58.000000,48
    against base,"M0, ""first""","published, not measured here",50.000000,48.040036,51.959964,
    against base,"M0, ""first""","published, not measured here",60.000000,,,
    "#);
}
