//! The only place where the log and the checkpoints touch files: real files, or, for tests, a faulty
//! disk that fails, fills up, tears a write or seems to have been rebooted (faults.rs), or the disk of a
//! machine that is only simulated, whose power can be cut (simulated).
//!
//! Directories are made for their owner alone (0700), files likewise (0600).

mod beside;
mod crash;
mod faults;
mod mounts;
#[cfg(test)]
pub(crate) mod seeds;
pub(crate) mod simulated;

pub use beside::Beside;
pub use faults::Faults;
pub use simulated::{Event, Moment, Simulation};

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A file operation that failed: what was tried, where, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {}", path.display(), reason(source))]
pub struct DiskError {
    /// What was tried, as a verb: `read`, `write`, `create`, …
    pub doing: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl DiskError {
    /// Whether the file or directory does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == ErrorKind::NotFound
    }

    /// Whether the same may succeed later, when there is room again, or a lock is given back, or a device has
    /// recovered.
    pub fn is_passing(&self) -> bool {
        // A device's error has no kind of its own.
        const EIO: i32 = 5;
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        matches!(
            self.source.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::OutOfMemory
                | ErrorKind::Interrupted
                | ErrorKind::WouldBlock
                | ErrorKind::TimedOut
                | ErrorKind::ResourceBusy
        ) || matches!(self.source.raw_os_error(), Some(EIO | ENFILE | EMFILE))
    }

    /// The system's answer, then what was tried: for those who are told that it is tried again.
    pub fn plain(&self) -> String {
        let DiskError { doing, path, source } = self;
        let reason = reason(source);
        let reason = reason.split(": ").next().unwrap_or_default();
        format!("{reason}: cannot {doing} {}", path.display())
    }
}

/// The system's answer in words, with what to do where that is known.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space left on device: free some, then run again".into(),
        ErrorKind::QuotaExceeded => "the disk quota is used up: free some space, then run again".into(),
        ErrorKind::NotFound => "no such file or directory".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        ErrorKind::IsADirectory => "it is a directory".into(),
        ErrorKind::NotADirectory => "it is not a directory".into(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
    }
}

type Result<T, E = DiskError> = std::result::Result<T, E>;

/// A disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Real(Option<Faults>),
    Simulated(simulated::Process),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Real(None)
    }
}

/// How [`Disk::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made (empty, 0600) when it does not exist.
    Create,
}

impl Disk {
    /// The machine's disk.
    pub fn real() -> Self {
        Disk { kind: Kind::Real(None) }
    }

    /// The machine's disk, but with faults that can be planned through the returned handle.
    pub fn faulty() -> (Self, Faults) {
        let faults = Faults::default();
        (Disk { kind: Kind::Real(Some(faults.clone())) }, faults)
    }

    /// The disk of a process on a simulated machine, and the machine: its power can be cut.
    pub fn simulated(seed: u64) -> (Self, Simulation) {
        let machine = Simulation::new(seed);
        (machine.process(), machine)
    }

    /// Whether its files are the machine's, which other processes see too.
    pub fn is_shared(&self) -> bool {
        !matches!(self.kind, Kind::Simulated(_))
    }

    /// The kind of network file system on which `path` lies or would lie, such as `nfs4`; `None` = on none.
    pub fn network_file_system(&self, path: &Path) -> Option<String> {
        self.is_shared().then(|| mounts::network(path)).flatten()
    }

