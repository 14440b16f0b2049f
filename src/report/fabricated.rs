//! Made-up run directories for tests, written through the row types. The same every time.
use std::{fs, path::Path};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::{
    recipe::{Agreement, JudgeMethod, Recipe},
    record::{
        Audit, Augmented, Completion, Counts, Done, Finish, Judgment, NoInstruction, Order, Origin,
        Pair, Prompt, Rated, Row, Selection, TrainingStep, Verdict, content_id,
    },
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
        measured_on: "eval_sets/people, `spyhop agreement`".into(),
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
rating = "probabilities"
[evaluate]
prompts = { from = ["file:prompts.jsonl"] }
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
                failed: 0,
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
        let prompts: Vec<Prompt> = (0..self.kind.prompts).map(prompt).collect();
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
        };
        self.json("provenance.json", &provenance);
    }

    fn text(&mut self, sentences: usize) -> String {
        let pick: Vec<&str> = (0..sentences)
            .map(|_| SENTENCES[self.random.random_range(0..SENTENCES.len())])
            .collect();
        pick.join(" ")
    }

    fn pair(&mut self, number: usize, origin: Origin) -> Pair {
        let sentences = self.random.random_range(2..12);
        let output = self.text(sentences);
        Pair::new(format!("How do I do task {number}?"), output, origin, number.to_string())
    }

    fn augmented(&mut self, number: usize) -> Augmented {
        let sentences = self.random.random_range(8..24);
        let output = format!("Page {number}. {}", self.text(sentences));
        let instruction =
            (number % 15 != 7).then(|| format!("What does page {number} say about the order?"));
        Augmented {
            id: content_id(&[&output]),
            dropped: instruction.is_none().then_some(NoInstruction::Echo),
            reply: instruction.clone().unwrap_or_default(),
            instruction,
            output,
            finish: Finish::Stop,
        }
    }

    fn finetuning(&mut self, model: &str, examples: usize) {
        let tokens = examples * 310;
        let trained_tokens = examples * 240;
        self.json(
            &format!("{model}/audit.json"),
            &Audit {
                examples,
                tokens,
                trained_tokens,
                truncated: 2,
                end_of_turn_learned: examples - 2,
            },
        );
        let steps: Vec<TrainingStep> = (0..examples * 3 / 8)
            .map(|step| TrainingStep {
                id: (step + 1).to_string(),
                loss: 1.4
                    + 1.1 * (-(step as f64) / 6.0).exp()
                    + self.random.random_range(-0.06..0.06),
                learning_rate: 1e-5,
                gradient_norm: 1.0,
                trained_tokens: 1_920,
                tokens: 2_480,
                seconds: 4.0,
            })
            .collect();
        let seconds = steps.len() as f64 * 4.0;
        self.rows(&format!("{model}/metrics.jsonl"), &steps);
        self.done(&format!("{model}/finetune"), Counts::all(examples), seconds);
    }

    fn answers(&mut self, model: &str, prompts: &[Prompt], sentences: usize) -> Vec<Completion> {
        let answers: Vec<Completion> = prompts
            .iter()
            .enumerate()
            .map(|(i, prompt)| {
                let output = match (i, model) {
                    (0, "M0") => HOSTILE.to_owned(),
                    (1 | 2, _) => "I do not know.".to_owned(),
                    _ => self.text(sentences),
                };
                Completion {
                    id: prompt.id.clone(),
                    instruction: prompt.instruction.clone(),
                    output,
                    generator: model.into(),
                    dataset: prompt.dataset.clone(),
                    finish: if i % 12 == 5 && sentences > 4 {
                        Finish::Length
                    } else {
                        Finish::Stop
                    },
                }
            })
            .collect();
        self.rows(&format!("{model}/completions.jsonl"), &answers);
        self.done(&format!("{model}/generate"), Counts::all(answers.len()), 41.0);
        answers
    }

    /// Both orders, with a lean to the first answer, ties on identical answers, and three prompts
    /// with a verdict that could not be read.
    fn judging(
        &mut self,
        model: &str,
        of: &str,
        ours: &[Completion],
        theirs: &[Completion],
        skill: f64,
    ) {
        let mut judgments = Vec::new();
        for (i, (our, their)) in ours.iter().zip(theirs).enumerate() {
            let orders: &[Order] =
                if our.output == their.output || self.kind.judge == JudgeMethod::Likelihood {
                    &[Order::OrderFree]
                } else {
                    &[Order::CandidateFirst, Order::BaselineFirst]
                };
            let quality: f64 = self.random.random();
            for &order in orders {
                let lean = match order {
                    Order::CandidateFirst => 0.12,
                    Order::BaselineFirst => -0.12,
                    Order::OrderFree => 0.0,
                };
                let verdict = if our.output == their.output {
                    Some(Verdict::Tie)
                } else if i % 16 == 9 && order != Order::BaselineFirst {
                    None
                } else if quality < skill + lean {
                    Some(Verdict::Win)
                } else {
                    Some(Verdict::Loss)
                };
                judgments.push(Judgment {
                    id: content_id(&[&our.id, of, &format!("{order:?}")]),
                    prompt_id: our.id.clone(),
                    dataset: our.dataset.clone(),
                    candidate: our.generator.clone(),
                    baseline: their.generator.clone(),
                    order,
                    verdict,
                    preference: None,
                    reply: String::new(),
                });
            }
        }
        self.rows(&format!("{model}/judgments-{of}.jsonl"), &judgments);
        let failed = judgments.iter().filter(|judgment| judgment.verdict.is_none()).count();
        let kept = judgments.len() - failed;
        let counts = Counts { rows_in: judgments.len(), kept, failed, ..Counts::default() };
        self.done(&format!("{model}/judge-{of}"), counts, 3_725.0);
    }

    /// Rates all pairs and returns how many were kept: the first iteration needs the fallback.
    fn curation(&mut self, by: &str, model: &str, augmented: &[Augmented]) -> usize {
        let centre = if by == "M0" { 3.1 } else { 3.9 };
        let mut ratings = Vec::new();
        let mut pairs = Vec::new();
        for row in augmented {
            let Some(instruction) = &row.instruction else { continue };
            let spread: f64 = (0..3).map(|_| self.random.random_range(-0.5..0.5)).sum();
            let pair = Pair::new(
                instruction.clone(),
                row.output.clone(),
                Origin::Augmented,
                row.id.clone(),
            );
            let rating = (pairs.len() % 19 != 4).then(|| (centre + 1.2 * spread).clamp(1.0, 5.0));
            let unread = usize::from(rating.is_none());
            ratings.push(Rated { id: pair.id.clone(), rating, replies: Vec::new(), unread });
            pairs.push((rating, pair));
        }
        self.rows(&format!("{by}/ratings.jsonl"), &ratings);
        pairs.sort_by(|a, b| b.0.unwrap_or(0.0).total_cmp(&a.0.unwrap_or(0.0)));
        let reached_threshold =
            pairs.iter().filter(|(rating, _)| rating.is_some_and(|rating| rating >= 4.5)).count();
        let kept = reached_threshold.max(20);
        let selection = Selection {
            pairs: pairs.len(),
            unrated: ratings.iter().filter(|row| row.rating.is_none()).count(),
            threshold: 4.5,
            reached_threshold,
            kept,
            fallback: reached_threshold < 20,
            lowest_kept: pairs[kept - 1].0,
        };
        self.json(&format!("{model}/selection.json"), &selection);
        let curated: Vec<Pair> = pairs.into_iter().take(kept).map(|(_, pair)| pair).collect();
        self.rows(&format!("{model}/training.jsonl"), &curated);
        let failed = selection.unrated;
        let low = ("below_threshold".to_owned(), selection.pairs - kept - failed);
        let counts = Counts { rows_in: selection.pairs, kept, failed, dropped: [low].into() };
        self.done(&format!("{by}/curate"), counts, 95.0);
        kept
    }
}

fn prompt(number: usize) -> Prompt {
    let instruction = if number == 0 {
        format!("Say this backwards: {HOSTILE}")
    } else {
        format!(
            "Question {number}: how do I set up the tool so that it keeps a copy of every file it changes, and where does that copy go?"
        )
    };
    let dataset = ["how to", "facts", "rewriting"][number % 3].to_owned();
    Prompt { id: content_id(&[&instruction, &dataset]), instruction, dataset }
}

/// Every file of a directory with its content, sorted.
pub(super) fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}
