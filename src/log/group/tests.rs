//! Tests of groups as processes use them: each with a log of its own on one directory.

use super::*;
use crate::clock::Clock;
use crate::disk::{Disk, Faults};
use crate::log::{Append, Codec, Fsync, TopicOptions};
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use std::time::Duration;
use tempfile::TempDir;

struct Dir {
    dir: TempDir,
    disk: Disk,
    faults: Faults,
    clock: Clock,
}

impl Dir {
    fn new() -> Self {
        let (disk, faults) = Disk::faulty();
        Dir { dir: tempfile::tempdir().unwrap(), disk, faults, clock: Clock::manual(1_000) }
    }

    /// The log as a process of its own opens it.
    fn log(&self) -> Log {
        Log::open(self.dir.path().join("data"), self.disk.clone(), self.clock.clone()).unwrap()
    }

    fn create(&self, name: &str, partitions: u32) -> Arc<Topic> {
        let options = TopicOptions { partitions, codec: Codec::None, ..TopicOptions::default() };
        self.log().create_topic(name, options, schema()).unwrap()
    }

    /// A member in a process of its own.
    fn join(&self, group: &str, topic: &str) -> Member {
        // Members are in the order in which they came.
        self.clock.advance(Duration::from_nanos(1));
        let log = self.log();
        log.ensure_group(group).unwrap().join(&log.topic(topic).unwrap()).unwrap()
    }

    /// Lets all of them look at each other until nothing changes.
    fn settle(&self, members: &mut [&mut Member]) {
        for _ in 0..4 {
            self.clock.advance(Duration::from_secs(1));
            members.iter_mut().for_each(|member| drop(member.refresh().unwrap()));
        }
    }

    fn describe(&self, group: &str) -> Vec<(u32, Option<u64>, u64, bool)> {
        let rows = self.log().group(group).unwrap().describe().unwrap();
        rows.into_iter().map(|row| (row.partition, row.committed, row.lag, row.owner.is_some())).collect()
    }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn put(topic: &Arc<Topic>, partition: u32, rows: i64) {
    let column = Int64Array::from_iter_values(0..rows);
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(column)]).unwrap();
    topic.writer(partition).unwrap().append(Append::rows(&batch)).unwrap();
}

fn gained(assignment: &Assignment) -> Vec<(u32, Option<u64>)> {
    assignment.gained.iter().map(|g| (g.partition, g.committed)).collect()
}

#[test]
fn members_share_the_partitions_and_take_over_from_what_was_committed() {
    let dir = Dir::new();
    let topic = dir.create("t", 4);
    (0..4).for_each(|p| put(&topic, p, 10));
    let mut one = dir.join("g", "t");
    assert_eq!(gained(&one.refresh().unwrap()), [(0, None), (1, None), (2, None), (3, None)]);
    assert_eq!(one.refresh().unwrap(), Assignment::default(), "it is not time to look yet");
    one.commit(3, 7).unwrap();

    let mut two = dir.join("g", "t");
    let first = two.refresh().unwrap();
    assert!(first.gained.is_empty(), "what it is to have is another's still: {first:?}");
    dir.clock.advance(Duration::from_secs(1));
    assert_eq!(one.refresh().unwrap().lost, [2, 3]);
    assert!(matches!(one.commit(3, 9), Err(LogError::NotOwner { partition: 3, .. })));
    dir.clock.advance(Duration::from_millis(30));
    assert_eq!(gained(&two.refresh().unwrap()), [(2, None), (3, Some(7))]);
    two.commit(2, 4).unwrap();
    assert_eq!(
        dir.describe("g"),
        [(0, None, 10, true), (1, None, 10, true), (2, Some(4), 6, true), (3, Some(7), 3, true)]
    );

    drop(two);
    dir.clock.advance(Duration::from_secs(1));
    assert_eq!(gained(&one.refresh().unwrap()), [(2, Some(4)), (3, Some(7))]);
    let mut others: Vec<Member> = (0..5).map(|_| dir.join("g", "t")).collect();
    {
        let mut all: Vec<&mut Member> = others.iter_mut().chain([&mut one]).collect();
        dir.settle(&mut all);
        let mut owned: Vec<u32> = all.iter().flat_map(|member| member.partitions()).collect();
        owned.sort_unstable();
        assert_eq!(owned, [0, 1, 2, 3], "more members than partitions: each has one owner");
    }
    drop((one, others));
    assert_eq!(dir.describe("g").iter().filter(|row| row.3).count(), 0);
}

