//! The only place that reads time: wall time for what people and logs see, monotonic time for waiting.
//! Tests and replays take a manual clock, which stands still until it is told to move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Cheap to clone; clones of a manual clock move together.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { origin: Instant },
    Manual { start_ns: i64, now_ns: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System { origin: Instant::now() })
    }

    /// A clock that stands at `now_ns` (nanoseconds since the epoch) until it is advanced.
    pub fn manual(now_ns: i64) -> Self {
        Clock(Source::Manual { start_ns: now_ns, now_ns: Arc::new(AtomicI64::new(now_ns)) })
    }

    /// Wall time in nanoseconds since the epoch (UTC). May jump, as wall clocks do.
    pub fn now_ns(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => wall_ns(SystemTime::now()),
            Source::Manual { now_ns, .. } => now_ns.load(Ordering::SeqCst),
        }
    }

    /// Time since this clock was made. Never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual { start_ns, now_ns } => {
                let passed = now_ns.load(Ordering::SeqCst).saturating_sub(*start_ns);
                Duration::from_nanos(u64::try_from(passed).unwrap_or(0))
            }
        }
    }

    /// Moves a manual clock forward; the machine's clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_ns, .. } = &self.0 {
            let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
            // The closure always gives a value, so the update always succeeds.
            let _ =
                now_ns.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(by)));
        }
    }
}

fn wall_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = Clock::manual(1_000);
        let clone = clock.clone();
        assert_eq!((clock.now_ns(), clock.monotonic()), (1_000, Duration::ZERO));
        clone.advance(Duration::from_nanos(500));
        assert_eq!((clock.now_ns(), clock.monotonic()), (1_500, Duration::from_nanos(500)));
        clock.advance(Duration::MAX);
        assert_eq!(clone.now_ns(), i64::MAX);
    }

    #[test]
    fn wall_time_before_the_epoch_is_negative() {
        assert_eq!(wall_ns(UNIX_EPOCH - Duration::from_nanos(7)), -7);
        assert!(Clock::system().now_ns() > 0);
    }
}
