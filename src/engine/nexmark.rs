//! The columns of a generated stream: the standard ones, or those of them that are declared.

use super::Result;
use super::define::COMMON_OPTIONS;
use super::describe::sql_type;
use super::sources::option_diagnostic;
use crate::catalog::Column;
use crate::connectors::{NexmarkConfig, nearest};
use crate::sql::Code;
use crate::sql::{CreateKind, CreateStream, Diagnostic};

/// `declared`, if the generator has these columns; all that it has, if none are declared.
pub(super) fn generated_columns(
    create: &CreateStream,
    options: &[(String, String)],
    declared: Vec<Column>,
) -> Result<Vec<Column>> {
    if create.kind != CreateKind::Stream {
        let place = create.options.iter().find(|o| o.name.value == "connector");
        return Err(Diagnostic::coded(
            Code::WrongKind,
            "connector 'nexmark' makes streams, whose rows do not change",
        )
        .at(place.map_or(create.name.span.clone(), |o| o.value_span.clone()))
        .help(
            "write CREATE STREAM; CREATE TABLE … AS SELECT … FROM the stream keeps the last row of each key",
        )
        .into());
    }
    let config = NexmarkConfig::parse(options, COMMON_OPTIONS).map_err(option_diagnostic)?;
    let standard = config.columns();
    if declared.is_empty() {
        let column = |field: &std::sync::Arc<arrow::datatypes::Field>| Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
        };
        return Ok(standard.fields().iter().map(column).collect());
    }
    for (column, written) in declared.iter().zip(&create.columns) {
        let (name, table) = (&column.name, config.table());
        match config.fits(name, &column.data_type) {
            Some(true) => {}
            Some(false) => {
                let data_type = standard.field_with_name(name)?.data_type();
                let message = format!("column \"{name}\" of {table} is a {}", sql_type(data_type));
                let help = format!("write {name} {}, or leave all columns out", sql_type(data_type));
                return Err(Diagnostic::coded(Code::Columns, message)
                    .at(written.type_span.clone())
                    .help(help)
                    .into());
            }
            None => {
                let names = || standard.fields().iter().map(|f| f.name().as_str());
                let help = match nearest(name, names()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("its columns are {}", names().collect::<Vec<_>>().join(", ")),
                };
                let message = format!("{table} has no column \"{name}\"");
                return Err(Diagnostic::coded(Code::NoColumn, message)
                    .at(written.name.span.clone())
                    .help(help)
                    .into());
            }
        }
    }
    Ok(declared)
}
