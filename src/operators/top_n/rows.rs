//! How rows are kept, and how they go out: as order-preserving bytes, the sort key first, then the columns that it does not
//! hold; or, where few rows are ever taken back, with the sort key alone as bytes and all columns in a [`ColumnStore`].

use super::spec::TopNSpec;
use super::walk::Takes;
use crate::delta::{Delta, Part};
use crate::operators::{Emit, Result};
use crate::state::bag::RowCodec;
use crate::state::columns::{ColumnStore, Held, Place, Pushed};
use crate::state::ranked::Entry;
use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array, new_empty_array,
};
use arrow::compute::{SortOptions, take};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::sync::Arc;

/// Rows that go out in one delta.
const MOST_OUT: usize = 1 << 15;

/// Turns rows into bytes and back.
pub(super) struct RowBytes {
    /// What is sorted by.
    order: Vec<(Arc<dyn PhysicalExpr>, SortOptions)>,
    /// Sort key and the remaining columns.
    codec: RowCodec,
    /// The sort key alone: where ties have to be told, for its length; where rows are kept as columns, as what orders them.
    key: Option<RowConverter>,
    ties: bool,
    /// The first sort column alone, where rows can be left out by it.
    lead: Option<RowConverter>,
    /// The input columns that the sort key does not hold.
    rest: Vec<usize>,
    /// The remaining columns alone, where rows are kept as columns: they decide between rows of one sort key.
    others: Option<RowConverter>,
    /// For each input column its place among the codec's.
    places: Vec<usize>,
}

impl RowBytes {
    pub(super) fn new(spec: &TopNSpec) -> Result<Self> {
        let mut fields = Vec::new();
        let mut types = Vec::new();
        let mut places = vec![None; spec.input_schema.fields().len()];
        let order = spec.sort_key().to_vec();
        for (i, (expr, options)) in order.iter().enumerate() {
            let data_type = expr.data_type(&spec.input_schema)?;
            fields.push(SortField::new_with_options(data_type.clone(), *options));
            types.push(data_type);
            if let Some(column) = expr.downcast_ref::<Column>() {
                places[column.index()].get_or_insert(i);
            }
        }
        let as_columns = spec.keeps_columns();
        let key = if (spec.has_ties() || as_columns) && !fields.is_empty() {
            Some(RowConverter::new(fields.clone())?)
        } else {
            None
        };
        let lead = match fields.first() {
            Some(first) if spec.keeps_top_only() && !as_columns => {
                Some(RowConverter::new(vec![first.clone()])?)
            }
            _ => None,
        };
        let rest: Vec<usize> = (0..places.len()).filter(|i| places[*i].is_none()).collect();
        let sorted = fields.len();
        for column in &rest {
            let data_type = spec.input_schema.field(*column).data_type();
            places[*column] = Some(fields.len());
            let ascending = SortOptions { descending: false, nulls_first: false };
            fields.push(SortField::new_with_options(data_type.clone(), ascending));
            types.push(data_type.clone());
        }
        let others = match as_columns && !rest.is_empty() {
            true => Some(RowConverter::new(fields[sorted..].to_vec())?),
            false => None,
        };
        let places = places.into_iter().flatten().collect();
        let codec = RowCodec::new(fields, types)?;
        Ok(RowBytes { order, codec, key, ties: spec.has_ties(), lead, rest, others, places })
    }

    /// What is sorted by.
    pub(super) fn order(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.order.iter().map(|(expr, _)| expr)
    }

    /// The sort columns of a batch.
    pub(super) fn order_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.order().map(|expr| Ok(expr.evaluate(batch)?.into_array(batch.num_rows())?)).collect()
    }

    /// The first sort column, if rows can be left out by it.
    pub(super) fn lead(&self, order: &[ArrayRef]) -> Result<Option<Rows>> {
        match (&self.lead, order.first()) {
            (Some(lead), Some(first)) => Ok(Some(lead.convert_columns(std::slice::from_ref(first))?)),
            _ => Ok(None),
        }
    }

    /// The sort keys, where rows are kept as columns.
    pub(super) fn keys(&self, order: &[ArrayRef]) -> Result<Option<Rows>> {
        let key = self.key.as_ref().filter(|_| !self.ties);
        Ok(key.map(|key| key.convert_columns(order)).transpose()?)
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

    /// What decides between rows of one sort key, of rows that are kept as columns; `None` where all columns are in the key.
    pub(super) fn others(&self, columns: &Columns, places: &[Place]) -> Result<Option<Rows>> {
        let Some(others) = &self.others else { return Ok(None) };
        let rest = columns.store.gather_some(places, &columns.none, &self.rest)?;
        Ok(Some(others.convert_columns(&rest)?))
    }

    /// The input's columns of rows that are kept as bytes.
    pub(super) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let columns = self.codec.decode(rows)?;
        Ok(self.places.iter().map(|i| columns[*i].clone()).collect())
    }

    /// The input's columns of entries; `columns`: where these are, if they are not in their bytes.
    pub(super) fn columns_of(&self, columns: Option<&Columns>, entries: &[&Entry]) -> Result<Vec<ArrayRef>> {
        match columns {
            Some(columns) => columns.gather(&entries.iter().map(|e| e.place).collect::<Vec<_>>()),
            None => self.decode(entries.iter().map(|e| &*e.row)),
        }
    }
}

