use super::*;
use crate::stats::panic_of;

const MAXIMUM_LIKELIHOOD: f64 = 1e4;

/// 240 games of 5 players in 30 clusters, as `d` in the lines of Python below:
/// for k in range(240):
///     a = k % 5; b = (a + 1 + k // 5 % 4) % 5; u = k * 619 % 1009 / 1009; t = .6 + .12 * (b - a)
///     rows.append((a, b, 1. if u < t - .1 else .5 if u < t + .1 else 0., k % 7 != 0, k // 8))
/// d = pd.DataFrame(rows, columns="first second score ordered cluster".split())
fn games() -> Vec<Game> {
    let game = |k: usize| {
        let (first, second) = (k % 5, (k % 5 + 1 + k / 5 % 4) % 5);
        let draw = (k * 619 % 1009) as f64 / 1009.0;
        let middle = 0.6 + 0.12 * (second as f64 - first as f64);
        let score = match draw {
            draw if draw < middle - 0.1 => 1.0,
            draw if draw < middle + 0.1 => 0.5,
            _ => 0.0,
        };
        Game { first, second, score, ordered: !k.is_multiple_of(7), weight: 1.0, cluster: k / 8 }
    };
    (0..240).map(game).collect()
}

fn setup(ties: Ties) -> Setup {
    Setup { players: 5, ties, prior_deviation: MAXIMUM_LIKELIHOOD }
}

pub(super) fn weak(players: usize) -> Setup {
    Setup { players, ties: Ties::Half, prior_deviation: WEAK_PRIOR }
}

pub(super) fn game(first: usize, second: usize, score: f64, cluster: usize) -> Game {
    Game { first, second, score, ordered: true, weight: 1.0, cluster }
}

fn without_order(mut games: Vec<Game>) -> Vec<Game> {
    games.iter_mut().for_each(|game| game.ordered = false);
    games
}

pub(super) fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < tolerance);
    assert!(near, "{found:?} is not {expected:?}");
}

/// All parameters in one row, to compare two fits.
fn flat(strengths: &Strengths) -> Vec<f64> {
    strengths.players.iter().copied().chain(strengths.order).chain(strengths.tie).collect()
}

// import choix, evalica
// pairs = []
// for r in d.itertuples():
//     w = (r.first, r.second)
//     pairs += {1.: [w, w], .5: [w, w[::-1]], 0.: [w[::-1]] * 2}[r.score]
// choix.ilsr_pairwise(5, pairs, max_iter=10000, tol=1e-13)
// W = {1.: evalica.Winner.X, .5: evalica.Winner.Draw, 0.: evalica.Winner.Y}; w = [W[s] for s in d.score]
// r = evalica.bradley_terry(list(d["first"]), list(d["second"]), w, tolerance=1e-14, limit=100000)
// e = np.log(r.scores.sort_index().values); e - e.mean()  # the same to 1e-10
// # Newman's model is Davidson's with nu = 2 v:
// r = evalica.newman(list(d["first"]), list(d["second"]), w, tolerance=1e-14, limit=100000)
// e = np.log(r.scores.sort_index().values); e - e.mean(), np.log(2 * r.v)
#[test]
fn without_order_strengths_agree_with_choix_and_evalica() {
    let games = without_order(games());
    let half = strengths(&games, &setup(Ties::Half)).unwrap();
    let expected =
        [1.2442485731384, 0.5518036157445, -0.0055243930482, -0.6640499283776, -1.1264778674571];
    close(&half.players, &expected, 1e-8);
    assert_eq!((half.order, half.tie), (None, None));
    let davidson = strengths(&games, &setup(Ties::Davidson)).unwrap();
    let expected = [
        1.6130497105409,
        0.7125746234457,
        -0.0080829524293,
        -0.8589075897691,
        -1.4586337917881,
        -0.6261504015154,
    ];
    close(&flat(&davidson), &expected, 1e-8);
}

