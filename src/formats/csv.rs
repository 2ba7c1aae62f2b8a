//! CSV: `n,at` ⏎ `7,2013-01-01T10:17:00Z` ⏎ is a row of `(n BIGINT, at TIMESTAMP)`.
//!
//! A record whose quotes are broken is bad up to the end of its first line only, so that one stray
//! quote does not swallow the rest of the file.

use super::json::first_line;
use super::record::Record;
use super::{
    Chunk, CsvOptions, FormatError, Kind, Limit, MAX_RECORD, RowDecoder, Stop, TOO_LONG, Taken, place,
};

/// Which field of a record goes into which column.
pub(super) struct CsvFields {
    options: CsvOptions,
    /// The column of each field, `None` = of no interest.
    columns: Vec<Option<usize>>,
    /// The fields of the record at hand.
    parts: Vec<Part>,
    /// A field without its doubled quotes.
    unquoted: String,
}

/// A field of a record: its bytes, without the quotes around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether it has doubled quotes.
    doubled: bool,
}

/// What stands at the start of a text.
#[derive(Debug, PartialEq, Eq)]
enum Split {
    /// A record of so many bytes and lines.
    Record { bytes: usize, lines: u64 },
    /// Less than a record.
    Incomplete,
    /// No record, because of the byte `at`.
    Broken { at: usize, reason: String },
}

impl CsvFields {
    pub(super) fn new(options: CsvOptions, columns: usize) -> Self {
        // Until a header says otherwise the fields are the declared columns in their order.
        let columns = (0..columns).map(Some).collect();
        CsvFields { options, columns, parts: Vec::new(), unquoted: String::new() }
    }

    pub(super) fn header(&mut self, chunk: Chunk<'_>, record: &Record) -> Result<Option<Taken>, FormatError> {
        if !self.options.header {
            return Ok(Some(Taken::default()));
        }
        let (names, taken) = match header_names(chunk, self.options)? {
            Header::Names(names, taken) => (names, taken),
            Header::Absent(taken) => return Ok(Some(taken)),
            Header::Incomplete => return Ok(None),
        };
        self.columns = match_names(&names, record)?;
        Ok(Some(taken))
    }

    /// Puts the fields of `record`, split before, into the columns. After a fault (the byte, the
    /// reason) the record is to be truncated.
    fn fill(&mut self, text: &str, record: &mut Record) -> Result<(), (usize, String)> {
        if self.parts.len() != self.columns.len() {
            let (found, wanted) = (self.parts.len(), self.columns.len());
            return Err((0, format!("expected {wanted} fields, found {found}")));
        }
        let mut filled = 0;
        for (part, index) in self.parts.iter().zip(&self.columns) {
            let Some(column) = index.and_then(|index| record.columns_mut().get_mut(index)) else { continue };
            let mut field = text.get(part.start..part.end).unwrap_or_default();
            filled += 1;
            if field.is_empty() && !(part.quoted && column.is_text()) {
                column.null().map_err(|reason| (part.start, reason))?;
                continue;
            }
            if part.doubled {
                self.unquoted.clear();
                for (nth, piece) in field.split("\"\"").enumerate() {
                    self.unquoted.push_str(if nth > 0 { "\"" } else { "" });
                    self.unquoted.push_str(piece);
                }
                field = &self.unquoted;
            }
            column.text(field).map_err(|_| (part.start, column.text_fault(field, true)))?;
        }
        record.complete(filled).map_err(|reason| (0, reason))
    }
}

impl RowDecoder {
    pub(super) fn push_csv(&mut self, chunk: Chunk<'_>, limit: Limit) -> Taken {
        let mut taken = Taken::default();
        while let Some(rest @ [_, ..]) = chunk.text.get(taken.bytes..) {
            if taken.reached(limit) {
                taken.stop = Stop::Full;
                return taken;
            }
            if let Some(blank) = blank_line(rest, chunk.last) {
                taken.bytes += blank;
                taken.lines += 1;
                continue;
            }
            let (bytes, lines, fault) = match self.record_at(rest, chunk.last) {
                Split::Incomplete => return taken,
                Split::Record { bytes, lines } => (bytes, lines, self.row(rest, bytes).err()),
                Split::Broken { at, reason } => {
                    let line = first_line(rest).len();
                    if line == rest.len() && !chunk.last && !rest.ends_with(b"\n") {
                        return taken;
                    }
                    (line, 1, Some((at, reason)))
                }
            };
            if let Some((at, reason)) = fault {
                let (line, column) = place(rest, at);
                let raw = rest.get(..bytes).unwrap_or_default();
                if self.refuse(chunk.line + taken.lines + line + 1, Some(column), reason, raw) {
                    taken.stop = Stop::Bad;
                    return taken;
                }
            }
            taken.bytes += bytes;
            taken.lines += lines;
            taken.records += 1;
        }
        taken
    }

