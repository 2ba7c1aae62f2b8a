//! Reads one partition: makes its rows from where it stands.

use super::columns::{Column, Maker};
use crate::clock::Clock;
use crate::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use std::time::Duration;

/// Rows of a slice at most, whatever is asked for: more gains nothing, and bounds the memory of its texts.
const MOST_ROWS: usize = 65_536;

/// A partition of a generated table. Its rows are those whose number, counted in the table, leaves the partition's
/// own number when it is divided by their count: so all partitions go through the same time.
pub(super) struct NexmarkReader {
    pub(super) maker: Maker,
    /// The columns of `schema`.
    pub(super) columns: Vec<Column>,
    pub(super) schema: SchemaRef,
    /// The partition's number, and how many there are.
    pub(super) partition: (u64, u64),
    /// Events there are.
    pub(super) events: u64,
    /// The next event that may be ours.
    pub(super) at: u64,
    pub(super) pace: Option<Pace>,
}

/// When events are there: so many a second from when the reader was opened.
pub(super) struct Pace {
    clock: Clock,
    opened: Duration,
    from: u64,
    rate: u64,
}

impl Pace {
    pub(super) fn new(clock: Clock, from: u64, rate: u64) -> Self {
        Pace { opened: clock.monotonic(), clock, from, rate }
    }

    /// The first event that is not there yet.
    fn until(&self) -> u64 {
        let passed = self.clock.monotonic().saturating_sub(self.opened).as_nanos();
        let events = passed.saturating_mul(u128::from(self.rate)) / 1_000_000_000;
        self.from.saturating_add(u64::try_from(events).unwrap_or(u64::MAX)).saturating_add(1)
    }
}

impl NexmarkReader {
    /// The partition's events from where it stands, before `end`.
    fn events(&self, end: u64, max_rows: usize) -> Vec<u64> {
        let (table, (partition, count)) = (self.maker.table, self.partition);
        let passed = table.rows_before(self.at);
        let skipped = (partition + count - passed % count) % count;
        (0..max_rows.min(MOST_ROWS) as u64)
            .map(|i| table.event_of(passed + skipped + i * count))
            .take_while(|event| *event < end)
            .collect()
    }

    fn slice(&mut self, events: &[u64]) -> Result<Slice, ConnectorError> {
        let columns = self.columns.iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| self.maker.make(*column, field.data_type(), events));
        let options = RecordBatchOptions::new().with_row_count(Some(events.len()));
        let batch = columns
            .collect::<Result<Vec<_>, _>>()
            .and_then(|columns| RecordBatch::try_new_with_options(self.schema.clone(), columns, &options));
        let batch = batch.map_err(|error| ConnectorError::Other(format!("a row cannot be made: {error}")))?;
        if let Some(last) = events.last() {
            self.at = last + 1;
        }
        let end = self.position();
        Ok(Slice { batch, marks: None, stated: false, watermark: None, bad: Vec::new(), end })
    }

    fn before(&mut self, end: u64, max_rows: usize) -> Result<Option<Slice>, ConnectorError> {
        let events = self.events(end, max_rows.max(1));
        if events.is_empty() { Ok(None) } else { self.slice(&events).map(Some) }
    }
}

impl PartitionReader for NexmarkReader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        let there = self.pace.as_ref().map_or(self.events, |pace| pace.until().min(self.events));
        Ok(match self.before(there, max_rows)? {
            Some(slice) => Read::Rows(slice),
            None if self.events(self.events, 1).is_empty() => Read::End,
            None => Read::Pending,
        })
    }

    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        let slice = self.before(end.offset.min(self.events), max_rows)?;
        Ok(slice.map_or(Read::End, Read::Rows))
    }

    fn position(&self) -> Position {
        Position { offset: self.at, line: 0 }
    }
}