// import statsmodels.api as sm
// X = np.zeros((240, 6)); i = np.arange(240)
// X[i, d["first"]] += 1; X[i, d["second"]] -= 1; X[:, 5] = d.ordered
// m = sm.Logit(d.score.values, X[:, 1:]).fit(tol=1e-14, cov_type="cluster",
//     cov_kwds={"groups": d.cluster.values, "use_correction": False})
// theta = np.append(0, m.params[:4]); theta - theta.mean(), m.params[4]
// T = np.zeros((6, 5)); T[1:5, :4] = np.eye(4); T[5, 4] = 1; T[:5, :4] -= .2  # to sum zero
// np.sqrt(np.diag(T @ m.cov_params() @ T.T * 30 / 29))
// # statsmodels' own correction has a factor (n - 1) / (n - k) = 239 / 235 more.
#[test]
fn with_order_strengths_and_standard_errors_agree_with_statsmodels() {
    let ranking = ranking(&games(), &setup(Ties::Half), 1, 0).unwrap();
    let expected = [
        1.2869700151272,
        0.5716561884626,
        -0.0060996771037,
        -0.6826781151992,
        -1.1698484112869,
        0.4391547225245,
    ];
    close(&flat(&ranking.strengths), &expected, 1e-8);
    let expected = [
        0.1673231996439,
        0.1708625608249,
        0.2086482700741,
        0.2249001754991,
        0.2007420934207,
        0.1092857640033,
    ];
    close(&flat(&ranking.standard_errors), &expected, 1e-8);
}

// def f(p, per=False):
//     z = p[d["first"]] - p[d["second"]] + p[5] * d.ordered.values
//     u = np.select([d.score == 1, d.score == 0], [z/2, -z/2], p[6])
//     u = u - np.log(np.exp(z/2) + np.exp(-z/2) + np.exp(p[6]))
//     return u if per else -u.sum() + p[:5].sum()**2
// from scipy.optimize import minimize
// p = minimize(f, np.zeros(7), method="BFGS", options=dict(gtol=1e-10)).x
// from statsmodels.tools.numdiff import approx_fprime, approx_hess
// J = approx_fprime(p, lambda p: f(p, per=True), centered=True)
// S = np.array([J[d.cluster == g].sum(0) for g in range(30)]); H = np.linalg.inv(approx_hess(p, f))
// p, np.sqrt(np.diag(H @ S.T @ S @ H * 30 / 29))
#[test]
fn davidson_with_order_agrees_with_a_numerical_maximum() {
    let ranking = ranking(&games(), &setup(Ties::Davidson), 1, 0).unwrap();
    let expected =
        [1.6875178, 0.7468658, -0.0088923, -0.8929826, -1.5325084, 0.5809394, -0.5910214];
    close(&flat(&ranking.strengths), &expected, 2e-7);
    let expected = [0.2161218, 0.2324305, 0.2737778, 0.3023040, 0.2657532, 0.1473024, 0.1452314];
    close(&flat(&ranking.standard_errors), &expected, 2e-6);
}

