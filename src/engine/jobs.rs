//! The jobs of a session: threads that run, what they read and write, and the ends of streams.
//!
//! When every job of the session that writes a stream has come to the end of its bounded input, and a job of the
//! session reads that stream, its end is written into its partitions as a watermark that nothing can pass. So
//! the reader closes its windows, and whoever reads the stream later sees the same end.

use super::asked::Asked;
use super::cause::Running;
use super::failing::as_failure;
use super::launch::{Edges, Launched};
use super::sources::appender;
use super::steering::lock_folder;
use super::{Engine, EngineError, Result};
use crate::delta::WATERMARK_END;
use crate::disk::{Disk, DiskLock, Open};
use crate::runtime::RuntimeError;
use crate::runtime::checkpoint::JobStore;
use crate::runtime::control::Control;
use crate::runtime::job::JobSummary;
use crate::runtime::settled::JobFolders;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// How the names of groups' folders begin.
pub(super) const GROUP: &str = "group-";
/// How long one look at the jobs waits at most.
const LOOK: Duration = Duration::from_millis(50);

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few jobs, and whoever looks at one wants a copy of its counters"
)]
pub enum JobState {
    /// It runs.
    Running,
    /// Its run has ended.
    Ended(JobSummary),
    /// It failed; [`crate::engine::Session::check`] tells why.
    Failed,
}

/// What can be seen of a job.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// The streams that it reads.
    pub reads: Vec<String>,
    /// The stream that it writes, if it writes one.
    pub writes: Option<String>,
    /// How it is.
    pub state: JobState,
    /// Rows read in this run.
    pub rows_in: u64,
    /// Rows written in this run.
    pub rows_out: u64,
    /// What it waits for, if what it writes fails for a reason that passes.
    pub waits_for: Option<String>,
    /// Whether it had read all that there was when it last looked.
    pub caught_up: bool,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) reads: Vec<String>,
    pub(super) writes: Option<String>,
    pub(super) control: Arc<Control>,
    pub(super) state: JobState,
    pub(super) failure: Option<RuntimeError>,
    /// The failure has been told while others went on.
    pub(super) told: bool,
    /// What it computes.
    running: Option<Arc<Running>>,
}

impl Entry {
    /// Its failure, which is taken from it: at the expression that has made it, and as the job's own if it is a job.
    pub(super) fn take_failure(&mut self) -> Option<EngineError> {
        let error = EngineError::Runtime(self.failure.take()?);
        let error = match (error, &self.writes) {
            (EngineError::Runtime(error), Some(_)) => {
                EngineError::Job { job: self.name.clone(), source: Box::new(error) }
            }
            (error, _) => error,
        };
        Some(match &self.running {
            Some(running) => running.placed(error),
            None => error,
        })
    }
}

/// The jobs of a session.
pub(super) struct Jobs {
    engine: Engine,
    entries: Mutex<Vec<Entry>>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closing: AtomicBool,
    /// A job at whose end the end of a stream was to be written, which is to be tried again.
    unclosed: Mutex<Option<usize>>,
}

impl Jobs {
    pub(super) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Jobs {
            engine,
            entries: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
            closing: AtomicBool::new(false),
            unclosed: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // Every change of an entry is one assignment, so a panic elsewhere leaves them whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a job that is about to run; gives its number.
    pub(super) fn register(
        &self,
        name: &str,
        reads: Vec<String>,
        writes: Option<String>,
        control: Arc<Control>,
        running: Option<Arc<Running>>,
    ) -> Result<usize> {
        let mut entries = self.lock();
        entries.push(Entry {
            name: name.into(),
            reads,
            writes,
            control,
            state: JobState::Running,
            failure: None,
            told: false,
            running,
        });
        self.close_ended(&entries)?;
        Ok(entries.len() - 1)
    }

    /// Runs statements as one job on a thread of its own. When one of them fails, the others go on without it.
    pub(super) fn start(self: &Arc<Self>, launched: Launched) -> Result<()> {
        let jobs = self.clone();
        let thread = std::thread::Builder::new()
            .name(format!("job {}", launched.names().join(", ")))
            .spawn(move || launched.run_on(&jobs))
            .map_err(EngineError::Start)?;
        self.keep(thread);
        Ok(())
    }

    /// What each job that has not ended reads and writes.
    pub(super) fn edges(&self) -> Edges {
        let running = |e: &&Entry| e.state == JobState::Running;
        let edge = |e: &Entry| Some((e.reads.clone(), e.writes.clone()?));
        self.lock().iter().filter(running).filter_map(edge).collect()
    }

    /// Takes note that a statement has ended because another one failed with which it ran.
    pub(super) fn fell(&self, number: usize) {
        if let Some(entry) = self.lock().get_mut(number) {
            // One that was told to end would have ended now anyway.
            let stopped = entry.control.stopping();
            entry.state = if stopped { JobState::Ended(JobSummary::default()) } else { JobState::Failed };
        }
        self.changed.notify_all();
    }

    /// Takes note of how a job's run ended.
    pub(super) fn ended(&self, number: usize, result: Result<JobSummary, RuntimeError>) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(number) {
            match result {
                Ok(summary) => entry.state = JobState::Ended(summary),
                Err(error) => (entry.state, entry.failure) = (JobState::Failed, Some(error)),
            }
        }
        self.close(&mut entries, number);
        drop(entries);
        self.changed.notify_all();
    }

