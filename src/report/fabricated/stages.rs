//! What each stage of a fabricated run leaves behind.
use rand::RngExt;

use super::{HOSTILE, SENTENCES, Writer};
use crate::{
    recipe::JudgeMethod,
    record::{
        Audit, Augmented, Completion, Counts, Finish, Judgment, NoInstruction, Order, Origin, Pair,
        Prompt, Rated, Selection, TrainingStep, Verdict, content_id,
    },
};

impl Writer {
    fn text(&mut self, sentences: usize) -> String {
        let pick: Vec<&str> = (0..sentences)
            .map(|_| SENTENCES[self.random.random_range(0..SENTENCES.len())])
            .collect();
        pick.join(" ")
    }

    pub(super) fn pair(&mut self, number: usize, origin: Origin) -> Pair {
        let sentences = self.random.random_range(2..12);
        let output = self.text(sentences);
        Pair::new(format!("How do I do task {number}?"), output, origin, number.to_string())
    }

    pub(super) fn augmented(&mut self, number: usize) -> Augmented {
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

    pub(super) fn finetuning(&mut self, model: &str, examples: usize) {
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
                held_out: 4,
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
                held_out_before: (step == 0).then_some(2.75),
                held_out_after: (step + 1 == examples * 3 / 8).then_some(1.5),
            })
            .collect();
        let seconds = steps.len() as f64 * 4.0;
        self.rows(&format!("{model}/metrics.jsonl"), &steps);
        self.done(&format!("{model}/finetune"), Counts::all(examples), seconds);
    }

    pub(super) fn answers(
        &mut self,
        model: &str,
        prompts: &[Prompt],
        sentences: usize,
    ) -> Vec<Completion> {
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
    pub(super) fn judging(
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
    pub(super) fn curation(&mut self, by: &str, model: &str, augmented: &[Augmented]) -> usize {
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
            let rating: f64 = (centre + 1.2 * spread).clamp(1.0, 5.0);
            let rating = (pairs.len() % 19 != 4).then(|| (10.0 * rating).round() / 10.0);
            let unread = usize::from(rating.is_none());
            // Every tenth names another number first, and what could not be read says more after it.
            let aside = if pairs.len() % 10 == 3 { "It has 2 faults.\n" } else { "" };
            let reply = match rating {
                Some(rating) => format!("{aside}Score: {rating}"),
                None => format!("{aside}Score: 5 out of 5"),
            };
            ratings.push(Rated { id: pair.id.clone(), rating, replies: vec![reply], unread });
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
        let counts = Counts {
            rows_in: selection.pairs,
            kept,
            failed,
            dropped: [low].into(),
            ..Counts::default()
        };
        self.done(&format!("{by}/curate"), counts, 95.0);
        kept
    }
}

pub(super) fn prompt(number: usize) -> Prompt {
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
