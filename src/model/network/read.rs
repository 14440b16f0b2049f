//! The rows of the last layer that anyone reads: what predicts a token that is asked for, or learned.
//!
//! Of the other rows, later tokens need keys and values, and no more.
use super::{Packed, Pass};
use crate::model::config::Config;

impl Packed {
    /// The rows that a layer goes on with after attention, if not all.
    pub(super) fn read_in(&self, layer: usize, config: &Config) -> Option<&[usize]> {
        self.read.as_deref().filter(|_| layer + 1 == config.layers)
    }
}

impl Pass {
    /// Where a token row's hidden state lies among those of [`Pass::forward`].
    pub(super) fn place_of(&self, row: usize) -> usize {
        match &self.read {
            None => row,
            Some(read) => read.binary_search(&row).expect("a row that is read"),
        }
    }
}

/// Leaves only some rows, ascending, of `width` numbers each.
pub(super) fn narrow(rows: &mut Vec<f32>, read: &[usize], width: usize) {
    for (place, &row) in read.iter().enumerate() {
        rows.copy_within(row * width..(row + 1) * width, place * width);
    }
    rows.truncate(read.len() * width);
}

/// Backward of [`narrow`]: the rows in their places among `tokens`, and zeros in the others.
pub(super) fn widen(rows: &mut Vec<f32>, read: &[usize], tokens: usize, width: usize) {
    rows.resize(tokens * width, 0.0);
    let mut end = tokens;
    for (place, &row) in read.iter().enumerate().rev() {
        rows.copy_within(place * width..(place + 1) * width, row * width);
        rows[(row + 1) * width..end * width].fill(0.0);
        end = row;
    }
    rows[..end * width].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_to_their_places() {
        for read in [vec![], vec![0], vec![3], vec![0, 1, 2, 3], vec![1, 3], vec![0, 2]] {
            let all: Vec<f32> = (1..=8).map(|value| value as f32).collect();
            let mut rows = all.clone();
            narrow(&mut rows, &read, 2);
            let expected: Vec<f32> =
                read.iter().flat_map(|&row| all[2 * row..2 * row + 2].to_vec()).collect();
            assert_eq!(rows, expected);
            widen(&mut rows, &read, 4, 2);
            let kept = |at: usize| if read.contains(&(at / 2)) { all[at] } else { 0.0 };
            assert_eq!(rows, (0..8).map(kept).collect::<Vec<_>>());
        }
    }
}
