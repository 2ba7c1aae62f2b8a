//! SHOW, DESCRIBE and EXPLAIN: small tables about what there is.

use super::{Engine, Result};
use crate::catalog::StreamDef;
use crate::config::Settings;
use crate::delta::shown_type;
use crate::operators::window::length;
use crate::plan::Dataflow;
use crate::plan::explain::explain;
use crate::sql::Code;
use crate::sql::{Diagnostic, Name, ObjectKind};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// A small result: all rows at once.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The rows.
    pub batch: RecordBatch,
    /// They are sentences, one a row: on a terminal they are printed as such.
    pub prose: bool,
}

impl Rows {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// A table.
    pub(super) fn of(batch: RecordBatch) -> Rows {
        Rows { batch, prose: false }
    }

    /// Sentences, in a column of this name.
    pub(super) fn of_sentences(column: &str, sentences: Vec<String>) -> Result<Rows> {
        let rows: Vec<[String; 1]> = sentences.into_iter().map(|s| [s]).collect();
        Ok(Rows { prose: true, ..Rows::of_text([column], &rows)? })
    }

    /// The rows as they are drawn for people: a cell of text without a value is blank.
    pub fn drawn(&self) -> RecordBatch {
        let blank = |column: &ArrayRef| -> ArrayRef {
            match column.as_string_opt::<i32>() {
                Some(text) if text.null_count() > 0 => {
                    Arc::new(text.iter().map(|cell| Some(cell.unwrap_or_default())).collect::<StringArray>())
                }
                _ => column.clone(),
            }
        };
        let columns = self.batch.columns().iter().map(blank).collect();
        RecordBatch::try_new(self.batch.schema(), columns).unwrap_or_else(|_| self.batch.clone())
    }

    /// The sentences, if it is made of these.
    pub fn sentences(&self) -> Option<Vec<&str>> {
        let column = self.batch.columns().first().filter(|_| self.prose)?;
        Some(column.as_string_opt::<i32>()?.iter().flatten().collect())
    }

    /// A table of text; empty cells are null.
    pub(super) fn of_text<const N: usize>(columns: [&str; N], rows: &[[String; N]]) -> Result<Rows> {
        let fields: Vec<Field> = columns.iter().map(|c| Field::new(*c, DataType::Utf8, true)).collect();
        let arrays = (0..N).map(|i| {
            let cells = rows.iter().map(|r| Some(r[i].as_str()).filter(|c| !c.is_empty()));
            Arc::new(cells.collect::<StringArray>()) as ArrayRef
        });
        Ok(Rows::of(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.collect())?))
    }
}

/// A type's name in SQL.
pub(super) fn sql_type(data_type: &DataType) -> String {
    crate::delta::type_name(data_type)
}

/// SHOW STREAMS, TABLES, MATERIALIZED VIEWS and VIEWS.
pub(super) fn show(engine: &Engine, kind: ObjectKind) -> Result<Rows> {
    let definitions = engine.definitions()?;
    match kind {
        ObjectKind::View => {
            let rows: Vec<[String; 2]> =
                definitions.views.values().map(|v| [v.name.clone(), v.query.clone()]).collect();
            Rows::of_text(["view", "query"], &rows)
        }
        ObjectKind::Table | ObjectKind::MaterializedView => {
            let mut rows = Vec::new();
            let all = kind == ObjectKind::Table;
            let shown = |t: &&Arc<StreamDef>| t.is_table() && (all || t.query.is_some());
            for table in definitions.streams.values().filter(shown) {
                let (partitions, changes) = match table.connector.as_str() {
                    "topic" => topic_size(engine, &table.name)?,
                    _ => (String::new(), String::new()),
                };
                let key = table.primary_key.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
                rows.push([
                    table.name.clone(),
                    table.kind().to_string(),
                    format!("({key})"),
                    table.connector.clone(),
                    partitions,
                    changes,
                ]);
            }
            Rows::of_text(["table", "kind", "key", "connector", "partitions", "changes"], &rows)
        }
        ObjectKind::Stream => {
            let mut rows = Vec::new();
            for stream in definitions.streams.values().filter(|s| !s.is_table()) {
                let (partitions, count) = match stream.connector.as_str() {
                    "topic" => topic_size(engine, &stream.name)?,
                    _ => (String::new(), String::new()),
                };
                rows.push([stream.name.clone(), stream.connector.clone(), partitions, count]);
            }
            Rows::of_text(["stream", "connector", "partitions", "rows"], &rows)
        }
    }
}

