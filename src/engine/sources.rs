//! From a stream's definition to readers of its partitions.

use super::bounded::ExtraTables;
use super::{Engine, EngineError, Result};
use crate::catalog::StreamDef;
use crate::config::parse_duration;
use crate::connectors::topic::{TopicAppender, TopicColumn, TopicReader};
use crate::connectors::{
    ConnectorError, FileConfig, FileSource, NexmarkConfig, OptionError, PartitionReader, Position, TableFiles,
};
use crate::formats::TableColumns;
use crate::log::Start;
use crate::operators::late::LateRule;
use crate::plan::stream::metadata_fields;
use crate::plan::{SharedFlow, SourceSpec};
use crate::runtime::feed::FeedShape;
use crate::runtime::job::SourceSetup;
use crate::sql::Code;
use crate::sql::{Diagnostic, StartAt};
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
    /// For `columns` (declared, then metadata, or for a table the one that tells tombstones), with the event time beside them if marks are needed.
    pub(super) fn new(stream: &StreamDef, columns: &[usize], marks: bool) -> Result<Self> {
        Wanted::with_late(stream, columns, marks, None)
    }

    /// The same; with `late_rule`, all declared columns are read, so that late rows can be kept whole.
    pub(super) fn with_late(
        stream: &StreamDef,
        columns: &[usize],
        marks: bool,
        late_rule: Option<LateRule>,
    ) -> Result<Self> {
        let declared = stream.columns.len();
        if stream.connector != "topic" && !stream.is_table() && columns.iter().any(|c| *c >= declared) {
            let d = Diagnostic::coded(
                Code::Start,
                format!(
                    "only streams in topics have _partition, _offset and _timestamp; \"{}\" is a {}",
                    stream.name, stream.connector
                ),
            );
            return Err(d.into());
        }
        let time = stream.event_time_index().filter(|_| marks);
        let mut read: Vec<usize> = columns.to_vec();
        read.extend(time);
        // Standard input is opened once, before it is known what of it is wanted.
        if late_rule.is_some() || stream.connector == super::session::STDIN {
            read.extend(0..declared);
        }
        read.sort_unstable();
        read.dedup();
        let place = |column: usize| read.iter().position(|c| *c == column);
        let keep = columns.iter().filter_map(|c| place(*c)).collect();
        let mut fields = stream.topic_schema().fields().to_vec();
        if !stream.is_table() {
            fields.extend(metadata_fields().map(Arc::new));
        }
        let all = Schema::new(fields);
        let schema = Arc::new(all.project(&read)?);
        let delay = stream.event_time.as_ref().and_then(|e| e.delay);
        // With late rows kept, the declared columns are read first and in order, so the rule's column index holds.
        let shape = FeedShape { keep, time: time.and_then(place).map(|t| (t, delay)), late_rule };
        Ok(Wanted { read, schema, shape })
    }
}

/// How many partitions a stream has.
pub(super) fn partitions_of(engine: &Engine, stream: &StreamDef) -> Result<usize> {
    Ok(match stream.connector.as_str() {
        "topic" => engine.0.log.topic(&stream.name)?.partitions() as usize,
        // The changes of a key may be spread over files.
        "file" if stream.is_table() => 1,
        "file" => file_source(stream, None)?.partitions().len(),
        "nexmark" => nexmark(stream)?.partitions(),
        // Standard input.
        _ => 1,
    })
}

/// Where a partition of a stream begins that is read from `start` on.
pub(super) fn start_of(
    engine: &Engine,
    stream: &StreamDef,
    partition: usize,
    start: StartAt,
) -> Result<Position> {
    let start = match start {
        StartAt::Earliest => return Ok(Position::default()),
        StartAt::Latest => Start::Latest,
        StartAt::Offset(offset) => Start::Offset(offset),
        StartAt::Time(ns) => Start::Time(ns),
    };
    let offset = engine.0.log.topic(&stream.name)?.offset_of(partition as u32, start)?;
    Ok(Position { offset, line: 0 })
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
            let stored = topic.schema().fields().len();
            let columns = wanted.read.iter().map(|c| match c.checked_sub(stored) {
                None => TopicColumn::Data(*c),
                Some(0) => TopicColumn::Partition,
                Some(1) => TopicColumn::Offset,
                Some(_) => TopicColumn::Timestamp,
            });
            let p = partition as u32;
            let until = if bounded { Some(topic.end_offset(p)?) } else { None };
            // Who has read some of it goes on there, or is told that the rows have gone; who has not begins at the start.
            let start = if start.offset == 0 { topic.start_offset(p)? } else { start.offset };
            Ok(Box::new(TopicReader::new(&topic, p, columns.collect(), wanted.schema.clone(), start, until)?))
        }
        "file" if stream.is_table() => Ok(table_files(stream, &wanted.read)?.reader(start)?),
        "file" => Ok(file_source(stream, Some(wanted.read.clone()))?.reader(partition, start)?),
        "nexmark" => {
            let clock = (!bounded).then(|| engine.0.clock.clone());
            Ok(nexmark(stream)?.reader(wanted.schema.clone(), partition, start, clock)?)
        }
        other => Err(Diagnostic::new(format!("rows of a '{other}' stream cannot be read")).into()),
    }
}