#[test]
fn rows_weights_names_and_sides_change_only_what_they_should() {
    for ties in [Ties::Half, Ties::Davidson] {
        let plain = ranking(&games(), &setup(ties), 30, 4).unwrap();
        let backwards: Vec<Game> = games().into_iter().rev().collect();
        assert_eq!(ranking(&backwards, &setup(ties), 30, 4).unwrap(), plain);
        assert_ne!(ranking(&games(), &setup(ties), 30, 5).unwrap().folds, plain.folds);

        let change = |change: fn(&mut Game)| {
            let mut games = games();
            games.iter_mut().for_each(change);
            games.push(Game { weight: 0.0, ..games[0] });
            ranking(&games, &setup(ties), 30, 4).unwrap()
        };
        let doubled = change(|game| game.weight = 2.0);
        close(&flat(&doubled.strengths), &flat(&plain.strengths), 1e-8);
        close(&flat(&doubled.standard_errors), &flat(&plain.standard_errors), 1e-8);
        let renamed = change(|game| {
            game.first = (game.first + 2) % 5;
            game.second = (game.second + 2) % 5;
        });
        for player in 0..5 {
            let (new, old) = (renamed.strength((player + 2) % 5), plain.strength(player));
            close(&[new.estimate.point], &[old.estimate.point], 1e-9);
            close(&[new.estimate.lower], &[old.estimate.lower], 1e-9);
            assert_eq!(renamed.rank((player + 2) % 5), plain.rank(player));
        }
        // Scores turned without turning the places: everybody's sign and the order's turn.
        let turned = change(|game| game.score = 1.0 - game.score);
        let signs: Vec<f64> = flat(&turned.strengths).iter().map(|value| -value).collect();
        close(&signs[..6], &flat(&plain.strengths)[..6], 1e-9);

        let unordered = without_order(games());
        let mut swapped = unordered.clone();
        for game in &mut swapped {
            (game.first, game.second, game.score) = (game.second, game.first, 1.0 - game.score);
        }
        let found = strengths(&unordered, &setup(ties));
        assert_eq!(strengths(&swapped, &setup(ties)), found);
    }
}

#[test]
fn a_fractional_score_is_as_much_of_a_win_and_the_rest_of_a_loss() {
    let whole: Vec<Game> = games().into_iter().filter(|game| game.score != 0.5).collect();
    let part = |game: &Game| Game { score: 0.2 + 0.5 * game.score, ..*game };
    let parted = |game: &Game| {
        let score = part(game).score;
        [(1.0, score), (0.0, 1.0 - score)].map(|(score, weight)| Game { score, weight, ..*game })
    };
    let fractional: Vec<Game> = whole.iter().map(part).collect();
    let weighted: Vec<Game> = whole.iter().flat_map(parted).collect();
    let [one, other] =
        [fractional, weighted].map(|games| ranking(&games, &setup(Ties::Half), 9, 1).unwrap());
    close(&flat(&one.strengths), &flat(&other.strengths), 1e-10);
    close(&flat(&one.standard_errors), &flat(&other.standard_errors), 1e-10);
}

#[test]
fn davidson_refuses_a_fractional_score() {
    let message = panic_of(|| drop(strengths(&[game(0, 1, 0.7, 0)], &setup(Ties::Davidson))));
    assert!(message.contains("Davidson's model takes 0, 0.5 and 1"), "{message}");
}

#[test]
fn too_few_games_have_no_number() {
    assert_eq!(strengths(&[], &weak(2)), None);
    assert_eq!(strengths(&[Game { weight: 0.0, ..game(0, 1, 1.0, 0) }], &weak(2)), None);
    assert_eq!(ranking(&[game(0, 1, 1.0, 7), game(0, 1, 0.0, 7)], &weak(2), 10, 1), None);
    let even = strengths(&[game(0, 1, 0.5, 7)], &weak(2)).unwrap();
    assert_eq!((even.players, even.order), (vec![0.0, 0.0], None));
}

#[test]
fn components_are_ranked_each_on_its_own() {
    // 0 beats 1 in 3 of 4 clusters, 2 beats 3 in 2 of 3, 4 plays nobody.
    let mut games: Vec<Game> =
        (0..40).map(|k| game(0, 1, f64::from(u8::from(k % 4 > 0)), k)).collect();
    games.extend((0..30).map(|k| game(3, 2, f64::from(u8::from(k % 3 == 0)), k)));
    let games = without_order(games);
    let found = ranking(&games, &weak(5), 200, 1).unwrap();
    let players: Vec<&[usize]> = found.components.iter().map(|c| &c.players[..]).collect();
    assert_eq!(players, [&[0, 1][..], &[2, 3], &[4]]);
    let alone = strengths(&games[..40], &weak(2)).unwrap();
    close(&found.strengths.players[..2], &alone.players, 1e-9);
    let places: Vec<usize> = (0..5).map(|player| found.rank(player).place).collect();
    assert_eq!(places, [1, 2, 1, 2, 1]);
    assert_eq!(found.win_rate(0, 2), None);
    assert_eq!((found.mean_win_rate(4), found.strengths.players[4]), (None, 0.0));
    assert_eq!((found.clusters, found.strength(2).estimate.n), (40, 30));
    // Two players: what is expected is what was seen, but for the prior.
    close(&[found.mean_win_rate(0).unwrap().point], &[0.75], 1e-3);
    assert_eq!(found.win_rate(0, 1), found.mean_win_rate(0));
    // With maximum likelihood, strengths are half of ln 3 and of -ln 2.
    let exact = strengths(&games, &Setup { prior_deviation: 1e4, ..weak(5) }).unwrap();
    let (three, two) = (3.0_f64.ln() / 2.0, 2.0_f64.ln() / 2.0);
    close(&exact.players, &[three, -three, two, -two, 0.0], 1e-8);
}

