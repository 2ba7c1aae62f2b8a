//! Sources as the step loop sees them: partitions read and decoded ahead by threads of their own, each row
//! with its mark, each partition with its running watermark.
//!
//! A partition's running watermark is the greatest event time seen in it minus the declared delay, or what the
//! writer of its topic stated. It is computed row by row in the partition's own order, so which rows are
//! late does not depend on how the input is cut or interleaved.

use super::checkpoint::PartitionManifest;
use super::retry::{Over, Patience};
use super::{Result, RuntimeError};
use crate::connectors::{BadRecord, PartitionReader, Position, Read, Slice};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::operators::late::LateRule;
use crate::operators::window::unit_ns;
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many slices of a partition are read ahead.
const READ_AHEAD: usize = 3;
/// How long a step waits for partitions that are being read while others have rows already.
const FOR_OTHERS: Duration = Duration::from_millis(200);
/// How often a partition at its end is looked at again.
const POLL: Duration = Duration::from_millis(5);
/// The same where partitions tell when they have more: only in case something was missed.
const POLL_TOLD: Duration = Duration::from_millis(100);

/// How a source's slices become deltas.
#[derive(Debug, Clone)]
pub struct FeedShape {
    /// Which columns of what is read the dataflow wants, in its order.
    pub keep: Vec<usize>,
    /// The event-time column in what is read, and the declared delay (ns), if one is declared.
    pub time: Option<(usize, Option<i64>)>,
    /// What decides whether a row is late, over the columns read, if late rows are kept.
    pub late_rule: Option<LateRule>,
}

/// A slice, ready for a step.
#[derive(Debug)]
pub struct Prepared {
    /// The rows.
    pub delta: Delta,
    /// How many rows were asked for.
    pub asked: usize,
    /// Where the partition stands after them.
    pub end: Position,
    /// The running watermark after them.
    pub running: EventTime,
    /// How many of the rows lie behind the running watermark at their place.
    pub behind: u64,
    /// Records that were left out.
    pub bad: Vec<BadRecord>,
    /// Rows that are late, with all columns of the stream, if they are kept.
    pub late: Option<RecordBatch>,
}

/// One partition: its reader and running watermark.
pub struct PartitionFeed {
    reader: Box<dyn PartitionReader>,
    shape: Arc<FeedShape>,
    running: EventTime,
}

/// What [`PartitionFeed::next`] gives.
pub enum Next {
    /// Rows.
    Rows(Box<Prepared>),
    /// Nothing there now.
    Pending,
    /// The partition has ended.
    End,
}

impl PartitionFeed {
    /// A feed of `reader`, whose partition had the running watermark `running` where the reader stands.
    pub fn new(reader: Box<dyn PartitionReader>, shape: Arc<FeedShape>, running: EventTime) -> Self {
        PartitionFeed { reader, shape, running }
    }

    /// At most `max_rows` rows.
    pub fn next(&mut self, max_rows: usize) -> Result<Next> {
        let read = self.reader.read(max_rows)?;
        self.prepared(read, max_rows)
    }

    /// A slice that was read before, by where it ended and what was asked for.
    pub fn again(&mut self, end: Position, asked: usize) -> Result<Next> {
        let read = self.reader.read_until(end, asked)?;
        self.prepared(read, asked)
    }

