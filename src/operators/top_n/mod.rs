//! Ranking: the rows of each partition whose rank lies in a range, kept up to date.
//!
//! SQL    `row_number() | rank() | dense_rank() OVER (PARTITION BY k ORDER BY x) … <= n` · `DISTINCT ON (k)` ·
//!        first and last row of a key · `ORDER BY x LIMIT n OFFSET m`
//! Law    after each step the sum of the output deltas is the batch answer; ties in the ORDER BY are in the order
//!        of the rows' other columns, so no order of arrival can show
//! State  per partition an ordered multiset of rows (sort key, other columns → weight). Input that only grows:
//!        what is in the range or could be but for its lower end, so at most keys · n rows (rank and dense_rank:
//!        and their ties). Else, or without an upper end: all rows; where nothing bounds these, they leave by their
//!        age, if a step says so
//! In     append-only or changing; marks are ignored (who is late was decided upstream)
//! Out    changes: per step and row the difference of old and new ranks; final: a window's rows once, when it is
//!        over; without weights where nothing is taken back
//! Watermark  less the grace with a window, else as it came
//! Cost   per changed row O(log state); per touched partition the rows from the first change to the end of the
//!        range (with a rank in the output and no upper end: all rows behind the change). Rows that cannot come
//!        into the range cost their first sort column only
//!
//! A partition key that is a window's bound cuts the state: when the watermark passes the window's end plus grace,
//! the partition is dropped.

mod age;
mod checkpoint;
mod partitions;
mod rows;
mod spec;
mod spill;
#[cfg(test)]
mod tests;
mod walk;

pub use spec::{RankFunction, TopNSpec, TopNUse};

use super::spill::KeyedState;
use super::window::unit_ns;
use super::{Emit, OpenWindow, Operator, OperatorMetrics, Result, StateChange, StateTable, StepStart};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::operators::aggregate::EmitMode;
use crate::state::ranked::{Begin, Entry, Growth, Position};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{exec_err, internal_err};
use partitions::{Kept, NONE, Partition, Partitions};
use rows::{Outgoing, RowBytes};
use walk::{Change, Wanted, needed, send_all, walk};

/// A row of the running step.
#[derive(Debug, Clone, Copy)]
struct Pending {
    partition: u32,
    /// Which of the step's batches it is in, and where.
    batch: u32,
    row: u32,
    /// Length of its sort key.
    key: u32,
    weight: i64,
    /// When (ns) it came.
    came: i64,
}

/// The running operator: one worker's partitions.
pub struct TopN {
    spec: TopNSpec,
    bytes: RowBytes,
    /// Encodes partition keys; `None` without keys.
    keys: Option<RowConverter>,
    key_types: Vec<DataType>,
    /// Nanoseconds in a unit of the window key.
    unit: i64,
    partitions: Partitions,
    /// The step's rows that may change something, and their bytes by batch.
    pending: Vec<Pending>,
    batches: Vec<Rows>,
    size: Growth,
    ages: age::Ages,
    /// Where only one row is kept: the best row of a batch by partition, while it is looked for.
    first: Vec<u32>,
}

