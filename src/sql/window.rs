//! Time windows in FROM: every spelling read into one [`WindowCall`], and written back in one form.
//!
//! | spelling | example |
//! |---|---|
//! | Flink, positional | `TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR))` |
//! | Flink, named | `TABLE(HOP(DATA => TABLE s, TIMECOL => DESCRIPTOR(ts), SLIDE => …, SIZE => …))` |
//! | RisingWave | `TUMBLE(s, ts, INTERVAL '1 hour')` |
//! | sessions per key | `SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), gap)`, `SESSION(s, ts, gap, PARTITION => k)` |
//! | ksqlDB, and Flink's `GROUP BY TUMBLE(…)` | rewritten into the form below before they get here |
//!
//! The one form is `TABLE(tumble(DATA => …, TIMECOL => …, SIZE => …, …)) AS alias`; that of a session has `GAP => …` and
//! `PARTITION => (k, …)`.

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::partition;
use super::place::Mistake;
use super::relation::{
    RELATION_ARGUMENT, call_of, keys_of, marked, marked_relation, marker, select_all, table,
};
use super::words::did_you_mean;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Spanned, TableAlias, TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

/// How windows of one length lie on the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Side by side.
    Tumble,
    /// One begins every `slide`, so they overlap.
    Hop,
    /// They begin together every `size` and end one `step` after the other.
    Cumulate,
    /// From row to row of a key, as long as none is further than a gap from the next.
    Session,
}

/// A time window over a relation, as one reads it from a FROM clause.
#[derive(Debug, Clone)]
pub struct WindowCall {
    /// TUMBLE, HOP, CUMULATE or SESSION.
    pub kind: WindowKind,
    /// What it is over: a table by name, a derived table, or a nested join. Its own alias, if any, is inside.
    pub input: TableFactor,
    /// The time column, to be resolved against the input; `None` means the input's event time.
    pub time: Option<Expr>,
    /// The length of a window, or the gap of sessions: an interval.
    pub size: Expr,
    /// What sessions are kept apart by, to be resolved against the input; empty for other windows.
    pub keys: Vec<Expr>,
    /// The slide of HOP or the step of CUMULATE: an interval. Always there for these two, never for TUMBLE.
    pub slide: Option<Expr>,
    /// Which rows of the input it is over, to be resolved against it, where a window in the group has WHERE before it.
    pub filter: Option<Expr>,
    /// How far windows are moved from the epoch: an interval, may be negative.
    pub offset: Option<Expr>,
    /// How long after its end a window still takes rows: an interval.
    pub grace: Option<Expr>,
    /// What qualifies the result's columns. `None`: they keep the qualifiers that they have in the input.
    pub alias: Option<TableAlias>,
    /// Its place; [`super::byte_range`] turns it into bytes.
    pub span: Span,
}

/// The arguments of a window, in the order in which [`WindowKind::positions`] names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Data,
    Time,
    Size,
    Slide,
    Offset,
    Keys,
    Filter,
    Grace,
}

impl WindowKind {
    const NAMES: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

