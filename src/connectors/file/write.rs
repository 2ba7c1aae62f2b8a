//! Rows into a file that others read: Parquet or Arrow IPC, by its ending.
//!
//! The file is written beside its place, under its name and `.tmp`, and renamed when it is whole. Memory is bounded by a row
//! group.

use crate::connectors::ConnectorError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter as IpcWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Bytes of a row group, about: then it is written out.
const GROUP_BYTES: usize = 64 << 20;
/// Rows of a row group, at most.
const GROUP_ROWS: usize = 1 << 20;

/// Writes one file. If it is dropped before it is finished, nothing is left.
pub struct FileWriter {
    /// `None` once it is finished.
    out: Option<Out>,
    path: PathBuf,
    beside: PathBuf,
}

enum Out {
    Parquet(Box<ArrowWriter<File>>),
    Arrow(Box<IpcWriter<BufWriter<File>>>),
}

impl FileWriter {
    /// A writer of rows of `schema` into the file at `path`. Fails for an ending that is neither `.parquet` nor
    /// `.arrow`, and where no file can be made.
    pub fn create(path: &Path, schema: SchemaRef) -> Result<Self, ConnectorError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let parquet = match ending.as_deref() {
            Some("parquet") => true,
            Some("arrow") => false,
            _ => {
                return Err(ConnectorError::Other(format!(
                    "{}: the file's ending says the format: .parquet or .arrow",
                    path.display()
                )));
            }
        };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).map_err(|e| io(path, e))?;
        // From here on it is removed whatever fails.
        let mut writer = FileWriter { out: None, path: path.to_owned(), beside };
        let out = if parquet {
            let level = ZstdLevel::try_new(3).map_err(|e| writer.failed(&e))?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_max_row_group_row_count(Some(GROUP_ROWS))
                .build();
            let parquet = ArrowWriter::try_new(file, schema, Some(properties));
            Out::Parquet(Box::new(parquet.map_err(|e| writer.failed(&e))?))
        } else {
            let arrow = IpcWriter::try_new(BufWriter::new(file), &schema);
            Out::Arrow(Box::new(arrow.map_err(|e| writer.failed(&e))?))
        };
        writer.out = Some(out);
        Ok(writer)
    }

    /// Writes rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ConnectorError> {
        let written = match &mut self.out {
            Some(Out::Parquet(out)) => out
                .write(batch)
                .and_then(|()| if out.in_progress_size() >= GROUP_BYTES { out.flush() } else { Ok(()) }),
            Some(Out::Arrow(out)) => out.write(batch).map_err(Into::into),
            None => Ok(()),
        };
        written.map_err(|e| self.failed(&e))
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<(), ConnectorError> {
        let file = match self.out.take() {
            Some(Out::Parquet(out)) => out.into_inner().map_err(|e| self.failed(&e))?,
            Some(Out::Arrow(out)) => {
                let buffered = out.into_inner().map_err(|e| self.failed(&e))?;
                buffered.into_inner().map_err(|e| io(&self.path, e.into_error()))?
            }
            None => return Ok(()),
        };
        let named = file.sync_all().and_then(|()| std::fs::rename(&self.beside, &self.path));
        named.map_err(|e| io(&self.path, e))
    }

    fn failed(&self, error: &impl std::fmt::Display) -> ConnectorError {
        ConnectorError::Other(format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // After a rename there is no such file any more.
        let _ = std::fs::remove_file(&self.beside);
    }
}

fn io(path: &Path, source: std::io::Error) -> ConnectorError {
    ConnectorError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let column = Int64Array::from(vec![Some(1), None, Some(3)]);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap();
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        for ending in ["parquet", "arrow"] {
            let path = dir.path().join(format!("rows.{ending}"));
            let mut writer = FileWriter::create(&path, schema.clone()).unwrap();
            writer.write(&batch).unwrap();
            drop(writer);
            assert_eq!(names(), 0, "one that was not finished leaves nothing");
            let mut writer = FileWriter::create(&path, schema.clone()).unwrap();
            writer.write(&batch).unwrap();
            writer.write(&batch).unwrap();
            assert!(!path.exists());
            writer.finish().unwrap();
            assert_eq!(names(), 1);
            let file = File::open(&path).unwrap();
            let rows: usize = match ending {
                "arrow" => {
                    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
                    reader.map(|batch| batch.unwrap().num_rows()).sum()
                }
                _ => {
                    let builder =
                        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
                    builder.unwrap().build().unwrap().map(|batch| batch.unwrap().num_rows()).sum()
                }
            };
            assert_eq!(rows, 6);
            std::fs::remove_file(path).unwrap();
        }
        for wrong in ["rows.csv", "rows", "no/such/dir/rows.parquet"] {
            assert!(FileWriter::create(&dir.path().join(wrong), schema.clone()).is_err(), "{wrong}");
        }
    }
}
