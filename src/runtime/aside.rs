//! A thread that does one thing at a time for the step loop, which goes on meanwhile and is told if it fails.

use super::{Result, RuntimeError};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// The thread. What it was given last is done when it is dropped.
pub(super) struct Aside<T> {
    send: Option<SyncSender<T>>,
    done: Receiver<Result<()>>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

impl<T: Send + 'static> Aside<T> {
    /// Starts it; it does `act` with what it is given, and ends when that fails.
    pub(super) fn start(name: &str, mut act: impl FnMut(T) -> Result<()> + Send + 'static) -> Result<Self> {
        let (send, given) = sync_channel::<T>(1);
        let (tell, done) = sync_channel(1);
        let run = move || {
            for one in given {
                let acted = act(one);
                let failed = acted.is_err();
                if tell.send(acted).is_err() || failed {
                    return;
                }
            }
        };
        let thread =
            std::thread::Builder::new().name(name.into()).spawn(run).map_err(RuntimeError::Thread)?;
        Ok(Aside { send: Some(send), done, thread: Some(thread), busy: false })
    }

    /// Whether something is being done. Fails if it could not be.
    pub(super) fn is_busy(&mut self) -> Result<bool> {
        if self.busy {
            match self.done.try_recv() {
                Ok(acted) => {
                    self.busy = false;
                    acted?;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(RuntimeError::WorkerLost),
            }
        }
        Ok(self.busy)
    }

    /// Waits until nothing is being done. Fails if it could not be.
    pub(super) fn wait(&mut self) -> Result<()> {
        if std::mem::take(&mut self.busy) {
            self.done.recv().map_err(|_| RuntimeError::WorkerLost)??;
        }
        Ok(())
    }

    /// Has something done, after what may be under way.
    pub(super) fn give(&mut self, one: T) -> Result<()> {
        self.wait()?;
        match &self.send {
            Some(send) if send.send(one).is_ok() => {
                self.busy = true;
                Ok(())
            }
            _ => Err(RuntimeError::WorkerLost),
        }
    }
}

impl<T> Drop for Aside<T> {
    fn drop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take() {
            // What it failed of has been told, or nobody asks any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn one_thing_is_done_at_a_time_and_what_fails_is_told_once() {
        let (open, gate) = channel::<Result<()>>();
        let mut aside = Aside::start("test", move |_: u32| gate.recv().unwrap()).unwrap();
        assert!(!aside.is_busy().unwrap());
        aside.give(1).unwrap();
        assert!(aside.is_busy().unwrap());
        open.send(Ok(())).unwrap();
        aside.give(2).unwrap();
        open.send(Err(RuntimeError::Output("no".into()))).unwrap();
        assert_eq!(aside.wait().unwrap_err().to_string(), "no");
        // The thread is gone then, or goes without looking at what it is given.
        let given = aside.give(3).and_then(|()| aside.wait());
        assert!(matches!(given, Err(RuntimeError::WorkerLost)));
    }
}
