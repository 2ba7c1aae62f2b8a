//! Texts that come again and again: each different one is kept once, and of a row its number.
//!
//! Whether that pays is tried with the texts themselves, and tried again now and then where it did not. What is kept of
//! different texts has a bound: when it is full, others begin.

use super::piece::{chosen_nulls, nulls_of};
use crate::delta::Chosen;
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Rows by which it is seen early that texts are all different.
const SAMPLE: usize = 1024;
/// A text from this length on is not looked for among others.
const LONG: usize = 1024;
/// What a different text takes besides its bytes: its end, and its number in the table.
const BESIDE: usize = 12;
/// Different texts, and bytes of them, from which on others begin.
const MOST_WORDS: usize = 1 << 17;
const MOST_BYTES: usize = 4 << 20;
/// Rows that are left as they are, after texts were found to be different; twice as many each time, up to the most.
const LEAST_REST: usize = 1 << 15;
const MOST_REST: usize = 1 << 21;

/// The texts of rows as numbers of words.
#[derive(Debug, Clone)]
pub(super) struct Repeated {
    /// Of each row its word; of a null any.
    ids: ScalarBuffer<u32>,
    nulls: Option<NullBuffer>,
    /// The words that are meant.
    pub(super) words: u32,
}

impl Repeated {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.ids.len() * 4 + self.nulls.as_ref().map_or(0, |nulls| nulls.len() / 8)
    }
}

/// Different texts.
#[derive(Debug)]
struct Words {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    /// Rows that mean them.
    rows: usize,
    /// A copy of them that is not added to, for others.
    frozen: Option<Arc<StringArray>>,
}

impl Default for Words {
    fn default() -> Self {
        Words { bytes: Vec::new(), offsets: vec![0], rows: 0, frozen: None }
    }
}

impl Words {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn get(&self, id: u32) -> &[u8] {
        &self.bytes[self.offsets[id as usize] as usize..self.offsets[id as usize + 1] as usize]
    }

    fn is_full(&self) -> bool {
        self.len() >= MOST_WORDS || self.bytes.len() >= MOST_BYTES
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(self.offsets[len] as usize);
    }
}

/// The different texts of a column of a store.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Those that rows mean, by number; without rows, they are free to be others'.
    words: Vec<Words>,
    /// Those that texts are added to.
    open: usize,
    table: HashTable<u32>,
    /// Rows to be left as they are before it is tried again.
    resting: usize,
    /// How many these were at first.
    rest: usize,
}

impl Repeats {
    /// The texts of rows as numbers, if that takes clearly less memory.
    pub(super) fn code(&mut self, texts: &StringArray, rows: Chosen) -> Option<Repeated> {
        if self.resting > 0 {
            self.resting = self.resting.saturating_sub(rows.len());
            return None;
        }
        if self.words.get(self.open).is_none_or(Words::is_full) {
            self.begin();
        }
        let before = self.words[self.open].len();
        let ids = match rows {
            Chosen::All(rows) => self.numbers(texts, 0..rows),
            Chosen::These(rows) | Chosen::Dealt(rows) => {
                self.numbers(texts, rows.values().iter().map(|row| *row as usize))
            }
        };
        let Some(ids) = ids else {
            self.words[self.open].truncate(before);
            self.table.retain(|id| (*id as usize) < before);
            self.rest = (self.rest * 2).clamp(LEAST_REST, MOST_REST);
            self.resting = self.rest;
            return None;
        };
        self.rest = 0;
        self.words[self.open].rows += rows.len();
        let nulls = chosen_nulls(texts.nulls(), rows);
        Some(Repeated { ids: ids.into(), nulls, words: self.open as u32 })
    }

    /// Other words begin, in a place that no row means.
    fn begin(&mut self) {
        self.table.clear();
        let free = self.words.iter().position(|words| words.rows == 0);
        self.open = free.unwrap_or(self.words.len());
        if free.is_none() {
            self.words.push(Words::default());
        }
        self.words[self.open] = Words::default();
    }

