//! Writing (and reading topics) where it fails for a reason that passes: a full disk, a device that gives an error now and then, a lock that is
//! held. It is tried again, after 100 ms, then after twice as long each time, up to 10 s, until it succeeds or the job
//! is told to end; meanwhile the job shows what it waits for.
//!
//! | error | tried again |
//! |---|---|
//! | no space, quota used up, file size limit, too many open files, out of memory, interrupted, timed out, busy, input/output error | yes |
//! | all other answers of the system; damage; a sync that failed (the log takes no more rows then); mistakes of data and of operators | no |

use super::control::Control;
use super::{Result, RuntimeError};
use crate::connectors::ConnectorError;
use crate::disk::DiskError;
use crate::log::LogError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// How often one who waits looks whether the job is to end.
const LOOK: Duration = Duration::from_millis(20);

/// The statements of a job, as those see them that write for it.
#[derive(Debug, Clone)]
pub struct Patience {
    /// All of them: if one is told to end, the job ends.
    all: Vec<Arc<Control>>,
    /// Those that wait.
    own: Vec<Arc<Control>>,
    /// Others that nobody waits for any more once one of them says so.
    over: Vec<Arc<AtomicBool>>,
}

/// Ends the waiting of those that write or read for what holds it, when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Patience {
    /// For all statements of a job.
    pub fn of(all: Vec<Arc<Control>>) -> Self {
        Patience { own: all.clone(), all, over: Vec::new() }
    }

    /// The same until what is given beside it is dropped.
    pub(super) fn until_over(&self) -> (Self, Over) {
        let over = Over::default();
        let mut until = self.clone();
        until.over.push(Arc::clone(&over.0));
        (until, over)
    }

    /// For what only one of them waits for.
    pub(super) fn of_one(&self, own: &Arc<Control>) -> Self {
        Patience { own: vec![Arc::clone(own)], ..self.clone() }
    }

    fn stopping(&self) -> bool {
        self.all.iter().any(|c| c.stopping() || c.restarting())
            || self.over.iter().any(|over| over.load(Ordering::Acquire))
    }

    /// Does `act` until it succeeds or fails for good, or the job is told to end.
    pub fn until_done<T>(&self, mut act: impl FnMut() -> Result<T>) -> Result<T> {
        let error = match act() {
            Err(error) if error.is_passing() => error,
            done => return done,
        };
        let reason = error.waits_for();
        self.own.iter().for_each(|c| c.waiting(Some(reason.clone())));
        let done = self.again(&mut act, reason);
        self.own.iter().for_each(|c| c.waiting(None));
        done
    }

    fn again<T>(&self, act: &mut dyn FnMut() -> Result<T>, mut reason: String) -> Result<T> {
        let mut pause = FIRST;
        loop {
            let mut slept = Duration::ZERO;
            while slept < pause {
                if self.stopping() {
                    self.own.iter().for_each(|c| c.gave_up(&reason));
                    return Err(RuntimeError::StoppedWaiting { reason });
                }
                std::thread::sleep(LOOK);
                slept += LOOK;
            }
            match act() {
                Err(error) if error.is_passing() => reason = error.waits_for(),
                done => return done,
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}

impl RuntimeError {
    fn disk(&self) -> Option<&DiskError> {
        match self {
            RuntimeError::Disk(error) => Some(error),
            RuntimeError::Log(LogError::Disk(error)) => Some(error),
            RuntimeError::Connector(ConnectorError::Log(error)) => match error.as_ref() {
                LogError::Disk(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether what failed may succeed when it is tried again.
    pub fn is_passing(&self) -> bool {
        self.disk().is_some_and(DiskError::is_passing)
    }

    /// What one waits for who tries again.
    pub fn waits_for(&self) -> String {
        self.disk().map_or_else(|| self.to_string(), DiskError::plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::control::News;
    use std::io::ErrorKind;

    fn failed(kind: ErrorKind) -> RuntimeError {
        RuntimeError::Disk(DiskError { doing: "write", path: "f".into(), source: kind.into() })
    }

    #[test]
    fn what_passes_is_tried_again_and_shown_and_what_does_not_fails_at_once() {
        let control = Arc::new(Control::default());
        let patience = Patience::of(vec![Arc::clone(&control)]);
        let mut tries = 0;
        let shown = std::cell::RefCell::new(Vec::new());
        let done = patience.until_done(|| {
            tries += 1;
            shown.borrow_mut().push(control.waits_for());
            if tries < 3 { Err(failed(ErrorKind::StorageFull)) } else { Ok(7) }
        });
        assert_eq!(done.unwrap(), 7);
        let reason = "no space left on device: cannot write f".to_string();
        assert_eq!(shown.into_inner(), [None, Some(reason.clone()), Some(reason.clone())]);
        assert_eq!(control.waits_for(), None);
        let news = control.take_news();
        assert_eq!(news, [News::Waits(reason), News::GoesOn]);
        let mut tries = 0;
        let refused = patience.until_done(|| -> Result<()> {
            tries += 1;
            Err(failed(ErrorKind::PermissionDenied))
        });
        assert!(matches!(refused, Err(RuntimeError::Disk(_))));
        assert_eq!((tries, control.take_news()), (1, vec![]));
    }

    #[test]
    fn nobody_waits_for_what_is_over() {
        let control = Arc::new(Control::default());
        let (patience, over) = Patience::of(vec![control]).until_over();
        let waits = std::thread::spawn(move || {
            patience.until_done(|| -> Result<()> { Err(failed(ErrorKind::StorageFull)) })
        });
        std::thread::sleep(Duration::from_millis(150));
        drop(over);
        assert!(matches!(waits.join().unwrap(), Err(RuntimeError::StoppedWaiting { .. })));
    }

    #[test]
    fn who_is_told_to_end_waits_no_longer() {
        let (one, other) = (Arc::new(Control::default()), Arc::new(Control::default()));
        let patience = Patience::of(vec![Arc::clone(&one), Arc::clone(&other)]).of_one(&one);
        other.stop();
        let stopped = patience.until_done(|| -> Result<()> { Err(failed(ErrorKind::StorageFull)) });
        assert!(matches!(stopped, Err(RuntimeError::StoppedWaiting { .. })));
        assert!(matches!(one.take_news().as_slice(), [News::Waits(_), News::GaveUp(_)]));
        assert_eq!(other.take_news(), []);
    }
}
