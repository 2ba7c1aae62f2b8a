//! Feeds `entries::description` with whatever the fuzzer comes upon.
#![no_main]

#[path = "../entries.rs"]
mod entries;

use std::sync::Once;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Arrow panics on some schemas, which the log catches; the fuzzer's hook would end the process there. A panic that
    // nobody catches ends it still.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    entries::description(bytes)
});
