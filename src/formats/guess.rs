//! Text of an unknown format: what it is, from its first lines; and lines of logs as the JSON that they amount to.
//!
//! | looks like | is read as | columns |
//! |---|---|---|
//! | `{"a":1}` | JSON lines | its keys |
//! | `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326` | common log; with referer and agent combined log | host, ident, user, time, method, path, protocol, status, bytes, referer, agent, request |
//! | `level=info msg="it works" took=3` | logfmt | its keys; a line without any is `msg` |
//! | the same delimiter (comma, tab, semicolon, bar) in each line | CSV | its header |
//! | anything else | lines | line |
//!
//! A line of an access log that is none has only its `request`, which holds it whole: nothing is lost, and no stray line ends
//! a query over a log.

use super::{CsvOptions, Format};
use serde_json::{Map, Value};

/// Records that a guess looks at.
const LOOKED: usize = 50;
/// Of a hundred records so many must fit.
const FITS: usize = 80;

/// What a text is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// JSON lines.
    Json,
    /// Fields with a delimiter, the first record names them.
    Csv(CsvOptions),
    /// `key=value` pairs.
    Logfmt,
    /// A web server's log; with referer and agent?
    Access(bool),
    /// Lines of text.
    Lines,
}

impl Guess {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Guess::Json => "JSON lines",
            Guess::Csv(CsvOptions { delimiter: b'\t', .. }) => "TSV",
            Guess::Csv(_) => "CSV",
            Guess::Logfmt => "logfmt",
            Guess::Access(true) => "combined log",
            Guess::Access(false) => "common log",
            Guess::Lines => "plain lines",
        }
    }

    /// The format that is decoded: logs and lines are brought into JSON first.
    pub fn decoded(self) -> Format {
        match self {
            Guess::Csv(options) => Format::Csv(options),
            _ => Format::Json,
        }
    }
}

/// What the text that begins with `sample` is.
pub fn guess(sample: &[u8]) -> Guess {
    let text = sample.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(sample);
    if text.trim_ascii_start().first() == Some(&b'{') {
        return Guess::Json;
    }
    let text = String::from_utf8_lossy(text);
    // The last line may be cut off.
    let whole =
        if text.ends_with('\n') { &text[..] } else { text.rfind('\n').map_or(&text[..], |at| &text[..at]) };
    let lines: Vec<&str> = whole.lines().filter(|l| !l.trim().is_empty()).take(LOOKED).collect();
    if lines.is_empty() {
        return Guess::Csv(CsvOptions::default());
    }
    let fits = |n: usize| n * 100 >= lines.len() * FITS;
    let accesses: Vec<Access> = lines.iter().filter_map(|l| access(l)).collect();
    if fits(accesses.len()) {
        return Guess::Access(accesses.iter().any(|a| a.agent.is_some()));
    }
    if fits(lines.iter().filter(|l| pairs(l).is_some_and(|p| p.len() >= 2)).count()) {
        return Guess::Logfmt;
    }
    let delimiter = [b',', b'\t', b';', b'|'].into_iter().find(|d| is_csv(&records(whole, *d)));
    match delimiter {
        Some(delimiter) => Guess::Csv(CsvOptions { delimiter, header: true }),
        None if is_column(&lines) => Guess::Csv(CsvOptions::default()),
        None => Guess::Lines,
    }
}

/// The fields of each record: a delimiter or newline in quotes is none.
fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    for c in text.chars() {
        let last = records.len() - 1;
        match c {
            '"' => quoted = !quoted,
            '\r' => {}
            '\n' if !quoted => {
                if records.len() > LOOKED {
                    break;
                }
                records.push(vec![String::new()]);
            }
            c if !quoted && c == char::from(delimiter) => records[last].push(String::new()),
            c => {
                if let Some(field) = records[last].last_mut() {
                    field.push(c);
                }
            }
        }
    }
    records.retain(|r| r.len() > 1 || !r[0].trim().is_empty());
    records
}

/// Whether records are those of a table whose first one names the columns.
fn is_csv(records: &[Vec<String>]) -> bool {
    let Some((header, rows)) = records.split_first() else { return false };
    // A time with a comma in it, as some logs begin with, names nothing.
    let names = |field: &String| {
        let field = field.trim();
        let has_digit = field.contains(|c: char| c.is_ascii_digit());
        !(field.is_empty() || field.contains(' ') && has_digit)
    };
    let same = rows.iter().filter(|r| r.len() == header.len()).count();
    header.len() > 1
        && header.iter().all(names)
        && rows.first().is_none_or(|r| r.len() == header.len())
        && same * 100 >= rows.len() * FITS
}

/// Whether lines are a name with numbers below it.
fn is_column(lines: &[&str]) -> bool {
    let Some((name, values)) = lines.split_first() else { return false };
    let name = name.trim();
    let named = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    named && !values.is_empty() && values.iter().all(|v| v.trim().parse::<f64>().is_ok())
}

