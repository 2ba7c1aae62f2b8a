//! The metadata columns of a stream, `_partition`, `_offset` and `_timestamp`: selected only by name.
//!
//! A stream's table has none of them. Where a select names one, its streams `s` become `"s$meta" AS s`, a table that
//! has them, and `*` leaves them out, so that naming one column does not change what `*` means.

use super::relation::{alias, marker, qualifier};
use super::start::split_start;
use super::words::{folded, names as is_named};
use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, ObjectNamePart, OrderBy, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, VisitMut,
    Visitor, VisitorMut, WildcardAdditionalOptions,
};
use std::ops::ControlFlow;

/// The metadata columns.
pub const METADATA_COLUMNS: [&str; 3] = ["_partition", "_offset", "_timestamp"];

/// What the name of a stream's table with metadata columns ends with.
pub const METADATA_SUFFIX: &str = "$meta";

/// Whether any identifier in an expression of the query is one of these (lower-case) names, at any depth.
///
/// Unquoted identifiers match in any case, quoted ones as they are written.
pub fn mentions(query: &Query, names: &[&str]) -> bool {
    struct Mentions<'a>(&'a [&'a str]);
    impl Visitor for Mentions<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let found = parts(expr).iter().any(|part| self.0.iter().any(|name| is_named(part, name)));
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    query.visit(&mut Mentions(names)).is_break()
}

/// Whether the query reads a table of this (lower-case) name, at any depth.
pub fn reads(query: &Query, name: &str) -> bool {
    struct Reads<'a>(&'a str);
    impl Visitor for Reads<'_> {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            let last = relation.0.last().and_then(ObjectNamePart::as_ident);
            let named = |ident| is_named(ident, self.0) || split_start(&folded(ident)).0 == self.0;
            if last.is_some_and(named) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    query.visit(&mut Reads(name)).is_break()
}

fn parts(expr: &Expr) -> &[Ident] {
    match expr {
        Expr::Identifier(ident) => std::slice::from_ref(ident),
        Expr::CompoundIdentifier(parts) => parts,
        _ => &[],
    }
}

/// Makes metadata columns visible where they are named.
///
/// In each select that names one itself, in any clause or in the ORDER BY of its query, the table factors of its FROM
/// (and the inputs of its windows) that `is_stream` says are streams are renamed from `s` to `"s$meta" AS s`, and `*`
/// and `s.*` get `EXCLUDE`. `s._offset` concerns `s` alone, also from inside a subquery; a bare `_offset` all of them.
/// Names of common table expressions are no streams.
pub fn expose_metadata(query: &mut Query, is_stream: &dyn Fn(&str) -> bool) {
    let mut expose = Expose { is_stream, ctes: vec![] };
    // The walk never breaks off.
    let _ = query.visit(&mut expose);
}

struct Expose<'a> {
    is_stream: &'a dyn Fn(&str) -> bool,
    /// Names that the WITH clauses around define, a list for each query.
    ctes: Vec<Vec<String>>,
}

impl VisitorMut for Expose<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.push(tables.map(|cte| folded(&cte.alias.name)).collect());
        let Query { body, order_by, .. } = query;
        if let SetExpr::Select(select) = body.as_mut() {
            self.select(select, order_by.as_ref());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.select(select, None);
        ControlFlow::Continue(())
    }
}

impl Expose<'_> {
    fn select(&self, select: &mut Select, order_by: Option<&OrderBy>) {
        let mentioned = Mentioned::of(select, order_by);
        if mentioned.bare || !mentioned.of.is_empty() {
            let mut renamed = vec![];
            for from in &mut select.from {
                self.from(from, &mentioned, &mut renamed);
            }
            if !renamed.is_empty() {
                exclude(&mut select.projection, &renamed);
            }
        }
    }

    fn from(&self, from: &mut TableWithJoins, mentioned: &Mentioned, renamed: &mut Vec<String>) {
        self.factor(&mut from.relation, None, mentioned, renamed);
        for join in &mut from.joins {
            self.factor(&mut join.relation, None, mentioned, renamed);
        }
    }

    /// `outer` is the name by which the factor around this one qualifies its columns.
    fn factor(
        &self,
        factor: &mut TableFactor,
        outer: Option<&str>,
        mentioned: &Mentioned,
        renamed: &mut Vec<String>,
    ) {
        let own = qualifier(factor).map(folded);
        let known_as = outer.map(str::to_owned).or(own);
        match factor {
            TableFactor::Table { name, alias: given, args: None, .. } => {
                let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return };
                let (ident, stream) = (ident.clone(), folded(ident));
                let wanted =
                    mentioned.bare || known_as.as_ref().is_some_and(|name| mentioned.of.contains(name));
                let done = stream.ends_with(METADATA_SUFFIX);
                if done || !wanted || self.is_cte(&stream) || !(self.is_stream)(&stream) {
                    return;
                }
                renamed.extend(known_as);
                rename(name, given, &ident, &stream);
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let outer = alias.as_ref().map(|alias| folded(&alias.name));
                let outer = outer.as_deref();
                self.factor(&mut table_with_joins.relation, outer, mentioned, renamed);
                for join in &mut table_with_joins.joins {
                    self.factor(&mut join.relation, outer, mentioned, renamed);
                }
            }
            TableFactor::TableFunction { expr, alias } => {
                let outer = alias.as_ref().map(|alias| folded(&alias.name));
                if let Some(from) = window_input(expr) {
                    self.factor(&mut from.relation, outer.as_deref(), mentioned, renamed);
                    for join in &mut from.joins {
                        self.factor(&mut join.relation, outer.as_deref(), mentioned, renamed);
                    }
                }
            }
            _ => {}
        }
    }

    fn is_cte(&self, name: &str) -> bool {
        self.ctes.iter().flatten().any(|cte| cte == name)
    }
}