impl TopN {
    /// A fresh operator. Errors: a type whose values have no order; a window key that is no timestamp.
    pub fn new(spec: TopNSpec) -> Result<Self> {
        let types = spec.keys.iter().map(|k| k.data_type(&spec.input_schema));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        let unit = match spec.window.and_then(|w| types.get(w.key)) {
            None => 1,
            Some(DataType::Timestamp(unit, _)) => unit_ns(*unit),
            Some(other) => return Ok(exec_err!("a window key must be a timestamp, not {other}")?),
        };
        if spec.first == 0 || spec.last.is_some_and(|last| last < spec.first) {
            return Ok(internal_err!("a range of ranks that holds none")?);
        }
        let fields: Vec<SortField> = types.iter().cloned().map(SortField::new).collect();
        let keys = if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) };
        let bytes = RowBytes::new(&spec)?;
        let partitions = Partitions::new(spec.window.is_some(), spec.keeps_one());
        Ok(TopN {
            spec,
            bytes,
            keys,
            key_types: types,
            unit,
            partitions,
            pending: Vec::new(),
            batches: Vec::new(),
            size: Growth::default(),
            ages: age::Ages::default(),
            first: Vec::new(),
        })
    }

    fn wanted(&self) -> Wanted {
        let TopNSpec { function, output, .. } = self.spec;
        Wanted { function, output, first: self.spec.least(), last: self.spec.most() }
    }

    /// The partition of each row of a batch.
    fn partitions_of(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let rows = batch.num_rows();
        let evaluate = |e: &std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>| {
            e.evaluate(batch)?.into_array(rows)
        };
        let columns = self.spec.keys.iter().map(evaluate).collect::<Result<Vec<ArrayRef>, _>>()?;
        let Some(keys) = &self.keys else {
            return Ok(if rows == 0 {
                vec![]
            } else {
                vec![self.partitions.number(&[], || WATERMARK_END); rows]
            });
        };
        let encoded = keys.convert_columns(&columns)?;
        let windows: Option<(_, Int64Array)> = match self.spec.window {
            Some(window) => {
                let times = cast(&columns[window.key], &DataType::Int64)?;
                Some((window, times.as_primitive::<Int64Type>().clone()))
            }
            None => None,
        };
        let mut numbers: Vec<u32> = Vec::with_capacity(rows);
        for (i, key) in encoded.iter().enumerate() {
            let close = || {
                let value = |times: &Int64Array| times.is_valid(i).then(|| times.value(i));
                windows.as_ref().map_or(WATERMARK_END, |(w, times)| w.close(value(times), self.unit))
            };
            numbers.push(self.partitions.number(key.as_ref(), close));
        }
        Ok(numbers)
    }

    /// The rows of a batch that may come into the range; `None` = all.
    fn candidates(&mut self, order: &[ArrayRef], partitions: &[u32]) -> Result<Option<UInt32Array>> {
        let anything_full =
            || partitions.iter().any(|p| self.partitions.get(*p).is_some_and(|p| p.limit().is_some()));
        if !self.spec.keeps_top_only() || !anything_full() {
            return Ok(None);
        }
        let Some(lead) = self.bytes.lead(order)? else { return Ok(None) };
        let may = |row: &usize| {
            let limit = self.partitions.get(partitions[*row]).and_then(Partition::limit);
            // A beginning that is greater than the whole of the last row makes a greater row.
            limit.is_none_or(|limit| {
                let lead = lead.row(*row).data();
                limit.compare(Begin::of(lead), lead).is_ge()
            })
        };
        Ok(Some((0..partitions.len()).filter(may).map(|row| row as u32).collect()))
    }

    /// Where only one row is kept: the rows of a batch before which none of their partition comes by the sort key; `None` =
    /// all. So most rows cost no more than their sort key.
    fn best(&mut self, order: &[ArrayRef], partitions: &[u32]) -> Result<Option<UInt32Array>> {
        if !self.spec.keeps_one() || partitions.len() < 2 {
            return Ok(None);
        }
        let Some(keys) = self.bytes.keys(order)? else { return Ok(None) };
        let key = |row: u32| keys.row(row as usize).data();
        self.first.resize(self.partitions.numbers(), NONE);
        for (row, partition) in (0u32..).zip(partitions) {
            let first = &mut self.first[*partition as usize];
            if *first == NONE || key(row) < key(*first) {
                *first = row;
            }
        }
        let first = &self.first;
        let is_best = |(row, partition): &(u32, &u32)| key(*row) == key(first[**partition as usize]);
        let best: Vec<u32> = (0u32..).zip(partitions).filter(is_best).map(|(row, _)| row).collect();
        partitions.iter().for_each(|partition| self.first[*partition as usize] = NONE);
        Ok((best.len() < partitions.len()).then(|| best.into()))
    }

    /// Where only one row is kept: leaves the row only if it is the step's best of its partition.
    fn offer(&mut self, offered: Pending, rows: &Rows) {
        let Some(partition) = self.partitions.get_mut(offered.partition) else { return };
        let row = rows.row(offered.row as usize);
        match self.pending.get_mut(partition.best as usize) {
            Some(best) => {
                let batch = self.batches.get(best.batch as usize).unwrap_or(rows);
                if row.as_ref() < batch.row(best.row as usize).as_ref() {
                    *best = offered;
                }
            }
            None => {
                partition.best = self.pending.len() as u32;
                self.pending.push(offered);
            }
        }
    }

    /// Takes rows in; they change nothing before the step's end. `came`: when they came, if not in this step.
    fn gather(
        &mut self,
        batch: &RecordBatch,
        weights: Option<&Int64Array>,
        came: Option<&Int64Array>,
    ) -> Result<()> {
        let mut partitions = self.partitions_of(batch)?;
        let mut order = RowBytes::order(&self.spec, batch)?;
        let mut batch = batch.clone();
        // No weights come with what only grows, so nothing else needs to be cut.
        for choose in [Self::candidates, Self::best] {
            let few = if weights.is_none() { choose(self, &order, &partitions)? } else { None };
            let Some(few) = few else { continue };
            if few.is_empty() {
                return Ok(());
            }
            partitions = few.values().iter().map(|row| partitions[*row as usize]).collect();
            order = take_arrays(&order, &few, None)?;
            batch = crate::delta::take_rows(&batch, &few)?;
        }
        let (rows, keys) = self.bytes.encode(&order, &batch)?;
        let number = self.batches.len() as u32;
        let one = self.spec.keeps_one();
        for (row, partition) in partitions.into_iter().enumerate() {
            let key = keys.as_ref().map_or(0, |keys| keys[row]);
            let weight = weights.map_or(1, |w| w.value(row));
            let came = came.map_or(self.ages.now, |came| came.value(row));
            let pending = Pending { partition, batch: number, row: row as u32, key, weight, came };
            if one { self.offer(pending, &rows) } else { self.pending.push(pending) }
        }
        self.batches.push(rows);
        Ok(())
    }

    /// Brings the step's rows into the state; sends what changes if changes are sent.
    fn apply(&mut self, send: bool, out: &mut dyn Emit) -> Result<()> {
        let (mut pending, batches) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.batches));
        let row = |p: &Pending| -> &[u8] { batches[p.batch as usize].row(p.row as usize).data() };
        if !self.spec.keeps_one() {
            let mut begun: Vec<(u32, Begin, Pending)> =
                pending.into_iter().map(|p| (p.partition, Begin::of(row(&p)), p)).collect();
            begun.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| row(&a.2).cmp(row(&b.2))));
            pending = begun.into_iter().map(|(_, _, p)| p).collect();
        }
        let change = |p: &Pending| Change { row: row(p), key: p.key, weight: p.weight, came: p.came };
        self.bring(pending.iter().map(|p| (p.partition, change(p))), send, out)
    }

    /// Takes the rows back that leave by their age.
    fn leave(&mut self, out: &mut dyn Emit) -> Result<()> {
        let mut leaving = std::mem::take(&mut self.ages.leaving);
        if leaving.is_empty() {
            return Ok(());
        }
        leaving.sort_unstable_by(|a, b| {
            a.partition.cmp(&b.partition).then_with(|| a.change().row.cmp(b.change().row))
        });
        self.bring(leaving.iter().map(|leaver| (leaver.partition, leaver.change())), true, out)
    }

    /// Brings changes into the state, which are in the order of partitions and rows.
    fn bring<'c>(
        &mut self,
        all: impl Iterator<Item = (u32, Change<'c>)>,
        send: bool,
        out: &mut dyn Emit,
    ) -> Result<()> {
        let wanted = self.wanted();
        let send = send && self.spec.mode == EmitMode::Changes;
        let top_only = self.spec.keeps_top_only();
        // What comes back was judged when it came.
        let only_there = self.ages.are_counted() && !self.partitions.admitting;
        let mut outgoing = Outgoing::new(&self.spec, &self.bytes);
        let mut changes: Vec<Change> = Vec::new();
        let mut all = all.peekable();
        while let Some((number, change)) = all.next() {
            match changes.last_mut().filter(|last| last.row == change.row) {
                Some(last) => {
                    last.weight += change.weight;
                    last.came = last.came.max(change.came);
                }
                None => changes.push(change),
            }
            if all.peek().is_some_and(|(next, _)| *next == number) {
                continue;
            }
            // The partition's changes are complete.
            changes.retain(|c| c.weight != 0);
            let mut changed = false;
            if let Some(partition) = self.partitions.get_mut(number) {
                partition.best = NONE;
                if only_there {
                    self.ages.only_there(&partition.kept, &mut changes);
                }
                if let Some(first) = changes.first().copied() {
                    let sent = send.then_some(&mut outgoing);
                    self.size += update(&mut partition.kept, wanted, first, &changes, sent);
                    self.ages.note(number, &changes);
                    changed = true;
                    if let Kept::Many(rows) = &mut partition.kept
                        && top_only
                    {
                        let keep = needed(wanted.function, wanted.last, rows.all());
                        self.size += rows.truncate(keep);
                        partition.full = is_full(wanted, rows.all());
                    }
                }
                if changed {
                    self.partitions.note_unsaved(number);
                }
                self.partitions.forget_empty(number);
            }
            changes.clear();
            outgoing.send_some(out)?;
        }
        outgoing.send(out)
    }

    /// Drops the partitions whose windows are over; sends their rows if they are final.
    fn close(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<()> {
        let wanted = self.wanted();
        let mut outgoing = Outgoing::new(&self.spec, &self.bytes);
        for partition in self.partitions.close(watermark) {
            if self.spec.mode == EmitMode::Final {
                send_all(wanted, partition.entries(), &mut outgoing);
                outgoing.send_some(out)?;
            }
            self.size += partitions::size(&partition).less();
        }
        outgoing.send(out)
    }
}

