//! The thread that writes checkpoints while steps go on.
//!
//! The step loop hands over what the workers have changed since the last checkpoint; the thread waits until the sinks have
//! written all steps up to there and makes durable what was read, writes the tables and the manifest, moves the pins in the topics on, and removes the
//! journals that are no longer needed. Until the manifest is in its place the checkpoint before holds, with its journal and
//! the ones behind it.

use super::Result;
use super::aside::Aside;
use super::checkpoint::{JobStore, Manifest, TableManifest};
use super::journal::Journal;
use super::output::Drained;
use super::retry::Patience;
use super::worker::NodeState;
use crate::log::{Log, Pin};

/// A checkpoint to be written.
pub(super) struct Order {
    /// Its manifest, as yet without tables.
    pub(super) manifest: Manifest,
    /// What each worker has changed; `None` = no state is needed any more.
    pub(super) workers: Option<Vec<Vec<NodeState>>>,
    /// They wait until the sinks have written all steps up to the checkpoint's, and make them durable.
    pub(super) drained: Vec<Drained>,
    /// What is read again after a crash from then on.
    pub(super) pins: Option<(Log, Vec<Pin>)>,
}

/// The thread.
pub(super) type Checkpointer = Aside<Order>;

/// Starts it; `tables` are those of the checkpoint that is there. What fails for a reason that passes is tried again.
pub(super) fn start(
    store: JobStore,
    mut tables: Vec<TableManifest>,
    patience: Patience,
) -> Result<Checkpointer> {
    Aside::start("checkpoint", move |order| write(&store, &mut tables, order, &patience))
}

fn write(store: &JobStore, tables: &mut Vec<TableManifest>, order: Order, patience: &Patience) -> Result<()> {
    let Order { manifest, workers, drained, pins } = order;
    for sink in drained {
        sink.wait()?;
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
