//! The step loop of a job.
//!
//! A step takes what the sources have ready, writes what it took into the journal, sends the rows through the
//! workers and the results to the sinks. After a crash the last checkpoint is loaded and the journaled steps are
//! run again with the same input; the sinks drop those that they have.

use super::aside::Aside;
use super::checkpoint::{JobStore, Manifest, renumbered};
use super::checkpointer::{self, Checkpointer};
use super::crew::Crew;
use super::feed::{Bell, Feed, PartitionFeed, PartitionState, Prepared, source_watermark};
use super::job::{Job, JobOptions, JobSummary, SourceSetup};
use super::journal::{Entry, Journal, JournalSyncer, Moment};
use super::monitor::Monitor;
use super::pages::Pace;
use super::part::{Home, LATE_STEP_BITS, Part, PartState, Read};
use super::replay::{Moves, bad_batch, changed, entry, read_again};
use super::retry::{Over, Patience};
use super::saving::UnderWay;
use super::seen::{Checkpointed, NodeSeen};
use super::status::State;
use super::step_times::StepHistogram;
use super::times::{Reached, SourceTime};
use super::{Result, RuntimeError};
use crate::clock::Clock;
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::log::Log;
use std::sync::Arc;
use std::time::Duration;

/// How long the step loop waits at most before it looks around again.
const WAIT: Duration = Duration::from_millis(20);

/// What was taken of one source: for each partition its slices, and whether it has ended behind them.
pub(super) type Taken = Vec<(Vec<Prepared>, bool)>;

/// A job that runs.
pub(super) struct Run {
    /// Dropped first: none of the threads below waits any longer then.
    _over: Over,
    pub(super) crew: Crew,
    /// Where there is a store.
    pub(super) checkpointer: Option<Checkpointer>,
    /// The checkpoint that is being written: its step, and since when (monotonic).
    pub(super) under_way: Option<UnderWay>,
    pub(super) sources: Vec<SourceSetup>,
    pub(super) options: JobOptions,
    pub(super) store: Option<JobStore>,
    pub(super) log: Option<Log>,
    pub(super) clock: Clock,
    pub(super) parts: Vec<Part>,
    pub(super) step: u64,
    /// For each source its partitions.
    pub(super) partitions: Vec<Vec<PartitionState>>,
    pub(super) watermarks: Vec<EventTime>,
    /// For each source what was read of it in this run.
    pub(super) read: Vec<Read>,
    /// The nodes' counters when they were last looked at.
    pub(super) nodes: Vec<NodeSeen>,
    pub(super) monitor: Arc<Monitor>,
    /// Since when (monotonic) no steps are made.
    pub(super) held: Option<Duration>,
    /// How many checkpoints that were asked for have been made.
    pub(super) answered: u64,
    pub(super) last_checkpoint: Option<Checkpointed>,
    /// The step and the checkpoint's step that were last shown, and when (monotonic).
    pub(super) shown: Option<((u64, u64), Duration)>,
    pub(super) step_times: StepHistogram,
    pace: Pace,
    pub(super) journal: Option<Journal>,
    /// Makes the journal durable, where there is a store.
    pub(super) journal_syncing: Option<Aside<JournalSyncer>>,
    /// Since when entries of the journal may not be on disk.
    pub(super) journal_behind: Option<Duration>,
    pending: Vec<Entry>,
    moves: Moves,
    /// How many checkpoints were written before the next.
    pub(super) generation: u64,
    resumed_from: Option<u64>,
    started: Duration,
    pub(super) checkpointed: Duration,
    /// There were steps since the last checkpoint.
    pub(super) dirty: bool,
    /// Which statement failed first, as far as is known.
    pub(super) blamed: Option<usize>,
    pub(super) patience: Patience,
    /// It was told to end before the journaled steps had all been run again: the journal must stay as it is.
    pub(super) interrupted: bool,
}

