//! CREATE STREAM, TABLE, VIEW and DROP: definitions checked and kept.

use super::describe::sql_type;
use super::settings::topic_options;
use super::sources::option_diagnostic;
use super::table::check_table;
use super::{Engine, Result};
use crate::catalog::{Column, EventTimeDef, StreamDef, ViewDef};
use crate::config::parse_duration;
use crate::connectors::{
    CONNECTORS, FileConfig, NexmarkConfig, OptionError, OptionInfo, check_options, nearest,
};
use crate::log::TopicOptions;
use crate::plan::{Dataflow, EmitMode};
use crate::sql::Code;
use crate::sql::{
    CreateKind, CreateStream, CreateView, Diagnostic, EmitQuery, Name, ObjectKind, normalized, same_text,
    text_changes,
};
use std::sync::Arc;

/// The option that says when a partition is idle.
pub(super) const IDLE_TIMEOUT: &str = "idle_timeout";

/// Options that every connector takes.
pub(super) const COMMON_OPTIONS: &[OptionInfo] = &[
    OptionInfo {
        name: "connector",
        default: Some("topic"),
        help: "what holds the rows: topic, file, nexmark or blackhole",
    },
    OptionInfo {
        name: IDLE_TIMEOUT,
        default: Some(""),
        help: "how long a partition may be silent before it no longer holds the watermark, such as '30 s', or '0' for ever; \
               without it the setting of that name",
    },
    OptionInfo {
        name: "late_topic",
        default: Some(""),
        help: "a topic that keeps the rows that were late for their window",
    },
];

/// What became of a definition.
pub(super) enum Defined {
    /// It is new.
    Created(Arc<StreamDef>),
    /// The same was there already.
    Same(Arc<StreamDef>),
    /// Another was there, and IF NOT EXISTS said to leave it.
    Left,
    /// Another was there, of a statement with a query.
    Changed(Box<Changed>),
}

/// A definition with a query that differs from the one that is there.
pub(super) struct Changed {
    old: Arc<StreamDef>,
    pub(super) new: Arc<StreamDef>,
    differences: Vec<String>,
}

impl Changed {
    /// What is told of it.
    pub(super) fn refusal(&self, place: std::ops::Range<usize>) -> Diagnostic {
        let (kind, name) = (self.old.kind(), &self.old.name);
        let d =
            Diagnostic::coded(Code::Taken, format!("{kind} \"{name}\" is defined already, and differently"))
                .at(place);
        let d = d.note(format!("there (-) and here (+):\n{}", self.differences.join("\n")));
        d.help(match self.check_only_query() {
            Ok(()) => super::ways::THREE_WAYS.to_string(),
            Err(_) => format!(
                "run with --as NEW_NAME: the result goes there, beside the old one; or DROP {} {name} first; or go back to \
                 the old text",
                kind.to_uppercase()
            ),
        })
    }

    /// Fails unless only the query differs, whose result then fits the rows that are there.
    pub(super) fn check_only_query(&self) -> Result<(), Diagnostic> {
        let new = StreamDef { query: self.old.query.clone(), ..self.new.as_ref().clone() };
        if new == *self.old && self.old.query.is_some() {
            return Ok(());
        }
        let (kind, name) = (self.old.kind(), &self.old.name);
        let d = Diagnostic::coded(
            Code::Taken,
            format!(
                "{kind} \"{name}\" cannot be begun afresh: its result has other columns, another key or other options"
            ),
        );
        let d = d.note(format!("there (-) and here (+):\n{}", self.differences.join("\n")));
        Err(d.help(format!("run with --as NEW_NAME, or DROP {} {name} first", kind.to_uppercase())))
    }

    /// Makes the new definition the one that is there.
    pub(super) fn replace(&self, engine: &Engine) -> Result<()> {
        let new = self.new.clone();
        engine.0.catalog.change(|all| all.streams.insert(new.name.clone(), new))?;
        Ok(())
    }
}

