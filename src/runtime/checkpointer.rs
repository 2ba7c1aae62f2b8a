//! The thread that writes checkpoints while steps go on.
//!
//! The step loop hands over what the workers have changed since the last checkpoint; the thread waits until the sinks have
//! written all steps up to there and makes durable what was read, writes the tables and the manifest, moves the pins in the topics on, and removes the
//! journals that are no longer needed. Until the manifest is in its place the checkpoint before holds, with its journal and
//! the ones behind it.

use super::aside::Aside;
use super::checkpoint::{JobStore, Manifest, TableManifest};
use super::journal::Journal;
use super::output::Drained;
use super::retry::Patience;
use super::worker::NodeState;
use super::{Result, RuntimeError};
use crate::log::{Log, Pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    /// Whether it is not needed any more: the next one needs no state. What is written of it then goes with that one.
    pub(super) needless: Arc<AtomicBool>,
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
    let Order { manifest, workers, drained, pins, needless } = order;
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
    let written = patience.until_done(|| store.write(manifest.clone(), tables, workers.clone(), &needless));
    *tables = match written {
        Err(RuntimeError::Needless) => return Ok(()),
        written => written?,
    };
    patience.until_done(|| {
        if let Some((log, pins)) = &pins {
            log.pin(&store.owner(), pins)?;
        }
        Journal::remove_older(&store.disk, &store.dir, step)
    })
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::manifest;
    use super::*;
    use crate::disk::Disk;
    use crate::operators::{StateChange, StateTable};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    fn order(step: u64, rows: Option<i64>, needless: bool) -> Order {
        let state = |rows| {
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            let batch = RecordBatch::try_from_iter([("key0", keys)]).unwrap();
            let table = StateTable { name: "rows".into(), batch, key_columns: 1 };
            vec![vec![(0, StateChange::Whole(vec![table]))]]
        };
        let needless = Arc::new(AtomicBool::new(needless));
        Order { manifest: manifest(step), workers: rows.map(state), drained: vec![], pins: None, needless }
    }

    #[test]
    fn what_is_not_needed_any_more_is_given_up_and_the_checkpoint_before_holds() {
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() };
        let mut checkpointer = start(store.clone(), vec![], Patience::of(vec![])).unwrap();
        let mut write = |order: Order| {
            checkpointer.give(order).unwrap();
            checkpointer.wait().unwrap();
            let manifest = store.manifest().unwrap().unwrap();
            let rows: u64 =
                manifest.tables.iter().flat_map(|table| &table.files).map(|file| file.count).sum();
            (manifest.step, rows)
        };
        assert_eq!(write(order(1, Some(100), false)), (1, 100));
        assert_eq!(write(order(2, Some(200), true)), (1, 100), "it was given up");
        assert_eq!(write(order(3, Some(300), false)), (3, 300));
        assert_eq!(write(order(4, Some(400), true)), (3, 300));
        assert_eq!(write(order(5, None, false)), (5, 0));
        let left = std::fs::read_dir(dir.path()).unwrap();
        let left: Vec<String> = left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(left, ["checkpoint.json"], "what was written of those given up is gone too");
    }
}
