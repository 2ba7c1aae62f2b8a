//! Per slot an ordered multiset of rows: what an aggregate needs that cannot take a value back.
//!
//! A row is kept as order-preserving bytes (Arrow's row format) → weight, so a bag's first and last
//! rows are its extremes and walking it gives the rows in the order of the sort options. The bytes
//! never leave memory: checkpoints get columns again ([`Bags::save`]).

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, Int64Array, PrimitiveArray, downcast_primitive_array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, RowParser, SortField};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Turns columns into order-preserving row bytes and back.
#[derive(Debug)]
pub struct RowCodec {
    converter: RowConverter,
    parser: RowParser,
    types: Vec<DataType>,
}

impl RowCodec {
    /// A codec for columns of these types and sort options; an error if the row format lacks a type.
    pub fn new(fields: Vec<SortField>, types: Vec<DataType>) -> Result<Self, ArrowError> {
        let converter = RowConverter::new(fields)?;
        let parser = converter.parser();
        Ok(RowCodec { converter, parser, types })
    }

    /// One row of bytes for each row of `columns`.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<arrow::row::Rows, ArrowError> {
        self.converter.convert_columns(columns)
    }

    /// The columns of `rows`, which this codec wrote.
    pub fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let parser = &self.parser;
        let columns = self.converter.convert_rows(rows.map(|bytes| parse(parser, bytes)))?;
        // The row format may give a dictionary's plain values back.
        let typed = columns.into_iter().zip(&self.types);
        typed.map(|(c, t)| if c.data_type() == t { Ok(plain_nulls(c)) } else { cast(&c, t) }).collect()
    }
}

/// Columns of a codec's rows that can be decoded without those before them: of rows of numbers and times, by where they lie.
#[derive(Debug)]
pub struct FixedColumns {
    /// Of each column from where to where its bytes lie, and the codec of it alone; `None` = that differs from row to row.
    columns: Vec<Option<(Range<usize>, RowCodec)>>,
}

impl FixedColumns {
    /// Of rows of these types, each sorted as by default. Errors: the row format lacks a type.
    pub fn new(types: &[DataType]) -> Result<Self, ArrowError> {
        let mut columns = Vec::new();
        let mut begin = Some(0);
        for data_type in types {
            // A byte that tells nulls, and the value.
            let end = data_type.primitive_width().and_then(|width| Some(begin? + 1 + width));
            columns.push(match (begin, end) {
                (Some(begin), Some(end)) => {
                    let field = SortField::new(data_type.clone());
                    Some((begin..end, RowCodec::new(vec![field], vec![data_type.clone()])?))
                }
                _ => None,
            });
            begin = end;
        }
        Ok(FixedColumns { columns })
    }

    /// Whether all of these columns are such.
    pub fn has(&self, columns: &[usize]) -> bool {
        columns.iter().all(|column| matches!(self.columns.get(*column), Some(Some(_))))
    }

    /// One column of rows; `None` = it is no such column.
    pub fn decode<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u8]>,
        column: usize,
    ) -> Option<Result<ArrayRef, ArrowError>> {
        let (bytes, codec) = self.columns.get(column)?.as_ref()?;
        let decoded = codec.decode(rows.map(|row| &row[bytes.clone()]));
        Some(decoded.map(|mut columns| columns.swap_remove(0)))
    }
}

/// The column with zeros behind its nulls. The row format leaves the extremes of the type there, which functions that
/// compute behind nulls too may not take: DataFusion's date_trunc overflows.
fn plain_nulls(column: ArrayRef) -> ArrayRef {
    if column.null_count() == 0 {
        return column;
    }
    fn zeroed<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> ArrayRef {
        let zeroed = PrimitiveArray::<T>::from_iter(array.iter());
        Arc::new(zeroed.with_data_type(array.data_type().clone()))
    }
    let array: &dyn Array = column.as_ref();
    downcast_primitive_array!(
        array => zeroed(array),
        _ => column.clone()
    )
}

