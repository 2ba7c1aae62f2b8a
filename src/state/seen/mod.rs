//! Per slot the different values, and for each which of up to 32 questions it counts for: `count(DISTINCT x)`, with as many
//! FILTERs as one likes, in one look-up a row. For rows that only come; those that also go need [`super::distinct`].

mod recent;
mod words;

pub use recent::RecentValues;

use super::bag::RowCodec;
use super::distinct::{RowKey, RowRef};
use super::words as column_words;
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::SortField;
use hashbrown::HashMap;
use std::sync::Arc;
use words::{Word, Words};

/// Questions that one store answers.
pub const MOST: usize = u32::BITS as usize;

/// Different values per slot, with the questions for which each has been seen.
#[derive(Debug)]
pub struct SeenValues {
    values: Values,
    data_type: DataType,
    questions: usize,
    /// Per slot and question the number of values.
    counts: Vec<i64>,
    bytes: usize,
    scratch: Vec<u64>,
}

#[derive(Debug)]
enum Values {
    /// Numbers and times.
    Words(Words),
    /// All other types, by their row bytes; with the questions as bits.
    Rows(Box<RowCodec>, HashMap<RowKey, u32>),
}

impl SeenValues {
    /// No values yet, of type `data_type`, for `questions` questions, at most [`MOST`]; an error if values of the type cannot be kept.
    pub fn new(data_type: &DataType, questions: usize) -> Result<Self, ArrowError> {
        debug_assert!((1..=MOST).contains(&questions), "{questions} questions");
        let values = if column_words::fits(data_type) {
            Values::Words(Words::default())
        } else {
            let fields = vec![SortField::new(data_type.clone())];
            Values::Rows(Box::new(RowCodec::new(fields, vec![data_type.clone()])?), HashMap::new())
        };
        let (data_type, counts, scratch) = (data_type.clone(), Vec::new(), Vec::new());
        Ok(SeenValues { values, data_type, questions, counts, bytes: 0, scratch })
    }

    /// Makes slots `0..total` exist; an error if there would be more than 2³².
    pub fn grow(&mut self, total: usize) -> Result<(), ArrowError> {
        if u32::try_from(total).is_err() {
            return Err(ArrowError::InvalidArgumentError(format!("{total} groups are too many")));
        }
        self.counts.resize((total * self.questions).max(self.counts.len()), 0);
        Ok(())
    }

    /// Row `i` shows value `i` of `column` to slot `slots[i]`, for the questions whose bits `marks[i]` has; without one, it is
    /// passed over.
    pub fn add(&mut self, column: &ArrayRef, slots: &[usize], marks: &[u32]) -> Result<(), ArrowError> {
        self.add_telling(column, slots, marks, |_| ())
    }

    /// The same; `new` is told the rows whose value has not been seen before for one of the questions at least.
    pub fn add_telling(
        &mut self,
        column: &ArrayRef,
        slots: &[usize],
        marks: &[u32],
        mut new: impl FnMut(usize),
    ) -> Result<(), ArrowError> {
        if *column.data_type() != self.data_type {
            let reason = format!("values of type {}, not {}", column.data_type(), self.data_type);
            return Err(ArrowError::InvalidArgumentError(reason));
        }
        let (counts, questions) = (&mut self.counts, self.questions);
        let mut count = |row: usize, mut marks: u32| {
            if marks != 0 {
                new(row);
            }
            while marks != 0 {
                counts[slots[row] * questions + marks.trailing_zeros() as usize] += 1;
                marks &= marks - 1;
            }
        };
        match &mut self.values {
            Values::Words(words) => {
                column_words::words(column, &mut self.scratch);
                words.add(&self.scratch, slots, marks, count);
            }
            Values::Rows(codec, map) => {
                let encoded = codec.encode(std::slice::from_ref(column))?;
                for (i, marks) in marks.iter().enumerate().filter(|(_, marks)| **marks != 0) {
                    let (slot, row) = (slots[i], encoded.row(i));
                    let row = row.as_ref();
                    let Some(known) = map.get_mut(&RowRef(slot, row)) else {
                        map.insert(RowKey(slot, row.into()), *marks);
                        self.bytes += row.len();
                        count(i, *marks);
                        continue;
                    };
                    let added = marks & !*known;
                    *known |= added;
                    count(i, added);
                }
            }
        }
        Ok(())
    }

