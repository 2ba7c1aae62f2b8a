//! From a stream's definition to readers of its partitions.

use super::{Engine, Result};
use crate::catalog::StreamDef;
use crate::connectors::topic::{TopicAppender, TopicColumn, TopicReader};
use crate::connectors::{FileConfig, FileSource, NexmarkConfig, OptionError, PartitionReader, Position};
use crate::operators::window::WindowSpec;
use crate::plan::stream::metadata_fields;
use crate::runtime::feed::FeedShape;
use crate::sql::Diagnostic;
use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;

/// What is read of a stream to deliver certain columns.
pub(super) struct Wanted {
    /// The columns read: indices into the declared columns followed by the metadata columns.
    pub(super) read: Vec<usize>,
    /// The columns read.
    pub(super) schema: SchemaRef,
    /// How what is read becomes what is wanted.
    pub(super) shape: FeedShape,
}

impl Wanted {
    /// For `columns` (declared, then metadata), with the event time beside them if marks are needed.
    pub(super) fn new(stream: &StreamDef, columns: &[usize], marks: bool) -> Result<Self> {
        Wanted::with_late(stream, columns, marks, None)
    }

    /// The same; with `late_window`, all declared columns are read, so that late rows can be kept whole.
    pub(super) fn with_late(
        stream: &StreamDef,
        columns: &[usize],
        marks: bool,
        late_window: Option<WindowSpec>,
    ) -> Result<Self> {
        let declared = stream.columns.len();
        if stream.connector != "topic" && columns.iter().any(|c| *c >= declared) {
            let d = Diagnostic::new(format!(
                "only streams in topics have _partition, _offset and _timestamp; \"{}\" is a {}",
                stream.name, stream.connector
            ));
            return Err(d.into());
        }
        let time = stream.event_time_index().filter(|_| marks);
        let mut read: Vec<usize> = columns.to_vec();
        read.extend(time);
        // Standard input is opened once, before it is known what of it is wanted.
        if late_window.is_some() || stream.connector == super::session::STDIN {
            read.extend(0..declared);
        }
        read.sort_unstable();
        read.dedup();
        let place = |column: usize| read.iter().position(|c| *c == column);
        let keep = columns.iter().filter_map(|c| place(*c)).collect();
        let mut fields = stream.schema().fields().to_vec();
        fields.extend(metadata_fields().map(Arc::new));
        let all = Schema::new(fields);
        let schema = Arc::new(all.project(&read)?);
        let delay = stream.event_time.as_ref().and_then(|e| e.delay);
        // With late rows kept, the declared columns are read first and in order, so the window's column index holds.
        let shape = FeedShape { keep, time: time.and_then(place).map(|t| (t, delay)), late_window };
        Ok(Wanted { read, schema, shape })
    }
}

/// How many partitions a stream has.
pub(super) fn partitions_of(engine: &Engine, stream: &StreamDef) -> Result<usize> {
    Ok(match stream.connector.as_str() {
        "topic" => engine.0.log.topic(&stream.name)?.partitions() as usize,
        "file" => file_source(stream, None)?.partitions().len(),
        "nexmark" => nexmark(stream)?.partitions(),
        // Standard input.
        _ => 1,
    })
}

/// Opens a partition from a position; with `bounded`, it ends where the topic ends now.
pub(super) fn open_partition(
    engine: &Engine,
    stream: &StreamDef,
    wanted: &Wanted,
    partition: usize,
    start: Position,
    bounded: bool,
) -> Result<Box<dyn PartitionReader>> {
    match stream.connector.as_str() {
        "topic" => {
            let topic = engine.0.log.topic(&stream.name)?;
            let declared = stream.columns.len();
            let columns = wanted.read.iter().map(|c| match c.checked_sub(declared) {
                None => TopicColumn::Data(*c),
                Some(0) => TopicColumn::Partition,
                Some(1) => TopicColumn::Offset,
                Some(_) => TopicColumn::Timestamp,
            });
            let p = partition as u32;
            let until = if bounded { Some(topic.end_offset(p)?) } else { None };
            let start = start.offset.max(topic.start_offset(p)?);
            Ok(Box::new(TopicReader::new(&topic, p, columns.collect(), wanted.schema.clone(), start, until)?))
        }
        "file" => Ok(file_source(stream, Some(wanted.read.clone()))?.reader(partition, start)?),
        "nexmark" => {
            let clock = (!bounded).then(|| engine.0.clock.clone());
            Ok(nexmark(stream)?.reader(wanted.schema.clone(), partition, start, clock)?)
        }
        other => Err(Diagnostic::new(format!("rows of a '{other}' stream cannot be read")).into()),
    }
}

fn file_source(stream: &StreamDef, read: Option<Vec<usize>>) -> Result<FileSource> {
    let config =
        FileConfig::parse(&stream.options, super::define::COMMON_OPTIONS).map_err(option_diagnostic)?;
    Ok(FileSource::open(config, stream.schema(), read)?)
}

fn nexmark(stream: &StreamDef) -> Result<NexmarkConfig> {
    Ok(NexmarkConfig::parse(&stream.options, super::define::COMMON_OPTIONS).map_err(option_diagnostic)?)
}

/// An option's mistake as a diagnostic (without a place).
pub(super) fn option_diagnostic(error: OptionError) -> Diagnostic {
    let mut d = Diagnostic::new(error.message);
    d.help = error.help;
    d
}

/// An appender to the topic of a stream for `producer`.
pub(super) fn appender(engine: &Engine, stream: &StreamDef, producer: u128) -> Result<TopicAppender> {
    let topic = engine.0.log.topic(&stream.name)?;
    let key = stream.option("key").and_then(|key| stream.columns.iter().position(|c| c.name == key));
    Ok(TopicAppender::new(&topic, key, stream.event_time_index(), producer)?)
}
