//! A statement of a running job: its sink, how far it is, and what it counts.

use super::checkpoint::{JobStore, PartManifest, Totals};
use super::control::Control;
use super::job::{JobPart, SourceSetup};
use super::output::{Drained, Output};
use super::rebuild::Progress;
use super::retry::Patience;
use super::seen::NodeSeen;
use super::times::{SourceTime, statement_time};
use super::{Result, RuntimeError};
use crate::connectors::topic::FedBy;
use crate::delta::{Delta, EventTime, WATERMARK_NONE};
use crate::plan::FlowPart;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartState {
    Running,
    /// Its bounded input has ended and every window is closed.
    Finished,
    /// It was told to leave the job.
    Left,
}

/// What was read of one source in this run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) rows: u64,
    pub(super) behind: u64,
    pub(super) bad: u64,
}

/// A running statement.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) control: Arc<Control>,
    pub(super) state: PartState,
    flow: FlowPart,
    output: Option<Output>,
    /// How far it is with what it holds back, if it was begun afresh.
    rebuild: Option<Arc<Progress>>,
    durable_at_once: bool,
    /// The last step that the sink had when the run began.
    pub(super) committed: Option<u64>,
    /// How far its time is: the least over its sources that hold it.
    pub(super) time: EventTime,
    /// The counters when this run began.
    before: Totals,
    rows_out: u64,
}

/// The bits behind a step's number in a topic of late rows: a step may append several times.
pub(super) const LATE_STEP_BITS: u32 = 16;

/// What topics that a job writes are told of it: which ones it reads.
pub(super) struct Home {
    reads: Vec<String>,
}

impl Home {
    /// Of a job that keeps a journal.
    pub(super) fn of(store: Option<&JobStore>, sources: &[SourceSetup]) -> Option<Self> {
        store?;
        let mut reads: Vec<String> = sources.iter().filter(|s| s.is_topic).map(|s| s.name.clone()).collect();
        reads.sort_unstable();
        reads.dedup();
        Some(Home { reads })
    }

    /// Tells the topics of bad and of late rows, which the first statement, `name`, writes for all.
    pub(super) fn tell_side_topics(&self, name: &str, sources: &[SourceSetup]) -> Result<()> {
        for source in sources {
            for (topic, step_bits) in [(&source.bad_topic, 0), (&source.late_topic, LATE_STEP_BITS)] {
                if let Some(topic) = topic {
                    topic.fed_by(&self.fed_by(name, step_bits))?;
                }
            }
        }
        Ok(())
    }

    /// How a topic is told of the statement `name`.
    pub(super) fn fed_by<'a>(&'a self, name: &'a str, step_bits: u32) -> FedBy<'a> {
        FedBy { name, step_bits, reads: &self.reads }
    }
}

