//! Records that tell changes of a table: Debezium's JSON envelope, and a column that names the operation.
//!
//! - **Debezium**: `{"op": "u", "before": {…}, "after": {…}}`, also as the `payload` beside a `schema`. `c`, `r`
//!   and `u` make `after` the row of its key, `d` takes the key of `before` away. An update whose `before` has another key
//!   than its `after` takes that one away too; `before` may be absent from an update. Of `before` only the key is read.
//! - **Operation column**: `c r u i +I +U insert update upsert` make the record the row of its key, `d -D -U delete`
//!   take its key away, in any case of letters.
//!
//! Any other operation makes a bad record.

use super::FormatError;
use super::cursor::{Cursor, Fault};
use super::record::Record;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use std::sync::Arc;

/// How records tell what they do to a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Changes {
    /// They do not: each is the row of its key.
    #[default]
    Upserts,
    /// By this column.
    Operation(String),
    /// By Debezium's envelope.
    Debezium,
}

/// A table's columns as its records need to know them.
#[derive(Debug, Clone)]
pub struct TableColumns {
    /// The columns of its topic: its own, of which only the key must be there, and the one that tells deletions.
    pub topic: SchemaRef,
    /// The key columns.
    pub key: Vec<usize>,
    /// Other columns that are NOT NULL in the table.
    pub required: Vec<usize>,
}

/// Reads such records into a [`Record`].
pub(super) struct ChangeReader {
    columns: TableColumns,
    /// The column of the operation; `None` = Debezium.
    operation: Option<usize>,
    /// Whether that column is no column of the table.
    hidden: bool,
    /// For each row whether it takes its key away.
    deleted: Vec<bool>,
}

const OPERATIONS: &str = "c, r, u, i, +I, +U, insert, update, upsert, d, -D, -U or delete";

/// Whether an operation takes the key away; `None` = it is none.
fn deletes(operation: &str) -> Option<bool> {
    const UPSERTS: [&str; 9] = ["c", "r", "u", "i", "+i", "+u", "insert", "update", "upsert"];
    const DELETES: [&str; 4] = ["d", "-d", "-u", "delete"];
    let is = |words: &[&str]| words.iter().any(|word| operation.eq_ignore_ascii_case(word));
    if is(&UPSERTS) { Some(false) } else { is(&DELETES).then_some(true) }
}

impl ChangeReader {
    /// A reader, and the columns of the record that it fills. Fails for an operation column that is no text.
    pub(super) fn new(changes: &Changes, columns: TableColumns) -> Result<(Self, Fields), FormatError> {
        let own = columns.topic.fields().len() - 1;
        let mut fields: Vec<_> = columns.topic.fields().iter().take(own).cloned().collect();
        let (mut operation, mut hidden) = (None, false);
        if let Changes::Operation(name) = changes {
            let declared = fields.iter().position(|f| f.name() == name);
            if let Some(at) = declared
                && !matches!(
                    fields[at].data_type(),
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                )
            {
                return Err(FormatError::Operation(name.clone()));
            }
            hidden = declared.is_none();
            operation = Some(declared.unwrap_or(own));
            if hidden {
                fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
            }
        }
        Ok((ChangeReader { columns, operation, hidden, deleted: Vec::new() }, fields.into()))
    }

