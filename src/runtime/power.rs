//! Journals and checkpoints when processes die, disks fail and the power goes: random programs on a simulated disk
//! (`crate::disk::simulated`), compared with a model.
//!
//! A program makes steps, each of which changes a table of keys and is journaled, makes the journal durable, and writes
//! checkpoints. Whatever happens in between, what is found afterwards is a checkpoint that was begun, with the table as it was
//! then, at least as new as the last one that was finished; and a journal that goes on from there, step by step, with what was
//! written: at least up to what was durable, and up to the last step if only the process died.
//!
//! `MILLSTREAM_JOBS_CASES` says how many cases are run, `MILLSTREAM_JOBS_FIRST` with which seed they begin;
//! `MILLSTREAM_JOBS_SEED` runs one seed alone and tells what it did.

use super::checkpoint::{JobStore, Manifest, TableManifest};
use super::journal::{Entry, Journal, Moment};
use super::tables;
use super::worker::NodeState;
use crate::disk::seeds::Seeds;
use crate::disk::simulated::Draw;
use crate::disk::{Disk, Event, Moment as Happens, Simulation};
use crate::operators::{StateChange, TableChange};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const CASES: u64 = 200;
const OPERATIONS: usize = 60;
const KEYS: usize = 40;

type Table = BTreeMap<i64, i64>;

/// How often things were done, over all cases.
#[derive(Debug, Default)]
struct Done {
    steps: u64,
    checkpoints: u64,
    recoveries: u64,
    cuts: u64,
    kills: u64,
    failures: u64,
    lost: u64,
}

/// A process that works.
struct Process {
    store: JobStore,
    journal: Journal,
    tables: Vec<TableManifest>,
    /// The table as it was at the last checkpoint that this process knows of.
    saved: Table,
    generation: u64,
}

struct Program {
    draw: Draw,
    machine: Simulation,
    process: Option<Process>,
    /// The table after each step, from step 0.
    history: Vec<Table>,
    /// The steps at which a checkpoint was begun.
    begun: Vec<u64>,
    /// The step of the last one that was finished, and the last step that is durable in the journal.
    finished: u64,
    durable: u64,
    boots: u64,
    done: Done,
    told: Option<String>,
}

#[test]
fn whatever_dies_a_job_goes_on_from_a_checkpoint_and_its_journal() {
    let add = |sum: &mut Done, one: &Done| {
        sum.steps += one.steps;
        sum.checkpoints += one.checkpoints;
        sum.recoveries += one.recoveries;
        sum.cuts += one.cuts;
        sum.kills += one.kills;
        sum.failures += one.failures;
        sum.lost += one.lost;
    };
    let seeds = Seeds { name: "JOBS", test: "a_job_goes_on_from", cases: CASES, run, add };
    if let Some(done) = seeds.run() {
        assert!(done.cuts > CASES && done.kills > CASES && done.failures > CASES / 2, "{done:?}");
        assert!(done.checkpoints > 3 * CASES && done.lost > 0, "{done:?}");
    }
}

fn run(seed: u64, record: bool) -> Result<Done, String> {
    let (disk, machine) = Disk::simulated(seed);
    machine.kill(&disk);
    let mut program = Program {
        draw: Draw::new(seed),
        machine,
        process: None,
        history: vec![Table::new()],
        begun: Vec::new(),
        finished: 0,
        durable: 0,
        boots: 0,
        done: Done::default(),
        told: record.then(String::new),
    };
    if record {
        program.machine.record();
    }
    match program.all() {
        Ok(()) => Ok(program.done),
        Err(wrong) => Err(program.told.map(|told| format!("{told}{wrong}")).unwrap_or(wrong)),
    }
}

fn entry(step: u64) -> Entry {
    Entry { step, moment: Moment { now: step as i64 * 10, keep_since: None }, sources: vec![vec![]] }
}

fn rows(table: &Table) -> Option<RecordBatch> {
    let columns: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter_values(table.keys().copied())),
        Arc::new(Int64Array::from_iter_values(table.values().copied())),
    ];
    let batch = RecordBatch::try_from_iter(["k", "v"].into_iter().zip(columns)).unwrap();
    (!table.is_empty()).then_some(batch)
}