impl Run {
    pub(super) fn start(job: Job, manifest: Option<Manifest>, monitor: Arc<Monitor>) -> Result<Self> {
        let started = job.clock.monotonic();
        // State that is restored is of huge pages, too.
        let pace = Pace::new(started);
        let Job { flow, sources, parts, options, store, log, clock, spill } = job;
        let all = Patience::of(parts.iter().map(|p| p.control.clone()).collect());
        let (patience, over) = all.until_over();
        let home = Home::of(store.as_ref(), &sources);
        let mut running = Vec::with_capacity(parts.len());
        for (part, flow) in parts.into_iter().zip(&flow.parts) {
            let known = match (&store, &manifest) {
                (Some(store), Some(manifest)) => Some(manifest.part(store, &part.name, &part.fingerprint)?),
                _ => None,
            };
            running.push(Part::start(part, flow.clone(), known, home.as_ref(), &patience)?);
        }
        if let (Some(home), Some(first)) = (&home, running.first()) {
            patience.until_done(|| home.tell_side_topics(&first.name, &sources))?;
        }
        let moves = match (&store, &manifest) {
            (Some(store), Some(manifest)) => Moves::of(store, manifest, &running, sources.len())?,
            _ => Moves::none(),
        };
        let step = manifest.as_ref().map_or(0, |m| m.step);
        let crew = Crew::start(&flow, options.workers.max(1), step == 0, spill.as_ref())?;
        let partitions = sources.iter().enumerate().map(|(s, source)| {
            let known = manifest.as_ref().and_then(|m| m.sources.get(moves.source_before(s)?));
            let start = |p| source.starts.get(p).copied().unwrap_or_default();
            let partition = |p| PartitionState::new(known.and_then(|k| k.get(p)), start(p), started);
            (0..source.partitions).map(partition).collect()
        });
        let partitions = partitions.collect();
        let watermark = |s| manifest.as_ref()?.watermarks.get(moves.source_before(s)?).copied();
        let watermarks = (0..sources.len()).map(|s| watermark(s).unwrap_or(WATERMARK_NONE)).collect();
        let journal_syncing = store
            .as_ref()
            .map(|_| Aside::start("journal", |journal: JournalSyncer| journal.sync()))
            .transpose()?;
        let (journal, pending) = match &store {
            Some(store) => {
                let (journal, pending) = patience.until_done(|| {
                    store.disk.create_dir_durably(&store.dir, 1)?;
                    Journal::open(&store.disk, &store.dir, &store.job, step)
                })?;
                let topics = sources.iter().map(|s| s.is_topic.then(|| s.name.clone())).collect();
                (Some(journal.of_topics(topics)), pending)
            }
            None => (None, Vec::new()),
        };
        if let (Some(store), Some(manifest)) = (&store, &manifest)
            && step > 0
        {
            let by: Vec<_> = (0..flow.nodes.len()).map(|node| flow.dealt_by(node)).collect();
            store.read(manifest, &moves.nodes, &by, crew.len(), &mut |parts| crew.restore(parts))?;
            crew.end_restore()?;
        }
        let tables = manifest.as_ref().map_or(vec![], |m| renumbered(&m.tables, &moves.nodes));
        let checkpointer =
            store.clone().map(|store| checkpointer::start(store, tables, patience.clone())).transpose()?;
        let mut run = Run {
            crew,
            checkpointer,
            under_way: None,
            step,
            partitions,
            watermarks,
            read: vec![Read::default(); sources.len()],
            nodes: vec![NodeSeen::default(); flow.nodes.len()],
            monitor,
            held: None,
            answered: 0,
            last_checkpoint: manifest.as_ref().map(|m| Checkpointed {
                step: m.step,
                at: None,
                took: Duration::ZERO,
            }),
            shown: None,
            step_times: StepHistogram::default(),
            pace,
            resumed_from: (step > 0 || !pending.is_empty()).then_some(step),
            journal,
            journal_syncing,
            journal_behind: None,
            pending,
            moves,
            generation: manifest.as_ref().map_or(0, |m| m.generation),
            started,
            checkpointed: started,
            dirty: false,
            blamed: None,
            patience,
            _over: over,
            interrupted: false,
            sources,
            options,
            store,
            log,
            clock,
            parts: running,
        };
        run.parts.iter().for_each(|p| p.control.set_held(false));
        run.check_committed()?;
        // What the journal's first entries are about must be known before there is one.
        match manifest {
            None => run.write_checkpoint()?,
            // Who ran it before may not have come to it.
            Some(_) => {
                if let (Some((log, pins)), Some(store)) = (run.pins(), &run.store) {
                    run.patience.until_done(|| Ok(log.pin(&store.owner(), &pins)?))?;
                }
            }
        }
        Ok(run)
    }