    /// How many different values slot `slot` has seen for a question.
    pub fn count(&self, slot: usize, question: usize) -> i64 {
        self.counts[slot * self.questions + question]
    }

    /// Keeps the slots `ids` as slots `0..`, in that order, and drops the others.
    pub fn retain(&mut self, ids: &[usize]) {
        let mut renumbered = vec![u32::MAX; self.counts.len() / self.questions];
        ids.iter().enumerate().for_each(|(new, old)| renumbered[*old] = new as u32);
        let slot = |old: usize| Some(renumbered[old]).filter(|new| *new != u32::MAX);
        let kept = ids.iter().flat_map(|id| &self.counts[id * self.questions..(id + 1) * self.questions]);
        self.counts = kept.copied().collect();
        match &mut self.values {
            Values::Words(words) => words.retain(|old| slot(old as usize)),
            Values::Rows(_, map) => {
                let old = std::mem::take(map);
                let kept = old.into_iter().filter_map(|(k, m)| Some((RowKey(slot(k.0)? as usize, k.1), m)));
                *map = kept.collect();
                self.bytes = map.keys().map(|k| k.1.len()).sum();
            }
        }
    }

    /// All values of some slots, in order of slot and value: which of `slots` each belongs to, and the columns value and
    /// bits of the questions. Cost: all values are looked at.
    pub fn save(&self, slots: &[usize]) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
        let mut places = vec![usize::MAX; self.counts.len() / self.questions];
        slots.iter().enumerate().for_each(|(i, slot)| places[*slot] = i);
        let place = |slot: usize| Some(places[slot]).filter(|place| *place != usize::MAX);
        let (slots, values, marks): (Vec<usize>, ArrayRef, UInt32Array) = match &self.values {
            Values::Words(words) => {
                let some = words.iter().filter_map(|word| Some((place(word.slot as usize)?, word)));
                let mut all: Vec<(usize, Word)> = some.collect();
                all.sort_unstable_by_key(|(place, word)| (*place, word.value));
                let values: Vec<u64> = all.iter().map(|(_, word)| word.value).collect();
                let values = column_words::column(&self.data_type, &values, None)?;
                let marks = all.iter().map(|(_, word)| word.marks).collect::<Vec<_>>();
                (all.iter().map(|(place, _)| *place).collect(), values, marks.into())
            }
            Values::Rows(codec, map) => {
                let some = map.iter().filter_map(|(k, m)| Some((place(k.0)?, &*k.1, *m)));
                let mut all: Vec<(usize, &[u8], u32)> = some.collect();
                all.sort_unstable();
                let values = codec.decode(all.iter().map(|e| e.1))?.swap_remove(0);
                let marks = all.iter().map(|e| e.2).collect::<Vec<_>>();
                (all.iter().map(|e| e.0).collect(), values, marks.into())
            }
        };
        Ok((slots, vec![values, Arc::new(marks)]))
    }

    /// Number of (slot, value) pairs.
    pub fn entries(&self) -> usize {
        match &self.values {
            Values::Words(words) => words.len(),
            Values::Rows(_, map) => map.len(),
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let table = match &self.values {
            Values::Words(words) => words.bytes(),
            Values::Rows(_, map) => map.allocation_size(),
        };
        table + self.bytes + (self.counts.capacity() + self.scratch.capacity()) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::compute::cast;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_value_counts_once_for_each_question() {
        let columns: [ArrayRef; 3] = [
            Arc::new(Float64Array::from(vec![1.5, -2.5, 1.5, 1.5, 0.0])),
            Arc::new(Int64Array::from(vec![15, -25, 15, 15, 0])),
            Arc::new(StringArray::from(vec!["a", "b", "a", "a", ""])),
        ];
        for column in columns {
            let mut values = SeenValues::new(column.data_type(), 2).unwrap();
            values.grow(2).unwrap();
            values.add(&column, &[0, 0, 0, 1, 1], &[0b01, 0b11, 0b10, 0b01, 0]).unwrap();
            let counts = |values: &SeenValues| [0, 1].map(|slot| [0, 1].map(|q| values.count(slot, q)));
            assert_eq!(counts(&values), [[2, 2], [1, 0]]);
            assert_eq!(values.entries(), 3);
            values.retain(&[1, 0]);
            assert_eq!(counts(&values), [[1, 0], [2, 2]]);
            let (slots, saved) = values.save(&[1]).unwrap();
            assert_eq!(slots, [0, 0]);
            let mut again = SeenValues::new(column.data_type(), 2).unwrap();
            again.grow(1).unwrap();
            let marks = saved[1].as_any().downcast_ref::<UInt32Array>().unwrap();
            again.add(&saved[0], &slots, marks.values()).unwrap();
            assert_eq!([again.count(0, 0), again.count(0, 1)], [2, 2]);
        }
        assert!(SeenValues::new(&DataType::Int64, 1).unwrap().grow(1 << 33).is_err());
    }

    /// Random rows, slots that are dropped now and then: as sets have it.
    #[test]
    fn as_sets_have_it() {
        let mut random = 7u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for data_type in [DataType::Int64, DataType::Int16, DataType::Utf8] {
            let mut values = SeenValues::new(&data_type, MOST).unwrap();
            let mut sets: Vec<BTreeMap<i64, u32>> = vec![BTreeMap::new(); 50];
            values.grow(50).unwrap();
            for round in 0..40 {
                let rows: Vec<(usize, i64, u32)> = (0..draw(400))
                    .map(|_| {
                        (
                            draw(sets.len() as u64) as usize,
                            draw(200) as i64 - 9,
                            draw(1 << 32) as u32 & draw(1 << 32) as u32,
                        )
                    })
                    .collect();
                let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
                let slots: Vec<usize> = rows.iter().map(|r| r.0).collect();
                let marks: Vec<u32> = rows.iter().map(|r| r.2).collect();
                values.add(&cast(&column, &data_type).unwrap(), &slots, &marks).unwrap();
                for (slot, value, marks) in rows.into_iter().filter(|r| r.2 != 0) {
                    *sets[slot].entry(value).or_default() |= marks;
                }
                if round % 9 == 8 {
                    let ids: Vec<usize> = (0..sets.len()).rev().filter(|_| draw(4) > 0).collect();
                    values.retain(&ids);
                    sets = ids.iter().map(|id| sets[*id].clone()).collect();
                    values.grow(60).unwrap();
                    sets.resize(60, BTreeMap::new());
                }
                for (slot, set) in sets.iter().enumerate() {
                    for question in 0..MOST {
                        let expected = set.values().filter(|marks| *marks & (1 << question) != 0).count();
                        assert_eq!(values.count(slot, question), expected as i64);
                    }
                }
                assert_eq!(values.entries(), sets.iter().map(BTreeMap::len).sum::<usize>());
            }
            let (slots, saved) = values.save(&(0..sets.len()).collect::<Vec<_>>()).unwrap();
            let numbers = cast(&saved[0], &DataType::Int64).unwrap();
            let numbers = numbers.as_any().downcast_ref::<Int64Array>().unwrap();
            let found: BTreeSet<(usize, i64)> =
                slots.into_iter().zip(numbers.values().iter().copied()).collect();
            let all = sets.iter().enumerate().flat_map(|(i, set)| set.keys().map(move |v| (i, *v)));
            assert_eq!(found, all.collect());
        }
    }
}
