//! Feeds a continuous query from memory: tables whose rows come, go and come again, in random cuts and steps on
//! some workers. The sum of what comes out must be what DataFusion alone answers over what the tables hold at last.
//!
//! A table with a primary key is what CREATE TABLE makes: its source gives upserts and tombstones. One without a key is
//! a stream `t_changes` whose rows have a weight each (+1 it comes, -1 it goes), and `t` is a view that sums the weights
//! up; so a row that is there twice is there twice. In both, every operator above meets rows that are taken back.

pub(crate) mod reference;

use crate::oracle::draw::Draw;
use crate::oracle::rows::Answer;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use millstream::catalog::{Column, DELETED, Definitions, StreamDef, ViewDef};
use millstream::clock::Clock;
use millstream::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use millstream::delta::Delta;
use millstream::plan::{Dataflow, EmitMode, Planner, SharedFlow};
use millstream::runtime::control::Control;
use millstream::runtime::feed::FeedShape;
use millstream::runtime::job::{Job, JobOptions, JobPart, SourceSetup};
use millstream::runtime::sink::Sink;
use millstream::sql::{Diagnostic, ParsedStatement, Statement};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The column of weights.
const WEIGHT: &str = "weight__";

/// What a table holds at last.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: RecordBatch,
    /// Its primary key; without one, a row may be there twice.
    pub(crate) key: Option<Vec<String>>,
}

/// A stream to be served.
pub(crate) struct Served {
    name: String,
    rows: RecordBatch,
}

/// Definitions under which queries see the tables, and how the rows are served.
pub(crate) struct Fed {
    definitions: Definitions,
    served: Vec<Served>,
}

impl Fed {
    /// The tables as streams that only grow.
    pub(crate) fn growing(tables: &[Table]) -> Self {
        let mut fed = Fed { definitions: Definitions::default(), served: Vec::new() };
        for table in tables {
            fed.serve(&table.name, table.rows.schema().fields(), None, table.rows.clone());
        }
        fed
    }

    /// The tables with changes. With a key, `percent` of the rows go and come again when all have come, and as many
    /// are something else at first. Without, `percent` of the rows go and come again and as many are there twice for
    /// a while, anywhere among the rest.
    pub(crate) fn changing(tables: &[Table], percent: usize, d: &mut Draw) -> Self {
        let mut fed = Fed { definitions: Definitions::default(), served: Vec::new() };
        for table in tables {
            let schema = table.rows.schema();
            if let Some(key) = &table.key {
                let rows = upserts(&table.rows, key, percent, d);
                fed.serve(&table.name, schema.fields(), Some(key.clone()), rows);
                continue;
            }
            let changes = format!("{}_changes", table.name);
            let rows = weighted(&table.rows, percent, d);
            fed.serve(&changes, rows.schema().fields(), None, rows);
            let names: Vec<String> = schema.fields().iter().map(|f| format!("\"{}\"", f.name())).collect();
            let columns = names.join(", ");
            let query = format!(
                "SELECT {columns} FROM (SELECT {columns}, unnest(range(0, times)) AS time FROM \
                 (SELECT {columns}, sum({WEIGHT}) AS times FROM {changes} GROUP BY {columns}) AS counted) AS every"
            );
            let view = ViewDef { name: table.name.clone(), query };
            fed.definitions.views.insert(table.name.clone(), Arc::new(view));
        }
        fed
    }

    fn serve(&mut self, name: &str, columns: &Fields, primary_key: Option<Vec<String>>, rows: RecordBatch) {
        let column = |f: &Arc<Field>| Column {
            name: f.name().clone(),
            data_type: f.data_type().clone(),
            nullable: f.is_nullable(),
        };
        let stream = StreamDef {
            name: name.into(),
            columns: columns.iter().map(column).collect(),
            event_time: None,
            connector: "topic".into(),
            options: Vec::new(),
            query: None,
            primary_key,
        };
        let rows = RecordBatch::try_new(stream.topic_schema(), rows.columns().to_vec()).unwrap();
        self.definitions.streams.insert(name.into(), Arc::new(stream));
        self.served.push(Served { name: name.into(), rows });
    }

    /// The query that maintains a statement's answer.
    pub(crate) fn flow(
        &self,
        planner: &Planner,
        text: &str,
        statement: &ParsedStatement,
    ) -> Result<Arc<Dataflow>, Diagnostic> {
        let Statement::Query(query) = &statement.statement else { panic!("not a query: {text}") };
        let plan = planner.query(&self.definitions, text, &query.query)?;
        Ok(Arc::new(planner.dataflow(&planner.optimize(plan)?, EmitMode::Changes)?))
    }

