//! The oracle: what Millstream keeps up to date is what DataFusion computes from all rows at once.
//!
//! A case is a random query over random streams, served in random cuts. In part of the seeds `t` is a table, whose rows are
//! replaced, deleted and inserted again, so that every operator sees changing input. Five answers are compared as
//! multisets, floats within a relative 1e-9: the sum of EMIT CHANGES; EMIT FINAL, where it is allowed; over the log, a
//! SELECT without EMIT, and what a materialized view holds, where the rows have a key; and DataFusion's own over the whole
//! input. In part of the seeds a second query runs beside the first, as one job. What the planner says of unique keys is looked up in that answer. The reference knows nothing of our windows or of our way to
//! tell who is late: see `query`.
//!
//! `MILLSTREAM_ORACLE_CASES` says how many cases are run, `MILLSTREAM_ORACLE_FIRST` with which seed they begin;
//! `MILLSTREAM_ORACLE_SEED` runs the cases of one seed alone. `MILLSTREAM_ORACLE_FAILURES` is how many seeds may fail
//! before it stops (1), `MILLSTREAM_ORACLE_TRIES` how often a failing case is tried with fewer rows (200; 0 = show it
//! whole), and with `MILLSTREAM_ORACLE_VERBOSE` a query that the reference cannot plan is a failure too.
//!
//! What may differ, and is therefore not asked: without ORDER BY, what first_value, last_value and array_agg see is
//! ordered by value here and by arrival there; a grouped bit_xor(DISTINCT …) overlooks its DISTINCT there; different
//! ORDER BYs in the aggregates of one query are refused there; over grouping sets nth_value(… ORDER BY …) takes rows as
//! they come there, so of sessions, which the reference gives in another order, nothing is asked that needs
//! an order. Where rows are equal in all columns, which of them has which two row numbers is nobody's to say, so no ranking
//! stands over a grouping set that is written twice.
//!
//! A test is worth what it catches. These faults were planted one at a time, each was caught, at the latest by the case
//! in the right column (a seed makes four cases):
//!
//! | operator | fault | case |
//! |---|---|---|
//! | filter | all rows pass if all but one do | 27 |
//! | project | marks are lost | 74 |
//! | project | weights are lost | 5 |
//! | tumble | a row on a window's start is put into the window before | 7 |
//! | hop | windows with gaps take rows past their end | 274 |
//! | cumulate | a row at a window's end counts as inside | 81 |
//! | lateness | a mark at the window's very end is not late | 9 |
//! | grace | is left out when lateness is decided | 7 |
//! | window | a second window does not see the marks | 393 |
//! | in time | a row exactly at its mark is late | 122 |
//! | in time | the grace is left out | 34 |
//! | session | rows exactly one gap apart are two sessions | 34 |
//! | session | a row does not join the sessions on both its sides | 8 |
//! | session | one that loses a row does not part | 274 |
//! | session | a row that went when its session changed is not taken back | 274 |
//! | session | the changed rows of one that stays as it is are not sent | 8 |
//! | session | closes although a row at its very end may come | 183 |
//! | session | the grace is left out when it closes | 34 |
//! | session | the watermark behind it is not held back | 34 |
//! | session, emit final | a row that came twice goes out once | 122 |
//! | session, checkpoint | all weights are restored as 1 | 799 |
//! | expand | every set gets the first one's id | 113 |
//! | unnest | marks are lost | 184 |
//! | unnest | weights are lost | 287 |
//! | union | the last slice is lost when both sides have rows | 6 |
//! | exchange | rows are spread by all columns, not the keys | 6 |
//! | fan-out | an input that two operators take is given to the first | 113 |
//! | aggregate, DataFusion's vectorised accumulators | FILTER is overlooked | 121 |
//! | aggregate, every other state | FILTER is overlooked | 66 |
//! | aggregate, retractable sums | a retraction counts as one more value | 41 |
//! | aggregate, extremes | a slice's first row is overlooked | 134 |
//! | aggregate, kept bag | a retraction adds the row | 213 |
//! | aggregate, kept bag | an old result is given again | 5 |
//! | aggregate, count of distinct | a retraction does not lower it | 1251 |
//! | aggregate, counts of distinct that share a state | one has the FILTER of another | 225 |
//! | aggregate, groups | a group without rows stays | 5 |
//! | aggregate, global | over no input its row is missing | 78 |
//! | emit final, close | windows close a second early | 34 |
//! | emit final, close | the grace is left out | 8 |
//! | source | the watermark is the greatest of the partitions' | 8 |
//! | source | a slice begins without the running watermark | 8 |
//! | checkpoint | the running watermark is not restored | 122 |
//! | checkpoint | one call's state is not restored | 11 |
//! | checkpoint | the workers' states are dealt to each other | 11 |
//! | journal | the last step is not run again | 3 |
//! | bounded SELECT | no row has a mark | 8 |
//! | bounded SELECT | a union loses the marks | 75 |
//! | bounded SELECT | the rows of sessions have no marks | 8 |
//!
//! Queries with ranks, chains by the same keys, counts, the best by a count and of a window have cases of
//! their own: see `rank`, `together`, `counts`, `best`, `outdone`.

