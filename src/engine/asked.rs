//! What a job computes, in words: its query, the views and the streams that it reads. Kept in the job's folder, so that
//! a changed one is noticed, and told with what has changed.

use super::describe::sql_type;
use super::{Engine, Result};
use crate::catalog::{Definitions, StreamDef};
use crate::plan::Dataflow;
use crate::sql::{self, EmitQuery, StartAt, Statement, normalized, same_text, text_changes};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a job computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The text of its query, that of an INSERT with the columns before it.
    query: String,
    /// The views that it reads, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    views: Vec<(String, String)>,
    /// The streams and tables that it reads.
    reads: Vec<Read>,
}

/// A stream or table that a job reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Read {
    /// Its definition, without the query that it may be the result of: whoever writes it, it is the same stream.
    stream: Option<StreamDef>,
    name: String,
    /// Where it is read from.
    start: String,
    /// When its topic was made; a topic of the same name that was made later is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_ns: Option<i64>,
}

impl Asked {
    /// What the statement computes whose query is `query` and whose words are those of `words`.
    pub(super) fn of(
        engine: &Engine,
        definitions: &Definitions,
        source: &str,
        words: Range<usize>,
        query: &EmitQuery,
        flow: &Dataflow,
    ) -> Result<Self> {
        let mut reads = Vec::with_capacity(flow.sources.len());
        for s in &flow.sources {
            let name = s.stream.name.clone();
            let known = definitions.streams.get(&name);
            let stream = known.map(|k| StreamDef { query: None, ..k.as_ref().clone() });
            let is_topic = known.is_some_and(|k| k.connector == "topic");
            let created_ns = if is_topic { Some(engine.0.log.topic(&name)?.info().created_ns) } else { None };
            // A view may say so, whose text is not the query's.
            reads.push(Read { stream, name, start: s.start.to_string(), created_ns });
        }
        let views = views_read(definitions, query);
        let views = views.into_iter().map(|(name, text)| (name, normalized(&text))).collect();
        Ok(Asked { query: normalized(&source[words]), views, reads })
    }

    /// The same in one text, which a checkpoint keeps.
    pub(super) fn fingerprint(&self) -> String {
        let mut text = self.query.clone();
        for read in &self.reads {
            let told = read.stream.as_ref();
            let told = told.map(|s| (&s.columns, &s.event_time, &s.connector, &s.options));
            text.push_str(&format!("\n{told:?}"));
            if read.start != StartAt::Earliest.to_string() {
                text.push_str(&format!(" at {}", read.start));
            }
            if let Some(key) = read.stream.as_ref().and_then(|s| s.primary_key.as_ref()) {
                text.push_str(&format!(" by {key:?}"));
            }
        }
        for (name, view) in &self.views {
            text.push_str(&format!("\nview {name}: {view}"));
        }
        text
    }

    /// Whether `other` says the same in other words.
    pub(super) fn is_same(&self, other: &Asked) -> bool {
        let views = |(a, b): (&(String, String), &(String, String))| a.0 == b.0 && same_text(&a.1, &b.1);
        let (mine, others) = (self.different_reads(), other.different_reads());
        same_text(&self.query, &other.query)
            && self.views.len() == other.views.len()
            && self.views.iter().zip(&other.views).all(views)
            && mine.len() == others.len()
            && mine.iter().zip(others).all(|(a, b)| a.is_same(b))
    }

    /// What it reads, once each: how often is the plan's concern.
    fn different_reads(&self) -> Vec<&Read> {
        let mut different: Vec<&Read> = Vec::with_capacity(self.reads.len());
        for read in &self.reads {
            if !different.iter().any(|known| known.is_same(read)) {
                different.push(read);
            }
        }
        different
    }

    /// What is different in `new`: a few words, and the lines of both.
    pub(super) fn differences(&self, new: &Asked) -> (String, Vec<String>) {
        if !same_text(&self.query, &new.query) {
            return ("its query has changed".into(), lines(&self.query, &new.query));
        }
        for (name, view) in &new.views {
            let old = self.views.iter().find(|(n, _)| n == name).map(|(_, view)| view.as_str());
            if !old.is_some_and(|old| same_text(old, view)) {
                let changes = lines(old.unwrap_or_default(), view);
                return (format!("the view \"{name}\", which it reads, has changed"), changes);
            }
        }
        let mut reads = self.different_reads().into_iter().zip(new.different_reads());
        if let Some((old, read)) = reads.find(|(a, b)| !a.is_same(b)) {
            let word = read.stream.as_ref().map_or("stream", StreamDef::kind);
            let what = format!("the {word} \"{}\", which it reads, ", read.name);
            let mut changes = match (&old.stream, &read.stream) {
                (Some(a), Some(b)) => a.differences(b, &sql_type),
                _ => Vec::new(),
            };
            if old.name != read.name {
                changes = vec![format!("- {}", old.name), format!("+ {}", read.name)];
            }
            if old.start != read.start {
                changes.extend([format!("- AT {}", old.start), format!("+ AT {}", read.start)]);
            }
            let how = if changes.is_empty() { "was dropped and made anew" } else { "has changed" };
            return (what + how, changes);
        }
        ("what it reads has changed".into(), Vec::new())
    }

    /// The same where of the old one only its fingerprint is known.
    pub(super) fn differences_from(&self, fingerprint: &str) -> (String, Vec<String>) {
        let old = fingerprint.lines().next().unwrap_or_default();
        if same_text(old, &self.query) {
            return ("a stream or view that it reads has changed".into(), Vec::new());
        }
        ("its query has changed".into(), lines(old, &self.query))
    }
}

impl Read {
    fn is_same(&self, other: &Read) -> bool {
        let made = |a: Option<i64>, b: Option<i64>| a.is_none() || b.is_none() || a == b;
        self.stream == other.stream
            && self.name == other.name
            && self.start == other.start
            && made(self.created_ns, other.created_ns)
    }
}

/// A text's changes: `-` for what stood there, `+` for what stands there now.
fn lines(old: &str, new: &str) -> Vec<String> {
    text_changes(old, new)
        .into_iter()
        .flat_map(|(old, new)| [format!("- {old}"), format!("+ {new}")])
        .collect()
}

/// The views that a query reads, also through other views, with their texts, by name.
fn views_read(definitions: &Definitions, query: &EmitQuery) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut queries = vec![query.clone()];
    while let Some(query) = queries.pop() {
        for (name, view) in &definitions.views {
            if found.iter().any(|(n, _)| n == name) || !sql::reads(&query.query, name) {
                continue;
            }
            found.push((name.clone(), view.query.clone()));
            // It has been parsed when it was defined.
            let statements = sql::parse(&view.query).unwrap_or_default();
            queries.extend(statements.into_iter().filter_map(|s| match s.statement {
                Statement::Query(query) => Some(query),
                _ => None,
            }));
        }
    }
    found.sort();
    found
}

/// Whether a query reads a stream, itself or through views.
pub(super) fn reads_stream(definitions: &Definitions, query: &EmitQuery, name: &str) -> bool {
    sql::reads(&query.query, name)
        || views_read(definitions, query).iter().any(|(_, view)| {
            let statements = sql::parse(view).unwrap_or_default();
            statements.iter().any(|s| match &s.statement {
                Statement::Query(query) => sql::reads(&query.query, name),
                _ => false,
            })
        })
}
