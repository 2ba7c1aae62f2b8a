//! Refuses what the parser reads but the planner would ignore or name badly: never a silently wrong answer.

use super::code::Code;
use super::place::Mistake;
use super::words::words_at;
use sqlparser::ast::{
    GroupByExpr, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SetExpr, Spanned, TableFactor,
};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// Clauses that come with a later version, by their first words: what they are, and what to write now.
const NOT_YET: &[(&[&str], &str, &str)] = &[
    (
        &["FOR", "SYSTEM_TIME"],
        "FOR SYSTEM_TIME AS OF is not supported yet",
        "a temporal join needs a table with versions",
    ),
    (&["ASOF", "JOIN"], ASOF, ASOF_HELP),
    (&["ASOF", "LEFT"], ASOF, ASOF_HELP),
    (&["ASOF", "INNER"], ASOF, ASOF_HELP),
    (&["MATCH_RECOGNIZE"], "MATCH_RECOGNIZE is not supported yet", "patterns of rows come later"),
];
const ASOF: &str = "ASOF JOIN is not supported yet";
const ASOF_HELP: &str = "as-of joins come later";

/// What the tokens of a statement show already.
pub(super) fn tokens(tokens: &[TokenWithSpan]) -> Result<(), Mistake> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        for (words, message, help) in NOT_YET {
            let parenthesis = words.len() > 1 || next_is(tokens, at, &Token::LParen);
            if words_at(tokens, at, words) && parenthesis {
                let last = tokens[at + words.len() - 1].span;
                return Err(Mistake::new(Code::NotSupported, token.span.union(&last), *message).help(*help));
            }
        }
        if depth > 0
            && (words_at(tokens, at, &["EMIT", "CHANGES"]) || words_at(tokens, at, &["EMIT", "FINAL"]))
        {
            let span = token.span.union(&tokens[at + 1].span);
            return Err(Mistake::new(Code::NotSupported, span, "a subquery has no EMIT")
                .help("write EMIT once, at the end of the statement"));
        }
    }
    Ok(())
}

fn next_is(tokens: &[TokenWithSpan], at: usize, token: &Token) -> bool {
    tokens.get(at + 1).is_some_and(|next| next.token == *token)
}

fn unsupported(at: Span, what: &str) -> Mistake {
    Mistake::new(Code::NotSupported, at, format!("{what} is not supported"))
}

/// The first of some clauses that is there.
fn first(at: Span, clauses: &[(bool, &str)]) -> Result<(), Mistake> {
    match clauses.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(unsupported(at, what)),
        None => Ok(()),
    }
}

/// Clauses around a select.
pub(super) fn query(query: &Query) -> Result<(), Mistake> {
    let writes = matches!(
        *query.body,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    );
    first(
        query.span(),
        &[
            (writes, "a statement that writes inside a query"),
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "FOR UPDATE or FOR SHARE"),
            (query.for_clause.is_some(), "FOR XML or FOR JSON"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
        ],
    )
}

/// Clauses of a select.
pub(super) fn select(select: &Select) -> Result<(), Mistake> {
    let modified = match &select.group_by {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => !modifiers.is_empty(),
    };
    first(
        select.select_token.0.span,
        &[
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "SELECT INTO"),
            (select.exclude.is_some(), "EXCLUDE after the select list"),
            (select.select_modifiers.is_some(), "a modifier of SELECT"),
            (select.value_table_mode.is_some(), "SELECT AS VALUE or AS STRUCT"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (modified, "a modifier of GROUP BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
        ],
    )?;
    select.from.iter().try_for_each(|from| joins(&from.joins))
}

/// Kinds of joins.
fn joins(joins: &[Join]) -> Result<(), Mistake> {
    for join in joins {
        let what = match &join.join_operator {
            JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::Left(_)
            | JoinOperator::LeftOuter(_)
            | JoinOperator::Right(_)
            | JoinOperator::RightOuter(_)
            | JoinOperator::FullOuter(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossJoin(JoinConstraint::None) => {
                if !join.global {
                    continue;
                }
                "GLOBAL JOIN"
            }
            JoinOperator::CrossJoin(_) => "CROSS JOIN with a condition",
            JoinOperator::Semi(_) => "SEMI JOIN without LEFT or RIGHT",
            JoinOperator::Anti(_) => "ANTI JOIN without LEFT or RIGHT",
            JoinOperator::CrossApply => "CROSS APPLY",
            JoinOperator::OuterApply => "OUTER APPLY",
            JoinOperator::AsOf { .. } => "ASOF JOIN",
            JoinOperator::StraightJoin(_) => "STRAIGHT_JOIN",
            JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
                "ARRAY JOIN"
            }
        };
        return Err(unsupported(join.relation.span(), what));
    }
    Ok(())
}

/// Kinds of relations, and what may hang on them.
pub(super) fn table_factor(factor: &TableFactor) -> Result<(), Mistake> {
    let what = match factor {
        TableFactor::Table {
            name,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } => {
            return table_extras(
                name,
                &[
                    (version.is_some(), "a version of a relation"),
                    (sample.is_some(), "TABLESAMPLE"),
                    (*with_ordinality, "WITH ORDINALITY"),
                    (!partitions.is_empty(), "PARTITION in FROM"),
                    (json_path.is_some(), "a path into a relation"),
                    (!with_hints.is_empty() || !index_hints.is_empty(), "a hint"),
                ],
            );
        }
        TableFactor::NestedJoin { table_with_joins, .. } => return joins(&table_with_joins.joins),
        TableFactor::Derived { sample: None, .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::Function { .. } => {
            return Ok(());
        }
        // Calls in TABLE(…) are known to be windows by now; the rest of what TABLE may hold is not.
        TableFactor::TableFunction { expr: sqlparser::ast::Expr::Function(_), .. } => return Ok(()),
        TableFactor::TableFunction { .. } => "TABLE(…) around anything but TUMBLE, HOP, CUMULATE or SESSION",
        TableFactor::Derived { .. } => "TABLESAMPLE",
        TableFactor::JsonTable { .. } => "JSON_TABLE",
        TableFactor::OpenJsonTable { .. } => "OPENJSON",
        TableFactor::XmlTable { .. } => "XMLTABLE",
        TableFactor::Pivot { .. } => "PIVOT",
        TableFactor::Unpivot { .. } => "UNPIVOT",
        TableFactor::MatchRecognize { .. } => "MATCH_RECOGNIZE",
        TableFactor::SemanticView { .. } => "SEMANTIC_VIEW",
    };
    Err(unsupported(factor.span(), what))
}

fn table_extras(name: &ObjectName, extras: &[(bool, &str)]) -> Result<(), Mistake> {
    first(name.span(), extras)
}
