//! GROUP BY and DISTINCT, kept up to date.
//!
//! SQL    `SELECT k, agg(x) FILTER (WHERE …) … GROUP BY k` · `SELECT DISTINCT …`
//! Law    the sum of the output deltas is the batch answer over the sum of the input deltas; a group is
//!        there while its rows' weights add up to more than 0, a global aggregate always
//! State  a *pane* per window: key → group, and per call a vector indexed by group or the group's rows
//!        in order (see `choose`); dropped when the watermark passes the window's end plus grace
//! In     append-only or changing; marks are ignored (who is late was decided upstream)
//! Out    changes: per step and touched group at most one `-old` and one `+new`, none if equal;
//!        final: each group once, when its window is over; without weights where nothing is taken back
//! Watermark  less the grace with a window, else as it came
//! Cost   O(rows) vectorised; functions that keep rows: O(group) for each group touched
//!
//! `array_agg`, `string_agg`, `first_value` and their like see a group's rows sorted by ORDER BY, ties
//! and the lack of ORDER BY decided by value (nulls last): no arrival order can show in an answer.

mod call;
mod checkpoint;
mod choose;
mod extremes;
mod kept;
mod native;
mod pane;
mod plan;
mod seen;
mod send_once;
mod spec;
mod spill;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod unsaved;
mod windows;

pub use send_once::SendOnce;
pub use spec::{AggregateCall, AggregateSpec, EmitMode, WindowKey};

use super::spill::KeyedState;
use super::{Emit, OpenWindow, Operator, OperatorMetrics, Result, StateChange, StateTable};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use call::misfit;
use pane::{Leaving, Pane};
use plan::{Plan, Rows};
use std::collections::BTreeMap;
use windows::PaneKey;

/// Panes beyond which it pays to look whether they are too small.
const MANY_PANES: usize = 512;
/// Groups that a pane should hold when there are many panes.
const PANE_GROUPS: usize = 1024;

/// The running operator: one worker's groups.
pub struct Aggregate {
    plan: Plan,
    /// Without a window there is one pane; with one, each window has its own while windows are few
    /// (`width` 1), else a pane holds the windows of `width` units of the window key.
    panes: BTreeMap<PaneKey, Pane>,
    width: i64,
    /// Panes that the step has touched.
    touched: Vec<PaneKey>,
    first_worker: bool,
    /// Whether the global row's time has come: it goes out in the first step of all.
    begun: bool,
    /// Whether a final result without windows has gone out.
    ended: bool,
    /// Whether it is noted what changes since the last checkpoint: somebody has asked.
    notes_unsaved: bool,
    /// Whether some of the state came from an older build in a form that is saved no more: the next checkpoint is to hold all.
    is_older: bool,
    /// Keys of groups that have gone with their panes since then.
    gone: Vec<unsaved::KeyColumns>,
}

impl Aggregate {
    /// A fresh operator. `first_worker`: over no input, a global aggregate's row comes from the first
    /// worker only. Errors: a function or type that cannot be kept; a window key that is no timestamp.
    pub fn new(spec: AggregateSpec, first_worker: bool) -> Result<Self> {
        let plan = Plan::new(spec)?;
        let panes = BTreeMap::new();
        Ok(Aggregate {
            plan,
            panes,
            width: 1,
            touched: vec![],
            first_worker,
            begun: false,
            ended: false,
            notes_unsaved: false,
            is_older: false,
            gone: vec![],
        })
    }

    /// The pane of a key, made if it is not there; `window` is a column that holds its window's value.
    fn pane(&mut self, key: PaneKey, keys: &[ArrayRef]) -> Result<&mut Pane> {
        if !self.panes.contains_key(&key) {
            let window = self.plan.window_key().filter(|_| self.width == 1);
            let mut pane = Pane::new(&self.plan, window.map(|w| keys[w].slice(0, 1)))?;
            if self.notes_unsaved {
                pane.begin_unsaved(false);
            }
            self.panes.insert(key, pane);
        }
        self.panes.get_mut(&key).ok_or_else(|| misfit("a pane is missing".into()))
    }

    fn update(&mut self, key: PaneKey, rows: &Rows) -> Result<()> {
        self.pane(key, &rows.keys)?;
        let Some(pane) = self.panes.get_mut(&key) else { return Ok(()) };
        if pane.update(&self.plan, rows)? {
            self.touched.push(key);
        }
        Ok(())
    }