    /// Runs until all statements have ended; tells of each that does.
    pub(super) fn run(&mut self, ended: &mut dyn FnMut(usize, JobSummary)) -> Result<()> {
        for i in 0..self.parts.len() {
            if !self.parts[i].is_running() {
                self.parts[i].control.set_caught_up(true);
                self.tell_ended(i, Some(State::Finished), ended)?;
            }
        }
        if !self.any_runs() {
            return Ok(());
        }
        self.show(true)?;
        self.wait_held(WAIT)?;
        match self.run_steps(ended) {
            // What it could not write is in the journal.
            Err(RuntimeError::StoppedWaiting { .. }) => match self.check_outputs() {
                Err(RuntimeError::StoppedWaiting { .. }) | Ok(()) => {}
                failed => failed?,
            },
            // Why a sink's thread is gone, the thread has told.
            Err(RuntimeError::WorkerLost) => match self.check_outputs() {
                Err(RuntimeError::StoppedWaiting { .. }) => {}
                told => told.and(Err(RuntimeError::WorkerLost))?,
            },
            other => other?,
        }
        if self.restarts() {
            return Ok(());
        }
        for i in 0..self.parts.len() {
            if self.parts[i].is_running() {
                self.parts[i].control.set_caught_up(true);
                self.tell_ended(i, Some(State::Stopped), ended)?;
            }
        }
        Ok(())
    }

    fn run_steps(&mut self, ended: &mut dyn FnMut(usize, JobSummary)) -> Result<()> {
        self.replay()?;
        if !self.interrupted {
            self.steps(ended)?;
        }
        self.check_outputs()?;
        self.drain()?;
        if self.any_runs() { self.checkpoint() } else { Ok(()) }
    }

    /// The statement that a failure belongs to: the first of those that it can belong to.
    pub(super) fn blamed(&self) -> usize {
        let node = self.crew.failed_at();
        let reached = node.and_then(|node| self.parts.iter().position(|p| p.is_running() && p.reaches(node)));
        let running = self.parts.iter().position(Part::is_running);
        self.blamed.or(reached).or(running).unwrap_or_default()
    }

    pub(super) fn any_runs(&self) -> bool {
        self.parts.iter().any(Part::is_running)
    }

    pub(super) fn check_outputs(&mut self) -> Result<()> {
        let mut stopped = Ok(());
        for (i, part) in self.parts.iter().enumerate() {
            match part.check() {
                Ok(()) => {}
                // Perhaps because another one has failed.
                Err(error @ RuntimeError::StoppedWaiting { .. }) => stopped = Err(error),
                Err(error) => {
                    self.blamed = Some(i);
                    return Err(error);
                }
            }
        }
        stopped
    }

    pub(super) fn summary(&self, part: usize) -> JobSummary {
        let (run, shared) = self.parts[part].counted(&self.parts[..part], &self.read, &self.nodes);
        JobSummary {
            run,
            shared,
            total: self.parts[part].total(&run),
            elapsed: self.clock.monotonic().saturating_sub(self.started),
            finished: self.parts[part].state == PartState::Finished,
            resumed_from: self.resumed_from,
            steps: self.step_times.times(),
        }
    }