mod batch;
mod best;
mod counts;
mod data;
pub(crate) mod draw;
mod drive;
mod expr;
mod logged;
mod membership;
mod outdone;
mod query;
mod rank;
mod relational;
pub(crate) mod rows;
mod sessions;
mod together;
mod windows;

use batch::Reference;
use data::{Partitions, STREAMS, Shape, draw_data, marked, without};
use draw::Draw;
use drive::Plan;
use logged::Logged;
use millstream::catalog::{Definitions, ViewDef};
use millstream::plan::unique::{UniqueKeys, unique_keys};
use millstream::plan::{Dataflow, EmitMode, Planner};
use millstream::sql::{self, Diagnostic, Statement};
use query::{Query, draw_query};
use relational::draw_relational;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Data sets, each with its own cuts, for one query.
const DATA_SETS: u64 = 4;
const CASES: u64 = 1000;
/// Planners recurse deeply where nothing is optimised.
const STACK: usize = 64 << 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What has been seen over all cases.
#[derive(Default)]
struct Seen {
    cases: AtomicUsize,
    /// Cases that the reference cannot answer.
    unanswered: AtomicUsize,
    /// Cases whose query is refused.
    refused: AtomicUsize,
    finals: AtomicUsize,
    logged: AtomicUsize,
    /// Cases kept in a materialized view.
    kept: AtomicUsize,
    /// Cases whose query ran beside another.
    together: AtomicUsize,
    /// Cases in which `t` is a table.
    tables: AtomicUsize,
    /// Cases with an answer that has rows.
    full: AtomicUsize,
}

/// What kind of queries are drawn, and what is to be expected of them.
#[derive(Clone, Copy)]
struct Grammar {
    draw: fn(&mut Draw, &Shape) -> Query,
    /// How many cases are run, unless the environment says so.
    cases: u64,
    /// Answers may be as long as a product of both streams.
    small: bool,
    /// In how many of a hundred cases, at most, the reference may have no answer.
    unanswered: usize,
    /// In how many of a hundred cases, at most, the query may be refused.
    refused: usize,
    /// In how many of a hundred cases, at least, the answer may be final.
    finals: usize,
}

#[test]
fn every_way_to_run_a_query_gives_the_batch_answer() {
    run(Grammar { draw: draw_query, cases: CASES, small: false, unanswered: 4, refused: 0, finals: 40 });
}

#[test]
fn every_way_to_run_a_relational_query_gives_the_batch_answer() {
    run(Grammar { draw: draw_relational, cases: CASES, small: true, unanswered: 10, refused: 5, finals: 5 });
}

#[test]
fn every_way_to_rank_rows_gives_the_batch_answer() {
    let draw = rank::draw_ranking;
    run(Grammar { draw, cases: CASES / 2, small: false, unanswered: 4, refused: 0, finals: 15 });
}

#[test]
fn every_way_to_bring_rows_together_gives_the_batch_answer() {
    let draw = together::draw_together;
    run(Grammar { draw, cases: CASES / 2, small: true, unanswered: 4, refused: 5, finals: 0 });
}

