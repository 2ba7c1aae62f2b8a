//! What a simulated file holds: what programs see (the page cache), what is on the disk for good, and
//! the changes between the two, of which the power's going leaves some.
//!
//! The unit that reaches the disk is a sector: on the disk stands what the page cache held there at some
//! moment since the last sync, each sector at its own moment, and so does the length. Hence a write may
//! arrive in part, a later one without an earlier one, and growth without what it was to hold.

use super::draw::Draw;
use std::collections::BTreeSet;

/// What a disk writes as a whole, in bytes.
pub(super) const SECTOR: usize = 512;

/// A file's content.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What programs see.
    pub(super) cached: Vec<u8>,
    /// What is on the disk for good.
    durable: Vec<u8>,
    /// What was changed since, in order.
    changes: Vec<Change>,
    /// Sectors that a failed sync has left unwritten but calls written: only who writes them again
    /// makes them a matter of the next sync.
    forgotten: BTreeSet<usize>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => write(to, *at, bytes),
            Change::Resize(len) => to.resize(*len, 0),
        }
    }
}

fn write(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[at..end].copy_from_slice(bytes);
}

/// How much of what is unsynced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survival {
    All,
    Nothing,
    /// All up to one moment.
    Moment,
    /// Each part by itself.
    Any,
}

impl Survival {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        match draw.below(10) {
            0 => Survival::All,
            1 | 2 => Survival::Nothing,
            3 | 4 => Survival::Moment,
            _ => Survival::Any,
        }
    }
}

impl Content {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        write(&mut self.cached, at, bytes);
        self.changes.push(Change::Write { at, bytes: bytes.to_vec() });
        if !self.forgotten.is_empty() {
            // The cache writes out whole sectors.
            for sector in at / SECTOR..=(at + bytes.len() - 1) / SECTOR {
                if self.forgotten.remove(&sector) {
                    self.push_sector(sector);
                }
            }
        }
    }

    pub(super) fn resize(&mut self, len: usize) {
        self.cached.resize(len, 0);
        self.changes.push(Change::Resize(len));
        self.forgotten.retain(|sector| sector * SECTOR < len);
    }

    fn push_sector(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = self.cached.len().min(from + SECTOR);
        if from < to {
            self.changes.push(Change::Write { at: from, bytes: self.cached[from..to].to_vec() });
        }
    }

    /// All that is unsynced reaches the disk, but for what an earlier failed sync has forgotten.
    pub(super) fn sync(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let before = std::mem::take(&mut self.durable);
        self.durable.clone_from(&self.cached);
        for &sector in &self.forgotten {
            put_sector(&mut self.durable, sector, &before, || 0);
        }
        self.changes.clear();
    }

    /// A sync that fails: each sector by itself is written, kept to be written later, or given up while
    /// the system takes it for written. What is given up may leave the cache, so that programs see
    /// again what is on the disk.
    pub(super) fn fail_sync(&mut self, draw: &mut Draw) {
        if self.changes.is_empty() {
            return;
        }
        let mut dirty = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Write { at, bytes } => dirty.extend(at / SECTOR..=(at + bytes.len() - 1) / SECTOR),
                Change::Resize(len) => dirty.extend(len / SECTOR..=self.durable.len() / SECTOR),
            }
        }
        let old = std::mem::take(&mut self.durable);
        self.durable = old.clone();
        self.durable.resize(self.cached.len(), 0);
        let (keep, forget) = (draw.below(101), draw.below(101));
        let evict = draw.chance(30);
        let mut kept = Vec::new();
        let len = self.cached.len();
        for sector in dirty.into_iter().filter(|sector| sector * SECTOR < len) {
            if draw.chance(keep) {
                kept.push(sector);
            } else if draw.chance(forget) {
                self.forgotten.insert(sector);
                if evict {
                    put_sector(&mut self.cached, sector, &old, || 0);
                }
            } else {
                put_sector(&mut self.durable, sector, &self.cached, || 0);
            }
        }
        for sector in kept {
            self.push_sector(sector);
        }
    }

    /// The power goes: what is on the disk is all there is.
    pub(super) fn cut_power(&mut self, draw: &mut Draw) {
        let changes = std::mem::take(&mut self.changes);
        self.forgotten.clear();
        if !changes.is_empty() {
            self.durable = survivor(std::mem::take(&mut self.durable), &changes, draw);
        }
        self.cached.clone_from(&self.durable);
    }
}

/// What `changes` to `durable` leave when the power goes.
fn survivor(mut seen: Vec<u8>, changes: &[Change], draw: &mut Draw) -> Vec<u8> {
    let moments = match Survival::draw(draw) {
        Survival::All => changes.len(),
        Survival::Nothing => 0,
        Survival::Moment => draw.below(changes.len() + 1),
        Survival::Any => return torn(seen, changes, draw),
    };
    changes[..moments].iter().for_each(|change| change.apply(&mut seen));
    seen
}

/// Each sector and the length as they were at moments of their own.
fn torn(mut seen: Vec<u8>, changes: &[Change], draw: &mut Draw) -> Vec<u8> {
    // The length at each moment, without looking at contents.
    let mut lens = vec![seen.len()];
    for change in changes {
        let len = lens[lens.len() - 1];
        lens.push(match change {
            Change::Write { at, bytes } => len.max(at + bytes.len()),
            Change::Resize(len) => *len,
        });
    }
    let mut survivor = vec![0; lens[draw.below(lens.len())]];
    let mut sectors: Vec<(usize, usize)> =
        (0..survivor.len().div_ceil(SECTOR)).map(|sector| (draw.below(lens.len()), sector)).collect();
    sectors.sort_unstable();
    let garbage = draw.chance(25);
    let fill = |draw: &mut Draw| if garbage { draw.bits() as u8 } else { 0 };
    let mut next = 0;
    for moment in 0..lens.len() {
        while let Some((_, sector)) = sectors.get(next).filter(|(at, _)| *at == moment) {
            put_sector(&mut survivor, *sector, &seen, || fill(draw));
            next += 1;
        }
        if let Some(change) = changes.get(moment) {
            change.apply(&mut seen);
        }
    }
    survivor
}

/// Copies a sector of `from` over that of `to`, as far as `to` goes; what `from` lacks is filled.
fn put_sector(to: &mut [u8], sector: usize, from: &[u8], fill: impl FnMut() -> u8) {
    let start = sector * SECTOR;
    let end = to.len().min(start + SECTOR);
    let there = from.len().clamp(start, end.max(start));
    if start < there {
        to[start..there].copy_from_slice(&from[start..there]);
    }
    to[there..end].fill_with(fill);
}
