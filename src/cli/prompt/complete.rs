//! What can be written where the cursor stands.

use super::meta::{self, Takes};
use crate::config::{FORMATS, ON_EXIT, SETTINGS};
use crate::engine::{Lexed, OptionName, PieceKind, lex};
use std::path::Path;

/// A stream, table or view with its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// The names that there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) relations: Vec<Relation>,
    pub(super) functions: Vec<String>,
    pub(super) options: Vec<OptionName>,
    pub(super) jobs: Vec<String>,
}

/// The words that statements are made of, as they are offered.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "AT",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BY",
    "CASE",
    "CAST",
    "CHANGES",
    "CHECKPOINT JOB",
    "COUNT",
    "CREATE",
    "CREATE MATERIALIZED VIEW",
    "CREATE STREAM",
    "CREATE TABLE",
    "CREATE VIEW",
    "CROSS JOIN",
    "CUMULATE",
    "DATE",
    "DECIMAL",
    "DELETE FROM",
    "DESC",
    "DESCRIBE",
    "DESCRIBE JOB",
    "DISTINCT",
    "DOUBLE",
    "DROP",
    "EARLIEST",
    "ELSE",
    "EMIT CHANGES",
    "EMIT FINAL",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXPLAIN WAITING",
    "FILTER",
    "FROM",
    "FULL JOIN",
    "GRACE PERIOD",
    "GROUP BY",
    "HAVING",
    "HOP",
    "IF EXISTS",
    "IF NOT EXISTS",
    "IN",
    "INNER JOIN",
    "INSERT INTO",
    "INTEGER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LATERAL",
    "LATEST",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "MATERIALIZED VIEW",
    "NOT",
    "NOT NULL",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER BY",
    "OVER",
    "PARTITION BY",
    "PAUSE JOB",
    "PRIMARY KEY",
    "RESET",
    "RESTART JOB",
    "RESUME JOB",
    "RIGHT JOIN",
    "ROW_NUMBER",
    "SELECT",
    "SESSION",
    "SET",
    "SHOW",
    "SHOW ALL",
    "SHOW JOBS",
    "SHOW STREAMS",
    "SHOW TABLES",
    "SHOW VIEWS",
    "STOP JOB",
    "STREAM",
    "TABLE",
    "TEXT",
    "THEN",
    "TIMESTAMP",
    "TUMBLE",
    "UNION",
    "UNION ALL",
    "UNNEST",
    "UPDATE",
    "USING",
    "VALUES",
    "VARCHAR",
    "VIEW",
    "WATERMARK FOR",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Words behind which the name of a relation stands.
const BEFORE_RELATION: &[&str] = &[
    "from", "join", "into", "describe", "update", "table", "stream", "view", "exists", "tumble", "hop",
    "cumulate", "session",
];