#[test]
fn every_way_to_find_the_best_gives_the_batch_answer() {
    let draw = best::draw_best;
    run(Grammar { draw, cases: CASES * 3 / 10, small: false, unanswered: 4, refused: 0, finals: 15 });
}

#[test]
fn every_way_to_join_the_best_of_a_window_gives_the_batch_answer() {
    let draw = outdone::draw_outdone;
    run(Grammar { draw, cases: CASES / 4, small: false, unanswered: 4, refused: 0, finals: 0 });
}

#[test]
fn every_way_to_count_gives_the_batch_answer() {
    let draw = counts::draw_counts;
    run(Grammar { draw, cases: CASES / 2, small: true, unanswered: 4, refused: 5, finals: 0 });
}

/// Runs the cases of many seeds.
fn run(grammar: Grammar) {
    let one = number("MILLSTREAM_ORACLE_SEED");
    let first = one.or(number("MILLSTREAM_ORACLE_FIRST")).unwrap_or(0);
    let seeds =
        one.map_or(number("MILLSTREAM_ORACLE_CASES").unwrap_or(grammar.cases).div_ceil(DATA_SETS), |_| 1);
    let next = AtomicU64::new(first);
    let (seen, failures) = (Seen::default(), Mutex::new(Vec::<String>::new()));
    let enough = number("MILLSTREAM_ORACLE_FAILURES").unwrap_or(1) as usize;
    let work = || {
        let (planner, logged) = (Planner::new(), Logged::new());
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= first + seeds || failures.lock().unwrap().len() >= enough {
                return;
            }
            let outcome =
                catch_unwind(AssertUnwindSafe(|| query_cases(seed, grammar, &planner, &logged, &seen)));
            let failure = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure,
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    format!("seed {seed}: panicked: {}", text.unwrap_or_default())
                }
            };
            failures.lock().unwrap().push(failure);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed\n\n{}", failures.len(), failures.join("\n\n"));
    let count = |n: &AtomicUsize| n.load(Ordering::SeqCst);
    let cases = count(&seen.cases);
    let unanswered = count(&seen.unanswered);
    assert!(unanswered * 100 <= cases * grammar.unanswered, "{unanswered} of {cases} have no answer");
    let refused = count(&seen.refused);
    assert!(refused * 100 <= cases * grammar.refused, "{refused} of {cases} are refused");
    if one.is_none() && cases >= 1000 {
        let shares = [
            (&seen.finals, grammar.finals),
            (&seen.logged, 15),
            (&seen.full, 40),
            (&seen.kept, if grammar.finals > 0 { 5 } else { 0 }),
            (&seen.tables, 20),
            (&seen.together, 20),
        ];
        for (seen, percent) in shares {
            assert!(count(seen) * 100 >= cases * percent, "{} of {cases}, not {percent} %", count(seen));
        }
    }
}

/// A query, planned in every way.
struct Planned<'a> {
    shape: Shape,
    query: Query,
    changes: Arc<Dataflow>,
    last: Option<Arc<Dataflow>>,
    /// What tells the result's rows apart.
    unique: UniqueKeys,
    reference: Reference,
    /// Another query that is run in the same job.
    companion: Option<(Arc<Dataflow>, Reference, Query)>,
    logged: &'a Logged,
}

