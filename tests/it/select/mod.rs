//! What a SELECT means: hundreds of statements over small tables, each answered by DataFusion alone and maintained while
//! the same rows come in random steps, once only growing, once with rows that go and come again.
//!
//! `tests/sql_select/*.sql` hold the statements, one topic a file, over the tables of `tables.sql`. An answer that differs
//! fails the test. `summary.out` says how many agree and why the others are refused; `MILLSTREAM_BLESS=1` writes it
//! anew. `MILLSTREAM_CASE=part/of/name` runs some files only, and then leaves the summary alone.

use crate::fed::reference::Reference;
use crate::fed::{Fed, Table, plain};
use crate::oracle::draw::Draw;
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream::plan::Planner;
use millstream::sql;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const FOLDER: &str = "tests/sql_select";
/// How often each statement is fed in each way, always with other cuts, unless `MILLSTREAM_ROUNDS` says otherwise.
const ROUNDS: u64 = 1;
/// How many rows of a changing table go and come again.
const PERCENT: usize = 30;
/// Planners recurse deeply where nothing is optimised.
const STACK: usize = 64 << 20;

/// How a statement ended.
enum Outcome {
    /// Its answer is maintained in both ways.
    Agrees,
    /// It is maintained while rows only come; over changes it is refused for this reason.
    Growing(String),
    /// It is refused for this reason.
    Refused(String),
}

/// The tables of `tables.sql`, made by DataFusion.
fn tables() -> Vec<Table> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("tables.sql")).unwrap();
    let text: Vec<&str> = text.lines().filter(|l| !l.starts_with("--")).collect();
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut tables = Vec::new();
        for statement in text.join("\n").split(';').filter(|s| !s.trim().is_empty()) {
            context.sql(statement).await.unwrap().collect().await.unwrap();
            let name = statement.split_whitespace().nth(2).unwrap();
            let frame = context.table(name).await.unwrap();
            let empty = arrow::array::RecordBatch::new_empty(frame.schema().inner().clone());
            let mut batches = vec![empty];
            batches.extend(frame.collect().await.unwrap());
            tables.push(Table { name: name.into(), rows: plain(&batches), key: None });
        }
        tables
    })
}

struct Select {
    tables: Vec<Table>,
    planner: Planner,
    reference: Reference,
    growing: Fed,
    rounds: u64,
}

impl Select {
    fn new() -> Self {
        let tables = tables();
        let reference = Reference::new(&tables);
        let rounds = std::env::var("MILLSTREAM_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
        Select { planner: Planner::new(), growing: Fed::growing(&tables), reference, tables, rounds }
    }

    fn statement(&self, text: &str, seed: u64) -> Result<Outcome, String> {
        let expected = self.reference.answer(text).map_err(|e| format!("has no answer: {e}"))?;
        let mut d = Draw::new(seed ^ 0x5e1e_c700);
        let statements = match sql::parse(text) {
            Ok(statements) => statements,
            Err(refused) => return Ok(Outcome::Refused(refused.message)),
        };
        let [statement] = statements.as_slice() else { return Err("is not one statement".into()) };
        let flow = match self.growing.flow(&self.planner, text, statement) {
            Ok(flow) => flow,
            Err(refused) => return Ok(Outcome::Refused(refused.message)),
        };
        for _ in 0..self.rounds {
            let got = self.growing.run(&flow, &mut d).map_err(|e| format!("while rows come: {e}"))?;
            if let Some(difference) = got.difference(&expected) {
                return Err(format!("while rows come: {difference}"));
            }
        }
        for _ in 0..self.rounds {
            let changing = Fed::changing(&self.tables, PERCENT, &mut d);
            let flow = match changing.flow(&self.planner, text, statement) {
                Ok(flow) => flow,
                Err(refused) => return Ok(Outcome::Growing(refused.message)),
            };
            let got = changing.run(&flow, &mut d).map_err(|e| format!("while rows change: {e}"))?;
            if let Some(difference) = got.difference(&expected) {
                return Err(format!("while rows change: {difference}"));
            }
        }
        Ok(Outcome::Agrees)
    }
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(FOLDER).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "sql") && !p.ends_with("tables.sql"));
    files.sort();
    files
}

#[test]
fn what_is_maintained_is_what_a_select_answers() {
    let part = std::env::var("MILLSTREAM_CASE").ok();
    let mut files = files();
    files.retain(|path| part.as_ref().is_none_or(|part| path.to_string_lossy().contains(part)));
    let mut cases = Vec::new();
    for (file, path) in files.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        let statements = lines.join("\n");
        let statements = statements.split(";\n").map(|s| s.trim_end_matches(';').trim().to_string());
        cases.extend(statements.filter(|s| !s.is_empty()).map(|statement| (file, statement)));
    }
    assert!(part.is_some() || cases.len() >= 300, "{} statements", cases.len());
    let (next, outcomes, faults) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let work = || {
        let select = Select::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, text)) = cases.get(at) else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| select.statement(text, at as u64)));
            match outcome.unwrap_or_else(|_| Err("panics".into())) {
                Ok(outcome) => {
                    outcomes.lock().unwrap().insert((*file, at), outcome);
                }
                Err(fault) => {
                    faults.lock().unwrap().push(format!("{}: {text}\n  {fault}", files[*file].display()));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {} fail\n\n{}", faults.len(), cases.len(), faults.join("\n\n"));
    if part.is_some() {
        return;
    }
    let outcomes = outcomes.into_inner().unwrap();
    let told = |(file, at): &(usize, usize)| {
        let words = cases[*at].1.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}: {words}", files[*file].file_stem().unwrap().to_string_lossy())
    };
    let summary = summary(&files, &outcomes, &told);
    let golden = Path::new(FOLDER).join("summary.out");
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        std::fs::write(&golden, &summary).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(expected == summary, "{} differs; MILLSTREAM_BLESS=1 writes\n{summary}", golden.display());
}

/// How many agree, file by file, and the others by the reason why they do not.
fn summary(
    files: &[PathBuf],
    outcomes: &BTreeMap<(usize, usize), Outcome>,
    told: &dyn Fn(&(usize, usize)) -> String,
) -> String {
    let agree = |file: Option<usize>| {
        let of: Vec<&Outcome> = outcomes
            .iter()
            .filter(|((f, _), _)| file.is_none_or(|file| *f == file))
            .map(|(_, o)| o)
            .collect();
        (of.iter().filter(|o| matches!(o, Outcome::Agrees)).count(), of.len())
    };
    let (agreeing, all) = agree(None);
    let mut text = format!("{agreeing} of {all} statements are maintained as they are answered\n");
    for (file, path) in files.iter().enumerate() {
        let (agreeing, all) = agree(Some(file));
        let _ =
            writeln!(text, "{:>5} of {all:>3}  {}", agreeing, path.file_name().unwrap().to_string_lossy());
    }
    let mut reasons: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
    for (place, outcome) in outcomes {
        let (reason, growing) = match outcome {
            Outcome::Agrees => continue,
            Outcome::Growing(reason) => (reason, true),
            Outcome::Refused(reason) => (reason, false),
        };
        reasons.entry((reason.clone(), growing)).or_default().push(told(place));
    }
    for ((reason, growing), statements) in reasons {
        let which = if growing { "refused over rows that change" } else { "refused" };
        let _ = write!(text, "\n{}, {which}: {reason}\n", statements.len());
        statements.iter().for_each(|statement| text.push_str(&format!("  {statement}\n")));
    }
    text
}
