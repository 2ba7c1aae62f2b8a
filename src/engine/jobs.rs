//! The jobs of a session: threads that run, what they read and write, and the ends of streams.
//!
//! When every job of the session that writes a stream has come to the end of its bounded input, and a job of the
//! session reads that stream, its end is written into its partitions as a watermark that nothing can pass. So
//! the reader closes its windows, and whoever reads the stream later sees the same end.

use super::launch::Edges;
use super::rerun::{JobPlan, JobThread};
use super::sources::appender;
use super::steering::lock_folder;
use super::{Engine, EngineError, Result};
use crate::delta::WATERMARK_END;
use crate::disk::{Disk, DiskLock, Open};
use crate::runtime::RuntimeError;
use crate::runtime::checkpoint::JobStore;
use crate::runtime::control::Control;
use crate::runtime::job::JobSummary;
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
}

struct Entry {
    name: String,
    reads: Vec<String>,
    writes: Option<String>,
    control: Arc<Control>,
    state: JobState,
    failure: Option<RuntimeError>,
}

/// The jobs of a session.
pub(super) struct Jobs {
    engine: Engine,
    entries: Mutex<Vec<Entry>>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closing: AtomicBool,
}

impl Jobs {
    pub(super) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Jobs {
            engine,
            entries: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
            closing: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
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
    ) -> Result<usize> {
        let mut entries = self.lock();
        entries.push(Entry {
            name: name.into(),
            reads,
            writes,
            control,
            state: JobState::Running,
            failure: None,
        });
        self.close_ended(&entries)?;
        Ok(entries.len() - 1)
    }

    /// Runs registered statements as one job on a thread of its own. `held` is kept until each has ended, `lock` until
    /// all have.
    pub(super) fn start(
        self: &Arc<Self>,
        plan: JobPlan,
        held: Vec<Option<DiskLock>>,
        lock: Option<DiskLock>,
    ) -> Result<()> {
        let job = plan.job()?;
        let names: Vec<&str> = plan.parts.iter().map(|p| p.name.as_str()).collect();
        let name = format!("job {}", names.join(", "));
        let runs = JobThread { jobs: self.clone(), plan, held, lock, so_far: Vec::new() };
        let thread = std::thread::Builder::new().name(name).spawn(move || runs.run(job));
        let thread = thread.map_err(EngineError::Start)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Takes note that these statements, which had failed, run again.
    pub(super) fn revived(&self, numbers: &[usize]) {
        for number in numbers {
            if let Some(entry) = self.lock().get_mut(*number).filter(|e| e.state == JobState::Failed) {
                (entry.state, entry.failure) = (JobState::Running, None);
            }
        }
    }

    /// Whether all jobs are to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Takes note that a job of these statements failed, as far as they have not ended, because of `number`.
    pub(super) fn failed(&self, numbers: &[usize], number: usize, error: RuntimeError) {
        let mut entries = self.lock();
        for other in numbers.iter().filter(|n| **n != number) {
            if let Some(entry) = entries.get_mut(*other).filter(|e| e.state == JobState::Running) {
                entry.state = JobState::Failed;
            }
        }
        drop(entries);
        self.ended(number, Err(error));
    }

    /// What each job that has not ended reads and writes.
    pub(super) fn edges(&self) -> Edges {
        let running = |e: &&Entry| e.state == JobState::Running;
        let edge = |e: &Entry| Some((e.reads.clone(), e.writes.clone()?));
        self.lock().iter().filter(running).filter_map(edge).collect()
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
        if let Err(error) = self.close_ended(&entries)
            && let Some(entry) = entries.get_mut(number)
        {
            entry.state = JobState::Failed;
            entry.failure = Some(RuntimeError::Output(format!("cannot write the end of a stream: {error}")));
        }
        drop(entries);
        self.changed.notify_all();
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
        };
        self.lock().iter().map(view).collect()
    }

    /// What a job shows and is told: of several of one name, the last.
    pub(super) fn control(&self, name: &str) -> Option<Arc<Control>> {
        self.lock().iter().rev().find(|e| e.name == name).map(|e| e.control.clone())
    }

