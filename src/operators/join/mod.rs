//! SQL    `a JOIN b ON …` of every kind, `IN`, `NOT IN`, `EXISTS`, `INTERSECT`, `EXCEPT`, subqueries in expressions
//! Law    d(A⋈B) = dA⋈B + A⋈dB + dA⋈dB, weights multiply; what outer, semi, anti and mark joins give of a row depends on
//!        whether the weights of its matches add up to more than 0: the difference between before and after the step
//! State  per key the rows of both sides (of a side that only matters by its presence: their number); bounded by the
//!        watermark where the keys hold a window or the residual bounds the time between the rows, else by nothing: then
//!        rows leave by their age, if a step says so
//! In     append-only or changing, both; marks are ignored (who is late was decided upstream)
//! Out    pairs at once, in batches of at most 8192 rows; unmatched (or matched) rows at the end of the step, net; with
//!        `hold`, unmatched rows once, when the watermark says that nothing can match them any more
//! Watermark  least of both, less the greatest time by which a row that goes out may lie behind it
//! Cost   O(delta · matches), never O(state); a NOT IN whose right side gets or loses its only null: O(left)
//!
//! The two sides share one key table, so a row is looked up once: its slot has the own and the other side's rows.

mod age;
mod checkpoint;
mod due;
mod pairs;
mod presence;
mod spec;
mod spill;
#[cfg(test)]
mod tests;
mod unsaved;

pub use spec::{JoinBound, JoinInput, JoinSpec};

use super::spill::KeyedState;
use super::window::unit_ns;
use super::{Emit, OpenWindow, Operator, OperatorMetrics, Result, StateChange, StateTable, StepStart};
use crate::delta::{Delta, EventTime, Part, WATERMARK_END, WATERMARK_NONE};
use crate::state::clock_hand::ClockHand;
use crate::state::key_table::{KeyTable, NO_SLOT};
use crate::state::numbers::descending;
use crate::state::row_lists::{NO_ROW, RowLists};
use crate::state::zero::one_zero;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most rows of a batch that goes out.
const BATCH_ROWS: usize = 8192;

/// What both sides have of one key.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Entries of each side.
    entries: [u32; 2],
    /// Sum of the weights of each side's rows.
    weights: [i64; 2],
    /// Where the slot is noted in the running step's list, from 1; 0 = it is not.
    note: u32,
    /// When (ns) its window is over, if one bounds it.
    until: i64,
    /// How many rows of each side, the newest ones, the last checkpoint does not have; [`unsaved::ALL`] = it has others.
    unsaved: [u32; 2],
    /// The last checkpoint may have rows of its key.
    saved: bool,
    /// It has been used since it was last looked at whether it may leave memory.
    used: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Slot {
            entries: [0; 2],
            weights: [0; 2],
            note: 0,
            until: i64::MAX,
            unsaved: [0; 2],
            saved: false,
            used: false,
        }
    }
}

/// How it is told whether a row is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    /// By the weight that the other side has at its key.
    Key,
    /// By a count of its own, as not every pair of its key is a match, or a match may leave by its age.
    Row,
}

/// The running operator: one worker's keys.
pub struct Join {
    spec: JoinSpec,
    keys: KeyTable,
    /// By slot.
    slots: Vec<Slot>,
    /// The rows of each side; of a side that `counts_only` none.
    rows: [RowLists; 2],
    /// Whether of this side only the number of rows matters.
    counts_only: [bool; 2],
    matching: Matching,
    residual: Option<pairs::Residual>,
    /// For a `NOT IN`: the weight of all rows of the right side, and of those whose key is null.
    right: [i64; 2],
    /// For a `NOT IN`: the slot of the null key.
    null_slot: Option<u32>,
    step: presence::Changes,
    /// Rows of each side that are over when the watermark has passed a time.
    due: [due::Due; 2],
    /// Slots that are over when the watermark has passed a time (ns).
    due_slots: BTreeMap<i64, Vec<u32>>,
    /// Entries whose weight may have come to nothing, and slots that may be empty.
    dead: [Vec<u32>; 2],
    empty: Vec<u32>,
    /// Whether the rows of sides that nothing bounds have ages: a step has said since when rows are kept.
    aging: bool,
    ages: age::Ages,
    scratch: Vec<u32>,
    /// Slots whose rows of a side have changed since the last checkpoint, some of them given to other keys since; `None` =
    /// nobody has asked yet.
    unsaved: Option<[unsaved::Noted; 2]>,
    /// The slot that is looked at next when keys are to leave memory.
    hand: ClockHand,
}

