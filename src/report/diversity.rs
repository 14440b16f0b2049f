//! How much the instructions of a set differ from one another.
use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    data::PairSet,
    document::{Block, Table},
    figures, words,
};
use crate::stats::{self, Estimate};

/// What a set's instructions have of variety.
#[derive(Debug, Serialize)]
pub(super) struct Diversity {
    pub(super) set: String,
    pub(super) instructions: usize,
    /// Different ones, but for case, punctuation and white space: counted, so without an interval.
    pub(super) distinct: usize,
    /// Words of all instructions.
    pub(super) words: usize,
    /// Words of each sample that the next two are the mean of, the same for all sets; their n counts
    /// samples.
    pub(super) sample_words: Option<usize>,
    /// Different pairs of neighbouring words over all such pairs.
    pub(super) distinct_bigrams: Option<Estimate>,
    /// Different triples of neighbouring words.
    pub(super) unique_trigrams: Option<Estimate>,
    /// The most common ones.
    pub(super) first_words: Vec<FirstWord>,
}

/// A word, and the share of the instructions that begin with it.
#[derive(Debug, Serialize)]
pub(super) struct FirstWord {
    pub(super) word: String,
    pub(super) share: Estimate,
}

/// Sizes that a sample may have, in words.
const SIZES: [usize; 6] = [100, 200, 500, 1_000, 2_000, 5_000];
/// Samples that the smallest set must have words for.
const LEAST: usize = 5;
/// Samples of a set that are looked at.
const MOST: usize = 100;
/// First words that are listed.
const LISTED: usize = 5;

/// The sets that have instructions, in order.
pub(super) fn diversities(sets: &[PairSet], random_seed: u64) -> Vec<Diversity> {
    let counted: Vec<(&PairSet, usize)> = sets
        .iter()
        .filter(|set| !set.instructions.is_empty())
        .map(|set| (set, set.instructions.iter().map(|text| words_of(text).count()).sum()))
        .collect();
    let large_enough = |&words: &usize| words >= LEAST * SIZES[0];
    let smallest = counted.iter().map(|(_, words)| *words).filter(large_enough).min();
    let fits = |size: &usize| smallest.is_some_and(|words| LEAST * size <= words);
    let size = SIZES.into_iter().rfind(fits);
    counted.into_iter().map(|(set, words)| diversity(set, words, size, random_seed)).collect()
}

fn diversity(set: &PairSet, words: usize, size: Option<usize>, random_seed: u64) -> Diversity {
    let n = set.instructions.len();
    let mut different = HashSet::new();
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    for instruction in &set.instructions {
        let mut hasher = DefaultHasher::new();
        words_of(instruction).for_each(|word| word.hash(&mut hasher));
        different.insert(hasher.finish());
        if let Some(word) = words_of(instruction).next() {
            *firsts.entry(word).or_default() += 1;
        }
    }
    let mut firsts: Vec<(String, usize)> = firsts.into_iter().collect();
    // The sort keeps the order of the alphabet among equals.
    firsts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let first = |(word, count): (String, usize)| {
        Some(FirstWord { word, share: stats::proportion(count, n)? })
    };
    let size = size.filter(|size| LEAST * size <= words);
    let samples = size.map_or_else(Vec::new, |size| samples(&set.instructions, size, random_seed));
    let mean = |pick: fn(&Sample) -> f64, greatest: f64| {
        let values: Vec<f64> = samples.iter().map(pick).collect();
        let Estimate { point, lower, upper, n } = stats::student_t(&values, 0.95)?;
        Some(Estimate { point, lower: lower.max(0.0), upper: upper.min(greatest), n })
    };
    Diversity {
        set: set.name.clone(),
        instructions: n,
        distinct: different.len(),
        words,
        sample_words: size,
        distinct_bigrams: mean(|sample| sample.distinct_bigrams, 1.0),
        unique_trigrams: mean(|sample| sample.unique_trigrams, f64::INFINITY),
        first_words: firsts.into_iter().take(LISTED).filter_map(first).collect(),
    }
}

/// Letters, digits and apostrophes between other characters, in lower case.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && !['\'', '\u{2019}'].contains(&c))
        .map(|word| word.trim_matches(['\'', '\u{2019}']).to_lowercase())
        .filter(|word| !word.is_empty())
}

struct Sample {
    distinct_bigrams: f64,
    unique_trigrams: f64,
}

/// Samples of `size` words that share no instruction, so that their mean has an interval: instructions
/// in an order of chance, of which the last in a sample is cut. Neighbours are of one instruction.
///
/// A bootstrap would draw an instruction twice, and so make any set look less varied than it is.
fn samples(instructions: &[String], size: usize, random_seed: u64) -> Vec<Sample> {
    let mut order: Vec<&String> = instructions.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(random_seed));
    let mut samples = Vec::new();
    let (mut bigrams, mut left) = (0, size);
    let (mut pairs, mut triples) = (HashSet::new(), HashSet::new());
    for instruction in order {
        let words: Vec<String> = words_of(instruction).take(left).collect();
        bigrams += words.len().saturating_sub(1);
        pairs.extend(words.windows(2).map(|pair| pair.join(" ")));
        triples.extend(words.windows(3).map(|triple| triple.join(" ")));
        left -= words.len();
        if left == 0 {
            samples.push(Sample {
                distinct_bigrams: pairs.len() as f64 / bigrams.max(1) as f64,
                unique_trigrams: triples.len() as f64,
            });
            pairs.clear();
            triples.clear();
            (bigrams, left) = (0, size);
        }
        if samples.len() == MOST {
            break;
        }
    }
    samples
}

