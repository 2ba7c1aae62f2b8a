//! A table in FROM to operators: its topic's rows, by the primary key, folded.

use super::super::arrow_schema;
use super::super::dataflow::{Node, Spec};
use super::super::state_bound::{Growth, StateBound};
use super::super::table::table_spec;
use super::{Lowering, Result};
use crate::catalog::StreamDef;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;

impl Lowering {
    /// Source, exchange by the primary key, upsert. The source reads the key columns, those that the query wants, and the one
    /// that tells tombstones.
    pub(super) fn table(
        &mut self,
        plan: &LogicalPlan,
        scan: &TableScan,
        table: &Arc<StreamDef>,
    ) -> Result<usize> {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let wanted = scan.projection.clone().unwrap_or(all);
        let spec = table_spec(table, &wanted, arrow_schema(plan));
        let keys: Vec<Arc<dyn PhysicalExpr>> = spec
            .upsert
            .keys
            .iter()
            .map(|k| Arc::new(PhysicalColumn::new(spec.source.schema.field(*k).name(), *k)) as _)
            .collect();
        self.flow.nodes.push(Node {
            spec: Spec::Source(self.flow.sources.len()),
            inputs: vec![],
            schema: spec.source.schema.clone(),
            append_only: true,
            event_time: None,
            state: None,
        });
        self.flow.sources.push(spec.source);
        let exchange = self.exchange(self.flow.nodes.len() - 1, &keys);
        let state = match spec.upsert.keys.as_slice() {
            [] => StateBound::constant("one row"),
            _ => {
                let keys = Growth::of_key(format!("key of {}", table.name));
                StateBound::keys(format!("one row for each key of {}", table.name), keys)
            }
        };
        self.add(plan, Spec::Upsert(spec.upsert), vec![exchange], false, Some(state))
    }
}
