//! Appending records of text to a topic.
//!
//! Records that come quickly are appended together; one that comes alone is appended a few milliseconds later.
//! A named producer numbers its rows from the start of its input. Each partition knows the number up to which it
//! has them, so a run that is given the same input again, perhaps longer now, appends what is missing.

use crate::catalog::{Column, StreamDef};
use crate::connectors::topic::TopicAppender;
use crate::connectors::{BadRecord, OnBad, Read, StdinSource};
use crate::engine::insert::upsert_target;
use crate::engine::jobs::job_home;
use crate::engine::sources::appender;
use crate::engine::{Engine, Result};
use crate::formats::Format;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use std::sync::Arc;
use std::time::Duration;

/// Rows of an append, at most.
const BATCH_ROWS: usize = 8192;
/// How long rows wait for others to be appended with them.
const LINGER: Duration = Duration::from_millis(5);
/// How long a look at an input without rows waits, at least and at most.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// How records become rows of a topic.
#[derive(Debug, Clone)]
pub struct ProduceOptions {
    /// What the records are written in.
    pub format: Format,
    /// A record that does not fit is left out; else it ends the input.
    pub skip_bad: bool,
    /// The producer's name, if its rows are to be appended once.
    pub producer: Option<String>,
}

/// What was appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Produced {
    /// Rows that were appended.
    pub rows: u64,
    /// Rows that the topic had from an earlier run of the same producer.
    pub known: u64,
    /// Records that were left out.
    pub bad: u64,
}

impl Engine {
    /// Appends the records of `input` to a topic until it ends or `tick` says no more. `bad` hears of each record
    /// that is left out. What was appended before a failure stays.
    pub fn produce(
        &self,
        name: &str,
        options: &ProduceOptions,
        input: impl std::io::Read + Send + 'static,
        tick: &mut dyn FnMut() -> bool,
        bad: &mut dyn FnMut(&BadRecord),
    ) -> Result<Produced> {
        let stream = self.written(name)?;
        let home = match &options.producer {
            Some(producer) => Some(job_home(self, &format!("{name}.producer.{producer}"), name)?),
            None => None,
        };
        let producer = home.as_ref().map_or(0, |home| home.producer);
        let on_bad = if options.skip_bad { OnBad::Skip } else { OnBad::Fail };
        let mut reader = StdinSource::declared(input, options.format, stream.schema(), on_bad)?;
        let mut writing = Writing {
            appender: appender(self, &stream, producer)?,
            stream,
            numbered: home.is_some(),
            held: Vec::new(),
            held_rows: 0,
            since: Duration::ZERO,
            steps: 0,
            number: 1,
            produced: Produced::default(),
        };
        let clock = &self.0.clock;
        let mut pause = PAUSE;
        let ended = loop {
            if !tick() {
                break Ok(());
            }
            match reader.read(BATCH_ROWS) {
                Ok(Read::Rows(slice)) => {
                    writing.produced.bad += slice.bad.len() as u64;
                    slice.bad.iter().for_each(&mut *bad);
                    writing.hold(slice.batch, clock.monotonic())?;
                    pause = PAUSE;
                }
                Ok(Read::Pending) => {
                    writing.let_go(clock.monotonic())?;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    if writing.held_rows > 0 {
                        pause = PAUSE;
                    }
                }
                Ok(Read::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        writing.append()?;
        writing.appender.sync()?;
        ended?;
        Ok(writing.produced)
    }

    /// The stream of a topic that is to be written from outside.
    fn written(&self, name: &str) -> Result<Arc<StreamDef>> {
        let definitions = self.definitions()?;
        let Some(stream) = definitions.streams.get(name) else {
            let topic = self.0.log.topic(name)?;
            let columns = topic.schema();
            let columns = columns.fields().iter().map(|f| Column {
                name: f.name().clone(),
                data_type: f.data_type().clone(),
                nullable: f.is_nullable(),
            });
            return Ok(Arc::new(StreamDef {
                name: name.into(),
                columns: columns.collect(),
                event_time: None,
                connector: "topic".into(),
                options: Vec::new(),
                query: None,
                primary_key: None,
            }));
        };
        let kind = stream.kind();
        if stream.connector != "topic" {
            let connector = &stream.connector;
            return Err(Diagnostic::coded(
                Code::NotWritten,
                format!("{kind} \"{name}\" is no topic but a {connector}"),
            )
            .into());
        }
        if stream.query.is_some() {
            let d =
                Diagnostic::coded(Code::NotWritten, format!("{kind} \"{name}\" is written by its own query"));
            return Err(d.help("produce to a topic that the query reads").into());
        }
        Ok(Arc::clone(stream))
    }
}

/// A topic that is written.
struct Writing {
    stream: Arc<StreamDef>,
    appender: TopicAppender,
    /// The rows are a named producer's.
    numbered: bool,
    /// Rows that wait for others, how many, and since when.
    held: Vec<RecordBatch>,
    held_rows: usize,
    since: Duration,
    steps: u64,
    /// The number of the next row.
    number: u64,
    produced: Produced,
}

impl Writing {
    /// Takes rows, and appends if they are enough.
    fn hold(&mut self, batch: RecordBatch, now: Duration) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.held.is_empty() {
            self.since = now;
        }
        self.held_rows += batch.num_rows();
        self.held.push(batch);
        if self.held_rows >= BATCH_ROWS { self.append() } else { self.let_go(now) }
    }

    /// Appends what has waited long enough.
    fn let_go(&mut self, now: Duration) -> Result<()> {
        if self.held_rows > 0 && now.saturating_sub(self.since) >= LINGER { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> Result<()> {
        let Some(first) = self.held.first() else { return Ok(()) };
        let mut batch = concat_batches(&first.schema(), &self.held)?;
        (self.held, self.held_rows) = (Vec::new(), 0);
        if self.stream.is_table() {
            let rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
            batch = upsert_target(&self.stream).rows(batch.columns(), &rows, &[])?;
        }
        let rows = batch.num_rows() as u64;
        let appended = if self.numbered {
            self.appender.append_numbered(self.number, &batch)?
        } else {
            self.appender.append(self.steps, &batch, None, None)?;
            rows
        };
        self.steps += 1;
        self.number += rows;
        self.produced.rows += appended;
        self.produced.known += rows - appended;
        Ok(())
    }
}