    fn record_at(&mut self, text: &[u8], last: bool) -> Split {
        match &mut self.kind {
            Kind::Csv(fields) => split(text, last, fields.options.delimiter, &mut fields.parts),
            Kind::Json => Split::Incomplete,
        }
    }

    /// Appends the record that was split from the first `bytes` of `text` as a row, or not at all.
    fn row(&mut self, text: &[u8], bytes: usize) -> Result<(), (usize, String)> {
        let Kind::Csv(fields) = &mut self.kind else { return Ok(()) };
        let rows = self.record.rows();
        let text = std::str::from_utf8(text.get(..bytes).unwrap_or_default())
            .map_err(|error| (error.valid_up_to(), "the text is not UTF-8".to_owned()))?;
        let filled = fields.fill(text, &mut self.record).and_then(|()| match &mut self.changes {
            Some(changes) => changes.take(&self.record).map_err(|reason| (0, reason)),
            None => Ok(()),
        });
        filled.inspect_err(|_| self.take_back(rows))
    }
}

/// The bytes of the blank line at the start of `text`, if one is there.
fn blank_line(text: &[u8], last: bool) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] if last => Some(1),
        _ => None,
    }
}

/// Splits the record at the start of `text` into `parts`.
fn split(text: &[u8], last: bool, delimiter: u8, parts: &mut Vec<Part>) -> Split {
    parts.clear();
    // One byte more than the longest record, so that what follows it is seen.
    let window = text.get(..=MAX_RECORD).unwrap_or(text);
    let full = text.len() > MAX_RECORD;
    let (mut at, mut lines) = (0, 1);
    loop {
        if window.get(at) == Some(&b'"') {
            let open = at;
            match quoted(window, open, &mut lines) {
                Some(part) => {
                    at = part.end + 1;
                    parts.push(part);
                }
                None if !last && !full => return Split::Incomplete,
                None => {
                    return Split::Broken {
                        at: open,
                        reason: "the quote that opens here is not closed".into(),
                    };
                }
            }
            // At the edge the next byte may make this a doubled quote.
            if at == window.len() && !last && !full {
                return Split::Incomplete;
            }
        } else {
            let start = at;
            let rest = window.get(at..).unwrap_or_default();
            at += rest.iter().position(|byte| *byte == delimiter || *byte == b'\n').unwrap_or(rest.len());
            let ends_line = window.get(at) != Some(&delimiter);
            let carriage = ends_line && at > start && window.get(at - 1) == Some(&b'\r');
            parts.push(Part { start, end: at - usize::from(carriage), quoted: false, doubled: false });
        }
        match (window.get(at), window.get(at + 1)) {
            (None, _) if full => return Split::Broken { at: 0, reason: TOO_LONG.into() },
            (None, _) if last => return Split::Record { bytes: at, lines },
            (None, _) => return Split::Incomplete,
            (Some(byte), _) if *byte == delimiter => at += 1,
            (Some(b'\n'), _) => return Split::Record { bytes: at + 1, lines },
            (Some(b'\r'), Some(b'\n')) => return Split::Record { bytes: at + 2, lines },
            (Some(b'\r'), None) if last && !full => return Split::Record { bytes: at + 1, lines },
            (Some(b'\r'), None) if !full => return Split::Incomplete,
            _ => {
                let reason = "a quoted field ends before this character".to_owned();
                return Split::Broken { at, reason };
            }
        }
    }
}

