//! Continuous queries that are watched.

use super::*;
use std::time::{Duration, Instant};

const COUNTS: &str =
    "SELECT origin, count(*) AS n FROM flights GROUP BY origin ORDER BY n DESC EMIT CHANGES;";

#[test]
fn a_result_that_changes_is_drawn_in_place_in_its_order() {
    let (place, mut terminal) = opened();
    terminal.line(COUNTS);
    let screen = terminal.until("the first result", |s| s.contains("│ JFK") && s.contains("live · 4 in"));
    assert!(screen.find("JFK") < screen.find("EWR"), "{screen}");
    assert!(screen.contains("q stop · space freeze · b go on as a job"), "{screen}");
    place.sql("INSERT INTO flights VALUES ('LGA', 1), ('LGA', 2)");
    let screen = terminal.until("the new order", |s| s.find("LGA") < s.find("JFK") && s.contains("6 in"));
    assert_eq!(screen.matches('┌').count(), 1, "drawn in place:\n{screen}");
    terminal.until("changed cells are marked", |_| terminal.cells_in(vt100::Color::Idx(3)) > 0);
    terminal.types("q");
    let screen = terminal.prompts();
    assert!(screen.contains("query: 6 rows in") && screen.contains("│ LGA"), "{screen}");
    assert!(!screen.contains("space freeze"), "{screen}");
}

#[test]
fn a_query_of_the_command_line_is_watched_where_somebody_sees_it() {
    let (place, _) = opened();
    let query = "SELECT origin, count(*) AS n FROM flights GROUP BY origin EMIT CHANGES";
    let mut terminal = Terminal::open(&place, &["-c", query], (24, 80));
    terminal.until("the result", |s| s.contains("│ JFK") && s.contains("live · 4 in"));
    terminal.until("what it is at", |s| s.contains("0 late") && s.contains("q stop · space freeze"));
    place.sql("INSERT INTO flights VALUES ('BOS', 1)");
    let screen = terminal.shows("BOS");
    assert_eq!(screen.matches('┌').count(), 1, "drawn in place:\n{screen}");
    assert!(!screen.contains("go on as a job") && !screen.contains("│ + "), "{screen}");
    terminal.types("\x03");
    terminal.ends();
    let screen = terminal.shows("-c: 5 rows in");
    assert!(screen.contains("│ BOS") && !screen.contains("live ·"), "{screen}");
    // Whoever says how rows are to be printed gets them so.
    let terminal = Terminal::open(&place, &["-c", query, "--format", "jsonl"], (24, 80));
    terminal.shows("{\"_op\":\"+\",\"origin\":\"JFK\",\"n\":2}");
}

#[test]
fn rows_that_only_come_scroll_by_and_a_changelog_has_signs() {
    let (place, mut terminal) = opened();
    terminal.line("SELECT origin, delay FROM flights WHERE delay > 6 EMIT CHANGES;");
    terminal.until("two rows", |s| s.contains("│ EWR") && s.contains("│ JFK"));
    place.sql("INSERT INTO flights VALUES ('BOS', 99)");
    let screen = terminal.shows("BOS");
    assert!(!screen.contains("│ + "), "{screen}");
    terminal.types("\x03");
    terminal.prompts();
    terminal.line("\\format changelog");
    terminal.prompts();
    terminal.line("SELECT count(*) AS n FROM flights EMIT CHANGES;");
    terminal.shows("│ + ");
    place.sql("INSERT INTO flights VALUES ('BOS', 100)");
    terminal.shows("│ - ");
    terminal.types("q");
    terminal.prompts();
}

#[test]
fn after_three_seconds_without_a_row_it_says_why() {
    let place = Place::new();
    place.sql(
        "CREATE STREAM s (at TIMESTAMP, a BIGINT, WATERMARK FOR at AS at - INTERVAL '5 seconds');
         INSERT INTO s VALUES ('2026-01-31 11:42:00', 1)",
    );
    let mut terminal = Terminal::open(&place, &[], (24, 80));
    terminal.prompts();
    terminal.line("SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;");
    let screen = terminal.until("the reason", |s| {
        s.replace('\n', " ")
            .contains("waiting: the first 1-hour window closes when at passes 2026-01-31 12:00:05")
    });
    assert!(screen.replace('\n', " ").contains("it is 11:42"), "{screen}");
    place.sql("INSERT INTO s VALUES ('2026-01-31 12:00:05', 2)");
    terminal.until("the window", |s| s.contains("│ 2026-01-31 11:00:00") && s.contains("1 out"));
    terminal.types("q");
    terminal.prompts();
}

#[test]
fn the_screen_freezes_and_goes_on() {
    let (place, mut terminal) = opened();
    terminal.line(COUNTS);
    terminal.shows("live · 4 in");
    terminal.types(" ");
    terminal.shows("frozen");
    place.sql("INSERT INTO flights VALUES ('BOS', 1)");
    terminal.shows("5 in");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!terminal.screen().contains("BOS"));
    terminal.types(" ");
    terminal.shows("BOS");
    terminal.types("\x04");
    terminal.prompts();
}

