//! Nexmark beside DataFusion's batch engine: `millstream bench nexmark` as a bench of the crate.
//!
//!     cargo bench --bench nexmark -- --query q5 --input topic --workers 2
//!
//! `benches/README.md` has the options, and how other engines are measured on the same events.

use millstream::bench::child::SERVE;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    millstream::cli::allocator::set_up();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let after_name = words.len().min(1);
    // Each run is this program again, told so by the first word.
    if words.get(after_name).is_none_or(|word| word != SERVE) {
        // What cargo itself passes.
        words.retain(|word| word != "--bench");
        words.splice(after_name..after_name, ["bench".into(), "nexmark".into()]);
    }
    millstream::cli::run_on(words)
}