/// Brings the lines of a text, which comes in pieces, into JSON.
#[derive(Debug)]
pub struct Lines {
    guess: Guess,
    /// The line that has not ended yet.
    begun: Vec<u8>,
}

impl Lines {
    /// Lines of what a text was taken for; nothing if it needs no rewriting.
    pub fn of(guess: Guess) -> Option<Self> {
        (!matches!(guess, Guess::Json | Guess::Csv(_))).then_some(Lines { guess, begun: Vec::new() })
    }

    /// Takes a piece of the text and appends the lines that are whole now.
    pub fn push(&mut self, piece: &[u8], json: &mut Vec<u8>) {
        for part in piece.split_inclusive(|b| *b == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.line(json);
            }
        }
    }

    /// Appends the last line, which need not end.
    pub fn finish(&mut self, json: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            self.line(json);
        }
    }

    fn line(&mut self, json: &mut Vec<u8>) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end_matches(['\n', '\r']);
        // Lines keep their numbers, so that places in messages are right.
        if !line.trim().is_empty() || self.guess == Guess::Lines {
            let object = match self.guess {
                Guess::Access(combined) => access_object(line, combined),
                Guess::Logfmt => logfmt_object(line),
                _ => Map::from_iter([("line".to_string(), Value::from(line))]),
            };
            json.extend_from_slice(Value::Object(object).to_string().as_bytes());
        }
        json.push(b'\n');
        self.begun.clear();
    }
}

/// A line of a web server's log.
struct Access<'l> {
    host: &'l str,
    ident: &'l str,
    user: &'l str,
    time: String,
    request: &'l str,
    status: u16,
    bytes: Option<u64>,
    referer: Option<&'l str>,
    agent: Option<&'l str>,
}

fn access(line: &str) -> Option<Access<'_>> {
    let (host, rest) = line.split_once(' ')?;
    let (ident, rest) = rest.split_once(' ')?;
    let (user, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    let (request, rest) = quoted(rest)?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let status = words.next()?.parse().ok()?;
    let bytes = words.next().unwrap_or("-").trim();
    let bytes = if bytes == "-" { None } else { Some(bytes.parse().ok()?) };
    let rest = words.next().unwrap_or("").trim_start();
    let (referer, agent) = match rest.strip_prefix('"').and_then(quoted) {
        Some((referer, rest)) => {
            (Some(referer), rest.trim_start().strip_prefix('"').and_then(quoted).map(|q| q.0))
        }
        None => (None, None),
    };
    let host = (!host.is_empty()).then_some(host)?;
    Some(Access { host, ident, user, time: access_time(time)?, request, status, bytes, referer, agent })
}

/// The text up to the next quote that no backslash stands before, and what is behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return Some((&text[..at], &text[at + 1..])),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// `10/Oct/2000:13:55:36 -0700` as RFC 3339.
fn access_time(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(4, ['/', ':']);
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let zone = (zone.len() == 5 && zone.is_ascii()).then(|| format!("{}:{}", &zone[..3], &zone[3..]))?;
    Some(format!("{year}-{month:02}-{day:02}T{time}{zone}"))
}

fn access_object(line: &str, combined: bool) -> Map<String, Value> {
    let text = |value: &str| if value == "-" { Value::Null } else { Value::from(value) };
    let mut object = Map::new();
    let Some(found) = access(line) else {
        for name in ["host", "ident", "user", "time", "method", "path", "protocol", "status", "bytes"] {
            object.insert(name.into(), Value::Null);
        }
        object.insert("request".into(), Value::from(line));
        return object;
    };
    let mut request = found.request.splitn(3, ' ');
    let mut part = || request.next().map_or(Value::Null, Value::from);
    let (method, path, protocol) = (part(), part(), part());
    for (name, value) in [
        ("host", text(found.host)),
        ("ident", text(found.ident)),
        ("user", text(found.user)),
        ("time", Value::from(found.time)),
        ("method", method),
        ("path", path),
        ("protocol", protocol),
        ("status", Value::from(found.status)),
        ("bytes", found.bytes.map_or(Value::Null, Value::from)),
        ("request", Value::from(found.request)),
    ] {
        object.insert(name.into(), value);
    }
    if combined {
        object.insert("referer".into(), found.referer.map_or(Value::Null, text));
        object.insert("agent".into(), found.agent.map_or(Value::Null, text));
    }
    object
}

