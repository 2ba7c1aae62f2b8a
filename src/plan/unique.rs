//! Unique keys: columns of a query's result of which no two of its rows have the same values (nulls being equal).
//!
//! A result that changes is kept by such a key, so what is said here must hold at every moment; where it is not
//! certain, nothing is said.
//!
//! | plan | its keys |
//! |---|---|
//! | a table | its primary key |
//! | a stream in a topic, with metadata | (_partition, _offset) |
//! | GROUP BY, DISTINCT | the group keys; also a key of the input that is among them |
//! | an aggregate without GROUP BY, one row of VALUES, LIMIT 1 | none of the columns: there is at most one row |
//! | filter, sort, limit, window function, tumbling window, session | the input's; a column that a filter holds to one value is left out |
//! | `row_number()` | also its PARTITION BY with the number |
//! | other windows | the input's with the window's bounds |
//! | projection | the input's, where all of its columns are kept |
//! | join | a left key with a right key; a left key alone where at most one right row joins, and the other way round |
//! | semi join, anti join | the kept side's |
//! | anything else, such as UNION ALL | none |

use super::in_time::InTimeNode;
use super::session::SessionNode;
use super::single_row::SingleRowNode;
use super::stream::stream_of;
use super::trace::group_keys;
use super::window::WindowNode;
use crate::operators::window::WindowKind;
use datafusion::common::JoinType;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, FetchType, Filter, Join, LogicalPlan, Operator, Projection, TableScan,
    Window, WindowFunctionDefinition,
};
use std::any::Any;

/// More keys than this are not followed: further ones add nothing that people ask for.
const MOST_KEYS: usize = 16;

/// DataFusion's column that tells which grouping set a row is of.
const GROUPING_ID: &str = "__grouping_id";
const UNTOLD_SET: &str = "the result has grouping sets, and nothing in it tells which of them a row is of";

/// What is known of a plan's unique keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKeys {
    /// Each key as places of the plan's columns, ascending; the shortest first. A key of no columns: at most one row.
    pub keys: Vec<Vec<usize>>,
    /// Why there is no key (or none of a kind that one might expect), in words.
    pub reason: String,
}

impl UniqueKeys {
    fn new(keys: Vec<Vec<usize>>, reason: &str) -> Self {
        let mut all: Vec<Vec<usize>> = Vec::new();
        let mut sorted: Vec<Vec<usize>> = keys
            .into_iter()
            .map(|mut key| {
                key.sort_unstable();
                key.dedup();
                key
            })
            .collect();
        sorted.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        for key in sorted {
            // A key with more columns than another says no more than that.
            if all.len() < MOST_KEYS && !all.iter().any(|known| contains(&key, known)) {
                all.push(key);
            }
        }
        UniqueKeys { keys: all, reason: reason.into() }
    }

    fn none(reason: &str) -> Self {
        UniqueKeys { keys: Vec::new(), reason: reason.into() }
    }

    /// Whether `columns` are unique because a key is among them.
    pub fn covered_by(&self, columns: &[usize]) -> bool {
        self.keys.iter().any(|key| contains(columns, key))
    }
}

fn contains(columns: &[usize], key: &[usize]) -> bool {
    key.iter().all(|k| columns.contains(k))
}

