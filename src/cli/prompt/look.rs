//! The commands that begin with a backslash.

use super::keys::Keys;
use super::meta::{self, Meta};
use super::run::{Failure, say};
use super::{Next, Shell, help, lock};
use crate::cli::allocator;
use crate::cli::print::columns_line;
use crate::cli::report;
use crate::cli::terminal;
use crate::cli::wrap::wrapped;
use crate::config::parse_duration;
use crate::engine::{
    ConsumeOptions, Consumed, EngineError, Outcome, ParsedStatement, Rows, Start, Statement, parse_all,
};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Field, Schema};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a query is run again that is watched.
const WATCH: Duration = Duration::from_secs(2);
/// Columns of the screen from which on `\jobs` shows these too.
const WIDE: usize = 160;
const WIDE_COLUMNS: &[&str] = &["sink", "rows_out_per_s", "watermark", "since", "pid"];
/// How many rows `\peek` shows.
const PEEK: u64 = 10;

impl Shell {
    /// Runs a command.
    pub(super) fn command(&mut self, meta: Meta, rest: &str) -> Next {
        let done = match meta {
            Meta::Quit => return Next::Leave,
            Meta::Help => {
                say(&meta::list(terminal::size().0));
                Ok(())
            }
            Meta::SqlHelp => {
                help::text(rest).lines().for_each(|line| say(&wrapped(line, terminal::size().0, 2)));
                Ok(())
            }
            Meta::Describe if rest.is_empty() => self.list(),
            Meta::Describe => return self.ask(&format!("DESCRIBE {rest}")),
            Meta::DescribeMore => self.describe_more(rest),
            Meta::Peek => self.peek(rest),
            Meta::Plan => self.plan(rest),
            Meta::Jobs => self.jobs(),
            Meta::Job => self.job(rest),
            Meta::Why => self.of_job("EXPLAIN WAITING", rest),
            Meta::Stop => self.of_job("STOP JOB", rest),
            Meta::Resume => self.resume(),
            Meta::Timing => {
                self.timing = switched(self.timing, rest);
                say(&format!("timing is {}", word(self.timing)));
                Ok(())
            }
            Meta::Expanded => {
                self.expanded = switched(self.expanded, rest);
                say(&format!("a line for each column is {}", word(self.expanded)));
                Ok(())
            }
            Meta::Format => self.set_format(rest),
            Meta::MaxRows => self.set_max_rows(rest),
            Meta::Watch => self.watch(rest),
            Meta::Include => self.include(rest),
            Meta::Edit => return self.edit(rest),
            Meta::Output => self.output(rest),
            Meta::Set => {
                self.set(rest);
                Ok(())
            }
        };
        if let Err(failure) = done {
            self.say_failure(&failure, "");
        }
        Next::GoOn
    }

