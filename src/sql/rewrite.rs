//! The passes over a parsed query, in one walk: windows get their one form, and what would be ignored is refused.

use super::code::Code;
use super::group_window;
use super::place::Mistake;
use super::refuse;
use super::relation::{PARTITIONED_ARGUMENT, RELATION_ARGUMENT, marker};
use super::start;
use super::window::{self, WindowKind, function_word};
use super::words::folded;
use sqlparser::ast::{Expr, Function, Query, Select, SetExpr, Spanned, TableFactor, VisitMut, VisitorMut};
use std::ops::ControlFlow;

/// Brings a query into the form that the planner reads.
pub(super) fn query(query: &mut Query) -> Result<(), Mistake> {
    match query.visit(&mut Passes { call: false, ctes: Vec::new() }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(mistake) => Err(mistake),
    }
}

struct Passes {
    /// The next expression is the call of a window in FROM.
    call: bool,
    /// Names that the WITH clauses around define, a list for each query.
    ctes: Vec<Vec<String>>,
}

fn flow(result: Result<(), Mistake>) -> ControlFlow<Mistake> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(mistake) => ControlFlow::Break(mistake),
    }
}

impl VisitorMut for Passes {
    type Break = Mistake;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Mistake> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.push(tables.map(|cte| folded(&cte.alias.name)).collect());
        let Query { body, order_by, .. } = query;
        // ORDER BY belongs to the query, but may name the window of its only select.
        let rewritten = match body.as_mut() {
            SetExpr::Select(select) => group_window::rewrite(select, order_by.as_mut()),
            _ => Ok(()),
        };
        flow(rewritten.and_then(|()| refuse::query(query)))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Mistake> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Mistake> {
        // A second time for the select of a query, which then finds nothing; the first for an arm of a UNION.
        flow(group_window::rewrite(select, None).and_then(|()| refuse::select(select)))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Mistake> {
        if let Err(mistake) = self.start(factor) {
            return ControlFlow::Break(mistake);
        }
        match window::read(factor) {
            Ok(Some(call)) => {
                if let Err(mistake) = refuse::table_factor(factor) {
                    return ControlFlow::Break(mistake);
                }
                *factor = call.into_factor();
                self.call = true;
                ControlFlow::Continue(())
            }
            Ok(None) => flow(refuse::table_factor(factor)),
            Err(mistake) => ControlFlow::Break(mistake),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Mistake> {
        if std::mem::take(&mut self.call) {
            return ControlFlow::Continue(());
        }
        let result = match expr {
            Expr::Function(function) => misplaced(function),
            other => match marker(other) {
                Some((ident, query)) if ident.value == PARTITIONED_ARGUMENT => {
                    let at = ident.span.union(&query.span());
                    Err(Mistake::new(
                        Code::NotSupported,
                        at,
                        "PARTITION BY stands behind the relation of SESSION only",
                    )
                    .help(WindowKind::Session.usage()))
                }
                Some((ident, query)) if ident.value != RELATION_ARGUMENT => {
                    let at = ident.span.union(&query.span());
                    Err(Mistake::new(
                        Code::NotSupported,
                        at,
                        "TABLE stands before the first argument of a window only",
                    )
                    .help("write FROM TUMBLE(TABLE stream, DESCRIPTOR(time_column), INTERVAL '1' HOUR)"))
                }
                _ => Ok(()),
            },
        };
        flow(result)
    }
}

impl Passes {
    /// AT behind a relation's name.
    fn start(&self, factor: &mut TableFactor) -> Result<(), Mistake> {
        start::alias_start(factor);
        let TableFactor::Table { name, .. } = factor else { return Ok(()) };
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { return Ok(()) };
        let full = folded(ident);
        let relation = start::split_start(&full).0;
        if start::has_start(&full) && self.ctes.iter().flatten().any(|cte| cte == relation) {
            let message = format!("\"{relation}\" is a query's result: it begins nowhere else");
            return Err(Mistake::new(Code::NotSupported, ident.span, message)
                .help("write AT behind the name of a stream, inside of WITH"));
        }
        Ok(())
    }
}

/// Window functions that stand where no window is.
fn misplaced(function: &Function) -> Result<(), Mistake> {
    let Some(name) = function_word(function) else { return Ok(()) };
    if let Some((kind, _)) = group_window::auxiliary(function) {
        let written = name.value.to_ascii_uppercase();
        let message = format!("{written} needs {} in GROUP BY", kind.word());
        return Err(Mistake::new(Code::NotSupported, function.span(), message)
            .help("or write FROM TUMBLE(stream, time_column, size), and use its column window_start"));
    }
    match WindowKind::of(&name.value) {
        Some(kind) => {
            let message = format!("{} stands in FROM, or by itself in GROUP BY", kind.word());
            Err(Mistake::new(Code::NotSupported, function.span(), message).help(kind.usage()))
        }
        None => Ok(()),
    }
}
