//! A seeded choice among rows.
//!
//! Knows nothing of what the rows are.
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// At most `limit` of the rows, every choice equally likely, in the order in which they came.
///
/// Each row draws a random key and the lowest keys win. So a larger limit only adds rows to those of
/// a smaller one, and replies that a model gave for the smaller sample serve the larger one too.
pub fn draw<T>(rows: Vec<T>, limit: usize, random_seed: u64) -> Vec<T> {
    let mut random = ChaCha8Rng::seed_from_u64(random_seed);
    let mut keys: Vec<(u64, usize)> = (0..rows.len()).map(|at| (random.next_u64(), at)).collect();
    keys.sort_unstable();
    let mut chosen = vec![false; rows.len()];
    for &(_, at) in keys.iter().take(limit) {
        chosen[at] = true;
    }
    rows.into_iter().zip(chosen).filter_map(|(row, chosen)| chosen.then_some(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_follows_its_seed_and_grows_by_adding() {
        let rows: Vec<usize> = (0..100).collect();
        let check = |limit: usize, seed: u64| {
            let sample = draw(rows.clone(), limit, seed);
            assert_eq!(sample.len(), limit.min(100));
            assert!(sample.is_sorted());
            assert_eq!(sample, draw(rows.clone(), limit, seed));
            let larger = draw(rows.clone(), limit + 10, seed);
            assert!(sample.iter().all(|row| larger.contains(row)));
        };
        for limit in [0, 1, 50, 99, 100, 1_000] {
            for seed in [0, 1, u64::MAX] {
                check(limit, seed);
            }
        }
        assert_ne!(draw(rows.clone(), 50, 1), draw(rows, 50, 2));
    }
}