#[test]
fn who_never_lost_is_finite_and_marked() {
    // Player 3 wins all of its games against each of three others, who beat one another in turn.
    let others = |k: usize| game(k % 3, (k + 1) % 3, f64::from(u8::from(!k.is_multiple_of(4))), k);
    let mut games: Vec<Game> = (0..48).map(others).collect();
    games.extend((0..48).map(|k| game(3, k % 3, 1.0, k)));
    games.extend((0..48).map(|k| game(k % 3, 3, 0.0, k)));
    let found = ranking(&games, &weak(4), 200, 1).unwrap();
    assert_eq!(found.components[0].groups, [vec![3], vec![0, 1, 2]]);
    let bounded: Vec<bool> = (0..4).map(|player| found.strength(player).bounded).collect();
    assert_eq!(bounded, [true, true, true, false]);
    assert!(found.order().unwrap().bounded);
    assert_eq!((found.rank(3).place, found.rank(3).worst), (1, 1));
    assert!((4.0..12.0).contains(&found.strengths.players[3]), "{:?}", found.strengths);
    close(&[found.strengths.players.iter().sum()], &[0.0], 1e-12);
    assert!(found.mean_win_rate(3).unwrap().point > 0.98);
}

#[test]
fn an_order_that_decides_everything_is_marked() {
    // Whoever is shown first wins.
    let games: Vec<Game> = (0..40).map(|k| game(k % 2, 1 - k % 2, 1.0, k / 2)).collect();
    let found = ranking(&games, &weak(2), 100, 1).unwrap();
    close(&found.strengths.players, &[0.0, 0.0], 1e-9);
    let order = found.order().unwrap();
    assert!(!order.bounded && order.estimate.point > 4.0, "{order:?}");
    assert!(found.strength(0).bounded && found.strength(1).bounded);
    assert_eq!((found.rank(0).place, found.rank(1).place), (1, 1));
}

#[test]
fn without_ties_nu_is_as_small_as_the_prior_allows() {
    let setup = Setup { ties: Ties::Davidson, ..weak(5) };
    let whole: Vec<Game> = games().into_iter().filter(|game| game.score != 0.5).collect();
    let found = ranking(&whole, &setup, 10, 1).unwrap();
    let tie = found.tie().unwrap();
    assert!(!tie.bounded && tie.estimate.point < -4.0, "{tie:?}");
    assert!(found.order().unwrap().bounded);
    // What is left are wins and losses, as they are without a model of ties.
    let half = strengths(&whole, &weak(5)).unwrap();
    close(&found.strengths.players, &half.players, 0.02);
    assert!(ranking(&games(), &setup, 10, 1).unwrap().tie().unwrap().bounded);
}

#[test]
fn a_model_always_shown_first_has_no_order_term() {
    let games: Vec<Game> =
        (0..40).map(|k| game(0, 1 + k % 2, f64::from(u8::from(k % 5 > 1)), k)).collect();
    let found = ranking(&games, &weak(3), 50, 1).unwrap();
    assert_eq!(found.order(), None);
    assert_eq!(found.strengths, strengths(&without_order(games), &weak(3)).unwrap());
}