/// The field whose quote opens at `open`; `None` = it is not closed in `text`.
fn quoted(text: &[u8], open: usize, lines: &mut u64) -> Option<Part> {
    let (mut at, mut doubled) = (open + 1, false);
    loop {
        let rest = text.get(at..)?;
        let next = rest.iter().position(|byte| *byte == b'"' || *byte == b'\n')?;
        at += next;
        if text.get(at) == Some(&b'\n') {
            *lines += 1;
            at += 1;
        } else if text.get(at + 1) == Some(&b'"') {
            doubled = true;
            at += 2;
        } else {
            return Some(Part { start: open + 1, end: at, quoted: true, doubled });
        }
    }
}

/// What a text begins with.
pub(super) enum Header {
    /// A header with these names.
    Names(Vec<String>, Taken),
    /// Nothing but blank lines.
    Absent(Taken),
    /// Part of a header.
    Incomplete,
}

/// The names in the header at the start of `chunk`.
pub(super) fn header_names(chunk: Chunk<'_>, options: CsvOptions) -> Result<Header, FormatError> {
    let mut taken = Taken::default();
    let mut parts = Vec::new();
    while let Some(rest @ [_, ..]) = chunk.text.get(taken.bytes..) {
        if let Some(blank) = blank_line(rest, chunk.last) {
            taken.bytes += blank;
            taken.lines += 1;
            continue;
        }
        return match split(rest, chunk.last, options.delimiter, &mut parts) {
            Split::Incomplete => Ok(Header::Incomplete),
            Split::Broken { reason, .. } => Err(FormatError::BadHeader(reason)),
            Split::Record { bytes, lines } => {
                taken.bytes += bytes;
                taken.lines += lines;
                Ok(Header::Names(texts(rest, &parts), taken))
            }
        };
    }
    Ok(if chunk.last { Header::Absent(taken) } else { Header::Incomplete })
}

fn texts(text: &[u8], parts: &[Part]) -> Vec<String> {
    let name = |part: &Part| {
        let text = String::from_utf8_lossy(text.get(part.start..part.end).unwrap_or_default());
        if part.doubled { text.replace("\"\"", "\"") } else { text.trim().to_owned() }
    };
    parts.iter().map(name).collect()
}

/// Each complete record of `text` after the header, as texts; for inference. Bad ones are left out.
pub(super) fn records(text: &[u8], last: bool, delimiter: u8) -> impl Iterator<Item = Vec<String>> {
    let (mut at, mut parts) = (0, Vec::new());
    std::iter::from_fn(move || {
        loop {
            let rest @ [_, ..] = text.get(at..)? else { return None };
            if let Some(blank) = blank_line(rest, last) {
                at += blank;
                continue;
            }
            match split(rest, last, delimiter, &mut parts) {
                Split::Incomplete => return None,
                Split::Broken { .. } => at += first_line(rest).len(),
                Split::Record { bytes, .. } => {
                    at += bytes;
                    return Some(texts(rest, &parts));
                }
            }
        }
    })
}

/// The column that each name of a header means.
fn match_names(names: &[String], record: &Record) -> Result<Vec<Option<usize>>, FormatError> {
    let mut seen = vec![false; record.columns().len()];
    // A name that is spelled exactly as a column takes it from one that differs in case.
    let exact: Vec<usize> = names
        .iter()
        .filter_map(|name| record.names().find(name))
        .filter(|(_, exact)| *exact)
        .map(|(c, _)| c)
        .collect();
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let found = record.names().find(name);
        let column =
            found.filter(|(column, spelled)| *spelled || !exact.contains(column)).map(|(column, _)| column);
        if let Some(seen) = column.and_then(|column| seen.get_mut(column)) {
            if *seen {
                return Err(FormatError::Twice(name.clone()));
            }
            *seen = true;
        }
        columns.push(column);
    }
    if !seen.contains(&true) {
        let declared: Vec<&str> = record.columns().iter().map(|column| column.name()).collect();
        return Err(FormatError::Header { header: names.join(", "), declared: declared.join(", ") });
    }
    match record.columns().iter().zip(&seen).find(|(column, seen)| !**seen && !column.nullable()) {
        Some((column, _)) => Err(FormatError::Missing(column.name().to_owned())),
        None => Ok(columns),
    }
}
