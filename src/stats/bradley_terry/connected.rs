//! What the comparisons can tell at all: who is compared with whom, and who ever beat whom.
use super::tally::{Cell, Outcomes};

/// Players joined by games, directly or through others.
///
/// Strengths of different components have no common scale, and the likelihood says nothing on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub players: Vec<usize>,
    /// Players of whom each beat or tied every other one, directly or through others; a group above
    /// comes before those that it beat.
    ///
    /// With one group the maximum likelihood is finite: Ford 1957 (Am. Math. Monthly 64 no. 8
    /// part 2:28). With more, no member of some group ever lost to or tied with another group: the
    /// data alone put it infinitely far above or below, and how far it stands is the prior's word.
    pub groups: Vec<Vec<usize>>,
}

impl Component {
    /// Whether the data alone keep a player within finite reach of most of its component.
    ///
    /// "Most" is more than half, so that one player that never lost does not blot out a field of
    /// twenty. The rule is ours.
    pub(super) fn bounds(&self, player: usize) -> bool {
        let group = self.groups.iter().find(|group| group.contains(&player));
        group.is_some_and(|group| 2 * group.len() > self.players.len())
    }
}

/// The components of all players in order of their smallest index; whoever has no game stands alone.
pub(super) fn components(players: usize, cells: &[Cell], totals: &[Outcomes]) -> Vec<Component> {
    let (mut met, mut beat) = (Vec::new(), Vec::new());
    for (cell, outcomes) in cells.iter().zip(totals) {
        met.extend([(cell.first, cell.second), (cell.second, cell.first)]);
        if outcomes.won + outcomes.tied > 0.0 {
            beat.push((cell.first, cell.second));
        }
        if outcomes.lost + outcomes.tied > 0.0 {
            beat.push((cell.second, cell.first));
        }
    }
    let (met, beat) = (reachable(players, &met), reachable(players, &beat));
    let all: Vec<usize> = (0..players).collect();
    let component = |players: Vec<usize>| {
        let mut groups = classes(&players, |a, b| beat[a][b] && beat[b][a]);
        // A group reaches everything that a group below it reaches, and that group besides.
        let below = |group: &Vec<usize>| beat[group[0]].iter().filter(|&&reached| reached).count();
        groups.sort_by_key(|group| (std::cmp::Reverse(below(group)), group[0]));
        Component { players, groups }
    };
    classes(&all, |a, b| met[a][b]).into_iter().map(component).collect()
}

/// Which players can be reached from which along edges: Warshall 1962 (J. ACM 9:11).
fn reachable(players: usize, edges: &[(usize, usize)]) -> Vec<Vec<bool>> {
    let itself = |player| (0..players).map(|other| other == player).collect();
    let mut reached: Vec<Vec<bool>> = (0..players).map(itself).collect();
    for &(from, to) in edges {
        reached[from][to] = true;
    }
    for through in 0..players {
        let onward = reached[through].clone();
        for row in reached.iter_mut().filter(|row| row[through]) {
            row.iter_mut().zip(&onward).for_each(|(reached, &onward)| *reached |= onward);
        }
    }
    reached
}

/// Parts players into classes of those that are the same, which must be an equivalence.
fn classes(players: &[usize], same: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for &player in players {
        match classes.iter_mut().find(|class| same(class[0], player)) {
            Some(class) => class.push(player),
            None => classes.push(vec![player]),
        }
    }
    classes
}

/// Whether the games tell an advantage of being shown first from strengths.
///
/// They do not if some strengths alone would look exactly like it: heights with a step of 1 down
/// from first to second in every ordered game, and none in the others. Such heights exist if a
/// model is always shown first, for instance.
pub(super) fn order_is_told_apart(players: usize, cells: &[Cell]) -> bool {
    let step = |cell: &Cell| i64::from(cell.ordered);
    let mut heights: Vec<Option<i64>> = vec![None; players];
    while let Some(start) = heights.iter().position(Option::is_none) {
        heights[start] = Some(0);
        let mut grown = true;
        while grown {
            grown = false;
            for cell in cells {
                match (heights[cell.first], heights[cell.second]) {
                    (Some(height), None) => heights[cell.second] = Some(height - step(cell)),
                    (None, Some(height)) => heights[cell.first] = Some(height + step(cell)),
                    _ => continue,
                }
                grown = true;
            }
        }
    }
    let height = |player: usize| heights[player].unwrap_or_default();
    cells.iter().any(|cell| height(cell.first) - height(cell.second) != step(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(first: usize, second: usize, ordered: bool) -> Cell {
        Cell { first, second, ordered }
    }

    fn win() -> Outcomes {
        Outcomes { won: 1.0, ..Outcomes::default() }
    }

    // from scipy.sparse import coo_array; from scipy.sparse.csgraph import connected_components
    // won, lost = zip((0, 1), (1, 2), (2, 0), (3, 0), (2, 4), (5, 6), (6, 5))
    // wins = coo_array(([1] * 7, (won, lost)), shape=(8, 8))
    // connected_components(wins, connection="weak"), connected_components(wins, connection="strong")
    // # [0 0 0 0 0 1 1 2], [1 1 1 2 0 3 3 4]
    #[test]
    fn components_and_groups_agree_with_scipy() {
        let wins = [(0, 1), (1, 2), (2, 0), (3, 0), (2, 4), (5, 6), (6, 5)];
        let cells: Vec<Cell> = wins.iter().map(|&(a, b)| cell(a, b, true)).collect();
        let found = components(8, &cells, &[win(); 7]);
        let groups: Vec<Vec<Vec<usize>>> = found.iter().map(|c| c.groups.clone()).collect();
        let expected = [vec![vec![3], vec![0, 1, 2], vec![4]], vec![vec![5, 6]], vec![vec![7]]];
        assert_eq!(groups, expected);
        assert_eq!(found[0].players, [0, 1, 2, 3, 4]);
        let bounded: Vec<bool> = (0..5).map(|player| found[0].bounds(player)).collect();
        assert_eq!(bounded, [true, true, true, false, false]);
    }

    #[test]
    fn a_tie_goes_both_ways_and_a_win_does_not() {
        let groups =
            |outcomes: Outcomes| components(2, &[cell(0, 1, false)], &[outcomes])[0].groups.len();
        assert_eq!(groups(win()), 2);
        assert_eq!(groups(Outcomes { tied: 1.0, ..Outcomes::default() }), 1);
        assert_eq!(groups(Outcomes { lost: 0.5, ..win() }), 1);
    }

    #[test]
    fn order_needs_a_pair_in_both_orders_or_a_circle() {
        let check = |cells: &[(usize, usize, bool)], expected: bool| {
            let cells: Vec<Cell> = cells.iter().map(|&(a, b, known)| cell(a, b, known)).collect();
            assert_eq!(order_is_told_apart(4, &cells), expected, "{cells:?}");
        };
        check(&[], false);
        check(&[(0, 1, false), (1, 2, false), (0, 2, false)], false);
        check(&[(0, 1, true), (2, 1, true), (3, 1, true)], false);
        check(&[(0, 1, true), (2, 1, true), (1, 2, true)], true);
        check(&[(0, 1, true), (0, 1, false)], true);
        check(&[(0, 1, true), (1, 2, true), (0, 2, true)], true);
        check(&[(0, 1, true), (1, 2, true), (0, 2, false), (2, 3, true)], true);
        check(&[(0, 1, true), (2, 3, true), (3, 2, true)], true);
    }
}
