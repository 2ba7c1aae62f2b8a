//! For tests: cases drawn from seeds, on all cores, and how they are asked for.
//!
//! `MILLSTREAM_<NAME>_CASES` says how many are run, `MILLSTREAM_<NAME>_FIRST` with which seed they begin;
//! `MILLSTREAM_<NAME>_SEED` runs one alone. With `--nocapture` what was done is shown.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The cases of a test.
pub(crate) struct Seeds<D> {
    /// What they are called in the environment.
    pub(crate) name: &'static str,
    /// A part of the test's name by which cargo finds it.
    pub(crate) test: &'static str,
    /// How many are run unless something else is asked for.
    pub(crate) cases: u64,
    /// Runs a case, and keeps a record of it if it is told to; the error says what went wrong.
    pub(crate) run: fn(seed: u64, record: bool) -> Result<D, String>,
    /// Adds what a case did.
    pub(crate) add: fn(&mut D, &D),
}

impl<D: Default + Debug + Send> Seeds<D> {
    /// Runs the cases; fails with the record of the first that does. Gives what all of them did, unless other ones were
    /// asked for than are usual.
    pub(crate) fn run(&self) -> Option<D> {
        let Seeds { name, test, .. } = self;
        if let Some(seed) = self.asked("SEED") {
            self.case(seed, true).unwrap_or_else(|told| panic!("{told}"));
            return None;
        }
        let first = self.asked("FIRST").unwrap_or(0);
        let asked = self.asked("CASES");
        let end = first + asked.unwrap_or(self.cases);
        let next = AtomicU64::new(first);
        let (sum, failure) = (Mutex::new(D::default()), Mutex::new(None));
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || failure.lock().unwrap().is_some() {
                            return;
                        }
                        match self.case(seed, false) {
                            Ok(done) => (self.add)(&mut sum.lock().unwrap(), &done),
                            Err(_) => *failure.lock().unwrap() = Some(seed),
                        }
                    }
                });
            }
        });
        if let Some(seed) = failure.into_inner().unwrap() {
            let told = self.case(seed, true).err().unwrap_or("it did not fail again".into());
            let again = format!("MILLSTREAM_{name}_SEED={seed} cargo test --lib {test}");
            panic!("seed {seed}:\n{told}\n\nrun it again with\n  {again}");
        }
        let done = sum.into_inner().unwrap();
        #[expect(clippy::print_stdout, reason = "how much was tested")]
        {
            println!("{} cases: {done:?}", end - first);
        }
        asked.is_none().then_some(done)
    }

    fn asked(&self, what: &str) -> Option<u64> {
        std::env::var(format!("MILLSTREAM_{}_{what}", self.name)).ok().map(|text| text.parse().unwrap())
    }

    /// Runs a case; a panic is a failure like any other.
    fn case(&self, seed: u64, record: bool) -> Result<D, String> {
        let caught = catch_unwind(AssertUnwindSafe(|| (self.run)(seed, record)));
        caught.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", words.unwrap_or_default()))
        })
    }
}