fn topic_size(engine: &Engine, name: &str) -> Result<(String, String)> {
    let topic = engine.0.log.topic(name)?;
    let mut rows = 0;
    for p in 0..topic.partitions() {
        rows += topic.end_offset(p)? - topic.start_offset(p)?;
    }
    Ok((topic.partitions().to_string(), rows.to_string()))
}

/// DESCRIBE: the columns, then how the stream is kept.
pub(super) fn describe(engine: &Engine, name: &Name) -> Result<Rows> {
    let definitions = engine.definitions()?;
    if let Some(stream) = definitions.streams.get(&name.value) {
        return Rows::of_text(["column", "type", "about"], &stream_rows(stream));
    }
    if let Some(view) = definitions.views.get(&name.value) {
        let statements = crate::sql::parse(&view.query)?;
        let mut rows = Vec::new();
        if let Some(crate::sql::Statement::Query(query)) = statements.first().map(|s| &s.statement) {
            let plan = engine.0.planner.query(&definitions, &view.query, &query.query)?;
            for field in plan.schema().fields() {
                rows.push([field.name().clone(), shown_type(field.data_type()), String::new()]);
            }
        }
        return Rows::of_text(["column", "type", "about"], &rows);
    }
    let mut d = Diagnostic::coded(Code::NoRelation, format!("there is no stream or view \"{}\"", name.value))
        .at(name.span.clone());
    d.help = definitions.nearest(&name.value).map(|near| format!("did you mean \"{near}\"?"));
    Err(d.into())
}

fn stream_rows(stream: &StreamDef) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for column in &stream.columns {
        let mut about = Vec::new();
        if !column.nullable {
            about.push("not null".to_string());
        }
        if let Some(event_time) = stream.event_time.as_ref().filter(|e| e.column == column.name) {
            about.push(match event_time.delay {
                Some(delay) => format!("event time, watermark {} behind", length(delay)),
                None => "event time, watermark of the job that writes it".into(),
            });
        }
        if stream.primary_key.iter().flatten().any(|key| *key == column.name) {
            about.push("primary key".into());
        }
        if stream.option("key") == Some(&column.name) {
            about.push("key".into());
        }
        rows.push([column.name.clone(), shown_type(&column.data_type), about.join("; ")]);
    }
    let option = |name: &str, value: &str| [format!("({name})"), String::new(), value.to_string()];
    if stream.is_table() {
        rows.push(option("kind", stream.kind()));
    }
    rows.push(option("connector", &stream.connector));
    rows.extend(stream.options.iter().filter(|(n, _)| n != "key").map(|(n, v)| option(n, v)));
    rows.extend(stream.query.iter().map(|q| option("query", q)));
    rows
}

/// EXPLAIN of a continuous query: its operators.
pub(super) fn explain_flow(flow: &Dataflow) -> Result<Rows> {
    let rows: Vec<[String; 5]> = explain(flow)
        .into_iter()
        .map(|l| [l.operator, l.changes.to_string(), l.event_time, l.state, l.to_bound_it])
        .collect();
    Rows::of_text(["operator", "changes", "event_time", "state", "to_bound_it"], &rows)
}

/// SHOW ALL and SHOW setting.
pub(super) fn show_settings(settings: &Settings, name: Option<&Name>) -> Result<Rows> {
    let mut rows = Vec::new();
    for (setting, value) in settings.all() {
        if name.is_none_or(|n| n.value == setting.name) {
            rows.push([setting.name.to_string(), value, setting.doc.to_string()]);
        }
    }
    if let (Some(name), true) = (name, rows.is_empty()) {
        let error = settings.get(&name.value).err();
        let message = error.map_or_else(|| format!("there is no setting {}", name.value), |e| e.to_string());
        return Err(Diagnostic::coded(Code::NoOption, message).at(name.span.clone()).into());
    }
    Rows::of_text(["setting", "value", "about"], &rows)
}
