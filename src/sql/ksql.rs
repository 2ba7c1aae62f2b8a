//! ksqlDB's window clause: `FROM s WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 10 MINUTES) … GROUP BY k`, and
//! `WINDOW SESSION (5 MINUTES)`.
//!
//! The parser has no room for such a clause, but it has one for `LATERAL VIEW` at just that place. So the tokens are
//! rewritten into `LATERAL VIEW "window tumbling"(SIZE => INTERVAL '1 hour', …) w AS w`, each with the place of what it
//! stands for, and [`super::group_window`] takes the clause out of the tree again.

use super::code::Code;
use super::place::Mistake;
use super::window::WindowKind;
use super::words::{did_you_mean, is_word, nearest, unquoted};
use sqlparser::ast::LateralView;
use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The marker functions; a space keeps them apart from any name that people use.
const MARKERS: [(&str, WindowKind); 3] = [
    ("window tumbling", WindowKind::Tumble),
    ("window hopping", WindowKind::Hop),
    ("window session", WindowKind::Session),
];

const UNITS: [&str; 12] = [
    "MILLISECOND",
    "MILLISECONDS",
    "SECOND",
    "SECONDS",
    "MINUTE",
    "MINUTES",
    "HOUR",
    "HOURS",
    "DAY",
    "DAYS",
    "WEEK",
    "WEEKS",
];

const TUMBLING: &str = "write WINDOW TUMBLING (SIZE 1 HOUR [, GRACE PERIOD 10 MINUTES])";
const HOPPING: &str = "write WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 5 MINUTES [, GRACE PERIOD 10 MINUTES])";
const SESSION: &str = "write WINDOW SESSION (5 MINUTES [, GRACE PERIOD 10 MINUTES])";

/// A window clause as it comes out of the tree.
pub(super) struct WindowClause {
    /// TUMBLE, HOP or SESSION.
    pub(super) kind: WindowKind,
    /// Intervals by argument name: SIZE (of sessions: the gap), SLIDE, GRACE.
    pub(super) intervals: Vec<(String, Expr)>,
    /// From WINDOW to the closing parenthesis.
    pub(super) span: Span,
}

/// Rewrites every window clause of a statement's tokens.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, Mistake> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        match clause_kind(tokens, at)? {
            Some((marker, kind)) => at = Clause { tokens, kind, at: at + 3 }.rewrite(at, marker, &mut out)?,
            None => {
                out.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    Ok(out)
}

/// Whether `WINDOW word (` begins here. No other SQL has an opening parenthesis after a word after WINDOW.
fn clause_kind(tokens: &[TokenWithSpan], at: usize) -> Result<Option<(&'static str, WindowKind)>, Mistake> {
    let [window, word, paren, ..] = &tokens[at..] else { return Ok(None) };
    if !is_word(&window.token, "WINDOW") || paren.token != Token::LParen {
        return Ok(None);
    }
    match unquoted(&word.token).map(str::to_ascii_uppercase).as_deref() {
        None => Ok(None),
        Some("TUMBLING") => Ok(Some(MARKERS[0])),
        Some("HOPPING") => Ok(Some(MARKERS[1])),
        Some("SESSION") => Ok(Some(MARKERS[2])),
        Some(other) => {
            let help = did_you_mean(other, ["TUMBLING", "HOPPING", "SESSION"])
                .unwrap_or_else(|| "the kinds are TUMBLING, HOPPING and SESSION".to_owned());
            Err(Mistake::new(Code::Window, word.span, format!("unknown kind of window {}", word.token))
                .help(help))
        }
    }
}

/// A clause while its inside is read.
struct Clause<'a> {
    tokens: &'a [TokenWithSpan],
    kind: WindowKind,
    at: usize,
}