    /// Opens a file.
    pub fn open(&self, path: &Path, how: Open) -> Result<DiskFile> {
        let faults = match &self.kind {
            Kind::Real(faults) => faults.clone(),
            Kind::Simulated(process) => return process.open(path, how),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(how != Open::Read)
            .create(how == Open::Create)
            .mode(0o600)
            .open(path)
            .map_err(|e| failed("open", path, e))?;
        Ok(DiskFile { path: path.to_owned(), file: OpenFile::Real(file, faults) })
    }

    /// The whole content of a file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        if let Kind::Simulated(process) = &self.kind {
            return process.read(path);
        }
        std::fs::read(path).map_err(|e| failed("read", path, e))
    }

    /// Puts `bytes` into the file at `path` so that, whatever happens, either the old content or the
    /// new one is there: written beside it, synced, renamed, and the directory synced.
    /// Only one process at a time may do this for one path.
    pub fn write_atomically(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let file = self.open(&beside, Open::Create)?;
        file.truncate(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        self.rename(&beside, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// Begins to put a file at `path` piece by piece, as [`Disk::write_atomically`] does at once.
    pub fn begin_atomically(&self, path: &Path) -> Result<Beside> {
        Beside::begin(self, path)
    }

    /// Renames a file or directory.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        if let Kind::Simulated(process) = &self.kind {
            return process.rename(from, to);
        }
        self.alive("rename", from)?;
        crash::around("rename", from, || std::fs::rename(from, to)).map_err(|e| failed("rename", from, e))
    }

    /// Makes the names in a directory durable.
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        let synced = match &self.kind {
            Kind::Real(None) => File::open(path).and_then(|dir| dir.sync_all()),
            Kind::Real(Some(faults)) => faults.sync(),
            Kind::Simulated(process) => return process.sync_dir(path),
        };
        synced.map_err(|e| failed("sync", path, e))
    }

    /// Makes a directory and those above it; one that is there already is fine.
    pub fn create_dir_all(&self, path: &Path) -> Result<()> {
        if let Kind::Simulated(process) = &self.kind {
            return process.create_dir_all(path);
        }
        self.make_dir(path, true)
    }

    /// Makes a directory and those above it, and makes its name and those of the `above` directories over it durable: who
    /// made them, now or before, may not have come to that.
    pub fn create_dir_durably(&self, path: &Path, above: usize) -> Result<()> {
        self.create_dir_all(path)?;
        path.ancestors().skip(1).take(above + 1).try_for_each(|dir| self.sync_dir(dir))
    }

    /// Makes one directory in an existing one; one that is there already is fine.
    pub fn create_dir(&self, path: &Path) -> Result<()> {
        if let Kind::Simulated(process) = &self.kind {
            return process.create_dir(path);
        }
        match self.make_dir(path, false) {
            Err(e) if e.source.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn make_dir(&self, path: &Path, recursive: bool) -> Result<()> {
        self.alive("create", path)?;
        let made = DirBuilder::new().recursive(recursive).mode(0o700).create(path);
        made.map_err(|e| failed("create", path, e))
    }

    /// Removes a directory with all that it holds.
    pub fn remove_dir_all(&self, path: &Path) -> Result<()> {
        if let Kind::Simulated(process) = &self.kind {
            return process.remove_dir_all(path);
        }
        self.alive("remove", path)?;
        std::fs::remove_dir_all(path).map_err(|e| failed("remove", path, e))
    }

    /// Removes a file.
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        if let Kind::Simulated(process) = &self.kind {
            return process.remove_file(path);
        }
        self.alive("remove", path)?;
        crash::around("remove", path, || std::fs::remove_file(path)).map_err(|e| failed("remove", path, e))
    }

    /// The names in a directory, sorted. Names that are no UTF-8 come with replacement characters.
    pub fn list(&self, path: &Path) -> Result<Vec<String>> {
        if let Kind::Simulated(process) = &self.kind {
            return process.list(path);
        }
        let names = || -> io::Result<Vec<String>> {
            std::fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        let mut names = names().map_err(|e| failed("list", path, e))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Whether something is at `path`.
    pub fn exists(&self, path: &Path) -> Result<bool> {
        if let Kind::Simulated(process) = &self.kind {
            return process.exists(path);
        }
        path.try_exists().map_err(|e| failed("look at", path, e))
    }

    /// What tells one run of the operating system from the next: what was written but not synced
    /// outlives a process, not a boot. Where the system has no such id, each process has its own, so
    /// that nothing unsynced is trusted by another process.
    pub fn boot_id(&self) -> [u8; 16] {
        let faults = match &self.kind {
            Kind::Real(faults) => faults,
            Kind::Simulated(process) => return process.boot_id(),
        };
        static ID: OnceLock<[u8; 16]> = OnceLock::new();
        let mut id = *ID.get_or_init(|| {
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
            let boot = boot.and_then(|text| uuid::Uuid::parse_str(text.trim()).ok());
            boot.unwrap_or_else(uuid::Uuid::new_v4).into_bytes()
        });
        if let Some(faults) = faults {
            let reboots = faults.plan().reboots.to_le_bytes();
            id.iter_mut().zip(reboots).for_each(|(byte, more)| *byte ^= more);
        }
        id
    }

    /// A random name that nothing else has; on a simulated machine its seed gives it.
    pub fn random_id(&self) -> uuid::Uuid {
        match &self.kind {
            Kind::Real(_) => uuid::Uuid::new_v4(),
            Kind::Simulated(process) => uuid::Builder::from_random_bytes(process.random_id()).into_uuid(),
        }
    }

    fn alive(&self, doing: &'static str, path: &Path) -> Result<()> {
        match &self.kind {
            Kind::Real(Some(faults)) if faults.plan().dead => Err(failed(doing, path, broken())),
            _ => Ok(()),
        }
    }
}

/// An open file, read and written at positions.
#[derive(Debug)]
pub struct DiskFile {
    path: PathBuf,
    file: OpenFile,
}

#[derive(Debug)]
enum OpenFile {
    Real(File, Option<Faults>),
    Simulated(simulated::Handle),
}

impl DiskFile {
    /// Its path when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `into` from `position`; gives the number of bytes that there were (fewer only at the end).
    pub fn read_at(&self, into: &mut [u8], position: u64) -> Result<usize> {
        let file = match &self.file {
            OpenFile::Real(file, _) => file,
            OpenFile::Simulated(handle) => {
                return handle.read_at(into, position).map_err(|e| self.failed("read", e));
            }
        };
        let mut filled = 0;
        while filled < into.len() {
            match file.read_at(&mut into[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read", e)),
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `position`. After an error any part of them may be there.
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        let written = match &self.file {
            OpenFile::Real(file, None) => {
                crash::write(&self.path, bytes, |bytes| file.write_all_at(bytes, position))
            }
            OpenFile::Real(file, Some(faults)) => {
                let grows = (position + bytes.len() as u64).saturating_sub(self.len()?);
                let (keep, then) = faults.before_write(bytes.len(), grows);
                file.write_all_at(&bytes[..keep], position).and(then.map_or(Ok(()), Err))
            }
            OpenFile::Simulated(handle) => handle.write_all_at(bytes, position, &self.path),
        };
        written.map_err(|e| self.failed("write", e))
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length on disk is a position, not a collection's")]
    pub fn len(&self) -> Result<u64> {
        let len = match &self.file {
            OpenFile::Real(file, _) => file.metadata().map(|data| data.len()),
            OpenFile::Simulated(handle) => handle.len(),
        };
        len.map_err(|e| self.failed("look at", e))
    }

    /// Cuts it to `len` bytes, or lengthens it with zeros.
    pub fn truncate(&self, len: u64) -> Result<()> {
        let cut = match &self.file {
            OpenFile::Real(_, Some(faults)) if faults.plan().dead => Err(broken()),
            OpenFile::Real(file, _) => file.set_len(len),
            OpenFile::Simulated(handle) => handle.truncate(len, &self.path),
        };
        cut.map_err(|e| self.failed("cut", e))
    }

    /// Makes its content and length durable (fdatasync).
    pub fn sync_data(&self) -> Result<()> {
        let synced = match &self.file {
            OpenFile::Real(file, None) => crash::around("sync", &self.path, || file.sync_data()),
            OpenFile::Real(_, Some(faults)) => faults.sync(),
            OpenFile::Simulated(handle) => handle.sync_data(&self.path),
        };
        synced.map_err(|e| self.failed("sync", e))
    }

    /// Tells the system that nobody will read it soon: its cache need not hold what is on the disk of it, and begins to write
    /// what is not.
    fn let_go(&self) {
        #[cfg(target_os = "linux")]
        if let OpenFile::Real(file, _) = &self.file {
            // A hint, which a file system may not take.
            let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }

    /// Whether no name leads to it any more.
    pub fn is_unlinked(&self) -> Result<bool> {
        let unlinked = match &self.file {
            OpenFile::Real(file, _) => file.metadata().map(|data| data.nlink() == 0),
            OpenFile::Simulated(handle) => handle.is_unlinked(),
        };
        unlinked.map_err(|e| self.failed("look at", e))
    }

    /// Takes its lock, waiting for whoever holds it. The lock belongs to the open file, so the system
    /// gives it back when the owner dies; opening the file twice gives two rivals, in one process too.
    pub fn lock(self: &Arc<Self>) -> Result<DiskLock> {
        loop {
            let locked = match &self.file {
                OpenFile::Real(file, _) => file.lock(),
                OpenFile::Simulated(handle) => handle.lock(),
            };
            match locked {
                Ok(()) => return Ok(DiskLock(Arc::clone(self))),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("lock", e)),
            }
        }
    }

    /// Takes its lock if nobody holds it.
    pub fn try_lock(self: &Arc<Self>) -> Result<Option<DiskLock>> {
        let locked = match &self.file {
            OpenFile::Real(file, _) => match file.try_lock() {
                Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                Err(std::fs::TryLockError::Error(e)) => Err(e),
                Ok(()) => Ok(true),
            },
            OpenFile::Simulated(handle) => handle.try_lock(),
        };
        let locked = locked.map_err(|e| self.failed("lock", e))?;
        Ok(locked.then(|| DiskLock(Arc::clone(self))))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> DiskError {
        failed(doing, &self.path, source)
    }
}

/// A held file lock; dropping it gives it back.
#[derive(Debug)]
pub struct DiskLock(Arc<DiskFile>);

impl Drop for DiskLock {
    fn drop(&mut self) {
        // Unlocking a lock that we hold fails only on a closed file, and closing gives it back too.
        match &self.0.file {
            OpenFile::Real(file, _) => drop(file.unlock()),
            OpenFile::Simulated(handle) => handle.unlock(),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

/// As a device answers that may recover.
fn device_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> DiskError {
    DiskError { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_and_directories_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let below = dir.path().join("a/b");
        disk.create_dir_all(&below).unwrap();
        disk.create_dir(&below).unwrap();
        disk.write_atomically(&below.join("f"), b"one").unwrap();
        disk.write_atomically(&below.join("f"), b"two!").unwrap();
        assert_eq!(disk.read(&below.join("f")).unwrap(), b"two!");
        assert_eq!(disk.list(&below).unwrap(), ["f"]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&below), mode(&below.join("f"))), (0o700, 0o600));
    }

    #[test]
    fn a_lock_excludes_a_second_open_of_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || Arc::new(Disk::real().open(&path, Open::Create).unwrap());
        let (one, two) = (open(), open());
        let held = one.lock().unwrap();
        assert!(two.try_lock().unwrap().is_none());
        drop(held);
        assert!(two.try_lock().unwrap().is_some());
    }

    #[test]
    fn planned_faults_happen_once_and_leave_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::faulty();
        let file = disk.open(&dir.path().join("f"), Open::Create).unwrap();
        faults.fail_write(2);
        file.write_all_at(b"aaaa", 0).unwrap();
        assert!(file.write_all_at(b"bbbb", 4).is_err());
        file.write_all_at(b"cccc", 4).unwrap();

        faults.full_after(2);
        file.write_all_at(b"dddd", 0).unwrap();
        let full = file.write_all_at(b"eeee", 8).unwrap_err();
        assert_eq!(full.source.kind(), ErrorKind::StorageFull);
        assert!(full.to_string().ends_with("no space left on device: free some, then run again"), "{full}");
        assert_eq!(disk.read(file.path()).unwrap(), b"ddddccccee");

        faults.heal();
        faults.tear_write(1, 1);
        assert!(file.write_all_at(b"ffff", 0).is_err());
        assert!(file.truncate(0).is_err() && file.sync_data().is_err());
        faults.heal();
        assert_eq!(disk.read(file.path()).unwrap(), b"fdddccccee");

        faults.fail_sync(1);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        let before = disk.boot_id();
        faults.reboot();
        assert_ne!(before, disk.boot_id());
    }
}