/// `Row`s borrow the parser and the bytes for one common lifetime.
fn parse<'a>(parser: &'a RowParser, bytes: &'a [u8]) -> arrow::row::Row<'a> {
    parser.parse(bytes)
}

/// A bag's rows with their weights, in order.
type Bag = BTreeMap<Box<[u8]>, i64>;

/// Ordered multisets of rows, one a slot.
#[derive(Debug)]
pub struct Bags {
    codec: RowCodec,
    bags: Vec<Bag>,
    entries: usize,
    bytes: usize,
}

/// Rough cost of an entry beside its bytes: its place in the tree.
const ENTRY_BYTES: usize = 32;

impl Bags {
    /// No slots yet; see [`RowCodec::new`].
    pub fn new(codec: RowCodec) -> Self {
        Bags { codec, bags: Vec::new(), entries: 0, bytes: 0 }
    }

    /// Makes slots `0..total` exist.
    pub fn grow(&mut self, total: usize) {
        self.bags.resize_with(total.max(self.bags.len()), Bag::new);
    }

    /// Adds row `i` of `columns` with `weight(i)` to the bag of slot `slots[i]`, for each row of `rows`.
    pub fn add(
        &mut self,
        columns: &[ArrayRef],
        slots: &[usize],
        rows: impl Iterator<Item = usize>,
        weight: impl Fn(usize) -> i64,
    ) -> Result<(), ArrowError> {
        let encoded = self.codec.encode(columns)?;
        for i in rows {
            let row = encoded.row(i);
            let bag = &mut self.bags[slots[i]];
            let bytes: &[u8] = row.as_ref();
            let Some(kept) = bag.get_mut(bytes) else {
                bag.insert(bytes.into(), weight(i));
                self.entries += 1;
                self.bytes += bytes.len() + ENTRY_BYTES;
                continue;
            };
            *kept += weight(i);
            if *kept == 0 {
                bag.remove(bytes);
                self.entries -= 1;
                self.bytes -= bytes.len() + ENTRY_BYTES;
            }
        }
        Ok(())
    }

    /// The rows of a slot that are there (weight > 0), in order.
    pub fn rows(&self, slot: usize) -> impl DoubleEndedIterator<Item = (&[u8], i64)> {
        self.bags[slot].iter().filter(|(_, w)| **w > 0).map(|(row, w)| (row.as_ref(), *w))
    }

