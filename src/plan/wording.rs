//! What the planner's libraries say of mistakes, in words for people and with a code.

use crate::sql::{Code, Diagnostic};

/// A mistake that a library tells in words of its own; none if its words are good, or not known.
pub(super) fn worded(message: &str) -> Option<Diagnostic> {
    operands(message).or_else(|| names(message)).or_else(|| places(message))
}

/// Operators and functions that are given what they do not take.
fn operands(message: &str) -> Option<Diagnostic> {
    let types = |text: String| Some(Diagnostic::coded(Code::Types, text));
    let two = |text: &str| text.split_once(" and ").map(|(a, b)| (a.to_string(), b.to_string()));
    if let Some(rest) = message.strip_prefix("there isn't a common type to coerce ")
        && let Some((both, operator)) =
            rest.strip_suffix(" expression").and_then(|rest| rest.rsplit_once(" in "))
        && let Some((left, right)) = two(both)
    {
        return types(format!("{operator} does not take {left} and {right}"));
    }
    if let Some(rest) = message.strip_prefix("failed to coerce types ")
        && let Some((left, right)) = rest.split_once(" in BETWEEN").and_then(|(both, _)| two(both))
    {
        return types(format!("{left} and {right} cannot be compared"));
    }
    if let Some(rest) = message.strip_prefix("cannot infer common argument type for regex operation ")
        && let [left, operator, right] = rest.split(' ').collect::<Vec<_>>().as_slice()
    {
        return types(format!("{operator} does not take {left} and {right}"));
    }
    if let Some(rest) = message.strip_prefix("cannot get result type for temporal operation ") {
        let said = rest.split(": ").next().unwrap_or(rest);
        let found = [" + ", " - ", " * ", " / "]
            .into_iter()
            .find_map(|sign| said.split_once(sign).map(|s| (sign, s)));
        let (sign, (left, right)) = found?;
        return types(format!("{} does not take {left} and {right}", sign.trim()));
    }
    if let Some(rest) = message.strip_prefix("can not find compatible types to compare ")
        && let Some((value, list)) = rest.split_once(" with [")
    {
        return types(format!("{value} cannot be compared with {}", list.strip_suffix(']').unwrap_or(list)));
    }
    if let Some((function, rest)) = message.split_once(" requires ")
        && !function.contains(" failed ")
        && let Some((_, given)) = rest.split_once(", but received ")
    {
        let given = given.split(" (DataType").next().unwrap_or(given);
        return types(format!("{function} does not take {given}"));
    }
    if message.starts_with("unnest() can only be applied to") {
        return types("unnest takes a list or a struct".into());
    }
    let no_fields = message.strip_prefix("cannot access field at argument ")?;
    let kind = no_fields.split_once("type ")?.1.split(" is not").next()?;
    types(format!("{kind} has no fields"))
}

/// Names that are not there, or that are there twice.
fn names(message: &str) -> Option<Diagnostic> {
    if let Some(name) = message.strip_prefix("field ").and_then(|m| m.strip_suffix(" not found in struct")) {
        return Some(Diagnostic::coded(Code::NoColumn, format!("there is no field \"{name}\"")));
    }
    if let Some(rest) = message.strip_prefix("order by column out of bounds, specified: ") {
        let (wanted, most) = rest.split_once(", max: ")?;
        let columns = if most == "1" { "column" } else { "columns" };
        let text = format!("ORDER BY {wanted}: the result has {most} {columns}");
        return Some(Diagnostic::coded(Code::NoColumn, text));
    }
    if let Some(rest) = message.strip_prefix("HAVING clause references: ") {
        let expression = rest.split(" must appear").next().unwrap_or(rest);
        let d = Diagnostic::coded(
            Code::NotGrouped,
            format!("HAVING names {expression}, which is neither grouped nor aggregated"),
        );
        return Some(d.help("WHERE chooses rows before they are grouped, HAVING groups"));
    }
    message.strip_prefix("projections require unique expression names")?;
    let d = Diagnostic::coded(Code::Taken, "two columns of the result have the same name");
    Some(d.help("give one of them another name: … AS other"))
}