/// The unique keys of an optimized plan.
pub fn unique_keys(plan: &LogicalPlan) -> UniqueKeys {
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan),
        LogicalPlan::SubqueryAlias(alias) => unique_keys(&alias.input),
        LogicalPlan::Sort(sort) if matches!(sort.fetch, Some(0 | 1)) => UniqueKeys::new(vec![vec![]], ""),
        LogicalPlan::Sort(sort) => unique_keys(&sort.input),
        LogicalPlan::Repartition(repartition) => unique_keys(&repartition.input),
        LogicalPlan::Filter(filter) => of_filter(filter),
        LogicalPlan::Projection(projection) => of_projection(projection),
        LogicalPlan::Aggregate(aggregate) => of_aggregate(aggregate),
        LogicalPlan::Window(window) => of_window_functions(window),
        LogicalPlan::Join(join) => of_join(join),
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(Some(0 | 1))) => UniqueKeys::new(vec![vec![]], ""),
            _ => unique_keys(&limit.input),
        },
        LogicalPlan::EmptyRelation(_) => UniqueKeys::new(vec![vec![]], ""),
        LogicalPlan::Values(values) if values.values.len() <= 1 => UniqueKeys::new(vec![vec![]], ""),
        LogicalPlan::Values(_) => UniqueKeys::none("rows of VALUES have no key"),
        LogicalPlan::Union(_) => UniqueKeys::none("UNION ALL may give the same row twice"),
        LogicalPlan::Unnest(_) => UniqueKeys::none("unnest may give the same row twice"),
        LogicalPlan::Extension(e) => of_node(e.node.as_any()),
        _ => UniqueKeys::none("the query's rows have no key"),
    }
}

/// The keys of a node of ours.
fn of_node(node: &dyn Any) -> UniqueKeys {
    if let Some(window) = node.downcast_ref::<WindowNode>() {
        of_window(window)
    } else if let Some(in_time) = node.downcast_ref::<InTimeNode>() {
        unique_keys(&in_time.input)
    } else if let Some(session) = node.downcast_ref::<SessionNode>() {
        // At every moment a row lies in one session.
        unique_keys(&session.input)
    } else if node.is::<SingleRowNode>() {
        UniqueKeys::new(vec![vec![]], "")
    } else {
        UniqueKeys::none("the query's rows have no key")
    }
}

fn of_scan(scan: &TableScan) -> UniqueKeys {
    let Some(source) = stream_of(&scan.source) else {
        return UniqueKeys::none("the query's rows have no key");
    };
    let stream = &source.stream;
    let place = |name: &str| scan.projected_schema.fields().iter().position(|f| f.name() == name);
    let places = |names: &[&str]| names.iter().map(|n| place(n)).collect::<Option<Vec<_>>>();
    let Some(key) = &stream.primary_key else {
        let declared = |name: &str| stream.columns.iter().any(|c| c.name == name);
        let metadata = ["_partition", "_offset"];
        let key = places(&metadata).filter(|_| !metadata.iter().any(|m| declared(m)));
        return UniqueKeys::new(
            key.into_iter().collect(),
            &format!("rows of the stream \"{}\" have no key", stream.name),
        );
    };
    let names: Vec<&str> = key.iter().map(String::as_str).collect();
    UniqueKeys::new(
        places(&names).into_iter().collect(),
        &format!("the query leaves out the key of \"{}\", ({})", stream.name, names.join(", ")),
    )
}

/// The column that an expression is, maybe under another name or in a wider type that keeps values apart.
fn column(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::ExprSchemable;
    match expr {
        Expr::Alias(alias) => column(&alias.expr, input),
        Expr::Column(name) => input.schema().index_of_column(name).ok(),
        Expr::Cast(cast) => {
            let (from, to) = (cast.expr.get_type(input.schema()).ok()?, cast.field.data_type());
            let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            let wider = from.is_signed_integer()
                && to.is_signed_integer()
                && from.primitive_width() <= to.primitive_width();
            (wider || (text(&from) && text(to))).then(|| column(&cast.expr, input))?
        }
        _ => None,
    }
}

/// Whether equal values of a column are also the same to a key: two zeros are equal, but not the same.
fn exact(plan: &LogicalPlan, column: usize) -> bool {
    !plan.schema().field(column).data_type().is_floating()
}