/// The cases of one seed.
fn query_cases(
    seed: u64,
    grammar: Grammar,
    planner: &Planner,
    logged: &Logged,
    seen: &Seen,
) -> Result<(), String> {
    let mut d = Draw::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6d69_6c6c);
    let shape = Shape::draw(&mut d);
    let query = (grammar.draw)(&mut d, &shape);
    let texts = format!(
        "seed {seed}{}\nours       {}\nview v     {:?}\nreference  {}",
        if shape.table { ", t is a table" } else { "" },
        query.ours,
        query.view,
        query.reference
    );
    let reference = match Reference::new(&shape, &query.reference) {
        Ok(reference) => reference,
        Err(error) => {
            seen.unanswered.fetch_add(DATA_SETS as usize, Ordering::SeqCst);
            seen.cases.fetch_add(DATA_SETS as usize, Ordering::SeqCst);
            if number("MILLSTREAM_ORACLE_VERBOSE").is_some() {
                return Err(format!("{texts}\nreference: {error}"));
            }
            return Ok(());
        }
    };
    let flow = |mode| flow(planner, &shape, &query, mode);
    let (changes, unique) = match flow(EmitMode::Changes) {
        Ok(planned) => planned,
        Err(refused) if grammar.refused > 0 && refused.message.contains("is not maintained continuously") => {
            seen.refused.fetch_add(DATA_SETS as usize, Ordering::SeqCst);
            seen.cases.fetch_add(DATA_SETS as usize, Ordering::SeqCst);
            return Ok(());
        }
        Err(e) => return Err(format!("{texts}\nnot planned: {e:?}")),
    };
    let last = match flow(EmitMode::Final) {
        Ok((flow, _)) => Some(flow),
        Err(refused) if refused.message.starts_with("EMIT FINAL needs") => None,
        Err(e) => return Err(format!("{texts}\nEMIT FINAL not planned: {e:?}")),
    };
    let companion = seed.is_multiple_of(3).then(|| companion(seed, grammar, planner, &shape)).flatten();
    seen.together.fetch_add(if companion.is_some() { DATA_SETS as usize } else { 0 }, Ordering::SeqCst);
    let planned = Planned { shape, query, changes, last, unique, reference, companion, logged };
    for set in 0..DATA_SETS {
        let d = Draw::new(d.bits());
        let data = draw_data(&mut d.clone(), &planned.shape, grammar.small);
        seen.cases.fetch_add(1, Ordering::SeqCst);
        seen.tables.fetch_add(usize::from(planned.shape.table), Ordering::SeqCst);
        let logged = (seed + set).is_multiple_of(4);
        if let Err(failure) = planned.check(&mut d.clone(), &data, logged, Some(seen)) {
            let (data, failure) = planned.smaller(&d, data, failure);
            return Err(format!("{texts}\ndata set {set}\n{}\n{failure}", shown(&data)));
        }
    }
    Ok(())
}

/// Another query over the same streams, and its reference.
fn companion(
    seed: u64,
    grammar: Grammar,
    planner: &Planner,
    shape: &Shape,
) -> Option<(Arc<Dataflow>, Reference, Query)> {
    let query = (grammar.draw)(&mut Draw::new(seed ^ 0x7477_6f00), shape);
    let (flow, _) = flow(planner, shape, &query, EmitMode::Changes).ok()?;
    Some((flow, Reference::new(shape, &query.reference).ok()?, query))
}

fn flow(
    planner: &Planner,
    shape: &Shape,
    query: &Query,
    mode: EmitMode,
) -> Result<(Arc<Dataflow>, UniqueKeys), Diagnostic> {
    let mut definitions = Definitions::default();
    for (stream, name) in STREAMS.iter().enumerate() {
        definitions.streams.insert((*name).into(), Arc::new(shape.definition(stream)));
    }
    if let Some(view) = &query.view {
        definitions.views.insert("v".into(), Arc::new(ViewDef { name: "v".into(), query: view.clone() }));
    }
    let statements = sql::parse(&query.ours)?;
    let Statement::Query(parsed) = &statements[0].statement else { panic!("not a query") };
    let plan = planner.query(&definitions, &query.ours, &parsed.query)?;
    let plan = planner.optimize(plan)?;
    Ok((Arc::new(planner.dataflow(&plan, mode)?), unique_keys(&plan)))
}

