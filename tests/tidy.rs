//! Keeps the tree as it was meant: who may import whom, which crates stay behind which fence, how
//! long a file may be, and that documents name paths that exist.
//!
//! The checker reads Rust as a stream of words and signs without comments and strings, and leaves
//! out what is under `#[cfg(test)]`. It knows no types: a rule is about what is written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Each module of `src/`, lowest first, with the modules it may import. `main.rs` and `lib.rs` may
/// import anything.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("clock", ""),
    ("disk", ""),
    ("config", ""),
    ("delta", ""),
    ("log", "clock disk"),
    ("state", "delta disk"),
    ("operators", "delta state"),
    ("formats", "delta"),
    ("connectors", "clock delta log formats"),
    ("catalog", "disk"),
    ("sql", ""),
    ("plan", "delta operators catalog sql config"),
    ("runtime", "clock disk config delta log state operators formats connectors plan"),
    ("engine", "clock disk config delta log state operators formats connectors catalog sql plan runtime"),
    ("bench", "clock config delta connectors engine"),
    ("cli", "config delta engine bench"),
];

/// Imports outside the table, by file. Each has its reason, and goes when it is no longer needed.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The engine re-exports nothing yet, and a report is drawn from the parser's diagnostic.
    ("src/cli/report.rs", "sql"),
];

/// Words that may be written in some modules only: foreign crates that bring a runtime or a parser
/// with them, and the readings of wall time.
const FENCES: &[(&[&str], &str)] = &[
    (&["tokio"], "connectors runtime engine bench cli server"),
    (&["sqlparser"], "sql plan"),
    (&["SystemTime", "::", "now"], "clock"),
    (&["Instant", "::", "now"], "clock"),
];

/// Macros that mark unfinished work.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];
/// Names that say nothing about what is in a module.
const DRAWERS: &[&str] = &["utils", "util", "common", "helpers"];
const MOST_LINES: usize = 800;
/// Documents whose paths are checked.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md"];
/// How a word in backticks ends that is a path even without a slash.
const PATH_ENDINGS: &[&str] = &[".rs", ".sql", ".md"];

/// What a checked tree consists of: the text of every file below its root, by path with `/`.
type Tree = BTreeMap<String, String>;

fn check(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        check_shape(tree, path, text, &mut faults);
        let all = tokens(text);
        for pair in all.windows(2).filter(|pair| pair[1].is("!") && pair[0].is_any(UNFINISHED)) {
            faults.push(format!("{path}:{}: {}! marks unfinished work", pair[0].line, pair[0].text));
        }
        let Some(module) = module_of(path) else { continue };
        let shipped = without_tests(&all);
        check_fences(path, module, &shipped, &mut faults);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{path}: the module {module} is not in the table of imports"));
            continue;
        };
        for (line, imported) in imports(path, &shipped) {
            if imported == module || allowed.split(' ').any(|a| a == imported) {
                continue;
            }
            match exceptions.iter().position(|e| *e == (path.as_str(), imported.as_str())) {
                Some(i) => used[i] = true,
                None => faults.push(format!("{path}:{line}: {module} may not import {imported}")),
            }
        }
    }
    for (path, imported) in exceptions.iter().zip(&used).filter(|(_, used)| !**used).map(|(e, _)| e) {
        faults.push(format!("{path}: the exception for {imported} is no longer needed"));
    }
    for document in DOCUMENTS {
        if let Some(text) = tree.get(*document) {
            check_document(tree, document, text, &mut faults);
        }
    }
    faults
}

/// The module of `src/` that a file belongs to; `None` for `main.rs`, `lib.rs`, files of tests (which
/// are under `#[cfg(test)]` where they are declared) and other folders.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let module = inside.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    let of_tests = inside.ends_with("/tests.rs") || inside.contains("/tests/");
    (!of_tests && !matches!(inside, "main.rs" | "lib.rs")).then_some(module)
}

