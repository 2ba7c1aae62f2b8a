//! A partition as one process sees it: its files, how far they were written, and the way in to change
//! them.
//!
//! ```text
//! topics/<uuid>/<p>/00000000000000000000.log …   the segments, named by their first offset
//!                   tail                         how far they are written (tail.rs)
//!                   lock                         the append lock
//! ```
//!
//! Law: below `tail`'s written length lie whole frames, which never change. Whoever wants to write
//! enters: takes this process's mutex, then the lock against other processes, then makes sure that the
//! files are as `tail` says, recovering if they are not (recover.rs). Readers only look at `tail`.

use super::error::{Corruption, LogError};
use super::feeders::Limits;
use super::known::Known;
use super::segment::{Fault, list_segments, segment_path};
use super::settings::Fsync;
use super::tail::{Tail, TailFile, UNSURE};
use super::topic::Identity;
use crate::disk::{Disk, DiskError, DiskFile, DiskLock, Open};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Result<T, E = LogError> = std::result::Result<T, E>;

/// How often a reader looks again at a tail of which a slot is being written.
const LOOKS: usize = 64;

/// What recovery after a crash did to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The segment file that was cut.
    pub segment: PathBuf,
    /// Its length in bytes now.
    pub position: u64,
    /// The bytes that were cut off: an append that did not get through.
    pub bytes: u64,
    /// Rows among them that readers may have seen.
    pub rows: u64,
    /// Among them are rows of a job that were whole, but of which the machine lost what they were made of: the job makes
    /// them anew.
    pub ahead: bool,
    /// The offset that the next row will get.
    pub next_offset: u64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovery { topic, partition, bytes, rows, next_offset, ahead, .. } = self;
        write!(f, "recovered partition {partition} of the topic {topic:?}: cut {bytes} bytes of ")?;
        match ahead {
            true => write!(
                f,
                "results whose job lost, with the machine's power, what it had made them of; it makes them anew"
            )?,
            false => write!(f, "an unfinished append")?,
        }
        if *rows > 0 {
            write!(f, ", with {rows} rows that were not yet safe on disk")?;
        }
        write!(f, "; it goes on at offset {next_offset}")
    }
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: Arc<Identity>,
    pub(super) index: u32,
    pub(super) dir: PathBuf,
    pub(super) disk: Disk,
    boot: [u8; 16],
    /// The tail as readers see it, opened when there is one.
    view: Mutex<Option<Arc<TailFile>>>,
    core: Mutex<Core>,
    /// Held while the partition is synced, so that one sync serves all who have waited for it.
    pub(super) sync_turn: Mutex<()>,
    /// The background will sync it.
    pub(super) unsynced: AtomicBool,
    /// The indexes of the segments before this one have been looked at by this process.
    pub(super) indexes_looked_at: AtomicU64,
    /// A sync of this process failed: it takes no more rows.
    sync_failed: AtomicBool,
    recoveries: Mutex<Vec<Recovery>>,
    /// Damage that somebody in this process came upon: from then on nothing is appended.
    damage: Mutex<Option<Corruption>>,
}

/// What writers of this process share; only who has entered may use it.
#[derive(Debug, Default)]
pub(super) struct Core {
    lock: Option<Arc<DiskFile>>,
    pub(super) tail: Option<TailFile>,
    /// The active segment's base offset and file.
    pub(super) active: Option<(u64, Arc<DiskFile>)>,
    /// The tail as it was last read or published.
    pub(super) state: Tail,
    pub(super) known: Option<Known>,
}

/// The right to change a partition: while it lives, nobody else does.
pub(super) struct Entered<'a> {
    /// Given back before the mutex: a waiting process goes before a waiting thread.
    _lock: DiskLock,
    pub(super) core: MutexGuard<'a, Core>,
    pub(super) partition: &'a Partition,
}

