//! Consumer groups: how far several processes together have read topics, by a name.
//!
//! ```text
//! DIR/groups/<uuid>/group.json          {"version":1,"crc32c":"…","group":{"name":"board","created_ns":…}}
//!                   <topic's uuid>/     what the group has read of a topic
//!                       <p>             its place in a partition, locked by the partition's owner (place.rs)
//!                       members/        the processes that share the topic's partitions (member.rs)
//! ```
//!
//! Places belong to the topic's folder, so a topic that is deleted and made again is read from its start.
//! A commit is not synced: it outlives its process at once. After a crash of the machine an older commit
//! may hold, and rows may be given twice; none is left out (member.rs, [`member::resume`]).
//!
//! Groups are made and deleted, members join and places are reset under the log's `lock`.

mod member;
mod place;
#[cfg(test)]
mod tests;

pub use member::{Assignment, Gained, Member};

use super::error::LogError;
use super::start::Start;
use super::topic::{check_name, checksum};
use super::{Log, Topic};
use place::{Found, Place, PlaceFile};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Result<T, E = LogError> = std::result::Result<T, E>;

const VERSION: u64 = 1;

/// What is known of a group without looking at its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// When it was made, in nanoseconds since the epoch.
    pub created_ns: i64,
}

/// A group's place in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset that the group wants next; `None` = it has committed none.
    pub committed: Option<u64>,
    /// The offset that the partition's next row will get.
    pub end: u64,
    /// Rows that the group has yet to read.
    pub lag: u64,
    /// The process that owns the partition now.
    pub owner: Option<u32>,
    /// When it was last committed, in nanoseconds since the epoch.
    pub committed_ns: Option<i64>,
}

/// A consumer group.
#[derive(Debug, Clone)]
pub struct Group {
    log: Log,
    info: GroupInfo,
    dir: PathBuf,
}

