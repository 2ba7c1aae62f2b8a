//! Whole jobs when processes die, writes fail or are torn, and the power goes: random programs on a simulated machine, in which
//! rows come to a topic, a job writes what it makes of them into a second one, and another job reads that and writes a table.
//!
//! Whatever happens (but after a failed sync, when a job may say that it cannot), each job goes on by itself, and in the end a sink holds what its query gives over what its source holds then:
//! nothing twice, nothing missing. (What the source holds itself the log's own tests say: `crate::log`.) A reader that comes before the job
//! has started again sees no row that the job would not make again, but after a failed sync.
//!
//! `MILLSTREAM_WHOLE_CASES` says how many cases are run, `MILLSTREAM_WHOLE_FIRST` with which seed they begin;
//! `MILLSTREAM_WHOLE_SEED` runs one seed alone and tells what it did.

use super::machine::{self, PARTITIONS, Plans, Row, Running};
use crate::clock::Clock;
use crate::disk::seeds::Seeds;
use crate::disk::simulated::Draw;
use crate::disk::{Disk, Event, Moment as Happens, Simulation};
use crate::log::Log;
use crate::runtime::Result;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Duration;

const CASES: u64 = 200;
const OPERATIONS: usize = 80;
const KEYS: usize = 7;
/// How a job says that it cannot go on.
const REFUSALS: [&str; 2] = ["rows that were read before are gone", "but its sink has step"];

static PLANS: LazyLock<Plans> = LazyLock::new(Plans::new);

/// How often things were done, over all cases.
#[derive(Debug, Default)]
struct Done {
    steps: u64,
    checkpoints: u64,
    starts: u64,
    cuts: u64,
    kills: u64,
    failures: u64,
    /// Recoveries that cut off what a job had lost the reasons of, and rows of such.
    ahead: u64,
    anew: u64,
    /// Rows that the source lost.
    lost: u64,
    /// Jobs that did not go on, after a failed sync.
    refused: u64,
}

/// A process that runs both jobs.
struct Process {
    disk: Disk,
    clock: Clock,
    log: Log,
    a: Option<Running>,
    b: Option<Running>,
}

struct Program {
    draw: Draw,
    machine: Simulation,
    process: Option<Process>,
    next_id: i64,
    boots: u64,
    /// A sync has failed.
    sync_failed: bool,
    /// One has in this process: a thread beside the steps makes it, and they may hear of it later.
    owed: bool,
    /// A job has said that it cannot go on.
    refused: bool,
    done: Done,
    told: Option<String>,
}

#[test]
fn whatever_happens_jobs_go_on_and_their_sinks_hold_what_their_queries_give() {
    let add = |sum: &mut Done, one: &Done| {
        sum.steps += one.steps;
        sum.checkpoints += one.checkpoints;
        sum.starts += one.starts;
        sum.cuts += one.cuts;
        sum.kills += one.kills;
        sum.failures += one.failures;
        sum.ahead += one.ahead;
        sum.anew += one.anew;
        sum.lost += one.lost;
        sum.refused += one.refused;
    };
    let seeds = Seeds { name: "WHOLE", test: "whatever_happens_jobs_go_on", cases: CASES, run, add };
    if let Some(done) = seeds.run() {
        assert!(done.cuts > CASES / 2 && done.kills > CASES / 2 && done.failures > CASES / 4, "{done:?}");
        assert!(done.steps > 5 * CASES && done.checkpoints > CASES && done.starts > 3 * CASES, "{done:?}");
        assert!(done.refused < CASES / 10, "{done:?}");
        assert!(done.ahead > 0 && done.anew > 0 && done.lost > 0, "{done:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        let trace = || {
            let mut program = Program::new(seed, true);
            program.all().unwrap();
            program.told.unwrap()
        };
        let (one, other) = (trace(), trace());
        let differs = one.lines().zip(other.lines()).find(|(a, b)| a != b);
        assert!(one == other, "{differs:?}");
    }
}

fn run(seed: u64, record: bool) -> Result<Done, String> {
    let mut program = Program::new(seed, record);
    // A panic, too, is told with what led to it.
    let ran = catch_unwind(AssertUnwindSafe(|| program.all())).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        Err(words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_string())
    });
    match ran {
        Ok(()) => Ok(program.done),
        Err(wrong) => {
            program.tell(|| "so far".into());
            Err(program.told.map(|told| format!("{told}{wrong}")).unwrap_or(wrong))
        }
    }
}

fn told<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

