//! Which expression of a query a mistake is about, where whoever found it does not say.
//!
//! Each expression is put into a query that selects nothing else, from the same relations. If the smallest such query has
//! the same mistake, that expression is the one.

use super::place::byte_range;
use sqlparser::ast::{
    Expr, GroupByExpr, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, Spanned,
    TableFactor, Value, Visit, Visitor,
};
use std::ops::{ControlFlow, Range};

/// Expressions that are tried, at most: a text of thousands is told as a whole.
const MOST: usize = 100;

/// An expression and the query that selects it alone.
pub struct Suspect {
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// The query that selects it.
    pub query: Box<Query>,
    /// One that selects nothing from the same relations: what is wrong with that is not the expression's fault.
    pub bare: Box<Query>,
}

/// The expressions of `query`, whose spans point into `source`: the shortest first.
pub fn suspects(source: &str, query: &Query) -> Vec<Suspect> {
    let mut find = Find { source, whole: query, selects: Vec::new(), found: Vec::new() };
    // It never breaks off.
    let _ = query.visit(&mut find);
    let mut found = find.found;
    // Of one place the narrower query comes first.
    found.sort_by_key(|s| s.span.len());
    found.truncate(MOST);
    found
}

struct Find<'q> {
    source: &'q str,
    whole: &'q Query,
    /// The SELECTs, and the calls in FROM, around the place that is looked at, each with a query that selects nothing from
    /// the relations that can be named there.
    selects: Vec<Scope>,
    found: Vec<Suspect>,
}

/// What can be named at a place.
struct Scope {
    /// Selects nothing from it.
    query: Query,
    /// A SELECT's: within it what is around it can be named as well.
    of_select: bool,
}

impl Find<'_> {
    /// A query like the whole one, but for what it selects.
    fn around(&self, select: Select) -> Query {
        let mut query = self.whole.clone();
        *query.body = SetExpr::Select(Box::new(select));
        (query.order_by, query.limit_clause, query.fetch) = (None, None, None);
        query
    }

    /// The condition of a join is the culprit if the join is wrong with it, and is not without it.
    fn conditions(&mut self, select: &Select, bare: &Select) {
        let joins = |from: &Select| from.from.iter().map(|f| f.joins.len()).collect::<Vec<_>>();
        for (i, count) in joins(select).into_iter().enumerate() {
            for j in 0..count {
                let written = &select.from[i].joins[j].join_operator;
                let Some(condition) = condition(written) else { continue };
                let Some(span) = byte_range(self.source, condition.span()).filter(|s| !s.is_empty()) else {
                    continue;
                };
                let mut with = bare.clone();
                with.from[i].joins[j].join_operator = written.clone();
                let (query, bare) = (Box::new(self.around(with)), Box::new(self.around(bare.clone())));
                self.found.push(Suspect { span: whole(self.source, span, condition), query, bare });
            }
        }
    }
}

fn condition(join: &JoinOperator) -> Option<&Expr> {
    use JoinOperator::{FullOuter, Inner, Join, Left, LeftOuter, Right, RightOuter};
    match join {
        Join(c) | Inner(c) | Left(c) | LeftOuter(c) | Right(c) | RightOuter(c) | FullOuter(c) => match c {
            JoinConstraint::On(condition) => Some(condition),
            _ => None,
        },
        _ => None,
    }
}

/// The SELECT of a query of ours.
fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// Leaves of a SELECT's relations those that stand before `factor`; with `itself`, that as well.
fn cut_before(select: &mut Select, factor: &TableFactor, itself: bool) {
    for i in 0..select.from.len() {
        if select.from[i].relation == *factor {
            select.from[i].joins.clear();
            return select.from.truncate(i + usize::from(itself));
        }
        if let Some(j) = select.from[i].joins.iter().position(|join| join.relation == *factor) {
            select.from[i].joins.truncate(j + usize::from(itself));
            return select.from.truncate(i + 1);
        }
    }
}

/// What a call in FROM is given, and where that stands.
fn arguments(source: &str, factor: &TableFactor) -> Option<Range<usize>> {
    let TableFactor::UNNEST { array_exprs, .. } = factor else { return None };
    let spans = array_exprs.iter().filter_map(|e| Some(whole(source, byte_range(source, e.span())?, e)));
    spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).filter(|s| !s.is_empty())
}