/// What may not stand where it stands.
fn places(message: &str) -> Option<Diagnostic> {
    if message.starts_with("aggregate functions are not allowed in the WHERE clause") {
        let d = Diagnostic::coded(Code::NotSupported, "aggregate functions are not allowed in WHERE");
        return Some(d.help("WHERE chooses rows before they are grouped, HAVING groups"));
    }
    let rest = message.strip_prefix("for SELECT DISTINCT, ORDER BY expressions ")?;
    let expression = rest.split(" must appear").next()?;
    let d = Diagnostic::coded(
        Code::NotSupported,
        format!("with SELECT DISTINCT rows can be ordered by what is selected, not by {expression}"),
    );
    Some(d.help(format!("select {expression} as well")))
}

/// Which of the columns of a SELECT list a mistake is about, counted from 0.
pub(super) fn column_of(message: &str) -> Option<usize> {
    message.starts_with("projections require unique expression names").then_some(())?;
    message.rsplit_once("at position ")?.1.split(' ').next()?.parse().ok()
}

/// A text without the libraries' ways to write types and values.
pub(super) fn tidied(text: &str) -> String {
    let mut text = text.replace("Interval(MONTH TO SECOND)", "INTERVAL");
    while let Some(at) = text.find("List(") {
        let inside = at + "List(".len();
        let Some(end) = closed(&text[inside..]) else { break };
        let item = text[inside..inside + end].trim_start_matches("non-null ").to_string();
        text.replace_range(at..inside + end + 1, &format!("{item}[]"));
    }
    for kind in ["BIGINT(", "INTEGER(", "DOUBLE(", "BOOLEAN(", "VARCHAR("] {
        let mut from = 0;
        while let Some(at) = text[from..].find(kind).map(|at| at + from) {
            let inside = at + kind.len();
            let Some(end) = closed(&text[inside..]) else { break };
            let value = &text[inside..inside + end];
            let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let value = quoted.map_or_else(|| value.to_string(), |v| format!("'{v}'"));
            from = at + value.len();
            text.replace_range(at..inside + end + 1, &value);
        }
    }
    text
}

/// Where the parenthesis is closed that stands open before `text`.
fn closed(text: &str) -> Option<usize> {
    let mut depth = 1_u32;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_libraries_become_ours() {
        for (said, code, ours) in [
            (
                "there isn't a common type to coerce INTEGER and BIGINT in LIKE expression",
                Code::Types,
                "LIKE does not take INTEGER and BIGINT",
            ),
            (
                "function 'upper' requires String, but received BIGINT (DataType: BIGINT).",
                Code::Types,
                "function 'upper' does not take BIGINT",
            ),
            (
                "cannot get result type for temporal operation INTERVAL * BIGINT: Invalid argument error: no",
                Code::Types,
                "* does not take INTERVAL and BIGINT",
            ),
            (
                "cannot access field at argument 1: type INTEGER is not Struct, Map, or Null",
                Code::Types,
                "INTEGER has no fields",
            ),
            (
                "order by column out of bounds, specified: 7, max: 1",
                Code::NoColumn,
                "ORDER BY 7: the result has 1 column",
            ),
            ("field b not found in struct", Code::NoColumn, "there is no field \"b\""),
        ] {
            let d = worded(said).unwrap();
            assert_eq!((d.code, d.message.as_str()), (Some(code), ours));
        }
        assert!(worded("there is no column \"a\"").is_none());
        let twice = "projections require unique expression names but the expression \"a\" at position 0 and \"a\" at position 12 have the same name. Consider";
        assert_eq!(column_of(twice), Some(12));
    }

    #[test]
    fn types_and_values_are_written_as_in_sql() {
        assert_eq!(
            tidied("+ does not take List(List(BIGINT)) and Interval(MONTH TO SECOND)"),
            "+ does not take BIGINT[][] and INTERVAL"
        );
        assert_eq!(tidied("s.id > BIGINT(1) and k = VARCHAR(\"a\")"), "s.id > 1 and k = 'a'");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", odd in "(List\\(|BIGINT\\(|VARCHAR\\(\"|\\)|é|,){0,12}") {
            tidied(&text);
            tidied(&odd);
            worded(&odd);
        }
    }
}
