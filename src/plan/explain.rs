//! The text of EXPLAIN: the dataflow as a tree, the result first, with what matters of each operator:
//! whether it only adds rows, which column the watermark speaks of, what bounds its state.

use super::dataflow::{Dataflow, ExchangeSpec, Node, SourceSpec, Spec};
use crate::operators::shown::shown;
use crate::sql::StartAt;
use std::fmt::Write;

/// One operator of the explained plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainLine {
    /// The operator, indented as it stands in the tree.
    pub operator: String,
    /// `append-only` or `updates`.
    pub changes: &'static str,
    /// The column that carries the watermark, or nothing.
    pub event_time: String,
    /// What bounds its state, or nothing.
    pub state: String,
    /// What to write so that its state is bounded; nothing where it is.
    pub to_bound_it: String,
}

/// The lines of a dataflow's plan.
pub fn explain(flow: &Dataflow) -> Vec<ExplainLine> {
    let mut lines = Vec::new();
    walk(flow, flow.nodes.len() - 1, String::new(), String::new(), &mut lines);
    lines
}

/// The lines as text, as a golden test holds them.
pub fn explain_text(flow: &Dataflow) -> String {
    let mut text = String::new();
    for line in explain(flow) {
        let _ = write!(text, "{} [{}", line.operator, line.changes);
        if !line.event_time.is_empty() {
            let _ = write!(text, "; event time: {}", line.event_time);
        }
        if !line.state.is_empty() {
            let _ = write!(text, "; state: {}", line.state);
        }
        if !line.to_bound_it.is_empty() {
            let _ = write!(text, "; to bound it: {}", line.to_bound_it);
        }
        text.push_str("]\n");
    }
    text
}

fn walk(flow: &Dataflow, index: usize, head: String, tail: String, lines: &mut Vec<ExplainLine>) {
    let node = &flow.nodes[index];
    if let (Spec::Exchange(ExchangeSpec { there: true, .. }), [input]) = (&node.spec, node.inputs.as_slice())
    {
        return walk(flow, *input, head, tail, lines);
    }
    lines.push(ExplainLine {
        operator: format!("{head}{}", operator_text(&flow.nodes, &flow.sources, index)),
        changes: if node.append_only { "append-only" } else { "updates" },
        event_time: node.event_time.map_or(String::new(), |i| node.schema.field(i).name().clone()),
        state: node.state.as_ref().map_or(String::new(), |state| state.text.clone()),
        to_bound_it: node.state.as_ref().and_then(|state| state.rewrite.clone()).unwrap_or_default(),
    });
    for (i, input) in node.inputs.iter().enumerate() {
        let (head, next) = if i + 1 == node.inputs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        walk(flow, *input, format!("{tail}{head}"), format!("{tail}{next}"), lines);
    }
}

/// Which values an exchange sends once only.
fn once(spec: &ExchangeSpec) -> String {
    let Some(once) = &spec.once else { return String::new() };
    format!(" once=[{}]", once.sent_once().join(", "))
}

/// An operator in one line.
pub fn operator_text(nodes: &[Node], sources: &[SourceSpec], index: usize) -> String {
    let node = &nodes[index];
    match &node.spec {
        Spec::Source(i) => {
            let source = &sources[*i];
            let columns: Vec<&str> = source.schema.fields().iter().map(|f| f.name().as_str()).collect();
            let start = match source.start {
                StartAt::Earliest => String::new(),
                start => format!(" at {start}"),
            };
            format!("Source {}{start} columns=[{}]", source.stream.name, columns.join(", "))
        }
        Spec::Values(batch) => format!("Values rows={}", batch.num_rows()),
        Spec::Filter(spec) => spec.to_string(),
        Spec::Project(spec) => spec.to_string(),
        Spec::Window(spec) => spec.to_string(),
        Spec::InTime(spec) => spec.to_string(),
        Spec::Threshold(spec) => spec.to_string(),
        Spec::Session(spec) => spec.to_string(),
        Spec::Expand(spec) => spec.to_string(),
        Spec::Unnest(spec) => spec.to_string(),
        Spec::Upsert(spec) => spec.to_string(),
        Spec::SingleRow => "SingleRow".into(),
        Spec::Union => "Union".into(),
        Spec::Exchange(spec) if spec.keys.is_empty() => format!("Exchange to one worker{}", once(spec)),
        Spec::Exchange(spec) => {
            let keys: Vec<String> = match node.inputs.first().map(|i| &nodes[*i].spec) {
                // The keys that an expansion adds have no names of their own.
                Some(Spec::Expand(expand)) => {
                    let names: Vec<String> =
                        expand.keys.iter().map(shown).chain(["grouping set".into()]).collect();
                    spec.by.iter().filter_map(|key| names.get(*key).cloned()).collect()
                }
                _ => spec.named_by().map(shown).collect(),
            };
            let how = if spec.there { "In place" } else { "Exchange" };
            format!("{how} by hash({}){}", keys.join(", "), once(spec))
        }
        Spec::Aggregate(spec) => spec.to_string(),
        Spec::Join(spec) => spec.to_string(),
        Spec::TopN(spec) => spec.to_string(),
    }
}