/// A stream's query: its dataflow and, for a table, the columns that make its key.
pub(super) type Kept<'a> = (&'a Dataflow, Option<Vec<usize>>);

/// Defines the stream or table of a CREATE. `query` is what is kept in it, if it has a query.
pub(super) fn create_stream(
    engine: &Engine,
    source: &str,
    create: &CreateStream,
    query: Option<Kept>,
) -> Result<Defined> {
    let flow = query.as_ref().map(|(flow, _)| *flow);
    let mut definition = definition(engine, source, create, query)?;
    check_table(create, &definition)?;
    let name = definition.name.clone();
    if engine.definitions()?.views.contains_key(&name) {
        return Err(Diagnostic::coded(Code::Taken, format!("\"{name}\" is a view already"))
            .at(create.name.span.clone())
            .into());
    }
    let outcome = engine.0.catalog.change(|all| match all.streams.get(&name) {
        // An inferred definition is the same as long as what was written is.
        Some(old) if create.columns.is_empty() && flow.is_none() => {
            if old.primary_key == definition.primary_key {
                definition.columns = old.columns.clone();
            }
            Ok((old.clone(), old.differences(&definition, &sql_type)))
        }
        Some(old) => {
            if let (Some(there), Some(here)) = (&old.query, &definition.query)
                && same_text(there, here)
            {
                definition.query = old.query.clone();
            }
            Ok((old.clone(), old.differences(&definition, &sql_type)))
        }
        None => {
            let new = Arc::new(definition.clone());
            all.streams.insert(name.clone(), new.clone());
            Err(new)
        }
    })?;
    match outcome {
        Err(new) => {
            if let Err(error) = make_topics(engine, create, &new) {
                engine.0.catalog.change(|all| all.streams.remove(&name))?;
                return Err(error);
            }
            Ok(Defined::Created(new))
        }
        Ok((old, differences)) if differences.is_empty() => {
            // A crash may have come between the definition and its topic.
            make_topics(engine, create, &old)?;
            Ok(Defined::Same(old))
        }
        Ok((old, mut differences)) if create.query.is_some() => {
            if let (Some(there), Some(here)) = (&old.query, &definition.query)
                && there != here
            {
                // Of two long queries only where they differ.
                differences.retain(|line| !line.starts_with("- AS ") && !line.starts_with("+ AS "));
                let changes = text_changes(there, here).into_iter();
                differences
                    .extend(changes.flat_map(|(old, new)| [format!("- AS {old}"), format!("+ AS {new}")]));
            }
            Ok(Defined::Changed(Box::new(Changed { old, new: Arc::new(definition), differences })))
        }
        Ok(_) if create.if_not_exists => Ok(Defined::Left),
        Ok((old, differences)) => {
            let kind = old.kind();
            let d = Diagnostic::coded(
                Code::Taken,
                format!("{kind} \"{name}\" is defined already, and differently"),
            )
            .at(create.name.span.clone())
            .note(format!("there (-) and here (+):\n{}", differences.join("\n")))
            .help(format!("DROP {} {name} first, or choose another name", kind.to_uppercase()));
            Err(d.into())
        }
    }
}

