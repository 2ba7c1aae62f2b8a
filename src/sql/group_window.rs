//! Windows that are written as part of the group become windows in FROM.
//!
//! | written | becomes |
//! |---|---|
//! | `FROM s WINDOW TUMBLING (…) GROUP BY k` (ksqlDB) | `FROM tumble(s, …) AS s GROUP BY window_start, window_end, window_time, k` |
//! | `FROM s GROUP BY k, TUMBLE(ts, size)` (Flink's older form) | `FROM tumble(s, ts, size) AS s GROUP BY k, window_start, …` |
//! | `WINDOWSTART`, `WINDOWEND` | `window_start`, `window_end` |
//! | `FROM s WINDOW SESSION (gap) GROUP BY k`, `FROM s GROUP BY SESSION(ts, gap), k` | `FROM session(s, …, PARTITION => (k)) AS s GROUP BY window_start, …, k`; WHERE goes with the rows: what it leaves out is in no session |
//! | `TUMBLE_START(ts, size)`, `TUMBLE_END`, `TUMBLE_ROWTIME` | `window_start`, `window_end`, `window_time` |
//!
//! Grouping by all three is the same as grouping by the window, and leaves each of them free to be selected.

use super::code::Code;
use super::interval;
use super::ksql::{self, WindowClause};
use super::place::Mistake;
use super::relation::{alias, one_relation, qualifier};
use super::window::{WindowCall, WindowKind, function_word, unnamed_args};
use super::words::folded;
use sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, Spanned,
    TableWithJoins, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;

/// Rewrites a select whose window stands in its group; `order_by` is that of the query around it.
pub(super) fn rewrite(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<(), Mistake> {
    if let Some(clause) = ksql::take(&mut select.lateral_views) {
        if let Some((_, _, span)) = group_call(select)? {
            return Err(Mistake::new(Code::Window, span, "the window is given twice")
                .help("keep the WINDOW clause, or the window in GROUP BY"));
        }
        return from_clause(select, order_by, clause);
    }
    match group_call(select)? {
        Some((at, kind, span)) => from_group(select, order_by, at, kind, span),
        None => Ok(()),
    }
}

/// ksqlDB's form: the window comes to the front of the group.
fn from_clause(
    select: &mut Select,
    order_by: Option<&mut OrderBy>,
    clause: WindowClause,
) -> Result<(), Mistake> {
    let needs_group = || {
        Mistake::new(Code::Window, clause.span, "a WINDOW clause needs GROUP BY")
            .help("write GROUP BY with the keys: the window is part of the group; for its rows alone write FROM TUMBLE(stream, time_column, size)")
    };
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return Err(needs_group()) };
    if keys.is_empty() {
        return Err(needs_group());
    }
    keys.retain(|key| bound_of_name(key).is_none());
    let partition = match clause.kind {
        WindowKind::Session => partition(keys.iter(), &select.projection)?,
        _ => vec![],
    };
    keys.splice(0..0, window_columns(clause.span));
    let take = |name: &str| {
        let at = clause.intervals.iter().position(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(clause.intervals[at].1.clone())
    };
    let (size, slide, grace) = (take("SIZE"), take("SLIDE"), take("GRACE"));
    let size = size.ok_or_else(|| Mistake::new(Code::Window, clause.span, "the window needs SIZE"))?;
    let (kind, span) = (clause.kind, clause.span);
    let filter = select.selection.take_if(|_| kind == WindowKind::Session);
    let window = Window { kind, time: None, size, keys: partition, filter, slide, grace, span };
    window.wrap(&mut select.from)?;
    replace(select, order_by, &mut |expr| Ok(bound_of_name(expr)))
}

/// Flink's older form: the window is one of the group's expressions.
fn from_group(
    select: &mut Select,
    order_by: Option<&mut OrderBy>,
    at: usize,
    kind: WindowKind,
    span: Span,
) -> Result<(), Mistake> {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return Ok(()) };
    let Some(Expr::Function(function)) = keys.splice(at..=at, window_columns(span)).next() else {
        return Ok(());
    };
    let args = unnamed_args(&function).unwrap_or_default();
    let mut window = match (kind, args.as_slice()) {
        (WindowKind::Tumble | WindowKind::Session, [time, size]) => {
            Window::group(kind, span, time, size, None)
        }
        (WindowKind::Hop | WindowKind::Cumulate, [time, slide, size]) => {
            Window::group(kind, span, time, size, Some(slide))
        }
        _ => return Err(Mistake::new(Code::Window, span, wrong_group_call(kind)).help(group_usage(kind))),
    };
    if kind == WindowKind::Session {
        let windows = at..at + WINDOW_COLUMNS.len();
        let others = keys.iter().enumerate().filter(|(i, _)| !windows.contains(i)).map(|(_, key)| key);
        window.keys = partition(others, &select.projection)?;
        window.filter = select.selection.take();
    }
    window.wrap(&mut select.from)?;
    replace(select, order_by, &mut |expr| bound_of_function(expr, kind, &args))
}

