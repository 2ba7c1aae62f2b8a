//! Bounds on how deep a statement's tree may get, and a stack that is deep enough for it.
//!
//! The parser bounds nesting by itself, but not chains: `a + b + c …` makes a tree as deep as the chain is long, and every
//! walk over it (also dropping it) needs stack for each level. So long chains are refused before they are parsed.

use super::code::Code;
use super::place::Mistake;
use super::words::unquoted;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The deepest tree of an expression.
const MAX_DEPTH: usize = 250;

/// The most set operations (UNION and its like) in one query.
const MAX_SET_OPERATIONS: usize = 100;

/// The stack for parsing and planning; memory is taken only as it is used.
const STACK_BYTES: usize = 64 << 20;

/// Runs a function on a stack that is deep enough for any statement that [`super::parse`] accepts, in any build.
///
/// The function runs on another thread, and this one waits for it; a panic of it goes on here.
pub fn with_deep_stack<T: Send>(function: impl FnOnce() -> T + Send) -> T {
    let mut function = Some(function);
    let mut result = None;
    std::thread::scope(|scope| {
        let slot = &mut result;
        let take = &mut function;
        let run = move || *slot = take.take().map(|function| function());
        let spawned = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
        if let Ok(thread) = spawned
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    });
    match (result, function) {
        (Some(result), _) => result,
        // No thread could be made: most statements need no deep stack.
        (None, Some(function)) => function(),
        (None, None) => unreachable!("a function that was taken has run to its end, or its panic went on"),
    }
}

/// One level of parentheses while its depth is counted: OR of AND of other operators of operands.
#[derive(Default)]
struct Level {
    ors: usize,
    ands: usize,
    others: usize,
    /// The deepest operand of the chain that is open.
    operand: usize,
    /// The deepest operand of AND, of OR, and of all before the last comma or clause.
    worst_and: usize,
    worst_or: usize,
    worst: usize,
    set_operations: usize,
}

impl Level {
    fn and(&mut self) {
        self.worst_and = self.worst_and.max(self.others + self.operand);
        (self.others, self.operand) = (0, 0);
        self.ands += 1;
    }

    fn or(&mut self) {
        self.and();
        self.worst_or = self.worst_or.max(self.ands - 1 + self.worst_and);
        (self.ands, self.worst_and) = (0, 0);
        self.ors += 1;
    }

    /// A comma, or the first word of a clause: what follows is another expression.
    fn end(&mut self) {
        self.or();
        self.worst = self.worst.max(self.ors - 1 + self.worst_or);
        (self.ors, self.worst_or) = (0, 0);
    }

    fn depth(&self) -> usize {
        let and = self.ands + self.worst_and.max(self.others + self.operand);
        self.worst.max(self.ors + self.worst_or.max(and))
    }
}

/// Refuses a statement whose tree would be too deep.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<(), Mistake> {
    let mut levels = vec![];
    let mut level = Level::default();
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.others += usize::from(token.token == Token::LBracket);
                levels.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let inner = level.depth() + 1;
                level = levels.pop().unwrap_or_default();
                level.operand = level.operand.max(inner);
            }
            Token::Comma => level.end(),
            Token::Word(_) => word(&mut level, unquoted(&token.token).unwrap_or_default()),
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::RArrow => {}
            _ => level.others += 1,
        }
        if level.depth() > MAX_DEPTH {
            return Err(Mistake::new(
                Code::Syntax,
                token.span,
                format!("more than {MAX_DEPTH} operators in one expression"),
            )
            .help("write x IN (…) for many values, or split the expression"));
        }
        if level.set_operations > MAX_SET_OPERATIONS {
            let message = format!("more than {MAX_SET_OPERATIONS} set operations in one query");
            return Err(Mistake::new(Code::Syntax, token.span, message).help("split the query"));
        }
    }
    Ok(())
}

fn word(level: &mut Level, word: &str) {
    match word.to_ascii_uppercase().as_str() {
        "AND" => level.and(),
        "OR" => level.or(),
        "UNION" | "INTERSECT" | "EXCEPT" | "MINUS" => {
            level.end();
            level.set_operations += 1;
        }
        "SELECT" | "FROM" | "WHERE" | "GROUP" | "HAVING" | "QUALIFY" | "ORDER" | "LIMIT" | "JOIN" | "ON"
        | "USING" | "WHEN" | "THEN" | "ELSE" | "AS" => level.end(),
        "IS" | "NOT" | "LIKE" | "ILIKE" | "SIMILAR" | "IN" | "BETWEEN" | "AT" | "COLLATE" | "RLIKE"
        | "REGEXP" | "XOR" | "DIV" | "OVERLAPS" | "ISNULL" | "NOTNULL" => level.others += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Statement, parse};
    use super::*;

    /// Trees at the bound can be parsed, walked, copied and dropped on the 2 MB of a test's thread; deeper ones are refused.
    #[test]
    fn deep_trees_are_refused_before_they_overflow_the_stack() {
        let chain = |operator: &str, n: usize| format!("SELECT {}", vec!["a"; n].join(operator));
        for operator in [" + ", " OR ", " AND ", " || "] {
            let parsed = parse(&chain(operator, 240)).unwrap();
            drop(parsed.clone());
            let mistake = parse(&chain(operator, 50_000)).unwrap_err();
            assert_eq!(mistake.message, "more than 250 operators in one expression");
        }
        for (postfix, n) in [("::INT", 240), ("[1]", 240), (" IS NULL", 240)] {
            parse(&format!("SELECT a{}", postfix.repeat(n))).unwrap();
            parse(&format!("SELECT a{}", postfix.repeat(50_000))).unwrap_err();
        }
        for (open, close) in [("(", ")"), ("f(", ")"), ("- ", ""), ("NOT ", ""), ("CASE WHEN ", "")] {
            parse(&format!("SELECT {}a{}", open.repeat(5_000), close.repeat(5_000))).unwrap_err();
        }
        let nested = (0..20).fold("a".to_owned(), |inner, _| format!("({inner}{})", " + a".repeat(200)));
        parse(&format!("SELECT {nested}")).unwrap_err();
        parse(&vec!["SELECT 1"; 100].join(" UNION ALL ")).unwrap();
        parse(&vec!["SELECT 1"; 50_000].join(" UNION ALL ")).unwrap_err();
        for nested in ["(", "SELECT * FROM (", "(SELECT 1 FROM "] {
            parse(&format!("SELECT * FROM {}", nested.repeat(1_000))).unwrap_err();
        }
    }

    #[test]
    fn long_but_shallow_statements_pass() {
        let terms: Vec<String> = (0..200).map(|i| format!("(a = {i} AND b > {i} + 1)")).collect();
        let joins: Vec<String> =
            (0..100).map(|i| format!("JOIN t{i} ON t{i}.a = s.a AND t{i}.b = s.b")).collect();
        let rows = vec!["(1, -2, 'x' || 'y')"; 20_000].join(", ");
        parse(&format!("SELECT * FROM s {} WHERE {}", joins.join(" "), terms.join(" OR "))).unwrap();
        let inserted = parse(&format!("INSERT INTO s VALUES {rows}")).unwrap();
        assert!(matches!(&inserted[0].statement, Statement::Insert(insert) if insert.is_values));
    }

    #[test]
    #[should_panic(expected = "as it was")]
    fn a_panic_goes_through() {
        with_deep_stack(|| panic!("as it was"));
    }
}