/// The pairs of a line of logfmt; nothing if it is none.
fn pairs(line: &str) -> Option<Vec<(&str, Value)>> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let key = &rest[..end];
        let sound = |c: char| c.is_alphanumeric() || "_.-/@".contains(c);
        if key.is_empty() || !key.chars().all(sound) {
            return None;
        }
        rest = &rest[end..];
        let Some(value) = rest.strip_prefix('=') else {
            // A word alone says that it is so.
            pairs.push((key, Value::from(true)));
            rest = rest.trim_start();
            continue;
        };
        if let Some(inner) = value.strip_prefix('"') {
            let (text, behind) = quoted(inner)?;
            pairs.push((key, Value::from(text.replace("\\\"", "\"").replace("\\\\", "\\"))));
            rest = behind.trim_start();
        } else {
            let end = value.find(' ').unwrap_or(value.len());
            pairs.push((key, bare(&value[..end])));
            rest = value[end..].trim_start();
        }
    }
    pairs.iter().any(|(_, v)| v.as_bool() != Some(true)).then_some(pairs)
}

/// A value without quotes: a number or a truth if it looks like one.
fn bare(text: &str) -> Value {
    match text {
        "" | "null" | "nil" => Value::Null,
        "true" => Value::from(true),
        "false" => Value::from(false),
        _ => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::from(text),
        },
    }
}

fn logfmt_object(line: &str) -> Map<String, Value> {
    match pairs(line) {
        Some(pairs) => pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
        None => Map::from_iter([("msg".to_string(), Value::from(line))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMBINED: &str = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a%20b?x=1 HTTP/1.0\" 200 2326 \"http://h/\\\"x\\\"\" \"Mozilla/4.08 [en]\"";

    fn json(text: &str) -> Vec<String> {
        let mut lines = Lines::of(guess(text.as_bytes())).unwrap();
        let mut json = Vec::new();
        // In pieces, as a pipe gives it.
        for piece in text.as_bytes().chunks(7) {
            lines.push(piece, &mut json);
        }
        lines.finish(&mut json);
        String::from_utf8(json).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn formats_are_told_by_their_first_lines() {
        let common = "::1 - - [01/Jan/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 404 -\n";
        for (text, name) in [
            ("", "CSV"),
            ("{\"a\":1}\n", "JSON lines"),
            ("a,b\n1,2\n", "CSV"),
            ("a,b\n", "CSV"),
            ("a\tb\n1\t2\n", "TSV"),
            ("a;b\n1,5;2\n", "CSV"),
            ("a,\"b\nc\"\n1,\"2,3\"\n", "CSV"),
            ("n\n1\n2\n", "CSV"),
            ("1\n2\n3\n", "plain lines"),
            ("hello\nworld\n", "plain lines"),
            ("2024-01-01 12:00:00,123 INFO a\n2024-01-01 12:00:01,456 INFO b\n", "plain lines"),
            (COMBINED, "combined log"),
            (common, "common log"),
            ("level=info msg=\"it works\" took=3\n", "logfmt"),
            ("ts=1 level=warn\nts=2 level=info\nand a stray line\nts=3 a=b\nts=4 a=b\nts=5 a=b\n", "logfmt"),
        ] {
            assert_eq!(guess(text.as_bytes()).name(), name, "{text:?}");
        }
    }

    #[test]
    fn lines_of_logs_become_objects() {
        assert_eq!(
            json(&format!("{COMBINED}\n{COMBINED}\n{COMBINED}\n{COMBINED}\nwhat is this?")),
            [
                [r#"{"host":"127.0.0.1","ident":null,"user":"frank","time":"2000-10-10T13:55:36-07:00","method":"GET","path":"/a%20b?x=1","protocol":"HTTP/1.0","status":200,"bytes":2326,"request":"GET /a%20b?x=1 HTTP/1.0","referer":"http://h/\\\"x\\\"","agent":"Mozilla/4.08 [en]"}"#; 4]
                    .as_slice(),
                [r#"{"host":null,"ident":null,"user":null,"time":null,"method":null,"path":null,"protocol":null,"status":null,"bytes":null,"request":"what is this?"}"#]
                    .as_slice()
            ]
            .concat()
        );
        assert_eq!(
            json("level=info msg=\"a \\\"b\\\"\" took=3 f=1.5 id=007 done ok=true\n\nx=y z=\n"),
            [
                r#"{"level":"info","msg":"a \"b\"","took":3,"f":1.5,"id":"007","done":true,"ok":true}"#,
                "",
                r#"{"x":"y","z":null}"#
            ]
        );
        assert_eq!(json("one\n\ntwo"), [r#"{"line":"one"}"#, r#"{"line":""}"#, r#"{"line":"two"}"#]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c=\"\\[\\]:/,\t 0-9\né-]{0,60}") {
            let guess = guess(text.as_bytes());
            if let Some(mut lines) = Lines::of(guess) {
                let mut json = Vec::new();
                lines.push(text.as_bytes(), &mut json);
                lines.finish(&mut json);
                prop_assert!(String::from_utf8(json).is_ok());
            }
        }
    }
}