fn check_shape(tree: &Tree, path: &str, text: &str, faults: &mut Vec<String>) {
    if !text.starts_with("//!") {
        faults.push(format!("{path}: the first line must say what the file is, with //!"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{path}: {lines} lines, more than {MOST_LINES}"));
    }
    let stem = path.trim_end_matches(".rs");
    if tree
        .range(format!("{stem}/")..)
        .next()
        .is_some_and(|(other, _)| other.starts_with(&format!("{stem}/")))
    {
        faults.push(format!("{path}: stands beside a folder of the same name; make it its mod.rs"));
    }
    if let Some(drawer) = path.split('/').map(|p| p.trim_end_matches(".rs")).find(|p| DRAWERS.contains(p)) {
        faults.push(format!("{path}: {drawer} says nothing about what is in it"));
    }
}

fn check_fences(path: &str, module: &str, tokens: &[Token], faults: &mut Vec<String>) {
    for (words, inside) in FENCES.iter().filter(|(_, inside)| !inside.split(' ').any(|m| m == module)) {
        for found in tokens.windows(words.len()).filter(|w| w.iter().zip(*words).all(|(t, word)| t.is(word)))
        {
            let name = words.concat();
            faults.push(format!("{path}:{}: {name} may only be used in: {inside}", found[0].line));
        }
    }
}

/// Every path that a document names in backticks must exist.
fn check_document(tree: &Tree, document: &str, text: &str, faults: &mut Vec<String>) {
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        tree.contains_key(path)
            || tree.keys().any(|k| k.starts_with(path) && k[path.len()..].starts_with('/'))
    };
    let top = |word: &str| word.split_once('/').is_some_and(|(first, _)| first != "." && exists(first));
    let mut in_block = false;
    for (i, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        // Commands and program text: only what begins like a path of ours.
        let program = in_block || line.starts_with("    ");
        let spans = if program { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        let alone = |span: &str| !program && span.split_whitespace().count() == 1;
        let words = spans.iter().flat_map(|s| s.split_whitespace().filter(|w| alone(s) || top(w)));
        for word in words.map(|w| w.trim_matches(|c| "'\",;:()".contains(c))) {
            if is_repository_path(word) && !exists(word) {
                faults.push(format!("{document}:{}: there is no {word}", i + 1));
            }
        }
    }
}

/// Whether a word is a path inside the repository: not one of the user's (`./…`, `/…`, `~/…`), no
/// pattern, no placeholder (`DIR/…`), no type (`text/csv` has no such file, so write it otherwise).
fn is_repository_path(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let placeholder =
        word.split('/').next().is_some_and(|first| first.chars().all(|c| c.is_ascii_uppercase()));
    let path = word.contains('/') || PATH_ENDINGS.iter().any(|e| word.ends_with(e) && word.len() > e.len());
    plain && path && !placeholder && !word.starts_with(['/', '~']) && !word.starts_with("./")
}

/// A word or a sign of Rust, and its line. `::` is one sign.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }
    fn is_any(&self, texts: &[&str]) -> bool {
        texts.contains(&self.text.as_str())
    }
}

/// Rust text as words and signs, without comments, strings, characters, lifetimes and numbers.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let next = chars.get(i + 1).copied();
        match chars[i] {
            '/' if next == Some('/') => i = position(&chars, i, |c| c == '\n'),
            '/' if next == Some('*') => i = after_block_comment(&chars, i),
            '"' => i = after_string(&chars, i),
            '\'' => i = after_quote(&chars, i),
            c if c.is_alphabetic() || c == '_' => {
                i = position(&chars, i, |c| !c.is_alphanumeric() && c != '_');
                let word: String = chars[start..i].iter().collect();
                let prefix = matches!(word.as_str(), "r" | "b" | "br" | "c" | "cr");
                match (prefix, chars.get(i)) {
                    (true, Some('"' | '#')) if word.contains('r') => match after_raw(&chars, i) {
                        Some(end) => i = end,
                        // r#word: the word itself comes next.
                        None => i += 1,
                    },
                    (true, Some('"')) => i = after_string(&chars, i),
                    (true, Some('\'')) if word == "b" => i = after_quote(&chars, i),
                    _ => tokens.push(Token { text: word, line }),
                }
            }
            c if c.is_ascii_digit() => i = position(&chars, i, |c| !c.is_alphanumeric() && c != '_'),
            ':' if next == Some(':') => {
                tokens.push(Token { text: "::".into(), line });
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.into(), line });
                }
                i += 1;
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn position(chars: &[char], from: usize, end: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| end(*c)).map_or(chars.len(), |n| from + n)
}

