//! Joins by a key that has about three rows on each side. State: the rows of both sides.

use super::{At, Case, Step, Table, come_and_go, fill, measure};
use crate::data::{Result, bids, bids_on, drawn};
use crate::flows::with_columns;
use crate::planned::join_spec;
use criterion::Criterion;
use millstream::delta::{Delta, WATERMARK_NONE};
use millstream::operators::join::{Join, JoinSpec};

/// Rows of a key on one side.
const MATCHES: usize = 3;

fn keys(state: usize) -> u64 {
    (state / MATCHES) as u64
}

/// Rows of both sides in one step. The sides differ, and so do the keys that they lack.
fn both(spec: &JoinSpec, at: At, watermark: i64) -> Result<Step> {
    let side = |port: usize| -> Result<(usize, Delta)> {
        let auctions = drawn(at.rows, keys(at.state), at.from + ((port as i64) << 40));
        let rows = bids_on(auctions, at.from)?;
        Ok((port, Delta::insert(with_columns(&rows, &spec.inputs[port].schema)?)))
    };
    Ok(Step { inputs: vec![side(0)?, side(1)?], watermark })
}

pub(super) fn joins(c: &mut Criterion, table: &mut Table) -> Result<()> {
    let inner = "SELECT * FROM bids AS b JOIN offers AS o ON b.auction = o.auction EMIT CHANGES";
    let left = "SELECT * FROM bids AS b LEFT JOIN offers AS o ON b.auction = o.auction EMIT CHANGES";
    let on = "SELECT 1 FROM offers AS o WHERE o.auction = b.auction";
    let semi = format!("SELECT * FROM bids AS b WHERE EXISTS ({on}) EMIT CHANGES");
    let anti = format!("SELECT * FROM bids AS b WHERE NOT EXISTS ({on}) EMIT CHANGES");
    let cases = [("inner join", inner), ("left join", left), ("semi join", &semi), ("anti join", &anti)];
    for (name, query) in cases {
        let mut spec = join_spec(query)?;
        spec.inputs.iter_mut().for_each(|input| input.append_only = false);
        let filled = |state: usize| {
            fill(Join::new(spec.clone())?, state, |rows, from| {
                both(&spec, At { state, rows, from }, WATERMARK_NONE)
            })
        };
        let case = Case {
            name,
            filled: &filled,
            // Of either side.
            round: &|at| {
                let mut steps = Vec::new();
                for port in [0, 1] {
                    let rows = bids(at.rows, keys(at.state), at.from)?;
                    steps.extend(come_and_go(port, with_columns(&rows, &spec.inputs[port].schema)?));
                }
                Ok(steps)
            },
        };
        measure(c, table, &case)?;
    }
    within(c, table)
}

/// Rows that only come, and are dropped when the watermark has passed them.
fn within(c: &mut Criterion, table: &mut Table) -> Result<()> {
    // Rows are a microsecond apart: so many microseconds hold so many rows of a side.
    let spec = |state: usize| {
        join_spec(&format!(
            "SELECT * FROM bids AS b JOIN offers AS o ON b.auction = o.auction
             AND o.ts BETWEEN b.ts - INTERVAL '{state} microseconds' AND b.ts + INTERVAL '{state} microseconds'
             EMIT CHANGES"
        ))
    };
    let next = |spec: &JoinSpec, at: At| both(spec, at, (at.from + at.rows as i64) * 1000);
    let filled = |state: usize| {
        let spec = spec(state)?;
        fill(Join::new(spec.clone())?, state, |rows, from| next(&spec, At { state, rows, from }))
    };
    // The columns are the same whatever the state.
    let any = spec(1)?;
    let case = Case {
        name: "inner join within a time; rows only come",
        filled: &filled,
        round: &|at| Ok(vec![next(&any, at)?]),
    };
    measure(c, table, &case)
}