impl Partition {
    pub(super) fn new(topic: Arc<Identity>, index: u32, disk: Disk) -> Self {
        Partition {
            dir: topic.dir.join(index.to_string()),
            boot: disk.boot_id(),
            topic,
            index,
            disk,
            view: Mutex::default(),
            core: Mutex::default(),
            sync_turn: Mutex::default(),
            unsynced: AtomicBool::new(false),
            indexes_looked_at: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
            recoveries: Mutex::default(),
            damage: Mutex::default(),
        }
    }

    /// How far the partition is written, as readers see it: where appends are acknowledged only when they
    /// are durable, up to there. Locks nothing, unless there is something
    /// to recover first. Of a damaged partition: what it said of itself before, so that the rows before
    /// the damage can be read.
    pub(super) fn published(&self) -> Result<Tail> {
        let tail = self.newest()?;
        Ok(match self.topic.settings().fsync {
            Fsync::Step => Tail { written: tail.durable, next_offset: tail.durable_offset, ..tail },
            _ => tail,
        })
    }

    fn newest(&self) -> Result<Tail> {
        let Some(view) = self.view()? else {
            if list_segments(&self.disk, &self.dir)?.is_empty() {
                self.check_alive()?;
                return Ok(Tail::default());
            }
            return Ok(self.enter()?.core.state);
        };
        let mut found = view.read()?;
        for _ in 0..LOOKS {
            if found.newest.is_some() && !found.torn {
                break;
            }
            std::thread::yield_now();
            found = view.read()?;
        }
        match found.newest {
            // One of an earlier boot may tell of rows that never reached the disk, and where one slot stays torn the
            // other may be an old one.
            Some(tail) if (tail.boot == self.boot && !found.torn) || self.check_sound().is_err() => Ok(tail),
            newest => match (self.enter(), newest) {
                (Err(LogError::Corrupt(_) | LogError::SyncFailed { .. }), Some(tail)) => Ok(tail),
                (entered, _) => Ok(entered?.core.state),
            },
        }
    }

    /// Fails if the topic has been deleted.
    pub(super) fn check_alive(&self) -> Result<()> {
        let gone = match self.view()? {
            Some(view) => view.is_unlinked()?,
            None => !self.disk.exists(&self.topic.dir)?,
        };
        if gone { Err(self.deleted()) } else { Ok(()) }
    }

    fn view(&self) -> Result<Option<Arc<TailFile>>> {
        let mut view = guard(&self.view);
        if view.is_none() {
            match TailFile::open(&self.disk, &self.dir.join("tail"), Open::Read) {
                Err(e) if e.is_not_found() => return Ok(None),
                file => *view = Some(Arc::new(file?)),
            }
        }
        Ok(view.clone())
    }