#[derive(Deserialize)]
struct File {
    version: u64,
    crc32c: String,
    group: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Description {
    name: String,
    created_ns: i64,
}

impl Log {
    /// All groups, by name.
    pub fn groups(&self) -> Result<Vec<GroupInfo>> {
        let mut groups = Vec::new();
        for dir in self.group_dirs()? {
            groups.extend(self.group_info(&dir)?);
        }
        groups.sort_by(|a: &GroupInfo, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// The group of that name. Fails if there is none.
    pub fn group(&self, name: &str) -> Result<Group> {
        self.find_group(name)?.ok_or_else(|| {
            let names = self.groups().unwrap_or_default().into_iter().map(|group| group.name);
            LogError::NoGroup { name: name.into(), nearest: super::nearest(name, names) }
        })
    }

    /// The group of that name, made if there is none.
    pub fn ensure_group(&self, name: &str) -> Result<Group> {
        check_name(name).map_err(|()| LogError::GroupName { name: name.into() })?;
        let _lock = self.lock()?;
        if let Some(group) = self.find_group(name)? {
            return Ok(group);
        }
        let disk = &self.0.disk;
        let groups = self.0.dir.join("groups");
        disk.create_dir(&groups)?;
        disk.sync_dir(&self.0.dir)?;
        let dir = groups.join(uuid::Uuid::new_v4().to_string());
        let info = GroupInfo { name: name.into(), created_ns: self.0.clock.now_ns() };
        let create = || {
            disk.create_dir(&dir)?;
            disk.write_atomically(&dir.join("group.json"), info.json().as_bytes())?;
            disk.sync_dir(&groups)
        };
        if let Err(e) = create() {
            // Half a group has no description, and is none; this only saves its room.
            let _ = disk.remove_dir_all(&dir);
            return Err(e.into());
        }
        Ok(Group { log: self.clone(), info, dir })
    }

    /// Deletes a group and its places. Fails while it has members.
    pub fn delete_group(&self, name: &str) -> Result<()> {
        let disk = &self.0.disk;
        let group = self.group(name)?;
        let _lock = self.lock()?;
        for dir in group.topic_dirs()? {
            group.check_idle(&dir, "deleted")?;
        }
        let mut deleted = group.dir.clone().into_os_string();
        deleted.push(".deleted");
        let deleted = PathBuf::from(deleted);
        match disk.rename(&group.dir, &deleted) {
            // Another process was quicker.
            Err(e) if e.is_not_found() => return Ok(()),
            renamed => renamed?,
        }
        disk.sync_dir(&self.0.dir.join("groups"))?;
        Ok(disk.remove_dir_all(&deleted)?)
    }

    fn find_group(&self, name: &str) -> Result<Option<Group>> {
        let mut damaged = None;
        for dir in self.group_dirs()? {
            match self.group_info(&dir) {
                Ok(Some(info)) if info.name == name => {
                    return Ok(Some(Group { log: self.clone(), info, dir }));
                }
                Ok(_) => {}
                Err(e) => damaged = Some(e),
            }
        }
        // It might be the one.
        damaged.map_or(Ok(None), Err)
    }

    fn group_dirs(&self) -> Result<Vec<PathBuf>> {
        let groups = self.0.dir.join("groups");
        let names = match self.0.disk.list(&groups) {
            Err(e) if e.is_not_found() => Vec::new(),
            names => names?,
        };
        Ok(names.iter().filter(|name| !name.ends_with(".deleted")).map(|name| groups.join(name)).collect())
    }

    /// The description in a group's directory, if it is one: it may be half made, or just deleted.
    fn group_info(&self, dir: &Path) -> Result<Option<GroupInfo>> {
        let path = dir.join("group.json");
        match self.0.disk.read(&path) {
            Err(e) if e.is_not_found() => Ok(None),
            bytes => GroupInfo::read(&path, &bytes?).map(Some),
        }
    }
}

impl GroupInfo {
    fn json(&self) -> String {
        let group = serde_json::json!(Description { name: self.name.clone(), created_ns: self.created_ns });
        let crc = checksum(&group);
        serde_json::json!({"version": VERSION, "crc32c": crc, "group": group}).to_string() + "\n"
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged = |reason: &str| LogError::TopicDamaged { path: path.into(), reason: reason.into() };
        let no_json = |_| damaged("it is no group's description");
        let file: File = serde_json::from_slice(bytes).map_err(no_json)?;
        if file.version > VERSION {
            return Err(LogError::NewerVersion { path: path.into(), found: file.version, known: VERSION });
        }
        if checksum(&file.group) != file.crc32c {
            return Err(damaged("its checksum is wrong"));
        }
        let group: Description = serde_json::from_value(file.group).map_err(no_json)?;
        Ok(GroupInfo { name: group.name, created_ns: group.created_ns })
    }
}

impl Group {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Becomes a member that reads `topic` together with the group's others.
    pub fn join(&self, topic: &Arc<Topic>) -> Result<Member> {
        let _lock = self.log.lock()?;
        if self.log.group_info(&self.dir)?.is_none() {
            return Err(LogError::NoGroup { name: self.info.name.clone(), nearest: None });
        }
        topic.partition(0)?.check_alive()?;
        self.forget_deleted_topics()?;
        Member::join(&self.info.name, self.dir_of(topic), Arc::clone(topic), &self.log.0.disk)
    }

    /// Its place in each partition of each topic that it has read, by topic and partition.
    pub fn describe(&self) -> Result<Vec<GroupPartition>> {
        let mut rows = Vec::new();
        for info in self.log.topics()? {
            let topic = match self.log.topic(&info.name) {
                Err(LogError::NoTopic { .. }) => continue,
                topic => topic?,
            };
            if self.log.0.disk.exists(&self.dir_of(&topic))? {
                rows.extend(self.describe_topic(&topic)?);
            }
        }
        Ok(rows)
    }

    /// Its place in each partition of a topic.
    pub fn describe_topic(&self, topic: &Arc<Topic>) -> Result<Vec<GroupPartition>> {
        (0..topic.partitions()).map(|partition| self.describe_partition(topic, partition)).collect()
    }

    fn describe_partition(&self, topic: &Topic, partition: u32) -> Result<GroupPartition> {
        let (start, end) = (topic.start_offset(partition)?, topic.end_offset(partition)?);
        let mut row = GroupPartition {
            topic: topic.name().into(),
            partition,
            committed: None,
            end,
            lag: end - start,
            owner: None,
            committed_ns: None,
        };
        let path = self.dir_of(topic).join(partition.to_string());
        let Some(file) = PlaceFile::open(&self.log.0.disk, &path)? else { return Ok(row) };
        let Found::Place(place) = file.read()? else {
            return Err(LogError::PlaceDamaged { group: self.info.name.clone(), path });
        };
        row.owner = file.try_lock()?.is_none().then_some(place.pid);
        let resumed = member::resume(topic, partition, &place)?;
        if let Some(offset) = resumed.committed {
            // The end was looked at before; the group may have read on since.
            (row.committed, row.end, row.lag) = (Some(offset), end.max(offset), end.saturating_sub(offset));
            row.committed_ns = Some(place.committed_ns);
        }
        Ok(row)
    }

    /// Moves its place in a topic, in one partition or in all. Fails while it has members that read the
    /// topic. Gives the new places.
    pub fn reset(
        &self,
        topic: &Arc<Topic>,
        partition: Option<u32>,
        to: Start,
    ) -> Result<Vec<GroupPartition>> {
        let disk = &self.log.0.disk;
        let partitions = match partition {
            Some(partition) => topic.partition(partition).map(|_| partition..partition + 1)?,
            None => 0..topic.partitions(),
        };
        let _lock = self.log.lock()?;
        if self.log.group_info(&self.dir)?.is_none() {
            return Err(LogError::NoGroup { name: self.info.name.clone(), nearest: None });
        }
        let dir = self.dir_of(topic);
        self.check_idle(&dir, "reset")?;
        // All or none: an offset that one of them does not hold moves no place.
        let targets = partitions
            .map(|partition| Ok((partition, topic.offset_in_range(partition, to)?)))
            .collect::<Result<Vec<_>>>()?;
        disk.create_dir(&dir)?;
        disk.sync_dir(&self.dir)?;
        for (partition, offset) in targets {
            let file = PlaceFile::create(disk, &dir.join(partition.to_string()))?;
            // Nobody joins meanwhile; whoever has it only looks whether it is free.
            let _owned = file.lock()?;
            let before = match file.read()? {
                Found::Place(place) => place,
                Found::Damaged => Place::default(),
            };
            let place = Place {
                sequence: before.sequence + 1,
                offset: Some(offset),
                committed_ns: self.log.0.clock.now_ns(),
                pid: std::process::id(),
                epoch: topic.partition(partition)?.published()?.epoch,
            };
            // Both slots, so that none is left that is damaged.
            file.write(&place)?;
            file.write(&Place { sequence: place.sequence + 1, ..place })?;
            file.sync()?;
        }
        let rows = self.describe_topic(topic)?;
        Ok(rows.into_iter().filter(|row| partition.is_none_or(|p| p == row.partition)).collect())
    }

    /// Fails if processes read the topic of the folder `dir` with this group.
    fn check_idle(&self, dir: &Path, done: &'static str) -> Result<()> {
        let pids: Vec<u32> =
            member::live(&self.log.0.disk, dir, None)?.into_iter().map(|(_, pid)| pid).collect();
        if pids.is_empty() {
            return Ok(());
        }
        Err(LogError::GroupHasMembers { group: self.info.name.clone(), pids, done })
    }

    /// The folder of what it has read of a topic.
    fn dir_of(&self, topic: &Topic) -> PathBuf {
        self.dir.join(topic.dir().file_name().unwrap_or_default())
    }

    fn topic_dirs(&self) -> Result<Vec<PathBuf>> {
        let names = self.log.0.disk.list(&self.dir)?;
        Ok(names
            .iter()
            .filter(|name| uuid::Uuid::parse_str(name).is_ok())
            .map(|n| self.dir.join(n))
            .collect())
    }

    /// Removes what it has read of topics that are no more.
    fn forget_deleted_topics(&self) -> Result<()> {
        let disk = &self.log.0.disk;
        for dir in self.topic_dirs()? {
            let topic = self.log.0.dir.join("topics").join(dir.file_name().unwrap_or_default());
            if !disk.exists(&topic)? && member::live(disk, &dir, None)?.is_empty() {
                disk.remove_dir_all(&dir)?;
            }
        }
        Ok(())
    }
}
