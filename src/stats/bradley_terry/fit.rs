//! The most likely strengths by Newton's method, and what each cluster contributes to them.
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::{
    Setup, Ties,
    connected::{Component, components, order_is_told_apart},
    tally::{Cell, Outcomes, Tally},
};

/// Strengths as log-odds: e to the power of a difference is the odds of a win, without a known order.
#[derive(Clone, Debug, PartialEq)]
pub struct Strengths {
    /// One for each player; they sum to zero in each component.
    pub players: Vec<f64>,
    /// Advantage of the answer shown first, in log-odds. `None` where no game has a known order, or
    /// where the games do not tell it from strengths.
    pub order: Option<f64>,
    /// Logarithm of Davidson's nu: between equals a tie has the chance nu / (2 + nu). `None` under
    /// [`Ties::Half`].
    pub tie: Option<f64>,
}

impl Strengths {
    /// Expected score of `player` against `opponent`, in [0, 1], ties counting half, with a judge
    /// that does not mind the order. It means nothing between players of different components.
    pub fn win_rate(&self, player: usize, opponent: usize) -> f64 {
        let difference = self.players[player] - self.players[opponent];
        let chances = Chances::of(difference, self.tie.unwrap_or(f64::NEG_INFINITY));
        chances.won + chances.tied / 2.0
    }
}

/// The likelihood's shape: it knows which parameters there are, and no data but the pairs.
///
/// Parameters are the players' strengths, then the order term and the logarithm of nu, if any.
#[derive(Clone)]
pub(super) struct Likelihood {
    players: usize,
    order: Option<usize>,
    tie: Option<usize>,
    cells: Vec<Cell>,
    pub(super) components: Vec<Component>,
    precision: f64,
}

/// Chances of the three outcomes for the player shown first.
struct Chances {
    won: f64,
    tied: f64,
    lost: f64,
    /// Logarithm of what they were divided by.
    log_sum: f64,
}

impl Chances {
    /// `advantage` is the first player's in log-odds, `tie` the logarithm of nu.
    fn of(advantage: f64, tie: f64) -> Chances {
        let largest = (advantage.abs() / 2.0).max(tie);
        let won = (advantage / 2.0 - largest).exp();
        let tied = (tie - largest).exp();
        let lost = (-advantage / 2.0 - largest).exp();
        let sum = won + tied + lost;
        let log_sum = largest + sum.ln();
        Chances { won: won / sum, tied: tied / sum, lost: lost / sum, log_sum }
    }
}

/// Derivatives of one cell's log-likelihood by the advantage and by the logarithm of nu.
struct Local {
    by_advantage: f64,
    by_tie: f64,
    /// The second derivatives with their sign turned.
    curvature: [[f64; 2]; 2],
}

impl Likelihood {
    pub(super) fn new(tally: &Tally, setup: &Setup) -> Likelihood {
        let players = setup.players;
        let order = order_is_told_apart(players, &tally.cells).then_some(players);
        let tie = players + usize::from(order.is_some());
        let totals = tally.totals(&tally.once());
        Likelihood {
            players,
            order,
            tie: (setup.ties == Ties::Davidson).then_some(tie),
            cells: tally.cells.clone(),
            components: components(players, &tally.cells, &totals),
            precision: setup.prior_deviation.powi(-2),
        }
    }

    fn parameters(&self) -> usize {
        self.players + usize::from(self.order.is_some()) + usize::from(self.tie.is_some())
    }

    /// The same likelihood under a prior whose standard deviation is ten times larger.
    pub(super) fn with_weaker_prior(&self) -> Likelihood {
        Likelihood { precision: self.precision / 100.0, ..self.clone() }
    }

    /// The parameters with the largest penalised likelihood, looked for from `start` on.
    ///
    /// Newton's method, halving a step that leads downhill; the function is strictly concave, so
    /// that there is one maximum and it is found.
    pub(super) fn maximum(&self, totals: &[Outcomes], start: &DVector<f64>) -> DVector<f64> {
        let mut at = start.clone();
        let mut value = self.value(&at, totals);
        for _ in 0..200 {
            let mut step = self.curvature(&at, totals).solve(&self.slope(&at, totals));
            // Newton's error is about the square of the last step, so this one is exact to rounding.
            let last = step.amax() < 1e-7;
            let mut next = self.value(&(&at + &step), totals);
            while next < value - 1e-10 * value.abs() && step.amax() > 1e-12 {
                step /= 2.0;
                next = self.value(&(&at + &step), totals);
            }
            at += step;
            value = next;
            if last {
                break;
            }
        }
        at
    }

    pub(super) fn origin(&self) -> DVector<f64> {
        DVector::zeros(self.parameters())
    }

    pub(super) fn strengths(&self, at: &DVector<f64>) -> Strengths {
        let mut players: Vec<f64> = at.iter().copied().take(self.players).collect();
        // The sums are zero at the maximum; this takes away the rounding.
        for component in &self.components {
            let sum: f64 = component.players.iter().map(|&player| players[player]).sum();
            let mean = sum / component.players.len() as f64;
            component.players.iter().for_each(|&player| players[player] -= mean);
        }
        let value = |index: Option<usize>| index.map(|index| at[index]);
        Strengths { players, order: value(self.order), tie: value(self.tie) }
    }

