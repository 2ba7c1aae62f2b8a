//! Rows as order-preserving bytes and back: the sort key first, then the columns that it does not hold.

use super::spec::TopNSpec;
use super::walk::Takes;
use crate::delta::Delta;
use crate::operators::{Emit, Result};
use crate::state::bag::RowCodec;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array};
use arrow::compute::{SortOptions, take};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::physical_expr::expressions::Column;
use std::sync::Arc;

/// Rows that go out in one delta.
const MOST_OUT: usize = 1 << 15;

/// Turns rows into bytes and back.
pub(super) struct RowBytes {
    /// Sort key and the remaining columns.
    codec: RowCodec,
    /// The sort key alone, where ties have to be told, for its length; where one row is kept, to find it.
    key: Option<RowConverter>,
    ties: bool,
    /// The first sort column alone, where rows can be left out by it.
    lead: Option<RowConverter>,
    /// The input columns that the sort key does not hold.
    rest: Vec<usize>,
    /// For each input column its place among the codec's.
    places: Vec<usize>,
}

impl RowBytes {
    pub(super) fn new(spec: &TopNSpec) -> Result<Self> {
        let mut fields = Vec::new();
        let mut types = Vec::new();
        let mut places = vec![None; spec.input_schema.fields().len()];
        for (i, (expr, options)) in spec.order.iter().enumerate() {
            let data_type = expr.data_type(&spec.input_schema)?;
            fields.push(SortField::new_with_options(data_type.clone(), *options));
            types.push(data_type);
            if let Some(column) = expr.downcast_ref::<Column>() {
                places[column.index()].get_or_insert(i);
            }
        }
        let key = if (spec.has_ties() || spec.keeps_one()) && !fields.is_empty() {
            Some(RowConverter::new(fields.clone())?)
        } else {
            None
        };
        let lead = match fields.first() {
            Some(first) if spec.keeps_top_only() => Some(RowConverter::new(vec![first.clone()])?),
            _ => None,
        };
        let rest: Vec<usize> = (0..places.len()).filter(|i| places[*i].is_none()).collect();
        for column in &rest {
            let data_type = spec.input_schema.field(*column).data_type();
            places[*column] = Some(fields.len());
            let ascending = SortOptions { descending: false, nulls_first: false };
            fields.push(SortField::new_with_options(data_type.clone(), ascending));
            types.push(data_type.clone());
        }
        let places = places.into_iter().flatten().collect();
        Ok(RowBytes { codec: RowCodec::new(fields, types)?, key, ties: spec.has_ties(), lead, rest, places })
    }

    /// The sort columns of a batch.
    pub(super) fn order(spec: &TopNSpec, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let evaluate = |e: &(Arc<dyn datafusion::physical_expr::PhysicalExpr>, SortOptions)| {
            Ok(e.0.evaluate(batch)?.into_array(batch.num_rows())?)
        };
        spec.order.iter().map(evaluate).collect()
    }

    /// The first sort column, if rows can be left out by it.
    pub(super) fn lead(&self, order: &[ArrayRef]) -> Result<Option<Rows>> {
        match (&self.lead, order.first()) {
            (Some(lead), Some(first)) => Ok(Some(lead.convert_columns(std::slice::from_ref(first))?)),
            _ => Ok(None),
        }
    }

    /// The sort keys, if one row is kept.
    pub(super) fn keys(&self, order: &[ArrayRef]) -> Result<Option<Rows>> {
        Ok(self.key.as_ref().map(|key| key.convert_columns(order)).transpose()?)
    }

    /// The rows of a batch, and the lengths of their sort keys where ties matter.
    pub(super) fn encode(&self, order: &[ArrayRef], batch: &RecordBatch) -> Result<(Rows, Option<Vec<u32>>)> {
        let lengths = match self.key.as_ref().filter(|_| self.ties) {
            Some(key) => {
                let keys = key.convert_columns(order)?;
                Some(keys.iter().map(|k| k.as_ref().len() as u32).collect())
            }
            None => None,
        };
        let mut columns = order.to_vec();
        columns.extend(self.rest.iter().map(|i| batch.column(*i).clone()));
        Ok((self.codec.encode(&columns)?, lengths))
    }

    /// The input's columns of rows.
    pub(super) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let columns = self.codec.decode(rows)?;
        Ok(self.places.iter().map(|i| columns[*i].clone()).collect())
    }
}

/// What goes out of a step.
pub(super) struct Outgoing<'a> {
    spec: &'a TopNSpec,
    bytes: &'a RowBytes,
    arena: Vec<u8>,
    /// Where each row ends in the arena.
    ends: Vec<usize>,
    rows: Vec<u32>,
    ranks: Vec<u64>,
    weights: Vec<i64>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(spec: &'a TopNSpec, bytes: &'a RowBytes) -> Self {
        let (arena, ends, rows, ranks, weights) = Default::default();
        Outgoing { spec, bytes, arena, ends, rows, ranks, weights }
    }

    /// Sends what has been gathered if it is much.
    pub(super) fn send_some(&mut self, out: &mut dyn Emit) -> Result<()> {
        if self.rows.len() < MOST_OUT { Ok(()) } else { self.send(out) }
    }

    /// Sends what has been gathered.
    pub(super) fn send(&mut self, out: &mut dyn Emit) -> Result<()> {
        let (rows, weights) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.weights));
        let (ends, ranks) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.ranks));
        let arena = std::mem::take(&mut self.arena);
        let mut from = 0;
        for some in 0..rows.len().div_ceil(MOST_OUT) {
            let range = some * MOST_OUT..rows.len().min((some + 1) * MOST_OUT);
            // Rows of one delta, which come in order, each decoded once.
            let first = rows[range.start] as usize;
            let last = rows[range.end - 1] as usize;
            if first > 0 {
                from = ends[first - 1];
            }
            let mut start = from;
            let decoded = self.bytes.decode(ends[first..=last].iter().map(|end| {
                let row = &arena[start..*end];
                start = *end;
                row
            }))?;
            let indices = UInt32Array::from_iter_values(rows[range.clone()].iter().map(|r| r - first as u32));
            let each_once = indices.len() == last - first + 1
                && indices.values().iter().enumerate().all(|(i, row)| i == *row as usize);
            let mut columns = if each_once {
                decoded
            } else {
                decoded.iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?
            };
            if self.spec.output {
                columns.push(Arc::new(UInt64Array::from(ranks[range.clone()].to_vec())));
            }
            let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
            let batch = RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?;
            let weights = &weights[range];
            let plain = weights.iter().all(|w| *w == 1);
            out.emit(Delta::weighted(batch, (!plain).then(|| Int64Array::from(weights.to_vec()))))?;
        }
        Ok(())
    }
}

impl Takes for Outgoing<'_> {
    fn row(&mut self, row: &[u8]) -> usize {
        self.arena.extend_from_slice(row);
        self.ends.push(self.arena.len());
        self.ends.len() - 1
    }

    fn weight(&mut self, row: usize, rank: i64, weight: i64) {
        // What only ever adds rows goes out without weights.
        let (copies, weight) = match self.spec.append_only() {
            true => (weight.max(0), 1),
            false => (1, weight),
        };
        for _ in 0..copies {
            self.rows.push(row as u32);
            self.ranks.push(rank as u64);
            self.weights.push(weight);
        }
    }
}