#[test]
fn a_group_is_changed_only_while_nobody_reads_with_it() {
    let dir = Dir::new();
    let topic = dir.create("t", 2);
    put(&topic, 0, 5);
    put(&topic, 1, 3);
    let log = dir.log();
    assert!(matches!(log.group("g"), Err(LogError::NoGroup { .. })));
    assert!(matches!(log.ensure_group("a/b"), Err(LogError::GroupName { .. })));
    let group = log.ensure_group("g").unwrap();
    assert_eq!(group.describe().unwrap(), []);
    let member = dir.join("g", "t");
    for refused in [group.reset(&topic, None, Start::Latest).map(drop), log.delete_group("g")] {
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&format!("while process {} reads with it", std::process::id())), "{text}");
    }
    drop(member);

    let at = |rows: Vec<GroupPartition>| rows.iter().map(|r| r.committed).collect::<Vec<_>>();
    assert_eq!(at(group.reset(&topic, None, Start::Latest).unwrap()), [Some(5), Some(3)]);
    assert_eq!(at(group.reset(&topic, Some(1), Start::Offset(2)).unwrap()), [Some(2)]);
    let error = group.reset(&topic, None, Start::Offset(4)).unwrap_err();
    assert!(matches!(error, LogError::OffsetOutOfRange { partition: 1, .. }), "{error}");
    assert_eq!(at(group.describe().unwrap()), [Some(5), Some(2)], "all or none");
    assert!(matches!(group.reset(&topic, Some(2), Start::Latest), Err(LogError::NoPartition { .. })));
    assert_eq!(at(group.reset(&topic, None, Start::Earliest).unwrap()), [Some(0), Some(0)]);

    assert_eq!(log.groups().unwrap().len(), 1);
    log.delete_group("g").unwrap();
    assert_eq!(log.groups().unwrap(), []);
    assert!(matches!(group.join(&topic), Err(LogError::NoGroup { .. })));
    assert!(matches!(log.delete_group("g"), Err(LogError::NoGroup { .. })));
}

#[test]
fn a_topic_that_is_made_again_is_read_from_its_start() {
    let dir = Dir::new();
    put(&dir.create("t", 1), 0, 5);
    let mut member = dir.join("g", "t");
    member.refresh().unwrap();
    member.commit(0, 5).unwrap();
    drop(member);
    dir.log().delete_topic("t").unwrap();
    assert_eq!(dir.describe("g"), []);
    put(&dir.create("t", 1), 0, 8);
    assert_eq!(gained(&dir.join("g", "t").refresh().unwrap()), [(0, None)]);
    assert_eq!(dir.describe("g"), [(0, None, 8, false)]);
    let groups = dir.dir.path().join("data/groups");
    let group = groups.join(&dir.disk.list(&groups).unwrap()[0]);
    assert_eq!(dir.disk.list(&group).unwrap().len(), 2, "what was read of the old topic is forgotten");
}

