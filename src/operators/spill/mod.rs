//! An operator whose state may be larger than memory: keys that have not been used for longest go to disk.
//!
//! Law    that of the operator within: a key's state is in memory whenever a row of the key comes, the watermark needs it,
//!        or the step's end does
//! State  the operator's; beyond the memory budget a record a key in runs on disk (see `state::cold`), each key in one of
//!        both places ("anti-caching", DeBrabant et al. 2013)
//! Cost   while all fits: a look at the budget a step. Beyond: for each key of a delta a look into the filters of the runs,
//!        and for one that is on disk a read, a decode and later a write again
//!
//! An operator says through [`KeyedState`] how its state leaves and comes back key by key; one that cannot keeps all of it in
//! memory. What a checkpoint needs of keys on disk is read from there, and so are keys of which rows leave by their age.

mod records;
#[cfg(test)]
pub(crate) mod tests;

use super::{
    Emit, OpenWindow, Operator, OperatorMetrics, Result, StateChange, StateTable, StepStart, TableChange,
};
use crate::delta::{Delta, EventTime, Part};
use crate::operators::OperatorError;
use crate::state::budget::MemoryBudget;
pub use crate::state::cold::SpillTo;
use crate::state::cold::{Cold, NEVER, Record};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_arrays};
use arrow::datatypes::DataType;
use hashbrown::HashSet;
use records::{Gathered, Shapes};
use std::sync::Arc;

/// Rows after which an operator's size is looked at again, and steps.
const ROWS_BETWEEN_LOOKS: usize = 4096;
const STEPS_BETWEEN_LOOKS: u32 = 16;
/// A budget of so few bytes may be exceeded by the rows of any step.
const SMALL_BUDGET: u64 = 1 << 20;
/// Looks that pass after the disk would not take state, before it is asked again.
const LOOKS_AFTER_FAILURE: u32 = 16;
/// Bytes of state that leave memory at once, at least: what leaves is held twice meanwhile.
const CHUNK: u64 = 16 << 20;

/// State that can leave memory key by key, between two steps.
pub trait KeyedState {
    /// The types of the key columns, which are the leading columns of all its state tables.
    fn key_types(&self) -> Result<Vec<DataType>>;

    /// The key columns of a delta's rows: state of other keys is not touched when it is pushed.
    fn keys_of(&self, port: usize, delta: &Delta) -> Result<Vec<ArrayRef>>;

    /// Bytes that its living state takes, without room that is only reserved.
    fn live_bytes(&self) -> usize;

    /// Gives up about `bytes` bytes of state: of the keys that have not been used for longest, roughly, all rows. None if
    /// there is nothing to give.
    fn evict(&mut self, bytes: usize) -> Result<Option<Evicted>>;

    /// Whether rows of its state leave by their age, once a step says since when rows are kept.
    fn leaves_by_age(&self) -> bool {
        false
    }

    /// Whether it knows when all rows came that leave by their age. Then [`Evicted::due`] is the least time (ns) of those since
    /// when rows are kept at which one of the key leaves, instead of a watermark.
    fn knows_ages(&self) -> bool {
        false
    }

    /// Takes rows of keys in beside what it has. Of the keys `unsaved` the last checkpoint does not have what they are now;
    /// of the others it does.
    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()>;
}

/// State that leaves memory.
#[derive(Debug)]
pub struct Evicted {
    /// The key columns, a row for each key.
    pub keys: Vec<ArrayRef>,
    /// Whether the last checkpoint does not have what the key has; without meaning before anyone has asked what changes.
    pub unsaved: Vec<bool>,
    /// The watermark (ns) at which the key is needed in memory, or what [`KeyedState::knows_ages`] says; [`NEVER`] = at none.
    pub due: Vec<EventTime>,
    /// The rows by table, those of a key together and in the order of the keys.
    pub tables: Vec<EvictedTable>,
}

/// The rows of one table that leave memory.
#[derive(Debug)]
pub struct EvictedTable {
    /// The table.
    pub table: StateTable,
    /// How many of its rows each key has.
    pub counts: Vec<u32>,
}

