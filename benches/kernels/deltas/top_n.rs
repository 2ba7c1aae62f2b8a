//! Rankings. State: the rows that are or may come to be among the first of their key.

use super::{Case, Table, come_and_go, fill, measure, step};
use crate::data::{Result, bids, bids_each};
use crate::planned::top_n_spec;
use criterion::Criterion;
use millstream::delta::Delta;
use millstream::operators::top_n::TopN;

pub(super) fn rankings(c: &mut Criterion, table: &mut Table) -> Result<()> {
    let last = "SELECT auction, price, ts FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY ts DESC) AS n FROM bids) WHERE n = 1 EMIT CHANGES";
    let top = "SELECT auction, price, ts FROM bids ORDER BY price DESC LIMIT 10 EMIT CHANGES";
    let place = "SELECT auction, price, ts, n FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC) AS n FROM bids) WHERE n <= 10 EMIT CHANGES";
    let cases = [
        ("last row of each key; rows only come", last, false),
        ("top 10 of all", top, true),
        ("top 10 with place of each of 1,000 keys", place, true),
    ];
    for (name, query, changing) in cases {
        let mut spec = top_n_spec(query)?;
        spec.input_append_only = !changing;
        let filled = |state: usize| {
            fill(TopN::new(spec.clone())?, state, |rows, from| {
                let rows = if changing { bids(rows, 1_000, from)? } else { bids_each(rows, from)? };
                Ok(step(Delta::insert(rows)))
            })
        };
        let case = Case {
            name,
            filled: &filled,
            round: &|at| {
                let keys = if changing { 1_000 } else { at.state as u64 };
                let come = bids(at.rows, keys, at.from)?;
                Ok(if changing { come_and_go(0, come).into() } else { vec![step(Delta::insert(come))] })
            },
        };
        measure(c, table, &case)?;
    }
    Ok(())
}
