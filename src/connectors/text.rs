//! A partition of text records: bytes from a source, rows from a decoder, positions to the record.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::source::{ByteSource, Fill};
use super::{BadRecord, ConnectorError, OnBad, PartitionReader, Position, Read, Slice};
use crate::formats::{
    Changes, Chunk, Format, FormatError, Limit, MAX_RAW, MAX_RECORD, RowDecoder, Stop, TableColumns, Taken,
};

/// A slice ends with the record that reaches this many bytes: its memory is bounded however long the
/// records are, and the end depends on the text alone.
const SLICE_BYTES: usize = 32 << 20;

/// Reads records of text.
pub(super) struct TextReader {
    origin: String,
    source: Box<dyn ByteSource>,
    decoder: RowDecoder,
    projection: Option<Vec<usize>>,
    on_bad: OnBad,
    /// Text that was read; from `taken` on it is still to be decoded.
    text: Vec<u8>,
    taken: usize,
    /// Where `text[taken..]` stands in the source.
    position: Position,
    /// Where to begin once the header is read.
    start: Position,
    ready: bool,
    ended: bool,
    /// Why the source has no more. Said once everything before it is delivered.
    broken: Option<String>,
    /// The record at the position is too long; so many of its bytes are behind us, its beginning here.
    long: Option<(u64, Vec<u8>)>,
}

/// How a text is read.
pub(super) struct TextOptions {
    pub(super) format: Format,
    /// The declared columns.
    pub(super) schema: SchemaRef,
    /// Those of them that are delivered. All are decoded, so that what is a bad record does not
    /// depend on the query.
    pub(super) projection: Option<Vec<usize>>,
    pub(super) on_bad: OnBad,
    /// How the records tell changes of a table, and its columns, if they do. Then these are what is delivered.
    pub(super) changes: Option<(Changes, TableColumns)>,
}

impl TextOptions {
    /// The decoder of such a text.
    pub(super) fn decoder(&self) -> Result<RowDecoder, FormatError> {
        let stop_at_bad = self.on_bad == OnBad::Fail;
        match &self.changes {
            Some((changes, columns)) => {
                RowDecoder::for_table(self.format, changes, columns.clone(), stop_at_bad)
            }
            None => RowDecoder::new(self.format, self.schema.clone(), stop_at_bad),
        }
    }
}

impl TextReader {
    /// A reader of `source`, named `origin` in messages, from `start` on. `source` stands at its
    /// beginning. Reads the header if it is there already.
    pub(super) fn open(
        origin: String,
        source: Box<dyn ByteSource>,
        options: TextOptions,
        start: Position,
    ) -> Result<Self, ConnectorError> {
        let decoder = options.decoder();
        let decoder = decoder.map_err(|source| ConnectorError::Format { origin: origin.clone(), source })?;
        let TextOptions { projection, on_bad, .. } = options;
        let mut reader = TextReader {
            origin,
            source,
            decoder,
            projection,
            on_bad,
            text: Vec::new(),
            taken: 0,
            position: Position::default(),
            start,
            ready: false,
            ended: false,
            broken: None,
            long: None,
        };
        reader.prepare()?;
        Ok(reader)
    }