/// Rows that are kept as columns: the input's.
pub(super) struct Columns {
    store: ColumnStore,
    /// A column without rows of each type.
    none: Vec<ArrayRef>,
}

impl Columns {
    pub(super) fn new(spec: &TopNSpec) -> Self {
        let none = spec.input_schema.fields().iter().map(|f| new_empty_array(f.data_type())).collect();
        Columns { store: ColumnStore::default(), none }
    }

    /// Takes rows in.
    pub(super) fn push(&mut self, part: &Part) -> Result<Pushed> {
        Ok(self.store.push_all(part.columns(), part.chosen())?)
    }

    /// Rows have gone.
    pub(super) fn free(&mut self, places: impl IntoIterator<Item = Place>) {
        places.into_iter().for_each(|place| self.store.free(place));
    }

    pub(super) fn gather(&self, places: &[Place]) -> Result<Vec<ArrayRef>> {
        Ok(self.store.gather(places, &self.none)?)
    }

    /// The rows at these places as they are now, whatever becomes of them.
    pub(super) fn hold(&mut self, places: Vec<Place>) -> Result<Held> {
        Ok(self.store.hold(places, &self.none)?)
    }

    /// Writes the rows of `entries`, all that are kept, together, if most of what is held has gone.
    pub(super) fn sweep<'e>(&mut self, entries: impl Iterator<Item = &'e mut Entry>) -> Result<()> {
        if self.store.is_wasteful() {
            self.store.rewrite(entries.map(|entry| &mut entry.place).collect(), &self.none)?;
        }
        Ok(())
    }

    /// Bytes that the rows take that have not gone, roughly.
    pub(super) fn live_bytes(&self) -> usize {
        self.store.live_bytes()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.store.bytes()
    }
}

/// What goes out of a step.
pub(super) struct Outgoing<'a> {
    spec: &'a TopNSpec,
    bytes: &'a RowBytes,
    columns: Option<&'a Columns>,
    /// The rows' bytes, and where each ends among them; or the rows' places.
    arena: Vec<u8>,
    ends: Vec<usize>,
    places: Vec<Place>,
    rows: Vec<u32>,
    ranks: Vec<u64>,
    weights: Vec<i64>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(spec: &'a TopNSpec, bytes: &'a RowBytes, columns: Option<&'a Columns>) -> Self {
        let (arena, ends, places, rows, ranks, weights) = Default::default();
        Outgoing { spec, bytes, columns, arena, ends, places, rows, ranks, weights }
    }

    /// Sends what has been gathered if it is much.
    pub(super) fn send_some(&mut self, out: &mut dyn Emit) -> Result<()> {
        if self.rows.len() < MOST_OUT { Ok(()) } else { self.send(out) }
    }

    /// Sends what has been gathered.
    pub(super) fn send(&mut self, out: &mut dyn Emit) -> Result<()> {
        let (rows, weights) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.weights));
        let (ends, ranks) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.ranks));
        let (arena, places) = (std::mem::take(&mut self.arena), std::mem::take(&mut self.places));
        for some in 0..rows.len().div_ceil(MOST_OUT) {
            let range = some * MOST_OUT..rows.len().min((some + 1) * MOST_OUT);
            let mut columns = match self.columns {
                Some(columns) => {
                    let places: Vec<Place> =
                        rows[range.clone()].iter().map(|row| places[*row as usize]).collect();
                    columns.gather(&places)?
                }
                None => self.decoded(&rows[range.clone()], &arena, &ends)?,
            };
            if self.spec.output {
                columns.push(Arc::new(UInt64Array::from(ranks[range.clone()].to_vec())));
            }
            let options = RecordBatchOptions::new().with_row_count(Some(range.len()));
            let batch = RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?;
            let weights = &weights[range];
            let plain = weights.iter().all(|w| *w == 1);
            out.emit(Delta::weighted(batch, (!plain).then(|| Int64Array::from(weights.to_vec()))))?;
        }
        Ok(())
    }

    /// The columns of rows of one delta, which come in order, each decoded once.
    fn decoded(&self, rows: &[u32], arena: &[u8], ends: &[usize]) -> Result<Vec<ArrayRef>> {
        let (first, last) = (rows[0] as usize, rows[rows.len() - 1] as usize);
        let mut start = if first == 0 { 0 } else { ends[first - 1] };
        let decoded = self.bytes.decode(ends[first..=last].iter().map(|end| {
            let row = &arena[start..*end];
            start = *end;
            row
        }))?;
        let indices = UInt32Array::from_iter_values(rows.iter().map(|r| r - first as u32));
        let each_once = indices.len() == last - first + 1
            && indices.values().iter().enumerate().all(|(i, row)| i == *row as usize);
        if each_once {
            return Ok(decoded);
        }
        Ok(decoded.iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?)
    }
}

impl Takes for Outgoing<'_> {
    fn row(&mut self, row: &[u8], place: u32) -> usize {
        if self.columns.is_some() {
            self.places.push(place);
            return self.places.len() - 1;
        }
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
