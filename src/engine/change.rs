//! UPDATE and DELETE: a bounded query over the table's rows now says what changes; that is written as upserts and
//! tombstones.
//!
//! In a file that is run again a change must not be made twice. What it writes is kept in its folder before it is
//! written, so that a run that goes on after a crash writes the same, of which the topic drops what it has.

use super::bounded::{self, ExtraTables};
use super::cause::Running;
use super::insert::{check_columns, target, upsert_target};
use super::jobs::JobHome;
use super::sources::appender;
use super::{Engine, EngineError, Result};
use crate::catalog::{Column, Definitions, StreamDef};
use crate::connectors::nearest;
use crate::plan::mistake;
use crate::runtime::RuntimeError;
use crate::runtime::sink::fit;
use crate::runtime::upsert_sink::UpsertTarget;
use crate::sql::Code;
use crate::sql::{self, Delete, Diagnostic, EmitQuery, Name, Update};
use crate::state::keyed_rows::RowBytes;
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use std::collections::HashSet;
use std::ops::Range;

/// The file in which a change is kept.
const FILE: &str = "change.arrow";

/// UPDATE or DELETE.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    Update(&'a Update),
    Delete(&'a Delete),
}

impl Change<'_> {
    pub(super) fn table(&self) -> &Name {
        match self {
            Change::Update(update) => &update.table,
            Change::Delete(delete) => &delete.table,
        }
    }

    pub(super) fn query(&self) -> &EmitQuery {
        match self {
            Change::Update(update) => &update.query,
            Change::Delete(delete) => &delete.query,
        }
    }

    /// What it does, as a job's name has it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Change::Update(_) => "update",
            Change::Delete(_) => "delete",
        }
    }
}

/// The table that a change names, which must be one that statements may write.
pub(super) fn changed_table<'a>(definitions: &'a Definitions, change: Change) -> Result<&'a StreamDef> {
    let name = change.table();
    let table = target(definitions, name, "table")?;
    if !table.is_table() {
        let d =
            Diagnostic::coded(Code::WrongKind, format!("\"{}\" is a stream: its rows only come", name.value));
        let word = change.word().to_uppercase();
        return Err(d.at(name.span.clone()).help(format!("{word} is for tables: CREATE TABLE")).into());
    }
    if table.connector != "topic" {
        let d = Diagnostic::coded(
            Code::WrongKind,
            format!("\"{}\" is a {}: it keeps no rows", name.value, table.connector),
        );
        return Err(d.at(name.span.clone()).into());
    }
    Ok(table)
}

/// The query by which a change finds its rows and their new values.
pub(super) fn plan(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    change: Change,
) -> Result<LogicalPlan> {
    match change {
        Change::Update(update) => Ok(update_plan(engine, definitions, source, table, update)?.0),
        Change::Delete(delete) => delete_plan(engine, definitions, source, table, delete),
    }
}

/// Makes a change; gives how many rows it is about, or nothing if it has been made before (in `home`).
pub(super) fn make(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    change: Change,
    home: Option<&JobHome>,
) -> Result<Option<usize>> {
    let path = home.map(|h| (h, h.store.dir.join(FILE)));
    if let Some((home, path)) = &path
        && home.store.disk.exists(path)?
    {
        let bytes = home.store.disk.read(path)?;
        let rows = kept(&bytes).map_err(|e| RuntimeError::State {
            job: home.store.job.clone(),
            path: path.display().to_string(),
            reason: format!("is damaged: {e}"),
        })?;
        write(engine, table, &rows, home.producer)?;
        return Ok(None);
    }
    let target = upsert_target(table);
    let (rows, count) = match change {
        Change::Update(update) => updated(engine, definitions, source, table, &target, update)?,
        Change::Delete(delete) => deleted(engine, definitions, source, table, &target, delete)?,
    };
    if let Some((home, path)) = &path {
        home.store.disk.write_atomically(path, &bytes_of(&rows)?)?;
    }
    write(engine, table, &rows, home.map_or(0, |h| h.producer))?;
    Ok(Some(count))
}

fn write(engine: &Engine, table: &StreamDef, rows: &RecordBatch, producer: u128) -> Result<()> {
    if rows.num_rows() == 0 {
        return Ok(());
    }
    let mut appender = appender(engine, table, producer)?;
    appender.append(1, rows, None, None)?;
    Ok(appender.sync()?)
}