/// The running operator.
pub struct Spilling {
    inner: Box<dyn Operator>,
    budget: Arc<MemoryBudget>,
    /// What the budget knows of it.
    told: u64,
    cold: Cold,
    shapes: Shapes,
    /// Rows and steps since its size was looked at.
    rows: usize,
    steps: u32,
    /// What is on disk is due by its age, not at a watermark.
    due_by_age: bool,
    /// Whether its state can leave memory, as far as is known.
    leaves: bool,
    /// Rows on disk.
    cold_rows: u64,
    /// How often the disk would not take state.
    failures: u64,
    /// Looks that pass before the disk is asked again.
    resting: u32,
    /// Whether it is asked what changes.
    asked: bool,
    /// The hashes of keys on disk of which the last checkpoint does not have what they are now.
    unsaved: HashSet<u64>,
}

impl Spilling {
    /// Around an operator that has no state yet.
    pub fn new(inner: Box<dyn Operator>, to: &SpillTo) -> Self {
        Spilling {
            inner,
            budget: to.budget.clone(),
            told: 0,
            cold: Cold::new(to),
            shapes: Shapes::default(),
            rows: 0,
            steps: 0,
            due_by_age: false,
            leaves: true,
            cold_rows: 0,
            failures: 0,
            resting: 0,
            asked: false,
            unsaved: HashSet::new(),
        }
    }

    /// Brings the keys of these rows into memory.
    fn warm(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        if self.cold.is_empty() {
            return Ok(());
        }
        let mut hashes = self.shapes.hashes(keys, rows)?;
        hashes.sort_unstable();
        hashes.dedup();
        let mut gathered = Gathered::default();
        self.cold.take(&mut hashes, |record| gathered.add(record))?;
        self.admit(gathered)
    }

    /// Brings the keys into memory that are needed at this watermark, or age.
    fn warm_due(&mut self, watermark: EventTime) -> Result<()> {
        let mut gathered = Gathered::default();
        self.cold.take_due(watermark.min(NEVER - 1), |record| gathered.add(record))?;
        self.admit(gathered)
    }

    /// Brings the keys into memory of which rows leave that came before `since`; where it is not known when they came, all.
    fn warm_aged(&mut self, since: i64) -> Result<()> {
        if self.cold.is_empty() || !self.inner.keyed().is_some_and(|keyed| keyed.leaves_by_age()) {
            return Ok(());
        }
        if self.due_by_age { self.warm_due(since) } else { self.warm_all() }
    }

    /// Brings all into memory.
    fn warm_all(&mut self) -> Result<()> {
        let mut hashes = Vec::with_capacity(self.cold.records());
        self.cold.all(|record| {
            hashes.push(record.hash);
            Ok(())
        })?;
        hashes.sort_unstable();
        hashes.dedup();
        let mut gathered = Gathered::default();
        self.cold.take(&mut hashes, |record| gathered.add(record))?;
        self.admit(gathered)
    }

    /// Takes records that have left the disk into memory.
    fn admit(&mut self, gathered: Gathered) -> Result<()> {
        if gathered.is_empty() {
            return Ok(());
        }
        let Some(keyed) = self.inner.keyed() else { return Err(lost()) };
        let unsaved: Vec<usize> = match self.asked {
            true => gathered.numbers(|hash| self.unsaved.remove(&hash)),
            false => vec![],
        };
        let unsaved = (!unsaved.is_empty()).then(|| self.shapes.keys(&gathered, &unsaved)).transpose()?;
        let tables = self.shapes.tables(&gathered)?;
        self.cold_rows -= tables.iter().map(|table| table.batch.num_rows() as u64).sum::<u64>();
        keyed.admit(tables, unsaved)
    }

    /// Looks at how much it holds, and gives up what is too much.
    fn fit(&mut self) -> Result<()> {
        (self.rows, self.steps) = (0, 0);
        self.tell();
        if !self.leaves {
            return Ok(());
        }
        if self.resting > 0 {
            self.resting -= 1;
            return Ok(());
        }
        let mut left = self.budget.excess(self.told);
        let chunk = CHUNK.max(left / 4);
        while left > 0 {
            let now = left.min(chunk);
            let before = self.told;
            if !self.evict(now)? {
                break;
            }
            self.tell();
            left = left.saturating_sub(now.min(before.saturating_sub(self.told).max(1)));
            if self.told >= before {
                break;
            }
        }
        Ok(())
    }

