//! Strengths of many models, length control, and scaling with data.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use spyhop::stats::{
    Estimate, ScalingPoint,
    bradley_terry::{Game, Parameter, Setup, Ties, WEAK_PRIOR, ranking},
    fit_scaling,
    length_control::{COST, Compared, from_weights, length_controlled, length_feature},
};

use crate::{
    draw::{coin, normal, win},
    table::{Experiment, Section, at_least, exactly, happened, holds},
};

pub(crate) fn section() -> Section {
    let mut experiments: Vec<Experiment> = [20, 48, 200].map(half).into();
    experiments.push(davidson(200));
    experiments.push(equal_length("without difficulty", 0.0, -3.0, 48));
    experiments.push(equal_length("without difficulty", 0.0, -1.0, 48));
    for n in [48, 200, 805] {
        experiments.push(equal_length("with difficulty", 1.0, -1.0, n));
    }
    experiments.push(line("six models, errors of 2 not told", None, 0.0));
    experiments.push(line("six models, errors of 2 told", Some([2.0; 6]), 0.0));
    experiments.push(line("the same, and a scatter of 3 not told", Some([2.0; 6]), 3.0));
    Section { title: "Strengths, length control, scaling", first_seed: 4_000, experiments }
}

/// Of a bootstrap.
const FOLDS: usize = 1_000;
/// Strengths of four players, the advantage of being shown first, and nu.
const STRENGTHS: [f64; 4] = [0.8, 0.2, -0.3, -0.7];
const ORDER: f64 = 0.5;
const NU: f64 = 0.8;

/// Four pairs of players in both orders. A prompt has a draw of its own, which decides about half of
/// its games: it favours those who are named first below, so its games are not independent.
fn games(prompts: usize, nu: f64, random: &mut ChaCha8Rng) -> Vec<Game> {
    let mut games = Vec::new();
    for cluster in 0..prompts {
        let shared: f64 = random.random();
        for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
            for (first, second, sign) in [(a, b, 1.0), (b, a, -1.0)] {
                let own: f64 = random.random();
                let draw = if coin(0.5, random) { shared } else { own };
                let advantage: f64 = STRENGTHS[a] - STRENGTHS[b] + sign * ORDER;
                let weights = [(advantage / 2.0).exp(), nu, (-advantage / 2.0).exp()];
                let place = draw * weights.iter().sum::<f64>();
                let a_scores = match place {
                    _ if place < weights[0] => 1.0,
                    _ if place < weights[0] + nu => 0.5,
                    _ => 0.0,
                };
                let score = if first == a { a_scores } else { 1.0 - a_scores };
                games.push(Game { first, second, score, ordered: true, weight: 1.0, cluster });
            }
        }
    }
    games
}

fn setup(ties: Ties) -> Setup {
    Setup { players: 4, ties, prior_deviation: WEAK_PRIOR }
}

/// The interval by the standard error, in place of the folds.
fn sandwich(parameter: &Parameter) -> Option<Estimate> {
    let (point, half) = (parameter.estimate.point, 1.96 * parameter.standard_error);
    Some(Estimate { lower: point - half, upper: point + half, ..parameter.estimate })
}

fn half(prompts: usize) -> Experiment {
    let promises = [
        exactly("`ranking`, strength of the first, bootstrap", 0.95),
        exactly("`ranking`, strength of the first, sandwich", 0.95),
        exactly("`ranking`, order, bootstrap", 0.95),
        exactly("`ranking`, order, sandwich", 0.95),
        exactly("`ranking`, win rate of the first against the second", 0.95),
        at_least("`ranking`, rank of the second", 0.95),
    ];
    let setting = format!("four models, both orders, {prompts} prompts with effects");
    Experiment::new(setting, 2_000, promises, move |random| {
        let games = games(prompts, 0.0, random);
        let Some(found) = ranking(&games, &setup(Ties::Half), FOLDS, random.random()) else {
            return [None; 6];
        };
        let (first, order) = (found.strength(0), found.order());
        let rank = found.rank(1);
        let expected = 1.0 / (1.0 + (STRENGTHS[1] - STRENGTHS[0]).exp());
        [
            holds(Some(first.estimate), STRENGTHS[0]),
            holds(sandwich(&first), STRENGTHS[0]),
            holds(order.map(|order| order.estimate), ORDER),
            holds(order.as_ref().and_then(sandwich), ORDER),
            holds(found.win_rate(0, 1), expected),
            happened((rank.best..=rank.worst).contains(&2)),
        ]
    })
}