    /// The sum of what the query gives, fed at random.
    pub(crate) fn run(&self, flow: &Arc<Dataflow>, d: &mut Draw) -> Result<Answer, String> {
        let taken = Taken::default();
        let rows = self.served.iter().map(|s| s.rows.num_rows()).max().unwrap_or(0);
        let most = d.one(&[rows / 150 + 1, rows / 20 + 1, rows + 1]);
        let shared = Arc::new(SharedFlow::from(flow.as_ref()));
        let sources = shared.sources.iter().map(|spec| {
            let served = self.served.iter().find(|s| s.name == spec.stream.name).unwrap();
            let (rows, seed) = (served.rows.project(&spec.columns).unwrap(), d.bits());
            let open = move |_, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
                Ok(Box::new(Reader { rows: rows.clone(), at: from.offset as usize, seed, most }))
            };
            SourceSetup {
                name: spec.stream.name.clone(),
                partitions: 1,
                starts: Vec::new(),
                open: Box::new(open),
                is_topic: false,
                shape: FeedShape { keep: (0..spec.columns.len()).collect(), time: None, late_rule: None },
                idle_timeout: None,
                bad_topic: None,
                late_topic: None,
            }
        });
        let part = JobPart {
            name: "fed".into(),
            sink: Box::new(taken.clone()),
            fingerprint: "fed".into(),
            control: Arc::new(Control::default()),
            dir: None,
        };
        let job = Job {
            flow: shared.clone(),
            sources: sources.collect(),
            parts: vec![part],
            options: JobOptions {
                workers: 1 + d.below(3),
                step_rows: most,
                idle_timeout: Duration::ZERO,
                state_ttl: None,
                checkpoint_interval: Duration::MAX,
                until_caught_up: false,
            },
            store: None,
            log: None,
            clock: Clock::manual(0),
            spill: None,
        };
        let summary = job.run_alone().map_err(|error| error.to_string())?;
        assert!(summary.finished);
        let deltas = taken.0.lock().unwrap();
        let root = flow.root();
        if root.append_only && deltas.iter().any(|d| d.weights.is_some()) {
            return Err("a row was taken back from a result that only grows".into());
        }
        Answer::fold(&root.schema, deltas.iter())
    }
}

/// Rows with weights, in the order in which they come and go.
fn weighted(rows: &RecordBatch, percent: usize, d: &mut Draw) -> RecordBatch {
    // Each change has a place in time; what a row does is in order there.
    let mut changes: Vec<(u64, u32, i64)> = Vec::new();
    for row in 0..rows.num_rows() as u32 {
        let again: &[i64] = if d.chance(percent) { &[1, -1, 1] } else { &[1] };
        let twice: &[i64] = if d.chance(percent) { &[1, -1] } else { &[] };
        for weights in [again, twice] {
            let mut times: Vec<u64> = weights.iter().map(|_| d.bits()).collect();
            times.sort_unstable();
            changes.extend(times.into_iter().zip(weights).map(|(time, weight)| (time, row, *weight)));
        }
    }
    changes.sort_unstable();
    let taken = UInt32Array::from_iter_values(changes.iter().map(|(_, row, _)| *row));
    let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(changes.iter().map(|(_, _, w)| *w)));
    let rows = take_record_batch(rows, &taken).unwrap();
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(WEIGHT, DataType::Int64, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(weights);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Upserts and tombstones, in the order in which they come, as a table's topic holds them.
fn upserts(rows: &RecordBatch, key: &[String], percent: usize, d: &mut Draw) -> RecordBatch {
    const AFTER: u64 = 1 << 63;
    // Of each change its time, which row's key it has, and which row's other columns; none = a tombstone.
    let mut changes: Vec<(u64, u32, Option<u32>)> = Vec::new();
    let count = rows.num_rows();
    for row in 0..count as u32 {
        if d.chance(percent) {
            changes.push((d.bits() >> 1, row, Some(row)));
            let mut times = [d.bits() | AFTER, d.bits() | AFTER];
            times.sort_unstable();
            changes.extend(times.into_iter().zip([None, Some(row)]).map(|(time, what)| (time, row, what)));
        } else if d.chance(percent) {
            let mut times = [d.bits() >> 1, d.bits()];
            times.sort_unstable();
            let versions = [Some(d.below(count) as u32), Some(row)];
            changes.extend(times.into_iter().zip(versions).map(|(time, what)| (time, row, what)));
        } else {
            changes.push((d.bits() >> 1, row, Some(row)));
        }
    }
    changes.sort_by_key(|(time, ..)| *time);
    let keys = UInt32Array::from_iter_values(changes.iter().map(|(_, row, _)| *row));
    let others: UInt32Array = changes.iter().map(|(_, _, what)| *what).collect();
    let deleted: BooleanArray = changes.iter().map(|(_, _, what)| Some(what.is_none())).collect();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let from = if key.contains(field.name()) { &keys } else { &others };
        columns.push(take(column, from, None).unwrap());
        fields.push(Field::new(field.name(), field.data_type().clone(), true));
    }
    columns.push(Arc::new(deleted));
    fields.push(Field::new(DELETED, DataType::Boolean, false));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// One batch of all of them, with texts as plain strings.
pub(crate) fn plain(batches: &[RecordBatch]) -> RecordBatch {
    let schema = batches[0].schema();
    let whole = concat_batches(&schema, batches).unwrap();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(whole.columns()) {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            other => other.clone(),
        };
        columns.push(arrow::compute::cast(column, &data_type).unwrap());
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns).unwrap()
}

struct Reader {
    rows: RecordBatch,
    at: usize,
    seed: u64,
    most: usize,
}

impl PartitionReader for Reader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        let left = self.rows.num_rows() - self.at;
        if left == 0 {
            return Ok(Read::End);
        }
        let cut = 1 + Draw::new(self.seed ^ self.at as u64).below(self.most);
        let batch = self.rows.slice(self.at, cut.min(max_rows).min(left));
        self.at += batch.num_rows();
        let end = self.position();
        Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad: vec![], end }))
    }

    fn position(&self) -> Position {
        Position { offset: self.at as u64, line: 0 }
    }
}

#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Delta>>>);

impl Sink for Taken {
    fn write(&mut self, _: u64, deltas: &[Delta], _: i64) -> millstream::runtime::Result<()> {
        self.0.lock().unwrap().extend_from_slice(deltas);
        Ok(())
    }
}
