//! What bounds the state of an operator: the watermark, a number of keys, a constant, or nothing; and what to write so
//! that something does.
//!
//! Whether a state is bounded hangs on what the operator's input grows with ([`Growth`]): the rows of a stream are
//! without end, those of an aggregate are as many as its groups, whatever lies between the two.

use super::dataflow::{Dataflow, Spec};
use crate::operators::shown::shown;
use crate::operators::window::length;
use crate::sql::Diagnostic;
use std::fmt;

/// What bounds the state of an operator.
#[derive(Debug, Clone)]
pub struct StateBound {
    /// In words, as EXPLAIN shows it.
    pub text: String,
    /// Which kind of bound it is.
    pub kind: BoundKind,
    /// What to write so that the state is bounded; `None` where it is.
    pub rewrite: Option<String>,
    /// What the rows grow with that the operator has given and not taken back.
    pub gives: Growth,
}

/// Equal if the same bounds them, whatever the query calls its columns.
impl PartialEq for StateBound {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// Kinds of bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundKind {
    /// A fixed number of rows.
    Constant,
    /// The number of different keys or values.
    Keys,
    /// The watermark: what lies behind it is dropped.
    Watermark,
    /// Nothing: the state grows with every row of these streams.
    Unbounded {
        /// The streams, in the order of the query.
        streams: Vec<String>,
    },
}

impl StateBound {
    /// A fixed number of rows.
    pub(super) fn constant(text: impl Into<String>) -> Self {
        StateBound { text: text.into(), kind: BoundKind::Constant, rewrite: None, gives: Growth::default() }
    }

    /// As many rows as there are keys.
    pub(super) fn keys(text: impl Into<String>, gives: Growth) -> Self {
        StateBound { text: text.into(), kind: BoundKind::Keys, rewrite: None, gives }
    }

    /// What the watermark drops.
    pub(super) fn watermark(text: impl Into<String>, gives: Growth) -> Self {
        StateBound { text: text.into(), kind: BoundKind::Watermark, rewrite: None, gives }
    }

    /// All that has come: what that grows with decides. `rewrite` bounds it where nothing else does.
    pub(super) fn all_of(growth: Growth, rewrite: impl FnOnce() -> String) -> Self {
        let text = growth.to_string();
        let kind = match (growth.streams.is_empty(), growth.keys.is_empty()) {
            (false, _) => BoundKind::Unbounded { streams: growth.streams.clone() },
            (true, false) => BoundKind::Keys,
            (true, true) => BoundKind::Constant,
        };
        let rewrite = (!growth.streams.is_empty()).then(rewrite);
        StateBound { text, kind, rewrite, gives: growth }
    }

    /// The same state under an operator whose output grows otherwise.
    pub(super) fn giving(self, gives: Growth) -> Self {
        StateBound { gives, ..self }
    }

    /// Whether nothing bounds it.
    pub fn is_unbounded(&self) -> bool {
        matches!(self.kind, BoundKind::Unbounded { .. })
    }
}

/// What a set of rows grows with; neither streams nor keys: it has a fixed size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    /// Streams: each of their rows makes it larger.
    pub streams: Vec<String>,
    /// Keys, in words: `distinct (k)`, `key of t`.
    pub keys: Vec<String>,
}

impl Growth {
    /// One row or more for each of these keys.
    pub(super) fn of_key(key: String) -> Self {
        Growth { streams: Vec::new(), keys: vec![key] }
    }

    /// Rows for each different value of `names`; of none, a fixed number.
    pub(super) fn of_distinct(names: &[String]) -> Self {
        if names.is_empty() { Growth::default() } else { Growth::of_key(distinct(names)) }
    }

    /// What grows with both.
    pub(super) fn and(mut self, other: Growth) -> Self {
        add_new(&mut self.streams, other.streams);
        add_new(&mut self.keys, other.keys);
        self
    }
}

fn add_new(into: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !into.contains(&one) {
            into.push(one);
        }
    }
}