fn wrong_group_call(kind: WindowKind) -> String {
    match kind {
        WindowKind::Tumble => "TUMBLE in GROUP BY takes a time column and a size".to_owned(),
        WindowKind::Session => "SESSION in GROUP BY takes a time column and a gap".to_owned(),
        kind => format!("{} in GROUP BY takes a time column, a slide and a size", kind.word()),
    }
}

fn group_usage(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Tumble => "write GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)",
        WindowKind::Session => "write GROUP BY SESSION(ts, INTERVAL '5' MINUTE), key",
        _ => "write GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR)",
    }
}

/// The window among the group's expressions: its index, kind and place.
fn group_call(select: &Select) -> Result<Option<(usize, WindowKind, Span)>, Mistake> {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return Ok(None) };
    let mut found = None;
    for (at, key) in keys.iter().enumerate() {
        let Expr::Function(function) = key else { continue };
        let Some(name) = function_word(function) else { continue };
        let Some(kind) = WindowKind::of(&name.value) else { continue };
        if found.is_some() {
            return Err(Mistake::new(Code::Window, function.span(), "a group can have one window only"));
        }
        found = Some((at, kind, function.span()));
    }
    Ok(found)
}

/// A window that is to be put around a FROM clause.
struct Window {
    kind: WindowKind,
    time: Option<Expr>,
    size: Expr,
    keys: Vec<Expr>,
    filter: Option<Expr>,
    slide: Option<Expr>,
    grace: Option<Expr>,
    span: Span,
}

impl Window {
    fn group(kind: WindowKind, span: Span, time: &Expr, size: &Expr, slide: Option<&Expr>) -> Window {
        Window {
            kind,
            time: Some(time.clone()),
            size: size.clone(),
            keys: vec![],
            filter: None,
            slide: slide.cloned(),
            grace: None,
            span,
        }
    }

    fn wrap(self, from: &mut Vec<TableWithJoins>) -> Result<(), Mistake> {
        if from.len() != 1 {
            let message = "a window in the group needs exactly one relation in FROM";
            return Err(Mistake::new(Code::Window, self.span, message).help("combine relations with JOIN"));
        }
        let Some(item) = from.pop() else { return Ok(()) };
        let input = one_relation(item);
        let Window { kind, time, size, keys, filter, slide, grace, span } = self;
        // Columns that are qualified by the relation's name or alias must still be found.
        let alias = qualifier(&input).cloned().map(alias);
        let call =
            WindowCall { kind, input, time, size, keys, filter, slide, offset: None, grace, alias, span };
        from.push(TableWithJoins { relation: call.into_factor(), joins: vec![] });
        Ok(())
    }
}

/// What the sessions of a group are kept apart by: its other keys. One that stands for an item of the select list by its
/// number is that item; one that is the name of an item may be a column as well, so both are handed on.
fn partition<'a>(
    keys: impl IntoIterator<Item = &'a Expr>,
    projection: &[SelectItem],
) -> Result<Vec<Expr>, Mistake> {
    let bound = |expr: &Expr| match expr {
        Expr::Function(function) => auxiliary(function).is_some(),
        expr => bound_of_name(expr).is_some(),
    };
    let mut partition = Vec::new();
    for key in keys {
        let item = match key {
            Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => {
                return Err(Mistake::new(
                    Code::Window,
                    key.span(),
                    "the keys of a session cannot be grouping sets",
                )
                .help("write FROM SESSION(stream, time_column, gap, PARTITION => key), and group its rows"));
            }
            Expr::Value(value) => numbered(&value.value, projection),
            Expr::Identifier(name) => named(name, projection),
            _ => None,
        };
        match item {
            Some(item) if bound(item) => {}
            Some(item) => partition.push(match key {
                Expr::Identifier(name) => Expr::Named { expr: Box::new(item.clone()), name: name.clone() },
                _ => item.clone(),
            }),
            None => partition.push(key.clone()),
        }
    }
    Ok(partition)
}

/// The item with this number.
fn numbered<'a>(number: &Value, projection: &'a [SelectItem]) -> Option<&'a Expr> {
    let Value::Number(number, _) = number else { return None };
    let at = number.parse::<usize>().ok()?.checked_sub(1)?;
    match projection.get(at)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The item with this name.
fn named<'a>(name: &Ident, projection: &'a [SelectItem]) -> Option<&'a Expr> {
    projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if folded(alias) == folded(name) => Some(expr),
        _ => None,
    })
}

