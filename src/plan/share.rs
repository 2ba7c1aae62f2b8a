//! Several dataflows as one in which every operator that they have in common is there once.
//!
//! Two nodes are the same if they do the same to the same inputs; that is seen from the sources up, as in hash-consing
//! (Ershov 1958). Sources of one stream become one that reads the columns which any of them wants, with a projection
//! for those that want fewer.

use super::dataflow::{Dataflow, Node, SourceSpec, Spec};
use crate::operators::project::ProjectSpec;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Dataflows that share what is the same in them.
#[derive(Debug, Clone)]
pub struct SharedFlow {
    /// The streams read, each once (twice only where late rows are told differently, or where it begins elsewhere).
    pub sources: Vec<SourceSpec>,
    /// The operators, inputs before consumers.
    pub nodes: Vec<Node>,
    /// The dataflows, in the order in which they were given.
    pub parts: Vec<FlowPart>,
}

/// One of the dataflows in a [`SharedFlow`].
#[derive(Debug, Clone)]
pub struct FlowPart {
    /// For each of its own nodes the node here that stands for it. The last gives its result.
    pub nodes: Vec<usize>,
    /// For each of its own sources the one here that stands for it.
    pub sources: Vec<usize>,
    /// All nodes here that its result comes from.
    pub reached: BTreeSet<usize>,
}

impl FlowPart {
    /// The node whose output is its result.
    pub fn root(&self) -> usize {
        self.nodes.last().copied().unwrap_or_default()
    }
}

impl From<&Dataflow> for SharedFlow {
    fn from(flow: &Dataflow) -> Self {
        SharedFlow::of(&[flow])
    }
}

impl SharedFlow {
    /// All of `flows` as one.
    pub fn of(flows: &[&Dataflow]) -> Self {
        let mut shared = SharedFlow { sources: Vec::new(), nodes: Vec::new(), parts: Vec::new() };
        let sources: Vec<Vec<usize>> = flows
            .iter()
            .map(|flow| flow.sources.iter().map(|source| shared.source(source)).collect())
            .collect();
        for at in 0..shared.sources.len() {
            let source = &shared.sources[at];
            let time = source.stream.event_time_index();
            shared.nodes.push(Node {
                spec: Spec::Source(at),
                inputs: vec![],
                schema: source.schema.clone(),
                append_only: true,
                event_time: time.and_then(|time| source.columns.iter().position(|c| *c == time)),
                state: None,
            });
        }
        for (flow, sources) in flows.iter().zip(sources) {
            let mut nodes: Vec<usize> = Vec::with_capacity(flow.nodes.len());
            for node in &flow.nodes {
                let here = match &node.spec {
                    Spec::Source(own) => shared.scan(&flow.sources[*own], sources[*own], node),
                    spec => {
                        let inputs = node.inputs.iter().map(|i| nodes[*i]).collect();
                        shared.node(Node { spec: spec.clone(), inputs, ..node.clone() })
                    }
                };
                nodes.push(here);
            }
            let reached = shared.reached(nodes.last().copied());
            shared.parts.push(FlowPart { nodes, sources, reached });
        }
        shared
    }

    /// The source here that reads this one's stream, widened by its columns.
    fn source(&mut self, source: &SourceSpec) -> usize {
        let same = |s: &SourceSpec| {
            s.stream == source.stream && s.start == source.start && s.late_rule == source.late_rule
        };
        let Some(at) = self.sources.iter().position(same) else {
            self.sources.push(source.clone());
            return self.sources.len() - 1;
        };
        let known = &mut self.sources[at];
        let mut fields = known.schema.fields().to_vec();
        for (column, field) in source.columns.iter().zip(source.schema.fields()) {
            if !known.columns.contains(column) {
                known.columns.push(*column);
                fields.push(field.clone());
            }
        }
        if fields.len() > known.schema.fields().len() {
            known.schema = Arc::new(Schema::new_with_metadata(fields, known.schema.metadata().clone()));
        }
        at
    }

    /// The node that gives the rows of source `at` with the columns that `own` wants.
    fn scan(&mut self, own: &SourceSpec, at: usize, node: &Node) -> usize {
        let all = &self.sources[at];
        if all.columns == own.columns {
            return at;
        }
        let columns = own.columns.iter().filter_map(|own| all.columns.iter().position(|c| c == own));
        let spec = projected(columns, &own.schema);
        self.node(Node { spec: Spec::Project(spec), inputs: vec![at], ..node.clone() })
    }