/// Whether a relation may name those before it.
fn is_beside(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::UNNEST { .. } | TableFactor::Function { .. } => true,
        TableFactor::Derived { lateral, .. } => *lateral,
        _ => false,
    }
}

impl Visitor for Find<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut bare = select.clone();
        let nothing = Expr::Value(Value::Number("1".into(), false).into());
        bare.projection = vec![SelectItem::UnnamedExpr(nothing)];
        // A condition of a join is an expression like others.
        for join in bare.from.iter_mut().flat_map(|from| &mut from.joins) {
            join.join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
        }
        bare.distinct = None;
        (bare.selection, bare.having, bare.qualify, bare.exclude) = (None, None, None, None);
        bare.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        self.conditions(select, &bare);
        self.selects.push(Scope { query: self.around(bare), of_select: true });
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let Some(mut query) = self.selects.last().filter(|_| is_beside(factor)).map(|s| s.query.clone()) {
            let mut with = query.clone();
            if let (Some(before), Some(with)) = (select_of(&mut query), select_of(&mut with)) {
                cut_before(before, factor, false);
                cut_before(with, factor, true);
            }
            if let Some(span) = arguments(self.source, factor) {
                self.found.push(Suspect { span, query: Box::new(with), bare: Box::new(query.clone()) });
            }
            self.selects.push(Scope { query, of_select: false });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if is_beside(factor) {
            self.selects.pop();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        // A name or a value alone is right or wrong by itself, and has its place then; what stands in parentheses comes by itself.
        let alone = matches!(
            expr,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::Nested(_)
        );
        if let (false, Some(scope)) = (alone, self.selects.last())
            && let Some(span) = byte_range(self.source, expr.span())
            && !span.is_empty()
        {
            let span = whole(self.source, span, expr);
            let mut relations = vec![scope.query.clone()];
            if let [.., outer, inner] = self.selects.as_slice()
                && inner.of_select
            {
                let (mut outer, mut both) = (outer.query.clone(), inner.query.clone());
                if let (Some(outer), Some(both)) = (select_of(&mut outer), select_of(&mut both)) {
                    both.from.splice(0..0, outer.from.drain(..));
                }
                relations.push(both);
            }
            for bare in relations {
                let mut query = Box::new(bare.clone());
                if let Some(select) = select_of(&mut query) {
                    select.projection = vec![SelectItem::UnnamedExpr(expr.clone())];
                }
                self.found.push(Suspect { span: span.clone(), query, bare: Box::new(bare) });
            }
        }
        ControlFlow::Continue(())
    }
}

/// An expression with the words and parentheses that the parser's span leaves out.
fn whole(source: &str, span: Range<usize>, expr: &Expr) -> Range<usize> {
    let Range { mut start, mut end } = span;
    match expr {
        Expr::BinaryOp { left, right, .. } => {
            for side in [left, right] {
                let of_side = byte_range(source, side.span()).filter(|span| !span.is_empty());
                if let Some(side) = of_side.map(|span| whole(source, span, side)) {
                    (start, end) = (start.min(side.start), end.max(side.end));
                }
            }
        }
        Expr::UnaryOp { op, expr } => {
            let (mut before, op) = (source[..start].trim_end(), op.to_string());
            if let (Expr::Nested(_), Some(outside)) = (expr.as_ref(), before.strip_suffix('(')) {
                before = outside.trim_end();
            }
            start = if ends_with(before, &op) { before.len() - op.len() } else { start };
        }
        _ => {}
    }
    let before = source[..start].trim_end();
    if matches!(expr, Expr::Interval(_)) && ends_with(before, "interval") {
        start = before.len() - "interval".len();
    } else if matches!(expr, Expr::Cast { .. } | Expr::Extract { .. })
        && let Some(word) = before.strip_suffix('(')
    {
        let word = word.trim_end();
        start = word.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
        end = closing(source, start, end);
    }
    if matches!(expr, Expr::Function(_)) && !source[start..end].contains('(') {
        // A call without arguments.
        let rest = source[end..].trim_start();
        end = if rest.starts_with('(') { source.len() - rest.len() + 1 } else { end };
    }
    end = closing(source, start, end);
    if let Expr::Function(function) = expr {
        for word in ["filter", "over"] {
            let rest = source[end..].trim_start();
            let wanted = if word == "over" { function.over.is_some() } else { function.filter.is_some() };
            if wanted && rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)) {
                let from = source.len() - rest.len() + word.len();
                let open = source[from..].find('(').map_or(from, |at| from + at + 1);
                end = closing(source, from, open);
            }
        }
    }
    start..end
}

