//! Reads the Python list in which AlpacaEval's first prompts ask for ranks.
//!
//! `[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]`

/// 1 when `first` has rank 1 and `second` rank 2, 0 when it is the other way round, else `None`.
///
/// AlpacaEval looks at one of the two ranks only, and so takes two firsts for a verdict. It does not
/// read a list inside a Markdown fence, which is read here.
pub fn ranking_share(reply: &str, first: &str, second: &str) -> Option<f64> {
    let mut reader = Reader { rest: without_fence(reply.trim()) };
    let closing = match () {
        () if reader.take('[') => Some(']'),
        () if reader.take('(') => Some(')'),
        // Python makes a tuple of bare dictionaries.
        () => None,
    };
    let mut ranks = [None, None];
    while reader.take('{') {
        let (model, rank) = reader.model_and_rank()?;
        let place = [first, second].iter().position(|name| *name == model)?;
        if ranks[place].replace(rank).is_some() {
            return None;
        }
        if !reader.take(',') {
            break;
        }
    }
    if closing.is_some_and(|sign| !reader.take(sign)) || !reader.rest.trim_start().is_empty() {
        return None;
    }
    match ranks {
        [Some("1"), Some("2")] => Some(1.0),
        [Some("2"), Some("1")] => Some(0.0),
        _ => None,
    }
}

fn without_fence(reply: &str) -> &str {
    let inside = reply.strip_prefix("```").and_then(|rest| rest.trim_end().strip_suffix("```"));
    inside.and_then(|inside| inside.split_once('\n')).map_or(reply, |(_language, list)| list)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Steps over the sign, if it comes next.
    fn take(&mut self, sign: char) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads a dictionary to its end. Other keys are passed over; a value is a text or a bare word.
    fn model_and_rank(&mut self) -> Option<(&'a str, &'a str)> {
        let (mut model, mut rank) = (None, None);
        while !self.take('}') {
            let key = self.text()?;
            if !self.take(':') {
                return None;
            }
            match key {
                "model" => model = Some(self.text()?),
                "rank" => rank = Some(self.word()?),
                _ => _ = self.text().or_else(|| self.word())?,
            }
            if !self.take(',') {
                if !self.take('}') {
                    return None;
                }
                break;
            }
        }
        Some((model?, rank?))
    }

    /// A text in quotes of either kind. None of the names has an escape, so those are not resolved.
    fn text(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.rest = &rest[at + 1..];
                    return Some(&rest[1..at]);
                }
                _ => {}
            }
        }
        None
    }

    /// A number or a name.
    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_.+-".contains(c))?;
        self.rest = &rest[end..];
        (end > 0).then_some(&rest[..end])
    }
}
