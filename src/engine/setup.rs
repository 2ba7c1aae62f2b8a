//! What a job's sources and sinks are made of; as often as the job is begun.

use super::bounded::ExtraTables;
use super::define::IDLE_TIMEOUT;
use super::insert::upsert_target;
use super::rerun::MakeSink;
use super::session::STDIN;
use super::sources::{Wanted, appender, open_partition, partitions_of, start_of};
use super::{Engine, Result};
use crate::catalog::StreamDef;
use crate::config::parse_duration;
use crate::connectors::{Blackhole, ConnectorError};
use crate::plan::{SharedFlow, SourceSpec};
use crate::runtime::job::SourceSetup;
use crate::runtime::sink::{Sink, TopicSink};
use crate::runtime::upsert_sink::UpsertSink;
use crate::sql::Diagnostic;
use std::sync::Arc;

/// The sources of a dataflow. Without a `producer` no late or bad row is kept: a look at the rows leaves no trace.
pub(super) fn sources(
    engine: &Engine,
    extra: &ExtraTables,
    flow: &SharedFlow,
    producer: Option<u128>,
) -> Result<Vec<SourceSetup>> {
    flow.sources.iter().map(|spec| source(engine, extra, spec, producer)).collect()
}

/// A source of a dataflow.
pub(super) fn source(
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
            .ok_or_else(|| Diagnostic::new(format!("there is no stream \"{topic}\"")))?;
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
    let shape = wanted.shape.clone();
    let once = extra.get(&stream.name).cloned().filter(|_| stream.connector == STDIN);
    let partitions = partitions_of(&engine, &stream)?;
    let starts = (0..partitions).map(|p| start_of(&engine, &stream, p, spec.start));
    let starts = starts.collect::<Result<Vec<_>>>()?;
    let (name, is_topic) = (stream.name.clone(), stream.connector == "topic");
    let idle_timeout = stream.option(IDLE_TIMEOUT).and_then(parse_duration);
    let open = move |partition, position| match &once {
        Some(once) => once.open(),
        None => open_partition(&engine, &stream, &wanted, partition, position, false)
            .map_err(|e| ConnectorError::Other(e.to_string())),
    };
    let open = Box::new(open);
    Ok(SourceSetup { name, partitions, starts, open, is_topic, shape, idle_timeout, bad_topic, late_topic })
}

/// What makes a sink of a query's result into `stream`. `append_only`: of the result; `owns`: nobody else writes it.
pub(super) fn sink(
    engine: &Engine,
    stream: Arc<StreamDef>,
    producer: u128,
    append_only: bool,
    owns: bool,
) -> MakeSink {
    let engine = engine.clone();
    Box::new(move || -> Result<Box<dyn Sink>> {
        Ok(match stream.connector.as_str() {
            "blackhole" => Box::new(Blackhole::default()),
            _ if stream.is_table() => {
                let appender = appender(&engine, &stream, producer)?;
                Box::new(UpsertSink::new(appender, upsert_target(&stream), append_only, owns)?)
            }
            _ => {
                let carries = owns && stream.event_time.as_ref().is_some_and(|e| e.delay.is_none());
                let appender = appender(&engine, &stream, producer)?;
                Box::new(TopicSink::new(appender, stream.schema(), carries, owns))
            }
        })
    })
}
