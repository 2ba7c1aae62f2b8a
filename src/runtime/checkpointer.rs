//! The thread that writes checkpoints while steps go on.
//!
//! The step loop hands over what the workers have changed since the last checkpoint; the thread waits until the sinks have
//! written all steps up to there and makes durable what was read, writes the tables and the manifest, moves the pins in the topics on, and removes the
//! journals that are no longer needed. Until the manifest is in its place the checkpoint before holds, with its journal and
//! the ones behind it.

use super::checkpoint::{JobStore, Manifest, TableManifest};
use super::journal::Journal;
use super::retry::Patience;
use super::worker::NodeState;
use super::{Result, RuntimeError};
use crate::log::{Log, Pin};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// A checkpoint to be written.
pub(super) struct Order {
    /// Its manifest, as yet without tables.
    pub(super) manifest: Manifest,
    /// What each worker has changed; `None` = no state is needed any more.
    pub(super) workers: Option<Vec<Vec<NodeState>>>,
    /// They tell when the sinks have written all steps up to the checkpoint's.
    pub(super) drained: Vec<Receiver<()>>,
    /// What is read again after a crash from then on.
    pub(super) pins: Option<(Log, Vec<Pin>)>,
}

/// The thread.
pub(super) struct Checkpointer {
    send: Option<SyncSender<Order>>,
    done: Receiver<Result<()>>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

impl Checkpointer {
    /// Starts it; `tables` are those of the checkpoint that is there. What fails for a reason that passes is tried again.
    pub(super) fn start(store: JobStore, tables: Vec<TableManifest>, patience: Patience) -> Result<Self> {
        let (send, orders) = sync_channel::<Order>(1);
        let (tell, done) = sync_channel(1);
        let write = move || {
            let mut tables = tables;
            for order in orders {
                let written = write(&store, &mut tables, order, &patience);
                let failed = written.is_err();
                if tell.send(written).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(write)
            .map_err(RuntimeError::Thread)?;
        Ok(Checkpointer { send: Some(send), done, thread: Some(thread), busy: false })
    }

    /// Whether a checkpoint is being written. Fails if one could not be.
    pub(super) fn is_busy(&mut self) -> Result<bool> {
        if self.busy {
            match self.done.try_recv() {
                Ok(written) => {
                    self.busy = false;
                    written?;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(RuntimeError::WorkerLost),
            }
        }
        Ok(self.busy)
    }

    /// Waits until no checkpoint is being written.
    pub(super) fn wait(&mut self) -> Result<()> {
        if std::mem::take(&mut self.busy) {
            self.done.recv().map_err(|_| RuntimeError::WorkerLost)??;
        }
        Ok(())
    }

    /// Has a checkpoint written, after the one that may be under way.
    pub(super) fn write(&mut self, order: Order) -> Result<()> {
        self.wait()?;
        match &self.send {
            Some(send) if send.send(order).is_ok() => {
                self.busy = true;
                Ok(())
            }
            _ => Err(RuntimeError::WorkerLost),
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take() {
            // What it failed of has been told, or nobody asks any more.
            let _ = thread.join();
        }
    }
}

fn write(store: &JobStore, tables: &mut Vec<TableManifest>, order: Order, patience: &Patience) -> Result<()> {
    let Order { manifest, workers, drained, pins } = order;
    for sink in drained {
        // The sink's own error is told by its thread.
        sink.recv().map_err(|_| RuntimeError::WorkerLost)?;
    }
    if let Some((log, pins)) = &pins {
        // Were the power to take rows that the checkpoint says have been read, others would come to stand in their place.
        for Pin { topic, partition, .. } in pins {
            patience.until_done(|| Ok(log.topic(topic)?.sync(*partition)?))?;
        }
    }
    let step = manifest.step;
    if workers.is_none() {
        tables.clear();
    }
    let workers = workers.unwrap_or_default();
    *tables = patience.until_done(|| store.write(manifest.clone(), tables, workers.clone()))?;
    patience.until_done(|| {
        if let Some((log, pins)) = &pins {
            log.pin(&store.owner(), pins)?;
        }
        Journal::remove_older(&store.disk, &store.dir, step)
    })
}