/// Brings a partition's changes into what is kept of it, and tells what goes out.
fn update(
    kept: &mut Kept,
    wanted: Wanted,
    first: Change,
    changes: &[Change],
    outgoing: Option<&mut Outgoing>,
) -> Growth {
    let mut growth = Growth::default();
    match kept {
        Kept::One(one) => {
            if one.as_ref().is_some_and(|old| *old.row <= *first.row) {
                return growth;
            }
            if let Some(outgoing) = outgoing {
                walk(wanted, Default::default(), one.iter(), changes, outgoing);
            }
            let new = Entry::new(first.row, first.key, 1, first.came);
            growth += Growth::of(&new);
            if let Some(old) = one.replace(new) {
                growth += Growth::of(&old).less();
            }
        }
        Kept::Many(rows) => {
            if let Some(outgoing) = outgoing {
                // Ranks that are shared begin with the first row of a sort key.
                let ties = wanted.function != RankFunction::RowNumber;
                let from = if ties { &first.row[..first.key as usize] } else { first.row };
                let dense = wanted.function == RankFunction::DenseRank;
                if rows.is_empty() {
                    walk(wanted, Default::default(), rows.from(Position::default()), changes, outgoing);
                } else if let Some((at, before)) = rows.seek(from, dense, wanted.last) {
                    walk(wanted, before, rows.from(at), changes, outgoing);
                }
            }
            for change in changes {
                growth += rows.add(change.row, change.key, change.weight, change.came);
            }
        }
    }
    growth
}

