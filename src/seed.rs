//! Files of pairs that people wrote to seed pairs: our own JSONL, or an Open Assistant export.
//!
//! Knows nothing of models, nor of where the file came from.
mod open_assistant;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    recipe::{self, SeedFormat},
    record::{Counts, Origin, Pair},
    sample, store,
    watch::{Event, Unit, Watch},
};

/// The pairs of a file in its order, and how many of its rows gave none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeedRows {
    pub pairs: Vec<Pair>,
    /// Rows without a pair, by reason: conversations for Open Assistant, lines otherwise.
    pub dropped: BTreeMap<String, usize>,
}

impl SeedRows {
    pub fn rows_in(&self) -> usize {
        self.pairs.len() + self.dropped.values().sum::<usize>()
    }

    fn drop(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Drops pairs that were there before: ids are made of content, and must differ.
    fn drop_duplicates(&mut self) {
        let mut seen = HashSet::new();
        let all = self.pairs.len();
        self.pairs.retain(|pair| seen.insert(pair.id.clone()));
        if all > self.pairs.len() {
            self.dropped.insert("duplicate".into(), all - self.pairs.len());
        }
    }
}

/// Reads every pair of a file, gzipped or not.
///
/// # Errors
/// When the file cannot be read or a line is not of the format: the message has file and line.
pub fn read(path: &Path, settings: &recipe::Seed) -> anyhow::Result<SeedRows> {
    let bytes = store::read_unpacked(path)?;
    let mut rows = match settings.format {
        SeedFormat::Jsonl => jsonl(path, &bytes)?,
        SeedFormat::Lima => lima(path, &bytes)?,
        SeedFormat::OpenAssistant => open_assistant::read(path, &bytes, &settings.language)?,
    };
    rows.drop_duplicates();
    Ok(rows)
}

/// The stage: writes `seed.jsonl`, at most `settings.limit` pairs, drawn with `random_seed`, in the
/// order of the file.
///
/// # Errors
/// Those of [`read`]; or when the file has no pair to give.
pub fn run(
    path: &Path,
    settings: &recipe::Seed,
    random_seed: u64,
    stage: &store::Stage,
    watch: Watch,
) -> anyhow::Result<Counts> {
    watch(Event::Begin { what: "reading the seed".into(), total: 1, unit: Unit::Rows });
    let rows = read(path, settings)?;
    watch(Event::Advance(1));
    watch(Event::End);
    anyhow::ensure!(!rows.pairs.is_empty(), "{}", nothing_left(path, &rows, settings));
    let (rows_in, passed, mut dropped) = (rows.rows_in(), rows.pairs.len(), rows.dropped);
    let pairs = sample::draw(rows.pairs, settings.limit, random_seed);
    if passed > pairs.len() {
        dropped.insert("not_sampled".into(), passed - pairs.len());
    }
    store::write(&stage.path("seed.jsonl"), &pairs)?;
    Ok(Counts { rows_in, kept: pairs.len(), dropped, ..Counts::default() })
}

/// A line of our own format. Files of the ecosystem have more keys: they are passed over.
#[derive(Deserialize)]
struct Line {
    instruction: String,
    output: String,
    /// Alpaca's files put what the instruction speaks of here.
    #[serde(default)]
    input: Option<String>,
}

fn jsonl(path: &Path, bytes: &[u8]) -> anyhow::Result<SeedRows> {
    let expected = "an object with the strings `instruction` and `output`";
    let mut rows = SeedRows::default();
    for (number, line) in lines::<Line>(path, bytes, expected)? {
        let Line { mut instruction, output, input } = line;
        for (key, text) in [("instruction", &instruction), ("output", &output)] {
            anyhow::ensure!(
                !text.trim().is_empty(),
                "{}:{number}: `{key}` is empty; write it, or delete the line",
                path.display()
            );
        }
        if let Some(input) = input.filter(|input| !input.trim().is_empty()) {
            instruction = format!("{instruction}\n\n{input}");
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        rows.pairs.push(Pair::new(instruction, output, Origin::Seed, format!("{file}:{number}")));
    }
    Ok(rows)
}

/// A conversation of LIMA: prompt, answer, prompt, answer, ...
#[derive(Deserialize)]
struct Conversation {
    conversations: Vec<String>,
}

fn lima(path: &Path, bytes: &[u8]) -> anyhow::Result<SeedRows> {
    let expected = "an object with the list of texts `conversations`";
    let mut rows = SeedRows::default();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    for (number, line) in lines::<Conversation>(path, bytes, expected)? {
        match &line.conversations[..] {
            [prompt, answer, ..] => rows.pairs.push(Pair::new(
                prompt.clone(),
                answer.clone(),
                Origin::Seed,
                format!("{file}:{number}"),
            )),
            // LIMA's test set has prompts alone.
            _ => rows.drop("no answer"),
        }
    }
    Ok(rows)
}

/// The JSON of each line with the line's number. Blank lines are passed over.
fn lines<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    expected: &str,
) -> anyhow::Result<Vec<(usize, T)>> {
    let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if is_blank(line) {
            continue;
        }
        // A JSON array is the commonest file that is nearly right.
        let advice = if rows.is_empty() && line.trim_ascii_start().starts_with(b"[") {
            "; this is an array: write each of its objects on a line of its own"
        } else {
            "; see seed.format in the recipe"
        };
        let row = serde_json::from_slice(line).with_context(|| {
            format!("{}:{}: expected {expected}{advice}", path.display(), index + 1)
        })?;
        rows.push((index + 1, row));
    }
    Ok(rows)
}