    /// The kind as it is written.
    pub fn word(self) -> &'static str {
        match self {
            WindowKind::Tumble => "TUMBLE",
            WindowKind::Hop => "HOP",
            WindowKind::Cumulate => "CUMULATE",
            WindowKind::Session => "SESSION",
        }
    }

    /// The kind of a function name, in any case.
    pub(super) fn of(word: &str) -> Option<WindowKind> {
        [WindowKind::Tumble, WindowKind::Hop, WindowKind::Cumulate, WindowKind::Session]
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    /// The arguments by position: Flink's and RisingWave's order, which puts the slide before the size.
    fn positions(self) -> &'static [Slot] {
        match self {
            WindowKind::Tumble => &[Slot::Data, Slot::Time, Slot::Size, Slot::Offset],
            WindowKind::Session => &[Slot::Data, Slot::Time, Slot::Size],
            _ => &[Slot::Data, Slot::Time, Slot::Slide, Slot::Size, Slot::Offset],
        }
    }

    /// A call that is right, to be shown beside one that is not.
    pub(super) fn usage(self) -> &'static str {
        match self {
            WindowKind::Tumble => {
                "write TUMBLE(stream, time_column, INTERVAL '1 hour') or TUMBLE(TABLE stream, DESCRIPTOR(time_column), INTERVAL '1' HOUR)"
            }
            WindowKind::Hop => {
                "write HOP(stream, time_column, slide, size), as in HOP(s, ts, INTERVAL '5 minutes', INTERVAL '1 hour')"
            }
            WindowKind::Cumulate => {
                "write CUMULATE(stream, time_column, step, size), as in CUMULATE(s, ts, INTERVAL '1 hour', INTERVAL '1 day')"
            }
            WindowKind::Session => {
                "write SESSION(stream, time_column, INTERVAL '5 minutes', PARTITION => key) or SESSION(TABLE stream PARTITION BY key, DESCRIPTOR(time_column), INTERVAL '5' MINUTES); several keys are (k1, k2), and without a key there are sessions of all rows"
            }
        }
    }

    fn slot_word(self, slot: Slot) -> &'static str {
        match (slot, self) {
            (Slot::Data, _) => "DATA",
            (Slot::Time, _) => "TIMECOL",
            (Slot::Size, WindowKind::Session) => "GAP",
            (Slot::Size, _) => "SIZE",
            (Slot::Keys, _) => "PARTITION",
            // A space keeps it apart from what people write.
            (Slot::Filter, _) => "ROWS WHERE",
            (Slot::Slide, WindowKind::Cumulate) => "STEP",
            (Slot::Slide, _) => "SLIDE",
            (Slot::Offset, _) => "OFFSET",
            (Slot::Grace, _) => "GRACE",
        }
    }
}

/// Reads a table factor of a parsed query as a window call; `None` if it is none.
///
/// Every window spelling of a query that [`super::parse`] gave is recognised here, and is right in form: an error can
/// only come from a tree that was built otherwise. Intervals and the time column are not resolved yet.
pub fn window_call(factor: &TableFactor) -> Result<Option<WindowCall>, Diagnostic> {
    read(factor).map_err(|mistake| *mistake.diagnostic)
}

/// [`window_call`], with the mistake's place.
pub(super) fn read(factor: &TableFactor) -> Result<Option<WindowCall>, Mistake> {
    let (name, args, alias) = match factor {
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => match &function.args {
            FunctionArguments::List(list) => (&function.name, list.args.as_slice(), alias),
            _ => return Ok(None),
        },
        TableFactor::Table { name, args: Some(args), alias, .. } => (name, args.args.as_slice(), alias),
        _ => return Ok(None),
    };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return Ok(None) };
    let Some(kind) = WindowKind::of(&name.value) else {
        return match factor {
            TableFactor::TableFunction { .. } => Err(unknown_function(name)),
            _ => Ok(None),
        };
    };
    let span = args.iter().fold(name.span, |span, arg| span.union(&arg.span()));
    arguments(kind, name.span, args)?.call(kind, span, alias.clone()).map(Some)
}

fn unknown_function(name: &Ident) -> Mistake {
    let help = did_you_mean(&name.value, WindowKind::NAMES)
        .unwrap_or_else(|| "TABLE(…) takes TUMBLE, HOP, CUMULATE or SESSION".to_owned());
    Mistake::new(Code::Window, name.span, format!("unknown table function {}", name.value)).help(help)
}

/// The arguments of a call as they are found.
struct Arguments {
    name: Span,
    found: Vec<(Slot, Expr)>,
}

fn arguments(kind: WindowKind, name: Span, args: &[FunctionArg]) -> Result<Arguments, Mistake> {
    let mut found: Vec<(Slot, Expr)> = Vec::with_capacity(args.len());
    let mut named = false;
    for (position, arg) in args.iter().enumerate() {
        let (slot, expr, at) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if !named => {
                let slot = kind.positions().get(position).copied();
                let slot = slot.ok_or_else(|| {
                    Mistake::new(Code::Window, expr.span(), format!("{} has too many arguments", kind.word()))
                        .help(kind.usage())
                })?;
                (slot, expr, expr.span())
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                named = true;
                (slot_named(kind, name)?, expr, name.span)
            }
            other => {
                let message = format!("{} takes a relation, a time column and intervals", kind.word());
                return Err(Mistake::new(Code::Window, other.span().union(&name), message).help(kind.usage()));
            }
        };
        if found.iter().any(|(other, _)| *other == slot) {
            let message = format!("{} is given twice", kind.slot_word(slot));
            return Err(Mistake::new(Code::Window, at, message).help(kind.usage()));
        }
        found.push((slot, expr.clone()));
    }
    Ok(Arguments { name, found })
}

