//! Random numbers of which the mean is known.
use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A few values and the chance of each.
#[derive(Clone)]
pub(crate) struct Shape {
    values: Vec<f64>,
    chances: Vec<f64>,
}

impl Shape {
    pub(crate) fn new(values: &[f64], chances: &[f64]) -> Shape {
        Shape { values: values.into(), chances: chances.into() }
    }

    /// Wins and losses, of which `mean` are wins.
    pub(crate) fn wins(mean: f64) -> Shape {
        Shape::new(&[0.0, 1.0], &[1.0 - mean, mean])
    }

    /// Wins, ties and losses, with half ties, or as many as there are of the rarer of the others.
    pub(crate) fn ties(mean: f64) -> Shape {
        let ties = f64::min(0.5, f64::min(mean, 1.0 - mean));
        let [lost, won] = [1.0 - mean, mean].map(|share| share - ties / 2.0);
        Shape::new(&[0.0, 0.5, 1.0], &[lost, ties, won])
    }

    /// Differences of -1, 0 and 1, of which the share `discordant` is not 0.
    pub(crate) fn discordant(discordant: f64, mean: f64) -> Shape {
        let [gain, loss] = [mean, -mean].map(|mean| (discordant + mean) / 2.0);
        Shape::new(&[-1.0, 0.0, 1.0], &[loss, 1.0 - discordant, gain])
    }

    pub(crate) fn mean(&self) -> f64 {
        self.values.iter().zip(&self.chances).map(|(value, chance)| value * chance).sum()
    }

    pub(crate) fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.values.iter().zip(&self.chances);
        squares.map(|(value, chance)| (value - mean).powi(2) * chance).sum::<f64>().sqrt()
    }

    pub(crate) fn draw(&self, random: &mut ChaCha8Rng) -> f64 {
        let mut left: f64 = random.random();
        let chosen = self.chances.iter().position(|chance| {
            left -= chance;
            left < 0.0
        });
        self.values[chosen.unwrap_or(self.values.len() - 1)]
    }

    pub(crate) fn sample(&self, n: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        (0..n).map(|_| self.draw(random)).collect()
    }
}

pub(crate) fn coin(chance: f64, random: &mut ChaCha8Rng) -> bool {
    random.random::<f64>() < chance
}

/// 1 with the chance, and else 0.
pub(crate) fn win(chance: f64, random: &mut ChaCha8Rng) -> f64 {
    f64::from(u8::from(coin(chance, random)))
}

/// How many of `n` coins fall on the side that has the chance.
pub(crate) fn count(n: usize, chance: f64, random: &mut ChaCha8Rng) -> usize {
    (0..n).filter(|_| coin(chance, random)).count()
}

/// A standard normal number: Box and Muller 1958 (Ann. Math. Stat. 29:610).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (TAU * random.random::<f64>()).cos()
}

/// Scores in quarters of `n` prompts for each of the means, less those of one reference that all
/// share: differences correlated by about a half, in quarters.
pub(crate) fn against_a_reference(
    means: &[f64],
    n: usize,
    random: &mut ChaCha8Rng,
) -> Vec<Vec<f64>> {
    let scores = |mean: f64, random: &mut ChaCha8Rng| -> Vec<f64> {
        (0..n).map(|_| (0..4).map(|_| win(mean, random)).sum::<f64>() / 4.0).collect()
    };
    let reference = scores(0.5, random);
    let less_reference = |scores: Vec<f64>| -> Vec<f64> {
        scores.iter().zip(&reference).map(|(score, other)| score - other).collect()
    };
    means.iter().map(|mean| less_reference(scores(0.5 + mean, random))).collect()
}
