//! The blocks of a Markdown text that a reader would copy: fenced ones, and those that are indented by four blanks.

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// What it is said to be: `console`, `sql`, `text`; of an indented one nothing.
    pub(super) kind: String,
    /// The number of its first line in the document.
    pub(super) line: usize,
    pub(super) lines: Vec<String>,
}

impl Block {
    /// Its first line, by which it is known.
    pub(super) fn first(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }
}

/// All blocks of a text, in order.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut fence, mut indented) = (None::<usize>, false);
    for (at, line) in text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            fence = match fence {
                Some(_) => None,
                None => {
                    blocks.push(Block { kind: kind.into(), line: at + 2, lines: Vec::new() });
                    Some(blocks.len() - 1)
                }
            };
            indented = false;
            continue;
        }
        if let Some(open) = fence {
            blocks[open].lines.push(line.into());
            continue;
        }
        match line.strip_prefix("    ") {
            Some(line) => {
                if !std::mem::replace(&mut indented, true) {
                    blocks.push(Block { kind: String::new(), line: at + 1, lines: Vec::new() });
                }
                blocks.last_mut().unwrap().lines.push(line.into());
            }
            None => indented = false,
        }
    }
    blocks
}

/// A line as it is compared: how wide a column is, and how long something took, differs from run to run.
pub(super) fn steady(line: &str) -> String {
    let mut line = line.replace('─', " ");
    if let Some(at) = line.find(" bad, ").filter(|_| line.contains(" rows/s")) {
        let tail = line.find(" rows/s").map_or("", |at| &line[at + " rows/s".len()..]).to_string();
        line.truncate(at + " bad".len());
        line += &tail;
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether lines are as expected: `…` stands for any words within a line, and on a line of its own for any lines.
pub(super) fn fits(expected: &[String], found: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return found.is_empty() };
    if first.trim() == "…" {
        return (0..=found.len()).any(|skipped| fits(rest, &found[skipped..]));
    }
    match found.split_first() {
        Some((line, others)) => line_fits(&steady(first), &steady(line)) && fits(rest, others),
        None => false,
    }
}

/// Whether a line is as expected, where `…` stands for any words.
pub(super) fn line_fits(expected: &str, found: &str) -> bool {
    match expected.split_once('…') {
        None => expected == found,
        Some((before, after)) => found.strip_prefix(before).is_some_and(|rest| {
            let places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            places.into_iter().any(|at| line_fits(after, &rest[at..]))
        }),
    }
}

#[test]
fn blocks_are_found_and_compared() {
    let found = blocks("a\n\n    b\n    c\n\n```sql\nd\n    e\n```\nf\n");
    let told: Vec<_> = found.iter().map(|b| (b.kind.as_str(), b.line, b.lines.join("/"))).collect();
    assert_eq!(told, [("", 3, "b/c".to_string()), ("sql", 7, "d/    e".to_string())]);
    let lines = |lines: &[&str]| lines.iter().map(|l| l.to_string()).collect::<Vec<_>>();
    assert!(fits(&lines(&["a  b", "…", "z …"]), &lines(&["a b", "c", "d", "z y x"])));
    assert!(!fits(&lines(&["a", "z"]), &lines(&["a", "c", "z"])) && !fits(&[], &lines(&["a"])));
    assert_eq!(steady("x: 5 rows in, 0 bad, 0.08 s, 340 rows/s (more)"), "x: 5 rows in, 0 bad (more)");
    assert!(line_fits("a … c", "a b b c") && !line_fits("a … c", "a b"));
}
