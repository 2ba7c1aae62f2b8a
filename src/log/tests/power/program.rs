//! Random programs over the log, run beside the model.

use super::super::{numbers, numbers_schema};
use super::model::{Found, Held, Slot, State};
use crate::clock::Clock;
use crate::disk::simulated::Draw;
use crate::disk::{Disk, Event, Moment, Simulation};
use crate::log::{
    Append, Appended, Codec, Fsync, Log, LogError, LogReader, PartitionWriter, Topic, TopicOptions,
    TopicSettings,
};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

/// The rows of an append are its number times this, and the numbers that follow.
const APART: i64 = 1000;
/// Larger appends are several frames.
const FRAME_BYTES: usize = 600;
const PROCESSES: usize = 3;
const TOPICS: [&str; 3] = ["a", "b", "c"];
const PRODUCERS: usize = 3;
/// How often checking is tried again when a planned event comes between, before nothing more is planned.
const TRIES: usize = 3;

/// `Err` = the log did what the model does not allow.
type Outcome<T = ()> = Result<T, String>;
type Operation = fn(&mut Program) -> Outcome;

/// What a program does: how often, and how.
const OPERATIONS: &[(usize, Operation)] = &[
    (40, Program::append),
    (10, Program::append_again),
    (7, Program::sync),
    (8, Program::read),
    (8, Program::follow),
    (3, Program::ask_last_step),
    (4, Program::ask_offsets),
    (2, Program::create),
    (1, Program::delete),
    (9, Program::plan),
    (1, Program::fill_disk),
    (4, Program::heal),
    (2, Program::kill_one),
    (1, Program::kill_all),
    (1, Program::cut_power),
];

/// How much was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub(super) operations: u64,
    pub(super) appends: u64,
    pub(super) duplicates: u64,
    /// New segments, as far as they are seen.
    pub(super) rolled: u64,
    pub(super) cuts: u64,
    pub(super) kills: u64,
    /// Calls that failed because of what was planned.
    pub(super) failures: u64,
    /// Acknowledged appends that a power cut took.
    pub(super) lost: u64,
}

impl Done {
    pub(super) fn add(&mut self, other: &Done) {
        self.operations += other.operations;
        self.appends += other.appends;
        self.duplicates += other.duplicates;
        self.rolled += other.rolled;
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.failures += other.failures;
        self.lost += other.lost;
    }
}

/// A topic as it should be.
struct Subject {
    name: &'static str,
    /// `None` = it may exist or not.
    exists: Option<bool>,
    /// Whether that is durable.
    settled: bool,
    /// How often it was created.
    life: u64,
    partitions: Vec<Held>,
    /// Appends are acknowledged when they are durable, and not read before.
    steps: bool,
}

/// Where rows go: topic and partition.
type Place = (usize, u32);

/// A process with the log open.
struct Process {
    disk: Disk,
    number: u64,
    log: Option<Log>,
    /// One of its syncs failed: it may say of a partition that it takes no more.
    sync_failed: bool,
    writers: HashMap<(Place, u64), PartitionWriter>,
    readers: Vec<(Place, u64, LogReader)>,
}

struct Program {
    draw: Draw,
    machine: Simulation,
    boots: u64,
    processes: Vec<Process>,
    started: u64,
    topics: Vec<Subject>,
    /// The number of the last append.
    last: i64,
    done: Done,
    trace: Option<String>,
}

/// What became of a call into the log.
enum Call<T> {
    Done(T),
    /// It failed, and something that was planned excuses it.
    Failed,
}