#[test]
fn it_fits_when_the_window_is_made_smaller() {
    let (place, mut terminal) = opened();
    let rows: Vec<String> = (0..60).map(|n| format!("('A{n:02}', 1)")).collect();
    place.sql(&format!("INSERT INTO flights VALUES {}", rows.join(", ")));
    terminal.line("SELECT origin, count(*) AS n, 'a text of some length, as there are some' AS note FROM flights GROUP BY origin EMIT CHANGES;");
    let screen = terminal.shows("live · 64 in");
    assert!(screen.contains("of 63 rows shown") && screen.contains("A00"), "{screen}");
    assert!(screen.lines().count() <= 24, "{screen}");
    terminal.resize(14, 40);
    let screen = terminal.until("the small table", |s| {
        s.contains("of 63 rows") && s.lines().all(|l| l.chars().count() <= 40) && s.lines().count() <= 14
    });
    assert_eq!(screen.matches('┌').count(), 1, "{screen}");
    terminal.resize(50, 200);
    let screen = terminal.until("the large table", |s| s.contains("A30") && s.contains("as there are some"));
    assert_eq!(screen.matches('┌').count(), 1, "{screen}");
    terminal.types("q");
    terminal.prompts();
}

#[test]
fn ctrl_c_under_full_load_comes_back_to_the_prompt() {
    let place = Place::new();
    place.sql("CREATE STREAM bids WITH (connector = 'nexmark', table = 'bid', events = '2000000000')");
    let mut terminal = Terminal::open(&place, &[], (24, 80));
    terminal.prompts();
    for query in [
        "SELECT auction, bidder, price FROM bids EMIT CHANGES;",
        "SELECT bidder, count(*) AS n FROM bids GROUP BY bidder ORDER BY n DESC EMIT CHANGES;",
        "SELECT bidder, count(*) AS n FROM bids GROUP BY bidder;",
    ] {
        terminal.line(query);
        if query.contains("EMIT") {
            terminal.until("it runs", |s| s.contains("rows/s") && !s.contains(" 0 in "));
        } else {
            std::thread::sleep(Duration::from_millis(300));
        }
        terminal.types("\x03");
        terminal.prompts();
        // The shell is as it was.
        terminal.line("SELECT 6 * 7 AS answer;");
        terminal.shows("42");
        terminal.prompts();
        terminal.types("\x0c");
        terminal.prompts();
    }
}

#[test]
fn a_result_is_drawn_ten_times_a_second_at_most_however_quick_it_changes() {
    let place = Place::new();
    place.sql("CREATE STREAM bids WITH (connector = 'nexmark', table = 'bid', events = '2000000000')");
    let mut terminal = Terminal::open(&place, &[], (24, 80));
    terminal.prompts();
    terminal.line("SELECT bidder, count(*) AS n FROM bids GROUP BY bidder ORDER BY n DESC EMIT CHANGES;");
    terminal.until("it runs", |s| s.contains("rows/s") && !s.contains(" 0 in "));
    // A frame is drawn as one, by the terminal's own brackets.
    let all = |terminal: &Terminal| terminal.raw().matches("\x1b[?2026h").count();
    let (since, before) = (Instant::now(), all(&terminal));
    let frames = |terminal: &Terminal| all(terminal) - before;
    terminal.until("some frames", |_| frames(&terminal) > 15);
    let drawn = frames(&terminal);
    let most = since.elapsed().as_millis() / 100 + 2;
    terminal.types("q");
    let screen = terminal.prompts();
    assert!(drawn as u128 <= most, "{drawn} frames where {most} may be");
    assert!(screen.contains("rows shown"), "{screen}");
}

#[test]
fn the_reason_names_the_window_and_the_partition_that_holds_it() {
    let place = Place::new();
    place.sql(
        "CREATE STREAM s (at TIMESTAMP, k BIGINT, WATERMARK FOR at AS at) WITH (partitions = 4, key = 'k', idle_timeout = '0');
         INSERT INTO s VALUES ('2026-01-31 11:42:00', 1), ('2026-01-31 11:50:00', 2), ('2026-01-31 11:50:00', 3),
           ('2026-01-31 11:50:00', 4), ('2026-01-31 11:50:00', 5), ('2026-01-31 11:50:00', 6), ('2026-01-31 11:50:00', 7)",
    );
    let mut terminal = Terminal::open(&place, &[], (24, 100));
    terminal.prompts();
    terminal.line("SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;");
    let screen = terminal.shows("waiting: the first 1-hour window closes when at passes 2026-01-31 12:00;");
    assert!(
        screen.replace('\n', " ").contains("it is 11:") || screen.contains("no row has come yet"),
        "{screen}"
    );
    terminal.until("who holds it", |s| s.replace('\n', " ").contains("held by partition "));
    terminal.until("for how long", |s| s.replace('\n', " ").contains("(no data for "));
    terminal.types("q");
    terminal.prompts();
}
