//! Rows on their way out, with the bounds of their sessions.

use super::timeline::{Rows, Session, Timeline, Touched};
use super::{Result, SessionWindow};
use crate::delta::Delta;
use crate::operators::window::timestamps;
use arrow::array::{Int64Array, RecordBatch};

/// Rows of a batch that goes out.
const BATCH_ROWS: usize = 1 << 16;

/// Collects rows into batches.
pub(super) struct Leaving<'a> {
    window: &'a SessionWindow,
    /// Whether a row that is there several times goes out once, with a weight.
    weighted: bool,
    rows: Vec<&'a [u8]>,
    weights: Vec<i64>,
    sessions: Vec<Session>,
    out: Vec<Delta>,
}

impl<'a> Leaving<'a> {
    pub(super) fn new(window: &'a SessionWindow, weighted: bool) -> Self {
        Leaving { window, weighted, rows: vec![], weights: vec![], sessions: vec![], out: vec![] }
    }

    /// What a step has changed. A row's bounds are those of its session, so in a session that is as it was only the
    /// changed rows go out, and of one that is not all rows.
    pub(super) fn changes(&mut self, timeline: &'a Timeline, touched: &'a Touched) -> Result<()> {
        let (rows, before) = (timeline.rows(), &touched.before);
        for session in touched.old.iter().filter(|s| touched.new.binary_search(s).is_err()) {
            for (place, weight) in rows.range(session.places()) {
                let weight = before.get(place).unwrap_or(weight);
                self.row(&place.1, -weight.max(&0), *session)?;
            }
            for (place, weight) in before.range(session.places()).filter(|(p, _)| !rows.contains_key(p)) {
                self.row(&place.1, -weight.max(&0), *session)?;
            }
        }
        for session in &touched.new {
            if touched.old.binary_search(session).is_ok() {
                for (place, weight) in before.range(session.places()) {
                    let now = rows.get(place).copied().unwrap_or(0);
                    self.row(&place.1, now.max(0) - weight.max(&0), *session)?;
                }
            } else {
                self.session(*session, rows)?;
            }
        }
        Ok(())
    }

    /// All rows of a session.
    pub(super) fn session(&mut self, session: Session, rows: &'a Rows) -> Result<()> {
        for (place, weight) in rows.range(session.places()) {
            self.row(&place.1, *weight.max(&0), session)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &'a [u8], weight: i64, session: Session) -> Result<()> {
        let (times, weight) = if self.weighted { (1, weight) } else { (weight, 1) };
        if weight == 0 {
            return Ok(());
        }
        for _ in 0..times {
            self.rows.push(row);
            self.weights.push(weight);
            self.sessions.push(session);
            if self.rows.len() == BATCH_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let SessionWindow { spec, codec, gap, unit, .. } = self.window;
        let mut columns = codec.decode(self.rows.drain(..))?;
        let kind = spec.schema.field(spec.time).data_type();
        let before_end = (1_000_000 / unit).max(1);
        let end = |s: &Session| s.last.saturating_add(*gap);
        columns.push(timestamps(self.sessions.iter().map(|s| s.start).collect(), kind)?);
        columns.push(timestamps(self.sessions.iter().map(end).collect(), kind)?);
        let times = self.sessions.iter().map(|s| end(s).saturating_sub(before_end));
        columns.push(timestamps(times.collect(), kind)?);
        self.sessions.clear();
        let weights = std::mem::take(&mut self.weights);
        let weights = weights.iter().any(|w| *w != 1).then(|| Int64Array::from(weights));
        self.out.push(Delta::weighted(RecordBatch::try_new(spec.schema.clone(), columns)?, weights));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Delta>> {
        self.flush()?;
        Ok(self.out)
    }
}
