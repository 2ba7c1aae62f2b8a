//! The thread that writes results while the next step computes.

use super::control::Control;
use super::retry::Patience;
use super::sink::{Flusher, Sink};
use super::{Result, RuntimeError};
use crate::delta::{Delta, EventTime};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How many steps' output may wait to be written.
const OUTPUT_AHEAD: usize = 2;

/// What the output thread is told.
enum Written {
    Step(u64, Vec<Delta>, EventTime),
    /// Tell when all before it has been written.
    Tell(SyncSender<()>),
}

/// The thread that writes results while the next step computes.
pub(super) struct Output {
    send: Option<SyncSender<Written>>,
    failed: Failed,
    flush: Option<Flusher>,
    patience: Patience,
    thread: Option<JoinHandle<()>>,
}

/// Where it is kept what writing failed of.
#[derive(Clone)]
struct Failed {
    first: Arc<Mutex<Option<RuntimeError>>>,
    control: Arc<Control>,
}

impl Failed {
    /// Keeps it, and has the statement end.
    fn keep(&self, error: RuntimeError) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.control.stop();
    }
}

/// What has been handed over up to some step.
pub(super) struct Drained {
    written: Receiver<()>,
    flush: Option<Flusher>,
    failed: Failed,
    patience: Patience,
}

impl Drained {
    /// Waits until it is written and survives as the sink's durability promises. Later steps are written meanwhile. Errors:
    /// that it failed; of what, the output tells.
    pub(super) fn wait(self) -> Result<()> {
        self.written.recv().map_err(|_| RuntimeError::WorkerLost)?;
        let Some(flush) = self.flush else { return Ok(()) };
        self.patience.until_done(|| flush()).map_err(|error| {
            self.failed.keep(error);
            RuntimeError::WorkerLost
        })
    }
}

impl Output {
    /// Starts to write into `sink`; what fails for a reason that passes is tried again.
    pub(super) fn start(mut sink: Box<dyn Sink>, control: Arc<Control>, patience: Patience) -> Result<Self> {
        let (send, receive) = sync_channel::<Written>(OUTPUT_AHEAD);
        let failed = Failed { first: Arc::default(), control };
        let flush = sink.flusher();
        let (told, patient) = (failed.clone(), patience.clone());
        let write = move || {
            for message in receive {
                match message {
                    Written::Step(step, deltas, watermark) => {
                        let written = patient.until_done(|| sink.write(step, &deltas, watermark));
                        if let Err(error) = written {
                            return told.keep(error);
                        }
                    }
                    Written::Tell(done) => {
                        let _ = done.send(());
                    }
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("write".into()).spawn(write).map_err(RuntimeError::Thread)?;
        Ok(Output { send: Some(send), failed, flush, patience, thread: Some(thread) })
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.failed.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, step: u64, deltas: Vec<Delta>, watermark: EventTime) -> Result<()> {
        self.send(Written::Step(step, deltas, watermark))
    }

    /// Waits until everything handed over is written and flushed.
    pub(super) fn drain(&self) -> Result<()> {
        self.drained()?.wait().or_else(|error| self.check().and(Err(error)))
    }

    /// What everything handed over so far is waited for with.
    pub(super) fn drained(&self) -> Result<Drained> {
        let Output { failed, flush, patience, .. } = self;
        let (flush, failed, patience) = (flush.clone(), failed.clone(), patience.clone());
        Ok(Drained { written: self.told()?, flush, failed, patience })
    }

    /// Waits until everything handed over is written, so that readers see it.
    pub(super) fn write_out(&self) -> Result<()> {
        self.told()?.recv().or_else(|_| self.check().and(Err(RuntimeError::WorkerLost)))
    }

    fn told(&self) -> Result<Receiver<()>> {
        let (done, wait) = sync_channel(1);
        self.send(Written::Tell(done))?;
        Ok(wait)
    }

    fn send(&self, message: Written) -> Result<()> {
        let sent = self.send.as_ref().map(|s| s.send(message));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => self.check().and(Err(RuntimeError::WorkerLost)),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take() {
            // Why it ended is in `failed`.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::WATERMARK_NONE;
    use std::sync::mpsc::{Sender, channel};

    /// Tells which steps it has written; makes them durable when the gate says so, or says that it cannot.
    struct Told {
        steps: Sender<u64>,
        gate: Arc<Mutex<Receiver<Result<()>>>>,
    }

    impl Sink for Told {
        fn write(&mut self, step: u64, _: &[Delta], _: EventTime) -> Result<()> {
            self.steps.send(step).unwrap();
            Ok(())
        }

        fn flusher(&self) -> Option<Flusher> {
            let gate = Arc::clone(&self.gate);
            Some(Arc::new(move || gate.lock().unwrap().recv().unwrap()))
        }
    }

    fn begun() -> (Output, Receiver<u64>, Sender<Result<()>>, Arc<Control>) {
        let ((steps, written), (open, gate)) = (channel(), channel());
        let control = Arc::new(Control::default());
        let patience = Patience::of(vec![Arc::clone(&control)]);
        let sink = Box::new(Told { steps, gate: Arc::new(Mutex::new(gate)) });
        (Output::start(sink, Arc::clone(&control), patience).unwrap(), written, open, control)
    }

    #[test]
    fn only_who_asks_waits_for_what_is_written_to_be_durable() {
        let (output, written, open, _) = begun();
        output.write(1, vec![], WATERMARK_NONE).unwrap();
        // Would wait for ever if it flushed.
        output.write_out().unwrap();
        assert_eq!(written.try_recv(), Ok(1));
        let drained = output.drained().unwrap();
        let waits = std::thread::spawn(move || drained.wait());
        for step in 2..10 {
            output.write(step, vec![], WATERMARK_NONE).unwrap();
        }
        output.write_out().unwrap();
        assert_eq!(written.try_iter().collect::<Vec<_>>(), (2..10).collect::<Vec<_>>());
        assert!(!waits.is_finished());
        open.send(Ok(())).unwrap();
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn what_cannot_be_made_durable_is_told_and_ends_the_statement() {
        let (output, _written, open, control) = begun();
        output.write(1, vec![], WATERMARK_NONE).unwrap();
        open.send(Err(RuntimeError::Output("the disk is gone".into()))).unwrap();
        let failed = output.drained().unwrap().wait();
        assert!(matches!(failed, Err(RuntimeError::WorkerLost)));
        assert!(control.stopping());
        assert_eq!(output.check().unwrap_err().to_string(), "the disk is gone");
        // It is told to whoever drains, too.
        open.send(Err(RuntimeError::Output("still".into()))).unwrap();
        assert_eq!(output.drain().unwrap_err().to_string(), "still");
    }
}
