//! INSERT INTO: the query's columns brought into the stream's, and VALUES written at once.

use super::bounded::{self, ExtraTables};
use super::sources::appender;
use super::{Engine, Result};
use crate::catalog::{Column, StreamDef};
use crate::plan::mistake;
use crate::runtime::sink::fit;
use crate::runtime::upsert_sink::UpsertTarget;
use crate::sql::Code;
use crate::sql::{Diagnostic, EmitQuery, Insert, Name, exact_values};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit};
use std::borrow::Cow;
use std::ops::Range;

/// The stream or table that an INSERT names, which must be one that statements may write. `word` is what it is called
/// where it is not there.
pub(super) fn target<'a>(
    definitions: &'a crate::catalog::Definitions,
    name: &Name,
    word: &str,
) -> Result<&'a std::sync::Arc<StreamDef>> {
    let Some(stream) = definitions.streams.get(&name.value) else {
        let mut d = Diagnostic::coded(Code::NoRelation, format!("there is no {word} \"{}\"", name.value))
            .at(name.span.clone());
        d.help = Some(match definitions.nearest(&name.value) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("create it first: CREATE {} {} (…)", word.to_uppercase(), name.value),
        });
        return Err(d.into());
    };
    if stream.query.is_some() {
        let d = Diagnostic::coded(
            Code::NotWritten,
            format!("{} \"{}\" is written by its own query", stream.kind(), name.value),
        );
        return Err(d
            .at(name.span.clone())
            .help(match stream.is_table() {
                true => "change what the query reads; or write to a table of your own, and join the two where you read them",
                false => "insert into a stream of your own, and UNION ALL the two where you read them",
            })
            .into());
    }
    if stream.connector == "file" {
        let d = Diagnostic::coded(
            Code::NotWritten,
            format!("{} \"{}\" reads files; it cannot be written", stream.kind(), name.value),
        );
        let kind = stream.kind();
        return Err(d
            .at(name.span.clone())
            .help(format!(
                "write to a {kind} in a topic: CREATE {} … without connector = 'file'",
                kind.to_uppercase()
            ))
            .into());
    }
    if stream.connector == "nexmark" {
        let d = Diagnostic::coded(
            Code::NotWritten,
            format!("stream \"{}\" makes its own rows; it cannot be written", name.value),
        );
        return Err(d
            .at(name.span.clone())
            .help("write to a stream in a topic: CREATE STREAM … without connector = 'nexmark'")
            .into());
    }
    Ok(stream)
}

/// The INSERT's query; numbers in VALUES for decimal columns keep all their digits.
pub(super) fn exact_decimals<'a>(stream: &StreamDef, insert: &'a Insert) -> Cow<'a, EmitQuery> {
    let decimal = |column: &Column| match column.data_type {
        DataType::Decimal128(precision, scale) => Some((precision, scale)),
        _ => None,
    };
    let named = |name: &Name| stream.columns.iter().find(|c| c.name == name.value).and_then(decimal);
    let columns: Vec<Option<(u8, i8)>> = if insert.columns.is_empty() {
        stream.columns.iter().map(decimal).collect()
    } else {
        insert.columns.iter().map(named).collect()
    };
    if columns.iter().all(Option::is_none) {
        return Cow::Borrowed(&insert.query);
    }
    let mut query = insert.query.clone();
    exact_values(&mut query.query, &columns);
    Cow::Owned(query)
}