const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The window's columns as group expressions.
fn window_columns(span: Span) -> Vec<Expr> {
    WINDOW_COLUMNS.map(|name| column(name, span)).to_vec()
}

fn column(name: &str, span: Span) -> Expr {
    Expr::Identifier(Ident::with_span(span, name))
}

/// What an expression stands for, and the name that its column has if none is given.
type Bound = Option<(Expr, String)>;

/// WINDOWSTART and WINDOWEND.
fn bound_of_name(expr: &Expr) -> Bound {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    let name =
        ["WINDOWSTART", "WINDOWEND"].into_iter().find(|name| ident.value.eq_ignore_ascii_case(name))?;
    let bound = if name == "WINDOWSTART" { "window_start" } else { "window_end" };
    Some((column(bound, ident.span), name.to_ascii_lowercase()))
}

/// TUMBLE_START and its like, which must repeat the arguments of the window in the group.
fn bound_of_function(expr: &Expr, kind: WindowKind, group: &[&Expr]) -> Result<Bound, Mistake> {
    let Expr::Function(function) = expr else { return Ok(None) };
    let Some((of, bound)) = auxiliary(function) else { return Ok(None) };
    let name = function_word(function).map_or_else(String::new, |name| name.value.to_ascii_lowercase());
    let same = of == kind
        && unnamed_args(function).is_some_and(|args| {
            args.len() == group.len() && args.iter().zip(group).all(|(a, b)| interval::same(a, b))
        });
    if !same {
        let args: Vec<String> = group.iter().map(ToString::to_string).collect();
        let message = format!("{} does not match the window in GROUP BY", name.to_ascii_uppercase());
        let right = format!("{}_{}({})", kind.word(), suffix_of(&name), args.join(", "));
        return Err(Mistake::new(Code::Window, function.span(), message).help(format!("write {right}")));
    }
    let bound = bound.ok_or_else(|| {
        Mistake::new(Code::Window, function.span(), "windows over processing time are not supported")
            .help(format!("{}_ROWTIME gives the window's event time", kind.word()))
    })?;
    Ok(Some((column(bound, function.span()), name)))
}

fn suffix_of(name: &str) -> String {
    name.rsplit('_').next().unwrap_or_default().to_ascii_uppercase()
}

/// Whether a function is TUMBLE_START or its like: the window's kind, and the column (`None`: there is no such column).
pub(super) fn auxiliary(function: &Function) -> Option<(WindowKind, Option<&'static str>)> {
    let name = function_word(function)?.value.to_ascii_lowercase();
    let (window, what) = name.rsplit_once('_')?;
    let kind = WindowKind::of(window)?;
    match what {
        "start" => Some((kind, Some("window_start"))),
        "end" => Some((kind, Some("window_end"))),
        "rowtime" => Some((kind, Some("window_time"))),
        "proctime" => Some((kind, None)),
        _ => None,
    }
}

/// Replaces expressions in the select list, HAVING, QUALIFY, DISTINCT ON and ORDER BY; subqueries in them are let be.
fn replace(
    select: &mut Select,
    order_by: Option<&mut OrderBy>,
    bound: &mut dyn FnMut(&Expr) -> Result<Bound, Mistake>,
) -> Result<(), Mistake> {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some((replacement, name)) = bound(expr)?
        {
            let alias = Ident::with_span(replacement.span(), name);
            *item = SelectItem::ExprWithAlias { expr: replacement, alias };
        }
    }
    let mut replacing = Replacing { bound, depth: 0 };
    let mut flow = select.projection.visit(&mut replacing);
    if flow.is_continue() {
        flow = select.having.visit(&mut replacing);
    }
    if flow.is_continue() {
        flow = select.qualify.visit(&mut replacing);
    }
    if let (true, Some(Distinct::On(exprs))) = (flow.is_continue(), &mut select.distinct) {
        flow = exprs.visit(&mut replacing);
    }
    if let (true, Some(OrderByKind::Expressions(exprs))) =
        (flow.is_continue(), order_by.map(|order_by| &mut order_by.kind))
    {
        flow = exprs.visit(&mut replacing);
    }
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(mistake) => Err(mistake),
    }
}

struct Replacing<'a> {
    bound: &'a mut dyn FnMut(&Expr) -> Result<Bound, Mistake>,
    depth: usize,
}

impl VisitorMut for Replacing<'_> {
    type Break = Mistake;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Mistake> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Mistake> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Mistake> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match (self.bound)(expr) {
            Ok(Some((replacement, _))) => *expr = replacement,
            Ok(None) => {}
            Err(mistake) => return ControlFlow::Break(mistake),
        }
        ControlFlow::Continue(())
    }
}
