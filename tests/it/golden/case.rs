//! One case: its statements, run in every way, against its golden.

use super::lines::{comparable, difference};
use super::ways::{Answer, Keeper, Mode, Run, Way, cut_and_resumed, parsed};
use millstream::engine::{ParsedStatement, Statement};
use millstream::sql::Emit;
use std::fmt::Write as _;
use std::path::Path;

/// As a user runs it.
const PLAIN: Way = Way { workers: 2, step_rows: 65_536, values_end: false };
/// The way whose bounded answer is the golden, and the others that must agree with it.
const WAYS: [Way; 4] = [
    Way { workers: 2, step_rows: 65_536, values_end: true },
    Way { workers: 1, step_rows: 1, values_end: true },
    Way { workers: 3, step_rows: 7, values_end: true },
    PLAIN,
];

/// Cases over files of tens of thousands of rows: with steps of one row they would take minutes.
const LARGE: &str = "queries/tour";
/// How much larger their steps are.
const LARGE_STEPS: usize = 16;

/// Runs the case and compares it with its golden, or writes that.
pub(super) fn check(path: &Path, bless: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut directives = text.lines().take_while(|l| l.starts_with("--"));
    let once = directives.clone().any(|l| l.starts_with("-- as written:"));
    let scale = if path.starts_with(LARGE) { LARGE_STEPS } else { 1 };
    let most = directives.find_map(|l| l.strip_prefix("-- rows shown: ")).map(|n| n.trim().parse().unwrap());
    let (golden, faults) = run(&text, once, most.unwrap_or(usize::MAX), scale);
    let out = path.with_extension("out");
    if bless {
        std::fs::write(&out, &golden).unwrap();
    } else {
        let expected = std::fs::read_to_string(&out)
            .map_err(|_| format!("has no golden; MILLSTREAM_BLESS=1 would write\n{golden}"))?;
        if !same(&expected, &golden) {
            let (expected, got): (Vec<_>, Vec<_>) =
                (expected.lines().map(String::from).collect(), golden.lines().map(String::from).collect());
            return Err(format!("differs from its golden\n{}", difference(&expected, &got)));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn same(expected: &str, got: &str) -> bool {
    let lines = |text: &str| comparable(&text.lines().map(String::from).collect::<Vec<_>>(), true);
    lines(expected) == lines(got)
}

/// What the golden says, and where the ways do not agree. Steps are `scale` times as large as the ways say.
fn run(text: &str, once: bool, most: usize, scale: usize) -> (String, Vec<String>) {
    let (mut golden, mut faults) = (String::new(), Vec::new());
    let (source, statements) = match parsed(text) {
        Ok(parsed) => parsed,
        Err(mistake) => return (format!("error: {mistake}\n"), faults),
    };
    let dir = tempfile::tempdir().unwrap();
    let mut plain = Run::new(dir.path(), &source, PLAIN);
    let mut answers = Vec::new();
    for statement in &statements {
        let answer = plain.statement(statement);
        let answered = is_query(statement);
        let (ordered, words) = (has_order(statement), one_line(&source[statement.span.clone()]));
        let failed = answer.is_err();
        if failed || shows(statement) {
            let _ = write!(golden, "-- {words}\n{}\n", shown(&answer, ordered || !answered, most));
        }
        answers.push(answer);
        if failed && !answered {
            // The program ends here; so does the case.
            return (golden, faults);
        }
    }
    if once {
        return (golden, faults);
    }
    drop(plain);
    again(dir.path(), &source, &statements, &answers, scale, &mut faults);
    golden.clear();
    let mut modes = vec![Vec::new(); statements.len()];
    // INSERT … VALUES alone is no end: a stream of final results may then lack its last windows.
    let open = source.to_ascii_uppercase().contains("EMIT FINAL;");
    for way in WAYS.into_iter().filter(|w| w.values_end || !open) {
        one_way(&source, &statements, &mut answers, (way, scale), &mut modes, &mut faults);
    }
    for (i, statement) in statements.iter().enumerate() {
        if is_query(statement) {
            cut(&source, (&statements, i), &answers[i], scale, &mut modes[i], &mut faults);
        }
        if shows(statement) {
            let words = one_line(&source[statement.span.clone()]);
            let order = has_order(statement) || !is_query(statement);
            let notes: String = modes[i].iter().map(|m| format!("-- {m}\n")).collect();
            let _ = write!(golden, "-- {words}\n{notes}{}\n", shown(&answers[i], order, most));
        }
    }
    (golden, faults)
}

/// Runs the case once more where it has been run, as `millstream run` does with the same file: nothing is inserted or
/// written twice, and every statement answers as it did.
fn again(
    dir: &Path,
    source: &str,
    statements: &[ParsedStatement],
    answers: &[Answer],
    scale: usize,
    faults: &mut Vec<String>,
) {
    let mut run = Run::new(dir, source, Way { workers: 3, step_rows: 2 * scale, values_end: false });
    for (statement, before) in statements.iter().zip(answers) {
        let emits = matches!(&statement.statement, Statement::Query(q) if q.emit.is_some());
        let answer = run.statement(statement);
        // What a query without end has not finished depends on where it was stopped.
        if !(emits && answer.is_ok()) {
            let way = format!("run again: {}", one_line(&source[statement.span.clone()]));
            compare(&way, statement, before, &answer, Mode::Bounded, faults);
        }
    }
}

/// Runs the whole case in one way and asks each query in each mode. In the first way the bounded answers become what
/// all others are compared with, and `modes` takes note of what is refused.
fn one_way(
    source: &str,
    statements: &[ParsedStatement],
    answers: &mut [Answer],
    (way, scale): (Way, usize),
    modes: &mut [Vec<String>],
    faults: &mut Vec<String>,
) {
    let dir = tempfile::tempdir().unwrap();
    let mut run =
        Run::new(dir.path(), source, Way { step_rows: (way.step_rows * scale).min(PLAIN.step_rows), ..way });
    let first = way == WAYS[0];
    for (i, statement) in statements.iter().enumerate() {
        if !is_query(statement) {
            if let Err(reason) = set_up(&mut run, statement, way) {
                faults
                    .push(format!("{way:?}: {} fails: {reason}", one_line(&source[statement.span.clone()])));
                return;
            }
            continue;
        }
        for mode in [Mode::Bounded, Mode::Changes, Mode::Final] {
            // Rows that are not the last ones ever leave windows open.
            if !way.values_end && mode == Mode::Final {
                continue;
            }
            let answer = run.ask(statement, mode);
            if first && mode == Mode::Bounded {
                answers[i] = answer;
                continue;
            }
            match &answer {
                Err(reason) if mode != Mode::Bounded && !reason.starts_with("failed") => {
                    let note = format!("{}: {reason}", name(mode));
                    if first {
                        modes[i].push(note);
                    } else if !modes[i].contains(&note) {
                        faults.push(format!("{way:?}: only here refused: {note}"));
                    }
                }
                _ => {
                    compare(&format!("{way:?} {}", name(mode)), statement, &answers[i], &answer, mode, faults)
                }
            }
        }
    }
}

/// Runs a statement that is no query. The way decides on the settings, so SET is left out.
fn set_up(run: &mut Run, statement: &ParsedStatement, way: Way) -> Answer {
    match statement.statement {
        Statement::Set { .. } => Ok(Vec::new()),
        _ => run.set_up(statement, way),
    }
}

fn cut(
    source: &str,
    (statements, i): (&[ParsedStatement], usize),
    expected: &Answer,
    scale: usize,
    modes: &mut Vec<String>,
    faults: &mut Vec<String>,
) {
    let before: Vec<ParsedStatement> = statements[..i]
        .iter()
        .filter(|s| !is_query(s) && !matches!(s.statement, Statement::Set { .. }))
        .cloned()
        .collect();
    let refused = |mode: Mode| modes.iter().any(|m| m.starts_with(name(mode)));
    let emit = match (refused(Mode::Final), refused(Mode::Changes)) {
        (false, _) => Emit::Final,
        (true, false) => Emit::Changes,
        (true, true) => return,
    };
    let kept =
        |by| (cut_and_resumed(source, &before, &statements[i], (emit, by), scale), Mode::Kept(emit, by));
    let (mut answer, mut mode) = kept(Keeper::Stream);
    if matches!(&answer, Err(reason) if reason.starts_with("a stream only ever takes new rows")) {
        (answer, mode) = kept(Keeper::MaterializedView);
    }
    match &answer {
        Err(reason) if !reason.starts_with("failed") => modes.push(format!("kept: {reason}")),
        _ => compare("cut and resumed", &statements[i], expected, &answer, mode, faults),
    }
}

fn compare(
    way: &str,
    statement: &ParsedStatement,
    expected: &Answer,
    got: &Answer,
    mode: Mode,
    faults: &mut Vec<String>,
) {
    match (expected, got) {
        (Ok(expected), Ok(got)) => {
            let ordered = mode == Mode::Bounded && has_order(statement);
            let (expected, got) = (comparable(expected, ordered), comparable(got, ordered));
            if expected != got {
                faults.push(format!("{way} differs\n{}", difference(&expected, &got)));
            }
        }
        (Err(a), Err(b)) if a == b => {}
        (Err(a), Err(b)) => faults.push(format!("{way}: fails with \"{b}\" instead of \"{a}\"")),
        (Ok(_), Err(b)) => faults.push(format!("{way}: {b}")),
        (Err(a), Ok(_)) => faults.push(format!("{way}: answers, where the plain way says: {a}")),
    }
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Bounded => "bounded",
        Mode::Changes => "changes",
        Mode::Final => "final",
        Mode::Kept(..) => "kept",
    }
}

fn is_query(statement: &ParsedStatement) -> bool {
    matches!(statement.statement, Statement::Query(_))
}

/// Whether the statement gives rows.
fn shows(statement: &ParsedStatement) -> bool {
    matches!(
        statement.statement,
        Statement::Query(_)
            | Statement::Show { .. }
            | Statement::ShowSetting(_)
            | Statement::Describe(_)
            | Statement::Explain(_)
    )
}

fn has_order(statement: &ParsedStatement) -> bool {
    matches!(&statement.statement, Statement::Query(q) if q.query.order_by.is_some())
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(|l| l.split("--").next().unwrap_or(""));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// The lines of an answer; of those beyond `most` how many there are, with a digest of the whole answer.
fn shown(answer: &Answer, ordered: bool, most: usize) -> String {
    match answer {
        Err(reason) => format!("error: {reason}\n"),
        Ok(lines) => {
            let mut lines = lines.clone();
            if !ordered {
                lines.sort();
            }
            let mut text: String = lines.iter().take(most).map(|l| format!("{l}\n")).collect();
            if let Some(more @ 1..) = lines.len().checked_sub(most) {
                let digest = xxhash_rust::xxh3::xxh3_64(comparable(&lines, ordered).join("\n").as_bytes());
                let _ = writeln!(text, "… and {more} more, all with the digest {digest:016x}");
            }
            text
        }
    }
}
