//! When a job's journal is made durable and its checkpoints are made.

use super::Result;
use super::checkpoint::{Manifest, PartitionManifest};
use super::checkpointer::{Checkpointer, Order};
use super::part::{Part, PartState};
use super::seen::Checkpointed;
use super::steps::Run;
use crate::log::{Log, Pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the journal may be behind on disk, where no sink asks for more.
const JOURNAL_BEHIND: Duration = Duration::from_millis(200);

/// A checkpoint that is being written.
pub(super) struct UnderWay {
    step: u64,
    began: Duration,
    /// See [`Order::needless`].
    needless: Arc<AtomicBool>,
}

impl Run {
    /// Has the journal made durable if it has been behind for a while, by the thread that does; at once, if this is asked.
    pub(super) fn sync_journal(&mut self, at_once: bool) -> Result<()> {
        let (Some(journal), Some(syncing)) = (&self.journal, &mut self.journal_syncing) else {
            return Ok(());
        };
        if at_once {
            syncing.wait()?;
            journal.sync()?;
            self.journal_behind = None;
            return Ok(());
        }
        let behind = self.journal_behind.map(|since| self.clock.monotonic().saturating_sub(since));
        if !syncing.is_busy()? && behind >= Some(JOURNAL_BEHIND) {
            syncing.give(journal.syncer())?;
            self.journal_behind = None;
        }
        Ok(())
    }

    /// Begins a checkpoint when it is time, unless one is under way.
    pub(super) fn maybe_checkpoint(&mut self) -> Result<()> {
        self.sync_journal(false)?;
        let now = self.clock.monotonic();
        let busy = self.checkpointer.as_mut().map(Checkpointer::is_busy).transpose()?;
        if busy == Some(false) {
            self.note_checkpoint();
        }
        let rebuilds = self.interrupted || self.parts.iter().any(Part::rebuilds);
        let due = now.saturating_sub(self.checkpointed) >= self.options.checkpoint_interval && !rebuilds;
        if due && busy == Some(false) && self.dirty {
            self.begin_checkpoint()?;
        }
        Ok(())
    }

    /// A checkpoint, if there was a step since the last one, and waits for it.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        // What a sink holds back is in no checkpoint: the journal gives it again.
        if self.interrupted || self.parts.iter().any(Part::rebuilds) {
            return self.drain();
        }
        if self.dirty {
            self.write_checkpoint()?;
        }
        self.wait_for_checkpoint()
    }

    /// Writes a checkpoint and waits for it.
    pub(super) fn write_checkpoint(&mut self) -> Result<()> {
        // A sink that has failed says more than the checkpoint that waits for it.
        self.begin_checkpoint().and_then(|()| self.wait_for_checkpoint()).or_else(|error| {
            self.check_outputs()?;
            Err(error)
        })
    }

    fn wait_for_checkpoint(&mut self) -> Result<()> {
        self.checkpointer.as_mut().map_or(Ok(()), Checkpointer::wait)?;
        self.note_checkpoint();
        Ok(())
    }

    /// Takes note that the checkpoint that was under way, if one was, is there.
    fn note_checkpoint(&mut self) {
        if let Some(UnderWay { step, began, .. }) = self.under_way.take() {
            let took = self.clock.monotonic().saturating_sub(began);
            self.last_checkpoint = Some(Checkpointed { step, at: Some(self.clock.now_ns()), took });
        }
    }

    /// What is to be pinned in the topics that are read: what comes after the checkpoint is read again after a crash.
    pub(super) fn pins(&self) -> Option<(Log, Vec<Pin>)> {
        let log = self.log.clone()?;
        let mut pins = Vec::new();
        for (source, partitions) in self.sources.iter().zip(&self.partitions).filter(|(s, _)| s.is_topic) {
            for (partition, state) in (0..).zip(partitions) {
                pins.push(Pin { topic: source.name.clone(), partition, offset: state.position.offset });
            }
        }
        Some((log, pins))
    }

    /// Has a checkpoint of the state as it is now written, and begins the journal of what follows.
    fn begin_checkpoint(&mut self) -> Result<()> {
        self.checkpointed = self.clock.monotonic();
        let (Some(checkpointer), Some(store)) = (&mut self.checkpointer, &self.store) else { return Ok(()) };
        let needed = self.parts.iter().any(Part::is_running);
        if let (false, Some(under_way)) = (needed, &self.under_way) {
            // All has ended: to write gigabytes of state, so that they can be removed, would be all that is waited for.
            under_way.needless.store(true, Ordering::Relaxed);
        }
        checkpointer.wait()?;
        let began = self.clock.monotonic();
        let needless = Arc::new(AtomicBool::new(false));
        self.nodes = self.crew.look()?;
        // Also before the first step: operators follow what changes from then on, and never have to give all they have.
        let workers = if needed { Some(self.crew.snapshot()?) } else { None };
        let mut parts = Vec::with_capacity(self.parts.len());
        let mut drained = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            drained.extend(part.drained().inspect_err(|_| self.blamed = Some(i))?);
            if part.state != PartState::Left {
                let (run, _) = part.counted(&self.parts[..i], &self.read, &self.nodes);
                parts.push(part.manifest(&run));
            }
        }
        self.generation += 1;
        let manifest = Manifest {
            version: 0,
            generation: self.generation,
            step: self.step,
            parts,
            sources: self
                .partitions
                .iter()
                .map(|p| p.iter().map(PartitionManifest::from).collect())
                .collect(),
            watermarks: self.watermarks.clone(),
            tables: Vec::new(),
        };
        if let Some(syncing) = &mut self.journal_syncing {
            // Or what it failed of would not be known to who syncs it next.
            syncing.wait()?;
        }
        self.journal = match self.journal.take() {
            Some(journal) => {
                let patience = self.patience.clone();
                Some(patience.until_done(|| journal.next(&store.disk, &store.dir, self.step))?)
            }
            None => None,
        };
        let pins = self.pins();
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.give(Order { manifest, workers, drained, pins, needless: needless.clone() })?;
        }
        self.dirty = false;
        self.under_way = Some(UnderWay { step: self.step, began, needless });
        Ok(())
    }
}
