//! GROUP BY and DISTINCT. State: groups, and for functions that need them their rows.

use super::{Case, Table, come_and_go, fill, measure, step};
use crate::data::{Result, bids, bids_each};
use crate::flows::with_columns;
use crate::planned::aggregate_spec;
use criterion::Criterion;
use millstream::delta::Delta;
use millstream::operators::aggregate::Aggregate;

/// Rows of a group, where a function keeps them.
const GROUP: usize = 10;

pub(super) fn aggregates(c: &mut Criterion, table: &mut Table) -> Result<()> {
    let sums = "SELECT auction, count(*), sum(price), avg(price) FROM bids GROUP BY auction EMIT CHANGES";
    let ends = "SELECT auction, min(price), max(price) FROM bids GROUP BY auction EMIT CHANGES";
    // With the other count it stays one aggregate; alone it would become a count over a DISTINCT.
    let distinct = "SELECT auction, count(*), count(DISTINCT price) FROM bids GROUP BY auction EMIT CHANGES";
    let rows = "SELECT DISTINCT auction, price FROM bids EMIT CHANGES";
    // Whether each row of the state is a group, and whether rows go as well as come.
    let cases = [
        ("aggregate count, sum, avg; rows only come", sums, true, false),
        ("aggregate count, sum, avg", sums, true, true),
        ("aggregate min, max; rows only come", ends, true, false),
        ("aggregate min, max; 10 rows a group", ends, false, true),
        ("aggregate count distinct; 10 rows a group", distinct, false, true),
        ("distinct", rows, true, true),
    ];
    for (name, query, each, changing) in cases {
        let mut spec = aggregate_spec(query)?;
        spec.input_append_only = !changing;
        let wanted = spec.input_schema.clone();
        let keys = |state: usize| if each { state } else { state / GROUP } as u64;
        let filled = |state: usize| {
            fill(Aggregate::new(spec.clone(), true)?, state, |rows, from| {
                let bids = if each { bids_each(rows, from)? } else { bids(rows, keys(state), from)? };
                Ok(step(Delta::insert(with_columns(&bids, &wanted)?)))
            })
        };
        let case = Case {
            name,
            filled: &filled,
            round: &|at| {
                let come = with_columns(&bids(at.rows, keys(at.state), at.from)?, &wanted)?;
                Ok(if changing { come_and_go(0, come).into() } else { vec![step(Delta::insert(come))] })
            },
        };
        measure(c, table, &case)?;
    }
    Ok(())
}