fn after_block_comment(chars: &[char], from: usize) -> usize {
    let (mut i, mut depth) = (from, 0);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (i, depth) = (i + 2, depth + 1),
            ('*', Some('/')) => (i, depth) = (i + 2, depth - 1),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The place after a string that begins with the quote at `from`.
fn after_string(chars: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The place after a raw string whose `#` or quote is at `from`; `None` where it is none.
fn after_raw(chars: &[char], from: usize) -> Option<usize> {
    let quote = position(chars, from, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - from;
    let closes =
        |i: usize| chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    Some((quote + 1..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |i| i + 1 + hashes))
}

/// The place after a character, or after the quote of a lifetime.
fn after_quote(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => position(chars, from + 3, |c| c == '\'') + 1,
        (Some(_), Some('\'')) => from + 3,
        _ => from + 1,
    }
}

/// The tokens without what stands under `#[cfg(test)]` (or `cfg(all(test, …))`).
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let attribute = tokens[i].is("#") && tokens.get(i + 1).is_some_and(|t| t.is("["));
        if !attribute {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let end = after_group(tokens, i + 1);
        let inside = &tokens[i..end];
        let is_test = inside.iter().any(|t| t.is("cfg"))
            && inside.iter().any(|t| t.is("test"))
            && !inside.iter().any(|t| t.is_any(&["not", "any"]));
        if is_test {
            i = after_item(tokens, end);
        } else {
            kept.extend_from_slice(inside);
            i = end;
        }
    }
    kept
}

/// The place after the brackets that open at `from`.
fn after_group(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "[" | "(" | "{" => depth += 1,
            "]" | ")" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The place after the item that begins at `from`: its body, or its semicolon; a field or an arm
/// ends with its comma.
fn after_item(tokens: &[Token], from: usize) -> usize {
    let mut i = from;
    while i < tokens.len() {
        match tokens[i].text.as_str() {
            ";" | "," => return i + 1,
            // In `use a::{b};` the braces do not end the item.
            "{" if i > 0 && !tokens[i - 1].is("::") => return after_group(tokens, i),
            "}" => return i,
            "[" | "(" | "{" => i = after_group(tokens, i),
            _ => i += 1,
        }
    }
    i
}

/// The modules of the crate that a file names, with lines: `crate::x`, `use crate::{x, y::z}`, and
/// as many `super::` as lead to the crate's root. What is named at the root itself (`crate::Thing`,
/// `crate::*`, `crate as x`) counts as a module of that name, since it hides where a thing comes from.
fn imports(path: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let depth = inside.split('/').filter(|part| *part != "mod").count();
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let mut next = i + 1;
        let continues = i > 0 && tokens[i - 1].is("::");
        let at_root = if tokens[i].is("crate") {
            true
        } else if tokens[i].is("super") && !continues {
            let mut supers = 1;
            while tokens.get(next).is_some_and(|t| t.is("::"))
                && tokens.get(next + 1).is_some_and(|t| t.is("super"))
            {
                (supers, next) = (supers + 1, next + 2);
            }
            supers >= depth
        } else {
            false
        };
        if at_root {
            match tokens.get(next) {
                Some(t) if t.is("::") => tree_heads(tokens, next + 1, &mut found),
                // pub(crate), `pub(in crate)`: no import.
                Some(t) if t.is("as") => found.push((t.line, "crate".into())),
                _ => {}
            }
        }
        i = next;
    }
    found
}

/// The first words of the branches of a use tree that begins at `from`.
fn tree_heads(tokens: &[Token], from: usize, found: &mut Vec<(usize, String)>) {
    let Some(head) = tokens.get(from) else { return };
    if !head.is("{") {
        found.push((head.line, head.text.clone()));
        return;
    }
    let end = after_group(tokens, from);
    let mut i = from + 1;
    while i + 1 < end {
        tree_heads(tokens, i, found);
        while i + 1 < end && !tokens[i].is(",") {
            i = if tokens[i].is("{") { after_group(tokens, i) } else { i + 1 };
        }
        i += 1;
    }
}

/// Reads the files below `root` that matter here; of others only that they are there.
fn read_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = entry.file_name();
            if entry.file_type().unwrap().is_dir() {
                if !matches!(name.to_str(), Some(".git" | "target" | ".millstream")) {
                    folders.push(path);
                }
                continue;
            }
            let inside = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let text = if inside.ends_with(".rs") || inside.ends_with(".md") {
                fs::read_to_string(&path).unwrap()
            } else {
                String::new()
            };
            tree.insert(inside, text);
        }
    }
    tree
}

#[test]
fn the_tree_is_tidy() {
    let faults = check(&read_tree(Path::new(env!("CARGO_MANIFEST_DIR"))), EXCEPTIONS);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    for (i, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for name in allowed.split(' ').filter(|name| !name.is_empty()) {
            assert!(MAY_IMPORT[..i].iter().any(|(lower, _)| *lower == name), "{module} → {name}");
        }
    }
}

/// What the checker says about one file (a first line is added), without the file's name.
fn faults_in(path: &str, text: &str) -> Vec<String> {
    let tree = Tree::from([(path.to_string(), format!("//! A file.\n{text}"))]);
    let faults = check(&tree, &[]);
    faults
        .into_iter()
        .map(|f| f.trim_start_matches(path).trim_start_matches(':').trim().to_string())
        .collect()
}