    /// Where the partition stands.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    fn prepared(&mut self, read: Read, asked: usize) -> Result<Next> {
        match read {
            Read::Rows(slice) => Ok(Next::Rows(Box::new(self.prepare(slice, asked)?))),
            Read::Pending => Ok(Next::Pending),
            Read::End => Ok(Next::End),
        }
    }

    fn prepare(&mut self, slice: Slice, max_rows: usize) -> Result<Prepared> {
        let (marks, behind) = self.marks(&slice)?;
        if let Some(stated) = slice.watermark {
            self.running = self.running.max(stated);
        }
        let late = match (&self.shape.late_rule, &marks) {
            (Some(rule), Some(marks)) => late_rows(rule, &slice.batch, marks)?,
            _ => None,
        };
        Ok(Prepared {
            delta: Delta { batch: slice.batch.project(&self.shape.keep)?, weights: None, marks },
            asked: max_rows,
            end: slice.end,
            running: self.running,
            behind,
            bad: slice.bad,
            late,
        })
    }

    /// The rows' marks, if any row lies behind the watermark, and how many do. Advances the running watermark.
    fn marks(&mut self, slice: &Slice) -> Result<(Option<Int64Array>, u64)> {
        let Some((column, delay)) = self.shape.time else { return Ok((slice.marks.clone(), 0)) };
        let times = event_times(slice.batch.column(column))?;
        if slice.stated || delay.is_none() {
            // The rows' own marks, from the partition that they first came from; else none of them can be late. They
            // also stand where the writer knew no watermark yet, because another of its partitions was silent.
            let behind = slice.marks.as_ref().map_or(0, |marks| {
                let pairs = marks.values().iter().zip(times.values());
                pairs.filter(|(mark, time)| time < mark).count() as u64
            });
            return Ok((slice.marks.clone(), behind));
        }
        let before = self.running;
        let (running, behind) = advance(&times, before, delay, |_| ());
        self.running = running;
        if behind == 0 {
            return Ok((None, 0));
        }
        let mut marks = Vec::with_capacity(times.len());
        advance(&times, before, delay, |mark| marks.push(mark));
        Ok((Some(Int64Array::from(marks)), behind))
    }
}

/// Moves the running watermark over rows' times; `mark` gets what it was before each row. Gives where it ends and how
/// many rows lie behind it.
fn advance(
    times: &Int64Array,
    mut running: EventTime,
    delay: Option<i64>,
    mut mark: impl FnMut(EventTime),
) -> (EventTime, u64) {
    let mut behind = 0;
    for (i, time) in times.values().iter().enumerate() {
        mark(running);
        if times.is_null(i) {
            continue;
        }
        behind += u64::from(*time < running);
        if let Some(delay) = delay {
            running = running.max(time.saturating_sub(delay));
        }
    }
    (running, behind)
}