impl Clause<'_> {
    /// Writes the rewritten clause, and gives the index of the token after it.
    fn rewrite(mut self, start: usize, marker: &str, out: &mut Vec<TokenWithSpan>) -> Result<usize, Mistake> {
        let first = self.tokens[start].span;
        let mut args: Vec<(&'static str, String, Span)> = vec![];
        loop {
            self.argument(&mut args)?;
            match self.peek() {
                Some(Token::Comma) => self.at += 1,
                Some(Token::RParen) => break,
                _ => return Err(self.expected(", or )")),
            }
        }
        let span = first.union(&self.tokens[self.at].span);
        self.check(&args, span)?;
        self.at += 1;
        if self.peek() == Some(&Token::Comma) {
            return Err(Mistake::new(
                Code::Window,
                self.tokens[self.at].span,
                "a WINDOW clause ends the FROM clause",
            )
            .help("write further relations before it, with JOIN"));
        }
        let mut push = |token| out.push(TokenWithSpan::new(token, span));
        push(Token::make_keyword("LATERAL"));
        push(Token::make_keyword("VIEW"));
        push(Token::make_word(marker, Some('"')));
        push(Token::LParen);
        for (i, (name, interval, _)) in args.into_iter().filter(|(name, ..)| *name != "RETENTION").enumerate()
        {
            if i > 0 {
                push(Token::Comma);
            }
            push(Token::make_word(name, None));
            push(Token::RArrow);
            push(Token::make_keyword("INTERVAL"));
            push(Token::SingleQuotedString(interval));
        }
        push(Token::RParen);
        // With a column alias given, the parser does not take the next clause's first word for one.
        push(Token::make_word("w", None));
        push(Token::make_keyword("AS"));
        push(Token::make_word("w", None));
        Ok(self.at)
    }

    /// One of `SIZE n unit`, `ADVANCE BY n unit`, `GRACE PERIOD n unit`, `RETENTION n unit`; the gap of sessions is `n unit`.
    fn argument(&mut self, args: &mut Vec<(&'static str, String, Span)>) -> Result<(), Mistake> {
        let at = self.at;
        let hopping = self.kind == WindowKind::Hop;
        let session = self.kind == WindowKind::Session;
        if session && args.is_empty() {
            let gap = self.duration()?;
            args.push(("SIZE", gap, self.tokens[at].span));
            return Ok(());
        }
        let (name, then) = match self.word().as_deref() {
            Some("SIZE") if !session => ("SIZE", None),
            Some("ADVANCE") if hopping => ("SLIDE", Some("BY")),
            Some("GRACE") => ("GRACE", Some("PERIOD")),
            Some("RETENTION") => ("RETENTION", None),
            _ if session => return Err(self.expected("GRACE PERIOD or RETENTION")),
            _ if hopping => return Err(self.expected("SIZE, ADVANCE BY, GRACE PERIOD or RETENTION")),
            _ => return Err(self.expected("SIZE, GRACE PERIOD or RETENTION")),
        };
        self.at += 1;
        if let Some(then) = then {
            if self.word().as_deref() != Some(then) {
                return Err(self.expected(then));
            }
            self.at += 1;
        }
        if args.iter().any(|(other, ..)| *other == name) {
            let message = format!("{} is given twice", self.tokens[at].token);
            return Err(Mistake::new(Code::Window, self.tokens[at].span, message).help(self.usage()));
        }
        let interval = self.duration()?;
        args.push((name, interval, self.tokens[at].span));
        Ok(())
    }

    /// `n unit`.
    fn duration(&mut self) -> Result<String, Mistake> {
        let Some(Token::Number(number, _)) = self.peek() else {
            return Err(self.expected("a number and a unit, as in 10 MINUTES"));
        };
        let number = number.clone();
        self.at += 1;
        let unit = self.word().filter(|word| UNITS.contains(&word.as_str()));
        let Some(unit) = unit else {
            let mut mistake = self.expected("a unit from MILLISECONDS to WEEKS");
            if let Some(near) = self.word().and_then(|word| nearest(&word, UNITS)) {
                mistake = mistake.help(format!("did you mean {near}?"));
            }
            return Err(mistake);
        };
        self.at += 1;
        Ok(format!("{number} {}", unit.to_ascii_lowercase()))
    }

    /// Whether what the window needs is there.
    fn check(&self, args: &[(&'static str, String, Span)], span: Span) -> Result<(), Mistake> {
        let has = |name| args.iter().any(|(other, ..)| *other == name);
        let missing = match self.kind {
            _ if !has("SIZE") => "SIZE",
            WindowKind::Hop if !has("SLIDE") => "ADVANCE BY",
            _ => return Ok(()),
        };
        Err(Mistake::new(Code::Window, span, format!("the window needs {missing}")).help(self.usage()))
    }

    fn usage(&self) -> &'static str {
        match self.kind {
            WindowKind::Hop => HOPPING,
            WindowKind::Session => SESSION,
            _ => TUMBLING,
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    fn word(&self) -> Option<String> {
        self.peek().and_then(unquoted).map(str::to_ascii_uppercase)
    }

    fn expected(&self, what: &str) -> Mistake {
        let mistake = match self.tokens.get(self.at) {
            Some(token) => {
                Mistake::new(Code::Window, token.span, format!("expected {what}, found {}", token.token))
            }
            None => {
                let last = self
                    .tokens
                    .last()
                    .map_or(Span::empty(), |token| Span::new(token.span.end, token.span.end));
                Mistake::new(Code::Window, last, format!("expected {what}, found the end of the statement"))
            }
        };
        mistake.help(self.usage())
    }
}

/// Takes a rewritten window clause out of a select's lateral views.
pub(super) fn take(views: &mut Vec<LateralView>) -> Option<WindowClause> {
    let at = views.iter().position(|view| clause_of(&view.lateral_view).is_some())?;
    let Expr::Function(function) = views.remove(at).lateral_view else { return None };
    let (kind, span) = clause_of_function(&function)?;
    let FunctionArguments::List(list) = function.args else { return None };
    let intervals = list.args.into_iter().filter_map(|arg| match arg {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => Some((name.value, expr)),
        _ => None,
    });
    Some(WindowClause { kind, intervals: intervals.collect(), span })
}

fn clause_of(expr: &Expr) -> Option<(WindowKind, Span)> {
    match expr {
        Expr::Function(function) => clause_of_function(function),
        _ => None,
    }
}

fn clause_of_function(function: &Function) -> Option<(WindowKind, Span)> {
    let name = super::window::function_word(function)?;
    name.quote_style?;
    MARKERS.iter().find(|(marker, _)| *marker == name.value).map(|(_, kind)| (*kind, name.span))
}