#[test]
fn a_forbidden_import_is_caught_however_it_is_written() {
    // What is to be found stands behind each text as line and module.
    for (path, text, expected) in [
        ("src/delta/mod.rs", "use crate::log;", "2 log"),
        ("src/log/read.rs", "use crate::log::x;\nuse crate::{clock, sql::{self, Name}};", "3 sql"),
        ("src/log/read.rs", "fn f() {\n  crate::engine::run::<u8>();\n}", "3 engine"),
        ("src/log/read.rs", "use crate::{\n disk::{Disk, x::Y},\n plan,\n cli::*,\n};", "4 plan 5 cli"),
        ("src/sql/mod.rs", "use super::plan::Node;", "2 plan"),
        ("src/operators/join/inner.rs", "use super::super::super::log::Log;", "2 log"),
        ("src/clock.rs", "use super::log;", "2 log"),
        ("src/runtime/mod.rs", "pub use crate::sql::Name as N;", "2 sql"),
        ("src/cli/mod.rs", "use crate::Engine;", "2 Engine"),
        ("src/cli/mod.rs", "use crate::*;", "2 *"),
        ("src/cli/mod.rs", "use crate as c;", "2 crate"),
        ("src/delta/mod.rs", "#[cfg(not(test))]\nuse crate::log;", "3 log"),
        ("src/delta/mod.rs", "const A: char = '\"'; use crate::log; const B: char = '\"';", "2 log"),
        ("src/delta/mod.rs", "fn f<'a>(x: &'a str) {} use crate::log; fn g<'a>() {}", "2 log"),
        ("src/delta/mod.rs", "#[cfg(test)]\nuse crate::{log, sql};\nuse crate::plan;", "4 plan"),
        ("src/delta/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::plan;", "4 plan"),
    ] {
        let module = module_of(path).unwrap();
        let fault = format!(": {module} may not import ");
        let found: Vec<String> = faults_in(path, text).iter().map(|f| f.replace(&fault, " ")).collect();
        assert_eq!(found.join(" "), expected, "{path}: {text}");
    }
    for path in ["src/novel/mod.rs", "src/novel.rs"] {
        assert_eq!(faults_in(path, ""), ["the module novel is not in the table of imports"]);
    }
}

