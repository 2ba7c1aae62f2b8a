//! Members of a group: processes that consume one topic together and share its partitions, without a
//! server.
//!
//! ```text
//! groups/<uuid>/<topic's uuid>/members/<when it joined>-<uuid>   its process id; locked while it lives
//!                              <p>                               locked by the partition's owner (place.rs)
//! ```
//!
//! Every member lists the members now and then. A file that nobody locks is that of a dead one, and is
//! removed: the system gives a lock back when its owner dies. From the sorted list each member computes
//! the same assignment: of n partitions and m members the i-th has those from i·n/m up to, but not
//! including, (i+1)·n/m.
//!
//! Law: who holds a partition's lock owns it, and nobody else; the assignment only says who is to try. A
//! member gives up what it is not assigned any more, and takes what it is assigned as soon as it is free,
//! from the committed offset on. So views of the membership that differ for a moment cost time, never rows.
//! A process that is stopped (SIGSTOP) is alive: it keeps its partitions.

use super::place::{Found, Place, PlaceFile};
use crate::clock::Clock;
use crate::disk::{Disk, DiskLock, Open};
use crate::log::Topic;
use crate::log::error::LogError;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

type Result<T, E = LogError> = std::result::Result<T, E>;

/// How often a member looks who else is there.
const LOOK: Duration = Duration::from_millis(200);
/// How often it looks while it waits for a partition that another has yet to give up.
const LOOK_WAITING: Duration = Duration::from_millis(20);

/// What a look at the other members has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Partitions that are this member's now, with where to go on in them.
    pub gained: Vec<Gained>,
    /// Partitions that were this member's; they are another's.
    pub lost: Vec<u32>,
}

/// A partition that a member has been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gained {
    /// The partition.
    pub partition: u32,
    /// The offset that was committed, if one was, brought into what the partition holds.
    pub committed: Option<u64>,
    /// Rows from there on that the group had not read and that the partition does not hold any more.
    pub missed: u64,
}

/// A member of a group. Dropping it gives its partitions to the others.
#[derive(Debug)]
pub struct Member {
    group: String,
    dir: PathBuf,
    topic: Arc<Topic>,
    disk: Disk,
    clock: Clock,
    /// The name of its own file.
    name: String,
    _lock: DiskLock,
    owned: BTreeMap<u32, Owned>,
    /// When it last looked who is there.
    looked: Option<Duration>,
    /// Some partition that it is assigned is still another's.
    waits: bool,
}

#[derive(Debug)]
struct Owned {
    file: PlaceFile,
    place: Place,
    _lock: DiskLock,
}

impl Member {
    /// Becomes a member. `dir` is the topic's folder in the group's. Only for who holds the log's lock, so
    /// that the group is not deleted meanwhile.
    pub(super) fn join(group: &str, dir: PathBuf, topic: Arc<Topic>, disk: &Disk) -> Result<Self> {
        let members = dir.join("members");
        for path in [&dir, &members] {
            disk.create_dir(path)?;
        }
        disk.sync_dir(dir.parent().unwrap_or(&dir))?;
        let clock = topic.clock().clone();
        loop {
            // Names of a fixed width: the older members come first, so that a new one moves few partitions.
            let name = format!("{:020}-{}", clock.now_ns().max(0), uuid::Uuid::new_v4().simple());
            let path = members.join(&name);
            let file = Arc::new(disk.open(&path, Open::Create)?);
            let lock = file.lock()?;
            // Somebody may have taken it for a dead one's before it was locked.
            if file.is_unlinked()? {
                continue;
            }
            file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
            return Ok(Member {
                group: group.into(),
                dir,
                topic,
                disk: disk.clone(),
                clock,
                name,
                _lock: lock,
                owned: BTreeMap::new(),
                looked: None,
                waits: false,
            });
        }
    }

