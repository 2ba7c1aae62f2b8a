//! DataFusion's planning errors as diagnostics for people: without its prefixes, with the place where one is known.

use super::{clause, wording};
use crate::sql::Code;
use crate::sql::{self, Diagnostic};
use datafusion::common::SchemaError;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use sqlparser::ast;
use std::ops::{ControlFlow, Range};

/// The diagnostic of an error about `query`, whose spans point into `source`.
pub(super) fn diagnostic(source: &str, query: &ast::Query, error: DataFusionError) -> Diagnostic {
    let place = error.diagnostic().and_then(|d| d.span).and_then(|s| {
        let at = |l: datafusion::common::Location| sqlparser::tokenizer::Location {
            line: l.line,
            column: l.column,
        };
        sql::byte_range(source, sqlparser::tokenizer::Span::new(at(s.start), at(s.end)))
    });
    let column = wording::column_of(&plain(&error.strip_backtrace()));
    let mut d = without_place(error);
    // What is told of one side of an operator is about both.
    let place = match d.code {
        Some(Code::Types) => place.map(|place| expression_around(source, query, place)),
        _ => place,
    };
    if d.span.is_none() {
        d.span = column
            .and_then(|at| item(source, query, at))
            .or_else(|| clause::place(source, query, &d))
            .or(place)
            .or_else(|| find_window(source, query, &d.message))
            .or_else(|| quoted_name(&d.message).and_then(|name| find_name(source, query, &name)))
            .or_else(|| {
                d.message.contains("WITHIN").then(|| find_name(source, query, sql::WITHIN)).flatten()
            });
    }
    d
}

/// The diagnostic of an error whose place is not known.
pub fn without_place(error: DataFusionError) -> Diagnostic {
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(d) = inner.downcast_ref::<Diagnostic>()
    {
        return d.clone();
    }
    if let DataFusionError::SchemaError(missing, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = missing.as_ref()
    {
        return unknown_column(&field.name, valid_fields.iter().map(|f| f.name.as_str()));
    }
    let from = error.diagnostic().cloned();
    let mut d = Diagnostic::new(plain(&error.strip_backtrace()));
    if let Some(d) = wording::worded(&d.message)
        .or_else(|| signature(&d.message))
        .or_else(|| unknown_function(&d.message))
        .or_else(|| operation(&d.message))
        .or_else(|| subquery(&d.message))
        .or_else(|| interval(&d.message))
    {
        return d;
    }
    d.code = kind(&error, &d.message);
    if let Some(from) = from.filter(|from| !from.message.contains("incompatible types")) {
        let words = |text: &str| lower_first(&crate::operators::plain(text));
        d.message = words(&from.message);
        d.help = from.helps.first().map(|h| words(&h.message));
        d.note = from.notes.first().map(|n| words(&n.message));
        if d.code.is_none() && d.message.contains(" cannot be used with ") {
            d.code = Some(Code::Types);
        }
    }
    d
}

/// The kind of a mistake that DataFusion has found.
fn kind(error: &DataFusionError, message: &str) -> Option<Code> {
    if let DataFusionError::SchemaError(mistake, _) = error.find_root() {
        return match mistake.as_ref() {
            SchemaError::AmbiguousReference { .. } => Some(Code::Ambiguous),
            SchemaError::FieldNotFound { .. } => Some(Code::NoColumn),
            _ => None,
        };
    }
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w));
    match error.find_root() {
        _ if says(&["must appear in GROUP BY", "must appear in the GROUP BY"]) => Some(Code::NotGrouped),
        _ if says(&[
            "coerce",
            "coercion",
            "signature",
            "incompatible",
            "expects ",
            "argument",
            "automatically convert",
        ]) =>
        {
            Some(Code::Types)
        }
        _ if says(&["different number of columns"]) => Some(Code::Columns),
        DataFusionError::NotImplemented(_) => Some(Code::NotSupported),
        _ if says(&["is not a value of type", "cannot be cast", "overflow"]) => Some(Code::Value),
        _ => None,
    }
}

/// The diagnostic of an Arrow error at planning time.
pub(super) fn arrow(error: arrow::error::ArrowError) -> Diagnostic {
    Diagnostic::new(lower_first(&error.to_string()))
}

