//! `[a, b]` in a query's text as the call `make_array(a, b)`: of the literal DataFusion's planner does not see that its
//! elements may be columns of the query around, as in `UNNEST([s.a, s.b])`.

use crate::sql;
use sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};
use std::ops::ControlFlow;

/// The query with calls in the place of array literals that are not constant.
pub(super) fn called(query: &mut Query) {
    struct Call;
    impl VisitorMut for Call {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Array(array) = expr
                && !array.elem.iter().all(|e| matches!(e, Expr::Value(_)))
            {
                *expr = sql::call("make_array", std::mem::take(&mut array.elem));
            }
            ControlFlow::Continue(())
        }
    }
    let _ = query.visit(&mut Call);
}