    /// Looks who is there, if it is time to; gives up and takes partitions accordingly. What was consumed of
    /// the partitions must have been committed: those that are lost are another's when this returns.
    pub fn refresh(&mut self) -> Result<Assignment> {
        let now = self.clock.monotonic();
        let pause = if self.waits { LOOK_WAITING } else { LOOK };
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < pause) {
            return Ok(Assignment::default());
        }
        self.looked = Some(now);
        let mut names: Vec<String> = live(&self.disk, &self.dir, Some(&self.name))?
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| *name != self.name)
            .collect();
        let at = names.partition_point(|name| *name < self.name);
        names.insert(at, self.name.clone());
        self.take(share(self.topic.partitions(), names.len(), at))
    }

    /// Goes over to the assignment `mine`.
    fn take(&mut self, mine: Range<u32>) -> Result<Assignment> {
        let lost: Vec<u32> = self.owned.keys().copied().filter(|p| !mine.contains(p)).collect();
        for partition in &lost {
            self.owned.remove(partition);
        }
        let mut gained = Vec::new();
        self.waits = false;
        for partition in mine {
            if self.owned.contains_key(&partition) {
                continue;
            }
            match self.acquire(partition)? {
                Some(new) => gained.push(new),
                None => self.waits = true,
            }
        }
        Ok(Assignment { gained, lost })
    }

    /// Takes a partition, if it is free.
    fn acquire(&mut self, partition: u32) -> Result<Option<Gained>> {
        let file = PlaceFile::create(&self.disk, &self.dir.join(partition.to_string()))?;
        let Some(lock) = file.try_lock()? else { return Ok(None) };
        let Found::Place(place) = file.read()? else { return Err(self.damaged(&file)) };
        let gained = resume(&self.topic, partition, &place)?;
        // From here on it can be told whose it is.
        let place = Place { sequence: place.sequence + 1, pid: std::process::id(), ..place };
        file.write(&place)?;
        self.owned.insert(partition, Owned { file, place, _lock: lock });
        Ok(Some(gained))
    }

    fn damaged(&self, file: &PlaceFile) -> LogError {
        LogError::PlaceDamaged { group: self.group.clone(), path: file.path().into() }
    }

    /// The partitions that are this member's.
    pub fn partitions(&self) -> Vec<u32> {
        self.owned.keys().copied().collect()
    }

    /// Whether some partition that is assigned to this member is still another's.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Commits that all rows of a partition before `offset` are consumed. Fails if the partition is
    /// another's. It outlives the process at once, and a crash of the machine once [`sync`](Self::sync) has
    /// returned, or the system has written it out by itself.
    pub fn commit(&mut self, partition: u32, offset: u64) -> Result<()> {
        let epoch = self.topic.partition(partition)?.published()?.epoch;
        let committed_ns = self.clock.now_ns();
        let Some(owned) = self.owned.get_mut(&partition) else {
            return Err(LogError::NotOwner {
                group: self.group.clone(),
                topic: self.topic.name().into(),
                partition,
            });
        };
        let sequence = owned.place.sequence + 1;
        let place = Place { sequence, offset: Some(offset), committed_ns, pid: std::process::id(), epoch };
        owned.file.write(&place)?;
        owned.place = place;
        Ok(())
    }

    /// Makes what was committed durable.
    pub fn sync(&self) -> Result<()> {
        Ok(self.owned.values().try_for_each(|owned| owned.file.sync())?)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // First the partitions: who sees that this member has gone finds them free. A file that stays is a
        // dead one's, and the next to look removes it.
        self.owned.clear();
        let _ = self.disk.remove_file(&self.dir.join("members").join(&self.name));
    }
}

/// The partitions of the member `at` of `members`.
fn share(partitions: u32, members: usize, at: usize) -> Range<u32> {
    // At most the number of partitions.
    let bound = |at: usize| (u64::from(partitions) * at as u64 / members as u64) as u32;
    bound(at)..bound(at + 1)
}

/// The members whose processes live, sorted, each with its process id (0 = not known yet), without `own`.
/// Files of the dead are removed. `dir` is the topic's folder in the group's.
pub(super) fn live(disk: &Disk, dir: &Path, own: Option<&str>) -> Result<Vec<(String, u32)>> {
    let members = dir.join("members");
    let names = match disk.list(&members) {
        Err(e) if e.is_not_found() => Vec::new(),
        names => names?,
    };
    let mut live = Vec::new();
    for name in names.into_iter().filter(|name| own != Some(name)) {
        let path = members.join(&name);
        let file = match disk.open(&path, Open::Write) {
            Err(e) if e.is_not_found() => continue,
            file => Arc::new(file?),
        };
        match file.try_lock()? {
            Some(_lock) => match disk.remove_file(&path) {
                Err(e) if e.is_not_found() => {}
                removed => removed?,
            },
            None => {
                let mut pid = [0; 10];
                let read = file.read_at(&mut pid, 0)?;
                let pid = std::str::from_utf8(&pid[..read]).ok().and_then(|text| text.trim().parse().ok());
                live.push((name, pid.unwrap_or_default()));
            }
        }
    }
    Ok(live)
}

/// Where a group goes on in a partition: at what it committed, but not behind rows that it has not seen.
/// After a crash of the machine rows that were not yet on disk are gone, and others may have their offsets.
pub(super) fn resume(topic: &Topic, partition: u32, place: &Place) -> Result<Gained> {
    let tail = topic.partition(partition)?.published()?;
    let Some(committed) = place.offset else { return Ok(Gained { partition, committed: None, missed: 0 }) };
    let offset = topic.kept_until(partition, committed, place.epoch)?;
    let missed = tail.log_start.saturating_sub(offset);
    Ok(Gained { partition, committed: Some(offset + missed), missed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_member() {
        for partitions in 1..20_u32 {
            for members in 1..25 {
                let shares: Vec<Range<u32>> = (0..members).map(|at| share(partitions, members, at)).collect();
                let all: Vec<u32> = shares.iter().cloned().flatten().collect();
                assert_eq!(all, (0..partitions).collect::<Vec<_>>());
                let sizes = shares.iter().map(|share| share.len());
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            }
        }
    }
}
