//! Eight writers and eight readers of one topic, killed at random: every row that was acknowledged is there once, in
//! order for each writer, and no reader ever sees a part of an append.

use crate::oracle::draw::Draw;
use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream::clock::Clock;
use millstream::disk::Disk;
use millstream::log::{Append, Fsync, Log, LogReader, TopicOptions, TopicSettings};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PARTITIONS: u32 = 4;
const WRITERS: i64 = 8;
const READERS: usize = 8;
/// What a writer appends: that many steps, each to one partition.
const STEPS: i64 = 400;
const KILLS: usize = 40;
/// What a child of this binary is to do.
const ROLE: &str = "MILLSTREAM_TEST_ROLE";
const DIR: &str = "MILLSTREAM_TEST_DIR";

fn schema() -> SchemaRef {
    let field = |name| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![field("writer"), field("step"), field("row"), field("rows")]))
}

fn open(dir: &Path) -> Log {
    Log::open(dir, Disk::real(), Clock::system()).unwrap()
}

/// The rows of a step: as many as its number says.
fn rows(writer: i64, step: i64) -> RecordBatch {
    let rows = 1 + step % 7;
    let column = |value: &dyn Fn(i64) -> i64| Arc::new((0..rows).map(value).collect::<Int64Array>());
    let columns = vec![column(&|_| writer), column(&|_| step), column(&|i| i), column(&|_| rows)];
    RecordBatch::try_new(schema(), columns.into_iter().map(|c| c as _).collect()).unwrap()
}

/// What the children run; without a role it is nobody's.
#[test]
fn plays_its_part() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else { return };
    let log = open(Path::new(&dir));
    match role.split_once(' ') {
        Some(("write", writer)) => write(&log, writer.parse().unwrap()),
        _ => read(&log),
    }
}

/// Appends every step from the first that its partition does not have, and says so of each.
fn write(log: &Log, writer: i64) {
    let topic = log.topic("t").unwrap();
    let producer = 1 + writer as u128;
    let mut out = std::io::stdout();
    for step in 0..STEPS {
        let partition = ((writer + step) % i64::from(PARTITIONS)) as u32;
        let batch = rows(writer, step);
        let append = Append { producer, step: step as u64, ..Append::rows(&batch) };
        topic.writer(partition).unwrap().append(append).unwrap();
        writeln!(out, "acknowledged {step}").unwrap();
    }
    writeln!(out, "finished").unwrap();
}

/// Reads all partitions until it has seen the last step of each writer. Fails if a step is not the next one of its
/// writer in its partition, or not whole.
fn read(log: &Log) {
    let topic = log.topic("t").unwrap();
    let mut readers: Vec<LogReader> = (0..PARTITIONS).map(|p| topic.reader(p, 0, None).unwrap()).collect();
    let mut next = vec![vec![None; WRITERS as usize]; PARTITIONS as usize];
    let mut left = WRITERS * STEPS;
    while left > 0 {
        let generation = topic.generation();
        let mut any = false;
        for (partition, reader) in readers.iter_mut().enumerate() {
            while let Some(frame) = reader.next().unwrap() {
                any = true;
                let column = |i: usize| frame.batch.column(i).as_primitive::<Int64Type>().values().to_vec();
                let (writer, step) = (column(0)[0], column(1)[0]);
                assert_eq!(frame.batch, rows(writer, step), "an append is seen whole");
                let first = (partition as i64 - writer).rem_euclid(i64::from(PARTITIONS));
                let expected = next[partition][writer as usize].unwrap_or(first);
                assert_eq!(step, expected, "writer {writer} in partition {partition}");
                next[partition][writer as usize] = Some(step + i64::from(PARTITIONS));
                left -= 1;
            }
        }
        if !any {
            topic.wait_newer(generation, Duration::from_millis(100));
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "finished").unwrap();
}

/// A child and what it says.
struct Part {
    role: String,
    child: Child,
    said: Receiver<String>,
    acknowledged: i64,
    finished: bool,
}

impl Part {
    fn start(role: String, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["log::processes::plays_its_part", "--exact", "--nocapture"])
            .env(ROLE, &role)
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, said) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(say.send(line))));
        Part { role, child, said, acknowledged: -1, finished: false }
    }

    /// Takes in what it has said; whether it is still at it.
    fn listen(&mut self) -> bool {
        while let Ok(line) = self.said.try_recv() {
            self.take(&line);
        }
        !self.finished
    }

    /// Takes in all that one has said who has ended.
    fn listen_to_the_end(&mut self) {
        while let Ok(line) = self.said.recv() {
            self.take(&line);
        }
    }

    fn take(&mut self, line: &str) {
        if let Some(step) = line.strip_prefix("acknowledged ") {
            self.acknowledged = step.parse().unwrap();
        }
        self.finished |= line == "finished";
    }

    fn kill_and_start_again(&mut self, dir: &Path) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Part::start(self.role.clone(), dir);
    }
}

#[test]
fn killed_writers_and_readers_lose_and_double_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    // Small segments, so that they roll, and one process meets what another has closed.
    let settings = TopicSettings { fsync: Fsync::Os, ..TopicSettings::segments_of(200_000) };
    let options = TopicOptions { partitions: PARTITIONS, settings, ..TopicOptions::default() };
    let topic = open(&dir).create_topic("t", options, schema()).unwrap();
    let roles = (0..WRITERS).map(|w| format!("write {w}")).chain((0..READERS).map(|_| "read".into()));
    let mut parts: Vec<Part> = roles.map(|role| Part::start(role, &dir)).collect();
    let mut draw = Draw::new(7);
    let mut kills = 0;
    while parts.iter_mut().any(Part::listen) {
        std::thread::sleep(Duration::from_millis(20));
        let at_it: Vec<usize> = (0..parts.len()).filter(|p| !parts[*p].finished).collect();
        if kills < KILLS && !at_it.is_empty() {
            let part = &mut parts[draw.one(&at_it)];
            part.kill_and_start_again(&dir);
            kills += 1;
        }
        for part in &mut parts {
            if part.listen()
                && let Some(status) = part.child.try_wait().unwrap()
            {
                part.listen_to_the_end();
                assert!(part.finished, "{} ended with {status} after step {}", part.role, part.acknowledged);
            }
        }
    }
    assert!(kills > 10, "only {kills} were killed");
    for mut part in parts {
        assert!(part.child.wait().unwrap().success(), "{}", part.role);
    }
    let rows: u64 = (0..PARTITIONS).map(|p| topic.end_offset(p).unwrap()).sum();
    let expected: i64 = (0..STEPS).map(|step| 1 + step % 7).sum();
    assert_eq!(rows as i64, WRITERS * expected);
}