/// `distinct (a, b)`.
fn distinct(names: &[String]) -> String {
    format!("distinct ({})", names.join(", "))
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("each {key}")).collect();
        match (self.streams.is_empty(), keys.is_empty()) {
            (true, true) => f.write_str("a fixed number of rows"),
            (true, false) => write!(f, "rows for {}", listed(&keys)),
            (false, _) => {
                let all = [vec![format!("every row of {}", listed(&self.streams))], keys].concat();
                write!(f, "grows with {}", all.join(" and "))
            }
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl Dataflow {
    /// What the rows of a node grow with, those left out that have been taken back.
    pub(super) fn growth(&self, node: usize) -> Growth {
        let Some(known) = self.nodes.get(node) else { return Growth::default() };
        if let Some(state) = &known.state {
            return state.gives.clone();
        }
        match &known.spec {
            Spec::Source(i) => {
                let streams = self.sources.get(*i).map(|s| s.stream.name.clone());
                Growth { streams: streams.into_iter().collect(), keys: Vec::new() }
            }
            Spec::Values(_) => Growth::default(),
            _ => known.inputs.iter().fold(Growth::default(), |all, input| all.and(self.growth(*input))),
        }
    }

    /// The watermark of nodes, in words: `the watermark of s.ts`.
    pub(super) fn watermark_of(&self, nodes: &[usize]) -> String {
        let mut columns = Vec::new();
        nodes.iter().for_each(|node| self.times_below(*node, &mut columns));
        if columns.is_empty() {
            return "the watermark".into();
        }
        format!("the watermark of {}", listed(&columns))
    }

    fn times_below(&self, node: usize, columns: &mut Vec<String>) {
        let Some(known) = self.nodes.get(node) else { return };
        if let Spec::Source(i) = &known.spec
            && let Some(stream) = self.sources.get(*i).map(|s| &s.stream)
            && let Some(event_time) = &stream.event_time
        {
            add_new(columns, vec![format!("{}.{}", stream.name, event_time.column)]);
        }
        known.inputs.iter().for_each(|input| self.times_below(*input, columns));
    }

    /// A warning for each operator whose state nothing bounds, if it grows with a stream that `is_endless` by its name.
    /// With `ttl`, only of those that `state_ttl` does not cut.
    pub fn warnings(&self, is_endless: &dyn Fn(&str) -> bool, ttl: bool) -> Vec<Diagnostic> {
        let mut warnings: Vec<Diagnostic> = Vec::new();
        for node in &self.nodes {
            let Some(state) = &node.state else { continue };
            let BoundKind::Unbounded { streams } = &state.kind else { continue };
            if !streams.iter().any(|s| is_endless(s)) || (ttl && node.spec.obeys_ttl()) {
                continue;
            }
            let message = format!(
                "{} keeps every row of {}: its state grows without end",
                in_words(&node.spec),
                listed(streams)
            );
            // What one operator of the query has become several of is told once.
            if warnings.iter().all(|w| w.message != message) {
                let mut warning = Diagnostic::new(message);
                warning.help = state.rewrite.as_ref().map(|rewrite| format!("write {rewrite}"));
                warnings.push(warning);
            }
        }
        warnings
    }
}

impl Spec {
    /// Whether `state_ttl` cuts the operator's state where nothing else bounds it.
    fn obeys_ttl(&self) -> bool {
        matches!(self, Spec::Join(_) | Spec::TopN(_))
    }
}

/// An operator that keeps rows, as a sentence's subject.
fn in_words(spec: &Spec) -> String {
    match spec {
        Spec::Join(join) => {
            let keys = |side: usize| join.inputs[side].keys.iter().map(shown);
            let pairs = keys(0).zip(keys(1));
            let names: Vec<String> =
                pairs.map(|(l, r)| if l == r { l } else { format!("{l} = {r}") }).collect();
            if names.is_empty() {
                "the join without an equality".into()
            } else {
                format!("the join on ({})", names.join(", "))
            }
        }
        Spec::TopN(top) => {
            let keys: Vec<String> = top.keys.iter().map(shown).collect();
            let name = top.function.name();
            if keys.is_empty() {
                format!("the ranking {name}")
            } else {
                format!("the ranking {name} by ({})", keys.join(", "))
            }
        }
        Spec::Session(_) => "the session window".into(),
        _ => "an operator".into(),
    }
}

/// Dropped when the watermark passes the end of what is named, or so much later.
pub(super) fn passes(watermark: &str, end: &str, later: i64) -> String {
    if later > 0 {
        format!("dropped when {watermark} passes {end} by {}", length(later))
    } else {
        format!("dropped when {watermark} passes {end}")
    }
}

/// What cuts every state that nothing else bounds.
pub(super) const TTL: &str = "SET state_ttl = '1 day'";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn what_a_state_grows_with_says_what_bounds_it() {
        let streams = |s: &[&str]| Growth { streams: names(s), keys: vec![] };
        let keyed = |k: &[&str]| Growth::of_distinct(&names(k));
        for (growth, text, kind, rewritten) in [
            (Growth::default(), "a fixed number of rows", BoundKind::Constant, false),
            (keyed(&[]), "a fixed number of rows", BoundKind::Constant, false),
            (keyed(&["a", "b"]), "rows for each distinct (a, b)", BoundKind::Keys, false),
            (
                keyed(&["a"]).and(Growth::of_key("key of t".into())).and(keyed(&["a"])),
                "rows for each distinct (a) and each key of t",
                BoundKind::Keys,
                false,
            ),
            (
                streams(&["s"]).and(streams(&["s"])),
                "grows with every row of s",
                BoundKind::Unbounded { streams: names(&["s"]) },
                true,
            ),
            (
                streams(&["s"]).and(streams(&["r", "q"])).and(keyed(&["k"])),
                "grows with every row of s, r and q and each distinct (k)",
                BoundKind::Unbounded { streams: names(&["s", "r", "q"]) },
                true,
            ),
        ] {
            let bound = StateBound::all_of(growth.clone(), || TTL.into());
            assert_eq!((bound.text.as_str(), &bound.kind), (text, &kind));
            assert_eq!((bound.rewrite.is_some(), &bound.gives), (rewritten, &growth));
        }
    }
}