    /// Runs the journaled steps again.
    pub(super) fn replay(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut feeds = if pending.is_empty() { Vec::new() } else { self.open_feeds()? };
        let count = pending.len();
        let mut makes_anew = false;
        for (i, entry) in pending.into_iter().enumerate() {
            if self.is_ending() {
                self.interrupted = true;
                return Ok(());
            }
            let taken = match self.take_again(&entry, &mut feeds) {
                // When the power goes, a topic may lose rows that were not yet on disk and had been read. Where no sink has
                // what came of them, it is as if they had not been. (What a sink holds back only the journal gives again.)
                Err(RuntimeError::RowsGone { source_name })
                    if self.parts.iter().all(|p| p.committed < Some(entry.step) && !p.rebuilds()) =>
                {
                    self.parts.iter().for_each(|p| p.control.anew(&source_name, count - i));
                    makes_anew = true;
                    break;
                }
                taken => taken?,
            };
            for (s, states) in self.partitions.iter_mut().enumerate() {
                // An entry names all that were idle.
                states.iter_mut().for_each(|state| state.idle = false);
                for e in self.moves.entries_of(&entry, s) {
                    states[e.partition].idle = e.idle;
                    if let Some(last) = e.slices.last() {
                        states[e.partition].running = last.running;
                    }
                }
            }
            self.step = entry.step - 1;
            self.one_step(taken, entry.moment, false)?;
        }
        // Later entries are about the sources as they are now.
        if makes_anew || !self.moves.is_identity() {
            self.drain()?;
            self.write_checkpoint()?;
        }
        Ok(())
    }

    /// What a journaled step took.
    fn take_again(&self, entry: &Entry, feeds: &mut [Vec<PartitionFeed>]) -> Result<Vec<Taken>> {
        let mut taken = Vec::new();
        for (s, (source, feeds)) in self.sources.iter().zip(feeds).enumerate() {
            let mut slices: Taken = feeds.iter().map(|_| (Vec::new(), false)).collect();
            for partition in self.moves.entries_of(entry, s) {
                let into = slices.get_mut(partition.partition).zip(feeds.get_mut(partition.partition));
                let (into, feed) = into.ok_or_else(|| changed(source, "it has fewer partitions"))?;
                for slice in &partition.slices {
                    into.0.extend(read_again(source, feed, slice, &self.patience)?);
                }
                into.1 = partition.ended;
            }
            taken.push(slices);
        }
        Ok(taken)
    }

    pub(super) fn open_feeds(&self) -> Result<Vec<Vec<PartitionFeed>>> {
        let mut feeds = Vec::new();
        for (source, states) in self.sources.iter().zip(&self.partitions) {
            let shape = Arc::new(source.shape.clone());
            let mut partitions = Vec::new();
            for (p, state) in states.iter().enumerate() {
                let reader = self.patience.until_done(|| Ok((source.open)(p, state.position)?))?;
                partitions.push(PartitionFeed::new(reader, shape.clone(), state.running));
            }
            feeds.push(partitions);
        }
        Ok(feeds)
    }

