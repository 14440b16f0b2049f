//! Reading a recipe, and what serde cannot say of it: ranges, and keys that go together.
use std::{collections::HashSet, fs, path::Path};

use anyhow::Context;

use super::{JudgeMethod, Products, Recipe, Score, baseline_name};

impl Recipe {
    /// How a judge on this machine multiplies.
    pub fn judge_products(&self) -> Products {
        self.judge.products.unwrap_or(self.model.products)
    }

    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// When the file is missing, not TOML, has an unknown key or a value out of range; the message
    /// has file and line, and says what is allowed.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the recipe {}", path.display()))?;
        let mut recipe = Self::parse(&text).with_context(|| path.display().to_string())?;
        recipe.directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(recipe)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let recipe: Self = toml::from_str(text)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe with every default filled in, as TOML.
    pub fn resolved(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// What serde cannot say: ranges, and keys that go together.
    fn check(&self) -> anyhow::Result<()> {
        let name_is_plain =
            self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        anyhow::ensure!(
            !self.name.is_empty() && name_is_plain,
            "name = {:?}: use letters, digits, - and _, as it names a directory",
            self.name
        );
        anyhow::ensure!(
            self.model.weights.is_some() != self.model.script.is_some(),
            "[model] needs exactly one of `weights` and `script`"
        );
        anyhow::ensure!(
            !(self.model.script.is_some() && self.judge.weights.is_some()),
            "[judge] weights: a scripted run is judged by its script; leave this key out"
        );
        let positive = [
            ("seed.limit", self.seed.limit),
            ("corpus.limit", self.corpus.limit),
            ("corpus.repetition_ngram", self.corpus.repetition_ngram),
            ("finetune.batch_size", self.finetune.batch_size),
            ("finetune.max_tokens", self.finetune.max_tokens),
            ("augment.max_tokens", self.augment.max_tokens),
            ("curate.samples", self.curate.samples),
            ("curate.max_tokens", self.curate.max_tokens),
            ("evaluate.limit", self.evaluate.limit.unwrap_or(usize::MAX)),
            ("evaluate.max_tokens", self.evaluate.max_tokens),
        ];
        let (augment, curate, evaluate) = (&self.augment, &self.curate, &self.evaluate);
        let sampled = [
            ("augment", augment.top_k, &augment.stop),
            ("curate", curate.top_k, &curate.stop),
            ("evaluate", evaluate.top_k, &evaluate.stop),
        ];
        for (section, top_k, stop) in sampled {
            anyhow::ensure!(top_k != Some(0), "{section}.top_k = 0: must be at least 1");
            anyhow::ensure!(
                stop.iter().all(|stop| !stop.is_empty()),
                "{section}.stop holds an empty text, which would end every reply at once"
            );
        }
        for (key, value) in positive {
            anyhow::ensure!(value > 0, "{key} = 0: must be at least 1");
        }
        anyhow::ensure!(
            self.corpus.min_characters <= self.corpus.max_characters,
            "corpus.min_characters = {} is above corpus.max_characters = {}",
            self.corpus.min_characters,
            self.corpus.max_characters
        );
        let ranges = [
            ("corpus.repetition_threshold", self.corpus.repetition_threshold, 0.0, 1.0),
            ("finetune.epochs", self.finetune.epochs, f64::MIN_POSITIVE, 1e6),
            ("finetune.learning_rate", self.finetune.learning_rate, 0.0, 1.0),
            ("finetune.final_learning_rate", self.finetune.final_learning_rate, 0.0, 1.0),
            ("finetune.weight_decay", self.finetune.weight_decay, 0.0, 1.0),
            ("finetune.gradient_clip", self.finetune.gradient_clip, f64::MIN_POSITIVE, 1e9),
            ("finetune.dropout", self.finetune.dropout, 0.0, 0.9),
            ("augment.temperature", self.augment.temperature, 0.0, 10.0),
            ("augment.top_p", self.augment.top_p, f64::MIN_POSITIVE, 1.0),
            ("curate.threshold", self.curate.threshold, 1.0, 5.0),
            ("curate.temperature", self.curate.temperature, 0.0, 10.0),
            ("curate.top_p", self.curate.top_p, f64::MIN_POSITIVE, 1.0),
            ("evaluate.temperature", self.evaluate.temperature, 0.0, 10.0),
            ("evaluate.top_p", self.evaluate.top_p, f64::MIN_POSITIVE, 1.0),
        ];
        for (key, value, least, most) in ranges {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{key} = {value}: must be between {} and {most}",
                if least == f64::MIN_POSITIVE {
                    "0 (not included)".into()
                } else {
                    least.to_string()
                }
            );
        }
        anyhow::ensure!(
            matches!(self.finetune.products, Products::Auto | Products::Bf16 | Products::F32),
            "finetune.products: integers are too coarse for gradients; choose auto, bf16 or f32"
        );
        self.finetune.check()?;
        anyhow::ensure!(
            self.finetune.held_out < self.seed.limit,
            "finetune.held_out = {} leaves none of seed.limit = {} pairs to learn from",
            self.finetune.held_out,
            self.seed.limit
        );
        let mut names = HashSet::new();
        for baseline in &self.evaluate.baselines {
            let name = baseline_name(baseline);
            anyhow::ensure!(
                names.insert(name),
                "evaluate.baselines names {name:?} twice: a run keeps each under its name"
            );
            let reserved = ["backward", "report"].contains(&name)
                || name.strip_prefix('M').is_some_and(|number| number.parse::<u32>().is_ok());
            anyhow::ensure!(
                !reserved,
                "evaluate.baselines has {baseline:?}, and {name} is the run's own: rename the file"
            );
        }
        if let Some(remote) = &self.judge.remote {
            anyhow::ensure!(
                self.judge.weights.is_none()
                    && self.judge.products.is_none()
                    && self.judge.method == JudgeMethod::Choice
                    && self.judge.score == Score::Verdicts,
                "[judge.remote] stands in the place of judge.weights, judge.products, judge.method and judge.score: leave them out"
            );
            if let Some(price) = &remote.price {
                price.check()?;
            }
        }
        anyhow::ensure!(
            self.judge.score == Score::Verdicts || self.judge.method == JudgeMethod::Choice,
            "judge.score = \"preferences\" goes with judge.method = \"choice\", which sees both orders"
        );
        if let Some(agreement) = &self.judge.agreement {
            let figures = [0.0, agreement.lower, agreement.estimate, agreement.upper, 1.0];
            anyhow::ensure!(
                figures.is_sorted() && agreement.n > 0,
                "judge.agreement: expected shares with 0 <= lower <= estimate <= upper <= 1, and n above 0"
            );
        }
        anyhow::ensure!(
            self.curate.samples == 1 || self.curate.temperature > 0.0,
            "curate.samples = {}: at temperature 0 every sample is the same; ask for one",
            self.curate.samples
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
name = "smallest"
[model]
script = { from = ["file:replies.jsonl"] }
[seed]
source = { from = ["file:seed.jsonl"] }
format = "jsonl"
[corpus]
source = { from = ["file:pages#**/*.html"] }
limit = 10
[finetune]
epochs = 1
[evaluate]
eval_set = "first-look"
[judge]
method = "choice"
"#;

    #[test]
    fn defaults_are_the_papers_and_survive_a_round_trip() {
        let recipe = Recipe::parse(SMALLEST).unwrap();
        assert_eq!(recipe.iterations, 2);
        assert_eq!(recipe.seed.limit, 3_200);
        assert_eq!((recipe.corpus.min_characters, recipe.corpus.max_characters), (600, 3_000));
        assert_eq!(
            (recipe.finetune.learning_rate, recipe.finetune.final_learning_rate),
            (1e-5, 9e-6)
        );
        assert_eq!((recipe.augment.temperature, recipe.augment.top_p), (0.7, 0.9));
        assert_eq!(recipe.curate.threshold, 4.5);
        assert_eq!(Recipe::parse(&recipe.resolved().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn an_adapter_is_for_all_projections_where_none_is_named() {
        let lora = "epochs = 1\n[finetune.lora]\nrank = 8\nalpha = 16";
        let recipe = Recipe::parse(&SMALLEST.replace("epochs = 1", lora)).unwrap();
        let targets = recipe.finetune.lora.clone().unwrap().targets;
        assert_eq!(targets, crate::recipe::Projection::ALL);
        let resolved = recipe.resolved().unwrap();
        assert_eq!(Recipe::parse(&resolved).unwrap(), recipe);
        for target in targets {
            assert!(resolved.contains(&format!("\"{}\"", target.name())), "{resolved}");
        }
    }

    #[test]
    fn top_k_and_stop_strings_are_kept_and_change_no_recipe_without_them() {
        let plain = Recipe::parse(SMALLEST).unwrap().resolved().unwrap();
        assert!(!plain.contains("top_k") && !plain.contains("stop"), "{plain}");
        let more = "limit = 10\n[augment]\ntop_k = 40\nstop = [\"\\n\\n\", \"</s>\"]";
        let recipe = Recipe::parse(&SMALLEST.replace("limit = 10", more)).unwrap();
        assert_eq!(recipe.augment.top_k, Some(40));
        assert_eq!(recipe.augment.stop, ["\n\n", "</s>"]);
        assert_eq!(Recipe::parse(&recipe.resolved().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(SMALLEST.contains(from));
            let error = Recipe::parse(&SMALLEST.replace(from, to)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error}");
        };
        check("epochs = 1", "epochs = 1\nepoch = 1", "unknown field `epoch`");
        check("epochs = 1", "epochs = 1\nepoch = 1", "line 13");
        check("\"choice\"", "\"coin\"", "expected `choice` or `likelihood`");
        check(
            "epochs = 1",
            "epochs = -1",
            "finetune.epochs = -1: must be between 0 (not included) and 1000000",
        );
        let lora = "epochs = 1\n[finetune.lora]\nalpha = 16\n";
        check(
            "epochs = 1",
            &format!("{lora}rank = 0"),
            "finetune.lora.rank = 0: must be at least 1",
        );
        check("epochs = 1", &format!("{lora}rank = 8\ntargets = [\"q\"]"), "unknown variant `q`");
        check("epochs = 1", &format!("{lora}rank = 8\ntargets = []"), "at least one projection");
        check("epochs = 1", "epochs = 1\nlast_layers = 0", "finetune.last_layers = 0: must be");
        check("epochs = 1", "epochs = 1\nheld_out = 3200", "held_out = 3200 leaves none of");
        check(
            "epochs = 1",
            "epochs = 1\ndropout = 1.0",
            "finetune.dropout = 1: must be between 0 and 0.9",
        );
        for products in ["int8", "int7", "fastest"] {
            let training = format!("epochs = 1\nproducts = \"{products}\"");
            check("epochs = 1", &training, "too coarse for gradients");
        }
        check("\"smallest\"", "\"a/b\"", "name = \"a/b\": use letters");
        check(
            "script = { from = [\"file:replies.jsonl\"] }",
            "",
            "exactly one of `weights` and `script`",
        );
        check(
            "limit = 10",
            "limit = 10\n[curate]\nsamples = 2\ntemperature = 0",
            "every sample is the same",
        );
        check("\"choice\"", "\"likelihood\"\nscore = \"preferences\"", "goes with judge.method");
        check("[judge]", "baselines = [\"M1.json\"]\n[judge]", "M1 is the run's own");
        check(
            "\"choice\"",
            "\"likelihood\"\n[judge.remote]\njudge = \"pair-verdict\"",
            "leave them out",
        );
        check(
            "\"choice\"",
            "\"choice\"\nproducts = \"int8\"\n[judge.remote]\njudge = \"pair-verdict\"",
            "in the place of judge.weights, judge.products",
        );
        check("[judge]", "baselines = [\"base\", \"base\"]\n[judge]", "names \"base\" twice");
        let agreement = "\"choice\"\nagreement = { estimate = 59, lower = 55, upper = 62, n = 9, measured_on = \"\" }";
        check("\"choice\"", agreement, "judge.agreement: expected shares");
        check("limit = 10", "limit = 10\n[curate]\ntop_k = 0", "curate.top_k = 0: must be");
        check("limit = 10", "limit = 10\n[augment]\nstop = [\"\"]", "augment.stop holds an empty");
        check("[judge]", "limit = 0\n[judge]", "evaluate.limit = 0: must be at least 1");
        check("limit = 10", "limit = 0", "corpus.limit = 0: must be at least 1");
    }
}
