//! The groups of one window (or of a range of small windows, or of all input): keys, weights, a
//! state for each call or several, and what the running step has touched.

use super::call::{CallState, Input, Saved};
use super::checkpoint::{STATE, WEIGHT};
use super::plan::{Plan, Rows};
use super::unsaved::{KeyColumns, Unsaved};
use crate::operators::Result;
use crate::state::keys::Keys;
use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array, make_comparator};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{SortOptions, concat, interleave, take};
use std::sync::Arc;

/// Dead groups that are worth a rebuild.
const MANY_DEAD: usize = 1024;

/// Rows that leave: the output's columns and a weight each (`None` = all +1).
pub(super) struct Leaving {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) weights: Option<Vec<i64>>,
}

/// A part of a state table.
pub(super) struct PaneTable {
    /// The call whose rows it holds; `None` = the groups.
    pub(super) call: Option<usize>,
    pub(super) keys: Vec<ArrayRef>,
    pub(super) columns: Vec<(String, ArrayRef)>,
    /// Which of the groups that were asked for each row belongs to, in order.
    pub(super) groups: Vec<usize>,
    /// Whether the rows are beside what the checkpoint has of their groups.
    pub(super) added: bool,
}

/// What a pane has changed since the last checkpoint.
#[derive(Default)]
pub(super) struct Changes {
    /// The state of the groups that are there, as [`Pane::save`] gives it, but of calls whose rows only come those that have.
    pub(super) tables: Vec<PaneTable>,
    /// The keys of groups that have been forgotten.
    pub(super) gone: Vec<KeyColumns>,
    /// The keys of groups that come with all their rows.
    pub(super) anew: KeyColumns,
}

/// Groups that share a fate.
pub(super) struct Pane {
    keys: Keys,
    /// The window column's one value, when the key table leaves that column out.
    window: Option<ArrayRef>,
    /// Number of groups.
    total: usize,
    /// Sum of the weights of each group's rows; empty if the input only grows.
    weights: Vec<i64>,
    /// Groups whose weight is not above 0.
    dead: usize,
    states: Vec<Box<dyn CallState>>,
    /// Whether the step has touched a group; only where changes are emitted.
    is_touched: Vec<bool>,
    touched: Vec<Touched>,
    slots: Vec<usize>,
    /// What has changed since the last checkpoint; `None` = nobody has asked yet.
    unsaved: Option<Unsaved>,
    /// Whether a group has been used since it was last looked at whether it may leave memory.
    pub(super) used: Vec<bool>,
    /// The group that is looked at next for that.
    pub(super) hand: usize,
}

/// Groups that one batch of the step was the first to touch.
struct Touched {
    groups: Vec<usize>,
    /// Their keys, as output columns.
    keys: Vec<ArrayRef>,
    /// Whether each existed before the step.
    existed: Vec<bool>,
    /// Their results before the step; without meaning where a group did not exist.
    old: Vec<ArrayRef>,
}

impl Pane {
    /// No groups. `window` is the window's value (one row) if its column is left out of the keys.
    pub(super) fn new(plan: &Plan, window: Option<ArrayRef>) -> Result<Self> {
        Ok(Pane {
            keys: Keys::new(plan.key_schema(window.is_some()))?,
            window,
            total: 0,
            weights: vec![],
            dead: 0,
            states: plan.new_states()?,
            is_touched: vec![],
            touched: vec![],
            slots: vec![],
            unsaved: None,
            used: vec![],
            hand: 0,
        })
    }

    /// Begins to note what changes. `in_checkpoint`: the checkpoint may have groups of this pane.
    pub(super) fn begin_unsaved(&mut self, in_checkpoint: bool) {
        self.unsaved = Some(Unsaved::new(self.total, in_checkpoint));
        self.states.iter_mut().for_each(|state| state.begin_added());
    }

