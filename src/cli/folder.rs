//! A directory for the time that a command runs.

use std::io;
use std::path::PathBuf;

/// A directory that is removed when this goes.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Makes one in the system's temporary directory.
    pub(super) fn make(what: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("millstream-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays in the system's temporary directory is removed some day.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
