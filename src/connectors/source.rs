//! Where a text reader's bytes come from: a file, plain or compressed, or one that still grows.

use std::fs::{File, Metadata};
use std::io::{BufReader, Read as _, Seek, SeekFrom};

use super::ConnectorError;

/// How much is read at a time: enough for long sequential reads, little beside a slice.
pub(super) const CHUNK: usize = 1 << 20;

/// What a source had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Some bytes.
    Some,
    /// Nothing now.
    Pending,
    /// Nothing ever again.
    End,
}

/// Bytes in order, decompressed.
pub(super) trait ByteSource: Send {
    /// Appends up to [`CHUNK`] bytes to `text`. On an error, what came before it is appended.
    fn fill(&mut self, text: &mut Vec<u8>) -> Result<Fill, ConnectorError>;
    /// Goes on at `offset` of the decompressed text. Fails where the text is shorter.
    fn skip_to(&mut self, offset: u64) -> Result<(), ConnectorError>;
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The bytes of a file.
pub(super) fn open(
    path: &str,
    compression: Compression,
    follow: bool,
) -> Result<Box<dyn ByteSource>, ConnectorError> {
    let failed = |source| ConnectorError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(ConnectorError::Other(format!(
            "{path} is a directory; write '{path}/*.jsonl' for the files in it"
        )));
    }
    let path = path.to_owned();
    Ok(match compression {
        Compression::None => Box::new(Plain { path, file, offset: 0, follow }),
        Compression::Gzip => {
            let reader = flate2::read::MultiGzDecoder::new(BufReader::with_capacity(CHUNK / 8, file));
            Box::new(Compressed { path, kind: "gzip", reader: Box::new(reader), offset: 0 })
        }
        Compression::Zstd => {
            let reader = zstd::stream::read::Decoder::new(file).map_err(failed)?;
            Box::new(Compressed { path, kind: "zstd", reader: Box::new(reader), offset: 0 })
        }
    })
}

struct Plain {
    path: String,
    file: File,
    offset: u64,
    follow: bool,
}

impl Plain {
    fn failed(&self, source: std::io::Error) -> ConnectorError {
        ConnectorError::Io { path: self.path.clone(), source }
    }

    /// Fails if the path does not lead to this file any more, or the file has lost what was read.
    fn still_there(&self) -> Result<(), ConnectorError> {
        let path = &self.path;
        let ours = self.file.metadata().map_err(|error| self.failed(error))?;
        if ours.len() < self.offset {
            return Err(ConnectorError::Other(format!(
                "{path} was cut to {} bytes, but {} were read: follow = true reads files that only grow",
                ours.len(),
                self.offset
            )));
        }
        if !std::fs::metadata(path).is_ok_and(|named| same_file(&ours, &named)) {
            return Err(ConnectorError::Other(format!(
                "{path} was removed or replaced: follow = true reads files that only grow"
            )));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Other systems give a file no identity here; there only a cut is noticed.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

impl ByteSource for Plain {
    fn fill(&mut self, text: &mut Vec<u8>) -> Result<Fill, ConnectorError> {
        let before = text.len();
        let read = (&self.file).take(CHUNK as u64).read_to_end(text);
        self.offset += (text.len() - before) as u64;
        match read.map_err(|error| self.failed(error))? {
            0 if self.follow => self.still_there().map(|()| Fill::Pending),
            0 => Ok(Fill::End),
            _ => Ok(Fill::Some),
        }
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), ConnectorError> {
        let length = self.file.metadata().map_err(|error| self.failed(error))?.len();
        if length < offset {
            return Err(shorter(&self.path, offset));
        }
        self.file.seek(SeekFrom::Start(offset)).map_err(|error| self.failed(error))?;
        self.offset = offset;
        Ok(())
    }
}

fn shorter(path: &str, offset: u64) -> ConnectorError {
    ConnectorError::Other(format!(
        "{path} is shorter than the {offset} bytes that were read before: it was replaced"
    ))
}

struct Compressed {
    path: String,
    kind: &'static str,
    reader: Box<dyn std::io::Read + Send>,
    /// Decompressed bytes so far.
    offset: u64,
}

impl Compressed {
    fn failed(&self, error: &std::io::Error) -> ConnectorError {
        let Compressed { path, kind, offset, .. } = self;
        ConnectorError::Other(format!("{path}: broken {kind} data after {offset} bytes of text: {error}"))
    }
}

impl ByteSource for Compressed {
    fn fill(&mut self, text: &mut Vec<u8>) -> Result<Fill, ConnectorError> {
        let before = text.len();
        let read = (&mut self.reader).take(CHUNK as u64).read_to_end(text);
        self.offset += (text.len() - before) as u64;
        match read.map_err(|error| self.failed(&error))? {
            0 => Ok(Fill::End),
            _ => Ok(Fill::Some),
        }
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), ConnectorError> {
        let skip = offset.saturating_sub(self.offset);
        let copied = std::io::copy(&mut (&mut self.reader).take(skip), &mut std::io::sink());
        match copied.map_err(|error| self.failed(&error))? {
            skipped if skipped == skip => {
                self.offset = offset;
                Ok(())
            }
            _ => Err(shorter(&self.path, offset)),
        }
    }
}