impl Part {
    pub(super) fn start(
        part: JobPart,
        flow: FlowPart,
        known: Option<&PartManifest>,
        home: Option<&Home>,
        patience: &Patience,
    ) -> Result<Self> {
        let JobPart { name, mut sink, fingerprint, control, dir: _ } = part;
        let durable_at_once = sink.is_durable_at_once();
        let committed = patience.of_one(&control).until_done(|| sink.last_step())?;
        if let Some(home) = home {
            // Behind what the topic believes of what it has, and before there is more.
            patience.of_one(&control).until_done(|| sink.fed_by(&home.fed_by(&name, 0)))?;
        }
        let finished = known.is_some_and(|k| k.finished);
        let rebuild = sink.rebuild().filter(|_| !finished);
        let output = match finished {
            true => None,
            false => Some(Output::start(sink, control.clone(), patience.of_one(&control))?),
        };
        Ok(Part {
            name,
            fingerprint,
            control,
            state: if finished { PartState::Finished } else { PartState::Running },
            flow,
            output,
            rebuild,
            durable_at_once,
            committed,
            time: known.map_or(WATERMARK_NONE, |k| k.time),
            before: known.map_or(Totals::default(), |k| k.totals),
            rows_out: 0,
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == PartState::Running
    }

    /// Whether its result is held back still.
    pub(super) fn rebuilds(&self) -> bool {
        self.is_running() && self.rebuild.as_ref().is_some_and(|r| !r.is_done())
    }

    /// Has what it holds back written with the next step.
    pub(super) fn settle(&self) {
        self.rebuild.iter().for_each(|r| r.set_ready());
    }

    /// Whether what its sink takes survives the machine's power at once.
    pub(super) fn is_durable_at_once(&self) -> bool {
        self.durable_at_once && self.is_running()
    }

    /// The sources that it reads.
    pub(super) fn sources(&self) -> &[usize] {
        &self.flow.sources
    }

    /// Brings its time on to where its sources, of all of the job's, are.
    pub(super) fn bring_on(&mut self, all: &[SourceTime]) {
        let sources = self.flow.sources.iter().map(|s| all[*s]);
        self.time = self.time.max(statement_time(sources));
    }

    /// Whether its result comes from this node.
    pub(super) fn reaches(&self, node: usize) -> bool {
        self.flow.reached.contains(&node)
    }

    /// Hands a step's result over.
    pub(super) fn write(&mut self, step: u64, deltas: Vec<Delta>, watermark: EventTime) -> Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let rows = deltas.iter().map(Delta::num_rows).sum::<usize>() as u64;
        self.rows_out += rows;
        self.control.add_rows_out(rows);
        output.write(step, deltas, watermark)
    }

    /// Waits until everything handed over is written, so that readers see it. It may not survive the machine's power yet.
    pub(super) fn write_out(&self) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), Output::write_out)
    }

    /// Waits until everything handed over is written and flushed.
    pub(super) fn drain(&self) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), Output::drain)
    }

    /// What everything handed over so far is waited for with, if anything can be.
    pub(super) fn drained(&self) -> Result<Option<Drained>> {
        self.output.as_ref().map(Output::drained).transpose()
    }

    /// Fails if the sink has failed.
    pub(super) fn check(&self) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), Output::check)
    }

    /// Ends it, after what was handed over is written.
    pub(super) fn end(&mut self, state: PartState) -> Result<()> {
        self.drain()?;
        self.output = None;
        self.state = state;
        self.control.set_caught_up(true);
        Ok(())
    }

    /// What it counted in this run; of that, what `earlier` statements count too.
    pub(super) fn counted(&self, earlier: &[Part], read: &[Read], nodes: &[NodeSeen]) -> (Totals, Totals) {
        let mut run = Totals { rows_out: self.rows_out, ..Totals::default() };
        let mut shared = Totals::default();
        // A source that a statement reads at two places is read once.
        let sources: BTreeSet<usize> = self.flow.sources.iter().copied().collect();
        for source in &sources {
            let counted = earlier.iter().any(|p| p.flow.sources.contains(source));
            for totals in std::iter::once(&mut run).chain(counted.then_some(&mut shared)) {
                totals.rows_in += read[*source].rows;
                totals.behind += read[*source].behind;
                totals.bad += read[*source].bad;
            }
        }
        for node in &self.flow.reached {
            let counted = earlier.iter().any(|p| p.reaches(*node));
            for totals in std::iter::once(&mut run).chain(counted.then_some(&mut shared)) {
                totals.late += nodes[*node].metrics.late;
                totals.after_idle += nodes[*node].metrics.after_idle;
                totals.timeless += nodes[*node].metrics.timeless;
                totals.expired += nodes[*node].metrics.expired;
                totals.ignored += nodes[*node].metrics.ignored;
            }
        }
        (run, shared)
    }

    /// The counters over all runs, after `run` of this one.
    pub(super) fn total(&self, run: &Totals) -> Totals {
        self.before.plus(run)
    }

    pub(super) fn manifest(&self, run: &Totals) -> PartManifest {
        PartManifest {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            finished: self.state == PartState::Finished,
            totals: self.total(run),
            time: self.time,
            nodes: self.flow.nodes.clone(),
            sources: self.flow.sources.clone(),
        }
    }

    /// Where the nodes and sources of a checkpoint's statement are now: pairs of then and now.
    pub(super) fn moved(&self, saved: &PartManifest, misfit: &dyn Fn(&str) -> RuntimeError) -> Result<Moved> {
        if saved.nodes.len() != self.flow.nodes.len() || saved.sources.len() != self.flow.sources.len() {
            return Err(misfit(&format!(
                "was written for another plan of the query, as another version of the program makes it; start it anew with \
                 --fresh={}",
                self.name
            )));
        }
        let pairs = |then: &[usize], now: &[usize]| then.iter().copied().zip(now.iter().copied()).collect();
        Ok(Moved {
            nodes: pairs(&saved.nodes, &self.flow.nodes),
            sources: pairs(&saved.sources, &self.flow.sources),
        })
    }
}

/// Nodes and sources by where they were and where they are.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) nodes: Vec<(usize, usize)>,
    pub(super) sources: Vec<(usize, usize)>,
}