impl Join {
    /// A fresh operator. Errors: a type that cannot be kept or compared.
    pub fn new(spec: JoinSpec) -> Result<Self> {
        let mut key_types = Vec::new();
        for (i, left) in spec.inputs[0].keys.iter().enumerate() {
            let types = [left, &spec.inputs[1].keys[i]].map(|key| key.clone());
            let left = types[0].data_type(&spec.inputs[0].schema)?;
            let right = types[1].data_type(&spec.inputs[1].schema)?;
            if left != right {
                return Ok(exec_err!("a join's keys have types {left} and {right}")?);
            }
            key_types.push(left);
        }
        let types = |side: usize| -> Vec<DataType> {
            spec.inputs[side].schema.fields().iter().map(|f| f.data_type().clone()).collect()
        };
        let rows = [
            RowLists::new(&types(0), spec.inputs[0].append_only)?,
            RowLists::new(&types(1), spec.inputs[1].append_only)?,
        ];
        let matching = spec.matching(false);
        Ok(Join {
            keys: KeyTable::new(&key_types)?,
            slots: Vec::new(),
            rows,
            counts_only: [spec.counts_only(0), spec.counts_only(1)],
            matching,
            residual: spec.residual.clone().map(|r| pairs::Residual::new(&spec, r)).transpose()?,
            right: [0; 2],
            null_slot: None,
            step: presence::Changes::default(),
            due: Default::default(),
            due_slots: BTreeMap::new(),
            dead: [Vec::new(), Vec::new()],
            empty: Vec::new(),
            aging: false,
            ages: age::Ages::default(),
            scratch: Vec::new(),
            unsaved: None,
            hand: ClockHand::default(),
            spec,
        })
    }

    /// The key columns of a side's rows.
    fn key_columns(&self, side: usize, part: &Part) -> Result<Vec<ArrayRef>> {
        let keys = self.spec.inputs[side].keys.iter();
        let key = |key: &Arc<dyn PhysicalExpr>| match key.downcast_ref::<Column>() {
            Some(column) => Ok(one_zero(part.column(column.index())?)),
            None => Ok(one_zero(key.evaluate(&part.delta()?.batch)?.into_array(part.num_rows())?)),
        };
        keys.map(key).collect()
    }

