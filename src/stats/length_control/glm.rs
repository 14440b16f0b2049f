//! Logistic regression on three features with soft labels, weights and an L1 penalty.
use nalgebra::{Matrix3, Vector3};

/// One observation: features x, a label y in [0, 1] and a weight s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub(super) features: [f64; 3],
    pub(super) label: f64,
    pub(super) weight: f64,
}

/// The loss sum_i s_i (log(1 + exp(z_i)) - y_i z_i) - w . u with z_i = w . x_i.
#[derive(Clone, Debug, Default)]
pub(super) struct Problem {
    pub(super) observations: Vec<Observation>,
    /// u, for labels that are known by their sum only: observations with y = 0 in the list, and here
    /// sum_i s_i y_i x_i, which is all of those labels that the loss depends on.
    pub(super) label_sums: [f64; 3],
}

impl Problem {
    pub(super) fn push(&mut self, features: [f64; 3], label: f64, weight: f64) {
        self.observations.push(Observation { features, label, weight });
    }
}

/// Steps before [`minimise`] gives up; it takes about six, and some tens where the labels can be
/// separated.
const MAX_STEPS: usize = 200;

/// The weights w with the smallest |w|_1 + cost * loss(w), from a `start` that only saves steps.
///
/// This is what LIBLINEAR calls L1-regularised logistic regression (Fan et al. 2008, JMLR 9:1871)
/// without an intercept. Proximal Newton: the loss is replaced by its second-order expansion, the
/// penalised expansion is minimised exactly, and the step is halved until the objective falls far
/// enough (Lee, Sun and Saunders 2014, SIAM J. Optim. 24:1420). It ends after the first step that
/// promises less than 1e-13 of the objective; as each step about squares the error of the one before,
/// what is left then is rounding.
pub(super) fn minimise(problem: &Problem, cost: f64, start: [f64; 3]) -> [f64; 3] {
    let penalty = 1.0 / cost;
    let objective = |at: &Expansion, weights: &Vector3<f64>| at.loss + penalty * size(weights);
    let mut weights = Vector3::from(start);
    let mut here = expansion(problem, &weights);
    for _ in 0..MAX_STEPS {
        let step = penalised_minimum(&here, &weights, penalty) - weights;
        let promised =
            -here.gradient.dot(&step) - penalty * (size(&(weights + step)) - size(&weights));
        if promised <= 1e-13 * objective(&here, &weights) {
            return (weights + step).into();
        }
        let mut share = 1.0;
        let (next, there) = loop {
            let next = weights + share * step;
            let there = expansion(problem, &next);
            let gain = objective(&here, &weights) - objective(&there, &next);
            if gain >= 1e-4 * share * promised || share < 1e-30 {
                break (next, there);
            }
            share /= 2.0;
        };
        (weights, here) = (next, there);
    }
    weights.into()
}

/// |w|_1.
fn size(weights: &Vector3<f64>) -> f64 {
    weights.abs().sum()
}

/// The loss at one point, with its first and second derivatives there.
struct Expansion {
    loss: f64,
    gradient: Vector3<f64>,
    hessian: Matrix3<f64>,
}

fn expansion(problem: &Problem, weights: &Vector3<f64>) -> Expansion {
    let w: [f64; 3] = (*weights).into();
    let mut gradient = problem.label_sums.map(|sum| -sum);
    let mut loss: f64 = gradient.iter().zip(w).map(|(slope, weight)| slope * weight).sum();
    let mut logarithms = Logarithms::default();
    // Upper triangle: 00, 01, 02, 11, 12, 22.
    let mut h = [0.0; 6];
    for &Observation { features: x, label, weight } in &problem.observations {
        let z = w[0] * x[0] + w[1] * x[1] + w[2] * x[2];
        let small = (-z.abs()).exp();
        // Both without the difference of two large numbers, where a label is 0 or 1 and z agrees.
        let against = if z > 0.0 { 1.0 - label } else { -label };
        logarithms.add(1.0 + small, weight);
        loss += weight * against * z;
        let first = weight * (against + if z > 0.0 { -small } else { small } / (1.0 + small));
        let second = weight * small / ((1.0 + small) * (1.0 + small));
        for (sum, feature) in gradient.iter_mut().zip(x) {
            *sum += first * feature;
        }
        let s = [second * x[0], second * x[1], second * x[2]];
        h[0] += s[0] * x[0];
        h[1] += s[0] * x[1];
        h[2] += s[0] * x[2];
        h[3] += s[1] * x[1];
        h[4] += s[1] * x[2];
        h[5] += s[2] * x[2];
    }
    let hessian = Matrix3::new(h[0], h[1], h[2], h[1], h[3], h[4], h[2], h[4], h[5]);
    Expansion { loss: loss + logarithms.sum(), gradient: gradient.into(), hessian }
}