/// `s` becomes `"s$meta" AS s`.
fn rename(name: &mut ObjectName, given: &mut Option<TableAlias>, ident: &Ident, stream: &str) {
    let span = ident.span;
    let renamed = Ident { value: format!("{stream}{METADATA_SUFFIX}"), quote_style: Some('"'), span };
    *name = ObjectName::from(vec![renamed]);
    given.get_or_insert_with(|| alias(ident.clone()));
}

/// The relation that a window in FROM is over, if it is no subquery.
fn window_input(expr: &mut Expr) -> Option<&mut TableWithJoins> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &mut function.args else { return None };
    let data = list.args.iter_mut().find_map(|arg| match arg {
        FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } if marker(expr).is_some() => Some(expr),
        _ => None,
    })?;
    let Expr::Prefixed { value, .. } = data else { return None };
    let Expr::Subquery(query) = value.as_mut() else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.from.first_mut()
}

/// How a select names metadata columns.
#[derive(Default)]
struct Mentioned {
    /// Without a qualifier, in the select itself.
    bare: bool,
    /// With these qualifiers, in the select or in a subquery of it.
    of: Vec<String>,
}

impl Mentioned {
    fn of(select: &Select, order_by: Option<&OrderBy>) -> Mentioned {
        let mut finding = Finding { mentioned: Mentioned::default(), depth: 0 };
        // Only expressions count, not what FROM holds: its subqueries are selects of their own.
        let flows = [
            select.projection.visit(&mut finding),
            select.distinct.visit(&mut finding),
            select.selection.visit(&mut finding),
            select.group_by.visit(&mut finding),
            select.having.visit(&mut finding),
            select.named_window.visit(&mut finding),
            select.qualify.visit(&mut finding),
            order_by.map_or(ControlFlow::Continue(()), |order_by| order_by.visit(&mut finding)),
        ];
        debug_assert!(flows.iter().all(ControlFlow::is_continue), "nothing breaks this walk off");
        for from in &select.from {
            finding.from(from);
        }
        finding.mentioned
    }
}

struct Finding {
    mentioned: Mentioned,
    depth: usize,
}

impl Finding {
    /// Conditions of joins, and arguments of windows, but not subqueries.
    fn from(&mut self, from: &TableWithJoins) {
        self.factor(&from.relation);
        for join in &from.joins {
            self.factor(&join.relation);
            let _ = join.join_operator.visit(self);
        }
    }

    fn factor(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => self.from(table_with_joins),
            // The depth keeps bare names inside the input, a select of its own, from counting.
            TableFactor::TableFunction { expr, .. } => {
                let _ = expr.visit(self);
            }
            _ => {}
        }
    }
}

impl Visitor for Finding {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let [qualifiers @ .., column] = parts(expr)
            && METADATA_COLUMNS.iter().any(|name| is_named(column, name))
        {
            match qualifiers.last() {
                Some(qualifier) => self.mentioned.of.push(folded(qualifier)),
                None => self.mentioned.bare |= self.depth == 0,
            }
        }
        ControlFlow::Continue(())
    }
}

/// Leaves the metadata columns out of `*`, and of `s.*` for the renamed streams.
fn exclude(projection: &mut [SelectItem], renamed: &[String]) {
    for item in projection {
        match item {
            SelectItem::Wildcard(options) => exclude_from(options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let last = name.0.last().and_then(|part| part.as_ident()).map(folded);
                if last.is_some_and(|last| renamed.contains(&last)) {
                    exclude_from(options);
                }
            }
            _ => {}
        }
    }
}

fn exclude_from(options: &mut WildcardAdditionalOptions) {
    let span = options.wildcard_token.0.span;
    let columns = METADATA_COLUMNS.map(|name| ObjectName::from(vec![Ident::with_span(span, name)]));
    let mut excluded = match options.opt_exclude.take() {
        None => vec![],
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    // A column that is excluded twice is an error for the planner.
    let twice = |name: &ObjectName| {
        excluded.iter().any(|other| match (other.0.as_slice(), name.0.as_slice()) {
            ([ObjectNamePart::Identifier(a)], [ObjectNamePart::Identifier(b)]) => folded(a) == b.value,
            _ => false,
        })
    };
    let added: Vec<ObjectName> = columns.into_iter().filter(|name| !twice(name)).collect();
    excluded.extend(added);
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(excluded));
}
