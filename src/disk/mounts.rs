//! Which kind of file system a path lies on: one that other machines write too keeps no promise about locks and about what
//! is seen when, so that a log there can be damaged. (SQLite and LMDB warn of the same.)

use std::path::{Path, PathBuf};

/// Kinds of file systems that lie on other machines, as Linux calls them.
const NETWORK: &[&str] = &[
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];
/// Those that are made with FUSE.
const NETWORK_FUSE: &[&str] =
    &["gcsfuse", "glusterfs", "rclone", "s3fs", "sshfs", "davfs", "davfs2", "goofys", "mount-s3", "juicefs"];

/// The kind of network file system on which `path`, or what is there of the way to it, lies; `None` = it lies on none, or
/// the system does not say.
pub(super) fn network(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let path = std::path::absolute(path).ok()?;
    // Links are followed as far as the way exists.
    let real = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    })?;
    network_in(&mounts, &real)
}

fn network_in(mounts: &str, path: &Path) -> Option<String> {
    let mut found: Option<(PathBuf, &str)> = None;
    for line in mounts.lines() {
        let (before, after) = line.split_once(" - ")?;
        let at = PathBuf::from(unescaped(before.split(' ').nth(4)?));
        let kind = after.split(' ').next()?;
        // Of two at one place the later one hides the other.
        let nearer =
            found.as_ref().is_none_or(|(other, _)| other.components().count() <= at.components().count());
        if path.starts_with(&at) && nearer {
            found = Some((at, kind));
        }
    }
    let (_, kind) = found?;
    let network = match kind.strip_prefix("fuse.") {
        Some(by) => NETWORK_FUSE.contains(&by),
        None => NETWORK.contains(&kind),
    };
    network.then(|| kind.to_string())
}

/// A path as mountinfo writes it: blanks and the like as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
23 21 0:30 / /mnt/share rw,relatime shared:9 master:1 - nfs4 server:/export rw,vers=4.2
24 23 8:2 / /mnt/share/local rw - xfs /dev/sdb rw
25 21 0:31 / /mnt/a\\040b rw - fuse.sshfs me@there: rw
26 21 0:32 / /mnt/own rw - fuse.ntfs /dev/sdc rw
27 21 0:33 / /mnt/twice rw - ext4 /dev/sdd rw
28 21 0:34 / /mnt/twice rw - cifs //server/share rw
";

    #[test]
    fn the_nearest_mount_says_where_a_path_lies() {
        let of = |path: &str| network_in(MOUNTS, Path::new(path));
        assert_eq!(of("/home/me/.millstream"), None);
        assert_eq!(of("/mnt/share/data").as_deref(), Some("nfs4"));
        assert_eq!(of("/mnt/shared/data"), None);
        assert_eq!(of("/mnt/share/local/data"), None);
        assert_eq!(of("/mnt/a b/data").as_deref(), Some("fuse.sshfs"));
        assert_eq!(of("/mnt/own/data"), None);
        assert_eq!(of("/mnt/twice").as_deref(), Some("cifs"));
    }

    #[test]
    fn a_directory_of_this_machine_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(network(&dir.path().join("not/there/yet")), None);
    }
}
