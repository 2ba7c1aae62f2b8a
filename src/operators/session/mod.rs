//! `FROM SESSION(s, ts, gap, PARTITION => k)` in all its spellings
//!
//! | | |
//! |---|---|
//! | Law | per key (nulls are one), rows no further than the gap apart are in one session; each row goes out with its session's `window_start` (first row), `window_end` (last row + gap), `window_time` (end - 1 ms; - 1 s over whole seconds) |
//! | State | per key its rows in the order of their times, and where its sessions begin and end; a session is dropped when the watermark has passed its end plus grace, without a watermark never; keys can leave memory |
//! | In | append-only or changing; none late or without a time (see `in_time`); marks are ignored |
//! | Out | changes: per step the rows of the sessions that have changed, taken back and added; final: each session's rows once, when it is over |
//! | Watermark | less the grace and what `window_time` lies before the end: no row of a session that is still open lies behind it |
//! | Cost | final: O(log state) for each row; changes: O(rows of the sessions touched), since all of them get new bounds |
//!
//! A row exactly at the end still belongs to the session, so a session is over only when the watermark lies past its
//! end plus grace. Whether an earlier row's session ended before a late row's has no bearing on it: the late row was
//! left out by its own time, so sessions of a key never overlap.

mod checkpoint;
mod leaving;
mod spill;
#[cfg(test)]
mod tests;
mod timeline;

use super::aggregate::EmitMode;
use super::spill::KeyedState;
use super::window::{length, unit_ns};
use super::{Emit, OpenWindow, Operator, OperatorMetrics, Result, StateChange, StateTable};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::state::bag::RowCodec;
use crate::state::clock_hand::ClockHand;
use crate::state::key_table::KeyTable;
use crate::state::zero::one_zero;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{cast, is_not_null};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::SortField;
use leaving::Leaving;
use std::collections::BTreeSet;
use std::fmt;
use timeline::{Change, Rows, Session, Size, Timeline, Touched};

/// Puts rows into sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    /// Index of the time column (a timestamp).
    pub time: usize,
    /// Indices of the columns that sessions are kept apart by.
    pub keys: Vec<usize>,
    /// How far a row may be from the next, in nanoseconds: a whole number of the time column's unit.
    pub gap: i64,
    /// How long after its end a session still waits for rows, in nanoseconds of event time.
    pub grace: i64,
    /// When rows go out. Final only where sessions close.
    pub mode: EmitMode,
    /// Whether the watermark speaks of the time column.
    pub closes: bool,
    /// The input's columns and the three of the window.
    pub schema: SchemaRef,
}

impl fmt::Display for SessionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |i: &usize| self.schema.field(*i).name().as_str();
        let keys: Vec<&str> = self.keys.iter().map(name).collect();
        write!(f, "Session {} gap={} keys=[{}]", name(&self.time), length(self.gap), keys.join(", "))?;
        if self.grace != 0 {
            write!(f, " grace={}", length(self.grace))?;
        }
        f.write_str(match self.mode {
            EmitMode::Changes => " emit=changes",
            EmitMode::Final => " emit=final",
        })
    }
}

/// The columns that the operator adds.
const WINDOW_COLUMNS: usize = 3;

/// The running operator: one worker's keys.
pub struct SessionWindow {
    spec: SessionSpec,
    /// Nanoseconds in one of the time column's unit.
    unit: i64,
    /// The gap in that unit.
    gap: i64,
    codec: RowCodec,
    keys: KeyTable,
    /// A key's rows, by the key's slot. One without rows is forgotten at the step's end.
    timelines: Vec<Timeline>,
    /// Where sessions close: the last row's time, slot and first row's time of each.
    ends: BTreeSet<(i64, u32, i64)>,
    /// What the step has brought.
    pending: Vec<Delta>,
    size: Size,
    /// The slots that have changed since the last checkpoint, some of which may have become other keys'; `None` = nobody
    /// has asked yet.
    unsaved: Option<Vec<u32>>,
    /// The slot that is looked at next when some are to leave memory.
    hand: ClockHand,
}

impl SessionWindow {
    /// An operator by `spec`. Errors: a type that the row format lacks.
    pub fn new(spec: SessionSpec) -> Result<Self> {
        let unit = match spec.schema.field(spec.time).data_type() {
            DataType::Timestamp(unit, _) => unit_ns(*unit),
            _ => 1,
        };
        let width = spec.schema.fields().len() - WINDOW_COLUMNS;
        let types: Vec<DataType> =
            spec.schema.fields().iter().take(width).map(|f| f.data_type().clone()).collect();
        let codec = RowCodec::new(types.iter().cloned().map(SortField::new).collect(), types.clone())?;
        let key_types: Vec<DataType> = spec.keys.iter().map(|k| types[*k].clone()).collect();
        let keys = KeyTable::new(&key_types)?;
        Ok(SessionWindow {
            unit,
            gap: spec.gap / unit,
            codec,
            keys,
            timelines: Vec::new(),
            ends: BTreeSet::new(),
            pending: Vec::new(),
            size: Size::default(),
            unsaved: None,
            hand: ClockHand::default(),
            spec,
        })
    }

    /// Columns of the input.
    fn width(&self) -> usize {
        self.spec.schema.fields().len() - WINDOW_COLUMNS
    }

