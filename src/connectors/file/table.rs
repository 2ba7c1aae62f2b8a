//! Files that hold a table's rows or changes: one partition, the files one after the other in the order of their
//! paths, for the changes of a key may be spread over them.
//!
//! ```sql
//! CREATE TABLE products (id VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (id))
//! WITH (connector = 'file', path = 'products/*.jsonl', format = 'debezium_json')
//! ```
//!
//! An offset is the number of the file, times 2⁴⁰, and the offset in that file. Delivery is that of files.

use super::{FileConfig, FileSource};
use crate::connectors::{ConnectorError, PartitionReader, Position, Read};
use crate::formats::{Changes, TableColumns};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;

/// Bits of an offset that are the offset in its file.
const FILE_BITS: u32 = 40;

/// Files opened as a table.
#[derive(Debug, Clone)]
pub struct TableFiles {
    files: FileSource,
    /// Where the column that tells deletions is added: the files of plain rows do not have it.
    added: Option<usize>,
    delivered: SchemaRef,
}

impl TableFiles {
    /// Finds the files and checks that they can be read into `schema`, the table's columns. `projection`: which of the
    /// topic's columns are delivered. See [`FileSource::open`].
    pub fn open(
        config: FileConfig,
        schema: SchemaRef,
        columns: TableColumns,
        projection: &[usize],
    ) -> Result<TableFiles, ConnectorError> {
        let delivered: Vec<_> = projection.iter().map(|c| columns.topic.field(*c).clone()).collect();
        let delivered = Arc::new(Schema::new(delivered));
        let deletions = schema.fields().len();
        let (files, added) = if config.changes == Changes::Upserts {
            let plain: Vec<usize> = projection.iter().copied().filter(|c| *c != deletions).collect();
            let added = projection.iter().position(|c| *c == deletions);
            (FileSource::open(config, schema, Some(plain))?, added)
        } else {
            (FileSource::open_changes(config, schema, columns, projection.to_vec())?, None)
        };
        if files.config.follow && files.paths.len() > 1 {
            return Err(ConnectorError::Other(format!(
                "'{}' names {} files, and follow = true would never come to the second: a table follows one file",
                files.config.path,
                files.paths.len()
            )));
        }
        Ok(TableFiles { files, added, delivered })
    }

    /// A reader from `start` on.
    pub fn reader(self, start: Position) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let (file, start) = unpacked(start);
        let inner = self.files.reader(file, start)?;
        Ok(Box::new(FilesReader { table: self, file, inner }))
    }
}

fn unpacked(position: Position) -> (usize, Position) {
    let offset = position.offset & ((1 << FILE_BITS) - 1);
    ((position.offset >> FILE_BITS) as usize, Position { offset, ..position })
}

fn packed(file: usize, position: Position) -> Position {
    Position { offset: (file as u64) << FILE_BITS | position.offset, ..position }
}

/// Reads the files one after the other.
struct FilesReader {
    table: TableFiles,
    /// The file at hand.
    file: usize,
    inner: Box<dyn PartitionReader>,
}

impl FilesReader {
    /// What is given on of a read: nothing at the end of a file that is not the last, whose next is then at hand.
    fn given(&mut self, read: Read) -> Result<Option<Read>, ConnectorError> {
        match read {
            Read::End if self.file + 1 < self.table.files.paths.len() => {
                self.file += 1;
                self.inner = self.table.files.reader(self.file, Position::default())?;
                Ok(None)
            }
            Read::Rows(mut slice) => {
                if slice.end.offset >> FILE_BITS != 0 {
                    let path = &self.table.files.paths[self.file];
                    return Err(ConnectorError::Other(format!("{path} is longer than a terabyte")));
                }
                slice.end = packed(self.file, slice.end);
                slice.batch = self.whole(slice.batch)?;
                Ok(Some(Read::Rows(slice)))
            }
            other => Ok(Some(other)),
        }
    }

    /// The columns of the topic from those of a file.
    fn whole(&self, batch: RecordBatch) -> Result<RecordBatch, ConnectorError> {
        let Some(added) = self.table.added else { return Ok(batch) };
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.insert(added, Arc::new(BooleanArray::from(vec![false; rows])));
        RecordBatch::try_new(self.table.delivered.clone(), columns)
            .map_err(|error| ConnectorError::Other(error.to_string()))
    }
}

