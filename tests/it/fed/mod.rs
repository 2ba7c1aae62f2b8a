//! Feeds a continuous query from memory: tables whose rows come, go and come again, in random cuts and steps on
//! some workers. The sum of what comes out must be what DataFusion alone answers over what the tables hold at last.
//!
//! A table `t` may change: its rows come as a stream `t_changes` with a weight each (+1 it comes, -1 it goes), and `t` is
//! a view that sums the weights up. So every operator above meets rows that are taken back, and a row that is there
//! twice is there twice.

pub(crate) mod reference;

use crate::oracle::draw::Draw;
use crate::oracle::rows::Answer;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream::catalog::{Column, Definitions, StreamDef, ViewDef};
use millstream::clock::Clock;
use millstream::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use millstream::delta::Delta;
use millstream::plan::{Dataflow, EmitMode, Planner};
use millstream::runtime::feed::FeedShape;
use millstream::runtime::job::{Control, Job, JobOptions, SourceSetup};
use millstream::runtime::sink::Sink;
use millstream::sql::{Diagnostic, ParsedStatement, Statement};
use sqlparser::ast::LimitClause;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The column of weights.
const WEIGHT: &str = "weight__";

/// What a table holds at last.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: RecordBatch,
    /// No row is there twice.
    pub(crate) distinct: bool,
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
            fed.serve(&table.name, table.rows.clone());
        }
        fed
    }

    /// The tables with changes: `percent` of the rows go and come again. Where a row may be there twice, as many are for a
    /// while, and all of this stands anywhere among the rest; else it comes after all rows have come.
    pub(crate) fn changing(tables: &[Table], percent: usize, d: &mut Draw) -> Self {
        let mut fed = Fed { definitions: Definitions::default(), served: Vec::new() };
        for table in tables {
            let changes = format!("{}_changes", table.name);
            fed.serve(&changes, changes_of(table, percent, d));
            let fields = table.rows.schema();
            let names: Vec<String> = fields.fields().iter().map(|f| format!("\"{}\"", f.name())).collect();
            let columns = names.join(", ");
            let query = if table.distinct {
                format!("SELECT {columns} FROM {changes} GROUP BY {columns} HAVING sum({WEIGHT}) > 0")
            } else {
                format!(
                    "SELECT {columns} FROM (SELECT {columns}, unnest(range(0, times)) AS time FROM \
                     (SELECT {columns}, sum({WEIGHT}) AS times FROM {changes} GROUP BY {columns}) AS counted) AS every"
                )
            };
            let view = ViewDef { name: table.name.clone(), query };
            fed.definitions.views.insert(table.name.clone(), Arc::new(view));
        }
        fed
    }

    fn serve(&mut self, name: &str, rows: RecordBatch) {
        let column = |f: &Arc<Field>| Column {
            name: f.name().clone(),
            data_type: f.data_type().clone(),
            nullable: f.is_nullable(),
        };
        let stream = StreamDef {
            name: name.into(),
            columns: rows.schema().fields().iter().map(column).collect(),
            event_time: None,
            connector: "topic".into(),
            options: Vec::new(),
            query: None,
            primary_key: None,
        };
        self.definitions.streams.insert(name.into(), Arc::new(stream));
        self.served.push(Served { name: name.into(), rows });
    }

    /// The query that maintains a statement's answer. The order of all rows means nothing to changes, so it is left out
    /// unless a LIMIT goes by it.
    pub(crate) fn flow(
        &self,
        planner: &Planner,
        text: &str,
        statement: &ParsedStatement,
    ) -> Result<Arc<Dataflow>, Diagnostic> {
        let Statement::Query(query) = &statement.statement else { panic!("not a query: {text}") };
        let mut query = query.query.clone();
        if !limits(&query) {
            query.order_by = None;
        }
        let plan = planner.query(&self.definitions, text, &query)?;
        Ok(Arc::new(planner.dataflow(&planner.optimize(plan)?, EmitMode::Changes)?))
    }

    /// The sum of what the query gives, fed at random.
    pub(crate) fn run(&self, flow: &Arc<Dataflow>, d: &mut Draw) -> Result<Answer, String> {
        let taken = Taken::default();
        let rows = self.served.iter().map(|s| s.rows.num_rows()).max().unwrap_or(0);
        let most = d.one(&[rows / 150 + 1, rows / 20 + 1, rows + 1]);
        let sources = flow.sources.iter().map(|spec| {
            let served = self.served.iter().find(|s| s.name == spec.stream.name).unwrap();
            let (rows, seed) = (served.rows.project(&spec.columns).unwrap(), d.bits());
            let open = move |_, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
                Ok(Box::new(Reader { rows: rows.clone(), at: from.offset as usize, seed, most }))
            };
            SourceSetup {
                name: spec.stream.name.clone(),
                partitions: 1,
                open: Box::new(open),
                shape: FeedShape { keep: (0..spec.columns.len()).collect(), time: None, late_rule: None },
                bad_topic: None,
                late_topic: None,
            }
        });
        let job = Job {
            name: "fed".into(),
            flow: flow.clone(),
            sources: sources.collect(),
            sink: Box::new(taken.clone()),
            options: JobOptions {
                workers: 1 + d.below(3),
                step_rows: most,
                idle_timeout: Duration::ZERO,
                checkpoint_interval: Duration::MAX,
                until_caught_up: false,
            },
            store: None,
            fingerprint: "fed".into(),
            clock: Clock::manual(0),
            control: Arc::new(Control::default()),
        };
        let summary = job.run().map_err(|error| error.to_string())?;
        assert!(summary.finished);
        let deltas = taken.0.lock().unwrap();
        let root = flow.root();
        if root.append_only && deltas.iter().any(|d| d.weights.is_some()) {
            return Err("a row was taken back from a result that only grows".into());
        }
        Answer::fold(&root.schema, deltas.iter())
    }
}

