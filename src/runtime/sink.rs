//! Where a job's result goes.
//!
//! A sink commits a step's rows and the step's number in one act, and drops a step that it already has: so
//! a step that is run again after a crash goes out once.

use super::rebuild::Progress;
use super::{Result, RuntimeError};
use crate::connectors::Blackhole;
use crate::connectors::topic::{FedBy, TopicAppender};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// Makes durable what a sink has written, from whatever thread.
pub type Flusher = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// Takes a job's result, step by step, in order.
pub trait Sink: Send {
    /// Takes the deltas of one step and the watermark that the job has reached after it.
    fn write(&mut self, step: u64, deltas: &[Delta], watermark: EventTime) -> Result<()>;

    /// Whether a step that it has taken survives the machine's power at once.
    fn is_durable_at_once(&self) -> bool {
        false
    }

    /// The last step that it has of this job, from this run or an earlier one; `None` = it has none, or does not keep any.
    fn last_step(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// What makes sure that all steps written so far survive as the sink's durability promises, while more are written;
    /// `None` = there is nothing to do for that.
    fn flusher(&self) -> Option<Flusher> {
        None
    }

    /// Remembers, where its rows go, that they are a job's.
    fn fed_by(&mut self, _job: &FedBy) -> Result<()> {
        Ok(())
    }

    /// How far it is, if it holds the result back until all that was there has been read.
    fn rebuild(&self) -> Option<Arc<Progress>> {
        None
    }
}

/// Writes append-only results into a topic.
pub struct TopicSink {
    appender: TopicAppender,
    schema: SchemaRef,
    /// Whether the job's watermark speaks of the topic's event time.
    carries_watermark: bool,
    /// Whether nobody else writes the topic: the end of the job is then the end of the topic.
    owns: bool,
    stated: EventTime,
}

impl TopicSink {
    /// A sink into `appender`, whose topic has the columns `schema` (the result's columns, by position, cast).
    /// `carries_watermark`: the job's watermark speaks of the topic's event time; `owns`: nobody else writes it.
    pub fn new(appender: TopicAppender, schema: SchemaRef, carries_watermark: bool, owns: bool) -> Self {
        TopicSink { appender, schema, carries_watermark, owns, stated: WATERMARK_NONE }
    }
}

impl Sink for TopicSink {
    fn write(&mut self, step: u64, deltas: &[Delta], watermark: EventTime) -> Result<()> {
        let mut rows = Vec::with_capacity(deltas.len());
        for delta in deltas.iter().filter(|d| !d.is_empty()) {
            if delta.weights.is_some() {
                return Err(RuntimeError::Output("a row was taken back from an append-only stream".into()));
            }
            let batch = fit(&delta.batch, &self.schema)?;
            rows.push(Delta { batch, weights: None, marks: delta.marks.clone() });
        }
        let states = if watermark == WATERMARK_END { self.owns } else { self.carries_watermark };
        let stated = (states && watermark != WATERMARK_NONE).then_some(watermark);
        if rows.is_empty() && stated.is_none_or(|w| w <= self.stated) {
            return Ok(());
        }
        let all = if rows.is_empty() {
            Delta::insert(RecordBatch::new_empty(self.schema.clone()))
        } else {
            Delta::concat(&self.schema, &rows)?
        };
        let marks: Option<&Int64Array> = all.marks.as_ref().filter(|_| self.carries_watermark);
        self.appender.append(step, &all.batch, marks, stated)?;
        self.stated = self.stated.max(stated.unwrap_or(WATERMARK_NONE));
        Ok(())
    }

    fn is_durable_at_once(&self) -> bool {
        self.appender.is_durable_at_once()
    }

    fn last_step(&mut self) -> Result<Option<u64>> {
        Ok(self.appender.last_step()?)
    }

    fn flusher(&self) -> Option<Flusher> {
        let topic = self.appender.topic();
        Some(Arc::new(move || Ok(topic.sync_all()?)))
    }

    fn fed_by(&mut self, job: &FedBy) -> Result<()> {
        Ok(self.appender.fed_by(job)?)
    }
}

/// The columns of `batch` by position under the names and types of `schema`.
pub fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let column = if column.data_type() == field.data_type() {
            column.clone()
        } else {
            cast(column, field.data_type())?
        };
        if !field.is_nullable() && column.null_count() > 0 {
            let reason = format!("column \"{}\" is NOT NULL, but the query gave a null for it", field.name());
            return Err(RuntimeError::Output(reason));
        }
        columns.push(column);
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

impl Sink for Blackhole {
    fn write(&mut self, _step: u64, deltas: &[Delta], _watermark: EventTime) -> Result<()> {
        Blackhole::write(self, deltas.iter().map(Delta::num_rows).sum());
        Ok(())
    }
}

/// Hands each delta to a function, such as one that prints it.
pub struct CallbackSink<F>(pub F);

impl<F: FnMut(&Delta) -> std::result::Result<(), String> + Send> Sink for CallbackSink<F> {
    fn write(&mut self, _step: u64, deltas: &[Delta], _watermark: EventTime) -> Result<()> {
        deltas.iter().filter(|d| !d.is_empty()).try_for_each(|d| (self.0)(d)).map_err(RuntimeError::Output)
    }
}
