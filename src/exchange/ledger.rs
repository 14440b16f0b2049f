//! Judgments without their texts: what every statistic needs of a look, in a few bytes, so that a file
//! of gigabytes is scored in little memory.
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{Answers, Comparison, Format, PromptKey, answers::characters, for_each};
use crate::{record::Order, watch::Watch};

/// Two models compared by one judge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contest {
    pub judge: String,
    pub model: String,
    pub baseline: String,
}

/// One look of a judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Index into [`Ledger::contests`].
    pub contest: u32,
    /// Index into [`Ledger::datasets`].
    pub dataset: u32,
    pub prompt: PromptKey,
    /// The conversation that the prompt is a turn of; the prompt itself where there is only one.
    pub conversation: PromptKey,
    /// The row's place in its file, from 0.
    pub row: u32,
    pub order: Option<Order>,
    /// The model's share of the preference; `None` where there is no verdict.
    pub score: Option<f64>,
    /// Arena-Hard's "significantly better".
    pub strong: bool,
    pub model_characters: Option<u32>,
    pub baseline_characters: Option<u32>,
}

impl Judged {
    /// The same look, seen from the baseline's side.
    fn turned(self, contest: u32) -> Self {
        Self {
            contest,
            score: self.score.map(|score| 1.0 - score),
            model_characters: self.baseline_characters,
            baseline_characters: self.model_characters,
            order: self.order.map(|order| match order {
                Order::CandidateFirst => Order::BaselineFirst,
                Order::BaselineFirst => Order::CandidateFirst,
                Order::OrderFree => Order::OrderFree,
            }),
            ..self
        }
    }
}

/// What a file was, and what is worth telling about it.
#[derive(Clone, Debug)]
pub struct Notes {
    pub path: PathBuf,
    /// `None` for a file without rows.
    pub format: Option<Format>,
    pub rows: usize,
    /// Indices into [`Ledger::contests`], sorted.
    pub contests: Vec<u32>,
    /// Rows of AlpacaEval whose reply betrays the order, and those on which AlpacaEval's seeded order is
    /// that one.
    pub order_known: usize,
    pub order_seeded: usize,
}

/// The looks of any number of files.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub contests: Vec<Contest>,
    pub datasets: Vec<String>,
    /// By contest, prompt and order.
    pub looks: Vec<Judged>,
    pub notes: Vec<Notes>,
}

/// Share of the betrayed orders that have to be the seeded ones before the rest is believed to be.
const SEEDED: f64 = 0.99;

impl Ledger {
    /// Reads judgments of any format. `answers` fill in texts that the rows do not have; with `soft`, a
    /// judge's probability counts in place of the verdict, where a row has both.
    ///
    /// # Errors
    /// When a file is missing, empty, of no known format, broken, or judges a prompt twice.
    pub fn read(
        paths: &[PathBuf],
        answers: &Answers,
        soft: bool,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        Self::read_with(paths, answers, watch, Reader { soft, ..Reader::default() })
    }

    /// As [`Ledger::read`], when several people or looks may have judged the same prompt.
    ///
    /// # Errors
    /// As [`Ledger::read`], but for repeats.
    pub fn read_repeated(
        paths: &[PathBuf],
        answers: &Answers,
        watch: Watch,
    ) -> anyhow::Result<Self> {
        Self::read_with(paths, answers, watch, Reader { repeats: true, ..Reader::default() })
    }

    fn read_with(
        paths: &[PathBuf],
        answers: &Answers,
        watch: Watch,
        mut reader: Reader,
    ) -> anyhow::Result<Self> {
        for path in paths {
            reader.file(path, answers, watch)?;
        }
        let Reader { contests, datasets, looks, notes, .. } = reader;
        Ok(Self::new(contests.list, datasets.list, looks, notes))
    }

    /// Looks of any origin, put in order.
    pub fn new(
        contests: Vec<Contest>,
        datasets: Vec<String>,
        looks: Vec<Judged>,
        notes: Vec<Notes>,
    ) -> Self {
        let mut ledger = Self { contests, datasets, looks, notes };
        ledger.sort();
        ledger
    }

    /// The looks of a contest, prompt by prompt.
    pub fn cells(&self, contest: u32) -> impl Iterator<Item = &[Judged]> {
        let start = self.looks.partition_point(|look| look.contest < contest);
        let end = self.looks.partition_point(|look| look.contest <= contest);
        self.looks[start..end].chunk_by(|one, other| one.prompt == other.prompt)
    }

    /// The prompts' own order, which is that of their hashes, so that the order of the rows in a file
    /// changes no digit of a sum.
    fn sort(&mut self) {
        self.looks.sort_by_key(|look| (look.contest, look.prompt, look.order, look.row));
    }

    /// Turns every contest with `baseline` on the model's side around, so that it stands on its own.
    pub fn orient(&mut self, baseline: &str) {
        let mut contests = Interned::default();
        let known = std::mem::take(&mut self.contests);
        known.iter().for_each(|contest| _ = contests.place(contest.clone()));
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for (contest, index) in known.into_iter().zip(0..) {
            let Contest { judge, model, baseline: other } = contest;
            if model == baseline && other != baseline {
                let turned = Contest { judge, model: other, baseline: model };
                moved.insert(index, contests.place(turned));
            }
        }
        self.contests = contests.list;
        for look in &mut self.looks {
            let Some(&contest) = moved.get(&look.contest) else { continue };
            *look = look.turned(contest);
        }
        self.sort();
    }

