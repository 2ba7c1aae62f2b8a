//! What is told of the same queries over several numbers of events: whether a row costs as much, and a row of state takes as much,
//! when there are more; and how much the workers send each other.

use super::report::{Line, NOTHING, shown};
use std::fmt::Write as _;

/// A case without its number of events.
type Key = (&'static str, &'static str, &'static str);

fn key(line: &Line) -> Key {
    (line.case.query.name, line.case.input.word(), line.case.emit.word())
}

/// The cases in the order in which they come first, each with its lines by number of events.
fn by_case(lines: &[Line]) -> Vec<(Key, Vec<&Line>)> {
    let mut cases: Vec<(Key, Vec<&Line>)> = Vec::new();
    for line in lines {
        match cases.iter_mut().find(|(known, _)| *known == key(line)) {
            Some((_, of_case)) => of_case.push(line),
            None => cases.push((key(line), vec![line])),
        }
    }
    for (_, of_case) in &mut cases {
        of_case.sort_by_key(|line| line.events);
    }
    cases
}

/// A table and a plot of how the cost of a row grows with the number of events, in Markdown.
pub(super) fn growth(lines: &[Line]) -> String {
    let mut text = String::from(
        "\n## Growth\n\nCPU µs: what is computed for a row that is read; × is that by the one for the least number of events. \
         State: what the job keeps when it has read all.\n\n\
         | query | input | emit | events | CPU µs a row | × | peak MB | rows of state | state MB | bytes a row of state |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let cases = by_case(lines);
    for ((query, input, emit), of_case) in &cases {
        let first = of_case.first().and_then(|line| line.us_per_row());
        for line in of_case {
            let kept = line.kept().filter(|kept| kept.state_rows > 0);
            let cells = [
                shown(Some(line.events as f64), 0),
                shown(line.us_per_row(), 3),
                shown(line.us_per_row().zip(first).map(|(now, first)| now / first), 2),
                shown(line.ours.and_then(|o| o.peak_mb), 0),
                shown(kept.map(|k| k.state_rows as f64), 0),
                shown(kept.map(|k| k.state_bytes as f64 / 1e6), 1),
                shown(kept.map(|k| k.state_bytes as f64 / k.state_rows as f64), 0),
            ];
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {query} | {input} | {emit} | {} |", cells.join(" | "));
        }
    }
    text + &plot(&cases)
}

/// The cost of a row by the number of events, a curve a case, as a chart that Mermaid draws.
fn plot(cases: &[(Key, Vec<&Line>)]) -> String {
    let mut sizes: Vec<u64> = cases.iter().flat_map(|(_, lines)| lines.iter().map(|l| l.events)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut curves = Vec::new();
    let mut names = Vec::new();
    for ((query, input, emit), lines) in cases {
        let costs: Vec<f64> = lines.iter().filter_map(|line| line.us_per_row()).collect();
        // A curve has a point for each number; one that ended early has none.
        if costs.len() == sizes.len() {
            names.push(format!("{query} from {input}, {emit}"));
            curves.push(costs);
        }
    }
    let most = curves.iter().flatten().copied().fold(0.0, f64::max);
    if curves.is_empty() || most <= 0.0 {
        return String::new();
    }
    let axis: Vec<String> =
        sizes.iter().map(|size| format!("\"{}\"", shown(Some(*size as f64), 0))).collect();
    let mut text = format!(
        "\nThe curves from the left's highest to its lowest:\n\n```mermaid\nxychart-beta\n    title \"CPU µs a row by number of events\"\n    \
         x-axis [{}]\n    y-axis \"µs\" 0 --> {:.2}\n",
        axis.join(", "),
        most * 1.1
    );
    let mut order: Vec<usize> = (0..curves.len()).collect();
    order.sort_by(|a, b| curves[*b][0].total_cmp(&curves[*a][0]));
    for curve in order.iter().map(|i| &curves[*i]) {
        let points: Vec<String> = curve.iter().map(|us| format!("{us:.3}")).collect();
        let _ = writeln!(text, "    line [{}]", points.join(", "));
    }
    text.push_str("```\n\n");
    let names: Vec<&str> = order.iter().map(|i| names[*i].as_str()).collect();
    text + &names.join("; ") + ".\n"
}

/// A table of what the workers sent each other, in Markdown; nothing, if they sent nothing.
pub(super) fn moved(lines: &[Line]) -> String {
    let moved = |line: &&Line| line.kept().is_some_and(|kept| kept.moved_rows > 0);
    let mut text = String::new();
    for line in lines.iter().filter(moved) {
        let (Some(kept), (query, input, emit)) = (line.kept(), key(line)) else { continue };
        let by_row = |of_all: u64| (line.rows > 0).then(|| of_all as f64 / line.rows as f64);
        let bytes_each = (kept.moved_rows > 0).then(|| kept.moved_bytes as f64 / kept.moved_rows as f64);
        let cells = [
            shown(Some(line.events as f64), 0),
            line.workers.to_string(),
            shown(Some(kept.moved_rows as f64), 0),
            shown(by_row(kept.moved_rows), 3),
            shown(Some(kept.moved_bytes as f64 / 1e6), 1),
            shown(bytes_each, 0),
            by_row(kept.moved_bytes).map_or(NOTHING.into(), |bytes| format!("{bytes:.1}")),
        ];
        let _ = writeln!(text, "| {query} | {input} | {emit} | {} |", cells.join(" | "));
    }
    if text.is_empty() {
        return text;
    }
    String::from(
        "\n## What workers send each other\n\nRows that an exchange sent from one worker to another, each time it did, and the bytes of their columns.\n\n\
         | query | input | emit | events | workers | rows moved | for each row read | MB | bytes each | bytes for each row read |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    ) + &text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::child::{Kept, Ran};
    use crate::bench::queries::query;
    use crate::bench::report::Side;
    use crate::bench::{Case, Emit, Input};

    fn line(name: &str, events: u64, cpu_s: f64, kept: Kept) -> Line {
        let case = Case { query: query(name).unwrap(), input: Input::Topic, emit: Emit::Changes };
        let mut line = Line::new(case, 2, events, events);
        let ran = Ran { wall_s: 1.0, cpu_s, peak_mb: Some(50.0), kept: Some(kept), ..Ran::default() };
        line.set(Side::of(&[ran]), None);
        line
    }

    fn kept(state_rows: u64, moved_rows: u64) -> Kept {
        Kept { state_rows, state_bytes: state_rows * 40, moved_rows, moved_bytes: moved_rows * 16 }
    }

    #[test]
    fn each_query_is_compared_with_itself_over_fewer_events() {
        let lines = [
            line("q4", 1_000_000, 0.2, kept(10, 0)),
            line("q9", 1_000_000, 1.0, kept(1000, 0)),
            line("q4", 10_000_000, 3.0, kept(0, 0)),
            line("q9", 10_000_000, 10.0, kept(10_000, 0)),
        ];
        let text = growth(&lines);
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| q")).collect();
        assert_eq!(
            rows[1..],
            [
                "| q4 | topic | changes | 1,000,000 | 0.200 | 1.00 | 50 | 10 | 0.0 | 40 |",
                "| q4 | topic | changes | 10,000,000 | 0.300 | 1.50 | 50 | – | – | – |",
                "| q9 | topic | changes | 1,000,000 | 1.000 | 1.00 | 50 | 1,000 | 0.0 | 40 |",
                "| q9 | topic | changes | 10,000,000 | 1.000 | 1.00 | 50 | 10,000 | 0.4 | 40 |",
            ]
        );
        let chart = text.split("```").nth(1).unwrap();
        assert!(chart.contains("x-axis [\"1,000,000\", \"10,000,000\"]"), "{chart}");
        assert!(chart.contains("    line [1.000, 1.000]\n    line [0.200, 0.300]\n"), "{chart}");
        assert!(text.ends_with("q9 from topic, changes; q4 from topic, changes.\n"), "{text}");
    }

    #[test]
    fn what_was_moved_is_told_where_something_was() {
        assert_eq!(moved(&[line("q4", 100, 0.1, kept(1, 0))]), "");
        let text = moved(&[line("q4", 100, 0.1, kept(1, 0)), line("q9", 100, 0.1, kept(1, 250))]);
        assert!(
            text.ends_with("| q9 | topic | changes | 100 | 2 | 250 | 2.500 | 0.0 | 16 | 40.0 |\n"),
            "{text}"
        );
        assert!(!text.contains("| q4 |"));
    }
}
