//! Per slot the different values, and for each which of up to 32 questions it counts for: `count(DISTINCT x)`, with as many
//! FILTERs as one likes, in one look-up a row. For rows that only come; those that also go need [`super::distinct`].

mod recent;
mod words;

pub use recent::RecentValues;

use super::bag::RowCodec;
use super::distinct::{RowKey, RowRef};
use super::words as column_words;
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take;
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
    /// What has been added since [`SeenValues::take_added`] was last called; `None` = nobody wants to know, or it was too much.
    added: Option<Added>,
}

/// Values that are new to their slot, or to one of its questions: then with these alone.
#[derive(Debug, Default)]
struct Added {
    words: Vec<Word>,
    rows: Vec<(usize, Box<[u8]>, u32)>,
    /// Bytes of the rows' values.
    bytes: usize,
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
        Ok(SeenValues { values, data_type, questions, counts, bytes: 0, scratch, added: None })
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
        if self.added.is_none() {
            return self.add_telling(column, slots, marks, |_, _| ());
        }
        let mut new: Vec<(u32, u32)> = Vec::new();
        self.add_telling(column, slots, marks, |row, marks| new.push((row as u32, marks)))?;
        let Some(added) = &mut self.added else { return Ok(()) };
        match &self.values {
            Values::Words(_) => added.words.extend(new.iter().map(|(row, marks)| {
                let row = *row as usize;
                Word { slot: slots[row] as u32, value: self.scratch[row], marks: *marks }
            })),
            Values::Rows(codec, _) => {
                let rows = UInt32Array::from_iter_values(new.iter().map(|(row, _)| *row));
                let encoded = codec.encode(&[take(column, &rows, None)?])?;
                for (i, (row, marks)) in new.iter().enumerate() {
                    added.bytes += encoded.row(i).as_ref().len();
                    added.rows.push((slots[*row as usize], encoded.row(i).as_ref().into(), *marks));
                }
            }
        }
        // What is new would take as much memory as what there is, to spare less than half of the rows of a checkpoint.
        if added.words.len() + added.rows.len() > self.entries() / 2 {
            self.added = None;
        }
        Ok(())
    }

    /// The same, not noted as added; `new` is told the rows whose value has not been seen before for one of the questions at
    /// least, and for which.
    pub fn add_telling(
        &mut self,
        column: &ArrayRef,
        slots: &[usize],
        marks: &[u32],
        mut new: impl FnMut(usize, u32),
    ) -> Result<(), ArrowError> {
        if *column.data_type() != self.data_type {
            let reason = format!("values of type {}, not {}", column.data_type(), self.data_type);
            return Err(ArrowError::InvalidArgumentError(reason));
        }
        let (counts, questions) = (&mut self.counts, self.questions);
        let mut count = |row: usize, mut marks: u32| {
            new(row, marks);
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
                    if added != 0 {
                        *known |= added;
                        count(i, added);
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins to note what [`SeenValues::add`] adds, with nothing noted; until that is more than half of all there is.
    pub fn note_added(&mut self) {
        self.added = Some(Added::default());
    }

    /// Whether all that has been added since [`SeenValues::note_added`] or [`SeenValues::take_added`] was last called is noted.
    pub fn notes_added(&self) -> bool {
        self.added.is_some()
    }

    /// What was added to some slots since this was last called, as [`SeenValues::save`] gives it, but in the order in which it came; a value
    /// whose questions have become more comes with those alone. What was added to other slots is noted no more. Of use only where
    /// [`SeenValues::notes_added`].
    pub fn take_added(&mut self, slots: &[usize]) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
        let place = self.places(slots);
        let Added { words, rows, .. } = std::mem::take(&mut self.added).unwrap_or_default();
        self.note_added();
        match &self.values {
            Values::Words(_) => {
                let some = words.into_iter().filter_map(|word| Some((place(word.slot as usize)?, word)));
                self.word_rows(&some.collect::<Vec<_>>())
            }
            Values::Rows(codec, _) => {
                let some =
                    rows.iter().filter_map(|(slot, value, marks)| Some((place(*slot)?, &**value, *marks)));
                encoded_rows(codec, &some.collect::<Vec<_>>())
            }
        }
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
        if let Some(added) = &mut self.added {
            added.words.retain_mut(|word| {
                let now = slot(word.slot as usize);
                word.slot = now.unwrap_or(word.slot);
                now.is_some()
            });
            added.rows.retain_mut(|(of, ..)| {
                let now = slot(*of);
                *of = now.map_or(*of, |now| now as usize);
                now.is_some()
            });
            added.bytes = added.rows.iter().map(|(_, value, _)| value.len()).sum();
        }
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
        let place = self.places(slots);
        match &self.values {
            Values::Words(words) => {
                let some = words.iter().filter_map(|word| Some((place(word.slot as usize)?, word)));
                let mut all: Vec<(usize, Word)> = some.collect();
                all.sort_unstable_by_key(|(place, word)| (*place, word.value));
                self.word_rows(&all)
            }
            Values::Rows(codec, map) => {
                let some = map.iter().filter_map(|(k, m)| Some((place(k.0)?, &*k.1, *m)));
                let mut all: Vec<(usize, &[u8], u32)> = some.collect();
                all.sort_unstable();
                encoded_rows(codec, &all)
            }
        }
    }

    /// Which of `slots` a slot is.
    fn places(&self, slots: &[usize]) -> impl Fn(usize) -> Option<usize> + use<> {
        let mut places = vec![usize::MAX; self.counts.len() / self.questions];
        slots.iter().enumerate().for_each(|(i, slot)| places[*slot] = i);
        move |slot| Some(places[slot]).filter(|place| *place != usize::MAX)
    }

    fn word_rows(&self, all: &[(usize, Word)]) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
        let values: Vec<u64> = all.iter().map(|(_, word)| word.value).collect();
        let values = column_words::column(&self.data_type, &values, None)?;
        let marks = UInt32Array::from_iter_values(all.iter().map(|(_, word)| word.marks));
        Ok((all.iter().map(|(place, _)| *place).collect(), vec![values, Arc::new(marks)]))
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
        let added = self.added.as_ref().map_or(0, |added| {
            let rows = added.rows.capacity() * size_of::<(usize, Box<[u8]>, u32)>();
            added.words.capacity() * size_of::<Word>() + rows + added.bytes
        });
        table + self.bytes + added + (self.counts.capacity() + self.scratch.capacity()) * 8
    }
}