impl PartitionReader for FilesReader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        loop {
            let read = self.inner.read(max_rows)?;
            if let Some(read) = self.given(read)? {
                return Ok(read);
            }
        }
    }

    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        let (file, end) = unpacked(end);
        loop {
            // No slice goes on into another file: what is left of one before the end's is at its own end.
            let read = match self.file == file {
                true => self.inner.read_until(end, max_rows)?,
                false => self.inner.read(max_rows)?,
            };
            if let Some(read) = self.given(read)? {
                return Ok(read);
            }
        }
    }

    fn position(&self) -> Position {
        packed(self.file, self.inner.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::{FILE, OnBad};
    use crate::delta::{Delta, draw};
    use arrow::datatypes::{DataType, Field};

    fn table(
        dir: &std::path::Path,
        pattern: &str,
        options: &[(&str, &str)],
        projection: &[usize],
    ) -> TableFiles {
        let mut all = vec![("path".to_string(), dir.join(pattern).to_str().unwrap().to_string())];
        all.extend(options.iter().map(|(n, v)| (n.to_string(), v.to_string())));
        let config = FileConfig::parse(&all, &[]).unwrap();
        let fields = [Field::new("id", DataType::Int64, false), Field::new("v", DataType::Utf8, true)];
        let schema: SchemaRef = Arc::new(Schema::new(fields.to_vec()));
        let mut topic = fields.to_vec();
        topic.push(Field::new("_deleted", DataType::Boolean, false));
        let columns = TableColumns { topic: Arc::new(Schema::new(topic)), key: vec![0], required: vec![] };
        TableFiles::open(config, schema, columns, projection).unwrap()
    }

    /// The slices from `start` on, each with the position behind it.
    fn slices(table: TableFiles, start: Position, most: usize) -> Vec<(String, Position)> {
        let mut reader = table.reader(start).unwrap();
        let mut found = Vec::new();
        loop {
            match reader.read(most).unwrap() {
                Read::Rows(slice) => {
                    assert_eq!(slice.end, reader.position());
                    found.push((draw(&[Delta::insert(slice.batch)]), slice.end));
                }
                Read::End => return found,
                Read::Pending => panic!("nothing is followed"),
            }
        }
    }

    #[test]
    fn files_are_read_in_order_from_anywhere_and_again() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.csv"), "id,v\n1,a\n2,b\n").unwrap();
        std::fs::write(dir.path().join("b.csv"), "v,id\n").unwrap();
        std::fs::write(dir.path().join("c.csv"), "v,id\nc,1\nd,3\ne,3\n").unwrap();
        let open = || table(dir.path(), "*.csv", &[], &[0, 1, 2]);
        let whole = slices(open(), Position::default(), 2);
        let text: String = whole.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(text, "+ 1 a false\n+ 2 b false\n+ 1 c false\n+ 3 d false\n+ 3 e false\n");
        for cut in 0..whole.len() {
            assert_eq!(slices(open(), whole[cut].1, 2), whole[cut + 1..], "after slice {cut}");
            // A step that is run again, from the end of the one before it.
            let start = if cut == 0 { Position::default() } else { whole[cut - 1].1 };
            let mut reader = open().reader(start).unwrap();
            let Read::Rows(slice) = reader.read_until(whole[cut].1, 2).unwrap() else { panic!("no rows") };
            assert_eq!((draw(&[Delta::insert(slice.batch)]), slice.end), whole[cut]);
        }
        let last_first = slices(table(dir.path(), "a.csv", &[], &[2, 0]), Position::default(), 9);
        assert_eq!(last_first[0].0, "+ false 1\n+ false 2\n");
    }

    #[test]
    fn changes_of_a_key_in_several_files_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let first = r#"{"op":"c","after":{"id":1,"v":"a"}}"#;
        std::fs::write(dir.path().join("1.jsonl"), first).unwrap();
        let second =
            "{\"op\":\"u\",\"before\":{\"id\":1},\"after\":{\"id\":2,\"v\":\"b\"}}\n{\"op\":\"?\"}\n";
        std::fs::write(dir.path().join("2.jsonl"), second).unwrap();
        let options = [("format", "debezium_json"), ("on_bad", "skip")];
        let found = slices(table(dir.path(), "*.jsonl", &options, &[0, 2]), Position::default(), 1);
        let text: String = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(text, "+ 1 false\n+ 2 false\n+ 1 true\n");
    }

    #[test]
    fn options_say_how_changes_are_told() {
        let parse = |options: &[(&str, &str)]| {
            let options: Vec<_> = options.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            FileConfig::parse(&options, &[]).map(|c| c.changes).map_err(|e| e.message)
        };
        assert!(FILE.options.iter().any(|o| o.name == "op_column"));
        assert_eq!(parse(&[("path", "a.json")]), Ok(Changes::Upserts));
        assert_eq!(parse(&[("path", "a"), ("format", "debezium_json")]), Ok(Changes::Debezium));
        assert_eq!(parse(&[("path", "a.csv"), ("op_column", "op")]), Ok(Changes::Operation("op".into())));
        let wrong = |options: &[(&str, &str)]| parse(options).unwrap_err();
        assert!(
            wrong(&[("path", "a"), ("format", "debezium_json"), ("op_column", "op")]).contains("op_column")
        );
        assert!(wrong(&[("path", "a.parquet"), ("op_column", "op")]).contains("op_column"));
        assert!(wrong(&[("path", "a.csv"), ("op_column", "")]).contains("op_column"));
        assert_eq!(OnBad::default(), OnBad::Fail);
    }
}
