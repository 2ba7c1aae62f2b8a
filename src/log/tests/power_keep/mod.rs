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

use program::{Done, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const CASES: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs a case; the error says what went wrong.
fn case(seed: u64, record: bool) -> Result<Done, String> {
    let caught = catch_unwind(AssertUnwindSafe(|| run(seed, record)));
    caught.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", words.unwrap_or_default()))
    })
}

#[test]
fn what_is_kept_says_the_same_whatever_dies_in_retention_and_compaction() {
    if let Some(seed) = number("MILLSTREAM_KEEP_SEED") {
        let done = case(seed, true).unwrap_or_else(|told| panic!("{told}"));
        return assert!(done.operations > 0);
    }
    let first = number("MILLSTREAM_KEEP_FIRST").unwrap_or(0);
    let asked = number("MILLSTREAM_KEEP_CASES");
    let end = first + asked.unwrap_or(CASES);
    let next = AtomicU64::new(first);
    let (sum, failure) = (Mutex::new(Done::default()), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failure.lock().unwrap().is_some() {
                        return;
                    }
                    match case(seed, false) {
                        Ok(done) => sum.lock().unwrap().add(&done),
                        Err(_) => *failure.lock().unwrap() = Some(seed),
                    }
                }
            });
        }
    });
    if let Some(seed) = failure.into_inner().unwrap() {
        let told = case(seed, true).err().unwrap_or("it did not fail again".into());
        panic!(
            "seed {seed}:\n{told}\n\nrun it again with\n  MILLSTREAM_KEEP_SEED={seed} cargo test --lib what_is_kept"
        );
    }
    let done = sum.into_inner().unwrap();
    // Shown with --nocapture.
    #[expect(clippy::print_stdout, reason = "how much was tested")]
    {
        println!("{} cases: {done:?}", end - first);
    }
    if asked.is_none() {
        assert!(done.cuts > CASES && done.failures > CASES && done.lost > 0, "{done:?}");
        assert!(done.compacted > 10 * CASES && done.removed > CASES / 10, "{done:?}");
        assert!(done.followed > CASES / 3 && done.duplicates > CASES / 3, "{done:?}");
    }
}
