//! Whether the hot kernels and a small q5 still take as many instructions as `benches/instructions.txt` says: a guard
//! against slower code that no clock and no busy machine disturbs.
//!
//!     cargo bench --bench instructions                compares; fails if a count is off
//!     cargo bench --bench instructions -- join        those whose name has this in it
//!     cargo bench --bench instructions -- --bless     writes the counts down as they are now
//!
//! Each kernel runs in a process of its own under `valgrind --tool=callgrind`, which counts what is executed between entering
//! and leaving [`measured`]; of a job all threads are counted, from the start of the process on. Counts hang on the compiler, on
//! valgrind and on the processor's instruction set, as decoders and codecs choose their code by it; where one of them is another
//! than what the file was made with, the counts are shown and not compared. They say nothing of cache misses, of waiting and of the
//! operating system's work: the other benches do.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod baseline;
#[path = "../kernels/data.rs"]
#[expect(dead_code, reason = "the criterion benches use more of it")]
mod data;
mod flow;
#[path = "../kernels/flows.rs"]
mod flows;
mod job;
mod kernels;
#[path = "../kernels/lines.rs"]
mod lines;

use baseline::{Baseline, Counted, made_with};
use data::Result;
use kernels::{KERNELS, Kernel, Work};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// How often what varies is counted; the count in the middle is taken.
const PROCESS_RUNS: usize = 3;
/// By this word the program is told to be one kernel.
const RUN: &str = "--run";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [run, name, dir] if run == RUN => run_one(name, Path::new(dir)).map(|()| true),
        // As `cargo test --benches` calls it: whether they run at all.
        _ if !arguments.iter().any(|a| a == "--bench") => run_all().map(|()| true),
        _ => {
            let bless = arguments.iter().any(|a| a == "--bless");
            let wanted = arguments.iter().find(|a| !a.starts_with('-'));
            count_all(bless, wanted.map(String::as_str))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The work that is counted. Its name is what callgrind looks for.
#[inline(never)]
fn measured(work: Work) -> Result<usize> {
    std::hint::black_box(work())
}

/// Is the process of one kernel.
fn run_one(name: &str, dir: &Path) -> Result<()> {
    let kernel = KERNELS.iter().find(|k| k.name == name).ok_or("there is no such kernel")?;
    let rows = measured((kernel.prepare)(dir)?)?;
    if rows == 0 {
        return Err(format!("{name}: it did nothing").into());
    }
    println!("{rows}");
    Ok(())
}

fn run_all() -> Result<()> {
    for kernel in KERNELS {
        let dir = tempfile::tempdir()?;
        run_one(kernel.name, dir.path())?;
    }
    Ok(())
}

/// Counts the kernels whose name has `wanted` in it; whether they are as they should be.
fn count_all(bless: bool, wanted: Option<&str>) -> Result<bool> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("valgrind is needed, which is not installed: apt-get install valgrind".into());
    }
    if bless && wanted.is_some() {
        return Err("--bless writes all counts, so all must be counted: leave the name away".into());
    }
    let (kept, now) = (Baseline::read()?, made_with()?);
    let comparable = bless || kept.made_with == now;
    println!("{:46} {:>14} {:>14} {:>8} {:>8}", "", "instructions", "kept", "by", "at most");
    let mut counted = Vec::new();
    for kernel in KERNELS.iter().filter(|k| wanted.is_none_or(|w| k.name.contains(w))) {
        let one = Counted { kernel, now: count(kernel)?, kept: kept.of(kernel.name) };
        println!("{one}");
        counted.push(one);
    }
    if bless {
        Baseline::write(&now, &counted)?;
        println!("\nwritten to {}", baseline::FILE);
        return Ok(true);
    }
    if !comparable {
        println!(
            "\nNot compared: the counts were made with {},\nthis is {now}.\nTo write down those of now: {}",
            kept.made_with,
            baseline::BLESS
        );
        return Ok(true);
    }
    Ok(judged(&kept, &counted, wanted.is_none()))
}

/// Tells what is off; whether nothing is.
fn judged(kept: &Baseline, counted: &[Counted], all: bool) -> bool {
    let off: Vec<&Counted> = counted.iter().filter(|c| c.is_off()).collect();
    let gone: Vec<&str> = kept.names().filter(|n| !KERNELS.iter().any(|k| k.name == *n)).collect();
    if off.is_empty() && (gone.is_empty() || !all) {
        println!("\nall as they were, within what is allowed");
        if counted.iter().any(Counted::is_fewer) {
            println!("some are fewer: to hold them there, write them down: {}", baseline::BLESS);
        }
        return true;
    }
    println!("\nOff:");
    for one in &off {
        println!("{one}");
    }
    for name in gone {
        println!("{name:46} is in the file only");
    }
    println!(
        "\nMore instructions: find out why (benches/README.md has the line to type for a profile).\n\
         If it is meant, or there are fewer, write the counts down and put the file into the same commit:\n    {}",
        baseline::BLESS
    );
    false
}

/// How many instructions a kernel takes.
fn count(kernel: &Kernel) -> Result<u64> {
    let runs = if kernel.is_process { PROCESS_RUNS } else { 1 };
    let mut counts = (0..runs).map(|_| count_once(kernel)).collect::<Result<Vec<_>>>()?;
    counts.sort_unstable();
    Ok(counts[runs / 2])
}

fn count_once(kernel: &Kernel) -> Result<u64> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("callgrind.out");
    if kernel.is_process {
        // Here, so that they are not counted.
        job::make_events(dir.path())?;
    }
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", out.display()));
    if !kernel.is_process {
        valgrind.args(["--collect-atstart=no", "--toggle-collect=instructions::measured*"]);
    }
    let ran = valgrind.arg(std::env::current_exe()?).args([RUN, kernel.name]).arg(dir.path()).output()?;
    if !ran.status.success() {
        let (told, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        return Err(format!("{}: {}\n{told}{errors}", kernel.name, ran.status).into());
    }
    let told = std::fs::read_to_string(&out)?;
    let count = told.lines().find_map(|line| line.strip_prefix("totals: "));
    let count: u64 = count.ok_or("callgrind told no total")?.trim().parse()?;
    if count == 0 {
        return Err(format!("{}: callgrind did not find what it should count", kernel.name).into());
    }
    Ok(count)
}
