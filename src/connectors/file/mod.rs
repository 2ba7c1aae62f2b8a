//! Files of JSON lines, CSV or Parquet on this machine.
//!
//! ```sql
//! CREATE STREAM departures (flight_id VARCHAR, event_time TIMESTAMP, dep_delay_min DOUBLE)
//! WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz')
//! ```
//!
//! Options: see [`FILE`]. Each file is a partition, in the order of their paths; a pattern is resolved
//! when the source is opened. Delivery: a file can be read again from any position, and gives the
//! same rows in the same slices as long as it is not changed (other than by growing, for
//! `follow = true`), so what is read from it counts exactly once. An offset is a byte of the
//! decompressed text between two records, or a row of a Parquet file; going to one in a compressed
//! file means decompressing what is before it.

mod parquet;
mod table;
mod write;

pub use self::table::TableFiles;
pub use self::write::FileWriter;

use std::path::Path;

use arrow::datatypes::SchemaRef;

use self::parquet::{ParquetReader, parquet_schema};
use super::options::{ConnectorInfo, OptionError, OptionInfo, check_options};
use super::source::{Compression, Fill, open};
use super::text::{TextOptions, TextReader};
use super::{ConnectorError, OnBad, PartitionReader, Position};
use crate::formats::{Changes, CsvOptions, Format, SAMPLE_RECORDS, TableColumns, infer};

/// What `WITH (connector = 'file')` offers.
pub const FILE: ConnectorInfo = ConnectorInfo {
    name: "file",
    help: "reads files of JSON lines, CSV or Parquet",
    options: &[
        OptionInfo { name: "path", default: None, help: "a file, or a pattern such as 'data/*.jsonl.gz'" },
        OptionInfo {
            name: "format",
            default: Some("by extension"),
            help: "json, csv, parquet, or debezium_json (changes of a table)",
        },
        OptionInfo {
            name: "compression",
            default: Some("by extension"),
            help: "none, gzip (.gz) or zstd (.zst), for JSON and CSV",
        },
        OptionInfo {
            name: "follow",
            default: Some("false"),
            help: "true: wait at the end of the file for lines that are added; plain JSON and CSV only",
        },
        OptionInfo {
            name: "on_bad",
            default: Some("fail"),
            help: "a record that does not fit the columns: fail, skip, or topic (kept in <stream>_bad)",
        },
        OptionInfo {
            name: "op_column",
            default: Some(""),
            help: "tables: the field of a JSON or CSV record that tells what it does (c r u i +I +U; d -D -U)",
        },
        OptionInfo {
            name: "delimiter",
            default: Some(", (tab for .tsv)"),
            help: "CSV: the character between fields; 'tab' for a tab",
        },
        OptionInfo {
            name: "header",
            default: Some("true"),
            help: "CSV: whether the first record names the columns",
        },
    ],
};

/// Enough text to infer columns from, in bytes, where records are long.
const SAMPLE_BYTES: usize = 8 << 20;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Text records.
    Text(Format),
    /// Apache Parquet.
    Parquet,
}

/// The options of a file stream, checked. Says nothing yet about whether there are such files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// A path or pattern, relative to the working directory.
    pub path: String,
    /// What the files hold.
    pub format: FileFormat,
    /// Whether to wait for more at the end of a file.
    pub follow: bool,
    /// What becomes of a record that does not fit.
    pub on_bad: OnBad,
    /// How the records tell changes of a table.
    pub changes: Changes,
    /// `None` = by each file's extension.
    compression: Option<Compression>,
}

