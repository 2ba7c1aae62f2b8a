//! The pairs of a delta's rows with the rows that the other side has, and the delta's rows put beside them.

use super::{BATCH_ROWS, Join, JoinSpec, Matching};
use crate::delta::{Delta, Part};
use crate::operators::{Emit, Result};
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::NO_ROW;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{filter, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pairs that wait to be made: rows of the delta and entries of the other side.
#[derive(Default)]
struct Waiting {
    rows: Vec<u32>,
    others: Vec<u32>,
}

/// Some of a side's rows, and beside each an entry of the other side.
struct Pairs<'a> {
    side: usize,
    part: &'a Part,
    rows: &'a [u32],
    others: &'a [u32],
    /// The other side's columns, if they have been made already.
    decoded: Option<Vec<ArrayRef>>,
}

/// What must be true of a pair besides equal keys, and the columns that it looks at.
pub(super) struct Residual {
    /// Over the columns `columns`.
    condition: Arc<dyn PhysicalExpr>,
    /// Of the left columns followed by the right ones, in order.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Residual {
    /// `condition` stands over all columns of the pair.
    pub(super) fn new(spec: &JoinSpec, condition: Arc<dyn PhysicalExpr>) -> Result<Self> {
        let fields = spec.inputs.iter().flat_map(|input| input.schema.fields().iter());
        let fields: Vec<Field> = fields.map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let columns: BTreeSet<usize> = collect_columns(&condition).iter().map(|c| c.index()).collect();
        let columns: Vec<usize> = columns.into_iter().collect();
        let place = |column: &Column| columns.binary_search(&column.index()).ok();
        let condition = condition.transform_up(|e| match e.downcast_ref::<Column>() {
            Some(column) => match place(column) {
                Some(place) => {
                    Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
                }
                None => Ok(Transformed::no(e)),
            },
            None => Ok(Transformed::no(e)),
        })?;
        let schema = Arc::new(Schema::new(columns.iter().map(|c| fields[*c].clone()).collect::<Vec<_>>()));
        Ok(Residual { condition: condition.data, columns, schema })
    }

    /// Of which pairs it is true; no null.
    fn holds(&self, join: &Join, pairs: &Pairs) -> Result<BooleanArray> {
        let columns = join.pair_columns(pairs, self.columns.iter().copied())?;
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let value = self.condition.evaluate(&batch)?.into_array(pairs.rows.len())?;
        let value = value.as_boolean();
        Ok(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
    }
}

impl Join {
    /// Sends the pairs of a side's rows with what the other side has. Where rows count their own matches, gives
    /// the number of matches of each row, and counts them at the other side's entries.
    pub(super) fn pairs(
        &mut self,
        side: usize,
        part: &Part,
        slots: &[u32],
        out: &mut dyn Emit,
    ) -> Result<Option<Vec<i64>>> {
        let counting = self.matching == Matching::Row;
        let mut matches = counting.then(|| vec![0; slots.len()]);
        if !self.spec.gives_pairs() && !counting {
            return Ok(None);
        }
        let mut waiting = Waiting::default();
        for (row, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
            let mut other = self.rows[1 - side].first(*slot);
            while other != NO_ROW {
                let next = self.rows[1 - side].next(other);
                waiting.rows.push(row as u32);
                waiting.others.push(other);
                if waiting.rows.len() == BATCH_ROWS {
                    self.make(side, part, &mut waiting, matches.as_deref_mut(), out)?;
                }
                other = next;
            }
        }
        self.make(side, part, &mut waiting, matches.as_deref_mut(), out)?;
        Ok(matches)
    }

