//! The line that is typed: several lines, completion, history, Ctrl-C and Ctrl-D.

use super::*;

#[test]
fn a_statement_has_lines_until_its_semicolon_and_its_result_is_a_table() {
    let (_place, mut terminal) = opened();
    terminal.line("SELECT origin, count(*) AS flights -- not the end ;");
    terminal.line("FROM flights GROUP BY origin ORDER BY flights DESC,");
    terminal.line("origin;");
    terminal.shows("3 rows");
    terminal.prompts();
    let screen = terminal.until("the time", |s| s.contains(" s\n"));
    assert!(screen.contains("│ JFK     │       2 │") && screen.contains("varchar"), "{screen}");
    terminal.line("\\q");
    assert!(terminal.ends().0.success());
}

#[test]
fn ctrl_c_gives_the_line_up_and_ctrl_d_leaves() {
    let (_place, mut terminal) = opened();
    terminal.types("SELECT nonsense");
    terminal.shows("nonsense");
    terminal.types("\x03");
    terminal.until("an empty prompt", |s| s.trim_end().ends_with("millstream>"));
    terminal.line("SELECT 41 + 1 AS answer;");
    terminal.shows("42");
    terminal.prompts();
    terminal.types("\x04");
    assert!(terminal.ends().0.success());
}

#[test]
fn names_keywords_options_and_commands_are_completed() {
    let (_place, mut terminal) = opened();
    for (typed, completed) in [
        ("SELECT * FROM fli\t", "SELECT * FROM flights"),
        ("SELECT de\t", "SELECT de"),
        ("SELECT ori\t", "SELECT origin"),
        ("sel\t", "select"),
        ("SELECT origin FROM flights f WHERE f.del\t", "f.delay"),
        ("CREATE STREAM x (a BIGINT) WITH (parti\t", "partitions"),
        ("SET on_exit = 'st\t", "'stop'"),
        ("\\tim\t", "\\timing"),
        ("\\d fl\t", "\\d flights"),
    ] {
        terminal.types(typed);
        terminal.shows(completed);
        terminal.types("\x03");
        terminal.prompts();
    }
}

#[test]
fn the_history_outlives_the_session_and_keeps_whole_statements_without_secrets() {
    let (place, mut terminal) = opened();
    terminal.line("SELECT 'two'");
    terminal.line("AS word;");
    terminal.shows("two");
    terminal.prompts();
    terminal.line("CREATE STREAM x (a BIGINT) WITH (connector = 'file', path = 'x', password = 'hunter2');");
    terminal.shows("password");
    terminal.prompts();
    terminal.types("\x04");
    terminal.ends();
    let history = std::fs::read_to_string(place.path("history")).unwrap();
    assert!(!history.contains("hunter2") && history.contains("'***'"), "{history}");

    let mut again = Terminal::open(&place, &[], (24, 80));
    again.prompts();
    again.types("\x1b[A");
    again.shows("'***'");
    again.types("\x1b[A");
    again.shows("AS word;");
    again.types("\x03");
    again.prompts();
    // Ctrl-R searches.
    again.types("\x12two");
    again.shows("SELECT 'two'");
    again.types("\r");
    again.shows("varchar");
}

#[test]
fn what_is_pasted_is_run_when_enter_is_pressed_and_not_before() {
    let (_place, mut terminal) = opened();
    terminal.types("\x1b[200~SELECT 1 AS one;\nSELECT 2 AS two;\x1b[201~");
    let screen = terminal.shows("SELECT 2 AS two;");
    assert!(!screen.contains('┌'), "{screen}");
    terminal.types("\r");
    let screen = terminal.until("both results", |s| s.matches("1 row,").count() == 2);
    assert!(screen.contains("one") && screen.contains("two"), "{screen}");
}

#[test]
fn what_is_pasted_line_by_line_is_run_in_its_order() {
    let (_place, mut terminal) = opened();
    // A terminal that does not say what is pasted: each line feed is Enter.
    terminal.types("INSERT INTO flights VALUES ('BOS', 1);\rSELECT count(*) AS n\rFROM flights;\r\\x\rSELECT 'last' AS word;\r");
    let screen = terminal.until("the last of them", |s| s.contains("word = last"));
    let places = ["1 row inserted", "│      5 │", "a line for each column is on", "word = last"]
        .map(|t| screen.find(t));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}\n{screen}");
}

#[test]
fn what_stands_behind_a_mistake_is_not_run_and_that_is_told() {
    let (_place, mut terminal) = opened();
    terminal.types("\x1b[200~SELECT 1 / 0 AS x;\nDROP STREAM flights;\nSELECT 2 AS two;\x1b[201~\r");
    let screen = terminal.shows("the 2 statements behind it were not run");
    assert!(screen.contains("error[MS028]: division by zero") && screen.contains("^^^^^"), "{screen}");
    terminal.prompts();
    terminal.line("SELECT count(*) AS n FROM flights;");
    terminal.shows("│      4 │");
}

#[test]
fn mistakes_have_a_caret_and_the_prompt_goes_on() {
    let (_place, mut terminal) = opened();
    terminal.line("SELECT orgin FROM flights;");
    let screen = terminal.shows("did you mean");
    assert!(screen.contains("^^^^^") && screen.contains("error"), "{screen}");
    terminal.prompts();
    terminal.line("SET on_exti = 'stop';");
    terminal.shows("did you mean \"on_exit\"?");
    terminal.prompts();
    terminal.line("SELECT * FROM stdin;");
    terminal.shows("standard input is the keyboard here");
    terminal.prompts();
    terminal.line("\\tming");
    terminal.shows("did you mean \\timing?");
    terminal.prompts();
}

#[test]
fn what_is_typed_has_colours_and_a_mistake_is_red() {
    use vt100::Color::{Default as Plain, Idx};
    let (_place, mut terminal) = opened();
    terminal.types("SELECT origin, count(*), 'text' AS t, 17 FROM flights EMIT CHANGES -- why");
    terminal.shows("-- why");
    terminal.until("colours", |_| terminal.look_of("SELECT") == (Idx(4), true));
    for word in ["AS", "FROM", "EMIT", "CHANGES"] {
        assert_eq!(terminal.look_of(word), (Idx(4), true), "{word}");
    }
    for (word, look) in
        [("'text'", Idx(2)), ("17", Idx(6)), ("origin", Plain), ("count", Plain), ("flights", Plain)]
    {
        assert_eq!(terminal.look_of(word), (look, false), "{word}");
    }
    terminal.types("\x03");
    terminal.prompts();
    terminal.line("SELECT orgin FROM flights;");
    terminal.shows("did you mean");
    terminal.prompts();
    assert!(matches!(terminal.look_of("error"), (Idx(1 | 9), true)), "{:?}", terminal.look_of("error"));
    assert!(matches!(terminal.look_of("^^^^^"), (Idx(1 | 9), _)), "{:?}", terminal.look_of("^^^^^"));
    assert_eq!(terminal.look_of("millstream>"), (Plain, true));
}
