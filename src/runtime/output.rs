//! The thread that writes results while the next step computes.

use super::control::Control;
use super::retry::Patience;
use super::sink::Sink;
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
    Drain(SyncSender<()>),
}

/// The thread that writes results while the next step computes.
pub(super) struct Output {
    send: Option<SyncSender<Written>>,
    failure: Arc<Mutex<Option<RuntimeError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Starts to write into `sink`; what fails for a reason that passes is tried again.
    pub(super) fn start(mut sink: Box<dyn Sink>, control: Arc<Control>, patience: Patience) -> Result<Self> {
        let (send, receive) = sync_channel::<Written>(OUTPUT_AHEAD);
        let failure = Arc::new(Mutex::new(None));
        let told = failure.clone();
        let write = move || {
            let keep = |error: RuntimeError| {
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                control.stop();
            };
            for message in receive {
                match message {
                    Written::Step(step, deltas, watermark) => {
                        let written = patience.until_done(|| sink.write(step, &deltas, watermark));
                        if let Err(error) = written {
                            return keep(error);
                        }
                    }
                    Written::Drain(done) => {
                        if let Err(error) = patience.until_done(|| sink.flush()) {
                            return keep(error);
                        }
                        let _ = done.send(());
                    }
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("write".into()).spawn(write).map_err(RuntimeError::Thread)?;
        Ok(Output { send: Some(send), failure, thread: Some(thread) })
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, step: u64, deltas: Vec<Delta>, watermark: EventTime) -> Result<()> {
        self.send(Written::Step(step, deltas, watermark))
    }

    /// Waits until everything handed over is written.
    pub(super) fn drain(&self) -> Result<()> {
        match self.drained()?.recv() {
            Ok(()) => Ok(()),
            Err(_) => self.check().and(Err(RuntimeError::WorkerLost)),
        }
    }

    /// What tells when everything handed over so far is written, or hangs up if that fails.
    pub(super) fn drained(&self) -> Result<Receiver<()>> {
        let (done, wait) = sync_channel(1);
        self.send(Written::Drain(done))?;
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
            // Why it ended is in `failure`.
            let _ = thread.join();
        }
    }
}