    /// The columns of `rows`, which came from these bags.
    pub fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        self.codec.decode(rows)
    }

    /// Keeps the slots `ids` as slots `0..`, in that order, and drops the others.
    pub fn retain(&mut self, ids: &[usize]) {
        self.bags = ids.iter().map(|id| std::mem::take(&mut self.bags[*id])).collect();
        self.entries = self.bags.iter().map(BTreeMap::len).sum();
        self.bytes = self.bags.iter().flatten().map(|(row, _)| row.len() + ENTRY_BYTES).sum();
    }

    /// All entries of some slots, also those of weight below 0: which of `slots` each belongs to, its columns and, last, its
    /// weight.
    pub fn save(&self, slots: &[usize]) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
        let bags = || slots.iter().map(|slot| &self.bags[*slot]).enumerate();
        let all = || bags().flat_map(|(i, bag)| bag.iter().map(move |entry| (i, entry)));
        let mut columns = self.codec.decode(all().map(|(_, (row, _))| row.as_ref()))?;
        columns.push(Arc::new(Int64Array::from_iter_values(all().map(|(_, (_, w))| *w))));
        Ok((all().map(|(slot, _)| slot).collect(), columns))
    }

    /// Number of entries (different rows) over all slots.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes + self.bags.len() * size_of::<Bag>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, StringArray};
    use arrow::compute::SortOptions;
    use arrow::datatypes::Int64Type;

    fn bags() -> Bags {
        Bags::new(RowCodec::new(vec![SortField::new(DataType::Utf8)], vec![DataType::Utf8]).unwrap())
    }

    #[test]
    fn rows_come_in_order_and_leave_when_their_weight_is_zero() {
        let mut bags = bags();
        bags.grow(2);
        let values: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "b", "c", "a"]));
        let weights = [1, 2, 1, 5, -2];
        bags.add(&[values], &[0, 0, 0, 1, 0], 0..5, |i| weights[i]).unwrap();
        assert_eq!(bags.entries(), 2);
        assert_eq!(bags.rows(0).map(|(_, w)| w).collect::<Vec<_>>(), [2]);

        let (slots, columns) = bags.save(&[0, 1]).unwrap();
        assert_eq!(slots, [0, 1]);
        assert_eq!(columns[0].as_string::<i32>().value(0), "b");
        assert_eq!(columns[1].as_primitive::<Int64Type>().values().to_vec(), [2, 5]);

        bags.retain(&[1]);
        assert_eq!((bags.entries(), bags.rows(0).count()), (1, 1));
    }

    #[test]
    fn behind_a_null_is_a_zero() {
        let options = SortOptions { descending: true, nulls_first: false };
        let field = SortField::new_with_options(DataType::Int64, options);
        let codec = RowCodec::new(vec![field], vec![DataType::Int64]).unwrap();
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let rows = codec.encode(&[column]).unwrap();
        let decoded = codec.decode(rows.iter().map(|r| r.data())).unwrap().swap_remove(0);
        let decoded = decoded.as_primitive::<Int64Type>();
        assert_eq!((decoded.values().to_vec(), decoded.is_null(1)), (vec![7, 0], true));
    }

    #[test]
    fn a_row_taken_back_before_it_came_is_not_there() {
        let mut bags = bags();
        bags.grow(1);
        let value: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        bags.add(std::slice::from_ref(&value), &[0], 0..1, |_| -1).unwrap();
        assert_eq!(bags.rows(0).count(), 0);
        bags.add(&[value], &[0], 0..1, |_| 1).unwrap();
        assert_eq!((bags.entries(), bags.bytes()), (0, size_of::<Bag>()));
    }

    /// Columns of all kinds, with nulls: alone they are what they are with the others.
    #[test]
    fn columns_are_decoded_without_the_others() {
        use arrow::array::*;
        use arrow::datatypes::i256;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(7)])),
            Arc::new(UInt16Array::from(vec![Some(9), Some(u16::MAX), None])),
            Arc::new(Int8Array::from(vec![None, Some(-1), Some(3)])),
            Arc::new(Float32Array::from(vec![Some(-0.0), None, Some(f32::INFINITY)])),
            Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None])),
            Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(5), None, Some(-5)]).with_timezone("+00:00")),
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                Some(arrow::datatypes::IntervalMonthDayNano::new(1, -2, 3)),
                None,
                Some(arrow::datatypes::IntervalMonthDayNano::new(0, 0, -1)),
            ])),
            Arc::new(DurationSecondArray::from(vec![Some(1), None, Some(-1)])),
            Arc::new(
                Decimal128Array::from(vec![Some(-12), None, Some(5)])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            Arc::new(Decimal256Array::from(vec![Some(i256::from(-12)), None, Some(i256::MAX)])),
            Arc::new(StringArray::from(vec![
                Some("a"),
                None,
                Some("a longer one than thirty-two bytes it is"),
            ])),
            Arc::new(Int64Array::from(vec![1, 2, 3])),
        ];
        let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
        let codec =
            RowCodec::new(types.iter().cloned().map(SortField::new).collect(), types.clone()).unwrap();
        let fixed = FixedColumns::new(&types).unwrap();
        let rows = codec.encode(&columns).unwrap();
        let all = codec.decode(rows.iter().map(|row| row.data())).unwrap();
        for (i, column) in columns.iter().enumerate().take(11) {
            assert!(fixed.has(&[0, i]));
            let alone = fixed.decode(rows.iter().map(|row| row.data()), i).unwrap().unwrap();
            assert_eq!((&alone, alone.to_data()), (column, all[i].to_data()));
        }
        for i in [11, 12, 13] {
            assert!(!fixed.has(&[0, i]) && fixed.decode(rows.iter().map(|row| row.data()), i).is_none());
        }
    }
}
