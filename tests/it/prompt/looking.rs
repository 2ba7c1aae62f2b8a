//! Looking around: commands, formats, files, help, and the demo.

use super::*;

#[test]
fn what_there_is_can_be_looked_at() {
    let (_place, mut terminal) = opened();
    terminal.line("\\d");
    let screen = terminal.shows("origin varchar, delay bigint");
    assert!(screen.contains("flights"), "{screen}");
    terminal.prompts();
    terminal.line(".schema flights");
    terminal.shows("(connector)");
    terminal.prompts();
    terminal.line("\\d+ flights");
    let screen = terminal.shows("partition 0: 4 rows");
    assert!(
        screen.contains("│ bigint ") && !screen.contains("BIGINT") && !screen.contains("NULL"),
        "{screen}"
    );
    terminal.prompts();
    terminal.line("\\peek flights 2");
    let screen = terminal.until("the last two rows", |s| s.contains("_offset") && s.contains("2 rows"));
    assert!(screen.contains("LGA") && !screen.contains("EWR"), "{screen}");
    terminal.prompts();
    terminal.line("\\d nothing");
    terminal.shows("there is no stream or view \"nothing\"");
    terminal.line("\\?");
    terminal.shows("While a query runs");
    terminal.line("\\h window");
    terminal.shows("FROM TUMBLE");
    terminal.prompts();
}

#[test]
fn results_have_formats_and_go_to_files() {
    let (place, mut terminal) = opened();
    let query = "SELECT origin, delay FROM flights WHERE delay = 10;";
    for (command, expected) in [
        ("\\x on", "origin = EWR\n delay = 10"),
        ("\\x off", "│ EWR"),
        (".mode csv", "EWR,10"),
        ("\\format md", "| EWR | 10 |"),
        ("\\format jsonl", "{\"origin\":\"EWR\",\"delay\":10}"),
    ] {
        terminal.line(command);
        terminal.prompts();
        terminal.types("\x0c");
        terminal.prompts();
        terminal.line(query);
        terminal.shows(expected);
        terminal.prompts();
    }
    terminal.line("\\format csv");
    terminal.line("\\o result.csv");
    terminal.shows("results go to result.csv");
    terminal.line("SELECT origin FROM flights ORDER BY delay LIMIT 1;");
    terminal.prompts();
    terminal.line("\\o");
    terminal.shows("results go to the screen");
    terminal.line("\\format arrow");
    terminal.line(query);
    terminal.shows("arrow and parquet are not for a terminal");
    assert_eq!(std::fs::read_to_string(place.path("result.csv")).unwrap(), "origin\nJFK\n");
}

#[test]
fn files_variables_plans_and_long_results() {
    let (place, mut terminal) = opened();
    place.file("q.sql", "SELECT '${CITY}' AS city;\nSELECT unnest(range(0, 100)) AS n;");
    terminal.line("\\set CITY Rome");
    terminal.line("\\i q.sql");
    terminal.shows("100 rows, the first 40 shown");
    terminal.prompts();
    terminal.line("\\maxrows 3");
    terminal.line("\\i q.sql");
    let screen = terminal.until("the short one", |s| s.contains("the first 3 shown"));
    assert!(screen.contains("Rome"), "{screen}");
    terminal.line("SELECT origin, count(*) AS n FROM flights GROUP BY origin;");
    terminal.shows("3 rows,");
    terminal.prompts();
    terminal.line("\\plan");
    terminal.shows("operator");
    terminal.prompts();
    terminal.line("\\watch 1s");
    terminal.shows("every 1 s, until a key is pressed");
    place.sql("INSERT INTO flights VALUES ('BOS', 1)");
    terminal.shows("BOS");
    terminal.types("x");
    terminal.prompts();
}

#[test]
fn an_editor_writes_the_next_statement() {
    let place = Place::new();
    place.file("editor.sh", "#!/bin/sh\nprintf 'SELECT 7 * 6 AS edited;' > \"$1\"\n");
    let mut command = place.command(&[]);
    command.env("TERM", "xterm").env("EDITOR", format!("sh {}", place.path("editor.sh").display()));
    command.env("MILLSTREAM_HISTORY", place.path("history")).env_remove("VISUAL");
    let mut terminal = Terminal::start(command, (24, 80));
    terminal.prompts();
    terminal.line("\\e");
    terminal.shows("SELECT 7 * 6 AS edited;");
    terminal.types("\r");
    terminal.shows("42");
}