    /// Whether the checkpoint may have groups of this pane.
    pub(super) fn is_in_checkpoint(&self) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| unsaved.in_checkpoint)
    }

    /// Number of groups, dead ones included.
    pub(super) fn groups(&self) -> usize {
        self.total
    }

    /// The key columns of the table, out of those of the output.
    fn table_keys(&self, plan: &Plan, keys: &[ArrayRef]) -> Vec<ArrayRef> {
        let skip = self.window.as_ref().and(plan.window_key());
        keys.iter().enumerate().filter(|(i, _)| Some(*i) != skip).map(|(_, c)| c.clone()).collect()
    }

    /// The key columns of the output, out of those of the table, which has `rows` rows.
    fn output_keys(&self, plan: &Plan, mut keys: Vec<ArrayRef>, rows: usize) -> Result<Vec<ArrayRef>> {
        if let (Some(window), Some(at)) = (&self.window, plan.window_key()) {
            keys.insert(at, take(window, &UInt32Array::from_value(0, rows), None)?);
        }
        Ok(keys)
    }

    /// The groups of the rows with these keys, into `self.slots`; new groups come into being.
    fn intern(&mut self, plan: &Plan, keys: &[ArrayRef], rows: usize) -> Result<()> {
        let keys = self.table_keys(plan, keys);
        self.keys.intern(&keys, rows, &mut self.slots)?;
        self.reach(plan, self.keys.len())?;
        self.slots.iter().for_each(|group| self.used[*group] = true);
        Ok(())
    }

    /// Makes groups `0..total` exist.
    fn reach(&mut self, plan: &Plan, total: usize) -> Result<()> {
        let new = total - self.total;
        self.total = total;
        self.used.resize(total, true);
        if !plan.append_only {
            self.weights.resize(total, 0);
            self.dead += new;
        }
        if plan.emits_changes() {
            self.is_touched.resize(total, false);
        }
        self.states.iter_mut().try_for_each(|state| state.grow(total))
    }

    /// Takes rows in. Returns whether the step had touched nothing here before.
    pub(super) fn update(&mut self, plan: &Plan, rows: &Rows) -> Result<bool> {
        let (before, first) = (self.total, self.touched.is_empty());
        self.intern(plan, &rows.keys, rows.len)?;
        if plan.emits_changes() {
            self.touch(plan, rows, before)?;
        }
        let from = self.changes_from(plan, before);
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.note(&self.slots, &rows.keys, from, self.total)?;
        }
        if !plan.append_only {
            self.weigh(|row| rows.weight(row));
        }
        for (state, its) in self.states.iter_mut().zip(&plan.states) {
            let filters: Vec<Option<&BooleanBuffer>> =
                its.filters.iter().map(|filter| filter.map(|i| rows.filter(i))).collect();
            let values: Vec<ArrayRef> = its.inputs.iter().map(|i| rows.columns[*i].clone()).collect();
            let weights = rows.weights.as_ref().map(|w| &w.values()[..]);
            let (groups, total) = (&self.slots[..], self.total);
            state.update(&Input { values: &values, filters: &filters, weights, groups, total })?;
        }
        Ok(first && !self.touched.is_empty())
    }

    /// Adds the weights of rows to the groups of `self.slots`.
    fn weigh(&mut self, of: impl Fn(usize) -> i64) {
        for (row, group) in self.slots.iter().enumerate() {
            let weight = &mut self.weights[*group];
            let alive = *weight > 0;
            *weight += of(row);
            match (alive, *weight > 0) {
                (false, true) => self.dead -= 1,
                (true, false) => self.dead += 1,
                _ => {}
            }
        }
    }

    /// The first group that rows may change, where groups from `before` on are new: without aggregates and retractions, an
    /// old one cannot change.
    fn changes_from(&self, plan: &Plan, before: usize) -> usize {
        if plan.append_only && self.states.is_empty() { before } else { 0 }
    }

    /// Notes the groups of `self.slots` that the step touches for the first time, with their results
    /// so far. Groups from `before` on are new.
    fn touch(&mut self, plan: &Plan, rows: &Rows, before: usize) -> Result<()> {
        let most = self.slots.len().min(self.total);
        let (mut groups, mut first_rows) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let from = self.changes_from(plan, before);
        for (row, group) in self.slots.iter().enumerate() {
            if *group >= from && !self.is_touched[*group] {
                self.is_touched[*group] = true;
                groups.push(*group);
                first_rows.push(row as u32);
            }
        }
        if groups.is_empty() {
            return Ok(());
        }
        let first_rows = UInt32Array::from(first_rows);
        let keys = rows.keys.iter().map(|c| take(c, &first_rows, None)).collect::<Result<_, _>>()?;
        self.note(plan, groups, keys, before)
    }

    fn note(&mut self, plan: &Plan, groups: Vec<usize>, keys: Vec<ArrayRef>, before: usize) -> Result<()> {
        let existed: Vec<bool> = groups.iter().map(|g| *g < before && self.exists(plan, *g)).collect();
        let old = if existed.contains(&true) { self.evaluate(plan, &groups)? } else { vec![] };
        self.touched.push(Touched { groups, keys, existed, old });
        Ok(())
    }

    /// Whether a group is there.
    fn exists(&self, plan: &Plan, group: usize) -> bool {
        plan.append_only || plan.always_exists() || self.weights[group] > 0
    }

    /// The results of groups, as columns of the output.
    fn evaluate(&mut self, plan: &Plan, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        plan.results(|state, call| self.states[state].evaluate_call(call, groups))
    }

    /// The row of a global aggregate, before any input.
    pub(super) fn begin(&mut self, plan: &Plan) -> Result<()> {
        if self.total == 0 {
            self.keys.intern(&[], 1, &mut self.slots)?;
            self.reach(plan, 1)?;
            if plan.emits_changes() {
                self.is_touched[0] = true;
                self.note(plan, vec![0], vec![], 0)?;
            }
        }
        Ok(())
    }

    /// Ends the step: what changed, and forgets dead groups when they are many.
    pub(super) fn changes(&mut self, plan: &Plan) -> Result<Option<Leaving>> {
        let touched = std::mem::take(&mut self.touched);
        let groups: Vec<usize> = touched.iter().flat_map(|t| t.groups.iter().copied()).collect();
        let existed: Vec<bool> = touched.iter().flat_map(|t| t.existed.iter().copied()).collect();
        groups.iter().for_each(|g| self.is_touched[*g] = false);
        let new = self.evaluate(plan, &groups)?;
        let keys = (0..plan.keys()).map(|k| concat_parts(&touched, |t| t.keys[k].clone()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let exists: Vec<bool> = groups.iter().map(|g| self.exists(plan, *g)).collect();
        if !existed.contains(&true) && !exists.contains(&false) {
            return Ok(Some(Leaving { columns: [keys, new].concat(), weights: None }));
        }
        let old = (0..new.len()).map(|i| {
            // A batch that touched only new groups did not evaluate: any value will do.
            let stand_in = |t: &Touched| arrow::array::new_null_array(new[i].data_type(), t.groups.len());
            concat_parts(&touched, |t| t.old.get(i).cloned().unwrap_or_else(|| stand_in(t)))
        });
        let old = old.collect::<Result<Vec<_>>>()?;
        let change = compare(&old, &new, &existed, &exists)?;
        if change.is_empty() {
            return Ok(None);
        }
        let rows = UInt32Array::from_iter_values(change.iter().map(|(_, row)| *row as u32));
        let mut columns = keys.iter().map(|c| take(c, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        for (old, new) in old.iter().zip(&new) {
            columns.push(interleave(&[old, new], &change)?);
        }
        let minus = change.iter().any(|(side, _)| *side == 0);
        let weights = minus.then(|| change.iter().map(|(side, _)| 2 * *side as i64 - 1).collect());
        Ok(Some(Leaving { columns, weights }))
    }

    /// Forgets dead groups when they are many and more than half.
    pub(super) fn sweep(&mut self, plan: &Plan) -> Result<()> {
        if self.dead <= MANY_DEAD || self.dead * 2 <= self.total || plan.always_exists() {
            return Ok(());
        }
        // A group that is owed rows (weight below 0) is not there, but must not be forgotten.
        let kept: Vec<usize> = (0..self.total).filter(|g| self.weights[*g] != 0).collect();
        self.retain(plan, &kept)
    }

    fn retain(&mut self, plan: &Plan, kept: &[usize]) -> Result<()> {
        self.keep(plan, kept, true)
    }

    /// Keeps some groups. `gone`: the others are no more; else they live on elsewhere.
    pub(super) fn keep(&mut self, plan: &Plan, kept: &[usize], gone: bool) -> Result<()> {
        let keys = self.keys.retain(kept)?;
        if let Some(mut unsaved) = self.unsaved.take() {
            let keys = self.output_keys(plan, keys, self.total)?;
            unsaved.retain(kept, gone.then_some(&keys), self.total)?;
            self.unsaved = Some(unsaved);
        }
        self.used = kept.iter().map(|g| self.used[*g]).collect();
        self.states.iter_mut().try_for_each(|state| state.retain(kept))?;
        self.total = kept.len();
        if !plan.append_only {
            self.weights = kept.iter().map(|g| self.weights[*g]).collect();
            self.dead = self.weights.iter().filter(|w| **w <= 0).count();
        }
        self.is_touched.truncate(self.total);
        self.is_touched.shrink_to_fit();
        Ok(())
    }

    /// The keys of the groups that have been forgotten since the last checkpoint; nothing is left.
    pub(super) fn into_forgotten(self) -> Vec<KeyColumns> {
        self.unsaved.map_or(vec![], |unsaved| unsaved.gone)
    }

    /// The keys of all groups that the checkpoint may have; nothing is left.
    pub(super) fn into_gone(mut self, plan: &Plan) -> Result<Vec<KeyColumns>> {
        let Some(mut unsaved) = self.unsaved.take().filter(|unsaved| unsaved.in_checkpoint) else {
            return Ok(vec![]);
        };
        let keys = self.keys.take()?;
        unsaved.gone.push(self.output_keys(plan, keys, self.total)?);
        Ok(unsaved.gone)
    }

    /// All groups' results, and the keys of those that the checkpoint may have; nothing is left.
    pub(super) fn finish(mut self, plan: &Plan) -> Result<(Leaving, Vec<KeyColumns>)> {
        let groups: Vec<usize> = (0..self.total).filter(|g| self.exists(plan, *g)).collect();
        let keys = self.keys.take()?;
        let keys = self.output_keys(plan, keys, self.total)?;
        let mut columns = take_rows(&keys, &groups, self.total)?;
        columns.extend(plan.results(|state, call| match call {
            0 => self.states[state].finish(&groups, self.total),
            _ => self.states[state].evaluate_call(call, &groups),
        })?);
        let mut gone = vec![];
        if let Some(unsaved) = self.unsaved.take().filter(|unsaved| unsaved.in_checkpoint) {
            gone = unsaved.gone;
            gone.push(keys);
        }
        Ok((Leaving { columns, weights: None }, gone))
    }

    /// Drops the groups whose window is over at `watermark`; returns their results if `wanted`.
    pub(super) fn finish_some(
        &mut self,
        plan: &Plan,
        watermark: i64,
        wanted: bool,
    ) -> Result<Option<Leaving>> {
        let keys = self.keys.columns()?;
        let keys = self.output_keys(plan, keys, self.total)?;
        let over = plan.closed(&keys, watermark)?;
        let (over, open): (Vec<usize>, Vec<usize>) = (0..self.total).partition(|g| over[*g]);
        if over.is_empty() {
            return Ok(None);
        }
        let mut leaving = None;
        if wanted {
            let over: Vec<usize> = over.into_iter().filter(|g| self.exists(plan, *g)).collect();
            let mut columns = take_rows(&keys, &over, self.total)?;
            columns.extend(self.evaluate(plan, &over)?);
            leaving = Some(Leaving { columns, weights: None });
        }
        self.retain(plan, &open)?;
        Ok(leaving)
    }

    /// The least of the groups' windows, where the pane holds several windows.
    pub(super) fn least_window(&mut self, plan: &Plan) -> Option<i64> {
        if self.window.is_some() {
            return None;
        }
        let windows = plan.windows(&self.keys.columns().ok()?).ok()??;
        arrow::compute::min(&windows)
    }

    /// The state as tables of named columns; the columns of the keys come first and have no name.
    pub(super) fn save(&mut self, plan: &Plan) -> Result<Vec<PaneTable>> {
        let keys = self.all_keys(plan)?;
        let all: Vec<usize> = (0..self.total).collect();
        self.save_groups(plan, &all, keys)
    }

    /// The keys of all groups, as columns of the output.
    pub(super) fn all_keys(&mut self, plan: &Plan) -> Result<KeyColumns> {
        let keys = self.keys.columns()?;
        self.output_keys(plan, keys, self.total)
    }

    /// Whether the last checkpoint does not have a group as it is; without meaning before somebody has asked.
    pub(super) fn is_unsaved(&self, group: usize) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| unsaved.is(group))
    }

    /// The checkpoint may have groups of this pane.
    pub(super) fn note_in_checkpoint(&mut self) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.in_checkpoint = true;
        }
    }

    /// What has changed since this was last called.
    pub(super) fn save_changes(&mut self, plan: &Plan) -> Result<Changes> {
        let Some(unsaved) = &mut self.unsaved else { return Ok(Changes::default()) };
        let gone = std::mem::take(&mut unsaved.gone);
        let (groups, keys, anew) = unsaved.take(plan.keys())?;
        if groups.is_empty() {
            return Ok(Changes { gone, ..Changes::default() });
        }
        let anew: Vec<usize> = (0..groups.len()).filter(|i| anew[*i]).collect();
        let anew_keys = take_rows(&keys, &anew, groups.len())?;
        let tables = self.save_rows(plan, &groups, keys, Some(&anew))?;
        Ok(Changes { tables, gone, anew: anew_keys })
    }

    /// The state of some groups, whose keys are these columns of the output.
    pub(super) fn save_groups(
        &mut self,
        plan: &Plan,
        all: &[usize],
        keys: KeyColumns,
    ) -> Result<Vec<PaneTable>> {
        self.save_rows(plan, all, keys, None)
    }

    /// The same; of states that have noted what was added, if `anew` is given, all rows of these of the groups alone, and of the others
    /// what has been added.
    fn save_rows(
        &mut self,
        plan: &Plan,
        all: &[usize],
        keys: KeyColumns,
        anew: Option<&[usize]>,
    ) -> Result<Vec<PaneTable>> {
        let weights = match plan.append_only {
            true => Int64Array::from_value(1, all.len()),
            false => Int64Array::from_iter_values(all.iter().map(|g| self.weights[*g])),
        };
        let numbers = (0..all.len()).collect();
        let mut groups =
            PaneTable { call: None, keys: keys.clone(), columns: vec![], groups: numbers, added: false };
        groups.columns.push((WEIGHT.into(), Arc::new(weights)));
        let mut tables = Vec::new();
        for (state, its) in self.states.iter_mut().zip(&plan.states) {
            let call = its.call;
            let parts = match anew.filter(|_| state.notes_added()) {
                None => vec![(state.save(all)?, false)],
                Some(anew) => save_added(state.as_mut(), all, anew)?,
            };
            if anew.is_some() && !state.notes_added() {
                state.begin_added();
            }
            for (Saved { groups: slots, columns }, added) in parts {
                let named = columns.into_iter().enumerate();
                match slots {
                    None => groups.columns.extend(named.map(|(i, c)| (format!("{STATE}{call}.{i}"), c))),
                    Some(slots) => {
                        let keys = take_rows(&keys, &slots, all.len())?;
                        let columns = named.map(|(i, c)| (format!("column{i}"), c)).collect();
                        tables.push(PaneTable { call: Some(call), keys, columns, groups: slots, added });
                    }
                }
            }
        }
        tables.push(groups);
        Ok(tables)
    }

    /// Takes note that all groups of these keys, which are there, are to be saved.
    pub(super) fn note_all(&mut self, plan: &Plan, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.intern(plan, keys, rows)?;
        match &mut self.unsaved {
            Some(unsaved) => {
                unsaved.note_anew(&self.slots);
                unsaved.note(&self.slots, keys, 0, self.total)
            }
            None => Ok(()),
        }
    }

    /// Takes saved state of call `call` in, for the groups of these keys. Whether an older build saved it, in another form.
    pub(super) fn load(
        &mut self,
        plan: &Plan,
        call: usize,
        keys: &[ArrayRef],
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<bool> {
        self.intern(plan, keys, rows)?;
        let (state, number) = plan.calls[call];
        let older = self.states[state].load_older(number, &self.slots, columns)?;
        if !older {
            self.states[state].load(&self.slots, columns)?;
        }
        Ok(older)
    }

    /// Takes saved groups in.
    pub(super) fn load_groups(&mut self, plan: &Plan, keys: &[ArrayRef], weights: &Int64Array) -> Result<()> {
        self.intern(plan, keys, weights.len())?;
        if !plan.append_only {
            self.weigh(|row| weights.value(row));
        }
        Ok(())
    }

    /// Rows and bytes held.
    pub(super) fn size(&self) -> (usize, usize) {
        let rows = self.total - self.dead + self.states.iter().map(|s| s.entries()).sum::<usize>();
        let states = self.states.iter().map(|s| s.bytes()).sum::<usize>();
        (
            rows,
            self.keys.bytes()
                + self.weights.capacity() * 8
                + self.is_touched.capacity()
                + self.used.capacity()
                + states,
        )
    }
}