    /// The global aggregate's row, which is there before any input.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) || !self.plan.always_exists() || !self.first_worker {
            return Ok(());
        }
        let key = PaneKey::default();
        self.pane(key, &[])?;
        let Some(pane) = self.panes.get_mut(&key) else { return Ok(()) };
        if pane.groups() == 0 {
            pane.begin(&self.plan)?;
            self.touched.push(key);
        }
        Ok(())
    }

    /// What the step changed.
    fn changes(&mut self) -> Result<Vec<Leaving>> {
        let mut leaving = Vec::new();
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in touched {
            let Some(pane) = self.panes.get_mut(&key) else { continue };
            if self.plan.emits_changes() {
                leaving.extend(pane.changes(&self.plan)?);
            }
        }
        Ok(leaving)
    }

    /// Drops the windows that are over; their results, if they are wanted at the end.
    fn close(&mut self, watermark: EventTime) -> Result<Vec<Leaving>> {
        let wanted = !self.plan.emits_changes();
        let mut leaving = Vec::new();
        while let Some((key, mut pane)) = self.panes.pop_first() {
            let (first, last) = key.closes(&self.plan, self.width);
            if last <= watermark {
                if wanted {
                    let (results, gone) = pane.finish(&self.plan)?;
                    leaving.push(results);
                    self.gone.extend(gone);
                } else {
                    self.gone.extend(pane.into_gone(&self.plan)?);
                }
                continue;
            }
            if first <= watermark {
                leaving.extend(pane.finish_some(&self.plan, watermark, wanted)?);
            }
            if pane.groups() > 0 {
                self.panes.insert(key, pane);
            } else {
                self.gone.extend(pane.into_forgotten());
            }
            break;
        }
        Ok(leaving)
    }

    /// A final result without windows, when the input has ended.
    fn end(&mut self, watermark: EventTime) -> Result<Vec<Leaving>> {
        if watermark != WATERMARK_END || std::mem::replace(&mut self.ended, true) {
            return Ok(vec![]);
        }
        let mut leaving = Vec::new();
        for pane in std::mem::take(&mut self.panes).into_values() {
            let (results, gone) = pane.finish(&self.plan)?;
            leaving.push(results);
            self.gone.extend(gone);
        }
        Ok(leaving)
    }

    /// Puts small windows together when there are many of them: those here and those about to come,
    /// of `coming` rows.
    fn widen(&mut self, new: &[(PaneKey, plan::Part)], coming: usize) -> Result<()> {
        let groups = self.panes.values().map(Pane::groups).sum::<usize>() + coming;
        let panes = self.panes.len() + new.len();
        if panes <= MANY_PANES || groups > panes * (PANE_GROUPS / 16) {
            return Ok(());
        }
        let keys = self.panes.keys().chain(new.iter().map(|(key, _)| key));
        let Some(width) = windows::width(keys, self.width, groups / PANE_GROUPS + 1) else {
            return Ok(());
        };
        self.move_to_width(width)
    }

    /// One delta of what leaves.
    fn give(&self, leaving: Vec<Leaving>, out: &mut dyn Emit) -> Result<()> {
        let mut parts: Vec<RecordBatch> = Vec::with_capacity(leaving.len());
        let mut weights: Vec<i64> = Vec::new();
        let weighted = leaving.iter().any(|part| part.weights.is_some());
        for Leaving { columns, weights: own } in leaving {
            let rows = columns.first().map_or(0, |c| c.len());
            if rows == 0 {
                continue;
            }
            let columns = columns.into_iter().enumerate();
            let columns = columns.map(|(i, c)| {
                let wanted = self.plan.spec.schema.field(i).data_type();
                if c.data_type() == wanted { Ok(c) } else { arrow::compute::cast(&c, wanted) }
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            parts.push(RecordBatch::try_new(self.plan.spec.schema.clone(), columns)?);
            if weighted {
                weights.extend(own.unwrap_or_else(|| vec![1; rows]));
            }
        }
        if !parts.is_empty() {
            let batch = arrow::compute::concat_batches(&self.plan.spec.schema, &parts)?;
            out.emit(Delta::weighted(batch, weighted.then(|| Int64Array::from(weights))))?;
        }
        Ok(())
    }
}

impl Operator for Aggregate {
    fn push(&mut self, _port: usize, delta: Delta, _out: &mut dyn Emit) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let rows = self.plan.rows(&delta)?;
        let mut parts = self.split(&rows.keys, rows.len)?;
        // What the step has touched must stay in place until its end.
        if parts.len() > MANY_PANES && self.touched.is_empty() {
            self.widen(&parts, rows.len)?;
            parts = self.split(&rows.keys, rows.len)?;
        }
        for (pane, part) in parts {
            match part {
                plan::Part::All => self.update(pane, &rows)?,
                part => self.update(pane, &rows.part(&part)?)?,
            }
        }
        Ok(())
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        self.begin()?;
        let mut leaving = self.changes()?;
        if self.plan.spec.window.is_some() {
            leaving.extend(self.close(watermark)?);
            self.widen(&[], 0)?;
        } else if !self.plan.emits_changes() {
            leaving.extend(self.end(watermark)?);
        }
        for pane in self.panes.values_mut() {
            pane.sweep(&self.plan)?;
        }
        self.give(leaving, out)?;
        Ok(match self.plan.spec.window {
            Some(window) if ![WATERMARK_END, WATERMARK_NONE].contains(&watermark) => {
                watermark.saturating_sub(window.grace)
            }
            _ => watermark,
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
        if self.plan.keys() > 0 { Some(self) } else { None }
    }

    fn metrics(&self) -> OperatorMetrics {
        let mut metrics = OperatorMetrics::default();
        for (rows, bytes) in self.panes.values().map(Pane::size) {
            metrics.state_rows += rows as u64;
            metrics.state_bytes += bytes as u64;
        }
        metrics
    }

    fn open_window(&mut self) -> Option<OpenWindow> {
        let window = self.plan.spec.window?;
        let (key, pane) = self.panes.iter_mut().next()?;
        let closes = match pane.least_window(&self.plan) {
            Some(least) => self.plan.close(Some(least)),
            None => key.closes(&self.plan, self.width).0,
        };
        let end = closes.saturating_sub(window.grace);
        let waits = !self.plan.emits_changes();
        (closes != WATERMARK_END).then_some(OpenWindow { end, closes, waits })
    }
}
