//! Which expression of a query a mistake is about, where whoever found it does not say.
//!
//! Each expression is put into a query that selects nothing else, from the same relations. If the smallest such query has
//! the same mistake, that expression is the one.

use super::place::byte_range;
use sqlparser::ast::{
    Expr, GroupByExpr, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, Spanned, Value,
    Visit, Visitor,
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
    found.sort_by_key(|s| s.span.len());
    found.truncate(MOST);
    found
}

struct Find<'q> {
    source: &'q str,
    whole: &'q Query,
    /// The SELECTs around the place that is looked at, each with a query like it that selects nothing.
    selects: Vec<Query>,
    found: Vec<Suspect>,
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
        let mut query = self.whole.clone();
        *query.body = SetExpr::Select(Box::new(bare));
        (query.order_by, query.limit_clause, query.fetch) = (None, None, None);
        self.selects.push(query);
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
        if let (false, Some(query)) = (alone, self.selects.last())
            && let Some(span) = byte_range(self.source, expr.span())
            && !span.is_empty()
        {
            let bare = Box::new(query.clone());
            let mut query = bare.clone();
            if let SetExpr::Select(select) = query.body.as_mut() {
                select.projection = vec![SelectItem::UnnamedExpr(expr.clone())];
            }
            self.found.push(Suspect { span: whole(self.source, span, expr), query, bare });
        }
        ControlFlow::Continue(())
    }
}

/// An expression with the words and parentheses that the parser's span leaves out.
fn whole(source: &str, span: Range<usize>, expr: &Expr) -> Range<usize> {
    let Range { mut start, mut end } = span;
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
