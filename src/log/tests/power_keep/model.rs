//! What a table topic must hold: all rows by their offsets, and how much of them is durable for sure.

use std::collections::BTreeMap;

/// A row of a table. Its value is one that no other row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// 0 = a key that is null.
    pub(super) key: u8,
    pub(super) value: i64,
    pub(super) gone: bool,
}

/// A row at its offset.
pub(super) type At = (u64, Row);

/// What is left of a table when its rows are applied in order.
pub(super) fn fold(rows: impl IntoIterator<Item = Row>) -> BTreeMap<u8, i64> {
    let mut table = BTreeMap::new();
    for row in rows {
        match row.gone {
            true => table.remove(&row.key),
            false => table.insert(row.key, row.value),
        };
    }
    table
}

/// Rows that were appended at once.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) rows: Vec<Row>,
    pub(super) producer: u128,
    pub(super) step: u64,
    pub(super) time: i64,
}

/// What the one partition of a topic must hold.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Each append with its first offset.
    appends: Vec<(u64, Written)>,
    /// By offset.
    pub(super) rows: Vec<Row>,
    /// Appends that failed since: one of them may be there, behind all others.
    pub(super) unsure: Vec<Written>,
    /// What lies before is on disk for good.
    pub(super) durable: u64,
    /// Where the log was last seen to start, and where it does for sure.
    pub(super) start: u64,
    pub(super) start_durable: u64,
    /// The power went or a sync failed: what is not durable may be lost.
    pub(super) loose: bool,
}

impl Table {
    pub(super) fn end(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The rows from `offset` on, folded.
    pub(super) fn folded(&self, offset: u64) -> BTreeMap<u8, i64> {
        fold(self.rows[offset as usize..].iter().copied())
    }

    /// The last step of a producer, however many of its frames retention has taken.
    pub(super) fn last_step(&self, producer: u128) -> Option<u64> {
        let of = self.appends.iter().filter(|(_, written)| written.producer == producer);
        of.map(|(_, written)| written.step).max()
    }

    /// The greatest step that a producer may have written.
    pub(super) fn greatest_step(&self, producer: u128) -> Option<u64> {
        let unsure = self.unsure.iter().filter(|written| written.producer == producer);
        unsure.map(|written| written.step).max().max(self.last_step(producer))
    }

    /// An append was acknowledged, with that offset.
    pub(super) fn appended(&mut self, written: Written, base: u64) -> Result<(), String> {
        if base != self.end() {
            return Err(format!("it got the offset {base}, not {}", self.end()));
        }
        if written.producer != 0 && self.last_step(written.producer) >= Some(written.step) {
            return Err(format!("step {} of {} is there twice", written.step, written.producer));
        }
        self.unsure.clear();
        self.rows.extend(&written.rows);
        self.appends.push((base, written));
        Ok(())
    }

    /// Takes in where the partition ends after something failed. `first` gives the row at an offset.
    pub(super) fn settle(&mut self, end: u64, found: &[At]) -> Result<u64, String> {
        let before = self.end();
        if end > before {
            let there = |written: &&Written| {
                let values: Vec<i64> = written.rows.iter().map(|row| row.value).collect();
                before + values.len() as u64 == end
                    && found.iter().any(|(at, row)| *at >= before && values.contains(&row.value))
            };
            let Some(written) = self.unsure.iter().find(there).cloned() else {
                return Err(format!("it ends at {end}, not {before}; unsure: {:?}", self.unsure));
            };
            self.loose = false;
            return self.appended(written, before).map(|()| 0);
        }
        if end < before {
            let least = if self.loose { self.durable } else { before };
            let whole = end == 0 || self.appends.iter().any(|(base, _)| *base == end);
            if end < least || !whole {
                return Err(format!("it ends at {end}; {before} rows were written, {least} to last"));
            }
            self.appends.retain(|(base, _)| *base < end);
            self.rows.truncate(end as usize);
            self.unsure.clear();
        }
        self.loose = false;
        Ok(before - end)
    }

    /// Takes in where the log starts now. `may_go` says of an append (its end, its time) whether retention may take it.
    pub(super) fn starts(&mut self, start: u64, may_go: impl Fn(u64, i64) -> bool) -> Result<(), String> {
        let least = if self.loose { self.start_durable } else { self.start };
        let at_append = start == self.end() || self.appends.iter().any(|(base, _)| *base == start);
        if start < least || !at_append {
            return Err(format!("the log starts at {start}; it did at {least}, and ends at {}", self.end()));
        }
        let gone = self.appends.iter().filter(|(base, _)| (self.start..start).contains(base));
        for (base, written) in gone {
            if !may_go(base + written.rows.len() as u64, written.time) {
                return Err(format!("the log starts at {start}, but the append at {base} was to stay"));
            }
        }
        self.start = start;
        Ok(())
    }
}
