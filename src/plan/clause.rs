//! Where in a query a mistake stands that is told of one of its clauses.

use crate::sql::{Diagnostic, byte_range};
use datafusion::functions_aggregate::all_default_aggregate_functions;
use sqlparser::ast::{self, Expr, OrderByKind, SelectItem, Spanned, Visit, Visitor};
use std::ops::{ControlFlow, Range};

/// The place of what the diagnostic's message is about, if it is about a clause; the query's spans point into `source`.
pub(super) fn place(source: &str, query: &ast::Query, d: &Diagnostic) -> Option<Range<usize>> {
    let message = d.message.as_str();
    let wanted = if message.starts_with("aggregate functions are not allowed in WHERE") {
        Wanted::AggregateInWhere
    } else if message.starts_with("HAVING names ") {
        Wanted::Having
    } else if message.starts_with("with SELECT DISTINCT rows can be ordered ") {
        Wanted::OrderOfDistinct
    } else {
        let number = message.strip_prefix("ORDER BY ")?.split_once(": the result has ")?.0;
        Wanted::OrderBy(number.to_string())
    };
    let mut find = Find { wanted, found: None };
    // Whether it breaks off says nothing.
    let _ = query.visit(&mut find);
    find.found.and_then(|span| byte_range(source, span)).filter(|span| !span.is_empty())
}

enum Wanted {
    AggregateInWhere,
    Having,
    OrderOfDistinct,
    /// A column's number.
    OrderBy(String),
}

struct Find {
    wanted: Wanted,
    found: Option<sqlparser::tokenizer::Span>,
}

impl Find {
    fn take(&mut self, span: Option<sqlparser::tokenizer::Span>) -> ControlFlow<()> {
        self.found = span;
        if self.found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Find {
    type Break = ();

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        let span = match self.wanted {
            Wanted::AggregateInWhere => select.selection.as_ref().and_then(aggregate),
            Wanted::Having => select.having.as_ref().map(Spanned::span),
            _ => None,
        };
        self.take(span)
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let Some(OrderByKind::Expressions(by)) = query.order_by.as_ref().map(|o| &o.kind) else {
            return ControlFlow::Continue(());
        };
        let span = match &self.wanted {
            Wanted::OrderBy(number) => by.iter().find(|e| e.expr.to_string() == *number),
            Wanted::OrderOfDistinct => {
                let selected = |e: &Expr| match query.body.as_ref() {
                    ast::SetExpr::Select(select) => select.projection.iter().any(|item| match item {
                        SelectItem::UnnamedExpr(x) => x == e,
                        SelectItem::ExprWithAlias { expr, alias } => {
                            expr == e || alias.to_string() == e.to_string()
                        }
                        _ => false,
                    }),
                    _ => true,
                };
                by.iter().find(|e| !selected(&e.expr))
            }
            _ => None,
        };
        self.take(span.map(|e| e.expr.span()))
    }
}

/// The first call of an aggregate function within an expression, but for those in subqueries.
fn aggregate(expr: &Expr) -> Option<sqlparser::tokenizer::Span> {
    struct Calls {
        depth: usize,
        found: Option<sqlparser::tokenizer::Span>,
    }
    impl Visitor for Calls {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
            let name = call.name.to_string().to_lowercase();
            let known = all_default_aggregate_functions();
            if self.depth > 0 || !known.iter().any(|f| f.name() == name || f.aliases().contains(&name)) {
                return ControlFlow::Continue(());
            }
            self.found = Some(expr.span());
            ControlFlow::Break(())
        }
    }
    let mut calls = Calls { depth: 0, found: None };
    let _ = expr.visit(&mut calls);
    calls.found
}
