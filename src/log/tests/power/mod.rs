//! The power goes, processes die, disks fail, and the log must hold what it promised: random programs on a
//! simulated disk (`crate::disk::simulated`), compared with a model.
//!
//! A case is a program of appends (with and without a producer), syncs, reads, and topics that come and go, by
//! several processes on one machine, in small segments. At any write, sync or change of names the power may go, a
//! process may die, or the operation fails. The model (model.rs) says what must be there:
//!
//! * whatever dies, but not the power: all that was acknowledged, once, in order;
//! * when the power goes, or after a failed sync: a prefix of it, with at least what was synced;
//! * an append that failed: it or nothing;
//! * at no time a row that was not appended, half an append, a gap, a step twice, or a partition that cannot be used.
//!
//! `MILLSTREAM_POWER_CASES` says how many cases are run, `MILLSTREAM_POWER_FIRST` with which seed they begin;
//! `MILLSTREAM_POWER_SEED` runs one seed alone and tells what it did, down to the disk. A further operation is a row
//! in `program::OPERATIONS`.
//!
//! A test is worth what it catches. These faults were planted one at a time; each was caught, at the latest by the
//! case in the right column:
//!
//! | where | fault | case |
//! |---|---|---|
//! | roll | the segment that is closed is not synced | 2 |
//! | roll | the new segment's name is not synced | 2 |
//! | takeover | what a dead writer left is not cut | 903 |
//! | recovery | a tail of another boot is trusted | 2 |
//! | description | its content is not synced before it is renamed | 2 |
//! | description | its name is not synced | 3 |
//! | topic | its directory is not synced before it can be found | 2 |
//! | deletion | the new name is not synced | 6 |
//! | sync | it does nothing | 2 |
//! | append | a step that equals the last one is no duplicate | 3 |
//! | directory | of the way to a new data directory only the last step is synced | 2 |
//!
//! That the cut at a takeover is synced is a matter of one case in some thousands: `super::synced` looks for it alone.
//! What keeps apart the frames of two epochs (recovery accepts a smaller epoch) is not caught by 3,000 cases: since what
//! is cut is cut durably, nothing stale is left to be accepted. `super::damage` has a test that puts it there by hand.

mod model;
mod program;

use crate::disk::seeds::Seeds;
use program::{Done, run};

const CASES: u64 = 500;

#[test]
fn power_cuts_dead_processes_and_failing_disks_lose_and_double_nothing() {
    let seeds = Seeds { name: "POWER", test: "power_cuts", cases: CASES, run, add: Done::add };
    if let Some(done) = seeds.run() {
        assert!(done.cuts >= 2_000 && done.lost > 100 && done.failures > 500, "{done:?}");
        assert!(done.duplicates > 100 && done.rolled > 100, "{done:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_case() {
    for seed in 0..5 {
        assert_eq!(format!("{:?}", run(seed, false)), format!("{:?}", run(seed, false)));
    }
}
