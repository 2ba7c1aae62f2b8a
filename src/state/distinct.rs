//! Per slot the different values and how often each is there: `count(DISTINCT x)` in one look-up a
//! row, over rows that come and go.

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::SortField;
use hashbrown::{Equivalent, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::bag::RowCodec;
use super::words;

/// Different values per slot.
#[derive(Debug)]
pub struct DistinctValues {
    values: Values,
    data_type: DataType,
    /// Per slot the number of values with weight > 0.
    counts: Vec<i64>,
    bytes: usize,
}

/// (slot, value) → weight.
#[derive(Debug)]
enum Values {
    /// Numbers and times, by their bits.
    Words(HashMap<(usize, u64), i64>),
    /// All other types, by their row bytes.
    Rows(RowCodec, HashMap<RowKey, i64>),
}

/// A slot and the bytes of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowKey(pub(super) usize, pub(super) Box<[u8]>);

/// A [`RowKey`] that borrows its bytes, for look-ups.
pub(super) struct RowRef<'a>(pub(super) usize, pub(super) &'a [u8]);

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        RowRef(self.0, &self.1).hash(state);
    }
}

impl Hash for RowRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<RowKey> for RowRef<'_> {
    fn equivalent(&self, key: &RowKey) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl DistinctValues {
    /// No values yet, of type `data_type`; an error if values of the type cannot be kept.
    pub fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        let values = if words::fits(data_type) {
            Values::Words(HashMap::new())
        } else {
            let fields = vec![SortField::new(data_type.clone())];
            Values::Rows(RowCodec::new(fields, vec![data_type.clone()])?, HashMap::new())
        };
        Ok(DistinctValues { values, data_type: data_type.clone(), counts: Vec::new(), bytes: 0 })
    }

    /// Makes slots `0..total` exist.
    pub fn grow(&mut self, total: usize) {
        self.counts.resize(total.max(self.counts.len()), 0);
    }

    /// Adds value `i` of `column` with `weight(i)` to slot `slots[i]`, for each row of `rows`.
    pub fn add(
        &mut self,
        column: &ArrayRef,
        slots: &[usize],
        rows: impl Iterator<Item = usize>,
        weight: impl Fn(usize) -> i64,
    ) -> Result<(), ArrowError> {
        if *column.data_type() != self.data_type {
            let reason = format!("values of type {}, not {}", column.data_type(), self.data_type);
            return Err(ArrowError::InvalidArgumentError(reason));
        }
        match &mut self.values {
            Values::Words(map) => {
                let mut bits = Vec::new();
                words::words(column, &mut bits);
                for i in rows {
                    let kept = map.entry((slots[i], bits[i])).or_insert(0);
                    let w = weight(i);
                    *kept += w;
                    self.counts[slots[i]] += stepped(*kept - w, *kept);
                    if *kept == 0 {
                        map.remove(&(slots[i], bits[i]));
                    }
                }
            }
            Values::Rows(codec, map) => {
                let encoded = codec.encode(std::slice::from_ref(column))?;
                for i in rows {
                    let (slot, row, w) = (slots[i], encoded.row(i), weight(i));
                    let Some(kept) = map.get_mut(&RowRef(slot, row.as_ref())) else {
                        map.insert(RowKey(slot, row.as_ref().into()), w);
                        self.counts[slot] += stepped(0, w);
                        self.bytes += row.as_ref().len();
                        continue;
                    };
                    *kept += w;
                    let now = *kept;
                    self.counts[slot] += stepped(now - w, now);
                    if now == 0 {
                        map.remove(&RowRef(slot, row.as_ref()));
                        self.bytes -= row.as_ref().len();
                    }
                }
            }
        }
        Ok(())
    }

    /// How many different values slot `slot` holds.
    pub fn count(&self, slot: usize) -> i64 {
        self.counts[slot]
    }

    /// Keeps the slots `ids` as slots `0..`, in that order, and drops the others.
    pub fn retain(&mut self, ids: &[usize]) {
        let mut renumbered = vec![usize::MAX; self.counts.len()];
        ids.iter().enumerate().for_each(|(new, old)| renumbered[*old] = new);
        let slot = |old: usize| Some(renumbered[old]).filter(|new| *new != usize::MAX);
        self.counts = ids.iter().map(|id| self.counts[*id]).collect();
        match &mut self.values {
            Values::Words(map) => {
                let old = std::mem::take(map);
                *map = old.into_iter().filter_map(|((s, v), w)| Some(((slot(s)?, v), w))).collect();
            }
            Values::Rows(_, map) => {
                let old = std::mem::take(map);
                *map = old.into_iter().filter_map(|(k, w)| Some((RowKey(slot(k.0)?, k.1), w))).collect();
                self.bytes = map.keys().map(|k| k.1.len()).sum();
            }
        }
    }

    /// All values of some slots, in order of slot and value: which of `slots` each belongs to, and the columns value and
    /// weight. Cost: all values are looked at.
    pub fn save(&self, slots: &[usize]) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
        let mut places = vec![usize::MAX; self.counts.len()];
        slots.iter().enumerate().for_each(|(i, slot)| places[*slot] = i);
        let place = |slot: usize| Some(places[slot]).filter(|place| *place != usize::MAX);
        let (slots, values, weights): (Vec<usize>, ArrayRef, Vec<i64>) = match &self.values {
            Values::Words(map) => {
                let some = map.iter().filter_map(|((s, v), w)| Some((place(*s)?, *v, *w)));
                let mut all: Vec<(usize, u64, i64)> = some.collect();
                all.sort_unstable();
                let values: Vec<u64> = all.iter().map(|e| e.1).collect();
                let values = words::column(&self.data_type, &values, None)?;
                (all.iter().map(|e| e.0).collect(), values, all.iter().map(|e| e.2).collect())
            }
            Values::Rows(codec, map) => {
                let some = map.iter().filter_map(|(k, w)| Some((place(k.0)?, &*k.1, *w)));
                let mut all: Vec<(usize, &[u8], i64)> = some.collect();
                all.sort_unstable();
                let values = codec.decode(all.iter().map(|e| e.1))?.swap_remove(0);
                (all.iter().map(|e| e.0).collect(), values, all.iter().map(|e| e.2).collect())
            }
        };
        Ok((slots, vec![values, Arc::new(Int64Array::from(weights))]))
    }

    /// Number of (slot, value) pairs.
    pub fn entries(&self) -> usize {
        match &self.values {
            Values::Words(map) => map.len(),
            Values::Rows(_, map) => map.len(),
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let table = match &self.values {
            Values::Words(map) => map.allocation_size(),
            Values::Rows(_, map) => map.allocation_size(),
        };
        table + self.bytes + self.counts.capacity() * 8
    }
}