    /// Puts the slots of a side's rows into `self.scratch`.
    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        let skipping = !self.spec.nulls_equal && !self.spec.null_aware;
        let nulls: Vec<&ArrayRef> = keys.iter().filter(|k| skipping && k.null_count() > 0).collect();
        let skip = |i: usize| nulls.iter().any(|k| k.is_null(i));
        let mut slots = std::mem::take(&mut self.scratch);
        self.keys.intern(keys, rows, skip, &mut slots)?;
        self.slots.resize(self.keys.slots(), Slot::default());
        self.scratch = slots;
        Ok(())
    }

    /// When (ns) each of a side's rows is over, if an interval bounds it.
    fn until(&self, side: usize, part: &Part) -> Result<Option<Vec<i64>>> {
        let Some(JoinBound::Interval { columns, keep }) = self.spec.bound else { return Ok(None) };
        let times = nanoseconds(&part.column(columns[side])?)?;
        // A row without a time matches nothing.
        let until = times.iter().map(|t| t.map_or(WATERMARK_NONE, |t| t.saturating_add(keep[side])));
        Ok(Some(until.collect()))
    }

    /// Notes when the slots of these rows are over, if a window bounds them.
    fn note_windows(&mut self, keys: &[ArrayRef], slots: &[u32]) -> Result<()> {
        let Some(JoinBound::Key { key, keep, .. }) = self.spec.bound else { return Ok(()) };
        let times = nanoseconds(&keys[key])?;
        for (i, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
            let until = &mut self.slots[*slot as usize].until;
            if *until == i64::MAX && times.is_valid(i) {
                *until = times.value(i).saturating_add(keep);
                self.due_slots.entry(*until).or_default().push(*slot);
            }
        }
        Ok(())
    }

    /// Drops what the watermark has passed; with `hold`, rows that have found no match go out first.
    fn expire(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<()> {
        let passed = |at: i64| at < watermark || watermark == WATERMARK_END;
        let mut held: [Vec<presence::Row>; 2] = [Vec::new(), Vec::new()];
        for (side, held) in held.iter_mut().enumerate() {
            let rows = &self.rows[side];
            for id in self.due[side].take(passed, |id| rows.until(id)) {
                let rows = &self.rows[side];
                // The entry may have been given to another row meanwhile.
                if rows.slot(id) == NO_ROW || !passed(rows.until(id)) {
                    continue;
                }
                self.hold(side, id, held);
                self.dead[side].push(id);
                self.rows[side].set_weight(id, 0);
            }
        }
        let mut over = Vec::new();
        while let Some(first) = self.due_slots.first_entry().filter(|first| passed(*first.key())) {
            over.extend(first.remove());
        }
        for slot in over {
            // The slot may have been given to another key meanwhile.
            if !passed(self.slots[slot as usize].until) {
                continue;
            }
            for (side, held) in held.iter_mut().enumerate() {
                let mut id = self.rows[side].first(slot);
                while id != NO_ROW {
                    self.hold(side, id, held);
                    self.dead[side].push(id);
                    self.rows[side].set_weight(id, 0);
                    id = self.rows[side].next(id);
                }
            }
            self.slots[slot as usize].weights = [0; 2];
            self.empty.push(slot);
        }
        for (side, rows) in held.iter().enumerate() {
            self.give_rows(side, rows, out)?;
        }
        self.clean()
    }

    /// An entry that is over: what is still owed of it.
    fn hold(&self, side: usize, id: u32, held: &mut Vec<presence::Row>) {
        if self.spec.hold && self.spec.gives_rows_of(side) {
            let weight = self.rows[side].weight(id);
            let matched = self.is_matched(side, id);
            if weight != 0 && !self.is_given_early(matched) {
                held.push(presence::Row { id, weight, matched });
            }
        }
    }

    /// Forgets entries and slots that have come to nothing.
    fn clean(&mut self) -> Result<()> {
        for side in 0..2 {
            for id in descending(std::mem::take(&mut self.dead[side])) {
                let slot = self.rows[side].slot(id);
                if slot == NO_ROW || self.rows[side].weight(id) != 0 {
                    continue;
                }
                self.rows[side].remove(id);
                self.slots[slot as usize].entries[side] -= 1;
                self.note_unsaved(side, slot);
                self.empty.push(slot);
            }
            self.rows[side].sweep()?;
        }
        for slot in descending(std::mem::take(&mut self.empty)) {
            let state = &mut self.slots[slot as usize];
            let gone = |side: usize| match self.counts_only[side] {
                true => state.weights[side] == 0,
                false => state.entries[side] == 0,
            };
            if gone(0) && gone(1) {
                let Slot { saved, unsaved, .. } = std::mem::take(state);
                state.unsaved = unsaved::of_nobody(unsaved);
                if saved && self.unsaved.is_some() {
                    self.keys.remove_noted(slot)
                } else {
                    self.keys.remove(slot)
                }
                self.null_slot = self.null_slot.filter(|null| *null != slot);
            }
        }
        Ok(())
    }
}