impl FileConfig {
    /// The configuration that `options` state. `extra` are options that are known but not ours
    /// (`connector`, say). Fails for the first option that is unknown, missing, or has a value that
    /// it cannot have.
    pub fn parse(options: &[(String, String)], extra: &[OptionInfo]) -> Result<FileConfig, OptionError> {
        check_options(&FILE, options, extra)?;
        let given = |name: &str| options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let path = given("path").unwrap_or_default();
        if path.is_empty() {
            return Err(OptionError::new("path", "the path is empty", "name a file or a pattern"));
        }
        let compression = compression_named(given("compression"))?;
        let format = format_named(path, given("format"), given("delimiter"), given("header"))?;
        let changes = changes_named(format, given("format"), given("op_column"))?;
        let follow = boolean("follow", given("follow"), false)?;
        let on_bad = match given("on_bad") {
            None | Some("fail") => OnBad::Fail,
            Some("skip") => OnBad::Skip,
            Some("topic") => OnBad::Topic,
            Some(other) => return Err(OptionError::value("on_bad", other, "'fail', 'skip' or 'topic'")),
        };
        let packed = compression.unwrap_or_else(|| by_extension(path).1) != Compression::None;
        if follow && (packed || format == FileFormat::Parquet) {
            return Err(OptionError::new(
                "follow",
                "only plain JSON and CSV files can be followed",
                "leave 'follow' out, or name a file that is not compressed",
            ));
        }
        if format == FileFormat::Parquet && given("compression").is_some() {
            let message = "a Parquet file says itself how it is compressed";
            return Err(OptionError::new("compression", message, "leave 'compression' out"));
        }
        Ok(FileConfig { path: path.to_owned(), format, follow, on_bad, changes, compression })
    }

    /// Columns from the first records of the first file that has any, or from a Parquet file's own
    /// schema. Fails where there is no such file, or nothing to see in it.
    pub fn infer_schema(&self) -> Result<SchemaRef, ConnectorError> {
        if self.changes == Changes::Debezium {
            let message = "the columns of debezium_json cannot be inferred: declare them";
            return Err(ConnectorError::Other(message.into()));
        }
        let mut empty = None;
        for path in files(&self.path)? {
            let FileFormat::Text(format) = self.format else { return parquet_schema(&path) };
            let (sample, ended) = sample(&path, self.compression_of(&path))?;
            match infer(format, &sample, ended) {
                Ok(schema) => return Ok(schema),
                Err(source) => {
                    let blank = sample.trim_ascii().is_empty();
                    let error = ConnectorError::Format { origin: path, source };
                    if !blank {
                        return Err(error);
                    }
                    empty = empty.or(Some(error));
                }
            }
        }
        Err(empty.unwrap_or_else(|| nothing_at(&self.path, "no file matches")))
    }

    fn compression_of(&self, path: &str) -> Compression {
        self.compression.unwrap_or_else(|| by_extension(path).1)
    }
}

/// The format of Debezium's change records.
const DEBEZIUM: &str = "debezium_json";

fn changes_named(
    format: FileFormat,
    named: Option<&str>,
    operation: Option<&str>,
) -> Result<Changes, OptionError> {
    let debezium = matches!(named, Some(DEBEZIUM | "debezium-json"));
    let wrong = |message: &str, help: &str| Err(OptionError::new("op_column", message, help));
    match operation {
        None if debezium => Ok(Changes::Debezium),
        None => Ok(Changes::Upserts),
        Some("") => wrong("'op_column' names no column", "write op_column = 'op'"),
        Some(_) if debezium => {
            wrong("debezium_json tells the operation itself, not in an op_column", "leave 'op_column' out")
        }
        Some(_) if format == FileFormat::Parquet => {
            wrong("'op_column' is an option of JSON and CSV, and the format is not", "leave 'op_column' out")
        }
        Some(column) => Ok(Changes::Operation(column.to_owned())),
    }
}

fn boolean(option: &str, given: Option<&str>, default: bool) -> Result<bool, OptionError> {
    match given {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(OptionError::value(option, other, "true or false")),
    }
}

fn compression_named(given: Option<&str>) -> Result<Option<Compression>, OptionError> {
    Ok(match given {
        None => None,
        Some("none") => Some(Compression::None),
        Some("gzip" | "gz") => Some(Compression::Gzip),
        Some("zstd" | "zst") => Some(Compression::Zstd),
        Some(other) => return Err(OptionError::value("compression", other, "'none', 'gzip' or 'zstd'")),
    })
}

