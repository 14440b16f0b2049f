//! `spyhop.toml`: the checks of a repository.
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::recipe::{Agreement, JudgeMethod, RemoteJudge, Score, Source};

/// All checks of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Where replies are kept; left out, in the cache. A path in the repository, or in what CI caches,
    /// lets an unchanged candidate cost nothing.
    pub store: Option<PathBuf>,
    /// The reference lock. Named here, it has to exist: `spyhop check --update` writes it.
    pub lock: Option<PathBuf>,
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
    /// Where relative paths start from: the file's directory.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// One question: may the candidate take the place of the reference?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// A contestant: answers, a model, a server's.
    pub reference: String,
    /// The same; `--candidate` may stand in its place.
    pub candidate: Option<String>,
    /// Left out: what the reference has answered.
    pub eval_set: Option<String>,
    /// Contestants that both sides are compared with as well.
    #[serde(default)]
    pub baselines: Vec<String>,
    /// Points of the win rate that may be lost.
    pub margin: f64,
    /// Whether a slice that regressed turns the check red.
    #[serde(default = "yes")]
    pub slices: bool,
    /// Whether to stop judging as soon as a confidence sequence decides. Slices and baselines are then
    /// not looked at.
    #[serde(default)]
    pub until_decided: bool,
    /// Whether to ask the judge about the anchors first.
    #[serde(default)]
    pub anchors: bool,
    #[serde(default)]
    pub random_seed: u64,
    /// A judge behind servers: this or `local_judge`.
    pub judge: Option<RemoteJudge>,
    /// A judge on this machine, which compares every prompt.
    pub local_judge: Option<LocalJudge>,
    /// What is known of the judge, by `spyhop judge-quality`.
    pub agreement: Option<Agreement>,
    #[serde(default)]
    pub floors: Floors,
    #[serde(default)]
    pub ceilings: Ceilings,
    #[serde(default)]
    pub budget: Budget,
}

/// Weights on this machine that judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalJudge {
    pub method: JudgeMethod,
    /// How the two orders of a pair become one score.
    #[serde(default = "verdicts")]
    pub score: Score,
    pub weights: Source,
}

/// Below these, nothing is known: inconclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Floors {
    /// Share of the judged prompts with a score.
    pub coverage: f64,
    /// Of the prompts judged in both orders, the share on which both verdicts agree. A judge that always
    /// picks the first answer gives every candidate a half, which would pass for no difference.
    pub consistency: f64,
    /// Lower end of the judge's agreement with people.
    pub agreement: Option<f64>,
}

/// Above these, the candidate has regressed, whatever the judge says. Shares of its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ceilings {
    /// Mean length of an answer over that of the reference's.
    pub length_growth: Option<f64>,
    pub empty: Option<f64>,
    /// Answers that repeat themselves without end.
    pub repetition: Option<f64>,
    /// Answers that were cut by the token limit.
    pub truncated: Option<f64>,
    pub refusal: Option<f64>,
    /// Answers in another language than their prompt.
    pub wrong_language: Option<f64>,
}

/// Where any of these is used up, the check ends inconclusive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    pub dollars: Option<f64>,
    /// Questions to the judge.
    pub calls: Option<usize>,
    pub minutes: Option<f64>,
}

impl Default for Floors {
    fn default() -> Self {
        Self { coverage: 0.9, consistency: 0.4, agreement: None }
    }
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            length_growth: None,
            empty: Some(0.0),
            repetition: Some(0.05),
            truncated: None,
            refusal: None,
            wrong_language: None,
        }
    }
}

impl Suite {
    /// # Errors
    /// When the file is missing, not TOML, has an unknown key or a value out of range.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; `spyhop init` writes one", path.display()))?;
        let mut suite = Self::parse(&text).with_context(|| path.display().to_string())?;
        suite.directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(suite)
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let suite: Self = toml::from_str(text)?;
        anyhow::ensure!(!suite.checks.is_empty(), "there is no [[check]]");
        let mut names = HashSet::new();
        for check in &suite.checks {
            check.check().with_context(|| format!("[[check]] {:?}", check.name))?;
            anyhow::ensure!(names.insert(&check.name), "two checks are called {:?}", check.name);
        }
        Ok(suite)
    }
}

impl Check {
    /// How the two orders of a pair become one score.
    pub fn score(&self) -> Score {
        self.local_judge.as_ref().map_or(Score::Verdicts, |judge| judge.score)
    }

    /// What the types cannot say.
    ///
    /// # Errors
    /// When a value is out of range, or two keys contradict each other.
    pub fn check(&self) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(plain),
            "name: use letters, digits, - and _"
        );
        anyhow::ensure!(
            self.margin > 0.0 && self.margin <= 50.0,
            "margin = {}: expected points above 0, up to 50",
            self.margin
        );
        anyhow::ensure!(
            !self.until_decided || self.baselines.is_empty(),
            "until_decided looks at the reference alone: leave baselines out"
        );
        let shares = [
            ("floors.coverage", Some(self.floors.coverage)),
            ("floors.consistency", Some(self.floors.consistency)),
            ("floors.agreement", self.floors.agreement),
            ("ceilings.empty", self.ceilings.empty),
            ("ceilings.repetition", self.ceilings.repetition),
            ("ceilings.truncated", self.ceilings.truncated),
            ("ceilings.refusal", self.ceilings.refusal),
            ("ceilings.wrong_language", self.ceilings.wrong_language),
        ];
        for (key, value) in shares {
            anyhow::ensure!(
                value.is_none_or(|value| (0.0..=1.0).contains(&value)),
                "{key} = {}: expected a share from 0 to 1",
                value.unwrap_or_default()
            );
        }
        let above_nothing = [
            ("ceilings.length_growth", self.ceilings.length_growth),
            ("budget.dollars", self.budget.dollars),
            ("budget.minutes", self.budget.minutes),
        ];
        for (key, value) in above_nothing {
            anyhow::ensure!(
                value.is_none_or(|value| value > 0.0),
                "{key} = {}: expected a number above 0",
                value.unwrap_or_default()
            );
        }
        anyhow::ensure!(
            self.judge.is_some() != self.local_judge.is_some(),
            "expected one of [check.judge], behind a server, and [check.local_judge], on this machine"
        );
        anyhow::ensure!(
            self.judge.is_some()
                || !(self.until_decided || self.anchors || self.budget != Budget::default()),
            "local_judge compares every prompt, and does not change: leave until_decided, anchors and budget out"
        );
        if let Some(price) = self.judge.as_ref().and_then(|judge| judge.price) {
            price.check()?;
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

fn verdicts() -> Score {
    Score::Verdicts
}