fn encoded_rows(
    codec: &RowCodec,
    all: &[(usize, &[u8], u32)],
) -> Result<(Vec<usize>, Vec<ArrayRef>), ArrowError> {
    let values = codec.decode(all.iter().map(|entry| entry.1))?.swap_remove(0);
    let marks = UInt32Array::from_iter_values(all.iter().map(|entry| entry.2));
    Ok((all.iter().map(|entry| entry.0).collect(), vec![values, Arc::new(marks)]))
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

    /// What is noted as added, beside what was there when that began, is what is there.
    #[test]
    fn what_is_added_is_noted() {
        for data_type in [DataType::Int32, DataType::Utf8] {
            let column = |numbers: Vec<i64>| {
                cast(&(Arc::new(Int64Array::from(numbers)) as ArrayRef), &data_type).unwrap()
            };
            let mut values = SeenValues::new(&data_type, 2).unwrap();
            values.grow(3).unwrap();
            values.add(&column(vec![1, 2]), &[0, 1], &[1, 3]).unwrap();
            values.add(&column((10..30).collect()), &[0; 20], &[1; 20]).unwrap();
            let held = values.bytes();
            values.note_added();
            values
                .add(&column(vec![1, 1, 2, 3, 3, 4, 5]), &[0, 0, 1, 1, 1, 2, 0], &[1, 3, 3, 1, 2, 1, 0])
                .unwrap();
            values.add_telling(&column(vec![9]), &[1], &[1], |_, _| ()).unwrap();
            assert!(values.bytes() > held);
            // Slot 1 becomes slot 0, slot 0 slot 1; slot 2 goes.
            values.retain(&[1, 0]);
            values.grow(3).unwrap();
            values.add(&column(vec![7, 8]), &[2, 1], &[1, 2]).unwrap();
            let (places, added) = values.take_added(&[1, 0]).unwrap();
            assert_eq!(places, [0, 1, 1, 0]);
            assert_eq!(&added[0], &column(vec![1, 3, 3, 8]));
            assert_eq!(added[1].as_any().downcast_ref::<UInt32Array>().unwrap().values(), &[2, 1, 2, 2]);
            // What was asked for is noted no more, nor is what was not asked for.
            assert_eq!(values.take_added(&[0, 1, 2]).unwrap().0.len(), 0);
            values.add(&column(vec![1, 6]), &[1, 1], &[3, 1]).unwrap();
            assert_eq!(values.take_added(&[1]).unwrap().0, [0]);
        }
    }

    /// Notes are worth their memory while they are less than half of all; then there are none till they are begun anew.
    #[test]
    fn what_is_most_of_all_is_noted_no_more() {
        for data_type in [DataType::Int64, DataType::Utf8] {
            let column = |from: i64, to: i64| {
                cast(&(Arc::new(Int64Array::from_iter_values(from..to)) as ArrayRef), &data_type).unwrap()
            };
            let mut values = SeenValues::new(&data_type, 2).unwrap();
            let add = |values: &mut SeenValues, from, to| {
                values.grow(1).unwrap();
                let rows = (to - from) as usize;
                values.add(&column(from, to), &vec![0; rows], &vec![1; rows]).unwrap();
                values.notes_added()
            };
            assert!(!add(&mut values, 0, 100));
            values.note_added();
            assert!(add(&mut values, 0, 200));
            assert_eq!(values.take_added(&[0]).unwrap().0.len(), 100);
            assert!(add(&mut values, 100, 400));
            let held = values.bytes();
            assert!(!add(&mut values, 400, 402));
            assert!(values.bytes() < held);
            assert!(!add(&mut values, 402, 403));
            values.note_added();
            assert!(add(&mut values, 403, 405));
            assert_eq!(values.take_added(&[0]).unwrap().0.len(), 2);
            // A value with another question is noted like one that is new.
            let again = column(0, 203);
            values.add(&again, &[0; 203], &[2; 203]).unwrap();
            assert!(!values.notes_added());
        }
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
