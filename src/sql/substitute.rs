//! `${NAME}` in SQL text: filled in before the text is parsed.
//!
//! Names are replaced everywhere but in comments. Inside a string literal (`'…'`) the quotes of a value are doubled, so
//! that the string is the value whatever it holds. `$${` stands for a literal `${`.

use super::code::Code;
use super::diagnostic::Diagnostic;
use std::ops::Range;

/// Replaces every `${NAME}` by what `lookup` gives for NAME.
///
/// Errors: a name that `lookup` does not know, a `${` without `}`, and a name that is none (letters, digits and `_`,
/// not beginning with a digit); each at its place in `sql`. What `lookup` gives is not looked at again.
pub fn substitute(sql: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Diagnostic> {
    let mut out = String::with_capacity(sql.len());
    let mut scanner = Scanner { sql, at: 0, inside: Inside::Code };
    while scanner.at < sql.len() {
        let rest = &sql[scanner.at..];
        if rest.starts_with("$${") {
            out.push_str("${");
            scanner.at += 3;
        } else if rest.starts_with("${") {
            let (name, place) = variable(sql, scanner.at)?;
            let value = lookup(name).ok_or_else(|| unknown(name, place.clone()))?;
            match scanner.inside {
                Inside::String { .. } => out.push_str(&value.replace('\'', "''")),
                _ => out.push_str(&value),
            }
            scanner.at = place.end;
        } else {
            let start = scanner.at;
            scanner.step();
            out.push_str(&sql[start..scanner.at]);
        }
    }
    Ok(out)
}

/// The name and the whole place of the variable at `start`, which is that of its `${`.
fn variable(sql: &str, start: usize) -> Result<(&str, Range<usize>), Diagnostic> {
    let rest = &sql[start + 2..];
    let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let name = &rest[..length];
    let escape = "write $${ for a literal ${";
    if !rest[length..].starts_with('}') {
        let after = rest[length..].chars().next().map_or(0, char::len_utf8);
        let place = start..start + 2 + length + after;
        return Err(Diagnostic::coded(Code::Syntax, "expected ${NAME}").at(place).help(escape));
    }
    let place = start..start + 2 + length + 1;
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Diagnostic::coded(
            Code::Syntax,
            "a name has letters, digits and _, and begins with no digit",
        )
        .at(place)
        .help(escape));
    }
    Ok((name, place))
}

fn unknown(name: &str, place: Range<usize>) -> Diagnostic {
    Diagnostic::coded(Code::Syntax, format!("no value for ${{{name}}}"))
        .at(place)
        .help(format!("give it with --set {name}=VALUE or in the environment"))
}

/// What the place of the scanner is inside of; comments are gone over whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    /// `'…'`; with backslash escapes if it began with E.
    String {
        escapes: bool,
    },
    /// `"…"` or `` `…` ``.
    Quoted(u8),
}

struct Scanner<'a> {
    sql: &'a str,
    at: usize,
    inside: Inside,
}

impl Scanner<'_> {
    /// Goes over one character, or over a whole comment.
    fn step(&mut self) {
        let bytes = self.sql.as_bytes();
        let (here, next) = (bytes[self.at], bytes.get(self.at + 1).copied());
        match (self.inside, here) {
            (Inside::Code, b'-') if next == Some(b'-') => return self.line_comment(),
            (Inside::Code, b'/') if next == Some(b'*') => return self.block_comment(),
            (Inside::Code, b'\'') => self.inside = Inside::String { escapes: self.after_e() },
            (Inside::Code, b'"' | b'`') => self.inside = Inside::Quoted(here),
            (Inside::String { escapes: true }, b'\\') => self.character(),
            (Inside::String { .. }, b'\'') if next != Some(b'\'') => self.inside = Inside::Code,
            // The first of a doubled quote.
            (Inside::String { .. }, b'\'') => self.character(),
            (Inside::Quoted(quote), _) if here == quote => self.inside = Inside::Code,
            _ => {}
        }
        self.character();
    }

    fn character(&mut self) {
        self.at += self.sql[self.at..].chars().next().map_or(0, char::len_utf8);
    }

    /// Whether the quote here belongs to `E'…'`.
    fn after_e(&self) -> bool {
        let mut before = self.sql[..self.at].chars().rev();
        let e = before.next().is_some_and(|c| c.eq_ignore_ascii_case(&'e'));
        e && !before.next().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
    }

    fn line_comment(&mut self) {
        self.at = self.sql[self.at..].find('\n').map_or(self.sql.len(), |end| self.at + end);
    }

    /// Comments of this kind nest, as in Postgres.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.sql.len() {
            let rest = &self.sql.as_bytes()[self.at..];
            if rest.starts_with(b"/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.character();
            }
        }
    }
}
