//! How numbers and foreign text are written down, the same way on every page.
use crate::stats::Estimate;

/// What stands where there is no number.
pub(crate) const NOT_APPLICABLE: &str = "n/a";

/// A share in percent: `52.1%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// A 95% interval of a share, in percent: `[41.0, 63.0]`.
pub(crate) fn interval(estimate: &Estimate) -> String {
    format!("[{:.1}, {:.1}]", 100.0 * estimate.lower, 100.0 * estimate.upper)
}

/// A share with all that makes it readable: `52.1% [41.0, 63.0], n = 48`.
pub(crate) fn estimate(estimate: &Estimate) -> String {
    let Estimate { point, n, .. } = estimate;
    format!("{} {}, n = {}", percent(*point), interval(estimate), count(*n))
}

pub(crate) fn estimate_or_none(value: Option<&Estimate>) -> String {
    value.map_or_else(|| NOT_APPLICABLE.into(), estimate)
}

/// A difference of shares in percentage points, signed: `+2.1`.
pub(crate) fn points(difference: f64) -> String {
    signed(100.0 * difference)
}

/// A number with its sign and one decimal: `−2.1`.
pub(crate) fn signed(number: f64) -> String {
    let tenths = (10.0 * number).round() / 10.0;
    match tenths {
        0.0 => "0.0".into(),
        above if above > 0.0 => format!("+{above:.1}"),
        below => format!("\u{2212}{:.1}", -below),
    }
}

/// A 95% interval of a difference, in percentage points: `[−8.3, +12.5]`.
pub(crate) fn points_interval(estimate: &Estimate) -> String {
    format!("[{}, {}]", points(estimate.lower), points(estimate.upper))
}

pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// `p = 0.041` or `p < 0.001`.
pub(crate) fn p_equals(p: f64) -> String {
    if p < 0.001 { "p < 0.001".into() } else { format!("p = {p:.3}") }
}

/// A whole number with a comma between thousands: `41,821`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// `1 prompt`, `2 prompts`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number rounded to a whole: `1,072`.
pub(crate) fn whole(number: f64) -> String {
    count(number.round().max(0.0) as usize)
}

/// `148 ± 322`, or that there is nothing to describe.
pub(crate) fn mean_and_deviation(values: &[f64]) -> String {
    crate::stats::mean_and_deviation(values).map_or_else(
        || NOT_APPLICABLE.into(),
        |(mean, deviation)| format!("{} ± {}", whole(mean), whole(deviation)),
    )
}

/// Dollars, to the cent, or to four digits where cents show nothing.
pub(crate) fn dollars(amount: f64) -> String {
    if amount == 0.0 || amount >= 0.1 { format!("${amount:.2}") } else { format!("${amount:.4}") }
}

/// Wall time: `0.4 s`, `2 min 05 s`, `3 h 07 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// File size: `812 bytes`, `1.4 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        small if small < 1e4 => format!("{bytes} bytes"),
        large if large < 1e9 => format!("{:.1} MB", large / 1e6),
        huge => format!("{:.2} GB", huge / 1e9),
    }
}

/// Items in a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Foreign text with everything that a reader would not see made visible.
///
/// Control characters, and those that hide text or turn its direction ("Trojan Source",
/// CVE-2021-42574), become `⟨U+202E⟩`. Line ends become `\n`. Joiners that scripts and emoji need stay.
pub(crate) fn visible(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\u{2028}' | '\u{2029}' => shown.push('\n'),
            '\u{61C}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}' => {
                shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
            }
            _ if character.is_control() => {
                shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// The beginning of a text on one line, at most `limit` characters long.
pub(crate) fn beginning(text: &str, limit: usize) -> String {
    let line = visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let cut: String = line.chars().take(limit - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(percent(0.52083), "52.1%");
        assert_eq!([points(0.021), points(-0.021), points(-0.0001)], ["+2.1", "−2.1", "0.0"]);
        assert_eq!([count(0), count(999), count(41_821)], ["0", "999", "41,821"]);
        assert_eq!(
            [duration(0.42), duration(125.0), duration(11_220.0)],
            ["0.4 s", "2 min 05 s", "3 h 07 min"]
        );
        assert_eq!([p_value(0.0004), p_value(0.25)], ["< 0.001", "0.250"]);
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(visible("a\u{202E}b\u{0}c\r\nd\te"), "a⟨U+202E⟩b⟨U+0000⟩c\nd\te");
        assert_eq!(visible("\u{1b}[31m\u{200B}\u{E0041}"), "⟨U+001B⟩[31m⟨U+200B⟩⟨U+E0041⟩");
        assert_eq!(visible("é 👩\u{200D}🚀"), "é 👩\u{200D}🚀");
        assert_eq!(beginning("a  long\nsentence", 8), "a long…");
    }
}
