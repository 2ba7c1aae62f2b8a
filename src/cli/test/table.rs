//! Results as they are written down in a test, and what differs between two.

use super::file::OP;
use super::protocol::Change;
use std::ops::Range;

/// Equal lines around a difference that are shown.
const AROUND: usize = 3;
/// Tables of more rows are compared by their first difference alone.
const MOST: usize = 2000;

/// Columns and rows; a cell that is NULL is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// The order of the rows says something.
    pub(super) ordered: bool,
}

impl Table {
    /// Each change with its sign, in the order in which they came.
    pub(super) fn of_changes(names: &[String], deltas: &[Vec<Change>]) -> Self {
        let mut rows = Vec::new();
        for delta in deltas {
            // Within a delta nothing comes before anything else: what is taken back stands first, each in the order of its cells.
            for sign in [-1, 1] {
                let mut all: Vec<_> = delta
                    .iter()
                    .filter(|(weight, _)| weight.signum() == sign)
                    .flat_map(|(weight, row)| {
                        let copies = usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX);
                        std::iter::repeat_n(row, copies)
                    })
                    .collect();
                all.sort();
                let op = Some(if sign > 0 { "+" } else { "-" }.to_string());
                rows.extend(
                    all.into_iter()
                        .map(|row| std::iter::once(op.clone()).chain(row.iter().cloned()).collect()),
                );
            }
        }
        let names = std::iter::once(OP.to_string()).chain(names.iter().cloned()).collect();
        Table { names, rows, ordered: true }
    }

    /// The lines that are written down, columns one below the other.
    pub(super) fn drawn(&self) -> Vec<String> {
        let mut all = self.cells();
        if !self.ordered {
            all[1..].sort();
        }
        let refs: Vec<&Vec<String>> = all.iter().collect();
        let widths = widths(&refs);
        all.iter().map(|row| line(row, &widths)).collect()
    }

    /// The names, then the rows, as text.
    fn cells(&self) -> Vec<Vec<String>> {
        let null = |c: &Option<String>| c.clone().unwrap_or_else(|| "NULL".into());
        let rows = self.rows.iter().map(|row| row.iter().map(null).collect());
        std::iter::once(self.names.clone()).chain(rows).collect()
    }
}

/// What differs between the lines that are expected and what was found, as lines of one table: `-` what is missing, `+`
/// what is there instead. Nothing if the cells are the same, however wide.
pub(super) fn differences(expected: &[String], found: &Table) -> Option<Vec<String>> {
    let split =
        |line: &String| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_string()).collect() };
    let mut expected: Vec<Vec<String>> = expected.iter().map(split).collect();
    // A cell may itself hold what separates cells.
    let mut found_rows: Vec<Vec<String>> = found.cells().iter().map(|row| split(&row.join(" | "))).collect();
    if !found.ordered {
        expected.get_mut(1..).unwrap_or_default().sort();
        found_rows[1..].sort();
    }
    if expected == found_rows {
        return None;
    }
    let all: Vec<&Vec<String>> = expected.iter().chain(&found_rows).collect();
    let widths = widths(&all);
    let mut lines: Vec<(char, String)> = Vec::new();
    for (sign, row) in aligned(&expected, &found_rows) {
        lines.push((sign, line(row, &widths)));
    }
    Some(shortened(&lines))
}

fn widths(rows: &[&Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max();
    (0..columns).map(|c| width(c).unwrap_or(0)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, w)| format!("{cell:w$}"));
    cells.collect::<Vec<_>>().join(" | ").trim_end().to_string()
}

/// The rows of both, those that are in both once: by their longest common subsequence.
fn aligned<'r>(left: &'r [Vec<String>], right: &'r [Vec<String>]) -> Vec<(char, &'r Vec<String>)> {
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let mut rows: Vec<_> = left[..same].iter().map(|row| (' ', row)).collect();
    let (left, right) = (&left[same..], &right[same..]);
    if left.len() > MOST || right.len() > MOST {
        rows.extend(left.first().map(|row| ('-', row)));
        rows.extend(right.first().map(|row| ('+', row)));
        return rows;
    }
    // How much is common to what begins at each pair of places.
    let mut common = vec![vec![0_u32; right.len() + 1]; left.len() + 1];
    for a in (0..left.len()).rev() {
        for b in (0..right.len()).rev() {
            common[a][b] = match left[a] == right[b] {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < left.len() || b < right.len() {
        if a < left.len() && b < right.len() && left[a] == right[b] {
            rows.push((' ', &left[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == right.len() || a < left.len() && common[a + 1][b] >= common[a][b + 1] {
            rows.push(('-', &left[a]));
            a += 1;
        } else {
            rows.push(('+', &right[b]));
            b += 1;
        }
    }
    rows
}

/// The lines with their signs, without most of those that are far from any difference; the names always stand there.
fn shortened(lines: &[(char, String)]) -> Vec<String> {
    let near = |at: usize| {
        let around: Range<usize> = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        at == 0 || lines[around].iter().any(|(sign, _)| *sign != ' ')
    };
    let (mut told, mut left_out) = (Vec::new(), 0);
    for (at, (sign, line)) in lines.iter().enumerate() {
        if near(at) {
            if left_out > 0 {
                told.push(format!("  … {left_out} more"));
                left_out = 0;
            }
            told.push(format!("{sign} {line}"));
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        told.push(format!("  … {left_out} more"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|l| l.to_string()).collect()
    }

    fn row(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|c| Some(c.to_string()).filter(|c| c != "NULL")).collect()
    }

    fn table(ordered: bool) -> Table {
        Table { names: lines(&["a", "long"]), rows: vec![row(&["12", "NULL"]), row(&["1", "x"])], ordered }
    }

    #[test]
    fn results_are_compared_by_their_cells() {
        assert_eq!(table(false).drawn(), ["a  | long", "1  | x", "12 | NULL"]);
        assert_eq!(table(true).drawn(), ["a  | long", "12 | NULL", "1  | x"]);
        assert_eq!(differences(&lines(&["a|long", "1|x", "12|NULL"]), &table(false)), None);
        assert_eq!(
            differences(&lines(&["a | long", "2 | y", "1 | x"]), &table(true)).unwrap(),
            ["  a  | long", "- 2  | y", "+ 12 | NULL", "  1  | x"]
        );
        assert!(differences(&[], &table(false)).is_some());
    }

    #[test]
    fn far_from_a_difference_lines_are_left_out() {
        let rows: Vec<_> = (0..40).map(|n| row(&[&format!("{n:02}")])).collect();
        let found = Table { names: lines(&["n"]), rows, ordered: true };
        let mut expected = found.drawn();
        expected.remove(21);
        let told = differences(&expected, &found).unwrap();
        assert_eq!(
            told,
            ["  n", "  … 17 more", "  17", "  18", "  19", "+ 20", "  21", "  22", "  23", "  … 16 more"]
        );
    }

    #[test]
    fn changes_have_signs_and_what_is_taken_back_comes_first() {
        let deltas = vec![
            vec![(1, row(&["a", "1"]))],
            vec![(1, row(&["a", "2"])), (2, row(&["b", "1"])), (-1, row(&["a", "1"]))],
        ];
        let table = Table::of_changes(&lines(&["k", "n"]), &deltas);
        assert_eq!(
            table.drawn(),
            ["_op | k | n", "+   | a | 1", "-   | a | 1", "+   | a | 2", "+   | b | 1", "+   | b | 1"]
        );
    }
}
