//! The operator's state as tables, and back: whatever panes and workers they came from.

use super::Aggregate;
use super::call::misfit;
use super::pane::{Pane, PaneTable, concat_columns};
use super::unsaved::KeyColumns;
use crate::operators::kept_rows::KeptRows;
use crate::operators::{OperatorError, Result, StateChange, StateTable, TableChange};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
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
/// The tables `seen<call>` of counts of different values: keys, the value, as bits for which of the calls it counts.
const SEEN: &str = "seen";
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

    /// What has changed since this was last called; the whole state the first time, and where there are no keys.
    pub(super) fn save_changes(&mut self) -> Result<StateChange> {
        if self.plan.keys() == 0 {
            return Ok(StateChange::Whole(self.save()?));
        }
        let noted = std::mem::replace(&mut self.notes_unsaved, true);
        if std::mem::take(&mut self.is_older) || !noted {
            self.panes.values_mut().for_each(|pane| pane.begin_unsaved(pane.groups() > 0));
            return Ok(StateChange::Whole(self.save()?));
        }
        let mut gone = std::mem::take(&mut self.gone);
        let mut parts: BTreeMap<Option<usize>, Vec<PaneTable>> = BTreeMap::new();
        let mut added: BTreeMap<Option<usize>, Vec<PaneTable>> = BTreeMap::new();
        let mut anew: Vec<KeyColumns> = Vec::new();
        for pane in self.panes.values_mut() {
            let changes = pane.save_changes(&self.plan)?;
            gone.extend(changes.gone);
            anew.extend(Some(changes.anew).filter(|keys| !keys.is_empty()));
            for table in changes.tables {
                let parts = if table.added { &mut added } else { &mut parts };
                parts.entry(table.call).or_default().push(table);
            }
        }
        let changed: Vec<KeyColumns> =
            parts.get(&None).map_or(vec![], |groups| groups.iter().map(|part| part.keys.clone()).collect());
        let mut changes = Vec::new();
        let calls: Vec<usize> = self.plan.states.iter().map(|state| state.call).collect();
        for call in [None].into_iter().chain(calls.into_iter().map(Some)) {
            let table = |parts: Option<&Vec<PaneTable>>| -> Result<Option<RecordBatch>> {
                let batch = parts.map(|parts| Ok::<_, OperatorError>(self.table(call, parts)?.batch));
                Ok(batch.transpose()?.filter(|rows| rows.num_rows() > 0))
            };
            let (rows, added) = (table(parts.get(&call))?, table(added.get(&call))?);
            // Of the rows that a call keeps, a group that has changed may have none any more; where they only come it has what it had.
            let may_have_none = match call {
                None => &[],
                Some(call) if self.plan.states[self.plan.calls[call].0].is_seen() => &anew[..],
                Some(_) => &changed[..],
            };
            let removed = self.removed(gone.iter().chain(may_have_none))?;
            if rows.is_some() || removed.is_some() || added.is_some() {
                changes.push(TableChange {
                    name: self.table_name(call),
                    key_columns: self.plan.keys(),
                    rows,
                    kept: None,
                    removed,
                    added: added.map(KeptRows::from),
                });
            }
        }
        Ok(StateChange::Some(changes))
    }

    /// Keys as a table of them alone.
    fn removed<'a>(&self, parts: impl Iterator<Item = &'a KeyColumns>) -> Result<Option<RecordBatch>> {
        let parts: Vec<&KeyColumns> = parts.collect();
        if parts.iter().all(|keys| keys[0].is_empty()) {
            return Ok(None);
        }
        let columns = (0..self.plan.keys()).map(|k| concat_columns(parts.iter().map(|keys| &keys[k])));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let fields = columns.iter().enumerate();
        let fields: Vec<Field> =
            fields.map(|(i, c)| Field::new(format!("key{i}"), c.data_type().clone(), true)).collect();
        Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?))
    }

    /// One table of the panes' parts.
    pub(super) fn table(&self, call: Option<usize>, parts: &[PaneTable]) -> Result<StateTable> {
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
        Ok(StateTable { name: self.table_name(call), batch, key_columns })
    }

    /// Takes state tables in, whatever panes they came from. They are what the checkpoint has.
    pub(super) fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.take_tables(tables)?;
        // Without keys all is saved each time: what was noted would never be asked for.
        if self.plan.keys() == 0 {
            return Ok(());
        }
        self.notes_unsaved = true;
        self.panes.values_mut().for_each(|pane| pane.begin_unsaved(true));
        Ok(())
    }

    /// Moves the groups to panes of another width. What was noted of them is lost: all are to be saved anew.
    pub(super) fn move_to_width(&mut self, width: i64) -> Result<()> {
        let tables = self.save()?;
        let mut in_checkpoint = false;
        for pane in std::mem::take(&mut self.panes).into_values() {
            in_checkpoint |= pane.is_in_checkpoint();
            self.gone.extend(pane.into_forgotten());
        }
        self.width = width;
        let groups = tables.iter().find(|table| table.name == GROUPS).map(|table| table.batch.clone());
        self.take_tables(tables)?;
        let Some(groups) = groups.filter(|_| self.notes_unsaved) else { return Ok(()) };
        self.panes.values_mut().for_each(|pane| pane.begin_unsaved(in_checkpoint));
        let keys = &groups.columns()[..self.plan.keys()];
        for (pane, part) in self.split(keys, groups.num_rows())? {
            let keys = keys.iter().map(|c| part.of(c)).collect::<Result<Vec<_>>>()?;
            let Some(pane) = self.panes.get_mut(&pane) else { continue };
            pane.note_all(&self.plan, &keys, part.len(groups.num_rows()))?;
        }
        Ok(())
    }

    pub(super) fn take_tables(&mut self, mut tables: Vec<StateTable>) -> Result<()> {
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
            let Some(call) = call_of(&name).filter(|call| *call < self.plan.calls.len()) else {
                return Err(misfit(format!("no table {name}")));
            };
            let (keys, columns) = batch.columns().split_at(self.plan.keys());
            for (pane, part) in self.split(keys, batch.num_rows())? {
                let of = |c: &[ArrayRef]| c.iter().map(|c| part.of(c)).collect::<Result<Vec<_>>>();
                let (keys, columns) = (of(keys)?, of(columns)?);
                self.pane(pane, &keys)?;
                let Some(pane) = self.panes.get_mut(&pane) else { continue };
                self.is_older |= pane.load(&self.plan, call, &keys, &columns, part.len(batch.num_rows()))?;
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
                    self.is_older |= pane.load(&self.plan, call, &keys, &own, part.len(batch.num_rows()))?;
                }
            }
        }
        Ok(())
    }

    /// The table of the groups, or of the rows that a call keeps.
    fn table_name(&self, call: Option<usize>) -> String {
        let Some(call) = call else { return GROUPS.into() };
        let is_seen = self.plan.states[self.plan.calls[call].0].is_seen();
        format!("{}{call}", if is_seen { SEEN } else { ROWS })
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

/// The call of a table of rows that a call keeps.
fn call_of(name: &str) -> Option<usize> {
    name.strip_prefix(ROWS).or(name.strip_prefix(SEEN))?.parse().ok()
}

fn join<'a>(parts: &'a [PaneTable], column: impl Fn(&'a PaneTable) -> &'a ArrayRef) -> Result<ArrayRef> {
    concat_columns(parts.iter().map(column))
}
