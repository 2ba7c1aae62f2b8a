//! How much memory the state of jobs may take, and where the rest goes.

use super::{Engine, Result};
use crate::operators::spill::SpillTo;
use std::fs::read_to_string;

/// The folder of files that are of no use to the next process; in the data directory.
const TEMPORARY: &str = "tmp";
/// What is taken for the machine's memory where it does not say.
const UNKNOWN: u64 = 8 << 30;

/// Where the state of a job goes that does not fit into memory.
pub(super) fn spill_to(engine: &Engine) -> Result<SpillTo> {
    let dir = engine.0.dir.join(TEMPORARY);
    engine.0.disk.create_dir_all(&dir)?;
    Ok(SpillTo { budget: engine.0.memory.clone(), disk: engine.0.disk.clone(), dir })
}

/// Sets how many bytes the state of all jobs may take; `None` = half of the machine's memory.
pub(super) fn set_limit(engine: &Engine, bytes: Option<u64>) {
    engine.0.memory.set_limit(bytes.unwrap_or_else(half_of_memory));
}

/// Half of what this process may use: of the machine's memory, or of its control group's where that is less.
pub(super) fn half_of_memory() -> u64 {
    let number = |path: &str| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    });
    let group =
        number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    machine.into_iter().chain(group).min().unwrap_or(UNKNOWN) / 2
}