    /// Forgets the rows from `rows` on.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.deleted.truncate(rows);
    }

    /// Appends the JSON object at the cursor. After a fault both are to be truncated.
    pub(super) fn read(&mut self, record: &mut Record, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let at = cursor.at;
        match self.operation {
            None => self.debezium(record, cursor),
            Some(_) => {
                record.read(cursor)?;
                self.take(record).map_err(|reason| Fault { at, reason })
            }
        }
    }

    /// Takes note of what the record's last row does, by its operation column.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), String> {
        let Some(column) = self.operation.and_then(|c| record.columns().get(c)) else { return Ok(()) };
        let row = record.rows() - 1;
        let name = column.name();
        let Some(operation) = column.text_at(row) else {
            return Err(format!("column \"{name}\" tells no operation: expected {OPERATIONS}"));
        };
        let Some(deletes) = deletes(operation.trim()) else {
            return Err(format!(
                "\"{operation}\" in column \"{name}\" is no operation: expected {OPERATIONS}"
            ));
        };
        self.note(record, deletes)
    }

    fn note(&mut self, record: &Record, deletes: bool) -> Result<(), String> {
        let row = record.rows() - 1;
        if !deletes {
            let columns = self.columns.required.iter().filter_map(|c| record.columns().get(*c));
            if let Some(missing) = columns.into_iter().find(|c| c.is_null_at(row)) {
                return Err(format!("column \"{}\" is NOT NULL, but its value is null", missing.name()));
            }
        }
        self.deleted.push(deletes);
        Ok(())
    }

    fn debezium(&mut self, record: &mut Record, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let start = cursor.at;
        let mut envelope = Envelope::read(cursor)?;
        if let (None, Some(payload)) = (&envelope.operation, envelope.payload) {
            envelope = Envelope::read(&mut cursor.moved(payload))?;
        }
        let Some((operation, at)) = envelope.operation else {
            return Err(Fault {
                at: start,
                reason: "the record has no \"op\": expected c, r, u or d".into(),
            });
        };
        let needs =
            |what: &str| Fault { at, reason: format!("op \"{operation}\" needs \"{what}\", an object") };
        match operation.as_str() {
            "c" | "r" | "u" => {
                let after = envelope.after.ok_or_else(|| needs("after"))?;
                record.read(&mut cursor.moved(after))?;
                self.note(record, false).map_err(|reason| Fault { at: after, reason })?;
                match envelope.before.filter(|_| operation == "u") {
                    Some(before) => self.moved_from(record, &mut cursor.moved(before)),
                    None => Ok(()),
                }
            }
            "d" => {
                let before = envelope.before.ok_or_else(|| needs("before"))?;
                self.key_of(record, &mut cursor.moved(before))
            }
            other => Err(Fault { at, reason: format!("\"{other}\" is no op: expected c, r, u or d") }),
        }
    }

    /// Takes the key of the object at the cursor away.
    fn key_of(&mut self, record: &mut Record, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let key = &self.columns.key;
        record.read_some(cursor, |column| key.contains(&column))?;
        self.deleted.push(true);
        Ok(())
    }

    /// Takes the key of the object at the cursor away, if it is another than that of the record's last row.
    fn moved_from(&mut self, record: &mut Record, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let rows = record.rows();
        self.key_of(record, cursor)?;
        let same = |c: &usize| record.columns().get(*c).is_some_and(|c| c.same(rows - 1, rows));
        if self.columns.key.iter().all(same) {
            record.truncate(rows);
            self.truncate(rows);
        }
        Ok(())
    }

    /// The record's arrays as those of the table's topic; no row is left.
    pub(super) fn finish(&mut self, mut arrays: Vec<ArrayRef>) -> Vec<ArrayRef> {
        if self.hidden {
            arrays.pop();
        }
        arrays.push(Arc::new(BooleanArray::from(std::mem::take(&mut self.deleted))));
        arrays
    }

    /// The columns of what [`ChangeReader::finish`] gives.
    pub(super) fn schema(&self) -> SchemaRef {
        self.columns.topic.clone()
    }
}

/// Where the parts of Debezium's envelope stand.
#[derive(Default)]
struct Envelope {
    operation: Option<(String, usize)>,
    before: Option<usize>,
    after: Option<usize>,
    payload: Option<usize>,
}