/// A timestamp column in nanoseconds; out of range saturates.
fn event_times(column: &dyn Array) -> Result<Int64Array> {
    let DataType::Timestamp(unit, _) = column.data_type() else {
        return Err(RuntimeError::Output("the event-time column is not a timestamp".into()));
    };
    let unit = unit_ns(*unit);
    let values = cast(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    Ok(if unit == 1 { values.clone() } else { values.unary(|v| v.saturating_mul(unit)) })
}

fn late_rows(rule: &LateRule, batch: &RecordBatch, marks: &Int64Array) -> Result<Option<RecordBatch>> {
    let late = rule.late(batch, marks)?;
    if late.count_set_bits() == 0 {
        return Ok(None);
    }
    Ok(Some(filter_record_batch(batch, &BooleanArray::new(late, None))?))
}

/// A partition's state between reader thread and step loop.
struct Slot {
    ready: VecDeque<Prepared>,
    /// The round in which the reader last saw nothing more.
    pending: Option<u64>,
    ended: bool,
    failed: Option<RuntimeError>,
    /// It has been waited for in vain since it last had rows.
    is_slow: bool,
}

impl Slot {
    /// Whether its next rows are being read.
    fn is_read(&self) -> bool {
        self.ready.is_empty() && !self.ended && self.pending.is_none() && self.failed.is_none()
    }
}

struct Shared {
    slots: Mutex<SharedSlots>,
    /// Tells the readers that they may have something to do.
    changed: Condvar,
    /// Tells who takes that a reader has looked at a partition. Readers do not wait for that: they would wake each other.
    looked: Condvar,
}

struct SharedSlots {
    slots: Vec<Slot>,
    /// How often a partition has told that it has more.
    news: u64,
    /// Counts [`Feed::look_again`].
    round: u64,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, SharedSlots> {
        // A reader that panicked leaves whole slots behind: each is changed in one move.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the step loop that one of its sources has something for it, whichever it is.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// How often it has been rung.
    pub fn heard(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has been rung more often than `heard`, or for `timeout`.
    pub fn wait(&self, heard: u64, timeout: Duration) {
        // However it ends, the step loop looks for itself.
        drop(self.changed.wait_timeout_while(self.lock(), timeout, |rung| *rung == heard));
    }
}

/// All partitions of one source, read ahead by threads.
pub struct Feed {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Until it goes, its threads try again what fails for a reason that passes.
    over: Option<Over>,
}

impl Feed {
    /// Starts `threads` reader threads over the partitions, reading at most `max_rows` rows at a time. They ring `bell`
    /// when there is something to take.
    pub fn start(
        name: &str,
        partitions: Vec<PartitionFeed>,
        max_rows: usize,
        threads: usize,
        patience: &Patience,
        bell: &Arc<Bell>,
    ) -> Result<Self> {
        let (patience, over) = patience.until_over();
        let slots = partitions
            .iter()
            .map(|_| Slot {
                ready: VecDeque::new(),
                pending: None,
                ended: false,
                failed: None,
                is_slow: false,
            })
            .collect();
        let shared = Arc::new(Shared {
            slots: Mutex::new(SharedSlots { slots, news: 0, round: 0, stopped: false }),
            changed: Condvar::new(),
            looked: Condvar::new(),
        });
        let threads = threads.clamp(1, partitions.len().max(1));
        let mut dealt: Vec<Vec<(usize, PartitionFeed)>> = (0..threads).map(|_| Vec::new()).collect();
        for (i, partition) in partitions.into_iter().enumerate() {
            dealt[i % threads].push((i, partition));
        }
        let mut feed = Feed { shared, threads: Vec::new(), over: Some(over) };
        for partitions in dealt {
            let (shared, patience, bell) = (feed.shared.clone(), patience.clone(), bell.clone());
            let thread = std::thread::Builder::new()
                .name(format!("read {name}"))
                .spawn(move || read_ahead(&shared, partitions, max_rows, &patience, &bell))
                .map_err(RuntimeError::Thread)?;
            feed.threads.push(thread);
        }
        Ok(feed)
    }

    /// What is ready: for each partition slices of together at most `max_rows` rows (but at least one slice if
    /// there is any), and whether it has ended behind them.
    ///
    /// Waits a moment for partitions of which more is being read: where reading is slower than what follows, steps of what
    /// just one partition has are half as large and twice as many, and partitions drift apart in time.
    pub fn take(&self, max_rows: usize) -> Result<Vec<(Vec<Prepared>, bool)>> {
        let mut shared = self.wait_for_others();
        let mut taken = Vec::with_capacity(shared.slots.len());
        for slot in &mut shared.slots {
            let mut slices = Vec::new();
            let mut rows = 0;
            while let Some(next) = slot.ready.front() {
                rows += next.delta.num_rows();
                if !slices.is_empty() && rows > max_rows {
                    break;
                }
                slices.extend(slot.ready.pop_front());
            }
            if slices.is_empty()
                && let Some(error) = slot.failed.take()
            {
                return Err(error);
            }
            taken.push((slices, slot.ended && slot.ready.is_empty()));
        }
        drop(shared);
        self.shared.changed.notify_all();
        Ok(taken)
    }

    fn wait_for_others(&self) -> MutexGuard<'_, SharedSlots> {
        let waits = |shared: &mut SharedSlots| {
            let has_rows = shared.slots.iter().any(|slot| !slot.ready.is_empty());
            has_rows && shared.slots.iter().any(|slot| slot.is_read() && !slot.is_slow)
        };
        let waited = self.shared.looked.wait_timeout_while(self.shared.lock(), FOR_OTHERS, waits);
        let (mut shared, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            // Its reader may hang, on a pipe say: the others are not held up again.
            shared.slots.iter_mut().filter(|slot| slot.is_read()).for_each(|slot| slot.is_slow = true);
        }
        shared
    }

    /// Whether each partition has nothing more to give, by a look since the last [`Feed::look_again`].
    pub fn caught_up(&self) -> bool {
        let shared = self.shared.lock();
        let now = Some(shared.round);
        shared.slots.iter().all(|s| s.ready.is_empty() && s.failed.is_none() && (s.pending == now || s.ended))
    }

    /// Makes the readers look at their partitions anew before they count as caught up.
    pub fn look_again(&self) {
        self.shared.lock().round += 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.over = None;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A reader that panicked has nothing to add: its partition simply gave nothing more.
            let _ = thread.join();
        }
    }
}

/// A reader thread: keeps its partitions' slots filled until it is stopped.
fn read_ahead(
    shared: &Arc<Shared>,
    mut partitions: Vec<(usize, PartitionFeed)>,
    max_rows: usize,
    patience: &Patience,
    bell: &Bell,
) {
    let told = Arc::clone(shared);
    let news: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        told.lock().news += 1;
        told.changed.notify_all();
    });
    let mut all_tell = true;
    for (_, feed) in &mut partitions {
        all_tell &= feed.reader.notify(&news);
    }
    let poll = if all_tell { POLL_TOLD } else { POLL };
    while !partitions.is_empty() {
        let heard = shared.lock().news;
        let mut read_any = false;
        let mut room_any = false;
        let mut finished = Vec::new();
        for (at, (index, feed)) in partitions.iter_mut().enumerate() {
            let round = {
                let shared = shared.lock();
                if shared.stopped {
                    return;
                }
                if shared.slots[*index].ready.len() >= READ_AHEAD {
                    continue;
                }
                shared.round
            };
            room_any = true;
            let next = patience.until_done(|| feed.next(max_rows));
            let mut shared_slots = shared.lock();
            let slot = &mut shared_slots.slots[*index];
            slot.pending = matches!(next, Ok(Next::Pending)).then_some(round);
            match next {
                Ok(Next::Rows(prepared)) => {
                    read_any = true;
                    slot.ready.push_back(*prepared);
                    slot.is_slow = false;
                }
                Ok(Next::Pending) => {
                    shared.looked.notify_all();
                    continue;
                }
                Ok(Next::End) => {
                    slot.ended = true;
                    finished.push(at);
                }
                Err(error) => {
                    slot.failed = Some(error);
                    finished.push(at);
                }
            }
            drop(shared_slots);
            shared.looked.notify_all();
            bell.ring();
        }
        for at in finished.into_iter().rev() {
            partitions.swap_remove(at);
        }
        if !read_any && !partitions.is_empty() {
            let guard = shared.lock();
            if guard.stopped {
                return;
            }
            if guard.news == heard || !room_any {
                // Nothing new: look again soon. No room: the step loop tells when there is.
                let pause = if room_any { poll } else { POLL * 20 };
                drop(shared.changed.wait_timeout(guard, pause));
            }
        }
    }
}

