//! Random programs over table topics, run beside the model.

use super::model::{At, Row, Table, Written, fold};
use super::rows::{batch, next, schema};
use crate::clock::Clock;
use crate::disk::simulated::Draw;
use crate::disk::{Disk, Event, Moment, Simulation};
use crate::log::{
    Append, Appended, Codec, Compaction, Fsync, Log, LogError, LogReader, Maintained, Pin, TopicOptions,
    TopicSettings,
};
use arrow::array::Int64Array;
use std::fmt::Write;
use std::time::Duration;

const PROCESSES: usize = 3;
const TOPICS: [&str; 2] = ["a", "b"];
const OWNERS: [&str; 2] = ["one", "two"];
const PRODUCERS: usize = 2;
const KEYS: usize = 6;
/// How long tombstones are kept.
const TOMBSTONES: Duration = Duration::from_secs(100);
/// How often settling is tried again when a planned event comes between, before nothing more is planned.
const TRIES: usize = 3;

/// `Err` = the log did what the model does not allow.
type Outcome<T = ()> = Result<T, String>;
type Operation = fn(&mut Program) -> Outcome;

/// What a program does: how often, and how.
const OPERATIONS: &[(usize, Operation)] = &[
    (36, Program::append),
    (5, Program::append_again),
    (5, Program::sync),
    (9, Program::maintain),
    (10, Program::compact),
    (4, Program::pin),
    (3, Program::unpin),
    (8, Program::wait),
    (14, Program::follow),
    (5, Program::look),
    (12, Program::plan),
    (1, Program::fill_disk),
    (3, Program::heal),
    (2, Program::kill_one),
    (1, Program::kill_all),
    (2, Program::cut_power),
];

/// How much was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub(super) operations: u64,
    pub(super) appends: u64,
    pub(super) duplicates: u64,
    /// Rows that compaction took out.
    pub(super) compacted: u64,
    /// Segments that compaction made one of with others.
    pub(super) joined: u64,
    /// Segments that retention took.
    pub(super) removed: u64,
    /// Times that a reader which stayed open came to the end with the right table.
    pub(super) followed: u64,
    /// Times that retention was quicker than a reader.
    pub(super) overtaken: u64,
    pub(super) cuts: u64,
    pub(super) kills: u64,
    /// Calls that failed because of what was planned.
    pub(super) failures: u64,
    /// Acknowledged rows that a power cut took.
    pub(super) lost: u64,
}

impl Done {
    pub(super) fn add(&mut self, other: &Done) {
        self.operations += other.operations;
        self.appends += other.appends;
        self.duplicates += other.duplicates;
        self.compacted += other.compacted;
        self.joined += other.joined;
        self.removed += other.removed;
        self.followed += other.followed;
        self.overtaken += other.overtaken;
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.failures += other.failures;
        self.lost += other.lost;
    }
}

/// A topic as it should be.
struct Subject {
    name: &'static str,
    settings: TopicSettings,
    table: Table,
}

/// A pin that is there for sure, and the rows from it on that were there when it was set.
struct Pinned {
    topic: usize,
    offset: u64,
    rows: Vec<At>,
}

/// A reader that stays open, and what it has read.
struct Follower {
    topic: usize,
    reader: LogReader,
    from: u64,
    rows: Vec<Row>,
    /// When it was opened or last at the end.
    caught_up: i64,
}

/// A process with the log open.
struct Process {
    disk: Disk,
    number: u64,
    log: Option<Log>,
    sync_failed: bool,
    followers: Vec<Follower>,
}

struct Program {
    draw: Draw,
    machine: Simulation,
    clock: Clock,
    boots: u64,
    processes: Vec<Process>,
    started: u64,
    topics: Vec<Subject>,
    pins: [Option<Pinned>; 2],
    /// Something that was planned has happened since the model was last compared.
    unsettled: bool,
    /// The value of the last row.
    last: i64,
    done: Done,
    trace: Option<String>,
}

