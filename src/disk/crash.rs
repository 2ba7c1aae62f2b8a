//! Deaths of the process at chosen places of its work on files, for tests that drive the program: the environment says
//! `MILLSTREAM_CRASH=<when> <what> <n> <where>`, and the process ends at once, as if it were killed, at its n-th operation of
//! that kind on a path that contains `<where>`. What: `write`, `sync`, `rename` or `remove`. When: `before` it, `after` it, or
//! `in` a write, of which half is done.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name in the environment.
const NAME: &str = "MILLSTREAM_CRASH";

#[derive(Debug)]
struct Plan {
    when: When,
    what: String,
    place: String,
    /// Operations until (and with) the one.
    left: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    In,
    After,
}

impl Plan {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let when = match words.next()? {
            "before" => When::Before,
            "in" => When::In,
            "after" => When::After,
            _ => return None,
        };
        let (what, left) = (words.next()?.to_string(), words.next()?.parse().ok()?);
        Some(Plan { when, what, place: words.next()?.to_string(), left: AtomicU64::new(left) })
    }

    /// Whether this operation is the one.
    fn meets(&self, what: &str, path: &Path) -> bool {
        self.what == what
            && path.to_string_lossy().contains(&self.place)
            && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| Plan::read(&std::env::var(NAME).ok()?)).as_ref()
}

/// Does `operation` on a file, and dies there if that is planned.
pub(super) fn around<T>(what: &str, path: &Path, operation: impl FnOnce() -> T) -> T {
    match plan().filter(|plan| plan.meets(what, path)) {
        None => operation(),
        Some(plan) => {
            if plan.when == When::After {
                operation();
            }
            std::process::abort()
        }
    }
}

/// Writes, all or, if a death in this write is planned, half.
pub(super) fn write<T>(path: &Path, bytes: &[u8], write: impl FnOnce(&[u8]) -> T) -> T {
    match plan().filter(|plan| plan.meets("write", path)) {
        None => write(bytes),
        Some(plan) => {
            match plan.when {
                When::Before => {}
                When::In => drop(write(&bytes[..bytes.len() / 2])),
                When::After => drop(write(bytes)),
            }
            std::process::abort()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_counts_the_operations_that_it_means() {
        let plan = Plan::read("in write 2 state- x").unwrap();
        assert_eq!((plan.when, plan.place.as_str()), (When::In, "state- x"));
        let met = [
            ("write", "a/state- x.tmp"),
            ("sync", "a/state- x.tmp"),
            ("write", "b"),
            ("write", "state- x"),
            ("write", "state- x"),
        ];
        assert_eq!(
            met.map(|(what, path)| plan.meets(what, Path::new(path))),
            [false, false, false, true, false]
        );
        assert!(Plan::read("sometimes write 2 x").is_none() && Plan::read("before write many x").is_none());
    }
}
