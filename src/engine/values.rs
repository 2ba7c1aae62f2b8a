//! INSERT … VALUES: whether the values are what the columns take, and if not, which one.

use super::bounded::{self, ExtraTables};
use super::insert::{assignable, exact_decimals, type_name};
use super::{EngineError, Result, Session};
use crate::catalog::{Column, Definitions, StreamDef};
use crate::runtime::RuntimeError;
use crate::runtime::sink::fit;
use crate::sql::Code;
use crate::sql::{self, Diagnostic, Insert, Name, Statement};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use std::ops::Range;

/// What stands before a value that is looked at alone.
const ALONE: &str = "VALUES (";

impl Session {
    /// Computes the values of an INSERT, whose `plan` gives the stream's columns, as far as they hang on no rows.
    pub(super) fn check_values(&self, stream: &StreamDef, plan: LogicalPlan) -> Result<()> {
        if reads(&plan) {
            return Ok(());
        }
        let mut rows = bounded::start(&self.engine, plan, &ExtraTables::default())?;
        while let Some(batch) = rows.next_batch()? {
            fit(&batch, &stream.schema())?;
        }
        Ok(())
    }

    /// A failure of INSERT … VALUES, told of the value that makes it; as it is if no value does.
    pub(super) fn placed_value(
        &self,
        definitions: &Definitions,
        source: &str,
        insert: &Insert,
        stream: &StreamDef,
        error: EngineError,
    ) -> EngineError {
        let about_values = matches!(
            error,
            EngineError::Sql(_)
                | EngineError::Query(_)
                | EngineError::Arrow(_)
                | EngineError::Runtime(RuntimeError::Output(_))
        );
        if !about_values || !insert.is_values {
            return error;
        }
        match self.wrong_value(definitions, source, insert, stream) {
            Some(mistake) => mistake.into(),
            None => match error {
                EngineError::Sql(d) if d.span.is_some() => d.into(),
                error => error.as_mistake().at(insert.query.span.clone()).into(),
            },
        }
    }

    fn wrong_value(
        &self,
        definitions: &Definitions,
        source: &str,
        insert: &Insert,
        stream: &StreamDef,
    ) -> Option<Diagnostic> {
        let named: Vec<&Column> = match insert.columns.as_slice() {
            [] => stream.columns.iter().collect(),
            names => {
                let find = |name: &Name| stream.columns.iter().find(|c| c.name == name.value);
                names.iter().map(find).collect::<Option<_>>()?
            }
        };
        for row in sql::values_rows(source, &insert.query.span) {
            if row.values.len() != named.len() {
                let names: Vec<&str> = named.iter().map(|c| c.name.as_str()).collect();
                let (have, need) = (row.values.len(), named.len());
                let d = Diagnostic::coded(
                    Code::Columns,
                    format!(
                        "the row has {have} value{} where {need} {} needed",
                        if have == 1 { "" } else { "s" },
                        if need == 1 { "is" } else { "are" }
                    ),
                );
                return Some(d.at(row.span).note(format!("needed: {}", names.join(", "))));
            }
            for (place, column) in row.values.iter().zip(&named) {
                if let Some(d) = self.mistake_in(definitions, source, insert, stream, (place, column)) {
                    return Some(d);
                }
            }
        }
        None
    }

    /// What is wrong with a value for a column.
    fn mistake_in(
        &self,
        definitions: &Definitions,
        source: &str,
        insert: &Insert,
        stream: &StreamDef,
        (place, column): (&Range<usize>, &Column),
    ) -> Option<Diagnostic> {
        let text = format!("{ALONE}{})", source.get(place.clone())?);
        let statements = sql::parse(&text).ok()?;
        let Statement::Query(query) = statements.into_iter().next()?.statement else { return None };
        let name = Name { value: column.name.clone(), span: place.clone() };
        let alone = Insert { columns: vec![name], query, ..insert.clone() };
        let query = exact_decimals(stream, &alone);
        let planned = self.engine.0.planner.query(definitions, &text, &query.query);
        let plan = match planned {
            Ok(plan) => plan,
            Err(mut d) => {
                let moved = |at: usize| (at + place.start).saturating_sub(ALONE.len()).min(place.end);
                let inside = d.span.take().map(|s| moved(s.start)..moved(s.end)).filter(|s| !s.is_empty());
                return Some(d.at(inside.unwrap_or_else(|| place.clone())));
            }
        };
        let given = plan.schema().field(0).data_type().clone();
        let (wanted, name) = (type_name(&column.data_type), &column.name);
        if !assignable(&given, &column.data_type) {
            let d = Diagnostic::coded(
                Code::Value,
                format!("column \"{name}\" is {wanted}, but the value for it is {}", type_name(&given)),
            );
            return Some(
                d.at(place.clone()).help(format!("write a value of type {wanted}, or CAST(… AS {wanted})")),
            );
        }
        if reads(&plan) {
            return None;
        }
        let value = Expr::Column(plan.schema().columns().first()?.clone());
        let cast = cast(value, column.data_type.clone()).alias(name.clone());
        let plan = LogicalPlanBuilder::from(plan).project(vec![cast]).and_then(|b| b.build()).ok()?;
        let found = bounded::start(&self.engine, plan, &ExtraTables::default()).and_then(|mut rows| {
            let batch = rows.next_batch()?;
            Ok(batch.is_some_and(|b| b.num_rows() > 0 && b.column(0).is_null(0)))
        });
        match found {
            Ok(true) if !column.nullable => Some(
                Diagnostic::coded(
                    Code::NotNull,
                    format!("column \"{name}\" is NOT NULL, but the value for it is null"),
                )
                .at(place.clone()),
            ),
            Ok(_) => None,
            Err(error) => Some(error.as_mistake().at(place.clone())),
        }
    }
}

/// Whether a plan reads a stream or table: what it gives hangs on the rows that are there.
fn reads(plan: &LogicalPlan) -> bool {
    let mut scans = false;
    let found = plan.apply_with_subqueries(|node| {
        scans |= matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::Extension(_));
        Ok(if scans { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    scans || found.is_err()
}
