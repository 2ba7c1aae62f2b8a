//! The store beside a map, its size, and a disk that fails.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

fn store(dir: &tempfile::TempDir) -> Cold {
    on(Disk::real(), dir)
}

fn on(disk: Disk, dir: &tempfile::TempDir) -> Cold {
    Cold::new(&SpillTo { budget: MemoryBudget::new(0), disk, dir: dir.path().into() })
}

/// Few different hashes, so that some are equal by chance.
fn hash(key: u16) -> u64 {
    xxh3_64(&(key / 2).to_le_bytes())
}

type Model = BTreeMap<u16, (i64, Vec<u8>)>;

fn put(cold: &mut Cold, model: &mut Model, new: &Model) {
    let keys: Vec<([u8; 2], u16)> = new.keys().map(|key| (key.to_le_bytes(), *key)).collect();
    let mut records: Vec<Record> = (keys.iter().zip(new.values()))
        .map(|((bytes, key), (due, value))| Record { hash: hash(*key), due: *due, key: bytes, value })
        .collect();
    cold.put(&mut records).unwrap();
    model.extend(new.clone());
}

fn taken(into: &mut Model) -> impl FnMut(Record) -> Result<()> + '_ {
    |record| {
        let key = u16::from_le_bytes(record.key.try_into().unwrap());
        assert_eq!(record.hash, hash(key));
        assert!(into.insert(key, (record.due, record.value.to_vec())).is_none(), "{key} comes twice");
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Act {
    Put(u16, u16, i64),
    Take(Vec<u16>),
    Due(i64),
    Look(Vec<u16>),
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let keys = || proptest::collection::vec(0..3000u16, 0..400);
    prop_oneof![
        4 => (0..3000u16, 1..600u16, 0..40i64).prop_map(|(from, count, due)| Act::Put(from, count, due)),
        4 => keys().prop_map(Act::Take),
        1 => (0..40i64).prop_map(Act::Due),
        1 => keys().prop_map(Act::Look),
        1 => Just(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_key_is_given_once_as_it_was_put(acts in proptest::collection::vec(act(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut cold, mut model) = (store(&dir), Model::new());
        for (n, act) in acts.into_iter().enumerate() {
            match act {
                Act::Put(from, count, due) => {
                    // A key is in one place: those that are here are not put again.
                    let new = (from..from.saturating_add(count)).filter(|key| !model.contains_key(key)).map(|key| {
                        let due = if key % 3 == 0 { NEVER } else { due + i64::from(key % 5) };
                        (key, (due, vec![n as u8; usize::from(key % 97)]))
                    });
                    let new: Model = new.collect();
                    put(&mut cold, &mut model, &new);
                }
                Act::Take(keys) => {
                    let mut hashes: Vec<u64> = keys.iter().map(|key| hash(*key)).collect();
                    hashes.sort_unstable();
                    hashes.dedup();
                    let mut found = Model::new();
                    cold.take(&mut hashes, taken(&mut found)).unwrap();
                    let wanted: Model = model.extract_if(.., |key, _| hashes.contains(&hash(*key))).collect();
                    prop_assert_eq!(found, wanted);
                }
                Act::Due(time) => {
                    let mut found = Model::new();
                    cold.take_due(time, taken(&mut found)).unwrap();
                    let wanted: Model = model.extract_if(.., |_, (due, _)| *due <= time).collect();
                    prop_assert_eq!(found, wanted);
                }
                Act::Look(keys) => {
                    let mut hashes: Vec<u64> = keys.iter().map(|key| hash(*key)).collect();
                    hashes.sort_unstable();
                    hashes.dedup();
                    let mut found = Model::new();
                    cold.look_at(&mut hashes, taken(&mut found)).unwrap();
                    let wanted = model.iter().filter(|(key, _)| hashes.contains(&hash(**key)));
                    prop_assert_eq!(found, wanted.map(|(k, v)| (*k, v.clone())).collect::<Model>());
                }
                Act::Wait => cold.end_merge(true).unwrap(),
            }
            prop_assert_eq!(cold.records(), model.len());
            prop_assert_eq!(cold.is_empty(), model.is_empty());
            prop_assert!(cold.due() <= model.values().map(|(due, _)| *due).min().unwrap_or(NEVER));
        }
        // A merge that has just begun is about to take its file's name away.
        cold.end_merge(true).unwrap();
        let mut found = Model::new();
        cold.all(taken(&mut found)).unwrap();
        prop_assert_eq!(found, model);
        prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the files have no names");
    }
}

#[test]
fn runs_stay_few_and_what_was_taken_goes_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (mut cold, mut model) = (store(&dir), Model::new());
    for round in 0..200u16 {
        let new: Model = (0..300).map(|key| (round * 300 + key, (NEVER, vec![7; 100]))).collect();
        put(&mut cold, &mut model, &new);
        assert!(cold.runs.len() <= MANY_RUNS + 1, "{} runs", cold.runs.len());
        if round % 2 == 1 {
            let mut hashes: Vec<u64> = new.keys().map(|key| hash(*key)).collect();
            hashes.dedup();
            cold.take(&mut hashes, |_| Ok(())).unwrap();
        }
    }
    cold.end_merge(true).unwrap();
    assert_eq!(cold.records(), 30_000);
    assert!(cold.bytes() < 3 * 30_000 * 126, "{} bytes", cold.bytes());
}

#[test]
fn a_failed_write_leaves_all_as_it_was_and_a_changed_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::faulty();
    let mut cold = on(disk, &dir);
    let mut model = Model::new();
    put(&mut cold, &mut model, &(0..100).map(|key| (key, (NEVER, vec![1; 9]))).collect());
    faults.full_after(0);
    let mut record = [Record { hash: 1, due: NEVER, key: b"k", value: b"v" }];
    assert!(cold.put(&mut record).is_err());
    assert_eq!(cold.records(), 100);
    faults.heal();
    cold.put(&mut record).unwrap();
    cold.end_merge(true).unwrap();
    assert_eq!(cold.records(), 101);
}
