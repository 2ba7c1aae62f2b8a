//! Looking after a topic by hand: verify, repair, compact.

use super::super::{Engine, Result};
use crate::log::{Damage, Maintained, Verified};

impl Engine {
    /// Reads every byte of a topic (or of one partition); for each partition what was found. `progress` is told how many
    /// rows have been read.
    pub fn verify_topic(
        &self,
        name: &str,
        partition: Option<u32>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<(u32, Verified)>> {
        let topic = self.0.log.topic(name)?;
        let partitions = partition.map_or(0..topic.partitions(), |p| p..p + 1);
        partitions.map(|p| Ok((p, topic.verify(p, progress)?))).collect()
    }

    /// Mends a topic (or one partition); for each partition what was damaged.
    pub fn repair_topic(&self, name: &str, partition: Option<u32>) -> Result<Vec<(u32, Vec<Damage>)>> {
        let topic = self.0.log.topic(name)?;
        let partitions = partition.map_or(0..topic.partitions(), |p| p..p + 1);
        partitions.map(|p| Ok((p, topic.repair(p)?))).collect()
    }

    /// Removes and compacts now what a topic's settings say, even if little has been replaced.
    pub fn compact_topic(&self, name: &str) -> Result<Maintained> {
        Ok(self.0.log.compact_topic(name)?)
    }
}
