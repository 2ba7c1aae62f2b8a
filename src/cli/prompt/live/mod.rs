//! A continuous query that is watched: its rows scroll by, or its result is drawn again in place, with what it is at below.
//!
//! The query runs on a thread of its own. Results that change are folded there, so that however quick it is, what is drawn
//! is what holds now; rows that only come wait in a short queue, and the query waits with them. Keys are looked at all the
//! time: a stop never waits for the query.

mod draw;
mod fold;
mod pace;
mod status;

use super::keys::{Key, Keys};
use crate::cli::print::{Format, PrintError, ResultPrinter, cells};
use crate::cli::terminal;
use crate::delta::Delta;
use crate::engine::{Continuous, Control, EngineError, JobSummary, Listing, Totals, Watch};
use arrow::datatypes::SchemaRef;
use draw::{Content, FRAME, Screen, cut, table};
use fold::{Drawn, Fold};
use pace::Pace;
use status::Glance;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(in crate::cli) use status::KeysDo;
pub(super) use status::size;

/// How often keys and rows are looked at.
const TICK: Duration = Duration::from_millis(20);
/// After how long without a row it is said why.
const SILENCE: Duration = Duration::from_secs(3);
/// How often rows are counted.
const SAMPLE: Duration = Duration::from_millis(500);
/// How many counts the rate is taken from: rows may come in gusts.
const SAMPLES: usize = 6;
/// How long is waited for a query that was told to stop; then it ends by itself.
const PATIENCE: Duration = Duration::from_millis(150);
/// Rows that are printed between two looks at the keys.
const PIECE: usize = 500;
/// Batches that wait to be printed.
const QUEUE: usize = 4;

/// How a query is to be shown.
pub(in crate::cli) struct Options {
    pub(in crate::cli) format: Format,
    /// Each change is a row, also where the result could be drawn in place.
    pub(in crate::cli) changelog: bool,
    pub(in crate::cli) colour: bool,
    /// A name for the job that goes on with it.
    pub(in crate::cli) suggestion: String,
    /// Where rows go instead of the screen.
    pub(in crate::cli) out: Option<std::fs::File>,
    /// What the keys do.
    pub(in crate::cli) keys: KeysDo,
}

/// What has come of watching.
pub(in crate::cli) struct Watched {
    pub(in crate::cli) left: Left,
    /// How the query ended; none if it still ends by itself, in the background.
    pub(in crate::cli) ended: Option<JobSummary>,
    /// What it did, as far as that is known.
    pub(in crate::cli) totals: Totals,
}

/// How the watching ended.
pub(in crate::cli) enum Left {
    /// The query has ended or was stopped.
    Done,
    /// It was interrupted.
    Interrupted,
    /// It is to go on as a job of this name.
    AsJob(String),
}

/// Why it could not be watched to its end.
pub(in crate::cli) enum Failure {
    /// The query failed.
    Engine(EngineError),
    /// Its rows could not be printed.
    Print(PrintError),
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Failure::Print(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Print(error.into())
    }
}

/// Rows that are printed one below the other.
struct Scroll {
    printer: ResultPrinter,
    rows: Receiver<Delta>,
    /// What is left of a batch.
    rest: Option<Delta>,
}

/// A result that is drawn in place.
struct Redrawn {
    fold: Arc<Mutex<Fold>>,
    drawn: Drawn,
    wanted: Vec<usize>,
    lines: Vec<String>,
    schema: SchemaRef,
}

enum Shown {
    Scroll(Box<Scroll>),
    Redrawn(Box<Redrawn>),
}

