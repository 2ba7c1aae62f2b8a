//! The operator's state as tables, and back: whatever panes and workers they came from.

use super::Aggregate;
use super::call::misfit;
use super::pane::{Pane, PaneTable};
use crate::operators::{Result, StateTable};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The table of groups: keys `key<i>`, [`WEIGHT`], then the columns `state<call>.<i>` of the calls
/// that keep no rows.
const GROUPS: &str = "groups";
/// The sum of a group's rows' weights.
pub(super) const WEIGHT: &str = "weight";
/// Prefix of the columns of a call.
pub(super) const STATE: &str = "state";
/// The tables `rows<call>` of calls that keep rows: keys, the rows' columns, mostly a weight.
const ROWS: &str = "rows";
/// There if the row of a global aggregate has gone out and the input has ended.
const ENDED: &str = "ended";

impl Aggregate {
    /// The whole state.
    pub(super) fn save(&mut self) -> Result<Vec<StateTable>> {
        // By call, the groups (`None`) first.
        let mut parts: BTreeMap<Option<usize>, Vec<PaneTable>> = BTreeMap::new();
        for pane in self.panes.values_mut().filter(|pane| pane.groups() > 0) {
            for table in Pane::save(pane, &self.plan)? {
                parts.entry(table.call).or_default().push(table);
            }
        }
        let mut tables = parts.into_iter().map(|(call, parts)| self.table(call, &parts));
        let mut tables = tables.by_ref().collect::<Result<Vec<_>>>()?;
        if self.ended && self.plan.always_exists() {
            let column: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
            let batch = RecordBatch::try_from_iter([(ENDED, column)])?;
            tables.push(StateTable { name: ENDED.into(), batch, key_columns: 0 });
        }
        Ok(tables)
    }

    /// One table of the panes' parts.
    fn table(&self, call: Option<usize>, parts: &[PaneTable]) -> Result<StateTable> {
        let key_columns = self.plan.keys();
        let mut columns = Vec::new();
        for i in 0..key_columns {
            let column = join(parts, |part| &part.keys[i])?;
            columns.push((Field::new(format!("key{i}"), column.data_type().clone(), true), column));
        }
        for (i, (name, _)) in parts[0].columns.iter().enumerate() {
            let column = join(parts, |part| &part.columns[i].1)?;
            columns.push((Field::new(name, column.data_type().clone(), true), column));
        }
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        let name = call.map_or(GROUPS.into(), |call| format!("{ROWS}{call}"));
        Ok(StateTable { name, batch, key_columns })
    }

    /// Takes state tables in, whatever panes they came from.
    pub(super) fn load(&mut self, mut tables: Vec<StateTable>) -> Result<()> {
        // The groups first: rows belong to groups.
        tables.sort_by_key(|table| table.name != GROUPS);
        for StateTable { name, batch, key_columns } in tables {
            if name == ENDED {
                (self.begun, self.ended) = (true, true);
                continue;
            }
            self.check_keys(&name, &batch, key_columns)?;
            if name == GROUPS {
                self.load_groups(&batch)?;
                continue;
            }
            let call = name.strip_prefix(ROWS).and_then(|n| n.parse::<usize>().ok());
            let Some(call) = call.filter(|call| *call < self.plan.calls.len()) else {
                return Err(misfit(format!("no table {name}")));
            };
            let (keys, columns) = batch.columns().split_at(self.plan.keys());
            for (pane, part) in self.split(keys, batch.num_rows())? {
                let of = |c: &[ArrayRef]| c.iter().map(|c| part.of(c)).collect::<Result<Vec<_>>>();
                let (keys, columns) = (of(keys)?, of(columns)?);
                self.pane(pane, &keys)?;
                let Some(pane) = self.panes.get_mut(&pane) else { continue };
                pane.load(&self.plan, call, &keys, &columns, part.len(batch.num_rows()))?;
            }
        }
        Ok(())
    }

    fn load_groups(&mut self, batch: &RecordBatch) -> Result<()> {
        let (keys, columns) = batch.columns().split_at(self.plan.keys());
        let Some((weights, columns)) = columns.split_first() else {
            return Err(misfit("groups without weights".into()));
        };
        let schema = batch.schema();
        let fields = &schema.fields()[self.plan.keys() + 1..];
        for (pane, part) in self.split(keys, batch.num_rows())? {
            let keys = keys.iter().map(|c| part.of(c)).collect::<Result<Vec<_>>>()?;
            let weights = part.of(weights)?;
            let Some(weights) = weights.as_primitive_opt::<Int64Type>() else {
                return Err(misfit("weights are not integers".into()));
            };
            self.pane(pane, &keys)?;
            let Some(pane) = self.panes.get_mut(&pane) else { continue };
            pane.load_groups(&self.plan, &keys, weights)?;
            for call in 0..self.plan.calls.len() {
                let prefix = format!("{STATE}{call}.");
                let own = fields.iter().zip(columns).filter(|(f, _)| f.name().starts_with(&prefix));
                let own = own.map(|(_, c)| part.of(c)).collect::<Result<Vec<_>>>()?;
                if !own.is_empty() {
                    pane.load(&self.plan, call, &keys, &own, part.len(batch.num_rows()))?;
                }
            }
        }
        Ok(())
    }

    fn check_keys(&self, name: &str, batch: &RecordBatch, key_columns: usize) -> Result<()> {
        let schema = self.plan.key_schema(false);
        let types = |fields: &Fields| -> Vec<DataType> {
            fields.iter().take(self.plan.keys()).map(|f| f.data_type().clone()).collect()
        };
        if key_columns == self.plan.keys() && types(batch.schema().fields()) == types(schema.fields()) {
            return Ok(());
        }
        Err(misfit(format!("the keys of table {name} are not those of the query")))
    }
}

fn join<'a>(parts: &'a [PaneTable], column: impl Fn(&'a PaneTable) -> &'a ArrayRef) -> Result<ArrayRef> {
    let columns: Vec<_> = parts.iter().map(|part| column(part).as_ref()).collect();
    Ok(concat(&columns)?)
}