    /// Looks at how much it holds when that may have become much more, or the budget is exceeded.
    fn fit_some(&mut self) -> Result<()> {
        if self.rows >= ROWS_BETWEEN_LOOKS || self.budget.is_exceeded() { self.fit() } else { Ok(()) }
    }

    /// Tells the budget how much it holds.
    fn tell(&mut self) {
        let own = match self.inner.keyed() {
            Some(keyed) => keyed.live_bytes() as u64,
            None => {
                self.leaves = false;
                self.inner.metrics().state_bytes
            }
        };
        let now = own + self.cold.index_bytes() as u64 + self.unsaved.allocation_size() as u64;
        self.budget.change(std::mem::replace(&mut self.told, now), now);
    }

    /// Moves about `bytes` bytes to disk; says whether some have gone.
    fn evict(&mut self, bytes: u64) -> Result<bool> {
        let Some(keyed) = self.inner.keyed() else { return Ok(false) };
        if !self.shapes.is_known() && !self.shapes.begin(&keyed.key_types()?) {
            // Rows of these types cannot be written as bytes.
            self.leaves = false;
            return Ok(false);
        }
        let Some(evicted) = keyed.evict(usize::try_from(bytes).unwrap_or(usize::MAX))? else {
            return Ok(false);
        };
        self.due_by_age = keyed.knows_ages() && (self.due_by_age || self.cold.is_empty());
        let put = self.shapes.records(&evicted).and_then(|records| {
            let mut sorted: Vec<Record> = records.iter().collect();
            Ok(self.cold.put(&mut sorted).map(|()| records.hashes())?)
        });
        match put {
            Ok(hashes) => {
                if self.asked {
                    let changed = hashes.iter().zip(&evicted.unsaved).filter(|(_, unsaved)| **unsaved);
                    self.unsaved.extend(changed.map(|(hash, _)| *hash));
                }
                let rows = evicted.tables.iter().map(|table| table.table.batch.num_rows() as u64);
                self.cold_rows += rows.sum::<u64>();
                Ok(true)
            }
            // A disk that is full or cannot write takes nothing; the state stays where it was.
            Err(_) => {
                self.failures += 1;
                self.resting = LOOKS_AFTER_FAILURE;
                let unsaved = (0u32..).zip(&evicted.unsaved).filter(|(_, unsaved)| **unsaved);
                let unsaved = UInt32Array::from_iter_values(unsaved.map(|(key, _)| key));
                let unsaved = match self.asked && !unsaved.is_empty() {
                    true => Some(take_arrays(&evicted.keys, &unsaved, None)?),
                    false => None,
                };
                let tables = evicted.tables.into_iter().map(|table| table.table).collect();
                keyed.admit(tables, unsaved)?;
                Ok(false)
            }
        }
    }

    /// Takes note of tables that a checkpoint has.
    fn note_saved(&mut self, tables: &[StateTable]) {
        for StateTable { name, batch, key_columns } in tables {
            self.shapes.note_saved(name, &batch.schema(), *key_columns);
        }
    }

    /// What keys on disk have, beside the operator's own tables.
    fn with_cold(&self, mut tables: Vec<StateTable>) -> Result<Vec<StateTable>> {
        let mut gathered = Gathered::default();
        self.cold.all(|record| gathered.add(record))?;
        for cold in self.shapes.tables(&gathered)? {
            match tables.iter_mut().find(|table| table.name == cold.name) {
                Some(table) => {
                    table.batch = concat_batches(&table.batch.schema(), [&table.batch, &cold.batch])?
                }
                None => tables.push(cold),
            }
        }
        Ok(tables)
    }

    /// The changes of keys that are on disk now, beside the operator's own.
    fn with_unsaved(&mut self, mut changes: Vec<TableChange>) -> Result<Vec<TableChange>> {
        let mut hashes: Vec<u64> = std::mem::take(&mut self.unsaved).into_iter().collect();
        let mut gathered = Gathered::default();
        self.cold.look_at(&mut hashes, |record| gathered.add(record))?;
        for change in self.shapes.changes(&gathered)? {
            match changes.iter_mut().find(|own| own.name == change.name) {
                Some(own) => {
                    let rows = match (&own.kept, change.rows) {
                        (Some(kept), Some(rows)) => Some(rows.with_schema(kept.schema().clone())?),
                        (_, rows) => rows,
                    };
                    own.rows = both(own.rows.take(), rows)?;
                    own.removed = both(own.removed.take(), change.removed)?;
                }
                None => changes.push(change),
            }
        }
        Ok(changes)
    }
}