/// Runs a query and shows it until it ends or a key ends it. `news` is what is to be told meanwhile.
pub(in crate::cli) fn watch(
    query: Continuous,
    mut options: Options,
    now: &dyn Fn() -> Duration,
    news: &mut dyn FnMut() -> Vec<String>,
) -> Result<Watched, Failure> {
    let (control, watch) = (query.control(), query.watch());
    let (take, shown) = shown(&query, &mut options)?;
    let (over, ended) = sync_channel::<Result<JobSummary, EngineError>>(1);
    let started = now();
    std::thread::Builder::new()
        .name("query".into())
        .spawn(move || {
            // Nobody listens to the end of a query that was left.
            let _ = over.send(query.run(take));
        })
        .map_err(Failure::from)?;
    let mut view = View {
        shown,
        control: control.clone(),
        watch,
        screen: Screen::new(io::stdout(), terminal::size()),
        glance: Glance { keys: options.keys, ..Glance::default() },
        sampled: VecDeque::from([(started, 0)]),
        last_out: (started, 0),
        asked: started,
        pace: Pace::default(),
        ended: None,
        naming: None,
        options,
    };
    let mut keys = Keys::begin();
    let outcome = view.run(&mut keys, &ended, now, news);
    control.stop();
    let result = view.finish(&ended, outcome.is_ok())?;
    drop(keys);
    let left = outcome?;
    let ended = result.transpose()?;
    let so_far = || Totals { rows_in: control.rows_in(), rows_out: control.rows_out(), ..Totals::default() };
    let totals = ended.map_or_else(so_far, |summary| summary.run);
    Ok(Watched { left, ended, totals })
}

type Take = Box<dyn FnMut(&Delta) -> Result<(), String> + Send>;

/// What takes the query's rows on its thread, and what shows them here.
fn shown(query: &Continuous, options: &mut Options) -> Result<(Take, Shown), Failure> {
    let listing: Listing = query.listing().clone();
    let schema = query.schema();
    let in_place = matches!(options.format, Format::Table | Format::Box) && options.out.is_none();
    if in_place
        && !options.changelog
        && !listing.append_only
        && let Ok(fold) = Fold::new(schema.clone(), &listing)
    {
        let fold = Arc::new(Mutex::new(fold));
        let folding = fold.clone();
        let take = move |delta: &Delta| {
            let mut fold = folding.lock().unwrap_or_else(PoisonError::into_inner);
            fold.apply(&delta.batch, delta.weights.as_ref()).map_err(|e| e.to_string())
        };
        let redrawn =
            Redrawn { fold, drawn: Drawn::default(), wanted: Vec::new(), lines: Vec::new(), schema };
        return Ok((Box::new(take), Shown::Redrawn(Box::new(redrawn))));
    }
    let (send, rows): (SyncSender<Delta>, _) = sync_channel(QUEUE);
    let take = move |delta: &Delta| {
        // Whoever stopped the query takes nothing more.
        let _ = send.send(delta.clone());
        Ok(())
    };
    let changes = query.changes() && (!listing.append_only || options.changelog);
    let printer = match options.out.take() {
        Some(file) => ResultPrinter::new(options.format, schema, changes, Box::new(file)),
        None => {
            let screen =
                crate::cli::terminal::Screen { width: Some(terminal::size().0), colour: options.colour };
            ResultPrinter::new(options.format, schema, changes, Box::new(io::stdout())).on(screen).streams()
        }
    };
    Ok((Box::new(take), Shown::Scroll(Box::new(Scroll { printer, rows, rest: None }))))
}

struct View {
    shown: Shown,
    control: Arc<Control>,
    watch: Watch,
    screen: Screen<io::Stdout>,
    glance: Glance,
    /// When the rows that were read were counted last, and how many they were; the oldest first.
    sampled: VecDeque<(Duration, u64)>,
    /// When a row came last, and how many they were.
    last_out: (Duration, u64),
    /// When the query was asked last what it is at.
    asked: Duration,
    pace: Pace,
    /// How the query ended, once it has.
    ended: Option<Result<JobSummary, EngineError>>,
    /// The name that is being typed for a job.
    naming: Option<String>,
    options: Options,
}

