//! The kernels that a job's speed comes from, one by one: formats, frames, exchange, windows, aggregates, printing; and
//! what a row of a delta costs each operator that keeps state.
//!
//!     cargo bench --bench kernels                all
//!     cargo bench --bench kernels -- json        those whose name has this in it
//!     cargo bench --bench kernels -- delta       what a row of a delta costs, with a table of it at the end
//!
//! Throughput is rows (`elem`) or bytes of text a second. Where a library does the same, it runs beside ours.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod aggregates;
mod data;
mod deltas;
mod flows;
mod frames;
mod lines;
mod planned;
mod stateless;
mod text;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn all(c: &mut Criterion) {
    let groups = [
        text::formats,
        frames::frames,
        stateless::exchange,
        stateless::windows,
        aggregates::aggregates,
        text::printing,
        deltas::deltas,
    ];
    for group in groups {
        if let Err(error) = group(c) {
            panic!("{error}");
        }
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(kernels);
