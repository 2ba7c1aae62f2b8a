//! The engine of a test: it does what it is asked on standard input, until that ends.

use super::super::Exit;
use super::super::print::cells;
use super::protocol::{Answer, Ask, Change};
use crate::config::Settings;
use crate::delta::Delta;
use crate::engine::{
    Diagnostic, Engine, EngineError, InputFormat, Outcome, ParsedStatement, ProduceOptions, Session,
    TestClock, parse_each,
};
use arrow::array::{Int64Array, RecordBatch};
use arrow::error::ArrowError;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Serves a test whose engine has its data in `folder`, and whose clock has moved on by so much.
pub(in crate::cli) fn serve(folder: &Path, clock: Duration) -> Exit {
    let mut out = io::stdout().lock();
    // Whoever asked and has gone wants no answer.
    let mut answer = |answer: &Answer| {
        let text = serde_json::to_string(answer).unwrap_or_default();
        writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
    };
    let mut bench = match Bench::open(folder, clock) {
        Ok(bench) => bench,
        Err(error) => {
            answer(&Answer::Failed(error.to_string()));
            return Exit::Failed;
        }
    };
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return Exit::Failed };
        let answered = match serde_json::from_str(&line) {
            Ok(ask) => bench.answer(ask),
            Err(error) => Answer::Failed(format!("the test's question cannot be read: {error}")),
        };
        if !answer(&answered) {
            return Exit::Failed;
        }
    }
    Exit::Done
}

struct Bench {
    engine: Engine,
    session: Session,
    clock: TestClock,
}

impl Bench {
    fn open(folder: &Path, by: Duration) -> Result<Self, EngineError> {
        let clock = TestClock::default();
        clock.advance(by);
        let engine = Engine::open_for_test(&folder.join("data"), &clock)?;
        // One worker: the changes of a result come in an order that is always the same.
        let settings = Settings { workers: 1, ..Settings::default() };
        Ok(Bench { session: Session::new(&engine, settings, Some("test"), true), engine, clock })
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        let done = match ask {
            Ask::Run { source, start } => self.run_at(&source, start),
            Ask::PassOver(name) => {
                self.session.pass_over(&name);
                Ok(Answer::Done)
            }
            Ask::Clock(by) => {
                self.clock.advance(Duration::from_nanos(by));
                Ok(Answer::Done)
            }
            Ask::Watermark { stream, at } => self.engine.state_watermark(&stream, at).map(|()| Answer::Done),
            Ask::Feed { into, names, rows } => self.feed(&into, &names, &rows),
            Ask::FeedFile { into, file, number } => self.feed_file(&into, &file, number),
            Ask::Settle => self.settled().map(|()| Answer::Done),
            Ask::Stop => {
                self.session.stop();
                self.session.check().map(|()| Answer::Done)
            }
        };
        done.unwrap_or_else(|error| match error {
            EngineError::Sql(mistake) => Answer::Mistake(mistake.into()),
            error => Answer::Failed(error.to_string()),
        })
    }

    fn settled(&mut self) -> Result<(), EngineError> {
        self.session.settle(&mut || true)?;
        self.session.check()
    }

    fn run_at(&mut self, source: &str, start: usize) -> Result<Answer, EngineError> {
        let statement = parse_each(source).into_iter().flatten().find(|s| s.span.start == start);
        match statement {
            Some(statement) => self.run(source, &statement),
            None => Ok(Answer::Done),
        }
    }