fn format_named(
    path: &str,
    format: Option<&str>,
    delimiter: Option<&str>,
    header: Option<&str>,
) -> Result<FileFormat, OptionError> {
    let (extension, _) = by_extension(path);
    let csv = |default| csv_options(default, delimiter, header).map(|csv| FileFormat::Text(Format::Csv(csv)));
    let tab_or_comma = if extension == "tsv" { b'\t' } else { b',' };
    let format = match (format, extension.as_str()) {
        (Some("csv"), _) => return csv(tab_or_comma),
        (None, "csv" | "tsv") => return csv(tab_or_comma),
        (Some("json" | DEBEZIUM | "debezium-json"), _) | (None, "json" | "jsonl" | "ndjson") => {
            FileFormat::Text(Format::Json)
        }
        (Some("parquet"), _) | (None, "parquet" | "pq") => FileFormat::Parquet,
        (Some(other), _) => {
            return Err(OptionError::value("format", other, "'json', 'csv', 'parquet' or 'debezium_json'"));
        }
        (None, _) => {
            let message = format!("the name '{path}' does not tell the format");
            return Err(OptionError::new("path", message, "add format = 'json', 'csv' or 'parquet'"));
        }
    };
    let for_csv = [("delimiter", delimiter), ("header", header)];
    match for_csv.into_iter().find(|(_, given)| given.is_some()) {
        Some((option, _)) => {
            let message = format!("'{option}' is an option of CSV, and the format is not");
            Err(OptionError::new(option, message, format!("leave '{option}' out, or add format = 'csv'")))
        }
        None => Ok(format),
    }
}

fn csv_options(
    default: u8,
    delimiter: Option<&str>,
    header: Option<&str>,
) -> Result<CsvOptions, OptionError> {
    let delimiter = match delimiter.map(str::as_bytes) {
        None => default,
        Some(b"tab" | b"\\t") => b'\t',
        Some([byte @ (b'\t' | b' '..=b'~')]) if *byte != b'"' => *byte,
        Some(_) => {
            let expected = "one ASCII character that is no quote, or 'tab'";
            return Err(OptionError::value("delimiter", delimiter.unwrap_or_default(), expected));
        }
    };
    Ok(CsvOptions { delimiter, header: boolean("header", header, true)? })
}

/// The extension before that of the compression, in lower case, and the compression.
fn by_extension(path: &str) -> (String, Compression) {
    let path = path.to_lowercase();
    let (name, compression) = if let Some(name) = path.strip_suffix(".gz") {
        (name, Compression::Gzip)
    } else if let Some(name) = path.strip_suffix(".zst") {
        (name, Compression::Zstd)
    } else {
        (path.as_str(), Compression::None)
    };
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    (extension.unwrap_or_default().to_owned(), compression)
}

/// The files that `path` means, in order: itself, or those that it matches as a pattern.
fn files(path: &str) -> Result<Vec<String>, ConnectorError> {
    if Path::new(path).exists() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.contains(['*', '?', '[']) {
        return Err(nothing_at(path, "there is no file"));
    }
    let matches = glob::glob(path)
        .map_err(|error| ConnectorError::Other(format!("'{path}' is not a pattern: {}", error.msg)))?;
    let mut found = Vec::new();
    for entry in matches {
        let entry = entry.map_err(|error| ConnectorError::Io {
            path: error.path().to_string_lossy().into_owned(),
            source: error.into(),
        })?;
        if !entry.is_dir() {
            let name = entry.to_str().ok_or_else(|| {
                ConnectorError::Other(format!("the name of {} is not UTF-8", entry.to_string_lossy()))
            })?;
            found.push(name.to_owned());
        }
    }
    if found.is_empty() {
        return Err(nothing_at(path, "no file matches"));
    }
    found.sort();
    Ok(found)
}

fn nothing_at(path: &str, what: &str) -> ConnectorError {
    let looked = match std::env::current_dir() {
        Ok(directory) if Path::new(path).is_relative() => format!(" (looked in {})", directory.display()),
        _ => String::new(),
    };
    ConnectorError::Other(format!("{what} '{path}'{looked}"))
}

