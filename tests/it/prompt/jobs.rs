//! Jobs that are started at the prompt.

use super::*;

#[test]
fn a_job_that_fails_is_told_above_the_line_at_its_place() {
    let (place, mut terminal) = opened();
    terminal.line("CREATE STREAM ratios AS SELECT origin, 60 / delay AS r FROM flights;");
    terminal.shows("has caught up");
    terminal.types("SELECT n FROM rat");
    place.sql("INSERT INTO flights VALUES ('JFK', 0)");
    // The line that is being typed is drawn again below what is told.
    let screen = terminal.until("the failure above the line", |s| {
        s.contains("error[MS028]: job ratios failed: division by zero")
            && s.trim_end().ends_with("millstream> SELECT n FROM rat")
    });
    assert!(screen.contains("^^^^^^^^^^") && screen.contains("NULLIF"), "{screen}");
}

#[test]
fn jobs_run_in_the_background_and_are_seen_and_stopped_by_number() {
    let (place, mut terminal) = opened();
    terminal
        .line("CREATE MATERIALIZED VIEW board AS SELECT origin, count(*) AS n FROM flights GROUP BY origin;");
    terminal.shows("job 1 is board, in the background");
    // Told above the line that is being typed, which stays whole.
    terminal.types("SELECT n FROM boa");
    terminal.until("the notice above the line", |s| {
        s.contains("● job board has caught up: 4 rows in, 3 out")
            && s.trim_end().ends_with("millstream> SELECT n FROM boa")
    });
    terminal.line("rd WHERE origin = 'JFK';");
    terminal.shows("│      2 │");
    terminal.prompts();
    terminal.line("\\jobs");
    let screen = terminal.until("the list", |s| s.contains("running"));
    let line = screen.lines().find(|line| line.contains("running")).unwrap_or_default();
    let cells: Vec<&str> = line.split('│').map(str::trim).collect();
    // As many as the notice has said.
    assert_eq!(cells[2..6], ["board", "running", "4", "3"], "{screen}");
    terminal.prompts();
    place.sql("INSERT INTO flights VALUES ('JFK', 1)");
    terminal.line("\\job 1");
    terminal.shows("  rows in");
    terminal.prompts();
    // What a job says of itself is a second old at most.
    for _ in 0..100 {
        terminal.line("\\why 1");
        if terminal.prompts().contains("waits for rows") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    terminal.shows("waits for rows");
    terminal.line("\\stop 1");
    terminal.shows("stopped");
    terminal.line("\\stop 7");
    terminal.shows("there is no job 7");
    terminal.line("\\q");
    terminal.ends();
}

#[test]
fn b_goes_on_with_a_query_as_a_job() {
    let (_place, mut terminal) = opened();
    terminal.line("SELECT origin, count(*) AS n FROM flights GROUP BY origin EMIT CHANGES;");
    terminal.shows("live · 4 in");
    terminal.types("b");
    terminal.shows("goes on as job [q1]");
    terminal.types("per_origin\r");
    terminal.shows("job 1 is per_origin, in the background");
    terminal.shows("has caught up");
    terminal.prompts();
    terminal.line("SELECT * FROM per_origin ORDER BY n DESC, origin LIMIT 1;");
    terminal.shows("│ JFK");
    terminal.line("SELECT origin FROM flights EMIT CHANGES;");
    terminal.shows("4 out");
    terminal.types("b\r");
    terminal.shows("job 2 is q1, in the background");
}

#[test]
fn leaving_asks_what_becomes_of_jobs_and_tells_how_to_go_on() {
    let (place, mut terminal) = opened();
    terminal.line("CREATE STREAM copy (origin TEXT, delay BIGINT);");
    terminal.shows("created");
    terminal.line("INSERT INTO copy SELECT * FROM flights;");
    terminal.shows("job 1 is prompt.copy");
    terminal.shows("has caught up");
    terminal.prompts();
    terminal.types("\x04");
    terminal.shows("job prompt.copy runs");
    terminal.line("c");
    terminal.prompts();
    terminal.line("\\q");
    terminal.shows("[s]top");
    terminal.line("s");
    let (status, screen) = terminal.ends();
    assert!(status.success());
    assert!(screen.contains("with a checkpoint") && screen.contains("prompt.sql"), "{screen}");

    // The file goes on with it, without the prompt ...
    place.sql("INSERT INTO flights VALUES ('BOS', 1)");
    place.run(&["run", ".millstream/prompt.sql", "--until-caught-up"]).ok();
    assert_eq!(place.sql("SELECT count(*) AS n FROM copy"), "{\"n\":5}\n");
    // ... and the next prompt does.
    place.sql("INSERT INTO flights VALUES ('BOS', 2)");
    let mut again = Terminal::open(&place, &[], (24, 80));
    again.shows("1 job of an earlier session can go on: \\resume");
    again.prompts();
    again.line("\\resume");
    again.shows("job 1 is prompt.copy");
    again.shows("has caught up: 1 row in, 1 out");
    again.line("SET on_exit = 'stop';");
    again.prompts();
    again.types("\x04");
    let (_, screen) = again.ends();
    assert!(!screen.contains("[s]top"), "{screen}");
    assert_eq!(place.sql("SELECT count(*) AS n FROM copy"), "{\"n\":6}\n");
}

#[test]
fn values_are_inserted_each_time_and_a_second_job_has_its_own_name() {
    let (place, mut terminal) = opened();
    for n in 1..=2 {
        terminal.line("INSERT INTO flights VALUES ('BOS', 1);");
        terminal.until("the rows are told", |s| s.matches("1 row inserted").count() == n);
    }
    terminal.line("CREATE STREAM copy (origin TEXT, delay BIGINT);");
    terminal.line("INSERT INTO copy SELECT * FROM flights;");
    terminal.shows("job 1 is prompt.copy");
    terminal.line("INSERT INTO copy SELECT * FROM flights WHERE delay > 5;");
    terminal.shows("job 2 is prompt.copy.2");
    terminal.line("SET on_exit = stop;");
    terminal.line("\\q");
    terminal.ends();
    assert_eq!(place.sql("SELECT count(*) AS n FROM flights"), "{\"n\":6}\n");
}

#[test]
fn the_second_of_two_jobs_goes_on_when_it_is_left_alone() {
    let (place, mut terminal) = opened();
    terminal.line("CREATE STREAM copy (origin TEXT, delay BIGINT);");
    terminal.line("INSERT INTO copy SELECT * FROM flights WHERE delay < 6;");
    terminal.shows("job 1 is prompt.copy");
    terminal.line("INSERT INTO copy SELECT * FROM flights WHERE delay > 6;");
    terminal.shows("job 2 is prompt.copy.2");
    terminal.until("both have read all", |s| s.matches("has caught up").count() == 2);
    terminal.line("\\stop 1");
    terminal.shows("stopped");
    terminal.line("SET on_exit = stop;");
    terminal.line("\\q");
    terminal.ends();
    place.sql("INSERT INTO flights VALUES ('BOS', 1), ('BOS', 99)");
    // Only the second stands in the file, and it goes on where it was.
    let ran = place.run(&["run", ".millstream/prompt.sql", "--until-caught-up"]).ok();
    drop(ran);
    assert_eq!(
        place.sql("SELECT delay FROM copy ORDER BY delay"),
        "{\"delay\":5}\n{\"delay\":7}\n{\"delay\":10}\n{\"delay\":99}\n"
    );
}
