//! A file that is written piece by piece beside its place, and takes it when it is whole.

use super::{Disk, DiskFile, Open, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;
/// Bytes after which the system is told that what has been written is not needed soon: whoever writes gigabytes would else
/// push out of the system's cache what is read again and again, such as the log's ends.
const LET_GO: u64 = 8 << 20;

/// The file. Until [`Beside::commit`] the place holds what it held before.
#[derive(Debug)]
pub struct Beside {
    disk: Disk,
    file: DiskFile,
    beside: PathBuf,
    place: PathBuf,
    written: u64,
    /// Of these, those that the system has been told to let go.
    let_go: u64,
    crc: u32,
    buffer: Vec<u8>,
}

impl Beside {
    /// Begins. Only one process at a time may do this for one place.
    pub(super) fn begin(disk: &Disk, place: &Path) -> Result<Self> {
        let mut beside = place.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let file = disk.open(&beside, Open::Create)?;
        file.truncate(0)?;
        let (disk, place, buffer) = (disk.clone(), place.to_owned(), Vec::with_capacity(BUFFER));
        Ok(Beside { disk, file, beside, place, written: 0, let_go: 0, crc: 0, buffer })
    }

    fn put(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.let_go >= LET_GO {
            // What it has not written by now it begins to write, and lets go when it is told so again.
            self.file.let_go();
            self.let_go = self.written;
        }
        Ok(())
    }

    /// Makes it durable and puts it into its place; gives the CRC32C of its bytes.
    pub fn commit(mut self) -> Result<u32> {
        self.put()?;
        self.file.sync_data()?;
        if self.let_go > 0 {
            self.file.let_go();
        }
        self.disk.rename(&self.beside, &self.place)?;
        self.disk.sync_dir(self.place.parent().unwrap_or(Path::new(".")))?;
        Ok(self.crc)
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER && !self.buffer.is_empty() {
            self.put().map_err(|e| e.source)?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Nothing needs to be there before it is whole.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_piece_by_piece_and_let_go_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, place) = (Disk::real(), dir.path().join("f"));
        let bytes: Vec<u8> = (0..3 * LET_GO + 12_345).map(|i| ((i * i) >> 7) as u8).collect();
        let mut beside = disk.begin_atomically(&place).unwrap();
        bytes.chunks(100_000).for_each(|piece| beside.write_all(piece).unwrap());
        assert!(beside.let_go > 2 * LET_GO && !place.exists());
        assert_eq!(beside.commit().unwrap(), crc32c::crc32c(&bytes));
        assert!(disk.read(&place).unwrap() == bytes);
        assert_eq!(disk.list(dir.path()).unwrap(), ["f"]);
    }
}