#[test]
fn rows_in_the_place_of_lost_ones_are_read() {
    for segment_bytes in [1, 256 << 20] {
        let dir = Dir::new();
        let mut options = TopicOptions { codec: Codec::None, ..TopicOptions::default() };
        (options.settings.segment_bytes, options.settings.fsync) = (segment_bytes, Fsync::Os);
        let topic = dir.log().create_topic("t", options, schema()).unwrap();
        put(&topic, 0, 5);
        put(&topic, 0, 5);
        topic.writer(0).unwrap().sync().unwrap();
        let kept = std::fs::read_dir(topic.dir().join("0")).unwrap().count();
        put(&topic, 0, 5);
        let mut member = dir.join("g", "t");
        member.refresh().unwrap();
        member.commit(0, 15).unwrap();
        drop((member, topic));

        // The power fails: what was not synced is gone, and other rows come in its place.
        dir.faults.reboot();
        let partition = dir.log().topic("t").unwrap().dir().join("0");
        let bases = crate::log::segment::list_segments(&dir.disk, &partition).unwrap();
        let last = crate::log::segment::segment_path(&partition, *bases.last().unwrap());
        let len = std::fs::metadata(&last).unwrap().len();
        let torn = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
        torn.set_len(len - 8).unwrap();
        drop(torn);
        let topic = dir.log().topic("t").unwrap();
        (0..4).for_each(|_| put(&topic, 0, 5));
        assert_eq!(topic.end_offset(0).unwrap(), 30, "{kept}");
        assert_eq!(dir.describe("g"), [(0, Some(10), 20, false)]);
        let mut member = dir.join("g", "t");
        assert_eq!(gained(&member.refresh().unwrap()), [(0, Some(10))]);
        member.commit(0, 20).unwrap();
        drop(member);
        assert_eq!(gained(&dir.join("g", "t").refresh().unwrap()), [(0, Some(20))]);
    }
}

#[test]
fn a_commit_that_fails_leaves_the_one_before_and_damage_is_told() {
    let dir = Dir::new();
    put(&dir.create("t", 1), 0, 50);
    let mut member = dir.join("g", "t");
    member.refresh().unwrap();
    member.commit(0, 10).unwrap();
    for keep in [0, 1, 17, 43] {
        dir.faults.tear_write(1, keep);
        assert!(member.commit(0, 30).is_err());
        dir.faults.heal();
        assert_eq!(dir.describe("g")[0].1, Some(10), "{keep} bytes");
    }
    member.commit(0, 20).unwrap();
    drop(member);
    assert_eq!(gained(&dir.join("g", "t").refresh().unwrap()), [(0, Some(20))]);

    let log = dir.log();
    let topic = log.topic("t").unwrap();
    let group = log.group("g").unwrap();
    let path = group.dir_of(&topic).join("0");
    std::fs::write(&path, [7; 1024]).unwrap();
    let text = group.describe().unwrap_err().to_string();
    assert!(text.contains("is damaged") && text.contains("group reset g"), "{text}");
    assert!(matches!(dir.join("g", "t").refresh(), Err(LogError::PlaceDamaged { .. })));
    group.reset(&topic, None, Start::Offset(3)).unwrap();
    assert_eq!(gained(&dir.join("g", "t").refresh().unwrap()), [(0, Some(3))]);

    let json = group.dir.join("group.json");
    let text = std::fs::read_to_string(&json).unwrap().replace("\"g\"", "\"h\"");
    std::fs::write(&json, text).unwrap();
    assert!(matches!(log.group("g"), Err(LogError::TopicDamaged { .. })));
}

#[test]
fn the_dead_leave_no_member_behind() {
    let dir = Dir::new();
    dir.create("t", 2);
    let mut one = dir.join("g", "t");
    let members = one_members(&dir);
    // A file that nobody locks: its process has died.
    std::fs::write(members.join("00000000000000000000-dead"), "4000000\n").unwrap();
    one.refresh().unwrap();
    assert_eq!(one.partitions(), [0, 1]);
    assert_eq!(dir.disk.list(&members).unwrap().len(), 1);
}

fn one_members(dir: &Dir) -> PathBuf {
    let log = dir.log();
    log.group("g").unwrap().dir_of(&log.topic("t").unwrap()).join("members")
}

#[test]
fn a_start_is_an_offset_of_each_partition() {
    let dir = Dir::new();
    let topic = dir.create("t", 1);
    assert_eq!(topic.offset_of(0, Start::Time(0)).unwrap(), 0);
    for _ in 0..3 {
        put(&topic, 0, 4);
        dir.clock.advance(Duration::from_nanos(100));
    }
    let at = |start| topic.offset_of(0, start).unwrap();
    assert_eq!((at(Start::Earliest), at(Start::Latest), at(Start::Offset(77))), (0, 12, 77));
    assert_eq!([0, 1_000, 1_001, 1_100, 1_200, 1_201].map(|ns| at(Start::Time(ns))), [0, 0, 4, 4, 8, 12]);
}