fn of_projection(projection: &Projection) -> UniqueKeys {
    let input = unique_keys(&projection.input);
    // Where each column of the input stands in the output; it may stand there more than once.
    let mut places: Vec<Vec<usize>> = vec![Vec::new(); projection.input.schema().fields().len()];
    for (i, expr) in projection.expr.iter().enumerate() {
        if let Some(places) = column(expr, &projection.input).and_then(|c| places.get_mut(c)) {
            places.push(i);
        }
    }
    let mut keys: Vec<Vec<usize>> = Vec::new();
    for key in &input.keys {
        let mut here: Vec<Vec<usize>> = vec![Vec::new()];
        for column in key {
            let with = |key: &Vec<usize>| {
                let key = key.clone();
                places[*column].iter().map(move |p| key.iter().copied().chain([*p]).collect::<Vec<usize>>())
            };
            here = here.iter().flat_map(with).take(MOST_KEYS).collect();
        }
        keys.append(&mut here);
    }
    let reason = match input.keys.first() {
        Some(key) if keys.is_empty() => {
            let missing = key.iter().filter(|c| places[**c].is_empty());
            let names: Vec<String> = missing.map(|c| shown(&projection.input, *c)).collect();
            match names.iter().any(|n| n == GROUPING_ID) {
                true => UNTOLD_SET.into(),
                false => format!("the SELECT leaves out {} of the key", names.join(", ")),
            }
        }
        _ => input.reason,
    };
    UniqueKeys::new(keys, &reason)
}

fn shown(plan: &LogicalPlan, column: usize) -> String {
    crate::operators::shown::tidy(plan.schema().field(column).name())
}

fn of_filter(filter: &Filter) -> UniqueKeys {
    let input = unique_keys(&filter.input);
    let fixed: Vec<usize> = split_conjunction(&filter.predicate)
        .into_iter()
        .filter_map(|conjunct| {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else {
                return None;
            };
            let of = |a: &Expr, b: &Expr| match b {
                Expr::Literal(value, _) if !value.is_null() => column(a, &filter.input),
                // Within a subquery: one value for each row of the query around it.
                Expr::OuterReferenceColumn(..) => column(a, &filter.input),
                _ => None,
            };
            of(left, right).or_else(|| of(right, left)).filter(|c| exact(&filter.input, *c))
        })
        .chain(first_numbers(filter))
        .collect();
    let keys = input.keys.into_iter().map(|key| key.into_iter().filter(|c| !fixed.contains(c)).collect());
    UniqueKeys::new(keys.collect(), &input.reason)
}

/// The columns of `row_number()` that the filter holds to 1 by `<= 1` or `< 2`.
fn first_numbers(filter: &Filter) -> Vec<usize> {
    let mut input = filter.input.as_ref();
    while let LogicalPlan::SubqueryAlias(alias) = input {
        input = &alias.input;
    }
    let at_most_one = |conjunct: &Expr| {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = conjunct else { return None };
        let Expr::Literal(value, _) = right.as_ref() else { return None };
        let most = match op {
            Operator::LtEq => "1",
            Operator::Lt => "2",
            _ => return None,
        };
        (value.to_string() == most).then(|| column(left, &filter.input))?
    };
    let numbers = row_numbers(input);
    let held = split_conjunction(&filter.predicate).into_iter().filter_map(at_most_one);
    held.filter(|c| numbers.contains(c)).collect()
}

/// The columns of a plan that are row numbers.
fn row_numbers(plan: &LogicalPlan) -> Vec<usize> {
    match plan {
        LogicalPlan::Window(window) => {
            let width = window.input.schema().fields().len();
            let number = |(i, e): (usize, &Expr)| partition_of_row_number(e).map(|_| width + i);
            window.window_expr.iter().enumerate().filter_map(number).collect()
        }
        LogicalPlan::Projection(projection) => {
            let inner = row_numbers(&projection.input);
            let is_number = |e: &Expr| column(e, &projection.input).is_some_and(|c| inner.contains(&c));
            (0..projection.expr.len()).filter(|i| is_number(&projection.expr[*i])).collect()
        }
        LogicalPlan::SubqueryAlias(alias) => row_numbers(&alias.input),
        _ => Vec::new(),
    }
}

/// The PARTITION BY of a `row_number()`.
fn partition_of_row_number(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Alias(alias) => partition_of_row_number(&alias.expr),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::WindowUDF(f) if f.name() == "row_number" => {
                Some(&call.params.partition_by)
            }
            _ => None,
        },
        _ => None,
    }
}

