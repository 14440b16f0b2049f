//! The confidence sequence that is a formula.
use super::super::Estimate;
use super::{Past, TRUNCATION, error_rate};

/// The mean of `values` in [0, 1] and what the empirical-Bernstein confidence sequence leaves open
/// after all of them, in the order given; `None` without values.
///
/// Waudby-Smith and Ramdas 2024, Theorem 2, an idea of Howard et al. 2021 (Ann. Stat. 49:1055): with
/// λ_t = min(λ_t, c) and μ_t of [`super::ConfidenceSequence`],
///
/// ```text
/// (Σ λ_t x_t ± (ln(2/α) + Σ (x_t - μ_{t-1})² (-ln(1 - λ_t) - λ_t))) / Σ λ_t
/// ```
///
/// intersected over all sample sizes so far. There is no grid. It is wider than
/// [`super::betting`] at a hundred observations and about as wide at eight hundred.
///
/// # Panics
/// As [`super::betting`].
pub fn empirical_bernstein(values: &[f64], level: f64) -> Option<Estimate> {
    let alpha = error_rate(level);
    let mut past = Past::default();
    let (mut bets, mut gains, mut spread) = (0.0, 0.0, 0.0);
    let (mut lower, mut upper) = (0.0, 1.0);
    for &value in values {
        let bet = past.bet(alpha).min(TRUNCATION);
        spread += (value - past.mean()).powi(2) * (-(-bet).ln_1p() - bet);
        bets += bet;
        gains += bet * value;
        past.push(value);
        let margin = ((2.0 / alpha).ln() + spread) / bets;
        lower = (gains / bets - margin).clamp(lower, upper);
        upper = (gains / bets + margin).clamp(lower, upper);
    }
    past.estimate(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SERIES, close};
    use super::*;

    // from confseq.predmix import predmix_lower_cs
    // from confseq.betting_strategies import lambda_predmix_eb
    // def lower(x, a):  # predmix_empbern_cs itself begins at a mean of 0, not at the paper's 1/2
    //     mu = np.append(.5, ((.5 + np.cumsum(x)) / (np.arange(len(x)) + 2))[:-1])
    //     bets = lambda x: lambda_predmix_eb(x, truncation=.5, alpha=a/2)
    //     psi = lambda l: -np.log(1 - l) - l
    //     return predmix_lower_cs(x, (x - mu)**2, bets, psi, alpha=a/2, running_intersection=True)[-1]
    // for x in series:
    //     for n in 30, 300: print(lower(x[:n], .05), 1 - lower(1 - x[:n], .05))
    #[test]
    fn empirical_bernstein_agrees_with_the_package_of_its_authors() {
        let expected = [
            [(0.264602011264, 0.949114694485), (0.494642244715, 0.698019797990)],
            [(0.011734428979, 0.636813418096), (0.249286913325, 0.415857907704)],
            [(0.000000000000, 0.345633415906), (0.005238366328, 0.097149766993)],
            [(0.201397026633, 0.769049708762), (0.435246519274, 0.550462632983)],
        ];
        for (series, expected) in SERIES.iter().zip(expected) {
            for (n, (lower, upper)) in [30, 300].into_iter().zip(expected) {
                let values: Vec<f64> = (0..n).map(series).collect();
                close(empirical_bernstein(&values, 0.95).unwrap(), lower, upper);
            }
        }
    }
}
