//! `(a, b) IN (SELECT x, y …)` in a query's text, which DataFusion does not plan, as
//! `struct(a, b) IN (SELECT struct(x, y) …)`; `membership` compares such rows value by value.

use super::context::mistake;
use crate::sql::Code;
use crate::sql::{self, Diagnostic};
use datafusion::common::{Diagnostic as Place, Result, Span};
use datafusion::error::DataFusionError;
use sqlparser::ast::{self, Expr, SelectItem, SetExpr, Spanned};
use std::ops::ControlFlow;

/// The function that makes a row of values.
pub(super) const ROW: &str = "struct";

/// The query with single values in the place of rows.
pub(super) fn single(query: &mut ast::Query) -> Result<()> {
    struct Rewrite;
    impl ast::VisitorMut for Rewrite {
        type Break = DataFusionError;
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
            let place = Span::try_from_sqlparser_span(expr.span());
            if let Expr::InSubquery { expr: row, subquery, .. } = expr
                && let Expr::Tuple(values) = row.as_mut()
            {
                let told = |e: DataFusionError| e.with_diagnostic(Place::new_error("", place));
                rows(&mut subquery.body, values.len())
                    .map_or_else(|e| ControlFlow::Break(told(e)), ControlFlow::Continue)?;
                **row = sql::call(ROW, std::mem::take(values));
            }
            ControlFlow::Continue(())
        }
    }
    match ast::VisitMut::visit(query, &mut Rewrite) {
        ControlFlow::Break(wrong) => Err(wrong),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Makes a query's columns one column.
fn rows(query: &mut SetExpr, width: usize) -> Result<()> {
    match query {
        SetExpr::Select(select) => {
            let values = select.projection.iter().map(value).collect::<Option<Vec<Expr>>>();
            let Some(values) = values else {
                let d = Diagnostic::coded(Code::Types, "a row cannot be IN a subquery of all columns");
                return Err(mistake(d.help("write the names of the columns instead of *")));
            };
            if values.len() != width {
                let d = Diagnostic::coded(
                    Code::Types,
                    format!("a row of {width} values cannot be IN a subquery of {} columns", values.len()),
                );
                return Err(mistake(d.help("select as many columns as the row has values")));
            }
            select.projection = vec![SelectItem::UnnamedExpr(sql::call(ROW, values))];
            Ok(())
        }
        SetExpr::Query(query) => rows(&mut query.body, width),
        SetExpr::SetOperation { left, right, .. } => {
            rows(left, width)?;
            rows(right, width)
        }
        _ => Err(mistake(Diagnostic::coded(Code::Types, "a row can be IN a SELECT only"))),
    }
}

fn value(item: &SelectItem) -> Option<Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    }
}
