//! What this process has used: time on the processors, and the most memory at once.

use crate::clock::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

/// The time of the wall and of the processors, from when it was started.
pub struct Stopwatch {
    clock: Clock,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts it, and forgets how much memory was used before.
    pub fn start() -> Self {
        // Linux forgets the peak; where it cannot, the peak is that of the whole process.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Stopwatch { cpu: cpu_time(), clock: Clock::system() }
    }

    /// Seconds of the wall and of all threads of this process.
    pub fn seconds(&self) -> (f64, f64) {
        let wall = self.clock.monotonic();
        (wall.as_secs_f64(), cpu_time().saturating_sub(self.cpu).as_secs_f64())
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The most memory that this process has had at once since the stopwatch was started, in MB (a million bytes), where the system tells.
pub fn peak_memory_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some((kib * 1024) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_of_the_processor_and_waiting_does_not() {
        let stopwatch = Stopwatch::start();
        let mut sum = 0_u64;
        while stopwatch.seconds().1 < 0.01 {
            sum = std::hint::black_box(sum + 1);
        }
        let (wall, cpu) = stopwatch.seconds();
        assert!(wall > 0.0 && cpu >= 0.01, "{wall} {cpu}");
        if cfg!(target_os = "linux") {
            assert!(peak_memory_mb().unwrap() > 1.0);
        }
    }
}