/// What can be written at the end of `text`: from which byte on, and the words, best first.
pub(super) fn complete(names: &Names, text: &str) -> (usize, Vec<String>) {
    if text.starts_with(['\\', '.']) {
        return meta_words(names, text);
    }
    let lexed = lex(text);
    // In a comment there is nothing to complete.
    if lexed.pieces.last().is_some_and(|p| p.kind == PieceKind::Comment && p.span.end == text.len()) {
        return (text.len(), Vec::new());
    }
    if let Some(open) = lexed.open {
        return quoted(names, text, &lexed, open);
    }
    let start = word_start(text);
    let prefix = &text[start..];
    let before: Vec<&str> =
        lexed.pieces.iter().filter(|p| p.span.end <= start).map(|p| &text[p.span.clone()]).collect();
    let last = before.last().map(|w| w.to_ascii_lowercase()).unwrap_or_default();
    let last_but = before.len().checked_sub(2).map(|i| before[i].to_ascii_lowercase()).unwrap_or_default();
    // `alias.col`: the columns of what the alias stands for.
    if let Some((alias, column)) = prefix.split_once('.') {
        let columns = columns_of(names, text, alias);
        return (start + alias.len() + 1, matching(column, columns));
    }
    let words: Vec<String> = match last.as_str() {
        "set" | "reset" => SETTINGS.iter().map(|s| s.name.to_string()).collect(),
        "show" => ["STREAMS", "TABLES", "VIEWS", "JOBS", "ALL"]
            .into_iter()
            .map(String::from)
            .chain(SETTINGS.iter().map(|s| s.name.to_string()))
            .collect(),
        "job" | "waiting" => names.jobs.iter().map(|j| quoted_name(j)).collect(),
        "(" | "," if in_options(&before) => names.options.iter().map(|o| o.name.to_string()).collect(),
        "=" if in_options(&before) => {
            option_values(names, &last_but).iter().map(|v| format!("'{v}'")).collect()
        }
        "=" | "to" if before.first().is_some_and(|w| w.eq_ignore_ascii_case("set")) => {
            setting_values(&last_but).into_iter().map(|v| format!("'{v}'")).collect()
        }
        word if BEFORE_RELATION.contains(&word)
            || word == "(" && BEFORE_RELATION.contains(&last_but.as_str()) =>
        {
            names.relations.iter().map(|r| quoted_name(&r.name)).collect()
        }
        _ => return (start, general(names, text, prefix)),
    };
    let words = matching(prefix, words);
    if words.is_empty() { (start, general(names, text, prefix)) } else { (start, words) }
}

/// Columns in scope, then functions, keywords and relations.
fn general(names: &Names, text: &str, prefix: &str) -> Vec<String> {
    if prefix.is_empty() && !names.relations.iter().any(|r| mentions(text, &r.name)) {
        return Vec::new();
    }
    let mut words = matching(prefix, columns_in_scope(names, text));
    if prefix.is_empty() {
        return words;
    }
    let upper = prefix.chars().all(|c| !c.is_lowercase());
    let keywords = KEYWORDS.iter().map(|k| if upper { k.to_string() } else { k.to_ascii_lowercase() });
    words.extend(matching(prefix, keywords.collect()));
    words.extend(matching(prefix, names.functions.iter().map(|f| format!("{f}(")).collect()));
    words.extend(matching(prefix, names.relations.iter().map(|r| quoted_name(&r.name)).collect()));
    let mut seen = std::collections::HashSet::new();
    words.retain(|w| seen.insert(w.to_ascii_lowercase()));
    words
}

/// The columns of the relations that the statement names.
fn columns_in_scope(names: &Names, text: &str) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for relation in &names.relations {
        if mentions(text, &relation.name) {
            columns.extend(relation.columns.iter().map(|c| quoted_name(c)));
        }
    }
    if columns.is_empty() && !names.relations.iter().any(|r| mentions(text, &r.name)) {
        // What will stand behind FROM is not known yet.
        columns = names.relations.iter().flat_map(|r| &r.columns).map(|c| quoted_name(c)).collect();
    }
    let mut seen = std::collections::HashSet::new();
    columns.retain(|c| seen.insert(c.clone()));
    columns
}

fn mentions(text: &str, name: &str) -> bool {
    let same = |word: &str| word.eq_ignore_ascii_case(name) || word.trim_matches('"') == name;
    lex(text)
        .pieces
        .iter()
        .any(|p| matches!(p.kind, PieceKind::Name | PieceKind::Keyword) && same(&text[p.span.clone()]))
}

