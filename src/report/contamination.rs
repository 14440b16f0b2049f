//! Whether the models have been taught what they are asked: the eval set's prompts looked for in the
//! pairs that were learned from.
use std::{
    collections::{BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::{
    document::{Block, Table},
    run::Run,
    words,
};
use crate::record::{Pair, Prompt};

/// Words in a row that count as a find. Ours: short prompts have few words, and of eight in a row few
/// are a common phrase; GPT-3's thirteen (arXiv 2005.14165, appendix C) would pass over most prompts.
const RUN_OF_WORDS: usize = 8;

/// Prompts named in the table at most.
const NAMED: usize = 5;

/// What was found of the prompts in a set of pairs: places in the eval set.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// The whole instruction is the same, but for case and punctuation.
    same: BTreeSet<usize>,
    /// A run of words occurs in the instruction or in the output.
    shared: BTreeSet<usize>,
}

pub(super) fn blocks(run: &Run) -> anyhow::Result<Vec<Block>> {
    if run.prompts.is_empty() {
        return Ok(vec![Block::paragraph("The eval set is not drawn yet.")]);
    }
    let mut table = Table::new(&[
        "Learned from",
        "Pairs#",
        "Prompts#",
        "Same instruction#",
        "Eight words in a row#",
        "Such prompts",
    ]);
    let seed = run.seed_pairs()?;
    let curated = run.models().into_iter().skip(1).map(|model| {
        let pairs = run.curated_pairs(&model)?;
        anyhow::Ok((format!("Curated, for {model}"), pairs))
    });
    let curated = curated.collect::<anyhow::Result<Vec<_>>>()?;
    for (name, pairs) in [("Seed".to_owned(), seed)].into_iter().chain(curated) {
        if pairs.is_empty() {
            continue;
        }
        let found = search(&run.prompts, &pairs);
        let all: Vec<usize> = found.same.union(&found.shared).copied().collect();
        let mut named: Vec<String> =
            all.iter().take(NAMED).map(|&place| words::visible(&run.prompts[place].id)).collect();
        if all.len() > NAMED {
            named.push(format!("{} more", words::count(all.len() - NAMED)));
        }
        table.rows.push(vec![
            name,
            words::count(pairs.len()),
            words::count(run.prompts.len()),
            words::count(found.same.len()),
            words::count(found.shared.len()),
            if named.is_empty() { "none".into() } else { words::list(&named) },
        ]);
    }
    if table.rows.is_empty() {
        return Ok(vec![Block::paragraph("Nothing was learned from yet.")]);
    }
    Ok(vec![
        Block::Table(table),
        Block::paragraph(
            "Prompts of the eval set that are found in what was learned from. Same instruction: but for case and punctuation. Eight words in a row: of the prompt, in the instruction or the output of a pair; some are common phrases, so look at them before you drop them. What the base model was trained on is not known here.",
        ),
    ])
}

fn search(prompts: &[Prompt], pairs: &[Pair]) -> Found {
    let mut runs: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut whole: HashMap<Vec<u64>, Vec<usize>> = HashMap::new();
    for (place, prompt) in prompts.iter().enumerate() {
        let words = hashed(&prompt.instruction);
        for run in words.windows(RUN_OF_WORDS) {
            runs.entry(hash(run)).or_default().push(place);
        }
        whole.entry(words).or_default().push(place);
    }
    let mut found = Found::default();
    for pair in pairs {
        let instruction = hashed(&pair.instruction);
        found.same.extend(whole.get(&instruction).into_iter().flatten());
        for text in [instruction, hashed(&pair.output)] {
            for run in text.windows(RUN_OF_WORDS) {
                found.shared.extend(runs.get(&hash(run)).into_iter().flatten());
            }
        }
    }
    found
}

/// The words of a text in lower case, each as its hash.
fn hashed(text: &str) -> Vec<u64> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(|word| hash(&word.to_lowercase())).collect()
}

/// The same in every process: the default hasher, unlike a map's, starts from fixed keys.
fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Origin;

    #[test]
    fn prompts_are_found_in_pairs() {
        let prompts = [
            "Why is the sky blue?",
            "Please list the nine planets in order of their distance",
            "Write a poem",
        ];
        let prompts: Vec<Prompt> = prompts
            .iter()
            .map(|text| Prompt {
                id: (*text).into(),
                instruction: (*text).into(),
                dataset: "all".into(),
            })
            .collect();
        let check = |instruction: &str, output: &str, same: &[usize], shared: &[usize]| {
            let pair = Pair::new(instruction.into(), output.into(), Origin::Seed, "0".into());
            let expected = Found {
                same: same.iter().copied().collect(),
                shared: shared.iter().copied().collect(),
            };
            assert_eq!(search(&prompts, &[pair]), expected, "{instruction}");
        };
        check("why is the sky blue", "Because.", &[0], &[]);
        check("Why is the sky so blue?", "Why is the sky blue?", &[], &[]);
        check("list the nine planets in order of size", "No.", &[], &[]);
        check("Now list the nine planets in order of their", "No.", &[], &[1]);
        check("What?", "I was told: please list the nine planets in order of it.", &[], &[1]);
        check("write a poem!", "list the nine planets, in order of their distance", &[2], &[1]);
    }
}
