//! The bytes of a page as text.
//!
//! Knows nothing of tags beyond the `charset` that one may declare.
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into a page a declared encoding is looked for, in bytes (HTML standard, 13.2.3.2).
const PRESCAN: usize = 1_024;

/// The text of a page: by its byte order mark, else by the encoding that it declares, else as UTF-8
/// if it is that, else as windows-1252, in which every byte means something.
pub(super) fn decode(bytes: &[u8]) -> String {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None => declared(bytes)
            .unwrap_or_else(|| if str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 }),
    };
    encoding.decode_with_bom_removal(bytes).0.into_owned()
}

/// The encoding of the first `charset=...` inside a `<meta` tag.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = bytes[..bytes.len().min(PRESCAN)].to_ascii_lowercase();
    let start = String::from_utf8_lossy(&start);
    for tag in start.split("<meta").skip(1) {
        let tag = tag.split('>').next().unwrap_or(tag);
        let Some((_, value)) = tag.split_once("charset") else { continue };
        let Some(value) = value.trim_start().strip_prefix('=') else { continue };
        let label = value.trim_start().trim_start_matches(['"', '\'']);
        let end = label.find(|c: char| c.is_whitespace() || "\"';/".contains(c));
        let encoding = Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])?;
        // A page that could be read up to here as ASCII is not UTF-16, whatever it declares: the
        // HTML standard says to take such a declaration for UTF-8.
        return Some(encoding.output_encoding());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_marked_declared_or_guessed() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(decode(bytes), expected);
        check(b"\xef\xbb\xbfna\xc3\xafve", "naïve");
        check(b"\xff\xfeh\0i\0", "hi");
        check("naïve".as_bytes(), "naïve");
        check(b"na\xefve \x93quoted\x94", "naïve “quoted”");
        check(b"<meta charset=iso-8859-2>\xb1", "<meta charset=iso-8859-2>ą");
        let tag = "<META http-equiv='Content-Type' content='text/html; charset=Shift_JIS'>";
        let page = [tag.as_bytes(), b"\x93\xfa\x96\x7b"].concat();
        check(&page, &format!("{tag}日本"));
        check("<meta charset=utf-16>é".as_bytes(), "<meta charset=utf-16>é");
        check("<meta charset=no-such>é".as_bytes(), "<meta charset=no-such>é");
        check(
            "<meta name=a><p>charset=koi8-r</p>é".as_bytes(),
            "<meta name=a><p>charset=koi8-r</p>é",
        );
        // Declared as UTF-8 and not quite: only the wrong byte is lost.
        check(b"<meta charset='utf-8'>a\xffb", "<meta charset='utf-8'>a\u{fffd}b");
    }
}