    /// Enters the partition to change it, recovering it first if need be.
    pub(super) fn enter(&self) -> Result<Entered<'_>> {
        let mut entered = self.hold()?;
        if !entered.catch_up(None)? {
            // What its jobs can make again is looked up without the lock: their sources may have to be recovered too.
            drop(entered);
            let limits = self.topic.feeders.limits()?;
            // Recovery makes all that it keeps durable.
            self.topic.feeders.sync_before()?;
            entered = self.hold()?;
            entered.catch_up(Some(&limits))?;
        }
        Ok(entered)
    }

    /// Takes the partition as it is, however its files are.
    pub(super) fn hold(&self) -> Result<Entered<'_>> {
        let mut core = guard(&self.core);
        self.check_synced()?;
        let lock_file = match &core.lock {
            Some(lock) => Arc::clone(lock),
            None => Arc::new(self.create("lock")?),
        };
        let lock = lock_file.lock()?;
        if lock_file.is_unlinked()? {
            return Err(self.deleted());
        }
        core.lock = Some(lock_file);
        if core.tail.is_none() {
            let tail = TailFile::open(&self.disk, &self.dir.join("tail"), Open::Create)?;
            tail.allocate()?;
            core.tail = Some(tail);
        }
        Ok(Entered { _lock: lock, core, partition: self })
    }

    pub(super) fn is_of_this_boot(&self, tail: &Tail) -> bool {
        tail.boot == self.boot
    }

    /// What was damaged has been mended.
    pub(super) fn forget_damage(&self) {
        *guard(&self.damage) = None;
    }

    /// Notes that a sync failed: from then on nobody of this process enters.
    pub(super) fn sync_has_failed(&self) {
        match self.enter() {
            Ok(mut entered) => entered.doubt(),
            Err(_) => self.sync_failed.store(true, Ordering::Relaxed),
        }
    }

    /// Fails if a sync of this process has failed.
    pub(super) fn check_synced(&self) -> Result<()> {
        match self.sync_failed.load(Ordering::Relaxed) {
            true => Err(LogError::SyncFailed { topic: self.topic.name.clone(), partition: self.index }),
            false => Ok(()),
        }
    }

    fn create(&self, name: &str) -> Result<DiskFile> {
        let open = || {
            self.disk.create_dir(&self.dir)?;
            self.disk.open(&self.dir.join(name), Open::Create)
        };
        open().map_err(|e| if e.is_not_found() { self.deleted() } else { e.into() })
    }

    pub(super) fn deleted(&self) -> LogError {
        LogError::TopicDeleted { topic: self.topic.name.clone() }
    }

    /// Notes what recovery did.
    pub(super) fn note(&self, position: u64, bytes: u64, rows: u64, ahead: bool, state: &Tail) {
        guard(&self.recoveries).push(Recovery {
            topic: self.topic.name.clone(),
            partition: self.index,
            segment: segment_path(&self.dir, state.segment),
            position,
            bytes,
            rows,
            ahead,
            next_offset: state.next_offset,
        });
    }

    pub(super) fn recoveries(&self) -> Vec<Recovery> {
        guard(&self.recoveries).clone()
    }

    /// Notes damage at `position` of the segment `base`, where the row `offset` should be, and gives
    /// the error that tells of it. `end` = the offset after the partition's last row, if known.
    pub(super) fn damaged(
        &self,
        base: u64,
        position: u64,
        offset: u64,
        end: u64,
        reason: String,
    ) -> LogError {
        let later = list_segments(&self.disk, &self.dir).unwrap_or_default();
        let corruption = Corruption {
            topic: self.topic.name.clone(),
            partition: self.index,
            segment: segment_path(&self.dir, base),
            position,
            first_lost: offset,
            end_lost: later.into_iter().find(|&next| next > base && next > offset).unwrap_or(end),
            reason,
        };
        *guard(&self.damage) = Some(corruption.clone());
        corruption.into()
    }

    /// Fails if damage has been found.
    pub(super) fn check_sound(&self) -> Result<()> {
        guard(&self.damage).clone().map_or(Ok(()), |corruption| Err(corruption.into()))
    }

    /// The error for a fault at a place where a whole frame must be.
    pub(super) fn fault(&self, fault: Fault, base: u64, position: u64, offset: u64, end: u64) -> LogError {
        match fault {
            Fault::Disk(e) => e.into(),
            Fault::Bad(reason) => self.damaged(base, position, offset, end, reason),
            Fault::Short => self.damaged(base, position, offset, end, "the file ends too early".into()),
        }
    }

    pub(super) fn missing(&self, base: u64, end: u64) -> LogError {
        self.damaged(base, 0, base, end, "the segment file is missing".into())
    }
}