    /// Puts rows into their places. Gives the slots that were touched and what happened there.
    fn absorb(&mut self, columns: &[ArrayRef], weights: Option<&Int64Array>) -> Result<Vec<(u32, Touched)>> {
        let times = cast(&columns[self.spec.time], &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>().values().clone();
        let rows = times.len();
        let key_columns: Vec<ArrayRef> =
            self.spec.keys.iter().map(|k| one_zero(columns[*k].clone())).collect();
        let mut slots = Vec::with_capacity(rows);
        self.keys.intern(&key_columns, rows, |_| false, &mut slots)?;
        self.timelines.resize_with(self.keys.slots(), Timeline::default);
        let encoded = self.codec.encode(columns)?;
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_unstable_by_key(|i| (slots[*i], times[*i]));
        let change = |i: &usize| Change {
            time: times[*i],
            row: encoded.row(*i).data(),
            weight: weights.map_or(1, |w| w.value(*i)),
        };
        let mut touched = Vec::new();
        for run in order.chunk_by(|a, b| slots[*a] == slots[*b]) {
            let slot = slots[run[0]];
            let changes: Vec<Change> = run.iter().map(change).collect();
            let timeline = &mut self.timelines[slot as usize];
            timeline.used = true;
            let remember = self.spec.mode == EmitMode::Changes;
            let what = timeline.apply(&changes, self.gap, remember, &mut self.size);
            if self.spec.closes {
                for Session { start, last } in &what.old {
                    self.ends.remove(&(*last, slot, *start));
                }
                self.ends.extend(what.new.iter().map(|s| (s.last, slot, s.start)));
            }
            touched.push((slot, what));
        }
        Ok(touched)
    }

    /// The rows of the step.
    fn take_pending(&mut self) -> Result<Option<Delta>> {
        let pending = std::mem::take(&mut self.pending);
        let Some(first) = pending.first() else { return Ok(None) };
        let all = Delta::concat(&first.schema(), &pending)?;
        if all.batch.column(self.spec.time).null_count() == 0 {
            return Ok(Some(all));
        }
        Ok(Some(all.filter(&is_not_null(all.batch.column(self.spec.time))?)?))
    }

    /// Whether a session with this last row is over.
    fn is_over(&self, last: i64, watermark: EventTime) -> bool {
        let end = i128::from(last) * i128::from(self.unit) + i128::from(self.spec.gap);
        watermark == WATERMARK_END || i128::from(watermark) > end + i128::from(self.spec.grace)
    }

    /// Takes out the sessions that are over, with the slot of each.
    fn close(&mut self, watermark: EventTime) -> Vec<(u32, Session, Rows)> {
        let mut over = Vec::new();
        if !self.spec.closes || watermark == WATERMARK_NONE {
            return over;
        }
        while let Some((last, slot, _)) = self.ends.first().copied() {
            if !self.is_over(last, watermark) {
                break;
            }
            self.ends.pop_first();
            // Of a key's sessions the first has the least end.
            let first = self.timelines[slot as usize].take_first(&mut self.size);
            over.extend(first.map(|(session, rows)| (slot, session, rows)));
        }
        over
    }

    /// Takes note that the rows of slots have changed, and forgets those that have none.
    fn settle(&mut self, slots: impl Iterator<Item = u32>) {
        for slot in slots {
            let timeline = &mut self.timelines[slot as usize];
            if timeline.is_empty() {
                // One that has just been forgotten is not known as saved.
                match std::mem::take(timeline).saved && self.unsaved.is_some() {
                    true => self.keys.remove_noted(slot),
                    false => self.keys.remove(slot),
                }
                continue;
            }
            self.note_unsaved(slot);
        }
    }
}

impl Operator for SessionWindow {
    fn push(&mut self, _port: usize, delta: Delta, _out: &mut dyn Emit) -> Result<()> {
        self.pending.push(delta);
        Ok(())
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        let touched = match self.take_pending()? {
            Some(delta) => self.absorb(delta.batch.columns(), delta.weights.as_ref())?,
            None => Vec::new(),
        };
        if self.spec.mode == EmitMode::Changes {
            let mut leaving = Leaving::new(self, true);
            for (slot, touched) in &touched {
                leaving.changes(&self.timelines[*slot as usize], touched)?;
            }
            for delta in leaving.finish()? {
                out.emit(delta)?;
            }
        }
        let over = self.close(watermark);
        if self.spec.mode == EmitMode::Final {
            let mut leaving = Leaving::new(self, false);
            for (_, session, rows) in &over {
                leaving.session(*session, rows)?;
            }
            for delta in leaving.finish()? {
                out.emit(delta)?;
            }
        }
        self.settle(touched.iter().map(|(slot, _)| *slot).chain(over.iter().map(|(slot, ..)| *slot)));
        Ok(match watermark {
            WATERMARK_END | WATERMARK_NONE => watermark,
            _ if !self.spec.closes => watermark,
            _ => watermark.saturating_sub(self.spec.grace).saturating_sub(self.unit.max(1_000_000)),
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
        self.unsaved = Some(Vec::new());
        Ok(())
    }

    fn keyed(&mut self) -> Option<&mut dyn KeyedState> {
        if self.spec.keys.is_empty() { None } else { Some(self) }
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: self.size.rows as u64,
            state_bytes: (self.size.bytes + self.keys.bytes() + self.timelines.len() * size_of::<Timeline>())
                as u64,
            ..Default::default()
        }
    }

    fn open_window(&mut self) -> Option<OpenWindow> {
        let (last, ..) = self.ends.first()?;
        let end = last.saturating_mul(self.unit).saturating_add(self.spec.gap);
        // A row exactly at the end would still belong to the session.
        let closes = end.saturating_add(self.spec.grace).saturating_add(1);
        Some(OpenWindow { end, closes, waits: self.spec.mode == EmitMode::Final })
    }
}