/// The beginning of a file's text, and whether that is all of it.
fn sample(path: &str, compression: Compression) -> Result<(Vec<u8>, bool), ConnectorError> {
    let mut source = open(path, compression, false)?;
    let mut text = Vec::new();
    loop {
        match source.fill(&mut text) {
            Ok(Fill::Some) => {}
            Ok(Fill::Pending | Fill::End) => return Ok((text, true)),
            Err(error) if text.is_empty() => return Err(error),
            // What precedes the damage is a sample as well.
            Err(_) => return Ok((text, false)),
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        if lines > SAMPLE_RECORDS || text.len() >= SAMPLE_BYTES {
            return Ok((text, false));
        }
    }
}

/// Files opened as a source: the partitions are known, each can be read from any position.
#[derive(Debug, Clone)]
pub struct FileSource {
    config: FileConfig,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    delivered: SchemaRef,
    paths: Vec<String>,
    /// A table's columns, if the records are changes of one.
    columns: Option<TableColumns>,
}

impl FileSource {
    /// Finds the files and checks that they can be read into `schema`, the declared columns.
    /// `projection`: which of those are delivered, by index (`None` = all). What is a bad record does
    /// not depend on it. Fails where no file is found, one cannot be opened, a column has a type that
    /// the format does not know, or a Parquet file's columns do not fit.
    pub fn open(
        config: FileConfig,
        schema: SchemaRef,
        projection: Option<Vec<usize>>,
    ) -> Result<FileSource, ConnectorError> {
        FileSource::open_with(config, schema, projection, None)
    }

    /// The same for records that are changes of a table with these columns; `projection` is of its topic's.
    fn open_changes(
        config: FileConfig,
        schema: SchemaRef,
        columns: TableColumns,
        projection: Vec<usize>,
    ) -> Result<FileSource, ConnectorError> {
        FileSource::open_with(config, schema, Some(projection), Some(columns))
    }

    fn open_with(
        config: FileConfig,
        schema: SchemaRef,
        projection: Option<Vec<usize>>,
        columns: Option<TableColumns>,
    ) -> Result<FileSource, ConnectorError> {
        let paths = files(&config.path)?;
        let origin = || config.path.clone();
        let format_error = |source| ConnectorError::Format { origin: origin(), source };
        let whole = columns.as_ref().map_or(&schema, |columns| &columns.topic);
        let delivered = match &projection {
            Some(columns) => whole.project(columns).map(Into::into).map_err(|e| format_error(e.into()))?,
            None => whole.clone(),
        };
        let source = FileSource { config: config.clone(), schema, projection, delivered, paths, columns };
        let FileSource { schema, projection, paths, .. } = &source;
        match config.format {
            FileFormat::Text(format) => {
                source.text_options(format).decoder().map_err(format_error)?;
                for path in paths {
                    open(path, config.compression_of(path), config.follow)?;
                }
            }
            FileFormat::Parquet => {
                for path in paths {
                    ParquetReader::open(
                        path,
                        schema,
                        projection.as_deref(),
                        config.on_bad,
                        Position::default(),
                    )?;
                }
            }
        }
        Ok(source)
    }

    fn text_options(&self, format: Format) -> TextOptions {
        TextOptions {
            format,
            schema: self.schema.clone(),
            projection: self.projection.clone(),
            on_bad: self.config.on_bad,
            changes: self.columns.clone().map(|columns| (self.config.changes.clone(), columns)),
        }
    }

    /// The partitions' names: the files' paths, in order.
    pub fn partitions(&self) -> &[String] {
        &self.paths
    }

    /// The columns that readers deliver.
    pub fn schema(&self) -> SchemaRef {
        self.delivered.clone()
    }

    /// A reader of one partition from `start` on ([`Position::default`] = the beginning, else an end
    /// that a reader gave). Fails for a CSV header that does not go with the declared columns, and
    /// where the file is gone or shorter than `start`.
    pub fn reader(
        &self,
        partition: usize,
        start: Position,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let Some(path) = self.paths.get(partition) else {
            let count = self.paths.len();
            return Err(ConnectorError::Other(format!(
                "there is no partition {partition}: files are {count}"
            )));
        };
        match self.config.format {
            FileFormat::Text(format) => {
                let source = open(path, self.config.compression_of(path), self.config.follow)?;
                Ok(Box::new(TextReader::open(path.clone(), source, self.text_options(format), start)?))
            }
            FileFormat::Parquet => Ok(Box::new(ParquetReader::open(
                path,
                &self.schema,
                self.projection.as_deref(),
                self.config.on_bad,
                start,
            )?)),
        }
    }
}
