//! How hard each prompt is, from several models compared with the same baseline on the same prompts.
use nalgebra::{DMatrix, DVector};

use super::{Compared, length_feature, sigmoid};

/// One score: of a model, by its place in the list, on a prompt with the length feature t.
struct Cell {
    model: usize,
    length: f64,
    score: f64,
}

/// The difficulty d of each prompt, from the scores of at least two models: logit P(m wins on i) =
/// a_m t_mi + c_m + d_i, by least `ridge` / 2 * (sum a^2 + sum c^2 + sum d^2) + loss.
///
/// The form is that of the regression from which AlpacaEval took its difficulties (arXiv 2404.04475
/// and its notebook `instruction_difficulty`). The ridge penalty is ours: without it, d and c could
/// be shifted against each other, and the d of a prompt that all models win would be infinite. A ridge
/// of 1 amounts to a standard normal prior on every coefficient. Large d is a prompt on which the
/// baseline is easily beaten.
///
/// `models` holds one list for each model, entry i of all of them being the same prompt; prompts
/// without a score may differ from model to model, and one without any gets d = 0. The difficulty
/// that the prompts already carry is not read. `None` if fewer than two models have a score.
///
/// The difficulties fit the scores they were made from. To control the win rate of a model by
/// difficulty, take the d of the *other* models: its own scores would be explained by themselves.
///
/// # Panics
/// When the lists differ in length, or `ridge` is not positive.
pub fn joint_difficulty(models: &[&[Compared]], ridge: f64) -> Option<Vec<f64>> {
    assert!(ridge > 0.0, "ridge {ridge} is not positive");
    let prompts = models.first()?.len();
    let mut cells: Vec<Vec<Cell>> = (0..prompts).map(|_| Vec::new()).collect();
    for (model, compared) in models.iter().enumerate() {
        assert_eq!(compared.len(), prompts, "all models answer the same prompts");
        for (i, (prompt, length)) in compared.iter().zip(length_feature(compared)).enumerate() {
            cells[i].extend(prompt.score.map(|score| Cell { model, length, score }));
        }
    }
    let scored = |model: &&[Compared]| model.iter().any(|prompt| prompt.score.is_some());
    if models.iter().filter(|model| scored(model)).count() < 2 {
        return None;
    }
    Some(minimise(&cells, models.len(), ridge).difficulty)
}

/// The coefficients: a and c of every model in turn, and d of every prompt.
#[derive(Clone)]
struct Coefficients {
    models: DVector<f64>,
    difficulty: Vec<f64>,
}

impl Coefficients {
    fn moved(&self, share: f64, step: &Self) -> Self {
        let along = self.difficulty.iter().zip(&step.difficulty);
        Self {
            models: &self.models + share * &step.models,
            difficulty: along.map(|(here, step)| here + share * step).collect(),
        }
    }
}

/// Newton's method with halved steps, until a step promises less than 1e-13 of the objective.
fn minimise(cells: &[Vec<Cell>], models: usize, ridge: f64) -> Coefficients {
    let mut here =
        Coefficients { models: DVector::zeros(2 * models), difficulty: vec![0.0; cells.len()] };
    let mut objective = value(cells, &here, ridge);
    for _ in 0..100 {
        let Some((step, promised)) = newton_step(cells, &here, ridge) else { break };
        let mut share = 1.0;
        let mut next = here.moved(share, &step);
        if promised <= 1e-13 * objective {
            return next;
        }
        while value(cells, &next, ridge) > objective - 1e-4 * share * promised && share > 1e-9 {
            share /= 2.0;
            next = here.moved(share, &step);
        }
        (objective, here) = (value(cells, &next, ridge), next);
    }
    here
}

fn logit(cell: &Cell, at: &Coefficients, prompt: usize) -> f64 {
    at.models[2 * cell.model] * cell.length + at.models[2 * cell.model + 1] + at.difficulty[prompt]
}

fn value(cells: &[Vec<Cell>], at: &Coefficients, ridge: f64) -> f64 {
    let squares = at.models.norm_squared() + at.difficulty.iter().map(|d| d * d).sum::<f64>();
    let loss = |(prompt, cells): (usize, &Vec<Cell>)| {
        let loss = |cell: &Cell| {
            let z = logit(cell, at, prompt);
            z.max(0.0) + (-z.abs()).exp().ln_1p() - cell.score * z
        };
        cells.iter().map(loss).sum::<f64>()
    };
    ridge / 2.0 * squares + cells.iter().enumerate().map(loss).sum::<f64>()
}

