//! A query's operators in one thread: all that a worker does in a step but the exchange of rows, without threads, journal and files.

use crate::data::Result;
use crate::flows::{flow, with_columns};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use millstream::operators::aggregate::{Aggregate, SendOnce};
use millstream::operators::expand::Expand;
use millstream::operators::filter::Filter;
use millstream::operators::in_time::InTime;
use millstream::operators::join::Join;
use millstream::operators::project::Project;
use millstream::operators::session::SessionWindow;
use millstream::operators::single_row::SingleRow;
use millstream::operators::threshold::Threshold;
use millstream::operators::top_n::TopN;
use millstream::operators::unnest::Unnest;
use millstream::operators::upsert::Upsert;
use millstream::operators::window::WindowAssign;
use millstream::operators::{Operator, StepStart};
use millstream::plan::{EmitMode, ExchangeSpec, Spec};

/// What comes in one step.
pub(crate) struct Step {
    /// The rows of each source.
    pub(crate) sources: Vec<Delta>,
    /// What the sources have reached after it, in nanoseconds.
    pub(crate) watermark: EventTime,
}

/// What a node is.
enum Running {
    Source(usize),
    /// It gives what it takes.
    Same,
    /// An exchange that sends values once.
    Once(Box<SendOnce>),
    Operator(Box<dyn Operator>),
}

struct Node {
    running: Running,
    inputs: Vec<usize>,
    /// How far its output was after the last step.
    reached: EventTime,
}

/// A query that runs.
pub(crate) struct Flow {
    nodes: Vec<Node>,
    /// The columns that are read of each source.
    columns: Vec<SchemaRef>,
    /// Whether its exchanges do what they do where there are several workers.
    several: bool,
}

impl Flow {
    /// The operators of a query over bids and offers. `changing` = its rows go as well as come.
    pub(crate) fn of(query: &str, mode: EmitMode, changing: bool) -> Result<Self> {
        let flow = flow(query, mode)?;
        let node = |node: millstream::plan::Node| {
            Ok(Node { running: running(node.spec, changing)?, inputs: node.inputs, reached: WATERMARK_NONE })
        };
        let nodes = flow.nodes.into_iter().map(node).collect::<Result<_>>()?;
        let columns = flow.sources.into_iter().map(|source| source.schema).collect();
        Ok(Flow { nodes, columns, several: false })
    }

    /// The same as each of several workers runs it.
    pub(crate) fn of_several(self) -> Self {
        Flow { several: true, ..self }
    }

    /// How many sources it has.
    pub(crate) fn sources(&self) -> usize {
        self.columns.len()
    }

    /// Rows of a source, as it wants them.
    pub(crate) fn rows(&self, source: usize, batch: &RecordBatch) -> Result<RecordBatch> {
        with_columns(batch, &self.columns[source])
    }

    /// Runs steps and the end of the input; gives how many rows went in and out.
    pub(crate) fn run(&mut self, steps: Vec<Step>) -> Result<usize> {
        let mut rows = 0;
        for step in steps {
            rows += step.sources.iter().map(Delta::num_rows).sum::<usize>();
            rows += self.step(step)?;
        }
        Ok(rows + self.step(Step { sources: Vec::new(), watermark: WATERMARK_END })?)
    }

    fn step(&mut self, step: Step) -> Result<usize> {
        for i in 0..self.nodes.len() {
            let before = self.least(i, WATERMARK_NONE);
            if let Running::Operator(operator) = &mut self.nodes[i].running {
                operator.begin_step(StepStart::after(before))?;
            }
        }
        let mut given: Vec<Vec<Delta>> = Vec::with_capacity(self.nodes.len());
        for i in 0..self.nodes.len() {
            let least = self.least(i, step.watermark);
            let node = &mut self.nodes[i];
            let came = node.inputs.iter().enumerate();
            let came = came.flat_map(|(port, from)| given[*from].iter().map(move |delta| (port, delta)));
            let mut out = Vec::new();
            node.reached = match &mut node.running {
                Running::Source(source) => {
                    out.extend(step.sources.get(*source).cloned());
                    least
                }
                Running::Same => {
                    out.extend(came.map(|(_, delta)| delta.clone()));
                    least
                }
                Running::Once(once) => {
                    for (_, delta) in came {
                        out.push(once.pass(delta, self.several)?);
                    }
                    least
                }
                Running::Operator(operator) => {
                    for (port, delta) in came.filter(|(_, delta)| !delta.is_empty()) {
                        operator.push(port, delta.clone(), &mut out)?;
                    }
                    operator.finish_step(least, &mut out)?
                }
            };
            given.push(out);
        }
        Ok(given.last().map_or(0, |result| result.iter().map(Delta::num_rows).sum()))
    }

    /// How far a node's inputs are; `of_source` for one without any.
    fn least(&self, node: usize, of_source: EventTime) -> EventTime {
        let inputs = self.nodes[node].inputs.iter().map(|n| self.nodes[*n].reached);
        inputs.min().unwrap_or(of_source)
    }
}

fn running(spec: Spec, changing: bool) -> Result<Running> {
    let operator: Box<dyn Operator> = match spec {
        Spec::Source(source) => return Ok(Running::Source(source)),
        Spec::Exchange(ExchangeSpec { once: Some(aggregate), .. }) => {
            return Ok(Running::Once(Box::new(SendOnce::new(*aggregate)?)));
        }
        Spec::Union | Spec::Exchange(_) => return Ok(Running::Same),
        // What comes and goes at will rises nowhere.
        Spec::Threshold(_) if changing => return Ok(Running::Same),
        Spec::Threshold(spec) => Box::new(Threshold::new(spec)?),
        Spec::Values(_) => return Err("a query of constants".into()),
        Spec::Filter(spec) => Box::new(Filter::new(spec)),
        Spec::Project(spec) => Box::new(Project::new(spec)),
        Spec::Window(spec) => Box::new(WindowAssign::new(spec)),
        Spec::InTime(spec) => Box::new(InTime::new(spec)),
        Spec::Session(spec) => Box::new(SessionWindow::new(spec)?),
        Spec::Expand(spec) => Box::new(Expand::new(spec)),
        Spec::Unnest(spec) => Box::new(Unnest::new(spec)),
        Spec::Upsert(spec) => Box::new(Upsert::new(spec)?),
        Spec::SingleRow => Box::new(SingleRow::default()),
        Spec::Aggregate(mut spec) => {
            spec.input_append_only &= !changing;
            Box::new(Aggregate::new(spec, true)?)
        }
        Spec::Join(mut spec) => {
            spec.inputs.iter_mut().for_each(|input| input.append_only &= !changing);
            Box::new(Join::new(*spec)?)
        }
        Spec::TopN(mut spec) => {
            spec.input_append_only &= !changing;
            spec.rising &= !changing;
            Box::new(TopN::new(spec)?)
        }
    };
    Ok(Running::Operator(operator))
}