    /// Fails if a job has failed, with its reason; each failure is told once.
    pub(super) fn check(&self) -> Result<()> {
        let mut entries = self.lock();
        let failed = entries.iter_mut().find_map(|e| Some((e.name.clone(), e.failure.take()?)));
        match failed {
            Some((job, error)) => Err(EngineError::Job { job, source: Box::new(error) }),
            None => Ok(()),
        }
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

    /// Waits until no job runs, or `tick` says no more.
    pub(super) fn wait_ended(&self, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        loop {
            self.check()?;
            let entries = self.lock();
            if !entries.iter().any(|e| e.state == JobState::Running) {
                return Ok(());
            }
            drop(self.changed.wait_timeout(entries, LOOK));
            if !tick() {
                return Ok(());
            }
        }
    }

    /// Waits until every job has ended or has read all that there is, each after those before it, or `tick` says
    /// no more.
    pub(super) fn wait_settled(&self, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        let count = self.lock().len();
        for number in 0..count {
            let control = self.lock()[number].control.clone();
            control.recheck();
            loop {
                self.check()?;
                let entries = self.lock();
                if entries[number].state != JobState::Running || control.caught_up() || control.held() {
                    break;
                }
                drop(self.changed.wait_timeout(entries, LOOK / 10));
                if !tick() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits for the threads of jobs that have been told to stop.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A job that panicked left no result; its checkpoint is as it was.
            let _ = thread.join();
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
#[derive(Debug, Serialize, Deserialize)]
struct JobFile {
    name: String,
    sink: String,
    /// The producer under which it writes, in hexadecimal.
    producer: String,
    /// The folder of the group in which it runs; none = its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// The folder of a job that lasts, and the producer under which it writes.
pub(super) struct JobHome {
    /// The job's own folder.
    pub(super) store: JobStore,
    sink: String,
    group: Option<String>,
    pub(super) producer: u128,
    /// Held while the job runs: no other process runs it.
    pub(super) lock: DiskLock,
}

impl JobHome {
    /// Where its checkpoint is, if it has begun.
    pub(super) fn saved(&self) -> Result<Option<JobStore>> {
        let store = match &self.group {
            Some(group) => JobStore { dir: self.store.dir.with_file_name(group), ..self.store.clone() },
            None => self.store.clone(),
        };
        Ok(store.manifest()?.is_some().then_some(store))
    }

    /// Takes note that its checkpoints are in `store` from now on.
    pub(super) fn moves_to(&self, store: &JobStore) -> Result<()> {
        let name = store.dir.file_name().and_then(|n| n.to_str()).map(str::to_string);
        let group = name.filter(|_| store.dir != self.store.dir);
        if group == self.group {
            return Ok(());
        }
        let (name, sink) = (self.store.job.clone(), self.sink.clone());
        let file = JobFile { name, sink, producer: format!("{:032x}", self.producer), group };
        write_job_file(&self.store.disk, &self.store.dir.join(JOB_FILE), &file)
    }
}

/// The file that says what a job's folder is.
const JOB_FILE: &str = "job.json";

fn write_job_file(disk: &Disk, path: &Path, file: &JobFile) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(file).map_err(|e| RuntimeError::Output(e.to_string()))?;
    Ok(disk.write_atomically(path, &bytes)?)
}

/// The folder of all jobs' folders.
pub(super) fn jobs_dir(engine: &Engine) -> PathBuf {
    engine.0.dir.join("jobs")
}

/// Opens the folder of the job `name`, which writes `sink`; makes it the first time.
pub(super) fn job_home(engine: &Engine, name: &str, sink: &str) -> Result<JobHome> {
    let disk = &engine.0.disk;
    let dir = jobs_dir(engine).join(name);
    disk.create_dir_all(&dir)?;
    let Some(lock) = lock_folder(disk, &dir)? else {
        return Err(EngineError::Busy { job: name.into() });
    };
    let path = dir.join(JOB_FILE);
    let damaged = |reason: String| {
        let path = path.display().to_string();
        RuntimeError::State { job: name.into(), path, reason: format!("is damaged: {reason}") }
    };
    let (producer, group) = if disk.exists(&path)? {
        let file: JobFile = serde_json::from_slice(&disk.read(&path)?).map_err(|e| damaged(e.to_string()))?;
        (u128::from_str_radix(&file.producer, 16).map_err(|e| damaged(e.to_string()))?, file.group)
    } else {
        let producer = uuid::Uuid::new_v4().as_u128();
        let producer_text = format!("{producer:032x}");
        let file = JobFile { name: name.into(), sink: sink.into(), producer: producer_text, group: None };
        write_job_file(disk, &path, &file)?;
        (producer, None)
    };
    let store = JobStore { disk: disk.clone(), dir, job: name.into() };
    Ok(JobHome { store, sink: sink.into(), group, producer, lock })
}

/// Removes the folders of groups in which no job runs any more.
pub(super) fn drop_unused_groups(engine: &Engine) -> Result<()> {
    let disk = &engine.0.disk;
    let dir = jobs_dir(engine);
    let names = disk.list(&dir)?;
    let mut used: HashSet<String> = HashSet::new();
    for name in &names {
        let path = dir.join(name).join(JOB_FILE);
        if disk.exists(&path)? {
            // One that cannot be read may belong to any of them.
            let Ok(file) = serde_json::from_slice::<JobFile>(&disk.read(&path)?) else { return Ok(()) };
            used.extend(file.group);
        }
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
        let path = job.join(JOB_FILE);
        if !disk.exists(&path)? {
            continue;
        }
        let file = serde_json::from_slice::<JobFile>(&disk.read(&path)?);
        if file.is_ok_and(|f| f.sink == sink) {
            let Some(_held) = lock_folder(disk, &job)? else {
                return Err(EngineError::Busy { job: name });
            };
            disk.remove_dir_all(&job)?;
        }
    }
    drop_unused_groups(engine)
}