/// Runs the case of a seed. With `record`, the error tells what was done.
pub(super) fn run(seed: u64, record: bool) -> Outcome<Done> {
    let mut draw = Draw::new(seed);
    let (_, machine) = Disk::simulated(draw.bits());
    if record {
        machine.record();
    }
    let mut program = Program {
        draw,
        machine,
        clock: Clock::manual(1_000_000_000_000),
        boots: 0,
        processes: Vec::new(),
        started: 1,
        topics: Vec::new(),
        pins: [None, None],
        unsettled: false,
        last: 0,
        done: Done::default(),
        trace: record.then(String::new),
    };
    match program.run() {
        Ok(()) => Ok(program.done),
        Err(wrong) => {
            program.trace_disk();
            Err(format!("{}\n{wrong}", program.trace.unwrap_or_default()))
        }
    }
}

impl Program {
    fn run(&mut self) -> Outcome {
        self.create()?;
        let weights: usize = OPERATIONS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..self.draw.below(160) {
            let mut at = self.draw.below(weights);
            let operation = OPERATIONS.iter().find(|(weight, _)| {
                let found = at < *weight;
                at = at.saturating_sub(*weight);
                found
            });
            self.done.operations += 1;
            operation.map_or(Ok(()), |(_, operation)| operation(self))?;
            self.settle()?;
        }
        self.heal()?;
        if self.draw.chance(60) { self.cut_power() } else { self.kill_all() }?;
        self.settle()
    }