impl Program {
    fn new(seed: u64, record: bool) -> Self {
        let (disk, machine) = Disk::simulated(seed);
        let mut draw = Draw::new(seed);
        let log = machine::open(&disk).unwrap();
        machine::create(&log, draw.chance(25)).unwrap();
        drop(log);
        machine.kill(&disk);
        if record {
            machine.record();
        }
        Program {
            draw,
            machine,
            process: None,
            next_id: 0,
            boots: 0,
            sync_failed: false,
            owed: false,
            refused: false,
            done: Done::default(),
            told: record.then(String::new),
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            for line in self.machine.trace() {
                *told += &format!("    {line}\n");
            }
            *told += &format!("{}\n", what());
        }
    }

    fn all(&mut self) -> Result<(), String> {
        for _ in 0..OPERATIONS {
            let worked = match self.process {
                None => self.begin(),
                Some(_) => self.operation(),
            };
            self.look(worked)?;
            if self.refused {
                return Ok(());
            }
        }
        self.machine.heal();
        self.end();
        while self.process.is_none() && !self.refused {
            let begun = self.begin();
            self.look(begun)?;
        }
        if !self.refused {
            let finished = self.finish();
            self.look(finished)?;
        }
        self.end();
        Ok(())
    }

    /// The process goes, if there is one.
    fn end(&mut self) {
        self.owed = false;
        if let Some(process) = self.process.take() {
            self.machine.kill(&process.disk);
        }
    }

    /// Sees whether the process has died, or must because something has failed.
    fn look(&mut self, worked: Result<(), String>) -> Result<(), String> {
        let happened = self.machine.happened();
        self.owed |= happened.contains(&(Happens::Sync, Event::Fail));
        self.sync_failed |= self.owed;
        let happened = !happened.is_empty() || self.owed;
        let alive = self.process.as_ref().is_some_and(|p| self.machine.is_alive(&p.disk));
        match worked {
            Ok(()) if alive => return Ok(()),
            Ok(()) => {}
            Err(error) if happened || !alive => {
                self.done.failures += 1;
                self.tell(|| format!("failed: {error}"));
            }
            // A failed sync may take rows, or what a journal says, while the machine runs and others have read what came of
            // them. Then nobody can say how it was, and the job says so.
            Err(error) if self.sync_failed && REFUSALS.iter().any(|words| error.contains(words)) => {
                self.done.refused += 1;
                self.refused = true;
            }
            Err(error) => return Err(format!("it failed without a reason: {error}")),
        }
        let boots = self.machine.boots();
        self.done.cuts += boots - self.boots;
        self.done.kills += u64::from(boots == self.boots);
        self.boots = boots;
        self.end();
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        self.tell(|| "a process begins".into());
        let disk = self.machine.process();
        let clock = Clock::manual(1_000);
        // Also where it cannot begin it is there, and has to go.
        let log = match machine::open(&disk) {
            Ok(log) => log,
            Err(error) => {
                self.machine.kill(&disk);
                self.machine.heal();
                return Err(error.to_string());
            }
        };
        self.process = Some(Process { disk, clock, log, a: None, b: None });
        // Others may be quicker than the jobs.
        if self.draw.chance(40) {
            self.append()?;
        }
        if self.draw.chance(30) {
            self.readable()?;
        }
        let first = if self.draw.chance(50) { "a" } else { "b" };
        self.start(first)
    }

    /// Each row that can be read in `t` is one that comes of a row in `s`, and is there once.
    fn readable(&mut self) -> Result<(), String> {
        let Some(process) = &self.process else { return Ok(()) };
        let t = told(machine::rows(&process.log, "t"))?;
        let s: BTreeSet<Row> = machine::kept(&told(machine::rows(&process.log, "s"))?).into_iter().collect();
        let once: BTreeSet<Row> = t.iter().copied().collect();
        match t.iter().find(|row| !s.contains(row)) {
            None if once.len() == t.len() => Ok(()),
            None => panic!("there are rows twice: {t:?}"),
            // A failed sync may have taken what it came of: the job will say so.
            Some(_) if self.sync_failed => Ok(()),
            Some(row) => panic!("{row:?} comes of nothing that is there"),
        }
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let workers = 1 + self.draw.below(2);
        self.tell(|| format!("{name} starts"));
        let Some(process) = &mut self.process else { return Ok(()) };
        let Process { disk, clock, log, a, b } = process;
        let running = told(Running::start(&PLANS, name, log, disk, clock, workers))?;
        self.done.anew += running.made_anew() as u64;
        self.done.starts += 1;
        for topic in ["t", "u"] {
            let recovered = told(log.topic(topic).map_err(Into::into))?.recovered();
            self.done.ahead += recovered.iter().filter(|r| r.ahead).count() as u64;
        }
        *(if name == "a" { a } else { b }) = Some(running);
        Ok(())
    }