/// The sum of s ln(x) over many x in [1, 2], with few logarithms, which take longer than all the rest
/// of a fit: numbers of one weight s are multiplied as long as there is room for the product.
#[derive(Default)]
struct Logarithms {
    weight: f64,
    /// Of what is not yet in `total`; empty, it is 0 as by default.
    product: f64,
    total: f64,
}

impl Logarithms {
    fn add(&mut self, x: f64, weight: f64) {
        if weight != self.weight || self.product > 1e300 {
            *self = Self { weight, product: 1.0, total: self.sum() };
        }
        self.product *= x;
    }

    fn sum(&self) -> f64 {
        match self.product {
            0.0 => self.total,
            product => self.total + self.weight * product.ln(),
        }
    }
}

/// The minimum of the expansion plus `penalty` * |w|_1.
///
/// With the signs of the weights given, it is one linear system, and three weights have only 27
/// combinations of signs. Every solution that has the signs it was solved for is a candidate, and
/// the best is taken: exact, without iterations that crawl when two features are nearly the same.
/// The signs of the last step come first and mostly end the search: a candidate is the minimum if no
/// weight at zero has a slope beyond the penalty. A weight whose feature is always zero stays there.
fn penalised_minimum(at: &Expansion, weights: &Vector3<f64>, penalty: f64) -> Vector3<f64> {
    let linear = at.hessian * weights - at.gradient;
    let value =
        |w: &Vector3<f64>| 0.5 * w.dot(&(at.hessian * w)) - linear.dot(w) + penalty * size(w);
    let mut best = Vector3::zeros();
    let mut lowest = 0.0;
    let last = weights.map(|weight| if weight == 0.0 { 0.0 } else { weight.signum() });
    for signs in std::iter::once(last).chain(combinations()) {
        let mut system = at.hessian;
        let mut right = linear - penalty * signs;
        for j in (0..3).filter(|&j| signs[j] == 0.0) {
            system.fill_row(j, 0.0);
            system.fill_column(j, 0.0);
            system[(j, j)] = 1.0;
            right[j] = 0.0;
        }
        let Some(factor) = system.cholesky() else { continue };
        let candidate = factor.solve(&right);
        if candidate.iter().zip(&signs).all(|(weight, sign)| weight * sign >= 0.0) {
            let slopes = linear - at.hessian * candidate;
            if (0..3).all(|j| signs[j] != 0.0 || slopes[j].abs() <= penalty) {
                return candidate;
            }
            let value = value(&candidate);
            if value < lowest {
                (best, lowest) = (candidate, value);
            }
        }
    }
    best
}

