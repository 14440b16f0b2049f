//! The max-t bootstrap against all draws, against known critical values, and in repetition.
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::stats::panic_of;

const COLUMNS: [[f64; 6]; 4] = [
    [0.53, -0.11, 0.71, 0.42, 0.08, 0.29],
    [0.27, 0.19, 0.33, -0.37, 0.61, 0.15],
    [0.04, 0.0, 0.26, 0.0, -0.09, -0.31],
    [0.25; 6],
];

fn slices<const N: usize>(columns: &[[f64; N]]) -> Vec<&[f64]> {
    columns.iter().map(|column| column.as_slice()).collect()
}

// All 6^6 draws, so no random numbers:
// import itertools, numpy as np
// d = np.array([[.53, -.11, .71, .42, .08, .29], [.27, .19, .33, -.37, .61, .15],
//               [.04, 0, .26, 0, -.09, -.31], [.25]*6])
// i = np.array(list(itertools.product(range(6), repeat=6)))
// t = lambda x, m: abs(x.mean(-1) - m) / np.sqrt((x.var(-1) * 6 + .5) / 30)
// found, folds = t(d, 0), t(d[:, i], d.mean(1)[:, None])
// order = np.argsort(-found)  # 3 0 1 2
// print([np.mean(folds.max(0) >= T) for T in found])
// print(np.maximum.accumulate([np.mean(folds[order[k:]].max(0) >= found[j])
//                              for k, j in enumerate(order)]))
// print(np.quantile(folds.max(0), [.8, .9, .95]))
// print([(np.mean(f >= T), np.quantile(f, .9)) for f, T in zip(folds, found)])
#[test]
fn it_agrees_with_all_draws() {
    let close = |value: f64, expected: f64, tolerance: f64| {
        assert!((value - expected).abs() < tolerance, "{value} is not {expected}");
    };
    let folds = 19_999;
    let at = |level: f64| max_t(&slices(&COLUMNS), folds, 2005, level).unwrap();
    let single = [0.025892, 0.240569, 0.984568, 0.014789];
    let stepped = [0.025892, 0.143047, 0.795117, 0.014789];
    for (column, (single, stepped)) in at(0.9).columns.iter().zip(single.into_iter().zip(stepped)) {
        close(column.p_single_step, single, 0.013);
        close(column.p, stepped, 0.013);
    }
    close(at(0.8).critical, 1.1457, 0.02);
    close(at(0.9).critical, 1.3975, 0.03);
    close(at(0.95).critical, 1.5861, 0.03);
    // One column alone: the bootstrap-t.
    let alone = [(0.014939, 1.15385), (0.121485, 1.14939), (0.795117, 0.78804), (0.0, 0.0)];
    for (column, (p, critical)) in COLUMNS.iter().zip(alone) {
        let result = max_t(&[column], folds, 1993, 0.9).unwrap();
        close(result.columns[0].p, p, 0.01);
        close(result.critical, critical, 0.02);
        assert_eq!(result.columns[0].p, result.columns[0].p_single_step);
    }
}

// As above, with
// d = np.array([[.7, -.3, 0, -.2, .2, .6], [-.1, -.3, 0, 0, 0, 0]])  # order 0 1
// b = np.array([.5, .5, 0, 0, 0, 0])
// print(np.mean(t(b[i], b.mean()) >= t(b, 0) - 1e-9))
#[test]
fn p_never_falls_on_the_way_down_and_ties_count() {
    let falling = [[0.7, -0.3, 0.0, -0.2, 0.2, 0.6], [-0.1, -0.3, 0.0, 0.0, 0.0, 0.0]];
    let result = max_t(&slices(&falling), 19_999, 1, 0.95).unwrap();
    // The second alone would have 0.156.
    assert!((result.columns[0].p - 0.334641).abs() < 0.015, "{result:?}");
    assert_eq!(result.columns[1].p, result.columns[0].p);
    // Without the folds that are exactly as far it would be 0.106.
    let tied = max_t(&[&[0.5, 0.5, 0.0, 0.0, 0.0, 0.0]], 19_999, 1, 0.95).unwrap();
    assert!((tied.columns[0].p - 0.187929).abs() < 0.015, "{tied:?}");
}

/// `k` columns of scores in steps of 1/4 that do not differ on average, of `n` prompts; each is
/// less the same reference, if there is one, which correlates them by 1/2.
fn columns(k: usize, n: usize, reference: bool, random: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut scores =
        || -> Vec<f64> { (0..n).map(|_| f64::from(random.random_range(-2..=2)) / 4.0).collect() };
    let shared = if reference { scores() } else { vec![0.0; n] };
    let less_shared = |scores: Vec<f64>| scores.iter().zip(&shared).map(|(a, b)| a - b).collect();
    (0..k).map(|_| less_shared(scores())).collect()
}

fn test(columns: &[Vec<f64>], folds: usize, level: f64) -> MaxT {
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    max_t(&columns, folds, 11, level).unwrap()
}

