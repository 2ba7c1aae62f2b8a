//! What is said to be on disk for good is there when the power has gone, whatever failed before.

use super::*;
use crate::disk::{Event, Moment, Simulation};

/// The log as a new process of the machine opens it.
fn log_on(machine: &Simulation) -> Log {
    Log::open("/new/data", machine.process(), Clock::manual(1_000)).unwrap()
}

fn create_on(machine: &Simulation, segment_bytes: u64) -> Arc<Topic> {
    let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(segment_bytes) };
    log_on(machine).create_topic("t", options, numbers_schema()).unwrap()
}

fn topic_on(machine: &Simulation) -> Arc<Topic> {
    log_on(machine).topic("t").unwrap()
}

fn sync(topic: &Arc<Topic>) -> Result<()> {
    topic.writer(0).unwrap().sync()
}

#[test]
fn after_a_failed_sync_others_do_not_trust_what_is_in_memory() {
    // The sync of whoever asks, and that of a segment that is closed.
    for (seed, segment_bytes) in (0..60).flat_map(|seed| [(seed, 1 << 20), (seed, 600)]) {
        let (_, machine) = Disk::simulated(seed);
        let first = create_on(&machine, segment_bytes);
        put(&first, [1]).unwrap();
        put(&first, [2]).unwrap();
        machine.plan(Moment::Sync, 1, Event::Fail);
        let failed = if segment_bytes > 600 { sync(&first) } else { put(&first, [3]).map(drop) };
        assert!(matches!(failed, Err(LogError::Disk(_))));
        assert!(matches!(put(&first, [3]), Err(LogError::SyncFailed { .. })));
        let second = topic_on(&machine);
        let before = read(&second);
        assert!([&[][..], &[1], &[1, 2]].contains(&&before[..]), "{before:?}");
        let (seen, told) = read_from(&first, 0);
        assert!(
            before.starts_with(&seen) && !matches!(told, Some(LogError::Corrupt(_))),
            "{seen:?} {told:?}"
        );
        put(&second, [9]).unwrap();
        sync(&second).unwrap();
        machine.cut_power();
        assert_eq!(read(&topic_on(&machine)), [&before[..], &[9]].concat());
    }
}

#[test]
fn names_are_made_durable_again_if_who_made_them_died_or_failed() {
    for (seed, n) in (0..20).flat_map(|seed| (1..16).map(move |n| (seed, n))) {
        for event in [Event::Fail, Event::Kill] {
            let (disk, machine) = Disk::simulated(seed);
            machine.plan(Moment::Change, n, event);
            let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(1 << 20) };
            let first = Log::open("/new/data", disk, Clock::manual(1_000));
            let created = first.and_then(|log| log.create_topic("t", options.clone(), numbers_schema()));
            let _ = created.and_then(|topic| put(&topic, [1]));
            machine.heal();
            machine.kill_all();

            let log = log_on(&machine);
            if !log.topic_exists("t").unwrap() {
                log.create_topic("t", options, numbers_schema()).unwrap();
            }
            let topic = log.topic("t").unwrap();
            put(&topic, [2]).unwrap();
            sync(&topic).unwrap();
            let all = read(&topic);
            machine.cut_power();
            assert_eq!(read(&topic_on(&machine)), all, "seed {seed}, {event:?} at change {n}");
        }
    }
}

#[test]
fn a_topic_that_others_write_is_durable_though_who_created_it_died() {
    for (seed, n) in (0..40).flat_map(|seed| (1..8).map(move |n| (seed, n))) {
        let (_, machine) = Disk::simulated(seed);
        let log = log_on(&machine);
        machine.plan(Moment::Sync, n, Event::Kill);
        let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(1 << 20) };
        let created = log.create_topic("t", options, numbers_schema());
        machine.heal();
        let log = log_on(&machine);
        if log.topic_exists("t").unwrap() {
            put(&log.topic("t").unwrap(), [1]).unwrap();
            sync(&log.topic("t").unwrap()).unwrap();
            machine.cut_power();
            assert_eq!(read(&topic_on(&machine)), [1], "seed {seed}, sync {n}");
        } else {
            assert!(created.is_err());
        }
    }
}

#[test]
fn what_was_cut_does_not_come_back_in_place_of_what_was_written_there() {
    for (seed, event) in (0..200).flat_map(|seed| [(seed, Event::Kill), (seed, Event::Fail)]) {
        let (_, machine) = Disk::simulated(seed);
        let topic = create_on(&machine, 1 << 20);
        put(&topic, [1]).unwrap();
        sync(&topic).unwrap();
        // Written, but not published.
        machine.plan(Moment::Write, 2, event);
        put(&topic, [2]).unwrap_err();
        let topic = topic_on(&machine);
        put(&topic, [3]).unwrap();
        put(&topic, [4]).unwrap();
        let before = read(&topic);
        machine.cut_power();
        let after = read(&topic_on(&machine));
        assert!(before.starts_with(&after), "seed {seed}, {event:?}: {after:?} of {before:?}");
    }
}

#[test]
fn who_could_not_publish_a_segment_does_not_write_into_it_once_another_has_begun_it_anew() {
    // Which write of an append that begins a segment fails decides how far it comes.
    for n in 1..6 {
        let place = Place::new();
        let one = place.create(300);
        put(&one, [1]).unwrap();
        place.faults.fail_write(n);
        let mut expected = vec![1];
        if put(&one, [2]).is_ok() {
            expected.push(2);
        }
        place.faults.heal();
        // Another one begins a segment, and writes nothing into it.
        place.log().compact_topic("t").unwrap();
        put(&one, [3]).unwrap();
        expected.push(3);
        assert_eq!((read(&one), read(&place.topic())), (expected.clone(), expected), "the write {n} failed");
    }
}

#[test]
fn a_topic_that_outlives_its_log_syncs_each_append_itself() {
    let place = Place::new();
    let topic = place.log().create_topic("t", TopicOptions::default(), numbers_schema()).unwrap();
    assert!(matches!(topic.settings().fsync, Fsync::Interval { .. }));
    for i in 0..3 {
        put(&topic, [i]).unwrap();
        assert_eq!(topic.durable_offset(0).unwrap(), i as u64 + 1);
    }
}
