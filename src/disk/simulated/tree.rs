//! The files and directories of a simulated disk. A directory, like a file, has what programs see, what
//! is on the disk for good, and changes between the two: names made, moved and removed.

use super::content::{Content, Survival};
use super::draw::Draw;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

type Names = BTreeMap<String, u64>;

/// All files and directories, by number in the order in which they were made.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

#[derive(Debug)]
enum Node {
    File(File),
    Directory(Directory),
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) content: Content,
    /// How many names it has.
    pub(super) names: usize,
    /// The open file that holds its lock.
    pub(super) locked: Option<u64>,
}

#[derive(Debug, Default)]
struct Directory {
    cached: Names,
    durable: Names,
    changes: Vec<Change>,
}

/// A change of a directory's names. It survives whole or not at all.
#[derive(Debug, Clone)]
enum Change {
    Link { name: String, node: u64 },
    Unlink { name: String, node: u64 },
    Rename { from: String, to: String, node: u64 },
}

impl Change {
    fn apply(&self, names: &mut Names) {
        let mut remove = |name: &String, node: &u64| {
            if names.get(name) == Some(node) {
                names.remove(name);
            }
        };
        match self {
            Change::Link { name, node } => {
                names.insert(name.clone(), *node);
            }
            Change::Unlink { name, node } => remove(name, node),
            Change::Rename { from, to, node } => {
                remove(from, node);
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn cut_power(&mut self, draw: &mut Draw) {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            let survival = Survival::draw(draw);
            let moment = draw.below(changes.len() + 1);
            for (i, change) in changes.iter().enumerate() {
                if match survival {
                    Survival::All => true,
                    Survival::Nothing => false,
                    Survival::Moment => i < moment,
                    Survival::Any => draw.chance(50),
                } {
                    change.apply(&mut self.durable);
                }
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

const ROOT: u64 = 0;

impl Tree {
    pub(super) fn new() -> Self {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]), next: ROOT + 1 }
    }

    /// The file of that number; an open one is there until the power goes.
    pub(super) fn file(&mut self, node: u64) -> io::Result<&mut File> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn directory(&self, node: u64) -> io::Result<&Directory> {
        match self.nodes.get(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, directory: u64, change: Change) {
        if let Some(Node::Directory(directory)) = self.nodes.get_mut(&directory) {
            directory.change(change);
        }
    }

    /// What is at `path`.
    fn find(&self, path: &Path) -> io::Result<u64> {
        let mut node = ROOT;
        for part in path.components() {
            if let Component::Normal(name) = part {
                let names = &self.directory(node)?.cached;
                node = *names.get(&*name.to_string_lossy()).ok_or(ErrorKind::NotFound)?;
            }
        }
        Ok(node)
    }

    /// The directory above `path`, and the name in it.
    fn above(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        Ok((self.find(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    fn make(&mut self, directory: u64, name: String, node: Node) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change(directory, Change::Link { name, node: number });
        number
    }

    /// Whether [`open`](Self::open) would make a file.
    pub(super) fn lacks(&self, path: &Path) -> bool {
        self.find(path).is_err()
    }

    /// The file at `path`, made if it is absent and to be made.
    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<u64> {
        match self.find(path) {
            Ok(node) => match self.nodes.get(&node) {
                Some(Node::File(_)) => Ok(node),
                _ => Err(ErrorKind::IsADirectory.into()),
            },
            Err(e) if create && e.kind() == ErrorKind::NotFound => {
                let (directory, name) = self.above(path)?;
                self.directory(directory)?;
                Ok(self.make(directory, name, Node::File(File { names: 1, ..File::default() })))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.find(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            found => found.map(|_| true),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Ok(self.directory(self.find(path)?)?.cached.keys().cloned().collect())
    }

    /// Makes a directory; whether it was not there.
    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<bool> {
        if let Ok(node) = self.find(path) {
            return self.directory(node).map(|_| false).map_err(|_| ErrorKind::AlreadyExists.into());
        }
        let (directory, name) = self.above(path)?;
        self.directory(directory)?;
        self.make(directory, name, Node::Directory(Directory::default()));
        Ok(true)
    }

    /// Renames within a directory. A file that has the name is no more.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((directory, from), (other, to)) = (self.above(from)?, self.above(to)?);
        if directory != other {
            return Err(io::Error::new(ErrorKind::CrossesDevices, "another directory"));
        }
        let names = &self.directory(directory)?.cached;
        let node = *names.get(&from).ok_or(ErrorKind::NotFound)?;
        let replaced = names.get(&to).copied().filter(|&replaced| replaced != node);
        match replaced.and_then(|replaced| self.nodes.get_mut(&replaced)) {
            Some(Node::Directory(_)) => return Err(ErrorKind::DirectoryNotEmpty.into()),
            Some(Node::File(file)) => file.names -= 1,
            None => {}
        }
        self.change(directory, Change::Rename { from, to, node });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.above(path)?;
        let node = *self.directory(directory)?.cached.get(&name).ok_or(ErrorKind::NotFound)?;
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file.names -= 1,
            _ => return Err(ErrorKind::IsADirectory.into()),
        }
        self.change(directory, Change::Unlink { name, node });
        Ok(())
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.above(path)?;
        let node = *self.directory(directory)?.cached.get(&name).ok_or(ErrorKind::NotFound)?;
        if !self.directory(node)?.cached.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(directory, Change::Unlink { name, node });
        Ok(())
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.find(path).and_then(|node| self.directory(node)).is_ok()
    }

    /// Makes a directory's names durable.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.directory(node)?;
        if let Some(Node::Directory(directory)) = self.nodes.get_mut(&node) {
            directory.sync();
        }
        Ok(())
    }

    /// Gives back the locks of the open files for which `dead` says so.
    pub(super) fn unlock(&mut self, dead: impl Fn(u64) -> bool) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.locked = file.locked.filter(|&handle| !dead(handle));
            }
        }
    }

    /// The power goes: what is on the disk is all there is, and what has no name there is gone.
    pub(super) fn cut_power(&mut self, draw: &mut Draw) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => {
                    file.content.cut_power(draw);
                    (file.names, file.locked) = (0, None);
                }
                Node::Directory(directory) => directory.cut_power(draw),
            }
        }
        let mut reached = BTreeSet::from([ROOT]);
        let mut ahead = vec![ROOT];
        while let Some(at) = ahead.pop() {
            let names: Vec<u64> =
                self.directory(at).map(|d| d.cached.values().copied().collect()).unwrap_or_default();
            for node in names {
                match self.nodes.get_mut(&node) {
                    Some(Node::File(file)) => file.names += 1,
                    Some(Node::Directory(_)) if !reached.contains(&node) => ahead.push(node),
                    _ => {}
                }
                reached.insert(node);
            }
        }
        self.nodes.retain(|node, _| reached.contains(node));
    }
}