    /// Writes the ends of streams that have come to theirs because the job `number` has ended. What cannot be written for
    /// a reason that passes is tried again when somebody waits for the jobs.
    fn close(&self, entries: &mut [Entry], number: usize) {
        let error = match self.close_ended(entries) {
            Ok(()) => {
                if let Some(waiting) = self.unclosed().take().and_then(|n| entries.get(n)) {
                    waiting.control.waiting(None);
                }
                return;
            }
            Err(error) => as_failure(error),
        };
        let Some(entry) = entries.get_mut(number) else { return };
        let mut unclosed = self.unclosed();
        if !error.is_passing() {
            *unclosed = None;
            entry.state = JobState::Failed;
            entry.failure = Some(RuntimeError::Output(format!("cannot write the end of a stream: {error}")));
        } else if unclosed.replace(number).is_none() {
            entry.control.waiting(Some(error.waits_for()));
        }
    }

    fn unclosed(&self) -> MutexGuard<'_, Option<usize>> {
        self.unclosed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries again to write the ends of streams that could not be written.
    pub(super) fn close_again(&self) {
        let number = *self.unclosed();
        if let Some(number) = number {
            self.close(&mut self.lock(), number);
        }
    }

    /// Writes the end of each stream that is read here and whose writers here have all finished.
    fn close_ended(&self, entries: &[Entry]) -> Result<()> {
        let mut done: Vec<&str> = Vec::new();
        for stream in entries.iter().filter_map(|e| e.writes.as_deref()) {
            let mut writers = entries.iter().filter(|e| e.writes.as_deref() == Some(stream));
            let ended = writers.all(|w| matches!(w.state, JobState::Ended(s) if s.finished));
            let read = entries.iter().any(|e| e.reads.iter().any(|r| r == stream));
            if ended && read && !done.contains(&stream) {
                done.push(stream);
                close_stream(&self.engine, stream)?;
            }
        }
        Ok(())
    }

    /// All jobs, in the order in which they were started.
    pub(super) fn views(&self) -> Vec<JobView> {
        let view = |e: &Entry| JobView {
            name: e.name.clone(),
            reads: e.reads.clone(),
            writes: e.writes.clone(),
            state: e.state,
            rows_in: e.control.rows_in(),
            rows_out: e.control.rows_out(),
            waits_for: e.control.waits_for(),
            caught_up: e.control.caught_up(),
        };
        self.lock().iter().map(view).collect()
    }

    /// What a job shows and is told: of several of one name, the last.
    pub(super) fn control(&self, name: &str) -> Option<Arc<Control>> {
        self.lock().iter().rev().find(|e| e.name == name).map(|e| e.control.clone())
    }

    /// Takes note that a statement, which had failed, runs again.
    pub(super) fn revived(&self, number: usize, control: Arc<Control>) {
        if let Some(entry) = self.lock().get_mut(number) {
            (entry.state, entry.failure, entry.told, entry.control) =
                (JobState::Running, None, false, control);
        }
    }

    /// Whether all jobs are to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Keeps a thread until the session ends.
    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Fails if a job has failed, with its reason; each failure is told once.
    pub(super) fn check(&self) -> Result<()> {
        let mut entries = self.lock();
        entries.iter_mut().find_map(Entry::take_failure).map_or(Ok(()), Err)
    }

    /// A running job that reads `stream`, if there is one.
    pub(super) fn reader_of(&self, stream: &str) -> Option<String> {
        let reads = |e: &&Entry| e.state == JobState::Running && e.reads.iter().any(|r| r == stream);
        self.lock().iter().find(reads).map(|e| e.name.clone())
    }

