//! Being told of other processes' appends: each publishes in `tail`, and the system tells who watches that file.
//!
//! A log has one watcher, made when somebody first waits for rows. Where the system cannot watch (a limit is reached, a
//! file system that does not tell), whoever waits looks by himself now and then: nothing depends on being told.

use super::partition::guard;
use super::topic::Topic;
use crate::disk::Disk;
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

/// A log's watcher, shared by its topics.
#[derive(Debug, Clone)]
pub(super) struct Watched(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Disk,
    /// `None` = not made yet; `Some(None)` = there is none.
    watcher: Mutex<Option<Option<RecommendedWatcher>>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What is watched, and whom it concerns.
    paths: HashMap<PathBuf, Weak<Topic>>,
    /// Topics' folders in which all is watched that there is.
    whole: HashSet<PathBuf>,
}

impl Watched {
    pub(super) fn new(disk: Disk) -> Self {
        Watched(Arc::new(Shared { disk, watcher: Mutex::default(), seen: Arc::default() }))
    }

    /// Watches a topic's folder, in which partitions appear, and the tails that are there. Whether nothing was missed since
    /// it was asked last: not where something is watched only from now on, as who has looked before may have come too early.
    pub(super) fn topic(&self, topic: &Arc<Topic>) -> bool {
        let dir = topic.dir();
        if guard(&self.0.seen).whole.contains(dir) {
            return true;
        }
        let mut watcher = guard(&self.0.watcher);
        let watcher = watcher.get_or_insert_with(|| watcher_of(&self.0.disk, &self.0.seen));
        let Some(watcher) = watcher else { return false };
        // What appears from now on is told, and makes it look again.
        guard(&self.0.seen).whole.insert(dir.into());
        let mut whole = self.path(watcher, topic, dir.into());
        for partition in 0..topic.partitions() {
            let partition = dir.join(partition.to_string());
            if self.0.disk.exists(&partition).unwrap_or(false) {
                whole &= self.path(watcher, topic, partition.join("tail"));
            }
        }
        if !whole {
            guard(&self.0.seen).whole.remove(dir);
        }
        false
    }

    fn path(&self, watcher: &mut RecommendedWatcher, topic: &Arc<Topic>, path: PathBuf) -> bool {
        if guard(&self.0.seen).paths.contains_key(&path) {
            return true;
        }
        guard(&self.0.seen).paths.insert(path.clone(), Arc::downgrade(topic));
        let watched = watcher.watch(&path, RecursiveMode::NonRecursive).is_ok();
        if !watched {
            guard(&self.0.seen).paths.remove(&path);
        }
        watched
    }
}

/// A watcher that wakes the topics that are seen; a disk in memory has none.
fn watcher_of(disk: &Disk, seen: &Arc<Mutex<Seen>>) -> Option<RecommendedWatcher> {
    if !disk.is_shared() {
        return None;
    }
    let seen = Arc::downgrade(seen);
    let tell = move |event: notify::Result<Event>| {
        let Some(seen) = seen.upgrade() else { return };
        match event {
            Ok(event) => told(&seen, &event),
            // Something may have been missed.
            Err(_) => wake_all(&seen),
        }
    };
    RecommendedWatcher::new(tell, Config::default()).ok()
}

fn told(seen: &Mutex<Seen>, event: &Event) {
    if event.need_rescan() {
        return wake_all(seen);
    }
    let appears = matches!(event.kind, EventKind::Create(_));
    if !appears && !matches!(event.kind, EventKind::Modify(_) | EventKind::Remove(_)) {
        return;
    }
    let mut topics: Vec<Arc<Topic>> = Vec::new();
    {
        let mut seen = guard(seen);
        for path in &event.paths {
            let parent = path.parent().filter(|_| appears);
            let found = seen.paths.get(path).or_else(|| seen.paths.get(parent?)).and_then(Weak::upgrade);
            if let Some(topic) = found {
                if appears {
                    seen.whole.remove(topic.dir());
                }
                topics.push(topic);
            } else if matches!(event.kind, EventKind::Remove(_)) {
                seen.paths.remove(path);
            }
        }
    }
    topics.iter().for_each(|topic| topic.wake());
}

fn wake_all(seen: &Mutex<Seen>) {
    let topics: Vec<_> = guard(seen).paths.values().filter_map(Weak::upgrade).collect();
    topics.iter().for_each(|topic| topic.wake());
}
