//! The C library's allocator, set up for much memory that stays: state lies in huge pages.
//!
//! A third of the time in which a job's state first grows is the kernel's, which gives memory page by page; in pages of 2 MiB it
//! takes half of that (figures in BENCHMARKS.md). glibc only listens to its environment in this, and only when a program
//! starts: so the program starts itself once more. One arena a core, where glibc has 8, also leaves fewer holes where threads
//! free what others have allocated.
//!
//! What it costs: a page that is touched first takes longer, which shows where a virtual machine has to get it back from its
//! host (free page reporting). Who sets the variable, to nothing too, is left alone.

use std::ffi::OsString;

/// Where glibc looks; what a user has put there stays, and is all that holds.
const VARIABLE: &str = "GLIBC_TUNABLES";

/// Tells the program that it has started itself: its process's number. glibc takes [`VARIABLE`] away from a program that has
/// more rights than who starts it (capabilities of its file), which would otherwise start itself for ever.
const STARTED: &str = "MILLSTREAM_STARTED";

/// The environment variables that the program has set for itself: programs that it starts for the user should not have them.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let own = std::env::var_os(VARIABLE) == Some(OsString::from(settings()));
    [STARTED].into_iter().chain(own.then_some(VARIABLE))
}

/// Huge pages where the system gives them to who asks; blocks up to 32 MiB (which glibc comes to by itself) in the heaps,
/// which grow by 64 MiB, so that they are of huge pages.
fn settings() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold={}:glibc.malloc.top_pad={}:glibc.malloc.arena_max={}",
        32 << 20,
        64 << 20,
        cores
    )
}

/// Starts the program anew with these settings. Returns where it has them, or cannot have them: then all goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn set_up() {
    use std::os::unix::process::CommandExt;
    let number = std::process::id().to_string();
    let has_started = std::env::var_os(STARTED).is_some_and(|started| started == number.as_str());
    if has_started || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut words = std::env::args_os();
    let (Some(name), Ok(program)) = (words.next(), std::env::current_exe()) else { return };
    // Where the dynamic linker was asked to start the program, it is what runs, and takes other arguments.
    if program.file_name().is_none_or(|file| file.as_encoded_bytes().starts_with(b"ld")) {
        return;
    }
    let mut again = std::process::Command::new(program);
    let _ = again.arg0(name).args(words).env(VARIABLE, settings()).env(STARTED, number).exec();
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn set_up() {}