/// What makes the table `then` of the table `now`.
fn changes(then: &Table, now: &Table) -> Vec<Vec<NodeState>> {
    let changed: Table = now.iter().filter(|(k, v)| then.get(k) != Some(v)).map(|(k, v)| (*k, *v)).collect();
    let gone: Table = then.iter().filter(|(k, _)| !now.contains_key(k)).map(|(k, v)| (*k, *v)).collect();
    let removed = rows(&gone).map(|rows| rows.project(&[0]).unwrap());
    let change = TableChange {
        name: "t".into(),
        key_columns: 1,
        rows: rows(&changed),
        kept: None,
        removed,
        added: None,
    };
    vec![vec![(0, StateChange::Some(vec![change]))]]
}

impl Program {
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            for line in self.machine.trace() {
                *told += &format!("    {line}\n");
            }
            *told += &format!("{}\n", what());
        }
    }

    fn step(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    fn all(&mut self) -> Result<(), String> {
        for _ in 0..OPERATIONS {
            if self.process.is_none() {
                self.recover()?;
                continue;
            }
            let what = self.draw.below(100);
            let worked = match what {
                0..50 => self.make_step(),
                50..62 => self.sync(),
                62..76 => self.checkpoint(),
                76..80 => {
                    self.machine.kill_all();
                    Ok(())
                }
                80..84 => {
                    self.machine.cut_power();
                    Ok(())
                }
                _ => {
                    self.plan();
                    Ok(())
                }
            };
            self.look(worked)?;
        }
        self.machine.heal();
        self.process = None;
        while self.process.is_none() {
            self.recover()?;
        }
        Ok(())
    }

    /// Sees whether the process has died, or must because something has failed.
    fn look(&mut self, worked: Result<(), String>) -> Result<(), String> {
        let happened = !self.machine.happened().is_empty();
        let boots = self.machine.boots();
        let alive = self.process.as_ref().is_some_and(|p| self.machine.is_alive(&p.store.disk));
        match worked {
            Ok(()) if alive => return Ok(()),
            Ok(()) => {}
            Err(error) if happened || !alive => {
                self.done.failures += 1;
                self.tell(|| format!("failed: {error}"));
            }
            Err(error) => return Err(format!("it failed without a reason: {error}")),
        }
        self.done.cuts += boots - self.boots;
        self.done.kills += u64::from(boots == self.boots);
        self.boots = boots;
        if let Some(process) = self.process.take() {
            self.machine.kill(&process.store.disk);
        }
        Ok(())
    }

    fn plan(&mut self) {
        let moment = [Happens::Write, Happens::Sync, Happens::Name, Happens::Change][self.draw.below(4)];
        let n = 1 + self.draw.below(8) as u64;
        let event = [Event::Fail, Event::Kill, Event::CutPower][self.draw.below(3)];
        self.tell(|| format!("planned: {event:?} at {moment:?} {n} from now"));
        self.machine.plan(moment, n, event);
    }

    fn make_step(&mut self) -> Result<(), String> {
        let mut table = self.history.last().cloned().unwrap_or_default();
        for _ in 0..self.draw.below(6) {
            let key = self.draw.below(KEYS) as i64;
            match self.draw.chance(25) {
                true => drop(table.remove(&key).is_some()),
                false => drop(table.insert(key, self.draw.below(1000) as i64).is_some()),
            }
        }
        let step = self.step() + 1;
        self.tell(|| format!("step {step}"));
        // Where the entry is written in part, it may be found whole.
        self.history.push(table);
        self.done.steps += 1;
        let Some(process) = &mut self.process else { return Ok(()) };
        process.journal.append(&entry(step)).map_err(|e| e.to_string())
    }

    fn sync(&mut self) -> Result<(), String> {
        let step = self.step();
        self.tell(|| format!("makes the journal durable up to step {step}"));
        let Some(process) = &mut self.process else { return Ok(()) };
        process.journal.sync().map_err(|e| e.to_string())?;
        self.durable = step;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), String> {
        let step = self.step();
        self.tell(|| format!("checkpoint of step {step}"));
        let table = self.history.last().cloned().unwrap_or_default();
        self.begun.push(step);
        let Some(process) = &mut self.process else { return Ok(()) };
        process.checkpoint(step, &table)?;
        (self.finished, self.durable) = (step, step);
        self.done.checkpoints += 1;
        Ok(())
    }

    /// A new process looks at what there is.
    fn recover(&mut self) -> Result<(), String> {
        self.tell(|| "a process begins".into());
        let store = JobStore { disk: self.machine.process(), dir: "/data/jobs/j".into(), job: "j".into() };
        let found = self.find(&store);
        let failed = !self.machine.happened().is_empty() || !self.machine.is_alive(&store.disk);
        let (process, step, last) = match found {
            Ok(found) => found,
            Err(error) if failed => {
                self.done.failures += 1;
                self.tell(|| format!("failed: {error}"));
                self.machine.kill(&store.disk);
                self.boots = self.machine.boots();
                // What was planned may be in its way again and again.
                self.machine.heal();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let least = self.finished.max(self.durable);
        if step < self.finished || last < least || last > self.step() {
            return Err(format!(
                "found the checkpoint of step {step} and the journal up to {last}, where {} was finished, {} durable, {} made",
                self.finished,
                self.durable,
                self.step()
            ));
        }
        if step > 0 && !self.begun.contains(&step) {
            return Err(format!("nobody began a checkpoint of step {step}"));
        }
        let expected = &self.history[step as usize];
        if process.saved != *expected {
            return Err(format!("the table of step {step} is {:?}, not {expected:?}", process.saved));
        }
        self.done.lost += self.step() - last;
        self.history.truncate(last as usize + 1);
        // What it found it has made durable.
        (self.finished, self.durable) = (step, last);
        self.done.recoveries += 1;
        self.process = Some(process);
        Ok(())
    }

    /// What a new process finds: the checkpoint's step, and the journal's last.
    fn find(&mut self, store: &JobStore) -> Result<(Process, u64, u64), String> {
        let told = |e: super::RuntimeError| e.to_string();
        store.disk.create_dir_durably(&store.dir, 2).map_err(|e| e.to_string())?;
        let manifest = store.manifest().map_err(told)?;
        let step = manifest.as_ref().map_or(0, |m| m.step);
        let (journal, entries) = Journal::open(&store.disk, &store.dir, "j", step).map_err(told)?;
        let mut saved = Table::new();
        for table in manifest.iter().flat_map(|m| &m.tables) {
            let mut batches = Vec::new();
            let give = &mut |batch| {
                batches.push(batch);
                Ok(())
            };
            tables::read(store, table, give).map_err(told)?;
            for batch in batches {
                let [keys, values] =
                    [0, 1].map(|i| batch.column(i).as_primitive::<Int64Type>().values().clone());
                for (key, value) in keys.iter().zip(values.iter()) {
                    if saved.insert(*key, *value).is_some() {
                        return Err(format!("key {key} is there twice"));
                    }
                }
            }
        }
        let expected = (step + 1..).map(entry).take(entries.len());
        if !entries.iter().cloned().eq(expected) {
            return Err(format!("behind step {step} the journal has {entries:?}"));
        }
        let generation = manifest.as_ref().map_or(0, |m| m.generation);
        let tables = manifest.map_or(vec![], |m| m.tables);
        let last = step + entries.len() as u64;
        let mut process = Process { store: store.clone(), journal, tables, saved, generation };
        if generation == 0 {
            // What the journal's first entries are about must be known before there is one.
            self.begun.push(0);
            let nothing = Table::new();
            process.checkpoint(0, &nothing)?;
        }
        Ok((process, step, last))
    }
}

impl Process {
    /// Writes a checkpoint, as the step loop and its thread do in turn.
    fn checkpoint(&mut self, step: u64, table: &Table) -> Result<(), String> {
        let told = |e: super::RuntimeError| e.to_string();
        let Process { store, .. } = self;
        self.generation += 1;
        let manifest = Manifest {
            version: 0,
            generation: self.generation,
            step,
            parts: vec![],
            sources: vec![],
            watermarks: vec![],
            tables: vec![],
        };
        self.journal = self.journal.next(&store.disk, &store.dir, step).map_err(told)?;
        self.tables = store
            .write(manifest, &self.tables, changes(&self.saved, table), &AtomicBool::new(false))
            .map_err(told)?;
        self.saved = table.clone();
        Journal::remove_older(&store.disk, &store.dir, step).map_err(told)
    }
}
