//! A reader in another language, written from `src/log/FORMAT.md` alone, gets the rows that we export.
//!
//! Needs `python3`; pyarrow is installed into the target folder. Where one of them cannot be had nothing is compared;
//! with `MILLSTREAM_PYTHON=required` that is a failure.

use crate::cli::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the reader was written for.
const PYARROW: &str = "pyarrow==26.0.1";

/// A Python that has pyarrow, made once; `None` = there is none to be had.
fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = home.join("bin/python3");
    let ran = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    if ran(Command::new(&python).args(["-c", "import pyarrow"])) {
        return Some(python);
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYARROW];
    let made = ran(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
        && ran(Command::new(&python).args(install));
    let required = std::env::var("MILLSTREAM_PYTHON").is_ok_and(|value| value == "required");
    assert!(made || !required, "python3 with venv, and {PYARROW} from a package index, are needed");
    made.then_some(python)
}

#[test]
fn a_reader_written_from_the_document_gets_the_same_rows() {
    let Some(python) = python() else { return };
    let place = Place::new();
    place.sql(
        "CREATE STREAM s (id BIGINT, i INT, f DOUBLE, d DECIMAL(20,4), b BOOLEAN, k TEXT, day DATE, t TIMESTAMP(3),
           tz TIMESTAMP WITH TIME ZONE, xs INT[], p STRUCT<x INT, y TEXT>)
           WITH (partitions = 3, key = 'id', codec = 'zstd', segment_bytes = '4 KiB');
         CREATE TABLE t (id BIGINT, k TEXT, PRIMARY KEY (id)) WITH (codec = 'none', segment_bytes = '4 KiB');
         CREATE STREAM m (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts);",
    );
    for step in 0..40_i64 {
        let rows: Vec<String> = (0..1 + step % 5)
            .map(|row| {
                let id = 7 * step + row;
                let text = if id % 4 == 0 { "NULL".into() } else { format!("'é {id}'") };
                format!(
                    "({id}, {}, {id} / 8.0, {id}.25, {}, {text}, DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:{:02}',
                      NULL, make_array({id}, NULL), named_struct('x', {id}, 'y', {text}))",
                    id % 100,
                    id % 3 == 0,
                    step % 60,
                )
            })
            .collect();
        place.sql(&format!(
            "INSERT INTO s VALUES {}; INSERT INTO t VALUES ({}, 'step {step}');
             INSERT INTO m VALUES ({step}, TIMESTAMP '2026-01-01 00:00:{:02}')",
            rows.join(", "),
            step % 7,
            59 - step
        ));
    }
    place.sql("DELETE FROM t WHERE id = 3");
    // A frame that is large enough to have checksums of its columns.
    let text = "md5(CAST(value AS TEXT))";
    place.sql(&format!(
        "CREATE STREAM w (n BIGINT, text TEXT, x DOUBLE);
         INSERT INTO w SELECT value, {text}, value / 3.0 FROM (SELECT unnest(range(1, 4001)) AS value)"
    ));
    // A result carries watermarks and marks.
    place.file("late.sql", "CREATE STREAM marked AS SELECT id, ts FROM m;");
    place.run(&["run", "late.sql", "--until-caught-up"]).ok();
    place.run(&["topic", "compact", "t"]).ok();
    for (topic, rows) in
        [("s", Some("120")), ("t", None), ("m", Some("40")), ("w", Some("4000")), ("marked", Some("40"))]
    {
        let file = format!("{topic}.arrow");
        place.run(&["topic", "export", topic, "--metadata", "--to", &file]).ok();
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/log/reader.py");
        let ran = Command::new(&python)
            .arg(reader)
            .arg(place.path(".millstream"))
            .arg(topic)
            .arg(place.path(&file))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{topic}: {err}");
        assert!(rows.is_none_or(|rows| rows == out.trim()), "{topic}: {out} rows");
    }
    let table = place.rows("SELECT id, k FROM t");
    assert_eq!(table.len(), 6, "{table:?}");
}
