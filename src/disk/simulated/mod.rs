//! A simulated machine's disk, wholly in memory, for tests that cut the power: it gives what POSIX
//! promises and no more. `sync_data` makes a file's content and length durable, but not its name;
//! `sync_dir` makes a directory's names durable, but not what they lead to. When the power goes, of all
//! that is not durable any part may survive: of files, sectors and lengths as they were at any moment
//! since the last sync (content.rs); of directories, any of the names made, moved and removed (tree.rs).
//!
//! A [`Disk`] of a simulated machine is that of one process. A process that is killed leaves the page cache
//! whole; its open files are dead, and its locks are given back. The same seed and the same operations
//! give the same trace, provided that one thread does them.

mod content;
mod draw;
mod tree;

pub(crate) use draw::Draw;

use super::{Disk, DiskError, DiskFile, Kind, Open, OpenFile, Result, broken, failed};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tree::Tree;

/// What is counted until a planned event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A write to a file, or a change of its length.
    Write,
    /// A sync of a file or a directory.
    Sync,
    /// A name that is made, moved or removed.
    Name,
    /// Any of these.
    Change,
}

/// What happens in the middle of an operation, which then fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It does its work in part (a write), not at all (a name), or as failed syncs do.
    Fail,
    /// The process dies; a write is done in part.
    Kill,
    /// The power goes.
    CutPower,
}

/// A simulated machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Simulation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Mutex<Machine>,
    /// A lock was given back.
    unlocked: Condvar,
}

struct Machine {
    tree: Tree,
    draw: Draw,
    /// Its boots until now.
    boots: u64,
    /// What tells it from other machines.
    seed: u64,
    alive: BTreeSet<u64>,
    next_process: u64,
    next_handle: u64,
    /// Operations until (and with) the one in the middle of which the event happens.
    plan: Option<(Moment, u64, Event)>,
    /// Bytes by which files may still grow.
    room: Option<u64>,
    happened: Vec<(Moment, Event)>,
    trace: Option<Vec<String>>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine(boot {}, {} processes)", self.boots, self.alive.len())
    }
}

impl Simulation {
    /// A machine with an empty disk.
    pub(super) fn new(seed: u64) -> Self {
        let machine = Machine {
            tree: Tree::new(),
            draw: Draw::new(seed),
            boots: 0,
            seed,
            alive: BTreeSet::new(),
            next_process: 0,
            next_handle: 0,
            plan: None,
            room: None,
            happened: Vec::new(),
            trace: None,
        };
        Simulation(Arc::new(Shared { machine: Mutex::new(machine), unlocked: Condvar::new() }))
    }

    /// The disk as a new process sees it.
    pub fn process(&self) -> Disk {
        let mut machine = self.machine();
        let id = machine.next_process;
        machine.next_process += 1;
        machine.alive.insert(id);
        Disk { kind: Kind::Simulated(Process { machine: self.clone(), id }) }
    }

    /// The power goes and comes back: all processes are dead, and of what was not synced any part may
    /// have survived.
    pub fn cut_power(&self) {
        self.machine().cut_power();
        self.0.unlocked.notify_all();
    }

    /// All processes die.
    pub fn kill_all(&self) {
        let mut machine = self.machine();
        machine.alive.clear();
        machine.tree.unlock(|_| true);
        self.0.unlocked.notify_all();
    }

    /// The process with that disk dies.
    pub fn kill(&self, disk: &Disk) {
        if let Kind::Simulated(process) = &disk.kind {
            self.machine().kill(process.id);
            self.0.unlocked.notify_all();
        }
    }

    /// Whether the process with that disk is alive.
    pub fn is_alive(&self, disk: &Disk) -> bool {
        matches!(&disk.kind, Kind::Simulated(process) if self.machine().alive.contains(&process.id))
    }

    /// Plans `event` for the `n`-th operation of that kind from now on (1 = the next), in place of what
    /// was planned before.
    pub fn plan(&self, moment: Moment, n: u64, event: Event) {
        self.machine().plan = Some((moment, n, event));
    }

