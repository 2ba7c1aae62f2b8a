//! The definitions on disk: `catalog/catalog.json` in the data directory, replaced whole by a rename.
//!
//! Several processes may change it: each change is made under a lock on `catalog/lock`, on what is there then.

use super::{Definitions, StreamDef, ViewDef};
use crate::disk::{Disk, DiskError, Open};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the file's layout.
const VERSION: u32 = 1;

/// What can go wrong with the catalog's file.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Reading or writing failed.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The file is not what this program wrote.
    #[error("the catalog {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The file is of a later version.
    #[error(
        "the catalog {path} was written by a newer millstream (layout {version}, this one knows {VERSION})"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its layout version.
        version: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    streams: Vec<StreamDef>,
    views: Vec<ViewDef>,
}

/// The catalog's place on disk.
#[derive(Debug, Clone)]
pub struct CatalogStore {
    disk: Disk,
    dir: PathBuf,
}

impl CatalogStore {
    /// The catalog in the data directory `dir`; its folder is made.
    pub fn open(disk: Disk, dir: &Path) -> Result<Self, CatalogError> {
        let dir = dir.join("catalog");
        disk.create_dir_durably(&dir, 0)?;
        Ok(CatalogStore { disk, dir })
    }

    /// What is defined now.
    pub fn load(&self) -> Result<Definitions, CatalogError> {
        let path = self.dir.join("catalog.json");
        if !self.disk.exists(&path)? {
            return Ok(Definitions::default());
        }
        let bytes = self.disk.read(&path)?;
        let shown = || path.display().to_string();
        let damaged = |e: serde_json::Error| CatalogError::Damaged { path: shown(), reason: e.to_string() };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let version = serde_json::from_slice::<Versioned>(&bytes).map_err(damaged)?.version;
        if version > VERSION {
            return Err(CatalogError::Newer { path: shown(), version });
        }
        let file: File = serde_json::from_slice(&bytes).map_err(damaged)?;
        Ok(Definitions {
            streams: file.streams.into_iter().map(|s| (s.name.clone(), Arc::new(s))).collect(),
            views: file.views.into_iter().map(|v| (v.name.clone(), Arc::new(v))).collect(),
        })
    }

    /// Changes the definitions: no other process changes them meanwhile.
    pub fn change<T>(&self, change: impl FnOnce(&mut Definitions) -> T) -> Result<T, CatalogError> {
        let lock = Arc::new(self.disk.open(&self.dir.join("lock"), Open::Create)?);
        let _held = lock.lock()?;
        let mut definitions = self.load()?;
        let result = change(&mut definitions);
        let file = File {
            version: VERSION,
            streams: definitions.streams.values().map(|s| s.as_ref().clone()).collect(),
            views: definitions.views.values().map(|v| v.as_ref().clone()).collect(),
        };
        let path = self.dir.join("catalog.json");
        let bytes = serde_json::to_vec_pretty(&file)
            .map_err(|e| CatalogError::Damaged { path: path.display().to_string(), reason: e.to_string() })?;
        // A file of statements that is run again changes nothing, and then a full disk is no matter.
        let unchanged = self.disk.exists(&path)? && self.disk.read(&path)? == bytes;
        if !unchanged {
            self.disk.write_atomically(&path, &bytes)?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_from_before_there_were_tables_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(Disk::real(), dir.path()).unwrap();
        let old = r#"{"version": 1, "views": [], "streams": [{"name": "s", "columns":
            [{"name": "a", "type": "Int64", "nullable": true}], "event_time": null, "connector": "topic",
            "options": [], "query": null}]}"#;
        std::fs::write(dir.path().join("catalog/catalog.json"), old).unwrap();
        let mut stream = store.load().unwrap().streams["s"].as_ref().clone();
        assert!(!stream.is_table());
        assert!(!serde_json::to_string(&stream).unwrap().contains("primary_key"), "streams look as before");
        for key in [vec!["a".to_string()], vec![]] {
            stream.primary_key = Some(key);
            let table = stream.clone();
            store.change(|d| d.streams.insert("s".into(), Arc::new(table))).unwrap();
            assert_eq!(*store.load().unwrap().streams["s"], stream);
        }
        let topic = stream.topic_schema();
        assert_eq!((topic.fields().len(), topic.field(1).name().as_str()), (2, "_deleted"));
    }

    #[test]
    fn definitions_survive_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(Disk::real(), dir.path()).unwrap();
        assert_eq!(store.load().unwrap(), Definitions::default());
        let view = ViewDef { name: "v".into(), query: "SELECT 1".into() };
        store.change(|d| d.views.insert("v".into(), Arc::new(view.clone()))).unwrap();
        assert_eq!(*store.load().unwrap().views["v"], view);
        let path = dir.path().join("catalog/catalog.json");
        let text = std::fs::read_to_string(&path).unwrap();
        for cut in 0..text.len() - 1 {
            std::fs::write(&path, &text[..cut]).unwrap();
            assert!(store.load().is_err(), "cut at {cut}");
        }
        std::fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert!(store.load().unwrap_err().to_string().contains("newer"));
    }
}