    fn create(&mut self) -> Outcome {
        let Some(process) = self.process()? else { return Ok(()) };
        for name in &TOPICS[..1 + self.draw.below(TOPICS.len())] {
            let compaction = Compaction {
                key: vec!["k".into()],
                deleted: Some("gone".into()),
                keep_tombstones: TOMBSTONES,
            };
            let by = self.draw.below(6);
            let settings = TopicSettings {
                segment_bytes: 600 + self.draw.below(6000) as u64,
                fsync: if self.draw.chance(25) { Fsync::Step } else { Fsync::Os },
                retention: (by == 0).then(|| Duration::from_secs(60 + self.draw.below(300) as u64)),
                retention_bytes: (by == 1).then(|| 1000 + self.draw.below(12_000) as u64),
                compaction: Some(compaction),
            };
            let codec = Codec::ALL[self.draw.below(3)];
            let options = TopicOptions { partitions: 1, codec, settings: settings.clone() };
            self.call(process, format!("creates {name}: {options:?}"), |process| {
                log(process)?.create_topic(name, options.clone(), schema())
            })?;
            self.topics.push(Subject { name, settings, table: Table::default() });
        }
        Ok(())
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        self.trace_disk();
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{}", line());
        }
    }

    fn trace_disk(&mut self) {
        if let Some(trace) = &mut self.trace {
            self.machine.trace().iter().for_each(|line| *trace += &format!("        {line}\n"));
        }
    }

    /// Does something with a process's log, and judges whether it may fail; `None` = it failed, and may.
    fn call<T>(
        &mut self,
        process: usize,
        what: String,
        work: impl FnOnce(&mut Process) -> Result<T, LogError>,
    ) -> Outcome<Option<T>> {
        let number = self.processes[process].number;
        self.tell(|| format!("p{number} {what}"));
        let result = work(&mut self.processes[process]);
        let happened = self.machine.happened();
        let error = result.as_ref().err().map(ToString::to_string);
        self.tell(|| format!("    {}", error.as_deref().unwrap_or("done")));
        self.unsettled |= !happened.is_empty();
        if happened.contains(&(Moment::Sync, Event::Fail)) {
            self.processes[process].sync_failed = true;
            self.topics.iter_mut().for_each(|topic| topic.table.loose = true);
            // Who has read what is lost is told so, or reads what has taken its place.
            self.processes.iter_mut().for_each(|process| process.followers.clear());
        }
        match result {
            Ok(value) => Ok(Some(value)),
            Err(LogError::Corrupt(told)) => Err(format!("{what}: {told}")),
            Err(LogError::SyncFailed { .. }) if self.processes[process].sync_failed => {
                self.unsettled = true;
                self.machine.kill(&self.processes[process].disk);
                Ok(None)
            }
            // It may have died in the middle of something that need not be done, and have been told of success.
            Err(_) if !happened.is_empty() || !self.machine.is_alive(&self.processes[process].disk) => {
                self.done.failures += 1;
                Ok(None)
            }
            Err(told) => Err(format!("{what}: {told}")),
        }
    }

    fn start(&mut self) -> usize {
        let disk = self.machine.process();
        let number = self.started;
        self.started += 1;
        self.processes.push(Process { disk, number, log: None, sync_failed: false, followers: Vec::new() });
        self.processes.len() - 1
    }

    /// A process whose log is open; `None` = it could not be opened because of what was planned.
    fn process(&mut self) -> Outcome<Option<usize>> {
        let one = self.draw.below(PROCESSES);
        let one = if one < self.processes.len() { one } else { self.start() };
        self.open(one)
    }

    fn open(&mut self, one: usize) -> Outcome<Option<usize>> {
        if self.processes[one].log.is_none() {
            let clock = self.clock.clone();
            let opened = self.call(one, "opens the log".into(), |process| {
                process.log = Some(Log::open("/new/data", process.disk.clone(), clock)?);
                Ok(())
            })?;
            return Ok(opened.map(|()| one));
        }
        Ok(Some(one))
    }

    /// A process and a topic.
    fn place(&mut self) -> Outcome<Option<(usize, usize)>> {
        let topic = self.draw.below(self.topics.len());
        Ok(self.process()?.map(|process| (process, topic)))
    }

    fn append(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let producer = self.draw.below(PRODUCERS + 1) as u128;
        let step = self.topics[topic].table.greatest_step(producer).map_or(0, |last| last + 1);
        self.append_step(process, topic, producer, if producer == 0 { 0 } else { step })
    }

    /// A producer does not know whether its step got through, and appends it again.
    fn append_again(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let producer = 1 + self.draw.below(PRODUCERS) as u128;
        let Some(last) = self.topics[topic].table.greatest_step(producer) else { return Ok(()) };
        self.append_step(process, topic, producer, last)
    }

    fn append_step(&mut self, process: usize, topic: usize, producer: u128, step: u64) -> Outcome {
        let count = 1 + if self.draw.chance(85) { self.draw.below(5) } else { self.draw.below(40) };
        // Few keys at a time: of some the last row lies far back.
        let (first, keys) = (self.draw.below(KEYS), 1 + self.draw.below(KEYS));
        let tombstones = [0, 20, 80][self.draw.below(3)];
        let mut rows = Vec::new();
        for _ in 0..count {
            self.last += 1;
            let key = ((first + self.draw.below(keys)) % KEYS) as u8;
            rows.push(Row { key, value: self.last, gone: self.draw.chance(tombstones) });
        }
        let Subject { name, settings, .. } = &self.topics[topic];
        let (name, synced) = (*name, settings.fsync == Fsync::Step);
        let batch = batch(&rows);
        let marks = self.draw.chance(30).then(|| Int64Array::from_iter_values(rows.iter().map(|r| r.value)));
        let what = format!("appends to {name} as step {step} of {producer}: {rows:?}");
        let append = Append { producer, step, marks: marks.as_ref(), ..Append::rows(&batch) };
        let written = Written { rows, producer, step, time: self.clock.now_ns() };
        let appended =
            self.call(process, what.clone(), |process| log(process)?.topic(name)?.writer(0)?.append(append))?;
        let table = &mut self.topics[topic].table;
        match appended {
            None => table.unsure.push(written),
            Some(Appended { duplicate: true, .. }) => {
                self.done.duplicates += 1;
                if table.last_step(producer) < Some(step) {
                    return Err(format!("{what}: it was taken for a duplicate"));
                }
            }
            Some(Appended { base_offset, .. }) => {
                self.done.appends += 1;
                table.appended(written, base_offset).map_err(|wrong| format!("{what}: {wrong}"))?;
            }
        }
        if appended.is_some() && synced {
            table.durable = table.end();
        }
        Ok(())
    }

    fn sync(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let name = self.topics[topic].name;
        let synced =
            self.call(process, format!("syncs {name}"), |process| log(process)?.topic(name)?.sync(0))?;
        if synced.is_some() {
            let table = &mut self.topics[topic].table;
            table.durable = table.end();
        }
        Ok(())
    }

    fn maintain(&mut self) -> Outcome {
        let Some(process) = self.process()? else { return Ok(()) };
        let maintained =
            self.call(process, "looks after all".into(), |process| whole(log(process)?.maintain()?))?;
        self.kept(process, maintained)
    }

    fn compact(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let name = self.topics[topic].name;
        let compacted = self.call(process, format!("compacts {name}"), |process| {
            let done = whole(log(process)?.compact_topic(name)?)?;
            Ok((done, log(process)?.pin_owners()?.is_empty()))
        })?;
        let Some((done, unpinned)) = compacted else { return Ok(()) };
        self.kept(process, Some(done))?;
        if unpinned && let Some((_, found)) = self.read(process, topic, None)? {
            let mut keys: Vec<u8> = found.iter().map(|(_, row)| row.key).collect();
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(format!("{name} was compacted, but holds {found:?}"));
            }
        }
        Ok(())
    }

    /// What retention and compaction have done.
    fn kept(&mut self, process: usize, done: Option<Maintained>) -> Outcome {
        let Some(done) = done else { return Ok(()) };
        self.done.compacted += done.compacted.iter().map(|(.., c)| c.rows).sum::<u64>();
        self.done.joined += done.compacted.iter().map(|(.., c)| c.segments.0 - c.segments.1).sum::<u64>();
        self.done.removed += done.removed.iter().map(|(.., r)| r.segments).sum::<u64>();
        for topic in 0..self.topics.len() {
            let name = self.topics[topic].name;
            if self.check(process, topic)? && done.removed.iter().any(|(removed, ..)| removed == name) {
                let table = &mut self.topics[topic].table;
                table.start_durable = table.start;
            }
        }
        Ok(())
    }

    fn pin(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let owner = self.draw.below(OWNERS.len());
        let Subject { name, table, .. } = &self.topics[topic];
        let (name, start, end) = (*name, table.start, table.end());
        let offset = start + self.draw.below((end - start) as usize + 1) as u64;
        let Some((_, rows)) = self.read(process, topic, Some(offset))? else { return Ok(()) };
        self.pins[owner] = None;
        let pin = [Pin { topic: name.into(), partition: 0, offset }];
        let what = format!("pins {name} at {offset} for {}", OWNERS[owner]);
        if self.call(process, what, |process| log(process)?.pin(OWNERS[owner], &pin))?.is_some() {
            self.pins[owner] = Some(Pinned { topic, offset, rows });
        }
        Ok(())
    }

    fn unpin(&mut self) -> Outcome {
        let Some(process) = self.process()? else { return Ok(()) };
        let owner = self.draw.below(OWNERS.len());
        self.pins[owner] = None;
        let what = format!("unpins {}", OWNERS[owner]);
        self.call(process, what, |process| log(process)?.unpin(OWNERS[owner])).map(drop)
    }

    fn wait(&mut self) -> Outcome {
        let seconds = self.draw.below(80) as u64;
        self.tell(|| format!("{seconds} seconds go by"));
        self.clock.advance(Duration::from_secs(seconds));
        Ok(())
    }

    fn look(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        self.check(process, topic).map(drop)
    }

    /// Reads from an offset, else from the log's start, to the end: the end, and the rows.
    fn read(&mut self, process: usize, topic: usize, from: Option<u64>) -> Outcome<Option<(u64, Vec<At>)>> {
        let name = self.topics[topic].name;
        let what = format!("reads {name} from {from:?}");
        let found = self.call(process, what.clone(), |process| {
            let topic = log(process)?.topic(name)?;
            let from = from.map_or_else(|| topic.start_offset(0), Ok)?;
            let mut reader = topic.reader(0, from, None)?;
            let mut rows = Vec::new();
            while let Some(read) = next(&mut reader)? {
                match read {
                    Ok(mut more) => rows.append(&mut more),
                    Err(wrong) => return Ok(Err(wrong)),
                }
            }
            Ok(Ok((reader.offset(), rows)))
        })?;
        found.transpose().map_err(|wrong| format!("{what}: {wrong}"))
    }

    /// Where the topic starts, up to where it is durable, and where it ends.
    fn offsets(&mut self, process: usize, topic: usize) -> Outcome<Option<[u64; 3]>> {
        let name = self.topics[topic].name;
        self.call(process, format!("asks for the offsets of {name}"), |process| {
            let topic = log(process)?.topic(name)?;
            Ok([topic.start_offset(0)?, topic.durable_offset(0)?, topic.end_offset(0)?])
        })
    }

    /// Compares a topic with the model; `false` = something that was planned came between.
    fn check(&mut self, process: usize, topic: usize) -> Outcome<bool> {
        let Some([start, durable, end]) = self.offsets(process, topic)? else { return Ok(false) };
        if self.unsettled {
            return Ok(false);
        }
        let name = self.topics[topic].name;
        let wrong = |wrong: String| format!("{name}: {wrong}");
        self.starts(topic, start)?;
        let table = &mut self.topics[topic].table;
        if end != table.end() || durable > end {
            return Err(format!("{name} ends at {end}, durable {durable}, not at {}", table.end()));
        }
        table.durable = table.durable.max(durable);
        let Some((end, found)) = self.read(process, topic, None)? else { return Ok(false) };
        self.agrees(topic, start, end, &found).map_err(wrong)?;
        let middle = start + self.draw.below((end - start) as usize + 1) as u64;
        let Some((end, found)) = self.read(process, topic, Some(middle))? else { return Ok(false) };
        self.agrees(topic, middle, end, &found).map_err(wrong)?;

        if !self.check_pins(process, topic)? {
            return Ok(false);
        }
        let producer = 1 + self.draw.below(PRODUCERS) as u128;
        let what = format!("asks for the last step of {producer} in {name}");
        let asked = self.call(process, what.clone(), |process| {
            log(process)?.topic(name)?.writer(0)?.last_step(producer)
        })?;
        let expected = self.topics[topic].table.last_step(producer);
        match asked {
            Some(step) if step != expected => Err(format!("{what}: {step:?}, not {expected:?}")),
            asked => Ok(asked.is_some()),
        }
    }

    fn starts(&mut self, topic: usize, start: u64) -> Outcome {
        let Subject { name, settings, table } = &mut self.topics[topic];
        let oldest = settings.retention.map(|keep| self.clock.now_ns() - keep.as_nanos() as i64);
        let pinned = self.pins.iter().flatten().filter(|pin| pin.topic == topic).map(|pin| pin.offset).min();
        let may_go = |end: u64, time: i64| {
            settings.retention_bytes.is_some()
                || (oldest.is_some_and(|oldest| time < oldest) && pinned.is_none_or(|pinned| end <= pinned))
        };
        table.starts(start, may_go).map_err(|wrong| format!("{name}: {wrong}"))
    }

    /// Compares what was read from an offset on.
    fn agrees(&self, topic: usize, from: u64, end: u64, found: &[At]) -> Outcome {
        let table = &self.topics[topic].table;
        if end != table.end() {
            return Err(format!("reading came to {end}, not to {}", table.end()));
        }
        if let Some((at, row)) = found.iter().find(|(at, row)| table.rows.get(*at as usize) != Some(row)) {
            return Err(format!("at {at} {row:?} was read, not {:?}", table.rows.get(*at as usize)));
        }
        let (read, expected) = (fold(found.iter().map(|(_, row)| *row)), table.folded(from));
        if read != expected {
            return Err(format!("the table from {from} on is {read:?}, not {expected:?}; rows: {found:?}"));
        }
        Ok(())
    }

    /// Reads from the pins on; `false` = something that was planned came between.
    fn check_pins(&mut self, process: usize, topic: usize) -> Outcome<bool> {
        let Subject { name, table, .. } = &self.topics[topic];
        let (name, start, end) = (*name, table.start, table.end());
        for owner in 0..OWNERS.len() {
            let Some(pin) = self.pins[owner].as_ref().filter(|pin| pin.topic == topic) else { continue };
            let from = pin.offset.max(start).min(end);
            // Who reads from further ahead may come upon it compacted, where a crash has left it in two segments.
            let Some((end, found)) = self.read(process, topic, Some(from))? else { return Ok(false) };
            let Some(pin) = &self.pins[owner] else { continue };
            let mut due = pin.rows.iter().filter(|(at, _)| (from..end).contains(at));
            if let Some(lost) = due.find(|row| !found.contains(row)) {
                return Err(format!("{name}: {lost:?} is missing, which was pinned from {}", pin.offset));
            }
        }
        Ok(true)
    }

    /// A reader that stays open reads on.
    fn follow(&mut self) -> Outcome {
        let Some((process, topic)) = self.place()? else { return Ok(()) };
        let Subject { name, table, .. } = &self.topics[topic];
        let (name, start, end) = (*name, table.start, table.end());
        let now = self.clock.now_ns();
        let open = self.processes[process].followers.iter().position(|follower| follower.topic == topic);
        let Some(open) = open else {
            let from = start + self.draw.below((end - start) as usize / 2 + 1) as u64;
            let what = format!("opens a reader of {name} at {from}");
            self.call(process, what, |process| {
                let reader = log(process)?.topic(name)?.reader(0, from, None)?;
                process.followers.push(Follower { topic, reader, from, rows: vec![], caught_up: now });
                Ok(())
            })?;
            return Ok(());
        };
        let frames = if self.draw.chance(30) { usize::MAX } else { self.draw.below(5) };
        let mut follower = self.processes[process].followers.swap_remove(open);
        let at = follower.reader.offset();
        let what = format!("reads on in {name} at {at}");
        let read = self.call(process, what.clone(), |_| {
            let mut rows = Vec::new();
            for _ in 0..frames {
                match next(&mut follower.reader) {
                    Ok(None) => return Ok(Read::Rows(rows, true)),
                    Ok(Some(Ok(mut more))) => rows.append(&mut more),
                    Ok(Some(Err(wrong))) => return Ok(Read::Wrong(wrong)),
                    Err(LogError::OffsetOutOfRange { offset, start, .. }) if offset < start => {
                        return Ok(Read::Overtaken(rows, start));
                    }
                    Err(e) => return Err(e),
                }
            }
            Ok(Read::Rows(rows, false))
        })?;
        let (rows, at_end) = match read {
            None => return Ok(()),
            Some(Read::Wrong(wrong)) => return Err(format!("{what}: {wrong}")),
            Some(Read::Rows(rows, at_end)) => (rows, at_end),
            Some(Read::Overtaken(rows, start)) => {
                self.starts(topic, start).map_err(|wrong| format!("{what}: {wrong}"))?;
                self.done.overtaken += 1;
                (rows, false)
            }
        };
        let table = &self.topics[topic].table;
        if let Some((at, row)) = rows.iter().find(|(at, row)| table.rows.get(*at as usize) != Some(row)) {
            return Err(format!("{what}: at {at} {row:?}, not {:?}", table.rows.get(*at as usize)));
        }
        follower.rows.extend(rows.iter().map(|(_, row)| *row));
        // Who is away for longer may miss tombstones.
        let in_time = now - follower.caught_up < TOMBSTONES.as_nanos() as i64;
        if !in_time || follower.reader.offset() < table.start {
            return Ok(());
        }
        if at_end {
            let (read, expected) = (fold(follower.rows.iter().copied()), table.folded(follower.from));
            if follower.reader.offset() != table.end() || read != expected {
                let (from, end) = (follower.from, follower.reader.offset());
                return Err(format!("{what}: from {from} to {end} it is {read:?}, not {expected:?}"));
            }
            self.done.followed += 1;
            follower.caught_up = now;
        }
        self.processes[process].followers.push(follower);
        Ok(())
    }

    /// Plans that something happens soon.
    fn plan(&mut self) -> Outcome {
        let moment = [Moment::Write, Moment::Sync, Moment::Name, Moment::Change][self.draw.below(4)];
        let n = 1 + self.draw.below(if moment == Moment::Change { 30 } else { 10 }) as u64;
        let event = match self.draw.below(10) {
            0..3 => Event::Fail,
            3..6 => Event::Kill,
            _ => Event::CutPower,
        };
        self.tell(|| format!("planned: {event:?} at {moment:?} {n} from now"));
        self.machine.plan(moment, n, event);
        Ok(())
    }

    fn fill_disk(&mut self) -> Outcome {
        let room = self.draw.below(3000) as u64;
        self.tell(|| format!("the disk has room for {room} bytes"));
        self.machine.full_after(room);
        Ok(())
    }

    fn heal(&mut self) -> Outcome {
        self.machine.heal();
        Ok(())
    }

    fn kill_one(&mut self) -> Outcome {
        if !self.processes.is_empty() {
            let one = self.draw.below(self.processes.len());
            self.machine.kill(&self.processes[one].disk);
            self.unsettled = true;
        }
        Ok(())
    }

    fn kill_all(&mut self) -> Outcome {
        self.tell(|| "all processes die".into());
        self.machine.kill_all();
        self.unsettled = true;
        Ok(())
    }

    fn cut_power(&mut self) -> Outcome {
        self.machine.cut_power();
        self.unsettled = true;
        Ok(())
    }

    /// After something has happened: puts away the dead, and has a new process find out what there is.
    fn settle(&mut self) -> Outcome {
        let mut tries = 0;
        while self.unsettled {
            let alive = self.processes.len();
            self.processes.retain(|process| self.machine.is_alive(&process.disk));
            self.done.kills += (alive - self.processes.len()) as u64;
            tries += 1;
            match tries {
                // It may happen again while what is left is looked at.
                ..TRIES if self.draw.chance(30) => self.plan()?,
                TRIES.. => self.heal()?,
                _ => {}
            }
            self.note_boot();
            self.unsettled = false;
            if !self.settle_all()? {
                self.unsettled = true;
            }
        }
        Ok(())
    }

    fn note_boot(&mut self) {
        let boots = self.machine.boots();
        if boots > self.boots {
            self.done.cuts += boots - self.boots;
            self.boots = boots;
            self.tell(|| "the machine starts again".into());
            self.topics.iter_mut().for_each(|topic| topic.table.loose = true);
        }
    }

    fn settle_all(&mut self) -> Outcome<bool> {
        let one = self.start();
        let Some(process) = self.open(one)? else { return Ok(false) };
        for topic in 0..self.topics.len() {
            let Subject { name, settings, .. } = &self.topics[topic];
            let (name, steps) = (*name, settings.fsync == Fsync::Step);
            // To enter finishes what others left unfinished; what was to be synced is not read before it is.
            let entered = self.call(process, format!("enters {name}"), |process| {
                let topic = log(process)?.topic(name)?;
                topic.writer(0)?.last_step(1)?;
                if steps { topic.sync(0) } else { Ok(()) }
            })?;
            if entered.is_none() || self.unsettled {
                return Ok(false);
            }
            let Some([start, _, end]) = self.offsets(process, topic)? else { return Ok(false) };
            let Some((_, found)) = self.read(process, topic, None)? else { return Ok(false) };
            if self.unsettled {
                return Ok(false);
            }
            let table = &mut self.topics[topic].table;
            let was_loose = table.loose;
            let lost = table.settle(end, &found).map_err(|wrong| format!("{name}: {wrong}"))?;
            self.done.lost += lost;
            self.topics[topic].table.loose = was_loose;
            let started = self.starts(topic, start);
            self.topics[topic].table.loose = false;
            started?;
            for pin in self.pins.iter_mut().flatten().filter(|pin| pin.topic == topic) {
                pin.rows.retain(|(at, _)| *at < end);
            }
            if !self.check(process, topic)? {
                return Ok(false);
            }
            let verified = self.call(process, format!("verifies {name}"), |process| {
                log(process)?.topic(name)?.verify(0, &mut |_| {})
            })?;
            if let Some(verified) = verified.filter(|verified| !verified.damage.is_empty()) {
                return Err(format!("{name}: {verified:?}"));
            }
        }
        if self.processes.len() > PROCESSES {
            self.processes.swap_remove(0);
        }
        Ok(true)
    }
}

/// What a reader that goes on reading has come to.
enum Read {
    /// Rows, and whether it is at the end.
    Rows(Vec<At>, bool),
    /// Rows, and that the log starts behind its place.
    Overtaken(Vec<At>, u64),
    Wrong(String),
}

/// What was done, if all of it was.
fn whole(mut done: Maintained) -> Result<Maintained, LogError> {
    let corrupt = done.failures.iter().position(|failure| matches!(failure, LogError::Corrupt(_)));
    match done.failures.is_empty() {
        true => Ok(done),
        false => Err(done.failures.swap_remove(corrupt.unwrap_or(0))),
    }
}

fn log(process: &Process) -> Result<&Log, LogError> {
    let closed = || LogError::NoTopic { name: "the log is not open".into(), nearest: None };
    process.log.as_ref().ok_or_else(closed)
}
