//! The API: open a data directory, run statements in a session. What the command line, and later servers and
//! embedders, call. Knows no terminal and no colours.

mod asked;
mod bench;
mod bounded;
mod cause;
mod change;
mod check;
mod define;
mod describe;
mod failing;
mod fresh;
mod groups;
mod heads;
mod insert;
mod interactive;
mod jobs;
mod launch;
mod live;
mod marks;
mod memory;
mod names;
mod nexmark;
mod own_jobs;
mod physical;
mod planning;
mod revive;
mod session;
mod session_windows;
mod settings;
mod single_row;
mod sources;
mod steering;
mod table;
mod told;
mod topics;
mod upkeep;
mod values;
mod warnings;
mod ways;

pub use bench::TestClock;
pub use bounded::Bounded;
pub use describe::Rows;
pub use groups::GroupRow;
pub use jobs::{JobState, JobView, Origin};
pub use live::{Listing, Ordered, Watch, brief_why};
pub use names::{OptionName, option_names};
pub use session::{Continuous, Outcome, Session};
pub use steering::{Condition, JobAction, JobAnswer, JobDescription, job_rows, jobs_rows, why, why_rows};
pub use told::Place;
pub use topics::{
    ConsumeOptions, Consumed, ExportOptions, ProduceOptions, Produced, TopicDescription, TopicRow,
    parse_start,
};

pub use ways::{Fresh, Rename, Ways};

pub use crate::connectors::BadRecord;
pub use crate::formats::{CsvOptions, Format as InputFormat};
pub use crate::log::Verified;
pub use crate::log::{GroupPartition, Start};
pub use crate::runtime::checkpoint::Totals;
pub use crate::runtime::control::Control;
pub use crate::runtime::instant::shown as shown_instant;
pub use crate::runtime::job::JobSummary;
pub use crate::runtime::status::{JobStatus, OperatorStatus};
pub use crate::runtime::step_times::StepTimes;
pub use crate::sql::{
    CODES, Code, Diagnostic, Emit, Explanation, Lexed, ObjectKind, ParsedStatement, Piece, PieceKind, SETUP,
    Statement, explanation, lex, parse_all, parse_each, substitute,
};

use crate::catalog::{CatalogError, CatalogStore, Definitions};
use crate::clock::Clock;
use crate::connectors::ConnectorError;
use crate::disk::{Disk, DiskError};
use crate::log::{Log, LogError};
use crate::plan::Planner;
use crate::runtime::RuntimeError;
use crate::state::budget::MemoryBudget;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The SQL is wrong, or asks for what cannot be done.
    #[error("{0}")]
    Sql(#[from] Diagnostic),
    /// A job failed while running.
    #[error("job {job} failed: {source}")]
    Job {
        /// The job.
        job: String,
        /// Why.
        source: Box<RuntimeError>,
    },
    /// A failure whose place in the SQL is known.
    #[error("{source}")]
    Placed {
        /// The failure.
        source: Box<EngineError>,
        /// Where it comes from.
        place: Place,
    },
    /// Another process has the job now.
    #[error("job {job} runs already, in another process: end that one first")]
    Busy {
        /// The job.
        job: String,
    },
    /// Something in a topic is damaged; what, has been told.
    #[error(
        "topic {topic} is damaged in {places} {}: 'millstream topic repair {topic}' puts what is damaged aside, so that \
         what lies behind can be read and rows can be appended again",
        if *places == 1 { "place" } else { "places" }
    )]
    Damaged {
        /// The topic.
        topic: String,
        /// How many places.
        places: u64,
    },
    /// A query failed while running.
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
    /// The log failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The catalog failed.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// A file operation failed.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// A source failed.
    #[error("{0}")]
    Connector(#[from] ConnectorError),
    /// A bounded query failed on the data.
    #[error("{}", crate::operators::plain_error(.0))]
    Query(#[from] DataFusionError),
    /// An Arrow kernel failed.
    #[error("{}", crate::operators::plain(&.0.to_string()))]
    Arrow(#[from] ArrowError),
    /// Threads for waiting could not be started.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
}

/// Result of the engine.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An open data directory. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    disk: Disk,
    clock: Clock,
    log: Log,
    catalog: CatalogStore,
    planner: Planner,
    /// How much memory the state of all jobs may take.
    memory: Arc<MemoryBudget>,
    handle: tokio::runtime::Handle,
    /// `None` only while it is dropped.
    tokio: Option<tokio::runtime::Runtime>,
}

impl Drop for Shared {
    /// The last to hold the engine may be a task of its own runtime, where waiting for the runtime's end is not allowed.
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

impl Engine {
    /// Opens the data directory `dir`, making it if it is not there.
    pub fn open(dir: &Path, disk: Disk, clock: Clock) -> Result<Self> {
        let log = Log::open(dir, disk.clone(), clock.clone())?;
        log.ask_about_jobs(Arc::new(jobs::folders(&disk, dir)));
        let catalog = CatalogStore::open(disk.clone(), dir)?;
        let tokio =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(EngineError::Start)?;
        let planner = Planner::new();
        Ok(Engine(Arc::new(Shared {
            dir: dir.into(),
            disk,
            clock,
            log,
            catalog,
            planner,
            memory: MemoryBudget::new(memory::half_of_memory()),
            handle: tokio.handle().clone(),
            tokio: Some(tokio),
        })))
    }

    /// Opens the data directory with the machine's disk and clock. Fails if it lies on a network file system, where a
    /// log can be damaged.
    pub fn open_dir(dir: &Path) -> Result<Self> {
        if let Some(kind) = Disk::real().network_file_system(dir) {
            return Err(LogError::NetworkFileSystem { dir: dir.into(), kind }.into());
        }
        Engine::open_anywhere(dir)
    }

    /// The same wherever it lies.
    pub fn open_anywhere(dir: &Path) -> Result<Self> {
        Engine::open(dir, Disk::real(), Clock::system())
    }

    /// What is defined now.
    pub fn definitions(&self) -> Result<Definitions> {
        Ok(self.0.catalog.load()?)
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The threads that wait for files and signals.
    pub fn tokio(&self) -> &tokio::runtime::Handle {
        &self.0.handle
    }
}