/// # Errors
/// When the drawing fails.
pub(super) fn blocks(all: &[Diversity]) -> anyhow::Result<Vec<Block>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut table = Table::new(&[
        "Instructions of",
        "Count#",
        "Distinct#",
        "Words#",
        "Distinct bigrams#",
        "Unique trigrams#",
        "Begin with",
    ]);
    for one in all {
        let none = || words::NOT_APPLICABLE.to_owned();
        let trigrams = |Estimate { point, lower, upper, n }| {
            let [point, lower, upper] = [point, lower, upper].map(words::whole);
            format!("{point} [{lower}, {upper}], n = {n}")
        };
        let first = |FirstWord { word, share }: &FirstWord| {
            format!("{} {}", words::beginning(word, 20), words::percent(share.point))
        };
        let share = one.distinct as f64 / one.instructions as f64;
        table.rows.push(vec![
            one.set.clone(),
            words::count(one.instructions),
            format!("{} ({})", words::count(one.distinct), words::percent(share)),
            words::count(one.words),
            words::estimate_or_none(one.distinct_bigrams.as_ref()),
            one.unique_trigrams.map_or_else(none, trigrams),
            one.first_words.iter().take(2).map(first).collect::<Vec<_>>().join(", "),
        ]);
    }
    let sampled = match all.iter().find_map(|one| one.sample_words) {
        Some(size) => format!(
            "Bigrams and trigrams, neighbouring words of one instruction, are of samples of {} words, as many for every set, because longer texts repeat more; mean over n samples that share no instruction, with its 95% interval.",
            words::count(size)
        ),
        None => format!(
            "For bigrams and trigrams a set needs {} words.",
            words::count(LEAST * SIZES[0])
        ),
    };
    Ok(vec![
        Block::Table(table),
        Block::paragraph(format!(
            "Distinct: different but for case, punctuation and white space; counted in the whole set. {sampled} Begin with: the most common first words, of which the plot has more. They are no parse: the paper looks at root verbs and their nouns."
        )),
        Block::figure(&figures::first_words(all))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, instructions: impl IntoIterator<Item = String>) -> PairSet {
        PairSet {
            name: name.into(),
            instructions: instructions.into_iter().collect(),
            output_characters: Vec::new(),
            paper: ["", ""],
        }
    }

    #[test]
    fn words_are_what_stands_between_punctuation() {
        let words: Vec<String> = words_of("  What's a \"whale\"?\nÉtude 'No. 2'.").collect();
        assert_eq!(words, ["what's", "a", "whale", "étude", "no", "2"]);
    }

    #[test]
    fn a_set_that_says_the_same_again_is_less_varied_at_the_same_size() {
        let varied = set("varied", (0..500).map(|i| format!("Say w{i} x{i} y{i} z{i}")));
        let alike = set("alike", (0..400).map(|_| "say it again, and AGAIN.".to_owned()));
        let small = set("small", ["One, two; three".to_owned(), "one two three!".to_owned()]);
        let none = set("none", []);
        let all = diversities(&[varied, alike, small, none], 7);
        let names: Vec<&str> = all.iter().map(|one| one.set.as_str()).collect();
        assert_eq!(names, ["varied", "alike", "small"]);
        let [varied, alike, small] = &all[..] else { panic!("three sets") };
        assert_eq!((varied.distinct, alike.distinct, small.distinct), (500, 1, 1));
        // 2,000 words in the smaller set: five samples of 200 and more, ten of them here.
        assert_eq!([varied.sample_words, alike.sample_words], [Some(200); 2]);
        let bigrams = |one: &Diversity| one.distinct_bigrams.unwrap();
        assert_eq!((bigrams(varied).point, bigrams(varied).n), (1.0, 12));
        assert!((bigrams(alike).point - 4.0 / 160.0).abs() < 1e-12);
        assert_eq!(bigrams(alike).n, 10);
        assert_eq!(alike.unique_trigrams.unwrap().point, 3.0);
        assert_eq!((small.sample_words, small.distinct_bigrams), (None, None));
        let first = &varied.first_words[0];
        assert_eq!((first.word.as_str(), first.share.point, first.share.n), ("say", 1.0, 500));
    }

    #[test]
    fn a_sample_follows_its_seed() {
        let text = |i: usize| format!("Say {} of {} and {}", i % 7, i % 11, i % 13);
        let bigrams = |seed| {
            let sets = [set("one", (0..300).map(text))];
            diversities(&sets, seed)[0].distinct_bigrams.unwrap()
        };
        assert_eq!(bigrams(1), bigrams(1));
        assert_ne!(bigrams(1), bigrams(2));
    }
}
