//! Consumer groups, as the `group` command lists, shows, moves and deletes them.

use super::{Engine, Result};
use crate::log::{GroupPartition, Start};

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// The topics that it has read, by name.
    pub topics: Vec<String>,
    /// Partitions of them that a process owns now.
    pub owned: u64,
    /// Rows of them that it has yet to read.
    pub lag: u64,
}

impl Engine {
    /// All groups, by name.
    pub fn groups(&self) -> Result<Vec<GroupRow>> {
        let mut rows = Vec::new();
        for info in self.0.log.groups()? {
            let places = self.describe_group(&info.name)?;
            let mut topics: Vec<String> = places.iter().map(|p| p.topic.clone()).collect();
            topics.dedup();
            let owned = places.iter().filter(|p| p.owner.is_some()).count() as u64;
            rows.push(GroupRow { name: info.name, topics, owned, lag: places.iter().map(|p| p.lag).sum() });
        }
        Ok(rows)
    }

    /// A group's place in each partition of each topic that it has read.
    pub fn describe_group(&self, name: &str) -> Result<Vec<GroupPartition>> {
        Ok(self.0.log.group(name)?.describe()?)
    }

    /// Moves a group's place in a topic, in one partition or in all; gives the new places.
    pub fn reset_group(
        &self,
        name: &str,
        topic: &str,
        partition: Option<u32>,
        to: Start,
    ) -> Result<Vec<GroupPartition>> {
        Ok(self.0.log.group(name)?.reset(&self.0.log.topic(topic)?, partition, to)?)
    }

    /// Deletes a group with its places.
    pub fn delete_group(&self, name: &str) -> Result<()> {
        Ok(self.0.log.delete_group(name)?)
    }
}
