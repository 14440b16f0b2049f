//! `win_rates.tex`: the win rates as a table for a paper, with the rules of the package booktabs.
use super::{
    win_rates::{Comparison, WinRates},
    words,
};

pub(super) fn render(win_rates: &WinRates) -> String {
    let row = |comparison: &Comparison| {
        let Comparison { candidate, baseline, wins, ties, losses, win_rate, .. } = comparison;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "--".into());
        let cells = [
            escape(candidate),
            escape(baseline),
            win_rate.map_or(0, |estimate| estimate.n).to_string(),
            or_none(win_rate.map(|estimate| format!("{:.1}", 100.0 * estimate.point))),
            or_none(win_rate.map(|estimate| words::interval(&estimate))),
            format!("{wins}/{ties}/{losses}"),
            or_none(win_rate.map(|_| words::p_value(comparison.p_holm).replace('<', "$<$"))),
        ];
        // A bracket right after the end of a row would be taken for its argument.
        format!("    {} \\\\\n", cells.map(|cell| format!("{{{cell}}}")).join(" & "))
    };
    let rows: String = win_rates.comparisons.iter().map(row).collect();
    format!(
        "% \\usepackage{{booktabs}}\n% \\usepackage[T1]{{fontenc}}\n\\begin{{table}}\n  \\centering\n  \\small\n  \\caption{{Win rates of {name}, in percent, with 95\\% intervals; p by sign flips, corrected by Holm's method for {planned} comparisons. {judge}}}\n  \\medskip\n  \\begin{{tabular}}{{llrrcrr}}\n    \\toprule\n    Candidate & Baseline & $n$ & Win rate & 95\\% interval & Won/tied/lost & $p$ \\\\\n    \\midrule\n{rows}    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}\n",
        name = escape(&win_rates.name),
        planned = win_rates.planned_comparisons,
        judge = escape(&win_rates.judge),
    )
}

/// Text that LaTeX sets as it is, on one line. A character that pdfLaTeX has no glyph for in the
/// encoding T1, such as one of another script, stands as its code: `⟨U+6F22⟩`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::visible(text).chars() {
        match character {
            '\n' | '\t' => escaped.push(' '),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '"' => escaped.push_str("\\textquotedbl{}"),
            '\u{2212}' => escaped.push_str("$-$"),
            '\u{27E8}' => escaped.push_str("$\\langle$"),
            '\u{27E9}' => escaped.push_str("$\\rangle$"),
            _ if has_glyph(character) => escaped.push(character),
            _ => escaped.push_str(&format!("$\\langle$U+{:04X}$\\rangle$", u32::from(character))),
        }
    }
    escaped
}

/// Whether pdfLaTeX (TeX Live 2022) sets the character, found by asking it for each of Latin.
fn has_glyph(character: char) -> bool {
    match character {
        'Ħ' | 'ħ' | 'ĸ' | 'Ŀ' | 'ŀ' | 'ŉ' | 'Ŧ' | 'ŧ' | 'ſ' | '\u{AD}' => false,
        '\u{0}'..'\u{180}' | '–' | '—' | '‘'..='‚' | '“'..='„' | '†'..='•' | '…' => {
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_and_not_obeyed() {
        assert_eq!(
            escape("50% of a_b & \\input{x} #1 $y$ ~^\n\u{202E} é “漢”"),
            "50\\% of a\\_b \\& \\textbackslash{}input\\{x\\} \\#1 \\$y\\$ \\textasciitilde{}\\textasciicircum{} $\\langle$U+202E$\\rangle$ é “$\\langle$U+6F22$\\rangle$”"
        );
    }
}
