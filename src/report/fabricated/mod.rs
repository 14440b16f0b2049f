//! Made-up run directories for tests, written through the row types. The same every time.
mod stages;

use std::{fs, path::Path};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::{
    recipe::{Agreement, JudgeMethod, Recipe},
    record::{Augmented, Counts, Done, Origin, Pair, Prompt, Row, content_id},
    store::{Log, Provenance, SourceUsed},
};

/// What a fabricated run is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) judge: JudgeMethod,
    /// The last stage that is done; `None` for a finished run.
    pub(super) until: Option<&'static str>,
    /// Lower end of the judge's measured agreement with people.
    pub(super) agreement: Option<f64>,
    pub(super) prompts: usize,
}

impl Default for Kind {
    fn default() -> Self {
        Self { judge: JudgeMethod::Choice, until: None, agreement: None, prompts: 48 }
    }
}

/// An answer that tries to break the page.
pub(super) const HOSTILE: &str = "<script>alert(1)</script> & \"quoted\" | `code` </div>\u{202E}reversed\u{202C} \u{0}end {{ 7 * 7 }}";

const SENTENCES: [&str; 6] = [
    "Start from a clean directory, so that nothing old is in the way.",
    "The manual of the package lists each option with its default.",
    "A longer explanation follows, since the short one leaves out why the order matters.",
    "First measure, then change one thing, then measure again.",
    "Both commands read the same file, but only the second one writes.",
    "When in doubt, keep the copy and write down where it came from.",
];

struct Writer {
    directory: TempDir,
    recipe: Recipe,
    kind: Kind,
    random: ChaCha8Rng,
    over: bool,
}

pub(super) fn run(kind: Kind) -> TempDir {
    let mut recipe: Recipe = toml::from_str(RECIPE).unwrap();
    recipe.judge.method = kind.judge;
    recipe.judge.agreement = kind.agreement.map(|lower| Agreement {
        estimate: lower + 0.04,
        lower,
        upper: lower + 0.08,
        n: 600,
        measured_on: "eval_sets/people, `spyhop judge-quality`".into(),
    });
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("recipe.toml"), recipe.resolved().unwrap()).unwrap();
    let random = ChaCha8Rng::seed_from_u64(20);
    let mut writer = Writer { directory, recipe, kind, random, over: false };
    writer.write();
    writer.directory
}

const RECIPE: &str = r#"
name = "fabricated"
random_seed = 20
[model]
weights = { from = ["file:model.gguf"] }
[seed]
source = { from = ["file:seed.jsonl"] }
format = "jsonl"
[corpus]
source = { from = ["apt:example-doc#usr/share/doc/**/*.html"] }
limit = 60
[finetune]
epochs = 3
batch_size = 8
[curate]
at_least = 20
rating = "text"
[evaluate]
eval_set = "first-look"
max_tokens = 256
[judge]
method = "choice"
"#;

impl Writer {
    fn write(&mut self) {
        self.provenance();
        let seed: Vec<Pair> = (0..40).map(|i| self.pair(i, Origin::Seed)).collect();
        self.rows("seed.jsonl", &seed);
        self.done("seed", Counts::all(seed.len()), 0.2);
        let dropped = [("too_short", 210), ("navigation_header", 31), ("not_drawn", 44)];
        self.done(
            "corpus",
            Counts {
                rows_in: 345,
                kept: 60,
                dropped: dropped.map(|(reason, rows)| (reason.to_owned(), rows)).into(),
                ..Counts::default()
            },
            7.5,
        );
        self.finetuning("backward", 40);
        let augmented: Vec<Augmented> = (0..60).map(|i| self.augmented(i)).collect();
        self.rows("augmented.jsonl", &augmented);
        let failed = augmented.iter().filter(|row| row.instruction.is_none()).count();
        self.done(
            "augment",
            Counts { rows_in: 60, kept: 60 - failed, failed, ..Counts::default() },
            65.0,
        );
        self.finetuning("M0", 40);
        let prompts: Vec<Prompt> = (0..self.kind.prompts).map(stages::prompt).collect();
        self.rows("prompts.jsonl", &prompts);
        let base = self.answers("base", &prompts, 9);
        let mut before = self.answers("M0", &prompts, 3);
        self.judging("M0", "base", &before, &base, 0.6);
        for iteration in 1..=self.recipe.iterations {
            let earlier = format!("M{}", iteration - 1);
            let model = format!("M{iteration}");
            let kept = self.curation(&earlier, &model, &augmented);
            self.finetuning(&model, 40 + kept);
            let answers = self.answers(&model, &prompts, 3 + iteration);
            self.judging(&model, "base", &answers, &base, [0.0, 0.85, 0.8][iteration]);
            self.judging(&model, "previous", &answers, &before, [0.0, 0.7, 0.5][iteration]);
            before = answers;
        }
    }

    fn rows<T: Row>(&mut self, name: &str, rows: &[T]) {
        if self.over {
            return;
        }
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut log = Log::open(&path).unwrap();
        for row in rows {
            log.append(row).unwrap();
        }
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) {
        if self.over {
            return;
        }
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string_pretty(value).unwrap()).unwrap();
    }

    fn done(&mut self, id: &str, counts: Counts, seconds: f64) {
        assert!(counts.balanced());
        let resumed = id == "augment";
        self.rows(
            "stages.jsonl",
            &[Done { id: id.into(), inputs: content_id(&[id]), counts, seconds, resumed }],
        );
        self.over |= self.kind.until == Some(id);
    }

    fn provenance(&mut self) {
        let source = |role: &str, from: &str, bytes| SourceUsed {
            role: role.into(),
            from: from.into(),
            sha256: content_id(&[role]).repeat(4),
            bytes,
        };
        let provenance = Provenance {
            spyhop_version: "0.1.0".into(),
            spyhop_commit: "abc1234".into(),
            device: "CPU".into(),
            sources: vec![
                source("model", "file:model.gguf", 270_000_000),
                source("corpus", "apt:example-doc#usr/share/doc/**/*.html", 5_400_000),
            ],
            prompts: [("rate".to_owned(), content_id(&["rate"]))].into(),
            products: [("models", "int8"), ("training", "f32")]
                .map(|(of, products)| (of.to_owned(), products.to_owned()))
                .into(),
        };
        self.json("provenance.json", &provenance);
    }
}

/// Every file below a directory with its content, sorted.
pub(super) fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => files.extend(
                contents(&path).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)),
            ),
            false => files.push((name, fs::read(&path).unwrap())),
        }
    }
    files.sort();
    files
}
