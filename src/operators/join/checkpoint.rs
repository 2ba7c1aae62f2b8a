//! The operator's state as tables, and back: a table a side, its rows by key with their weights and matches.

use super::unsaved::{Noted, ToSave};
use super::{Join, Matching};
use crate::delta::{Chosen, Delta};
use crate::operators::kept_rows::{Beside, KeptRows};
use crate::operators::{OperatorError, Result, StateChange, StateTable, TableChange};
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::RowLists;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use std::sync::Arc;

/// The tables: keys `key<i>`, the rows' columns `column<i>` (none where only their number matters), their weight, and
/// how often rows of the other side match them; of a side that nothing bounds also when (ns) they came.
const TABLES: [&str; 2] = ["left", "right"];
const WEIGHT: &str = "weight";
const MATCHED: &str = "matched";
const CAME: &str = "came";

impl Join {
    /// The whole state.
    pub(super) fn save(&mut self) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        for side in 0..TABLES.len() {
            let places: Vec<u32> = if self.counts_only[side] {
                self.keys.used().filter(|slot| self.slots[*slot as usize].weights[side] != 0).collect()
            } else {
                self.rows[side].ids().collect()
            };
            if !places.is_empty() {
                tables.push(self.state_table(side, &places)?);
            }
        }
        Ok(tables)
    }

    /// How many columns of the tables are the key by which rows are spread over workers.
    fn key_columns_kept(&self) -> usize {
        // A NOT IN stands on one worker, whatever its key is.
        if self.spec.null_aware { 0 } else { self.spec.inputs[0].keys.len() }
    }

    /// What has changed since this was last called; the whole state the first time, and where there are no keys.
    pub(super) fn save_changes(&mut self) -> Result<StateChange> {
        let key_columns = self.key_columns_kept();
        let Some(mut noted) = self.note_anew().filter(|_| key_columns > 0) else {
            self.slots.iter_mut().for_each(|slot| slot.saved = true);
            return Ok(StateChange::Whole(self.save()?));
        };
        let (gone, gone_rows) = self.keys.take_removed()?;
        let mut changes = Vec::new();
        for ((side, name), noted) in TABLES.into_iter().enumerate().zip(&mut noted) {
            let ToSave { anew, added } = self.take_unsaved(side, noted);
            let (places, counts) = self.places(side, &anew);
            let none = anew.iter().zip(counts).filter(|(_, count)| *count == 0).map(|(slot, _)| *slot);
            let without: Vec<u32> = none.filter(|slot| self.slots[*slot as usize].saved).collect();
            let table = |places: &[u32]| (!places.is_empty()).then(|| self.table(side, places)).transpose();
            let rows = table(&places)?;
            let added = (!added.is_empty()).then(|| self.kept(side, &added)).transpose()?;
            let mut removed = None;
            if !without.is_empty() || gone_rows > 0 {
                let keys = self.keys.columns(without.into_iter())?;
                let keys = keys.iter().zip(&gone).map(|(a, b)| concat(&[a, b]));
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                let fields: Vec<Field> = key_fields(&keys).collect();
                removed = Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), keys)?);
            }
            if rows.is_some() || removed.is_some() || added.is_some() {
                changes.push(TableChange {
                    name: name.into(),
                    key_columns,
                    rows,
                    kept: None,
                    removed,
                    added,
                });
            }
        }
        for slot in noted.iter().flat_map(Noted::slots).filter(|slot| self.keys.is_used(**slot)) {
            self.slots[*slot as usize].saved = true;
        }
        Ok(StateChange::Some(changes))
    }

    /// Rows of a side as its table, named.
    pub(super) fn state_table(&self, side: usize, places: &[u32]) -> Result<StateTable> {
        let batch = self.table(side, places)?;
        Ok(StateTable { name: TABLES[side].into(), batch, key_columns: self.key_columns_kept() })
    }

    /// Rows of a side as its table: entries, or of a side of which only the number of rows matters slots.
    fn table(&self, side: usize, places: &[u32]) -> Result<RecordBatch> {
        let columns = match self.counts_only[side] {
            true => vec![],
            false => self.rows[side].decode(places.iter().copied())?,
        };
        let (keys, counts) = self.beside(side, places)?;
        let fields = table_fields(&keys, &columns, counts.len());
        let counts = counts.iter().map(|count| count.column(places.len()));
        let columns = keys.into_iter().chain(columns).chain(counts).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// Entries of a side as its table, their columns where they are.
    fn kept(&mut self, side: usize, ids: &[u32]) -> Result<KeptRows> {
        let held = self.rows[side].hold(ids.iter().copied())?;
        let (keys, counts) = self.beside(side, ids)?;
        let fields = table_fields(&keys, held.none(), counts.len());
        KeptRows::new(fields, keys, held, counts, ids.len())
    }

    /// What a side's table has before its rows' columns and behind them.
    fn beside(&self, side: usize, places: &[u32]) -> Result<(Vec<ArrayRef>, Vec<Beside>)> {
        let rows = &self.rows[side];
        if self.counts_only[side] {
            let weights = places.iter().map(|slot| self.slots[*slot as usize].weights[side]).collect();
            let keys = self.keys.columns(places.iter().copied())?;
            return Ok((keys, vec![weights, Beside::Same(0)]));
        }
        let of = |column: fn(&RowLists, u32) -> i64| places.iter().map(|id| column(rows, *id)).collect();
        let mut counts = vec![of(RowLists::weight), of(RowLists::matched)];
        if self.ages_of(side) {
            counts.push(of(RowLists::until));
        }
        Ok((self.keys.columns(places.iter().map(|id| rows.slot(*id)))?, counts))
    }

    /// Takes state tables in.
    pub(super) fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.note_anew();
        let mut counted = true;
        for table in &tables {
            counted &= self.load_table(table)?;
        }
        self.step = super::presence::Changes::default();
        if !counted && self.matching == Matching::Row && self.spec.residual.is_none() {
            self.count_all();
            self.note_all_unsaved();
        }
        Ok(())
    }

    /// Counts the matches of all rows, each pair of a key being one.
    pub(super) fn count_all(&mut self) {
        for side in 0..2 {
            let ids: Vec<u32> = self.rows[side].ids().collect();
            for id in ids {
                let slot = self.rows[side].slot(id);
                self.rows[side].set_matched(id, self.slots[slot as usize].weights[1 - side]);
            }
        }
    }

    /// Takes a table in; says whether it has all that is saved today.
    pub(super) fn load_table(&mut self, table: &StateTable) -> Result<bool> {
        let Some(side) = TABLES.iter().position(|name| *name == table.name) else {
            return Err(misfit(format!("no table {}", table.name)));
        };
        self.load_side(side, &table.batch)
    }

    /// Takes one side's table in; says whether it has all that is saved today.
    fn load_side(&mut self, side: usize, batch: &RecordBatch) -> Result<bool> {
        let keys = self.spec.inputs[side].keys.len();
        let fields = self.spec.inputs[side].schema.fields().len();
        let width = if self.counts_only[side] { 0 } else { fields };
        let wanted = keys + width + 2;
        let with_ages = self.spec.unbounded[side] && batch.num_columns() == wanted + 1;
        if with_ages && !self.aging {
            // Rows may have left whose matches are still counted.
            self.begin_ages();
        }
        if batch.num_columns() != wanted && !with_ages {
            return Err(misfit(format!("{} columns instead of {wanted}", batch.num_columns())));
        }
        // A row of one more column is no row with its age.
        if batch.schema_ref().field(keys + width).name() != WEIGHT {
            return Err(misfit("rows with other columns".into()));
        }
        let (keys, rest) = batch.columns().split_at(keys);
        let (columns, counts) = rest.split_at(width);
        let came = counts.get(2).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let [weights, matched] = [&counts[0], &counts[1]].map(|c| c.as_primitive_opt::<Int64Type>());
        let (Some(weights), Some(matched)) = (weights, matched) else {
            return Err(misfit("weights are not integers".into()));
        };
        let rows = batch.num_rows();
        self.intern(keys, rows)?;
        let slots = std::mem::take(&mut self.scratch);
        self.note_windows(keys, &slots)?;
        if self.spec.null_aware {
            let counted = Delta::weighted(batch.clone(), Some(weights.clone()));
            self.note_nulls(side, keys, &counted.into(), &slots);
        }
        for (i, slot) in slots.iter().enumerate() {
            if *slot == NO_SLOT {
                return Err(misfit("a row without a key".into()));
            }
            let state = &mut self.slots[*slot as usize];
            state.weights[side] += weights.value(i);
            (state.saved, state.used) = (true, true);
        }
        if !self.counts_only[side] {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let schema = self.spec.inputs[side].schema.clone();
            let own = RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)?;
            let until = self.until(side, &Delta::insert(own).into())?;
            let incoming = self.rows[side].incoming(columns, Chosen::All(rows))?;
            for (i, slot) in slots.iter().enumerate() {
                let (id, _) = self.rows[side].entry(*slot, &incoming, i);
                self.rows[side].set_weight(id, weights.value(i));
                self.rows[side].set_matched(id, matched.value(i));
                self.slots[*slot as usize].entries[side] += 1;
                if let Some(came) = came {
                    self.rows[side].set_until(id, came.value(i));
                    self.ages.note_arrival(side, id, came.value(i));
                }
                if let Some(until) = &until {
                    self.rows[side].set_until(id, until[i]);
                    self.due[side].add(until[i], id);
                }
            }
        }
        self.scratch = slots;
        Ok(with_ages || !self.ages_of(side))
    }
}

fn key_fields(keys: &[ArrayRef]) -> impl Iterator<Item = Field> + '_ {
    keys.iter().enumerate().map(|(i, key)| Field::new(format!("key{i}"), key.data_type().clone(), true))
}

fn table_fields(keys: &[ArrayRef], columns: &[ArrayRef], counts: usize) -> Vec<Field> {
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(i, c)| Field::new(format!("column{i}"), c.data_type().clone(), true));
    let counts = [WEIGHT, MATCHED, CAME].into_iter().take(counts);
    let counts = counts.map(|name| Field::new(name, DataType::Int64, false));
    key_fields(keys).chain(columns).chain(counts).collect()
}

fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "join", reason }
}