fn combinations() -> impl Iterator<Item = Vector3<f64>> {
    let sign = |code: usize| code as f64 - 1.0;
    (0..27).map(move |code| Vector3::new(sign(code % 3), sign(code / 3 % 3), sign(code / 9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 12] = [1.0, 0.0, 0.25, 0.5, 0.9, 0.0, 1.0, 0.75, 0.1, 0.0, 1.0, 0.4];
    const LENGTHS: [f64; 12] = [
        -0.44388595,
        0.8313989,
        0.30773358,
        -0.15769301,
        -0.9631518,
        0.68307427,
        0.23410678,
        -0.34327031,
        0.92017997,
        -0.07934287,
        -0.84327548,
        0.53442932,
    ];
    const DIFFICULTIES: [f64; 12] =
        [0.5, -1.2, 0.3, 0.0, 1.1, -0.4, 0.8, -0.2, -2.0, 0.6, 1.4, -0.9];
    const GAMED: [[f64; 3]; 4] =
        [[-0.8, 0.2, 0.6], [-0.3, -1.0, 0.3], [0.5, 0.7, 0.2], [0.9, -0.4, 0.1]];

    fn problem(gamed: bool) -> Problem {
        let mut problem = Problem::default();
        for i in 0..12 {
            problem.push([LENGTHS[i], DIFFICULTIES[i], 1.0], SCORES[i], 1.0);
        }
        for [length, difficulty, label] in GAMED.into_iter().filter(|_| gamed) {
            problem.push([length, difficulty, 0.0], label, 0.1);
        }
        problem
    }

    fn close(found: [f64; 3], expected: [f64; 3], tolerance: f64) {
        for (one, other) in found.iter().zip(expected) {
            assert!((one - other).abs() < tolerance, "{found:?} is not {expected:?}");
        }
    }

    // import numpy as np; from sklearn.linear_model import LogisticRegression
    // y, t, d, g = SCORES, LENGTHS, DIFFICULTIES, GAMED as above, numpy arrays
    // X = np.r_[np.c_[t, d, np.ones(12)], np.c_[g[:, :2], np.zeros(4)]]
    // Y, s = np.r_[y, g[:, 2]], np.r_[np.ones(12), np.full(4, .1)]
    // for n in 12, 16:
    //     for C in .3, 2.7825594, 1e4:
    //         m = LogisticRegression(penalty="l1", solver="liblinear", fit_intercept=False, tol=1e-10,
    //                                C=C, max_iter=100000)
    //         m.fit(np.r_[X[:n], X[:n]], np.repeat([1, 0], n),
    //               np.r_[s[:n] * Y[:n], s[:n] * (1 - Y[:n])])
    //         print(n, C, m.coef_[0])
    #[test]
    fn it_agrees_with_scikit_learn() {
        for gamed in [false, true] {
            assert_eq!(minimise(&problem(gamed), 0.3, [0.0; 3]), [0.0; 3]);
        }
        let check = |gamed: bool, cost: f64, expected: [f64; 3]| {
            close(minimise(&problem(gamed), cost, [0.0; 3]), expected, 1e-6);
        };
        check(false, 2.7825594, [-1.457275430, 0.510617534, 0.0]);
        check(false, 1e4, [-2.255528669, 0.475031333, 0.067073090]);
        check(true, 2.7825594, [-1.446473115, 0.517697012, 0.0]);
        check(true, 1e4, [-2.151452387, 0.527866792, 0.055350215]);
    }

    // With one feature and only wins, the minimum is where n exp(-w) / (1 + exp(-w)) = 1 / cost:
    // w = log(n cost - 1).
    #[test]
    fn separable_labels_stay_finite() {
        let mut problem = Problem::default();
        for i in 0..805 {
            problem.push([f64::from(i % 7) - 3.0, 0.0, 1.0], 1.0, 1.0);
        }
        let expected = (805.0 * 1e4 - 1.0_f64).ln();
        close(minimise(&problem, 1e4, [0.0; 3]), [0.0, 0.0, expected], 1e-6);
    }

    #[test]
    fn nearly_equal_features_are_told_apart() {
        let mut problem = Problem::default();
        for i in 0..100 {
            let small = f64::from(i % 10) - 4.5;
            let label = 1.0 / (1.0 + (-0.5 - 0.1 * small).exp());
            problem.push([1.0 + 1e-4 * small, 0.0, 1.0], label, 1.0);
        }
        // z = 0.5 + 0.1 small is a weight of 1000 for the first feature and of -999.5 for the last.
        close(minimise(&problem, 1e12, [0.0; 3]), [1000.0, 0.0, -999.5], 0.1);
    }
}
