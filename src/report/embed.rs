//! How a script and its data lie in a page that asks nobody for anything.
use std::{io::Write, sync::LazyLock};

use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// All that runs on the page.
pub(super) const SCRIPT: &str = concat!(include_str!("page.js"), include_str!("browse.js"));

/// Data above this many bytes is packed: it would take long to send and to open.
const PACKED_ABOVE: usize = 4_000_000;

/// What a content security policy calls the script: no other runs, should foreign text ever become
/// markup.
pub(super) fn script_source() -> &'static str {
    static SOURCE: LazyLock<String> =
        LazyLock::new(|| format!("'sha256-{}'", base64(&Sha256::digest(SCRIPT))));
    &SOURCE
}

/// Data for the script.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    /// The type of the script element, which says how to read it.
    pub(super) kind: &'static str,
    /// Can stand in a script element as it is.
    pub(super) text: String,
}

/// Writes data as JSON, or where that would be large as its gzip in base64.
///
/// # Errors
/// When the data is none that JSON knows.
pub(super) fn data(value: &impl Serialize) -> anyhow::Result<Data> {
    // Within a JSON string `<` may be written so, and outside of one it does not occur: neither
    // `</script` nor `<!--` is left for the page to see.
    let json = serde_json::to_string(value)?.replace('<', "\\u003c");
    if json.len() <= PACKED_ABOVE {
        return Ok(Data { kind: "application/json", text: json });
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::new(4));
    packer.write_all(json.as_bytes()).context("a buffer takes every byte")?;
    let packed = packer.finish().context("a buffer takes every byte")?;
    Ok(Data { kind: "application/gzip", text: base64(&packed) })
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            text.push(match digit <= group.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // Its test vectors, section 10.
        let check = |text: &str, expected: &str| assert_eq!(base64(text.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("fooba", "Zm9vYmE=");
        check("foobar", "Zm9vYmFy");
    }

    #[test]
    fn data_cannot_end_its_element() {
        let hostile = "</script><script>alert(1)</script><!-- <![CDATA[ ]]>";
        let data = data(&[hostile]).unwrap();
        assert!(!data.text.contains('<'), "{}", data.text);
        assert_eq!(serde_json::from_str::<[String; 1]>(&data.text).unwrap(), [hostile]);
    }

    #[test]
    fn large_data_is_packed() {
        let large = "many words ".repeat(PACKED_ABOVE / 10);
        let packed = data(&large).unwrap();
        assert_eq!(packed.kind, "application/gzip");
        assert!(packed.text.len() < PACKED_ABOVE / 10);
    }
}
