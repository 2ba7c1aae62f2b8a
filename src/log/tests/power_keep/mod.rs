//! Retention, compaction and pins when processes die, disks fail and the power goes: random programs over table topics
//! on a simulated disk (`crate::disk::simulated`), compared with a model (model.rs).
//!
//! A case is a program of appends, syncs, retention, compaction, pins and readers that go on reading meanwhile, by
//! several processes with one clock. At all times
//!
//! * the rows that can be read are rows that were written, at their offsets, in order, and frames leave no offset out;
//! * they say the same as all rows that were written, from the log's start or from anywhere else on: of each key the
//!   last one is there, and where it is a tombstone it is there or all that it ends has gone;
//! * the log ends where it was written to, or, when the power went or a sync failed, at a whole append behind what was
//!   durable; it starts where it did, or where retention may have moved it;
//! * from a pin on nothing that was there when it was set is missing, but for what retention by size has taken;
//! * a producer's last step is known, however its frame has fared;
//! * a reader that has not been away longer than tombstones are kept comes to the same table as one that reads all;
//!   a reader that was overtaken by retention is told so.
//!
//! `MILLSTREAM_KEEP_CASES` says how many cases are run, `MILLSTREAM_KEEP_FIRST` with which seed they begin;
//! `MILLSTREAM_KEEP_SEED` runs one seed alone and tells what it did, down to the disk.
//!
//! These faults were planted one at a time; each was caught, at the latest by the case in the right column:
//!
//! | where | fault | case |
//! |---|---|---|
//! | compaction | `tail` is not synced before the rename | 46 |
//! | compaction | the new file is not synced before the rename | 0 |
//! | compaction | the directory is not synced before the neighbours go | 4 |
//! | compaction | the neighbours go without a sync between them | 30 |
//! | compaction | tombstones go without their horizon | 48 |
//! | compaction | rows behind a pin are compacted | 1 |
//! | retention | the log start is published after the files are gone | 258 |
//! | retention | the log start is not synced | 84 |
//! | retention | rows behind a pin go by time | 69 |
//! | index | it is trusted by its length alone | 142 |
//! | roll | the producers' snapshot is not written | 1 |
//!
//! Not caught by 400 cases, since two mishaps must meet: what an earlier compaction or retention left undone is finished
//! without first being made durable; `tail` is not written anew before the sync that precedes a compaction's rename; the
//! directory of the pins is made but once.

mod model;
mod program;
mod rows;

use crate::disk::seeds::Seeds;
use program::{Done, run};

const CASES: u64 = 300;

#[test]
fn what_is_kept_says_the_same_whatever_dies_in_retention_and_compaction() {
    let seeds = Seeds { name: "KEEP", test: "what_is_kept", cases: CASES, run, add: Done::add };
    if let Some(done) = seeds.run() {
        assert!(done.cuts > CASES && done.failures > CASES && done.lost > 0, "{done:?}");
        assert!(done.compacted > 10 * CASES && done.removed > CASES / 10, "{done:?}");
        assert!(done.followed > CASES / 3 && done.duplicates > CASES / 3, "{done:?}");
    }
}