/// Of a state that notes what is added: of those groups among `all` that `anew` names, in order, all rows, of the others what has been
/// added. Whether it has.
fn save_added(state: &mut dyn CallState, all: &[usize], anew: &[usize]) -> Result<Vec<(Saved, bool)>> {
    let others: Vec<usize> = (0..all.len()).filter(|i| anew.binary_search(i).is_err()).collect();
    let groups = |of: &[usize]| of.iter().map(|i| all[*i]).collect::<Vec<usize>>();
    let mut added = state.save_added(&groups(&others))?;
    added.groups.iter_mut().flatten().for_each(|group| *group = others[*group]);
    let mut parts = vec![(added, true)];
    // It would look at all that there is.
    if !anew.is_empty() {
        let mut whole = state.save(&groups(anew))?;
        whole.groups.iter_mut().flatten().for_each(|group| *group = anew[*group]);
        parts.push((whole, false));
    }
    Ok(parts)
}

/// The rows of `columns`, or all of them as they are.
pub(super) fn take_rows(columns: &[ArrayRef], rows: &[usize], total: usize) -> Result<Vec<ArrayRef>> {
    if rows.len() == total && rows.iter().enumerate().all(|(i, row)| i == *row) {
        return Ok(columns.to_vec());
    }
    let rows = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
    Ok(columns.iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?)
}