fn ends_with(text: &str, word: &str) -> bool {
    let from = text.len().checked_sub(word.len());
    from.and_then(|from| text.get(from..)).is_some_and(|tail| tail.eq_ignore_ascii_case(word))
}

/// Where the parentheses are closed that are open between `start` and `end`.
fn closing(source: &str, start: usize, mut end: usize) -> usize {
    let depth = |text: &str| {
        let pieces = super::lex::lex(text).pieces;
        let signs = pieces.iter().map(|p| match &text[p.span.clone()] {
            "(" => 1_i32,
            ")" => -1,
            _ => 0,
        });
        signs.sum::<i32>()
    };
    while depth(&source[start..end]) > 0 {
        let Some(next) = source[end..].find(')') else { break };
        end += next + 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse};

    fn told(sql: &str) -> Vec<String> {
        let statements = parse(sql).unwrap();
        let Statement::Query(query) = &statements[0].statement else { panic!("no query") };
        suspects(sql, &query.query).iter().map(|s| sql[s.span.clone()].to_string()).collect()
    }

    #[test]
    fn expressions_are_whole_and_the_shortest_come_first() {
        assert_eq!(
            told("SELECT a + (b * 2), now() FROM t WHERE upper(c) = 'x'"),
            ["b * 2", "now()", "upper(c)", "a + (b * 2)", "upper(c) = 'x'"]
        );
        assert_eq!(
            told("SELECT CAST(a AS INT), sum(x) FILTER (WHERE y > 1) OVER (PARTITION BY (k)) FROM t"),
            ["y > 1", "CAST(a AS INT)", "sum(x) FILTER (WHERE y > 1) OVER (PARTITION BY (k))"]
        );
        assert_eq!(told("SELECT INTERVAL '1 day' FROM t"), ["INTERVAL '1 day'"]);
        assert_eq!(
            told("SELECT INTERVAL '1 day' * 2, NOT k, - (a) FROM t"),
            ["NOT k", "- (a)", "INTERVAL '1 day'", "INTERVAL '1 day' * 2"]
        );
    }

    fn queries(sql: &str) -> Vec<(String, String)> {
        let statements = parse(sql).unwrap();
        let Statement::Query(query) = &statements[0].statement else { panic!("no query") };
        let all = suspects(sql, &query.query);
        all.iter().map(|s| (sql[s.span.clone()].to_string(), s.query.to_string())).collect()
    }

    #[test]
    fn what_stands_in_from_sees_the_relations_before_it() {
        let all = queries("SELECT x FROM s LEFT JOIN UNNEST(f(xs)) AS u(x) ON x > 1 JOIN t ON true");
        let of =
            |text: &str| all.iter().filter(|(t, _)| t == text).map(|(_, q)| q.as_str()).collect::<Vec<_>>();
        assert_eq!(of("f(xs)"), ["SELECT 1 FROM s CROSS JOIN UNNEST(f(xs)) AS u (x)", "SELECT f(xs) FROM s"]);
        assert_eq!(of("x > 1")[0], "SELECT 1 FROM s LEFT JOIN UNNEST(f(xs)) AS u (x) ON x > 1 CROSS JOIN t");
    }

    #[test]
    fn a_subquery_names_the_relations_around_it() {
        let all = queries("SELECT a FROM s LEFT JOIN LATERAL (SELECT a + b AS c FROM t) AS l ON true");
        let of: Vec<&str> = all.iter().filter(|(t, _)| t == "a + b").map(|(_, q)| q.as_str()).collect();
        assert_eq!(of, ["SELECT a + b FROM t", "SELECT a + b FROM s, t"]);
    }

    #[test]
    fn a_suspect_is_selected_alone_from_the_same_relations() {
        let sql = "WITH c AS (SELECT 1 AS a) SELECT a FROM c WHERE a + 1 > 2 ORDER BY a LIMIT 3";
        let statements = parse(sql).unwrap();
        let Statement::Query(query) = &statements[0].statement else { panic!("no query") };
        let all = suspects(sql, &query.query);
        assert_eq!(all[0].query.to_string(), "WITH c AS (SELECT 1 AS a) SELECT a + 1 FROM c");
        assert_eq!(all[0].bare.to_string(), "WITH c AS (SELECT 1 AS a) SELECT 1 FROM c");
    }
}
