//! The fuzz targets' entries, called with mutations of sound files and with what fuzzers have found (`fuzz/found`).
//! Longer runs are the fuzzer's: see `fuzz/Cargo.toml`.

#[path = "../../fuzz/entries.rs"]
mod entries;

use crate::oracle::draw::Draw;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MUTATIONS: u64 = 250;

/// One to four changes of the kinds that fuzzers make.
fn mutate(bytes: &mut Vec<u8>, draw: &mut Draw) {
    for _ in 0..=draw.below(4) {
        let at = draw.below(bytes.len());
        let end = (at + 1 + draw.below(8)).min(bytes.len());
        match draw.below(7) {
            _ if bytes.is_empty() => bytes.push(draw.bits() as u8),
            0 => bytes[at] ^= 1 << draw.below(8),
            1 => bytes[at] = draw.bits() as u8,
            2 => bytes[at..end].fill(if draw.chance(50) { 0xFF } else { 0 }),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                let to = draw.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
}

#[test]
fn no_mutation_of_a_file_panics_or_is_taken_for_other_rows() {
    for (name, entry) in entries::ENTRIES {
        let sound = entries::sample(name);
        entry(&sound);
        for seed in 0..MUTATIONS {
            let mut bytes = sound.clone();
            mutate(&mut bytes, &mut Draw::new(seed));
            let run = catch_unwind(AssertUnwindSafe(|| entry(&bytes)));
            assert!(run.is_ok(), "{name}, mutation {seed}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// Seeds for the fuzzer: `cargo test --test it seeds_for -- --ignored` writes a sound file for each target.
#[test]
#[ignore = "it writes into fuzz/corpus"]
fn seeds_for_the_fuzzer() {
    for (name, _) in entries::ENTRIES {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("sound"), entries::sample(name)).unwrap();
    }
}

#[test]
fn what_fuzzers_have_found_is_no_fault_any_more() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/found");
    for (name, entry) in entries::ENTRIES {
        let Ok(files) = std::fs::read_dir(found.join(name)) else { continue };
        for file in files {
            entry(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}
