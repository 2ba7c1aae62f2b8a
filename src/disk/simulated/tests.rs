//! Tests of the simulation: what was synced always survives, what was not may or may not, and both do occur.

use super::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs `before` on many machines, cuts their power, and gives what `after` saw, with how often.
fn outcomes<T: Ord>(before: impl Fn(&Disk, &Simulation), after: impl Fn(&Disk) -> T) -> BTreeMap<T, usize> {
    let mut seen = BTreeMap::new();
    for seed in 0..400 {
        let (disk, machine) = Disk::simulated(seed);
        before(&disk, &machine);
        machine.cut_power();
        *seen.entry(after(&machine.process())).or_default() += 1;
    }
    seen
}

fn create(disk: &Disk, path: &str, bytes: &[u8]) -> DiskFile {
    let file = disk.open(Path::new(path), Open::Create).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn content(disk: &Disk, path: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(path)).ok()
}

fn root() -> &'static Path {
    Path::new("/")
}

#[test]
fn it_does_what_a_disk_does() {
    let (disk, machine) = Disk::simulated(1);
    let below = PathBuf::from("/a/b");
    disk.create_dir_all(&below).unwrap();
    disk.create_dir(&below).unwrap();
    disk.write_atomically(&below.join("f"), b"one").unwrap();
    disk.write_atomically(&below.join("f"), b"two!").unwrap();
    assert_eq!(disk.read(&below.join("f")).unwrap(), b"two!");
    assert_eq!(disk.list(&below).unwrap(), ["f"]);
    assert!(disk.open(&below.join("g"), Open::Write).unwrap_err().is_not_found());
    let error = disk.read(&below.join("f/g")).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.create_dir(&below.join("f")).unwrap_err().source.kind(), ErrorKind::AlreadyExists);

    let file = Arc::new(disk.open(&below.join("f"), Open::Write).unwrap());
    let rival = Arc::new(machine.process().open(&below.join("f"), Open::Read).unwrap());
    let held = file.lock().unwrap();
    assert!(rival.try_lock().unwrap().is_none());
    drop(held);
    let held = rival.try_lock().unwrap().unwrap();
    assert!(file.try_lock().unwrap().is_none());
    drop(held);
    assert!(rival.write_all_at(b"x", 0).is_err(), "opened for reading");

    file.write_all_at(b"end", 6).unwrap();
    file.truncate(8).unwrap();
    let mut bytes = [9; 20];
    assert_eq!(file.read_at(&mut bytes, 2).unwrap(), 6);
    assert_eq!(&bytes[..7], b"o!\0\0en\x09");
    disk.rename(&below, Path::new("/a/c")).unwrap();
    assert_eq!(disk.list(Path::new("/a")).unwrap(), ["c"]);
    assert!(!file.is_unlinked().unwrap());
    disk.remove_dir_all(Path::new("/a")).unwrap();
    assert!(file.is_unlinked().unwrap() && !disk.exists(Path::new("/a")).unwrap());
    assert_eq!(file.len().unwrap(), 8, "who has it open still reads it");
    assert_ne!(disk.random_id(), disk.random_id());
}

#[test]
fn what_is_synced_survives_and_a_name_needs_its_directory_synced() {
    let synced = |disk: &Disk, _: &Simulation| {
        let file = create(disk, "/f", &[1; 2000]);
        file.sync_data().unwrap();
        file.write_all_at(&[2; 100], 1990).unwrap();
        file.truncate(50).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(root()).unwrap();
    };
    assert_eq!(outcomes(synced, |disk| content(disk, "/f")), BTreeMap::from([(Some(vec![1; 50]), 400)]));

    let nameless = |disk: &Disk, _: &Simulation| create(disk, "/f", &[1; 9]).sync_data().unwrap();
    let seen = outcomes(nameless, |disk| content(disk, "/f"));
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [None, Some(vec![1; 9])]);

    let without_content = |disk: &Disk, _: &Simulation| {
        create(disk, "/f", &[1; 9]);
        disk.sync_dir(root()).unwrap();
    };
    let seen = outcomes(without_content, |disk| content(disk, "/f").unwrap());
    assert!(seen.contains_key(&vec![]) && seen.contains_key(&vec![1; 9]) && seen.contains_key(&vec![0; 9]));

    // A directory's own names are of no use without a way to it.
    let lost = |disk: &Disk, _: &Simulation| {
        disk.create_dir(Path::new("/d")).unwrap();
        create(disk, "/d/f", b"x").sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
    };
    let seen = outcomes(lost, |disk| content(disk, "/d/f").is_some());
    assert!(seen[&true] > 50 && seen[&false] > 50, "{seen:?}");
}