    /// The disk is full after `bytes` more; overwriting in place needs no room.
    pub fn full_after(&self, bytes: u64) {
        self.machine().room = Some(bytes);
    }

    /// Forgets what is planned.
    pub fn heal(&self) {
        let mut machine = self.machine();
        (machine.plan, machine.room) = (None, None);
    }

    /// What has happened since the last call, of what was planned; a write for which there was no room is one
    /// that failed.
    pub fn happened(&self) -> Vec<(Moment, Event)> {
        std::mem::take(&mut self.machine().happened)
    }

    /// How often it was booted again.
    pub fn boots(&self) -> u64 {
        self.machine().boots
    }

    /// Notes from now on what is changed, for [`trace`](Self::trace).
    pub fn record(&self) {
        self.machine().trace = Some(Vec::new());
    }

    /// What was changed since the last call, a line each.
    pub fn trace(&self) -> Vec<String> {
        self.machine().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    fn check_alive(&self, process: u64) -> io::Result<()> {
        if self.alive.contains(&process) { Ok(()) } else { Err(io::Error::other("the process is dead")) }
    }

    fn kill(&mut self, process: u64) {
        self.alive.remove(&process);
        self.tree.unlock(|handle| handle >> HANDLE_BITS == process);
    }

    fn cut_power(&mut self) {
        self.note(|| "the power goes".into());
        let Machine { tree, draw, .. } = self;
        tree.cut_power(draw);
        self.alive.clear();
        self.boots += 1;
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    /// The event that happens in the middle of the operation that now begins.
    fn event(&mut self, moment: Moment) -> Option<Event> {
        let (counted, n, event) = self.plan.as_mut()?;
        if *counted != moment && *counted != Moment::Change {
            return None;
        }
        *n = n.saturating_sub(1);
        if *n > 0 {
            return None;
        }
        let event = *event;
        self.plan = None;
        self.happened.push((moment, event));
        self.note(|| format!("  {event:?} in the middle of:"));
        Some(event)
    }

    /// Does `work` as one change of names, unless an event comes between.
    fn change<T>(&mut self, process: u64, work: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        self.check_alive(process)?;
        match self.event(Moment::Name) {
            None => work(&mut self.tree),
            Some(Event::Fail) => Err(broken()),
            Some(event) => {
                if self.draw.chance(50) {
                    work(&mut self.tree)?;
                }
                Err(self.strike(process, event))
            }
        }
    }

    /// Does `sync`, unless an event comes between; `fail` is what it does when it fails.
    fn sync(
        &mut self,
        process: u64,
        sync: impl FnOnce(&mut Tree) -> io::Result<()>,
        fail: impl FnOnce(&mut Tree, &mut Draw) -> io::Result<()>,
    ) -> io::Result<()> {
        self.check_alive(process)?;
        match self.event(Moment::Sync) {
            None => sync(&mut self.tree),
            Some(Event::Fail) => {
                fail(&mut self.tree, &mut self.draw)?;
                Err(broken())
            }
            Some(event) => {
                if self.draw.chance(30) {
                    sync(&mut self.tree)?;
                }
                Err(self.strike(process, event))
            }
        }
    }

    /// The end of a process or of all.
    fn strike(&mut self, process: u64, event: Event) -> io::Error {
        match event {
            Event::CutPower => self.cut_power(),
            Event::Kill => self.kill(process),
            Event::Fail => {}
        }
        broken()
    }

    /// How many of a write's bytes reach the file, and what it then ends with.
    fn before_write(&mut self, len: usize, grows: u64) -> (usize, Option<WriteEnd>) {
        if let Some(event) = self.event(Moment::Write) {
            // When the power goes the disk decides what is left; the rest is as far as it came.
            let keep = if event == Event::CutPower { len } else { self.draw.below(len + 1) };
            return (keep, Some(WriteEnd::Event(event)));
        }
        match &mut self.room {
            Some(room) if *room < grows => {
                let lacking = grows - std::mem::take(room);
                self.happened.push((Moment::Write, Event::Fail));
                let keep = len.saturating_sub(usize::try_from(lacking).unwrap_or(usize::MAX));
                (keep, Some(WriteEnd::Full))
            }
            Some(room) => {
                *room -= grows;
                (len, None)
            }
            None => (len, None),
        }
    }
}

enum WriteEnd {
    Event(Event),
    Full,
}

/// A handle's number holds its process's above these bits.
const HANDLE_BITS: u32 = 32;

/// A process of a simulated machine.
#[derive(Debug, Clone)]
pub(super) struct Process {
    machine: Simulation,
    id: u64,
}

impl Process {
    pub(super) fn boot_id(&self) -> [u8; 16] {
        let machine = self.machine.machine();
        (u128::from(machine.seed) << 64 | u128::from(machine.boots + 1)).to_be_bytes()
    }

    /// Bytes that no other call gives.
    pub(super) fn random_id(&self) -> [u8; 16] {
        let mut machine = self.machine.machine();
        (u128::from(machine.draw.bits()) << 64 | u128::from(machine.draw.bits())).to_be_bytes()
    }

    pub(super) fn open(&self, path: &Path, how: Open) -> Result<DiskFile> {
        let mut machine = self.machine.machine();
        let create = how == Open::Create && machine.tree.lacks(path);
        let opened = if create {
            machine.note(|| format!("p{} create {}", self.id, path.display()));
            machine.change(self.id, |tree| tree.open(path, true))
        } else {
            machine.check_alive(self.id).and_then(|()| machine.tree.open(path, false))
        };
        let node = opened.map_err(|e| failed("open", path, e))?;
        let number = self.id << HANDLE_BITS | machine.next_handle;
        machine.next_handle += 1;
        let handle = Handle { process: self.clone(), node, number, writes: how != Open::Read };
        Ok(DiskFile { path: path.to_owned(), file: OpenFile::Simulated(handle) })
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut machine = self.machine.machine();
        let read = |machine: &mut Machine| {
            machine.check_alive(self.id)?;
            let node = machine.tree.open(path, false)?;
            Ok(machine.tree.file(node)?.content.cached.clone())
        };
        read(&mut machine).map_err(|e| failed("read", path, e))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change("rename", from, |tree| tree.rename(from, to))
    }

    pub(super) fn remove_file(&self, path: &Path) -> Result<()> {
        self.change("remove", path, |tree| tree.remove_file(path))
    }

    pub(super) fn remove_dir_all(&self, path: &Path) -> Result<()> {
        for name in self.list(path).map_err(|e| DiskError { doing: "remove", ..e })? {
            let below = path.join(name);
            if self.machine.machine().tree.is_dir(&below) {
                self.remove_dir_all(&below)?;
            } else {
                self.remove_file(&below)?;
            }
        }
        self.change("remove", path, |tree| tree.remove_dir(path))
    }

    pub(super) fn create_dir(&self, path: &Path) -> Result<()> {
        if self.look("create", path, |tree| Ok(tree.is_dir(path)))? {
            return Ok(());
        }
        self.change("create", path, |tree| tree.create_dir(path).map(drop))
    }

    pub(super) fn create_dir_all(&self, path: &Path) -> Result<()> {
        if let Some(above) = path.parent() {
            self.create_dir_all(above)?;
        }
        self.create_dir(path)
    }

    pub(super) fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut machine = self.machine.machine();
        machine.note(|| format!("p{} sync {}", self.id, path.display()));
        let synced = machine.sync(self.id, |tree| tree.sync_dir(path), |_, _| Ok(()));
        synced.map_err(|e| failed("sync", path, e))
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.look("list", path, |tree| tree.list(path))
    }

    pub(super) fn exists(&self, path: &Path) -> Result<bool> {
        self.look("look at", path, |tree| tree.exists(path))
    }

    fn look<T>(
        &self,
        doing: &'static str,
        path: &Path,
        look: impl FnOnce(&Tree) -> io::Result<T>,
    ) -> Result<T> {
        let machine = self.machine.machine();
        machine.check_alive(self.id).and_then(|()| look(&machine.tree)).map_err(|e| failed(doing, path, e))
    }

    fn change<T>(
        &self,
        doing: &'static str,
        path: &Path,
        work: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> Result<T> {
        let mut machine = self.machine.machine();
        machine.note(|| format!("p{} {doing} {}", self.id, path.display()));
        machine.change(self.id, work).map_err(|e| failed(doing, path, e))
    }
}

/// An open file of a simulated machine.
#[derive(Debug)]
pub(super) struct Handle {
    process: Process,
    node: u64,
    number: u64,
    writes: bool,
}

impl Handle {
    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.process.machine.machine();
        machine.check_alive(self.process.id)?;
        Ok(machine)
    }

    pub(super) fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        let mut machine = self.machine()?;
        let cached = &machine.tree.file(self.node)?.content.cached;
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(cached.len());
        let len = into.len().min(cached.len() - from);
        into[..len].copy_from_slice(&cached[from..from + len]);
        Ok(len)
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], position: u64, path: &Path) -> io::Result<()> {
        let mut machine = self.machine()?;
        let id = self.process.id;
        machine.note(|| format!("p{id} write {} bytes at {position} of {}", bytes.len(), path.display()));
        let at = self.position(position)?;
        let len = machine.tree.file(self.node)?.content.cached.len();
        let grows = (at + bytes.len()).saturating_sub(len) as u64;
        let (keep, end) = machine.before_write(bytes.len(), grows);
        machine.tree.file(self.node)?.content.write(at, &bytes[..keep]);
        match end {
            None => Ok(()),
            Some(WriteEnd::Full) => Err(ErrorKind::StorageFull.into()),
            Some(WriteEnd::Event(event)) => Err(machine.strike(self.process.id, event)),
        }
    }

    fn position(&self, position: u64) -> io::Result<usize> {
        if !self.writes {
            return Err(ErrorKind::PermissionDenied.into());
        }
        // All of it lies in memory.
        usize::try_from(position)
            .ok()
            .filter(|&at| at < 1 << 30)
            .ok_or_else(|| ErrorKind::FileTooLarge.into())
    }

    pub(super) fn truncate(&self, len: u64, path: &Path) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.note(|| format!("p{} set the length to {len} of {}", self.process.id, path.display()));
        let len = self.position(len)?;
        let event = machine.event(Moment::Write);
        if event != Some(Event::Fail) && (event.is_none() || machine.draw.chance(50)) {
            machine.tree.file(self.node)?.content.resize(len);
        }
        event.map_or(Ok(()), |event| Err(machine.strike(self.process.id, event)))
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.machine()?.tree.file(self.node)?.content.cached.len() as u64)
    }

    pub(super) fn sync_data(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.note(|| format!("p{} sync {}", self.process.id, path.display()));
        let node = self.node;
        machine.sync(
            self.process.id,
            |tree| {
                tree.file(node)?.content.sync();
                Ok(())
            },
            |tree, draw| {
                tree.file(node)?.content.fail_sync(draw);
                Ok(())
            },
        )
    }

    pub(super) fn is_unlinked(&self) -> io::Result<bool> {
        Ok(self.machine()?.tree.file(self.node)?.names == 0)
    }

    /// Takes the lock, waiting for whoever holds it.
    pub(super) fn lock(&self) -> io::Result<()> {
        let shared = &self.process.machine.0;
        let mut machine = self.process.machine.machine();
        loop {
            machine.check_alive(self.process.id)?;
            let locked = &mut machine.tree.file(self.node)?.locked;
            if locked.is_none() {
                *locked = Some(self.number);
                return Ok(());
            }
            machine = shared.unlocked.wait(machine).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the lock if nobody holds it; whether it did.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        let mut machine = self.machine()?;
        let locked = &mut machine.tree.file(self.node)?.locked;
        let free = locked.is_none();
        if free {
            *locked = Some(self.number);
        }
        Ok(free)
    }

    pub(super) fn unlock(&self) {
        let mut machine = self.process.machine.machine();
        if let Ok(file) = machine.tree.file(self.node) {
            file.locked = file.locked.filter(|&holder| holder != self.number);
        }
        self.process.machine.0.unlocked.notify_all();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.unlock();
    }
}

#[cfg(test)]
mod tests;