    /// Runs steps until all statements have come to the end of their input, or until told to stop.
    fn steps(&mut self, ended: &mut dyn FnMut(usize, JobSummary)) -> Result<()> {
        let bell = Arc::new(Bell::default());
        let mut feeds = Vec::new();
        let mut shares = Vec::new();
        for (partitions, source) in self.open_feeds()?.into_iter().zip(&self.sources) {
            let share = self.share_of_step(partitions.len());
            let patience = &self.patience;
            feeds.push(Feed::start(&source.name, partitions, share, self.crew.len(), patience, &bell)?);
            shares.push(share);
        }
        let targets = self.rebuild_targets()?;
        loop {
            if self.is_ending() {
                return Ok(());
            }
            self.check_outputs()?;
            self.leave(ended)?;
            if !self.any_runs() {
                return Ok(());
            }
            self.answer_checkpoints()?;
            if self.is_held()? {
                std::thread::sleep(WAIT);
                continue;
            }
            self.show(false)?;
            let heard = bell.heard();
            self.look_again(&feeds);
            let caught_up = feeds.iter().all(Feed::caught_up);
            let taken =
                feeds.iter().zip(&shares).map(|(f, rows)| f.take(*rows)).collect::<Result<Vec<_>>>()?;
            let fed: Vec<bool> =
                taken.iter().map(|t| t.iter().any(|(slices, _)| !slices.is_empty())).collect();
            let moved = self.note_idle_and_ended(&taken);
            let settles = self.settle(&targets, &feeds)?;
            if fed.contains(&true) || moved || settles || self.step == 0 {
                self.pace.has_read(self.clock.monotonic());
                self.running().for_each(|p| p.control.set_caught_up(false));
                self.one_step(taken, self.moment(), true)?;
                if settles {
                    self.checkpoint()?;
                }
                self.maybe_checkpoint()?;
                self.finish_parts(&feeds, &fed, ended)?;
                continue;
            }
            self.finish_parts(&feeds, &fed, ended)?;
            if caught_up && !self.running().any(|p| p.control.must_recheck()) {
                // A sink is not flushed for that: what its durability promises it keeps by itself.
                self.each_part(Part::write_out)?;
                self.pace.has_caught_up(self.clock.monotonic());
                self.running().for_each(|p| p.control.set_caught_up(true));
                if self.options.until_caught_up {
                    return Ok(());
                }
            }
            self.maybe_checkpoint()?;
            bell.wait(heard, if feeds.len() == 1 { WAIT } else { WAIT / 5 });
        }
    }

    /// For each source the end of its partitions now, if it is a topic; nothing if no result is held back.
    fn rebuild_targets(&self) -> Result<Vec<Option<Vec<u64>>>> {
        let Some(log) = self.log.as_ref().filter(|_| self.parts.iter().any(Part::rebuilds)) else {
            return Ok(Vec::new());
        };
        let ends = |source: &SourceSetup| -> Result<Option<Vec<u64>>> {
            if !source.is_topic {
                return Ok(None);
            }
            let topic = log.topic(&source.name)?;
            Ok(Some((0..topic.partitions()).map(|p| topic.end_offset(p)).collect::<Result<_, _>>()?))
        };
        self.sources.iter().map(ends).collect()
    }

