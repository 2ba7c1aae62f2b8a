//! Relations as arguments: a table factor kept in an expression's place, so that every pass over the tree meets it.
//!
//! `TABLE s` becomes `SELECT * FROM s` behind a marker; the marker tells it from a subquery that a person wrote.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr,
    Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, WildcardAdditionalOptions,
};

/// The marker before a relation argument as it was written: `TABLE s`.
pub(super) const TABLE_ARGUMENT: &str = "TABLE";
/// The marker before `TABLE s PARTITION BY …`, which only session windows take.
pub(super) const PARTITIONED_ARGUMENT: &str = "TABLE PARTITION BY";
/// The marker in the one form of a window call that the passes leave behind.
pub(super) const RELATION_ARGUMENT: &str = "RELATION";

/// A relation in the place of an expression.
pub(super) fn marked(marker: Ident, relation: Box<Query>) -> Expr {
    Expr::Prefixed { prefix: marker, value: Box::new(Expr::Subquery(relation)) }
}

/// The marker and the query of an expression that stands for a relation.
pub(super) fn marker(expr: &Expr) -> Option<(&Ident, &Query)> {
    match expr {
        Expr::Prefixed { prefix, value } => match value.as_ref() {
            Expr::Subquery(query) => Some((prefix, query)),
            _ => None,
        },
        _ => None,
    }
}

/// A marked relation with the keys of its PARTITION BY, which stand where a select's DISTRIBUTE BY would.
pub(super) fn partitioned(relation: Expr, keys: Vec<Expr>) -> Expr {
    let Expr::Prefixed { mut prefix, mut value } = relation else { return relation };
    prefix.value = PARTITIONED_ARGUMENT.to_owned();
    if let Expr::Subquery(query) = value.as_mut()
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.distribute_by = keys;
    }
    Expr::Prefixed { prefix, value }
}

/// The keys of a relation's PARTITION BY.
pub(super) fn keys_of(relation: &Expr) -> Option<Vec<Expr>> {
    let (marker, query) = marker(relation)?;
    (marker.value == PARTITIONED_ARGUMENT).then(|| query.body.as_select())?.map(|s| s.distribute_by.clone())
}

/// The one relation of a marked `SELECT * FROM …`.
pub(super) fn marked_relation(query: &Query) -> Option<TableFactor> {
    match query.body.as_select()?.from.as_slice() {
        [from] => Some(one_relation(from.clone())),
        _ => None,
    }
}

/// A FROM item as one table factor: its joins are nested if it has any.
pub(super) fn one_relation(from: TableWithJoins) -> TableFactor {
    if from.joins.is_empty() {
        return from.relation;
    }
    TableFactor::NestedJoin { table_with_joins: Box::new(from), alias: None }
}

/// A plain table by name.
pub(super) fn table(name: ObjectName, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

/// An alias that is only a name.
pub(super) fn alias(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: vec![], at: None }
}

/// The name by which columns of a table factor are qualified, if it has one.
pub(super) fn qualifier(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(&alias.name),
        TableFactor::Table { name, args: None, .. } => name.0.last().and_then(|part| part.as_ident()),
        _ => None,
    }
}

/// A call of a function by its name.
pub fn call(function: &str, arguments: Vec<Expr>) -> Expr {
    let arguments = arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e)));
    call_of(Ident::new(function), arguments.collect())
}

/// A call with arguments of any kind.
pub(super) fn call_of(name: Ident, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// `SELECT * FROM …`.
pub(super) fn select_all(from: TableWithJoins) -> Box<Query> {
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())],
        exclude: None,
        into: None,
        from: vec![from],
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    })
}