/// The sources of a dataflow. Without a `producer` no late or bad row is kept: a look at the rows leaves no trace.
pub(super) fn setups(
    engine: &Engine,
    extra: &ExtraTables,
    flow: &SharedFlow,
    producer: Option<u128>,
) -> Result<Vec<SourceSetup>> {
    flow.sources.iter().map(|spec| setup(engine, extra, spec, producer)).collect()
}

fn setup(
    engine: &Engine,
    extra: &ExtraTables,
    spec: &SourceSpec,
    producer: Option<u128>,
) -> Result<SourceSetup> {
    let stream = spec.stream.clone();
    let engine = engine.clone();
    let wanted = Wanted::with_late(&stream, &spec.columns, true, spec.late_rule.clone())?;
    let definitions = engine.definitions()?;
    let side = |topic: &str| -> Result<_> {
        let Some(producer) = producer else { return Ok(None) };
        let stream = definitions
            .streams
            .get(topic)
            .ok_or_else(|| Diagnostic::coded(Code::NoRelation, format!("there is no stream \"{topic}\"")))?;
        appender(&engine, stream, producer).map(Some)
    };
    let bad_topic = match stream.option("on_bad") {
        Some("topic") => side(&format!("{}_bad", stream.name))?,
        _ => None,
    };
    let late_topic = match (&spec.late_rule, stream.option("late_topic")) {
        (Some(_), Some(topic)) => side(topic)?,
        _ => None,
    };
    let shape: FeedShape = wanted.shape.clone();
    let once = extra.get(&stream.name).cloned().filter(|_| stream.connector == super::session::STDIN);
    let partitions = partitions_of(&engine, &stream)?;
    let starts = (0..partitions).map(|p| start_of(&engine, &stream, p, spec.start));
    let starts = starts.collect::<Result<Vec<_>>>()?;
    let (name, is_topic) = (stream.name.clone(), stream.connector == "topic");
    let idle_timeout = stream.option(super::define::IDLE_TIMEOUT).and_then(parse_duration);
    let open = move |partition, position| match &once {
        Some(once) => once.open(),
        None => open_partition(&engine, &stream, &wanted, partition, position, false).map_err(|e| match e {
            EngineError::Connector(e) => e,
            EngineError::Log(e) => e.into(),
            e => ConnectorError::Other(e.to_string()),
        }),
    };
    let open = Box::new(open);
    Ok(SourceSetup { name, partitions, starts, open, is_topic, shape, idle_timeout, bad_topic, late_topic })
}

fn file_source(stream: &StreamDef, read: Option<Vec<usize>>) -> Result<FileSource> {
    let config =
        FileConfig::parse(&stream.options, super::define::COMMON_OPTIONS).map_err(option_diagnostic)?;
    Ok(FileSource::open(config, stream.schema(), read)?)
}

fn nexmark(stream: &StreamDef) -> Result<NexmarkConfig> {
    Ok(NexmarkConfig::parse(&stream.options, super::define::COMMON_OPTIONS).map_err(option_diagnostic)?)
}

fn table_files(stream: &StreamDef, read: &[usize]) -> Result<TableFiles> {
    let config =
        FileConfig::parse(&stream.options, super::define::COMMON_OPTIONS).map_err(option_diagnostic)?;
    let key = stream.key_indices().unwrap_or_default();
    let required = (0..stream.columns.len()).filter(|i| !stream.columns[*i].nullable && !key.contains(i));
    let columns = TableColumns { topic: stream.topic_schema(), required: required.collect(), key };
    Ok(TableFiles::open(config, stream.schema(), columns, read)?)
}

/// An option's mistake as a diagnostic (without a place).
pub(super) fn option_diagnostic(error: OptionError) -> Diagnostic {
    let code = if error.message.contains(" has no option ") { Code::NoOption } else { Code::OptionValue };
    let mut d = Diagnostic::coded(code, error.message);
    d.help = error.help;
    d
}

/// An appender to the topic of a stream for `producer`.
pub(super) fn appender(engine: &Engine, stream: &StreamDef, producer: u128) -> Result<TopicAppender> {
    let topic = engine.0.log.topic(&stream.name)?;
    let option = stream.option("key").and_then(|key| stream.columns.iter().position(|c| c.name == key));
    let key = stream.key_indices().or(option.map(|key| vec![key]));
    Ok(TopicAppender::new(&topic, key, stream.event_time_index(), producer)?)
}