    /// Takes the header and goes to the start. False = the header is not there yet.
    fn prepare(&mut self) -> Result<bool, ConnectorError> {
        while !self.ready {
            let known = self.text.len() >= 3 || self.ended || self.broken.is_some();
            let chunk = Chunk { text: unmarked(&self.text), line: 0, last: self.ended };
            let header = if known { self.decoder.header(chunk) } else { Ok(None) };
            match header.map_err(|source| self.format_error(source))? {
                Some(taken) => {
                    let mark = self.text.len() - unmarked(&self.text).len();
                    self.advance(taken);
                    self.position.offset += mark as u64;
                    self.taken += mark;
                    self.go_to_start()?;
                    self.ready = true;
                }
                // An ended text has all of its header: it is not asked again.
                None => match self.fill()? {
                    Fill::Some => {}
                    Fill::End => self.ended = true,
                    Fill::Pending => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    fn go_to_start(&mut self) -> Result<(), ConnectorError> {
        let Some(ahead) = self.start.offset.checked_sub(self.position.offset) else { return Ok(()) };
        let at_hand = (self.text.len() - self.taken) as u64;
        if ahead <= at_hand {
            self.taken += ahead as usize;
        } else {
            self.source.skip_to(self.start.offset)?;
            self.text.clear();
            self.taken = 0;
            self.ended = false;
        }
        if ahead > 0 {
            self.position = self.start;
        }
        Ok(())
    }

    /// Reads more text. An error is given only where no text came before it.
    fn fill(&mut self) -> Result<Fill, ConnectorError> {
        if let Some(reason) = &self.broken {
            return Err(ConnectorError::Other(reason.clone()));
        }
        self.text.drain(..self.taken);
        self.taken = 0;
        let before = self.text.len();
        self.source.fill(&mut self.text).or_else(|error| {
            self.broken = Some(error.to_string());
            if self.text.len() > before { Ok(Fill::Some) } else { Err(error) }
        })
    }

    fn advance(&mut self, taken: Taken) {
        self.taken += taken.bytes;
        self.position.offset += taken.bytes as u64;
        self.position.line += taken.lines;
    }

    fn format_error(&self, source: FormatError) -> ConnectorError {
        ConnectorError::Format { origin: self.origin.clone(), source }
    }

    /// Decodes up to `limit` from here, reading as much as that needs.
    fn decode(&mut self, limit: Limit) -> Result<(Stop, Fill), ConnectorError> {
        let mut left = limit;
        loop {
            if self.long.is_some() {
                match self.pass_long()? {
                    Some(taken) => left = rest(left, taken),
                    None => return Ok((Stop::Short, Fill::Pending)),
                }
            }
            let text = self.text.get(self.taken..).unwrap_or_default();
            let taken = self.decoder.push(Chunk { text, line: self.position.line, last: self.ended }, left);
            self.advance(taken);
            left = rest(left, taken);
            if taken.stop != Stop::Short {
                return Ok((taken.stop, Fill::Some));
            }
            if self.ended {
                return Ok((Stop::Short, Fill::End));
            }
            let unread = self.text.get(self.taken..).unwrap_or_default();
            if unread.len() > MAX_RECORD {
                let raw = unread.get(..MAX_RAW).unwrap_or(unread).to_vec();
                // Where it stops before a bad record, it may be asked again from here.
                if self.on_bad == OnBad::Fail {
                    self.decoder.too_long(self.position.line + 1, &raw);
                    return Ok((Stop::Bad, Fill::Some));
                }
                self.long = Some((0, raw));
                continue;
            }
            match self.fill() {
                Ok(Fill::Some) => {}
                Ok(Fill::End) => self.ended = true,
                Ok(Fill::Pending) => return Ok((Stop::Short, Fill::Pending)),
                // What was decoded is delivered first; the next read fails in the same way.
                Err(_) if left.records < limit.records || left.bytes < limit.bytes => {
                    return Ok((Stop::Short, Fill::Some));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Steps over the record that is too long. `None` = its end is not there yet.
    fn pass_long(&mut self) -> Result<Option<Taken>, ConnectorError> {
        let Some((mut passed, raw)) = self.long.take() else { return Ok(Some(Taken::default())) };
        loop {
            let text = self.text.get(self.taken..).unwrap_or_default();
            let end = text.iter().position(|byte| *byte == b'\n').map(|newline| newline + 1);
            let bytes = end.unwrap_or(text.len());
            self.taken += bytes;
            passed += bytes as u64;
            if end.is_some() || self.ended {
                self.decoder.too_long(self.position.line + 1, &raw);
                self.position.offset += passed;
                self.position.line += 1;
                let bytes = usize::try_from(passed).unwrap_or(usize::MAX);
                return Ok(Some(Taken { bytes, lines: 1, records: 1, stop: Stop::Short }));
            }
            match self.fill() {
                Ok(Fill::Some) => {}
                Ok(Fill::End) => self.ended = true,
                Ok(Fill::Pending) => {
                    self.long = Some((passed, raw));
                    return Ok(None);
                }
                Err(error) => {
                    self.long = Some((passed, raw));
                    return Err(error);
                }
            }
        }
    }

    fn take(&mut self, limit: Limit) -> Result<Read, ConnectorError> {
        if !self.prepare()? {
            return Ok(Read::Pending);
        }
        let before = self.position;
        let (stop, fill) = self.decode(limit)?;
        let (batch, bad) = self.decoder.finish().map_err(|source| self.format_error(source))?;
        let mut bad = bad.into_iter().map(|bad| BadRecord {
            origin: self.origin.clone(),
            line: bad.line,
            column: bad.column,
            reason: bad.reason,
            raw: bad.raw,
        });
        if self.on_bad == OnBad::Fail
            && let Some(bad) = bad.next()
        {
            return Err(ConnectorError::Bad(Box::new(bad)));
        }
        let bad: Vec<BadRecord> = bad.collect();
        if batch.num_rows() == 0 && bad.is_empty() {
            match fill {
                Fill::End => return Ok(Read::End),
                Fill::Pending => return Ok(Read::Pending),
                Fill::Some if stop != Stop::Full && self.position == before => return Ok(Read::Pending),
                Fill::Some => {}
            }
        }
        let batch = self.project(batch)?;
        Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad, end: self.position }))
    }

    fn project(&self, batch: RecordBatch) -> Result<RecordBatch, ConnectorError> {
        match &self.projection {
            Some(columns) => batch.project(columns).map_err(|error| self.format_error(error.into())),
            None => Ok(batch),
        }
    }
}

fn rest(limit: Limit, taken: Taken) -> Limit {
    Limit {
        records: limit.records.saturating_sub(taken.records),
        bytes: limit.bytes.saturating_sub(taken.bytes),
    }
}

/// The text without a byte order mark.
fn unmarked(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

impl PartitionReader for TextReader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        self.take(Limit { records: max_rows, bytes: SLICE_BYTES })
    }

    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        let left = usize::try_from(end.offset.saturating_sub(self.position.offset)).unwrap_or(usize::MAX);
        let read = self.take(Limit { records: max_rows, bytes: left.min(SLICE_BYTES) })?;
        if self.position.offset > end.offset {
            return Err(ConnectorError::Other(format!(
                "{} has changed: no record ends at byte {}, where one ended before",
                self.origin, end.offset
            )));
        }
        Ok(read)
    }

    fn position(&self) -> Position {
        self.position
    }
}
