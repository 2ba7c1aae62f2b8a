//! Ranking: the rows of each partition whose rank lies in a range, kept up to date.
//!
//! SQL    `row_number() | rank() | dense_rank() OVER (PARTITION BY k ORDER BY x) … <= n` · `DISTINCT ON (k)` ·
//!        first and last row of a key · `ORDER BY x LIMIT n OFFSET m`
//! Law    after each step the sum of the output deltas is the batch answer; ties in the ORDER BY are in the order
//!        of the rows' other columns, so no order of arrival can show
//! State  per partition an ordered multiset of rows (sort key, other columns → weight). Input that only grows:
//!        what is in the range or could be but for its lower end, so at most keys · n rows (rank and dense_rank:
//!        and their ties); so too where rows only rise (see `threshold`). Else, or without an upper end: all rows; where nothing bounds these, they leave by their
//!        age, if a step says so
//!        Rows are order-preserving bytes; row_number() over input that only grows keeps the sort key alone so and the rows
//!        as columns (`rows`), and tells rows that tie apart by bytes of their other columns (`pending`)
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
mod pending;
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
use crate::delta::{Delta, EventTime, Part, WATERMARK_END, WATERMARK_NONE};
use crate::operators::aggregate::EmitMode;
use crate::state::columns::Place;
use crate::state::ranked::{Begin, Change, Entry, Growth, Position};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::Rows;
use datafusion::common::{exec_err, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use partitions::{Kept, NONE, Partition, Partitions};
use pending::{Pending, StepRows};
use rows::{Columns, Outgoing, RowBytes};
use std::collections::BTreeMap;
use std::sync::Arc;
use walk::{Wanted, needed, send_all, walk};

/// The running operator: one worker's partitions.
pub struct TopN {
    spec: TopNSpec,
    bytes: RowBytes,
    key_types: Vec<DataType>,
    /// Nanoseconds in a unit of the window key.
    unit: i64,
    partitions: Partitions,
    /// The kept rows and the step's, where they are kept as columns.
    columns: Option<Columns>,
    /// The step's rows that may change something.
    step: StepRows,
    size: Growth,
    ages: age::Ages,
    /// Where rows are spread over the workers: what goes out with the next step, as their number has changed.
    owed: BTreeMap<Box<[u8]>, i64>,
    /// A number for each partition, 0 but while the best rows of a batch are looked for.
    scratch: Vec<u32>,
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
        let bytes = RowBytes::new(&spec)?;
        let columns = spec.keeps_columns().then(|| Columns::new(&spec));
        let partitions = Partitions::new(&types, spec.window.is_some(), spec.keeps_one())?;
        Ok(TopN {
            spec,
            bytes,
            key_types: types,
            unit,
            partitions,
            columns,
            step: StepRows::default(),
            size: Growth::default(),
            ages: age::Ages::default(),
            owed: BTreeMap::new(),
            scratch: Vec::new(),
        })
    }

    fn wanted(&self) -> Wanted {
        let TopNSpec { function, output, .. } = self.spec;
        Wanted { function, output, first: self.spec.least(), last: self.spec.most() }
    }

    /// The partition of each of `rows` rows with these keys.
    fn partitions_of(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let windows: Option<(_, Int64Array)> = match self.spec.window {
            Some(window) => {
                let times = cast(&columns[window.key], &DataType::Int64)?;
                Some((window, times.as_primitive::<Int64Type>().clone()))
            }
            None => None,
        };
        self.partitions.number(columns, rows, |row| {
            let value = |times: &Int64Array| times.is_valid(row).then(|| times.value(row));
            windows.as_ref().map_or(WATERMARK_END, |(w, times)| w.close(value(times), self.unit))
        })
    }

    /// Whether a row that begins with these bytes may come into its partition's range.
    fn may_come(&self, partition: u32, begin: &[u8]) -> bool {
        let limit = self.partitions.get(partition).and_then(Partition::limit);
        // A beginning that is greater than the whole of the last row makes a greater row.
        limit.is_none_or(|limit| limit.compare(Begin::of(begin), begin).is_ge())
    }

    /// The rows of a batch that may come into the range; `None` = all.
    fn candidates(&self, order: &[ArrayRef], partitions: &[u32]) -> Result<Option<UInt32Array>> {
        let anything_full =
            || partitions.iter().any(|p| self.partitions.get(*p).is_some_and(|p| p.limit().is_some()));
        if !self.spec.takes_top_only() || !anything_full() {
            return Ok(None);
        }
        let Some(lead) = self.bytes.lead(order)? else { return Ok(None) };
        let may = |row: &usize| self.may_come(partitions[*row], lead.row(*row).data());
        Ok(Some((0..partitions.len()).filter(may).map(|row| row as u32).collect()))
    }

    /// Leaves of these rows of a batch only those that can be among the first of their partition by the sort key.
    fn retain_best(&mut self, rows: &mut Vec<u32>, partitions: &[u32], keys: &Rows) {
        let partition = |row: u32| partitions[row as usize] as usize;
        let key = |row: u32| keys.row(row as usize).data();
        let bounds = &mut self.scratch;
        bounds.resize(self.partitions.numbers(), 0);
        if self.spec.keeps_one() {
            // The first row from 1, so far.
            for row in &*rows {
                let best = &mut bounds[partition(*row)];
                if *best == 0 || key(*row) < key(*best - 1) {
                    *best = *row + 1;
                }
            }
            rows.retain(|row| {
                let best = bounds[partition(*row)] - 1;
                *row == best || key(*row) == key(best)
            });
            rows.iter().for_each(|row| bounds[partition(*row)] = 0);
            return;
        }
        // First how many rows a partition has, then the last of those that stay.
        rows.iter().for_each(|row| bounds[partition(*row)] += 1);
        let most = usize::try_from(self.spec.most()).unwrap_or(usize::MAX);
        let is_crowded = |row: &u32| bounds[partition(*row)] as usize > most;
        let mut crowd: Vec<(u32, Begin, u32)> = rows
            .iter()
            .copied()
            .filter(is_crowded)
            .map(|row| (partitions[row as usize], Begin::of(key(row)), row))
            .collect();
        rows.iter().for_each(|row| bounds[partition(*row)] = NONE);
        crowd.sort_unstable_by_key(|(partition, _, _)| *partition);
        for of_one in crowd.chunk_by_mut(|a, b| a.0 == b.0) {
            let (_, bound, _) = of_one
                .select_nth_unstable_by(most - 1, |a, b| a.1.cmp(&b.1).then_with(|| key(a.2).cmp(key(b.2))));
            bounds[bound.0 as usize] = bound.2;
        }
        if !crowd.is_empty() {
            rows.retain(|row| {
                let bound = bounds[partition(*row)];
                bound == NONE || bound == *row || key(*row) <= key(bound)
            });
        }
        partitions.iter().for_each(|partition| bounds[*partition as usize] = 0);
    }

    /// Takes rows in; they change nothing before the step's end. `came`: when they came, if not in this step.
    fn gather(&mut self, mut part: Part, came: Option<&Int64Array>) -> Result<()> {
        let columns = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
        let all = self.spec.keys.iter().chain(self.bytes.order());
        let columns: Option<Vec<usize>> = all.map(columns).collect();
        let mut keys = match columns {
            // They alone are copied.
            Some(columns) => columns.into_iter().map(|c| part.column(c)).collect::<Result<Vec<_>, _>>()?,
            None => {
                let delta = part.delta()?;
                let all = self.spec.keys.iter().chain(self.bytes.order());
                let all = all.map(|expr| expr.evaluate(&delta.batch)?.into_array(delta.num_rows()));
                let all = all.collect::<Result<Vec<ArrayRef>, _>>()?;
                part = delta.into();
                all
            }
        };
        let order = keys.split_off(self.spec.keys.len());
        let partitions = self.partitions_of(&keys, part.num_rows())?;
        match self.bytes.keys(&order)? {
            Some(keys) => self.gather_columns(&part, partitions, keys, came),
            None => self.gather_bytes(part.delta()?, partitions, order, came),
        }
    }

    fn gather_bytes(
        &mut self,
        mut delta: Delta,
        mut partitions: Vec<u32>,
        mut order: Vec<ArrayRef>,
        came: Option<&Int64Array>,
    ) -> Result<()> {
        // No weights come with what only grows, so nothing else needs to be cut.
        let few = if delta.weights.is_none() { self.candidates(&order, &partitions)? } else { None };
        if let Some(few) = few {
            if few.is_empty() {
                return Ok(());
            }
            partitions = few.values().iter().map(|row| partitions[*row as usize]).collect();
            order = take_arrays(&order, &few, None)?;
            delta = delta.take(&few)?;
        }
        let (rows, keys) = self.bytes.encode(&order, &delta.batch)?;
        for (row, partition) in partitions.into_iter().enumerate() {
            let key = keys.as_ref().map_or(0, |keys| keys[row]);
            self.wait(partition, row, key, 0, (delta.weight(row), came), &rows);
        }
        self.step.push_batch(rows);
        Ok(())
    }

    /// The same where rows are kept as columns; `keys`: their sort keys.
    fn gather_columns(
        &mut self,
        part: &Part,
        partitions: Vec<u32>,
        keys: Rows,
        came: Option<&Int64Array>,
    ) -> Result<()> {
        let mut rows: Vec<u32> = (0..partitions.len() as u32).collect();
        if part.is_unweighted() {
            let key = |row: u32| keys.row(row as usize).data();
            rows.retain(|row| self.may_come(partitions[*row as usize], key(*row)));
            self.retain_best(&mut rows, &partitions, &keys);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let Some(columns) = &mut self.columns else { return Ok(()) };
        let places = match rows.len() == partitions.len() {
            true => columns.push(part)?,
            false => columns.push(&part.some(&rows))?,
        };
        for (number, row) in rows.into_iter().map(|row| row as usize).enumerate() {
            let key = keys.row(row).data().len() as u32;
            self.wait(partitions[row], row, key, places.place(number), (part.weight(row), came), &keys);
        }
        self.step.push_batch(keys);
        Ok(())
    }

    /// A row waits for the step's end: row `row` of `rows`, the batch that is pushed next.
    fn wait(
        &mut self,
        partition: u32,
        row: usize,
        key: u32,
        place: Place,
        (weight, came): (i64, Option<&Int64Array>),
        rows: &Rows,
    ) {
        let came = came.map_or(self.ages.now, |came| came.value(row));
        let batch = self.step.next_batch();
        let row = Pending { partition, batch, row: row as u32, key, place, told: NONE, weight, came };
        if !self.spec.keeps_one() {
            return self.step.push(row);
        }
        let Some(partition) = self.partitions.get_mut(partition) else { return };
        let left_out = self.step.offer(partition, row, rows, self.columns.is_some());
        if let (Some(columns), Some(place)) = (&mut self.columns, left_out) {
            columns.free([place]);
        }
    }

    /// Brings the step's rows into the state; sends what changes if changes are sent.
    fn apply(&mut self, send: bool, out: &mut dyn Emit) -> Result<()> {
        let mut step = std::mem::take(&mut self.step);
        if step.is_empty() {
            return Ok(());
        }
        step.bring_into_order(self.spec.keeps_one());
        if let Some(columns) = &self.columns {
            self.size += step.tell_apart(&mut self.partitions, &self.bytes, columns)?;
        }
        self.bring(step.changes(), send, out)
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
        let mut outgoing = Outgoing::new(&self.spec, &self.bytes, self.columns.as_ref());
        // Rows that go are still there until what they change has gone out.
        let mut freed: Vec<Place> = Vec::new();
        let mut changes: Vec<Change> = Vec::new();
        let mut all = all.peekable();
        while let Some((number, change)) = all.next() {
            match changes.last_mut().filter(|last| last.row == change.row) {
                Some(last) => {
                    last.weight += change.weight;
                    last.came = last.came.max(change.came);
                    freed.push(change.place);
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
                    self.size += update(&mut partition.kept, wanted, first, &changes, sent, &mut freed);
                    self.ages.note(number, &changes);
                    changed = true;
                    if let Kept::Many(rows) = &mut partition.kept
                        && top_only
                    {
                        let keep = needed(wanted.function, wanted.last, rows.all());
                        self.size += rows.truncate(keep, |entry| freed.push(entry.place));
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
        outgoing.send(out)?;
        self.columns.iter_mut().for_each(|columns| columns.free(freed.drain(..)));
        Ok(())
    }

    /// Drops the partitions whose windows are over; sends their rows if they are final.
    fn close(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<()> {
        let wanted = self.wanted();
        let mut outgoing = Outgoing::new(&self.spec, &self.bytes, self.columns.as_ref());
        let over = self.partitions.close(watermark);
        for partition in &over {
            if self.spec.mode == EmitMode::Final {
                send_all(wanted, partition.entries(), &mut outgoing);
                outgoing.send_some(out)?;
            }
            self.size += partitions::size(partition).less();
        }
        outgoing.send(out)?;
        self.forget_rows(&over);
        Ok(())
    }

    /// Gives the columns' room of partitions back that are no longer here.
    fn forget_rows(&mut self, partitions: &[Partition]) {
        if let Some(columns) = &mut self.columns {
            columns.free(partitions.iter().flat_map(|p| p.entries()).map(|entry| entry.place));
        }
    }

    /// Gives the room of rows back that have gone, if it is much.
    fn sweep(&mut self) -> Result<()> {
        match &mut self.columns {
            Some(columns) => columns.sweep(self.partitions.entries_mut()),
            None => Ok(()),
        }
    }
}

/// Brings a partition's changes into what is kept of it, and tells what goes out.
fn update(
    kept: &mut Kept,
    wanted: Wanted,
    first: Change,
    changes: &[Change],
    outgoing: Option<&mut Outgoing>,
    freed: &mut Vec<Place>,
) -> Growth {
    let mut growth = Growth::default();
    match kept {
        Kept::One(one) => {
            freed.extend(changes[1..].iter().map(|change| change.place));
            if one.as_ref().is_some_and(|old| *old.row <= *first.row) {
                freed.push(first.place);
                return growth;
            }
            if let Some(outgoing) = outgoing {
                walk(wanted, Default::default(), one.iter(), changes, outgoing);
            }
            let new = Entry::new(&Change { weight: 1, ..first });
            growth += Growth::of(&new);
            if let Some(old) = one.replace(new) {
                growth += Growth::of(&old).less();
                freed.push(old.place);
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
                let more = rows.add(change);
                if more.entries <= 0 {
                    freed.push(change.place);
                }
                growth += more;
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

    fn push(&mut self, port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        self.push_part(port, delta.into(), out)
    }

    fn push_part(&mut self, _port: usize, part: Part, out: &mut dyn Emit) -> Result<()> {
        // First, as a partition that is left empty is forgotten, and its number given to another.
        self.leave(out)?;
        if self.spec.input_append_only && !part.is_unweighted() {
            return Ok(internal_err!("weights in input that was said to be append-only")?);
        }
        if part.is_empty() { Ok(()) } else { self.gather(part, None) }
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        if !self.owed.is_empty() {
            self.send_owed(out)?;
        }
        self.leave(out)?;
        self.apply(true, out)?;
        if self.spec.window.is_some() {
            self.close(watermark, out)?;
        }
        self.sweep()?;
        let Some(window) = self.spec.window else { return Ok(watermark) };
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
        let columns = self.columns.as_ref().map_or(0, Columns::bytes);
        OperatorMetrics {
            state_rows: self.size.entries.max(0) as u64,
            state_bytes: self.size.bytes.max(0) as u64 + self.partitions.bytes() as u64 + columns as u64,
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