fn slot_named(kind: WindowKind, name: &Ident) -> Result<Slot, Mistake> {
    let mut slots = vec![Slot::Data, Slot::Time, Slot::Size, Slot::Grace];
    slots.extend(match kind {
        WindowKind::Tumble => [Slot::Offset].as_slice(),
        WindowKind::Session => &[Slot::Keys],
        WindowKind::Hop | WindowKind::Cumulate => &[Slot::Offset, Slot::Slide],
    });
    let known = slots.iter().chain([&Slot::Filter]);
    let known = known.copied().find(|slot| kind.slot_word(*slot).eq_ignore_ascii_case(&name.value));
    known.ok_or_else(|| {
        let words: Vec<&str> = slots.iter().map(|slot| kind.slot_word(*slot)).collect();
        let help = did_you_mean(&name.value, words.iter().copied())
            .unwrap_or_else(|| format!("its arguments are {}", words.join(", ")));
        Mistake::new(Code::Window, name.span, format!("{} has no argument {}", kind.word(), name.value))
            .help(help)
    })
}

impl Arguments {
    fn take(&mut self, slot: Slot) -> Option<Expr> {
        let at = self.found.iter().position(|(other, _)| *other == slot)?;
        Some(self.found.swap_remove(at).1)
    }

    fn need(&mut self, kind: WindowKind, slot: Slot) -> Result<Expr, Mistake> {
        self.take(slot).ok_or_else(|| {
            let what = match slot {
                Slot::Data => "a relation".to_owned(),
                other => format!("its {}", kind.slot_word(other)),
            };
            Mistake::new(Code::Window, self.name, format!("{} needs {what}", kind.word())).help(kind.usage())
        })
    }

    fn call(
        mut self,
        kind: WindowKind,
        span: Span,
        alias: Option<TableAlias>,
    ) -> Result<WindowCall, Mistake> {
        let data = self.need(kind, Slot::Data)?;
        let keys = self.keys(kind, &data)?;
        let input = relation(kind, data)?;
        let time = self.take(Slot::Time).map(|time| time_column(kind, time)).transpose()?;
        let size = interval(kind, self.need(kind, Slot::Size)?)?;
        let slide = match kind {
            WindowKind::Tumble | WindowKind::Session => None,
            _ => Some(interval(kind, self.need(kind, Slot::Slide)?)?),
        };
        let offset = self.take(Slot::Offset).map(|expr| interval(kind, expr)).transpose()?;
        let grace = self.take(Slot::Grace).map(|expr| interval(kind, expr)).transpose()?;
        let filter = self.take(Slot::Filter);
        Ok(WindowCall { kind, input, time, size, keys, filter, slide, offset, grace, alias, span })
    }

    /// The keys of sessions, behind the relation or as an argument.
    fn keys(&mut self, kind: WindowKind, data: &Expr) -> Result<Vec<Expr>, Mistake> {
        let (behind, argument) = (keys_of(data), self.take(Slot::Keys));
        match (behind, argument) {
            (Some(_), _) if kind != WindowKind::Session => {
                Err(Mistake::new(Code::Window, data.span(), format!("{} takes no PARTITION BY", kind.word()))
                    .help("leave it out: name the keys in GROUP BY"))
            }
            (Some(_), Some(argument)) => {
                Err(Mistake::new(Code::Window, argument.span(), "PARTITION is given twice")
                    .help(kind.usage()))
            }
            (Some(keys), None) => Ok(keys),
            (None, Some(argument)) => Ok(partition::flat(argument)),
            (None, None) => Ok(vec![]),
        }
    }
}