/// Whether no row behind the last of these, all that are kept, can come into the range.
fn is_full<'a>(wanted: Wanted, rows: impl Iterator<Item = &'a Entry>) -> bool {
    let (mut count, mut last) = (0i64, None);
    for entry in rows {
        match wanted.function {
            RankFunction::DenseRank => count += i64::from(last != Some(entry.sort_key())),
            _ => count += entry.weight,
        }
        last = Some(entry.sort_key());
    }
    count >= wanted.last
}

impl Operator for TopN {
    fn begin_step(&mut self, start: StepStart) -> Result<()> {
        if self.spec.unbounded {
            self.ages.begin(start, &mut self.partitions);
        }
        Ok(())
    }

    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        // First, as a partition that is left empty is forgotten, and its number given to another.
        self.leave(out)?;
        if self.spec.input_append_only && delta.weights.is_some() {
            return Ok(internal_err!("weights in input that was said to be append-only")?);
        }
        if delta.is_empty() { Ok(()) } else { self.gather(&delta.batch, delta.weights.as_ref(), None) }
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        self.leave(out)?;
        self.apply(true, out)?;
        let Some(window) = self.spec.window else { return Ok(watermark) };
        self.close(watermark, out)?;
        let lags = self.spec.purpose == TopNUse::Result;
        Ok(if lags && ![WATERMARK_END, WATERMARK_NONE].contains(&watermark) {
            watermark.saturating_sub(window.grace)
        } else {
            watermark
        })
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.save()
    }

    fn snapshot_changes(&mut self) -> Result<StateChange> {
        self.save_changes()
    }

    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.load(tables)?;
        self.partitions.begin_unsaved();
        Ok(())
    }

    fn keyed(&mut self) -> Option<&mut dyn KeyedState> {
        if self.can_spill() { Some(self) } else { None }
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: self.size.entries.max(0) as u64,
            state_bytes: self.size.bytes.max(0) as u64 + self.partitions.bytes() as u64,
            expired: self.ages.expired,
            ignored: self.ages.ignored,
            ..Default::default()
        }
    }

    fn open_window(&mut self) -> Option<OpenWindow> {
        let window = self.spec.window?;
        let closes = self.partitions.next_close().filter(|closes| *closes != WATERMARK_END)?;
        let end = closes.saturating_sub(window.grace);
        Some(OpenWindow { end, closes, waits: self.spec.mode == EmitMode::Final })
    }
}
