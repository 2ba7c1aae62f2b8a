//! Standard input as a table: `zcat quakes.jsonl.gz | millstream -c "SELECT … FROM stdin"`.
//!
//! What it is written in is guessed from the first records (see `formats::guess`), and the columns are inferred from them;
//! lines of logs are brought into JSON as they come. Delivery: it can be read once. An offset is a byte; a reader can
//! only begin at the beginning, so whoever needs to go back writes the rows to a topic first.

use std::io::Read as Input;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use arrow::datatypes::SchemaRef;

use super::source::{ByteSource, Fill};
use super::text::{TextOptions, TextReader};
use super::{ConnectorError, OnBad, PartitionReader, Position};
use crate::formats::{Format, Guess, Lines, SAMPLE_RECORDS, guess, infer};

/// The name in messages.
const ORIGIN: &str = "stdin";
/// Bytes of one read.
const PIECE: usize = 256 << 10;
/// Reads that wait to be decoded; then the writer of the pipe waits.
const QUEUE: usize = 8;
/// Enough text to infer columns from, in bytes, where records are long.
const SAMPLE_BYTES: usize = 4 << 20;
/// Someone typing, or a slow program: after this much silence the records so far are the sample.
const SILENCE: Duration = Duration::from_millis(200);

type Piece = Result<Vec<u8>, std::io::Error>;

/// Standard input, its first records looked at.
pub struct StdinSource {
    guess: Guess,
    schema: SchemaRef,
    /// Taken by the one reader.
    input: Option<Pipe>,
}

impl StdinSource {
    /// Reads from standard input. Waits for its first records. Fails for an empty input.
    pub fn open() -> Result<StdinSource, ConnectorError> {
        StdinSource::over(std::io::stdin())
    }

    /// The same over another input.
    pub fn over(input: impl Input + Send + 'static) -> Result<StdinSource, ConnectorError> {
        let mut pipe = Pipe::over(input)?;
        let ended = pipe.sample()?;
        let guess = guess(&pipe.sample);
        pipe.rewrite(guess);
        let schema = infer(guess.decoded(), &pipe.sample, ended)
            .map_err(|source| ConnectorError::Format { origin: ORIGIN.into(), source })?;
        Ok(StdinSource { guess, schema, input: Some(pipe) })
    }

    /// A reader of `input` whose columns and format are known beforehand.
    pub fn declared(
        input: impl Input + Send + 'static,
        format: Format,
        schema: SchemaRef,
        on_bad: OnBad,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let pipe = Pipe::over(input)?;
        let options = TextOptions { format, schema, projection: None, on_bad, changes: None };
        Ok(Box::new(TextReader::open(ORIGIN.into(), Box::new(pipe), options, Position::default())?))
    }

    /// The columns that were inferred.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// What the input turned out to be.
    pub fn guess(&self) -> Guess {
        self.guess
    }

    /// The one reader; it begins at the beginning. Fails for another start, and the second time.
    pub fn reader(
        &mut self,
        start: Position,
        on_bad: OnBad,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let input = self.input.take().filter(|_| start == Position::default()).ok_or_else(|| {
            ConnectorError::Other("standard input cannot be read twice; write it to a stream first".into())
        })?;
        let options = TextOptions {
            format: self.guess.decoded(),
            schema: self.schema(),
            projection: None,
            on_bad,
            changes: None,
        };
        Ok(Box::new(TextReader::open(ORIGIN.into(), Box::new(input), options, start)?))
    }
}

impl std::fmt::Debug for StdinSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdinSource").field("guess", &self.guess).field("schema", &self.schema).finish()
    }
}

/// Sends the input in pieces until it ends or nobody listens.
fn pump(mut input: impl Input, sender: &SyncSender<Piece>) {
    loop {
        let mut piece = vec![0; PIECE];
        let sent = match input.read(&mut piece) {
            Ok(0) => return,
            Ok(bytes) => {
                piece.truncate(bytes);
                sender.send(Ok(piece))
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                let _ = sender.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The receiving end.
struct Pipe {
    receiver: Receiver<Piece>,
    /// What was looked at and is still to be read.
    sample: Vec<u8>,
    broken: Option<std::io::Error>,
    /// What brings its lines into JSON, if they are no records.
    lines: Option<Lines>,
}

impl Pipe {
    fn over(input: impl Input + Send + 'static) -> Result<Pipe, ConnectorError> {
        let (sender, receiver) = sync_channel(QUEUE);
        // Reading waits for the other program, and a reader of partitions must not. The thread ends
        // with the input, or at the next piece after the receiver is gone.
        std::thread::Builder::new()
            .name(ORIGIN.into())
            .spawn(move || pump(input, &sender))
            .map_err(|source| ConnectorError::Io { path: ORIGIN.into(), source })?;
        Ok(Pipe { receiver, sample: Vec::new(), broken: None, lines: None })
    }

    /// Lines come as JSON from here on, those of the sample too.
    fn rewrite(&mut self, guess: Guess) {
        let Some(mut lines) = Lines::of(guess) else { return };
        let mut json = Vec::new();
        lines.push(&self.sample, &mut json);
        self.sample = json;
        self.lines = Some(lines);
    }

    /// Takes a piece of the input as records.
    fn take(&mut self, piece: &[u8], text: &mut Vec<u8>) {
        match &mut self.lines {
            Some(lines) => lines.push(piece, text),
            None => text.extend_from_slice(piece),
        }
    }

    /// Collects the first records. True = the input has ended.
    fn sample(&mut self) -> Result<bool, ConnectorError> {
        loop {
            let lines = self.sample.iter().filter(|byte| **byte == b'\n').count();
            if lines > SAMPLE_RECORDS || self.sample.len() >= SAMPLE_BYTES {
                return Ok(false);
            }
            // A header alone says nothing about its columns, nor does half a line.
            let tells = || matches!(guess(&self.sample), Guess::Json | Guess::Access(_) | Guess::Logfmt);
            let enough = lines >= 2 || (lines >= 1 && tells());
            let piece = if enough {
                self.receiver.recv_timeout(SILENCE)
            } else {
                self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match piece {
                Ok(Ok(piece)) => self.sample.extend_from_slice(&piece),
                Ok(Err(error)) if self.sample.is_empty() => return Err(failed(error)),
                Ok(Err(error)) => {
                    self.broken = Some(error);
                    return Ok(false);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
            }
        }
    }
}

fn failed(source: std::io::Error) -> ConnectorError {
    ConnectorError::Io { path: ORIGIN.into(), source }
}

impl ByteSource for Pipe {
    fn fill(&mut self, text: &mut Vec<u8>) -> Result<Fill, ConnectorError> {
        if !self.sample.is_empty() {
            text.append(&mut self.sample);
            return Ok(Fill::Some);
        }
        if let Some(error) = self.broken.take() {
            return Err(failed(error));
        }
        match self.receiver.try_recv() {
            Ok(Ok(piece)) => {
                self.take(&piece, text);
                Ok(Fill::Some)
            }
            Ok(Err(error)) => Err(failed(error)),
            Err(TryRecvError::Empty) => Ok(Fill::Pending),
            Err(TryRecvError::Disconnected) => {
                // The last line need not have an end.
                let Some(mut lines) = self.lines.take() else { return Ok(Fill::End) };
                lines.finish(text);
                Ok(Fill::Some)
            }
        }
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), ConnectorError> {
        Err(ConnectorError::Other(format!(
            "standard input cannot go to byte {offset}; write it to a stream first"
        )))
    }
}
