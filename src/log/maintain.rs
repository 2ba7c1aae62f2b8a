//! Looking after a data directory: what each topic's settings ask for beside reading and writing. Anybody may do so at
//! any time, several processes at once too; what one of them is doing, the others leave.

use super::error::LogError;
use super::index::{index_path, indexed};
use super::partition::Partition;
use super::pins::{Pinned, Pins};
use super::segment::{Segment, list_segments, segment_path};
use super::topic::{Topic, TopicInfo};
use super::{Compacted, Log, Removed, Result};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was done.
#[derive(Debug, Default)]
pub struct Maintained {
    /// By retention, of each partition of which something has gone: topic, partition, what.
    pub removed: Vec<(String, u32, Removed)>,
    /// By compaction.
    pub compacted: Vec<(String, u32, Compacted)>,
    /// What could not be done. It keeps nothing else from being done.
    pub failures: Vec<LogError>,
}

impl Log {
    /// Takes over settings that other processes have changed, removes what retention says, compacts where it is time,
    /// and makes indexes that are missing.
    pub fn maintain(&self) -> Result<Maintained> {
        let mut done = Maintained::default();
        // Read before what they protect: a pin that is set from now on lies behind what is already committed.
        let pins = Pins::read(&self.0.disk, self.dir())?;
        for dir in self.topic_dirs()? {
            match self.info(&dir) {
                Ok(Some(info)) => {
                    self.maintain_topic(&self.keep(info.clone(), dir), &info, &pins, false, &mut done)
                }
                // Half made, or just deleted.
                Ok(None) => {}
                Err(e) => done.failures.push(e),
            }
        }
        Ok(done)
    }

    /// Does so for one topic now, and compacts it even if little has been replaced.
    pub fn compact_topic(&self, name: &str) -> Result<Maintained> {
        let mut done = Maintained::default();
        let topic = self.topic(name)?;
        let (info, _) = self.find(name)?.ok_or_else(|| self.no_topic(name))?;
        for partition in 0..topic.partitions() {
            let partition = topic.partition(partition)?;
            if partition.enter()?.core.state.next_offset > 0 {
                partition.close_active()?;
            }
        }
        let pins = Pins::read(&self.0.disk, self.dir())?;
        self.maintain_topic(&topic, &info, &pins, true, &mut done);
        Ok(done)
    }

    fn maintain_topic(
        &self,
        topic: &Arc<Topic>,
        info: &TopicInfo,
        pins: &Pins,
        always: bool,
        done: &mut Maintained,
    ) {
        if *topic.settings() != info.settings {
            topic.set(info.settings.clone());
        }
        for index in 0..topic.partitions() {
            let looked = topic.partition(index).and_then(|partition| {
                let now = || Ok(Pins::read(&self.0.disk, self.dir())?.lowest(topic.dir(), index));
                let pinned = Pinned { lowest: pins.lowest(topic.dir(), index), now: &now };
                self.maintain_partition(partition, info, &pinned, always, done)
            });
            match looked {
                Ok(()) | Err(LogError::TopicDeleted { .. }) => {}
                Err(e) => done.failures.push(e),
            }
        }
    }

    fn maintain_partition(
        &self,
        partition: &Partition,
        info: &TopicInfo,
        pinned: &Pinned,
        always: bool,
        done: &mut Maintained,
    ) -> Result<()> {
        // A partition without rows has no files, and needs none.
        if list_segments(&partition.disk, &partition.dir)?.is_empty() {
            return Ok(());
        }
        let now = self.0.clock.now_ns();
        let removed = partition.retain(&info.settings, now, pinned.lowest)?;
        if removed.segments > 0 {
            done.removed.push((info.name.clone(), partition.index, removed));
        }
        if let Some(compaction) = &info.settings.compaction {
            let bytes = info.settings.segment_bytes;
            let compacted = partition.compact(info, compaction, bytes, now, pinned, always)?;
            if compacted.segments.0 > 0 {
                done.compacted.push((info.name.clone(), partition.index, compacted));
            }
        }
        partition.remove_orphans()?;
        partition.make_indexes()
    }
}

impl Partition {
    /// Makes the indexes of closed segments that have none, or, as far as this process has not looked yet, a wrong one.
    fn make_indexes(&self) -> Result<()> {
        let tail = self.published()?;
        let looked_until = self.indexes_looked_at.load(Ordering::Relaxed);
        for base in list_segments(&self.disk, &self.dir)? {
            let is_closed = (tail.log_start..tail.segment).contains(&base);
            if !is_closed || (base < looked_until && self.disk.exists(&index_path(&self.dir, base))?) {
                continue;
            }
            let mut segment = match Segment::open(&self.disk, &self.dir, base) {
                // Retention or compaction has just taken it.
                Err(e) if e.is_not_found() => continue,
                segment => segment?,
            };
            let len = segment.len()?;
            if self.kept_index(&mut segment, base, len).is_none() {
                let index = indexed(&mut segment, base, len)
                    .map_err(|fault| self.fault(fault, base, 0, base, tail.next_offset))?;
                index.write(&self.disk, &self.dir)?;
            }
        }
        self.indexes_looked_at.fetch_max(tail.segment, Ordering::Relaxed);
        Ok(())
    }

    /// Removes what lay beside segments that are gone: who removed them may have died in between.
    fn remove_orphans(&self) -> Result<()> {
        // A segment before the active one never comes back.
        let active = self.published()?.segment;
        let held: HashSet<u64> = list_segments(&self.disk, &self.dir)?.into_iter().collect();
        for name in self.disk.list(&self.dir)? {
            let Some((stem, "index" | "producers")) = name.rsplit_once('.') else { continue };
            let Ok(base) = stem.parse::<u64>() else { continue };
            // Asked again, as a listing may miss a file that is renamed meanwhile.
            if base < active && !held.contains(&base) && !self.disk.exists(&segment_path(&self.dir, base))? {
                self.remove_segment(base)?;
            }
        }
        Ok(())
    }

    /// Closes the active segment if it has rows.
    fn close_active(&self) -> Result<()> {
        self.topic.feeders.sync_before()?;
        let mut entered = self.enter()?;
        if entered.core.state.next_offset > entered.core.state.segment {
            entered.roll()?;
        }
        Ok(())
    }
}
