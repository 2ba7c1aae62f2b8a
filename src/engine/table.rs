//! Tables as definitions: which key a result is kept by, and what a table cannot have.

use super::Result;
use super::describe::sql_type;
use crate::catalog::{DELETED, StreamDef};
use crate::connectors::nearest;
use crate::plan::Dataflow;
use crate::plan::unique::UniqueKeys;
use crate::sql::Code;
use crate::sql::{CreateStream, Diagnostic, Name};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use std::ops::Range;

/// The key by which the result of a CREATE TABLE … AS is kept: the declared one, else one that the query has.
pub(super) fn result_key(
    create: &CreateStream,
    flow: &Dataflow,
    unique: &UniqueKeys,
    place: &Range<usize>,
) -> Result<Vec<usize>> {
    let schema = &flow.root().schema;
    let names: Vec<&str> = match create.columns.as_slice() {
        [] => schema.fields().iter().map(|f| f.name().as_str()).collect(),
        declared => declared.iter().map(|c| c.name.value.as_str()).collect(),
    };
    let Some(declared) = &create.primary_key else {
        return match unique.keys.first() {
            Some(key) => Ok(key.clone()),
            None => Err(no_key(flow, unique, place).into()),
        };
    };
    let key = declared.columns.iter().map(|c| place_of(c, &names)).collect::<Result<Vec<_>, _>>()?;
    if flow.root().append_only || unique.covered_by(&key) {
        return Ok(key);
    }
    let shown: Vec<&str> = declared.columns.iter().map(|c| c.value.as_str()).collect();
    let d = Diagnostic::coded(
        Code::Key,
        format!(
            "({}) does not tell the rows of this query apart: two of them may have the same",
            shown.join(", ")
        ),
    );
    Err(with_remedy(d, unique, &names).at(declared.span.clone()).into())
}

fn place_of(column: &Name, names: &[&str]) -> Result<usize, Diagnostic> {
    names.iter().position(|n| *n == column.value).ok_or_else(|| {
        let d = Diagnostic::coded(
            Code::Key,
            format!("the query gives no column \"{}\" for the primary key", column.value),
        );
        let d = d.at(column.span.clone());
        match nearest(&column.value, names.iter().copied()) {
            Some(near) => d.help(format!("did you mean \"{near}\"?")),
            None => d.help(format!("its columns are {}", names.join(", "))),
        }
    })
}

/// The key that would do, or why there is none.
fn with_remedy(d: Diagnostic, unique: &UniqueKeys, names: &[&str]) -> Diagnostic {
    match unique.keys.first().map(Vec::as_slice) {
        Some([]) => d.note("it has one row at most").help("leave PRIMARY KEY out"),
        Some(key) => {
            let key: Vec<&str> = key.iter().filter_map(|c| names.get(*c).copied()).collect();
            d.help(format!("write PRIMARY KEY ({}), or leave it out", key.join(", ")))
        }
        None => d.note(unique.reason.clone()).help(REMEDY),
    }
}

const REMEDY: &str =
    "select all columns of a key: those of GROUP BY, or the primary keys of the tables that are joined";

fn no_key(flow: &Dataflow, unique: &UniqueKeys, place: &Range<usize>) -> Diagnostic {
    let d = Diagnostic::coded(
        Code::Key,
        "nothing tells the rows of this query apart, so a table cannot keep them",
    )
    .at(place.clone())
    .note(unique.reason.clone());
    match flow.root().append_only {
        true => d.help(
            "CREATE STREAM keeps every row; or declare a key, of which the last row counts: \
             CREATE TABLE name (PRIMARY KEY (column)) AS SELECT …",
        ),
        false => d.help(REMEDY),
    }
}

/// Fails unless the key of `table` tells the rows apart that an INSERT's query gives.
pub(super) fn check_inserted(
    table: &StreamDef,
    flow: &Dataflow,
    unique: &UniqueKeys,
    place: &Range<usize>,
) -> Result<()> {
    let key = table.key_indices().unwrap_or_default();
    if flow.root().append_only || unique.covered_by(&key) {
        return Ok(());
    }
    let names: Vec<&str> = key.iter().map(|k| table.columns[*k].name.as_str()).collect();
    let d = Diagnostic::coded(
        Code::Key,
        format!(
            "the result of this query changes, and the key of \"{}\", ({}), does not tell its rows apart",
            table.name,
            names.join(", ")
        ),
    );
    let d = d.at(place.clone());
    Err(match unique.keys.first() {
        Some(key) => {
            let names: Vec<&str> = key.iter().map(|k| table.columns[*k].name.as_str()).collect();
            d.help(format!("its rows differ in ({}): write to a table with that key", names.join(", ")))
        }
        None => d.note(unique.reason.clone()).help(REMEDY),
    }
    .into())
}

/// Fails for what a table cannot have.
pub(super) fn check_table(create: &CreateStream, table: &StreamDef) -> Result<()> {
    let Some(key) = &table.primary_key else { return check_stream(create, table) };
    let option = |name: &str| create.options.iter().find(|o| o.name.value == name);
    let refused = [
        ("key", "the rows of a table are placed by its primary key", "leave the option out"),
        ("late_topic", "no row of a table is late", "leave the option out"),
    ];
    for (name, message, help) in refused {
        if let Some(option) = option(name) {
            return Err(Diagnostic::coded(Code::Key, message).at(option.name.span.clone()).help(help).into());
        }
    }
    if let Some(option) = option("partitions").filter(|o| key.is_empty() && o.value != "1") {
        let d = Diagnostic::coded(Code::Key, "a table of one row has one partition")
            .at(option.value_span.clone());
        return Err(d.help("leave the option out").into());
    }
    for column in &table.columns {
        let declared = create.columns.iter().find(|c| c.name.value == column.name);
        let place = declared.map_or(create.name.span.clone(), |c| c.name.span.clone());
        if column.name == DELETED {
            let d =
                Diagnostic::coded(Code::Taken, format!("\"{DELETED}\" is a column of every table's topic"));
            return Err(d.at(place).help("choose another name").into());
        }
        let data_type = &column.data_type;
        if key.contains(&column.name) && (data_type.is_nested() || *data_type == DataType::Null) {
            let name = &column.name;
            let d = Diagnostic::coded(
                Code::Key,
                format!("\"{name}\" is {}, which cannot be in a key", sql_type(data_type)),
            );
            return Err(d
                .at(place)
                .help("a key is made of numbers, texts, times, dates and truth values")
                .into());
        }
        if !RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
            let name = &column.name;
            let d = Diagnostic::coded(
                Code::Key,
                format!("\"{name}\" is {}, which a table cannot hold", sql_type(data_type)),
            );
            return Err(d.at(place).into());
        }
    }
    Ok(())
}

/// Fails for a stream of records that tell changes.
fn check_stream(create: &CreateStream, stream: &StreamDef) -> Result<()> {
    let tells = |(name, value): &&(String, String)| {
        name == "op_column" || (name == "format" && value.starts_with("debezium"))
    };
    let Some((name, value)) = stream.options.iter().find(tells) else { return Ok(()) };
    let option = create.options.iter().find(|o| o.name.value == *name);
    let place = option.map_or(create.name.span.clone(), |o| o.name.span.clone());
    let d = Diagnostic::coded(
        Code::WrongKind,
        format!("{name} = '{value}' tells changes of rows, but a stream's rows only come"),
    );
    Err(d.at(place).help("write CREATE TABLE … with a PRIMARY KEY").into())
}