fn bytes_of(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}

fn kept(bytes: &[u8]) -> Result<RecordBatch> {
    let reader = StreamReader::try_new(bytes, None)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

/// All rows of a query.
fn rows_of(engine: &Engine, running: &Running) -> Result<RecordBatch> {
    let place = running.span();
    // Values that do not fit are a mistake in the text, like any other.
    let at_query = |error: EngineError| match error {
        EngineError::Query(_) | EngineError::Arrow(_) => {
            let mut mistake = running.placed(error).as_mistake();
            mistake.span.get_or_insert(place.clone());
            mistake.into()
        }
        EngineError::Sql(d) if d.span.is_none() => d.at(place.clone()).into(),
        other => other,
    };
    let mut rows = bounded::start(engine, running.plan(), &ExtraTables::default()).map_err(at_query)?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next_batch().map_err(at_query)? {
        batches.push(batch);
    }
    Ok(concat_batches(&rows.schema(), &batches)?)
}

fn plan_of(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    query: &EmitQuery,
    columns: &[&str],
) -> Result<LogicalPlan> {
    let query = sql::with_columns(query, columns.iter().copied());
    Ok(engine.0.planner.query(definitions, source, &query.query)?)
}

/// The keys of the rows that are to go.
fn delete_plan(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    delete: &Delete,
) -> Result<LogicalPlan> {
    let key = table.key_indices().unwrap_or_default();
    let names: Vec<&str> = key.iter().map(|k| table.columns[*k].name.as_str()).collect();
    plan_of(engine, definitions, source, &delete.query, &names)
}

fn deleted(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    target: &UpsertTarget,
    delete: &Delete,
) -> Result<(RecordBatch, usize)> {
    let plan = delete_plan(engine, definitions, source, table, delete)?;
    let running = Running::new(engine, definitions.clone(), source, &delete.query, plan);
    let found = rows_of(engine, &running)?;
    let rows = found.num_rows();
    let column = |(i, c): (usize, &Column)| match target.key.iter().position(|k| *k == i) {
        Some(k) => found.column(k).clone(),
        None => new_null_array(&c.data_type, rows),
    };
    let columns: Vec<ArrayRef> = table.columns.iter().enumerate().map(column).collect();
    let all: Vec<u32> = (0..rows as u32).collect();
    Ok((target.rows(&columns, &[], &all)?, rows))
}

/// The new values of the rows that are to change, then the rows as they are; and which columns the values are for.
fn update_plan(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    update: &Update,
) -> Result<(LogicalPlan, Vec<usize>)> {
    let set = update.columns.iter().map(|c| set_column(table, c)).collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<Column> = set.iter().map(|i| table.columns[*i].clone()).collect();
    let mut query = update.query.clone();
    let decimals = columns.iter().map(|c| match c.data_type {
        DataType::Decimal128(precision, scale) => Some((precision, scale)),
        _ => None,
    });
    sql::exact_items(&mut query.query, &decimals.collect::<Vec<_>>());
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let plan = plan_of(engine, definitions, source, &query, &names)?;
    let given = plan.schema().as_arrow().clone();
    for (i, column) in columns.iter().enumerate() {
        let given = std::sync::Arc::new(given.project(&[i])?);
        check_columns(std::slice::from_ref(column), &given, &update.columns[i].span, &[])?;
    }
    // A value that cannot be cast is an error, not a null.
    let expressions = plan.schema().columns().into_iter().enumerate().map(|(i, column)| {
        let name = column.name.clone();
        let expr = Expr::Column(column);
        match columns.get(i) {
            Some(to) if *given.field(i).data_type() != to.data_type => {
                cast(expr, to.data_type.clone()).alias(name)
            }
            _ => expr,
        }
    });
    let expressions: Vec<Expr> = expressions.collect();
    let plan =
        LogicalPlanBuilder::from(plan).project(expressions).and_then(|b| b.build()).map_err(mistake)?;
    Ok((plan, set))
}

fn updated(
    engine: &Engine,
    definitions: &Definitions,
    source: &str,
    table: &StreamDef,
    target: &UpsertTarget,
    update: &Update,
) -> Result<(RecordBatch, usize)> {
    let place = &update.query.span;
    let (plan, set) = update_plan(engine, definitions, source, table, update)?;
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let running = Running::new(engine, definitions.clone(), source, &update.query, plan);
    let found = rows_of(engine, &running)?;
    let rows = found.num_rows();
    let old: Vec<ArrayRef> = found.columns()[set.len()..].to_vec();
    let mut new = old.clone();
    for (value, column) in found.columns().iter().zip(&set) {
        new[*column] = value.clone();
    }
    let schema = |columns: Vec<ArrayRef>| -> Result<RecordBatch> {
        let named = names.iter().copied().zip(columns);
        let batch = RecordBatch::try_from_iter(named)?;
        fit(&batch, &target.schema)
            .map_err(|e| Diagnostic::coded(Code::Value, e.to_string()).at(place.clone()).into())
    };
    let both = concat_batches(&target.schema, &[schema(new)?, schema(old)?])?;
    let upserts: Vec<u32> = (0..rows as u32).collect();
    let mut tombstones = Vec::new();
    if set.iter().any(|column| target.key.contains(column)) {
        tombstones = moved(&both, rows, target, place, || {
            let names: Vec<String> =
                target.key.iter().map(|k| format!("\"{}\"", names[*k].replace('"', "\"\""))).collect();
            let text = format!("SELECT {} FROM \"{}\"", names.join(", "), table.name.replace('"', "\"\""));
            all_keys(engine, definitions, &text)
        })?;
    }
    Ok((target.rows(both.columns(), &upserts, &tombstones)?, rows))
}

fn set_column(table: &StreamDef, column: &Name) -> Result<usize, Diagnostic> {
    table.columns.iter().position(|c| c.name == column.value).ok_or_else(|| {
        let names = table.columns.iter().map(|c| c.name.as_str());
        let d = Diagnostic::coded(
            Code::NoColumn,
            format!("table \"{}\" has no column \"{}\"", table.name, column.value),
        );
        match nearest(&column.value, names) {
            Some(near) => d.at(column.span.clone()).help(format!("did you mean \"{near}\"?")),
            None => d.at(column.span.clone()),
        }
    })
}

fn all_keys(engine: &Engine, definitions: &Definitions, text: &str) -> Result<RecordBatch> {
    let statements = sql::parse(text)?;
    let Some(sql::Statement::Query(query)) = statements.first().map(|s| &s.statement) else {
        return Err(Diagnostic::new("a query of keys is no query").into());
    };
    let plan = engine.0.planner.query(definitions, text, &query.query)?;
    rows_of(engine, &Running::new(engine, definitions.clone(), text, query, plan))
}

/// The old rows (those behind the first `rows` of `both`) whose keys no new row has. Fails where two rows would get one key.
fn moved(
    both: &RecordBatch,
    rows: usize,
    target: &UpsertTarget,
    place: &Range<usize>,
    all: impl FnOnce() -> Result<RecordBatch>,
) -> Result<Vec<u32>> {
    let columns = target.key_columns(both.columns());
    let codec = RowBytes::new(columns.iter().map(|c| c.data_type().clone()).collect())?;
    let keys = codec.encode(&columns)?;
    let taken = |row: usize| {
        let d = Diagnostic::coded(
            Code::Key,
            format!("two rows would get the key {}", target.shown(both.columns(), row)),
        );
        EngineError::from(d.at(place.clone()).help("each row of a table has a key of its own"))
    };
    let mut new = HashSet::with_capacity(rows);
    for row in 0..rows {
        if !new.insert(keys.row(row)) {
            return Err(taken(row));
        }
    }
    let old: HashSet<&[u8]> = (rows..both.num_rows()).map(|row| keys.row(row)).collect();
    if new.iter().any(|key| !old.contains(key)) {
        let all = all()?;
        let there = codec.encode(all.columns())?;
        let stay: HashSet<&[u8]> =
            (0..all.num_rows()).map(|row| there.row(row)).filter(|key| !old.contains(key)).collect();
        if let Some(row) = (0..rows).find(|row| stay.contains(keys.row(*row))) {
            return Err(taken(row));
        }
    }
    Ok((rows..both.num_rows()).filter(|row| !new.contains(keys.row(*row))).map(|row| row as u32).collect())
}
