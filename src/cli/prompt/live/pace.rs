//! How often a live result is drawn: at most ten times a second, except where a key or a row below it asks for it at once.

use std::time::Duration;

/// The least time between two drawings.
const DRAW: Duration = Duration::from_millis(100);

/// When was drawn last, and how often.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Duration>,
    frames: u64,
}

impl Pace {
    /// Whether it is time to draw; then it counts as drawn. `over`: there is no later time.
    pub(super) fn is_due(&mut self, now: Duration, over: bool) -> bool {
        let due = over || self.last.is_none_or(|at| now.saturating_sub(at) >= DRAW);
        if due {
            self.last = Some(now);
            self.frames += 1;
        }
        due
    }

    /// What stands there must be drawn anew without waiting.
    pub(super) fn at_once(&mut self) {
        self.last = None;
    }

    /// How often was drawn.
    #[cfg(test)]
    fn frames(&self) -> u64 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_frames_a_second_are_drawn_and_not_more() {
        let mut pace = Pace::default();
        // Looked at every 7 ms for ten seconds.
        let drawn: Vec<u64> =
            (0..10_000).step_by(7).filter(|ms| pace.is_due(Duration::from_millis(*ms), false)).collect();
        assert_eq!(pace.frames(), drawn.len() as u64);
        assert!((90..=100).contains(&pace.frames()), "{}", pace.frames());
        assert!(drawn.windows(2).all(|w| w[1] - w[0] >= 100));
        let now = Duration::from_millis(drawn[drawn.len() - 1] + 1);
        assert!(!pace.is_due(now, false) && pace.is_due(now, true));
        pace.at_once();
        assert!(pace.is_due(now, false) && !pace.is_due(now, false));
    }
}