    /// Ends the jobs that write `stream`, and waits until they have ended.
    pub(super) fn stop_writers(&self, stream: &str) {
        loop {
            let entries = self.lock();
            let writes = |e: &&Entry| e.state == JobState::Running && e.writes.as_deref() == Some(stream);
            let running = entries.iter().filter(writes).map(|e| e.control.leave()).count();
            if running == 0 {
                return;
            }
            drop(self.changed.wait_timeout(entries, LOOK));
        }
    }

    /// Asks all jobs to end.
    pub(super) fn stop_all(&self) {
        self.closing.store(true, Ordering::Release);
        self.lock().iter().for_each(|e| e.control.stop());
    }

    /// Waits a moment, or until a job has ended.
    pub(super) fn wait_for_change(&self, entries: MutexGuard<'_, Vec<Entry>>) {
        drop(self.changed.wait_timeout(entries, LOOK));
    }

    /// Waits until every job has ended or has read all that there is, each after those before it, or `tick` says
    /// no more. With `fail_fast` the first failure ends it.
    pub(super) fn wait_settled(&self, fail_fast: bool, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        let count = self.lock().len();
        for number in 0..count {
            let control = self.lock()[number].control.clone();
            control.recheck();
            loop {
                if fail_fast {
                    self.check()?;
                }
                let entries = self.lock();
                if entries[number].state != JobState::Running || control.caught_up() || control.held() {
                    break;
                }
                drop(self.changed.wait_timeout(entries, LOOK / 10));
                self.close_again();
                if !tick() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits for the threads of jobs that have been told to stop.
    pub(super) fn join(&self) {
        loop {
            let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                // A job that panicked left no result; its checkpoint is as it was.
                let _ = thread.join();
            }
        }
    }
}

/// Writes the end of a stream into its partitions, once.
fn close_stream(engine: &Engine, name: &str) -> Result<()> {
    let definitions = engine.definitions()?;
    let Some(stream) = definitions.streams.get(name).filter(|s| s.connector == "topic") else {
        return Ok(());
    };
    let producer = xxh3_128(format!("end of {name}").as_bytes());
    let mut appender = appender(engine, stream, producer)?;
    appender.append(1, &RecordBatch::new_empty(stream.topic_schema()), None, Some(WATERMARK_END))?;
    Ok(appender.sync()?)
}

/// What a job's folder says of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobFile {
    /// Of the file's layout; those of the first one do not say it.
    #[serde(default = "first_version")]
    version: u32,
    pub(super) name: String,
    pub(super) sink: String,
    /// The producer under which it writes, in hexadecimal.
    pub(super) producer: String,
    /// Those under which it wrote before it was begun afresh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<String>,
    /// The folder of the group in which it runs; none = its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// What it computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
    /// Of its result only what differs from the table's rows is to be written, once it has caught up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) rebuild: bool,
    /// What the folder keeps of state belongs to what the job computed before, and is to be removed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) stale: bool,
}

/// Where a job comes from: what was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The command that ran it, word by word.
    pub command: Vec<String>,
    /// The directory in which it was run.
    pub directory: String,
}

/// Version of the file's layout.
const VERSION: u32 = 1;

fn first_version() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The folder of a job that lasts, and the producer under which it writes.
pub(super) struct JobHome {
    /// The job's own folder.
    pub(super) store: JobStore,
    pub(super) file: JobFile,
    pub(super) producer: u128,
    /// Held while the job runs: no other process runs it.
    _lock: DiskLock,
}

impl JobHome {
    /// Where its checkpoint is, if it has begun.
    pub(super) fn saved(&self) -> Result<Option<JobStore>> {
        let store = match &self.file.group {
            Some(group) => JobStore { dir: self.store.dir.with_file_name(group), ..self.store.clone() },
            None => self.store.clone(),
        };
        Ok(store.manifest()?.is_some().then_some(store))
    }

    /// Takes note that its checkpoints are in `store` from now on.
    pub(super) fn moves_to(&mut self, store: &JobStore) -> Result<()> {
        let name = store.dir.file_name().and_then(|n| n.to_str()).map(str::to_string);
        let group = name.filter(|_| store.dir != self.store.dir);
        if group == self.file.group {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.file.group, group);
        // If it could not be noted, it has not moved.
        self.write().inspect_err(|_| self.file.group = before)
    }

    /// Writes what the folder says of the job.
    pub(super) fn write(&self) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.file).map_err(|e| RuntimeError::Output(e.to_string()))?;
        Ok(self.store.disk.write_atomically(&self.store.dir.join(JOB_FILE), &bytes)?)
    }
}

/// The file that says what a job's folder is.
pub(super) const JOB_FILE: &str = "job.json";