#[test]
fn the_demo_plays_and_its_queries_stand_in_the_history() {
    let place = Place::new();
    let mut terminal = Terminal::open(&place, &["demo", "flights", "--speed", "36000"], (24, 80));
    terminal.prompts();
    terminal.types("\x1b[A");
    terminal.shows("EMIT CHANGES;");
    terminal.types("\r");
    terminal.until("flights come", |s| s.contains("│ EWR") && s.contains("live"));
    let first = terminal.screen();
    terminal.until("more flights come", |s| s.contains("│ EWR") && s != first);
    terminal.types("b");
    terminal.shows("[q1]");
    terminal.types("\r");
    terminal.shows("job 1 is q1");
    terminal.prompts();
    terminal.line("SET replay_speed = 0;");
    terminal.shows("replay_speed is 0");
    terminal.line("SET on_exit = stop;");
    terminal.line("\\q");
    let (status, screen) = terminal.ends();
    assert!(status.success(), "{screen}");
    assert!(!place.path(".millstream").exists(), "a demo leaves nothing behind");
}

#[test]
fn without_colour_there_is_none_and_without_a_terminal_no_prompt() {
    let place = Place::new();
    let mut command = place.command(&["--color", "never"]);
    command.env("TERM", "xterm").env("MILLSTREAM_HISTORY", "");
    let mut terminal = Terminal::start(command, (24, 80));
    terminal.prompts();
    terminal.line("SELECT 'a', NULL;");
    terminal.shows("1 row,");
    let coloured = ["\u{1b}[1;34m", "\u{1b}[32m", "\u{1b}[2m"];
    assert!(coloured.iter().all(|c| !terminal.raw().contains(c)), "{:?}", terminal.raw());
    let ran = place.run(&["demo", "quakes"]);
    ran.fails(2, &["wants a terminal"]);
    assert!(!place.path("history").exists());
}

#[test]
fn nothing_is_folded_at_80_columns() {
    let (_place, mut terminal) = opened();
    terminal.line("CREATE MATERIALIZED VIEW board_of_all_airports AS SELECT origin, count(*) AS n FROM flights GROUP BY origin;");
    terminal.shows("has caught up");
    for command in [
        "\\?",
        "\\h",
        "\\d",
        "\\d+ flights",
        "\\d board_of_all_airports",
        "\\peek board_of_all_airports",
        "\\jobs",
        "\\job 1",
        "\\why 1",
        "\\plan SELECT 1 AS a EMIT CHANGES",
        "SHOW ALL;",
        "SELECT origin, repeat('long ', 40) AS x FROM flights;",
    ] {
        terminal.types("\x0c");
        terminal.prompts();
        terminal.line(command);
        terminal.prompts();
        assert!(terminal.folded().is_empty(), "{command}: {:?}\n{}", terminal.folded(), terminal.screen());
    }
    for demo in ["flights", "quakes", "storms"] {
        let place = Place::new();
        let terminal = Terminal::open(&place, &["demo", demo], (24, 80));
        terminal.prompts();
        assert!(terminal.folded().is_empty(), "{demo}: {:?}", terminal.folded());
    }
}

#[test]
fn a_table_and_a_file_can_be_peeked_at() {
    let (place, mut terminal) = opened();
    place.file("rows.csv", "a,b\n1,x\n2,y\n3,z\n");
    place.sql(
        "CREATE TABLE stock (item TEXT, n BIGINT, PRIMARY KEY (item));
         INSERT INTO stock VALUES ('book', 1), ('lamp', 2);
         DELETE FROM stock WHERE item = 'book';
         CREATE STREAM rows (a BIGINT, b TEXT) WITH (connector = 'file', path = 'rows.csv');",
    );
    terminal.line("\\peek stock");
    let screen = terminal.shows("3 rows");
    assert!(screen.contains("_deleted") && screen.contains("lamp"), "{screen}");
    terminal.prompts();
    terminal.types("\x0c");
    terminal.prompts();
    terminal.line("\\peek rows 2");
    let screen = terminal.shows("2 rows");
    assert!(screen.contains("│ x ") && screen.contains("│ y ") && !screen.contains("│ z "), "{screen}");
    terminal.prompts();
}