#[test]
fn an_allowed_import_is_no_fault() {
    for (path, text) in [
        ("src/main.rs", "use crate::anything; use tokio::x;"),
        ("src/lib.rs", "pub use crate::engine::Engine;"),
        ("src/log/read.rs", "use crate::{clock::Clock, disk, log::{a, b}}; use super::segment; use self::x;"),
        ("src/operators/join/inner.rs", "use super::super::filter; use super::inner; pub(crate) fn f() {}"),
        ("src/delta/mod.rs", "/* use crate::log; /* nested */ crate::sql */ // use crate::log;"),
        ("src/delta/mod.rs", "const A: &str = \"use crate::log; \\\" crate::sql\";"),
        ("src/delta/mod.rs", "const A: &str = r#\"crate::log \" crate::sql\"#;"),
        ("src/delta/mod.rs", "const A: &[u8] = b\"crate::log\"; const B: u8 = b'\"'; const C: char = '\\'';"),
        ("src/delta/mod.rs", "#[cfg(test)]\nmod tests {\n  use crate::log;\n  fn f() { tokio::spawn() }\n}"),
        ("src/delta/mod.rs", "#[cfg(all(test, unix))]\n#[path = \"x.rs\"]\nmod tests { use crate::log; }"),
        ("src/delta/mod.rs", "#[cfg(test)]\nfn f() -> [u8; 2] { crate::log::x() }"),
        ("src/engine/mod.rs", "use crate::{clock, config, log, state, plan, runtime, connectors};"),
        ("src/plan/mod.rs", "use datafusion::sql::sqlparser::ast; let r#crate = 1;"),
        ("src/log/tests.rs", "use crate::{log, sql};"),
        ("tests/it/main.rs", "use millstream::engine; fn f() { std::time::Instant::now(); }"),
    ] {
        assert_eq!(faults_in(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn an_exception_holds_for_one_import_and_must_be_needed() {
    let text = "//! A file.\nuse crate::{sql, plan};";
    let tree = Tree::from([("src/cli/a.rs".to_string(), text.to_string())]);
    assert_eq!(check(&tree, &[("src/cli/a.rs", "sql")]), ["src/cli/a.rs:2: cli may not import plan"]);
    let all = [("src/cli/a.rs", "sql"), ("src/cli/a.rs", "plan"), ("src/cli/a.rs", "log")];
    assert_eq!(check(&tree, &all), ["src/cli/a.rs: the exception for log is no longer needed"]);
}

#[test]
fn a_fenced_crate_is_caught_outside_its_fence() {
    for (path, text, found) in [
        ("src/operators/mod.rs", "use tokio::sync::mpsc;", true),
        ("src/operators/mod.rs", "#[tokio::main]\nfn f() {}", true),
        ("src/runtime/mod.rs", "use tokio::sync::mpsc;", false),
        ("src/engine/mod.rs", "use datafusion::sql::sqlparser::ast::Expr;", true),
        ("src/engine/mod.rs", "use datafusion::sql::{TableReference, sqlparser::ast};", true),
        ("src/sql/mod.rs", "use sqlparser::ast;", false),
        ("src/runtime/mod.rs", "let t = std::time::Instant::now();", true),
        ("src/cli/mod.rs", "let t = SystemTime :: now();", true),
        ("src/cli/mod.rs", "let t = SystemTime::UNIX_EPOCH; let now = 1;", false),
        ("src/clock.rs", "let t = SystemTime::now();", false),
    ] {
        let faults = faults_in(path, text);
        assert_eq!(faults.len(), usize::from(found), "{path}: {text}: {faults:?}");
        assert!(faults.iter().all(|f| f.contains("may only be used in")), "{faults:?}");
    }
}

#[test]
fn unfinished_work_is_caught_even_in_tests() {
    for text in [
        "fn f() { todo!() }",
        "fn f() { unimplemented!(\"x\") }",
        "#[cfg(test)]\nmod tests { fn f() { dbg!(1); } }",
    ] {
        let faults = faults_in("tests/it/a.rs", text);
        assert!(faults.len() == 1 && faults[0].ends_with("marks unfinished work"), "{text}: {faults:?}");
    }
    assert_eq!(faults_in("tests/it/a.rs", "// todo!()\nconst A: &str = \"dbg!(x)\"; fn todo() {}"), [""; 0]);
}

#[test]
fn the_shape_of_files_is_checked() {
    let file = |path: &str, text: &str| (path.to_string(), text.to_string());
    let long = format!("//! A file.\n{}", "\n".repeat(MOST_LINES));
    let exact = format!("//! A file.\n{}", "\n".repeat(MOST_LINES - 1));
    let tree = Tree::from([
        file("src/delta/fold.rs", &long),
        file("src/delta/hash.rs", &exact),
        file("src/log/mod.rs", "use std::io;\n//! Too late."),
        file("src/sql/parser.rs", "//! A file."),
        file("src/sql/parser/ddl.rs", "//! A file."),
        file("src/sql/parser_hooks/x.rs", "//! A file."),
        file("src/log/utils.rs", "//! A file."),
        file("src/plan/common/mod.rs", "//! A file."),
    ]);
    assert_eq!(
        check(&tree, &[]),
        [
            "src/delta/fold.rs: 801 lines, more than 800",
            "src/log/mod.rs: the first line must say what the file is, with //!",
            "src/log/utils.rs: utils says nothing about what is in it",
            "src/plan/common/mod.rs: common says nothing about what is in it",
            "src/sql/parser.rs: stands beside a folder of the same name; make it its mod.rs",
        ]
    );
}

#[test]
fn a_path_in_a_document_must_exist() {
    let readme = "\
# A title with a/slash\n\
See `src/log/mod.rs`, `src/log/`, `src/gone.rs` and `gone.md`; `text` and `a b/c` are no paths.\n\
Data is in `./.millstream`, `/var/lib` or `DIR/topics`; `queries/*.sql` is a pattern, `.rs` an ending.\n\
Run `millstream run queries/tour/gone.sql`.\n\
```sh\n\
cargo run -- run queries/tour/01.sql queries/tour/02.sql other/x\n\
```\n    ls queries/none.sql\n";
    let tree = Tree::from([
        ("README.md".to_string(), readme.to_string()),
        ("src/log/mod.rs".to_string(), "//! The log.".to_string()),
        ("queries/tour/01.sql".to_string(), String::new()),
    ]);
    assert_eq!(
        check(&tree, &[]),
        [
            "README.md:2: there is no src/gone.rs",
            "README.md:2: there is no gone.md",
            "README.md:4: there is no queries/tour/gone.sql",
            "README.md:6: there is no queries/tour/02.sql",
            "README.md:8: there is no queries/none.sql",
        ]
    );
}