fn concat_parts(touched: &[Touched], column: impl Fn(&Touched) -> ArrayRef) -> Result<ArrayRef> {
    let parts: Vec<ArrayRef> = touched.iter().map(column).collect();
    concat_columns(parts.iter())
}

/// The parts of a column, of which there is one at least, as one.
pub(super) fn concat_columns<'a>(parts: impl Iterator<Item = &'a ArrayRef>) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = parts.map(|part| part.as_ref()).collect();
    Ok(concat(&parts)?)
}

/// Which rows leave, as (0 = old, 1 = new; row): per row nothing, the old, the new, or both in turn.
fn compare(
    old: &[ArrayRef],
    new: &[ArrayRef],
    existed: &[bool],
    exists: &[bool],
) -> Result<Vec<(usize, usize)>> {
    let mut differs = vec![false; existed.len()];
    for (old, new) in old.iter().zip(new) {
        if old.data_type().is_nested() {
            let order = make_comparator(old, new, SortOptions::default())?;
            differs.iter_mut().enumerate().for_each(|(i, d)| *d |= order(i, i).is_ne());
        } else {
            let column: BooleanArray = distinct(old, new)?;
            column.values().set_indices().for_each(|i| differs[i] = true);
        }
    }
    let mut change = Vec::with_capacity(2 * differs.len());
    for row in 0..differs.len() {
        let stays = existed[row] && exists[row] && !differs[row];
        if existed[row] && !stays {
            change.push((0, row));
        }
        if exists[row] && !stays {
            change.push((1, row));
        }
    }
    Ok(change)
}