/// Two batches, of which either may be missing, as one.
fn both(a: Option<RecordBatch>, b: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(concat_batches(&a.schema(), [&a, &b.with_schema(a.schema())?])?),
        (a, b) => a.or(b),
    })
}

fn lost() -> OperatorError {
    OperatorError::Restore { operator: "state on disk", reason: "the operator cannot take it back".into() }
}

impl Operator for Spilling {
    fn begin_step(&mut self, start: StepStart) -> Result<()> {
        if let Some(since) = start.keep_since {
            self.warm_aged(since)?;
        }
        self.inner.begin_step(start)
    }

    fn push(&mut self, port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        self.rows += delta.num_rows();
        if !self.cold.is_empty()
            && let Some(keyed) = self.inner.keyed()
        {
            let keys = keyed.keys_of(port, &delta)?;
            self.warm(&keys, delta.num_rows())?;
        }
        self.inner.push(port, delta, out)
    }

    fn push_part(&mut self, port: usize, part: Part, out: &mut dyn Emit) -> Result<()> {
        if !self.cold.is_empty() {
            return self.push(port, part.delta()?, out);
        }
        self.rows += part.num_rows();
        self.inner.push_part(port, part, out)
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        if !self.due_by_age {
            self.warm_due(watermark)?;
        }
        let reached = self.inner.finish_step(watermark, out)?;
        self.steps += 1;
        let many = self.rows >= ROWS_BETWEEN_LOOKS || self.steps >= STEPS_BETWEEN_LOOKS;
        if many || self.budget.limit() < SMALL_BUDGET || self.budget.is_exceeded() {
            self.fit()?;
        }
        Ok(reached)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let tables = self.inner.snapshot()?;
        if self.cold.is_empty() { Ok(tables) } else { self.with_cold(tables) }
    }

    fn snapshot_changes(&mut self) -> Result<StateChange> {
        self.asked = true;
        Ok(match self.inner.snapshot_changes()? {
            StateChange::Whole(tables) => {
                self.unsaved.clear();
                self.note_saved(&tables);
                StateChange::Whole(if self.cold.is_empty() { tables } else { self.with_cold(tables)? })
            }
            StateChange::Some(changes) => {
                for change in &changes {
                    if let Some(rows) = &change.rows {
                        self.shapes.note_saved(&change.name, &rows.schema(), change.key_columns);
                    }
                    if let Some(kept) = &change.kept {
                        self.shapes.note_saved(&change.name, kept.schema(), change.key_columns);
                    }
                }
                StateChange::Some(match self.unsaved.is_empty() {
                    true => changes,
                    false => self.with_unsaved(changes)?,
                })
            }
        })
    }

    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.note_saved(&tables);
        if !self.asked {
            self.asked = true;
            self.inner.restore(tables)?;
            return self.fit_some();
        }
        // More of it, perhaps of keys of which some rows have come and gone to disk.
        for table in tables {
            let keys: Vec<ArrayRef> = table.batch.columns()[..table.key_columns].to_vec();
            self.warm(&keys, table.batch.num_rows())?;
            let Some(keyed) = self.inner.keyed() else { return Err(lost()) };
            self.rows += table.batch.num_rows();
            keyed.admit(vec![table], None)?;
            self.fit_some()?;
        }
        Ok(())
    }

    fn restores_in_parts(&mut self) -> bool {
        self.inner.keyed().is_some()
    }

    fn metrics(&self) -> OperatorMetrics {
        let mut metrics = self.inner.metrics();
        metrics.state_rows += self.cold_rows;
        metrics.disk_bytes += self.cold.bytes();
        metrics.disk_failures += self.failures;
        metrics
    }

    fn open_window(&mut self) -> Option<OpenWindow> {
        self.inner.open_window()
    }
}

impl Drop for Spilling {
    fn drop(&mut self) {
        self.budget.change(self.told, 0);
    }
}