fn nothing_left(path: &Path, rows: &SeedRows, settings: &recipe::Seed) -> String {
    if rows.rows_in() == 0 {
        return format!("{} is empty; name another file in [seed] source", path.display());
    }
    let reasons: Vec<String> =
        rows.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!(
        "no seed pair among {} rows of {}: {}; seed.language is {:?}: change it, or the source",
        rows.rows_in(),
        path.display(),
        reasons.join(", "),
        settings.language,
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::{store::RunDir, watch};

    fn settings(keys: &str) -> recipe::Seed {
        toml::from_str(&format!("source = {{ from = [\"file:x\"] }}\n{keys}")).unwrap()
    }

    fn read_text(text: &[u8]) -> anyhow::Result<SeedRows> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pairs.jsonl");
        fs::write(&path, text).unwrap();
        read(&path, &settings("format = \"jsonl\""))
    }

    #[test]
    fn pairs_are_read_packed_or_plain() {
        let text = "{\"instruction\": \"a\", \"output\": \"b\", \"dataset\": \"d\"}\n\n\
                    {\"output\": \"d\", \"instruction\": \"c\", \"input\": \"of this\"}\r\n\
                    {\"instruction\": \"a\", \"output\": \"b\", \"input\": \"\"}";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes().to_vec(), encoder.finish().unwrap()] {
            let rows = read_text(&bytes).unwrap();
            let pair = |instruction: &str, output: &str, line: &str| {
                let parent = format!("pairs.jsonl:{line}");
                Pair::new(instruction.into(), output.into(), Origin::Seed, parent)
            };
            assert_eq!(rows.pairs, [pair("a", "b", "1"), pair("c\n\nof this", "d", "3")]);
            assert_eq!(rows.dropped, [("duplicate".into(), 1)].into());
            assert_eq!(rows.rows_in(), 3);
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", read_text(text.as_bytes()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("\n{\"instruction\": \"a\"}", "pairs.jsonl:2: expected an object with the strings");
        check("\n{\"instruction\": \"a\"}", "missing field `output`");
        check(
            "{\"instruction\": \"\", \"output\": \"b\"}",
            "pairs.jsonl:1: `instruction` is empty",
        );
        check("{\"instruction\": \"a\", \"output\": \" \"}", "`output` is empty; write it, or");
        check("{\"instruction\": 3, \"output\": \"b\"}", "invalid type: integer `3`");
        check("[{\"instruction\": \"a\",", "this is an array");
        check("not json", "see seed.format in the recipe");
    }

    #[test]
    fn the_stage_samples_and_balances() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pairs.jsonl");
        let line = |n: usize| format!("{{\"instruction\": \"{}\", \"output\": \"b\"}}\n", n % 8);
        fs::write(&path, (0..10).map(line).collect::<String>()).unwrap();
        let settings = settings("format = \"jsonl\"\nlimit = 5");
        let run_dir = RunDir::open(&directory.path().join("run"), "").unwrap();
        run_dir
            .stage("seed", &[], |stage| run(&path, &settings, 3, stage, &watch::nobody))
            .unwrap();
        let counts = run_dir.done("seed").unwrap().counts;
        assert_eq!((counts.rows_in, counts.kept), (10, 5));
        assert_eq!(counts.dropped, [("duplicate".into(), 2), ("not_sampled".into(), 3)].into());
        let pairs: Vec<Pair> = store::read(&run_dir.path("seed.jsonl")).unwrap();
        assert_eq!(pairs.len(), 5);
        assert!(pairs.is_sorted_by_key(|pair| pair.instruction.clone()));
    }

    #[test]
    fn no_pair_at_all_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trees.jsonl");
        let tree =
            r#"{"prompt": {"message_id": "1", "role": "prompter", "text": "hola", "lang": "es"}}"#;
        let run_dir = RunDir::open(&directory.path().join("run"), "").unwrap();
        let settings = settings("format = \"open_assistant\"");
        let check = |text: &str, expected: &str| {
            fs::write(&path, text).unwrap();
            let error = run_dir
                .stage("seed", &[], |stage| run(&path, &settings, 3, stage, &watch::nobody))
                .unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        };
        check("\n", "trees.jsonl is empty");
        check(tree, "1 other_language; seed.language is \"en\"");
    }
}