fn definition(
    engine: &Engine,
    source: &str,
    create: &CreateStream,
    query: Option<Kept>,
) -> Result<StreamDef> {
    let (flow, result_key) = query.map_or((None, None), |(flow, key)| (Some(flow), key));
    let planner = &engine.0.planner;
    let mut options: Vec<(String, String)> =
        create.options.iter().map(|o| (o.name.value.clone(), o.value.clone())).collect();
    let connector = match options.iter().position(|(n, _)| n == "connector") {
        Some(i) => options.remove(i).1,
        None => "topic".into(),
    };
    check_connector(create, &connector, &options)?;
    options.sort();
    let mut columns = planner.columns(&create.columns)?;
    check_duplicates(create)?;
    if let Some(flow) = flow {
        check_writable(create, &connector)?;
        columns = result_columns(create, flow, columns)?;
    } else if connector == "nexmark" {
        columns = super::nexmark::generated_columns(create, &options, columns)?;
    } else if columns.is_empty() {
        if connector != "file" {
            let word = create.kind.word();
            let d = Diagnostic::coded(Code::Columns, format!("a {word} needs columns"))
                .at(create.name.span.clone())
                .help(format!(
                    "write them in brackets behind the name: CREATE {} s (id BIGINT, ts TIMESTAMP), or AS SELECT …",
                    word.to_uppercase()
                ));
            return Err(d.into());
        }
        columns = inferred_columns(create, &options)?;
    }
    let event_time = match (&create.watermark, flow) {
        (Some(watermark), _) => {
            let delay = planner.watermark_delay(watermark, &columns)?;
            Some(EventTimeDef { column: watermark.column.value.clone(), delay: Some(delay) })
        }
        // A table's rows are not in the order of any time.
        (None, _) if create.kind != CreateKind::Stream => None,
        (None, Some(flow)) => {
            let index = flow.root().event_time;
            index.map(|i| EventTimeDef { column: columns[i].name.clone(), delay: None })
        }
        (None, None) => None,
    };
    if let Some(key) = create.options.iter().find(|o| o.name.value == "key")
        && !columns.iter().any(|c| c.name == key.value)
    {
        let d = Diagnostic::coded(Code::NoColumn, format!("the key \"{}\" is not a column", key.value))
            .at(key.value_span.clone());
        return Err(match nearest(&key.value, columns.iter().map(|c| c.name.as_str())) {
            Some(near) => d.help(format!("did you mean '{near}'?")),
            None => d,
        }
        .into());
    }
    let query = create.query.as_ref().map(|q| normalized(&source[q.span.clone()]));
    let primary_key = primary_key(create, result_key, &mut columns)?;
    let name = create.name.value.clone();
    Ok(StreamDef { name, columns, event_time, connector, options, query, primary_key })
}

/// The names of a table's key columns; declared ones are NOT NULL.
fn primary_key(
    create: &CreateStream,
    result: Option<Vec<usize>>,
    columns: &mut [Column],
) -> Result<Option<Vec<String>>> {
    let Some(declared) = &create.primary_key else {
        return Ok(result.map(|key| key.iter().map(|c| columns[*c].name.clone()).collect()));
    };
    for name in &declared.columns {
        let Some(column) = columns.iter_mut().find(|c| c.name == name.value) else {
            let d = Diagnostic::coded(
                Code::NoColumn,
                format!("there is no column \"{}\" for the primary key", name.value),
            );
            return Err(d.at(name.span.clone()).into());
        };
        column.nullable = false;
    }
    Ok(Some(declared.columns.iter().map(|c| c.value.clone()).collect()))
}

fn check_connector(create: &CreateStream, connector: &str, options: &[(String, String)]) -> Result<()> {
    let place = |name: &str| create.options.iter().find(|o| o.name.value == name);
    let Some(info) = CONNECTORS.iter().find(|c| c.name == connector) else {
        let names: Vec<&str> = CONNECTORS.iter().map(|c| c.name).collect();
        let mut d = Diagnostic::coded(Code::NoOption, format!("there is no connector '{connector}'"));
        d.span = place("connector").map(|o| o.value_span.clone());
        d.help = Some(match nearest(connector, names.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("connectors are {}", names.join(", ")),
        });
        return Err(d.into());
    };
    let at = |error: OptionError| {
        let option = place(&error.option);
        let message = error.message.clone();
        let mut d = option_diagnostic(error);
        // A wrong value is underlined itself, a wrong name likewise.
        d.span = option.map(|o| {
            if message.contains("is not a value") { o.value_span.clone() } else { o.name.span.clone() }
        });
        d.span = d.span.or(Some(create.name.span.clone()));
        d
    };
    check_options(info, options, COMMON_OPTIONS).map_err(at)?;
    if let Some((name, value)) =
        options.iter().find(|(n, v)| n == IDLE_TIMEOUT && parse_duration(v).is_none())
    {
        let help = "write a duration such as '500 ms', '30 s' or '5 minutes', or '0' for never";
        let message = format!("'{value}' is not a value of '{name}'");
        return Err(at(OptionError { option: name.clone(), message, help: Some(help.into()) }).into());
    }
    match connector {
        "file" => FileConfig::parse(options, COMMON_OPTIONS).map(|_| ()).map_err(at)?,
        "nexmark" => NexmarkConfig::parse(options, COMMON_OPTIONS).map(|_| ()).map_err(at)?,
        "topic" => {
            // Which columns a result is kept by is not known yet.
            let key = (create.kind != CreateKind::Stream).then(Vec::new);
            topic_options(&create.name.value, key.as_ref(), options).map_err(at)?;
        }
        _ => {}
    }
    Ok(())
}

