//! Results as Arrow IPC streams and Parquet files: for other programs, never for a terminal.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// An Arrow IPC stream; each batch is out when it is written.
pub(super) struct ArrowStream(StreamWriter<Vec<u8>>);

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(ArrowStream(StreamWriter::try_new(Vec::new(), schema)?))
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.0.write(batch)?;
        text.append(self.0.get_mut());
        Ok(())
    }

    pub(super) fn finish(&mut self, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.0.finish()?;
        text.append(self.0.get_mut());
        Ok(())
    }
}

/// A Parquet file, which is whole only at its end.
pub(super) struct ParquetFile(Option<ArrowWriter<Vec<u8>>>);

impl ParquetFile {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(external)?;
        Ok(ParquetFile(Some(writer)))
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        if let Some(writer) = &mut self.0 {
            writer.write(batch).map_err(external)?;
            text.append(writer.inner_mut());
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        if let Some(writer) = self.0.take() {
            text.append(&mut writer.into_inner().map_err(external)?);
        }
        Ok(())
    }
}

fn external(error: ParquetError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}