/// What the folder of a job says of it; `None` = it is none.
pub(super) fn read_job_file(disk: &Disk, dir: &Path) -> Result<Option<JobFile>> {
    let path = dir.join(JOB_FILE);
    if !disk.exists(&path)? {
        return Ok(None);
    }
    let bytes = disk.read(&path)?;
    let state = |reason: String| {
        let job = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        RuntimeError::State { job, path: path.display().to_string(), reason }
    };
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default = "first_version")]
        version: u32,
    }
    let damaged = |e: serde_json::Error| state(format!("is damaged: {e}"));
    let version = serde_json::from_slice::<Versioned>(&bytes).map_err(damaged)?.version;
    if version > VERSION {
        let known = format!("layout {version}, this one knows {VERSION}");
        return Err(state(format!("was written by a newer millstream ({known})")).into());
    }
    Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
}

/// The jobs' folders, as the log sees them.
pub(super) fn folders(disk: &Disk, dir: &Path) -> JobFolders {
    let (files, jobs) = (disk.clone(), dir.join("jobs"));
    JobFolders::new(disk.clone(), move |feeder| {
        let file = read_job_file(&files, &jobs.join(&feeder.name)).ok().flatten()?;
        let producer = u128::from_str_radix(&file.producer, 16).ok()?;
        let folder = file.group.as_deref().unwrap_or(&feeder.name);
        (producer == feeder.producer).then(|| jobs.join(folder))
    })
}

/// The folder of all jobs' folders.
pub(super) fn jobs_dir(engine: &Engine) -> PathBuf {
    engine.0.dir.join("jobs")
}

/// Opens the folder of the job `name`, which writes `sink`; makes it the first time.
pub(super) fn job_home(engine: &Engine, name: &str, sink: &str) -> Result<JobHome> {
    let disk = &engine.0.disk;
    let dir = jobs_dir(engine).join(name);
    disk.create_dir_durably(&dir, 1)?;
    let Some(lock) = lock_folder(disk, &dir)? else {
        return Err(EngineError::Busy { job: name.into() });
    };
    let store = JobStore { disk: disk.clone(), dir, job: name.into() };
    let known = read_job_file(disk, &store.dir)?;
    let new = known.is_none();
    let file = known.unwrap_or_else(|| JobFile {
        version: VERSION,
        name: name.into(),
        sink: sink.into(),
        producer: format!("{:032x}", uuid::Uuid::new_v4().as_u128()),
        earlier: Vec::new(),
        group: None,
        asked: None,
        origin: None,
        rebuild: false,
        stale: false,
    });
    let producer = producer_of(&store, &file.producer)?;
    let mut home = JobHome { store, file, producer, _lock: lock };
    if new {
        home.write()?;
    }
    home.clear_stale()?;
    Ok(home)
}

/// A producer from its digits.
pub(super) fn producer_of(store: &JobStore, digits: &str) -> Result<u128> {
    u128::from_str_radix(digits, 16).map_err(|e| {
        let path = store.dir.join(JOB_FILE).display().to_string();
        RuntimeError::State { job: store.job.clone(), path, reason: format!("is damaged: {e}") }.into()
    })
}

/// Removes the folders of groups in which no job runs any more.
pub(super) fn drop_unused_groups(engine: &Engine) -> Result<()> {
    let disk = &engine.0.disk;
    let dir = jobs_dir(engine);
    let names = disk.list(&dir)?;
    let mut used: HashSet<String> = HashSet::new();
    for name in &names {
        // One that cannot be read may belong to any of them.
        let Ok(file) = read_job_file(disk, &dir.join(name)) else { return Ok(()) };
        used.extend(file.and_then(|f| f.group));
    }
    let unused = |n: &&String| n.starts_with(GROUP) && !used.contains(*n);
    for name in names.iter().filter(unused) {
        let group = dir.join(name);
        // A group that another process is just making is held.
        let file = Arc::new(disk.open(&group.join("lock"), Open::Create)?);
        if let Some(_held) = file.try_lock()? {
            disk.remove_dir_all(&group)?;
        }
    }
    Ok(())
}

/// Removes the folders of the jobs that write `sink`.
pub(super) fn forget_jobs_into(engine: &Engine, sink: &str) -> Result<()> {
    let disk = &engine.0.disk;
    let dir = jobs_dir(engine);
    if !disk.exists(&dir)? {
        return Ok(());
    }
    for name in disk.list(&dir)? {
        let job = dir.join(&name);
        if read_job_file(disk, &job).is_ok_and(|file| file.is_some_and(|f| f.sink == sink)) {
            let Some(_held) = lock_folder(disk, &job)? else {
                return Err(EngineError::Busy { job: name });
            };
            disk.remove_dir_all(&job)?;
        }
    }
    drop_unused_groups(engine)
}