    /// The number of each text, whose words are added; `None` = that takes about as much as the texts.
    fn numbers(
        &mut self,
        texts: &StringArray,
        rows: impl ExactSizeIterator<Item = usize>,
    ) -> Option<Vec<u32>> {
        let words = &mut self.words[self.open];
        let (bytes, offsets) = (texts.value_data(), texts.value_offsets());
        let (all, mut plain) = (rows.len(), 0);
        let mut ids = Vec::with_capacity(all);
        let before = (words.len(), words.bytes.len());
        for (count, row) in (1..).zip(rows) {
            let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            plain += text.len() + 4;
            if text.len() >= LONG {
                return None;
            }
            let hash = xxh3_64(text);
            let found = self.table.find(hash, |id| words.get(*id) == text).copied();
            ids.push(found.unwrap_or_else(|| {
                let id = words.len() as u32;
                words.frozen = None;
                words.bytes.extend_from_slice(text);
                words.offsets.push(words.bytes.len() as i32);
                self.table.insert_unique(hash, id, |id| xxh3_64(words.get(*id)));
                id
            }));
            if count == SAMPLE || count == all {
                let added = words.bytes.len() - before.1 + (words.len() - before.0) * BESIDE;
                if (added + count * 4) * 5 > plain * 4 {
                    return None;
                }
            }
        }
        Some(ids)
    }

    /// Rows that meant words have gone.
    pub(super) fn release(&mut self, repeated: &Repeated) {
        let words = &mut self.words[repeated.words as usize];
        words.rows -= repeated.ids.len();
        if words.rows == 0 && repeated.words as usize != self.open {
            *words = Words::default();
        }
    }

    /// Where words are looked up, by their number.
    pub(super) fn texts(&self, words: u32) -> Texts<'_> {
        let words = &self.words[words as usize];
        Texts { bytes: &words.bytes, offsets: &words.offsets, ids: None, nulls: None }
    }

    /// Words as they are now, whatever becomes of them here.
    pub(super) fn frozen(&mut self, words: u32) -> Result<Arc<StringArray>, ArrowError> {
        let words = &mut self.words[words as usize];
        if let Some(frozen) = &words.frozen {
            return Ok(frozen.clone());
        }
        let offsets = OffsetBuffer::new(words.offsets.clone().into());
        let frozen = Arc::new(StringArray::try_new(offsets, Buffer::from_slice_ref(&words.bytes), None)?);
        words.frozen = Some(frozen.clone());
        Ok(frozen)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let own = |words: &Words| words.bytes.capacity() + words.offsets.capacity() * 4;
        let frozen =
            |words: &Words| words.frozen.as_ref().map_or(0, |frozen| frozen.get_buffer_memory_size());
        let of = |words: &Words| own(words) + frozen(words);
        self.words.iter().map(of).sum::<usize>() + self.table.capacity() * 5
    }
}

/// Texts of rows: of each the number of its place and the row there. Errors: they are too long together.
pub(super) fn gathered(places: &[Texts], indices: &[(usize, usize)]) -> Result<StringArray, ArrowError> {
    let nulls: Vec<Option<&NullBuffer>> = places.iter().map(|place| place.nulls).collect();
    let nulls = nulls_of(&nulls, indices);
    let is_null = |i: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(i));
    let text = |i: usize| {
        let (place, row) = indices[i];
        if is_null(i) { &[] } else { places[place].get(row) }
    };
    let mut offsets = Vec::with_capacity(indices.len() + 1);
    let mut len = 0;
    offsets.push(0);
    for i in 0..indices.len() {
        len += text(i).len();
        offsets.push(i32::try_from(len).map_err(|_| ArrowError::OffsetOverflowError(len))?);
    }
    let mut bytes = Vec::with_capacity(len);
    (0..indices.len()).for_each(|i| bytes.extend_from_slice(text(i)));
    StringArray::try_new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes), nulls)
}

/// So many texts from the first on.
pub(super) fn whole(texts: Texts, rows: usize) -> Result<ArrayRef, ArrowError> {
    let all: Vec<(usize, usize)> = (0..rows).map(|row| (0, row)).collect();
    Ok(Arc::new(gathered(&[texts], &all)?))
}

