//! The command line itself: help, mistakes in it, where the data directory is.

use super::*;

#[test]
fn help_and_version_go_to_stdout() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["--help"][..], "Exit codes:"),
        (&["--version"], concat!("millstream ", env!("CARGO_PKG_VERSION"))),
        (&["run", "--help"], "--until-caught-up"),
        (&["topic", "consume", "--help"], "--follow"),
    ] {
        let ran = place.run(arguments).ok();
        assert!(ran.out.contains(expected), "{arguments:?}");
        assert!(ran.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_why_on_stderr() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["run"][..], "FILE.sql"),
        (&["run", "a.sql", "--worker", "2"], "--workers"),
        (&["run", "a.sql", "--workers", "0"], "--workers"),
        (&["-f", "a.sql", "-c", "SELECT 1"], "-f FILE"),
        (&["-c", "SELECT 1", "topic", "list"], "-c SQL"),
        (&["-c", "SELECT 1", "--format", "xml"], "jsonl"),
        (&["-c", "SELECT 1", "--set", "novalue"], "NAME=VALUE"),
    ] {
        let ran = place.run(arguments).fails(2, &[expected]);
        assert!(ran.out.is_empty(), "{arguments:?}");
    }
    assert!(!place.path(".millstream").exists(), "a wrong command line leaves nothing behind");
}

#[test]
fn the_data_directory_is_the_option_then_the_variable_then_the_default() {
    let place = Place::new();
    let make = "CREATE STREAM s (a BIGINT)";
    let shown = |arguments: &[&str]| {
        Ran::of(place.command(arguments).env("MILLSTREAM_DATA", "by_variable").output().unwrap()).ok().out
    };
    shown(&["-c", make]);
    assert!(place.path("by_variable").exists() && !place.path(".millstream").exists());
    assert_eq!(shown(&["-d", "by_option", "-c", "SHOW STREAMS"]), "");
    assert!(place.path("by_option").exists());
    assert!(shown(&["topic", "list"]).contains("\"s\""));
    place.sql(make);
    assert!(place.path(".millstream").exists());
}

#[test]
fn values_for_names_come_from_set_then_from_the_environment() {
    let place = Place::new();
    place.file("q.sql", "SELECT '${CITY}' AS city, ${N} AS n;");
    let mut command = place.command(&["run", "q.sql", "--set", "CITY=Rome", "--set", "N=7"]);
    let ran = Ran::of(command.env("CITY", "Oslo").output().unwrap()).ok();
    assert_eq!(ran.out, "{\"city\":\"Rome\",\"n\":7}\n");
    let ran = Ran::of(place.command(&["run", "q.sql", "--set", "N=8"]).env("CITY", "Oslo").output().unwrap());
    assert_eq!(ran.ok().out, "{\"city\":\"Oslo\",\"n\":8}\n");
    place.run(&["run", "q.sql", "--set", "CITY=Rome"]).fails(3, &["${N}", "q.sql:1:", "--set N=VALUE"]);
}