    /// Makes the pairs that wait, asks the residual, counts matches, and sends the pairs if they are wanted.
    fn make(
        &mut self,
        side: usize,
        part: &Part,
        waiting: &mut Waiting,
        matches: Option<&mut [i64]>,
        out: &mut dyn Emit,
    ) -> Result<()> {
        let Waiting { mut rows, mut others } = std::mem::take(waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut weights: Vec<i64> = rows
            .iter()
            .zip(&others)
            .map(|(row, other)| part.weight(*row as usize) * self.rows[1 - side].weight(*other))
            .collect();
        // Entries that have come to nothing in this step wait to be removed.
        let mut mask: Option<BooleanArray> =
            weights.contains(&0).then(|| weights.iter().map(|w| Some(*w != 0)).collect());
        let mut decoded = None;
        let mut holds = None;
        if let Some(residual) = &self.residual {
            let (_, wanted) = self.by_side(side, residual.columns.iter().copied());
            if !self.rows[1 - side].decodes_alone(&wanted) {
                decoded = Some(self.rows[1 - side].decode(others.iter().copied())?);
            }
            let pairs = Pairs { side, part, rows: &rows, others: &others, decoded };
            holds = Some(residual.holds(self, &pairs)?);
            decoded = pairs.decoded;
        }
        if let Some(matches) = matches {
            match &holds {
                Some(holds) => {
                    let held = holds.values().set_indices();
                    self.count(side, part, &rows, &others, held, matches);
                }
                None => self.count(side, part, &rows, &others, 0..rows.len(), matches),
            }
        }
        mask = match (mask, holds) {
            (Some(mask), Some(holds)) => Some(arrow::compute::and(&mask, &holds)?),
            (mask, holds) => mask.or(holds),
        };
        if !self.spec.gives_pairs() {
            return Ok(());
        }
        if let Some(mask) = &mask {
            let mut kept = mask.values().iter();
            weights.retain(|_| kept.next().unwrap_or(false));
            for column in [&mut rows, &mut others] {
                let mut kept = mask.values().iter();
                column.retain(|_| kept.next().unwrap_or(false));
            }
            if let Some(columns) = &mut decoded {
                *columns = columns.iter().map(|c| filter(c, mask)).collect::<Result<_, _>>()?;
            }
        }
        if !rows.is_empty() {
            let all =
                0..self.spec.inputs[0].schema.fields().len() + self.spec.inputs[1].schema.fields().len();
            let pairs = Pairs { side, part, rows: &rows, others: &others, decoded };
            let columns = self.pair_columns(&pairs, all)?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let batch = RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?;
            let weights = weights.iter().any(|w| *w != 1).then(|| Int64Array::from(weights));
            out.emit(Delta::weighted(batch, weights))?;
        }
        Ok(())
    }

    /// Counts matches, the pairs `held`, at the delta's rows and at the other side's entries.
    fn count(
        &mut self,
        side: usize,
        part: &Part,
        rows: &[u32],
        others: &[u32],
        held: impl Iterator<Item = usize>,
        matches: &mut [i64],
    ) {
        let noted = self.spec.gives_rows_of(1 - side);
        for i in held {
            let (row, other) = (rows[i] as usize, others[i]);
            let rows = &mut self.rows[1 - side];
            let weight = rows.weight(other);
            matches[row] += weight;
            if noted {
                self.note_row(1 - side, other, weight);
                let rows = &mut self.rows[1 - side];
                rows.set_matched(other, rows.matched(other) + part.weight(row));
                let slot = rows.slot(other);
                self.note_unsaved(1 - side, slot);
            }
        }
    }

    /// Which columns of a side, and of the other one, columns of pairs are: of the left ones followed by the right ones.
    fn by_side(&self, side: usize, columns: impl Iterator<Item = usize>) -> (Vec<usize>, Vec<usize>) {
        let left = self.spec.inputs[0].schema.fields().len();
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for column in columns {
            let (of, column) = if column < left { (0, column) } else { (1, column - left) };
            if of == side { own.push(column) } else { other.push(column) }
        }
        (own, other)
    }

    /// Some columns of pairs, of the left ones followed by the right ones.
    fn pair_columns(&self, pairs: &Pairs, wanted: impl Iterator<Item = usize>) -> Result<Vec<ArrayRef>> {
        let Pairs { side, part, rows, others, decoded } = pairs;
        let side = *side;
        let (own, other) = self.by_side(side, wanted);
        let some = part.some(rows);
        let own: Vec<ArrayRef> = own.iter().map(|c| some.column(*c)).collect::<Result<_, _>>()?;
        let other = match decoded {
            Some(columns) => other.iter().map(|c| columns[*c].clone()).collect(),
            None => self.rows[1 - side].decode_some(others.iter().copied(), &other)?,
        };
        Ok(if side == 0 { [own, other].concat() } else { [other, own].concat() })
    }

    /// Makes a side's rows part of it.
    pub(super) fn take_in(
        &mut self,
        side: usize,
        part: &Part,
        slots: &[u32],
        matches: Option<&[i64]>,
    ) -> Result<()> {
        let noting = self.spec.gives_rows_of(side) || self.spec.gives_rows_of(1 - side);
        let until = self.until(side, part)?;
        let incoming = match self.counts_only[side] {
            true => None,
            false => Some(self.rows[side].incoming(part.columns(), part.to_keep())?),
        };
        let only_grows = incoming.is_some() && self.rows[side].only_grows();
        for (row, slot) in slots.iter().enumerate() {
            if *slot == NO_SLOT {
                incoming.iter().for_each(|incoming| self.rows[side].let_go(incoming, row));
                continue;
            }
            let weight = part.weight(row);
            if noting && self.matching == Matching::Key {
                self.note_slot(*slot);
            }
            self.slots[*slot as usize].weights[side] += weight;
            if !only_grows {
                self.note_unsaved(side, *slot);
            }
            let Some(incoming) = &incoming else {
                if self.slots[*slot as usize].weights[side] == 0 {
                    self.empty.push(*slot);
                }
                continue;
            };
            let (id, new) = self.rows[side].entry(*slot, incoming, row);
            if only_grows {
                self.note_added(side, *slot, id);
            }
            let before = if new { 0 } else { self.rows[side].weight(id) };
            if self.spec.gives_rows_of(side) {
                self.note_row(side, id, before);
            }
            self.rows[side].set_weight(id, before + weight);
            if before + weight == 0 {
                self.dead[side].push(id);
            }
            if self.ages_of(side) && (new || weight > 0) {
                self.ages.note(side, &mut self.rows[side], id);
            }
            if !new {
                continue;
            }
            if let Some(matches) = matches {
                self.rows[side].set_matched(id, matches[row]);
            }
            self.slots[*slot as usize].entries[side] += 1;
            if let Some(until) = &until {
                self.rows[side].set_until(id, until[row]);
                self.due[side].add(until[row], id);
            }
        }
        Ok(())
    }
}
