//! The statements that Millstream knows, as the parser gives them.

use sqlparser::ast;
use std::ops::Range;

/// A statement with its place in the source text.
#[derive(Debug, Clone)]
pub struct ParsedStatement {
    /// What it says.
    pub statement: Statement,
    /// Its bytes in the source text, without the semicolon.
    pub span: Range<usize>,
}

/// How a continuous query's result goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Every change, as it happens.
    Changes,
    /// Windowed results once, when the watermark has passed them.
    Final,
}

/// A query and its EMIT clause.
#[derive(Debug, Clone)]
pub struct EmitQuery {
    /// The query; window spellings are already in the form that [`crate::sql::window_call`] recognises.
    pub query: Box<ast::Query>,
    /// Bytes of the query in the source text (with its EMIT clause).
    pub span: Range<usize>,
    /// EMIT CHANGES or EMIT FINAL, if written, and where.
    pub emit: Option<(Emit, Range<usize>)>,
}

/// A name or a word with its place. `value` is folded as in Postgres (lower case unless quoted).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The folded name.
    pub value: String,
    /// Its bytes in the source text.
    pub span: Range<usize>,
}

/// An option of a WITH clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithOption {
    /// Option name, snake_case.
    pub name: Name,
    /// Its value as text: strings without quotes, numbers and booleans as written.
    pub value: String,
    /// Place of the value.
    pub value_span: Range<usize>,
}

/// A column of CREATE STREAM.
#[derive(Debug, Clone)]
pub struct ColumnDef {
    /// Its name.
    pub name: Name,
    /// Its SQL type (never `Custom`: unknown types are refused by the parser).
    pub data_type: ast::DataType,
    /// Place of the type.
    pub type_span: Range<usize>,
    /// NOT NULL was written.
    pub not_null: bool,
}

/// `WATERMARK FOR column AS expression`.
#[derive(Debug, Clone)]
pub struct WatermarkDef {
    /// The event-time column.
    pub column: Name,
    /// `column` or `column - INTERVAL …`, as written.
    pub expr: ast::Expr,
    /// Place of the whole clause.
    pub span: Range<usize>,
}

/// What of a stream's kind is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateKind {
    /// CREATE STREAM: rows that only come.
    Stream,
    /// CREATE TABLE: a row for each key.
    Table,
    /// CREATE MATERIALIZED VIEW: a table that a query keeps.
    MaterializedView,
}

impl CreateKind {
    /// As messages call it.
    pub fn word(self) -> &'static str {
        match self {
            CreateKind::Stream => "stream",
            CreateKind::Table => "table",
            CreateKind::MaterializedView => "materialized view",
        }
    }
}

/// PRIMARY KEY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDef {
    /// Its columns, one at least, none twice.
    pub columns: Vec<Name>,
    /// Place of the clause.
    pub span: Range<usize>,
}

/// CREATE STREAM, CREATE TABLE and CREATE MATERIALIZED VIEW.
#[derive(Debug, Clone)]
pub struct CreateStream {
    /// Which of them.
    pub kind: CreateKind,
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// Declared columns; may be empty with AS SELECT.
    pub columns: Vec<ColumnDef>,
    /// PRIMARY KEY, of a table.
    pub primary_key: Option<KeyDef>,
    /// WATERMARK clause.
    pub watermark: Option<WatermarkDef>,
    /// WITH options, in order; no duplicates.
    pub options: Vec<WithOption>,
    /// AS SELECT.
    pub query: Option<EmitQuery>,
}

/// CREATE VIEW: a named query, expanded where it is used.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// OR REPLACE was written.
    pub or_replace: bool,
    /// Its text and query (no EMIT: that belongs to the query that uses the view).
    pub query: EmitQuery,
}

/// INSERT INTO.
#[derive(Debug, Clone)]
pub struct Insert {
    /// The target.
    pub table: Name,
    /// Column list, empty = all columns in order.
    pub columns: Vec<Name>,
    /// VALUES lists are a query too; `is_values` tells them apart.
    pub query: EmitQuery,
    /// The source is VALUES.
    pub is_values: bool,
}

/// UPDATE.
#[derive(Debug, Clone)]
pub struct Update {
    /// The table.
    pub table: Name,
    /// The columns that get new values.
    pub columns: Vec<Name>,
    /// `SELECT values FROM table WHERE …`: the new values, in the columns' order. See [`crate::sql::with_columns`].
    pub query: EmitQuery,
}

/// DELETE.
#[derive(Debug, Clone)]
pub struct Delete {
    /// The table.
    pub table: Name,
    /// `SELECT … FROM table WHERE …`, of no columns yet. See [`crate::sql::with_columns`].
    pub query: EmitQuery,
}

/// What DROP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A stream and its topic.
    Stream,
    /// A view.
    View,
    /// A table, also one that a query keeps.
    Table,
    /// A table that a query keeps.
    MaterializedView,
}

/// What a job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobVerb {
    /// PAUSE: make no steps.
    Pause,
    /// RESUME: make steps again.
    Resume,
    /// STOP: end, with a checkpoint.
    Stop,
    /// RESTART: end, with a checkpoint, and begin again from it.
    Restart,
    /// CHECKPOINT: write one now.
    Checkpoint,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// CREATE STREAM, TABLE or MATERIALIZED VIEW.
    CreateStream(Box<CreateStream>),
    /// CREATE VIEW.
    CreateView(Box<CreateView>),
    /// INSERT INTO … VALUES / SELECT.
    Insert(Box<Insert>),
    /// UPDATE.
    Update(Box<Update>),
    /// DELETE FROM.
    Delete(Box<Delete>),
    /// SELECT, with or without EMIT.
    Query(EmitQuery),
    /// DROP STREAM / VIEW.
    Drop {
        /// What kind of object.
        kind: ObjectKind,
        /// Which.
        name: Name,
        /// IF EXISTS was written.
        if_exists: bool,
    },
    /// SHOW STREAMS / VIEWS (topics are streams without a definition).
    Show {
        /// What to list.
        kind: ObjectKind,
    },
    /// SHOW JOBS.
    ShowJobs,
    /// DESCRIBE JOB name.
    DescribeJob(Name),
    /// EXPLAIN WAITING name: why a job gives no rows.
    ExplainWaiting(Name),
    /// PAUSE JOB name, and the like.
    Job {
        /// What it is told.
        verb: JobVerb,
        /// Which.
        name: Name,
    },
    /// SHOW ALL (`None`) or SHOW setting.
    ShowSetting(Option<Name>),
    /// DESCRIBE name.
    Describe(Name),
    /// EXPLAIN query.
    Explain(EmitQuery),
    /// SET name = value.
    Set {
        /// The setting.
        name: Name,
        /// Its new value as text.
        value: String,
        /// Place of the value.
        value_span: Range<usize>,
    },
    /// RESET name.
    Reset(Name),
}