/// The plan whose columns are the stream's, in its order, from a plan of the columns that the INSERT names.
pub(super) fn into_columns(
    source: &str,
    stream: &StreamDef,
    insert: &Insert,
    plan: LogicalPlan,
) -> Result<LogicalPlan> {
    let named: Vec<&Column> = if insert.columns.is_empty() {
        stream.columns.iter().collect()
    } else {
        let find = |name: &Name| {
            let found = stream.columns.iter().find(|c| c.name == name.value);
            found.ok_or_else(|| {
                let names = stream.columns.iter().map(|c| c.name.as_str());
                let kind = stream.kind();
                let d = Diagnostic::coded(
                    Code::NoColumn,
                    format!("{kind} \"{}\" has no column \"{}\"", stream.name, name.value),
                );
                match crate::connectors::nearest(&name.value, names) {
                    Some(near) => d.at(name.span.clone()).help(format!("did you mean \"{near}\"?")),
                    None => d.at(name.span.clone()),
                }
            })
        };
        insert.columns.iter().map(find).collect::<Result<_, Diagnostic>>()?
    };
    let given: SchemaRef = std::sync::Arc::new(plan.schema().as_arrow().clone());
    let columns: Vec<Column> = named.iter().map(|c| (*c).clone()).collect();
    let items = crate::sql::select_items(source, &insert.query.span);
    check_columns(&columns, &given, &insert.query.span, &items)?;
    let inputs = plan.schema().columns();
    let mut expressions = Vec::new();
    for column in &stream.columns {
        let expr = match named.iter().position(|c| c.name == column.name) {
            Some(i) => {
                let input = Expr::Column(inputs[i].clone());
                let same = input.get_type(plan.schema()).is_ok_and(|t| t == column.data_type);
                if same { input } else { cast(input, column.data_type.clone()) }
            }
            None if column.nullable => {
                lit(ScalarValue::try_from(&column.data_type).map_err(super::EngineError::Query)?)
            }
            None => {
                let d = Diagnostic::coded(
                    Code::NotNull,
                    format!("column \"{}\" is NOT NULL, but the INSERT does not name it", column.name),
                );
                return Err(d.at(insert.table.span.clone()).into());
            }
        };
        expressions.push(expr.alias(column.name.clone()));
    }
    let plan = LogicalPlanBuilder::from(plan).project(expressions).and_then(|b| b.build());
    plan.map_err(|e| mistake(e).into())
}

/// Fails unless a query's columns fit a stream's, by position. `place` is the query's, `items` those of what it selects, as
/// far as they are known.
pub(super) fn check_columns(
    columns: &[Column],
    given: &SchemaRef,
    place: &Range<usize>,
    items: &[Range<usize>],
) -> Result<(), Diagnostic> {
    if columns.len() != given.fields().len() {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let d = Diagnostic::coded(
            Code::Columns,
            format!("the query gives {} columns where {} are needed", given.fields().len(), columns.len()),
        );
        return Err(d.at(place.clone()).note(format!("needed: {}", names.join(", "))));
    }
    for (at, (column, field)) in columns.iter().zip(given.fields()).enumerate() {
        if !assignable(field.data_type(), &column.data_type) {
            let d = Diagnostic::coded(
                Code::Columns,
                format!(
                    "column \"{}\" is {}, but the query gives {} (\"{}\") for it",
                    column.name,
                    type_name(&column.data_type),
                    type_name(field.data_type()),
                    field.name()
                ),
            );
            let help = format!("write CAST({} AS {})", field.name(), type_name(&column.data_type));
            let item = items.get(at).filter(|_| items.len() == columns.len());
            return Err(d.at(item.unwrap_or(place).clone()).help(help));
        }
    }
    Ok(())
}

/// Whether a value of one type may be stored as another without a CAST in the query.
pub(super) fn assignable(from: &DataType, to: &DataType) -> bool {
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = |t: &DataType| t.is_numeric();
    let time = |t: &DataType| matches!(t, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    let binary = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    from == to
        || *from == DataType::Null
        || [text, number, time, binary].iter().any(|class| class(from) && class(to))
        || (from.is_nested() && to.is_nested() && can_cast_types(from, to))
        // Literals of timestamps are written as text.
        || (text(from) && time(to))
}

/// A type's name in SQL.
pub(super) fn type_name(data_type: &DataType) -> String {
    super::describe::sql_type(data_type)
}

/// A table as what writes it sees it.
pub(super) fn upsert_target(table: &StreamDef) -> UpsertTarget {
    UpsertTarget {
        name: table.name.clone(),
        schema: table.schema(),
        topic: table.topic_schema(),
        key: table.key_indices().unwrap_or_default(),
    }
}

/// Writes the rows of INSERT … VALUES; gives how many.
pub(super) fn write_values(
    engine: &Engine,
    stream: &StreamDef,
    plan: LogicalPlan,
    producer: u128,
) -> Result<usize> {
    let mut rows = bounded::start(engine, plan, &ExtraTables::default())?;
    let schema = stream.schema();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next_batch()? {
        batches.push(fit(&batch, &schema)?);
    }
    let mut all = arrow::compute::concat_batches(&schema, &batches)?;
    if stream.is_table() {
        let rows: Vec<u32> = (0..all.num_rows() as u32).collect();
        all = upsert_target(stream).rows(all.columns(), &rows, &[])?;
    }
    let mut appender = appender(engine, stream, producer)?;
    appender.append(1, &all, None, None)?;
    appender.sync()?;
    Ok(all.num_rows())
}