/// A query's result cannot go where rows only come from.
fn check_writable(create: &CreateStream, connector: &str) -> Result<()> {
    if !matches!(connector, "file" | "nexmark") {
        return Ok(());
    }
    let place = create.options.iter().find(|o| o.name.value == "connector");
    let d = Diagnostic::coded(
        Code::NotWritten,
        format!("connector '{connector}' only reads; the result of a query cannot go there"),
    )
    .at(place.map_or(create.name.span.clone(), |o| o.value_span.clone()))
    .help("leave WITH (…) out: then the result goes into a topic");
    Err(d.into())
}

fn check_duplicates(create: &CreateStream) -> Result<()> {
    for (i, column) in create.columns.iter().enumerate() {
        if create.columns[..i].iter().any(|c| c.name.value == column.name.value) {
            let d =
                Diagnostic::coded(Code::Taken, format!("column \"{}\" is declared twice", column.name.value));
            return Err(d.at(column.name.span.clone()).into());
        }
        if crate::plan::stream::metadata_fields().iter().any(|f| *f.name() == column.name.value) {
            let d = Diagnostic::coded(
                Code::Taken,
                format!("\"{}\" is a column that every stream has", column.name.value),
            );
            return Err(d.at(column.name.span.clone()).help("choose another name").into());
        }
    }
    Ok(())
}

/// The columns of a stream that is a query's result: the declared ones, which the query must fit, or the query's.
fn result_columns(create: &CreateStream, flow: &Dataflow, declared: Vec<Column>) -> Result<Vec<Column>> {
    let result = &flow.root().schema;
    let place = create.query.as_ref().map_or(create.name.span.clone(), |q| q.span.clone());
    if !declared.is_empty() {
        super::insert::check_columns(&declared, result, &place, &[])?;
        return Ok(declared);
    }
    let mut columns: Vec<Column> = Vec::new();
    for field in result.fields() {
        if columns.iter().any(|c| c.name == *field.name()) {
            let d = Diagnostic::coded(
                Code::Columns,
                format!("the query gives two columns named \"{}\"", field.name()),
            );
            return Err(d.at(place).help("name one of them otherwise with AS").into());
        }
        columns.push(Column {
            name: field.name().clone(),
            data_type: plain_type(field.data_type()),
            nullable: true,
        });
    }
    Ok(columns)
}