fn of_window_functions(window: &Window) -> UniqueKeys {
    let UniqueKeys { mut keys, reason } = unique_keys(&window.input);
    let width = window.input.schema().fields().len();
    for (i, expr) in window.window_expr.iter().enumerate() {
        let Some(partition) = partition_of_row_number(expr) else { continue };
        let columns = partition.iter().map(|e| column(e, &window.input)).collect::<Option<Vec<_>>>();
        keys.extend(columns.map(|mut columns| {
            columns.push(width + i);
            columns
        }));
    }
    UniqueKeys::new(keys, &reason)
}

fn of_aggregate(aggregate: &Aggregate) -> UniqueKeys {
    let (keys, always) = group_keys(&aggregate.group_expr);
    if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
        // The column behind the keys tells which set a row is of.
        return UniqueKeys::new(vec![(0..=always.len()).collect()], UNTOLD_SET);
    }
    let mut found = vec![(0..keys.len()).collect()];
    // A key of the input that is grouped by still tells the groups apart.
    let place = |c: &usize| keys.iter().position(|k| column(k, &aggregate.input) == Some(*c));
    let inner = unique_keys(&aggregate.input).keys;
    found.extend(
        inner
            .iter()
            .filter(|k| !k.is_empty())
            .filter_map(|key| key.iter().map(place).collect::<Option<Vec<_>>>()),
    );
    UniqueKeys::new(found, "")
}

fn of_window(window: &WindowNode) -> UniqueKeys {
    let input = unique_keys(&window.input);
    let width = window.input.schema().fields().len();
    let one_each = matches!(window.kind, WindowKind::Tumble { .. });
    let keys = input.keys.into_iter().map(|mut key| {
        if !one_each {
            // A row lies in several windows, which differ in one of their bounds at least.
            key.extend([width, width + 1]);
        }
        key
    });
    UniqueKeys::new(keys.collect(), &input.reason)
}