/// Runs the case of a seed. With `record`, the error tells what was done.
pub(super) fn run(seed: u64, record: bool) -> Outcome<Done> {
    let mut draw = Draw::new(seed);
    let (_, machine) = Disk::simulated(draw.bits());
    if record {
        machine.record();
    }
    let topics = TOPICS.map(|name| Subject {
        name,
        exists: Some(false),
        settled: true,
        life: 0,
        partitions: vec![],
        steps: false,
    });
    let mut program = Program {
        draw,
        machine,
        boots: 0,
        processes: Vec::new(),
        started: 1,
        topics: topics.into(),
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
        let weights: usize = OPERATIONS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..self.draw.below(150) {
            let mut at = self.draw.below(weights);
            let operation = OPERATIONS.iter().find(|(weight, _)| {
                let found = at < *weight;
                at = at.saturating_sub(*weight);
                found
            });
            self.done.operations += 1;
            operation.map_or(Ok(()), |(_, operation)| operation(self))?;
            self.after_crash()?;
        }
        self.heal()?;
        if self.draw.chance(60) { self.cut_power() } else { self.kill_all() }?;
        self.after_crash()?;
        while !self.check_all(false)? {
            self.after_crash()?;
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

    /// Does something with a process's log, and judges whether it may fail.
    fn call<T>(
        &mut self,
        process: usize,
        place: Option<Place>,
        what: String,
        work: impl FnOnce(&mut Process) -> Result<T, LogError>,
    ) -> Outcome<Call<T>> {
        let number = self.processes[process].number;
        self.tell(|| format!("p{number} {what}"));
        let result = work(&mut self.processes[process]);
        let happened = self.machine.happened();
        let error = result.as_ref().err().map(ToString::to_string);
        self.tell(|| format!("    {}", error.as_deref().unwrap_or("done")));
        if happened.contains(&(Moment::Sync, Event::Fail)) {
            self.processes[process].sync_failed = true;
            if let Some((topic, partition)) = place {
                self.topics[topic].partitions[partition as usize].loosen();
                // Who has read what is lost is told so, or reads what has taken its place.
                self.processes.iter_mut().for_each(|p| p.readers.retain(|r| r.0 != (topic, partition)));
            }
        }
        match result {
            Ok(value) => Ok(Call::Done(value)),
            Err(LogError::Corrupt(told)) => Err(format!("{what}: {told}")),
            Err(LogError::SyncFailed { .. }) if self.processes[process].sync_failed => Ok(Call::Failed),
            Err(_) if !happened.is_empty() => {
                self.done.failures += 1;
                Ok(Call::Failed)
            }
            Err(told) => Err(format!("{what}: {told}")),
        }
    }

    /// A process whose log is open; `None` = it could not be opened because of what was planned.
    fn process(&mut self) -> Outcome<Option<usize>> {
        let one = self.draw.below(PROCESSES);
        if one >= self.processes.len() {
            let disk = self.machine.process();
            let number = self.started;
            self.started += 1;
            self.processes.push(Process {
                disk,
                number,
                log: None,
                sync_failed: false,
                writers: HashMap::new(),
                readers: Vec::new(),
            });
        }
        let one = one.min(self.processes.len() - 1);
        if self.processes[one].log.is_none() {
            let opened = self.call(one, None, "opens the log".into(), |process| {
                process.log = Some(Log::open("/new/data", process.disk.clone(), Clock::manual(1_000))?);
                Ok(())
            })?;
            if let Call::Failed = opened {
                return Ok(None);
            }
        }
        Ok(Some(one))
    }

    /// Finds out whether a topic exists; `false` = that failed.
    fn resolve(&mut self, process: usize, topic: usize) -> Outcome<bool> {
        if self.topics[topic].exists.is_some() {
            return Ok(true);
        }
        let name = self.topics[topic].name;
        let what = format!("asks whether {name} exists");
        let Call::Done(exists) = self.call(process, None, what, |p| log(p)?.topic_exists(name))? else {
            return Ok(false);
        };
        self.topics[topic].exists = Some(exists);
        Ok(true)
    }

    /// A process, an existing topic and one of its partitions.
    fn place(&mut self) -> Outcome<Option<(usize, Place)>> {
        let Some(process) = self.process()? else { return Ok(None) };
        let topic = self.draw.below(TOPICS.len());
        if !self.resolve(process, topic)? {
            return Ok(None);
        }
        if self.topics[topic].exists == Some(false) {
            self.create_topic(process, topic)?;
            return Ok(None);
        }
        let partition = self.draw.below(self.topics[topic].partitions.len()) as u32;
        Ok(Some((process, (topic, partition))))
    }

    fn held(&mut self, (topic, partition): Place) -> &mut Held {
        &mut self.topics[topic].partitions[partition as usize]
    }

    fn name(&self, (topic, partition): Place) -> String {
        format!("{}/{partition}", self.topics[topic].name)
    }

    /// Does something with a writer of a partition: the one that the process has, or a new one.
    fn write<T>(
        &mut self,
        process: usize,
        place: Place,
        what: String,
        work: impl FnOnce(&mut PartitionWriter) -> Result<T, LogError>,
    ) -> Outcome<Call<T>> {
        let (name, life) = (self.topics[place.0].name, self.topics[place.0].life);
        let anew = self.draw.chance(20);
        self.call(process, Some(place), what, |process| {
            let key = (place, life);
            if anew || !process.writers.contains_key(&key) {
                let mut writer = log(process)?.topic(name)?.writer(place.1)?;
                writer.spread(FRAME_BYTES);
                process.writers.insert(key, writer);
            }
            process.writers.get_mut(&key).map_or_else(|| Err(closed()), work)
        })
    }

    fn append(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let producer = self.draw.below(PRODUCERS + 1) as u128;
        let step = self.held(place).last_step(producer, false).map_or(0, |last| last + 1);
        let step = step + u64::from(self.draw.chance(10));
        self.append_step(process, place, producer, if producer == 0 { 0 } else { step })
    }

    /// A producer does not know whether its step got through, and appends it again, or an older one.
    fn append_again(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let producer = 1 + self.draw.below(PRODUCERS) as u128;
        let Some(last) = self.held(place).last_step(producer, false) else { return Ok(()) };
        let step = if self.draw.chance(70) { last } else { self.draw.below(last as usize + 1) as u64 };
        self.append_step(process, place, producer, step)
    }

    fn append_step(&mut self, process: usize, place: Place, producer: u128, step: u64) -> Outcome {
        self.last += 1;
        let id = self.last;
        let rows = match self.draw.below(20) {
            0 => 0,
            1..15 => 1 + self.draw.below(4),
            _ => 1 + self.draw.below(250),
        };
        let batch = numbers(id * APART..id * APART + rows as i64);
        let append = Append { producer, step, watermark: Some(id), ..Append::rows(&batch) };
        let what =
            format!("appends #{id}, {rows} rows, as step {step} of {producer} to {}", self.name(place));
        let slot = Slot { id, rows, producer, step, base: None, state: State::Maybe };
        match self.write(process, place, what, |writer| writer.append(append))? {
            Call::Failed => self.held(place).slots.push(slot),
            Call::Done(Appended { duplicate: true, .. }) => {
                self.done.duplicates += 1;
                self.held(place).duplicate(producer, step)?;
            }
            Call::Done(Appended { base_offset, next_offset, .. }) => {
                self.done.appends += 1;
                if next_offset - base_offset != rows as u64 {
                    return Err(format!("#{id} got the offsets from {base_offset} to {next_offset}"));
                }
                let slot = Slot { base: Some(base_offset), state: State::There, ..slot };
                self.held(place).appended(slot)?;
            }
        }
        self.settle_steps(place);
        Ok(())
    }

    /// Where appends are acknowledged when they are durable, those that have been are.
    fn settle_steps(&mut self, place: Place) {
        if self.topics[place.0].steps {
            self.held(place).synced();
        }
    }

    fn sync(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let what = format!("syncs {}", self.name(place));
        if let Call::Done(()) = self.write(process, place, what, PartitionWriter::sync)? {
            self.held(place).synced();
            // It may have had nothing to do.
            self.topics[place.0].settled |= self.held(place).ends().0 > 0;
        }
        Ok(())
    }

    fn ask_last_step(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let producer = 1 + self.draw.below(PRODUCERS) as u128;
        let what = format!("asks for the last step of {producer} in {}", self.name(place));
        let asked = self.write(process, place, what.clone(), |writer| writer.last_step(producer))?;
        let held = self.held(place);
        let (least, most) = (held.last_step(producer, true), held.last_step(producer, false));
        match asked {
            Call::Done(last) if last < least || last > most => Err(format!("{what}: {last:?}{held}")),
            _ => Ok(()),
        }
    }

    fn ask_offsets(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let name = self.topics[place.0].name;
        let what = format!("asks for the offsets of {}", self.name(place));
        let asked = self.call(process, Some(place), what.clone(), |process| {
            let topic = log(process)?.topic(name)?;
            // In this order: who appends in between only raises the later ones.
            Ok([topic.start_offset(place.1)?, topic.durable_offset(place.1)?, topic.end_offset(place.1)?])
        })?;
        let Call::Done([start, durable, end]) = asked else { return Ok(()) };
        let held = self.held(place);
        let (least, most) = held.ends();
        if start != 0 || durable > end || !(least..=most).contains(&end) {
            return Err(format!("{what}: start {start}, durable {durable}, end {end}{held}"));
        }
        held.durable(durable);
        Ok(())
    }

    /// Reads a partition from its start to its end, and settles what was uncertain.
    fn settle(&mut self, process: usize, place: Place, entered: bool) -> Outcome<bool> {
        let what = format!("reads all of {}", self.name(place));
        let Call::Done(found) = self.read_from(process, place, what.clone(), 0)? else { return Ok(false) };
        if self.processes[process].sync_failed {
            // It may see less than others do; what it sees must be right.
            let mut held = self.held(place).clone();
            held.loosen();
            return held.settle(&found, false).map(|()| false).map_err(|wrong| format!("{what}: {wrong}"));
        }
        let held = self.held(place);
        let lost = |slot: &&Slot| slot.state == State::Loose && found.iter().all(|found| found.id != slot.id);
        let lost = held.slots.iter().filter(lost).count();
        held.settle(&found, entered).map_err(|wrong| format!("{what}: {wrong}"))?;
        self.done.lost += lost as u64;
        self.settle_steps(place);
        Ok(true)
    }

    /// What a new reader gives from an offset on.
    fn read_from(
        &mut self,
        process: usize,
        place: Place,
        what: String,
        offset: u64,
    ) -> Outcome<Call<Vec<Found>>> {
        let name = self.topics[place.0].name;
        let called = self.call(process, Some(place), what, |process| {
            let topic: Arc<Topic> = log(process)?.topic(name)?;
            let mut reader = topic.reader(place.1, offset, None)?;
            let mut found = Vec::new();
            while let Some(append) = next(&mut reader)? {
                found.push(append);
            }
            Ok(found)
        })?;
        match called {
            Call::Failed => Ok(Call::Failed),
            Call::Done(found) => Ok(Call::Done(found.into_iter().collect::<Outcome<_>>()?)),
        }
    }

    /// Reads from anywhere.
    fn read(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        if !self.settle(process, place, false)? {
            return Ok(());
        }
        let mut all = self.held(place).slots.clone();
        all.retain(|slot| slot.state != State::Maybe);
        let offset = self.draw.below(all.iter().map(|slot| slot.rows).sum::<usize>() + 1) as u64;
        let what = format!("reads {} from {offset}", self.name(place));
        let Call::Done(found) = self.read_from(process, place, what.clone(), offset)? else { return Ok(()) };
        let at = |slot: &Slot| slot.base.unwrap_or_default();
        let expected = all.iter().filter(|slot| at(slot) + slot.rows as u64 > offset || at(slot) == offset);
        let expected: Vec<(i64, u64)> =
            expected.map(|slot| (slot.id, (at(slot) + slot.rows as u64).max(offset))).collect();
        let found: Vec<(i64, u64)> = found.iter().map(|f| (f.id, f.base + f.rows as u64)).collect();
        // Appends without rows just before the offset may be read as well.
        let without = found.iter().skip_while(|(id, _)| !expected.iter().any(|e| e.0 == *id));
        if without.copied().collect::<Vec<_>>() != expected {
            return Err(format!("{what}: {found:?}, not {expected:?}"));
        }
        Ok(())
    }

    /// A reader that stays open reads on.
    fn follow(&mut self) -> Outcome {
        let Some((process, place)) = self.place()? else { return Ok(()) };
        let (name, life) = (self.topics[place.0].name, self.topics[place.0].life);
        let key = (place, life);
        let open = self.processes[process].readers.iter().position(|r| (r.0, r.1) == key);
        let Some(open) = open else {
            let what = format!("opens a reader of {}", self.name(place));
            self.call(process, Some(place), what, |process| {
                let reader = log(process)?.topic(name)?.reader(place.1, 0, None)?;
                process.readers.push((place, life, reader));
                Ok(())
            })?;
            return Ok(());
        };
        let what = format!("reads on in {}", self.name(place));
        let from = self.processes[process].readers[open].2.offset();
        let appends = self.draw.below(6);
        let read = self.call(process, Some(place), what.clone(), |process| {
            let reader = &mut process.readers[open].2;
            let mut found = Vec::new();
            for _ in 0..appends {
                match next(reader)? {
                    Some(append) => found.push(append),
                    None => break,
                }
            }
            Ok(found)
        });
        let Call::Done(read) = read? else {
            self.processes[process].readers.retain(|reader| (reader.0, reader.1) != key);
            return Ok(());
        };
        let read = read.into_iter().collect::<Outcome<Vec<_>>>()?;
        let mut offset = from;
        for found in read {
            let wrong = format!("{what} at {offset}: {found:?} was not to be read");
            let held = self.held(place);
            let Some(slot) = held.slots.iter_mut().find(|slot| slot.id == found.id) else {
                return Err(format!("{wrong}{held}"));
            };
            if found.base != offset || found.rows != slot.rows || slot.base.is_some_and(|b| b != found.base) {
                return Err(format!("{wrong}{held}"));
            }
            offset += found.rows as u64;
            slot.base = Some(found.base);
            if slot.state == State::Maybe {
                slot.state = State::There;
            }
        }
        self.settle_steps(place);
        Ok(())
    }

    fn create(&mut self) -> Outcome {
        let Some(process) = self.process()? else { return Ok(()) };
        let topic = self.draw.below(TOPICS.len());
        if !self.resolve(process, topic)? || self.topics[topic].exists == Some(true) {
            return Ok(());
        }
        self.create_topic(process, topic)
    }

    fn create_topic(&mut self, process: usize, topic: usize) -> Outcome {
        if !self.topics[topic].settled {
            // When the power goes, one that failed to be created or deleted may come back.
            return Ok(());
        }
        let options = TopicOptions {
            partitions: 1 + self.draw.below(3) as u32,
            codec: Codec::ALL[self.draw.below(3)],
            settings: TopicSettings {
                // In the background is no matter of chance.
                fsync: if self.draw.chance(30) { Fsync::Step } else { Fsync::Os },
                ..TopicSettings::segments_of(1 + self.draw.below(3000) as u64)
            },
        };
        let subject = &mut self.topics[topic];
        subject.partitions = vec![Held::default(); options.partitions as usize];
        subject.life += 1;
        subject.steps = options.settings.fsync == Fsync::Step;
        (subject.exists, subject.settled) = (None, false);
        let name = subject.name;
        let what = format!("creates {name}: {options:?}");
        let work =
            |process: &mut Process| log(process)?.create_topic(name, options.clone(), numbers_schema());
        if let Call::Done(_) = self.call(process, None, what, work)? {
            (self.topics[topic].exists, self.topics[topic].settled) = (Some(true), true);
        }
        Ok(())
    }

    fn delete(&mut self) -> Outcome {
        let Some((process, (topic, _))) = self.place()? else { return Ok(()) };
        let (name, life) = (self.topics[topic].name, self.topics[topic].life);
        (self.topics[topic].exists, self.topics[topic].settled) = (None, false);
        let work = |process: &mut Process| log(process)?.delete_topic(name);
        if let Call::Failed = self.call(process, None, format!("deletes {name}"), work)? {
            return Ok(());
        }
        (self.topics[topic].exists, self.topics[topic].settled) = (Some(false), true);
        // Who still has it open is told.
        for other in 0..self.processes.len() {
            let process = &mut self.processes[other];
            let Some(key) = process.writers.keys().find(|(p, l)| (p.0, *l) == (topic, life)).copied() else {
                continue;
            };
            let Some(mut writer) = process.writers.remove(&key) else { continue };
            let batch = numbers([1]);
            let told = writer.append(Append::rows(&batch));
            let excused = !self.machine.happened().is_empty() || process.sync_failed;
            if !excused && !matches!(told, Err(LogError::TopicDeleted { .. })) {
                return Err(format!("an append to {name}, which was deleted: {told:?}"));
            }
        }
        Ok(())
    }

    /// Plans that something happens soon.
    fn plan(&mut self) -> Outcome {
        let moment = [Moment::Write, Moment::Sync, Moment::Name, Moment::Change][self.draw.below(4)];
        let n = 1 + self.draw.below(if moment == Moment::Change { 12 } else { 5 }) as u64;
        let event = match self.draw.below(10) {
            0 | 1 => Event::Fail,
            2 => Event::Kill,
            _ => Event::CutPower,
        };
        self.tell(|| format!("planned: {event:?} at {moment:?} {n} from now"));
        self.machine.plan(moment, n, event);
        Ok(())
    }

    fn fill_disk(&mut self) -> Outcome {
        let room = self.draw.below(2000) as u64;
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
        }
        Ok(())
    }

    fn kill_all(&mut self) -> Outcome {
        self.tell(|| "all processes die".into());
        self.machine.kill_all();
        Ok(())
    }

    fn cut_power(&mut self) -> Outcome {
        self.machine.cut_power();
        Ok(())
    }

    /// Puts away the dead, and after a power cut compares all that is left with the model.
    fn after_crash(&mut self) -> Outcome {
        let mut tries = 0;
        loop {
            self.machine.happened();
            let alive = self.processes.len();
            self.processes.retain(|process| self.machine.is_alive(&process.disk));
            let boots = self.machine.boots();
            if boots == self.boots {
                self.done.kills += (alive - self.processes.len()) as u64;
                if tries == 0 {
                    return Ok(());
                }
            } else {
                self.done.cuts += boots - self.boots;
                self.boots = boots;
                self.tell(|| "the machine starts again".into());
                for topic in &mut self.topics {
                    topic.exists = topic.exists.filter(|_| topic.settled);
                    topic.partitions.iter_mut().for_each(Held::loosen);
                }
            }
            tries += 1;
            match tries {
                // The power may go again while what it left is looked at.
                ..TRIES if self.draw.chance(30) => self.plan()?,
                TRIES.. => self.heal()?,
                _ => {}
            }
            if self.check_all(true)? && boots == self.machine.boots() {
                tries = 0;
            }
        }
    }

    /// Compares everything with the model; `false` = something that was planned came between.
    fn check_all(&mut self, booted: bool) -> Outcome<bool> {
        let boot = self.machine.boots();
        let Some(process) = self.process()? else { return Ok(false) };
        if self.processes[process].sync_failed {
            // Only others can tell.
            self.machine.kill(&self.processes[process].disk);
            return Ok(false);
        }
        for topic in 0..TOPICS.len() {
            let expected = self.topics[topic].exists;
            let name = self.topics[topic].name;
            let what = format!("asks whether {name} exists");
            let Call::Done(exists) = self.call(process, None, what, |p| log(p)?.topic_exists(name))? else {
                return Ok(false);
            };
            if expected.is_some_and(|expected| expected != exists) {
                return Err(format!("the topic {name} exists: {exists}, should be {expected:?}"));
            }
            self.topics[topic].exists = Some(exists);
            if booted && boot == self.machine.boots() {
                // What is there now was on disk.
                self.topics[topic].settled = true;
            }
            if !exists {
                continue;
            }
            for partition in 0..self.topics[topic].partitions.len() as u32 {
                let place = (topic, partition);
                let enters = self.draw.chance(50);
                if enters {
                    // Somebody who writes comes first.
                    let what = format!("enters {}", self.name(place));
                    let entered = self.write(process, place, what, |writer| writer.last_step(1))?;
                    if let Call::Failed = entered {
                        return Ok(false);
                    }
                }
                // To enter finishes what others left unfinished; but for the sync, before which nobody reads it.
                let finished = booted || (enters && !self.topics[topic].steps);
                if !self.settle(process, place, finished)? {
                    return Ok(false);
                }
                self.done.rolled += self.count_rolled(process, place);
            }
        }
        Ok(true)
    }

    fn count_rolled(&self, process: usize, place: Place) -> u64 {
        let process = &self.processes[process];
        let topic = process.log.as_ref().and_then(|log| log.topic(self.topics[place.0].name).ok());
        let dir = topic.map(|topic| topic.dir().join(place.1.to_string()));
        let names = dir.and_then(|dir| process.disk.list(&dir).ok()).unwrap_or_default();
        (names.iter().filter(|name| name.ends_with(".log")).count() as u64).saturating_sub(1)
    }
}

/// The next whole append of a reader, or what is wrong with it.
fn next(reader: &mut LogReader) -> Result<Option<Outcome<Found>>, LogError> {
    let mut whole: Option<Found> = None;
    loop {
        let Some(frame) = reader.next()? else {
            return Ok(whole.map(|part| Err(format!("half an append was read: {part:?}"))));
        };
        let column = frame.batch.column(0).as_primitive::<Int64Type>().values();
        let id = column.first().map(|value| value / APART).or(frame.watermark).unwrap_or_default();
        let skipped = column.first().map_or(0, |value| (value % APART) as u64);
        let found = whole.get_or_insert(Found {
            id,
            rows: 0,
            producer: frame.producer,
            step: frame.step,
            base: frame.base_offset,
        });
        let goes_on = found.id == id
            && (found.producer, found.step) == (frame.producer, frame.step)
            && column.iter().zip(id * APART + skipped as i64..).all(|(value, expected)| *value == expected)
            && frame.base_offset == found.base + found.rows as u64;
        if !goes_on || frame.watermark.is_some_and(|watermark| watermark != id) {
            return Ok(Some(Err(format!("{frame:?} was read, after {found:?}"))));
        }
        found.rows += column.len();
        if frame.watermark.is_some() {
            return Ok(whole.map(Ok));
        }
    }
}

fn log(process: &Process) -> Result<&Log, LogError> {
    process.log.as_ref().ok_or_else(closed)
}

fn closed() -> LogError {
    LogError::NoTopic { name: "the log is not open".into(), nearest: None }
}
