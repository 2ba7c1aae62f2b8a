//! JSON lines: `{"n": 7, "at": "2013-01-01T10:17:00Z"}` ⏎ is a row of `(n BIGINT, at TIMESTAMP)`.

use super::cursor::{Cursor, Fault};
use super::{Chunk, Limit, MAX_RECORD, RowDecoder, Stop, TOO_LONG, Taken, place};

/// How much text is checked to be UTF-8 at a time: enough to be fast, little enough not to matter to
/// a caller that takes one row.
const WINDOW: usize = 64 << 10;

impl RowDecoder {
    pub(super) fn push_json(&mut self, chunk: Chunk<'_>, limit: Limit) -> Taken {
        let end = if chunk.last { chunk.text.len() } else { complete(chunk.text) };
        let text = chunk.text.get(..end).unwrap_or_default();
        let mut taken = Taken::default();
        // Whole lines that are known to be UTF-8, and where in the text they end.
        let (mut good, mut good_end) = ("", 0);
        while taken.bytes < end {
            if taken.reached(limit) {
                taken.stop = Stop::Full;
                return taken;
            }
            let line = chunk.line + taken.lines + 1;
            if taken.bytes >= good_end {
                let rest = text.get(taken.bytes..).unwrap_or_default();
                match valid_lines(rest) {
                    Ok(lines) => (good, good_end) = (lines, taken.bytes + lines.len()),
                    Err(at) => {
                        let raw = first_line(rest);
                        let (_, column) = place(raw, at);
                        if self.refuse(line, Some(column), "the text is not UTF-8".into(), raw) {
                            taken.stop = Stop::Bad;
                            return taken;
                        }
                        taken.bytes += raw.len();
                        taken.lines += 1;
                        taken.records += 1;
                        continue;
                    }
                }
            }
            let start = good.len() - (good_end - taken.bytes);
            let mut cursor = Cursor::new(good, start);
            match self.line(&mut cursor) {
                Ok(row) => taken.records += usize::from(row),
                Err(fault) => {
                    let raw = first_line(good.as_bytes().get(start..).unwrap_or_default());
                    let (_, column) = place(raw, fault.at - start);
                    if self.refuse(line, Some(column), fault.reason, raw) {
                        taken.stop = Stop::Bad;
                        return taken;
                    }
                    cursor.at = start + raw.len();
                    taken.records += 1;
                }
            }
            taken.bytes += cursor.at - start;
            taken.lines += 1;
        }
        taken
    }

    /// Takes the line at the cursor. True = it was a row, false = blank.
    #[inline]
    fn line(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let start = cursor.at;
        let rows = self.record.rows();
        cursor.space();
        if cursor.take(b'\n') || cursor.peek().is_none() {
            return Ok(false);
        }
        let record = match &mut self.changes {
            Some(changes) => changes.read(&mut self.record, cursor),
            None => self.record.read(cursor),
        };
        let read = record.and_then(|()| {
            cursor.space();
            if !cursor.take(b'\n') && cursor.peek().is_some() {
                return Err(cursor.expected("the end of the line after the object"));
            }
            if cursor.at - start > MAX_RECORD {
                return Err(Fault { at: start, reason: TOO_LONG.into() });
            }
            Ok(true)
        });
        read.inspect_err(|_| self.take_back(rows))
    }
}

/// How much of `text` is whole lines.
fn complete(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

/// The first line of `text`, line end included.
pub(super) fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |newline| newline + 1);
    text.get(..end).unwrap_or_default()
}

/// Some whole lines from the start of `text`, or the first byte that is not UTF-8, in the first line.
fn valid_lines(text: &[u8]) -> Result<&str, usize> {
    let window = text.get(..WINDOW).map_or(text.len(), complete);
    let window = if window > 0 { text.get(..window).unwrap_or(text) } else { first_line(text) };
    std::str::from_utf8(window).or_else(|error| {
        let valid = window.get(..error.valid_up_to()).unwrap_or_default();
        let lines = valid.get(..complete(valid)).unwrap_or_default();
        match std::str::from_utf8(lines) {
            Ok(lines) if !lines.is_empty() => Ok(lines),
            _ => Err(error.valid_up_to()),
        }
    })
}
