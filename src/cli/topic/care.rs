//! `millstream topic verify|repair|compact`.

use super::{Failure, numbers, print};
use crate::cli::args::Invocation;
use crate::cli::progress::{Progress, grouped};
use crate::cli::run::tell;
use crate::cli::terminal::Screen;
use crate::engine::{Engine, EngineError};
use std::io;

/// Prints what was found in each partition; fails if something is damaged.
pub(super) fn verify(
    engine: &Engine,
    invocation: &Invocation,
    name: &str,
    partition: Option<u32>,
) -> Result<(), Failure> {
    let started = engine.clock().monotonic();
    let mut line = Progress::new(io::stderr(), Screen::stderr());
    let mut rows = 0;
    let found = engine.verify_topic(name, partition, &mut |more| {
        rows += more;
        // A terminal that has gone needs no progress.
        let _ = line.update(engine.clock().monotonic().saturating_sub(started), rows);
    });
    let _ = line.erase();
    let found = found?;
    let of = |what: fn(&crate::engine::Verified) -> u64| numbers(found.iter().map(|(_, v)| what(v)));
    print(
        invocation,
        vec![
            ("partition", numbers(found.iter().map(|(p, _)| u64::from(*p)))),
            ("segments", of(|v| v.segments)),
            ("frames", of(|v| v.frames)),
            ("rows", of(|v| v.rows)),
            ("bytes", of(|v| v.bytes)),
            ("damaged", of(|v| v.damage.len() as u64)),
        ],
    )?;
    let mut places = 0;
    for (partition, verified) in &found {
        for damage in &verified.damage {
            tell(&format!("damaged: partition {partition}: {damage}"));
            places += 1;
        }
    }
    match places {
        0 => Ok(()),
        _ => Err(Failure::Engine(EngineError::Damaged { topic: name.into(), places })),
    }
}

/// Mends what is damaged, and tells what that was.
pub(super) fn repair(engine: &Engine, name: &str, partition: Option<u32>) -> Result<(), Failure> {
    let mut places = 0;
    for (partition, damage) in engine.repair_topic(name, partition)? {
        for damage in damage {
            tell(&format!("mended: partition {partition}: {damage}"));
            places += 1;
        }
    }
    tell(&match places {
        0 => format!("nothing in topic {name} is damaged"),
        _ => "what was damaged is kept beside the segments, in files that end in .damaged".to_string(),
    });
    Ok(())
}

/// Compacts a topic, and tells what has gone.
pub(super) fn compact(engine: &Engine, name: &str) -> Result<(), Failure> {
    let done = engine.compact_topic(name)?;
    for (_, partition, removed) in &done.removed {
        let (rows, bytes) = (grouped(removed.offsets), grouped(removed.bytes));
        tell(&format!(
            "partition {partition}: removed {rows} rows that were too old or too many, {bytes} bytes"
        ));
    }
    for (_, partition, compacted) in &done.compacted {
        let (rows, before, after) =
            (grouped(compacted.rows), grouped(compacted.bytes.0), grouped(compacted.bytes.1));
        tell(&format!("partition {partition}: took out {rows} rows, {before} bytes are {after} now"));
    }
    if (done.removed.len(), done.compacted.len(), done.failures.len()) == (0, 0, 0) {
        tell(&format!("nothing in topic {name} can go"));
    }
    done.failures.into_iter().next().map_or(Ok(()), |failure| Err(EngineError::from(failure).into()))
}
