//! Data directories that are not ours, newer, damaged, full or closed to us.

use super::resume::{signalled, until};
use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("photos")).unwrap();
    place.file("photos/cat.jpg", "meow").file("file", "text");
    place
        .run(&["-d", "photos", "-c", "SELECT 1"])
        .fails(1, &["photos", "not a millstream data directory", "-d"]);
    assert_eq!(std::fs::read_dir(place.path("photos")).unwrap().count(), 1);
    place.run(&["-d", "file", "-c", "SELECT 1"]).fails(1, &["not a directory"]);
}

#[test]
fn a_newer_directory_is_refused() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT)");
    let format = place.path(".millstream/FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    let newer: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    std::fs::write(&format, newer).unwrap();
    place.run(&["-c", "SHOW STREAMS"]).fails(1, &["version 9", "newer millstream"]);
    std::fs::write(&format, "gibberish").unwrap();
    place.run(&["-c", "SHOW STREAMS"]).fails(1, &["FORMAT", "damaged"]);
    std::fs::write(&format, text).unwrap();
    place.run(&["-c", "SHOW STREAMS"]).ok();
}

/// The one segment of the one topic.
fn segment(place: &Place) -> PathBuf {
    let topics = place.path(".millstream/topics");
    let topic = std::fs::read_dir(topics).unwrap().next().unwrap().unwrap().path();
    topic.join("0/00000000000000000000.log")
}

/// A stream `s` of three frames; their ends in the segment.
fn three_frames() -> (Place, [usize; 3]) {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT)");
    let ends = [1, 2, 3].map(|n| {
        place.sql(&format!("INSERT INTO s VALUES ({n})"));
        std::fs::metadata(segment(&place)).unwrap().len() as usize
    });
    (place, ends)
}

#[test]
fn a_torn_tail_is_reported_or_repaired_but_never_hides_what_precedes_it() {
    let (place, ends) = three_frames();
    let whole = std::fs::read(segment(&place)).unwrap();
    for cut in [ends[1] + 1, ends[1] + (ends[2] - ends[1]) / 2, ends[2] - 1] {
        std::fs::write(segment(&place), &whole[..cut]).unwrap();
        let ran = place.run(&["-c", "SELECT a FROM s"]);
        assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.err);
        assert_eq!(ran.out, "{\"a\":1}\n{\"a\":2}\n", "cut at {cut}: {}", ran.err);
    }
}

#[test]
fn a_flipped_bit_is_reported_and_the_frames_before_it_can_be_read() {
    let (place, ends) = three_frames();
    let mut bytes = std::fs::read(segment(&place)).unwrap();
    bytes[(ends[1] + ends[2]) / 2] ^= 0x10;
    std::fs::write(segment(&place), &bytes).unwrap();
    for arguments in [&["-c", "SELECT a FROM s"][..], &["topic", "consume", "s"]] {
        let ran = place
            .run(arguments)
            .fails(1, &["\"s\" is damaged", "offsets from 2", "those before can be read"]);
        assert_eq!(ran.out, "{\"a\":1}\n{\"a\":2}\n");
    }
    place.run(&["-c", "SELECT a FROM s EMIT CHANGES", "--until-caught-up"]).fails(1, &["damaged"]);
}

#[test]
fn a_directory_that_cannot_be_written() {
    let place = Place::new();
    std::fs::create_dir(place.path("closed")).unwrap();
    std::fs::set_permissions(place.path("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere is not refused.
    if std::fs::write(place.path("closed/probe"), "").is_err() {
        place.run(&["-d", "closed/data", "-c", "SELECT 1"]).fails(1, &["closed/data", "ermission"]);
        place.run(&["-d", "closed", "-c", "SELECT 1"]).fails(1, &["closed", "ermission"]);
    }
    std::fs::set_permissions(place.path("closed"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_full_disk_pauses_the_run_and_the_next_one_goes_on() {
    let place = Place::new();
    place.file("departures.jsonl", departures(20_000));
    place.file(
        "copy.sql",
        "SET step_rows = 500; CREATE STREAM f (event_time TIMESTAMP, flight_id TEXT, origin TEXT) WITH (connector = 'file', path = 'departures.jsonl');
         CREATE STREAM copy (event_time TIMESTAMP, flight_id TEXT, origin TEXT) WITH (codec = 'none');
         INSERT INTO copy SELECT * FROM f;",
    );
    // No file may grow beyond 256 KiB: the shell's way to a full disk, and writes then fail instead of killing.
    let script =
        format!("trap '' XFSZ; ulimit -f 256; exec '{}' run copy.sql", env!("CARGO_BIN_EXE_millstream"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.0.path()).env_remove("MILLSTREAM_DATA");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until(|| place.run(&["job", "list"]).ok().out.contains("\"state\":\"waiting\""));
    let why = place.run(&["job", "why", "copy.copy", "--format", "table"]).ok().out;
    assert!(why.contains("cannot go on since") && why.contains("too large"), "{why}");
    signalled(&child, "TERM");
    let ran = Ran::of(child.wait_with_output().unwrap()).ok();
    assert!(ran.err.contains("job copy.copy waits") && ran.err.contains("too large"), "{}", ran.err);
    place.run(&["run", "copy.sql"]).ok();
    let counts = "SELECT count(*) AS n, count(DISTINCT flight_id) AS d FROM copy";
    assert_eq!(json(&place.sql(counts))["n"], 20_000);
}