impl Envelope {
    /// Reads the object at the cursor and steps over it.
    fn read(cursor: &mut Cursor<'_>) -> Result<Envelope, Fault> {
        let mut envelope = Envelope::default();
        if !cursor.take(b'{') {
            return Err(cursor.expected("'{', the beginning of an object"));
        }
        cursor.space();
        let mut more = !cursor.take(b'}');
        while more {
            if cursor.peek() != Some(b'"') {
                return Err(cursor.expected("a key in double quotes"));
            }
            let key = cursor.string()?;
            cursor.colon()?;
            let (at, first) = (cursor.at, cursor.peek());
            match (key.as_ref(), first) {
                ("op", Some(b'"')) => envelope.operation = Some((cursor.string()?.into_owned(), at)),
                ("before" | "after" | "payload", Some(b'{' | b'n')) => {
                    cursor.value()?;
                    let place = (first == Some(b'{')).then_some(at);
                    match key.as_ref() {
                        "before" => envelope.before = place,
                        "after" => envelope.after = place,
                        _ => envelope.payload = place,
                    }
                }
                ("before" | "after", _) => {
                    return Err(cursor.expected(&format!("an object or null for \"{key}\"")));
                }
                _ => {
                    cursor.value()?;
                }
            }
            more = cursor.more(b'}')?;
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chunk, CsvOptions, Format, Limit, RowDecoder};
    use super::*;
    use crate::delta::{Delta, draw};
    use arrow::datatypes::Schema;

    fn columns() -> TableColumns {
        let topic = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("x", DataType::Int64, true),
            Field::new("_deleted", DataType::Boolean, false),
        ]);
        TableColumns { topic: Arc::new(topic), key: vec![0], required: vec![2] }
    }

    fn decoded(format: Format, changes: Changes, text: &str) -> (String, Vec<String>) {
        let mut decoder = RowDecoder::for_table(format, &changes, columns(), false).unwrap();
        let chunk = Chunk { text: text.as_bytes(), line: 0, last: true };
        let header = decoder.header(chunk).unwrap().unwrap();
        let text = &text.as_bytes()[header.bytes..];
        let taken = decoder
            .push(Chunk { text, line: header.lines, last: true }, Limit { records: 100, bytes: 1 << 20 });
        assert_eq!(taken.bytes, text.len());
        let (batch, bad) = decoder.finish().unwrap();
        (
            draw(&[Delta::insert(batch)]),
            bad.into_iter().map(|b| format!("{}: {}", b.line, b.reason)).collect(),
        )
    }

    #[test]
    fn debezium_tells_upserts_and_tombstones() {
        let text = r#"{"op":"c","before":null,"after":{"id":1,"name":"a","x":5},"ts_ms":7,"source":{"db":"d","after":1}}
{"schema":{"op":"x"},"payload":{"after":{"x":6,"id":2,"name":null,"more":[1]},"op":"r"}}
{"op":"u","before":{"id":1,"name":"a","x":5},"after":{"id":1,"name":"b","x":5}}
{"op":"u","after":{"id":1,"x":7}}
{"op":"u","before":{"id":1,"name":3},"after":{"id":4,"name":"b","x":8}}

{"op":"d","before":{"id":2}}
"#;
        let (rows, bad) = decoded(Format::Json, Changes::Debezium, text);
        assert_eq!(
            rows,
            "+ 1 a 5 false\n+ 2 null 6 false\n+ 1 b 5 false\n+ 1 null 7 false\n\
             + 4 b 8 false\n+ 1 null null true\n+ 2 null null true\n"
        );
        assert!(bad.is_empty(), "{bad:?}");
    }

    #[test]
    fn what_is_no_change_is_a_bad_record_and_leaves_nothing() {
        let text = r#"{"op":"t","after":{"id":1,"x":1}}
{"after":{"id":1,"x":1}}
{"op":"c","before":{"id":1}}
{"op":"d","before":null}
{"op":"d","before":{"name":"a"}}
{"op":"c","after":{"id":1,"name":"a"}}
{"op":"u","before":{"id":"z"},"after":{"id":1,"x":1}}
{"op":"c","after":{"id":1,"x":1}} x
{"op":"c","after":[1]}
{"payload":null}
{"op":"c","after":{"id":9,"x":9}}
"#;
        let (rows, bad) = decoded(Format::Json, Changes::Debezium, text);
        assert_eq!(rows, "+ 9 null 9 false\n");
        assert_eq!(
            bad,
            [
                "1: \"t\" is no op: expected c, r, u or d",
                "2: the record has no \"op\": expected c, r, u or d",
                "3: op \"c\" needs \"after\", an object",
                "4: op \"d\" needs \"before\", an object",
                "5: column \"id\" is NOT NULL, but the record does not have it",
                "6: column \"x\" is NOT NULL, but its value is null",
                "7: expected BIGINT in column \"id\", found \"z\"",
                "8: expected the end of the line after the object, found 'x'",
                "9: expected an object or null for \"after\", found '['",
                "10: the record has no \"op\": expected c, r, u or d",
            ]
        );
    }

    #[test]
    fn a_column_tells_the_operation_in_json_and_csv() {
        let json = r#"{"id":1,"name":"a","x":1,"op":"c"}
{"op":"+U","id":1,"name":"b","x":2}
{"id":1,"op":"-U"}
{"id":2,"x":3,"op":"Insert"}
{"id":2,"op":"DELETE","name":"n"}
{"id":2,"x":1}
{"id":2,"x":1,"op":"no"}
{"id":3,"op":"u"}
"#;
        let operation = || Changes::Operation("op".into());
        let (rows, bad) = decoded(Format::Json, operation(), json);
        assert_eq!(
            rows,
            "+ 1 a 1 false\n+ 1 b 2 false\n+ 1 null null true\n+ 2 null 3 false\n+ 2 n null true\n"
        );
        assert_eq!(bad[0], format!("6: column \"op\" tells no operation: expected {OPERATIONS}"));
        assert_eq!(bad[1], format!("7: \"no\" in column \"op\" is no operation: expected {OPERATIONS}"));
        assert_eq!(bad[2], "8: column \"x\" is NOT NULL, but its value is null");
        let csv = "op,id,name,x\n+I,1,a,1\n-D,1,,\n?,2,,2\nr,3,c,\n,4,,\nu,5,e,5\n";
        let (rows, bad) = decoded(Format::Csv(CsvOptions::default()), operation(), csv);
        assert_eq!(rows, "+ 1 a 1 false\n+ 1 null null true\n+ 5 e 5 false\n");
        assert_eq!(bad.len(), 3, "{bad:?}");
        // The operation may be a column of the table itself.
        let by_name = Changes::Operation("name".into());
        let (rows, _) =
            decoded(Format::Json, by_name, "{\"id\":1,\"name\":\"d\"}\n{\"id\":1,\"x\":1,\"name\":\"c\"}");
        assert_eq!(rows, "+ 1 d null true\n+ 1 c 1 false\n");
        assert!(
            RowDecoder::for_table(Format::Json, &Changes::Operation("x".into()), columns(), true).is_err()
        );
    }
}