impl View {
    fn run(
        &mut self,
        keys: &mut Keys,
        ended: &Receiver<Result<JobSummary, EngineError>>,
        now: &dyn Fn() -> Duration,
        news: &mut dyn FnMut() -> Vec<String>,
    ) -> Result<Left, Failure> {
        loop {
            for key in keys.wait(TICK) {
                if let Some(left) = self.key(key) {
                    return Ok(left);
                }
            }
            let mut over = self.has_ended(ended);
            over &= match self.glance.frozen || self.naming.is_some() {
                true => false,
                false => !self.scroll()?,
            };
            for line in news() {
                self.screen.erase()?;
                writeln!(io::stdout(), "{line}")?;
                self.pace.at_once();
            }
            self.look(now());
            if self.pace.is_due(now(), over) {
                self.draw()?;
            }
            if over {
                return Ok(Left::Done);
            }
        }
    }

    /// Whether the query has ended; its end is kept for later.
    fn has_ended(&mut self, ended: &Receiver<Result<JobSummary, EngineError>>) -> bool {
        if self.ended.is_none() {
            self.ended = match ended.try_recv() {
                Ok(result) => Some(result),
                Err(TryRecvError::Disconnected) => Some(Ok(JobSummary::default())),
                Err(TryRecvError::Empty) => None,
            };
        }
        self.ended.is_some()
    }

    fn key(&mut self, key: Key) -> Option<Left> {
        if let Some(name) = &mut self.naming {
            match key {
                Key::Enter => {
                    let name = self.naming.take().unwrap_or_default();
                    let name = if name.is_empty() { self.options.suggestion.clone() } else { name };
                    return Some(Left::AsJob(name));
                }
                Key::Escape | Key::Interrupt | Key::End => self.naming = None,
                Key::Back => drop(name.pop()),
                Key::Char(c) if c.is_alphanumeric() || c == '_' => name.extend(c.to_lowercase()),
                Key::Char(_) => {}
            }
            self.pace.at_once();
            return None;
        }
        match key {
            Key::Interrupt => return Some(Left::Interrupted),
            Key::End | Key::Char('q') => return Some(Left::Done),
            Key::Char(' ') => self.glance.frozen = !self.glance.frozen,
            Key::Char('b') if self.options.keys == KeysDo::All => self.naming = Some(String::new()),
            _ => return None,
        }
        self.pace.at_once();
        None
    }

    /// Takes note of what the query is at.
    fn look(&mut self, now: Duration) {
        let glance = &mut self.glance;
        (glance.rows_in, glance.rows_out) = (self.control.rows_in(), self.control.rows_out());
        glance.caught_up = self.control.caught_up();
        if self.sampled.back().is_none_or(|(then, _)| now.saturating_sub(*then) >= SAMPLE) {
            if let Some((then, rows)) = self.sampled.front() {
                let rows = glance.rows_in.saturating_sub(*rows);
                let since = now.saturating_sub(*then).max(SAMPLE);
                glance.per_second = (rows as f64 / since.as_secs_f64()).ceil() as u64;
            }
            self.sampled.push_back((now, glance.rows_in));
            if self.sampled.len() > SAMPLES {
                self.sampled.pop_front();
            }
        }
        if glance.rows_out != self.last_out.1 {
            self.last_out = (now, glance.rows_out);
            glance.why = None;
        }
        if now.saturating_sub(self.asked) >= SAMPLE {
            self.asked = now;
            glance.status = self.watch.status();
            let silent = now.saturating_sub(self.last_out.0) >= SILENCE;
            glance.why = if silent { self.watch.brief_why() } else { None };
        }
    }