/// Where texts are looked up.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    bytes: &'a [u8],
    offsets: &'a [i32],
    /// Of each row which of them it is, if that is not said by its place.
    ids: Option<&'a [u32]>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Texts<'a> {
    /// The texts of a column.
    pub(super) fn of(column: &'a StringArray) -> Texts<'a> {
        Texts {
            bytes: column.value_data(),
            offsets: column.value_offsets(),
            ids: None,
            nulls: column.nulls(),
        }
    }

    /// Those of rows among these words.
    pub(super) fn meant_by(self, rows: &'a Repeated) -> Texts<'a> {
        self.at(&rows.ids, rows.nulls.as_ref())
    }

    /// Those of rows of which each is one of these, or null.
    pub(super) fn at(self, ids: &'a [u32], nulls: Option<&'a NullBuffer>) -> Texts<'a> {
        Texts { ids: Some(ids), nulls, ..self }
    }

    /// The row's text; of a null any.
    fn get(&self, row: usize) -> &'a [u8] {
        let at = self.ids.map_or(row, |ids| ids[row] as usize);
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(numbers: impl Iterator<Item = usize>) -> StringArray {
        numbers.map(|n| Some(format!("a text that is long enough to be worth it: {n}"))).collect()
    }

    fn code(repeats: &mut Repeats, texts: &StringArray) -> Option<Repeated> {
        repeats.code(texts, Chosen::All(texts.len()))
    }

    fn read(repeats: &Repeats, coded: &Repeated) -> StringArray {
        let indices: Vec<(usize, usize)> = (0..coded.len()).map(|row| (0, row)).collect();
        gathered(&[repeats.texts(coded.words).meant_by(coded)], &indices).unwrap()
    }

    #[test]
    fn texts_that_differ_are_left_and_asked_ever_more_rarely() {
        let mut repeats = Repeats::default();
        let (mut tried, mut rests) = (0, Vec::new());
        for round in 0..300 {
            let resting = repeats.resting;
            assert!(code(&mut repeats, &texts((0..4096).map(|n| round * 4096 + n))).is_none());
            if resting == 0 {
                tried += 1;
                rests.push(repeats.resting);
                assert_eq!((repeats.words[repeats.open].len(), repeats.table.len()), (0, 0), "nothing stays");
            }
        }
        assert!(tried < 8, "{tried}");
        assert!(rests.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{rests:?}");
        repeats.resting = 0;
        let same = texts((0..4096).map(|n| n % 10));
        let coded = code(&mut repeats, &same).unwrap();
        assert_eq!((read(&repeats, &coded), repeats.rest), (same, 0));
    }

    #[test]
    fn words_that_are_full_give_way_to_others_and_go_with_their_rows() {
        let mut repeats = Repeats::default();
        let all: Vec<(StringArray, Repeated)> = (0..60)
            .map(|round| {
                let texts = texts((0..8192).map(|n| round * 4096 + n / 2));
                let coded = code(&mut repeats, &texts).unwrap();
                (texts, coded)
            })
            .collect();
        let used = all.iter().map(|(_, coded)| coded.words).max().unwrap();
        assert!(used > 1, "as much as {} bytes each", MOST_BYTES);
        for (texts, coded) in &all {
            assert_eq!(read(&repeats, coded), *texts);
        }
        let held = repeats.bytes();
        all.iter().for_each(|(_, coded)| repeats.release(coded));
        assert!(repeats.bytes() < held / 2, "{} of {held}", repeats.bytes());
        let again = texts((0..8192).map(|n| n % 7));
        let coded = code(&mut repeats, &again).unwrap();
        assert_eq!(read(&repeats, &coded), again);
    }

    #[test]
    fn words_are_frozen_as_they_were() {
        let mut repeats = Repeats::default();
        let first = code(&mut repeats, &texts((0..2000).map(|n| n % 5))).unwrap();
        let frozen = repeats.frozen(first.words).unwrap();
        assert!(Arc::ptr_eq(&frozen, &repeats.frozen(first.words).unwrap()), "nothing has come");
        code(&mut repeats, &texts((0..2000).map(|n| 5 + n % 5))).unwrap();
        assert_eq!((frozen.len(), repeats.frozen(first.words).unwrap().len()), (5, 10));
    }

    #[test]
    fn long_texts_and_nulls_are_what_they_were() {
        let mut repeats = Repeats::default();
        let long = "x".repeat(LONG);
        assert!(code(&mut repeats, &(0..2000).map(|_| Some(long.as_str())).collect()).is_none());
        repeats.resting = 0;
        let some: StringArray =
            (0..2000).map(|n| (n % 3 > 0).then_some(if n % 2 == 0 { "" } else { "a longer text" })).collect();
        let coded = code(&mut repeats, &some).unwrap();
        assert_eq!(read(&repeats, &coded), some);
    }
}