/// "there is no column …", with the nearest.
pub(super) fn unknown_column<'a>(name: &str, columns: impl Iterator<Item = &'a str>) -> Diagnostic {
    let d = Diagnostic::coded(Code::NoColumn, format!("there is no column \"{name}\""));
    let near = columns.map(|c| (strsim::jaro_winkler(c, name), c)).filter(|(score, _)| *score > 0.8);
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, near)) => d.help(format!("did you mean \"{near}\"?")),
        None => d,
    }
}

/// An INTERVAL whose value is written in a way that DataFusion does not read.
fn interval(message: &str) -> Option<Diagnostic> {
    let d =
        || Diagnostic::coded(Code::Types, "the value of an INTERVAL is a text in single quotes, or a number");
    message
        .starts_with("unsupported interval argument")
        .then(|| d().help("write INTERVAL '1 day' or INTERVAL 1 DAY"))
}

/// A function that is given what it does not take, from DataFusion's list of all that it has tried.
fn signature(message: &str) -> Option<Diagnostic> {
    const TRIED: &str = " failed to match any signature";
    if let Some((function, tried)) = message.split_once(TRIED) {
        let given = tried.split_once("DataType: ").and_then(|(_, t)| t.split_once(')'));
        let given = given.map_or_else(|| "these arguments".to_string(), |(t, _)| t.to_string());
        return Some(Diagnostic::coded(Code::Types, format!("{function} does not take {given}")));
    }
    let (short, rest) = message.split_once(". No function matches the given name and argument types")?;
    let d = Diagnostic::coded(Code::Types, coerced(short).unwrap_or_else(|| short.into()));
    let Some((_, candidates)) = rest.split_once("Candidate functions:") else { return Some(d) };
    let candidates: Vec<&str> = candidates.split_whitespace().collect();
    Some(d.help(format!("it is called as {}", candidates.join(" "))))
}

/// What DataFusion says of a function whose arguments cannot be made what it takes, without the names of its own types.
fn coerced(message: &str) -> Option<String> {
    let rest = message.strip_prefix("failed to coerce arguments to satisfy a call to '")?;
    let (function, rest) = rest.split_once("' function: coercion from ")?;
    let (given, _) = rest.split_once(" to the signature ")?;
    Some(format!("function '{function}' does not take {given}"))
}

/// An operator between values that it does not take.
fn operation(message: &str) -> Option<Diagnostic> {
    let between = |text: &str, signs: &[&str]| -> Option<(String, String, String)> {
        signs.iter().find_map(|sign| {
            let (left, right) = text.split_once(&format!(" {sign} "))?;
            Some((left.to_string(), sign.to_string(), right.to_string()))
        })
    };
    let types = |text: String| Some(Diagnostic::coded(Code::Types, text));
    if let Some(rest) = message.strip_prefix("cannot coerce arithmetic expression ") {
        let rest = rest.strip_suffix(" to valid types").unwrap_or(rest);
        let (left, sign, right) = between(rest, &["+", "-", "*", "/", "%"])?;
        return types(format!("{sign} does not take {left} and {right}"));
    }
    let rest = message.strip_prefix("cannot infer common argument type for ")?;
    if let Some(rest) = rest.strip_prefix("comparison operation ") {
        let (left, _, right) =
            between(rest, &["=", "!=", "<", ">", "<=", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])?;
        return types(format!("{left} and {right} cannot be compared"));
    }
    let rest = rest.strip_prefix("logical boolean operation ")?;
    let (left, sign, right) = between(rest, &["AND", "OR"])?;
    types(format!("{sign} takes conditions, not {left} and {right}"))
}

/// A subquery of which DataFusion makes no join.
fn subquery(message: &str) -> Option<Diagnostic> {
    message.strip_prefix("physical plan does not support logical expression")?;
    let d = Diagnostic::coded(Code::NotMaintained, "a subquery here cannot be turned into a join");
    Some(d.help("compare its columns with those around it by =, or write a join"))
}

/// A function that is not there, with one whose name is near.
fn unknown_function(message: &str) -> Option<Diagnostic> {
    let name = message.strip_prefix("invalid function '")?.split('\'').next()?;
    let functions = datafusion::functions::all_default_functions();
    let aggregates = datafusion::functions_aggregate::all_default_aggregate_functions();
    let names = functions.iter().map(|f| f.name()).chain(aggregates.iter().map(|f| f.name()));
    let near = names.map(|n| (strsim::jaro_winkler(n, name), n)).filter(|(score, _)| *score > 0.8);
    let d = Diagnostic::coded(Code::NoFunction, format!("there is no function \"{name}\""));
    Some(match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, near)) => d.help(format!("did you mean \"{near}\"?")),
        None => d,
    })
}