#[test]
fn unsynced_writes_survive_in_any_part_by_sectors() {
    let three = |disk: &Disk, _: &Simulation| {
        let file = create(disk, "/f", &[1; 1024]);
        file.sync_data().unwrap();
        disk.sync_dir(root()).unwrap();
        file.write_all_at(&[2; 1024], 0).unwrap();
        file.write_all_at(&[3; 512], 256).unwrap();
    };
    let sectors = |disk: &Disk| {
        let bytes = content(disk, "/f").unwrap();
        assert_eq!(bytes.len(), 1024);
        for half in [&bytes[..256], &bytes[256..512], &bytes[512..768], &bytes[768..]] {
            assert!(half.iter().all(|byte| *byte == half[0]), "no more than sectors tear");
        }
        (bytes[0], bytes[256], bytes[512], bytes[768])
    };
    let seen = outcomes(three, sectors);
    let all: Vec<_> = [(1, 1), (2, 2), (2, 3)]
        .into_iter()
        .flat_map(|(a, b)| [(1, 1), (2, 2), (3, 2)].map(|(c, d)| (a, b, c, d)))
        .collect();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), all, "{seen:?}");
}

#[test]
fn unsynced_growth_and_cuts_may_leave_lengths_zeros_and_old_bytes() {
    let cut_and_grow = |disk: &Disk, _: &Simulation| {
        let file = create(disk, "/f", &[1; 600]);
        file.sync_data().unwrap();
        disk.sync_dir(root()).unwrap();
        file.truncate(100).unwrap();
        file.write_all_at(&[2; 1100], 100).unwrap();
    };
    let seen = outcomes(cut_and_grow, |disk| {
        let bytes = content(disk, "/f").unwrap();
        let at = |at: usize| bytes.get(at).copied();
        assert_eq!(bytes[0], 1, "what was synced and not changed");
        (bytes.len(), at(599), at(1100))
    });
    assert_eq!(seen.keys().map(|k| k.0).collect::<BTreeSet<_>>(), BTreeSet::from([100, 600, 1200]));
    assert!(seen.contains_key(&(1200, Some(1), Some(2))), "old bytes came back: {seen:?}");
    assert!(seen.contains_key(&(1200, Some(2), Some(0))), "zeros at the end: {seen:?}");
    assert!(seen.keys().any(|k| k.2.is_some_and(|byte| byte > 2)), "garbage: {seen:?}");
}

#[test]
fn names_survive_each_by_itself_and_a_rename_has_one_of_both() {
    let names = |disk: &Disk, _: &Simulation| {
        create(disk, "/old", b"old").sync_data().unwrap();
        disk.sync_dir(root()).unwrap();
        create(disk, "/new", b"new").sync_data().unwrap();
        create(disk, "/other", b"other").sync_data().unwrap();
        disk.rename(Path::new("/new"), Path::new("/old")).unwrap();
    };
    let seen = outcomes(names, |disk| {
        let old = content(disk, "/old").unwrap();
        assert!(old == b"old" || old == b"new");
        (old == b"new", disk.exists(Path::new("/new")).unwrap(), disk.exists(Path::new("/other")).unwrap())
    });
    assert!(!seen.keys().any(|k| k.0 && k.1), "renamed, so the other name is gone");
    assert_eq!(seen.len(), 6, "{seen:?}");

    let removed = |disk: &Disk, _: &Simulation| {
        create(disk, "/f", b"f").sync_data().unwrap();
        disk.sync_dir(root()).unwrap();
        disk.remove_file(Path::new("/f")).unwrap();
    };
    assert_eq!(outcomes(removed, |disk| content(disk, "/f").is_some()).len(), 2);
    let durably = |disk: &Disk, machine: &Simulation| {
        removed(disk, machine);
        disk.sync_dir(root()).unwrap();
    };
    assert_eq!(outcomes(durably, |disk| disk.list(root()).unwrap().len()), BTreeMap::from([(0, 400)]));
    let atomically = |disk: &Disk, _: &Simulation| {
        disk.write_atomically(Path::new("/f"), b"one").unwrap();
        disk.write_atomically(Path::new("/f"), b"two").unwrap();
    };
    assert_eq!(
        outcomes(atomically, |disk| content(disk, "/f")),
        BTreeMap::from([(Some(b"two".into()), 400)])
    );
}