impl Join {
    /// Takes rows of a side in.
    fn take(&mut self, port: usize, part: Part, out: &mut dyn Emit) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        // Rows become bytes of all their columns; what is kept as columns is copied once, to where it stays. A key that is
        // worked out wants whole rows.
        let whole = !self.rows[port].only_grows() && !self.counts_only[port];
        let whole = whole || self.spec.inputs[port].keys.iter().any(|key| !key.is::<Column>());
        let part = if whole { part.delta()?.into() } else { part };
        let keys = self.key_columns(port, &part)?;
        self.intern(&keys, part.num_rows())?;
        let slots = std::mem::take(&mut self.scratch);
        self.note_windows(&keys, &slots)?;
        if self.spec.null_aware {
            self.note_nulls(port, &keys, &part, &slots);
        }
        self.unmatchable(port, &part, &slots, out)?;
        // First the pairs with what the other side has, then the rows become part of their own side.
        let matches = self.pairs(port, &part, &slots, out)?;
        self.take_in(port, &part, &slots, matches.as_deref())?;
        for slot in slots.iter().filter(|slot| **slot != NO_SLOT) {
            self.slots[*slot as usize].used = true;
        }
        self.scratch = slots;
        Ok(())
    }
}

impl Operator for Join {
    fn begin_step(&mut self, start: StepStart) -> Result<()> {
        self.begin(start)
    }

    fn push(&mut self, port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        self.push_part(port, delta.into(), out)
    }

    fn push_part(&mut self, port: usize, part: Part, out: &mut dyn Emit) -> Result<()> {
        if self.waits(port) {
            self.wait(port, part.delta()?);
            return Ok(());
        }
        self.take(port, part, out)
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        for side in 0..2 {
            if let Some(delta) = self.waited(side)? {
                self.take(side, delta.into(), out)?;
            }
        }
        self.give_changes(out)?;
        self.clean()?;
        if self.spec.bound.is_some() {
            self.expire(watermark, out)?;
        }
        let lag = self.spec.bound.map_or(0, JoinBound::lag);
        Ok(match watermark {
            WATERMARK_END | WATERMARK_NONE => watermark,
            _ => watermark.saturating_sub(lag),
        })
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.save()
    }

    fn snapshot_changes(&mut self) -> Result<StateChange> {
        self.save_changes()
    }

    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.load(tables)
    }

    fn keyed(&mut self) -> Option<&mut dyn KeyedState> {
        if self.can_spill() { Some(self) } else { None }
    }

    fn metrics(&self) -> OperatorMetrics {
        let rows = self.rows[0].len() + self.rows[1].len();
        let bytes = self.keys.bytes()
            + self.slots.capacity() * size_of::<Slot>()
            + self.rows[0].bytes()
            + self.rows[1].bytes();
        OperatorMetrics {
            state_rows: rows as u64,
            state_bytes: bytes as u64,
            expired: self.ages.expired,
            ignored: self.ages.ignored,
            ..OperatorMetrics::default()
        }
    }

    fn open_window(&mut self) -> Option<OpenWindow> {
        // Of rows that wait for a match only those matter that go out without one.
        let counts = |side: &usize| !self.spec.hold || self.spec.gives_rows_of(*side);
        let due = (0..2).filter(counts).filter_map(|side| self.due[side].first());
        let end = due.chain(self.due_slots.first_key_value().map(|(at, _)| *at)).min()?;
        // What has no time is over at once; what is bounded by nothing never is.
        let timely = end != WATERMARK_NONE && end != i64::MAX;
        timely.then_some(OpenWindow { end, closes: end.saturating_add(1), waits: self.spec.hold })
    }
}

/// A timestamp column in nanoseconds; out of range saturates.
fn nanoseconds(column: &ArrayRef) -> Result<arrow::array::Int64Array> {
    let DataType::Timestamp(unit, _) = column.data_type() else {
        return Ok(exec_err!("a join is bounded by a column that is no timestamp")?);
    };
    let unit = unit_ns(*unit);
    let values = cast(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    Ok(if unit == 1 { values.clone() } else { values.unary(|v| v.saturating_mul(unit)) })
}