/// How the number of values that are there changes when a weight goes from `before` to `after`.
fn stepped(before: i64, after: i64) -> i64 {
    i64::from(after > 0) - i64::from(before > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, StringArray, TimestampSecondArray};

    #[test]
    fn a_value_counts_once_until_its_last_copy_is_taken_back() {
        let columns: [ArrayRef; 3] = [
            Arc::new(Float32Array::from(vec![1.5, -2.5, 1.5, 1.5, 1.5])),
            Arc::new(TimestampSecondArray::from(vec![15, -25, 15, 15, 15])),
            Arc::new(StringArray::from(vec!["a", "b", "a", "a", "a"])),
        ];
        for column in columns {
            let mut values = DistinctValues::new(column.data_type()).unwrap();
            values.grow(2);
            values.add(&column, &[0, 0, 0, 1, 0], [0, 1, 2, 3].into_iter(), |_| 1).unwrap();
            assert_eq!((values.count(0), values.count(1)), (2, 1));
            values.add(&column, &[0; 5], [0].into_iter(), |_| -1).unwrap();
            assert_eq!(values.count(0), 2);
            values.add(&column, &[0; 5], [4].into_iter(), |_| -1).unwrap();
            assert_eq!((values.count(0), values.entries()), (1, 2));
            values.retain(&[1, 0]);
            let (slots, saved) = values.save(&[0, 1]).unwrap();
            assert_eq!(slots, [0, 1]);
            assert_eq!(&saved[0], &column.slice(0, 2));
        }
    }
}