/// The columns of the relation that `alias` is, or stands behind as in `departures AS d`.
fn columns_of(names: &Names, text: &str, alias: &str) -> Vec<String> {
    let words: Vec<String> =
        lex(text).pieces.iter().map(|p| text[p.span.clone()].to_ascii_lowercase()).collect();
    let alias = alias.to_ascii_lowercase();
    let relation = |name: &str| names.relations.iter().find(|r| r.name == name.trim_matches('"'));
    let behind = words.windows(3).find_map(|w| match w {
        [name, r#as, other] if r#as == "as" && *other == alias => relation(name),
        [_, name, other] if *other == alias => relation(name),
        _ => None,
    });
    relation(&alias).or(behind).map(|r| r.columns.clone()).unwrap_or_default()
}

/// Whether the words end within the parentheses of `WITH (…)`.
fn in_options(before: &[&str]) -> bool {
    let mut depth = 0_i32;
    for (at, word) in before.iter().enumerate().rev() {
        match *word {
            ")" => depth += 1,
            "(" if depth > 0 => depth -= 1,
            "(" => return at > 0 && before[at - 1].eq_ignore_ascii_case("with"),
            _ => {}
        }
    }
    false
}

fn option_values(names: &Names, option: &str) -> &'static [&'static str] {
    names.options.iter().find(|o| o.name == option).map_or(&[], |o| o.values)
}

fn setting_values(setting: &str) -> Vec<&'static str> {
    match setting {
        "format" => FORMATS.iter().map(|(word, _)| *word).collect(),
        "on_exit" => ON_EXIT.iter().map(|(word, _)| *word).collect(),
        _ => Vec::new(),
    }
}

/// Within quotes: the values of an option or setting, else paths.
fn quoted(names: &Names, text: &str, lexed: &Lexed, open: usize) -> (usize, Vec<String>) {
    if text.as_bytes().get(open) == Some(&b'"') {
        let columns =
            columns_in_scope(names, text).into_iter().chain(names.relations.iter().map(|r| r.name.clone()));
        let names = columns.map(|c| format!("{}\"", c.trim_matches('"'))).collect();
        return (open + 1, matching(&text[open + 1..], names));
    }
    if text.as_bytes().get(open) != Some(&b'\'') {
        return (text.len(), Vec::new());
    }
    let before: Vec<&str> =
        lexed.pieces.iter().filter(|p| p.span.end <= open).map(|p| &text[p.span.clone()]).collect();
    let prefix = &text[open + 1..];
    if let [.., name, "="] = before.as_slice() {
        let name = name.to_ascii_lowercase();
        let mut values: Vec<&str> = option_values(names, &name).to_vec();
        values.extend(setting_values(&name));
        if !values.is_empty() {
            return (open + 1, matching(prefix, values.into_iter().map(|v| format!("{v}'")).collect()));
        }
    }
    paths(prefix, open + 1, "'")
}

/// The files and folders whose paths begin so. `end` follows the name of a file.
fn paths(prefix: &str, start: usize, end: &str) -> (usize, Vec<String>) {
    let (folder, name) = prefix.rfind('/').map_or(("", prefix), |at| prefix.split_at(at + 1));
    let Ok(entries) = std::fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) })
    else {
        return (start, Vec::new());
    };
    let mut found: Vec<String> = entries
        .filter_map(|e| {
            let e = e.ok()?;
            let file = e.file_name().into_string().ok()?;
            let hidden = file.starts_with('.') && !name.starts_with('.');
            let end = if e.path().is_dir() { "/" } else { end };
            (file.starts_with(name) && !hidden).then(|| format!("{folder}{file}{end}"))
        })
        .collect();
    found.sort();
    (start, found)
}

fn meta_words(names: &Names, text: &str) -> (usize, Vec<String>) {
    let Some(blank) = text.find(char::is_whitespace) else {
        return (0, matching(text, meta::words(text.starts_with('.'))));
    };
    let start = text.rfind(char::is_whitespace).map_or(blank + 1, |at| at + 1);
    let prefix = &text[start..];
    let words = match meta::takes(&text[..blank]) {
        Some(Takes::Relation) => names.relations.iter().map(|r| quoted_name(&r.name)).collect(),
        Some(Takes::Job) => names.jobs.clone(),
        Some(Takes::Path) => return paths(prefix, start, ""),
        Some(Takes::Words(words)) => words().iter().map(|w| w.to_string()).collect(),
        Some(Takes::Sql) => {
            let (at, words) = complete(names, text[blank + 1..].trim_start());
            let skipped = text.len() - text[blank + 1..].trim_start().len();
            return (skipped + at, words);
        }
        Some(Takes::Nothing | Takes::Text) | None => Vec::new(),
    };
    (start, matching(prefix, words))
}

