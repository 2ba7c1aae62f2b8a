//! A walk through the files of a state table side by side, in the order of their keys' hashes: what of them counts, some at a time,
//! so that no table is held in memory whole.

use super::Result;
use super::checkpoint::JobStore;
use super::table_files::{FileCursor, Hashed, KeyHashes, ORDER, ORDER_OF_RUNS, OpenFile};
use super::tables::{StoredFile, TableFile};
use crate::state::key_table::{KeyTable, NO_SLOT};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// The contents of one [`TableFile`].
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) rows: Vec<Hashed>,
    pub(super) removed: Vec<Hashed>,
    pub(super) added: Vec<Hashed>,
}

/// A walk through some files of a table side by side.
pub(super) struct Walk<'a> {
    /// Rows, removed keys and added rows of each file, the newest first.
    files: Vec<[Option<OpenFile<'a>>; 3]>,
    /// Their runs. None if not all of them are in the order of hashes: then all rows come at once.
    runs: Option<Vec<[Vec<FileCursor<'a>>; 3]>>,
    key_columns: usize,
    over: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn open(store: &'a JobStore, files: &[TableFile], key_columns: usize) -> Result<Self> {
        let open =
            |file: &Option<StoredFile>| file.as_ref().map(|file| OpenFile::open(store, file)).transpose();
        let newest = files.iter().rev();
        let opened = newest.map(|file| Ok([open(&file.rows)?, open(&file.removed)?, open(&file.added)?]));
        let opened = opened.collect::<Result<Vec<_>>>()?;
        // Whether each file is made of runs, and how many there are in all.
        let by_group = files.iter().rev().map(|file| match file.order.as_deref() {
            Some(ORDER) => Some(false),
            Some(ORDER_OF_RUNS) => Some(true),
            _ => None,
        });
        let by_group = by_group.collect::<Option<Vec<bool>>>().filter(|_| key_columns > 0);
        let runs = by_group.map(|by_group| {
            let all = || opened.iter().zip(&by_group);
            let of = |file: &OpenFile, by_group: bool| if by_group { file.groups() } else { 1 };
            let count =
                all().flat_map(|(parts, by_group)| parts.iter().flatten().map(|file| of(file, *by_group)));
            let count = count.sum();
            let cursors = |file: &Option<OpenFile<'a>>, by_group: bool| match file {
                Some(file) => file.cursors(by_group, key_columns, count),
                None => Ok(vec![]),
            };
            let of_each = all().map(|([rows, removed, added], by_group)| {
                Ok([cursors(rows, *by_group)?, cursors(removed, *by_group)?, cursors(added, *by_group)?])
            });
            of_each.collect::<Result<Vec<_>>>()
        });
        Ok(Walk { runs: runs.transpose()?, files: opened, key_columns, over: false })
    }

    /// Whether all files with rows have the same columns.
    pub(super) fn is_of_one_kind(&self) -> bool {
        let with_rows = self.files.iter().flat_map(|[rows, _, added]| rows.iter().chain(added));
        let schemas: Vec<_> = with_rows.map(OpenFile::schema).collect();
        schemas.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Of each file, the newest first, the next rows of keys that no newer one names, and the keys likewise; none if there
    /// are no more. All that the files have of a key comes at once.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Content>>> {
        if self.over {
            return Ok(None);
        }
        let mut contents = Vec::with_capacity(self.files.len());
        if let Some(runs) = &mut self.runs {
            let mut bound: Option<u64> = None;
            for cursor in runs.iter_mut().flatten().flatten() {
                if let Some(own) = cursor.fill()? {
                    bound = Some(bound.map_or(own, |bound| bound.min(own)));
                }
            }
            let take = |part: &mut Vec<FileCursor>| {
                let mut taken = Vec::new();
                part.iter_mut().for_each(|cursor| cursor.take(bound, &mut taken));
                taken
            };
            for [rows, removed, added] in runs.iter_mut() {
                contents.push(Content { rows: take(rows), removed: take(removed), added: take(added) });
            }
            self.over = runs.iter().flatten().flatten().all(FileCursor::is_over);
        } else {
            let whole = |file: &Option<OpenFile>| match file {
                Some(file) => hashed(file.rows()?, file.schema(), self.key_columns),
                None => Ok(vec![]),
            };
            for [rows, removed, added] in &self.files {
                contents.push(Content { rows: whole(rows)?, removed: whole(removed)?, added: whole(added)? });
            }
            self.over = true;
        }
        newest(&mut contents, self.key_columns)?;
        Ok(Some(contents))
    }
}

/// Leaves of some contents, the newest first, what counts: the rows of keys that no newer one names, and the keys likewise.
fn newest(contents: &mut [Content], key_columns: usize) -> Result<()> {
    let mut seen: Option<KeyTable> = None;
    let last = contents.len().saturating_sub(1);
    for (i, content) in contents.iter_mut().enumerate() {
        let names_keys = !content.rows.is_empty() || !content.removed.is_empty();
        if seen.is_none() && (i == last || !names_keys) {
            // It is hidden by nothing, and hides nothing.
            continue;
        }
        let some = content.rows.iter().chain(&content.removed).chain(&content.added).next();
        if let (None, Some(some)) = (&seen, some) {
            seen = Some(keys_of(&some.rows, key_columns)?);
        }
        if let Some(seen) = &mut seen {
            let before = seen.slots();
            let is_last = i == last;
            // What is added does not hide what older files have.
            unseen(seen, &mut content.added, before, key_columns, true)?;
            // The rows first: a key that is also among the removed has them.
            unseen(seen, &mut content.rows, before, key_columns, is_last)?;
            let known = seen.slots();
            unseen(seen, &mut content.removed, known, key_columns, is_last)?;
        }
    }
    Ok(())
}

/// A table for keys as these rows have them.
pub(super) fn keys_of(rows: &RecordBatch, key_columns: usize) -> Result<KeyTable> {
    let fields = rows.schema_ref().fields().iter().take(key_columns);
    let types: Vec<_> = fields.map(|f| f.data_type().clone()).collect();
    Ok(KeyTable::new(&types)?)
}

/// Leaves the rows whose keys have no slot below `before`. Their keys are then known, unless nothing older is to come.
fn unseen(
    seen: &mut KeyTable,
    all: &mut Vec<Hashed>,
    before: usize,
    key_columns: usize,
    is_last: bool,
) -> Result<()> {
    let mut slots = Vec::new();
    for hashed in &mut *all {
        let rows = &hashed.rows;
        let keys = rows.columns().get(..key_columns).unwrap_or_default();
        match is_last {
            true => seen.look_up(keys, rows.num_rows(), &mut slots)?,
            false => seen.intern(keys, rows.num_rows(), |_| false, &mut slots)?,
        }
        let new = |slot: &u32| *slot == NO_SLOT || *slot as usize >= before;
        if !slots.iter().all(new) {
            *hashed = hashed.filtered(&slots.iter().map(|slot| Some(new(slot))).collect())?;
        }
    }
    all.retain(|hashed| hashed.rows.num_rows() > 0);
    Ok(())
}

/// Rows of such a schema with the hashes of their keys.
pub(super) fn hashed(
    rows: impl Iterator<Item = Result<RecordBatch>>,
    schema: &SchemaRef,
    key_columns: usize,
) -> Result<Vec<Hashed>> {
    let hashes_of = KeyHashes::new(schema, key_columns)?;
    rows.filter_map(|batch| batch.and_then(|batch| Ok(hashes_of.with(batch)?)).transpose()).collect()
}