/// The Newton step from a point, and how far the objective would fall along it to first order.
///
/// A prompt's d meets no other d, so the second derivatives of the difficulties are a diagonal. They
/// are eliminated first, which leaves one system of two unknowns a model (its Schur complement).
fn newton_step(cells: &[Vec<Cell>], at: &Coefficients, ridge: f64) -> Option<(Coefficients, f64)> {
    let size = at.models.len();
    let mut system = DMatrix::identity(size, size) * ridge;
    let mut gradient = &at.models * ridge;
    let mut right = DVector::zeros(size);
    let mut diagonals = Vec::with_capacity(cells.len());
    let mut slopes = Vec::with_capacity(cells.len());
    let mut rows = Vec::with_capacity(cells.len());
    for (prompt, cells) in cells.iter().enumerate() {
        let mut diagonal = ridge;
        let mut slope = ridge * at.difficulty[prompt];
        // The second derivatives between this prompt's d and the coefficients of its models.
        let mut row: Vec<(usize, f64)> = Vec::with_capacity(2 * cells.len());
        for cell in cells {
            let p = sigmoid(logit(cell, at, prompt));
            let (first, second) = (p - cell.score, p * (1.0 - p));
            let (a, c) = (2 * cell.model, 2 * cell.model + 1);
            diagonal += second;
            slope += first;
            gradient[a] += first * cell.length;
            gradient[c] += first;
            system[(a, a)] += second * cell.length * cell.length;
            system[(a, c)] += second * cell.length;
            system[(c, a)] += second * cell.length;
            system[(c, c)] += second;
            row.extend([(a, second * cell.length), (c, second)]);
        }
        for &(one, left) in &row {
            right[one] += left * slope / diagonal;
            for &(other, value) in &row {
                system[(one, other)] -= left * value / diagonal;
            }
        }
        diagonals.push(diagonal);
        slopes.push(slope);
        rows.push(row);
    }
    let models = system.cholesky()?.solve(&(right - &gradient));
    let back = |(prompt, row): (usize, &Vec<(usize, f64)>)| {
        let coupled: f64 = row.iter().map(|&(column, value)| value * models[column]).sum();
        -(slopes[prompt] + coupled) / diagonals[prompt]
    };
    let difficulty: Vec<f64> = rows.iter().enumerate().map(back).collect();
    let fall: f64 = slopes.iter().zip(&difficulty).map(|(slope, step)| slope * step).sum();
    let promised = -gradient.dot(&models) - fall;
    Some((Coefficients { models, difficulty }, promised))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn compared(scores: [f64; 6], differences: [f64; 6]) -> Vec<Compared> {
        let pairs = scores.into_iter().zip(differences);
        pairs
            .map(|(score, length_difference)| Compared {
                score: (!score.is_nan()).then_some(score),
                length_difference,
                difficulty: 9.0,
            })
            .collect()
    }

    fn three_models() -> [Vec<Compared>; 3] {
        let missing = f64::NAN;
        [
            compared(
                [1.0, 0.0, 0.5, 1.0, missing, 0.25],
                [-120.0, 300.0, 80.0, -40.0, -500.0, 210.0],
            ),
            compared([1.0, 0.5, 0.0, 0.75, 0.0, 0.0], [60.0, -90.0, 400.0, -20.0, -310.0, 150.0]),
            compared([0.5, 0.0, 0.0, 1.0, 0.25, missing], [10.0, -700.0, 35.0, 220.0, -80.0, 5.0]),
        ]
    }

    // import numpy as np; from sklearn.linear_model import LogisticRegression; nan = np.nan
    // y = np.array([[1, 0, .5, 1, nan, .25], [1, .5, 0, .75, 0, 0], [.5, 0, 0, 1, .25, nan]])
    // delta = np.array([[-120., 300, 80, -40, -500, 210], [60, -90, 400, -20, -310, 150],
    //                   [10, -700, 35, 220, -80, 5]])
    // t = np.tanh(delta / delta.std(axis=1, ddof=1, keepdims=True)); m, i = np.nonzero(~np.isnan(y))
    // X = np.c_[np.eye(3)[m] * t[m, i, None], np.eye(3)[m], np.eye(6)[i]]; v = y[m, i]
    // for ridge in 1, .01:
    //     fit = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-12, max_iter=100000,
    //                              solver="newton-cholesky")
    //     fit.fit(np.r_[X, X], np.repeat([1, 0], len(v)), np.r_[v, 1 - v]); print(fit.coef_[0][6:])
    #[test]
    fn it_agrees_with_the_ridge_regression_of_scikit_learn() {
        let models = three_models();
        let models: Vec<&[Compared]> = models.iter().map(Vec::as_slice).collect();
        let check = |ridge: f64, expected: [f64; 6]| {
            let found = joint_difficulty(&models, ridge).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
            }
        };
        check(
            1.0,
            [
                0.6173731764,
                -0.4306883103,
                -0.4995942210,
                0.7427590501,
                -0.4094173668,
                -0.4355617308,
            ],
        );
        check(
            0.01,
            [
                2.0850128050,
                -0.0723639986,
                -1.8006526899,
                2.3188139041,
                -0.6107201291,
                -1.2443741244,
            ],
        );
    }

    #[test]
    fn it_needs_two_models_and_ignores_their_order() {
        let [one, two, three] = three_models();
        let forwards = joint_difficulty(&[&one, &two, &three], 1.0).unwrap();
        let backwards = joint_difficulty(&[&three, &two, &one], 1.0).unwrap();
        for (one, other) in forwards.iter().zip(backwards) {
            assert!((one - other).abs() < 1e-9);
        }
        let unscored: Vec<Compared> =
            one.iter().map(|prompt| Compared { score: None, ..*prompt }).collect();
        assert_eq!(joint_difficulty(&[], 1.0), None);
        assert_eq!(joint_difficulty(&[&one], 1.0), None);
        assert_eq!(joint_difficulty(&[&one, &unscored], 1.0), None);
        // A model without scores adds nothing, and a prompt without any has no difficulty.
        let with_it = joint_difficulty(&[&unscored, &one, &two, &three], 1.0).unwrap();
        assert!((with_it[0] - forwards[0]).abs() < 1e-9);
        assert!(joint_difficulty(&[&one[4..], &three[4..]], 1.0).unwrap()[0] < 0.0);
        assert_eq!(
            joint_difficulty(&[&[unscored[0], one[0]], &[unscored[0], two[0]]], 1.0).unwrap()[0],
            0.0
        );
    }

    #[test]
    fn models_that_win_or_lose_everything_stay_finite() {
        let all = |score: f64| {
            let prompt = |i: u32| Compared {
                score: Some(score),
                length_difference: f64::from(i),
                difficulty: 0.0,
            };
            (0..40).map(prompt).collect::<Vec<_>>()
        };
        let found = joint_difficulty(&[&all(1.0), &all(1.0)], 1e-4).unwrap();
        assert!(found.iter().all(|difficulty| difficulty.is_finite()), "{found:?}");
    }

    #[test]
    fn planted_difficulties_are_recovered() {
        let mut random = ChaCha8Rng::seed_from_u64(4475);
        // The sum of twelve uniform numbers less six is close to a normal one.
        let normal =
            |random: &mut ChaCha8Rng| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let planted: Vec<f64> = (0..200).map(|_| 1.5 * normal(&mut random)).collect();
        let mut models = Vec::new();
        for model in 0..12 {
            let lengths: Vec<f64> = planted.iter().map(|_| normal(&mut random)).collect();
            let chance = |length: f64, difficulty: f64| {
                sigmoid(-1.8 * length.tanh() + f64::from(model) / 6.0 - 2.0 + difficulty)
            };
            let model: Vec<Compared> = lengths
                .iter()
                .zip(&planted)
                .map(|(&length_difference, &difficulty)| Compared {
                    score: Some(f64::from(
                        random.random::<f64>() < chance(length_difference, difficulty),
                    )),
                    length_difference,
                    difficulty: 0.0,
                })
                .collect();
            models.push(model);
        }
        let models: Vec<&[Compared]> = models.iter().map(Vec::as_slice).collect();
        let found = joint_difficulty(&models, 1.0).unwrap();
        let product = |a: &[f64], b: &[f64]| {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let (mean_a, mean_b) = (mean(a), mean(b));
            a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>()
        };
        let correlation = product(&found, &planted)
            / (product(&found, &found) * product(&planted, &planted)).sqrt();
        assert!(correlation > 0.8, "{correlation}");
    }
}