    /// Runs a statement; its rows, if it gives some.
    fn run(&mut self, source: &str, statement: &ParsedStatement) -> Result<Answer, EngineError> {
        self.settled()?;
        let outcome = self.session.execute(source, statement)?;
        // Jobs are told by their results.
        self.session.take_warnings();
        match outcome {
            Outcome::Notice(_) | Outcome::Job(_) => Ok(Answer::Done),
            Outcome::Rows(rows) => {
                let names = names(&rows.batch);
                Ok(Answer::Rows { names, deltas: vec![changes(&rows.batch, None)?] })
            }
            Outcome::Bounded(mut query) => {
                let mut rows = Vec::new();
                while let Some(batch) = query.next_batch()? {
                    rows.extend(changes(&batch, None)?);
                }
                let names = query.schema().fields().iter().map(|f| f.name().clone()).collect();
                Ok(Answer::Rows { names, deltas: vec![rows] })
            }
            Outcome::Continuous(query) => {
                let names = query.schema().fields().iter().map(|f| f.name().clone()).collect();
                let taken: Arc<Mutex<Vec<Delta>>> = Arc::default();
                let taking = taken.clone();
                query.run(move |delta| {
                    taking.lock().unwrap_or_else(PoisonError::into_inner).push(delta.clone());
                    Ok(())
                })?;
                let deltas = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
                let deltas = deltas.iter().map(|d| changes(&d.batch, d.weights.as_ref()));
                Ok(Answer::Rows { names, deltas: deltas.collect::<Result<_, _>>()? })
            }
        }
    }

    /// Rows that are written as text, as the INSERT that one would type.
    fn feed(
        &mut self,
        into: &str,
        names: &[String],
        rows: &[Vec<Option<String>>],
    ) -> Result<Answer, EngineError> {
        let definitions = self.engine.definitions()?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let bare = |name: &String| {
            let stream = definitions.streams.get(into);
            let column = stream.and_then(|s| s.columns.iter().find(|c| c.name == *name));
            column.is_some_and(|c| {
                let kind = &c.data_type;
                kind.is_numeric() || kind.is_nested() || *kind == arrow::datatypes::DataType::Boolean
            })
        };
        let bare: Vec<bool> = names.iter().map(bare).collect();
        let mut sql = format!(
            "INSERT INTO {} ({}) VALUES ",
            quoted(into),
            names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ")
        );
        for (at, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&bare).map(|(cell, bare)| match cell {
                None => "NULL".to_string(),
                Some(text) if *bare => text.clone(),
                Some(text) => format!("'{}'", text.replace('\'', "''")),
            });
            let comma = if at == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(sql, "{comma}({})", cells.collect::<Vec<_>>().join(", "));
        }
        // What is told of this text has no place in the test's.
        let placeless = |error| match error {
            EngineError::Sql(mut mistake) => {
                let text = mistake.span.take().and_then(|span| sql.get(span)).filter(|text| text.len() < 40);
                if let (Some(text), None) = (text, &mistake.note) {
                    mistake.note = Some(format!("it is about {text}"));
                }
                EngineError::Sql(mistake)
            }
            error => error,
        };
        match parse_each(&sql).into_iter().next() {
            Some(Ok(statement)) => self.run(&sql, &statement).map_err(placeless),
            Some(Err(mistake)) => Err(placeless(mistake.into())),
            None => Ok(Answer::Done),
        }
    }

    fn feed_file(&mut self, into: &str, file: &str, number: usize) -> Result<Answer, EngineError> {
        self.settled()?;
        let format = match Path::new(file).extension().and_then(|e| e.to_str()) {
            Some("csv") => InputFormat::Csv(crate::engine::CsvOptions::default()),
            _ => InputFormat::Json,
        };
        let input = File::open(file).map_err(|e| Diagnostic::new(format!("{file}: {e}")))?;
        let options = ProduceOptions { format, skip_bad: false, producer: Some(format!("feed{number}")) };
        self.engine.produce(into, &options, input, &mut || true, &mut |_| {})?;
        Ok(Answer::Done)
    }
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|f| f.name().clone()).collect()
}

/// The rows of a batch with their weights.
fn changes(batch: &RecordBatch, weights: Option<&Int64Array>) -> Result<Vec<Change>, ArrowError> {
    let rows = cells(batch, usize::MAX)?;
    Ok(rows.into_iter().enumerate().map(|(at, row)| (weights.map_or(1, |w| w.value(at)), row)).collect())
}