    /// All streams, tables and views.
    fn list(&mut self) -> Result<(), Failure> {
        let definitions = self.engine.definitions()?;
        let topics = self.engine.topics()?;
        let mut rows: Vec<[Option<String>; 4]> = Vec::new();
        for stream in definitions.streams.values() {
            let topic = topics.iter().find(|t| t.name == stream.name && stream.connector == "topic");
            rows.push([
                Some(stream.name.clone()),
                Some(stream.kind().into()),
                topic.map(|t| t.rows.to_string()),
                Some(columns_line(&stream.schema())),
            ]);
        }
        for view in definitions.views.values() {
            rows.push([Some(view.name.clone()), Some("view".into()), None, Some(view.query.clone())]);
        }
        if rows.is_empty() {
            say("nothing is defined yet: \\h CREATE STREAM");
            return Ok(());
        }
        rows.sort();
        let text = |at: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|r| r[at].as_deref()).collect::<StringArray>())
        };
        let counts: Int64Array =
            rows.iter().map(|r| r[2].as_ref().and_then(|n| n.parse::<i64>().ok())).collect();
        let columns: [(&str, ArrayRef); 4] =
            [("name", text(0)), ("kind", text(1)), ("rows", Arc::new(counts)), ("columns", text(3))];
        self.batch(
            &RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)))
                .map_err(EngineError::from)?,
        )
    }

    /// DESCRIBE, then how it is kept, and who reads and writes it.
    fn describe_more(&mut self, name: &str) -> Result<(), Failure> {
        if name.is_empty() {
            return self.list();
        }
        if !self.text("\\d+", &format!("DESCRIBE {name}")) {
            return Ok(());
        }
        let name = name.trim_matches('"');
        if let Ok(topic) = self.engine.describe_topic(name) {
            for line in &topic.kept {
                say(&format!("  {line}"));
            }
            for (partition, p) in topic.partitions.iter().enumerate() {
                let rows = p.stats.end.saturating_sub(p.stats.start);
                say(&format!("  partition {partition}: {rows} rows, {}", super::live::size(p.stats.bytes)));
            }
        }
        for job in self.engine.jobs()? {
            let reads =
                job.status.as_ref().is_some_and(|s| s.sources.iter().any(|source| source.name == name));
            if job.sink == name {
                say(&format!("  written by job {} ({})", job.name, job.is.word()));
            } else if reads {
                say(&format!("  read by job {} ({})", job.name, job.is.word()));
            }
        }
        Ok(())
    }

    /// The last rows of a topic.
    fn peek(&mut self, rest: &str) -> Result<(), Failure> {
        let (name, count) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let count = match count.trim() {
            "" => PEEK,
            text => text
                .parse()
                .map_err(|_| Failure::Other(format!("\"{text}\" is no number of rows: \\peek {name} 20")))?,
        };
        let name = name.trim_matches('"');
        if name.is_empty() {
            return Err(Failure::Other("say which stream: \\peek departures".into()));
        }
        let topic = match self.engine.describe_topic(name) {
            Ok(topic) => topic,
            // What is no topic is read from its start.
            Err(_) => {
                self.text("\\peek", &format!("SELECT * FROM {name} LIMIT {count}"));
                return Ok(());
            }
        };
        let mut batches = Vec::new();
        for (partition, p) in topic.partitions.iter().enumerate() {
            let from = p.stats.end.saturating_sub(count).max(p.stats.start);
            let options = ConsumeOptions {
                partition: u32::try_from(partition).ok(),
                from: Some(Start::Offset(from)),
                limit: Some(p.stats.end.saturating_sub(from)),
                metadata: true,
                ..ConsumeOptions::default()
            };
            if from == p.stats.end {
                continue;
            }
            self.engine.consume_topic(name, &options, &mut || true, &mut |consumed| {
                if let Consumed::Rows { batch, .. } = consumed {
                    batches.push(batch);
                }
                Ok(true)
            })?;
        }
        let schema = self.engine.consumed_schema(name, true)?;
        let all = concat_batches(&schema, &batches).map_err(EngineError::from)?;
        let last = latest(&all, count).map_err(EngineError::from)?;
        self.batch(&last)
    }

    fn plan(&mut self, query: &str) -> Result<(), Failure> {
        let query = match (query.trim().trim_end_matches(';'), &self.last_query) {
            ("", None) => return Err(Failure::Other("there was no query yet: \\plan SELECT …".into())),
            ("", Some(last)) => last.clone(),
            (query, _) => query.to_string(),
        };
        self.text("\\plan", &format!("EXPLAIN {query}"));
        Ok(())
    }

    /// The jobs with their numbers.
    fn jobs(&mut self) -> Result<(), Failure> {
        let sql = "SHOW JOBS";
        let Some(rows) = self.rows_of(sql)? else { return Ok(()) };
        if rows.batch.num_rows() == 0 {
            say(
                "no jobs: CREATE STREAM … AS SELECT and INSERT INTO … SELECT start some, and b while a query runs",
            );
            return Ok(());
        }
        let names = rows.batch.column(0).as_string::<i32>();
        let number = |name: &str| i64::try_from(self.jobs_here().number(name)).unwrap_or(0);
        let numbers: Int64Array = names.iter().map(|name| name.map(number)).collect();
        let schema = rows.batch.schema();
        let fields = std::iter::once(Arc::new(Field::new("#", numbers.data_type().clone(), true)));
        let fields: Vec<_> = fields.chain(schema.fields().iter().cloned()).collect();
        let columns =
            std::iter::once(Arc::new(numbers) as ArrayRef).chain(rows.batch.columns().iter().cloned());
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())
            .map_err(EngineError::from)?;
        if !self.format().is_drawn() {
            return self.batch(&batch);
        }
        let failed = batch.column_by_name("error").is_some_and(|e| e.null_count() < e.len());
        let wide = terminal::size().0 >= WIDE;
        let shown = |name: &str| match name {
            "error" => failed,
            name => wide && name != "pid" || !WIDE_COLUMNS.contains(&name),
        };
        let shown: Vec<usize> = batch
            .schema()
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, f)| shown(f.name()))
            .map(|(at, _)| at)
            .collect();
        self.batch(&batch.project(&shown).map_err(EngineError::from)?)
    }

    /// The rows of a statement that gives some at once.
    fn rows_of(&mut self, sql: &str) -> Result<Option<Rows>, Failure> {
        let Some(statement) = parse_all(sql).0.pop() else { return Ok(None) };
        match lock(&self.session).execute(sql, &statement)? {
            Outcome::Rows(rows) => Ok(Some(rows)),
            _ => Ok(None),
        }
    }

    /// All that is known of a job, in lines that are not cut.
    fn job(&mut self, word: &str) -> Result<(), Failure> {
        if !self.format().is_drawn() {
            return self.of_job("DESCRIBE JOB", word);
        }
        let job = self.job_named(word)?;
        let Some(rows) = self.rows_of(&about_job("DESCRIBE JOB", &job))? else { return Ok(()) };
        let cell = |column: usize, row: usize| rows.batch.column(column).as_string::<i32>().value(row);
        let all = 0..rows.batch.num_rows();
        let is_operator = |row: usize| cell(0, row).starts_with("operator ");
        let names = all.clone().filter(|row| !is_operator(*row)).map(|row| cell(1, row).len()).max();
        let (names, width) = (names.unwrap_or(0), terminal::size().0);
        let mut heading = "";
        for row in all {
            let (about, what, value) = (cell(0, row), cell(1, row), cell(2, row));
            if is_operator(row) {
                say(&wrapped(&format!("{about}: {what}"), width, 4));
                say(&wrapped(&format!("    {value}"), width, 4));
                continue;
            }
            if heading != about {
                heading = about;
                say(about);
            }
            say(&wrapped(&format!("  {what:names$}  {value}"), width, names + 4));
        }
        Ok(())
    }

    fn of_job(&mut self, verb: &str, word: &str) -> Result<(), Failure> {
        let job = self.job_named(word)?;
        self.text("\\", &about_job(verb, &job));
        Ok(())
    }

    /// The job that a number or a name stands for; without either the only one that runs.
    fn job_named(&self, word: &str) -> Result<String, Failure> {
        match word {
            "" => super::background::only(&lock(&self.session)).ok_or_else(|| {
                Failure::Other("say which job, by its number or name: \\jobs lists them".into())
            }),
            word => self.jobs_here().job(word).map_err(Failure::Other),
        }
    }

    /// Goes on with the jobs of an earlier session.
    fn resume(&mut self) -> Result<(), Failure> {
        let left = self.jobs_here().left();
        match left {
            Some((text, _)) => {
                self.text("prompt.sql", &text);
            }
            None => say("no jobs of an earlier session are left here"),
        }
        Ok(())
    }

    fn set_format(&mut self, format: &str) -> Result<(), Failure> {
        match format {
            "" => {
                let set = lock(&self.session).settings.get("format").unwrap_or_default();
                say(&format!(
                    "format is {set}{}",
                    if self.changelog { ", live results as changelog" } else { "" }
                ));
            }
            "changelog" => {
                self.changelog = true;
                say("each change of a live result is a row; \\format table draws it in place");
            }
            format => {
                self.changelog = false;
                self.expanded = false;
                let set = lock(&self.session).settings.set("format", format);
                set.map_err(|e| Failure::Other(e.to_string()))?;
                say(&format!("format is {format}"));
            }
        }
        Ok(())
    }

    fn set_max_rows(&mut self, rows: &str) -> Result<(), Failure> {
        if !rows.is_empty() {
            let number =
                rows.parse().map_err(|_| Failure::Other(format!("\"{rows}\" is no number of rows")))?;
            self.max_rows = number;
        }
        say(&match self.max_rows {
            0 => "all rows are shown".to_string(),
            most => format!("{most} rows of a result are shown"),
        });
        Ok(())
    }

    /// Runs the last query again and again.
    fn watch(&mut self, rest: &str) -> Result<(), Failure> {
        let every = match rest {
            "" => WATCH,
            text => parse_duration(text)
                .or_else(|| parse_duration(&format!("{text} s")))
                .filter(|d| !d.is_zero())
                .ok_or_else(|| Failure::Other(format!("\"{text}\" is no duration: \\watch 2s")))?,
        };
        let Some(query) = self.last_query.clone() else {
            return Err(Failure::Other("there was no query yet to be watched".into()));
        };
        let live = |s: &ParsedStatement| matches!(&s.statement, Statement::Query(q) if q.emit.is_some());
        if parse_all(&query).0.iter().any(live) {
            return Err(Failure::Other("a query with EMIT is live by itself: run it once".into()));
        }
        loop {
            let mut above = String::from("\u{1b}[H\u{1b}[2J");
            above.push_str(&format!("every {}, until a key is pressed", crate::config::show_duration(every)));
            say(&above);
            if !self.text("\\watch", &query) {
                return Ok(());
            }
            let mut keys = Keys::begin();
            let until = self.now() + every;
            while self.now() < until {
                if !keys.wait(Duration::from_millis(50)).is_empty() {
                    return Ok(());
                }
            }
        }
    }

    fn include(&mut self, path: &str) -> Result<(), Failure> {
        let path = path.trim_matches('\'');
        let text = std::fs::read_to_string(path).map_err(|e| Failure::Other(format!("{path}: {e}")))?;
        self.text(path, &text);
        Ok(())
    }

    /// Opens an editor on a file, or on the last statement; what was written is offered at the prompt.
    fn edit(&mut self, path: &str) -> Next {
        let own = std::env::temp_dir().join(format!("millstream-{}.sql", std::process::id()));
        let file = if path.is_empty() { own.as_path() } else { Path::new(path) };
        if path.is_empty() {
            let last = self.line.last().unwrap_or_default();
            if let Err(error) = std::fs::write(file, last) {
                say(&report::failure(&format!("{}: {error}", file.display()), self.screen()));
                return Next::GoOn;
            }
        }
        let editor =
            ["VISUAL", "EDITOR"].iter().find_map(|v| std::env::var(v).ok().filter(|e| !e.is_empty()));
        let editor = editor.unwrap_or_else(|| "vi".into());
        let mut words = editor.split_whitespace();
        let mut command = std::process::Command::new(words.next().unwrap_or("vi"));
        for own in allocator::variables() {
            command.env_remove(own);
        }
        let started = command.args(words).arg(file).status();
        let text = match started {
            Ok(status) if status.success() => std::fs::read_to_string(file).unwrap_or_default(),
            Ok(_) => String::new(),
            Err(error) => {
                say(&report::failure(&format!("{editor}: {error}; EDITOR names another"), self.screen()));
                String::new()
            }
        };
        if path.is_empty() {
            // It is in the system's temporary directory anyway.
            let _ = std::fs::remove_file(file);
        }
        match text.trim() {
            "" => Next::GoOn,
            text => Next::Begin(text.to_string()),
        }
    }

    fn output(&mut self, path: &str) -> Result<(), Failure> {
        let path = path.trim_matches('\'');
        self.out = match path {
            "" => None,
            path => {
                let file = File::create(path).map_err(|e| Failure::Other(format!("{path}: {e}")))?;
                Some((path.into(), file))
            }
        };
        say(&match &self.out {
            Some((path, _)) => format!("results go to {path}; \\o brings them back"),
            None => "results go to the screen".into(),
        });
        Ok(())
    }

    fn set(&mut self, rest: &str) {
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if name.is_empty() {
            for (name, value) in &self.variables {
                say(&format!("{name} = {value}"));
            }
            return;
        }
        self.variables.retain(|(n, _)| n != name);
        let value = value.trim().trim_matches('\'').to_string();
        self.variables.push((name.into(), value));
    }
}

/// A statement about a job.
fn about_job(verb: &str, job: &str) -> String {
    format!("{verb} '{}'", job.replace('\'', "''"))
}

/// The rows that were written last, of all partitions; the metadata columns stand at the end.
fn latest(rows: &RecordBatch, count: u64) -> Result<RecordBatch, arrow::error::ArrowError> {
    let by = ["_timestamp", "_partition", "_offset"].iter().filter_map(|name| rows.column_by_name(name));
    let by: Vec<SortColumn> = by.map(|values| SortColumn { values: values.clone(), options: None }).collect();
    if by.is_empty() || rows.num_rows() == 0 {
        return Ok(rows.clone());
    }
    let sorted = take_record_batch(rows, &lexsort_to_indices(&by, None)?)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(sorted.num_rows());
    Ok(sorted.slice(sorted.num_rows() - count, count))
}

fn switched(before: bool, word: &str) -> bool {
    match word {
        "on" => true,
        "off" => false,
        _ => !before,
    }
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