fn limits(query: &sqlparser::ast::Query) -> bool {
    let none = matches!(
        &query.limit_clause,
        None | Some(LimitClause::LimitOffset { limit: None, offset: None, .. })
    );
    !none || query.fetch.is_some()
}

/// The rows of a table with weights, in the order in which they come and go.
fn changes_of(table: &Table, percent: usize, d: &mut Draw) -> RecordBatch {
    let rows = table.rows.num_rows();
    // Each change has a place in time; what a row does is in order there.
    let mut changes: Vec<(u64, u32, i64)> = Vec::with_capacity(rows + rows * percent / 50);
    for row in 0..rows {
        let mut times = [d.bits(), d.bits(), d.bits()];
        if table.distinct {
            // All rows have come when the first one goes.
            times = [times[0] >> 1, times[1] >> 1 | 1 << 63, times[2] >> 1 | 1 << 63];
        }
        times.sort_unstable();
        let again = d.chance(percent);
        let weights: &[i64] = if again { &[1, -1, 1] } else { &[1] };
        changes.extend(times.into_iter().zip(weights).map(|(time, weight)| (time, row as u32, *weight)));
        // A second copy for a while: a row of its own where rows may be there twice, else nothing that is seen.
        if !table.distinct && d.chance(percent) {
            let mut times = [d.bits(), d.bits()];
            times.sort_unstable();
            changes.extend(times.into_iter().zip([1, -1]).map(|(time, weight)| (time, row as u32, weight)));
        }
    }
    changes.sort_unstable();
    let taken = UInt32Array::from_iter_values(changes.iter().map(|(_, row, _)| *row));
    let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(changes.iter().map(|(_, _, w)| *w)));
    with_column(&take_record_batch(&table.rows, &taken).unwrap(), WEIGHT, weights)
}

fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(name, column.data_type().clone(), false)));
    let mut columns = batch.columns().to_vec();
    columns.push(column);
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
