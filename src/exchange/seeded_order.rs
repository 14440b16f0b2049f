//! The order in which AlpacaEval shows two answers, which its files do not record.
//!
//! For each instruction AlpacaEval seeds Python's random numbers with a text and tosses a coin
//! (alpaca_eval 0.6, `RandomSwitchTwoColumnsProcessor`). The same text gives the same coin here.
use rand_mt::Mt;
use sha2::{Digest, Sha512};

/// Whether AlpacaEval, with its default seed 0, shows the model's answer (`output_2`) first.
///
/// `instruction` is UTF-8. One with lone surrogates cannot be hashed by Python either.
pub fn model_is_first(instruction: &[u8]) -> bool {
    let seed = [b"is_switched_outputs", instruction, b"0"].concat();
    // `random.choices([False, True], k=1)` takes the element at floor(2 r).
    python_random(&seed) >= 0.5
}

/// The first `random.Random(text).random()` of CPython, for `text` in UTF-8.
///
/// A text seeds as the big-endian number of its bytes followed by their SHA-512
/// (`Lib/random.py`, version 2), whose 32-bit digits, lowest first, are the key of the Mersenne
/// Twister's `init_by_array`; a `random()` is made of the high 27 and 26 bits of two outputs
/// (`Modules/_randommodule.c`).
pub fn python_random(text: &[u8]) -> f64 {
    let mut number = [text, &Sha512::digest(text)].concat();
    number.reverse();
    let mut key: Vec<u32> = number
        .chunks(4)
        .map(|digits| digits.iter().rev().fold(0, |key, &byte| key << 8 | u32::from(byte)))
        .collect();
    while key.len() > 1 && key.last() == Some(&0) {
        key.pop();
    }
    let mut twister = Mt::new_with_key(key);
    let (high, low) = (twister.next_u32() >> 5, twister.next_u32() >> 6);
    (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    // import random
    // for seed in ("is_switched_outputs0", "is_switched_outputs2+20", "annotator1+10", "", "\0é"):
    //     print(random.Random(seed).random())
    #[test]
    fn random_numbers_are_those_of_python() {
        let check = |seed: &str, expected: f64| {
            assert_eq!(python_random(seed.as_bytes()), expected, "{seed:?}");
        };
        check("is_switched_outputs0", 0.14709790944563927);
        check("is_switched_outputs2+20", 0.28642635449077236);
        check("annotator1+10", 0.7741074718871591);
        check("", 0.9602256525641875);
        check("\0é", 0.9970007755610278);
    }
}