/// The relation argument: `TABLE s`, `s`, or a subquery.
fn relation(kind: WindowKind, data: Expr) -> Result<TableFactor, Mistake> {
    if let Some(relation) = marker(&data).and_then(|(_, query)| marked_relation(query)) {
        return Ok(relation);
    }
    let span = data.span();
    match data {
        Expr::Nested(inner) => relation(kind, *inner),
        Expr::Identifier(name) => Ok(table(ObjectName::from(vec![name]), None)),
        Expr::CompoundIdentifier(names) => Ok(table(ObjectName::from(names), None)),
        Expr::Subquery(subquery) => {
            Ok(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })
        }
        _ => {
            let message = format!("the first argument of {} must be a relation", kind.word());
            Err(Mistake::new(Code::Window, span, message)
                .help("name a stream or a view, or write (SELECT …)"))
        }
    }
}

/// The time argument: `DESCRIPTOR(ts)` or `ts`.
fn time_column(kind: WindowKind, time: Expr) -> Result<Expr, Mistake> {
    let wrong = |span| {
        Mistake::new(
            Code::Window,
            span,
            format!("the second argument of {} must be a time column", kind.word()),
        )
        .help(kind.usage())
    };
    match time {
        Expr::Function(function) if is_function(&function, "descriptor") => {
            match unnamed_args(&function).as_deref() {
                Some([column]) => Ok((*column).clone()),
                _ => Err(Mistake::new(Code::Window, function.span(), "DESCRIPTOR takes one time column")),
            }
        }
        Expr::Interval(_) | Expr::Value(_) => Err(wrong(time.span())),
        other => Ok(other),
    }
}

/// A length of time. Literals that cannot be one are refused here, where their place is known.
fn interval(kind: WindowKind, expr: Expr) -> Result<Expr, Mistake> {
    match &expr {
        Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => {
            let message = format!("{} expects an interval, found {expr}", kind.word());
            Err(Mistake::new(Code::Window, expr.span(), message).help("write INTERVAL '10 minutes'"))
        }
        Expr::Function(function) if is_function(function, "descriptor") => {
            let message = format!("{} expects an interval, found {expr}", kind.word());
            Err(Mistake::new(Code::Window, expr.span(), message).help(kind.usage()))
        }
        _ => Ok(expr),
    }
}

/// Whether a function has this name, in any case.
pub(super) fn is_function(function: &Function, name: &str) -> bool {
    function_word(function).is_some_and(|ident| ident.value.eq_ignore_ascii_case(name))
}

/// A function's name, if it is a single word.
pub(super) fn function_word(function: &Function) -> Option<&Ident> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(ident),
        _ => None,
    }
}

/// A function's arguments, if all of them are plain expressions.
pub(super) fn unnamed_args(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(vec![]),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
    }
}

impl WindowCall {
    /// The call in its one form, which [`window_call`] reads back as it was.
    pub(super) fn into_factor(self) -> TableFactor {
        let span = self.span;
        let kind = self.kind;
        let data = match self.input {
            TableFactor::Derived { lateral: false, subquery, alias: None, sample: None } => {
                Expr::Subquery(subquery)
            }
            relation => marked(
                Ident::with_span(span, RELATION_ARGUMENT),
                select_all(TableWithJoins { relation, joins: vec![] }),
            ),
        };
        let args = [
            (Slot::Data, Some(data)),
            (Slot::Time, self.time),
            (Slot::Size, Some(self.size)),
            (Slot::Keys, (!self.keys.is_empty()).then_some(Expr::Tuple(self.keys))),
            (Slot::Filter, self.filter),
            (Slot::Slide, self.slide),
            (Slot::Offset, self.offset),
            (Slot::Grace, self.grace),
        ];
        let args = args.into_iter().filter_map(|(slot, expr)| {
            Some(FunctionArg::Named {
                name: Ident::with_span(span, kind.slot_word(slot)),
                arg: FunctionArgExpr::Expr(expr?),
                operator: FunctionArgOperator::RightArrow,
            })
        });
        let expr = call_of(Ident::with_span(span, kind.word()), args.collect());
        TableFactor::TableFunction { expr, alias: self.alias }
    }
}