    fn node(&mut self, node: Node) -> usize {
        if let Some(at) = self.nodes.iter().position(|known| *known == node) {
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Which of the keys that a node's state is kept by name the worker of a row; `None` = all, as nothing else is said.
    pub fn dealt_by(&self, node: usize) -> Option<&[usize]> {
        match &self.nodes.get(*self.nodes.get(node)?.inputs.first()?)?.spec {
            Spec::Exchange(spec) => Some(&spec.by),
            _ => None,
        }
    }

    fn reached(&self, root: Option<usize>) -> BTreeSet<usize> {
        let mut reached: BTreeSet<usize> = root.into_iter().collect();
        for i in (0..self.nodes.len()).rev() {
            if reached.contains(&i) {
                reached.extend(&self.nodes[i].inputs);
            }
        }
        reached
    }
}

fn projected(columns: impl Iterator<Item = usize>, schema: &SchemaRef) -> ProjectSpec {
    let expressions = columns
        .zip(schema.fields())
        .map(|(i, field)| Arc::new(Column::new(field.name(), i)) as Arc<dyn PhysicalExpr>)
        .collect();
    ProjectSpec { expressions, schema: schema.clone() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::catalog::{Column as Declared, Definitions, EventTimeDef, StreamDef};
    use crate::plan::{EmitMode, Planner};
    use crate::sql::{Statement, parse};
    use arrow::datatypes::{DataType, TimeUnit};

    /// A continuous query over the streams `s` and `t` (k TEXT, v BIGINT, w BIGINT, ts), planned.
    pub(in crate::plan) fn flow(query: &str) -> Dataflow {
        let column = |name: &str, data_type| Declared { name: name.into(), data_type, nullable: true };
        let columns = vec![
            column("k", DataType::Utf8),
            column("v", DataType::Int64),
            column("w", DataType::Int64),
            column("ts", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ];
        let mut definitions = Definitions::default();
        for name in ["s", "t"] {
            let stream = StreamDef {
                name: name.into(),
                columns: columns.clone(),
                event_time: Some(EventTimeDef { column: "ts".into(), delay: Some(0) }),
                primary_key: None,
                connector: "topic".into(),
                options: Default::default(),
                query: None,
            };
            definitions.streams.insert(name.into(), Arc::new(stream));
        }
        let statements = parse(query).unwrap();
        let Statement::Query(parsed) = &statements[0].statement else { panic!("{query}") };
        let planner = Planner::new();
        let plan = planner.query(&definitions, query, &parsed.query).unwrap();
        planner.dataflow(&planner.optimize(plan).unwrap(), EmitMode::Changes).unwrap()
    }

    fn shared(queries: &[&str]) -> (SharedFlow, usize) {
        let flows: Vec<Dataflow> = queries.iter().map(|q| flow(q)).collect();
        let alone = flows.iter().map(|f| f.nodes.len()).sum();
        let shared = SharedFlow::of(&flows.iter().collect::<Vec<_>>());
        for (i, node) in shared.nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|input| *input < i), "inputs come first");
        }
        for (part, flow) in shared.parts.iter().zip(&flows) {
            assert_eq!(shared.nodes[part.root()].schema, flow.root().schema);
            let scans = |n: &&Node| matches!(n.spec, Spec::Source(_));
            assert_eq!(shared.nodes.iter().filter(scans).count(), shared.sources.len());
        }
        (shared, alone)
    }

    #[test]
    fn the_same_query_twice_is_one() {
        let query = "SELECT k, sum(v) AS total FROM s WHERE v > 3 GROUP BY k";
        let (both, alone) = shared(&[query, query]);
        assert_eq!(both.nodes.len() * 2, alone);
        assert_eq!(both.parts[0].nodes, both.parts[1].nodes);
    }

    #[test]
    fn what_differs_late_is_shared_until_there() {
        let windows = "SELECT k, window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY k, window_start";
        let most = format!("SELECT k, max(total) AS most FROM ({windows}) GROUP BY k");
        let (both, _) = shared(&[windows, &most]);
        assert_eq!(both.sources.len(), 1);
        let aggregates = both.nodes.iter().filter(|n| matches!(n.spec, Spec::Aggregate(_))).count();
        assert_eq!(aggregates, 2, "the sum of both, and the max of one");
        let within: Vec<bool> = (0..both.nodes.len()).map(|n| both.parts[0].reached.contains(&n)).collect();
        assert!(within.contains(&true) && within.contains(&false));
    }

    #[test]
    fn a_stream_is_read_once_with_all_columns_that_are_wanted() {
        let (both, _) = shared(&["SELECT v FROM s", "SELECT k, w FROM s", "SELECT k FROM t"]);
        assert_eq!(both.sources.len(), 2);
        assert_eq!(both.sources[0].columns.len(), 3);
        let (joined, _) = shared(&["SELECT a.v, b.w FROM s a JOIN s b ON a.k = b.k"]);
        assert_eq!(joined.sources.len(), 1, "a join of a stream with itself");
        let (starts, _) =
            shared(&["SELECT v FROM s AT LATEST", "SELECT k FROM s AT EARLIEST", "SELECT w FROM s"]);
        assert_eq!(starts.sources.len(), 2, "what begins elsewhere has other rows");
        let (joined, _) = shared(&["SELECT a.v, b.w FROM s AT LATEST a JOIN s b ON a.k = b.k"]);
        assert_eq!(joined.sources.len(), 2);
    }

    #[test]
    fn what_differs_in_a_word_is_not_shared() {
        let queries = [
            "SELECT k, count(v) AS n FROM s GROUP BY k",
            "SELECT k, count(DISTINCT v) AS n FROM s GROUP BY k",
            "SELECT k, count(v) FILTER (WHERE v > 1) AS n FROM s GROUP BY k",
            "SELECT k, count(v) FILTER (WHERE v > 2) AS n FROM s GROUP BY k",
            "SELECT k, array_agg(v ORDER BY v) AS n FROM s GROUP BY k",
            "SELECT k, array_agg(v ORDER BY v DESC) AS n FROM s GROUP BY k",
            "SELECT k, first_value(v ORDER BY v) AS n FROM s GROUP BY k",
            "SELECT k, first_value(v ORDER BY v) IGNORE NULLS AS n FROM s GROUP BY k",
        ];
        for (i, a) in queries.iter().enumerate() {
            for b in &queries[i + 1..] {
                let (both, _) = shared(&[a, b]);
                assert_ne!(both.parts[0].root(), both.parts[1].root(), "{a}\n{b}");
            }
        }
    }
}