/// The type in which a topic keeps a column: views of strings and dictionaries give way to plain ones, and what functions
/// note at the fields of nested ones is left out.
fn plain_type(data_type: &arrow::datatypes::DataType) -> arrow::datatypes::DataType {
    use arrow::datatypes::{DataType, Field};
    let plain = |f: &Arc<Field>| Arc::new(Field::new(f.name(), plain_type(f.data_type()), f.is_nullable()));
    match data_type {
        DataType::List(item) => DataType::List(plain(item)),
        DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

fn inferred_columns(create: &CreateStream, options: &[(String, String)]) -> Result<Vec<Column>> {
    let config = FileConfig::parse(options, COMMON_OPTIONS).map_err(option_diagnostic)?;
    let schema = config
        .infer_schema()
        .map_err(|e| Diagnostic::coded(Code::OptionValue, e.to_string()).at(create.name.span.clone()))?;
    let column = |f: &Arc<arrow::datatypes::Field>| Column {
        name: f.name().clone(),
        data_type: f.data_type().clone(),
        nullable: true,
    };
    Ok(schema.fields().iter().map(column).collect())
}

/// Makes the topics that a stream needs and that are not there.
fn make_topics(engine: &Engine, create: &CreateStream, stream: &StreamDef) -> Result<()> {
    let at_name = |e: crate::log::LogError| Diagnostic::new(e.to_string()).at(create.name.span.clone());
    let log = &engine.0.log;
    let ensure = |name: &str, options: TopicOptions, schema| -> Result<()> {
        if !log.topic_exists(name)? {
            log.create_topic(name, options, schema).map_err(at_name)?;
        }
        Ok(())
    };
    // Nothing is made where not all can be.
    let bad = (stream.option("on_bad") == Some("topic")).then(|| format!("{}_bad", stream.name));
    if let Some(late) = stream.option("late_topic") {
        check_side_stream(engine, create, "late_topic", late, &stream.schema())?;
    }
    if let Some(bad) = &bad {
        check_side_stream(engine, create, "on_bad", bad, &crate::runtime::job::bad_schema())?;
    }
    if stream.connector == "topic" {
        let options = topic_options(&stream.name, stream.primary_key.as_ref(), &stream.options)
            .map_err(option_diagnostic)?;
        ensure(&stream.name, options, stream.topic_schema())?;
    }
    if let Some(late) = stream.option("late_topic") {
        ensure(late, TopicOptions::default(), stream.schema())?;
        register_side_stream(engine, late, stream.schema())?;
    }
    if let Some(bad) = bad {
        let schema = crate::runtime::job::bad_schema();
        ensure(&bad, TopicOptions::default(), schema.clone())?;
        register_side_stream(engine, &bad, schema)?;
    }
    Ok(())
}

/// Fails if `option` would send rows to a stream that has other columns or is more than a topic.
fn check_side_stream(
    engine: &Engine,
    create: &CreateStream,
    option: &str,
    name: &str,
    schema: &arrow::datatypes::SchemaRef,
) -> Result<()> {
    let definitions = engine.definitions()?;
    let Some(taken) = definitions.streams.get(name) else { return Ok(()) };
    let plain = taken.query.is_none() && !taken.is_table();
    if taken.connector == "topic" && plain && taken.schema() == *schema {
        return Ok(());
    }
    let mut d = Diagnostic::coded(
        Code::Taken,
        format!("stream \"{name}\" is there already, and cannot take these rows"),
    );
    let place = create.options.iter().find(|o| o.name.value == option);
    d.span = Some(place.map_or(create.name.span.clone(), |o| o.value_span.clone()));
    let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    d.note = Some(format!("{option} needs a topic with the columns {}", columns.join(", ")));
    d.help = Some(match option {
        "late_topic" => "choose another name".into(),
        _ => format!("DROP STREAM {name} first, or write on_bad = 'skip'"),
    });
    Err(d.into())
}

/// Makes a topic of late or bad rows a stream that can be queried.
fn register_side_stream(engine: &Engine, name: &str, schema: arrow::datatypes::SchemaRef) -> Result<()> {
    let columns = schema.fields().iter().map(|f| Column {
        name: f.name().clone(),
        data_type: f.data_type().clone(),
        nullable: f.is_nullable(),
    });
    let definition = StreamDef {
        name: name.into(),
        columns: columns.collect(),
        event_time: None,
        connector: "topic".into(),
        options: Vec::new(),
        query: None,
        primary_key: None,
    };
    engine.0.catalog.change(|all| {
        all.streams.entry(name.into()).or_insert_with(|| Arc::new(definition));
    })?;
    Ok(())
}

/// Defines a view; says whether it is new or changed.
pub(super) fn create_view(engine: &Engine, source: &str, create: &CreateView) -> Result<bool> {
    let name = create.name.value.clone();
    let definitions = engine.definitions()?;
    if definitions.streams.contains_key(&name) {
        let kind = definitions.streams.get(&name).map_or("stream", |s| s.kind());
        return Err(Diagnostic::coded(Code::Taken, format!("\"{name}\" is a {kind} already"))
            .at(create.name.span.clone())
            .into());
    }
    // A view that cannot be planned would only be a mistake for later.
    engine.0.planner.query(&definitions, source, &create.query.query)?;
    let query = source[create.query.span.clone()].trim().to_string();
    let view = Arc::new(ViewDef { name: name.clone(), query });
    let known = definitions.views.get(&name);
    if known.is_some_and(|v| same_text(&v.query, &view.query)) {
        return Ok(false);
    }
    if known.is_some() && create.if_not_exists {
        return Ok(false);
    }
    if let Some(old) = known.filter(|_| !create.or_replace) {
        let d =
            Diagnostic::coded(Code::Taken, format!("view \"{name}\" is defined already, and differently"))
                .at(create.name.span.clone())
                .note(format!(
                    "there (-) and here (+):\n- {}\n+ {}",
                    normalized(&old.query),
                    normalized(&view.query)
                ))
                .help("write CREATE OR REPLACE VIEW, or choose another name");
        return Err(d.into());
    }
    engine.0.catalog.change(|all| all.views.insert(name, view))?;
    Ok(true)
}

/// Whether what a DROP names is there. Fails where it is not and must be, and where it is of another kind.
pub(super) fn is_there(engine: &Engine, kind: ObjectKind, name: &Name, if_exists: bool) -> Result<bool> {
    let definitions = engine.definitions()?;
    let found = match definitions.streams.get(&name.value) {
        Some(stream) => Some(stream.kind()),
        None => definitions.views.contains_key(&name.value).then_some("view"),
    };
    let (word, there) = match kind {
        ObjectKind::Stream => ("stream", found == Some("stream")),
        ObjectKind::View => ("view", found == Some("view")),
        ObjectKind::Table => ("table", matches!(found, Some("table" | "materialized view"))),
        ObjectKind::MaterializedView => ("materialized view", found == Some("materialized view")),
    };
    if there || (if_exists && found.is_none()) {
        return Ok(there);
    }
    let mut d = Diagnostic::coded(Code::NoRelation, format!("there is no {word} \"{}\"", name.value))
        .at(name.span.clone());
    d.help = match found {
        Some(found) => Some(format!("write DROP {} {}", found.to_uppercase(), name.value)),
        None => definitions.nearest(&name.value).map(|near| format!("did you mean \"{near}\"?")),
    };
    Err(d.into())
}

/// Drops a stream or table with its topic and the state of the job that writes it, or a view.
pub(super) fn drop_object(engine: &Engine, kind: ObjectKind, name: &Name) -> Result<()> {
    if kind == ObjectKind::View {
        engine.0.catalog.change(|all| all.views.remove(&name.value))?;
        return Ok(());
    }
    super::jobs::forget_jobs_into(engine, &name.value)?;
    engine.0.catalog.change(|all| all.streams.remove(&name.value))?;
    if engine.0.log.topic_exists(&name.value)? {
        engine.0.log.delete_topic(&name.value)?;
    }
    Ok(())
}

/// Whether what is written to the stream is counted and dropped: then it may be changes too.
pub(super) fn forgets(create: &CreateStream) -> bool {
    create.options.iter().any(|o| o.name.value == "connector" && o.value == "blackhole")
}

/// How a query that writes a stream is to be maintained: what its EMIT clause says, else changes.
pub(super) fn emit_mode(query: &EmitQuery) -> EmitMode {
    match query.emit {
        Some((crate::sql::Emit::Final, _)) => EmitMode::Final,
        _ => EmitMode::Changes,
    }
}