fn davidson(prompts: usize) -> Experiment {
    let promises = [
        exactly("`ranking`, strength of the first, bootstrap", 0.95),
        exactly("`ranking`, order, bootstrap", 0.95),
        exactly("`ranking`, ln ν, bootstrap", 0.95),
        exactly("`ranking`, ln ν, sandwich", 0.95),
    ];
    let setting = format!("the same with ties, `Davidson`, {prompts} prompts");
    Experiment::new(setting, 2_000, promises, move |random| {
        let games = games(prompts, NU, random);
        let Some(found) = ranking(&games, &setup(Ties::Davidson), FOLDS, random.random()) else {
            return [None; 4];
        };
        let tie = found.tie();
        [
            holds(Some(found.strength(0).estimate), STRENGTHS[0]),
            holds(found.order().map(|order| order.estimate), ORDER),
            holds(tie.map(|tie| tie.estimate), NU.ln()),
            holds(tie.as_ref().and_then(sandwich), NU.ln()),
        ]
    })
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Wins and losses by the regression itself: the pull of length is -1.5, and the model's answers are
/// longer on most prompts.
fn equal_length(name: &str, slope: f64, bias: f64, n: usize) -> Experiment {
    let promises = [
        exactly("`length_controlled`, win rate", 0.95),
        exactly("`length_controlled`, length", 0.95),
        exactly("**not meant for it:** the published standard error", 0.95),
    ];
    const PULL: f64 = -1.5;
    const DIFFICULTIES: [f64; 4] = [-1.5, -0.5, 0.5, 1.5];
    let truth = DIFFICULTIES.iter().map(|d| sigmoid(slope * d + bias)).sum::<f64>() / 4.0;
    let setting = format!("{:.0}% at equal length, {name}, n = {n}", 100.0 * truth);
    Experiment::new(setting, 1_000, promises, move |random| {
        let prompt = |random: &mut ChaCha8Rng| Compared {
            score: None,
            length_difference: 500.0 * (normal(random) - 0.5),
            difficulty: if slope == 0.0 { 0.0 } else { DIFFICULTIES[random.random_range(0..4)] },
        };
        let mut prompts: Vec<Compared> = (0..n).map(|_| prompt(random)).collect();
        for (index, length) in length_feature(&prompts).into_iter().enumerate() {
            let prompt = &mut prompts[index];
            let chance = sigmoid(PULL * length + slope * prompt.difficulty + bias);
            prompt.score = Some(win(chance, random));
        }
        let Some(found) = length_controlled(&prompts, None, COST, FOLDS, random.random()) else {
            return [None; 3];
        };
        let difficulties: Vec<f64> = prompts.iter().map(|prompt| prompt.difficulty).collect();
        let published = from_weights(found.weights, &difficulties).and_then(|predicted| {
            let (point, half) = (predicted.win_rate, 1.96 * predicted.standard_error?);
            Some(Estimate { point, lower: point - half, upper: point + half, n })
        });
        // Without difficulty it is zero, and needs no row.
        let published = published.filter(|_| slope != 0.0);
        [holds(Some(found.win_rate), truth), holds(found.length, PULL), holds(published, truth)]
    })
}

/// Win rates on the line 20 + 8 log10 N, plus noise.
fn on_a_line(scatter: f64, random: &mut ChaCha8Rng) -> Vec<ScalingPoint> {
    let examples = [400.0, 800.0, 1_600.0, 3_200.0, 6_400.0, 12_800.0_f64];
    let point = |examples: f64| ScalingPoint {
        examples,
        win_rate: 20.0 + 8.0 * examples.log10() + scatter * normal(random),
    };
    examples.map(point).into()
}

/// With the errors of 2 given to the fit or not; on top of those, models scatter by `more`.
fn line(setting: &'static str, errors: Option<[f64; 6]>, more: f64) -> Experiment {
    let promises =
        [exactly("`fit_scaling`, alpha", 0.95), exactly("`fit_scaling`, `predict`", 0.95)];
    Experiment::new(setting, 10_000, promises, move |random| {
        let points = on_a_line(2.0_f64.hypot(more), random);
        let fit = fit_scaling(&points, errors.as_ref().map(|errors| &errors[..]), 10.0);
        [holds(fit.map(|fit| fit.alpha), 8.0), holds(fit.map(|fit| fit.predict(100_000.0)), 60.0)]
    })
}