#[test]
fn a_killed_process_leaves_the_cache_whole_and_its_locks_free() {
    let (disk, machine) = Disk::simulated(3);
    let other = machine.process();
    let file = Arc::new(create(&disk, "/f", b"abc"));
    let _held = file.lock().unwrap();
    let boot = disk.boot_id();
    machine.kill(&disk);
    assert!(!machine.is_alive(&disk) && machine.is_alive(&other));
    assert!(file.write_all_at(b"x", 0).is_err() && file.len().is_err() && file.lock().is_err());
    assert!(disk.list(root()).is_err() && disk.open(Path::new("/f"), Open::Read).is_err());
    let again = Arc::new(other.open(Path::new("/f"), Open::Write).unwrap());
    assert!(again.try_lock().unwrap().is_some());
    assert_eq!((content(&other, "/f").unwrap(), other.boot_id()), (b"abc".to_vec(), boot));
    machine.cut_power();
    assert!(!machine.is_alive(&other));
    assert_ne!(machine.process().boot_id(), boot);
}

#[test]
fn planned_events_happen_in_the_middle_of_the_operation_they_name() {
    let (disk, machine) = Disk::simulated(4);
    let file = create(&disk, "/f", b"");
    machine.plan(Moment::Write, 2, Event::Fail);
    file.write_all_at(b"aaaa", 0).unwrap();
    assert!(file.write_all_at(b"bbbb", 4).is_err());
    file.write_all_at(b"cccc", 4).unwrap();
    machine.full_after(2);
    file.write_all_at(b"dddd", 0).unwrap();
    assert_eq!(file.write_all_at(b"eeee", 8).unwrap_err().source.kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "/f").unwrap(), b"ddddccccee");
    machine.heal();
    machine.plan(Moment::Name, 1, Event::Fail);
    assert!(disk.rename(Path::new("/f"), Path::new("/g")).is_err() && disk.exists(Path::new("/f")).unwrap());
    machine.plan(Moment::Sync, 2, Event::Kill);
    disk.sync_dir(root()).unwrap();
    assert!(file.sync_data().is_err() && !machine.is_alive(&disk));
    let disk = machine.process();
    machine.plan(Moment::Change, 1, Event::CutPower);
    assert!(disk.remove_file(Path::new("/f")).is_err());
    assert_eq!(machine.boots(), 1);
    let write = (Moment::Write, Event::Fail);
    let (sync, name) = ((Moment::Sync, Event::Kill), (Moment::Name, Event::CutPower));
    assert_eq!(machine.happened(), [write, write, (Moment::Name, Event::Fail), sync, name]);
    assert_eq!(machine.happened(), []);
}

#[test]
fn after_a_failed_sync_the_next_one_may_lie() {
    let seen = outcomes(
        |disk, machine| {
            let file = create(disk, "/f", &[1; 512]);
            file.sync_data().unwrap();
            disk.sync_dir(root()).unwrap();
            file.write_all_at(&[2; 512], 0).unwrap();
            machine.plan(Moment::Sync, 1, Event::Fail);
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
        },
        |disk| content(disk, "/f").unwrap()[0],
    );
    assert!(seen[&1] > 20 && seen[&2] > 20, "{seen:?}");
    let seen = outcomes(
        |disk, machine| {
            let file = create(disk, "/f", &[1; 512]);
            disk.sync_dir(root()).unwrap();
            machine.plan(Moment::Sync, 1, Event::Fail);
            assert!(file.sync_data().is_err());
            // Part of a sector written again writes out all of it, as the cache has it.
            let kept = content(disk, "/f").unwrap() == [1; 512];
            file.write_all_at(&[7], 0).unwrap();
            file.sync_data().unwrap();
            file.truncate(if kept { 512 } else { 1 }).unwrap();
            file.sync_data().unwrap();
        },
        |disk| content(disk, "/f").unwrap(),
    );
    let kept = [&[7][..], &[1; 511]].concat();
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [vec![7], kept], "{seen:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = || {
        let (disk, machine) = Disk::simulated(5);
        machine.record();
        let mut seen = Vec::new();
        for i in 0..40u64 {
            let disk = if i % 5 == 4 { machine.process() } else { disk.clone() };
            machine.plan(Moment::Change, 3, if i % 3 == 0 { Event::Fail } else { Event::CutPower });
            let written = disk.write_atomically(Path::new("/f"), &i.to_le_bytes());
            seen.push((written.is_ok(), content(&machine.process(), "/f"), disk.random_id()));
        }
        (seen, machine.trace())
    };
    let (seen, trace) = run();
    assert!(trace.iter().any(|line| line.contains("sync /f.tmp")), "{trace:?}");
    assert_eq!((seen, trace), run());
}