    fn append(&mut self) -> Result<(), String> {
        let rows: Vec<Row> = (0..1 + self.draw.below(5) as i64)
            .map(|i| (self.next_id + i, self.draw.below(KEYS) as i64, self.draw.below(100) as i64))
            .collect();
        self.next_id += rows.len() as i64;
        let partition = self.draw.below(PARTITIONS as usize) as u32;
        self.tell(|| format!("appends to {partition}: {rows:?}"));
        let Some(process) = &self.process else { return Ok(()) };
        told(machine::append(&process.log, partition, &rows))
    }

    /// Makes a partition of a topic durable, as the background would.
    fn sync(&mut self) -> Result<(), String> {
        let topic = ["s", "t", "u"][self.draw.below(3)];
        let partition = self.draw.below(PARTITIONS as usize) as u32;
        self.tell(|| format!("syncs {topic} {partition}"));
        let Some(process) = &self.process else { return Ok(()) };
        let synced = process.log.topic(topic).and_then(|t| t.sync(partition));
        told(synced.map_err(Into::into))
    }

    fn operation(&mut self) -> Result<(), String> {
        let name = if self.draw.chance(50) { "a" } else { "b" };
        let what = self.draw.below(100);
        let there = |p: &Process| if name == "a" { p.a.is_some() } else { p.b.is_some() };
        let runs = self.process.as_ref().is_some_and(there);
        match what {
            0..25 => self.append(),
            25..60 if !runs => self.start(name),
            25..60 => self.step(name),
            60..72 => self.checkpoint(name),
            72..80 => self.sync(),
            80..83 => {
                let Some(process) = &self.process else { return Ok(()) };
                process.clock.advance(Duration::from_millis(300));
                Ok(())
            }
            83..86 => {
                self.machine.kill_all();
                Ok(())
            }
            86..91 => {
                self.machine.cut_power();
                Ok(())
            }
            _ => {
                let moment =
                    [Happens::Write, Happens::Sync, Happens::Name, Happens::Change][self.draw.below(4)];
                let n = 1 + self.draw.below(12) as u64;
                let event = [Event::Fail, Event::Kill, Event::CutPower][self.draw.below(3)];
                self.tell(|| format!("planned: {event:?} at {moment:?} {n} from now"));
                self.machine.plan(moment, n, event);
                Ok(())
            }
        }
    }

    fn job(&mut self, name: &str) -> Option<&mut Running> {
        let process = self.process.as_mut()?;
        if name == "a" { process.a.as_mut() } else { process.b.as_mut() }
    }

    fn step(&mut self, name: &str) -> Result<(), String> {
        let most = 1 + self.draw.below(20);
        let Some(job) = self.job(name) else { return Ok(()) };
        let next = job.last_step() + 1;
        self.tell(|| format!("step {next} of {name}"));
        let Some(job) = self.job(name) else { return Ok(()) };
        let any = told(job.step(most))?;
        self.done.steps += u64::from(any);
        Ok(())
    }

    fn checkpoint(&mut self, name: &str) -> Result<(), String> {
        let Some(job) = self.job(name) else { return Ok(()) };
        let step = job.last_step();
        self.tell(|| format!("checkpoint of step {step} of {name}"));
        let Some(job) = self.job(name) else { return Ok(()) };
        told(job.checkpoint())?;
        self.done.checkpoints += 1;
        Ok(())
    }

    /// Both jobs read all that there is; then the sinks are as they must be.
    fn finish(&mut self) -> Result<(), String> {
        for name in ["a", "b"] {
            if self.job(name).is_none() {
                self.start(name)?;
            }
            while let Some(job) = self.job(name) {
                if !told(job.step(50))? {
                    break;
                }
            }
        }
        let Some(process) = &self.process else { return Ok(()) };
        let (s, t) = (told(machine::rows(&process.log, "s"))?, told(machine::rows(&process.log, "t"))?);
        self.done.lost += (self.next_id as u64).saturating_sub(s.len() as u64);
        let expected = machine::kept(&s);
        if t != expected {
            let more: Vec<_> = t.iter().filter(|row| !expected.contains(row)).collect();
            let less: Vec<_> = expected.iter().filter(|row| !t.contains(row)).collect();
            return Err(format!(
                "t has {} rows instead of {}: {more:?} too many, {less:?} too few",
                t.len(),
                expected.len()
            ));
        }
        let (table, counted) = (told(machine::table(&process.log))?, machine::counted(&t));
        if table != counted {
            return Err(format!("u is {table:?} instead of {counted:?}"));
        }
        Ok(())
    }
}