/// The watermark of a source from its partitions, never less than `before`: the least running watermark of those that are
/// neither ended nor idle. If there is none of these, the source has been silent for the idle timeout: then the greatest that
/// any of them has reached, so that time goes on to where it is known to be.
pub fn source_watermark(partitions: &[PartitionState], before: EventTime) -> EventTime {
    let over = |p: &&PartitionState| p.ended || p.running == WATERMARK_END;
    if partitions.iter().all(|p| over(&p)) {
        return WATERMARK_END;
    }
    let holding = partitions.iter().filter(|p| !over(p) && !p.idle).map(|p| p.running).min();
    let reached = || partitions.iter().map(|p| p.running).filter(|r| *r != WATERMARK_END).max();
    holding.or_else(reached).unwrap_or(WATERMARK_NONE).max(before)
}

/// What the step loop knows of a partition.
#[derive(Debug, Clone)]
pub struct PartitionState {
    /// Where it stands.
    pub position: Position,
    /// Its running watermark.
    pub running: EventTime,
    /// It has ended.
    pub ended: bool,
    /// It has given nothing for the idle timeout.
    pub idle: bool,
    /// It has given something in this run.
    pub gave: bool,
    /// When it last gave something (monotonic clock).
    pub last: Duration,
}

impl PartitionState {
    /// As a checkpoint left it, or at `start`.
    pub(super) fn new(known: Option<&PartitionManifest>, start: Position, now: Duration) -> Self {
        PartitionState {
            position: known.map_or(start, |m| m.position),
            running: known.map_or(WATERMARK_NONE, |m| m.running),
            ended: known.is_some_and(|m| m.ended),
            idle: false,
            gave: false,
            last: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rang_since_one_listened_is_not_waited_for() {
        let bell = Bell::default();
        let heard = bell.heard();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.ring());
            // Whether it rings before or while it is waited for.
            bell.wait(heard, Duration::from_secs(60));
        });
        assert_eq!(bell.heard(), heard + 1);
        bell.wait(heard, Duration::from_secs(60));
        bell.wait(heard + 1, Duration::from_millis(1));
    }

    /// A step of partitions of which one is being read has its rows, too, unless they take too long.
    #[test]
    fn a_step_waits_a_moment_for_rows_that_are_being_read() {
        let rows = || Prepared {
            delta: Delta::insert(RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()))),
            asked: 1,
            end: Position::default(),
            running: WATERMARK_NONE,
            behind: 0,
            bad: vec![],
            late: None,
        };
        let slot = |ready: Option<Prepared>, pending| Slot {
            ready: ready.into_iter().collect(),
            pending,
            ended: false,
            failed: None,
            is_slow: false,
        };
        let slots = vec![slot(Some(rows()), None), slot(None, None), slot(None, Some(0))];
        let slots = Mutex::new(SharedSlots { slots, news: 0, round: 0, stopped: false });
        let shared = Arc::new(Shared { slots, changed: Condvar::new(), looked: Condvar::new() });
        let feed = Feed { shared: shared.clone(), threads: vec![], over: None };
        let counts = || feed.take(1).unwrap().iter().map(|(slices, _)| slices.len()).collect::<Vec<_>>();
        let give = |partition: usize| {
            shared.lock().slots[partition].ready.push_back(rows());
            shared.looked.notify_all();
        };
        // Nobody gives the second any: the step goes without, and the next one does not wait.
        assert_eq!(counts(), [1, 0, 0]);
        assert!(shared.lock().slots[1].is_slow && !shared.lock().slots[2].is_slow);
        give(0);
        assert_eq!(counts(), [1, 0, 0]);
        shared.lock().slots[1].is_slow = false;
        give(0);
        std::thread::scope(|scope| {
            scope.spawn(|| give(1));
            // Whether they come before or while they are waited for, or never: the third has none.
            let taken = counts();
            assert!(taken == [1, 1, 0] || shared.lock().slots[1].is_slow, "{taken:?}");
        });
    }

    fn partition(running: EventTime, idle: bool, ended: bool) -> PartitionState {
        PartitionState {
            running,
            idle,
            ended,
            ..PartitionState::new(None, Position::default(), Duration::ZERO)
        }
    }

    #[test]
    fn the_least_of_those_that_are_heard_of_holds_the_watermark_and_silence_does_not() {
        let none = WATERMARK_NONE;
        let end = WATERMARK_END;
        for (partitions, before, expected) in [
            (vec![(10, false, false), (20, false, false)], none, 10),
            (vec![(10, true, false), (20, false, false)], none, 20),
            // All are silent: as far as any of them has come.
            (vec![(10, true, false), (20, true, false)], none, 20),
            (vec![(20, true, false), (10, true, false)], 10, 20),
            (vec![(none, true, false), (10, true, false)], none, 10),
            (vec![(none, true, false)], none, none),
            // One speaks again, but time does not go back.
            (vec![(11, false, false), (20, true, false)], 20, 20),
            // What has ended has no more to say, but what it had said counts.
            (vec![(30, false, true), (10, false, false)], none, 10),
            (vec![(30, false, true), (10, true, false)], none, 30),
            (vec![(30, false, true), (10, false, true)], none, end),
            // The end of one partition is not the end of one that is only silent.
            (vec![(end, false, false), (10, true, false)], none, 10),
            (vec![(end, false, false), (10, false, false)], none, 10),
            (vec![(end, false, false), (end, true, false)], none, end),
        ] {
            let told = format!("{partitions:?}");
            let partitions: Vec<PartitionState> = partitions
                .into_iter()
                .map(|(running, idle, ended)| partition(running, idle, ended))
                .collect();
            assert_eq!(source_watermark(&partitions, before), expected, "{told} after {before}");
        }
    }
}
