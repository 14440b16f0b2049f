//! The fields of a JSON object, each still the text that it was, and texts as Python sees them.
use anyhow::Context;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of one object, in its order, each as its JSON text.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Takes a field out; `null` is as good as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(place);
        (value.get() != "null").then_some(value)
    }

    /// Takes a field out and reads it.
    ///
    /// # Errors
    /// When it is there and is not a `T`.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> anyhow::Result<Option<T>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = || format!("{name} is {}: expected {expected}", shortened(value.get()));
        serde_json::from_str(value.get()).map(Some).with_context(found)
    }

    /// Takes out a text that has to be there.
    ///
    /// # Errors
    /// When it is missing or no text.
    pub(super) fn name(&mut self, name: &str) -> anyhow::Result<String> {
        self.read(name, "a text")?.with_context(|| format!("the key {name:?} is missing"))
    }

    pub(super) fn push(&mut self, name: &str, value: Box<RawValue>) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn into_rest(self) -> Vec<(String, Box<RawValue>)> {
        self.0
    }

    pub(super) fn as_slice(&self) -> &[(String, Box<RawValue>)] {
        &self.0
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields(Vec::with_capacity(12));
                while let Some(entry) = map.next_entry()? {
                    fields.0.push(entry);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The code points of a JSON text, as Python counts and hashes them.
///
/// A lone surrogate, which JSON can spell and UTF-8 cannot, is kept as its three bytes.
pub(super) struct Text(Vec<u8>);

impl Text {
    /// # Errors
    /// When the value is no text.
    pub(super) fn of(value: &RawValue) -> anyhow::Result<Self> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_owned()))
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        let text = (&mut deserializer).deserialize_bytes(Bytes);
        text.with_context(|| format!("found {}: expected a text", shortened(value.get())))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Python's `len`: every code point counts one.
    pub(super) fn characters(&self) -> u32 {
        self.0.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // >>> [len(s) for s in ("naïve", "日本", "👍", "a\ud83d")]
    // [5, 2, 1, 2]
    #[test]
    fn characters_are_counted_as_python_counts_them() {
        let check = |json: &str, expected: u32| {
            let value: Box<RawValue> = serde_json::from_str(json).unwrap();
            assert_eq!(Text::of(&value).unwrap().characters(), expected, "{json}");
        };
        check("\"naïve\"", 5);
        check("\"日本\"", 2);
        check("\"👍\"", 1);
        check(r#""\ud83d\udc4d""#, 1);
        check(r#""a\ud83d""#, 2);
        check(r#""line\n\"quoted\"""#, 13);
    }

    #[test]
    fn a_field_that_is_not_what_it_should_be_is_shown() {
        let read = |json: &str| -> anyhow::Result<Option<f64>> {
            serde_json::from_str::<Fields>(json).unwrap().read("preference", "a number")
        };
        assert_eq!(read(r#"{"preference": 1.5}"#).unwrap(), Some(1.5));
        assert_eq!(read(r#"{"preference": null}"#).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        let long = format!(r#"{{"preference": "{}"}}"#, "x".repeat(99));
        let error = read(&long).unwrap_err().to_string();
        assert!(error.contains("xxx…: expected a number"), "{error}");
    }
}