impl Entered<'_> {
    /// Takes in what other processes did, and makes sure that the files are as the tail says. Where they have to be
    /// recovered and it is not known up to where to believe the topic's jobs, that is told (false).
    fn catch_up(&mut self, limits: Option<&Limits>) -> Result<bool> {
        let found = self.tail()?.read()?;
        let Some(tail) = found.newest.filter(|tail| !found.torn && tail.boot == self.partition.boot) else {
            let Some(limits) = limits else { return Ok(false) };
            return self.recover(found.newest, limits).map(|()| true);
        };
        // Of a segment that this process began but could not publish: another has removed it and begun it anew, so what
        // is open here is a file that nobody else sees.
        if let Some((_, file)) = &self.core.active
            && file.is_unlinked()?
        {
            self.core.active = None;
        }
        let len = match self.open_active(tail.segment) {
            Err(e) if e.is_not_found() => return Err(self.partition.missing(tail.segment, tail.next_offset)),
            file => file?.len()?,
        };
        self.core.state = tail;
        if len == tail.written {
            return Ok(true);
        }
        if len < tail.written {
            return self.recover(Some(tail), &Limits::default()).map(|()| true);
        }
        // A writer died between writing and publishing. Nobody saw those bytes, and the page cache is
        // whole: cut them off, under a new epoch so that none of them can ever pass for the next frame.
        let file = self.open_active(tail.segment)?;
        file.truncate(tail.written)?;
        // Or the power may go when others stand in their place, and bring them back.
        self.sync(&file)?;
        self.publish(Tail { epoch: tail.epoch.wrapping_add(1), ..tail })?;
        self.partition.note(tail.written, len - tail.written, 0, false, &tail);
        Ok(true)
    }

    pub(super) fn boot(&self) -> [u8; 16] {
        self.partition.boot
    }

    pub(super) fn tail(&self) -> Result<&TailFile> {
        // Entering has opened it.
        self.core.tail.as_ref().ok_or_else(|| self.partition.deleted())
    }

    /// The active segment's file, which must exist.
    pub(super) fn open_active(&mut self, base: u64) -> Result<Arc<DiskFile>, DiskError> {
        if let Some((open, file)) = &self.core.active
            && *open == base
        {
            return Ok(Arc::clone(file));
        }
        let path = segment_path(&self.partition.dir, base);
        let file = Arc::new(self.partition.disk.open(&path, Open::Write)?);
        self.core.active = Some((base, Arc::clone(&file)));
        Ok(file)
    }

    /// Makes the file of a new, empty segment, and its name durable.
    pub(super) fn create_segment(&mut self, base: u64) -> Result<(), DiskError> {
        let partition = self.partition;
        let file = partition.disk.open(&segment_path(&partition.dir, base), Open::Create)?;
        file.truncate(0)?;
        partition.disk.sync_dir(&partition.dir)?;
        self.core.active = Some((base, Arc::new(file)));
        Ok(())
    }

    /// Makes a segment's content durable. After a failure the system may claim that later syncs succeed
    /// though the bytes are gone, so the failure is final for this process.
    pub(super) fn sync(&mut self, file: &DiskFile) -> Result<(), DiskError> {
        let synced = file.sync_data();
        if synced.is_err() {
            self.doubt();
        }
        synced
    }

    /// Makes what was published durable. A failure is final here too: the system may have gone back to an older `tail`,
    /// which says less than was acknowledged.
    pub(super) fn sync_tail(&mut self) -> Result<()> {
        let synced = self.tail()?.sync();
        if synced.is_err() {
            self.doubt();
        }
        Ok(synced?)
    }

    /// After a failed sync, publishes that what is in memory may never reach the disk: later syncs, of any process,
    /// would claim that it has. If even this fails, nobody can be told. From then on nobody of this process enters.
    fn doubt(&mut self) {
        let _ = self.publish(Tail { boot: UNSURE, ..self.core.state });
        self.partition.sync_failed.store(true, Ordering::Relaxed);
    }

    /// Publishes `next` under the next sequence number.
    pub(super) fn publish(&mut self, next: Tail) -> Result<()> {
        let next = Tail { sequence: self.core.state.sequence + 1, ..next };
        self.tail()?.publish(&next)?;
        self.core.state = next;
        Ok(())
    }
}

/// A mutex's content. A thread that panicked inside left whole values: they are set in one go.
pub(super) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
