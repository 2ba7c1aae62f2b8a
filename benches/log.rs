//! The log beside the disk that it lies on: appends, reads, and how long a reader in another process waits for a row.
//!
//!     cargo bench --bench log                     everything
//!     cargo bench --bench log -- append           one part: append, read, disk or wait
//!
//! MIB (256) is how much raw data each case takes, ROWS_WAITED (2,000) how many rows are waited for, DIR (a temporary
//! one) the directory in whose file system all is done. What is compared is done in turns in the same run: plain writes and
//! reads of one file in pieces of 1 MiB, without a sync; in the part `disk` with one at the end, and read from files that are
//! not in the page cache.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream::clock::Clock;
use millstream::disk::Disk;
use millstream::log::{Append, Codec, Fsync, Log, TopicOptions, TopicSettings};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rows of one append.
const BATCH: usize = 8192;
const PIECE: usize = 1 << 20;
/// What a child of this program does: the part, and its arguments.
const ROLE: &str = "MILLSTREAM_BENCH_ROLE";

fn main() -> Result<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let arguments: Vec<&str> = role.split('\n').collect();
        return match arguments.as_slice() {
            ["append", dir, topic, first, step, batches] => {
                append(&open(Path::new(dir))?, topic, first.parse()?, step.parse()?, batches.parse()?)
            }
            ["wait", dir, rows] => wait(&open(Path::new(dir))?, rows.parse()?),
            other => Err(format!("there is no part {other:?}").into()),
        };
    }
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let wanted = |part: &str| only.as_ref().is_none_or(|only| part.contains(only.as_str()));
    let home = match std::env::var("DIR") {
        Ok(dir) => tempfile::tempdir_in(dir)?,
        Err(_) => tempfile::tempdir()?,
    };
    if wanted("append") {
        appends(home.path())?;
    }
    if wanted("read") {
        reads(home.path())?;
    }
    if wanted("disk") {
        beside_the_disk(home.path())?;
    }
    if wanted("wait") {
        waits(home.path())?;
    }
    Ok(())
}

fn open(dir: &Path) -> Result<Log> {
    Ok(Log::open(dir, Disk::real(), Clock::system())?)
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("ts", DataType::Int64),
        field("a", DataType::Int64),
        field("b", DataType::Float64),
        field("c", DataType::Float64),
        field("name", DataType::Utf8),
        field("text", DataType::Utf8),
    ]))
}

