//! A file that is written piece by piece beside its place, and takes it when it is whole.

use super::{Disk, DiskFile, Open, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// The file. Until [`Beside::commit`] the place holds what it held before.
#[derive(Debug)]
pub struct Beside {
    disk: Disk,
    file: DiskFile,
    beside: PathBuf,
    place: PathBuf,
    written: u64,
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
        Ok(Beside { disk, file, beside, place, written: 0, crc: 0, buffer })
    }

    fn put(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it durable and puts it into its place; gives the CRC32C of its bytes.
    pub fn commit(mut self) -> Result<u32> {
        self.put()?;
        self.file.sync_data()?;
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
