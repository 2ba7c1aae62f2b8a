//! Texts of expression and kernel errors in words for people: `Arrow error: Divide by zero error` → `division by zero`.

/// What stands before a message to say which part of a library it comes from.
const PREFIXES: [&str; 11] = [
    "Execution error: ",
    "Arrow error: ",
    "External error: ",
    "Error during planning: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "Arithmetic overflow: ",
    "Invalid argument error: ",
    "Schema error: ",
    "Internal error: ",
];

/// The libraries' names of types, and SQL's.
const TYPES: [(&str, &str); 18] = [
    ("Boolean", "BOOLEAN"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INTEGER"),
    ("Int64", "BIGINT"),
    ("UInt8", "TINYINT UNSIGNED"),
    ("UInt16", "SMALLINT UNSIGNED"),
    ("UInt32", "INTEGER UNSIGNED"),
    ("UInt64", "BIGINT UNSIGNED"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("Utf8", "VARCHAR"),
    ("LargeUtf8", "VARCHAR"),
    ("Utf8View", "VARCHAR"),
    ("Binary", "BYTEA"),
    ("Date32", "DATE"),
    ("Decimal128", "DECIMAL"),
    ("MonthDayNano", "MONTH TO SECOND"),
];

/// An error's text without the libraries' words for where it comes from and for types.
pub fn plain(text: &str) -> String {
    let mut text = text.split("This issue was likely caused by a bug").next().unwrap_or(text).trim();
    while let Some(rest) = PREFIXES.iter().find_map(|p| text.strip_prefix(p)) {
        text = rest;
    }
    let text = sql_types(text.trim_end_matches('.'));
    if text == "Divide by zero error" {
        return "division by zero".into();
    }
    if let Some(what) = text.strip_prefix("Overflow happened on: ") {
        return format!("the result is out of range: {what}");
    }
    for (before, between, after) in
        [("Cannot cast string ", " to value of ", " type"), ("Can't cast value ", " to type ", "")]
    {
        let inner = text.strip_prefix(before).and_then(|t| t.strip_suffix(after));
        if let Some((value, data_type)) = inner.and_then(|t| t.rsplit_once(between)) {
            return format!("{value} is not a value of type {data_type}");
        }
    }
    if let Some((value, why)) =
        text.strip_prefix("Error parsing timestamp from ").and_then(|t| t.rsplit_once(": "))
    {
        return format!("{value} is not a value of type TIMESTAMP: {why}");
    }
    text
}

/// The text with SQL's names of types, but for what it quotes.
fn sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(first.len_utf8()));
        // Not an apostrophe, as in "can't".
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        quoted ^= word == "'" && !(letter(out.chars().next_back()) && letter(after.chars().next()));
        match TYPES.iter().find(|(name, _)| *name == word) {
            Some((_, sql)) if !quoted => out.push_str(sql),
            _ if word == "Timestamp" && !quoted && after.starts_with('(') => {
                out.push_str("TIMESTAMP");
                rest = after.split_once(')').map_or("", |(_, after)| after);
                continue;
            }
            _ => out.push_str(word),
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_read() {
        for (text, expected) in [
            ("Arrow error: Divide by zero error", "division by zero"),
            (
                "Arrow error: Cast error: Cannot cast string 'seven Int64' to value of Int64 type",
                "'seven Int64' is not a value of type BIGINT",
            ),
            ("The 'Int64' can't be Int64", "The 'Int64' can't be BIGINT"),
            ("Cast error: Can't cast value 70000 to type Int16", "70000 is not a value of type SMALLINT"),
            (
                "Arrow error: Arithmetic overflow: Overflow happened on: 9 + 1",
                "the result is out of range: 9 + 1",
            ),
            (
                "Cannot coerce arithmetic expression Int64 + Timestamp(ns) to valid types",
                "Cannot coerce arithmetic expression BIGINT + TIMESTAMP to valid types",
            ),
            ("upper(Utf8, List(Utf8View))", "upper(VARCHAR, List(VARCHAR))"),
            ("column 'Int64' is it", "column 'Int64' is it"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_without_types_changes(text in ".*", plain_text in "[a-z ,'é]{0,30}") {
            plain(&text);
            prop_assert_eq!(sql_types(&plain_text), plain_text);
        }
    }
}
