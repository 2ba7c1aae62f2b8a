//! The worker threads as the step loop sees them: steps dealt out to all, replies taken from all.

use super::checkpoint::RestoredPart;
use super::journal::Moment;
use super::seen::NodeSeen;
use super::times::Reached;
use super::worker::{Answer, Command, NodeState, Reply, StepInput, StepOutput, build};
use super::{Result, RuntimeError};
use crate::delta::Delta;
use crate::operators::spill::SpillTo;
use crate::plan::SharedFlow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// The worker threads.
pub(super) struct Crew {
    commands: Vec<Sender<Command>>,
    replies: Receiver<Answer>,
    threads: Vec<JoinHandle<()>>,
    /// The node at which a worker failed.
    failed_at: Cell<Option<usize>>,
}

/// Runs a worker. If it panics, an answer tells so: the others wait for commands, and the job would for answers.
fn guarded(worker: usize, answers: &Sender<Answer>, run: impl FnOnce()) {
    // The worker's state is gone with it.
    let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else { return };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let reply = Err(RuntimeError::WorkerPanicked(text));
    // Nobody is left to be told where the job has ended.
    let _ = answers.send(Answer { worker, node: None, reply });
}

impl Crew {
    pub(super) fn start(
        flow: &Arc<SharedFlow>,
        workers: usize,
        fresh: bool,
        spill: Option<&SpillTo>,
    ) -> Result<Self> {
        let (send, replies) = channel();
        let mut crew =
            Crew { commands: Vec::new(), replies, threads: Vec::new(), failed_at: Cell::new(None) };
        for (i, worker) in build(flow, workers, fresh, spill)?.into_iter().enumerate() {
            let (commands, receive) = channel();
            let send = send.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker {i}"))
                .spawn(move || guarded(i, &send, || worker.run(receive, send.clone())))
                .map_err(RuntimeError::Thread)?;
            crew.commands.push(commands);
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The node at which a worker failed, if one did.
    pub(super) fn failed_at(&self) -> Option<usize> {
        self.failed_at.get()
    }

    /// Sends each worker its command and gives the replies in the workers' order.
    fn ask(&self, commands: Vec<Command>) -> Result<Vec<Reply>> {
        let asked = commands.len();
        for (to, command) in self.commands.iter().zip(commands) {
            to.send(command).map_err(|_| RuntimeError::WorkerLost)?;
        }
        let mut replies: Vec<Option<Reply>> = (0..asked).map(|_| None).collect();
        let mut failure: Option<RuntimeError> = None;
        for _ in 0..asked {
            let Answer { worker, node, reply } = self.replies.recv().map_err(|_| RuntimeError::WorkerLost)?;
            match reply {
                Ok(reply) => replies[worker] = Some(reply),
                // The one that failed by itself says more than those that waited for it.
                Err(RuntimeError::WorkerGone) => {}
                Err(error) if failure.is_none() => {
                    self.failed_at.set(node);
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        replies.into_iter().collect::<Option<Vec<_>>>().ok_or(RuntimeError::WorkerLost)
    }

    pub(super) fn step(
        &self,
        sources: Vec<Vec<Delta>>,
        before: Reached,
        after: Reached,
        moment: Moment,
    ) -> Result<Vec<StepOutput>> {
        let workers = self.len();
        let mut inputs: Vec<StepInput> = (0..workers)
            .map(|_| StepInput { sources: Vec::new(), before: before.clone(), after: after.clone(), moment })
            .collect();
        for deltas in sources {
            for (input, part) in inputs.iter_mut().zip(deal(deltas, workers)) {
                input.sources.push(part);
            }
        }
        let replies = self.ask(inputs.into_iter().map(Command::Step).collect())?;
        let outputs = replies.into_iter().map(|r| match r {
            Reply::Step(output) => Ok(output),
            _ => Err(RuntimeError::WorkerLost),
        });
        outputs.collect()
    }

    /// What each node shows now.
    pub(super) fn look(&self) -> Result<Vec<NodeSeen>> {
        let mut nodes: Vec<NodeSeen> = Vec::new();
        for reply in self.ask(self.commands.iter().map(|_| Command::Look).collect())? {
            let Reply::Seen(seen) = reply else { return Err(RuntimeError::WorkerLost) };
            nodes.resize_with(seen.len(), NodeSeen::default);
            nodes.iter_mut().zip(&seen).for_each(|(sum, node)| sum.add(node));
        }
        Ok(nodes)
    }

    /// What has changed of each worker's state since this was last asked.
    pub(super) fn snapshot(&self) -> Result<Vec<Vec<NodeState>>> {
        let replies = self.ask(self.commands.iter().map(|_| Command::Snapshot).collect())?;
        let states = replies.into_iter().map(|r| match r {
            Reply::Snapshot(state) => Ok(state),
            _ => Err(RuntimeError::WorkerLost),
        });
        states.collect()
    }

    /// Gives each worker some rows of a checkpoint's state.
    pub(super) fn restore(&self, parts: Vec<RestoredPart>) -> Result<()> {
        self.ask(parts.into_iter().map(Command::Restore).collect()).map(|_| ())
    }

    /// The workers have all of the checkpoint's state.
    pub(super) fn end_restore(&self) -> Result<()> {
        self.ask((0..self.len()).map(|_| Command::EndRestore).collect()).map(|_| ())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.commands.clear();
        for thread in self.threads.drain(..) {
            // Why a worker ended has been told through its reply.
            let _ = thread.join();
        }
    }
}

/// Below this many rows a step is not worth spreading.
const SPREAD_ROWS: usize = 1024;

/// The rows of `deltas` for each worker: consecutive parts of nearly equal size.
fn deal(deltas: Vec<Delta>, workers: usize) -> Vec<Vec<Delta>> {
    let total: usize = deltas.iter().map(Delta::num_rows).sum();
    let mut dealt: Vec<Vec<Delta>> = vec![Vec::new(); workers];
    if workers == 1 || total < SPREAD_ROWS {
        dealt[0] = deltas;
        return dealt;
    }
    let share = total.div_ceil(workers);
    let (mut worker, mut room) = (0, share);
    for delta in deltas {
        let mut from = 0;
        while from < delta.num_rows() {
            if room == 0 {
                (worker, room) = (worker + 1, share);
            }
            let rows = room.min(delta.num_rows() - from);
            dealt[worker].push(delta.slice(from, rows));
            from += rows;
            room -= rows;
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panics_answers() {
        let (send, answers) = channel();
        guarded(3, &send, || panic!("two and {}", 2));
        let answer = answers.recv().unwrap();
        assert_eq!(answer.worker, 3);
        assert!(matches!(answer.reply, Err(RuntimeError::WorkerPanicked(text)) if text == "two and 2"));
        guarded(3, &send, || ());
        assert!(answers.try_recv().is_err());
    }
}
