//! Sessions. State: the rows of the open ones.

use super::{Case, Step, Table, come_and_go, fill, measure, step};
use crate::data::{Result, SECOND, bids, bids_on, window_schema};
use criterion::Criterion;
use millstream::delta::Delta;
use millstream::operators::aggregate::EmitMode;
use millstream::operators::session::{SessionSpec, SessionWindow};

/// Rows of a session, where there are many.
const ROWS: usize = 10;
/// In nanoseconds.
const MICROSECOND: i64 = 1_000;

pub(super) fn sessions(c: &mut Criterion, table: &mut Table) -> Result<()> {
    // All rows lie within an hour.
    let one = spec(vec![], EmitMode::Final, 3600 * SECOND);
    let few = spec(vec![0], EmitMode::Changes, 3600 * SECOND);
    for (name, spec) in [("one session, final", one), ("sessions of 10 rows, changes", few)] {
        let rows = |state: usize, rows: usize, from: i64| bids(rows, (state / ROWS) as u64, from);
        let filled = |state: usize| {
            fill(SessionWindow::new(spec.clone())?, state, |count, from| {
                Ok(step(Delta::insert(rows(state, count, from)?)))
            })
        };
        let case = Case {
            name,
            filled: &filled,
            round: &|at| Ok(come_and_go(0, rows(at.state, at.rows, at.from)?).into()),
        };
        measure(c, table, &case)?;
    }
    closing(c, table)
}

/// Sessions that begin and are over in turn, so many of them open that they have as many rows as the state should.
fn closing(c: &mut Criterion, table: &mut Table) -> Result<()> {
    let next = |rows: usize, from: i64| -> Result<Step> {
        let to = from + rows as i64;
        let bids = bids_on((from..to).map(|i| i / ROWS as i64), from)?;
        // Rows are a microsecond apart.
        Ok(Step { watermark: to * MICROSECOND, ..step(Delta::insert(bids)) })
    };
    let filled = |state: usize| {
        let spec = spec(vec![0], EmitMode::Final, state as i64 * MICROSECOND);
        fill(SessionWindow::new(spec)?, state, next)
    };
    let case = Case {
        name: "sessions of 10 rows, final; rows only come",
        filled: &filled,
        round: &|at| Ok(vec![next(at.rows, at.from)?]),
    };
    measure(c, table, &case)
}

fn spec(keys: Vec<usize>, mode: EmitMode, gap: i64) -> SessionSpec {
    SessionSpec { time: 2, keys, gap, grace: 0, mode, closes: true, schema: window_schema() }
}
