//! Whether it pays to look which rows can be left out, judged by how many are: where more than half go on, it is tried only now and
//! then. Uses nothing.

/// Batches after which it is judged, by the later half of them, whether rows become half as many.
pub(super) const TRIAL: u32 = 16;
/// Batches that are let through if they do not.
pub(super) const PAUSE: u32 = 15 * TRIAL;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Trial {
    /// Where debug assertions are on, rows are always looked at: tests have few.
    pub(super) pauses: bool,
    /// Batches until it is tried again.
    pause: u32,
    batches: u32,
    rows: usize,
    sent: usize,
}

impl Trial {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Trial { pauses: !cfg!(debug_assertions), pause: 0, batches: 0, rows: 0, sent: 0 }
    }

    /// Whether a batch is to be let through.
    pub(super) fn is_paused(&mut self) -> bool {
        let paused = self.has_failed();
        self.pause = self.pause.saturating_sub(1);
        paused
    }

    /// Whether batches are let through, so that what was known for them need not be kept.
    pub(super) fn has_failed(&self) -> bool {
        self.pause > 0
    }

    /// Notes that of so many rows so many were sent.
    pub(super) fn judge(&mut self, rows: usize, sent: usize) {
        self.batches += 1;
        if self.batches * 2 > TRIAL {
            self.rows += rows;
            self.sent += sent;
        }
        if self.batches == TRIAL {
            let pause = if self.pauses && self.sent * 2 > self.rows { PAUSE } else { 0 };
            *self = Trial { pauses: self.pauses, pause, ..Trial::new() };
        }
    }
}