impl Planned<'_> {
    /// Runs the query over `data` in every way and compares.
    fn check(
        &self,
        d: &mut Draw,
        data: &[Partitions; 2],
        logged: bool,
        seen: Option<&Seen>,
    ) -> Result<(), String> {
        let count = |of: fn(&Seen) -> &AtomicUsize| {
            if let Some(seen) = seen {
                of(seen).fetch_add(1, Ordering::SeqCst);
            }
        };
        let whole = [0, 1].map(|stream| marked(&self.shape, stream, &data[stream]));
        let rows = data.iter().map(|parts| parts.iter().map(|p| p.num_rows()).sum()).max().unwrap_or(0);
        let beside = self.companion.as_ref().and_then(|(_, other, _)| other.answer(whole.clone()).ok());
        let Ok(expected) = self.reference.answer(whole) else {
            count(|s| &s.unanswered);
            return Ok(());
        };
        if expected.len() > 0 {
            count(|s| &s.full);
        }
        for key in &self.unique.keys {
            if let Some(row) = expected.repeats(key) {
                return Err(format!("the columns {key:?} do not tell the rows apart: {row}"));
            }
        }
        let modes = [("EMIT CHANGES", Some(&self.changes)), ("EMIT FINAL", self.last.as_ref())];
        for (mode, flow) in modes {
            let Some(flow) = flow else { continue };
            let plan = Plan::draw(d, rows);
            let told = |why: String| format!("{mode}, {plan:?}: {why}");
            let got = drive::run(&[flow], &self.shape, data, &plan).map_err(told)?;
            if let Some(difference) = got[0].difference(&expected) {
                return Err(told(difference));
            }
        }
        if let (Some((other, _, query)), Some(beside)) = (&self.companion, beside) {
            let flows: Vec<&Arc<Dataflow>> = [&self.changes, other].into_iter().chain(&self.last).collect();
            let plan = Plan::draw(&mut d.clone(), rows);
            let told = |why: String| {
                let (ours, reference) = (&query.ours, &query.reference);
                format!(
                    "EMIT CHANGES, beside\n{ours}\nof which the reference is\n{reference}\n{plan:?}: {why}"
                )
            };
            let got = drive::run(&flows, &self.shape, data, &plan).map_err(told)?;
            for (got, expected) in got.iter().zip([&expected, &beside, &expected]) {
                if let Some(difference) = got.difference(expected) {
                    return Err(told(difference));
                }
            }
        }
        if self.last.is_some() {
            count(|s| &s.finals);
        }
        if logged {
            count(|s| &s.logged);
            let answers = self.logged.answers(d, &self.shape, data, &self.query);
            let answers = answers.map_err(|e| format!("over the log: {e}"))?;
            if answers.len() > 2 {
                count(|s| &s.kept);
            }
            for (name, got) in answers {
                let got = if name == "a materialized view" { got.typed_as(&expected) } else { got };
                if let Some(difference) = got.difference(&expected) {
                    return Err(format!("{name}: {difference}"));
                }
            }
        }
        Ok(())
    }

    /// Leaves rows out as long as it still fails.
    fn smaller(&self, d: &Draw, mut data: [Partitions; 2], mut failure: String) -> ([Partitions; 2], String) {
        let mut tries = number("MILLSTREAM_ORACLE_TRIES").unwrap_or(200);
        let mut size = 64;
        // What fails without the log is quicker without it.
        let logged = !failure.starts_with("EMIT CHANGES, ") && !failure.starts_with("EMIT FINAL, ");
        while size > 0 && tries > 0 {
            let mut shrunk = false;
            for (stream, p) in
                (0..2).flat_map(|s| (0..data[s].len()).map(move |p| (s, p))).collect::<Vec<_>>()
            {
                let mut from = 0;
                while from < data[stream][p].num_rows() && tries > 0 {
                    tries -= 1;
                    let mut less = data.clone();
                    less[stream][p] = without(&data[stream][p], from, size);
                    match self.check(&mut d.clone(), &less, logged, None) {
                        Err(still) => (data, failure, shrunk) = (less, still, true),
                        Ok(()) => from += size,
                    }
                }
            }
            if !shrunk {
                size /= 2;
            }
        }
        (data, failure)
    }
}

fn shown(data: &[Partitions; 2]) -> String {
    let mut text = String::new();
    for (name, partitions) in STREAMS.iter().zip(data) {
        for (p, rows) in partitions.iter().enumerate() {
            let shown = rows.slice(0, rows.num_rows().min(30));
            let table = arrow::util::pretty::pretty_format_batches(&[shown]);
            text.push_str(&format!("{name}, partition {p}, {} rows\n{}\n", rows.num_rows(), table.unwrap()));
        }
    }
    text
}
