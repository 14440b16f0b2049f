//! Every row type that crosses a stage boundary. Plain data: no I/O, and no knowledge of who writes it.
//!
//! Field names follow AlpacaEval and the Hugging Face hub (`instruction`, `output`, `generator`,
//! `dataset`), so those tools read our files as they are. `docs/formats.md` lists every file.
mod judgment;
mod pair;
mod stage;

use serde::{Serialize, de::DeserializeOwned};

pub use judgment::{Choice, Completion, Finish, Judgment, Order, Prompt, Verdict};
pub use pair::{
    Augmented, NoInstruction, Origin, Pair, Rated, Reject, Rejected, Segment, Selection,
};
pub use stage::{Audit, Counts, Done, TrainingStep};

/// A row of a JSONL file, with the key on which a stage resumes.
pub trait Row: Serialize + DeserializeOwned {
    /// Unique within its file; derived from content, so that a rerun finds it again.
    fn id(&self) -> &str;
}

/// The first 16 hexadecimal digits of BLAKE3 over `parts`, each preceded by its length.
///
/// 64 bits: among a million rows the chance of any collision is below 3e-8.
pub fn content_id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

macro_rules! row {
    ($($row:ty),*) => { $(impl Row for $row { fn id(&self) -> &str { &self.id } })* };
}
row!(
    Segment,
    Rejected,
    Pair,
    Augmented,
    Rated,
    Prompt,
    Completion,
    Judgment,
    Choice,
    TrainingStep,
    Done
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ids_do_not_confuse_boundaries() {
        assert_ne!(content_id(&["ab", "c"]), content_id(&["a", "bc"]));
        assert_eq!(content_id(&["ab", "c"]), content_id(&["ab", "c"]));
        assert_eq!(content_id(&[]).len(), 16);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let line = r#"{"id":"1","instruction":"a","dataset":"b","ouput":"typo"}"#;
        assert!(serde_json::from_str::<Prompt>(line).is_err());
    }
}