    /// Has results that are held back written with this step, if all has been read that was there when the run began;
    /// says whether it has.
    fn settle(&mut self, targets: &[Option<Vec<u64>>], feeds: &[Feed]) -> Result<bool> {
        if !self.parts.iter().any(Part::rebuilds) {
            return Ok(false);
        }
        let read = |(s, states): (usize, &Vec<PartitionState>)| match targets.get(s) {
            Some(Some(ends)) => {
                states.iter().zip(ends).all(|(state, end)| state.ended || state.position.offset >= *end)
            }
            _ => feeds.get(s).is_none_or(Feed::caught_up),
        };
        if self.step == 0 || !self.partitions.iter().enumerate().all(read) {
            return Ok(false);
        }
        // What the sinks do not have yet is a part of it.
        self.drain()?;
        self.parts.iter().filter(|p| p.rebuilds()).for_each(Part::settle);
        Ok(true)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|p| p.is_running())
    }

    pub(super) fn drain(&mut self) -> Result<()> {
        self.each_part(Part::drain)
    }

    fn each_part(&mut self, wait: fn(&Part) -> Result<()>) -> Result<()> {
        for (i, part) in self.parts.iter().enumerate() {
            wait(part).inspect_err(|_| self.blamed = Some(i))?;
        }
        Ok(())
    }

    fn look_again(&self, feeds: &[Feed]) {
        let mut again = false;
        for part in self.running() {
            if part.control.take_recheck() {
                part.control.set_caught_up(false);
                again = true;
            }
        }
        if again {
            feeds.iter().for_each(Feed::look_again);
        }
    }

    /// Lets those statements go that were told to.
    fn leave(&mut self, ended: &mut dyn FnMut(usize, JobSummary)) -> Result<()> {
        for i in 0..self.parts.len() {
            if self.parts[i].is_running() && self.parts[i].control.leaving() {
                self.parts[i].end(PartState::Left)?;
                if self.any_runs() {
                    self.drain()?;
                    self.write_checkpoint()?;
                }
                self.tell_ended(i, None, ended)?;
            }
        }
        Ok(())
    }

    /// Ends those statements whose sources have all come to their end. `fed`: those that gave rows in the last step.
    fn finish_parts(
        &mut self,
        feeds: &[Feed],
        fed: &[bool],
        ended: &mut dyn FnMut(usize, JobSummary),
    ) -> Result<()> {
        let over: Vec<bool> = feeds
            .iter()
            .zip(&self.watermarks)
            .zip(fed)
            .map(|((feed, watermark), fed)| *watermark == WATERMARK_END && !fed && feed.caught_up())
            .collect();
        let is_over = |p: &Part| p.is_running() && p.sources().iter().all(|s| over[*s]);
        let finished: Vec<usize> = (0..self.parts.len()).filter(|i| is_over(&self.parts[*i])).collect();
        if finished.is_empty() {
            return Ok(());
        }
        for i in &finished {
            let part = &mut self.parts[*i];
            part.end(PartState::Finished).inspect_err(|_| self.blamed = Some(*i))?;
        }
        self.dirty = true;
        self.checkpoint()?;
        for i in finished {
            self.tell_ended(i, Some(State::Finished), ended)?;
        }
        Ok(())
    }

    /// How many rows a step takes of each of a source's partitions, so that each worker gets `step_rows` at most.
    fn share_of_step(&self, partitions: usize) -> usize {
        let step_rows = self.options.step_rows.max(1);
        (step_rows * self.crew.len()).div_ceil(partitions.max(1)).clamp(1, step_rows)
    }

    /// Takes note of partitions that have ended or gone idle; whether that alone may move a watermark.
    fn note_idle_and_ended(&mut self, taken: &[Taken]) -> bool {
        let now = self.clock.monotonic();
        let mut moved = false;
        let timeouts = self.sources.iter().map(|s| s.idle_after(&self.options));
        for ((states, taken), timeout) in self.partitions.iter_mut().zip(taken).zip(timeouts) {
            for (state, (slices, ended)) in states.iter_mut().zip(taken) {
                if !slices.is_empty() {
                    state.last = now;
                    (state.gave, state.idle) = (true, false);
                }
                let idle = !timeout.is_zero() && !state.ended && now.saturating_sub(state.last) >= timeout;
                moved |= (idle && !state.idle) || (*ended && !state.ended);
                state.idle = idle;
            }
        }
        moved
    }

    /// Now, and what leaves by its age then.
    pub(super) fn moment(&self) -> Moment {
        let now = self.clock.now_ns();
        let age = |ttl: Duration| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
        Moment { now, keep_since: self.options.state_ttl.map(|ttl| now.saturating_sub(age(ttl))) }
    }

    /// One step over `taken`; with `live`, it is journaled first.
    pub(super) fn one_step(&mut self, taken: Vec<Taken>, moment: Moment, live: bool) -> Result<()> {
        let began = self.clock.monotonic();
        self.step += 1;
        self.dirty = true;
        if live && let Some(journal) = &mut self.journal {
            let entry = entry(self.step, moment, &taken, &self.partitions);
            self.patience.until_done(|| journal.append(&entry))?;
            self.journal_behind.get_or_insert(self.clock.monotonic());
            // What was read for a result must not be forgotten while the result is remembered.
            let at_once = self.parts.iter().any(Part::is_durable_at_once);
            self.sync_journal(at_once)?;
        }
        let before = self.reached();
        let mut sources = Vec::with_capacity(taken.len());
        for (s, slices) in taken.into_iter().enumerate() {
            sources.push(self.take_in(s, slices)?);
        }
        self.bring_on();
        let outputs = self.crew.step(sources, before, self.reached(), moment)?;
        let mut results: Vec<(Vec<Delta>, EventTime)> = vec![(Vec::new(), WATERMARK_NONE); self.parts.len()];
        for (worker, output) in outputs.into_iter().enumerate() {
            for ((deltas, watermark), (more, reached)) in results.iter_mut().zip(output.results) {
                deltas.extend(more);
                if worker == 0 {
                    *watermark = reached;
                }
            }
        }
        for (i, (deltas, watermark)) in results.into_iter().enumerate() {
            let written = self.parts[i].write(self.step, deltas, watermark);
            written.inspect_err(|_| self.blamed = Some(i))?;
        }
        self.step_times.record(self.clock.monotonic().saturating_sub(began));
        Ok(())
    }

    fn reached(&self) -> Reached {
        let parts = self.parts.iter().map(|p| p.time).collect();
        Reached { sources: self.watermarks.clone(), parts }
    }

    /// Brings the statements' times on to where their sources are.
    fn bring_on(&mut self) {
        let of = |(s, source): (usize, &SourceSetup)| {
            SourceTime::of(&self.partitions[s], self.watermarks[s], source.shape.time.is_some())
        };
        let all: Vec<SourceTime> = self.sources.iter().enumerate().map(of).collect();
        self.parts.iter_mut().for_each(|part| part.bring_on(&all));
    }

    /// Counts one source's slices, keeps its bad and late rows, moves its watermark; gives its deltas.
    fn take_in(&mut self, s: usize, slices: Taken) -> Result<Vec<Delta>> {
        let mut deltas = Vec::new();
        let (mut bad, mut late) = (Vec::new(), Vec::new());
        let mut rows = 0;
        for (state, (slices, ended)) in self.partitions[s].iter_mut().zip(slices) {
            for prepared in slices {
                rows += prepared.delta.num_rows() as u64;
                self.read[s].behind += prepared.behind;
                self.read[s].bad += prepared.bad.len() as u64;
                state.position = prepared.end;
                state.running = state.running.max(prepared.running);
                bad.extend(prepared.bad);
                late.extend(prepared.late);
                if !prepared.delta.is_empty() {
                    deltas.push(prepared.delta);
                }
            }
            state.ended |= ended;
        }
        self.read[s].rows += rows;
        let readers = self.parts.iter().filter(|p| p.sources().contains(&s));
        readers.for_each(|p| p.control.add_rows_in(rows));
        let (source, step) = (&mut self.sources[s], self.step);
        if let Some(topic) = source.bad_topic.as_mut().filter(|_| !bad.is_empty()) {
            let rows = bad_batch(&bad)?;
            self.patience.until_done(|| Ok(topic.append(step, &rows, None, None)?))?;
        }
        if let Some(topic) = &mut source.late_topic {
            for (i, batch) in late.iter().enumerate() {
                let number = (step << LATE_STEP_BITS) | i as u64;
                self.patience.until_done(|| Ok(topic.append(number, batch, None, None)?))?;
            }
        }
        self.watermarks[s] = source_watermark(&self.partitions[s], self.watermarks[s]);
        Ok(deltas)
    }

    /// A sink must not have a step that the journal does not know: when the step is made anew, it may be another one, and the
    /// sink would drop it. So it is if the machine's power went while a sink's rows were on disk and the journal was not.
    fn check_committed(&self) -> Result<()> {
        let last = self.pending.last().map_or(self.step, |entry| entry.step);
        let ahead = |part: &&Part| part.committed.is_some_and(|committed| committed > last);
        match (&self.store, self.parts.iter().find(ahead)) {
            (Some(store), Some(part)) => Err(store.misfit(
                &part.name,
                &format!(
                    "ends at step {last}, but its sink has step {} already: the machine lost what was not yet on disk; start it \
                     anew with --fresh={}",
                    part.committed.unwrap_or_default(),
                    part.name
                ),
            )),
            _ => Ok(()),
        }
    }
}
