//! A session: settings, jobs, and the statements of one text after the other.

use super::asked::Asked;
use super::bounded::{self, Bounded, ExtraTables, ReadOnce};
use super::cause::Running;
use super::change::{self, Change};
use super::define::{self, Defined, create_stream, emit_mode, forgets};
use super::describe::{self, Rows};
use super::heads::Heads;
use super::insert::{target, upsert_target, write_values};
use super::jobs::{JobHome, JobView, Jobs, job_home, jobs_dir, read_job_file};
use super::launch::{MakeSink, MakeSources, Pending, launch};
use super::live::{Listing, Watch};
use super::memory;
use super::own_jobs;
use super::planning::Stage;
use super::sources::{appender, setups};
use super::steering::{job_rows, jobs_rows, why_rows};
use super::table::result_key;
use super::upkeep::Upkeep;
use super::ways::{Chosen, Home, Way, define_like};
use super::{Engine, EngineError, Result};
use crate::catalog::{Column, Definitions, StreamDef};
use crate::config::Settings;
use crate::connectors::{Blackhole, OnBad, StdinSource};
use crate::delta::Delta;
use crate::plan::{Dataflow, EmitMode, SharedFlow};
use crate::runtime::RuntimeError;
use crate::runtime::control::Control;
use crate::runtime::job::{Job, JobOptions, JobPart, JobSummary};
use crate::runtime::rebuild::RebuildSink;
use crate::runtime::sink::{CallbackSink, TopicSink};
use crate::runtime::upsert_sink::UpsertSink;
use crate::runtime::wanted::Wanted;
use crate::sql::Code;
use crate::sql::{
    self, CreateKind, CreateStream, Diagnostic, EmitQuery, Insert, Name, ObjectKind, ParsedStatement,
    Statement, normalized,
};
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The name under which standard input can be read.
pub(super) const STDIN: &str = "stdin";

/// What a statement did or gives.
pub enum Outcome {
    /// It is done; in words.
    Notice(String),
    /// A small result.
    Rows(Rows),
    /// The answer of a bounded query.
    Bounded(Bounded),
    /// A continuous query, to be run by the caller.
    Continuous(Box<Continuous>),
    /// A job runs in the background: its name.
    Job(String),
}

/// Statements are run in a session. Its jobs end with it.
pub struct Session {
    pub(super) engine: Engine,
    /// The settings, which SET changes.
    pub settings: Settings,
    /// What stands before the names of jobs: the file's name. `None` = nothing is resumed: each INSERT inserts.
    pub(super) scope: Option<String>,
    pub(super) interactive: bool,
    until_caught_up: bool,
    jobs: Arc<Jobs>,
    /// Statements that have not been started: it is still open what they can be run together with.
    pending: Mutex<Vec<Pending>>,
    stdin: Option<(Arc<StreamDef>, ExtraTables)>,
    /// What standard input was taken for, until that is told.
    pub(super) guessed: Option<String>,
    pub(super) names: HashSet<String>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) chosen: Chosen,
    upkeep: Upkeep,
}