/// Wide rows: about 110 bytes each, of which a third can be compressed well.
fn wide() -> Result<RecordBatch> {
    let mut bits: u64 = 7;
    let mut next = || {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bits >> 11
    };
    let rows = BATCH as i64;
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).collect::<Int64Array>()),
        Arc::new((0..rows).map(|i| 1_700_000_000_000_000 + i * 1000).collect::<Int64Array>()),
        Arc::new((0..rows).map(|_| (next() % 100_000) as i64).collect::<Int64Array>()),
        Arc::new((0..rows).map(|_| next() as f64).collect::<Float64Array>()),
        Arc::new((0..rows).map(|_| (next() % 1000) as f64 / 4.0).collect::<Float64Array>()),
        Arc::new((0..rows).map(|_| Some(format!("name {:012}", next() % 100_000))).collect::<StringArray>()),
        Arc::new((0..rows).map(|_| Some(format!("{:016x}{:016x}", next(), next()))).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

fn raw_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

/// Bytes a second in MB.
fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// A plain file of `bytes`, written and read back.
fn plain(path: &Path, bytes: usize) -> Result<(Duration, Duration)> {
    let piece: Vec<u8> = (0..PIECE).map(|i| (i * 31 % 251) as u8).collect();
    let started = Instant::now();
    let mut file = File::create(path)?;
    for _ in 0..bytes / PIECE {
        file.write_all(&piece)?;
    }
    drop(file);
    let written = started.elapsed();
    let started = Instant::now();
    let mut file = File::open(path)?;
    let mut into = vec![0; PIECE];
    while file.read(&mut into)? > 0 {}
    let read = started.elapsed();
    std::fs::remove_file(path)?;
    Ok((written, read))
}

fn topic_of(log: &Log, name: &str, partitions: u32, codec: Codec, fsync: Fsync) -> Result<()> {
    let settings = TopicSettings { fsync, ..TopicSettings::default() };
    log.create_topic(name, TopicOptions { partitions, codec, settings }, schema())?;
    Ok(())
}

/// Appends `batches` to a topic, to partition `first` and on in steps of `step`.
fn append(log: &Log, topic: &str, first: u32, step: u32, batches: usize) -> Result<()> {
    let topic = log.topic(topic)?;
    let batch = wide()?;
    let places = (first..).step_by(step as usize).take_while(|p| *p < topic.partitions());
    let mut writers = places.map(|p| topic.writer(p)).collect::<std::result::Result<Vec<_>, _>>()?;
    let count = writers.len();
    for i in 0..batches {
        writers[i % count].append(Append::rows(&batch))?;
    }
    Ok(())
}

fn child(role: &[&str]) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.env(ROLE, role.join("\n")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn appends(home: &Path) -> Result<()> {
    let batch = wide()?;
    let raw = raw_bytes(&batch);
    let batches = (from_environment("MIB", 256) << 20) / raw;
    println!("append, rows of {} bytes, {} at a time", raw / BATCH, BATCH);
    println!("processes partitions codec fsync      rows/s  MB/s raw  MB/s in files  of plain writes");
    let modes = [("os", Fsync::Os), ("200 ms", Fsync::default()), ("step", Fsync::Step)];
    for (processes, partitions) in [(1, 1), (1, 4), (4, 1), (4, 4)] {
        for codec in Codec::ALL {
            for (name, fsync) in modes {
                let dir = home.join("data");
                let log = open(&dir)?;
                topic_of(&log, "t", partitions, codec, fsync)?;
                let started = Instant::now();
                if processes == 1 {
                    append(&log, "t", 0, 1, batches)?;
                } else {
                    let share = (batches / processes).to_string();
                    let step = if partitions == 1 { 1 } else { processes };
                    let mut children: Vec<Child> = Vec::new();
                    for i in 0..processes {
                        let first = if partitions == 1 { 0 } else { i };
                        let text = dir.to_string_lossy();
                        let role = ["append", &text, "t", &first.to_string(), &step.to_string(), &share];
                        children.push(child(&role)?);
                    }
                    for mut child in children {
                        assert!(child.wait()?.success());
                    }
                }
                drop(log);
                let took = started.elapsed();
                let files = size_of(&dir)?;
                let (write, _) = plain(&home.join("plain"), files.max(PIECE))?;
                let (here, there) = (rate(files, took), rate(files.max(PIECE), write));
                println!(
                    "{processes:9} {partitions:10} {:5} {name:6} {:11.0} {:9.0} {here:14.0} {:12.2} ({there:.0})",
                    codec.name(),
                    (batches * BATCH) as f64 / took.as_secs_f64(),
                    rate(batches * raw, took),
                    here / there,
                );
                std::fs::remove_dir_all(dir)?;
            }
        }
    }
    Ok(())
}

fn reads(home: &Path) -> Result<()> {
    let batch = wide()?;
    let raw = raw_bytes(&batch);
    let batches = (from_environment("MIB", 256) << 20) / raw;
    println!("\nread, all from the page cache\ncodec      rows/s  MB/s raw  MB/s in files  of plain reads");
    for codec in Codec::ALL {
        let dir = home.join("data");
        let log = open(&dir)?;
        topic_of(&log, "t", 1, codec, Fsync::Os)?;
        append(&log, "t", 0, 1, batches)?;
        let files = size_of(&dir)?;
        let mut best: Option<(Duration, Duration)> = None;
        for _ in 0..3 {
            let mut reader = log.topic("t")?.reader(0, 0, None)?;
            let started = Instant::now();
            let mut rows = 0;
            while let Some(frame) = reader.next()? {
                rows += frame.batch.num_rows();
            }
            let took = started.elapsed();
            assert_eq!(rows, batches * BATCH);
            let (_, read) = plain(&home.join("plain"), files)?;
            let (a, b) = best.unwrap_or((took, read));
            best = Some((a.min(took), b.min(read)));
        }
        let Some((took, read)) = best else { continue };
        println!(
            "{:5} {:11.0} {:9.0} {:14.0} {:10.2} ({:.0})",
            codec.name(),
            (batches * BATCH) as f64 / took.as_secs_f64(),
            rate(batches * raw, took),
            rate(files, took),
            rate(files, took) / rate(files, read),
            rate(files, read),
        );
        drop(log);
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Appends with one sync at the end and reads from outside the page cache, in turns with plain writes and reads of the same.
fn beside_the_disk(home: &Path) -> Result<()> {
    let batch = wide()?;
    let batches = (from_environment("MIB", 256) << 20) / raw_bytes(&batch);
    println!(
        "\nbeside the disk itself (plain writes with one sync at the end, plain reads, nothing in the page cache)"
    );
    println!("codec     append MB/s in files  of the disk's     read MB/s in files  of the disk's");
    for codec in Codec::ALL {
        let mut best = [Duration::MAX; 4];
        let mut bytes = 0;
        for _ in 0..5 {
            let dir = home.join("data");
            let log = open(&dir)?;
            topic_of(&log, "t", 1, codec, Fsync::Os)?;
            let started = Instant::now();
            append(&log, "t", 0, 1, batches)?;
            log.topic("t")?.writer(0)?.sync()?;
            let appended = started.elapsed();
            bytes = size_of(&dir)?;
            let path = home.join("plain");
            let started = Instant::now();
            let (file, piece) = (File::create(&path)?, vec![7; PIECE]);
            for _ in 0..bytes / PIECE {
                (&file).write_all(&piece)?;
            }
            file.sync_all()?;
            let written = started.elapsed();
            segments(&dir)?.iter().chain([&path]).try_for_each(|file| forget(file))?;
            let started = Instant::now();
            let mut reader = log.topic("t")?.reader(0, 0, None)?;
            let mut rows = 0;
            while let Some(frame) = reader.next()? {
                rows += frame.batch.num_rows();
            }
            let read = started.elapsed();
            assert_eq!(rows, batches * BATCH);
            let started = Instant::now();
            let (mut file, mut into) = (File::open(&path)?, vec![0; PIECE]);
            while file.read(&mut into)? > 0 {}
            for (best, took) in best.iter_mut().zip([appended, written, read, started.elapsed()]) {
                *best = took.min(*best);
            }
            drop((reader, log));
            std::fs::remove_file(path)?;
            std::fs::remove_dir_all(dir)?;
        }
        let [append, write, read, plain] = best.map(|took| rate(bytes, took));
        println!(
            "{:5} {append:26.0} {:8.2} ({write:.0}) {read:22.0} {:8.2} ({plain:.0})",
            codec.name(),
            append / write,
            read / plain
        );
    }
    Ok(())
}

/// Drops what the page cache has of a file.
fn forget(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Bytes of the segments in a data directory.
fn size_of(dir: &Path) -> Result<usize> {
    let lens = segments(dir)?.into_iter().map(|file| Ok(file.metadata()?.len() as usize));
    lens.sum()
}

/// The segments in a data directory.
fn segments(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![dir.into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|ending| ending == "log") {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Prints how many nanoseconds after its append each row was here.
fn wait(log: &Log, rows: usize) -> Result<()> {
    let (topic, clock) = (log.topic("t")?, Clock::system());
    let mut reader = topic.reader(0, 0, None)?;
    let mut out = std::io::stdout();
    let mut left = rows;
    topic.watch();
    writeln!(out, "ready")?;
    while left > 0 {
        let generation = topic.generation();
        let mut any = false;
        while let Some(frame) = reader.next()? {
            let now = clock.now_ns();
            let stamps = frame.batch.column(0).as_primitive::<Int64Type>();
            for stamp in stamps.values() {
                writeln!(out, "{}", now - stamp)?;
                left -= 1;
            }
            any = true;
        }
        if !any {
            topic.wait_newer(generation, Duration::from_secs(1));
        }
    }
    Ok(())
}

fn waits(home: &Path) -> Result<()> {
    let rows = from_environment("ROWS_WAITED", 2000);
    println!("\nfrom the append to a reader in another process, one row every 3 ms, {rows} rows");
    for (name, fsync) in [("os", Fsync::Os), ("200 ms", Fsync::default())] {
        let dir = home.join("data");
        let (log, clock) = (open(&dir)?, Clock::system());
        let stamp = Arc::new(Schema::new(vec![Field::new("stamp", DataType::Int64, false)]));
        let settings = TopicSettings { fsync, ..TopicSettings::default() };
        let topic =
            log.create_topic("t", TopicOptions { settings, ..TopicOptions::default() }, stamp.clone())?;
        let mut writer = topic.writer(0)?;
        writer.append(Append::rows(&RecordBatch::new_empty(stamp.clone())))?;
        let mut child = child(&["wait", &dir.to_string_lossy(), &rows.to_string()])?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(out).lines();
        lines.next().ok_or("the reader has not started")??;
        let waited = std::thread::spawn(move || -> Vec<u64> {
            lines.map_while(std::result::Result::ok).filter_map(|line| line.parse().ok()).collect()
        });
        for _ in 0..rows {
            std::thread::sleep(Duration::from_millis(3));
            let now = Int64Array::from_value(clock.now_ns(), 1);
            writer.append(Append::rows(&RecordBatch::try_new(stamp.clone(), vec![Arc::new(now)])?))?;
        }
        assert!(child.wait()?.success());
        let mut waited = waited.join().map_err(|_| "the reader's lines")?;
        waited.sort_unstable();
        let at = |part: f64| waited[((waited.len() - 1) as f64 * part) as usize] as f64 / 1e3;
        println!(
            "fsync {name:6}  p50 {:.0} µs  p90 {:.0} µs  p99 {:.0} µs  p99.9 {:.0} µs  most {:.0} µs",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
        drop((writer, topic, log));
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}