/// Whether a subquery stands in an expression: in an optimized plan, one that could not be turned into a join.
pub fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(false)
}

/// DataFusion's text without the words that say where in its code it comes from.
fn plain(text: &str) -> String {
    const PREFIXES: [&str; 12] = [
        "Error during planning: ",
        "Schema error: ",
        "This feature is not implemented: ",
        "SQL error: ",
        "Internal error: ",
        "External error: ",
        "Arrow error: ",
        "Execution error: ",
        "Optimizer rule '",
        "type_coercion\ncaused by\n",
        "Invalid argument error: ",
        "Cast error: ",
    ];
    let mut text = text.trim();
    while let Some(rest) = PREFIXES.iter().find_map(|p| text.strip_prefix(p)) {
        // "Optimizer rule 'x' failed\ncaused by\n…"
        text = rest.split_once("caused by\n").map_or(rest, |(_, cause)| cause).trim();
    }
    const BUG: &str = "This issue was likely caused by a bug";
    let text = text.split(BUG).next().unwrap_or(text).trim().trim_end_matches('.');
    lower_first(&wording::tidied(&crate::operators::plain(text)))
}

/// The smallest expression around a place.
fn expression_around(source: &str, query: &ast::Query, place: Range<usize>) -> Range<usize> {
    let spans = sql::suspects(source, query).into_iter().map(|suspect| suspect.span);
    let mut around = spans.filter(|span| span.start <= place.start && place.end <= span.end);
    around.next().unwrap_or(place)
}

/// Where an item of the outermost SELECT list stands.
fn item(source: &str, query: &ast::Query, at: usize) -> Option<Range<usize>> {
    let item = query.body.as_select()?.projection.get(at)?;
    sql::byte_range(source, ast::Spanned::span(item)).filter(|span| !span.is_empty())
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // Not a name in capitals, such as LIMIT.
        (Some(a), Some(b)) if a.is_uppercase() && !b.is_uppercase() => {
            a.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_string(),
    }
}

/// The first name that a message quotes.
fn quoted_name(message: &str) -> Option<String> {
    let quote = message.find(['"', '\''])?;
    let mark = message.as_bytes()[quote] as char;
    let rest = &message[quote + 1..];
    let name = &rest[..rest.find(mark)?];
    (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.$".contains(c)))
        .then(|| name.to_string())
}

/// The first window of `query` of the kind that a message names.
fn find_window(source: &str, query: &ast::Query, message: &str) -> Option<std::ops::Range<usize>> {
    struct Find<'a>(&'a str, Option<sqlparser::tokenizer::Span>);
    impl ast::Visitor for Find<'_> {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
            match sql::window_call(factor) {
                Ok(Some(call)) if self.0.split(' ').any(|word| word == call.kind.word()) => {
                    self.1 = Some(call.span);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    // A window over the wrong column is told at that column.
    if quoted_name(message).is_some() {
        return None;
    }
    let mut find = Find(message, None);
    let _ = ast::Visit::visit(query, &mut find);
    find.1.and_then(|span| sql::byte_range(source, span))
}

/// Where `query` first names `name` (the last part of a qualified one).
fn find_name(source: &str, query: &ast::Query, name: &str) -> Option<std::ops::Range<usize>> {
    let name = name.rsplit('.').next().unwrap_or(name);
    struct Find<'a>(&'a str, Option<sqlparser::tokenizer::Span>);
    impl ast::Visitor for Find<'_> {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
            match relation.0.last().and_then(|p| p.as_ident()).filter(|i| sql::fold(i) == self.0) {
                Some(found) => {
                    self.1 = Some(found.span);
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            }
        }
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let ident = match expr {
                ast::Expr::Identifier(i) => Some(i),
                ast::Expr::CompoundIdentifier(parts) => parts.last(),
                ast::Expr::Function(f) => f.name.0.last().and_then(|p| p.as_ident()),
                _ => None,
            };
            match ident.filter(|i| sql::fold(i) == self.0) {
                Some(found) => {
                    self.1 = Some(found.span);
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            }
        }
    }
    let mut find = Find(name, None);
    let _ = ast::Visit::visit(query, &mut find);
    find.1.and_then(|span| sql::byte_range(source, span))
}