    /// Prints rows that have come; whether there were any.
    fn scroll(&mut self) -> Result<bool, Failure> {
        let Shown::Scroll(scroll) = &mut self.shown else { return Ok(false) };
        let Some(delta) = scroll.rest.take().or_else(|| scroll.rows.try_recv().ok()) else {
            return Ok(false);
        };
        let rows = delta.batch.num_rows().min(PIECE);
        if rows < delta.batch.num_rows() {
            let rest = delta.batch.num_rows() - rows;
            scroll.rest = Some(Delta {
                batch: delta.batch.slice(rows, rest),
                weights: delta.weights.as_ref().map(|w| w.slice(rows, rest)),
                marks: None,
            });
        }
        let weights = delta.weights.as_ref().map(|w| w.slice(0, rows));
        self.screen.erase()?;
        scroll.printer.write(&delta.batch.slice(0, rows), weights.as_ref())?;
        scroll.printer.flush()?;
        // What stands below is drawn at once, so that it is always there.
        self.pace.at_once();
        Ok(true)
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let size = terminal::size();
        let below = match &self.naming {
            Some(name) => {
                let text = format!(
                    "goes on as job [{}]: {name}_   (Enter; Esc goes on here)",
                    self.options.suggestion
                );
                vec![cut(&text, size.0)]
            }
            None => status::below(&self.glance, size.0),
        };
        let mut lines = Vec::new();
        if let Shown::Redrawn(redrawn) = &mut self.shown {
            if !self.glance.frozen && self.naming.is_none() {
                let room = size.1.saturating_sub(FRAME + 3 + below.len()).max(1);
                let (changes, drawn) = redrawn.draw(room, size.0, self.options.colour, true)?;
                self.glance.not_drawn += changes.saturating_sub(drawn);
            }
            lines.clone_from(&redrawn.lines);
        }
        let dim = |text: String| if self.options.colour { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text };
        let status = status::line(&self.glance, size.0);
        lines.push(if self.options.colour { format!("\u{1b}[7m{status}\u{1b}[0m") } else { status });
        lines.extend(below.into_iter().map(dim));
        Ok(self.screen.draw(&lines, size)?)
    }

    /// Leaves what was shown on the screen, and gives the query's end if it comes soon.
    fn finish(
        &mut self,
        ended: &Receiver<Result<JobSummary, EngineError>>,
        good: bool,
    ) -> Result<Option<Result<JobSummary, EngineError>>, Failure> {
        self.screen.erase()?;
        match &mut self.shown {
            Shown::Redrawn(redrawn) => {
                let size = terminal::size();
                // What has changed last is of no interest any more.
                let room = size.1.saturating_sub(FRAME + 3).max(1);
                redrawn.draw(room, size.0, self.options.colour, false)?;
                for line in &redrawn.lines {
                    writeln!(io::stdout(), "{line}")?;
                }
            }
            Shown::Scroll(scroll) => {
                // The query's thread waits for nobody any more.
                let (_, nothing) = sync_channel(1);
                scroll.rows = nothing;
                if good {
                    scroll.printer.end()?;
                }
            }
        }
        self.screen.leave()?;
        if let Some(result) = self.ended.take() {
            return Ok(Some(result));
        }
        Ok(ended.recv_timeout(PATIENCE).ok())
    }
}

impl Redrawn {
    /// Draws what holds now; how many changes that are, and how many of them can be seen. With `marks` the cells that have
    /// changed are marked.
    fn draw(&mut self, room: usize, width: usize, colour: bool, marks: bool) -> Result<(u64, u64), Failure> {
        let (top, changes) = {
            let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
            (fold.top(room).map_err(PrintError::from)?, fold.take_changes())
        };
        let cells = cells(&top.batch, width.saturating_mul(4)).map_err(PrintError::from)?;
        let (mut changed, seen) = self.drawn.marks(&top.keys, &cells, changes);
        if !marks {
            changed.iter_mut().for_each(|row| row.fill(false));
        }
        let content = Content { schema: &self.schema, cells: &cells, changed: &changed, total: top.total };
        self.lines = table(&content, &mut self.wanted, width, colour);
        // An update takes a row back and adds one.
        Ok((changes, seen * 2))
    }
}
