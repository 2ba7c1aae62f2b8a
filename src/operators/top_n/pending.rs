//! The rows of the running step that may change something: taken in as they come, brought into order at the step's end.

use super::partitions::{Kept, Partition, Partitions};
use super::rows::{Columns, RowBytes};
use crate::operators::Result;
use crate::state::columns::Place;
use crate::state::ranked::{Begin, Change, Growth};
use arrow::row::Rows;
use std::cmp::Ordering;

/// A row of the running step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) partition: u32,
    /// Which of the step's batches it is in, and where.
    pub(super) batch: u32,
    pub(super) row: u32,
    /// Length of its sort key.
    pub(super) key: u32,
    /// Where it is kept, if rows are kept as columns.
    pub(super) place: Place,
    /// Its bytes with those of the columns that its sort key lacks, where these decide: which of `told`.
    pub(super) told: u32,
    pub(super) weight: i64,
    /// When (ns) it came.
    pub(super) came: i64,
}

/// The rows, and their bytes.
#[derive(Default)]
pub(super) struct StepRows {
    rows: Vec<Pending>,
    /// The bytes by batch: whole rows, or sort keys where rows are kept as columns.
    batches: Vec<Rows>,
    /// Where only one row is kept: rows whose sort key was that of the best of their partition when they came.
    ties: Vec<Pending>,
    told: Vec<Box<[u8]>>,
}

impl StepRows {
    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of the batch that is pushed next.
    pub(super) fn next_batch(&self) -> u32 {
        self.batches.len() as u32
    }

    /// One more row, of the batch that is pushed next.
    pub(super) fn push(&mut self, row: Pending) {
        self.rows.push(row);
    }

    /// The bytes of the rows that have been pushed since the last one.
    pub(super) fn push_batch(&mut self, rows: Rows) {
        self.batches.push(rows);
    }

    /// Where only one row is kept: leaves the row, of the batch `rows` that is pushed next, only if it is the step's best
    /// of its partition or ties with it. The place of a row that is left out.
    pub(super) fn offer(
        &mut self,
        partition: &mut Partition,
        offered: Pending,
        rows: &Rows,
        as_columns: bool,
    ) -> Option<Place> {
        let Some(best) = self.rows.get_mut(partition.best as usize) else {
            partition.best = self.rows.len() as u32;
            self.rows.push(offered);
            return None;
        };
        let of_best = self.batches.get(best.batch as usize).unwrap_or(rows).row(best.row as usize);
        match rows.row(offered.row as usize).as_ref().cmp(of_best.as_ref()) {
            Ordering::Less => Some(std::mem::replace(best, offered).place),
            Ordering::Equal if as_columns => {
                self.ties.push(offered);
                None
            }
            _ => Some(offered.place),
        }
    }

    fn bytes(&self, row: &Pending) -> &[u8] {
        match self.told.get(row.told as usize) {
            Some(told) => told,
            None => self.batches[row.batch as usize].row(row.row as usize).data(),
        }
    }

    fn sort(&self, rows: &mut [Pending]) {
        let mut begun: Vec<(u32, Begin, u32)> = (0u32..)
            .zip(&*rows)
            .map(|(number, row)| (row.partition, Begin::of(self.bytes(row)), number))
            .collect();
        let bytes = |number: u32| self.bytes(&rows[number as usize]);
        begun.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| bytes(a.2).cmp(bytes(b.2))));
        let sorted: Vec<Pending> = begun.into_iter().map(|(_, _, number)| rows[number as usize]).collect();
        rows.copy_from_slice(&sorted);
    }

    /// Brings the rows into the order of partitions and of their bytes, where more than one may be kept. Of one partition
    /// they lie together in any case.
    pub(super) fn bring_into_order(&mut self, one: bool) {
        let mut rows = std::mem::take(&mut self.rows);
        let tied = std::mem::take(&mut self.ties);
        if !one || !tied.is_empty() {
            rows.extend(tied);
            self.sort(&mut rows);
        }
        self.rows = rows;
    }

    /// Where rows are kept as columns: rows whose sort key another has, in the step or among those that are kept, go on with
    /// the bytes of their other columns, and so do those others: by how much what is kept has grown.
    pub(super) fn tell_apart(
        &mut self,
        partitions: &mut Partitions,
        bytes: &RowBytes,
        columns: &Columns,
    ) -> Result<Growth> {
        let mut rows = std::mem::take(&mut self.rows);
        // Which rows, and which partition's kept row at what place before them, if one is to go on as well.
        let mut tied: Vec<std::ops::Range<usize>> = Vec::new();
        let mut kept: Vec<(u32, usize, Place)> = Vec::new();
        let mut from = 0;
        while from < rows.len() {
            let key = self.bytes(&rows[from]);
            let number = rows[from].partition;
            let same = rows[from..].iter().take_while(|r| r.partition == number && self.bytes(r) == key);
            let to = from + same.count();
            let there = partitions.get_mut(number).and_then(|p| p.beginning(key));
            if let Some(entry) = &there
                && entry.row.len() == key.len()
            {
                kept.push((number, from, entry.place));
            }
            if there.is_some() || to - from > 1 {
                tied.push(from..to);
            }
            from = to;
        }
        let of_kept = kept.iter().map(|(_, _, place)| *place);
        let of_rows = tied.iter().flat_map(|range| rows[range.clone()].iter().map(|row| row.place));
        let places: Vec<Place> = of_kept.chain(of_rows).collect();
        let others = if places.is_empty() { None } else { bytes.others(columns, &places)? };
        let Some(others) = others else {
            self.rows = rows;
            return Ok(Growth::default());
        };
        let mut growth = Growth::default();
        let mut others = others.iter();
        let longer = |key: &[u8], other: Option<arrow::row::Row>| -> Box<[u8]> {
            [key, other.as_ref().map_or(&[][..], |row| row.as_ref())].concat().into()
        };
        for (number, row, _) in kept {
            let key = self.bytes(&rows[row]);
            let row = longer(key, others.next());
            if let Some(entry) = partitions.get_mut(number).and_then(|p| p.beginning(key)) {
                growth.bytes += (row.len() - key.len()) as i64;
                entry.lengthen(row);
            }
        }
        for range in &tied {
            for row in &mut rows[range.clone()] {
                let told = longer(self.bytes(row), others.next());
                row.told = self.told.len() as u32;
                self.told.push(told);
            }
        }
        for range in tied {
            rows[range].sort_unstable_by(|a, b| self.bytes(a).cmp(self.bytes(b)));
        }
        self.rows = rows;
        Ok(growth)
    }

    /// The rows as changes, with their partitions.
    pub(super) fn changes(&self) -> impl Iterator<Item = (u32, Change<'_>)> {
        self.rows.iter().map(|row| {
            let Pending { partition, key, place, weight, came, .. } = *row;
            (partition, Change { row: self.bytes(row), key, place, weight, came })
        })
    }
}

impl Partition {
    /// The entry whose bytes begin with these.
    fn beginning(&mut self, bytes: &[u8]) -> Option<&mut crate::state::ranked::Entry> {
        match &mut self.kept {
            Kept::One(one) => one.as_mut().filter(|entry| entry.row.starts_with(bytes)),
            Kept::Many(rows) => rows.beginning(bytes),
        }
    }
}