// from scipy.stats import norm; from scipy.integrate import quad
// from scipy.optimize import brentq
// print([norm.ppf(.5 + .5 * .95**(1/k)) for k in (1, 4)])  # independent: Sidak
// r = .5**.5  # correlated by 1/2, by a shared reference: Dunnett
// inside = lambda c: quad(lambda z: norm.pdf(z) * (norm.cdf((c + r*z) / r)
//                                                  - norm.cdf((r*z - c) / r))**4, -9, 9)[0]
// print(brentq(lambda c: inside(c) - .95, 1, 5))
#[test]
fn many_prompts_give_the_critical_values_of_sidak_and_dunnett() {
    let check = |k: usize, reference: bool, expected: f64| {
        let columns = columns(k, 300, reference, &mut ChaCha8Rng::seed_from_u64(7));
        let critical = test(&columns, 3_999, 0.95).critical;
        assert!((critical - expected).abs() < 0.08, "{critical} is not {expected}");
    };
    check(1, false, 1.959964);
    check(4, false, 2.490915);
    check(4, true, 2.441771);
}

#[test]
fn the_best_of_five_is_a_false_alarm_in_five_percent() {
    let mut random = ChaCha8Rng::seed_from_u64(1993);
    let repetitions = 400;
    let (mut corrected, mut naive) = (0, 0);
    for _ in 0..repetitions {
        let columns = columns(5, 40, true, &mut random);
        let result = test(&columns, 199, 0.95);
        let false_alarm = result.columns.iter().any(|column| column.p <= 0.05);
        let outside = result.columns.iter().any(|column| !column.estimate.includes(0.0));
        assert_eq!(false_alarm, outside);
        corrected += usize::from(false_alarm);
        let best = columns.iter().max_by(|a, b| {
            let sum = |column: &[f64]| column.iter().sum::<f64>().abs();
            sum(a).total_cmp(&sum(b))
        });
        naive += usize::from(test(&[best.unwrap().clone()], 199, 0.95).columns[0].p <= 0.05);
    }
    // Three standard errors of 400 repetitions are 3.3 points.
    assert!((8..=33).contains(&corrected), "{corrected} of {repetitions}");
    assert!(naive > 2 * corrected, "{naive} of {repetitions}");
}

#[test]
fn stepping_down_only_helps_and_order_and_sign_do_not_matter() {
    let mut columns = columns(4, 30, true, &mut ChaCha8Rng::seed_from_u64(3));
    columns[2].iter_mut().for_each(|difference| *difference = (*difference + 0.3).min(1.0));
    let result = test(&columns, 999, 0.95);
    for column in &result.columns {
        assert!(column.p <= column.p_single_step && column.p >= 0.001, "{column:?}");
        assert_eq!(column.estimate.includes(0.0), column.p_single_step > 0.05);
    }
    assert_eq!(test(&columns, 999, 0.95), result);
    columns.reverse();
    columns.iter_mut().flatten().for_each(|difference| *difference = -*difference);
    let mirrored = test(&columns, 999, 0.95);
    assert!((mirrored.critical - result.critical).abs() < 1e-12);
    for (one, other) in result.columns.iter().zip(mirrored.columns.iter().rev()) {
        assert_eq!((one.p, one.p_single_step), (other.p, other.p_single_step));
        assert!((one.estimate.lower + other.estimate.upper).abs() < 1e-12);
    }
}

#[test]
fn columns_without_spread_neither_fail_nor_disturb() {
    let columns = columns(2, 48, false, &mut ChaCha8Rng::seed_from_u64(5));
    let alone = test(&columns, 999, 0.95);
    let sparse: Vec<f64> = (0..48).map(|prompt| if prompt < 2 { 0.5 } else { 0.0 }).collect();
    let with = [columns, vec![vec![0.0; 48], vec![0.5; 48], sparse]].concat();
    let with = test(&with, 999, 0.95);
    let [draws, wins, sparse] = [with.columns[2], with.columns[3], with.columns[4]];
    assert_eq!((draws.p, wins.p), (1.0, 0.001));
    assert!(draws.estimate.lower < -0.02 && draws.estimate.upper > 0.02, "{draws:?}");
    assert!(sparse.p > 0.1 && sparse.estimate.includes(0.0), "{sparse:?}");
    assert!(with.critical < alone.critical + 0.3, "{} {}", with.critical, alone.critical);
}

#[test]
fn too_little_gives_no_number() {
    assert_eq!(max_t(&[], 999, 1, 0.95), None);
    assert_eq!(max_t(&[&[], &[]], 999, 1, 0.95), None);
    assert_eq!(max_t(&[&[0.5]], 999, 1, 0.95), None);
    assert!(max_t(&[&[0.5, 0.0]], 19, 1, 0.95).is_some());
}

#[test]
fn folds_must_reach_the_level() {
    let message = panic_of(|| drop(max_t(&[&[0.5, 0.0]], 18, 1, 0.95)));
    assert!(message.contains("18 folds are too few"), "{message}");
}

#[test]
fn whole_ranks_stay_whole() {
    assert_eq!(critical_rank(19, 0.95), 18);
    assert_eq!(critical_rank(999, 0.95), 949);
    assert_eq!(critical_rank(199, 0.975), 194);
}