/// Where the word begins that the text ends with.
fn word_start(text: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.char_indices().rev().take_while(|(_, c)| part(*c)).last().map_or(text.len(), |(at, _)| at)
}

fn matching(prefix: &str, words: Vec<String>) -> Vec<String> {
    let begins = |word: &String| {
        word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && word.len() > prefix.len()
    };
    words.into_iter().filter(begins).collect()
}

/// A name as it must be written.
fn quoted_name(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.$".contains(c));
    match plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.into(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let relation = |name: &str, columns: &[&str]| Relation {
            name: name.into(),
            columns: columns.iter().map(|c| c.to_string()).collect(),
        };
        Names {
            relations: vec![
                relation("departures", &["origin", "dest", "event_time"]),
                relation("delays", &["carrier", "origin_city"]),
                relation("My Table", &["Id"]),
            ],
            functions: vec!["count".into(), "upper".into()],
            options: crate::engine::option_names(),
            jobs: vec!["board".into(), "file.hourly".into()],
        }
    }

    #[track_caller]
    fn offers(text: &str, expected: &[&str]) {
        let (start, words) = complete(&names(), text);
        assert!(text.is_char_boundary(start));
        assert_eq!(words, expected, "{text:?}");
    }

    #[test]
    fn each_place_has_its_words() {
        offers("SELECT * FROM de", &["departures", "delays"]);
        offers("SELECT * FROM ", &["departures", "delays", "\"My Table\""]);
        offers("INSERT INTO dep", &["departures"]);
        offers("DESCRIBE del", &["delays"]);
        offers("SELECT orig", &["origin", "origin_city"]);
        offers("SELECT ", &[]);
        offers("SELECT * FROM departures WHERE orig", &["origin"]);
        offers("SELECT * FROM departures d JOIN delays l ON d.or", &["origin"]);
        offers("SELECT * FROM departures AS d WHERE d.", &["origin", "dest", "event_time"]);
        offers("SELECT upp", &["upper("]);
        offers("sel", &["select"]);
        offers("GROU", &["GROUP BY"]);
        offers("SET work", &["workers"]);
        offers(
            "SET format = ",
            &FORMATS
                .iter()
                .map(|(w, _)| format!("'{w}'"))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        offers("SET on_exit = 's", &["stop'"]);
        offers("SHOW JO", &["JOBS"]);
        offers("STOP JOB b", &["board"]);
        offers("EXPLAIN WAITING f", &["file.hourly"]);
        offers("CREATE STREAM s (a BIGINT) WITH (conn", &["connector"]);
        offers("CREATE STREAM s (a BIGINT) WITH (connector = 'f", &["file'"]);
        offers(
            "CREATE STREAM s (a BIGINT) WITH (partitions = 4, co",
            &["codec", "compaction", "compression", "connector"],
        );
        offers("SELECT \"I", &["Id\""]);
        offers("SELECT 1; SELECT * FROM dep", &["departures"]);
        offers("\\jo", &["\\jobs", "\\job"]);
        offers("\\why b", &["board"]);
        offers("\\d del", &["delays"]);
        offers(".ta", &[".tables"]);
        offers("-- é de", &[]);
    }

    #[test]
    fn paths_stand_in_quotes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.csv"), "").unwrap();
        std::fs::create_dir(dir.path().join("ab")).unwrap();
        let at = dir.path().display();
        let text = format!("CREATE STREAM s WITH (path = '{at}/a");
        let (start, words) = complete(&names(), &text);
        assert_eq!(&text[start - 1..start], "'");
        assert_eq!(words, [format!("{at}/a.csv'"), format!("{at}/ab/")]);
    }
}
