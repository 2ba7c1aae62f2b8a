//! What others ask of a running job: to make no steps, to write a checkpoint now, to end.

use super::Result;
use super::job::JobSummary;
use super::monitor::TELL;
use super::seen::Seen;
use super::status::State;
use super::steps::Run;
use std::time::Duration;

impl Run {
    /// Whether the job is to end, for good or to begin again.
    pub(super) fn is_ending(&self) -> bool {
        self.parts.iter().any(|p| p.control.stopping() || p.control.restarting())
    }

    /// Whether it is to begin again. One statement's wish counts for all.
    pub(super) fn restarts(&self) -> bool {
        let mut controls = self.parts.iter().map(|p| &p.control);
        controls.clone().any(|c| c.restarting()) && !controls.any(|c| c.stopping())
    }

    /// Whether no steps are to be made now. When that begins, everything is written and a checkpoint made.
    pub(super) fn is_held(&mut self) -> Result<bool> {
        let wanted = self.running().any(|p| p.control.paused());
        if wanted == self.held.is_some() {
            return Ok(wanted);
        }
        let now = self.clock.monotonic();
        if let Some(since) = self.held.take() {
            // Who was not listened to has not been silent.
            let held = now.saturating_sub(since);
            self.partitions.iter_mut().flatten().for_each(|state| state.last += held);
        } else {
            self.drain()?;
            self.checkpoint()?;
            self.held = Some(now);
        }
        self.parts.iter().for_each(|p| p.control.set_held(wanted));
        self.show(true)?;
        Ok(wanted)
    }

    /// Waits while no steps are to be made, unless there is something else to do.
    pub(super) fn wait_held(&mut self, wait: Duration) -> Result<()> {
        while self.is_held()? && !self.is_ending() && !self.running().any(|p| p.control.leaving()) {
            self.answer_checkpoints()?;
            std::thread::sleep(wait);
        }
        Ok(())
    }

    /// Makes a checkpoint if one was asked for.
    pub(super) fn answer_checkpoints(&mut self) -> Result<()> {
        let asked: u64 = self.parts.iter().map(|p| p.control.checkpoints_asked()).sum();
        if asked > self.answered {
            self.checkpoint()?;
            self.answered = asked;
            self.show(true)?;
        }
        Ok(())
    }

    /// Notes for others how far it is, if it is time to, or in any case if it is `urgent`.
    pub(super) fn show(&mut self, urgent: bool) -> Result<()> {
        if !self.monitor.watches() {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let place = (self.step, self.last_checkpoint.map_or(0, |c| c.step));
        let due = self.shown.is_none_or(|(shown, at)| shown != place && now.saturating_sub(at) >= TELL);
        if !urgent && !due {
            return Ok(());
        }
        if self.any_runs() {
            self.look()?;
        }
        self.shown = Some((place, now));
        let parts = self.parts.iter().map(|part| {
            let (run, _) = part.counted(&[], &self.read, &self.nodes);
            (run, part.total(&run))
        });
        let seen = Seen {
            step: self.step,
            steps: self.step_times.times(),
            partitions: self.partitions.clone(),
            watermarks: self.watermarks.clone(),
            nodes: self.nodes.clone(),
            parts: parts.collect(),
            checkpoint: self.last_checkpoint,
            held: self.held.is_some(),
            answered: self.answered,
        };
        self.monitor.note(seen, urgent);
        Ok(())
    }

    /// Looks at the operators' counters.
    pub(super) fn look(&mut self) -> Result<()> {
        self.nodes = self.crew.look()?;
        Ok(())
    }

    /// Tells how a statement ended: first those outside, who may then run it anew. `None` = it has left for good.
    pub(super) fn tell_ended(
        &mut self,
        part: usize,
        state: Option<State>,
        ended: &mut dyn FnMut(usize, JobSummary),
    ) -> Result<()> {
        self.look()?;
        self.show(true)?;
        self.monitor.over(part, state);
        ended(part, self.summary(part));
        Ok(())
    }
}
