//! SQL files and their golden answers.
//!
//! Each `x.sql` in `tests/sql`, `queries/tour` and `queries/nexmark` has its answers beside it in `x.out`; run with
//! `MILLSTREAM_BLESS=1` to write them anew, with `MILLSTREAM_CASE=part/of/name` to run some only. A case is a
//! few statements. Every query among them is asked in each mode that it allows (bounded, EMIT CHANGES, EMIT FINAL, and kept
//! in a stream, or where it changes and has a key in a materialized view), at several worker counts and step sizes, and cut off and resumed; all ways must give the golden
//! rows. The golden says which ways there are, and why the others are refused.
//!
//! Directives are comments on the first lines of a case:
//! `-- as written: reason` runs it once, without the other ways;
//! `-- rows shown: 10` lets the golden hold so many rows of each answer only, and a digest of all of them.

mod case;
mod lines;
mod ways;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The folders of cases.
const FOLDERS: [&str; 3] = ["tests/sql", "queries/tour", "queries/nexmark"];
/// Files for `millstream test`, which are run by it.
const SCRIPTED: &str = "tests/sql/scripted";
/// Cases that run at once: they wait for each other's files more than they compute.
const AT_ONCE: usize = 4;

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.ends_with(SCRIPTED) {
            continue;
        }
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|e| e == "sql") {
            found.push(path);
        }
    }
}

#[test]
fn every_case_gives_its_golden_in_every_way() {
    let (mut cases, bless) = (Vec::new(), std::env::var_os("MILLSTREAM_BLESS").is_some());
    FOLDERS.iter().for_each(|folder| find(Path::new(folder), &mut cases));
    if let Ok(part) = std::env::var("MILLSTREAM_CASE") {
        cases.retain(|path| path.to_string_lossy().contains(&part));
    }
    assert!(!cases.is_empty(), "no case has that name");
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(path) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(fault) = case::check(path, bless) {
                        faults.lock().unwrap().push(format!("{}: {fault}", path.display()));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {} cases fail\n\n{}", faults.len(), cases.len(), faults.join("\n\n"));
}

#[test]
fn every_golden_has_its_case() {
    fn goldens(folder: &Path) {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                goldens(&path);
            } else if path.extension().is_some_and(|e| e == "out") {
                assert!(path.with_extension("sql").exists(), "{} answers nothing", path.display());
            }
        }
    }
    FOLDERS.iter().for_each(|folder| goldens(Path::new(folder)));
}