    /// Keeps what `wanted` says of a contest.
    pub fn retain(&mut self, wanted: impl Fn(&Contest) -> bool) {
        let kept: Vec<bool> = self.contests.iter().map(wanted).collect();
        self.looks.retain(|look| kept[look.contest as usize]);
    }
}

/// Values that occur again and again, each with its place in a list.
#[derive(Default)]
struct Interned<T> {
    places: HashMap<T, u32>,
    list: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn place(&mut self, value: T) -> u32 {
        let Self { places, list } = self;
        *places.entry(value).or_insert_with_key(|value| {
            list.push(value.clone());
            list.len() as u32 - 1
        })
    }
}

#[derive(Default)]
struct Reader {
    soft: bool,
    /// Whether a prompt may be judged again.
    repeats: bool,
    contests: Interned<Contest>,
    datasets: Interned<String>,
    looks: Vec<Judged>,
    notes: Vec<Notes>,
    /// The file and the row in which each look was seen first: a second would count a prompt twice.
    seen: HashMap<(u32, PromptKey, Option<Order>), (u32, u32)>,
    /// The seeded order of each look of the current file.
    seeded: Vec<Option<Order>>,
}

impl Reader {
    fn file(&mut self, path: &Path, answers: &Answers, watch: Watch) -> anyhow::Result<()> {
        let start = self.looks.len();
        self.seeded.clear();
        let mut rows = 0;
        let format = for_each(path, watch, |format, row, mut comparison| {
            rows = row;
            answers.complete(&mut comparison)?;
            self.comparison(format, row, comparison)
        })?;
        anyhow::ensure!(rows > 0, "{} has no rows: there is nothing to score", path.display());
        let looks = &mut self.looks[start..];
        let known =
            || looks.iter().zip(&self.seeded).filter_map(|(look, s)| Some((look.order?, (*s)?)));
        let order_known = known().count();
        let order_seeded = known().filter(|(order, seeded)| order == seeded).count();
        if order_known > 0 && order_seeded as f64 >= SEEDED * order_known as f64 {
            for (look, seeded) in looks.iter_mut().zip(&self.seeded) {
                look.order = look.order.or(*seeded);
            }
        }
        let mut contests: Vec<u32> = looks.iter().map(|look| look.contest).collect();
        contests.sort_unstable();
        contests.dedup();
        let path = path.to_owned();
        self.notes.push(Notes { path, format, rows, contests, order_known, order_seeded });
        Ok(())
    }

    fn comparison(
        &mut self,
        format: Format,
        row: usize,
        comparison: Comparison,
    ) -> anyhow::Result<()> {
        let (prompt, conversation) = comparison.prompt.keys()?;
        let Comparison { judge, model, baseline, model_output, baseline_output, looks, .. } =
            comparison;
        let names = Contest { judge, model, baseline };
        let turned = matches!(format, Format::Votes | Format::FastChat)
            .then(|| self.known_the_other_way(&names))
            .flatten();
        let contest = match turned {
            Some(contest) => contest,
            None => self.contests.place(names),
        };
        let dataset = self.datasets.place(comparison.prompt.dataset);
        let file = self.notes.len() as u32;
        let row = u32::try_from(row - 1).context("more than four billion rows")?;
        for look in looks {
            // The order of AlpacaEval's rows is known only later, and there is one look to each.
            let order = if format == Format::AlpacaEval { None } else { look.order };
            // People may vote on the same question again and again.
            if format != Format::Votes && !self.repeats {
                match self.seen.entry((contest, prompt, order)) {
                    Entry::Occupied(first) => {
                        let (file, row) = *first.get();
                        let place = match self.notes.get(file as usize) {
                            Some(earlier) => {
                                format!("row {} of {}", row + 1, earlier.path.display())
                            }
                            None => format!("row {}", row + 1),
                        };
                        anyhow::bail!(
                            "the prompt of {place} is judged again, for the same two models in the same order: delete one of the two, or score the files apart"
                        )
                    }
                    Entry::Vacant(place) => place.insert((file, row)),
                };
            }
            let probability = look.probability.filter(|_| self.soft && look.score.is_some());
            self.seeded.push(look.seeded);
            let judged = Judged {
                contest,
                dataset,
                prompt,
                conversation,
                row,
                order: look.order,
                score: probability.or(look.score),
                strong: look.strong,
                model_characters: model_output.as_ref().map(characters),
                baseline_characters: baseline_output.as_ref().map(characters),
            };
            self.looks.push(if turned.is_some() { judged.turned(contest) } else { judged });
        }
        Ok(())
    }

    /// These formats have no side for the baseline, so the two models may stand in either order: they
    /// are one contest, the way round in which it came first.
    fn known_the_other_way(&self, names: &Contest) -> Option<u32> {
        let other = Contest {
            judge: names.judge.clone(),
            model: names.baseline.clone(),
            baseline: names.model.clone(),
        };
        let place = self.contests.places.get(&other).copied();
        place.filter(|_| names.model != names.baseline)
    }
}
