//! Feeds `entries::jobs::json` with whatever the fuzzer comes upon.
#![no_main]

#[path = "../entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::jobs::json(bytes));