fn of_join(join: &Join) -> UniqueKeys {
    let (left, right) = (unique_keys(&join.left), unique_keys(&join.right));
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => return left,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => return right,
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
    }
    let width = join.left.schema().fields().len();
    // The columns of a side whose values a joining row of the other side determines.
    let fixed = |side: &LogicalPlan, exprs: Vec<&Expr>| -> Vec<usize> {
        exprs.into_iter().filter_map(|e| column(e, side)).filter(|c| exact(side, *c)).collect()
    };
    let right_fixed = fixed(&join.right, join.on.iter().map(|(_, r)| r).collect());
    let left_fixed = fixed(&join.left, join.on.iter().map(|(l, _)| l).collect());
    let (one_left, one_right) = (left.covered_by(&left_fixed), right.covered_by(&right_fixed));
    let shift = |key: &Vec<usize>| key.iter().map(|c| c + width).collect::<Vec<usize>>();
    let mut keys: Vec<Vec<usize>> = Vec::new();
    // A row that is padded with nulls appears once, beside none that has joined.
    if one_right && matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        keys.extend(left.keys.iter().cloned());
    }
    if one_left && matches!(join.join_type, JoinType::Inner | JoinType::Right) {
        keys.extend(right.keys.iter().map(shift));
    }
    // Where both sides are padded, a row of one must not look like a padded row of the other.
    let never_null =
        |plan: &LogicalPlan, key: &[usize]| key.iter().any(|c| !plan.schema().field(*c).is_nullable());
    for l in &left.keys {
        for r in &right.keys {
            let apart =
                join.join_type != JoinType::Full || never_null(&join.left, l) || never_null(&join.right, r);
            if apart {
                keys.push(l.iter().copied().chain(shift(r)).collect());
            }
        }
    }
    let reason = match (left.keys.is_empty(), right.keys.is_empty()) {
        (true, _) => left.reason,
        (_, true) => right.reason,
        _ => "rows without a match on either side may look alike".into(),
    };
    UniqueKeys::new(keys, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, Definitions, StreamDef};
    use crate::plan::Planner;
    use crate::sql::{Statement, parse};
    use arrow::datatypes::{DataType, TimeUnit};
    use std::sync::Arc;

    fn definitions() -> Definitions {
        let mut all = Definitions::default();
        let column = |name: &str, data_type, nullable| Column { name: name.into(), data_type, nullable };
        let mut add = |name: &str, key: Option<&[&str]>| {
            let of = |c: &str| key.is_none_or(|key| !key.contains(&c));
            let columns = vec![
                column("id", DataType::Int64, of("id")),
                column("g", DataType::Utf8, of("g")),
                column("x", DataType::Int64, true),
                column("f", DataType::Float64, true),
                column("ts", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
                column("xs", DataType::new_list(DataType::Int64, true), true),
            ];
            let stream = StreamDef {
                name: name.into(),
                columns,
                event_time: None,
                connector: "topic".into(),
                options: vec![],
                query: None,
                primary_key: key.map(|k| k.iter().map(|c| c.to_string()).collect()),
            };
            all.streams.insert(name.into(), Arc::new(stream));
        };
        add("s", None);
        add("t", Some(&["id"]));
        add("u", Some(&["id", "g"]));
        add("one", Some(&[]));
        all
    }

    /// The names of the keys' columns, or why there is none.
    fn keys(query: &str) -> String {
        let statements = parse(query).unwrap();
        let Statement::Query(parsed) = &statements[0].statement else { panic!("not a query") };
        let planner = Planner::new();
        let plan = planner.query(&definitions(), query, &parsed.query).unwrap();
        let plan = planner.optimize(plan).unwrap();
        let found = unique_keys(&plan);
        if found.keys.is_empty() {
            return found.reason;
        }
        let names = |key: &Vec<usize>| {
            let names: Vec<String> = key.iter().map(|c| plan.schema().field(*c).name().clone()).collect();
            format!("({})", names.join(", "))
        };
        found.keys.iter().map(names).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_of_one_relation() {
        for (query, expected) in [
            ("SELECT * FROM s", "rows of the stream \"s\" have no key"),
            ("SELECT _partition, _offset, x FROM s", "(_partition, _offset)"),
            ("SELECT * FROM t", "(id)"),
            ("SELECT x, id AS a, id AS b FROM t WHERE x > 1", "(a) (b)"),
            (
                "SELECT CAST(x AS BIGINT) AS x, CAST(id AS VARCHAR) AS id FROM t",
                "the SELECT leaves out id of the key",
            ),
            ("SELECT x FROM t", "the query leaves out the key of \"t\", (id)"),
            ("SELECT g, x FROM u WHERE id = 7", "(g)"),
            ("SELECT id, g, x FROM u WHERE id = 7 AND 'a' = g", "()"),
            ("SELECT id, g FROM u WHERE id > 7", "(id, g)"),
            ("SELECT x FROM one", "()"),
            ("SELECT * FROM t LIMIT 1", "()"),
            ("SELECT * FROM t ORDER BY x LIMIT 5", "(id)"),
            ("SELECT * FROM s LIMIT 5", "rows of the stream \"s\" have no key"),
            ("SELECT * FROM t UNION ALL SELECT * FROM t", "UNION ALL may give the same row twice"),
            ("SELECT g, x FROM t UNION SELECT g, x FROM s", "(g, x)"),
            ("SELECT id, unnest(xs) AS e FROM t", "unnest may give the same row twice"),
            ("VALUES (1), (2)", "rows of VALUES have no key"),
            ("SELECT 1 AS a", "()"),
        ] {
            assert_eq!(keys(query), expected, "{query}");
        }
    }

    #[test]
    fn keys_of_groups_and_windows() {
        for (query, expected) in [
            ("SELECT g, x, count(*) AS n FROM s GROUP BY g, x", "(g, x)"),
            ("SELECT g, count(*) AS n FROM s GROUP BY g, x", "the SELECT leaves out x of the key"),
            ("SELECT id, x, count(*) AS n FROM t GROUP BY id, x", "(id)"),
            ("SELECT DISTINCT g, x FROM s", "(g, x)"),
            ("SELECT count(*) AS n FROM s", "()"),
            ("SELECT g, x % 2 AS odd, count(*) AS n FROM s GROUP BY g, x % 2", "(g, odd)"),
            (
                "SELECT g, x, count(*) AS n FROM s GROUP BY ROLLUP (g, x)",
                UNTOLD_SET,
            ),
            ("SELECT id, window_start FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)", "(id)"),
            (
                "SELECT id, window_start, window_end FROM HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
                "(id, window_start, window_end)",
            ),
            (
                "SELECT window_start, window_end, g, count(*) AS n FROM TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR)
                 GROUP BY window_start, window_end, g",
                "(window_start, window_end, g)",
            ),
            ("SELECT id, sum(x) OVER (PARTITION BY g ORDER BY id) AS y FROM t", "(id)"),
            ("SELECT g, row_number() OVER (PARTITION BY g ORDER BY x) AS rn FROM s", "(g, rn)"),
            (
                "SELECT * FROM (SELECT g, x, row_number() OVER (PARTITION BY g ORDER BY x) AS rn FROM s) WHERE rn = 1",
                "(g)",
            ),
            (
                "SELECT g, x FROM (SELECT g, x, row_number() OVER (PARTITION BY g ORDER BY x) AS rn FROM s) WHERE rn <= 1",
                "(g)",
            ),
            (
                "SELECT * FROM (SELECT g, x, row_number() OVER (PARTITION BY g ORDER BY x) AS rn FROM s) WHERE rn <= 2",
                "(g, rn)",
            ),
        ] {
            assert_eq!(keys(query), expected, "{query}");
        }
    }

    #[test]
    fn keys_of_joins() {
        let no_key = "rows of the stream \"s\" have no key";
        for (query, expected) in [
            ("SELECT a.id, b.id AS bid FROM t a, t b", "(id, bid)"),
            ("SELECT a.id, b.g FROM t a JOIN t b ON a.x = b.id", "(id)"),
            ("SELECT a.id, b.id AS bid FROM t a JOIN t b ON a.id = b.id", "(id) (bid)"),
            ("SELECT a.id, b.id AS bid FROM t a LEFT JOIN t b ON a.id = b.id", "(id)"),
            ("SELECT a.id, b.id AS bid FROM t a RIGHT JOIN t b ON a.id = b.id", "(bid)"),
            ("SELECT a.id, b.id AS bid FROM t a FULL JOIN t b ON a.id = b.id", "(id, bid)"),
            ("SELECT a.id, b.g, b.id AS bid FROM t a LEFT JOIN u b ON a.id = b.id", "(id, g, bid)"),
            ("SELECT a.id, b.x FROM t a LEFT JOIN u b ON a.id = b.id AND a.g = b.g AND a.x < b.x", "(id)"),
            ("SELECT a.id FROM t a JOIN s b ON a.id = b.id", no_key),
            ("SELECT a.id FROM t a WHERE a.x IN (SELECT x FROM s)", "(id)"),
            ("SELECT a.id FROM t a WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.x = a.x)", "(id)"),
            ("SELECT a.id, one.x FROM t a CROSS JOIN one", "(id)"),
            (
                "SELECT a.id, c.n FROM t a LEFT JOIN (SELECT g, count(*) AS n FROM s GROUP BY g) c ON a.g = c.g",
                "(id)",
            ),
            (
                "SELECT a.id, c.n FROM t a JOIN (SELECT f, count(*) AS n FROM s GROUP BY f) c ON a.f = c.f",
                "the SELECT leaves out f of the key",
            ),
            (
                "SELECT a.x, b.g FROM (SELECT x, count(*) AS n FROM s GROUP BY x) a
                 FULL JOIN (SELECT g, count(*) AS n FROM s GROUP BY g) b ON a.n = b.n",
                "rows without a match on either side may look alike",
            ),
        ] {
            assert_eq!(keys(query), expected, "{query}");
        }
    }
}