    /// Cluster-robust standard errors of all parameters (the "sandwich").
    ///
    /// The inverse curvature times a cluster's slope is what that cluster adds to the estimate;
    /// the root of the summed squares, times sqrt(C / (C - 1)) for C clusters, is the standard
    /// error: Liang and Zeger 1986 (Biometrika 73:13), with the usual factor for few clusters.
    pub(super) fn standard_errors(&self, tally: &Tally, at: &DVector<f64>) -> Strengths {
        let mut slopes = DMatrix::zeros(self.parameters(), tally.clusters);
        for entry in &tally.entries {
            let mut column = slopes.column_mut(entry.cluster);
            let cell = &self.cells[entry.cell];
            let local = local(self.advantage(cell, at), self.tie_at(at), entry.outcomes);
            self.terms(cell)
                .iter()
                .for_each(|(index, sign)| column[*index] += sign * local.by_advantage);
            self.tie.iter().for_each(|&index| column[index] += local.by_tie);
        }
        let totals = tally.totals(&tally.once());
        let influences = self.curvature(at, &totals).solve(&slopes);
        let clusters = tally.clusters as f64;
        let error = |index: usize| {
            (influences.row(index).norm_squared() * clusters / (clusters - 1.0)).sqrt()
        };
        Strengths {
            players: (0..self.players).map(error).collect(),
            order: self.order.map(error),
            tie: self.tie.map(error),
        }
    }

    /// The parameters on which a cell's advantage depends; a sign of 0 stands for none.
    fn terms(&self, cell: &Cell) -> [(usize, f64); 3] {
        let order = self.order.filter(|_| cell.ordered);
        [(cell.first, 1.0), (cell.second, -1.0), order.map_or((0, 0.0), |index| (index, 1.0))]
    }

    fn advantage(&self, cell: &Cell, at: &DVector<f64>) -> f64 {
        self.terms(cell).iter().map(|&(index, sign)| sign * at[index]).sum()
    }

    fn tie_at(&self, at: &DVector<f64>) -> f64 {
        self.tie.map_or(f64::NEG_INFINITY, |index| at[index])
    }

    /// Log-likelihood, less the prior's precision / 2 times the squares, less half the square of
    /// each component's sum of strengths. The last is zero at the maximum and only keeps the
    /// direction in which nothing else changes from being undetermined.
    fn value(&self, at: &DVector<f64>, totals: &[Outcomes]) -> f64 {
        let tie = self.tie_at(at);
        let data: f64 = self
            .cells
            .iter()
            .zip(totals)
            .map(|(cell, &Outcomes { won, tied, lost })| {
                let advantage = self.advantage(cell, at);
                let ties = if tied > 0.0 { tied * tie } else { 0.0 };
                let log_sum = Chances::of(advantage, tie).log_sum;
                (won - lost) * advantage / 2.0 + ties - (won + tied + lost) * log_sum
            })
            .sum();
        let sums: f64 = self.components.iter().map(|component| sum(component, at).powi(2)).sum();
        data - self.precision * at.norm_squared() / 2.0 - sums / 2.0
    }

    fn slope(&self, at: &DVector<f64>, totals: &[Outcomes]) -> DVector<f64> {
        let mut slope = at * -self.precision;
        for (cell, &outcomes) in self.cells.iter().zip(totals) {
            let local = local(self.advantage(cell, at), self.tie_at(at), outcomes);
            self.terms(cell)
                .iter()
                .for_each(|(index, sign)| slope[*index] += sign * local.by_advantage);
            self.tie.iter().for_each(|&index| slope[index] += local.by_tie);
        }
        for component in &self.components {
            let sum = sum(component, at);
            component.players.iter().for_each(|&player| slope[player] -= sum);
        }
        slope
    }

    /// The second derivatives with their sign turned, in factors.
    fn curvature(&self, at: &DVector<f64>, totals: &[Outcomes]) -> Cholesky<f64, Dyn> {
        let size = self.parameters();
        let mut curvature = DMatrix::from_diagonal_element(size, size, self.precision);
        for (cell, &outcomes) in self.cells.iter().zip(totals) {
            let [[both, mixed], [_, ties]] =
                local(self.advantage(cell, at), self.tie_at(at), outcomes).curvature;
            let terms = self.terms(cell);
            for (row, sign) in terms {
                terms
                    .iter()
                    .for_each(|(column, other)| curvature[(row, *column)] += sign * other * both);
                self.tie.iter().for_each(|&tie| curvature[(tie, row)] += sign * mixed);
            }
            self.tie.iter().for_each(|&tie| curvature[(tie, tie)] += ties);
        }
        for Component { players, .. } in &self.components {
            for (&row, &column) in players.iter().flat_map(|a| players.iter().map(move |b| (a, b)))
            {
                curvature[(row, column)] += 1.0;
            }
        }
        // Only the lower triangle is read.
        Cholesky::new(curvature).expect("a prior makes the curvature positive")
    }
}

fn sum(component: &Component, at: &DVector<f64>) -> f64 {
    component.players.iter().map(|&player| at[player]).sum()
}

fn local(advantage: f64, tie: f64, Outcomes { won, tied, lost }: Outcomes) -> Local {
    let chances = Chances::of(advantage, tie);
    let games = won + tied + lost;
    let mean = (chances.won - chances.lost) / 2.0;
    let mixed = -games * chances.tied * mean;
    Local {
        by_advantage: (won - lost) / 2.0 - games * mean,
        by_tie: tied - games * chances.tied,
        curvature: [
            [games * ((chances.won + chances.lost) / 4.0 - mean * mean), mixed],
            [mixed, games * chances.tied * (1.0 - chances.tied)],
        ],
    }
}