impl Session {
    /// A session in `engine`. With a `scope` (a file's name), INSERTs are jobs that are resumed when the same file is
    /// run again; without, each runs anew. With `until_caught_up`, continuous queries end when all is read.
    pub fn new(engine: &Engine, settings: Settings, scope: Option<&str>, until_caught_up: bool) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        Session {
            engine: engine.clone(),
            settings,
            scope: scope.map(|s| s.chars().map(plain).collect()),
            interactive: false,
            until_caught_up,
            jobs: Jobs::new(engine.clone()),
            pending: Mutex::default(),
            stdin: None,
            guessed: None,
            names: HashSet::new(),
            warnings: Vec::new(),
            chosen: Chosen::default(),
            upkeep: Upkeep::start(engine),
        }
    }

    /// Goes on with another file's statements.
    pub fn set_scope(&mut self, scope: &str) -> Result<()> {
        self.launch()?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        self.scope = Some(scope.chars().map(plain).collect());
        Ok(())
    }

    /// Starts the statements that wait for others to be run together with.
    pub(super) fn launch(&self) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let (engine, extra) = (self.engine.clone(), self.extra());
        let sources: MakeSources =
            Arc::new(move |flow, producer| setups(&engine, &extra, flow, Some(producer)));
        launch(&self.engine, &self.jobs, pending, &sources)
    }

    /// Runs one statement of `source`.
    pub fn execute(&mut self, source: &str, statement: &ParsedStatement) -> Result<Outcome> {
        if !matches!(
            statement.statement,
            Statement::CreateStream(_)
                | Statement::CreateView(_)
                | Statement::Insert(_)
                | Statement::Set { .. }
        ) {
            self.launch()?;
        }
        match &statement.statement {
            Statement::CreateStream(create) => self.create_stream(source, create),
            Statement::CreateView(create) => {
                let new = define::create_view(&self.engine, source, create)?;
                let name = &create.name.value;
                Ok(Outcome::Notice(if new {
                    format!("view {name} defined")
                } else {
                    format!("view {name} is there already")
                }))
            }
            Statement::Insert(insert) => self.insert(source, insert),
            Statement::Update(update) => self.change(source, Change::Update(update)),
            Statement::Delete(delete) => self.change(source, Change::Delete(delete)),
            Statement::Query(query) => self.query(source, query),
            Statement::Drop { kind, name, if_exists } => {
                let there = define::is_there(&self.engine, *kind, name, *if_exists)?;
                if there {
                    if *kind != ObjectKind::View {
                        self.release(name)?;
                    }
                    define::drop_object(&self.engine, *kind, name)?;
                }
                let name = &name.value;
                Ok(Outcome::Notice(if there {
                    format!("{name} dropped")
                } else {
                    format!("there is no {name}")
                }))
            }
            Statement::ShowJobs => Ok(Outcome::Rows(jobs_rows(&own_jobs::all(&self.engine, &self.jobs)?)?)),
            Statement::DescribeJob(name) => {
                let job = own_jobs::describe(&self.engine, &self.jobs, &name.value).map_err(at(name))?;
                Ok(Outcome::Rows(job_rows(&job)?))
            }
            Statement::ExplainWaiting(name) => {
                let job = own_jobs::describe(&self.engine, &self.jobs, &name.value).map_err(at(name))?;
                Ok(Outcome::Rows(why_rows(&job)?))
            }
            Statement::Job { verb, name } => {
                let answer = own_jobs::ask(&self.engine, &self.jobs, &name.value, (*verb).into());
                let answer = answer.map_err(at(name))?;
                Ok(Outcome::Notice(answer.said))
            }
            Statement::Show { kind } => Ok(Outcome::Rows(describe::show(&self.engine, *kind)?)),
            Statement::ShowSetting(name) => {
                Ok(Outcome::Rows(describe::show_settings(&self.settings, name.as_ref())?))
            }
            Statement::Describe(name) => Ok(Outcome::Rows(describe::describe(&self.engine, name)?)),
            Statement::Explain(query) => {
                let definitions = self.definitions(query)?;
                let (flow, _) = self.flow(&definitions, source, query)?;
                Ok(Outcome::Rows(describe::explain_flow(&flow)?))
            }
            Statement::Set { name, value, value_span } => {
                self.settings.set(&name.value, value).map_err(|e| {
                    let unknown = matches!(e, crate::config::SettingError::Unknown { .. });
                    let code = if unknown { Code::NoOption } else { Code::OptionValue };
                    Diagnostic::coded(code, e.to_string()).at(if unknown {
                        name.span.clone()
                    } else {
                        value_span.clone()
                    })
                })?;
                Ok(Outcome::Notice(format!("{} is {value}", name.value)))
            }
            Statement::Reset(name) => {
                let reset = self.settings.reset(&name.value);
                reset.map_err(|e| Diagnostic::coded(Code::NoOption, e.to_string()).at(name.span.clone()))?;
                Ok(Outcome::Notice(format!("{} is as at the start", name.value)))
            }
        }
    }

    /// A running job that reads a stream.
    pub(super) fn reader_of(&self, stream: &str) -> Option<String> {
        self.jobs.reader_of(stream)
    }

    /// Ends this session's jobs that write a stream which is to be dropped. Errors: another job reads it.
    fn release(&self, name: &Name) -> Result<()> {
        if let Some(reader) = self.jobs.reader_of(&name.value) {
            let d = Diagnostic::coded(Code::Taken, format!("job {reader} is reading \"{}\"", name.value));
            return Err(d.at(name.span.clone()).help("drop the stream that the job writes first").into());
        }
        self.jobs.stop_writers(&name.value);
        Ok(())
    }

    /// What is defined, and `stdin` if the query names it.
    fn definitions(&mut self, query: &EmitQuery) -> Result<Definitions> {
        let mut definitions = self.engine.definitions()?;
        if !definitions.streams.contains_key(STDIN) && sql::reads(&query.query, STDIN) {
            let (stream, _) = self.stdin()?;
            definitions.streams.insert(STDIN.into(), stream);
        }
        self.check_renamed(&definitions, query)?;
        Ok(definitions)
    }

    /// Standard input as a stream; opened at first use.
    fn stdin(&mut self) -> Result<(Arc<StreamDef>, ExtraTables)> {
        if let Some(open) = &self.stdin {
            return Ok(open.clone());
        }
        self.check_stdin()?;
        let mut source = StdinSource::open()?;
        self.guessed = Some(super::interactive::told(&source));
        let columns = source.schema();
        let columns = columns.fields().iter().map(|f| Column {
            name: f.name().clone(),
            data_type: f.data_type().clone(),
            nullable: f.is_nullable(),
        });
        let stream = Arc::new(StreamDef {
            name: STDIN.into(),
            columns: columns.collect(),
            event_time: None,
            connector: STDIN.into(),
            options: Vec::new(),
            query: None,
            primary_key: None,
        });
        let reader = source.reader(Default::default(), OnBad::Fail)?;
        let once = Arc::new(ReadOnce(Mutex::new(Some(reader))));
        let extra: ExtraTables = Arc::new(HashMap::from([(STDIN.to_string(), once)]));
        Ok(self.stdin.insert((stream, extra)).clone())
    }

    fn extra(&self) -> ExtraTables {
        self.stdin.as_ref().map_or_else(ExtraTables::default, |(_, extra)| extra.clone())
    }

    fn create_stream(&mut self, source: &str, create: &CreateStream) -> Result<Outcome> {
        let name = create.name.value.clone();
        let word = create.kind.word();
        let Some(query) = &create.query else {
            return Ok(Outcome::Notice(match create_stream(&self.engine, source, create, None)? {
                Defined::Created(_) => format!("{word} {name} created"),
                Defined::Same(_) | Defined::Left | Defined::Changed(_) => {
                    format!("{word} {name} is there already")
                }
            }));
        };
        if let Some(new) = self.chosen.renames(&name) {
            return self.keep_elsewhere(source, create, query, new);
        }
        self.keep_result(source, create, query)
    }

    /// The same under another name.
    fn keep_elsewhere(
        &mut self,
        source: &str,
        create: &CreateStream,
        query: &EmitQuery,
        name: String,
    ) -> Result<Outcome> {
        self.check_unread(&create.name.value, &name, &create.name.span)?;
        let mut create = create.clone();
        create.name.value = name;
        self.keep_result(source, &create, query)
    }

    /// Defines what keeps a query's result, and starts the job that writes it.
    fn keep_result(&mut self, source: &str, create: &CreateStream, query: &EmitQuery) -> Result<Outcome> {
        let (name, word) = (create.name.value.clone(), create.kind.word());
        let definitions = self.definitions(query)?;
        let plan = self.plan(&definitions, source, query)?;
        let (flow, unique) = self.dataflow(&definitions, source, query, plan.clone())?;
        let key = if create.kind == CreateKind::Stream {
            check_append_only(&flow, query, forgets(create))?;
            None
        } else {
            Some(result_key(create, &flow, &unique, &query.span)?)
        };
        let asked = Asked::of(&self.engine, &definitions, source, query.span.clone(), query, &flow)?;
        let defined = create_stream(&self.engine, source, create, Some((&flow, key)))?;
        let there = || Ok(Outcome::Notice(format!("{word} {name} is there already")));
        let (stream, changed, afresh) = match defined {
            Defined::Created(stream) | Defined::Same(stream) => (stream, None, false),
            Defined::Left => return there(),
            Defined::Changed(changed) => {
                let place = create.name.span.clone();
                let way = self.chosen.on_change(&name, &name).map_err(|d| d.at(place.clone()))?;
                // A run that was cut off may have begun with it.
                let begun = read_job_file(&self.engine.0.disk, &jobs_dir(&self.engine).join(&name))?;
                let begun = begun.and_then(|f| f.asked).is_some_and(|begun| begun.is_same(&asked));
                match way {
                    Way::As(new) => return self.keep_elsewhere(source, create, query, new),
                    Way::Refuse if begun => (changed.new.clone(), Some(changed), false),
                    Way::Refuse if create.if_not_exists => return there(),
                    Way::Refuse => return Err(changed.refusal(place).into()),
                    Way::Fresh => {
                        changed.check_only_query().map_err(|d| d.at(place))?;
                        (changed.new.clone(), Some(changed), !begun)
                    }
                }
            }
        };
        let lasting = is_lasting(&flow, true);
        let place = &query.span;
        let home = match lasting.then(|| self.open_home(&name, &stream, &asked, &flow, afresh, place)) {
            None => None,
            Some(home) => match home? {
                Home::Open(home, fingerprint) => Some((*home, fingerprint)),
                Home::As(new) => return self.keep_elsewhere(source, create, query, new),
            },
        };
        if let Some(changed) = changed {
            changed.replace(&self.engine)?;
        }
        let running = Running::new(&self.engine, definitions, source, query, plan);
        self.start_job(name, source, query, flow, stream, true, home, running)
    }

    fn insert(&mut self, source: &str, insert: &Insert) -> Result<Outcome> {
        let renamed = self.chosen.renames(&insert.table.value).filter(|_| !insert.is_values);
        self.insert_into(source, insert, renamed)
    }

    /// Runs an INSERT; with `elsewhere`, what it writes goes into a stream of this name that is like the one it names.
    fn insert_into(&mut self, source: &str, insert: &Insert, elsewhere: Option<String>) -> Result<Outcome> {
        let definitions = self.definitions(&insert.query)?;
        let mut stream = target(&definitions, &insert.table, "stream")?.clone();
        if let Some(name) = &elsewhere {
            self.check_unread(&stream.name, name, &insert.table.span)?;
            stream = define_like(&self.engine, &stream, name, &insert.table.span)?;
        }
        let name = self.job_name(&stream.name);
        let plan = self.inserted_plan(&definitions, source, insert, &stream)?;
        if insert.is_values {
            return self
                .insert_values(name, &stream, plan, source, insert)
                .map_err(|error| self.placed_value(&definitions, source, insert, &stream, error));
        }
        let flow = self.inserted_flow(&definitions, source, insert, &stream, plan.clone())?;
        // The columns belong to what is computed.
        let words = match insert.columns.as_slice() {
            [] => insert.query.span.clone(),
            [first, ..] => first.span.start..insert.query.span.end,
        };
        let asked = Asked::of(&self.engine, &definitions, source, words, &insert.query, &flow)?;
        let name = match self.interactive {
            true => self.free_name(&stream.name, &asked)?,
            false => self.known_name(name, &stream.name, &asked)?,
        };
        let lasting = is_lasting(&flow, self.scope.is_some());
        let place = &insert.query.span;
        let home = match lasting.then(|| self.open_home(&name, &stream, &asked, &flow, false, place)) {
            None => None,
            Some(home) => match home? {
                Home::Open(home, fingerprint) => Some((*home, fingerprint)),
                Home::As(new) => return self.insert_into(source, insert, Some(new)),
            },
        };
        let running = Running::new(&self.engine, definitions, source, &insert.query, plan);
        self.start_job(name, source, &insert.query, flow, stream, false, home, running)
    }

    /// A name for a job that writes `sink`, the same each time the same file is run.
    pub(super) fn job_name(&mut self, sink: &str) -> String {
        let base = match &self.scope {
            Some(scope) => format!("{scope}.{sink}"),
            None => sink.to_string(),
        };
        let numbered = (2..).map(|n| format!("{base}.{n}"));
        let name =
            std::iter::once(base.clone()).chain(numbered).find(|n| !self.names.contains(n)).unwrap_or(base);
        self.names.insert(name.clone());
        name
    }

    fn insert_values(
        &mut self,
        name: String,
        stream: &StreamDef,
        plan: LogicalPlan,
        source: &str,
        insert: &Insert,
    ) -> Result<Outcome> {
        if stream.connector != "topic" {
            return Err(Diagnostic::coded(
                Code::NotWritten,
                "VALUES can be inserted into streams in topics only",
            )
            .at(insert.table.span.clone())
            .into());
        }
        let mut producer = 0;
        let mut _home = None;
        if self.is_file() {
            // The text belongs to the job's name: other values in the same place are another insert.
            let text = normalized(&source[insert.query.span.clone()]);
            let name = format!("{name}.values.{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
            let home = job_home(&self.engine, &name, &stream.name)?;
            producer = home.producer;
            _home = Some(home);
        }
        let before = rows_in_topic(&self.engine, &stream.name)?;
        let rows = write_values(&self.engine, stream, plan, producer)?;
        let written = rows_in_topic(&self.engine, &stream.name)? != before || rows == 0;
        Ok(Outcome::Notice(if written || producer == 0 {
            format!("{rows} {} inserted into {}", if rows == 1 { "row" } else { "rows" }, stream.name)
        } else {
            format!("{} has these {rows} rows already", stream.name)
        }))
    }

    /// UPDATE and DELETE.
    fn change(&mut self, source: &str, change: Change) -> Result<Outcome> {
        let definitions = self.engine.definitions()?;
        let table = change::changed_table(&definitions, change)?;
        let (name, word) = (self.job_name(&table.name), change.word());
        let mut home = None;
        if self.is_file() {
            // The text belongs to the name: another change in the same place is another one.
            let text = normalized(&source[change.query().span.clone()]);
            let name = format!("{name}.{word}.{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
            home = Some(job_home(&self.engine, &name, &table.name)?);
        }
        let made = change::make(&self.engine, &definitions, source, table, change, home.as_ref())?;
        Ok(Outcome::Notice(match made {
            Some(1) => format!("1 row of {} {word}d", table.name),
            Some(rows) => format!("{rows} rows of {} {word}d", table.name),
            None => format!("{} has this {word} already", table.name),
        }))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one statement, taken apart by its two callers"
    )]
    fn start_job(
        &mut self,
        name: String,
        source: &str,
        query: &EmitQuery,
        flow: Arc<Dataflow>,
        stream: Arc<StreamDef>,
        owns: bool,
        home: Option<(JobHome, String)>,
        running: Arc<Running>,
    ) -> Result<Outcome> {
        self.warn_of_growth(source, &flow, query);
        let (mut home, fingerprint) = home.map_or((None, String::new()), |(h, f)| (Some(h), f));
        let producer = home.as_ref().map_or_else(|| uuid::Uuid::new_v4().as_u128(), |h| h.producer);
        if let Some(home) = home.as_ref().filter(|h| Wanted::read(&h.store.disk, &h.store.dir).paused) {
            let job = &home.store.job;
            let d = Diagnostic::new(format!("job {job} is paused: it makes no steps")).at(query.span.clone());
            self.warnings.push(
                d.help(format!("it goes on after 'millstream job resume {job}' or RESUME JOB \"{job}\"")),
            );
        }
        let rebuilding = home.as_mut().map_or(Ok(false), JobHome::is_rebuilding)?;
        let sink =
            sink_of(&self.engine, &stream, &flow, owns, producer, home.as_ref().filter(|_| rebuilding))?;
        let control = Arc::new(Control::default());
        let reads: Vec<String> = flow.sources.iter().map(|s| s.stream.name.clone()).collect();
        // What cannot be opened is told of the statement that wants it.
        setups(&self.engine, &self.extra(), &SharedFlow::from(flow.as_ref()), None)?;
        let writes = Some(stream.name.clone());
        let number = self.jobs.register(&name, reads.clone(), writes, control.clone(), Some(running))?;
        let pending = Pending {
            number,
            name: name.clone(),
            reads,
            writes: stream.name.clone(),
            flow,
            sink,
            fingerprint,
            control,
            options: self.job_options(false),
            producer,
            alone: rebuilding,
            home,
            so_far: None,
        };
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
        Ok(Outcome::Job(name))
    }

    fn job_options(&self, until_caught_up: bool) -> JobOptions {
        memory::set_limit(&self.engine, self.settings.memory_limit);
        JobOptions {
            workers: self.settings.workers,
            step_rows: self.settings.step_rows,
            idle_timeout: self.settings.idle_timeout.unwrap_or(Duration::ZERO),
            state_ttl: self.settings.state_ttl,
            checkpoint_interval: self.settings.checkpoint_interval,
            until_caught_up,
        }
    }

    fn query(&mut self, source: &str, query: &EmitQuery) -> Result<Outcome> {
        let definitions = self.definitions(query)?;
        if query.emit.is_none() {
            let plan = self.plan(&definitions, source, query)?;
            let started = bounded::start(&self.engine, plan.clone(), &self.extra());
            let running = Running::new(&self.engine, definitions.clone(), source, query, plan);
            let started = started.map_err(|error| match error {
                EngineError::Sql(d) => self.placed(&definitions, source, query, Stage::Bounded, d).into(),
                other => running.placed_early(other),
            })?;
            let heads = Heads::of(source, query, &started.schema());
            return Ok(Outcome::Bounded(started.of(running, heads)));
        }
        let plan = self.plan(&definitions, source, query)?;
        let (flow, unique) = self.dataflow(&definitions, source, query, plan.clone())?;
        if !self.until_caught_up {
            self.warn_of_growth(source, &flow, query);
        }
        let control = Arc::new(Control::default());
        if self.interactive {
            control.shows();
        }
        let listing = Listing::of(&flow, &unique, query, emit_mode(query));
        let reads = flow.sources.iter().map(|s| s.stream.name.clone()).collect();
        let running = Running::new(&self.engine, definitions, source, query, plan);
        let number = self.jobs.register("query", reads, None, control.clone(), Some(running))?;
        let part = JobPart {
            name: "query".into(),
            sink: Box::new(CallbackSink(|_: &Delta| Ok(()))),
            fingerprint: String::new(),
            control: control.clone(),
            dir: None,
        };
        let schema = flow.root().schema.clone();
        let heads = Heads::of(source, query, &schema);
        let flow = Arc::new(SharedFlow::from(flow.as_ref()));
        let job = Job {
            sources: setups(&self.engine, &self.extra(), &flow, None)?,
            flow,
            parts: vec![part],
            options: self.job_options(self.until_caught_up),
            store: None,
            log: None,
            clock: self.engine.0.clock.clone(),
            spill: Some(memory::spill_to(&self.engine)?),
        };
        let changes = emit_mode(query) == EmitMode::Changes;
        Ok(Outcome::Continuous(Box::new(Continuous {
            job,
            schema,
            heads,
            listing,
            watch: Watch::new(&self.engine, &control),
            control,
            changes,
            jobs: self.jobs.clone(),
            number,
        })))
    }

    /// Whether the next statements must wait until the jobs so far have read all that there is: a bounded query
    /// answers over what earlier statements have written.
    pub fn needs_settled(&self, statement: &Statement) -> bool {
        let waits = match statement {
            Statement::Query(query) => query.emit.is_none() || self.until_caught_up,
            Statement::Drop { .. } | Statement::Update(_) | Statement::Delete(_) => true,
            _ => false,
        };
        waits && !self.jobs.views().is_empty()
    }

    /// Waits until every job has ended or has read all that there is, or `tick` says no more.
    pub fn settle(&self, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        self.launch()?;
        self.jobs.wait_settled(true, tick)
    }

    /// Waits until all jobs have ended (with `until_caught_up`: have read all that there is), or `tick` says no more.
    pub fn wait(&self, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        self.launch()?;
        if self.until_caught_up {
            self.jobs.wait_settled(self.chosen.fail_fast(), tick)
        } else {
            self.jobs.wait_ended(self.chosen.fail_fast(), tick)
        }
    }

    /// Ends all jobs, each after its step, with a checkpoint.
    pub fn stop(&self) {
        self.jobs.stop_all();
        self.jobs.join();
    }

    /// Fails if a job has failed, with its reason.
    pub fn check(&self) -> Result<()> {
        self.jobs.check()
    }

    /// All failures of jobs that have not been told yet.
    pub fn take_failures(&self) -> Vec<EngineError> {
        self.jobs.take_failures()
    }

    /// What has happened to the jobs since the last time, in words.
    pub fn take_news(&self) -> Vec<String> {
        self.jobs.take_news(self.chosen.fail_fast())
    }

    /// What could not be done in the background for the data directory, in words; each is told once.
    pub fn take_upkeep_failures(&self) -> Vec<String> {
        self.upkeep.take_failures()
    }

    /// The jobs of this session.
    pub fn jobs(&self) -> Vec<JobView> {
        self.jobs.views()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Gives a mistake without a place that of `name`.
fn at(name: &Name) -> impl Fn(EngineError) -> EngineError + '_ {
    |error| match error {
        EngineError::Sql(d) if d.span.is_none() => d.at(name.span.clone()).into(),
        other => other,
    }
}

fn rows_in_topic(engine: &Engine, name: &str) -> Result<u64> {
    let topic = engine.0.log.topic(name)?;
    (0..topic.partitions()).try_fold(0, |sum, p| Ok(sum + topic.end_offset(p)?))
}

/// What makes the sink of a job that writes `stream` as `producer`. `rebuilt`: the folder of a job that was begun afresh,
/// whose result is to be brought into the table that is there; `owns`: nobody else writes the stream.
fn sink_of(
    engine: &Engine,
    stream: &Arc<StreamDef>,
    flow: &Dataflow,
    owns: bool,
    producer: u128,
    rebuilt: Option<&JobHome>,
) -> Result<MakeSink> {
    let (engine, stream, append_only) = (engine.clone(), stream.clone(), flow.root().append_only);
    let owners = rebuilt.filter(|_| !owns).map(JobHome::producers).transpose()?;
    let owners = owners.map(|all| all.into_iter().collect::<HashSet<u128>>());
    let rebuilt = rebuilt.map(|home| home.store.clone());
    Ok(Box::new(move || {
        if stream.connector == "blackhole" {
            return Ok(Box::new(Blackhole::default()));
        }
        let appender = appender(&engine, &stream, producer)?;
        if !stream.is_table() {
            let carries = owns && stream.event_time.as_ref().is_some_and(|e| e.delay.is_none());
            return Ok(Box::new(TopicSink::new(appender, stream.schema(), carries, owns)));
        }
        let sink = UpsertSink::new(appender, upsert_target(&stream), append_only, owns)?;
        Ok(match &rebuilt {
            Some(store) => {
                let topic = engine.0.log.topic(&stream.name)?;
                Box::new(RebuildSink::new(sink, topic, owners.clone(), store.clone())?)
            }
            None => Box::new(sink),
        })
    }))
}

/// What cannot be read again cannot be resumed. `named`: the job's name is the same each time.
fn is_lasting(flow: &Dataflow, named: bool) -> bool {
    named && !flow.sources.iter().any(|s| s.stream.connector == STDIN)
}

/// A stream only takes rows that stay; one that forgets them takes changes too.
pub(super) fn check_append_only(
    flow: &Dataflow,
    query: &EmitQuery,
    forgets: bool,
) -> Result<(), EngineError> {
    if flow.root().append_only || forgets {
        return Ok(());
    }
    let d = Diagnostic::coded(Code::NotAppendOnly, "a stream only ever takes new rows, but this query takes rows back when its result changes")
        .at(query.span.clone())
        .help("write CREATE MATERIALIZED VIEW or CREATE TABLE … AS, which keep a result that changes by its key; or add EMIT FINAL to a query over a window");
    Err(d.into())
}

/// A continuous query whose result the caller takes.
pub struct Continuous {
    job: Job,
    schema: SchemaRef,
    heads: Heads,
    listing: Listing,
    watch: Watch,
    control: Arc<Control>,
    changes: bool,
    jobs: Arc<Jobs>,
    number: usize,
}

impl Continuous {
    /// The result's columns.
    pub fn schema(&self) -> SchemaRef {
        self.heads.schema(&self.schema)
    }

    /// Whether rows may be taken back, or at least carry their sign: EMIT CHANGES.
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// How its rows are to be shown.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// What can be seen of it while it runs.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// What the query shows, and is told.
    pub fn control(&self) -> Arc<Control> {
        self.control.clone()
    }

    /// Runs the query until its input ends or it is told to stop; `take` gets each delta of the result, on another thread.
    pub fn run(
        mut self,
        mut take: impl FnMut(&Delta) -> Result<(), String> + Send + 'static,
    ) -> Result<JobSummary> {
        let heads = self.heads.clone();
        let take = move |delta: &Delta| {
            let batch = heads.over(delta.batch.clone()).map_err(|e| e.to_string())?;
            take(&Delta { batch, ..delta.clone() })
        };
        if let Some(part) = self.job.parts.first_mut() {
            part.sink = Box::new(CallbackSink(take));
        }
        let result = self.job.run_alone();
        let summary = result.as_ref().ok().copied();
        self.jobs.ended(self.number, result);
        match summary {
            Some(summary) => Ok(summary),
            None => Err(self.jobs.check().err().unwrap_or(EngineError::Runtime(RuntimeError::WorkerLost))),
        }
    }
}
