//! The columns of a record, and a JSON object read into them.
//!
//! Records of one stream mostly have their keys in one order. So the key that stood at the n-th place
//! in the record before is compared first, as raw bytes with its closing quote; only a surprise is
//! looked up by name.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use super::FormatError;
use super::column::Column;
use super::cursor::{Cursor, Fault};

/// Keys beyond this many in one record are looked up by name each time.
const MAX_GUESSES: usize = 1024;

/// Which column a name means: the one spelled so, else the only one that is spelled so but for case.
pub(super) struct Names {
    exact: HashMap<String, usize>,
    folded: HashMap<String, Option<usize>>,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut exact, mut folded) = (HashMap::new(), HashMap::new());
        for (index, name) in names.enumerate() {
            exact.entry(name.to_owned()).or_insert(index);
            folded.entry(name.to_lowercase()).and_modify(|column| *column = None).or_insert(Some(index));
        }
        Names { exact, folded }
    }

    /// The column that `name` means, and whether it is spelled exactly so.
    pub(super) fn find(&self, name: &str) -> Option<(usize, bool)> {
        let exact = self.exact.get(name).map(|column| (*column, true));
        exact.or_else(|| {
            self.folded.get(&name.to_lowercase()).copied().flatten().map(|column| (column, false))
        })
    }
}

/// A key as the last record had it at this place.
struct Guess {
    /// The key's raw text after the opening quote, closing quote included.
    quoted: Vec<u8>,
    means: Option<(usize, bool)>,
}

/// The columns of a record, row by row.
pub(super) struct Record {
    fields: Fields,
    columns: Vec<Column>,
    names: Names,
    guesses: Vec<Guess>,
    /// Complete rows; every column has as many between two records.
    rows: usize,
}

impl Record {
    /// Columns for `fields`, which belong to the struct column `parent` if there is one.
    pub(super) fn new(fields: &Fields, parent: Option<&str>) -> Result<Self, FormatError> {
        let columns = fields.iter().map(|field| Column::new(field, parent)).collect::<Result<Vec<_>, _>>()?;
        let names = Names::new(fields.iter().map(|field| field.name().as_str()));
        Ok(Record { fields: fields.clone(), columns, names, guesses: Vec::new(), rows: 0 })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Appends the object at the cursor as a row. After a fault the record is to be truncated.
    /// A key that comes twice: the last counts (but one spelled exactly as the column before one
    /// that differs in case).
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        self.read_some(cursor, |_| true)
    }

    /// The same, but the columns that are not `wanted` are NULL.
    #[inline]
    pub(super) fn read_some(
        &mut self,
        cursor: &mut Cursor<'_>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<(), Fault> {
        let start = cursor.at;
        if !cursor.take(b'{') {
            return Err(cursor.expected("'{', the beginning of an object"));
        }
        cursor.space();
        let (mut place, mut filled) = (0, 0);
        let mut more = !cursor.take(b'}');
        while more {
            let means = self.key(place, cursor)?;
            place += 1;
            cursor.colon()?;
            let means = means.filter(|(index, _)| wanted(*index));
            let column = means.and_then(|(index, exact)| Some((self.columns.get_mut(index)?, exact)));
            match column {
                Some((column, _)) if column.len() == self.rows => {
                    column.read(cursor)?;
                    filled += 1;
                }
                Some((column, true)) => {
                    column.truncate(self.rows);
                    column.read(cursor)?;
                }
                _ => {
                    cursor.value()?;
                }
            }
            more = cursor.more(b'}')?;
        }
        self.complete(filled).map_err(|reason| Fault { at: start, reason })
    }

    /// What the key at the cursor means; the n-th (`place`) of its record.
    #[inline]
    fn key(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Option<(usize, bool)>, Fault> {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.expected("a key in double quotes"));
        }
        if let Some(guess) = self.guesses.get(place) {
            cursor.at += 1;
            if cursor.take_all(&guess.quoted) {
                return Ok(guess.means);
            }
            cursor.at -= 1;
        }
        let start = cursor.at + 1;
        let means = self.names.find(&cursor.string()?);
        let quoted = cursor.since(start).as_bytes();
        match self.guesses.get_mut(place) {
            Some(guess) => {
                guess.quoted.clear();
                guess.quoted.extend_from_slice(quoted);
                guess.means = means;
            }
            None if place < MAX_GUESSES => self.guesses.push(Guess { quoted: quoted.to_vec(), means }),
            None => {}
        }
        Ok(means)
    }

    /// Ends the row: `filled` columns have a value, the others become NULL.
    #[inline]
    pub(super) fn complete(&mut self, filled: usize) -> Result<(), String> {
        if filled < self.columns.len() {
            for column in self.columns.iter_mut().filter(|column| column.len() == self.rows) {
                if !column.nullable() {
                    return Err(format!(
                        "column \"{}\" is NOT NULL, but the record does not have it",
                        column.name()
                    ));
                }
                column.hidden();
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Appends a row that nobody sees, below a NULL.
    pub(super) fn hidden(&mut self) {
        self.columns.iter_mut().for_each(Column::hidden);
        self.rows += 1;
    }

    /// Cuts all columns back to `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The rows so far; none are left afterwards.
    pub(super) fn finish(&mut self) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        Ok((self.fields.clone(), arrays))
    }
}