#[test]
fn texts_and_files_are_run_in_order_and_nothing_after_a_mistake() {
    let place = Place::new();
    let ran = place.run(&["-c", "SELECT 1 AS a", "-c", "SELECT 2 AS a; SELECT 3 AS a"]).ok();
    assert_eq!(ran.out, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    place.file("one.sql", "CREATE STREAM one (a BIGINT);").file("two.sql", "SELECT nothing;");
    place.file("three.sql", "CREATE STREAM three (a BIGINT);");
    place.run(&["run", "one.sql", "two.sql", "three.sql"]).fails(3, &["two.sql:1:8"]);
    let streams = place.sql("SHOW STREAMS");
    assert!(streams.contains("one") && !streams.contains("three"), "{streams}");
}

#[test]
fn a_script_on_standard_input_is_run() {
    let place = Place::new();
    let ran = place.run_with(&[], b"SELECT 1 AS a;\nSELECT 2 AS a;\n").ok();
    assert_eq!(ran.out, "{\"a\":1}\n{\"a\":2}\n");
    place.run_with(&[], b"SELECT 1 AS a;\nSELECT b;\n").fails(3, &["stdin:2:8"]);
    place.file("f.sql", "SELECT 3 AS a;");
    assert_eq!(place.run(&["-f", "f.sql"]).ok().out, "{\"a\":3}\n");
    assert_eq!(place.run(&[]).ok().out, "", "an empty script does nothing");
}

#[test]
fn with_keep_going_all_mistakes_are_told_and_what_is_right_is_run() {
    let place = Place::new();
    place.file("f.sql", "SELECT 1 AS a;\nSELECT b;\nSELEC 2;\nSELECT 3 AS a;\n");
    let ran = place.run(&["run", "f.sql"]).fails(3, &["f.sql:3:1"]);
    assert_eq!(ran.out, "");
    let ran = place.run(&["run", "f.sql", "--keep-going"]).fails(3, &["f.sql:2:8", "f.sql:3:1"]);
    assert_eq!(ran.out, "{\"a\":1}\n{\"a\":3}\n");
    // What fails on the rows is one of them.
    place.file("g.sql", "SELECT 1 / 0 AS a;\nSELECT 3 AS a;\n");
    place.run(&["run", "g.sql"]).fails(1, &["error[MS028]", "g.sql:1:8"]);
    let ran = place.run(&["run", "g.sql", "--keep-going"]).fails(3, &["error[MS028]", "g.sql:1:8"]);
    assert_eq!(ran.out, "{\"a\":3}\n");
}

#[test]
fn colour_only_when_it_is_asked_for_off_a_terminal() {
    let place = Place::new();
    let output =
        |colour: &str| place.command(&["-c", "SELECT b", "--color", colour]).output().unwrap().stderr;
    assert!(!output("auto").contains(&0x1b) && !output("never").contains(&0x1b));
    assert!(output("always").contains(&0x1b));
}

#[test]
fn check_tells_all_that_is_wrong_and_runs_nothing() {
    let place = Place::new();
    place.sql("CREATE STREAM known (a BIGINT)");
    let before = place.sql("SHOW STREAMS");
    place.file(
        "f.sql",
        "CREATE STREAM s (a BIGINT, b TXT);\nCREATE STREAM t AS SELECT a FROM known;\nINSERT INTO known VALUES (1);\n\
         SELECT a FROM s;\nSELECT nothing FROM t EMIT CHANGES;\nSELECT x.a, y.a AS b FROM known x JOIN t y ON x.a = y.a EMIT CHANGES;\n",
    );
    let ran = place.run(&["check", "f.sql"]).fails(3, &[]);
    assert!(ran.out.contains("f.sql:1:30") && ran.out.contains("f.sql:5:8"), "{}", ran.out);
    assert!(
        ran.out.contains("warning: ") && ran.out.ends_with("1 file: 2 mistakes, 1 warning\n"),
        "{}",
        ran.out
    );
    let found = place.run(&["check", "f.sql", "--json"]).fails(3, &[]).out;
    let found: Vec<serde_json::Value> = found.lines().map(json).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(
        (&found[0]["severity"], &found[0]["line"], &found[0]["column"]),
        (&"error".into(), &1.into(), &30.into())
    );
    assert_eq!(found[2]["severity"], "warning");
    assert_eq!(place.sql("SHOW STREAMS"), before);
    assert_eq!(place.sql("SELECT count(*) AS n FROM known"), "{\"n\":0}\n");
    place.file("good.sql", "CREATE VIEW v AS SELECT a FROM known;\nSELECT * FROM v;\n");
    assert!(place.run(&["check", "good.sql"]).ok().out.contains("1 file: 0 mistakes, 0 warnings"));
    let empty = Place::new();
    empty.file("f.sql", "SELECT 1;").run(&["check", "f.sql"]).ok();
    assert!(!empty.path(".millstream").exists(), "nothing is made");
}

#[test]
fn files_that_cannot_be_run() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder.sql")).unwrap();
    place.file("latin1.sql", b"SELECT 'K\xf6ln';").file("empty.sql", "").file("comment.sql", "-- nothing\n");
    place.run(&["run", "nowhere.sql"]).fails(1, &["there is no file nowhere.sql"]);
    place.run(&["run", "folder.sql"]).fails(1, &["folder.sql", "directory"]);
    place.run(&["run", "latin1.sql"]).fails(1, &["latin1.sql is not UTF-8"]);
    for nothing in ["empty.sql", "comment.sql"] {
        assert_eq!(place.run(&["run", nothing]).ok().out, "");
    }
}

#[test]
fn values_and_conditions_are_checked_and_told_as_json_with_their_codes() {
    let place = Place::new();
    place.file(
        "f.sql",
        "CREATE STREAM s (a SMALLINT, b TEXT);\nINSERT INTO s VALUES (1, 'x'),\n  (70000, 'y');\n\
         INSERT INTO s (a, c) VALUES (1, 2);\nCREATE TABLE t (k BIGINT, PRIMARY KEY (k));\nDELETE FROM t WHERE kk = 1;\n",
    );
    let found = place.run(&["check", "f.sql", "--json"]).fails(3, &[]).out;
    let found: Vec<serde_json::Value> = found.lines().map(json).collect();
    let told: Vec<String> = found
        .iter()
        .map(|f| format!("{} {}:{} {}", f["code"], f["line"], f["column"], f["message"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""MS012" 3:4 "70000 is not a value of type SMALLINT""#,
            r#""MS003" 4:19 "stream \"s\" has no column \"c\"""#,
            r#""MS003" 6:21 "there is no column \"kk\"""#,
        ]
    );
    assert!(!place.path(".millstream").exists());
}

#[test]
fn a_code_is_explained() {
    let place = Place::new();
    let ran = place.run(&["explain", "ms003"]).ok();
    assert!(ran.out.starts_with("MS003\n") && ran.out.contains("Right:\n"), "{}", ran.out);
    assert!(place.run(&["explain"]).ok().out.lines().count() > 20);
    place.run(&["explain", "MS999"]).fails(2, &["there is no code MS999"]);
}

#[test]
fn there_are_no_escape_codes_in_a_pipe() {
    let place = Place::new();
    place.file("f.sql", "CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1); SELECT a, NULL AS n FROM s;");
    place.file("t.sql", "SELECT 1 AS a;\n-- a\n-- 2\n");
    // `Ran::of` looks at standard output and standard error of each.
    place.run(&["run", "f.sql", "--format", "table"]).ok();
    place.run(&["-f", "f.sql", "--format", "box"]).ok();
    place.run(&["-c", "SELECT a FROM s EMIT CHANGES", "--until-caught-up", "--format", "table"]).ok();
    assert_eq!(place.run_with(&[], b"SELECT a FROM s;").ok().out, "{\"a\":1}\n");
    place.run(&["-c", "SELECT b FROM s"]).fails(3, &["error[MS003]"]);
    place.run(&["check", "f.sql"]).ok();
    assert!(place.run(&["test", "t.sql"]).fails(6, &[]).out.contains("- 2\n+ 1\n"));
    place.run(&["topic", "describe", "s", "--format", "table"]).ok();
    place.run(&["explain", "MS001"]).ok();
}
